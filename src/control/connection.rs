//! The control connection: lines in, replies out, each with a deadline; and the ear that a
//! transfer keeps on it.

use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use socket2::{SockRef, TcpKeepalive};

use super::line::{Framer, Line};
use super::reply::{Code, Mark, Reply};
use super::shared::Stop;
use crate::data::{Interrupt, Passive, Progress, Watch};
use crate::log::Who;

/// The stream, and what of it has been read.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Arc<TcpStream>,
    framer: Framer,
    /// The read timeout that the socket has now.
    timeout: Option<Duration>,
    /// What has arrived; empty and small between two reads.
    input: Vec<u8>,
    /// Why nothing more will come, once that is known.
    gone: Option<Gone>,
}

/// Why the control connection is of no use any more.
#[derive(Debug)]
pub(super) enum Gone {
    /// The client closed it.
    Closed,
    /// It broke.
    Broken(io::Error),
    /// A line that never ends.
    Endless,
}

/// What a wait for a command ended with.
#[derive(Debug)]
pub(super) enum Heard {
    Line(Line),
    TimedOut,
    Gone,
}

/// A client that does not read its replies for this long is gone.
const WRITE_PATIENCE: Duration = Duration::from_secs(60);

/// A silent peer is asked for a sign of life after this long.
const KEEPALIVE: Duration = Duration::from_secs(120);

/// One read: commands are short.
const INPUT: usize = 1024;

impl Connection {
    pub(super) fn new(stream: Arc<TcpStream>) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(WRITE_PATIENCE))?;
        let socket = SockRef::from(&stream);
        // the urgent byte of a Telnet Synch stays where it is in the stream
        socket.set_out_of_band_inline(true)?;
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
        Ok(Self {
            stream: Arc::clone(&stream),
            framer: Framer::default(),
            timeout: None,
            input: Vec::new(),
            gone: None,
        })
    }

    /// Why nothing more will come.
    pub(super) fn gone(&self) -> Option<&Gone> {
        self.gone.as_ref()
    }

    /// Waits for a command line. Meanwhile a client that comes to its passive port is let in,
    /// and strangers who come to it are sent away.
    pub(super) fn hear(
        &mut self,
        until: Option<Instant>,
        mut passive: Option<&mut Passive>,
        who: Who<'_>,
    ) -> Heard {
        loop {
            if let Some(line) = self.framer.pop() {
                return Heard::Line(line);
            }
            if self.gone.is_some() {
                return Heard::Gone;
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Heard::TimedOut;
            }
            let at_door = passive.as_deref_mut().filter(|passive| passive.listener().is_some());
            match at_door {
                Some(passive) => self.wait_at_door(left, passive, who),
                None => self.wait(left),
            }
        }
    }

    fn wait(&mut self, left: Option<Duration>) {
        // whole seconds, so that the socket's timeout seldom changes
        let timeout = left.map(|left| Duration::from_secs(left.as_secs() + 1));
        if timeout != self.timeout {
            match self.stream.set_read_timeout(timeout) {
                Ok(()) => self.timeout = timeout,
                Err(why) => self.gone = Some(Gone::Broken(why)),
            }
        }
        self.framer.rest();
        self.read(RecvFlags::empty());
    }

    fn wait_at_door(&mut self, left: Option<Duration>, passive: &mut Passive, who: Who<'_>) {
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        let Some(listener) = passive.listener() else { return };
        let mut fds = [
            PollFd::from_borrowed_fd(self.stream.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(listener, PollFlags::IN),
        ];
        // EINTR comes round again
        if poll(&mut fds, timeout.as_ref()).is_err() {
            return;
        }
        let [spoke, came] = fds.map(|fd| !fd.revents().is_empty());
        if came && let Err(why) = passive.admit(who) {
            log::warn!("passive port {}: {why}", passive.port());
        }
        if spoke {
            self.read(RecvFlags::DONTWAIT);
        }
    }

    /// One read, and what it says.
    fn read(&mut self, flags: RecvFlags) {
        self.input.clear();
        self.input.reserve(INPUT);
        match recv(&self.stream, spare_capacity(&mut self.input), flags) {
            Ok((0, _)) => self.gone = Some(Gone::Closed),
            Ok(_) => {
                self.framer.feed(&self.input);
                if self.framer.is_hopeless() {
                    self.gone = Some(Gone::Endless);
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(why) => self.gone = Some(Gone::Broken(why.into())),
        }
    }

    /// Sends a reply in one write.
    pub(super) fn reply(&mut self, reply: &Reply) {
        let mut out = Vec::with_capacity(128);
        reply.write(&mut out);
        self.send(&out);
    }

    /// Sends a preliminary reply.
    pub(super) fn mark(&mut self, mark: &Mark) {
        let mut out = Vec::with_capacity(128);
        mark.write(&mut out);
        self.send(&out);
    }

    fn send(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            match send(&self.stream, rest, SendFlags::NOSIGNAL) {
                Ok(sent) => rest = rest.get(sent..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(why) => {
                    self.gone = Some(Gone::Broken(why.into()));
                    return;
                }
            }
        }
    }

    /// Sleeps, unless the client goes away or the server stops.
    pub(super) fn pause(&self, time: Duration, stop: &Stop) {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(timeout) = Timespec::try_from(left) else { return };
            let mut fds = [
                PollFd::from_borrowed_fd(self.stream.as_fd(), PollFlags::RDHUP),
                PollFd::from_borrowed_fd(stop.as_fd(), PollFlags::IN),
            ];
            match poll(&mut fds, Some(&timeout)) {
                Err(Errno::INTR) => {}
                _ => return,
            }
        }
    }

    /// Lets the last reply reach the client: what it may have sent meanwhile is read and
    /// dropped, because a close with unread bytes would throw the reply away.
    pub(super) fn finish(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
        let mut rest = [0; 256];
        for _ in 0..64 {
            let read = recv(&self.stream, &mut rest, RecvFlags::DONTWAIT);
            if !matches!(read, Ok((1.., _))) {
                return;
            }
        }
    }
}

/// A session's ear on the control connection while it transfers.
pub(super) struct Ear<'a> {
    pub(super) connection: &'a mut Connection,
    pub(super) stop: &'a Stop,
    /// What runs, for STAT.
    pub(super) what: &'a str,
}

impl Ear<'_> {
    /// ABOR ends the transfer, and stays in the queue to be answered after it. STAT is
    /// answered at once if nothing before it waits for an answer, so that replies keep the
    /// order of their commands. QUIT and all others wait (RFC 959 §4.1.1).
    fn obey(&mut self, progress: &Progress) -> Result<(), Interrupt> {
        while self.connection.framer.waiting().next().is_some_and(|line| is(line, b"STAT")) {
            self.connection.framer.pop();
            let reply = transfer_status(self.what, progress);
            self.connection.reply(&reply);
        }
        if self.connection.framer.waiting().any(|line| is(line, b"ABOR")) {
            return Err(Interrupt::Abort);
        }
        Ok(())
    }
}

impl Watch for Ear<'_> {
    fn control(&self) -> Option<BorrowedFd<'_>> {
        let listening = self.connection.gone.is_none() && self.connection.framer.has_room();
        listening.then(|| self.connection.stream.as_fd())
    }

    fn stop(&self) -> BorrowedFd<'_> {
        self.stop.as_fd()
    }

    fn look(&mut self, progress: &Progress) -> Result<(), Interrupt> {
        self.connection.read(RecvFlags::DONTWAIT);
        self.obey(progress)?;
        let quits = || self.connection.framer.waiting().any(|line| is(line, b"QUIT"));
        match self.connection.gone {
            None => Ok(()),
            // our own shutdown of the reading side, or a client that has said all it will
            Some(Gone::Closed) if self.stop.is_soon() || quits() => Ok(()),
            Some(_) => Err(Interrupt::ControlLost),
        }
    }
}

fn is(line: &Line, name: &[u8]) -> bool {
    matches!(line, Line::Text(text) if text.trim_ascii().eq_ignore_ascii_case(name))
}

/// 213 for a transfer that runs (RFC 959 §4.1.3).
fn transfer_status(what: &str, progress: &Progress) -> Reply {
    let seconds = progress.since.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
    let rate = progress.bytes as f64 / 1024.0 / seconds.max(1e-6);
    let text = format!("{what}: {} bytes in {seconds:.1} s, {rate:.1} KiB/s", progress.bytes);
    Reply::new(Code::FileStatus, text)
}
