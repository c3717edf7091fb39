//! Judges the certificate of the server.

use std::time::{Duration, SystemTime};

use crate::cli::doctor::facts::{Certificate, Facts, Uncertified};
use crate::cli::line::Line;
use crate::tls::Presented;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A certificate that others renew is late when it has fewer days left than this. Most are renewed 30
/// days before their end.
const FEW_DAYS: u64 = 14;

/// Returns the lines about the certificate, if there is one.
pub(super) fn judge(facts: &Facts) -> Vec<Line> {
    let certificate = match &facts.certificate {
        None => return Vec::new(),
        Some(Err(Uncertified::Closed(why))) => {
            let line = Line::skipped("certificate", format!("cannot be checked: {why}"));
            return vec![line.cure("run it as root: sudo ftpd doctor")];
        }
        Some(Err(Uncertified::Faulty(why))) => {
            let line = Line::failed("certificate", "certificate_unusable", why);
            return vec![
                line.cure("the server does not start with it; 'ftpd check' says the same"),
            ];
        }
        Some(Ok(certificate)) => certificate,
    };
    let Some(first) = certificate.chain.first() else { return Vec::new() };
    let mut lines: Vec<_> = dates(certificate, first, facts.clock.now).into_iter().collect();
    lines.extend(chain(certificate, first));
    if let Some(name) = &certificate.lacks_name {
        let text =
            format!("{} does not have the name {name}, which clients use", certificate.file);
        lines.push(Line::warning("certificate", "certificate_name", text).cure(format!(
            "get a certificate with this name (certbot certonly -d {name}), or let clients use a name \
             that is in it"
        )));
    }
    if let Some(text) = &certificate.is_key_open {
        lines.push(Line::warning("certificate", "key_open", text));
    }
    for text in &certificate.unreadable {
        let text = format!("{text}, so the server cannot use it after a renewal");
        lines.push(
            Line::warning("certificate", "certificate_closed", text)
                .cure(
                    "let a hook of the program that renews it copy both files and give the copies to \
                     the server's user, see TLS in ftpd.ini(5)",
                )
                .cure("or let the group of the server's user read them (chgrp, chmod g+rX), with all directories above"),
        );
    }
    if lines.is_empty() {
        let days = left(first, facts.clock.now).unwrap_or_default();
        lines
            .push(Line::good("certificate", format!("{}, {days} days left", certificate.file)));
    }
    lines
}

/// Returns the number of whole days until a certificate expires.
fn left(first: &Presented, now: SystemTime) -> Option<u64> {
    let left = first.ends.duration_since(now).ok()?;
    Some(left.as_secs() / DAY.as_secs())
}

fn dates(certificate: &Certificate, first: &Presented, now: SystemTime) -> Option<Line> {
    let file = &certificate.file;
    // the server renews its own in time
    let renewal = if certificate.is_auto {
        "restart the server, which makes a new one"
    } else {
        "renew it (certbot renew); the server reads the new file by itself"
    };
    if first.begins > now {
        let text =
            format!("{file} is not valid yet; perhaps the clock of this machine is slow");
        return Some(
            Line::failed("certificate", "certificate_future", text)
                .cure("set the clock ('date' shows it); a time server keeps it right"),
        );
    }
    match left(first, now) {
        None => {
            let text = format!("{file} has expired");
            Some(Line::failed("certificate", "certificate_expired", text).cure(renewal))
        }
        Some(days) if days < FEW_DAYS && !certificate.is_auto => {
            let text = format!("{file} expires in {days} days");
            Some(Line::warning("certificate", "certificate_days", text).cure(renewal))
        }
        Some(_) => None,
    }
}

/// Judges whether clients can trust the certificate.
fn chain(certificate: &Certificate, first: &Presented) -> Option<Line> {
    let file = &certificate.file;
    let is_linked = |pair: &[Presented]| match pair {
        [lower, upper] => lower.issuer == upper.subject,
        _ => true,
    };
    if !certificate.chain.windows(2).all(is_linked) {
        let text =
            format!("{file}: the certificates are not in order, each followed by its issuer");
        return Some(
            Line::warning("certificate", "chain_order", text)
                .cure("put the server's own certificate first, then its issuer, and so on"),
        );
    }
    let is_self_signed = first.issuer == first.subject;
    let is_lone = certificate.chain.len() == 1 && !is_self_signed;
    (is_lone && certificate.is_trusted == Some(false)).then(|| {
        let text = format!(
            "{file} contains only the server's own certificate; clients that do not know its issuer \
             ({}) refuse it",
            first.issuer
        );
        Line::warning("certificate", "chain_short", text)
            .cure("name the file with the whole chain: tls_cert = .../fullchain.pem")
            .cure("with an authority of your own, clients must know its certificate")
    })
}
