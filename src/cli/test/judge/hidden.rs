//! Passive mode without TLS beside passive mode with it: the difference shows what reads and rewrites
//! the replies in between.

use std::net::IpAddr;

use super::super::cure::{Problem, cures};
use super::super::facts::{Hidden, Trouble, Try, World};
use super::words;
use crate::cli::line::Line;

const CHECK: &str = "with TLS";

/// Passive mode without TLS has worked by now.
pub(super) fn hidden(hidden: &Hidden, world: &World) -> Vec<Line> {
    let line = match (&hidden.tls.auth, &hidden.tls.handshake) {
        (_, Some(Ok(_))) => return ports(hidden, world).into_iter().collect(),
        (_, Some(Err(why))) => {
            let text = format!(
                "the server offers TLS, but the handshake fails: {}",
                words::trouble(why)
            );
            Line::warning(CHECK, "tls_cut", text)
        }
        (Some(Ok(reply)), None) => {
            let text = format!(
                "the server offers TLS, but AUTH TLS is refused: {}",
                words::reply(reply)
            );
            Line::warning(CHECK, "tls_stripped", text)
        }
        (Some(Err(why)), None) => {
            let text =
                format!("the server offers TLS, but AUTH TLS fails: {}", words::trouble(why));
            Line::warning(CHECK, "tls_cut", text)
        }
        (None, None) => return Vec::new(),
    };
    vec![
        line.cure(format!(
            "{} says more",
            words::url("ftpd test ftpes", Some(world.port), world)
        )),
    ]
}

/// The ports, when nobody in between can read the replies.
fn ports(hidden: &Hidden, world: &World) -> Option<Line> {
    let tries = || hidden.epsv.iter().chain(&hidden.pasv);
    if !hidden.is_in || tries().all(|attempt| attempt.named.is_none()) {
        return None;
    }
    let peer = world.peer_ip()?;
    let other = hidden.pasv.iter().find_map(|attempt| named(attempt).filter(|ip| *ip != peer));
    if let (Some(ip), false) = (other, hidden.named_other) {
        let text = format!(
            "PASV names {ip}, and without TLS {peer}: something in between rewrites the replies"
        );
        return Some(
            helper(text)
                .cure("let the server itself name the outer address")
                .cures(cures(world.program, Problem::Masquerade(peer))),
        );
    }
    let is_closed = |attempt: &&Try| matches!(attempt.at_named, Some(Err(_)));
    let is_open = |attempt: &Try| matches!(attempt.at_named, Some(Ok(_)));
    match tries().find(is_closed).and_then(|attempt| attempt.at_named.as_ref()) {
        Some(Err(why)) if !tries().any(is_open) && *why != Trouble::Untried => {
            let text = format!(
                "the passive ports do not answer ({}), and without TLS they do: something in \
                 between reads the replies and opens the ports",
                words::trouble(why)
            );
            Some(helper(text).cures(super::passive::open_range()))
        }
        _ => Some(Line::good(CHECK, "the passive ports answer as they do without")),
    }
}

fn helper(text: String) -> Line {
    Line::warning(CHECK, "helper", text)
        .cure("an FTP helper of a firewall or router (nf_conntrack_ftp, ALG), from which TLS hides the replies: clients that use TLS cannot transfer anything")
}

fn named(attempt: &Try) -> Option<IpAddr> {
    attempt.named.map(|address| address.ip().to_canonical())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::facts::{Chain, Handshake, TlsStart};
    use super::super::samples::{one, reply, world};
    use super::*;
    use crate::cli::line::Verdict::{Good, Warning};

    fn handshake() -> Handshake {
        let (version, chain) = ("TLS 1.3".to_owned(), Chain::Unknown);
        Handshake { version, certificate: None, length: 1, chain, has_name: true, days_left: 9 }
    }

    fn found(tls: Result<Handshake, Trouble>, epsv: Vec<Try>, pasv: Vec<Try>) -> Hidden {
        let (auth, handshake) = (Some(reply(234, "go")), Some(tls));
        let tls = TlsStart { auth, handshake, is_small: false, refusal: None };
        Hidden { tls, is_in: true, named_other: false, epsv, pasv }
    }

    fn attempt(ip: &str, outcome: Result<Duration, Trouble>) -> Try {
        let named = Some(format!("{ip}:50000").parse().unwrap());
        Try { answer: reply(227, "x"), named, at_named: Some(outcome), at_peer: None }
    }

    #[test]
    fn what_only_tls_shows() {
        let (ours, inner) = ("203.0.113.7", "10.0.0.5");
        let open = || attempt(ours, Ok(Duration::ZERO));
        let shut = || attempt(ours, Err(Trouble::Silent));
        let untried = || attempt(inner, Err(Trouble::Untried));
        for (fact, wanted) in [
            (found(Ok(handshake()), vec![open()], vec![open()]), (Good, "")),
            (found(Ok(handshake()), vec![shut()], vec![shut()]), (Warning, "helper")),
            (found(Ok(handshake()), vec![open()], vec![untried()]), (Warning, "helper")),
            // a part of the range is closed, which is known already
            (found(Ok(handshake()), vec![open(), shut()], vec![shut()]), (Good, "")),
            (found(Err(Trouble::Reset), Vec::new(), Vec::new()), (Warning, "tls_cut")),
        ] {
            assert_eq!(one(&hidden(&fact, &world(ours))), wanted, "{fact:?}");
        }
        let mut same = found(Ok(handshake()), vec![open()], vec![untried()]);
        same.named_other = true;
        assert_eq!(one(&hidden(&same, &world(ours))), (Good, ""));
        same.is_in = false;
        assert!(hidden(&same, &world(ours)).is_empty());
    }
}
