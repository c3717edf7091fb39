//! The replies that `ftpd test` reads from any server: however the bytes arrive, they are the same
//! replies, and the addresses in them are read without a panic.

use ftpd::cli::{Replies, Reply, of_227, of_229};

use super::pieces::Pieces;

/// Checks one conversation.
pub(super) fn check(data: &[u8]) {
    let pieces = Pieces::of(data);
    let whole = read(std::iter::once(pieces.rest()));
    assert_eq!(read(pieces.clone()), whole, "pieces differ from the whole");
    let (replies, _) = whole;
    let mut sum = 0;
    for reply in &replies {
        assert!((100..700).contains(&reply.code), "{reply:?}");
        assert!(!reply.lines.is_empty());
        assert!(reply.lines.iter().all(|line| !line.contains(&b'\n')), "{reply:?}");
        sum += reply.lines.iter().map(Vec::len).sum::<usize>();
        let text = reply.text();
        if let Some(address) = of_227(text) {
            let [a, b] = address.port().to_be_bytes();
            let ip = address.ip().to_string().replace('.', ",");
            let again = of_227(format!("({ip},{a},{b})").as_bytes());
            assert_eq!(again, Some(address));
        }
        assert_ne!(of_229(text), Some(0));
    }
    assert!(sum <= pieces.rest().len(), "more was read than has arrived");
}

/// Reads replies until the bytes end or are none. Returns whether they were none as well.
fn read<'a>(parts: impl Iterator<Item = &'a [u8]>) -> (Vec<Reply>, bool) {
    let (mut replies, mut found) = (Replies::default(), Vec::new());
    for part in parts {
        replies.push(part);
        loop {
            match replies.take() {
                Ok(Some(reply)) => found.push(reply),
                Ok(None) => break,
                Err(_) => return (found, true),
            }
        }
    }
    (found, false)
}
