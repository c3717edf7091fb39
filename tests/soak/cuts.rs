//! Transfers that break off in all the ways in which clients, networks and users end them, and
//! checks of what must be there afterwards.

use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use crate::client::Client;
use crate::door::{Attached, port_command};
use crate::model::{Content, Version};
use crate::session::{Done, Fault, PROMPT, Session, fault};
use crate::transfers::{Form, Outcome, Plan, compare, show};
use crate::wire::{self, Manner, Wire};

/// How an upload breaks off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// The data connection is reset.
    DataReset,
    /// The data connection ends without `close_notify`.
    DataEnd,
    /// The client sends ABOR.
    Abort,
    /// The control connection is reset.
    ControlReset,
    /// The control connection ends.
    ControlEnd,
    /// The client sends QUIT, and then both connections are gone.
    QuitAndReset,
}

const CUTS: [Cut; 6] = [
    Cut::DataReset,
    Cut::DataEnd,
    Cut::Abort,
    Cut::ControlReset,
    Cut::ControlEnd,
    Cut::QuitAndReset,
];

impl Client {
    /// Makes an upload that breaks off, and checks what is left of it.
    pub fn cut_upload(&mut self) -> Done {
        let path = self.any_file();
        let Some(plan) = self.plan(path)? else { return Ok(()) };
        let mut cut = *self.random.pick(&CUTS);
        if cut == Cut::DataEnd && !self.private {
            // in clear text this is the end of the file
            cut = Cut::DataReset;
        }
        self.notes.say(format!("-- cut upload: {cut:?}, {:?}", plan.form));
        let door = self.arrange()?;
        self.begin(&plan.before, &plan.line)?;
        let marked = door.is_open() && self.random.chance(70);
        if marked {
            self.expect(&[150])?;
        }
        let wire = match self.attach(door)? {
            Attached::Yes(wire) => wire,
            Attached::NotResumed => return self.refused(marked).map(drop),
        };
        let bytes = plan.sent.sent(self.ascii);
        let sent = match self.random.below(10) {
            0 => 0,
            1 => bytes.len(),
            _ => self.random.below(bytes.len() as u64 + 1) as usize,
        };
        // without atomic uploads the file is what has arrived, and half the end of a line is a
        // CR
        let halves = self.world.way.classic && self.ascii && bytes[..sent].ends_with(b"\r");
        let sent = sent - usize::from(halves);
        let Some(wire) = self.put(wire, &bytes[..sent], false)? else { return Ok(()) };
        if self.random.chance(30) {
            thread::sleep(Duration::from_millis(self.random.below(30)));
        }
        self.notes.say(format!("-- {sent} of {} bytes have been sent", bytes.len()));
        if marked && self.random.chance(15) {
            self.ask("STAT", &[211])?;
        }
        self.notes.counts().cuts += 1;
        let whole = match cut {
            Cut::DataReset => {
                wire.reset();
                // 425: the server reached the client's port and did not notice
                self.ended(marked, &[426, 522, 425])?;
                None
            }
            Cut::DataEnd => {
                wire.shut();
                let held = self.random.chance(50).then_some(wire);
                // an upload that need not end with `close_notify` is taken to be complete
                let lenient = self.world.way.classic;
                let codes: &[u16] = match (lenient, sent) {
                    (true, 1..) => &[226],
                    (true, 0) => &[226, 426, 522],
                    (false, _) => &[426, 522],
                };
                self.ended(marked, codes)?;
                drop(held);
                None
            }
            Cut::Abort => self.abort(wire, marked, &plan, sent)?,
            Cut::ControlReset | Cut::ControlEnd | Cut::QuitAndReset => {
                self.lose_control(cut, wire)?;
                None
            }
        };
        match whole {
            Some(whole) => self.placed(&plan, whole),
            None => self.broken(&plan, sent as u64),
        }
        self.after_cut(&plan)
    }

    /// Tells the model what may be left of an upload of which `sent` bytes were sent.
    fn broken(&mut self, plan: &Plan, sent: u64) {
        let classic = self.world.way.classic;
        self.stale = false;
        let sent = sent.min(plan.sent.len());
        if classic {
            return;
        }
        let whole = plan.whole.clone();
        self.tree().change(&plan.path, |file| match plan.form {
            Form::Replace => file.broken(whole, sent),
            Form::Begin => {}
            Form::Resume(offset) => file.broken_again(whole, offset, offset + sent),
            Form::Within(offset) | Form::Append(offset) => {
                file.broken_in(whole, offset, offset + sent);
            }
        });
    }

    /// Checks that the old version is in place, and that a client can go on with what is left.
    fn after_cut(&mut self, plan: &Plan) -> Done {
        if !self.come_again()? {
            return Ok(());
        }
        if self.world.way.classic {
            return self.settle(plan);
        }
        if self.random.chance(60) {
            self.retrieve(&plan.path)?;
        }
        if self.is_connected() && self.random.chance(60) {
            self.look(&plan.path)?;
            if self.random.chance(50)
                && let Some(next) = self.plan(plan.path.clone())?
            {
                self.upload(&next)?;
                if self.is_connected() {
                    self.retrieve(&plan.path)?;
                }
            }
        }
        Ok(())
    }

    /// Connects again as the former user if necessary. Returns whether the client is connected.
    fn come_again(&mut self) -> Done<bool> {
        if !self.is_connected() {
            self.connect_as(Some(self.account))?;
        }
        Ok(self.is_connected())
    }

    /// Settles what the file holds without atomic uploads: what has arrived, or what it held
    /// before.
    fn settle(&mut self, plan: &Plan) -> Done {
        if self.ascii {
            self.ask("TYPE I", &[200])?;
            self.ascii = false;
        }
        let line = self.with_path("RETR", &plan.path);
        let line_size = self.with_path("SIZE", &plan.path);
        let reply = self.ask(line_size, &[213, 550])?;
        self.stale = false;
        let old = self.tree().file(&plan.path).there;
        if reply.code == 550 {
            if old.is_some() {
                return fault(format!("{} is gone", show(&plan.path)));
            }
            return Ok(());
        }
        let Some(got) = self.download(&[], &line, None)? else { return Ok(()) };
        let offset = match plan.form {
            Form::Replace | Form::Begin => 0,
            Form::Resume(offset) | Form::Within(offset) | Form::Append(offset) => offset,
        };
        let content = old.as_ref().map(|old| old.content.clone());
        if content.as_ref().is_some_and(|old| old.bytes() == got) {
            return Ok(());
        }
        let whole = plan.whole.prefix(got.len() as u64);
        if (got.len() as u64) < offset {
            return fault(format!("{} lost what was there", show(&plan.path)));
        }
        compare(&got, &whole.bytes())?;
        let mode = old.map_or(Some(0o644), |old| old.mode);
        let version = Version::new(whole, mode);
        self.tree().change(&plan.path, |file| file.there = Some(version));
        Ok(())
    }

    /// Reads the last reply of a transfer, and before it the 150 if it has not come yet.
    fn ended(&mut self, marked: bool, codes: &[u16]) -> Done<u16> {
        let mut all = codes.to_vec();
        if !marked {
            all.push(150);
        }
        let mut reply = self.expect(&all)?;
        if reply.code == 150 {
            reply = self.expect(codes)?;
        }
        Ok(reply.code)
    }

    /// Sends ABOR and reads the replies to the transfer and to ABOR. Returns what is in place
    /// now if the transfer was complete before.
    fn abort(
        &mut self,
        mut wire: Wire,
        marked: bool,
        plan: &Plan,
        sent: usize,
    ) -> Done<Option<Content>> {
        let line: &[u8] = if self.random.chance(50) {
            b"ABOR\r\n"
        } else {
            // with the Telnet codes that RFC 959 has a client send before it
            b"\xff\xf4\xff\xf2ABOR\r\n"
        };
        let (session, random) = self.session()?;
        session.raw(line, Manner::any(random), random)?;
        let ends = !self.ascii && self.random.chance(30);
        let mut held = None;
        if ends {
            // if the server sees it before ABOR, this is the end of the file
            let ended = wire.queue_end();
            let _ = ended.and_then(|()| wire.push(Manner::Once, &mut self.random));
            wire.shut();
        } else if self.random.chance(50) {
            held = Some(wire);
        } else {
            wire.reset();
        }
        let code = self.ended(marked, &[426, 226, 522])?;
        self.expect(&[226])?;
        drop(held);
        if code != 226 {
            return Ok(None);
        }
        if !ends {
            return fault("an upload that has not ended is called whole");
        }
        let kept = plan.whole.len() - plan.sent.len();
        Ok(Some(plan.whole.prefix(kept + sent as u64)))
    }

    /// Ends the control connection during a transfer. The data connection ends sooner or later
    /// as well.
    fn lose_control(&mut self, cut: Cut, mut wire: Wire) -> Done {
        let mut session = self.take_session()?;
        let random = &mut self.random;
        self.notes.say(format!("-- {cut:?}"));
        let local = session.local;
        if random.chance(25) && cut != Cut::QuitAndReset {
            // the server may notice only when it replies that the client is gone
            session.raw_if_there(b"STAT\r\n", Manner::Once, random);
        }
        match cut {
            Cut::QuitAndReset => {
                session.raw_if_there(b"QUIT\r\n", Manner::Once, random);
                if random.chance(50) {
                    wire.reset();
                    close(session);
                } else {
                    close(session);
                    wire.reset();
                }
                return self.session_of(local);
            }
            Cut::ControlReset => reset(session),
            _ => close(session),
        }
        match self.random.below(4) {
            0 => {
                // the server sees a complete file of a client that is gone
                let ended = wire.queue_end();
                let _ = ended.and_then(|()| wire.push(Manner::Once, &mut self.random));
                wire.shut();
                self.session_of(local)
            }
            1 => {
                wire.reset();
                self.session_of(local)
            }
            2 => {
                drop(wire);
                self.session_of(local)
            }
            // the server must not wait for it
            _ => {
                let result = self.session_of(local);
                drop(wire);
                result
            }
        }
    }

    fn session_of(&mut self, local: std::net::SocketAddr) -> Done {
        if self.world.log.has_ended(local, PROMPT) {
            self.notes.say(format!("-- the session of {local} has ended"));
            return Ok(());
        }
        fault(format!("the session of {local} goes on without its client"))
    }

    /// Makes a download that breaks off.
    pub fn cut_download(&mut self) -> Done {
        let path = self.any_file();
        let Some(there) = self.tree().file(&path).there else { return Ok(()) };
        let content = there.content.wire(self.ascii);
        let cut = *self.random.pick(&CUTS);
        self.notes.say(format!("-- cut download: {cut:?}"));
        let door = self.arrange()?;
        let line = self.with_path("RETR", &path);
        self.begin(&[], &line)?;
        let marked = door.is_open() && self.random.chance(70);
        if marked {
            self.expect(&[150])?;
        }
        let mut wire = match self.attach(door)? {
            Attached::Yes(wire) => wire,
            Attached::NotResumed => return self.refused(marked).map(drop),
        };
        let failed = |why: std::io::Error| Fault(format!("receiving data: {why}"));
        let until = Instant::now() + PROMPT;
        let wanted = self.random.below(content.len() as u64 + 1) as usize;
        wire.push(Manner::Once, &mut self.random).map_err(failed)?;
        while wire.got.len() < wanted {
            if !wire.read_some(until).map_err(failed)? {
                break;
            }
        }
        let got = wire.got.len();
        compare(&wire.got, content.get(..got).unwrap_or(&content))?;
        self.notes.counts().cuts += 1;
        // bytes in the system's buffers count as sent
        let is_secure = wire.is_secure();
        let codes: &[u16] = if is_secure { &[226, 426, 522, 425] } else { &[226, 426, 425] };
        match cut {
            Cut::DataReset => {
                wire.reset();
                self.ended(marked, codes).map(drop)
            }
            Cut::DataEnd => {
                drop(wire);
                self.ended(marked, codes).map(drop)
            }
            Cut::Abort => {
                let (session, random) = self.session()?;
                session.raw(b"ABOR\r\n", Manner::any(random), random)?;
                let mut held = None;
                match self.random.below(3) {
                    0 => drop(wire),
                    1 => {
                        let _ = wire.read_all(Instant::now() + PROMPT);
                        compare(&wire.got, content.get(..wire.got.len()).unwrap_or(&content))?;
                    }
                    _ => held = Some(wire),
                }
                self.ended(marked, codes)?;
                drop(held);
                self.expect(&[226]).map(drop)
            }
            Cut::ControlReset | Cut::ControlEnd | Cut::QuitAndReset => {
                self.lose_control(cut, wire)?;
                self.connect()
            }
        }
    }

    /// Sends QUIT during a transfer. The server must complete the transfer even if the client
    /// says nothing more.
    pub fn quit_in_transfer(&mut self) -> Done {
        let path = self.any_file();
        let Some(plan) = self.plan(path)? else { return Ok(()) };
        let door = self.arrange()?;
        self.begin(&plan.before, &plan.line)?;
        let wire = match self.attach(door)? {
            Attached::Yes(wire) => wire,
            Attached::NotResumed => return self.refused(false).map(drop),
        };
        self.expect(&[150])?;
        let bytes = plan.sent.sent(self.ascii);
        let first = self.random.below(bytes.len() as u64 + 1) as usize;
        let Some(wire) = self.put(wire, &bytes[..first], false)? else { return Ok(()) };
        let (session, random) = self.session()?;
        session.raw(b"QUIT\r\n", Manner::Once, random)?;
        let (shuts, leaves) = (random.chance(40), random.chance(30));
        let mut session = self.take_session()?;
        if shuts || leaves {
            session.wire.shut();
        }
        let local = session.local;
        if leaves {
            // a client that has sent QUIT need not read how the transfer ends
            drop(session);
            let held = self.put(wire, &bytes[first..], true)?;
            self.session_of(local)?;
            drop(held);
        } else {
            let held = self.put(wire, &bytes[first..], true)?;
            session.expect(&[226])?;
            session.expect(&[221])?;
            session.expect_end()?;
            drop(held);
            self.session_of(local)?;
        }
        self.placed(&plan, plan.whole.clone());
        let mut counts = self.notes.counts();
        counts.transfers += 1;
        counts.files += 1;
        drop(counts);
        if self.come_again()? {
            self.retrieve(&plan.path)?;
        }
        Ok(())
    }

    /// Sends a queue of commands and resets the control connection. None of them may go on,
    /// whatever the first one was doing.
    pub fn queue_and_reset(&mut self) -> Done {
        let files = self.tree().files();
        let with_content: Vec<_> = files
            .into_iter()
            .filter(|path| {
                let there = self.trees[self.account].file(path).there;
                there.is_some_and(|there| there.content.len() > 0)
            })
            .collect();
        if with_content.len() < 2 || self.epsv_all || self.private {
            return Ok(());
        }
        let source = with_content[self.random.index(with_content.len())].clone();
        let victim = with_content[self.random.index(with_content.len())].clone();
        let listen = || TcpListener::bind((self.own, 0));
        let failed = |why: std::io::Error| Fault(format!("listening: {why}"));
        let (first, second) = (listen().map_err(failed)?, listen().map_err(failed)?);
        let mut lines = Vec::new();
        for (listener, verb, path) in [(&first, "RETR", &source), (&second, "STOR", &victim)] {
            let address = listener.local_addr().map_err(failed)?;
            lines.push(port_command(address, true).into_bytes());
            lines.push(self.with_path(verb, path));
        }
        let lines: Vec<_> =
            lines.iter().flat_map(|line| crate::session::wire_line(line)).collect();
        let (session, random) = self.session()?;
        session.raw(&lines, Manner::Once, random)?;
        if !wire::wait(&first, PollFlags::IN, PROMPT) {
            return fault("the server does not come to the client's port");
        }
        let (stream, _) = first.accept().map_err(failed)?;
        let mut wire = Wire::over(stream).map_err(failed)?;
        wire.appetite = 1;
        wire.read_some(Instant::now() + PROMPT).map_err(failed)?;
        let session = self.take_session()?;
        let local = session.local;
        reset(session);
        // the server may have connected to the second port already, or may do so now
        if wire::wait(&second, PollFlags::IN, Duration::from_millis(50)) {
            let (stream, _) = second.accept().map_err(failed)?;
            let mut wire = Wire::over(stream).map_err(failed)?;
            let _ = wire.queue(b"cut");
            let _ = wire.push(Manner::Once, &mut self.random);
        }
        drop(wire);
        self.session_of(local)?;
        self.tree().change(&victim, |file| {
            file.broken(Content::new(0, 3), 3);
        });
        if self.come_again()? && self.trees[self.account].file(&victim).there.is_some() {
            // without atomic uploads the file is emptied as soon as the second transfer begins,
            // which may be before the reset
            if !self.world.way.classic {
                self.retrieve(&victim)?;
            }
            if !self.come_again()? {
                return Ok(());
            }
            let line = self.with_path("DELE", &victim);
            self.ask(line, &[250])?;
            self.tree().change(&victim, |file| {
                file.there = None;
                file.forget_parts();
            });
        }
        Ok(())
    }

    /// Lets the connection of an upload hang, and goes on with the upload on a second one. The
    /// first one must not interfere.
    pub fn take_over(&mut self) -> Done {
        let path = self.any_file();
        let is_dir = matches!(self.tree().at(&path), Some(crate::model::Node::Dir(_)));
        let has_part = self.tree().file(&path).may_have_part();
        let way = self.world.way;
        if way.classic || way.limits || self.ascii || is_dir || has_part {
            return Ok(());
        }
        let len = self.random.between(2000, 200_000);
        let content = Content::new(self.random.next(), len);
        let plan = self.replacing(path.clone(), content.clone());
        let door = self.arrange()?;
        self.begin(&[], &plan.line)?;
        let wire = match self.attach(door)? {
            Attached::Yes(wire) => wire,
            Attached::NotResumed => return self.refused(false).map(drop),
        };
        self.expect(&[150])?;
        let bytes = content.bytes();
        let sent = self.random.between(1, len) as usize;
        let Some(mut hung) = self.put(wire, &bytes[..sent], false)? else { return Ok(()) };
        let mut session = self.take_session()?;
        if !self.come_again()? {
            return Ok(());
        }
        self.tree().change(&path, |file| file.broken(content.clone(), sent as u64));
        if self.ascii {
            self.ask("TYPE I", &[200])?;
            self.ascii = false;
        }
        let line = self.with_path("SIZE", &path);
        let reply = self.ask(line, &[213, 550])?;
        let size = String::from_utf8_lossy(reply.text()).parse::<u64>().unwrap_or_default();
        let old = self.tree().file(&path).there.map(|there| there.content.len());
        if reply.code == 550 || old == Some(size) || size == 0 || size > sent as u64 {
            // nothing has arrived yet
            hung.reset();
            session.expect(&[426, 522])?;
            return self.quit_other(session);
        }
        let rest = content.suffix(size);
        let next = Plan {
            before: vec![(format!("REST {size}").into_bytes(), 350)],
            line: self.with_path("STOR", &path),
            sent: rest,
            whole: content.clone(),
            form: Form::Replace,
            path: path.clone(),
        };
        if self.upload(&next)? == Outcome::Refused {
            hung.reset();
            session.expect(&[426, 522])?;
            return self.quit_other(session);
        }
        // the connection that hung wakes up
        let ended = hung.queue_end();
        let _ = ended.and_then(|()| hung.push(Manner::Once, &mut self.random));
        hung.shut();
        session.expect(&[426])?;
        self.quit_other(session)?;
        if self.is_connected() {
            self.retrieve(&path)?;
        }
        Ok(())
    }

    fn quit_other(&mut self, mut session: Session) -> Done {
        session.ask(b"QUIT", &[221], &mut self.random)?;
        session.expect_end()?;
        self.has_ended(&session)
    }

    /// Does not come to the data connection, or stops in the middle of a transfer. The server
    /// must give up after `data_timeout`, and not earlier.
    pub fn stall(&mut self) -> Done {
        if !self.world.way.limits {
            return Ok(());
        }
        let time = Duration::from_secs(self.world.way.data_timeout);
        let path = self.any_file();
        let Some(plan) = self.plan(path)? else { return Ok(()) };
        let door = self.arrange()?;
        if !door.is_met() && self.random.chance(40) {
            // the client never connects, or does not accept the server's connection
            drop(door);
            self.begin(&plan.before, &plan.line)?;
            return self.expect_late(&[425]).map(drop);
        }
        let since = Instant::now();
        self.begin(&plan.before, &plan.line)?;
        let wire = match self.attach(door)? {
            Attached::Yes(wire) => wire,
            Attached::NotResumed => return self.refused(false).map(drop),
        };
        let bytes = plan.sent.sent(self.ascii);
        let sent = self.random.below(bytes.len() as u64 + 1) as usize;
        let held = self.put(wire, &bytes[..sent], false)?;
        self.expect_late(&[150])?;
        let reply = self.expect_late(&[426, 522])?;
        drop(held);
        if since.elapsed() < time {
            return fault(format!("{} before data_timeout", reply.show()));
        }
        self.broken(&plan, sent as u64);
        self.after_cut(&plan)
    }
}

/// Ends a control connection with a reset.
fn reset(session: Session) {
    session.wire.reset();
}

/// Ends a control connection properly, under TLS with `close_notify`.
fn close(session: Session) {
    let mut session = session;
    // unread bytes would turn the end into a reset
    if session.wire.is_secure() {
        let _ = session.wire.queue_end();
    }
    session.wire.shut();
    drop(session);
}
