//! TLS on the control connection, and the certificate.

use super::super::cure::{Problem, cures};
use super::super::facts::{
    Answer, Chain, Handshake, Refusal, TlsStart, Trouble, UNKNOWN, World,
};
use super::super::reply::Reply;
use super::transfer::black_hole;
use super::words;
use crate::cli::line::Line;
use crate::log::escaped;
use crate::tls::Presented;

/// A certificate is renewed before fewer days than this are left.
const SOON: i64 = 14;

pub(super) fn start(start: &TlsStart, world: &World) -> Vec<Line> {
    match (&start.auth, &start.handshake) {
        (_, Some(Ok(found))) if start.is_small => {
            let line = black_hole("TLS", "the handshake gets no answer");
            std::iter::once(line).chain(handshake(found, world)).collect()
        }
        (_, Some(Ok(found))) => handshake(found, world),
        (_, Some(Err(why))) => vec![no_handshake(why, start.auth.is_none(), world)],
        (Some(Ok(reply)), None) => {
            vec![no_auth(reply, start.refusal.as_ref(), world)]
        }
        (Some(Err(why)), None) => {
            let text = format!("AUTH TLS: {}", words::trouble(why));
            vec![Line::failed("TLS", "tls_cut", text).cure(CUT)]
        }
        (None, None) => Vec::new(),
    }
}

/// AUTH is refused: by the server, or by something in between?
fn no_auth(reply: &Reply, refusal: Option<&Refusal>, world: &World) -> Line {
    let text = format!("AUTH TLS is refused: {}", words::reply(reply));
    let features = refusal.and_then(|refusal| refusal.features.as_ref().ok());
    let is_listed = features.is_some_and(|features| {
        let upper = |line: &Vec<u8>| line.trim_ascii().to_ascii_uppercase();
        features.lines.iter().map(upper).any(|line| line.starts_with(b"AUTH"))
    });
    let unknown = refusal.and_then(|refusal| refusal.unknown.as_ref().ok());
    let foreign = unknown.filter(|unknown| {
        reply.code == 500 && unknown.code == 500 && wording(reply) != wording(unknown)
    });
    let line = if is_listed {
        let text = format!("{text}; but the server lists it in FEAT");
        Line::failed("TLS", "tls_stripped", text)
    } else if let Some(unknown) = foreign {
        let text =
            format!("{text}; the server refuses other commands with {}", words::reply(unknown));
        Line::failed("TLS", "tls_stripped", text)
    } else {
        return Line::failed("TLS", "no_tls", text)
            .cure("the server does not offer TLS, or something in between hides it: this test shows which, if it is run on the machine of the server")
            .cures(cures(world.program, Problem::OfferTls));
    };
    line.cure("something in between answers instead of the server and keeps TLS out: an inspecting firewall (such as 'inspect ftp strict'), a proxy, an FTP helper; let it pass AUTH, or try from another network")
}

/// Returns the text of a refusal without the name of the command.
fn wording(reply: &Reply) -> String {
    let text = String::from_utf8_lossy(reply.text()).to_uppercase();
    text.replace("AUTH TLS", "").replace("AUTH", "").replace(UNKNOWN, "")
}

const CUT: &str = "something between cuts connections that begin TLS: an inspecting firewall, a proxy, an FTP helper; try from another network";

fn no_handshake(why: &Trouble, at_once: bool, world: &World) -> Line {
    let text = format!("the handshake failed: {}", words::trouble(why));
    let line = |cause| Line::failed("TLS", cause, text.clone());
    match why {
        Trouble::Tls(words)
            if words.contains("CorruptMessage") || words.contains("corrupt") =>
        {
            let line = line("not_tls").cure("the other side does not speak TLS here");
            if at_once {
                return line.cure("ftps:// is TLS from the start (port 990); servers on port 21 want ftpes://");
            }
            line
        }
        Trouble::Tls(_) => line("tls_failed")
            .cure("the server must speak TLS 1.2 or 1.3 with ECDHE and AES-GCM or ChaCha20")
            .cures(cures(world.program, Problem::Certificate)),
        Trouble::Silent if at_once => line("tls_silent")
            .cure("ftps:// is TLS from the start (port 990); servers on port 21 want ftpes://")
            .cure(CUT),
        Trouble::Silent => line("tls_silent")
            .cure("something in between swallows TLS, such as an inspecting firewall or a proxy; with small packets it is no better, so no link on the way is too narrow"),
        Trouble::Reset | Trouble::Closed | Trouble::Cut => line("tls_cut")
            .cure(CUT)
            .cure("or the server cannot read its certificate; its log says so"),
        Trouble::Refused
        | Trouble::Unreachable(_)
        | Trouble::Foreign(_)
        | Trouble::TooLong
        | Trouble::Untried
        | Trouble::Interrupted
        | Trouble::Other(_) => line("tls_failed"),
    }
}

fn handshake(found: &Handshake, world: &World) -> Vec<Line> {
    let mut lines = vec![Line::good("TLS", escaped(found.version.as_bytes()).to_string())];
    let Some(certificate) = &found.certificate else {
        let text = "the certificate cannot be read";
        lines.push(
            Line::failed("certificate", "bad_certificate", text)
                .cures(cures(world.program, Problem::Certificate)),
        );
        return lines;
    };
    lines.push(chain(found, certificate, world));
    if !found.has_name {
        let host = escaped(world.host.as_bytes());
        let text = format!("it is not for {host}: clients that check it refuse it");
        let is_own = found.chain == Chain::Unknown && is_own(certificate);
        // nobody signed the name, so clients ask their users in any case
        let line = if is_own { Line::warning } else { Line::failed };
        lines.push(
            line("certificate", "wrong_name", text)
                .cure("connect to a name that the certificate has, or add this one (subjectAltName)")
                .cures(cures(world.program, Problem::Certificate)),
        );
    }
    if found.chain != Chain::Expired && found.days_left < SOON {
        let text = format!("it expires in {} days", found.days_left.max(0));
        lines
            .push(Line::warning("certificate", "expires_soon", text).cure(
                "renew it, and check that renewals happen by themselves (certbot renew)",
            ));
    }
    lines
}

fn chain(found: &Handshake, certificate: &Presented, world: &World) -> Line {
    let subject = escaped(certificate.subject.as_bytes()).to_string();
    let issuer = escaped(certificate.issuer.as_bytes()).to_string();
    let days = found.days_left;
    let print = format!("SHA-256 {}", certificate.fingerprint);
    let of = if subject.is_empty() { "without a subject".to_owned() } else { subject };
    match &found.chain {
        Chain::Trusted => {
            let text = format!("{of}, issued by {issuer}, {days} days left");
            Line::good("certificate", text).cure(print)
        }
        Chain::NoAuthorities => {
            let text =
                format!("{of}, {days} days left; this machine has no list of authorities");
            Line::warning("certificate", "no_authorities", text).cure(print)
        }
        Chain::Unknown if is_own(certificate) => {
            let text = format!("{of}, signed by itself, {days} days left");
            Line::warning("certificate", "self_signed", text)
                .cure(print)
                .cure("clients ask their users whether to trust it: compare the fingerprint ('ftpd cert' prints it)")
        }
        Chain::Unknown if found.length > 1 => {
            let text = format!("{of}, issued by {issuer}, which this machine does not trust");
            Line::warning("certificate", "unknown_authority", text).cure(print)
        }
        Chain::Unknown => {
            let text =
                format!("{of}, issued by {issuer}, without the chain to a known authority");
            Line::failed("certificate", "chain_missing", text)
                .cure(print)
                .cure("the server must send the intermediate certificates as well, unless the authority is your own")
                .cures(cures(world.program, Problem::Certificate))
        }
        Chain::Expired => {
            let text = format!("{of} expired {} days ago", -days);
            Line::failed("certificate", "expired", text)
                .cure("renew it, and let the server read the new one; ftpd does so by itself")
                .cure("if it is valid, the clock of this machine is wrong")
        }
        Chain::NotYet => {
            Line::failed("certificate", "not_yet_valid", format!("{of} is not valid yet"))
                .cure("the clock of this machine or of the issuer is wrong")
        }
        Chain::Broken(why) => {
            let text = format!("{of}: {}", escaped(why.as_bytes()));
            Line::failed("certificate", "bad_certificate", text)
                .cures(cures(world.program, Problem::Certificate))
        }
    }
}

/// Returns whether the certificate names itself as its issuer.
fn is_own(certificate: &Presented) -> bool {
    certificate.subject == certificate.issuer
}

pub(super) fn protection(answer: &Answer) -> Vec<Line> {
    vec![match answer {
        Ok(reply) if reply.is_done() => {
            Line::good("protection", "data connections use TLS (PROT P)")
        }
        other => Line::failed(
            "protection",
            "no_protection",
            format!("PROT P: {}; files cross the network in clear text", words::answer(other)),
        )
        .cure("the server must allow PROT P"),
    }]
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::super::samples::{all, one, reply, world};
    use super::*;
    use crate::cli::line::Verdict::{self, Failed, Good, Warning};

    fn found(chain: Chain, issuer: &str, length: usize, days_left: i64) -> Handshake {
        let certificate = Presented {
            subject: "CN=ftp.example.org".to_owned(),
            issuer: issuer.to_owned(),
            begins: SystemTime::UNIX_EPOCH,
            ends: SystemTime::UNIX_EPOCH,
            fingerprint: "AA:BB".to_owned(),
        };
        let version = "TLS 1.3, X".to_owned();
        let certificate = Some(certificate);
        Handshake { version, certificate, length, chain, has_name: true, days_left }
    }

    fn verdict(found: &Handshake) -> (Verdict, &'static str) {
        let lines = handshake(found, &world("192.0.2.1"));
        let worst = lines.iter().find(|line| line.verdict == Failed);
        let worst = worst.or_else(|| lines.iter().find(|line| line.verdict == Warning));
        worst.map_or((Good, ""), |line| (line.verdict, line.cause))
    }

    #[test]
    fn certificates() {
        let own = "CN=ftp.example.org";
        for (chain, issuer, length, days, wanted) in [
            (Chain::Trusted, "CN=CA", 2, 60, (Good, "")),
            (Chain::Trusted, "CN=CA", 2, 5, (Warning, "expires_soon")),
            (Chain::Unknown, own, 1, 60, (Warning, "self_signed")),
            (Chain::Unknown, "CN=CA", 2, 60, (Warning, "unknown_authority")),
            (Chain::Unknown, "CN=CA", 1, 60, (Failed, "chain_missing")),
            (Chain::Expired, "CN=CA", 2, -3, (Failed, "expired")),
            (Chain::NotYet, "CN=CA", 2, 100, (Failed, "not_yet_valid")),
            (Chain::NoAuthorities, "CN=CA", 2, 60, (Warning, "no_authorities")),
            (Chain::Broken("x".to_owned()), "CN=CA", 2, 60, (Failed, "bad_certificate")),
        ] {
            assert_eq!(
                verdict(&found(chain.clone(), issuer, length, days)),
                wanted,
                "{chain:?}"
            );
        }
        let other = Handshake { has_name: false, ..found(Chain::Trusted, "CN=CA", 2, 60) };
        assert_eq!(verdict(&other), (Failed, "wrong_name"));
        let own = Handshake { has_name: false, ..found(Chain::Unknown, own, 1, 60) };
        let lines = handshake(&own, &world("192.0.2.1"));
        assert!(lines.iter().any(|line| line.cause == "wrong_name"), "{lines:?}");
        assert!(lines.iter().all(|line| line.verdict != Failed), "{lines:?}");
        assert!(all(&handshake(&other, &world("192.0.2.1"))).contains("AA:BB"));
    }

    #[test]
    fn handshakes_that_fail() {
        for (auth, handshake, cause) in [
            (Some(reply(502, "no")), None, "no_tls"),
            (Some(Err(Trouble::Reset)), None, "tls_cut"),
            (Some(reply(234, "ok")), Some(Err(Trouble::Reset)), "tls_cut"),
            (Some(reply(234, "ok")), Some(Err(Trouble::Silent)), "tls_silent"),
            (None, Some(Err(Trouble::Silent)), "tls_silent"),
            (None, Some(Err(Trouble::Tls("received corrupt message".into()))), "not_tls"),
            (None, Some(Err(Trouble::Tls("received fatal alert".into()))), "tls_failed"),
        ] {
            let fact = TlsStart { auth, handshake, is_small: false, refusal: None };
            assert_eq!(one(&start(&fact, &world("192.0.2.1"))), (Failed, cause), "{fact:?}");
        }
    }

    #[test]
    fn a_server_that_refuses_auth_is_told_from_a_middlebox() {
        let ours = "502 not implemented";
        for (auth, features, unknown, cause) in [
            (reply(502, ours), "EPSV", reply(500, "XFTP not understood"), "no_tls"),
            (
                reply(500, "AUTH not understood"),
                "EPSV",
                reply(500, "XFTP not understood"),
                "no_tls",
            ),
            (reply(500, "Blocked"), "EPSV", reply(500, "XFTP not understood"), "tls_stripped"),
            (reply(500, "Blocked"), " AUTH TLS", reply(500, "Blocked"), "tls_stripped"),
            (reply(530, "Log in first"), "EPSV", reply(530, "Log in first"), "no_tls"),
        ] {
            let refusal = Some(Refusal { features: reply(211, features), unknown });
            let fact = TlsStart { auth: Some(auth), handshake: None, is_small: false, refusal };
            assert_eq!(one(&start(&fact, &world("192.0.2.1"))), (Failed, cause), "{fact:?}");
        }
    }
}
