//! The operations of clients and how often each is done, and the commands without a data
//! connection.

use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::door::port_command;
use crate::model::{Content, File, Node, Path, Shown, Version, absolute};
use crate::random::fill;
use crate::session::{Done, Fault, PROMPT, Reply, fault, wire_line};
use crate::transfers::{DATED, Facts, NAMES, Outcome, compare, show};
use crate::wire::Manner;

/// Something that a client may do.
pub struct Operation {
    pub name: &'static str,
    /// How often it is done, in proportion to all others.
    pub weight: u64,
    pub run: fn(&mut Client) -> Done,
}

const fn operation(name: &'static str, weight: u64, run: fn(&mut Client) -> Done) -> Operation {
    Operation { name, weight, run }
}

/// All operations.
#[rustfmt::skip]
pub static OPERATIONS: &[Operation] = &[
    operation("command", 300, |client| client.commands(1, false)),
    operation("commands in one piece", 40, |client| client.commands(6, true)),
    operation("upload", 200, Client::any_upload),
    operation("upload of a new name", 30, Client::store_unique),
    operation("download", 200, Client::any_download),
    operation("listing", 120, Client::list),
    operation("cut upload", 110, Client::cut_upload),
    operation("cut download", 60, Client::cut_download),
    operation("shared upload", 30, Client::shared_upload),
    operation("shared download", 40, Client::shared_download),
    operation("rename", 60, Client::rename),
    operation("removal", 60, Client::remove),
    operation("QUIT", 25, |client| { client.quit()?; client.connect() }),
    operation("QUIT in a transfer", 10, Client::quit_in_transfer),
    operation("queue and reset", 10, Client::queue_and_reset),
    operation("takeover", 10, Client::take_over),
    operation("login again", 15, Client::log_in_again),
    operation("REIN", 10, Client::reinitialize),
    operation("wrong password", 2, Client::wrong_password),
    operation("noise", 20, Client::noise),
    operation("ABOR without a transfer", 10, |client| client.ask("ABOR", &[225, 226]).map(drop)),
    operation("transfer without a connection", 10, Client::unarranged),
    operation("ABOR instead of a connection", 10, Client::abort_waiting),
    operation("refused transfer", 20, Client::refused_transfer),
    operation("protection", 10, Client::change_protection),
    operation("EPSV ALL", 2, Client::only_epsv),
    operation("unused port", 3, Client::unused_port),
    operation("trailing slash", 15, Client::trailing_slash),
    operation("stall", 6, Client::stall),
    operation("idle", 1, Client::idle),
    operation("leaves", 5, Client::leave),
];

/// A command, the codes of its reply, and what the reply must say.
pub struct Step {
    pub line: Vec<u8>,
    pub codes: Vec<u16>,
    pub check: Check,
}

/// What a reply must say.
pub enum Check {
    Nothing,
    /// The text of its last line.
    Text(Vec<u8>),
    /// The beginning of its text.
    Begins(Vec<u8>),
    /// The size in MLST's facts, and the time if it is known.
    Facts(Option<u64>, Option<String>),
}

impl Check {
    fn holds(&self, reply: &Reply) -> bool {
        match self {
            Self::Nothing => true,
            Self::Text(text) => reply.text() == text,
            Self::Begins(text) => reply.text().starts_with(text),
            Self::Facts(size, time) => {
                let facts = reply.body().first().and_then(|line| Facts::of(line));
                facts.is_some_and(|facts| {
                    let wrong = time.is_some() && facts.modified != *time;
                    facts.size == *size && !wrong
                })
            }
        }
    }
}

fn step(line: impl AsRef<[u8]>, codes: &[u16]) -> Step {
    Step { line: line.as_ref().to_vec(), codes: codes.to_vec(), check: Check::Nothing }
}

impl Client {
    /// Does one of the operations.
    pub fn operate(&mut self) -> Done {
        let all: u64 = OPERATIONS.iter().map(|operation| operation.weight).sum();
        let mut at = self.random.below(all);
        for operation in OPERATIONS {
            if at < operation.weight {
                self.notes.say(format!("== {}", operation.name));
                (operation.run)(self)?;
                let mut counts = self.notes.counts();
                *counts.operations.entry(operation.name).or_default() += 1;
                return Ok(());
            }
            at -= operation.weight;
        }
        Ok(())
    }

    /// Does a few things for which the server opens something for good: its notes about parts,
    /// and what changing modes and times requires.
    pub fn warm_up(&mut self) -> Done {
        self.connect()?;
        let top = self.tree().top();
        let spelt = absolute(&top);
        self.ask([b"SITE CHMOD 755 ", &spelt[..]].concat(), &[200])?;
        self.ask([b"MFMT 20200101000000 ", &spelt[..]].concat(), &[213])?;
        for _ in 0..20 {
            self.any_upload()?;
            if !self.is_connected() {
                self.connect()?;
            }
        }
        self.quit()
    }

    /// Sends some commands, whose replies must come in order.
    fn commands(&mut self, most: u64, at_once: bool) -> Done {
        let count = self.random.between(1, most);
        let steps: Vec<Step> = (0..count).map(|_| self.step()).collect();
        if at_once {
            let lines: Vec<u8> = steps.iter().flat_map(|step| wire_line(&step.line)).collect();
            let (session, random) = self.session()?;
            session.raw(&lines, Manner::any(random), random)?;
        }
        for step in &steps {
            if !at_once {
                self.send(&step.line)?;
            }
            let reply = self.expect(&step.codes)?;
            if !step.check.holds(&reply) {
                return fault(format!(
                    "the reply to {} is not right: {}",
                    step.line.escape_ascii(),
                    reply.show()
                ));
            }
        }
        Ok(())
    }

    /// Returns a command that is certain to be right or wrong. The model already has what it
    /// changes.
    fn step(&mut self) -> Step {
        match self.random.below(24) {
            0 => step("NOOP", &[200]),
            1 => {
                let text = absolute(&self.cwd);
                let quoted =
                    text.split(|&byte| byte == b'"').collect::<Vec<_>>().join(&b"\"\""[..]);
                let text = [b"\"", &quoted[..], b"\" "].concat();
                Step { check: Check::Begins(text), ..step("PWD", &[257]) }
            }
            2 => {
                self.ascii = self.random.chance(20);
                let ascii = if self.random.chance(50) { "TYPE A" } else { "TYPE A N" };
                let image = if self.random.chance(50) { "TYPE I" } else { "TYPE L 8" };
                step(if self.ascii { ascii } else { image }, &[200])
            }
            3..6 => self.size(),
            6 => self.modified(),
            7 | 8 => self.modify(),
            9 => self.describe(),
            10 => self.chmod(),
            11..14 => self.make_dir(),
            14..16 => self.change_dir(),
            16 => {
                self.cwd.pop();
                step("CDUP", &[250])
            }
            17 => step(*self.random.pick(&["STAT", "stat"]), &[211]),
            18 => step(
                *self.random.pick(&["FEAT", "OPTS UTF8 ON", "SYST", "HELP", "SITE HELP"]),
                &[200, 211, 214, 215],
            ),
            19 => {
                let (line, code) = *self.random.pick(&[
                    ("MODE S", 200),
                    ("STRU F", 200),
                    ("MODE B", 504),
                    ("TYPE E", 504),
                    ("ALLO 1000", 200),
                    ("ACCT x", 202),
                    ("SITE UMASK", 200),
                    ("SITE IDLE", 200),
                    ("CLNT soak", 200),
                    ("PRET STOR a", 200),
                    ("CCC", 534),
                    ("SMNT /", 502),
                    ("REST x", 501),
                ]);
                step(line, &[code])
            }
            20 => {
                let (line, code) = *self.random.pick(&[
                    ("XYZZY", 500),
                    ("", 500),
                    ("SIZE", 501),
                    ("NOOPE", 500),
                    ("RNTO x", 503),
                    ("PASS secret", 503),
                    ("USERa", 500),
                    ("SITE XYZZY", 500),
                    ("HELP RETR", 214),
                    ("MLST", 250),
                ]);
                step(line, &[code])
            }
            21 => {
                if self.tls.is_some() {
                    step("AUTH TLS", &[503])
                } else if self.world.way.versions.is_empty() {
                    step("AUTH TLS", &[502])
                } else {
                    step("PROT P", &[503])
                }
            }
            22 => {
                let (four, six) = (self.random.chance(50), self.own.is_ipv6());
                let address = if four {
                    ([192, 0, 2, 1], 2000).into()
                } else {
                    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 2000).into()
                };
                let line = port_command(address, self.random.chance(50));
                let code = match (self.epsv_all, four == six) {
                    (true, _) => 503,
                    (false, true) => 522,
                    (false, false) => 501,
                };
                step(line, &[code])
            }
            _ => {
                let line = *self.random.pick(&["PASV", "EPSV", "EPSV 1", "EPSV 2"]);
                let other = if self.own.is_ipv6() { "EPSV 1" } else { "EPSV 2" };
                let code = match line {
                    "PASV" if self.epsv_all => 503,
                    "PASV" if self.own.is_ipv6() => 502,
                    "PASV" => 227,
                    _ if line == other => 522,
                    _ => 229,
                };
                step(line, &[code])
            }
        }
    }

    fn size(&mut self) -> Step {
        let path = self.any_file();
        let line = self.with_path("SIZE", &path);
        let Some(Node::File(file)) = self.tree().at(&path).cloned() else {
            self.stale = false;
            return step(line, &[550]);
        };
        let Ok(wire) = self.certain_size(&path, &file) else { return step("NOOP", &[200]) };
        self.stale = false;
        let Some(wire) = wire else { return step(line, &[550]) };
        Step { check: Check::Text(wire.to_string().into_bytes()), ..step(line, &[213]) }
    }

    /// Returns what SIZE must say, if that is certain. The owner is shown it.
    fn certain_size(&mut self, path: &Path, file: &File) -> Result<Option<u64>, ()> {
        let (shown, wire) = match (file.shown()?, file.part()?, &file.there) {
            (Shown::Part(size), Some(part), _) => {
                (size, part.content.prefix(size).wire(self.ascii).len())
            }
            (Shown::File(size), _, Some(there)) => (size, there.content.wire(self.ascii).len()),
            _ => return Ok(None),
        };
        self.tree().change(path, |file| file.look(Some(shown))).map_err(drop)?;
        Ok(Some(wire as u64))
    }

    fn modified(&mut self) -> Step {
        let path = self.any_file();
        let line = self.with_path("MDTM", &path);
        let file = match self.tree().at(&path).cloned() {
            None => return self.modified_otherwise(line),
            Some(Node::Dir(_)) => return step(line, &[213]),
            Some(Node::File(file)) => file,
        };
        match self.certain_size(&path, &file) {
            Err(()) => step("NOOP", &[200]),
            Ok(None) => self.modified_otherwise(line),
            Ok(Some(_)) => {
                let is_part = matches!(file.shown(), Ok(Shown::Part(_)));
                let time = file.there.and_then(|there| there.time).filter(|_| !is_part);
                let check = time
                    .map_or(Check::Nothing, |time| Check::Text(time_val(time).into_bytes()));
                Step { check, ..step(line, &[213]) }
            }
        }
    }

    /// Returns the step for a command whose path is not a file. MDTM may read the path as a
    /// time and the path of another file.
    fn modified_otherwise(&mut self, line: Vec<u8>) -> Step {
        match line.strip_prefix(b"MDTM ") {
            Some(DATED) => {}
            // the time and the path of another file, which may exist
            Some(other) if other.starts_with(DATED) => return step("NOOP", &[200]),
            _ => return step(line, &[550]),
        }
        let path = [&self.cwd[..], &[b"a".to_vec()]].concat();
        let is_there = match self.tree().at(&path) {
            None => false,
            Some(Node::Dir(_)) => true,
            Some(Node::File(_)) => self.tree().change(&path, |file| {
                if let Some(there) = &mut file.there {
                    // 2024-01-01 12:00:00
                    there.time = Some(1_704_110_400);
                }
                file.there.is_some()
            }),
        };
        step(line, if is_there { &[213] } else { &[550] })
    }

    fn modify(&mut self) -> Step {
        let path = self.any_file();
        // from 1980 to 2030, which all file systems can store
        let time = self.random.between(315_532_800, 1_893_456_000) as i64;
        let text = time_val(time);
        let spelt = self.spell(&path);
        let verb = *self.random.pick(&["MFMT", "MFMT", "MDTM", "SITE UTIME"]);
        let line = [format!("{verb} {text} ").as_bytes(), &spelt].concat();
        match self.tree().at(&path) {
            None => step(line, &[550]),
            Some(Node::Dir(_)) => step(line, &[213]),
            Some(Node::File(_)) => {
                let is_there = self.tree().change(&path, |file| {
                    if let Some(there) = &mut file.there {
                        there.time = Some(time);
                    }
                    file.there.is_some()
                });
                if !is_there {
                    // in the old form this may ask for the time of a file with a strange name
                    return step(line, &[550]);
                }
                step(line, &[213])
            }
        }
    }

    fn describe(&mut self) -> Step {
        let path = self.any_file();
        let line = self.with_path("MLST", &path);
        let file = match self.tree().at(&path).cloned() {
            None => return step(line, &[550]),
            Some(Node::Dir(_)) => return step(line, &[250]),
            Some(Node::File(file)) => file,
        };
        let ascii = std::mem::take(&mut self.ascii);
        let size = self.certain_size(&path, &file);
        self.ascii = ascii;
        match size {
            Err(()) => step("NOOP", &[200]),
            Ok(None) => step(line, &[550]),
            Ok(Some(size)) => {
                let is_part = matches!(file.shown(), Ok(Shown::Part(_)));
                let time = file.there.and_then(|there| there.time).filter(|_| !is_part);
                let check = Check::Facts(Some(size), time.map(time_val));
                Step { check, ..step(line, &[250]) }
            }
        }
    }

    fn chmod(&mut self) -> Step {
        let path = self.any_file();
        let spelt = self.spell(&path);
        let is_dir = matches!(self.tree().at(&path), Some(Node::Dir(_)));
        let modes: &[u32] =
            if is_dir { &[0o755, 0o700] } else { &[0o644, 0o600, 0o664, 0o755] };
        let mode = *self.random.pick(modes);
        let line = [format!("SITE CHMOD {mode:o} ").as_bytes(), &spelt].concat();
        match self.tree().at(&path) {
            None => step(line, &[550]),
            Some(Node::Dir(_)) => step(line, &[200]),
            Some(Node::File(_)) => {
                let is_there = self.tree().change(&path, |file| {
                    if let Some(there) = &mut file.there {
                        there.mode = Some(mode);
                    }
                    file.there.is_some()
                });
                step(line, if is_there { &[200] } else { &[550] })
            }
        }
    }

    fn make_dir(&mut self) -> Step {
        let path = self.any_path();
        let line = self.with_path("MKD", &path);
        let deep = path.len() > 4 || !self.random.chance(40);
        match self.tree().at(&path) {
            None if deep => step("NOOP", &[200]),
            None => {
                let (name, parent) = path.split_last().expect("it has a name");
                let dir = Node::Dir(std::collections::BTreeMap::new());
                self.tree().names_mut(parent).insert(name.clone(), dir);
                step(line, &[257])
            }
            Some(Node::File(file)) if file.there.is_none() => step("NOOP", &[200]),
            Some(_) => step(line, &[550]),
        }
    }

    fn change_dir(&mut self) -> Step {
        if self.random.chance(20) {
            let path = self.any_file();
            let line = self.with_path("CWD", &path);
            if matches!(self.tree().at(&path), Some(Node::Dir(_))) {
                self.cwd = path;
                return step(line, &[250]);
            }
            return step(line, &[550]);
        }
        let dirs = self.tree().dirs();
        let dir = dirs[self.random.index(dirs.len())].clone();
        let line = self.with_path("CWD", &dir);
        self.cwd = dir;
        step(line, &[250])
    }

    fn any_upload(&mut self) -> Done {
        let path = if self.random.chance(50) { self.any_file() } else { self.any_path() };
        let Some(plan) = self.plan(path)? else { return Ok(()) };
        if self.upload(&plan)? == Outcome::Whole && self.random.chance(40) {
            self.retrieve(&plan.path)?;
        }
        Ok(())
    }

    fn any_download(&mut self) -> Done {
        let path = self.any_file();
        if matches!(self.tree().at(&path), Some(Node::Dir(_))) {
            let line = self.with_path("RETR", &path);
            return self.ask(line, &[550]).map(drop);
        }
        self.retrieve(&path)
    }

    /// Sends STOU, to which the 150 names the file.
    fn store_unique(&mut self) -> Done {
        if self.cwd.is_empty() || self.tree().files().len() > 40 {
            return Ok(());
        }
        let wanted = self.random.chance(50).then(|| self.random.pick(NAMES).to_vec());
        let line = match &wanted {
            None => b"STOU".to_vec(),
            Some(name) => [b"STOU ", &name[..]].concat(),
        };
        let (seed, len) = (self.random.next(), self.random.length());
        let content = Content::new(seed, len);
        let door = self.arrange()?;
        self.begin(&[], &line)?;
        let wire = match self.attach(door)? {
            crate::door::Attached::Yes(wire) => wire,
            crate::door::Attached::NotResumed => return self.refused(false).map(drop),
        };
        let mark = self.expect(&[150])?;
        let name = mark.text().strip_prefix(b"FILE: ").map(<[u8]>::to_vec);
        let Some(name) = name else { return fault(format!("STOU: {}", mark.show())) };
        let path = [&self.cwd[..], &[name]].concat();
        if self.tree().file(&path).there.is_some() || self.tree().names(&path).is_some() {
            return fault(format!("STOU takes a name that is there: {}", show(&path)));
        }
        let bytes = content.sent(self.ascii);
        if self.random.chance(20) {
            let sent = self.random.below(bytes.len() as u64 + 1) as usize;
            if let Some(wire) = self.put(wire, &bytes[..sent], false)? {
                wire.reset();
                self.expect(&[426, 522])?;
            }
            self.stale = false;
            if self.world.way.classic {
                self.look_anew(&path, &content)?;
            } else {
                let sent = (sent as u64).min(content.len());
                self.tree().change(&path, |file| file.broken(content, sent));
            }
            return Ok(());
        }
        let held = self.put(wire, &bytes, true)?;
        self.expect(&[226])?;
        drop(held);
        self.stale = false;
        self.tree().change(&path, |file| file.placed(content));
        if self.random.chance(50) {
            self.retrieve(&path)?;
        }
        Ok(())
    }

    /// Looks at a file again, which without atomic uploads is what has arrived.
    fn look_anew(&mut self, path: &Path, content: &Content) -> Done {
        if self.ascii {
            self.ask("TYPE I", &[200])?;
            self.ascii = false;
        }
        let line = self.with_path("SIZE", path);
        let reply = self.ask(line, &[213, 550])?;
        if reply.code == 550 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(reply.text()).into_owned();
        let size: u64 = text.parse().map_err(|_| Fault(format!("SIZE: {text}")))?;
        let there = content.prefix(size);
        self.tree().change(path, |file| file.there = Some(Version::new(there, Some(0o644))));
        self.retrieve(path)
    }

    fn rename(&mut self) -> Done {
        let (from, to) = (self.any_file(), self.any_path());
        let is_within = |dir: &Path, path: &Path| path.starts_with(dir);
        let source = self.tree().at(&from).cloned();
        let line = self.with_path("RNFR", &from);
        let is_there = match &source {
            None => false,
            Some(Node::Dir(_)) => true,
            Some(Node::File(file)) => file.there.is_some(),
        };
        if !is_there {
            return self.ask(line, &[550]).map(drop);
        }
        let is_dir = matches!(source, Some(Node::Dir(_)));
        let target = self.tree().at(&to).cloned();
        if is_dir && (is_within(&from, &self.cwd) || target.is_some() || to.len() > 4) {
            return Ok(());
        }
        self.ask(line, &[350])?;
        if self.random.chance(30) {
            // kept until RNTO, whatever other command comes first
            self.between(&from)?;
            if !self.is_connected() {
                return self.connect();
            }
        }
        let line = self.with_path("RNTO", &to);
        if is_dir && is_within(&from, &to) || matches!(target, Some(Node::Dir(_))) {
            return self.ask(line, &[550]).map(drop);
        }
        self.ask(line, &[250])?;
        self.stale = true;
        let Some(mut source) = source else { return Ok(()) };
        if let Node::File(file) = &mut source {
            file.forget_parts();
        }
        let (name, parent) = from.split_last().expect("it has a name");
        self.tree().names_mut(parent).remove(name);
        let (name, parent) = to.split_last().expect("it has a name");
        self.tree().names_mut(parent).insert(name.clone(), source);
        Ok(())
    }

    /// Sends commands that may come between RNFR and RNTO.
    fn between(&mut self, from: &Path) -> Done {
        match self.random.below(7) {
            0 => self.ask("NOOP", &[200]).map(drop),
            1 => {
                self.ascii = self.random.chance(50);
                self.ask(if self.ascii { "TYPE A" } else { "TYPE I" }, &[200]).map(drop)
            }
            2 => self.ask("EPSV", &[229]).map(drop),
            3 => self.ask("XYZZY", &[500]).map(drop),
            4 => self.ask("ABOR", &[225, 226]).map(drop),
            _ if matches!(self.tree().at(from), Some(Node::Dir(_))) => {
                self.ask("PWD", &[257]).map(drop)
            }
            5 => self.look(from),
            _ => self.retrieve(from),
        }
    }

    fn remove(&mut self) -> Done {
        let dirs = self.random.chance(30);
        let path = if dirs { self.any_path() } else { self.any_file() };
        let is_here = self.cwd.starts_with(&path);
        let node = self.tree().at(&path).cloned();
        if self.random.chance(if dirs { 80 } else { 10 }) {
            let line = self.with_path("RMD", &path);
            match node {
                Some(Node::Dir(_)) if is_here => return Ok(()),
                Some(Node::Dir(names)) => {
                    // what is left of uploads does not count
                    let is_bare = names.values().all(|node| match node {
                        Node::Dir(_) => false,
                        Node::File(file) => file.there.is_none(),
                    });
                    self.ask(line, if is_bare { &[250] } else { &[550] })?;
                    if is_bare {
                        self.stale = true;
                        let (name, parent) = path.split_last().expect("it has a name");
                        self.tree().names_mut(parent).remove(name);
                    }
                }
                Some(Node::File(_)) | None => return self.ask(line, &[550]).map(drop),
            }
            return Ok(());
        }
        let line = self.with_path("DELE", &path);
        let Some(Node::File(file)) = node else { return self.ask(line, &[550]).map(drop) };
        let codes: &[u16] =
            if file.there.is_some() || file.has_part() { &[250] } else { &[250, 550] };
        self.ask(line, codes)?;
        self.stale = true;
        self.tree().change(&path, |file| *file = File::nothing());
        Ok(())
    }

    /// Logs in again, as either account. The login begins with the state of a new session.
    fn log_in_again(&mut self) -> Done {
        let other = usize::from(self.random.chance(50));
        let leftover = self.random.below(6);
        match leftover {
            0 => drop(self.ask("REST 7", &[350])?),
            1 => {
                let path = self.any_file();
                let line = self.with_path("SIZE", &path);
                drop(self.ask(line, &[213, 550])?);
                // the owner may have been shown something
                self.blur(&path);
            }
            2 => drop(self.ask("EPSV", &[229])?),
            3 => drop(self.ask("RNFR .", &[350])?),
            _ => {}
        }
        let (user, password) = self.names(other);
        if !self.ask_as_stranger(format!("USER {user}"), &[331])? {
            return self.connect();
        }
        if self.random.chance(20) && !self.ask_as_stranger("PWD", &[530])? {
            return self.connect();
        }
        if !self.ask_as_stranger(format!("PASS {password}"), &[230])? {
            return self.connect();
        }
        self.account = other;
        self.begin_login();
        // what one account has set does not count for the other
        match leftover {
            2 if self.random.chance(50) => {
                let clear = self.world.way.strict && !self.private;
                self.ask("NLST", if clear { &[521] } else { &[425] })?;
            }
            3 => drop(self.ask("RNTO x", &[503])?),
            _ => {}
        }
        if self.random.chance(40) {
            let files = self.tree().files();
            if let Some(path) = files.first().cloned() {
                if self.random.chance(50) {
                    if let Some(there) = self.tree().file(&path).there {
                        let line = self.with_path("RETR", &path);
                        let bytes = there.content.wire(self.ascii);
                        self.download(&[], &line, Some(&bytes))?;
                    }
                } else if let Some(plan) = self.plan(path)? {
                    self.upload(&plan)?;
                    if self.is_connected() {
                        self.retrieve(&plan.path)?;
                    }
                }
            }
        }
        if self.is_connected() && self.random.chance(70) {
            self.set_out()?;
        }
        Ok(())
    }

    /// Forgets what was shown of a name after a look whose result is not certain.
    fn blur(&mut self, path: &Path) {
        if let Some(Node::File(_)) = self.tree().at(path) {
            self.tree().change(path, File::blur);
        }
    }

    fn reinitialize(&mut self) -> Done {
        self.ask("REIN", &[220])?;
        let account = usize::from(self.random.chance(30));
        let (user, password) = self.names(account);
        let is_in = self.ask_as_stranger("PWD", &[530])?
            && self.ask_as_stranger(format!("USER {user}"), &[331])?
            && self.ask_as_stranger(format!("PASS {password}"), &[230])?;
        if !is_in {
            return self.connect();
        }
        self.account = account;
        self.begin_session();
        (self.private, self.sized) = (self.world.way.implicit, false);
        self.set_out()
    }

    /// Tries a wrong password and then the right one, or wrong ones until the server closes the
    /// connection.
    fn wrong_password(&mut self) -> Done {
        if self.world.way.bans {
            return Ok(());
        }
        let (user, password) = self.names(self.account);
        let guesses = self.random.between(1, 3);
        for guess in 1..=guesses {
            if !self.ask_as_stranger(format!("USER {user}"), &[331])? {
                return self.connect();
            }
            let line = format!("PASS wrong{guess}");
            if !self.ask_as_stranger(line, &[530])? {
                return self.connect();
            }
            if guess == 3 {
                // the log need not tell how a stranger's session ended
                self.take_session()?.expect_end()?;
                return self.connect();
            }
        }
        // guesses are counted for the whole connection
        let is_in = self.ask_as_stranger(format!("USER {user}"), &[331])?
            && self.ask_as_stranger(format!("PASS {password}"), &[230])?;
        if !is_in {
            return self.connect();
        }
        self.quit()?;
        self.connect()
    }

    /// Sends lines that no client should send, after which the session goes on.
    fn noise(&mut self) -> Done {
        let (session, random) = self.session()?;
        match random.below(6) {
            0 => {
                let mut line = vec![b'x'; random.between(8200, 30_000) as usize];
                line.extend_from_slice(b"\r\n");
                session.raw(&line, Manner::Once, random)?;
                session.expect(&[500])?;
            }
            1 => {
                // options are refused, and other Telnet codes are dropped
                session.raw(b"\xff\xfd\x01NO\xff\xf1OP\r\n", Manner::any(random), random)?;
                session.expect(&[200])?;
            }
            2 => {
                let mut line = vec![0; random.between(1, 200) as usize];
                let seed = random.next();
                fill(seed, 0, &mut line);
                line.retain(|&byte| !matches!(byte, b'\n' | b'\r' | 255));
                line.insert(0, b'\x01');
                line.extend_from_slice(b"\r\n");
                session.raw(&line, Manner::any(random), random)?;
                session.expect(&[500])?;
            }
            3 => {
                session.raw(b"noop\n", Manner::any(random), random)?;
                session.expect(&[200])?;
            }
            4 => {
                session.raw(b"RETR a\0b\r\n", Manner::any(random), random)?;
                session.expect(&[501])?;
            }
            _ => {
                let count = random.between(2, 300);
                let lines = b"NOOP\r\n".repeat(count as usize);
                session.raw(&lines, Manner::Once, random)?;
                for _ in 0..count {
                    session.expect(&[200])?;
                }
            }
        }
        Ok(())
    }

    /// Starts a transfer without PASV or PORT.
    fn unarranged(&mut self) -> Done {
        // a data connection that was arranged before is used up by this one
        let path = self.any_path();
        let is_file = self.tree().file(&path).there.is_some();
        let is_dir = matches!(self.tree().at(&path), Some(Node::Dir(_)));
        self.ask("ABOR", &[225, 226])?;
        let line = self.with_path("RETR", &path);
        self.ask(line, if is_file { &[425] } else { &[550] })?;
        let line = self.with_path("STOR", &path);
        self.ask(line, if is_dir { &[550] } else { &[425] })?;
        self.stale = false;
        self.ask("NLST", &[425]).map(drop)
    }

    /// Sends ABOR while the server waits for the data connection.
    fn abort_waiting(&mut self) -> Done {
        let only = self.epsv_all || self.own.is_ipv6();
        let line = if only || self.random.chance(50) { "EPSV" } else { "PASV" };
        self.ask(line, &[227, 229])?;
        let line = *self.random.pick(&["NLST", "LIST", "MLSD", "STOU"]);
        if self.cwd.is_empty() {
            return Ok(());
        }
        let (session, random) = self.session()?;
        if random.chance(50) {
            session.raw(
                format!("{line}\r\nABOR\r\n").as_bytes(),
                Manner::any(random),
                random,
            )?;
        } else {
            session.raw(format!("{line}\r\n").as_bytes(), Manner::any(random), random)?;
            thread::sleep(Duration::from_millis(random.below(20)));
            session.raw(b"ABOR\r\n", Manner::any(random), random)?;
        }
        session.expect(&[426, 425])?;
        session.expect(&[225, 226])?;
        if line == "STOU" {
            self.stale = false;
        }
        Ok(())
    }

    /// Starts transfers that cannot begin because something that they need does not exist.
    fn refused_transfer(&mut self) -> Done {
        let path = self.any_file();
        let spelt = self.spell(&path);
        let file = self.tree().file(&path);
        let is_dir = matches!(self.tree().at(&path), Some(Node::Dir(_)));
        let early = self.random.chance(50);
        let door = if early { Some(self.arrange()?) } else { None };
        let ask = |client: &mut Self, verb: &str, codes: &[u16]| {
            let line = [verb.as_bytes(), b" ", &spelt].concat();
            client.ask(line, codes).map(drop)
        };
        if is_dir {
            let verb = *self.random.pick(&["RETR", "STOR", "APPE"]);
            ask(self, verb, &[550])?;
            self.stale = false;
        } else if let Some(there) = &file.there {
            let beyond = there.content.wire(self.ascii).len() + 1;
            let line = format!("REST {beyond}");
            self.ask(line, &[350])?;
            ask(self, "RETR", &[554])?;
            if file.part() == Ok(None) && !file.may_have_part() {
                self.ask(format!("REST {beyond}"), &[350])?;
                ask(self, "STOR", &[554])?;
                self.stale = false;
            }
            ask(self, "MLSD", &[501])?;
        } else {
            ask(self, "RETR", &[550])?;
            if !file.may_have_part() {
                self.ask("REST 5", &[350])?;
                ask(self, "STOR", &[554, 550])?;
                self.stale = false;
            }
        }
        drop(door);
        Ok(())
    }

    fn change_protection(&mut self) -> Done {
        if self.tls.is_none() {
            return Ok(());
        }
        let private = self.random.chance(70);
        self.protect(private)
    }

    fn only_epsv(&mut self) -> Done {
        self.ask("EPSV ALL", &[200])?;
        self.epsv_all = true;
        self.ask("PASV", &[503]).map(drop)
    }

    /// Checks that a passive port which is not used in time is closed, and a connection to it
    /// as well.
    fn unused_port(&mut self) -> Done {
        if !self.world.way.limits {
            return Ok(());
        }
        let Some(door) = self.unused()? else { return Ok(()) };
        // the session is not silent meanwhile
        let until = Instant::now() + Duration::from_secs(self.world.way.data_timeout + 1);
        while Instant::now() < until {
            thread::sleep(Duration::from_millis(300));
            self.ask("NOOP", &[200])?;
        }
        self.is_closed(door)?;
        self.ask("NLST", &[425]).map(drop)
    }

    /// Stays silent for long.
    fn idle(&mut self) -> Done {
        if !self.world.way.limits {
            return Ok(());
        }
        let mut session = self.take_session()?;
        let since = Instant::now();
        session.expect_within(&[421], PROMPT + PROMPT)?;
        if since.elapsed() < Duration::from_secs(5) {
            return fault("the session is idle too soon");
        }
        session.expect_end()?;
        self.has_ended(&session)?;
        self.connect()
    }

    /// Leaves without QUIT.
    fn leave(&mut self) -> Done {
        let session = self.take_session()?;
        let local = session.local;
        if self.random.chance(50) {
            session.wire.reset();
        } else {
            drop(session);
        }
        if !self.world.log.has_ended(local, PROMPT) {
            return fault(format!("the session of {local} goes on without its client"));
        }
        self.connect()
    }

    /// Uses names with a slash at the end, which only directories may have.
    fn trailing_slash(&mut self) -> Done {
        let path = self.any_file();
        let spelt = [&self.spell(&path)[..], b"/"].concat();
        let line = |verb: &str| [verb.as_bytes(), b" ", &spelt].concat();
        if let Some(Node::Dir(_)) = self.tree().at(&path) {
            let verb = *self.random.pick(&["MLST", "MDTM", "CWD"]);
            self.ask(line(verb), if verb == "MDTM" { &[213] } else { &[250] })?;
            if verb == "CWD" {
                self.cwd = path;
            }
            return Ok(());
        }
        let verbs =
            ["RETR", "DELE", "SIZE", "MDTM", "MLST", "RNFR", "RMD", "CWD", "STOR", "APPE"];
        let mut verb = *self.random.pick(&verbs);
        if verb == "MDTM" && path.iter().any(|name| name == DATED) {
            // it may be the time and the path of another file
            verb = "SIZE";
        }
        if matches!(verb, "SIZE" | "STOR" | "APPE") {
            self.stale = true;
        }
        self.ask(line(verb), &[550, 553]).map(drop)
    }

    /// Writes a file that several clients write. It must be one of their versions, complete.
    fn shared_upload(&mut self) -> Done {
        if self.world.way.classic || self.account != 0 {
            return Ok(());
        }
        let line = format!("STOR /shared/s{}", self.random.below(SHARED)).into_bytes();
        let len = self.random.length().min(100_000);
        let seed = self.random.next();
        let doomed = self.random.chance(30);
        let bytes = shared_version(seed, len, doomed);
        self.binary()?;
        let door = self.arrange()?;
        self.begin(&[], &line)?;
        self.stale = false;
        let wire = match self.attach(door)? {
            crate::door::Attached::Yes(wire) => wire,
            crate::door::Attached::NotResumed => return self.refused(false).map(drop),
        };
        if doomed {
            let sent = self.random.below(bytes.len() as u64 + 1) as usize;
            if let Some(wire) = self.put(wire, &bytes[..sent], false)? {
                self.expect(&[150])?;
                wire.reset();
                self.expect(&[426, 522])?;
            }
            return Ok(());
        }
        let held = self.put(wire, &bytes, true)?;
        self.expect(&[150])?;
        self.expect(&[226])?;
        drop(held);
        Ok(())
    }

    fn shared_download(&mut self) -> Done {
        if self.world.way.classic || self.account != 0 {
            return Ok(());
        }
        self.binary()?;
        let line = format!("RETR /shared/s{}", self.random.below(SHARED)).into_bytes();
        let door = self.arrange()?;
        self.begin(&[], &line)?;
        let mut wire = match self.attach(door)? {
            crate::door::Attached::Yes(wire) => wire,
            crate::door::Attached::NotResumed => return self.refused(false).map(drop),
        };
        self.expect(&[150])?;
        let failed = |why: std::io::Error| Fault(format!("receiving data: {why}"));
        wire.push(Manner::Once, &mut self.random).map_err(failed)?;
        wire.read_all(Instant::now() + PROMPT).map_err(failed)?;
        let got = std::mem::take(&mut wire.got);
        drop(wire);
        self.expect(&[226])?;
        let Some((head, _)) = got.split_first_chunk::<24>() else {
            return fault(format!("a shared file of {} bytes", got.len()));
        };
        let number = |at: usize| {
            let bytes = head.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
            u64::from_le_bytes(bytes.unwrap_or_default())
        };
        let (kind, seed, len) = (number(0), number(8), number(16));
        if kind == DOOMED {
            return fault("an upload that broke off is in place");
        }
        if kind != WHOLE || len > 1 << 30 {
            return fault(format!("a shared file begins with {}", head.escape_ascii()));
        }
        compare(&got, &shared_version(seed, len, false))
    }

    fn binary(&mut self) -> Done {
        if self.ascii {
            self.ask("TYPE I", &[200])?;
            self.ascii = false;
        }
        Ok(())
    }
}

/// Number of files that all clients share: `/shared/s0` and so on.
pub const SHARED: u64 = 6;

/// The first bytes of versions of shared files: those of complete uploads, and of uploads that
/// are cut.
const WHOLE: u64 = 0x656c_6f68_7720_7369;
const DOOMED: u64 = 0x6465_6d6f_6f64_2073;

/// Returns a version of a shared file: its kind, its seed, its length, and bytes that follow
/// from these.
pub fn shared_version(seed: u64, len: u64, doomed: bool) -> Vec<u8> {
    let kind = if doomed { DOOMED } else { WHOLE };
    let mut bytes = [kind, seed, len].map(u64::to_le_bytes).concat();
    let start = bytes.len();
    bytes.resize(start + len as usize, 0);
    fill(seed, 0, &mut bytes[start..]);
    bytes
}

/// Returns a time as FTP writes it.
pub fn time_val(seconds: i64) -> String {
    let at =
        time::OffsetDateTime::from_unix_timestamp(seconds).expect("a time of this century");
    format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    )
}
