//! Sends events by HTTP: one POST for each.

use std::path::Path;
use std::time::Instant;

use ring::hmac::{HMAC_SHA256, Key, sign};

use super::duty::{Duty, PATIENCE};
use super::outbox::Next;
use crate::config::{Secret, Url};
use crate::http::Client;

/// A URL that is told of events.
#[derive(Debug)]
pub(super) struct Webhook {
    client: Client,
    /// The key of the signatures.
    key: Option<Key>,
}

/// What the receiver makes of an event.
enum Answer {
    Taken,
    /// It will not have this event, whatever happens.
    Refused(u16),
}

/// The field with the signature.
const SIGNATURE: &str = "X-Ftpd-Signature";

impl Webhook {
    pub(super) fn new(
        url: &Url,
        ca_file: Option<&Path>,
        secret: Option<&Secret>,
    ) -> Result<Self, String> {
        let key = secret.map(|secret| Key::new(HMAC_SHA256, secret.expose().as_bytes()));
        Ok(Self { client: Client::new(url, ca_file)?, key })
    }

    /// Sends events until it is over, or until the receiver fails.
    pub(super) fn deliver(&self, duty: &Duty<'_>) -> Result<(), String> {
        loop {
            let batch = match duty.next(None, None) {
                Next::Send(batch) => batch,
                Next::Idle => continue,
                Next::Nothing => return Ok(()),
            };
            for (at, record) in batch.records.iter().enumerate() {
                match self.post(&record.json, duty.is_cut) {
                    Ok(Answer::Taken) => {}
                    Ok(Answer::Refused(status)) => {
                        duty.refused(&batch, at, &format!("status {status}"));
                        break;
                    }
                    Err(why) => return Err(why),
                }
                duty.sent(&batch, at..at + 1);
                if (duty.is_over)(false) {
                    return Ok(());
                }
            }
        }
    }

    fn post(&self, json: &[u8], is_over: &dyn Fn() -> bool) -> Result<Answer, String> {
        let signature = self.key.as_ref().map(|key| signature(key, json));
        let field = signature.as_deref().map(|text| (SIGNATURE, text));
        let until = Instant::now() + PATIENCE;
        let status = self.client.tell((json, field.as_slice()), until, is_over);
        match status.map_err(|why| why.to_string())? {
            200..=299 => Ok(Answer::Taken),
            status @ (413 | 422) => Ok(Answer::Refused(status)),
            status @ 300..=399 => {
                Err(format!("status {status}, and redirects are not followed"))
            }
            status => Err(format!("status {status}")),
        }
    }
}

fn signature(key: &Key, body: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = "sha256=".to_owned();
    for byte in sign(key, body).as_ref() {
        // cannot fail: it is written to memory
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_rfc_4231() {
        let key = Key::new(HMAC_SHA256, b"Jefe");
        assert_eq!(
            signature(&key, b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
