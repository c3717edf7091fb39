//! The bytes of values that wait in the queue of the log.
//!
//! A session that logs something only copies bytes: it formats nothing and allocates nothing.
//! The thread that writes the log reads the values back without copying them again.

use std::ffi::OsStr;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use log::Level;

use super::way::Way;

/// A value that can be put into the queue of the log. Only this process reads the bytes, so they
/// have no version.
pub(super) trait Packed<'a>: Sized {
    /// Appends the bytes of the value.
    fn put(self, to: &mut Vec<u8>);

    /// Reads a value from the front of `from`, and moves `from` behind it. Returns `None` if the
    /// bytes are not those of a value.
    fn take(from: &mut &'a [u8]) -> Option<Self>;
}

/// Takes this number of bytes from the front.
fn split<'a>(from: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(taken)
}

fn array<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(*taken)
}

/// Implements [`Packed`] for types of numbers.
macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl<'a> Packed<'a> for $number {
            fn put(self, to: &mut Vec<u8>) {
                to.extend_from_slice(&self.to_ne_bytes());
            }

            fn take(from: &mut &'a [u8]) -> Option<Self> {
                array(from).map(Self::from_ne_bytes)
            }
        }
    )*};
}

numbers!(u8, u16, u32, u64, usize);

/// Implements [`Packed`] for tuples.
macro_rules! tuples {
    ($($($part:ident)+),*) => {$(
        impl<'a, $($part: Packed<'a>),+> Packed<'a> for ($($part,)+) {
            #[expect(non_snake_case, reason = "the type parameters name the values as well")]
            fn put(self, to: &mut Vec<u8>) {
                let ($($part,)+) = self;
                $($part.put(to);)+
            }

            fn take(from: &mut &'a [u8]) -> Option<Self> {
                Some(($($part::take(from)?,)+))
            }
        }
    )*};
}

tuples!(A B, A B C, A B C D, A B C D E);

impl<'a> Packed<'a> for bool {
    fn put(self, to: &mut Vec<u8>) {
        to.push(self.into());
    }

    fn take(from: &mut &'a [u8]) -> Option<Self> {
        u8::take(from).map(|byte| byte != 0)
    }
}

impl<'a> Packed<'a> for &'a [u8] {
    fn put(self, to: &mut Vec<u8>) {
        self.len().put(to);
        to.extend_from_slice(self);
    }

    fn take(from: &mut &'a [u8]) -> Option<Self> {
        let length = usize::take(from)?;
        split(from, length)
    }
}

impl<'a> Packed<'a> for &'a str {
    fn put(self, to: &mut Vec<u8>) {
        self.as_bytes().put(to);
    }

    fn take(from: &mut &'a [u8]) -> Option<Self> {
        <&[u8]>::take(from).and_then(|bytes| std::str::from_utf8(bytes).ok())
    }
}

impl<'a> Packed<'a> for &'a Path {
    fn put(self, to: &mut Vec<u8>) {
        self.as_os_str().as_bytes().put(to);
    }

    fn take(from: &mut &'a [u8]) -> Option<Self> {
        <&[u8]>::take(from).map(|bytes| Path::new(OsStr::from_bytes(bytes)))
    }
}

impl<'a, T: Packed<'a>> Packed<'a> for Option<T> {
    fn put(self, to: &mut Vec<u8>) {
        self.is_some().put(to);
        if let Some(value) = self {
            value.put(to);
        }
    }

    fn take(from: &mut &'a [u8]) -> Option<Self> {
        if bool::take(from)? { T::take(from).map(Some) } else { Some(None) }
    }
}

impl<'a> Packed<'a> for Duration {
    /// Durations of more than 584 years are cut short.
    fn put(self, to: &mut Vec<u8>) {
        u64::try_from(self.as_nanos()).unwrap_or(u64::MAX).put(to);
    }

    fn take(from: &mut &'a [u8]) -> Option<Self> {
        u64::take(from).map(Self::from_nanos)
    }
}

impl<'a> Packed<'a> for IpAddr {
    fn put(self, to: &mut Vec<u8>) {
        match self {
            Self::V4(address) => {
                to.push(4);
                to.extend_from_slice(&address.octets());
            }
            Self::V6(address) => {
                to.push(6);
                to.extend_from_slice(&address.octets());
            }
        }
    }

    fn take(from: &mut &'a [u8]) -> Option<Self> {
        match u8::take(from)? {
            4 => array::<4>(from).map(Self::from),
            _ => array::<16>(from).map(Self::from),
        }
    }
}

impl<'a> Packed<'a> for SocketAddr {
    fn put(self, to: &mut Vec<u8>) {
        match self {
            Self::V4(address) => {
                let ([a, b, c, d], [high, low]) =
                    (address.ip().octets(), address.port().to_be_bytes());
                to.extend_from_slice(&[4, a, b, c, d, high, low]);
            }
            Self::V6(address) => {
                (6_u8, IpAddr::V6(*address.ip()), address.port(), address.scope_id()).put(to);
            }
        }
    }

    fn take(from: &mut &'a [u8]) -> Option<Self> {
        if u8::take(from)? == 4 {
            let [a, b, c, d, high, low] = array(from)?;
            return Some(([a, b, c, d], u16::from_be_bytes([high, low])).into());
        }
        let (ip, port, scope) = Packed::take(from)?;
        match ip {
            IpAddr::V4(_) => None,
            IpAddr::V6(ip) => Some(SocketAddrV6::new(ip, port, 0, scope).into()),
        }
    }
}

impl<'a> Packed<'a> for Level {
    fn put(self, to: &mut Vec<u8>) {
        (self as usize).put(to);
    }

    fn take(from: &mut &'a [u8]) -> Option<Self> {
        let number = usize::take(from)?;
        Self::iter().find(|level| *level as usize == number)
    }
}

impl<'a> Packed<'a> for Way {
    fn put(self, to: &mut Vec<u8>) {
        (self == Self::Up).put(to);
    }

    fn take(from: &mut &'a [u8]) -> Option<Self> {
        bool::take(from).map(|is_up| if is_up { Self::Up } else { Self::Down })
    }
}
