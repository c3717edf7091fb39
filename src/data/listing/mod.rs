//! The lines of LIST, NLST, MLSD and MLST, each made from one [`Entry`](crate::vfs::Entry).

mod days;
mod digits;
mod long;
mod machine;
mod names;

pub use days::{Zone, time_val};
pub use long::Long;
pub use machine::{Fact, Facts, Machine};
pub use names::{folder_line, name_line};

#[cfg(test)]
mod tests {
    use super::long::{SIX_MONTHS, mode_text};
    use super::*;
    use crate::config::PermSet;
    use crate::vfs::{Entry, FileKind};

    /// 2026-11-22 13:34:20 UTC.
    const NOW: i64 = 1_795_354_460;

    fn entry(name: &str) -> Entry {
        Entry {
            name: name.into(),
            kind: FileKind::File,
            mode: 0o644,
            links: 1,
            uid: 1000,
            gid: 100,
            size: 12345,
            modified: NOW,
            nanos: 0,
            id: (0x10, 0xab),
            part: None,
            target: None,
            dangling: None,
            letters: None,
        }
    }

    fn long_line(entry: &Entry) -> String {
        let mut out = Vec::new();
        let names = |_, _| ("bob".to_owned(), "users".to_owned());
        Long::new(NOW, Zone::Utc).push(entry, names, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn machine_line(entry: &Entry, wanted: Facts, perm: &str) -> String {
        let mut out = Vec::new();
        let perm = PermSet::parse(perm).unwrap();
        Machine::new(wanted, perm).push(entry, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_long_line_is_what_ls_prints() {
        assert_eq!(
            long_line(&entry("a b")),
            "-rw-r--r--   1 bob      users       12345 Nov 22 13:34 a b\r\n"
        );
    }

    #[test]
    fn neighbours_that_differ_have_fronts_of_their_own() {
        let mut long = Long::new(NOW, Zone::Utc);
        let other = Entry { mode: 0o600, uid: 0, size: 123_456_789_012, ..entry("b") };
        let mut out = Vec::new();
        for entry in [&entry("a"), &entry("a"), &other, &entry("a")] {
            let names = |uid: u32, gid: u32| (uid.to_string(), gid.to_string());
            long.push(entry, names, &mut out);
        }
        let a = "-rw-r--r--   1 1000     100         12345 Nov 22 13:34 a\r\n";
        let b = "-rw-------   1 0        100      123456789012 Nov 22 13:34 b\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), [a, a, b, a].concat());
    }

    #[test]
    fn the_year_is_shown_for_what_is_older_than_half_a_year_or_in_the_future() {
        let at = |modified| long_line(&Entry { modified, ..entry("x") });
        assert!(at(NOW - SIX_MONTHS + 1).contains("May 23 "), "{}", at(NOW - SIX_MONTHS + 1));
        assert!(!at(NOW - SIX_MONTHS + 1).contains("2026"));
        assert!(at(NOW - SIX_MONTHS).contains(" May 23  2026 x"));
        assert!(at(NOW + 1).contains(" Nov 22  2026 x"));
        assert!(at(i64::MIN).contains(" Jan  1  1970 x"));
    }

    #[test]
    fn special_bits_and_kinds_have_their_letters() {
        let text = |kind, mode| {
            let text = mode_text(&Entry { kind, mode, ..entry("x") });
            String::from_utf8(text.to_vec()).unwrap()
        };
        assert_eq!(text(FileKind::Directory, 0o1777), "drwxrwxrwt");
        assert_eq!(text(FileKind::File, 0o6750), "-rwsr-s---");
        assert_eq!(text(FileKind::Fifo, 0o7000), "p--S--S--T");
    }

    #[test]
    fn no_name_ends_its_line() {
        let evil = entry("a\r\n226 done\0");
        assert!(long_line(&evil).ends_with(" a??226 done?\r\n"));
        let mut out = Vec::new();
        name_line(b"di\nr/", &evil, &mut out);
        assert_eq!(out, b"di?r/a??226 done?\r\n");
    }

    #[test]
    fn a_link_is_followed_by_machines_and_shown_to_people() {
        let there = Entry { kind: FileKind::Directory, mode: 0o755, ..entry("there") };
        let link = Entry {
            kind: FileKind::Link,
            mode: 0o777,
            target: Some((b"to/there".to_vec(), Box::new(there))),
            ..entry("link")
        };
        assert!(long_line(&link).starts_with("lrwxrwxrwx"));
        assert!(long_line(&link).ends_with(" link -> to/there\r\n"));
        let wanted = Facts::NONE.with(Fact::Type).with(Fact::Perm);
        assert_eq!(machine_line(&link, wanted, "el"), "type=dir;perm=el; link\r\n");
        let outside = Entry { target: None, ..link };
        assert!(long_line(&outside).ends_with(" link -> (outside)\r\n"));
        let dead = Entry { dangling: Some(b"gone\n".to_vec()), ..outside.clone() };
        assert!(long_line(&dead).ends_with(" link -> gone?\r\n"));
        assert_eq!(
            machine_line(&outside, wanted, "el"),
            "type=OS.unix=symlink;perm=; link\r\n"
        );
    }

    #[test]
    fn each_entry_has_its_own_facts_whatever_the_last_one_was_like() {
        let link = Entry { kind: FileKind::Link, size: 4, uid: 0, ..entry("l") };
        let dir = Entry { kind: FileKind::Directory, mode: 0, modified: 0, ..entry("d") };
        let empty = Entry { size: 0, modified: NOW + 1, id: (1, 2), gid: 0, ..entry("e") };
        let all = [entry("a"), link, dir, empty, entry("a")];
        let perm = PermSet::parse("elradfmwMT").unwrap();
        let (mut together, mut out) = (Machine::new(Facts::default(), perm), Vec::new());
        for entry in &all {
            together.push(entry, &mut out);
        }
        let alone = |entry| machine_line(entry, Facts::default(), "elradfmwMT");
        let expected: String = all.iter().map(alone).collect();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_machine_line_has_the_facts_that_are_wanted_and_nothing_else() {
        assert_eq!(
            machine_line(&entry("x"), Facts::default(), "elradfmwMT"),
            "type=file;size=12345;modify=20261122133420;perm=adfrw;unique=10gab;\
             UNIX.mode=0644;UNIX.uid=1000;UNIX.gid=100; x\r\n"
        );
        assert_eq!(machine_line(&entry("x"), Facts::NONE, "l"), " x\r\n");
    }
}
