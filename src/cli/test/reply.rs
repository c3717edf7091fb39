//! Reads replies out of the bytes of a control connection (RFC 959 §4.2), whatever a server sends.

/// Maximum length of a line. RFC 959 has none; FEAT and banners stay far below this.
const LONGEST_LINE: usize = 8 * 1024;

/// Maximum number of bytes of one reply.
const LONGEST_REPLY: usize = 256 * 1024;

/// A reply: its code and its lines, without the code and the line ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The three digits.
    pub code: u16,
    /// At least one line.
    pub lines: Vec<Vec<u8>>,
}

/// What cannot be read as a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoReply {
    /// The line, or its beginning, is not that of a reply.
    Foreign(Vec<u8>),
    /// The line or the reply is too long.
    TooLong,
}

/// The bytes that have arrived and are not read yet.
#[derive(Debug, Default)]
pub struct Replies {
    bytes: Vec<u8>,
    /// The reply whose last line has not arrived yet, and its size.
    open: Option<(Reply, usize)>,
}

impl Reply {
    /// Returns whether the command was carried out (2yz).
    pub const fn is_done(&self) -> bool {
        self.code / 100 == 2
    }

    /// Returns whether the command is being carried out and another reply follows (1yz).
    pub const fn is_mark(&self) -> bool {
        self.code / 100 == 1
    }

    /// Returns the text of the first line that has one. A first line is often empty in a banner.
    pub fn text(&self) -> &[u8] {
        let mut lines = self.lines.iter().map(|line| line.trim_ascii());
        lines.find(|line| !line.is_empty()).unwrap_or_default()
    }
}

impl Replies {
    /// Adds bytes that have arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Returns whether bytes have arrived that no reply has used.
    pub const fn has_rest(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Forgets all bytes that have arrived in clear text, which TLS must not take over (RFC 4217
    /// §12.9 warns of replies that were slipped in).
    pub fn clear(&mut self) -> bool {
        let had = self.has_rest() || self.open.is_some();
        *self = Self::default();
        had
    }

    /// Returns the next reply, or `None` if more bytes must arrive first.
    ///
    /// # Errors
    ///
    /// When the bytes are not a reply. There is no way to go on after that.
    pub fn take(&mut self) -> Result<Option<Reply>, NoReply> {
        while let Some(line) = self.line()? {
            let size = line.len();
            let Some((mut reply, sum)) = self.open.take() else {
                let (code, more, text) = beginning(&line)?;
                let reply = Reply { code, lines: vec![text] };
                if !more {
                    return Ok(Some(reply));
                }
                self.open = Some((reply, size));
                continue;
            };
            if sum + size > LONGEST_REPLY {
                return Err(NoReply::TooLong);
            }
            match beginning(&line) {
                Ok((code, false, text)) if code == reply.code => {
                    reply.lines.push(text);
                    return Ok(Some(reply));
                }
                // some servers put the code before each line
                Ok((code, true, text)) if code == reply.code => reply.lines.push(text),
                _ => reply.lines.push(line),
            }
            // an empty line takes memory as well
            self.open = Some((reply, sum + size + 24));
        }
        Ok(None)
    }

    /// Takes the next line. A line feed ends it, for some servers send no carriage return.
    fn line(&mut self) -> Result<Option<Vec<u8>>, NoReply> {
        let Some(end) = self.bytes.iter().position(|&byte| byte == b'\n') else {
            let is_new = self.open.is_none();
            if is_new && !may_begin(&self.bytes) {
                return Err(NoReply::Foreign(head(&self.bytes)));
            }
            let is_long = self.bytes.len() > LONGEST_LINE;
            return if is_long { Err(NoReply::TooLong) } else { Ok(None) };
        };
        if end > LONGEST_LINE {
            return Err(NoReply::TooLong);
        }
        let mut line: Vec<u8> = self.bytes.drain(..=end).collect();
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(line))
    }
}

/// Splits a line into its code, whether more lines follow, and its text.
fn beginning(line: &[u8]) -> Result<(u16, bool, Vec<u8>), NoReply> {
    let foreign = || NoReply::Foreign(head(line));
    let (digits, rest) = line.split_at_checked(3).ok_or_else(foreign)?;
    if !may_begin(digits) {
        return Err(foreign());
    }
    let code = digits.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    match rest.split_first() {
        None => Ok((code, false, Vec::new())),
        Some((b' ', text)) => Ok((code, false, text.to_vec())),
        Some((b'-', text)) => Ok((code, true, text.to_vec())),
        Some(_) => Err(foreign()),
    }
}

/// Returns whether the first three of these bytes, as far as they have arrived, are the digits of a
/// code.
fn may_begin(bytes: &[u8]) -> bool {
    let mut digits = bytes.iter().take(3);
    digits.next().is_none_or(|first| (b'1'..=b'6').contains(first))
        && digits.all(u8::is_ascii_digit)
}

/// Returns the beginning of a line, for a message.
fn head(line: &[u8]) -> Vec<u8> {
    line.iter().copied().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Result<Vec<(u16, Vec<String>)>, NoReply> {
        let mut replies = Replies::default();
        replies.push(bytes);
        let mut found = Vec::new();
        while let Some(reply) = replies.take()? {
            let lines = reply.lines.iter().map(|line| String::from_utf8_lossy(line).into());
            found.push((reply.code, lines.collect()));
        }
        Ok(found)
    }

    fn one(bytes: &[u8]) -> (u16, Vec<String>) {
        all(bytes).unwrap().remove(0)
    }

    #[test]
    fn replies_of_one_line_and_of_several_are_read() {
        let lines =
            |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect::<Vec<_>>();
        assert_eq!(one(b"220 hello\r\n"), (220, lines(&["hello"])));
        assert_eq!(one(b"220\r\n"), (220, lines(&[""])));
        assert_eq!(one(b"220 bare\n"), (220, lines(&["bare"])));
        let text = b"211-Features:\r\n MDTM\r\n211-EPSV\r\n 220 x\r\n226 y\r\n211 End\r\n";
        let read = lines(&["Features:", " MDTM", "EPSV", " 220 x", "226 y", "End"]);
        assert_eq!(one(text), (211, read));
        assert_eq!(all(b"150 a\r\n226 b\r\n").unwrap().len(), 2);
        assert_eq!(all(b"150 a\r\n226 b").unwrap().len(), 1);
        assert_eq!(all(b"").unwrap().len(), 0);
    }

    #[test]
    fn what_is_no_reply_is_known_before_its_line_ends() {
        for bytes in
            [&b"SSH-2.0-OpenSSH_9.2\r\n"[..], b"\x15\x03\x01\0\x02", b"HTTP/1.1", b"22x"]
        {
            assert!(matches!(all(bytes), Err(NoReply::Foreign(_))), "{bytes:?}");
        }
        assert!(matches!(all(b"\r\n"), Err(NoReply::Foreign(_))));
        assert!(matches!(all(b"220x\r\n"), Err(NoReply::Foreign(_))));
        assert!(all(b"22").unwrap().is_empty());
    }

    #[test]
    fn memory_is_bounded() {
        assert_eq!(all(&[b'2'; LONGEST_LINE + 2]), Err(NoReply::TooLong));
        let endless = [&b"220-x\r\n"[..], &b"\r\n".repeat(LONGEST_REPLY)].concat();
        assert_eq!(all(&endless), Err(NoReply::TooLong));
    }

    #[test]
    fn the_text_is_the_first_line_that_has_one() {
        let mut replies = Replies::default();
        replies.push(b"220-\r\n  Welcome \r\n220 x\r\n");
        assert_eq!(replies.take().unwrap().unwrap().text(), b"Welcome");
        replies.push(b"220-half");
        assert!(replies.clear() && !replies.clear());
    }
}
