//! From the name of the server to the working directory.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::super::cure::{Problem, cures};
use super::super::facts::{Answer, Login, Trouble, World};
use super::super::url::Security;
use super::words;
use crate::cli::line::Line;
use crate::log::escaped;

/// A greeting or login that takes longer than this makes people wait.
const SLOW: Duration = Duration::from_secs(3);

pub(super) fn names(
    found: &Result<Vec<IpAddr>, String>,
    time: Duration,
    world: &World,
) -> Vec<Line> {
    let host = escaped(world.host.as_bytes());
    let line = match found {
        Ok(ips) if ips.is_empty() => Err("it has no address".to_owned()),
        Ok(ips) => Ok(ips),
        Err(why) => Err(escaped(why.as_bytes()).to_string()),
    };
    vec![match line {
        Ok(ips) if world.host.parse::<IpAddr>().is_ok() => {
            let family = if ips.iter().all(IpAddr::is_ipv6) { "IPv6" } else { "IPv4" };
            Line::good("name", format!("{host} is an {family} address"))
        }
        Ok(ips) => {
            let list: Vec<_> = ips.iter().map(IpAddr::to_string).collect();
            let time = words::millis(time);
            Line::good("name", format!("{host} is {} ({time})", list.join(", ")))
        }
        Err(why) => {
            Line::failed("name", "name_unknown", format!("{host} has no address: {why}"))
                .cure("check the spelling, and the DNS records of the name (A, AAAA)")
        }
    }]
}

/// Not every address must answer, but one that does not delays the clients that try it first.
pub(super) fn connections(
    found: &[(SocketAddr, Result<Duration, Trouble>)],
    world: &World,
) -> Vec<Line> {
    let any = found.iter().any(|(_, outcome)| outcome.is_ok());
    let line = |(address, outcome): &(SocketAddr, Result<Duration, Trouble>)| match outcome {
        Ok(time) => {
            Line::good("connect", format!("{address} answered in {}", words::millis(*time)))
        }
        // this machine has no way to that family of addresses, so nothing is known
        Err(Trouble::Unreachable(why)) if any => {
            Line::skipped("connect", format!("{address} cannot be tested from here: {why}"))
        }
        Err(why) if any => {
            let text = format!("{address} does not answer: {}", words::trouble(why));
            Line::warning("connect", "one_address_dead", text)
                .cure("clients that try this address first wait or fail: open it, or remove its DNS record")
        }
        Err(why) => unreachable(*address, why, world),
    };
    found.iter().map(line).collect()
}

fn unreachable(address: SocketAddr, why: &Trouble, world: &World) -> Line {
    let text = format!("{address} does not answer: {}", words::trouble(why));
    let port = world.port;
    let line = |cause| Line::failed("connect", cause, text.clone());
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others are rare")]
    match why {
        Trouble::Refused => line("control_refused")
            .cure(format!("nothing listens on port {port} there, or a firewall rejects connections"))
            .cure("check that the server runs and which port it uses; ftpd: port, tls_implicit_port"),
        Trouble::Silent => line("control_silent")
            .cure("a firewall drops the packets, the router does not forward the port, or the machine is off")
            .cure(format!("on the server: ufw allow {port}/tcp; on the router: forward TCP port {port} to it")),
        _ => line("control_unreachable").cure("check the address and the network of this machine"),
    }
}

pub(super) fn greeting(answer: &Answer, time: Duration, world: &World) -> Vec<Line> {
    let failed = |cause, text: String| Line::failed("greeting", cause, text);
    vec![match answer {
        Ok(reply) if reply.is_done() => {
            let text = format!("{} ({})", words::reply(reply), words::millis(time));
            if time < SLOW {
                return vec![Line::good("greeting", text)];
            }
            Line::warning("greeting", "slow_greeting", text)
                .cure("some servers look up the name of each client first, here without success")
                .cures(cures(world.program, Problem::Lookups))
        }
        Ok(reply) => failed("turned_away", format!("the server refuses clients: {}", words::reply(reply)))
            .cure("too many clients, a ban, or an address that is not allowed; ftpd: max_cons, max_per_ip, allow_from, 'ftpd bans'"),
        Err(Trouble::Foreign(bytes)) if bytes.starts_with(b"SSH-") => {
            failed("is_ssh", format!("this is an SSH server: {}", escaped(bytes)))
                .cure("use an SFTP client, or the port of the FTP server")
        }
        Err(Trouble::Foreign(bytes)) if bytes.starts_with(&[0x15, 3]) => {
            failed("is_implicit_tls", "this port expects TLS at once".to_owned())
                .cure(format!("use {}", words::url("ftps", Some(world.port), world)))
        }
        Err(why @ (Trouble::Silent | Trouble::Closed | Trouble::Reset)) => {
            let line = failed("no_greeting", format!("no greeting: {}", words::trouble(why)));
            if world.security == Security::Plain && (world.port == 990 || *why == Trouble::Silent) {
                return vec![line.cure("if this port expects TLS at once, as 990 does, use ftps://")
                    .cure("otherwise a proxy or an inspecting firewall stands between, or the server is overloaded")];
            }
            line.cure("the server or something in between ends connections from here: look at its log, bans and allowed addresses")
        }
        Err(why) => failed("no_greeting", format!("no greeting: {}", words::trouble(why)))
            .cure("is this the port of an FTP server?"),
    }]
}

pub(super) fn login(login: &Login, world: &World) -> Vec<Line> {
    let said = words::answer(&login.answer);
    let failed = |cause| Line::failed("login", cause, format!("{}: {said}", login.command));
    vec![match &login.answer {
        Ok(reply) if reply.is_done() => {
            let line = Line::good("login", said);
            let is_clear = world.security == Security::Plain && !world.is_anonymous;
            let is_near = world.peer_ip().is_some_and(|peer| peer.is_loopback());
            if is_clear && !is_near {
                let text = format!("{}; the password crossed the network in clear text", line.text);
                return vec![Line::warning("login", "clear_text", text)
                    .cure("use ftpes:// (AUTH TLS), if the server offers TLS")];
            }
            line
        }
        Ok(reply) if world.security == Security::Plain && wants_tls(reply.text()) => {
            failed("tls_needed").cure(format!("use {}", words::url("ftpes", other_port(world), world)))
        }
        Ok(reply) if reply.code == 332 => failed("account_needed")
            .cure("the server asks for an account (ACCT), which few clients can give"),
        Ok(reply) if reply.code == 421 => failed("turned_away")
            .cure("often too many sessions of this user or address, or a ban; ftpd: max_per_user, max_per_ip, 'ftpd bans'"),
        Ok(_) if world.is_anonymous => failed("login_refused")
            .cure("anonymous users are not admitted; put a user into the URL: ftp://user@host/"),
        Ok(_) => failed("login_refused")
            .cure("wrong user or password, or the user may not log in from here; the log of the server says which")
            .cure("ftpd: a home that does not exist, allow_from and tls_required refuse logins, too"),
        Err(_) => failed("login_broken")
            .cure("look at the log of the server"),
    }]
}

/// Returns the port, if it is not the usual one.
fn other_port(world: &World) -> Option<u16> {
    Some(world.port).filter(|&port| port != 21)
}

/// Returns whether the text of a refusal asks for TLS.
fn wants_tls(text: &[u8]) -> bool {
    let text = text.to_ascii_lowercase();
    let words: [&[u8]; 4] = [b"tls", b"ssl", b"encrypt", b"secure"];
    words.iter().any(|word| text.windows(word.len()).any(|part| part == *word))
}

pub(super) fn features(answer: &Answer, world: &World) -> Vec<Line> {
    let reply = match answer {
        Ok(reply) => reply,
        Err(why) => {
            return vec![Line::failed("features", "control_lost", words::trouble(why))];
        }
    };
    if !reply.is_done() {
        let text = format!("the server lists no extensions: {}", words::reply(reply));
        return vec![
            Line::warning("features", "no_feat", text)
                .cure("an old server, or a firewall that filters commands"),
        ];
    }
    let known = ["AUTH TLS", "EPSV", "EPRT", "MLST", "REST STREAM", "SIZE", "MDTM", "UTF8"];
    let begins = |name: &str| world.features.iter().any(|line| line.starts_with(name));
    let there: Vec<_> = known.into_iter().filter(|name| begins(name)).collect();
    let text =
        if there.is_empty() { "none of the usual ones".into() } else { there.join(", ") };
    vec![Line::good("features", text)]
}

pub(super) fn directory(answer: &Answer) -> Vec<Line> {
    vec![match answer {
        Ok(reply) if reply.is_done() => Line::good("directory", words::reply(reply)),
        other => Line::failed(
            "directory",
            "no_directory",
            format!("cannot enter it: {}", words::answer(other)),
        )
        .cure("nothing is uploaded; the path of the URL begins at the directory after the login, // or %2F at the root"),
    }]
}

pub(super) fn latency(times: &[Duration]) -> Vec<Line> {
    let mut times = times.to_vec();
    times.sort();
    let Some(&median) = times.get(times.len() / 2) else { return Vec::new() };
    let worst = times.last().copied().unwrap_or_default();
    let text =
        format!("a command takes {}, at most {}", words::millis(median), words::millis(worst));
    vec![Line::good("latency", text)]
}

#[cfg(test)]
mod tests {
    use super::super::samples::{all, one, reply, world};
    use super::*;
    use crate::cli::line::Verdict::{self, Failed, Good, Skipped, Warning};

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn each_family_of_addresses_has_a_line() {
        let row = |address: &str, outcome| (address.parse().unwrap(), outcome);
        let gone = || Err(Trouble::Unreachable("network is unreachable".to_owned()));
        let both = [row("192.0.2.1:21", Ok(MS)), row("[2001:db8::1]:21", Err(Trouble::Silent))];
        let lines = connections(&both, &world("192.0.2.1"));
        assert_eq!((lines[0].verdict, lines[1].verdict), (Good, Warning), "{}", all(&lines));
        let both = [row("192.0.2.1:21", Ok(MS)), row("[2001:db8::1]:21", gone())];
        assert_eq!(connections(&both, &world("192.0.2.1"))[1].verdict, Skipped);
        for (outcome, cause) in [
            (Err(Trouble::Silent), "control_silent"),
            (Err(Trouble::Refused), "control_refused"),
            (gone(), "control_unreachable"),
        ] {
            let lines = connections(&[row("192.0.2.1:21", outcome)], &world("192.0.2.1"));
            assert_eq!(one(&lines), (Failed, cause));
        }
    }

    #[test]
    fn greetings() {
        let foreign = |bytes: &[u8]| Err(Trouble::Foreign(bytes.to_vec()));
        let rows: [(Answer, u64, (Verdict, &str)); 8] = [
            (reply(220, "hello"), 1, (Good, "")),
            (reply(220, "hello"), 11_000, (Warning, "slow_greeting")),
            (reply(421, "too many"), 1, (Failed, "turned_away")),
            (foreign(b"SSH-2.0-x"), 1, (Failed, "is_ssh")),
            (foreign(&[0x15, 3, 1]), 1, (Failed, "is_implicit_tls")),
            (foreign(b"HTTP/1.1 400"), 1, (Failed, "no_greeting")),
            (Err(Trouble::Silent), 1, (Failed, "no_greeting")),
            (Err(Trouble::Reset), 1, (Failed, "no_greeting")),
        ];
        for (answer, time, verdict) in rows {
            let time = Duration::from_millis(time);
            assert_eq!(
                one(&greeting(&answer, time, &world("192.0.2.1"))),
                verdict,
                "{answer:?}"
            );
        }
    }

    #[test]
    fn logins() {
        let rows: [(Answer, (Verdict, &str)); 6] = [
            (reply(230, "in"), (Warning, "clear_text")),
            (reply(530, "Use AUTH TLS first"), (Failed, "tls_needed")),
            (reply(530, "no"), (Failed, "login_refused")),
            (reply(332, "account"), (Failed, "account_needed")),
            (reply(421, "too many"), (Failed, "turned_away")),
            (Err(Trouble::Closed), (Failed, "login_broken")),
        ];
        for (answer, verdict) in rows {
            let fact = Login { command: "PASS", answer };
            assert_eq!(one(&login(&fact, &world("192.0.2.1"))), verdict, "{fact:?}");
        }
        let fact = Login { command: "PASS", answer: reply(230, "in") };
        assert_eq!(one(&login(&fact, &world("127.0.0.1"))), (Good, ""));
    }

    #[test]
    fn what_a_server_says_cannot_control_the_terminal() {
        let evil = reply(220, "\u{1b}[2J\u{9b}x\u{202e}");
        let text = all(&greeting(&evil, MS, &world("192.0.2.1")));
        assert!(text.chars().all(|letter| letter == '\n' || !letter.is_control()), "{text:?}");
        assert!(!text.contains('\u{202e}'));
    }
}
