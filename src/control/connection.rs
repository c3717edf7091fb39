//! The control connection: lines in, replies out, each with a deadline; and the ear that a
//! transfer keeps on it.

use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use socket2::{SockRef, TcpKeepalive};

use super::command::{self, Command};
use super::counters::Meter;
use super::line::{Framer, Line};
use super::live::Live;
use super::reply::{Code, Mark, Reply};
use super::shared::Stop;
use crate::data::{Interrupt, Passive, Progress, Watch};
use crate::log::{Who, kib_per_second};
use crate::tls::{Got, Layer, Peer, SessionTls, Want};

/// The stream, and what of it has been read.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Arc<TcpStream>,
    framer: Framer,
    /// The read timeout that the socket has now.
    timeout: Option<Duration>,
    /// What TLS has given out; small.
    input: Vec<u8>,
    tls: Option<Box<Layer>>,
    /// A preliminary reply that may go out with the next one.
    held: Vec<u8>,
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

/// Why a handshake has failed.
#[derive(Debug)]
pub(super) struct Unshaken {
    /// For the log.
    pub(super) why: String,
    /// What came was not TLS.
    pub(super) is_noise: bool,
}

/// A client that does not read its replies for this long is gone.
const WRITE_PATIENCE: Duration = Duration::from_secs(60);

/// A silent peer is asked for a sign of life after this long.
const KEEPALIVE: Duration = Duration::from_secs(120);

/// A client that has been told a passive port mostly speaks within this time.
const PROMPT: Duration = Duration::from_millis(10);

/// One read: commands are short.
const INPUT: usize = 512;

impl Connection {
    /// `login_timeout` also bounds the wait for a stranger to take a reply.
    pub(super) fn new(
        stream: &Arc<TcpStream>,
        login_timeout: Option<Duration>,
    ) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let patience = login_timeout.map_or(WRITE_PATIENCE, |time| time.min(WRITE_PATIENCE));
        stream.set_write_timeout(Some(patience))?;
        let socket = SockRef::from(stream);
        // the urgent byte of a Telnet Synch stays where it is in the stream
        socket.set_out_of_band_inline(true)?;
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
        Ok(Self {
            stream: Arc::clone(stream),
            framer: Framer::default(),
            timeout: None,
            input: Vec::new(),
            tls: None,
            held: Vec::new(),
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
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            // before the queue, which a stranger could keep full
            if left.is_some_and(|left| left.is_zero()) {
                return Heard::TimedOut;
            }
            if let Some(line) = self.framer.pop() {
                return Heard::Line(line);
            }
            if self.gone.is_some() {
                return Heard::Gone;
            }
            let at_door = passive.as_deref_mut().filter(|passive| passive.door().is_some());
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
        self.framer.shrink();
        self.read(RecvFlags::empty());
    }

    fn wait_at_door(&mut self, left: Option<Duration>, passive: &mut Passive, who: Who<'_>) {
        // as a rule the command comes right behind the client
        if passive.is_patient() && left.is_none_or(|left| left > PROMPT) {
            let mut fds = [PollFd::from_borrowed_fd(self.stream.as_fd(), PollFlags::IN)];
            let timeout = Timespec::try_from(PROMPT).ok();
            if matches!(poll(&mut fds, timeout.as_ref()), Ok(1..)) {
                return self.read(RecvFlags::DONTWAIT);
            }
        }
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        let Some(door) = passive.door() else { return };
        let mut fds = [
            PollFd::from_borrowed_fd(self.stream.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(door, PollFlags::IN),
        ];
        // EINTR comes round again
        if poll(&mut fds, timeout.as_ref()).is_err() {
            return;
        }
        let [spoke, came] = fds.map(|fd| !fd.revents().is_empty());
        if came {
            passive.attend(who);
        }
        if spoke {
            self.read(RecvFlags::DONTWAIT);
        }
    }

    /// One read, and what it says.
    fn read(&mut self, flags: RecvFlags) {
        let mut flags = flags;
        loop {
            match self.receive(flags) {
                Ok(Got::Some) => {
                    let answers = self.framer.take_answers();
                    self.send(&answers);
                }
                Ok(Got::Nothing) => return,
                Ok(Got::Closed | Got::Truncated) => self.gone = Some(Gone::Closed),
                Err(why) => self.gone = Some(Gone::Broken(why)),
            }
            if self.framer.is_hopeless() {
                self.gone = Some(Gone::Endless);
            }
            let more = self.tls.as_ref().is_some_and(|layer| layer.has_more());
            if self.gone.is_some() || !more {
                return;
            }
            flags = RecvFlags::DONTWAIT;
        }
    }

    fn receive(&mut self, flags: RecvFlags) -> io::Result<Got> {
        if let Some(layer) = &mut self.tls {
            self.input.clear();
            self.input.reserve(INPUT);
            let got = layer.receive(&self.stream, flags, &mut self.input);
            if matches!(got, Ok(Got::Some)) {
                self.framer.feed(&self.input);
            }
            return got;
        }
        // on the stack, which an idle session has anyway
        let mut input = [0; INPUT];
        match recv(&self.stream, &mut input, flags) {
            Ok((0, _)) => Ok(Got::Closed),
            Ok((read, _)) => {
                self.framer.feed(input.get(..read).unwrap_or_default());
                Ok(Got::Some)
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(Got::Nothing),
            Err(why) => Err(why.into()),
        }
    }

    /// Whether the client has sent something that nobody has looked at yet.
    pub(super) fn has_unread(&self) -> bool {
        !self.framer.is_idle()
    }

    /// Whether what has come of a line is no command: another protocol, most likely.
    pub(super) fn has_noise(&self) -> bool {
        self.framer.has_noise()
    }

    /// Whether TLS protects it.
    pub(super) fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// Version and cipher suite, and whom the client's certificate names.
    pub(super) fn security(&self) -> Option<(String, Option<Peer>)> {
        self.tls.as_ref().map(|layer| (layer.describe(), layer.peer()))
    }

    /// Turns to TLS, which takes until then at the most.
    pub(super) fn start_tls(
        &mut self,
        tls: &SessionTls,
        until: Instant,
        stop: &Stop,
    ) -> Result<(), Unshaken> {
        let failed = |why: &str| Unshaken { why: why.to_owned(), is_noise: false };
        let mut layer = Layer::control(tls).map_err(|why| failed(&why.to_string()))?;
        loop {
            let want = layer.shake(&self.stream, RecvFlags::DONTWAIT);
            let flags = match want
                .map_err(|why| Unshaken { why: why.to_string(), is_noise: layer.has_noise() })?
            {
                None => break,
                Some(Want::Read) => PollFlags::IN,
                Some(Want::Write) => PollFlags::OUT,
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(failed("timeout"));
            }
            if stop.is_soon() {
                return Err(failed("server is stopping"));
            }
            let timeout = Timespec::try_from(left).ok();
            let mut fds = [
                PollFd::from_borrowed_fd(self.stream.as_fd(), flags),
                PollFd::from_borrowed_fd(stop.as_fd(), PollFlags::IN),
            ];
            // EINTR comes round again
            let _ = poll(&mut fds, timeout.as_ref());
        }
        self.tls = Some(Box::new(layer));
        Ok(())
    }

    /// The client is no stranger any more, and has longer to take a reply.
    pub(super) fn trust(&mut self) {
        if let Err(why) = self.stream.set_write_timeout(Some(WRITE_PATIENCE)) {
            self.gone = Some(Gone::Broken(why));
        }
    }

    /// Sends a reply in one write.
    pub(super) fn reply(&mut self, reply: &Reply) {
        self.send(&reply.wire());
    }

    /// The same for the last one. A client whose buffer has no room for it gets none: the next
    /// client may wait for this thread already.
    pub(super) fn last_reply(&mut self, reply: &Reply) {
        let Some(layer) = &mut self.tls else { return send_at_once(&self.stream, reply) };
        // whatever follows must not wait either
        let _ = self.stream.set_nonblocking(true);
        let _ = layer.queue(&reply.wire());
    }

    /// Sends a preliminary reply.
    pub(super) fn mark(&mut self, mark: &Mark) {
        self.send(&mark.wire());
    }

    /// The same where the client need not have it before its data: it goes out with the next
    /// reply, or before anything is waited for.
    pub(super) fn hold(&mut self, mark: &Mark) {
        self.held = mark.wire();
    }

    fn send(&mut self, bytes: &[u8]) {
        if !self.held.is_empty() {
            let mut both = std::mem::take(&mut self.held);
            both.extend_from_slice(bytes);
            return self.send(&both);
        }
        if bytes.is_empty() {
            return;
        }
        let sent = match &mut self.tls {
            None => send_all(&self.stream, bytes),
            Some(layer) => layer.queue(bytes).and_then(|()| {
                let all = layer.flush(&self.stream)?;
                if all { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
            }),
        };
        if let Err(why) = sent {
            self.gone = Some(Gone::Broken(why));
        }
    }

    /// Sleeps, unless the connection breaks or the server stops. A client that has merely said
    /// all it will say waits like any other.
    pub(super) fn pause(&self, time: Duration, stop: &Stop, live: &Live) {
        let until = Instant::now() + time;
        let mut wanted = PollFlags::RDHUP;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(timeout) = Timespec::try_from(left) else { return };
            let mut fds = [
                PollFd::from_borrowed_fd(self.stream.as_fd(), wanted),
                PollFd::from_borrowed_fd(stop.as_fd(), PollFlags::IN),
            ];
            match poll(&mut fds, Some(&timeout)) {
                Err(Errno::INTR) => {}
                Ok(1..) if fds.first().is_some_and(|fd| fd.revents() == PollFlags::RDHUP) => {
                    if stop.is_soon() || live.ended().is_some() {
                        return;
                    }
                    wanted = PollFlags::empty();
                }
                _ => return,
            }
        }
    }

    /// Lets the last reply reach the client: what it may have sent meanwhile is read and
    /// dropped, because a close with unread bytes would throw the reply away.
    pub(super) fn finish(&mut self) {
        if let Some(layer) = &mut self.tls {
            layer.close();
            let _ = layer.flush(&self.stream);
        }
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

/// Sends a reply to a client that has room for it, and to no other.
pub(super) fn send_at_once(stream: &TcpStream, reply: &Reply) {
    let _ = send(stream, &reply.wire(), SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
}

fn send_all(stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match send(stream, rest, SendFlags::NOSIGNAL) {
            Ok(sent) => rest = rest.get(sent..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(why) => return Err(why.into()),
        }
    }
    Ok(())
}

/// A session's ear on the control connection while it transfers.
pub(super) struct Ear<'a> {
    pub(super) connection: &'a mut Connection,
    pub(super) stop: &'a Stop,
    /// Where it is shown how far the transfer has come.
    pub(super) live: &'a Live,
    /// Where its bytes are counted, once they flow.
    pub(super) meter: Option<Meter<'a>>,
    /// The command that runs, for STAT.
    pub(super) verb: &'static str,
    /// Whether bytes flow already, so that a client may leave after QUIT.
    pub(super) flowing: bool,
}

impl Ear<'_> {
    /// ABOR ends the transfer, and stays in the queue to be answered after it. STAT is
    /// answered at once if nothing before it waits for an answer, so that replies keep the
    /// order of their commands. QUIT and all others wait (RFC 959 §4.1.1).
    pub(super) fn obey(&mut self, progress: &Progress) -> Result<(), Interrupt> {
        let stat = |line: &Line| says(line, |it| matches!(it, Command::Stat));
        let abor = |line: &Line| says(line, |it| matches!(it, Command::Abort));
        while self.connection.framer.waiting().next().is_some_and(stat) {
            self.connection.framer.pop();
            let reply = transfer_status(self.verb, progress);
            self.connection.reply(&reply);
        }
        let aborted = self.connection.framer.waiting().any(abor);
        if aborted { Err(Interrupt::Abort) } else { Ok(()) }
    }
}

impl Watch for Ear<'_> {
    fn speak(&mut self, progress: &Progress) {
        self.live.moved(progress.bytes);
        if let Some(meter) = &mut self.meter {
            meter.moved(progress.bytes);
        }
        self.connection.send(&[]);
    }

    fn control(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        // with a full queue nothing is read, but a client that goes away is still noticed
        let room = self.connection.framer.has_room();
        let flags = if room { PollFlags::IN } else { PollFlags::RDHUP };
        self.connection.gone.is_none().then(|| (self.connection.stream.as_fd(), flags))
    }

    fn stop(&self) -> BorrowedFd<'_> {
        self.stop.as_fd()
    }

    fn look(&mut self, progress: &Progress) -> Result<(), Interrupt> {
        if self.connection.framer.has_room() {
            self.connection.read(RecvFlags::DONTWAIT);
        } else {
            self.connection.gone = Some(Gone::Closed);
        }
        self.obey(progress)?;
        let quits = |line| says(line, |it| matches!(it, Command::Quit));
        let quits = || self.connection.framer.waiting().any(quits);
        match self.connection.gone {
            None => Ok(()),
            // a client that has said all it will
            Some(Gone::Closed) if self.flowing && quits() => Ok(()),
            Some(_) => Err(self.live.ended().map_or(Interrupt::ControlLost, Interrupt::Ended)),
        }
    }
}

/// Whether a line that waits for its turn is a certain command.
fn says(line: &Line, wanted: impl Fn(&Command) -> bool) -> bool {
    let Line::Text(text) = line else { return false };
    command::parse(text).is_ok_and(|(_, command)| wanted(&command))
}

/// 211 for a transfer that runs (RFC 959 §4.1.3).
fn transfer_status(verb: &str, progress: &Progress) -> Reply {
    let took = progress.since.elapsed();
    let (bytes, rate) = (progress.bytes, kib_per_second(progress.bytes, took));
    let seconds = took.as_secs_f64();
    let text = format!("{verb} is running: {bytes} bytes in {seconds:.1} s, {rate:.1} KiB/s");
    Reply::new(Code::SystemStatus, text)
}
