//! Transfers: active mode, listings, and the probe file.

use super::super::cure::{Problem, cures};
use super::super::facts::{
    Answer, Download, Epsv, Program, Removal, Resumption, Transfer, Trouble, Way, World,
};
use super::super::reply::Reply;
use super::words;
use crate::cli::line::Line;
use crate::cli::reach::Reach;
use crate::cli::screen::{binary, per_second};
use crate::log::escaped;

pub(super) fn no_way() -> Line {
    Line::skipped("transfers", "no data connection can be opened, so nothing was transferred")
}

/// Returns amount, time and rate.
fn amount(transfer: &Transfer) -> String {
    let rate = per_second(transfer.bytes, transfer.time.as_secs_f64());
    format!(
        "{} in {} ({}/s)",
        binary(transfer.bytes),
        words::millis(transfer.time),
        binary(rate)
    )
}

pub(super) fn active(transfer: &Transfer, passive: Option<Way>, world: &World) -> Vec<Line> {
    let here = world.local.map(|local| Reach::of(local.ip()));
    let there = world.peer_ip().map(Reach::of);
    let is_behind_nat = matches!(here, Some(Reach::Private | Reach::Shared))
        && !matches!(
            there,
            Some(Reach::Private | Reach::Loopback | Reach::Link | Reach::Shared)
        );
    if transfer.is_done() {
        return vec![active_works(is_behind_nat, passive)];
    }
    let text = failure(transfer);
    let line = |cause| Line::failed("active", cause, text.clone());
    let line = if is_behind_nat {
        line("active_nat").cure("this machine is behind a router (NAT), so the server cannot connect to it: use passive mode from here")
    } else if let Some(Ok(_)) = &transfer.prepared {
        line("active_refused").cure("the server refuses PORT and EPRT")
    } else {
        line("active_blocked").cure("a firewall here lets no connection in from the server (often from port 20), or one at the server lets none out")
    };
    let line = line.cures(cures(world.program, Problem::Active));
    vec![line]
}

fn active_works(is_behind_nat: bool, passive: Option<Way>) -> Line {
    const WORKS: &str = "the server connects to this machine";
    if is_behind_nat {
        let text = format!("{WORKS}, although it is behind a router (NAT)");
        return Line::warning("active", "helper", text)
            .cure("the router rewrites PORT and EPRT (FTP helper, ALG); TLS hides them from it, so use passive mode with TLS");
    }
    if passive.is_some() {
        return Line::good("active", WORKS);
    }
    Line::warning("active", "only_active", format!("{WORKS}: only active mode works"))
        .cure("until passive mode works, set clients that no router or firewall shields to active mode; browsers and most other clients cannot do it")
}

/// Says where a transfer has failed.
fn failure(transfer: &Transfer) -> String {
    let command = transfer.command;
    let last = match &transfer.last {
        None => String::new(),
        Some(Ok(reply)) => format!("; the server says: {}", words::reply(reply)),
        Some(Err(why)) => format!("; there is no reply: {}", words::trouble(why)),
    };
    if let Some(answer) = &transfer.prepared {
        return format!("before {command}: {}", words::answer(answer));
    }
    match (&transfer.opened, &transfer.broken) {
        (Some(why), _) => {
            format!("no data connection: {}{last}", words::trouble(why))
        }
        (None, Some(why)) => {
            let bytes = binary(transfer.bytes);
            format!("{command} broke after {bytes}: {}{last}", words::trouble(why))
        }
        (None, None) => {
            let answer = transfer.last.as_ref().or(transfer.mark.as_ref());
            let said = answer.map_or_else(|| "no reply".to_owned(), words::answer);
            format!("{command}: {said}")
        }
    }
}

/// Returns whether the text of a refusal asks for the session to be resumed.
fn wants_resumption(reply: &Reply) -> bool {
    let text = reply.text().to_ascii_lowercase();
    let has = |word: &[u8]| text.windows(word.len()).any(|part| part == word);
    !reply.is_done() && (has(b"reuse") || has(b"resum"))
}

/// Judges a transfer that has failed. `None`: its own check knows better.
fn broken(check: &'static str, transfer: &Transfer, world: &World) -> Option<Line> {
    let line = |cause| Line::failed(check, cause, failure(transfer));
    let refusal = transfer.last.as_ref().or(transfer.mark.as_ref());
    let needs_resumption = matches!(refusal, Some(Ok(reply)) if wants_resumption(reply)
        || transfer.resumed == Some(false) && reply.code == 425);
    if needs_resumption {
        return Some(
            line("resumption_needed")
                .cure("the server wants data connections to resume the TLS session, and has not let this one do so")
                .cures(cures(world.program, Problem::ResumeRequired)),
        );
    }
    if transfer.opened.is_some() && world.epsv == Epsv::Partly {
        let text = format!("{}; see EPSV and PASV above", failure(transfer));
        return Some(Line::skipped(check, text));
    }
    if transfer.opened.is_some() {
        return Some(line("no_data_connection").cure("see EPSV and PASV above"));
    }
    if transfer.small == Some(true) {
        return Some(black_hole(check, &failure(transfer)));
    }
    let is_silent = |answer: Option<&Answer>| matches!(answer, Some(Err(Trouble::Silent)));
    match &transfer.broken {
        Some(Trouble::Tls(_) | Trouble::Reset | Trouble::Closed | Trouble::Cut) if transfer.bytes == 0 && world.is_protected => {
            Some(line("data_tls_failed")
                .cure("TLS on the data connection fails: something cuts it, or the server wants the session to be resumed")
                .cures(cures(world.program, Problem::ResumeRequired)))
        }
        Some(Trouble::Silent) if is_silent(transfer.last.as_ref()) || transfer.bytes > 0 => {
            Some(line("stalled").cure(MTU).cure(SMALLER))
        }
        Some(Trouble::Silent) => Some(
            line("data_silent")
                .cure("the connection opens, but nothing comes: a proxy or NAT answers instead of the server, or large packets get lost")
                .cure(MTU),
        ),
        None if is_silent(transfer.last.as_ref()) && transfer.bytes > 0 => {
            Some(line("stalled").cure(MTU).cure("or the control connection was dropped by a NAT or firewall during the transfer"))
        }
        Some(_) => Some(line("broken").cure("look at the log of the server")),
        None => None,
    }
}

/// Only small packets arrive.
pub(super) fn black_hole(check: &'static str, text: &str) -> Line {
    let text = format!("{text}; with small packets only, it works");
    Line::failed(check, "mtu", text).cure(MTU).cure(SMALLER)
}

const SMALLER: &str = "ip link set dev eth0 mtu 1400 at one end, as a trial; on a router: nft add rule inet filter forward tcp flags syn tcp option maxseg size set rt mtu";

const MTU: &str = "small packets pass and large ones vanish: the MTU of a tunnel or PPPoE link is smaller, and the ICMP messages that say so are dropped; allow them, or clamp the MSS";

pub(super) fn listing(transfer: &Transfer, world: &World) -> Vec<Line> {
    let mut lines = Vec::new();
    if transfer.is_done() {
        let bytes = binary(transfer.bytes);
        let (command, time) = (transfer.command, words::millis(transfer.time));
        let text = format!("{command} by {}: {bytes} in {time}", transfer.way.name());
        lines.push(Line::good("listing", text));
        lines.extend(unclean(transfer));
    } else {
        let line = broken("listing", transfer, world).unwrap_or_else(|| {
            Line::failed("listing", "list_refused", failure(transfer))
                .cure("the user may not list this directory; ftpd: perm needs l")
        });
        lines.push(line);
    }
    lines.extend(resumption(transfer, world));
    lines
}

/// Whether the end of TLS was missing.
fn unclean(transfer: &Transfer) -> Option<Line> {
    (transfer.clean_end == Some(false)).then(|| {
        let text = "the server ends data connections without the end of TLS (close_notify)";
        Line::warning("TLS data", "no_close_notify", text)
            .cure("strict clients take each download for one that was cut off")
    })
}

/// Whether the data connection resumed the session of the control connection.
fn resumption(transfer: &Transfer, world: &World) -> Option<Line> {
    match transfer.resumed {
        Some(true) => Some(Line::good("TLS data", "data connections resume the session")),
        Some(false) if transfer.is_done() => {
            let text = "data connections do not resume the session, and are not tied to it";
            Some(
                Line::warning("TLS data", "no_resumption", text)
                    .cure("each transfer costs a whole handshake, and somebody else may take a data connection over")
                    .cures(cures(world.program, Problem::KeepSessions)),
            )
        }
        _ => None,
    }
}

/// What happens to a client that does not resume the session.
pub(super) fn unresumed(transfer: &Transfer, world: &World) -> Vec<Line> {
    if transfer.is_done() {
        return vec![Line::good(
            "TLS data",
            "clients that do not resume the session are served, too",
        )];
    }
    let text =
        format!("clients that do not resume the session are refused: {}", failure(transfer));
    let is_elsewhere = transfer.opened.is_some() || transfer.broken == Some(Trouble::Silent);
    if !world.resumes || is_elsewhere {
        // the listing has failed for that reason already
        return Vec::new();
    }
    vec![
        Line::good("TLS data", text).cures(
            cures(world.program, Problem::ResumeRequired)
                .into_iter()
                .map(|cure| format!("for clients that cannot (old Java, .NET): {cure}")),
        ),
    ]
}

pub(super) fn upload(transfer: &Transfer, world: &World) -> Vec<Line> {
    if transfer.is_done() {
        let mut lines = vec![Line::good("upload", amount(transfer))];
        if world.resumes && transfer.resumed == Some(false) {
            let text = "the upload did not resume the session, although the listing did";
            lines.push(Line::warning("TLS data", "no_resumption", text));
        }
        return lines;
    }
    let line = match refusal(transfer) {
        Some(reply) if is_full(reply) => {
            Line::failed("upload", "no_room", failure(transfer)).cures(room(world))
        }
        Some(reply) if reply.code == 553 => {
            Line::failed("upload", "name_refused", failure(transfer))
                .cure("a file of this name may not be stored here; --read-only leaves this out")
                .cures(cures(world.program, Problem::Name))
        }
        _ => broken("upload", transfer, world).unwrap_or_else(|| {
            Line::failed("upload", "upload_refused", failure(transfer))
                .cure("this user may not upload here; --read-only leaves this out")
                .cures(cures(world.program, Problem::Upload))
        }),
    };
    vec![line]
}

/// Returns the reply that refuses a transfer, or ends one that has failed.
fn refusal(transfer: &Transfer) -> Option<&Reply> {
    let reply = transfer.last.as_ref().or(transfer.mark.as_ref())?.as_ref().ok()?;
    (reply.code >= 400).then_some(reply)
}

/// Returns whether a reply says that there is no room for the file.
fn is_full(reply: &Reply) -> bool {
    matches!(reply.code, 452 | 552)
}

/// What to do if there is no room.
fn room(world: &World) -> Vec<String> {
    let what = "the disk is full, a quota is used up, or the file is larger than allowed; --read-only leaves this out";
    std::iter::once(what.to_owned()).chain(cures(world.program, Problem::Room)).collect()
}

pub(super) fn resumed(found: &Resumption, world: &World) -> Vec<Line> {
    let is_whole = found.size.is_none_or(|size| size == found.wanted);
    let (way, transfer) = match &found.append {
        Some(append) => ("APPE", append),
        None => ("REST and STOR", &found.rest),
    };
    if transfer.is_done() && !is_whole {
        let size = found.size.unwrap_or_default();
        let text =
            format!("{way}: the file has {size} bytes, and should have {}", found.wanted);
        return vec![
            Line::failed("resume", "wrong_size", text)
                .cure("the server confirms what it has not stored; look at its log"),
        ];
    }
    if !transfer.is_done() {
        return vec![not_resumed(&found.rest, transfer, world)];
    }
    let text = format!("{way}: {}", amount(transfer));
    if found.append.is_none() {
        return vec![Line::good("resume", text)];
    }
    let text = format!("{text}; but {}", failure(&found.rest));
    vec![
        Line::warning("resume", "no_rest_stor", text)
            .cure("clients that resume with REST start from the beginning")
            .cures(cures(world.program, Problem::Restart)),
    ]
}

/// Judges an upload that was not continued: neither with REST and STOR, nor by `last`.
fn not_resumed(rest: &Transfer, last: &Transfer, world: &World) -> Line {
    let text = || format!("{}; {}", failure(rest), failure(last));
    let refused = [rest, last].map(|transfer| refusal(transfer).map(|reply| reply.code));
    if refusal(rest).is_some_and(is_full) {
        return Line::warning("resume", "no_room", text()).cures(room(world));
    }
    // ours tells a complete file from an upload that broke off, and this one was complete
    if world.program == Program::Ftpd && refused == [Some(553); 2] {
        let text = format!(
            "{}; files that are complete are not changed here (overwrite), and no upload has broken off",
            text()
        );
        return Line::skipped("resume", text);
    }
    broken("resume", last, world).unwrap_or_else(|| {
        Line::warning("resume", "no_resume", text())
            .cure("an upload that was cut off starts from the beginning")
            .cures(cures(world.program, Problem::Restart))
    })
}

pub(super) fn download(found: &Download, world: &World) -> Vec<Line> {
    let transfer = &found.transfer;
    if !transfer.is_done() {
        return vec![broken("download", transfer, world).unwrap_or_else(|| {
            Line::warning("download", "download_refused", failure(transfer))
                .cure("this user may not read here; so what was uploaded could not be compared")
        })];
    }
    if found.is_same {
        let text = format!("{}, the same bytes as uploaded", amount(transfer));
        return std::iter::once(Line::good("download", text))
            .chain(unclean(transfer))
            .collect();
    }
    let text = format!("{}, but not the bytes that were uploaded", amount(transfer));
    vec![
        Line::failed("download", "not_the_same", text).cure(
            "the server or something in between converts or cuts files: is TYPE I obeyed?",
        ),
    ]
}

pub(super) fn removal(found: &Removal, world: &World) -> Vec<Line> {
    let name = escaped(&found.name).to_string();
    vec![match &found.answer {
        Ok(reply) if reply.is_done() => Line::good("cleanup", format!("removed {name}")),
        // a good server keeps nothing of an upload that was refused in the end, or cut off
        Ok(_) if found.is_gone() => {
            Line::good("cleanup", format!("the server has kept nothing of {name}"))
        }
        Ok(reply) if reply.code == 550 => {
            let what = match found.is_there {
                Some(true) => "may not be removed",
                Some(false) => "is not there any more",
                None => "is not there, or may not be removed",
            };
            Line::warning(
                "cleanup",
                "not_removed",
                format!("{name} {what}: {}", words::reply(reply)),
            )
            .cure(format!("look whether {name} is there"))
            .cures(cures(world.program, Problem::Delete))
        }
        other => Line::failed(
            "cleanup",
            "not_removed",
            format!("{name} may still be there: {}", words::answer(other)),
        )
        .cure("remove it by hand"),
    }]
}

#[cfg(test)]
mod tests {
    use super::super::samples::{all, broken, done, one, refused, reply, world};
    use super::*;
    use crate::cli::line::Verdict::{Failed, Good, Skipped, Warning};

    fn secure(resumes: bool) -> World {
        World { is_protected: true, resumes, ..world("203.0.113.7") }
    }

    #[test]
    fn listings_and_uploads() {
        let silent = || Err(Trouble::Silent);
        let mut stalled = broken("STOR", Trouble::Silent, silent());
        stalled.bytes = 60_000;
        for (fact, wanted) in [
            (done("LIST"), (Good, "")),
            (refused("LIST", 550, "no"), (Failed, "list_refused")),
            (refused("LIST", 522, "session reuse required"), (Failed, "resumption_needed")),
            (broken("LIST", Trouble::Silent, reply(426, "timeout")), (Failed, "data_silent")),
            (broken("LIST", Trouble::Reset, reply(426, "x")), (Failed, "broken")),
            (stalled, (Failed, "stalled")),
        ] {
            assert_eq!(one(&listing(&fact, &world("203.0.113.7"))), wanted, "{fact:?}");
        }
        let fact = broken("LIST", Trouble::Reset, reply(426, "x"));
        assert_eq!(one(&listing(&fact, &secure(false))), (Failed, "data_tls_failed"));
        assert_eq!(one(&upload(&done("STOR"), &world("203.0.113.7"))), (Good, ""));
        let fact = refused("STOR", 550, "no");
        assert_eq!(one(&upload(&fact, &world("203.0.113.7"))), (Failed, "upload_refused"));
    }

    #[test]
    fn resumption_of_tls() {
        let with = |resumed| Transfer { resumed: Some(resumed), ..done("LIST") };
        let world = secure(true);
        assert!(listing(&with(true), &world).iter().all(|line| line.verdict == Good));
        assert!(listing(&with(false), &world).iter().any(|line| line.cause == "no_resumption"));
        assert_eq!(one(&unresumed(&with(false), &world)), (Good, ""));
        let fact = refused("LIST", 522, "session reuse required");
        let lines = unresumed(&fact, &world);
        assert_eq!(one(&lines), (Good, ""));
        assert!(lines[0].cures.iter().any(|cure| cure.contains("tls_resume")), "{lines:?}");
        assert!(unresumed(&fact, &secure(false)).is_empty());
        let stalled = broken("LIST", Trouble::Silent, reply(226, "done"));
        assert!(unresumed(&stalled, &world).is_empty());
    }

    #[test]
    fn active_mode() {
        let silent = || {
            let mut fact = Transfer::new("LIST", Way::Active);
            fact.mark = Some(reply(150, "x"));
            fact.opened = Some(Trouble::Silent);
            fact.broken = Some(Trouble::Silent);
            fact.last = Some(reply(425, "cannot connect"));
            fact
        };
        let mut refused = Transfer::new("LIST", Way::Active);
        refused.prepared = Some(reply(500, "no"));
        for (fact, peer, wanted) in [
            (done("LIST"), "192.168.1.5", (Good, "")),
            (done("LIST"), "203.0.113.7", (Warning, "helper")),
            (silent(), "203.0.113.7", (Failed, "active_nat")),
            (silent(), "192.168.1.5", (Failed, "active_blocked")),
            (refused, "192.168.1.5", (Failed, "active_refused")),
        ] {
            let lines = active(&fact, Some(Way::Epsv), &world(peer));
            assert_eq!(one(&lines), wanted, "{fact:?}");
        }
        let lines = active(&done("LIST"), None, &world("192.168.1.5"));
        assert_eq!(one(&lines), (Warning, "only_active"));
    }

    #[test]
    fn resumed_uploads_and_downloads() {
        let world = world("203.0.113.7");
        let no = || refused("STOR", 550, "no restart");
        let row = |rest: Transfer, append: Option<Transfer>, size: Option<u64>| {
            one(&resumed(&Resumption { rest, append, size, wanted: 100 }, &world))
        };
        for (found, wanted) in [
            (row(done("STOR"), None, Some(100)), (Good, "")),
            (row(done("STOR"), None, None), (Good, "")),
            (row(done("STOR"), None, Some(50)), (Failed, "wrong_size")),
            (row(no(), Some(done("APPE")), Some(100)), (Warning, "no_rest_stor")),
            (row(no(), Some(refused("APPE", 550, "no")), Some(50)), (Warning, "no_resume")),
        ] {
            assert_eq!(found, wanted);
        }
        let fetched =
            |transfer, is_same| one(&download(&Download { transfer, is_same }, &world));
        assert_eq!(fetched(done("RETR"), true), (Good, ""));
        assert_eq!(fetched(done("RETR"), false), (Failed, "not_the_same"));
        assert_eq!(fetched(refused("RETR", 550, "no"), false), (Warning, "download_refused"));
    }

    #[test]
    fn the_cure_of_a_refused_upload_depends_on_the_reply() {
        let ours = World { program: Program::Ftpd, ..world("203.0.113.7") };
        let late = |code| broken("STOR", Trouble::Reset, reply(code, "no"));
        for (fact, cause, cure) in [
            (refused("STOR", 550, "no"), "upload_refused", "perm needs w"),
            (refused("STOR", 552, "over quota"), "no_room", "quota_bytes"),
            (late(552), "no_room", "max_file_size"),
            (late(452), "no_room", "disk is full"),
            (refused("STOR", 553, "name not allowed"), "name_refused", "deny_names"),
            (late(553), "name_refused", "store_as"),
            (late(426), "broken", "log of the server"),
        ] {
            let lines = upload(&fact, &ours);
            assert_eq!(one(&lines), (Failed, cause), "{fact:?}");
            assert!(all(&lines).contains(cure), "{lines:?}");
            let names_letters = all(&lines).contains("perm needs");
            assert_eq!(names_letters, cause == "upload_refused", "{lines:?}");
        }
    }

    #[test]
    fn a_file_that_is_complete_says_nothing_about_resumed_uploads() {
        let both = |code, program| {
            let no = |command| refused(command, code, "no");
            let found = Resumption {
                rest: no("STOR"),
                append: Some(no("APPE")),
                size: None,
                wanted: 9,
            };
            one(&resumed(&found, &World { program, ..world("203.0.113.7") }))
        };
        assert_eq!(both(553, Program::Ftpd), (Skipped, ""));
        assert_eq!(both(553, Program::Vsftpd), (Warning, "no_resume"));
        assert_eq!(both(550, Program::Ftpd), (Warning, "no_resume"));
        assert_eq!(both(552, Program::Ftpd), (Warning, "no_room"));
    }

    #[test]
    fn the_probe_file_is_accounted_for() {
        let removed = |answer, is_stored, is_there| {
            let name = b"ftpd-test-1.tmp".to_vec();
            one(&removal(&Removal { name, answer, is_stored, is_there }, &world("203.0.113.7")))
        };
        let no = || reply(550, "no");
        for (found, wanted) in [
            (removed(reply(250, "ok"), true, None), (Good, "")),
            (removed(reply(250, "ok"), false, None), (Good, "")),
            (removed(no(), true, Some(true)), (Warning, "not_removed")),
            (removed(no(), true, Some(false)), (Warning, "not_removed")),
            (removed(no(), false, Some(false)), (Good, "")),
            (removed(no(), false, Some(true)), (Warning, "not_removed")),
            (removed(no(), false, None), (Warning, "not_removed")),
            (removed(Err(Trouble::Closed), true, None), (Failed, "not_removed")),
            (removed(Err(Trouble::Closed), false, None), (Failed, "not_removed")),
        ] {
            assert_eq!(found, wanted);
        }
    }
}
