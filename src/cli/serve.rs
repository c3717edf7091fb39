//! `ftpd serve`: serves until a signal stops it.

use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{Mode, fstat};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit, umask};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGTERM, SIGXFSZ};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use super::arguments::Arguments;
use super::files;
use super::outcome::Stop;
use super::print::complain;
use super::service;
use super::settings::{load, read};
use crate::config::{Config, LogForm, LogTo};
use crate::log::{self, Destination, Form, escaped};
use crate::rights::{self, Ids};
use crate::server::{Handed, Order, Orders, Server, SettingsSource, Supervisor};

/// The warning for a server that keeps running as root.
const ROOT: &str = "running as root: a client that finds a flaw in the server acts as root; set user = NAME in [server]";

pub(super) fn run(arguments: Arguments) -> Result<ExitCode, Stop> {
    // before anything else, so that an early SIGHUP does not end the server
    let signals = catch_early().map_err(Stop::Failed)?;
    let file = arguments.end()?;
    let sockets = service::sockets().map_err(Stop::Failed)?;
    let (origin, mut config) = load(file.as_deref())?;
    let faults = missing_rights(&config);
    if !faults.is_empty() {
        for fault in &faults {
            complain(fault);
        }
        return Err(Stop::BadConfig);
    }
    if config.server.process.user.is_none() && rights::is_root() {
        config.warnings.push(ROOT.to_owned());
    }
    let source = SettingsSource {
        file: origin.file.as_ref().and_then(|file| std::path::absolute(file).ok()),
        tidies: None,
        load: Box::new(move || read(&origin)),
        start_log: Box::new(start_log),
    };
    let suspicion = super::doctor::suspicion(&config);
    let ready = move |_: &Server| {
        if let Some(suspicion) = suspicion {
            ::log::info!("{suspicion}");
        }
    };
    let ends = Ends { signals, hangup: Order::Reload, after: None };
    serve(config, source, sockets, service::supervisor, ends, ready).map_err(Stop::Failed)?;
    Ok(ExitCode::SUCCESS)
}

/// Returns a fault for each system user in the settings that this process cannot become.
fn missing_rights(config: &Config) -> Vec<String> {
    let fault = |ids: &Ids, why: &str| {
        format!("{}: '{}' {why}", ids.place, escaped(ids.name.as_bytes()))
    };
    let user = config.server.process.user.iter();
    let user = user.filter_map(|ids| Some(fault(ids, &rights::may_become(ids).err()?)));
    let acting = config.acting().filter(|_| !rights::can_act());
    let acting = acting.map(|ids| fault(ids, "requires a start as root"));
    let mut faults: Vec<_> = user.chain(acting).collect();
    if config.acts_for_answers() && !rights::can_act() {
        faults.push("[server] auth_run_as: requires a start as root".to_owned());
    }
    faults.sort();
    faults
}

/// Serves until a signal stops it, on the sockets that were handed over, or else on the
/// addresses of the settings. `supervisor` is called once the log is open; `ends` says what
/// SIGHUP does and how long the server runs; `ready` is called with the server before it accepts clients.
pub(super) fn serve(
    config: Config,
    source: SettingsSource,
    sockets: Vec<Handed>,
    supervisor: impl FnOnce() -> Supervisor,
    ends: Ends,
    ready: impl FnOnce(&Server),
) -> Result<(), String> {
    let orders = Orders::default();
    // the server applies the umask of each user itself when it makes files and directories
    umask(Mode::empty());
    (source.start_log)(&config)?;
    std::panic::set_hook(Box::new(|panic| {
        ::log::error!("{}", panic.to_string().replace('\n', " "));
    }));
    for warning in &config.warnings {
        ::log::warn!("{warning}");
    }
    allow_files(&config);
    let server = Server::bind(config, source, sockets, supervisor(), orders.clone())?;
    // must come after `bind`, because it starts threads, and no thread may run when root is
    // given up
    catch_signals(&orders, ends.signals, ends.hangup)?;
    ends.after.map_or(Ok(()), |after| end_after(after, orders))?;
    ready(&server);
    server.run().map_err(|why| format!("cannot start: {}", rights::thread_fault(&why)))
}

#[expect(clippy::disallowed_methods, reason = "the command line owns the environment")]
fn start_log(config: &Config) -> Result<(), String> {
    let server = &config.server;
    let (level, to) = if server.log.enabled {
        (server.log.level, &server.log.to)
    } else {
        (::log::LevelFilter::Off, &LogTo::Stderr)
    };
    let filters = std::env::var("RUST_LOG").ok();
    let form = match server.log.form {
        LogForm::Text => Form::Text,
        LogForm::Json => Form::Json,
    };
    let journal = || std::env::var("JOURNAL_STREAM").is_ok_and(|stream| is_stderr(&stream));
    let file = match to {
        LogTo::File(file) => file.display().to_string(),
        LogTo::Stderr | LogTo::Syslog(_) => String::new(),
    };
    let to = match to {
        LogTo::File(file) => Destination::File(file, server.process.user.as_ref()),
        LogTo::Syslog(socket) => Destination::Syslog(socket.as_deref()),
        LogTo::Stderr if journal() => Destination::Journal,
        LogTo::Stderr => Destination::Stderr,
    };
    log::start(level, filters.as_deref(), form, to)
        .map_err(|why| format!("cannot open the log {file}: {why}"))
}

/// Returns whether standard error is this stream, given as device and inode. systemd sets
/// `JOURNAL_STREAM` to the stream of programs whose output goes to its journal.
fn is_stderr(stream: &str) -> bool {
    let Ok(stat) = fstat(std::io::stderr()) else { return false };
    stream == format!("{}:{}", stat.st_dev, stat.st_ino)
}

/// The ways in which the server can end, other than by Ctrl-C and SIGTERM.
pub(super) struct Ends {
    /// The signal SIGHUP, which is caught before anything else.
    pub(super) signals: Signals,
    /// The order that SIGHUP gives.
    pub(super) hangup: Order,
    /// How long the server runs; `None`: without an end.
    pub(super) after: Option<Duration>,
}

/// How often [`end_after`] looks at the clock.
const LOOK: Duration = Duration::from_secs(10);

/// Starts a thread that stops the server after some time. The time during which the machine is
/// suspended counts, and a clock that is set back makes no difference.
fn end_after(time: Duration, orders: Orders) -> Result<(), String> {
    let (date, clock) = (SystemTime::now(), Instant::now());
    let wait = move || {
        loop {
            let passed = date.elapsed().unwrap_or_default().max(clock.elapsed());
            let left = time.saturating_sub(passed);
            if left.is_zero() {
                break;
            }
            thread::sleep(left.min(LOOK));
        }
        ::log::info!("the time is over");
        orders.give(Order::Stop);
    };
    start(thread::Builder::new().name("end".to_owned()), wait)
}

/// Catches SIGHUP, which takes effect once the server runs. Signals that would end the process
/// but have no meaning for the server get handlers that do nothing; if they were ignored
/// instead, hook programs would ignore them as well. Starts no thread.
pub(super) fn catch_early() -> Result<Signals, String> {
    let cannot = |why| format!("cannot catch signals: {why}");
    let signals = Signals::new([SIGHUP]).map_err(cannot)?;
    heed_no_meaningless();
    flag::register(SIGXFSZ, Arc::default()).map_err(cannot)?;
    Ok(signals)
}

/// Sets handlers that do nothing for the signals that have no meaning for the server.
pub(super) fn heed_no_meaningless() {
    let meaningless = [
        Signal::USR1,
        Signal::USR2,
        Signal::ALARM,
        Signal::VTALARM,
        Signal::PROF,
        Signal::IO,
        Signal::POWER,
    ];
    let meaningless = meaningless.map(Signal::as_raw).into_iter().chain(REAL_TIME);
    for signal in meaningless {
        // some systems and tools keep a real-time signal for themselves
        let _ = flag::register(signal, Arc::default());
    }
}

/// The real-time signals. The C library uses the numbers below them itself.
const REAL_TIME: RangeInclusive<i32> = 35..=64;

/// Catches the signals that stop the server, and starts to act on SIGHUP. The first signal to
/// stop is an order to the server; the second one ends the process at once, even if the server
/// hangs.
///
/// SIGXFSZ has a handler that does nothing (see [`catch_early`]), so that a file over the size
/// limit is an error of one upload and does not end the server.
fn catch_signals(orders: &Orders, mut signals: Signals, hangup: Order) -> Result<(), String> {
    let stop = Arc::new(StopSignal { orders: orders.clone(), seen: AtomicBool::new(false) });
    let interrupt = Arc::clone(&stop);
    ctrlc::set_handler(move || interrupt.take())
        .map_err(|why| match why {
            ctrlc::Error::System(why) => rights::thread_fault(&why),
            ctrlc::Error::NoSuchSignal(_) | ctrlc::Error::MultipleHandlers => why.to_string(),
        })
        .map_err(|why| format!("cannot catch Ctrl-C: {why}"))?;
    let cannot = |why| format!("cannot catch signals: {why}");
    signals.handle().add_signal(SIGTERM).map_err(cannot)?;
    // the process that starts programs has ended
    signals.handle().add_signal(SIGCHLD).map_err(cannot)?;
    let orders = orders.clone();
    let wait = move || {
        signals.forever().for_each(|signal| match signal {
            SIGHUP => orders.give(hangup),
            SIGCHLD => orders.nudge(),
            _ => stop.take(),
        });
    };
    start(thread::Builder::new().name("signals".to_owned()), wait)
}

#[expect(clippy::disallowed_methods, reason = "threads that end the server")]
fn start(thread: thread::Builder, work: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let started = thread.spawn(work).map(drop);
    started.map_err(|why| format!("cannot start a thread: {}", rights::thread_fault(&why)))
}

/// Handles SIGINT and SIGTERM.
struct StopSignal {
    orders: Orders,
    seen: AtomicBool,
}

impl StopSignal {
    #[expect(clippy::disallowed_methods, reason = "the second signal ends the process")]
    fn take(&self) {
        if self.seen.swap(true, Ordering::SeqCst) {
            std::process::exit(0);
        }
        self.orders.give(Order::Stop);
    }
}

/// Raises the limit on open files as far as allowed, and logs a warning if that is too low.
fn allow_files(config: &Config) {
    let needed = files::needed(config);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return;
    }
    let current = maximum.map_or(needed, |maximum| maximum.min(needed));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum });
    if raised.is_err() || current < needed {
        ::log::warn!("max_cons may need {needed} open files, but the limit is {current}");
    }
}
