//! Transfers that go well: uploads in each of their forms, downloads, listings.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::door::Attached;
use crate::model::{Content, File, Node, Path};
use crate::session::{Done, Fault, PROMPT, fault};
use crate::wire::{End, Manner, Wire};

/// Maximum time until a transfer is over when the client only waits for the server.
const AT_ONCE: Duration = Duration::from_secs(4);

/// An upload that is about to be made.
#[derive(Debug, Clone)]
pub struct Plan {
    pub path: Path,
    /// The lines before the last one, and the codes of their replies.
    pub before: Vec<(Vec<u8>, u16)>,
    pub line: Vec<u8>,
    /// The bytes that are sent.
    pub sent: Content,
    /// The bytes of the file afterwards.
    pub whole: Content,
    pub form: Form,
}

/// What an upload begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Nothing.
    Replace,
    /// Nothing, with APPE. A part of such an upload cannot be gone on with.
    Begin,
    /// The part of an earlier upload, up to this offset.
    Resume(u64),
    /// The file in place, up to this offset.
    Within(u64),
    /// The whole file in place.
    Append(u64),
}

/// The outcome of a transfer.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Whole,
    /// The server refused a data connection that did not resume the TLS session.
    Refused,
}

/// Names of files and directories.
pub const NAMES: &[&[u8]] = &[
    b"a",
    b"b.txt",
    b"c d",
    b"quote\"d",
    "\u{fc}\u{20ac}".as_bytes(),
    b"g\xffh",
    b"a-name-that-is-so-long-that-its-part-is-longer-than-a-name-may-be-a-name-that-is-so-long-\
      that-its-part-is-longer-than-a-name-may-be-a-name-that-is-so-long-that-its-part-is-longer",
    b"d1",
    b"d2",
    DATED,
];

/// A name that MDTM could take for a time to be set, followed by a name.
pub const DATED: &[u8] = b"20240101120000 a";

impl Client {
    /// Returns a name in some directory.
    pub fn any_path(&mut self) -> Path {
        let dirs = self.tree().dirs();
        let dir = dirs[self.random.index(dirs.len())].clone();
        let name = self.random.pick(NAMES).to_vec();
        [dir, vec![name]].concat()
    }

    /// Returns an existing file, or a name in some directory.
    pub fn any_file(&mut self) -> Path {
        let files = self.tree().files();
        if files.is_empty() || self.random.chance(20) {
            return self.any_path();
        }
        files[self.random.index(files.len())].clone()
    }

    /// Looks at a name, so that the model learns what is left of uploads that broke off.
    pub fn look(&mut self, path: &Path) -> Done {
        if self.ascii {
            // this reply has the lines as they are sent
            let line = self.with_path("SIZE", path);
            self.ask(line, &[213, 550])?;
            self.stale = false;
            let line = self.with_path("MLST", path);
            let reply = self.ask(line, &[250, 550])?;
            let size = (reply.code == 250).then(|| {
                let line = reply.body().first().cloned().unwrap_or_default();
                Facts::of(&line).ok_or_else(|| Fault(format!("facts: {}", reply.show())))
            });
            let size = size.transpose()?.and_then(|facts| facts.size);
            return self.shown(path, size);
        }
        let line = self.with_path("SIZE", path);
        let reply = self.ask(line, &[213, 550])?;
        self.stale = false;
        let text = String::from_utf8_lossy(reply.text()).into_owned();
        let size = if reply.code == 213 {
            Some(text.parse().map_err(|_| Fault(format!("SIZE: {text}")))?)
        } else {
            None
        };
        self.shown(path, size)
    }

    /// Checks that what the server shows of a name is possible.
    pub fn shown(&mut self, path: &Path, size: Option<u64>) -> Done {
        let looked = self.tree().change(path, |file| file.look(size));
        looked.map_err(|why| Fault(format!("{}: {why}", show(path))))
    }

    /// Plans an upload of some form to this name.
    pub fn plan(&mut self, path: Path) -> Done<Option<Plan>> {
        if matches!(self.tree().at(&path), Some(Node::Dir(_))) {
            return Ok(None);
        }
        let seed = self.random.next();
        let len = self.random.length();
        let sent = Content::new(seed, len);
        let mut form = self.random.below(10);
        if form >= 5 {
            let file = self.tree().file(&path);
            let certain = file.part().is_ok() && !self.stale;
            let shown = file.part().ok().flatten().is_some_and(|part| part.shown);
            let unshown = !file.may_be_shown() && !self.stale;
            if !(certain && (shown || unshown || form < 8)) {
                self.look(&path)?;
            }
        }
        let file = self.tree().file(&path);
        let Ok(part) = file.part().map(Option::<&_>::cloned) else {
            return Ok(Some(self.replacing(path, sent)));
        };
        if file.there.as_ref().is_none_or(|there| there.content.len() > 8 << 20)
            && part.is_none()
        {
            form = form.min(5);
        }
        let plan = match (form, part, &file.there) {
            (0..5, ..) => self.replacing(path, sent),
            // REST and STOR
            (5..8, Some(part), _) => {
                let offset = self.random.between(0, part.high);
                if offset == 0 {
                    return Ok(Some(self.replacing(path, sent)));
                }
                let kept = part.content.prefix(offset);
                let sent = self.rest_of(&part.content, offset, sent);
                self.at(path, &kept, sent, Form::Resume(offset))
            }
            (5..8, None, Some(there)) => {
                let size = there.content.len();
                let offset =
                    if self.random.chance(30) { size } else { self.random.between(0, size) };
                if offset == 0 {
                    return Ok(Some(self.replacing(path, sent)));
                }
                let kept = there.content.prefix(offset);
                let form =
                    if offset == size { Form::Append(size) } else { Form::Within(offset) };
                self.at(path, &kept, sent, form)
            }
            // APPE
            (_, Some(part), _) if part.shown => {
                let kept = part.content.prefix(part.high);
                let sent = self.rest_of(&part.content, part.high, sent);
                self.appending(path, &kept, sent, Form::Resume(part.high))
            }
            (_, _, Some(there)) => {
                let kept = there.content.clone();
                let form = Form::Append(kept.len());
                self.appending(path, &kept, sent, form)
            }
            (_, _, None) => self.appending(path, &Content::default(), sent, Form::Begin),
        };
        Ok(Some(plan))
    }

    /// Returns what is missing of an upload; sometimes other bytes.
    fn rest_of(&mut self, content: &Content, offset: u64, other: Content) -> Content {
        let rest = content.suffix(offset);
        if self.random.chance(70) && rest.len() < 4 << 20 { rest } else { other }
    }

    /// Plans a STOR.
    pub fn replacing(&mut self, path: Path, sent: Content) -> Plan {
        let line = self.with_path("STOR", &path);
        let whole = sent.clone();
        Plan { path, before: Vec::new(), line, sent, whole, form: Form::Replace }
    }

    fn at(&mut self, path: Path, kept: &Content, sent: Content, form: Form) -> Plan {
        let offset = kept.wire(self.ascii).len();
        let rest = format!("REST {offset}").into_bytes();
        let line = self.with_path("STOR", &path);
        let whole = kept.then(&sent);
        Plan { path, before: vec![(rest, 350)], line, sent, whole, form }
    }

    fn appending(&mut self, path: Path, kept: &Content, sent: Content, form: Form) -> Plan {
        let line = self.with_path("APPE", &path);
        let whole = kept.then(&sent);
        Plan { path, before: Vec::new(), line, sent, whole, form }
    }

    /// Tells the model that the upload is in place.
    pub fn placed(&mut self, plan: &Plan, whole: Content) {
        self.stale = false;
        self.tree().change(&plan.path, |file| match plan.form {
            Form::Append(_) => file.appended(whole),
            Form::Replace | Form::Begin | Form::Resume(_) | Form::Within(_) => {
                file.placed(whole);
            }
        });
    }

    /// Sends the commands before a transfer, and its own.
    pub fn begin(&mut self, before: &[(Vec<u8>, u16)], line: &[u8]) -> Done {
        for (line, code) in before {
            self.ask(line, &[*code])?;
            if self.random.chance(10) {
                // only a transfer uses the offset of REST
                self.ask("NOOP", &[200])?;
            }
        }
        self.send(line)
    }

    /// Makes an upload, from the first command to the last reply.
    pub fn upload(&mut self, plan: &Plan) -> Done<Outcome> {
        let door = self.arrange()?;
        self.begin(&plan.before, &plan.line)?;
        let marked = door.is_open() && self.random.chance(60);
        if marked {
            self.expect(&[150])?;
        }
        let wire = match self.attach(door)? {
            Attached::Yes(wire) => wire,
            Attached::NotResumed => return self.refused(marked),
        };
        let bytes = plan.sent.sent(self.ascii);
        // a command that comes meanwhile is answered afterwards
        let waits = self.random.chance(6);
        if waits {
            self.send("NOOP")?;
        }
        let since = Instant::now();
        let held = self.put(wire, &bytes, true)?;
        if !marked {
            self.expect(&[150])?;
        }
        self.expect(&[226])?;
        drop(held);
        if waits {
            self.expect(&[200])?;
        }
        in_rate(bytes.len(), self.world.way.rates.0, since)?;
        self.placed(plan, plan.whole.clone());
        let mut counts = self.notes.counts();
        counts.transfers += 1;
        counts.files += 1;
        counts.up += bytes.len() as u64;
        drop(counts);
        Ok(Outcome::Whole)
    }

    /// Checks that the server refuses a data connection that did not resume.
    pub fn refused(&mut self, marked: bool) -> Done<Outcome> {
        if !marked {
            self.expect(&[150])?;
        }
        self.expect(&[522])?;
        // the tickets of a new control connection are fresh
        if self.random.chance(50) {
            self.quit()?;
        }
        Ok(Outcome::Refused)
    }

    /// Sends bytes and, with `ends`, ends the data connection. Returns the connection if the
    /// client keeps it open for a while.
    pub fn put(&mut self, mut wire: Wire, bytes: &[u8], ends: bool) -> Done<Option<Wire>> {
        let failed = |why: std::io::Error| Fault(format!("sending data: {why}"));
        let random = &mut self.random;
        let at_once = ends && bytes.len() <= 200_000 && random.chance(60);
        let mut rest = bytes;
        while !at_once && !rest.is_empty() {
            let most = rest.len().min(1 << 17) as u64;
            let (now, later) = rest.split_at(random.between(1, most) as usize);
            wire.queue(now).map_err(failed)?;
            wire.push(Manner::any(random), random).map_err(failed)?;
            rest = later;
        }
        wire.queue(rest).map_err(failed)?;
        if !ends {
            wire.push(Manner::Once, random).map_err(failed)?;
            return Ok(Some(wire));
        }
        wire.queue_end().map_err(failed)?;
        let manner =
            if at_once && random.chance(70) { Manner::Once } else { Manner::any(random) };
        wire.push(manner, random).map_err(failed)?;
        let is_secure = wire.is_secure();
        if !is_secure || random.chance(60) {
            wire.shut();
        }
        match random.below(10) {
            // the client drops the connection at once
            0..3 => Ok(None),
            3..8 => {
                let end = wire.read_all(Instant::now() + PROMPT).map_err(|why| {
                    Fault(format!("waiting for the server's end of an upload: {why}"))
                })?;
                let wanted = [End::Clean, End::Reset];
                if !wanted[..if is_secure { 1 } else { 2 }].contains(&end) {
                    return fault(format!("the server ends an upload's connection: {end:?}"));
                }
                Ok(None)
            }
            _ => Ok(Some(wire)),
        }
    }

    /// Makes a transfer from the server, which must send exactly these bytes.
    pub fn download(
        &mut self,
        before: &[(Vec<u8>, u16)],
        line: &[u8],
        wanted: Option<&[u8]>,
    ) -> Done<Option<Vec<u8>>> {
        let door = self.arrange()?;
        self.begin(before, line)?;
        let marked = door.is_open() && self.random.chance(60);
        if marked {
            self.expect(&[150])?;
        }
        let mut wire = match self.attach(door)? {
            Attached::Yes(wire) => wire,
            Attached::NotResumed => {
                self.refused(marked)?;
                return Ok(None);
            }
        };
        let failed = |why: std::io::Error| Fault(format!("receiving data: {why}"));
        wire.push(Manner::any(&mut self.random), &mut self.random).map_err(failed)?;
        let since = Instant::now();
        let until = since + PROMPT + PROMPT;
        let leaves = self.random.below(10);
        // a client that knows the length need not wait for the end
        let exact = wanted.filter(|_| leaves == 0).map(<[u8]>::len);
        if wanted.is_some_and(|wanted| wanted.len() < 20_000) && self.random.chance(10) {
            wire.appetite = self.random.between(40, 2000) as usize;
        }
        while exact.is_none_or(|exact| wire.got.len() < exact) {
            if !wire.read_some(until).map_err(failed)? {
                break;
            }
            if wire.appetite < 200 && self.random.chance(2) {
                thread::sleep(Duration::from_millis(self.random.below(10)));
            }
        }
        let got = std::mem::take(&mut wire.got);
        if let Some(wanted) = wanted {
            compare(&got, wanted)?;
            in_rate(got.len(), self.world.way.rates.1, since)?;
        }
        if exact.is_none() && wire.end != Some(End::Clean) {
            return fault(format!("the end of a download is not clean: {:?}", wire.end));
        }
        let mut held = None;
        match leaves {
            // the client drops the connection at once
            0 | 1 => drop(wire),
            // the client does nothing until the reply has come
            2 | 3 => held = Some(wire),
            _ => {
                let ended = wire.queue_end();
                let ended = ended.and_then(|()| wire.push(Manner::Once, &mut self.random));
                // the server need not wait for it
                let _ = ended;
                wire.shut();
                held = (leaves > 6).then_some(wire);
            }
        }
        if !marked {
            self.expect(&[150])?;
        }
        let since = Instant::now();
        self.expect(&[226])?;
        if since.elapsed() > AT_ONCE {
            let took = since.elapsed().as_secs_f64();
            return fault(format!("226 of a download came {took:.1} s after its end"));
        }
        drop(held);
        let mut counts = self.notes.counts();
        counts.transfers += 1;
        counts.files += u64::from(wanted.is_some());
        counts.down += got.len() as u64;
        drop(counts);
        Ok(Some(got))
    }

    /// Sends RETR for a file, which must be as the model has it.
    pub fn retrieve(&mut self, path: &Path) -> Done {
        let file = self.tree().file(path);
        let line = self.with_path("RETR", path);
        let Some(there) = file.there else {
            let early = self.random.chance(30);
            if early {
                let _door = self.arrange()?;
                return self.ask(line, &[550]).map(drop);
            }
            return self.ask(line, &[550]).map(drop);
        };
        let wire = there.content.wire(self.ascii);
        if !wire.is_empty() && self.random.chance(25) {
            let offset = self.random.between(0, wire.len() as u64);
            let before = [(format!("REST {offset}").into_bytes(), 350)];
            return self.download(&before, &line, Some(&wire[offset as usize..])).map(drop);
        }
        self.download(&[], &line, Some(&wire)).map(drop)
    }

    /// Lists a directory in one of the forms. The listing must name what is there.
    pub fn list(&mut self) -> Done {
        let dirs = self.tree().dirs();
        let dir = dirs[self.random.index(dirs.len())].clone();
        let kind = *self.random.pick(&["LIST", "NLST", "MLSD", "STAT", "LIST", "MLSD"]);
        let here = dir == self.cwd && kind != "STAT" && self.random.chance(50);
        if matches!(kind, "LIST" | "NLST") && self.random.chance(10) {
            return self.list_below(&dir, kind);
        }
        let options = if kind != "MLSD" && self.random.chance(30) {
            *self.random.pick(&[" -al", " -a", " -1 -t", " -lS", " -S -lr", " -r", " -- "])
        } else {
            ""
        };
        let mut line = format!("{kind}{options}").into_bytes();
        if !here || options == " -- " {
            if !line.ends_with(b" ") {
                line.push(b' ');
            }
            let path = self.spell(&dir);
            line.extend_from_slice(&path);
        }
        let lines: Vec<Vec<u8>> = if kind == "STAT" {
            // the text of a reply has its lines already
            self.ask(&line, &[213])?.body().to_vec()
        } else {
            let Some(bytes) = self.download(&[], &line, None)? else { return Ok(()) };
            listed_lines(&bytes)?
        };
        in_order(&lines, kind, options)?;
        let seen = Facts::all(&lines, kind)?;
        self.listed(&dir, kind, &seen)
    }

    /// Lists a directory and all below it.
    fn list_below(&mut self, dir: &Path, kind: &str) -> Done {
        let here = *dir == self.cwd && self.random.chance(50);
        let typed = if here { Vec::new() } else { self.spell(dir) };
        let line = [kind.as_bytes(), b" -R ", &typed].concat();
        let line = line.trim_ascii_end();
        let Some(bytes) = self.download(&[], line, None)? else { return Ok(()) };
        let mut found: BTreeMap<Path, Vec<Vec<u8>>> = BTreeMap::new();
        let below = |names: &[u8]| {
            let names = names.split(|&byte| byte == b'/').filter(|name| !name.is_empty());
            dir.iter().cloned().chain(names.map(<[u8]>::to_vec)).collect::<Path>()
        };
        let odd = |line: &[u8]| Fault(format!("a line of {kind} -R: {}", line.escape_ascii()));
        if kind == "NLST" {
            let prefix = if here { Vec::new() } else { [&typed[..], b"/"].concat() };
            for line in listed_lines(&bytes)? {
                let mut path = below(line.strip_prefix(&prefix[..]).ok_or_else(|| odd(&line))?);
                let name = path.pop().ok_or_else(|| odd(&line))?;
                found.entry(path).or_default().push(name);
            }
        } else {
            let base = if here { b"./".to_vec() } else { [&typed[..], b"/"].concat() };
            let (mut path, mut is_head) = (dir.clone(), false);
            found.insert(path.clone(), Vec::new());
            for line in listed_lines(&bytes)? {
                if std::mem::take(&mut is_head) {
                    let inner = line.strip_prefix(&base[..]);
                    let inner = inner.and_then(|line| line.strip_suffix(b":"));
                    path = below(inner.ok_or_else(|| odd(&line))?);
                    if found.insert(path.clone(), Vec::new()).is_some() {
                        return Err(odd(&line));
                    }
                } else if line.is_empty() {
                    is_head = true;
                } else {
                    found.entry(path.clone()).or_default().push(line);
                }
            }
        }
        let dirs = self.tree().dirs();
        for path in dirs.into_iter().filter(|path| path.starts_with(dir)) {
            let lines = found.remove(&path);
            if lines.is_none() && kind == "LIST" {
                return fault(format!("LIST -R lacks {}", show(&path)));
            }
            let seen = Facts::all(&lines.unwrap_or_default(), kind)?;
            self.listed(&path, kind, &seen)?;
        }
        match found.keys().next() {
            Some(path) => fault(format!("{kind} -R has {}", show(path))),
            None => Ok(()),
        }
    }

    fn listed(&mut self, dir: &Path, kind: &str, seen: &BTreeMap<Vec<u8>, Facts>) -> Done {
        let names = self.tree().names(dir).cloned().unwrap_or_default();
        for name in seen.keys() {
            if !names.contains_key(name) {
                return fault(format!(
                    "{kind} names {}, which is not there",
                    name.escape_ascii()
                ));
            }
        }
        for (name, node) in names {
            let facts = seen.get(&name);
            let path = [&dir[..], std::slice::from_ref(&name)].concat();
            match (node, facts) {
                (Node::Dir(_), None) => {
                    return fault(format!("{kind} does not name {}", show(&path)));
                }
                (Node::Dir(_), Some(facts)) => {
                    if facts.is_dir == Some(false) {
                        return fault(format!("{kind}: {} is a directory", show(&path)));
                    }
                }
                (Node::File(file), Some(facts)) => {
                    if facts.is_dir == Some(true) {
                        return fault(format!("{kind}: {} is a file", show(&path)));
                    }
                    if let Some(size) = facts.size {
                        self.shown(&path, Some(size))?;
                    } else {
                        self.named(&path, &file)?;
                    }
                    self.same_facts(&path, facts)?;
                }
                (Node::File(_), None) => self.shown(&path, None)?,
            }
        }
        Ok(())
    }

    /// Takes in a name of a listing of names, which shows parts as well, but no sizes.
    fn named(&mut self, path: &Path, file: &File) -> Done {
        match file.shown() {
            Ok(crate::model::Shown::Part(size) | crate::model::Shown::File(size)) => {
                self.shown(path, Some(size))
            }
            Ok(crate::model::Shown::Nothing) => {
                fault(format!("{} is named, and is not there", show(path)))
            }
            // from now on it is not certain whether the part was shown
            Err(()) => self.look(path),
        }
    }

    fn same_facts(&mut self, path: &Path, facts: &Facts) -> Done {
        let file = self.tree().file(path);
        let Some(there) = file.there.as_ref().filter(|_| file.part() == Ok(None)) else {
            return Ok(());
        };
        if let (Some(time), Some(modified)) = (there.time, &facts.modified)
            && *modified != crate::operations::time_val(time)
        {
            return fault(format!(
                "{} was modified at {modified}, not {}",
                show(path),
                crate::operations::time_val(time)
            ));
        }
        if let (Some(mode), Some(said)) = (there.mode, facts.mode)
            && mode != said
        {
            return fault(format!("{} has mode {said:o}, not {mode:o}", show(path)));
        }
        Ok(())
    }
}

/// Checks that a transfer was not faster than its limit, apart from what it may catch up on.
fn in_rate(bytes: usize, rate: u64, since: Instant) -> Done {
    let took = since.elapsed().as_secs_f64() + 0.4;
    if rate > 0 && bytes as f64 / took > rate as f64 {
        return fault(format!("{bytes} bytes in {took:.2} s, where {rate} B/s are the most"));
    }
    Ok(())
}

/// The facts that a listing tells of a name.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    pub name: Vec<u8>,
    pub is_dir: Option<bool>,
    pub size: Option<u64>,
    pub modified: Option<String>,
    pub mode: Option<u32>,
}

impl Facts {
    /// Reads the lines of a listing.
    fn all(lines: &[Vec<u8>], kind: &str) -> Done<BTreeMap<Vec<u8>, Self>> {
        let mut seen = BTreeMap::new();
        for line in lines {
            let facts = match kind {
                "MLSD" => Self::of(line),
                "NLST" => Some(Self::named(line)),
                _ => Self::of_long(line),
            };
            let Some(facts) = facts else {
                return fault(format!("a line of {kind}: {}", line.escape_ascii()));
            };
            if let Some(twice) = seen.insert(facts.name.clone(), facts) {
                return fault(format!("{kind} names {} twice", twice.name.escape_ascii()));
            }
        }
        Ok(seen)
    }

    fn named(line: &[u8]) -> Self {
        let name = line.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        Self { name: name.to_vec(), ..Self::default() }
    }

    /// Reads a line of MLSD, or of MLST with a path.
    pub fn of(line: &[u8]) -> Option<Self> {
        let line = line.strip_prefix(b" ").unwrap_or(line);
        let space = line.iter().position(|&byte| byte == b' ')?;
        let mut facts = Self::named(line.get(space + 1..)?);
        let text = std::str::from_utf8(line.get(..space)?).ok()?;
        for fact in text.split_terminator(';') {
            let (name, value) = fact.split_once('=')?;
            match name.to_ascii_lowercase().as_str() {
                "type" => facts.is_dir = Some(value != "file"),
                "size" => facts.size = Some(value.parse().ok()?),
                "modify" => facts.modified = Some(value.to_owned()),
                "unix.mode" => facts.mode = Some(u32::from_str_radix(value, 8).ok()?),
                _ => {}
            }
        }
        Some(facts)
    }

    /// Reads a line of LIST: mode, links, owner, group, size, month, day, time, name.
    fn of_long(line: &[u8]) -> Option<Self> {
        let mut rest = line;
        let mut words = Vec::new();
        for _ in 0..8 {
            let start = rest.iter().position(|&byte| byte != b' ')?;
            rest = rest.get(start..)?;
            let end = rest.iter().position(|&byte| byte == b' ')?;
            words.push(std::str::from_utf8(rest.get(..end)?).ok()?);
            rest = rest.get(end..)?;
        }
        let is_dir = words[0].starts_with('d');
        let size = if is_dir { None } else { Some(words[4].parse().ok()?) };
        let mut mode = 0;
        for letter in words[0].bytes().skip(1) {
            mode = mode << 1 | u32::from(letter != b'-');
        }
        let name = rest.get(1..)?.to_vec();
        Some(Self { name, is_dir: Some(is_dir), size, modified: None, mode: Some(mode) })
    }
}

/// Returns the lines of a complete listing.
fn listed_lines(bytes: &[u8]) -> Done<Vec<Vec<u8>>> {
    if !bytes.is_empty() && !bytes.ends_with(b"\r\n") {
        return fault("a listing ends within a line");
    }
    let mut lines: Vec<_> = split_lines(bytes).into_iter().map(<[u8]>::to_vec).collect();
    lines.pop();
    Ok(lines)
}

/// Checks that lines are sorted as the options ask, as far as the lines tell.
fn in_order(lines: &[Vec<u8>], kind: &str, options: &str) -> Done {
    let by_size = options.contains('S');
    let reverse = options.contains('r');
    if !(by_size && kind != "NLST" || reverse && !by_size) {
        return Ok(());
    }
    let key = |line: &Vec<u8>| {
        let facts =
            if kind == "NLST" { Some(Facts::named(line)) } else { Facts::of_long(line) };
        let size = line.split(|&byte| byte == b' ').filter(|word| !word.is_empty()).nth(4);
        let size = size.and_then(|size| std::str::from_utf8(size).ok()?.parse::<u64>().ok());
        let size = size.filter(|_| by_size).unwrap_or_default();
        (std::cmp::Reverse(size), facts.map(|facts| facts.name))
    };
    let keys: Vec<_> = lines.iter().map(key).collect();
    let is_sorted =
        if reverse { keys.iter().rev().is_sorted() } else { keys.iter().is_sorted() };
    if is_sorted { Ok(()) } else { fault(format!("the order of {kind}{options} is not right")) }
}

/// Splits bytes at CR LF.
fn split_lines(bytes: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut rest = bytes;
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        lines.push(&rest[..end]);
        rest = &rest[end + 2..];
    }
    lines.push(rest);
    lines
}

/// Checks that the bytes are those that were expected.
pub fn compare(got: &[u8], wanted: &[u8]) -> Done {
    if got == wanted {
        return Ok(());
    }
    let same = got.iter().zip(wanted).take_while(|(a, b)| a == b).count();
    let around = |bytes: &[u8]| {
        let piece = bytes.get(same..).unwrap_or_default();
        piece.get(..piece.len().min(24)).unwrap_or_default().escape_ascii().to_string()
    };
    fault(format!(
        "{} bytes instead of {}, the first {same} are right, then '{}' instead of '{}'",
        got.len(),
        wanted.len(),
        around(got),
        around(wanted)
    ))
}

/// Returns a path as readable text.
pub fn show(path: &[Vec<u8>]) -> String {
    crate::model::absolute(path).escape_ascii().to_string()
}
