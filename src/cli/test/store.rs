//! The probe file: it is uploaded, in two halves, read back, and removed whatever happens in between.

use super::client::Client;
use super::facts::{Download, Fact, Removal, Resumption, Transfer, Trouble, Way};
use super::probe::{End, Examination, repeated};
use super::stored::{Place, Stored};
use super::transfer::{Body, Order};

/// Size of the probe file, of which each upload sends a half.
const SIZE: usize = 1 << 19;

/// The ending of its name.
const ENDING: &str = ".tmp";

impl Examination<'_> {
    /// Uploads the probe file, reads it back, and removes it.
    pub(super) fn store(&mut self, client: Client, way: Way) -> Result<Client, End> {
        let mut client = Some(client);
        let mut stored = Stored::new(&self.plan.stem, ENDING);
        let went_well = self.store_and_fetch(&mut client, way, &mut stored).is_ok();
        let places = stored.places();
        if places.is_empty() {
            return client.ok_or(End);
        }
        let client = self.remove(client.filter(|_| went_well), &places)?;
        if went_well { Ok(client) } else { Err(End) }
    }

    fn store_and_fetch(
        &mut self,
        slot: &mut Option<Client>,
        way: Way,
        stored: &mut Stored,
    ) -> Result<(), End> {
        let content = content();
        let (half, rest) = content.split_at(SIZE / 2);
        let mut client = slot.take().ok_or(End)?;
        let session = client.local;
        let sent = stored.sent().to_vec();
        let mut first = send(&mut client, stored, ("STOR", None, &sent), way, half);
        client = self.sound(client, &first)?;
        if first.is_stalled() && way != Way::Active {
            (client, first.small) = self.small(client, |_, client| {
                Ok(send(client, stored, ("STOR", None, &sent), way, half).is_done())
            })?;
        }
        let is_stored = first.is_done() || first.small == Some(true);
        self.tell(&Fact::Upload(first));
        if !is_stored || self.clock.is_stopped() {
            *slot = Some(client);
            return if is_stored { Err(End) } else { Ok(()) };
        }
        // only the session that has stored the file knows it by the name that was sent
        let name = if client.local == session { sent } else { stored.name().to_vec() };
        client = self.resume(client, way, stored, &name, (half.len(), rest))?;
        client = self.fetch(client, way, stored.name(), &[content.as_slice(), half])?;
        *slot = Some(client);
        if self.clock.is_stopped() { Err(End) } else { Ok(()) }
    }

    /// Uploads the second half, with REST and STOR, or else with APPE.
    fn resume(
        &mut self,
        mut client: Client,
        way: Way,
        stored: &mut Stored,
        name: &[u8],
        (begin, half): (usize, &[u8]),
    ) -> Result<Client, End> {
        let offset = begin as u64;
        let rest = send(&mut client, stored, ("STOR", Some(offset), name), way, half);
        client = self.sound(client, &rest)?;
        let mut append = None;
        if !rest.is_done() && rest.opened.is_none() {
            let fact = send(&mut client, stored, ("APPE", None, name), way, half);
            client = self.sound(client, &fact)?;
            append = Some(fact);
        }
        let size = size(&mut client, stored.name());
        let wanted = offset + half.len() as u64;
        self.tell(&Fact::Resumed(Resumption { rest, append, size, wanted }));
        Ok(client)
    }

    /// Reads the file back, and compares it with what it may contain: all of it, or the first half
    /// where the upload could not be resumed.
    fn fetch(
        &mut self,
        mut client: Client,
        way: Way,
        name: &[u8],
        contents: &[&[u8]],
    ) -> Result<Client, End> {
        let order =
            Order { command: "RETR", argument: name, offset: None, way, may_resume: true };
        let mut body = Body::Receive(Vec::new());
        let mut transfer = repeated(&mut client, &order, &mut body);
        client = self.sound(client, &transfer)?;
        if transfer.is_stalled() && way != Way::Active {
            body = Body::Receive(Vec::new());
            (client, transfer.small) = self
                .small(client, |_, client| Ok(repeated(client, &order, &mut body).is_done()))?;
        }
        let is_same = matches!(body, Body::Receive(got) if contents.contains(&got.as_slice()));
        self.tell(&Fact::Download(Download { transfer, is_same }));
        Ok(client)
    }

    /// Removes the probe file from each place where it can be, even after Ctrl-C, if need be on another
    /// connection.
    fn remove(&mut self, client: Option<Client>, places: &[Place]) -> Result<Client, End> {
        let was_stopped = self.clock.is_stopped();
        let always = self.clock.without_stop();
        let clock = std::mem::replace(&mut self.clock, always);
        let mut client = client.filter(|_| !was_stopped);
        for (number, place) in places.iter().enumerate() {
            let removal = self.remove_from(&mut client, place);
            // the first place says enough if nothing is at the others
            if number == 0 || !removal.is_gone() {
                self.tell(&Fact::Removal(removal));
            }
        }
        self.clock = clock;
        client.ok_or(End)
    }

    fn remove_from(&mut self, client: &mut Option<Client>, place: &Place) -> Removal {
        let mut answer = Err(Trouble::Closed);
        for _ in 0..2 {
            let mut own = match client.take().map_or_else(|| self.again(), Ok) {
                Ok(own) => own,
                Err(End) => continue,
            };
            own.ignore_signals();
            answer = own.ask([b"DELE ", place.name.as_slice()].concat());
            if answer.is_ok() {
                *client = Some(own);
                break;
            }
        }
        let is_refused = matches!(&answer, Ok(reply) if !reply.is_done());
        let own = client.as_mut().filter(|_| is_refused && place.is_heard);
        let is_there = own.and_then(|own| is_there(own, &place.name));
        let Place { name, is_stored, .. } = place.clone();
        Removal { name, answer, is_stored, is_there }
    }
}

/// Uploads bytes with a command, an offset and a name, and notes where the server puts them.
fn send(
    client: &mut Client,
    stored: &mut Stored,
    (command, offset, argument): (&'static str, Option<u64>, &[u8]),
    way: Way,
    bytes: &[u8],
) -> Transfer {
    let order = Order { command, argument, offset, way, may_resume: true };
    let fact = repeated(client, &order, &mut Body::Send(bytes));
    stored.note(&fact);
    fact
}

/// Asks for the size of a file.
fn size(client: &mut Client, name: &[u8]) -> Option<u64> {
    let reply = client.ask([b"SIZE ", name].concat()).ok().filter(|reply| reply.code == 213)?;
    std::str::from_utf8(reply.text()).ok()?.parse().ok()
}

/// Returns whether a file exists; `None`: the server does not say.
fn is_there(client: &mut Client, name: &[u8]) -> Option<bool> {
    match client.ask([b"SIZE ", name].concat()).ok()?.code {
        213 => Some(true),
        550 => Some(false),
        _ => None,
    }
}

/// The content of the probe file: lines of text that all differ, so that a lost, doubled or
/// converted piece is noticed.
fn content() -> Vec<u8> {
    let mut content = Vec::with_capacity(SIZE);
    let mut number = 0_u32;
    while content.len() < SIZE {
        content.extend_from_slice(format!("{number:08x} a line of ftpd test\r\n").as_bytes());
        number += 1;
    }
    content.truncate(SIZE);
    content
}
