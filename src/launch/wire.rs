//! Sockets on which each message arrives whole, with file descriptors beside it.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::cmsg_space;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};

use super::message::{LONGEST, Word};

/// Maximum number of file descriptors beside a message.
const MOST: usize = 4;

/// The result of reading from a socket.
#[derive(Debug)]
pub(super) enum Arrived {
    /// Nothing yet.
    Nothing,
    /// A message, and the file descriptors beside it.
    Message(Vec<u8>, Vec<OwnedFd>),
    /// The other side has closed the socket.
    End,
}

/// Makes two sockets that are connected to each other.
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Sends a message if there is room for it.
pub(super) fn send(
    socket: impl AsFd,
    bytes: &[u8],
    beside: &[BorrowedFd<'_>],
) -> io::Result<()> {
    if bytes.len() > LONGEST {
        return Err(Errno::MSGSIZE.into());
    }
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !beside.is_empty() && !control.push(SendAncillaryMessage::ScmRights(beside)) {
        return Err(Errno::MSGSIZE.into());
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    sendmsg(socket, &[IoSlice::new(bytes)], &mut control, flags)?;
    Ok(())
}

/// Sends a message, and waits until there is room for it, but no longer than `time`.
pub(super) fn send_within(
    socket: impl AsFd,
    bytes: &[u8],
    beside: &[BorrowedFd<'_>],
    time: Duration,
) -> io::Result<()> {
    let until = Instant::now() + time;
    loop {
        match send(&socket, bytes, beside) {
            Err(why) if why.kind() == io::ErrorKind::WouldBlock && Instant::now() < until => {
                wait(&mut [PollFd::new(&socket, PollFlags::OUT)], Some(until))?;
            }
            done => return done,
        }
    }
}

/// Takes a message of at most `most` bytes, if one has arrived.
///
/// # Errors
///
/// When the system refuses, or when the message or what is beside it is too long.
pub(super) fn receive(socket: impl AsFd, most: usize) -> io::Result<Arrived> {
    let mut bytes = vec![0; most];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let got = recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags);
    let got = match got {
        Ok(got) => got,
        Err(Errno::AGAIN | Errno::INTR) => return Ok(Arrived::Nothing),
        Err(Errno::CONNRESET) => return Ok(Arrived::End),
        Err(why) => return Err(why.into()),
    };
    let mut beside = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            beside.extend(fds);
        }
    }
    if got.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(Errno::MSGSIZE.into());
    }
    if got.bytes == 0 {
        return Ok(Arrived::End);
    }
    bytes.truncate(got.bytes);
    Ok(Arrived::Message(bytes, beside))
}

/// Maximum length of the messages on the socket of a program or a reload.
const WORD: usize = 8 * 1024;

/// Takes a word from the socket of a program or a reload. Returns `None` if none has arrived.
///
/// # Errors
///
/// When the other side has closed the socket, or has sent anything else.
pub(super) fn hear(socket: impl AsFd) -> io::Result<Option<Word>> {
    match receive(socket, WORD)? {
        Arrived::Nothing => Ok(None),
        Arrived::End => Err(io::ErrorKind::UnexpectedEof.into()),
        Arrived::Message(bytes, _) => {
            let word = Word::of_bytes(&bytes);
            word.map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
        }
    }
}

/// Waits for a word, but no longer than `time`.
pub(super) fn hear_within(socket: impl AsFd, time: Duration) -> io::Result<Word> {
    let until = Instant::now() + time;
    loop {
        match hear(&socket)? {
            Some(word) => return Ok(word),
            None if Instant::now() < until => {
                wait(&mut [PollFd::new(&socket, PollFlags::IN)], Some(until))?;
            }
            None => return Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// Waits until one of these is ready, or until a point in time. Returns early at a signal.
#[expect(clippy::disallowed_methods, reason = "no connection of a client is waited for")]
pub(super) fn wait(those: &mut [PollFd<'_>], until: Option<Instant>) -> io::Result<()> {
    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
    let left = left.and_then(|left| Timespec::try_from(left).ok());
    match poll(those, left.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(why) => Err(why.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    fn message(socket: &OwnedFd) -> (Vec<u8>, Vec<OwnedFd>) {
        match receive(socket, LONGEST).unwrap() {
            Arrived::Message(bytes, beside) => (bytes, beside),
            Arrived::Nothing | Arrived::End => panic!("no message"),
        }
    }

    #[test]
    fn messages_arrive_whole_with_what_is_beside_them() {
        let (here, there) = pair().unwrap();
        assert!(matches!(receive(&there, LONGEST).unwrap(), Arrived::Nothing));
        let (mut reader, writer) = io::pipe().unwrap();
        send(&here, b"one", &[writer.as_fd()]).unwrap();
        send(&here, &vec![7; LONGEST], &[]).unwrap();
        drop(writer);
        let (bytes, mut beside) = message(&there);
        assert_eq!((bytes.as_slice(), beside.len()), (&b"one"[..], 1));
        io::PipeWriter::from(beside.remove(0)).write_all(b"text").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "text");
        assert_eq!(message(&there).0.len(), LONGEST);
        assert!(hear(&there).unwrap().is_none());
        drop(here);
        assert!(matches!(receive(&there, LONGEST).unwrap(), Arrived::End));
        assert!(hear(&there).is_err());
    }

    #[test]
    fn what_is_too_long_is_refused() {
        let (here, there) = pair().unwrap();
        assert!(send(&here, &vec![7; LONGEST + 1], &[]).is_err());
        // the room for file descriptors is rounded up
        let many = [here.as_fd(); 2 * MOST];
        assert!(send(&here, b"one", &many).is_err());
        rustix::net::send(&here, &vec![7; LONGEST + 1], SendFlags::empty()).unwrap();
        assert!(receive(&there, LONGEST).is_err());
        send(&here, b"no word", &[]).unwrap();
        assert!(hear(&there).is_err());
    }
}
