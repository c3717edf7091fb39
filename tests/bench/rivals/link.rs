//! The connections of the client, with TLS or without, and how their data is read.

use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::net::RecvFlags;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// What a reader does with the bytes.
#[derive(Clone, Copy)]
pub enum Reader {
    /// The kernel discards them.
    Discard,
    /// They are copied, 64 KiB at a time.
    Copy,
}

/// A connection, with TLS or without.
pub enum Link {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, Buffered>>),
}

/// A stream that is read in large pieces, whatever size rustls asks for.
pub struct Buffered(BufReader<TcpStream>);

impl Buffered {
    pub fn of(stream: TcpStream) -> Self {
        Self(BufReader::with_capacity(256 << 10, stream))
    }
}

impl Read for Buffered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Buffered {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.get_mut().write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.get_mut().write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Link {
    pub fn stream(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(tls) => tls.sock.0.get_ref(),
        }
    }

    pub fn secured(stream: TcpStream, config: &Arc<ClientConfig>) -> Self {
        let name = "localhost".try_into().expect("name");
        let connection = ClientConnection::new(Arc::clone(config), name).expect("TLS");
        Self::Tls(Box::new(StreamOwned::new(connection, Buffered::of(stream))))
    }

    /// Carries out the handshake. `None`: what has arrived is not TLS.
    pub fn shaken(mut self) -> Option<Self> {
        if let Self::Tls(tls) = &mut self {
            while tls.conn.is_handshaking() {
                tls.conn.complete_io(&mut tls.sock).ok()?;
            }
        }
        Some(self)
    }

    /// Ends the sending side.
    pub fn end(&mut self) {
        if let Self::Tls(tls) = self {
            tls.conn.send_close_notify();
            while tls.conn.wants_write() {
                tls.conn.write_tls(&mut tls.sock).expect("end of TLS");
            }
        }
        self.stream().shutdown(Shutdown::Write).expect("end of data");
    }
}

impl Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(tls) => match tls.read(buffer) {
                // some servers end without saying so
                Err(why) if why.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
                other => other,
            },
        }
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls(tls) => tls.flush(),
        }
    }
}

/// Reads to the end.
pub fn drain(data: &mut TcpStream, reader: Reader) -> u64 {
    let mut bytes = 0;
    match reader {
        Reader::Discard => {
            // nothing is copied: the buffer is only a length to the kernel, and never touched
            let mut none: Vec<u8> = vec![0; 1 << 20];
            loop {
                let flags = RecvFlags::TRUNC;
                match rustix::net::recv(data.as_fd(), none.as_mut_slice(), flags) {
                    Ok((_, 0)) => return bytes,
                    Ok((_, read)) => bytes += read as u64,
                    Err(rustix::io::Errno::INTR) => {}
                    Err(why) => panic!("data: {why}"),
                }
            }
        }
        Reader::Copy => copy(data),
    }
}

/// Reads to the end, 64 KiB at a time.
pub fn copy(data: &mut impl Read) -> u64 {
    let (mut chunk, mut bytes) = (vec![0; 1 << 16], 0);
    loop {
        match data.read(&mut chunk).expect("data") {
            0 => return bytes,
            read => bytes += read as u64,
        }
    }
}
