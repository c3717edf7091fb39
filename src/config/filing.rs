//! The template `store_as`, by which uploads are filed: in folders by date, by user, by kind.

use std::net::IpAddr;

use time::OffsetDateTime;

/// A template for paths. The paths it makes never lead upwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filing {
    /// The parts of the path, each made of pieces.
    parts: Vec<Vec<Piece>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field(Field),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Year,
    Month,
    Day,
    Hour,
    Name,
    Stem,
    Ext,
    User,
    Ip,
}

/// The fields, with the words for them.
const FIELDS: [(&str, Field); 9] = [
    ("year", Field::Year),
    ("month", Field::Month),
    ("day", Field::Day),
    ("hour", Field::Hour),
    ("name", Field::Name),
    ("stem", Field::Stem),
    ("ext", Field::Ext),
    ("user", Field::User),
    ("ip", Field::Ip),
];

/// A file that is filed: the values that a template can name.
#[derive(Debug, Clone, Copy)]
pub struct Paper<'p> {
    /// The name that the client has sent.
    pub name: &'p [u8],
    /// The name of the user.
    pub user: &'p [u8],
    /// The address of the client.
    pub address: IpAddr,
}

/// When it is filed, in the server's local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    year: i32,
    month: u8,
    day: u8,
    hour: u8,
}

impl Moment {
    /// Returns the present, in local time, or in UTC if that is unknown.
    pub fn now() -> Self {
        let now = OffsetDateTime::now_local().unwrap_or_else(|_| OffsetDateTime::now_utc());
        Self { year: now.year(), month: now.month().into(), day: now.day(), hour: now.hour() }
    }
}

impl Filing {
    /// Reads a template. A fault follows the text: `'a//b' has an empty part`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with('/') {
            return Err("is absolute; write a path below the folder of the client".to_owned());
        }
        let parts: Vec<_> = text.split('/').map(part).collect::<Result<_, _>>()?;
        let tells_apart = [Field::Name, Field::Stem].map(Piece::Field);
        if !parts.iter().flatten().any(|piece| tells_apart.contains(piece)) {
            return Err(
                "contains neither {name} nor {stem}, so files would replace each other"
                    .to_owned(),
            );
        }
        Ok(Self { parts })
    }

    /// Returns the path at which something is filed. Returns `None` if a part of it would be empty,
    /// `.` or `..`, or contain a slash.
    pub fn path(&self, of: &Paper<'_>, at: Moment) -> Option<Vec<u8>> {
        let mut path = Vec::new();
        for pieces in &self.parts {
            let mut part = Vec::new();
            for piece in pieces {
                match piece {
                    Piece::Text(text) => part.extend_from_slice(text.as_bytes()),
                    Piece::Field(field) => part.extend_from_slice(&field.text(of, at)),
                }
            }
            if matches!(&part[..], b"" | b"." | b"..") || part.contains(&b'/') {
                return None;
            }
            if !path.is_empty() {
                path.push(b'/');
            }
            path.append(&mut part);
        }
        Some(path)
    }

    /// Returns the moment at which something was filed at a path. What the path does not tell is 0.
    /// Returns `None` if it is never filed there.
    pub fn moment(&self, of: &Paper<'_>, path: &[u8]) -> Option<Moment> {
        let mut at = Moment { year: 0, month: 0, day: 0, hour: 0 };
        let mut rest = path;
        for (index, pieces) in self.parts.iter().enumerate() {
            if index > 0 {
                rest = rest.strip_prefix(b"/")?;
            }
            for piece in pieces {
                rest = match piece {
                    Piece::Text(text) => rest.strip_prefix(text.as_bytes())?,
                    Piece::Field(field) => field.strip(of, &mut at, rest)?,
                };
            }
        }
        // a field may stand twice
        (self.path(of, at).as_deref() == Some(path)).then_some(at)
    }
}

fn part(text: &str) -> Result<Vec<Piece>, String> {
    match text {
        "" => return Err("has an empty part".to_owned()),
        "." | ".." => return Err(format!("has the part '{text}'")),
        _ if text.contains(char::is_control) => {
            return Err("has a control character".to_owned());
        }
        _ if text.to_ascii_lowercase().starts_with(".ftpd-") => {
            return Err("has a part that begins with .ftpd-, which is reserved".to_owned());
        }
        _ => {}
    }
    let (mut pieces, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find(['{', '}']) {
        let (before, field) = rest.split_at(at);
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_owned()));
        }
        let inner = field.strip_prefix('{').and_then(|field| field.split_once('}'));
        let found = inner.and_then(|(word, after)| {
            let (_, field) = FIELDS.iter().find(|(name, _)| *name == word)?;
            Some((*field, after))
        });
        let Some((field, after)) = found else {
            let words: Vec<_> = FIELDS.iter().map(|(word, _)| format!("{{{word}}}")).collect();
            return Err(format!("has braces around something other than {}", words.join(", ")));
        };
        pieces.push(Piece::Field(field));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

impl Field {
    fn text(self, of: &Paper<'_>, at: Moment) -> Vec<u8> {
        match self {
            Self::Year => format!("{:04}", at.year).into_bytes(),
            Self::Month => two(at.month),
            Self::Day => two(at.day),
            Self::Hour => two(at.hour),
            Self::Name => of.name.to_vec(),
            Self::Stem => halves(of.name).0.to_vec(),
            Self::Ext => halves(of.name).1.to_vec(),
            Self::User => of.user.to_vec(),
            // names on Windows shares cannot contain colons
            Self::Ip => of.address.to_canonical().to_string().replace(':', "-").into_bytes(),
        }
    }

    /// Removes the text of the field from the beginning of a path. Notes what the text says of the
    /// moment.
    fn strip<'p>(self, of: &Paper<'_>, at: &mut Moment, path: &'p [u8]) -> Option<&'p [u8]> {
        let (to, (number, rest)) = match self {
            Self::Year => {
                let (year, rest) = number(path, 4)?;
                at.year = year.into();
                return Some(rest);
            }
            Self::Month => (&mut at.month, number(path, 2)?),
            Self::Day => (&mut at.day, number(path, 2)?),
            Self::Hour => (&mut at.hour, number(path, 2)?),
            Self::Name | Self::Stem | Self::Ext | Self::User | Self::Ip => {
                return path.strip_prefix(&self.text(of, *at)[..]);
            }
        };
        *to = u8::try_from(number).ok()?;
        Some(rest)
    }
}

/// Reads a number of this many digits from the beginning of a path, and returns the rest as well.
fn number(path: &[u8], digits: usize) -> Option<(u16, &[u8])> {
    let (number, rest) = path.split_at_checked(digits)?;
    Some((std::str::from_utf8(number).ok()?.parse().ok()?, rest))
}

fn two(number: u8) -> Vec<u8> {
    format!("{number:02}").into_bytes()
}

/// Splits a name at its last dot, which belongs to neither half. A dot at the beginning does not
/// count.
fn halves(name: &[u8]) -> (&[u8], &[u8]) {
    match name.iter().rposition(|&byte| byte == b'.') {
        None | Some(0) => (name, b""),
        Some(dot) => {
            let (stem, ext) = name.split_at_checked(dot).unwrap_or_default();
            (stem, ext.get(1..).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AT: Moment = Moment { year: 2026, month: 3, day: 9, hour: 7 };

    fn paper(name: &[u8]) -> Paper<'_> {
        Paper { name, user: b"anna", address: "::1".parse().unwrap() }
    }

    fn filed(template: &str, name: &str) -> Option<String> {
        let path = Filing::parse(template).unwrap().path(&paper(name.as_bytes()), AT)?;
        Some(String::from_utf8(path).unwrap())
    }

    #[test]
    fn fields_are_replaced_by_what_they_say() {
        for (template, name, path) in [
            ("{year}/{month}/{day}/{name}", "a.jpg", "2026/03/09/a.jpg"),
            ("{hour}h-{stem}.{ext}", "a.tar.gz", "07h-a.tar.gz"),
            ("{user}@{ip}/{name}", "x", "anna@--1/x"),
            ("{stem}/{hour}", "x.y", "x/07"),
            ("{ext}/{stem}", ".profile.txt", "txt/.profile"),
            ("x{ext}/{name}", ".profile", "x/.profile"),
            ("{stem}.", "x.", "x."),
        ] {
            assert_eq!(filed(template, name).as_deref(), Some(path), "{template}");
        }
        let mapped = Paper { address: "::ffff:192.0.2.7".parse().unwrap(), ..paper(b"x") };
        let filing = Filing::parse("{ip}/{name}").unwrap();
        assert_eq!(filing.path(&mapped, AT).unwrap(), b"192.0.2.7/x");
    }

    #[test]
    fn a_part_that_would_lead_elsewhere_files_nothing() {
        for (template, name) in [
            ("{ext}/{name}", "noext"),
            ("{ext}/{name}", "x."),
            ("{stem}/{name}", "..x"),
            ("{stem}{ext}/{name}", "..."),
            ("a{name}", "/b"),
            ("{name}", ""),
            ("{name}", ".."),
            (".{ext}/{name}", "x."),
            (".{ext}/{name}", "x"),
        ] {
            assert_eq!(filed(template, name), None, "{template} {name}");
        }
        let odd = Paper { user: b"../eve", ..paper(b"x") };
        assert_eq!(Filing::parse("{user}/{name}").unwrap().path(&odd, AT), None);
    }

    #[test]
    fn templates_that_could_lead_out_or_mix_files_are_refused() {
        for text in [
            "{year}/{month}/{day}",
            "latest.jpg",
            "{user}.{ext}",
            "/{name}",
            "../{name}",
            "a/../{name}",
            "a/./b",
            "a//b",
            "a/",
            "{yaer}/{name}",
            "{name",
            "name}",
            "{}",
            "{{name}}",
            "a\0b",
            "a\nb",
            ".ftpd-part-{name}",
            "x/.FTPD-Trash",
            "",
            "{Name}",
            "{name }",
        ] {
            assert!(Filing::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_path_tells_when_it_was_filed() {
        let filing = Filing::parse("{year}-{month}/{day}/{hour}{name}").unwrap();
        let of = paper(b"x-07.jpg");
        assert_eq!(filing.moment(&of, &filing.path(&of, AT).unwrap()), Some(AT));
        for path in ["2026-03/09/07x.jpg", "2026-03/9/07x-07.jpg", "+026-03/09/07x-07.jpg", ""]
        {
            assert_eq!(filing.moment(&of, path.as_bytes()), None, "{path}");
        }
        let twice = Filing::parse("{year}/{year}{name}").unwrap();
        assert!(twice.moment(&of, b"2026/2026x-07.jpg").is_some());
        assert!(twice.moment(&of, b"2026/2025x-07.jpg").is_none());
    }

    proptest! {
        #[test]
        fn no_name_leads_out(name: Vec<u8>, user: Vec<u8>, template in "[{}a-z./]{0,12}\\{(name|stem|ext|user)\\}[a-z.]{0,3}") {
            let Ok(filing) = Filing::parse(&template) else { return Ok(()) };
            let of = Paper { name: &name, user: &user, ..paper(b"") };
            if let Some(path) = filing.path(&of, AT) {
                prop_assert_eq!(path.split(|&byte| byte == b'/').count(), filing.parts.len());
                for part in path.split(|&byte| byte == b'/') {
                    prop_assert!(!matches!(part, b"" | b"." | b".."));
                }
                prop_assert!(filing.moment(&of, &path).is_some());
            }
        }
    }
}
