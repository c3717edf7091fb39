//! Packets of MQTT 3.1.1 (OASIS Standard, 29 October 2014), as far as a client needs them that
//! publishes with `QoS` 1 and subscribes to nothing.

use std::io::{self, ErrorKind, Read};

/// What a broker has sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet {
    /// CONNACK with its return code.
    Connected(u8),
    /// PUBACK of the packet with this identifier.
    Taken(u16),
    /// PINGRESP.
    Pong,
    /// Another packet, which means nothing to this client.
    Other,
}

/// What the broker is told at the beginning.
pub(super) struct Connect<'a> {
    pub(super) client: &'a str,
    /// Seconds within which the client sends something.
    pub(super) keep_alive: u16,
    /// The topic and the text that the broker publishes, and retains, if the connection breaks.
    pub(super) will: (&'a str, &'a str),
    pub(super) user: Option<(&'a str, Option<&'a str>)>,
}

/// A message.
#[derive(Clone, Copy)]
pub(super) struct Publish<'a> {
    pub(super) topic: &'a str,
    pub(super) payload: &'a [u8],
    /// Identifies the packet until the broker has taken it; not 0.
    pub(super) id: u16,
    /// Whether the broker keeps it for those who subscribe later.
    pub(super) retain: bool,
}

/// PINGREQ (§3.12).
pub(super) const PING: [u8; 2] = [0xC0, 0];

/// DISCONNECT (§3.14).
pub(super) const DISCONNECT: [u8; 2] = [0xE0, 0];

/// Maximum length of a packet from the broker. It has nothing long to say to this client.
const LONGEST: usize = 64 << 10;

impl Connect<'_> {
    /// Returns the packet (§3.1), with a clean session.
    pub(super) fn packet(&self) -> Vec<u8> {
        const CLEAN: u8 = 0x02;
        // a will with QoS 1 that is retained
        const WILL: u8 = 0x04 | 0x08 | 0x20;
        const PASSWORD: u8 = 0x40;
        const USER: u8 = 0x80;
        let user = self.user.map(|(name, _)| name);
        let password = self.user.and_then(|(_, password)| password);
        let mut flags = CLEAN | WILL;
        flags |= if user.is_some() { USER } else { 0 };
        flags |= if password.is_some() { PASSWORD } else { 0 };
        // level 4 is 3.1.1
        let mut body = [&text(b"MQTT")[..], &[4, flags]].concat();
        body.extend(self.keep_alive.to_be_bytes());
        let (topic, last) = self.will;
        let fields = [Some(self.client), Some(topic), Some(last), user, password];
        fields.into_iter().flatten().for_each(|field| body.extend(text(field.as_bytes())));
        packet(0x10, &body)
    }
}

impl Publish<'_> {
    /// Returns the packet (§3.3), with `QoS` 1.
    pub(super) fn packet(&self) -> Vec<u8> {
        const QOS_1: u8 = 0x02;
        let mut body = text(self.topic.as_bytes());
        body.extend(self.id.to_be_bytes());
        body.extend_from_slice(self.payload);
        packet(0x30 | QOS_1 | u8::from(self.retain), &body)
    }
}

/// Returns a packet: its type and flags, its length (§2.2.3), and the rest.
fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut left = body.len();
    loop {
        let digit = u8::try_from(left % 128).unwrap_or_default();
        left /= 128;
        packet.push(if left > 0 { digit | 0x80 } else { digit });
        if left == 0 {
            break;
        }
    }
    packet.extend_from_slice(body);
    packet
}

/// Returns a text with its length (§1.5.3). A longer one is cut off.
fn text(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    let bytes = bytes.get(..usize::from(length)).unwrap_or_default();
    [&length.to_be_bytes()[..], bytes].concat()
}

/// Reads a packet from the broker.
pub(super) fn read(from: &mut impl Read) -> io::Result<Packet> {
    let first = byte(from)?;
    let (mut length, mut factor) = (0, 1);
    loop {
        let digit = byte(from)?;
        length += usize::from(digit & 0x7F) * factor;
        if digit & 0x80 == 0 {
            break;
        }
        factor *= 128;
        if factor > 128 * 128 * 128 {
            return Err(bad());
        }
    }
    if length > LONGEST {
        return Err(bad());
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    match (first >> 4, &body[..]) {
        (2, [_, code]) => Ok(Packet::Connected(*code)),
        (4, [high, low]) => Ok(Packet::Taken(u16::from_be_bytes([*high, *low]))),
        (13, []) => Ok(Packet::Pong),
        (2 | 4 | 13, _) => Err(bad()),
        _ => Ok(Packet::Other),
    }
}

fn byte(from: &mut impl Read) -> io::Result<u8> {
    let mut byte = [0];
    from.read_exact(&mut byte)?;
    Ok(u8::from_be_bytes(byte))
}

fn bad() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "what it has sent is no MQTT 3.1.1")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_client_names_itself_its_user_and_its_will() {
        let connect = Connect {
            client: "ftpd1",
            keep_alive: 60,
            will: ("a/state", "offline"),
            user: Some(("u", Some("p"))),
        };
        let wanted = [
            &[0x10, 41, 0, 4][..],
            b"MQTT",
            &[4, 0xEE, 0, 60, 0, 5],
            b"ftpd1",
            &[0, 7],
            b"a/state",
            &[0, 7],
            b"offline",
            &[0, 1],
            b"u",
            &[0, 1],
            b"p",
        ];
        assert_eq!(connect.packet(), wanted.concat());
        let nobody = Connect { user: None, ..connect };
        assert_eq!(nobody.packet()[9], 0x2E);
    }

    #[test]
    fn the_length_of_a_message_is_written_as_in_table_2_4() {
        for (payload, head) in [
            (0, &[0x32, 5][..]),
            (122, &[0x32, 127]),
            (123, &[0x32, 0x80, 1]),
            (16_378, &[0x32, 0xFF, 0x7F]),
            (16_379, &[0x32, 0x80, 0x80, 1]),
        ] {
            let payload = vec![b'x'; payload];
            let publish = Publish { topic: "t", payload: &payload, id: 7, retain: false };
            let packet = publish.packet();
            let body = [&[0, 1, b't', 0, 7][..], &payload].concat();
            assert_eq!(packet, [head, &body].concat());
        }
    }

    #[test]
    fn what_a_broker_sends_is_read() {
        let read = |bytes: &[u8]| read(&mut &*bytes);
        assert_eq!(read(&[0x20, 2, 0, 5]).unwrap(), Packet::Connected(5));
        assert_eq!(read(&[0x40, 2, 1, 2, 9]).unwrap(), Packet::Taken(0x102));
        assert_eq!(read(&[0xD0, 0]).unwrap(), Packet::Pong);
        assert_eq!(read(&[0x30, 1, 0]).unwrap(), Packet::Other);
        for bad in
            [&[][..], &[0x20], &[0x20, 2, 0], &[0x40, 1, 0], &[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 1]]
        {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = read(&mut &bytes[..]);
        }
    }
}
