//! What each request changes, as the guest writes it into the log of the writes, and which files may
//! be there when the power was lost.

use std::collections::BTreeMap;

use crate::random::fill;

/// What is under a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    Nothing,
    Folder,
    /// A file: seeds of random bytes, and how many there are of each.
    File(Vec<(u64, u64)>),
}

/// The new content of some paths.
pub(crate) type Change = Vec<(String, Content)>;

/// What the client says, before each request and after its reply.
#[derive(Debug, Clone)]
pub(crate) enum Mark {
    /// A request is about to be made. It has a name, and what it changes.
    Begin(String, Change),
    /// The reply to it has arrived, and was a success.
    Done,
}

impl Content {
    /// The bytes of a file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let Self::File(pieces) = self else { return Vec::new() };
        let mut bytes = Vec::new();
        for &(seed, length) in pieces {
            let from = bytes.len();
            bytes.resize(from + length as usize, 0);
            fill(seed, 0, &mut bytes[from..]);
        }
        bytes
    }

    /// Length of a file.
    pub(crate) fn length(&self) -> u64 {
        let Self::File(pieces) = self else { return 0 };
        pieces.iter().map(|piece| piece.1).sum()
    }

    /// The first bytes of a file.
    pub(crate) fn cut(&self, mut length: u64) -> Vec<(u64, u64)> {
        let Self::File(pieces) = self else { return Vec::new() };
        let mut cut = Vec::new();
        for &(seed, size) in pieces {
            let taken = size.min(length);
            length -= taken;
            cut.extend((taken > 0).then_some((seed, taken)));
        }
        cut
    }

    fn write(&self) -> String {
        match self {
            Self::Nothing => "-".to_owned(),
            Self::Folder => "/".to_owned(),
            Self::File(pieces) => {
                let words = pieces.iter().map(|(seed, length)| format!("{seed}:{length}"));
                words.collect::<Vec<_>>().join("+")
            }
        }
    }

    fn read(text: &str) -> Self {
        let piece = |text: &str| {
            let (seed, length) = text.split_once(':').unwrap();
            (seed.parse().unwrap(), length.parse().unwrap())
        };
        match text {
            "-" => Self::Nothing,
            "/" => Self::Folder,
            _ => Self::File(text.split('+').map(piece).collect()),
        }
    }
}

impl Mark {
    /// The text of a mark.
    pub(crate) fn write(&self) -> String {
        match self {
            Self::Done => "done\n".to_owned(),
            Self::Begin(name, change) => {
                let words = change.iter().map(|(path, new)| format!(" {path}={}", new.write()));
                format!("{name}{}\n", words.collect::<String>())
            }
        }
    }

    /// Reads the text of a mark, up to the end of its line.
    pub(crate) fn read(block: &[u8]) -> Self {
        let line = block.split(|&byte| byte == b'\n').next().unwrap();
        let mut words = std::str::from_utf8(line).unwrap().split(' ');
        let name = words.next().unwrap().to_owned();
        if name == "done" {
            return Self::Done;
        }
        let change = words.map(|word| {
            let (path, content) = word.split_once('=').unwrap();
            (path.to_owned(), Content::read(content))
        });
        Self::Begin(name, change.collect())
    }
}

/// The files of the guest, from the first request to a moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    /// What replies of success have told.
    pub(crate) told: BTreeMap<String, Content>,
    /// All that was ever under a path, also by the request under way.
    pub(crate) ever: BTreeMap<String, Vec<Content>>,
    /// Versions that may be incomplete under a path if uploads are not synced: those that were
    /// stored or moved there while the path had none.
    pub(crate) fresh: BTreeMap<String, Vec<Content>>,
    /// Versions whose data nobody has synced.
    unsynced: Vec<Content>,
    /// The request under way.
    pub(crate) pending: Option<(String, Change)>,
    /// Number of replies.
    pub(crate) replies: usize,
}

impl History {
    /// Adds what the client says next.
    pub(crate) fn add(&mut self, mark: &Mark) {
        match mark {
            Mark::Begin(name, change) => {
                for (path, content) in change {
                    self.add_fresh(name, path, content);
                    self.ever.entry(path.clone()).or_default().push(content.clone());
                }
                self.pending = Some((name.clone(), change.clone()));
            }
            Mark::Done => {
                let (_, change) = self.pending.take().expect("a reply without a request");
                self.told.extend(change);
                self.replies += 1;
            }
        }
    }

    fn add_fresh(&mut self, name: &str, path: &str, content: &Content) {
        if !matches!(content, Content::File(_)) {
            return;
        }
        if *self.told(path) != Content::Nothing {
            // what replaces a file is synced before
            return self.unsynced.retain(|other| other != content);
        }
        if matches!(name, "new" | "resume") {
            self.unsynced.push(content.clone());
        }
        if self.unsynced.contains(content) {
            self.fresh.entry(path.to_owned()).or_default().push(content.clone());
        }
    }

    /// What the client was last told of a path.
    pub(crate) fn told(&self, path: &str) -> &Content {
        self.told.get(path).unwrap_or(&Content::Nothing)
    }

    /// What the request under way makes of a path, if it changes it.
    pub(crate) fn coming(&self, path: &str) -> Option<&Content> {
        let (_, change) = self.pending.as_ref()?;
        change.iter().find(|(changed, _)| changed == path).map(|(_, content)| content)
    }
}
