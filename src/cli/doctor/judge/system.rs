//! Judges the clock and the kernel.

use std::time::Duration;

use crate::cli::doctor::facts::{Facts, Sandboxed};
use crate::cli::line::Line;

/// A file may be dated a little later than the clock when it was unpacked from another machine.
const SLACK: Duration = Duration::from_secs(24 * 3600);

/// Returns the lines about the machine.
pub(super) fn judge(facts: &Facts) -> Vec<Line> {
    let mut lines = vec![clock(facts)];
    let kernel = &facts.kernel;
    let before = lines.len();
    if let Some(why) = &kernel.no_openat2 {
        let text = format!(
            "the kernel does not resolve paths below a directory (openat2): {why}; the server walks \
             them name by name, which is slower"
        );
        lines.push(Line::warning("kernel", "no_openat2", text).cure(
            "a kernel of Linux 5.6 or later; in a container, a runtime that allows openat2 \
             (Docker 20.10.10, libseccomp 2.5)",
        ));
    }
    lines.extend(landlock(facts));
    if lines.len() == before {
        let text = format!("openat2, Landlock; congestion control {}", kernel.congestion);
        lines.push(Line::good("kernel", text));
    }
    lines
}

fn clock(facts: &Facts) -> Line {
    let clock = &facts.clock;
    let is_slow = clock.built.is_some_and(|built| clock.now + SLACK < built);
    let cure = "let a time server set it: systemd-timesyncd, chrony or ntpd";
    if is_slow {
        let text = "the clock shows a time before this program was made: certificates are not valid \
                    yet, and files get wrong times";
        return Line::failed("clock", "clock_slow", text).cure(cure);
    }
    if clock.is_synchronised == Some(false) {
        let text = "no time server sets the clock";
        return Line::warning("clock", "clock_free", text).cure(cure);
    }
    Line::good("clock", "plausible")
}

fn landlock(facts: &Facts) -> Option<Line> {
    let why = facts.kernel.no_landlock.as_ref()?;
    let wanted = facts.settings.as_ref().ok()?.sandbox;
    match wanted {
        Sandboxed::Off => None,
        Sandboxed::Auto => Some(
            Line::warning("kernel", "no_landlock", format!("no sandbox for the server: {why}"))
                .cure("a kernel with Landlock (lsm=landlock,... at its start)")
                .cure("or sandbox = off, if the server should do without"),
        ),
        Sandboxed::Required => Some(
            Line::failed(
                "kernel",
                "no_landlock",
                format!("the server does not start, as sandbox = require cannot be met: {why}"),
            )
            .cure("sandbox = auto, or a kernel with Landlock (lsm=landlock,... at its start)"),
        ),
    }
}
