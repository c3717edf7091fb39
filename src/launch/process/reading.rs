//! Reading the settings again. Another process does that and prints the table of programs, so
//! that a disk that does not answer holds up no program, and no secret of the settings comes
//! into the memory of this process.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};

use crate::launch::message::Word;
use crate::launch::table::Table;
use crate::launch::wire;

/// Maximum length of a table, in bytes.
const LARGEST: u64 = 64 << 20;

/// Maximum length of a fault, in bytes.
const FAULT: usize = 2048;

/// A reading of the settings, and then the wait until they are in effect.
pub(super) struct Reading {
    /// The socket of this reload; `None` once the server has closed it.
    socket: Option<OwnedFd>,
    child: Child,
    /// What the other process prints; `None` after its end.
    output: Option<UnixStream>,
    bytes: Vec<u8>,
    /// The table that was read.
    table: Option<Table>,
}

impl Reading {
    /// Starts the command that prints the table.
    pub(super) fn start(
        socket: OwnedFd,
        mut command: Command,
    ) -> Result<Self, (OwnedFd, String)> {
        let mut start = || {
            let (output, theirs) = UnixStream::pair()?;
            output.set_nonblocking(true)?;
            command.stdout(OwnedFd::from(theirs));
            io::Result::Ok((command.spawn()?, output))
        };
        match start() {
            Ok((child, output)) => Ok(Self {
                socket: Some(socket),
                child,
                output: Some(output),
                bytes: Vec::new(),
                table: None,
            }),
            Err(why) => Err((socket, why.to_string())),
        }
    }

    /// Returns what becomes readable when there is something to do.
    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let output = self.output.as_ref().map(AsFd::as_fd);
        output.into_iter().chain(self.socket.as_ref().map(AsFd::as_fd))
    }

    /// Whether the other process has ended and the server waits for nothing.
    pub(super) fn is_over(&self) -> bool {
        self.socket.is_none() && self.output.is_none()
    }

    /// Does what there is to do. Returns the table once its settings are in effect.
    pub(super) fn attend(&mut self) -> Option<Table> {
        if let Some(mut output) = self.output.as_ref() {
            match Read::take(&mut output, LARGEST).read_to_end(&mut self.bytes) {
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => {}
                Ok(_) | Err(_) => self.end(),
            }
        }
        match self.socket.as_ref().map(wire::hear) {
            None | Some(Ok(None)) => None,
            Some(Ok(Some(Word::Commit))) => {
                self.socket = None;
                self.table.take()
            }
            Some(Ok(Some(_)) | Err(_)) => {
                self.socket = None;
                let _ = self.child.kill();
                None
            }
        }
    }

    /// Tells the server what was read, once the other process has ended.
    fn end(&mut self) {
        self.output = None;
        let status = self.child.wait();
        let bytes = std::mem::take(&mut self.bytes);
        let word = match status {
            Ok(status) if status.success() => match Table::of_bytes(&bytes) {
                Some(table) => {
                    let digest = table.digest();
                    self.table = Some(table);
                    Word::Read(digest.into())
                }
                None => Word::Failed("the programs cannot be read".to_owned()),
            },
            Ok(status) if bytes.is_empty() => {
                Word::Failed(format!("the programs cannot be read: {status}"))
            }
            Ok(_) => {
                let fault = bytes.get(..FAULT).unwrap_or(&bytes);
                Word::Failed(String::from_utf8_lossy(fault).trim_end().to_owned())
            }
            Err(why) => Word::Failed(format!("the programs cannot be read: {why}")),
        };
        let told = self.socket.as_ref().map(|socket| wire::send(socket, &word.bytes(), &[]));
        if self.table.is_none() || !matches!(told, Some(Ok(()))) {
            self.socket = None;
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        // the system forgets the process when this one ends
        let _ = self.child.kill();
    }
}
