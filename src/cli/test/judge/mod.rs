//! Turns facts into lines of the report. Values in, values out: each world that a server can be in
//! is a row of a test.

mod entry;
mod hidden;
mod passive;
mod tls;
mod transfer;
mod words;

use super::facts::{Fact, World};
use crate::cli::line::Line;

/// Judges one fact.
pub(super) fn judge(fact: &Fact, world: &World) -> Vec<Line> {
    match fact {
        Fact::Names(found, time) => entry::names(found, *time, world),
        Fact::Connections(found) => entry::connections(found, world),
        Fact::Greeting(answer, time) => entry::greeting(answer, *time, world),
        Fact::Login(login) => entry::login(login, world),
        Fact::Features(answer) => entry::features(answer, world),
        Fact::Directory(answer) => entry::directory(answer),
        Fact::Latency(times) => entry::latency(times),
        Fact::Tls(start) => tls::start(start, world),
        Fact::Protection(answer) => tls::protection(answer),
        Fact::Passive(passive) => passive::passive(passive, world),
        Fact::Hidden(hidden) => hidden::hidden(hidden, world),
        Fact::NoWay => vec![transfer::no_way()],
        Fact::Active(transfer, passive) => transfer::active(transfer, *passive, world),
        Fact::Listing(transfer) => transfer::listing(transfer, world),
        Fact::Unresumed(transfer) => transfer::unresumed(transfer, world),
        Fact::Upload(transfer) => transfer::upload(transfer, world),
        Fact::Resumed(resumption) => transfer::resumed(resumption, world),
        Fact::Download(download) => transfer::download(download, world),
        Fact::Removal(removal) => transfer::removal(removal, world),
    }
}

/// Worlds and facts for the tests of the judge.
#[cfg(test)]
mod samples {
    use std::time::Duration;

    use super::super::facts::{Answer, Epsv, Program, Transfer, Trouble, Way, World};
    use super::super::reply::Reply;
    use super::super::url::Security;
    use crate::cli::line::{Line, Verdict};

    pub(super) fn world(peer: &str) -> World {
        let peer = format!(
            "{}:21",
            if peer.contains(':') { format!("[{peer}]") } else { peer.into() }
        );
        World {
            host: "ftp.example.org".to_owned(),
            port: 21,
            security: Security::Plain,
            is_anonymous: false,
            program: Program::Unknown,
            peer: Some(peer.parse().unwrap()),
            local: Some("192.168.1.20:40000".parse().unwrap()),
            is_protected: false,
            features: Vec::new(),
            resumes: false,
            epsv: Epsv::Works,
            epsv_troubles: Vec::new(),
            beside: None,
        }
    }

    pub(super) fn reply(code: u16, text: &str) -> Answer {
        Ok(Reply { code, lines: vec![text.as_bytes().to_vec()] })
    }

    /// A transfer that went well.
    pub(super) fn done(command: &'static str) -> Transfer {
        let mut fact = Transfer::new(command, Way::Epsv);
        fact.mark = Some(reply(150, "ok"));
        fact.last = Some(reply(226, "done"));
        fact.bytes = 1000;
        fact.time = Duration::from_millis(100);
        fact
    }

    /// A transfer that was refused.
    pub(super) fn refused(command: &'static str, code: u16, text: &str) -> Transfer {
        let mut fact = Transfer::new(command, Way::Epsv);
        fact.mark = Some(reply(code, text));
        fact
    }

    /// A transfer that broke.
    pub(super) fn broken(command: &'static str, why: Trouble, last: Answer) -> Transfer {
        let mut fact = Transfer::new(command, Way::Epsv);
        fact.mark = Some(reply(150, "ok"));
        fact.broken = Some(why);
        fact.last = Some(last);
        fact
    }

    /// The verdict and the cause of the one line.
    pub(super) fn one(lines: &[Line]) -> (Verdict, &'static str) {
        assert_eq!(lines.len(), 1, "{lines:#?}");
        (lines[0].verdict, lines[0].cause)
    }

    pub(super) fn all(lines: &[Line]) -> String {
        lines.iter().map(Line::print).collect::<Vec<_>>().join("\n")
    }
}
