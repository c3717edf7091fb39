//! Reads a response (RFC 9112). A response that is cut off is an error, never a shorter one.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};

/// The response of a server.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    /// The status, such as 200.
    pub status: u16,
    /// The body; empty if the status is not 200.
    pub body: Vec<u8>,
}

/// Maximum length of a line of the head, or of one that begins a chunk.
const LONGEST_LINE: usize = 8 << 10;

/// Maximum number of lines of the head and of the trailer.
const MOST_LINES: usize = 200;

/// How the end of the body is found (RFC 9112 §6.3).
enum End {
    Length(usize),
    Chunks,
    Closed,
}

impl Response {
    /// Reads a response with a body of at most `longest` bytes.
    pub(super) fn read(from: impl Read, longest: usize) -> io::Result<Self> {
        let mut from = BufReader::with_capacity(LONGEST_LINE, from);
        let (status, end) = final_head(&mut from)?;
        if status != 200 {
            return Ok(Self { status, body: Vec::new() });
        }
        let mut body = Vec::new();
        match end {
            End::Length(length) => take(&mut from, length, longest, &mut body)?,
            End::Chunks => chunks(&mut from, longest, &mut body)?,
            End::Closed => {
                let most = u64::try_from(longest).unwrap_or(u64::MAX).saturating_add(1);
                from.take(most).read_to_end(&mut body)?;
                if body.len() > longest {
                    return Err(too_long());
                }
            }
        }
        Ok(Self { status, body })
    }

    /// Reads the status of a response.
    pub(super) fn read_status(from: impl Read) -> io::Result<u16> {
        final_head(&mut BufReader::with_capacity(LONGEST_LINE, from)).map(|(status, _)| status)
    }
}

/// Reads the head of the final response. Interim ones come before it.
fn final_head(from: &mut impl BufRead) -> io::Result<(u16, End)> {
    let mut found = head(from)?;
    for _ in 0..8 {
        if !(100..200).contains(&found.0) || found.0 == 101 {
            break;
        }
        found = head(from)?;
    }
    Ok(found)
}

/// Reads the status line and the fields of the head.
fn head(from: &mut impl BufRead) -> io::Result<(u16, End)> {
    let first = line(from)?;
    let mut words = first.splitn(3, ' ');
    let is_http = words.next().is_some_and(|word| matches!(word, "HTTP/1.1" | "HTTP/1.0"));
    let status = words.next().filter(|word| word.len() == 3).and_then(|word| word.parse().ok());
    let Some(status) = status.filter(|_| is_http) else { return Err(bad("is not HTTP/1.1")) };
    let mut end = End::Closed;
    for _ in 0..MOST_LINES {
        let line = line(from)?;
        if line.is_empty() {
            return Ok((status, end));
        }
        let (name, value) = line.split_once(':').ok_or_else(|| bad("has a bad header"))?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("transfer-encoding") {
            if !value.eq_ignore_ascii_case("chunked") {
                return Err(bad("has an unknown transfer encoding"));
            }
            end = End::Chunks;
        } else if name.eq_ignore_ascii_case("content-encoding")
            && !value.eq_ignore_ascii_case("identity")
        {
            return Err(bad("is compressed, which was not asked for"));
        } else if name.eq_ignore_ascii_case("content-length") {
            let digits = value.bytes().all(|byte| byte.is_ascii_digit());
            let length = value.parse().ok().filter(|_| digits);
            let length = length.ok_or_else(|| bad("has a bad Content-Length"))?;
            match end {
                End::Length(other) if other != length => {
                    return Err(bad("has two values of Content-Length"));
                }
                End::Chunks => {}
                End::Length(_) | End::Closed => end = End::Length(length),
            }
        }
    }
    Err(bad("has too many headers"))
}

fn chunks(from: &mut impl BufRead, longest: usize, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let line = line(from)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let digits = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = usize::from_str_radix(size, 16).ok().filter(|_| digits);
        let size = size.ok_or_else(|| bad("has a bad chunk"))?;
        if size == 0 {
            break;
        }
        take(from, size, longest, body)?;
        if !self::line(from)?.is_empty() {
            return Err(bad("has a bad chunk"));
        }
    }
    for _ in 0..MOST_LINES {
        if line(from)?.is_empty() {
            return Ok(());
        }
    }
    Err(bad("has too many trailers"))
}

/// Reads exactly `length` bytes, unless the body becomes too long.
fn take(
    from: &mut impl BufRead,
    length: usize,
    longest: usize,
    body: &mut Vec<u8>,
) -> io::Result<()> {
    let begin = body.len();
    if longest - begin < length {
        return Err(too_long());
    }
    body.resize(begin + length, 0);
    from.read_exact(body.get_mut(begin..).unwrap_or_default())
}

/// Reads a line, and returns it without its end.
fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    let most = u64::try_from(LONGEST_LINE).unwrap_or(u64::MAX);
    from.take(most).read_until(b'\n', &mut bytes)?;
    let Some(line) = bytes.strip_suffix(b"\n") else {
        let is_cut = bytes.len() < LONGEST_LINE;
        return Err(if is_cut {
            ErrorKind::UnexpectedEof.into()
        } else {
            bad("has a long line")
        });
    };
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    Ok(String::from_utf8_lossy(line).into_owned())
}

fn bad(why: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("the response {why}"))
}

fn too_long() -> io::Error {
    bad("is too long")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<(u16, String), String> {
        let response = Response::read(text.as_bytes(), 10).map_err(|why| why.to_string())?;
        Ok((response.status, String::from_utf8(response.body).unwrap()))
    }

    #[test]
    fn the_three_ways_to_end_a_body_are_understood() {
        let whole = Ok((200, "0123456789".to_owned()));
        let head = "HTTP/1.1 200 OK\r\nServer: x\r\n";
        assert_eq!(read(&format!("{head}Content-Length: 10\r\n\r\n0123456789more")), whole);
        assert_eq!(read(&format!("{head}\r\n0123456789")), whole);
        let chunked = "transfer-encoding: Chunked\r\ncontent-length: 3\r\n\r\n";
        let body = "4\r\n0123\r\n6;x=y\r\n456789\r\n0\r\nTrailer: x\r\n\r\n";
        assert_eq!(read(&format!("{head}{chunked}{body}")), whole);
        assert_eq!(read(&format!("HTTP/1.1 100 Continue\r\n\r\n{head}\r\n0123456789")), whole);
        assert_eq!(read("HTTP/1.0 200\n\nx"), Ok((200, "x".to_owned())));
        for status in [204, 301, 302, 401, 403, 500] {
            let text = format!("HTTP/1.1 {status} X\r\nContent-Length: 99999\r\n\r\n");
            assert_eq!(read(&text), Ok((status, String::new())));
        }
    }

    #[test]
    fn what_is_cut_off_too_long_or_no_response_is_an_error() {
        let head = "HTTP/1.1 200 OK\r\n";
        let length = format!("{head}Content-Length: 10\r\n\r\n0123456789");
        let chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n3\r\n012\r\n0\r\n\r\n");
        assert!(read(&length).is_ok() && read(&chunked).is_ok());
        for whole in [length, chunked] {
            for end in 0..whole.len() {
                assert!(read(&whole[..end]).is_err(), "{}", &whole[..end]);
            }
        }
        for text in [
            "",
            "\r\n\r\n",
            "SSH-2.0-x\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nno header\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n0123456789a",
            "HTTP/1.1 200 OK\r\n\r\n0123456789a",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nx",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nxyz\r\n0\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
        ] {
            assert!(read(text).is_err(), "{text}: {:?}", read(text));
        }
        let long = format!("{head}X: {}\r\n\r\n", "x".repeat(LONGEST_LINE));
        assert!(read(&long).is_err());
        assert!(read(&format!("{head}{}\r\n", "X: y\r\n".repeat(MOST_LINES))).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(
            head in "(HTTP/1\\.1 200 OK\r\n(Content-Length: [0-9]{1,3}\r\n|Transfer-Encoding: chunked\r\n)?\r\n)?",
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let all = [head.as_bytes(), &bytes].concat();
            if let Ok(response) = Response::read(&all[..], 100) {
                prop_assert!(response.body.len() <= 100);
            }
        }
    }
}
