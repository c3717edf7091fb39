//! Passive mode: the address that the server names, and whether its ports can be reached.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::super::cure::{Problem, cures};
use super::super::facts::{Epsv, Method, Passive, Trouble, Try, World};
use super::super::reply::Reply;
use super::words;
use crate::cli::line::Line;
use crate::cli::reach::Reach;

/// Why clients may work although the address is wrong.
const SOME_IGNORE: &str = "at the address of the control connection the port answers, so clients that ignore the named one (curl, FileZilla) work, and others hang";

pub(super) fn passive(passive: &Passive, world: &World) -> Vec<Line> {
    let Some(last) = passive.tries.last() else { return Vec::new() };
    let line = match (&last.answer, last.named) {
        (Err(why), _) => lost(passive.method, why),
        (Ok(reply), None) => refused(passive.method, reply, world),
        (Ok(_), Some(named)) => match world.peer_ip() {
            Some(peer) if named.ip().to_canonical() != peer => {
                other_address(passive, named.ip(), peer, world)
            }
            _ => range(passive, world),
        },
    };
    vec![line]
}

fn lost(method: Method, why: &Trouble) -> Line {
    let name = method.name();
    let text = format!("{name}: {}", words::trouble(why));
    Line::failed(name, "control_lost", text).cure(format!(
        "the server, or a firewall that reads FTP, ends the connection at {name}"
    ))
}

/// The server names no port.
fn refused(method: Method, reply: &Reply, world: &World) -> Line {
    let name = method.name();
    let said = words::reply(reply);
    let is_v6 = world.peer_ip().is_some_and(|peer| peer.is_ipv6());
    if reply.is_done() {
        return Line::failed(
            name,
            "unreadable_reply",
            format!("the reply names no port: {said}"),
        )
        .cure("the server, or a firewall that rewrites replies, breaks it");
    }
    if reply.code / 100 == 4 {
        return Line::failed(name, "no_free_port", format!("no port: {said}"))
            .cure("all passive ports are in use, or the server may not open any")
            .cures(cures(world.program, Problem::MorePorts));
    }
    match method {
        Method::Epsv if !is_v6 => Line::warning(
            name,
            "no_epsv",
            format!("not offered: {said}"),
        )
        .cure(
            "clients use PASV instead, after a round trip in vain; a firewall may filter EPSV",
        ),
        Method::Pasv if matches!(world.epsv, Epsv::Works | Epsv::Partly) => {
            Line::warning(name, "no_pasv", format!("not offered: {said}"))
                .cure("old clients know only PASV")
                .cures(cures(world.program, Problem::PassiveOff))
        }
        Method::Epsv | Method::Pasv => {
            Line::failed(name, "no_passive", format!("not offered: {said}"))
                .cures(cures(world.program, Problem::PassiveOff))
        }
    }
}

/// PASV names another address than that of the control connection.
#[expect(clippy::too_many_lines, reason = "a table of addresses")]
#[expect(clippy::wildcard_enum_match_arm, reason = "the rows above have taken the others")]
fn other_address(passive: &Passive, named: IpAddr, peer: IpAddr, world: &World) -> Line {
    let (there, here) = (Reach::of(named), Reach::of(peer));
    let works = |at: fn(&Try) -> &Option<Result<Duration, Trouble>>| {
        passive.tries.iter().any(|attempt| matches!(at(attempt), Some(Ok(_))))
    };
    let at_named = works(|attempt| &attempt.at_named);
    let at_peer = works(|attempt| &attempt.at_peer);
    let name = passive.method.name();
    let text = format!(
        "names the {} address {named}; the server was reached at {peer}{}",
        there.word(),
        match (at_named, at_peer) {
            (true, true) => "; the port answers at both",
            (true, false) => "; the port answers only at the named one",
            (false, _) => "",
        }
    );
    let failed = |cause| {
        let line = Line::failed(name, cause, text.clone());
        if at_peer {
            return line.cure(SOME_IGNORE);
        }
        let ports = ports(&passive.tries);
        line.cure(format!(
            "the port does not answer at {peer} either: open and forward {ports}, too"
        ))
    };
    let masquerade = || cures(world.program, Problem::Masquerade(peer));
    let is_near =
        matches!(here, Reach::Private | Reach::Loopback | Reach::Link | Reach::Shared);
    match there {
        Reach::Unspecified | Reach::Nowhere => failed("pasv_unroutable")
            .cure("the server does not know its address: tell it the one that clients use")
            .cures(masquerade()),
        Reach::Loopback if here != Reach::Loopback => failed("pasv_loopback")
            .cure("the server stands behind a proxy or a forwarded port, and names itself")
            .cures(masquerade()),
        Reach::Public if is_near && !at_named => failed("no_hairpin")
            .cure("the server names its public address, and the router does not lead packets from within back to it (NAT loopback)")
            .cure("from outside it may well work: run this test there")
            .cures(cures(world.program, Problem::Hairpin)),
        Reach::Private | Reach::Link | Reach::Shared if !is_near => failed("pasv_private")
            .cure("the server is behind a router (NAT) and names its inner address: tell it the outer one")
            .cures(masquerade()),
        _ if at_named => {
            let is_usual = there == Reach::Public && is_near;
            if is_usual {
                return Line::good(name, text);
            }
            Line::warning(name, "other_address", text)
                .cure("clients that check or ignore the address may fail; name the one that they use")
                .cures(masquerade())
        }
        _ => failed("wrong_masquerade")
            .cure("the address is set wrongly, or is an old one: name the one that clients use")
            .cures(masquerade()),
    }
}

/// The address is right: do the ports answer?
fn range(passive: &Passive, world: &World) -> Line {
    let name = passive.method.name();
    let outcomes = || passive.tries.iter().filter_map(|attempt| attempt.at_named.as_ref());
    let times: Vec<_> = outcomes().filter_map(|outcome| outcome.as_ref().ok()).collect();
    let troubles: Vec<_> = outcomes().filter_map(|outcome| outcome.as_ref().err()).collect();
    let (open, all, ports) = (times.len(), passive.tries.len(), ports(&passive.tries));
    let Some(why) = troubles.first() else {
        if passive.method == Method::Pasv && world.epsv == Epsv::Blocked {
            return opened_by_helper(open, &ports);
        }
        let most = times.iter().max().map_or(String::new(), |time| words::millis(**time));
        let text = format!("{open} of {all} attempts answered ({ports}), at most {most}");
        return Line::good(name, text);
    };
    let text = format!("{open} of {all} attempts answered ({ports}): {}", words::trouble(why));
    let failed = |cause| Line::failed(name, cause, text.clone());
    let is_partly = world.epsv == Epsv::Partly;
    let is_blocked = world.epsv == Epsv::Blocked && open == 0;
    if passive.method == Method::Pasv && (is_partly || is_blocked) {
        let all: Vec<_> = troubles.iter().copied().chain(&world.epsv_troubles).collect();
        let cause = if is_partly { "range_half_open" } else { blocked(&all, world) };
        return failed(cause).cure("the same as with EPSV");
    }
    if passive.method == Method::Pasv && world.epsv == Epsv::Works && open == 0 {
        return failed("helper")
            .cure("although those with EPSV did: something in between reads the replies and opens ports (FTP helper, ALG), but not if PASV names an address that it does not expect; open the range itself")
            .cures(open_range());
    }
    let line = match (open, blocked(&troubles, world)) {
        (1.., _) => {
            let closed = closed(&passive.tries);
            failed("range_half_open")
                .cure(format!("a part of the range is closed, for example port {closed}: open and forward the whole range"))
        }
        (0, "range_silent") => failed("range_silent")
            .cure("a firewall drops connections to the passive ports, or the router does not forward them"),
        (0, "range_elsewhere") => failed("range_elsewhere")
            .cure("the firewall lets connections to these ports through and drops others, but where they arrive nothing listens: the range is forwarded to other numbers or to another machine, or is not the one that the server uses")
            .cure("forward each number to the same number of the server"),
        (0, "range_rejected") => failed("range_rejected")
            .cure("a firewall rejects connections to the passive ports with ICMP messages"),
        (0, _) => failed("range_refused")
            .cure("a firewall rejects connections to the passive ports, as it does with others; or the range is not forwarded, or to other numbers or another machine, where nothing listens"),
    };
    let line = line.cures(open_range()).cures(cures(world.program, Problem::Range));
    if world.is_protected {
        return line.cure("if it works without TLS, a firewall used to read the replies and open the ports (nf_conntrack_ftp, ALG), which TLS hides: open the range itself");
    }
    line
}

pub(super) fn open_range() -> [String; 2] {
    [
        "firewall, if the range is 50000-50200: ufw allow 50000:50200/tcp; firewall-cmd --permanent --add-port=50000-50200/tcp; nft add rule inet filter input tcp dport 50000-50200 accept".to_owned(),
        "router or container: forward the same numbers, for example docker run -p 50000-50200:50000-50200".to_owned(),
    ]
}

/// PASV works at the same address where EPSV does not.
fn opened_by_helper(open: usize, ports: &str) -> Line {
    let text = format!(
        "{open} of {open} attempts answered ({ports}), although those with EPSV did not: \
         something in between reads the replies to PASV and opens the ports"
    );
    Line::warning(Method::Pasv.name(), "helper", text)
        .cure("an FTP helper of a firewall or router (ALG); TLS hides the replies from it, so that clients with TLS cannot connect: open the range itself")
        .cures(open_range())
}

/// Returns the cause if no port answers.
fn blocked(troubles: &[&Trouble], world: &World) -> &'static str {
    let are_all = |wanted: &Trouble| troubles.iter().all(|why| *why == wanted);
    if are_all(&Trouble::Silent) {
        "range_silent"
    } else if !are_all(&Trouble::Refused) {
        // the kernel limits how many ICMP messages it sends, so some attempts get none
        "range_rejected"
    } else if world.beside == Some(Trouble::Silent) {
        "range_elsewhere"
    } else {
        "range_refused"
    }
}

/// Returns the ports that the replies named.
fn ports(tries: &[Try]) -> String {
    let ports =
        || tries.iter().filter_map(|attempt| attempt.named.as_ref().map(SocketAddr::port));
    match (ports().min(), ports().max()) {
        (Some(low), Some(high)) if low == high => format!("port {low}"),
        (Some(low), Some(high)) => format!("ports from {low} to {high}"),
        _ => "the passive ports".to_owned(),
    }
}

/// Returns a port that did not answer.
fn closed(tries: &[Try]) -> u16 {
    let is_closed = |attempt: &&Try| matches!(attempt.at_named, Some(Err(_)));
    let closed = tries.iter().find(is_closed).and_then(|attempt| attempt.named);
    closed.map_or(0, |address| address.port())
}

#[cfg(test)]
mod tests {
    use super::super::super::facts::Answer;
    use super::super::samples::{all, one, reply, world};
    use super::*;
    use crate::cli::line::Verdict::{self, Failed, Good, Warning};

    type Outcome = Result<Duration, Trouble>;

    fn open() -> Outcome {
        Ok(Duration::from_millis(3))
    }

    fn silent() -> Outcome {
        Err(Trouble::Silent)
    }

    fn shut() -> Outcome {
        Err(Trouble::Refused)
    }

    fn attempt(named: &str, at_named: Outcome, at_peer: Option<Outcome>) -> Try {
        let named = Some(named.parse().unwrap());
        Try { answer: reply(227, "x"), named, at_named: Some(at_named), at_peer }
    }

    fn pasv(peer: &str, tries: Vec<Try>) -> (Verdict, &'static str) {
        let lines = passive(&Passive { method: Method::Pasv, tries }, &world(peer));
        one(&lines)
    }

    #[test]
    fn addresses_that_are_not_the_one_that_was_reached() {
        let untried = || Err(Trouble::Untried);
        for (peer, named, at_named, at_peer, wanted) in [
            // NAT without masquerade
            ("203.0.113.7", "10.0.0.5", untried(), open(), (Failed, "pasv_private")),
            ("203.0.113.7", "192.168.1.5", untried(), silent(), (Failed, "pasv_private")),
            ("203.0.113.7", "100.64.0.5", untried(), open(), (Failed, "pasv_private")),
            ("203.0.113.7", "127.0.0.1", untried(), open(), (Failed, "pasv_loopback")),
            ("192.168.1.5", "127.0.0.1", untried(), open(), (Failed, "pasv_loopback")),
            ("203.0.113.7", "0.0.0.0", untried(), open(), (Failed, "pasv_unroutable")),
            ("203.0.113.7", "224.0.0.1", untried(), open(), (Failed, "pasv_unroutable")),
            // a wrong masquerade
            ("203.0.113.7", "203.0.113.9", silent(), open(), (Failed, "wrong_masquerade")),
            ("203.0.113.7", "203.0.113.9", open(), silent(), (Warning, "other_address")),
            ("192.168.1.5", "192.168.2.5", silent(), open(), (Failed, "wrong_masquerade")),
            ("127.0.0.1", "172.17.0.2", shut(), open(), (Failed, "wrong_masquerade")),
            ("192.168.1.5", "192.168.2.5", open(), open(), (Warning, "other_address")),
            // right from outside
            ("192.168.1.5", "203.0.113.7", silent(), open(), (Failed, "no_hairpin")),
            ("192.168.1.5", "203.0.113.7", open(), open(), (Good, "")),
        ] {
            let tries = vec![attempt(&format!("{named}:50000"), at_named, Some(at_peer))];
            assert_eq!(pasv(peer, tries), wanted, "{peer} {named}");
        }
    }

    #[test]
    fn ranges_of_ports() {
        let at = |port: u16, outcome| attempt(&format!("203.0.113.7:{port}"), outcome, None);
        for (tries, wanted) in [
            (vec![at(50001, open()), at(50100, open())], (Good, "")),
            (vec![at(50001, silent()), at(50100, silent())], (Failed, "range_silent")),
            (vec![at(50001, shut()), at(50100, shut())], (Failed, "range_refused")),
            (vec![at(50001, shut()), at(50100, silent())], (Failed, "range_rejected")),
            (vec![at(50001, open()), at(50100, silent())], (Failed, "range_half_open")),
        ] {
            let fact = Passive { method: Method::Epsv, tries };
            assert_eq!(one(&passive(&fact, &world("203.0.113.7"))), wanted, "{fact:?}");
        }
        let tries = vec![at(50001, open()), at(50100, silent())];
        let text =
            all(&passive(&Passive { method: Method::Pasv, tries }, &world("203.0.113.7")));
        assert!(text.contains("50100") && text.contains("passive_ports"), "{text}");
    }

    #[test]
    fn replies_without_a_port() {
        let refusal =
            |answer: Answer| Try { answer, named: None, at_named: None, at_peer: None };
        let judged = |method, peer: &str, answer| {
            let fact = Passive { method, tries: vec![refusal(answer)] };
            one(&passive(&fact, &world(peer)))
        };
        let (epsv, pasv) = (Method::Epsv, Method::Pasv);
        for (method, peer, answer, wanted) in [
            (epsv, "203.0.113.7", reply(500, "what?"), (Warning, "no_epsv")),
            (epsv, "2001:db8::7", reply(500, "what?"), (Failed, "no_passive")),
            (epsv, "203.0.113.7", reply(229, "ok"), (Failed, "unreadable_reply")),
            (pasv, "203.0.113.7", reply(550, "no"), (Warning, "no_pasv")),
            (pasv, "203.0.113.7", reply(425, "no port"), (Failed, "no_free_port")),
            (pasv, "203.0.113.7", Err(Trouble::Closed), (Failed, "control_lost")),
        ] {
            assert_eq!(judged(method, peer, answer.clone()), wanted, "{method:?} {answer:?}");
        }
    }

    #[test]
    fn ports_that_are_rejected_are_told_from_those_that_lead_elsewhere() {
        let at = |outcome| attempt("203.0.113.7:50000", outcome, None);
        let gone = || Err(Trouble::Unreachable("no route to host".to_owned()));
        for (outcomes, beside, wanted) in [
            (vec![shut(), shut()], Trouble::Refused, "range_refused"),
            (vec![shut(), shut()], Trouble::Silent, "range_elsewhere"),
            (vec![gone(), gone()], Trouble::Silent, "range_rejected"),
            (vec![gone(), silent()], Trouble::Silent, "range_rejected"),
        ] {
            let world = World { beside: Some(beside), ..world("203.0.113.7") };
            let tries = outcomes.into_iter().map(at).collect();
            let lines = passive(&Passive { method: Method::Epsv, tries }, &world);
            assert_eq!(one(&lines), (Failed, wanted));
        }
    }

    #[test]
    fn what_epsv_has_shown_is_not_repeated() {
        let at = |outcome| vec![attempt("203.0.113.7:50000", outcome, None)];
        for (epsv, outcome, wanted) in [
            (Epsv::Partly, silent(), (Failed, "range_half_open")),
            (Epsv::Partly, open(), (Good, "")),
            (Epsv::Works, silent(), (Failed, "helper")),
            (Epsv::Blocked, silent(), (Failed, "range_silent")),
            (Epsv::Blocked, shut(), (Failed, "range_refused")),
            (Epsv::Blocked, open(), (Warning, "helper")),
        ] {
            let world = World { epsv, ..world("203.0.113.7") };
            let fact = Passive { method: Method::Pasv, tries: at(outcome) };
            let lines = passive(&fact, &world);
            assert_eq!(one(&lines), wanted, "{epsv:?}");
            let is_same = lines[0].cause != "helper";
            assert!(!is_same || lines[0].cures.len() < 2, "{lines:?}");
        }
    }

    #[test]
    fn an_open_half_that_only_pasv_has_met_has_the_whole_cure() {
        let at = |port: u16, outcome| attempt(&format!("203.0.113.7:{port}"), outcome, None);
        let world = World {
            epsv: Epsv::Blocked,
            epsv_troubles: vec![Trouble::Silent; 6],
            ..world("203.0.113.7")
        };
        let tries = vec![at(50006, silent()), at(50002, open())];
        let lines = passive(&Passive { method: Method::Pasv, tries }, &world);
        assert_eq!(one(&lines), (Failed, "range_half_open"));
        assert!(all(&lines).contains("for example port 50006"), "{lines:?}");
    }

    #[test]
    fn with_tls_the_cure_names_the_helper_of_the_firewall() {
        let mut world = world("203.0.113.7");
        world.is_protected = true;
        let tries = vec![attempt("203.0.113.7:50000", silent(), None)];
        let text = all(&passive(&Passive { method: Method::Epsv, tries }, &world));
        assert!(text.contains("nf_conntrack_ftp") && text.contains("ufw allow"), "{text}");
    }
}
