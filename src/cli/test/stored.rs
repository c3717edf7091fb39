//! Where the server has put the probe file. A server that stores an upload under another name, such as
//! ours with `store_as`, says so in a reply: `FILE: name`, in the form of RFC 1123 §4.1.2.9.

use super::facts::{Answer, Transfer};
use super::reply::Reply;

/// Precedes the name in a reply.
const MARKER: &[u8] = b"FILE: ";

/// The places on the server where the probe file can be.
pub(super) struct Stored {
    /// The name that the client sends.
    sent: Vec<u8>,
    /// The part of the name that the server keeps wherever it stores the file, so that no reply can
    /// lead the client to another file.
    stem: Vec<u8>,
    /// The latest is last.
    places: Vec<Place>,
}

/// The name of a file on the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) name: Vec<u8>,
    /// The server has said that the file is stored.
    pub(super) is_stored: bool,
    /// The server has answered the upload. If not, it may have put the file elsewhere.
    pub(super) is_heard: bool,
}

impl Stored {
    pub(super) fn new(stem: &str, ending: &str) -> Self {
        let sent = [stem, ending].concat().into_bytes();
        Self { sent, stem: stem.as_bytes().to_vec(), places: Vec::new() }
    }

    /// Returns the name that the client sends.
    pub(super) fn sent(&self) -> &[u8] {
        &self.sent
    }

    /// Returns the name of the file on the server.
    pub(super) fn name(&self) -> &[u8] {
        let latest = self.places.iter().rfind(|place| place.is_stored);
        latest.map_or(&self.sent, |place| &place.name)
    }

    /// Notes what the replies to an upload say.
    pub(super) fn note(&mut self, upload: &Transfer) {
        let is_begun = |answer: &Answer| answer.as_ref().map_or(true, |reply| reply.code < 300);
        if !upload.mark.as_ref().is_some_and(is_begun) {
            return;
        }
        let mut replies = [&upload.last, &upload.mark].into_iter().flatten().flatten();
        let name = replies.find_map(|reply| self.named(reply));
        let name = name.unwrap_or_else(|| self.sent.clone());
        let is_stored = matches!(&upload.last, Some(Ok(reply)) if reply.is_done());
        let is_heard = matches!(&upload.mark, Some(Ok(_)));
        match self.places.iter().position(|place| place.name == name) {
            Some(at) => {
                let known = self.places.remove(at);
                let is_stored = is_stored || known.is_stored;
                let is_heard = is_heard && known.is_heard;
                self.places.push(Place { name, is_stored, is_heard });
            }
            None => self.places.push(Place { name, is_stored, is_heard }),
        }
    }

    /// Returns the places, those first where the server has stored the file.
    pub(super) fn places(&self) -> Vec<Place> {
        let (mut stored, others): (Vec<_>, Vec<_>) =
            self.places.iter().cloned().partition(|place| place.is_stored);
        stored.extend(others);
        stored
    }

    /// Returns the name of the probe file in a reply.
    fn named(&self, reply: &Reply) -> Option<Vec<u8>> {
        let name = |line: &Vec<u8>| {
            let at = line.windows(MARKER.len()).position(|part| part == MARKER)?;
            line.get(at + MARKER.len()..).map(|rest| rest.trim_ascii_end().to_vec())
        };
        let is_own = |name: &Vec<u8>| {
            let mut parts = name.windows(self.stem.len());
            parts.any(|part| part == self.stem) && !name.iter().any(u8::is_ascii_control)
        };
        reply.lines.iter().filter_map(name).find(is_own)
    }
}

#[cfg(test)]
mod tests {
    use super::super::facts::{Trouble, Way};
    use super::*;

    fn reply(code: u16, text: &str) -> Option<Answer> {
        Some(Ok(Reply { code, lines: vec![text.as_bytes().to_vec()] }))
    }

    fn after(uploads: &[(Option<Answer>, Option<Answer>)]) -> Stored {
        let mut stored = Stored::new("probe-1", ".tmp");
        for (mark, last) in uploads {
            let mut fact = Transfer::new("STOR", Way::Epsv);
            (fact.mark, fact.last) = (mark.clone(), last.clone());
            stored.note(&fact);
        }
        stored
    }

    fn places(stored: &Stored) -> Vec<(String, bool)> {
        let places = stored.places().into_iter();
        places.map(|place| (String::from_utf8(place.name).unwrap(), place.is_stored)).collect()
    }

    fn place(name: &str, is_stored: bool) -> (String, bool) {
        (name.to_owned(), is_stored)
    }

    #[test]
    fn the_reply_names_the_place() {
        let begun = || reply(150, "Opening data connection");
        for (mark, last, wanted) in [
            (begun(), reply(226, "Transfer complete"), "probe-1.tmp"),
            (
                begun(),
                reply(226, "Transfer complete, FILE: /in/11/probe-1.tmp"),
                "/in/11/probe-1.tmp",
            ),
            (begun(), reply(226, "ok, FILE: /a b/probe-1 (1).tmp \r"), "/a b/probe-1 (1).tmp"),
            (reply(150, "FILE: tmp/probe-1"), reply(226, "ok"), "tmp/probe-1"),
            (begun(), reply(226, "ok, FILE: probe-1/bob"), "probe-1/bob"),
            // other files stay as they are, whatever a server says
            (begun(), reply(226, "ok, FILE: /etc/passwd"), "probe-1.tmp"),
            (begun(), reply(226, "ok, FILE: x\rDELE probe-1"), "probe-1.tmp"),
        ] {
            let stored = after(&[(mark, last)]);
            assert_eq!(String::from_utf8_lossy(stored.name()), wanted);
            assert_eq!(places(&stored), [place(wanted, true)]);
        }
    }

    #[test]
    fn each_place_is_known_once_and_what_was_stored_comes_first() {
        let begun = || reply(150, "ok");
        let stored = after(&[
            (begun(), reply(552, "over quota")),
            (begun(), reply(226, "ok, FILE: 1/probe-1.tmp")),
            (begun(), Some(Err(Trouble::Interrupted))),
            (begun(), reply(226, "ok, FILE: 2/probe-1.tmp")),
            (begun(), reply(226, "ok, FILE: 1/probe-1.tmp")),
            (reply(553, "no, FILE: 3/probe-1.tmp"), None),
        ]);
        let wanted = [
            place("2/probe-1.tmp", true),
            place("1/probe-1.tmp", true),
            place("probe-1.tmp", false),
        ];
        assert_eq!(places(&stored), wanted);
        assert_eq!(stored.name(), b"1/probe-1.tmp");
        assert!(places(&after(&[(reply(553, "no"), None)])).is_empty());
        let unknown = [(Some(Err(Trouble::Closed)), None)];
        assert_eq!(places(&after(&unknown)), [place("probe-1.tmp", false)]);
        assert!(!after(&unknown).places()[0].is_heard);
        assert!(after(&[(begun(), None)]).places()[0].is_heard);
    }
}
