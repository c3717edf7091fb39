//! RFC 3659, MDTM, SIZE, REST, TVFS, MLST and MLSD; one module for each section. Below them
//! MFMT (draft-somers-ftp-mfxx) and HOST (RFC 7151), which build on its words.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::client::Client;
use crate::server::Server;

/// 2024-02-29 12:00:00 UTC.
const LEAP_DAY: u64 = 1_709_208_000;

fn set_modified(path: &Path, seconds: u64, nanos: u32) {
    let at = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos);
    File::open(path).unwrap().set_modified(at).unwrap();
}

fn modified(path: &Path) -> i64 {
    let at = fs::metadata(path).unwrap().modified().unwrap();
    match at.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap(),
        Err(before) => -i64::try_from(before.duration().as_secs()).unwrap(),
    }
}

/// The one entry of an MLST reply: its facts and its name.
fn entry(client: &mut Client, command: &str) -> (String, String) {
    let reply = client.cmd(command, 250);
    let lines: Vec<_> = reply.lines().collect();
    assert_eq!(lines.len(), 3, "{reply}");
    assert!(lines[0].starts_with("250-") && lines[2].starts_with("250 "), "{reply}");
    let line = lines[1].strip_prefix(' ').unwrap();
    let (facts, name) = line.split_once(' ').unwrap();
    (facts.to_owned(), name.to_owned())
}

/// The value of a fact, whose name's case does not matter.
fn fact<'f>(facts: &'f str, name: &str) -> Option<&'f str> {
    assert!(facts.is_empty() || facts.ends_with(';'), "{facts}");
    facts.split_terminator(';').find_map(|fact| {
        let (key, value) = fact.split_once('=').unwrap();
        key.eq_ignore_ascii_case(name).then_some(value)
    })
}

/// Pathnames.
mod section_2_2 {
    use super::*;

    #[test]
    fn a_pathname_begins_behind_one_space_and_ends_with_the_line() {
        let server = Server::start();
        for name in [" lead", "trail ", "  two  ", "\ttab\t"] {
            server.put(name, name);
            let mut client = Client::bob(&server);
            assert_eq!(client.cmd(&format!("SIZE {name}"), 213), format!("213 {}", name.len()));
            assert_eq!(entry(&mut client, &format!("MLST {name}")).1, format!("/{name}"));
            assert!(
                client.lines("MLSD").iter().any(|line| line.ends_with(&format!("; {name}")))
            );
            client.cmd(&format!("DELE {name}"), 250);
            assert!(!server.has(name));
        }
    }

    #[test]
    fn utf_8_and_raw_names_come_back_as_they_went_and_iac_is_doubled() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        let server = Server::start();
        for name in [&b"gr\xc3\xbc\xc3\x9fe"[..], b"raw\xe9\xfe", b"iac\xff\xff\xf4x\xff"] {
            let path = server.home().join(OsStr::from_bytes(name));
            fs::write(&path, "x").unwrap();
            let mut client = Client::bob(&server);
            let mut typed = Vec::new();
            for byte in name {
                typed.push(*byte);
                if *byte == 255 {
                    typed.push(255);
                }
            }
            client.raw(&[b"MLST ", &typed[..], b"\r\n"].concat());
            let reply = client.expect_bytes(250);
            let wanted = [b"; /", &typed[..], b"\n250 "].concat();
            assert!(reply.windows(wanted.len()).any(|part| part == wanted));
            // a data connection knows no Telnet
            assert_eq!(client.download("NLST"), [name, b"\r\n"].concat());
            client.raw(&[b"DELE ", &typed[..], b"\r\n"].concat());
            client.expect(250);
            assert!(!path.exists());
        }
    }

    #[test]
    fn no_letter_of_a_pathname_is_a_pattern() {
        let server = Server::start();
        server.put("ab", "x");
        let mut client = Client::bob(&server);
        for command in ["MLST a*", "SIZE a?", "MDTM [a]b", "MLSD *", "RETR a*", "DELE a*"] {
            client.cmd(command, 550);
        }
        assert!(server.has("ab"));
        server.put("a*", "star");
        assert_eq!(client.cmd("SIZE a*", 213), "213 4");
    }
}

/// Times.
mod section_2_3 {
    use super::*;

    #[test]
    fn times_are_in_utc_and_have_no_precision_that_is_not_there() {
        let server = Server::start();
        let path = server.put("a", "");
        set_modified(&path, LEAP_DAY, 0);
        let mut client = Client::bob(&server);
        assert_eq!(client.cmd("MDTM a", 213), "213 20240229120000");
    }

    #[test]
    fn a_time_val_is_fourteen_digits_and_perhaps_a_fraction() {
        let server = Server::start();
        let path = server.put("a", "");
        let mut client = Client::bob(&server);
        for good in ["20240229120000", "20240229120000.5", "20240229120000.123456789012"] {
            set_modified(&path, 0, 0);
            client.cmd(&format!("MFMT {good} a"), 213);
            assert_eq!(modified(&path), 1_709_208_000, "{good}");
        }
        set_modified(&path, LEAP_DAY, 0);
        for bad in [
            "2024022912000",
            "202402291200000",
            "20240229120000.",
            "20240229120000.x",
            "20240001000000",
            "20241301000000",
            "20240100000000",
            "20240132000000",
            "20230229000000",
            "20240101240000",
            "20240101006000",
            "20240101000061",
            "09990101000000",
            "+0240101000000",
            "now",
        ] {
            client.cmd(&format!("MFMT {bad} a"), 501);
        }
        assert_eq!(modified(&path), 1_709_208_000);
    }

    #[test]
    fn a_leap_second_is_a_time() {
        let server = Server::start();
        let path = server.put("a", "");
        let mut client = Client::bob(&server);
        client.cmd("MFMT 20161231235960 a", 213);
        assert_eq!(modified(&path), 1_483_228_800);
    }
}

/// MDTM.
mod section_3_1 {
    use super::*;

    #[test]
    fn the_213_is_one_line_with_a_time_val_and_nothing_else() {
        let server = Server::start();
        let path = server.put("some file", "x");
        set_modified(&path, LEAP_DAY + 59, 999_999_999);
        let mut client = Client::bob(&server);
        let reply = client.cmd("mdtm some file", 213);
        let (whole, fraction) = reply.split_once('.').unwrap_or((&reply, "9"));
        assert_eq!(whole, "213 20240229120059");
        assert!(fraction.bytes().all(|digit| digit == b'9'));
    }
}

/// Errors of MDTM.
mod section_3_2 {
    use super::*;

    #[test]
    fn mdtm_of_what_is_not_there_is_550() {
        let server = Server::start();
        let mut client = Client::bob(&server);
        client.cmd("MDTM nothing", 550);
        client.cmd("MDTM nowhere/a", 550);
    }
}

/// Examples of MDTM: a name may look like a time and a name.
mod section_3_4 {
    use super::*;

    #[test]
    fn a_file_whose_name_begins_with_a_time_is_asked_for_by_its_name() {
        let server = Server::start();
        let path = server.put("19990929043300 File6", "");
        set_modified(&path, LEAP_DAY, 0);
        server.put("file6", "");
        let mut client = Client::bob(&server);
        assert_eq!(client.cmd("MdTm 19990929043300 File6", 213), "213 20240229120000");
        assert_eq!(modified(&path), 1_709_208_000);
        client.cmd("MDTM 19990929043300 nothing", 550);
    }

    #[test]
    fn asking_for_such_a_name_takes_no_permission_to_set_times() {
        let server = Server::setup().user("perm = elr").start();
        let path = server.put("19990929043300 File6", "");
        set_modified(&path, LEAP_DAY, 0);
        let mut client = Client::bob(&server);
        assert_eq!(client.cmd("MDTM 19990929043300 File6", 213), "213 20240229120000");
        let other = server.put("b", "");
        set_modified(&other, LEAP_DAY, 0);
        client.cmd("MDTM 19990929043300 b", 550);
        assert_eq!(modified(&other), 1_709_208_000);
    }
}

/// SIZE.
mod section_4 {
    use super::*;

    #[test]
    fn size_is_what_a_transfer_in_the_current_type_would_send() {
        let server = Server::start();
        // the example of §4.4: 112 lines, 1830 bytes
        let mut text = "x".repeat(1830 - 112);
        for line in 0..112 {
            text.insert(line * 5, '\n');
        }
        server.put("Example", &text);
        let mut client = Client::bob(&server);
        assert_eq!(client.cmd("size Example", 213), "213 1830");
        client.cmd("TYPE A", 200);
        assert_eq!(client.cmd("Size Example", 213), "213 1942");
        assert_eq!(client.download("RETR Example").len(), 1942);
        client.cmd("TYPE L 8", 200);
        assert_eq!(client.cmd("Size Example", 213), "213 1830");
    }
}

/// Errors of SIZE.
mod section_4_2 {
    use super::*;

    #[test]
    fn a_huge_file_has_its_size_in_image_type_and_no_estimate_in_ascii() {
        let server = Server::start();
        let path = server.put("a", "");
        File::options().write(true).open(path).unwrap().set_len(5 << 30).unwrap();
        let mut client = Client::bob(&server);
        assert_eq!(client.cmd("SIZE a", 213), "213 5368709120");
        client.cmd("TYPE A", 200);
        client.cmd("SIZE a", 550);
    }
}

/// REST.
mod section_5_3 {
    use super::*;

    #[test]
    fn stor_goes_on_at_the_marker_and_keeps_what_was_before_it() {
        let server = Server::start();
        server.put("a", "01234");
        let mut client = Client::bob(&server);
        assert_eq!(client.cmd("SIZE a", 213), "213 5");
        client.cmd("REST 5", 350);
        client.upload("STOR a", b"567");
        assert_eq!(server.get("a"), b"01234567");
        client.upload("STOR a", b"new");
        assert_eq!(server.get("a"), b"new");
    }

    #[test]
    fn stor_in_ascii_goes_on_where_size_in_ascii_says() {
        let server = Server::start();
        server.put("a", "1\n2\n");
        let mut client = Client::bob(&server);
        client.cmd("TYPE A", 200);
        let size = client.cmd("SIZE a", 213);
        client.cmd(&format!("REST {}", size.strip_prefix("213 ").unwrap()), 350);
        client.upload("STOR a", b"3\r\n");
        assert_eq!(server.get("a"), b"1\n2\n3\n");
    }
}

/// REST in FEAT.
mod section_5_4 {
    use super::*;

    #[test]
    fn feat_says_rest_stream_and_the_other_words_of_this_rfc() {
        let server = Server::start();
        let reply = Client::connect(&server).cmd("FEAT", 211);
        for line in [" REST STREAM", " SIZE", " MDTM", " TVFS"] {
            assert!(reply.lines().any(|known| known == line), "{line}: {reply}");
        }
    }
}

/// TVFS.
mod section_6_2 {
    use super::*;

    #[test]
    fn pathnames_are_relative_or_fully_qualified() {
        let server = Server::start();
        // the tree of §6.5
        for path in ["X", "Y", "A/Z", "A/C/P", "A/C/Q", "B/P", "B/Q"] {
            server.put(path, format!("/{path}"));
        }
        fs::create_dir(server.home().join("A/D")).unwrap();
        let mut client = Client::bob(&server);
        for directory in ["/", "/A", "/A/C", "/A/D", "/B"] {
            client.cmd(&format!("CWD {directory}"), 250);
            assert!(client.cmd("PWD", 257).starts_with(&format!("257 \"{directory}\"")));
            for path in ["/X", "/Y", "/A/Z", "/A/C/P", "/A/C/Q", "/B/P", "/B/Q"] {
                let size = client.cmd(&format!("SIZE {path}"), 213);
                assert_eq!(size, format!("213 {}", path.len()));
                assert_eq!(entry(&mut client, &format!("MLST {path}")).1, path);
            }
        }
        client.cmd("CWD /A", 250);
        for path in ["C", "D", "Z", "C/P", "C/Q"] {
            let name = entry(&mut client, &format!("MLST {path}")).1;
            assert_eq!(name, format!("/A/{path}"));
        }
        for path in ["A", "B", "X", "Y", "B/P", "B/Q", "P", "Q"] {
            client.cmd(&format!("MLST {path}"), 550);
        }
    }
}

/// What MLST and MLSD are asked with.
mod section_7_1 {
    use super::*;

    #[test]
    fn without_an_argument_both_mean_the_current_directory() {
        let server = Server::start();
        server.put("d/a", "");
        let mut client = Client::bob(&server);
        client.cmd("CWD d", 250);
        let (facts, name) = entry(&mut client, "MLST");
        assert_eq!(name, "/d");
        assert!(matches!(fact(&facts, "type"), Some("dir" | "cdir")));
        let lines = client.lines("MLSD");
        assert!(lines.iter().any(|line| line.ends_with("; a")), "{lines:?}");
    }

    #[test]
    fn mlsd_of_a_file_is_501_and_opens_no_data_connection() {
        let server = Server::start();
        server.put("a", "");
        let mut client = Client::bob(&server);
        let _data = client.passive();
        client.cmd("MLSD a", 501);
        // the passive port is still there for the next try
        client.cmd("MLSD", 150);
        client.expect(226);
    }

    #[test]
    fn mlst_opens_no_data_connection() {
        let server = Server::start();
        server.put("a", "");
        entry(&mut Client::bob(&server), "MLST a");
    }
}

/// What MLST and MLSD answer.
mod section_7_2 {
    use super::*;

    #[test]
    fn every_line_of_mlsd_is_facts_a_space_and_a_name() {
        let server = Server::start();
        for name in ["a", "b c", " d", "e;f=g", "sub/x"] {
            server.put(name, "");
        }
        let mut client = Client::bob(&server);
        let mut names = Vec::new();
        for line in client.lines("MLSD") {
            let (facts, name) = line.split_once(' ').unwrap();
            assert!(!facts.is_empty() && facts.ends_with(';'), "{line}");
            for fact in facts.split_terminator(';') {
                let (key, value) = fact.split_once('=').unwrap();
                assert!(!key.is_empty() && key.bytes().chain(value.bytes()).all(is_schar));
            }
            if !matches!(fact(facts, "type"), Some("cdir" | "pdir")) {
                names.push(name.to_owned());
            }
        }
        names.sort();
        assert_eq!(names, [" d", "a", "b c", "e;f=g", "sub"]);
    }

    fn is_schar(byte: u8) -> bool {
        byte.is_ascii_alphanumeric() || b",.:!@#$%^&()-_+?/\\'\"=".contains(&byte)
    }

    #[test]
    fn an_empty_directory_has_no_header_and_no_summary() {
        let server = Server::start();
        let mut client = Client::bob(&server);
        client.cmd("OPTS MLST size;", 200);
        assert_eq!(client.download("MLSD"), b"");
    }

    #[test]
    fn mlsd_is_sent_as_it_is_whatever_the_type_which_stays() {
        let server = Server::start();
        server.put("a", "x\n");
        let mut client = Client::bob(&server);
        let image = client.download("MLSD");
        client.cmd("TYPE A", 200);
        assert_eq!(client.download("MLSD"), image);
        assert_eq!(client.download("RETR a"), b"x\r\n");
    }

    #[test]
    fn without_facts_two_spaces_stand_before_the_name_in_mlst_and_one_in_mlsd() {
        let server = Server::start();
        server.put("tmp", "");
        let mut client = Client::bob(&server);
        client.cmd("OPTS MLST", 200);
        let reply = client.cmd("MLST tmp", 250);
        assert_eq!(reply.lines().nth(1), Some("  /tmp"));
        assert_eq!(client.download("MLSD"), b" tmp\r\n");
    }
}

/// Errors of MLST and MLSD.
mod section_7_2_1 {
    use super::*;

    #[test]
    fn what_is_not_there_is_550() {
        let server = Server::start();
        let mut client = Client::bob(&server);
        client.cmd("MLST nothing", 550);
        client.cmd("MLSD nothing", 550);
        client.cmd("MLSD nowhere/nothing", 550);
    }

    #[test]
    fn what_is_not_permitted_is_550() {
        let server = Server::setup().user("perm = er").start();
        server.put("d/a", "");
        let mut client = Client::bob(&server);
        for command in ["MLST", "MLST d", "MLSD", "MLSD d"] {
            client.cmd(command, 550);
        }
    }

    #[test]
    fn without_a_data_connection_mlsd_is_425() {
        let server = Server::start();
        Client::bob(&server).cmd("MLSD", 425);
    }
}

/// Names in the answers.
mod section_7_3_1 {
    use super::*;

    #[test]
    fn mlst_names_the_path_in_full_and_mlsd_names_without_their_directory() {
        let server = Server::start();
        server.put("d/a", "");
        let mut client = Client::bob(&server);
        assert_eq!(entry(&mut client, "MLST d/a").1, "/d/a");
        assert_eq!(entry(&mut client, "MLST /d/../d//a").1, "/d/a");
        for path in ["d", "/d", "d/"] {
            for line in client.lines(&format!("MLSD {path}")) {
                let (facts, name) = line.split_once(' ').unwrap();
                if !matches!(fact(facts, "type"), Some("cdir" | "pdir")) {
                    assert_eq!(name, "a");
                }
            }
        }
    }
}

/// The type fact.
mod section_7_5_1 {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn files_are_file_and_directories_dir_and_all_else_is_of_the_system() {
        let server = Server::start();
        server.put("file", "");
        server.put("dir/x", "");
        let _socket = UnixListener::bind(server.home().join("socket")).unwrap();
        let mut client = Client::bob(&server);
        let mut kind = |name: &str| {
            let (facts, _) = entry(&mut client, &format!("MLST {name}"));
            fact(&facts, "type").unwrap().to_ascii_lowercase()
        };
        assert_eq!(kind("file"), "file");
        assert_eq!(kind("dir"), "dir");
        assert!(kind("socket").starts_with("os.unix="));
    }

    #[test]
    fn a_link_is_what_it_leads_to_and_has_the_same_unique_fact() {
        let server = Server::start();
        server.put("file", "12345");
        server.put("dir/x", "");
        symlink("file", server.home().join("to-file")).unwrap();
        symlink("dir", server.home().join("to-dir")).unwrap();
        fs::hard_link(server.home().join("file"), server.home().join("hard")).unwrap();
        let mut client = Client::bob(&server);
        let mut facts = |name: &str| entry(&mut client, &format!("MLST {name}")).0;
        assert_eq!(facts("to-file"), facts("file"));
        assert_eq!(facts("to-dir"), facts("dir"));
        assert_eq!(facts("hard"), facts("file"));
        assert_ne!(fact(&facts("dir"), "unique"), fact(&facts("file"), "unique"));
        // a link to nothing is of the system, or is not there
        symlink("nothing", server.home().join("dangling")).unwrap();
        let lines = client.lines("MLSD");
        for line in lines.iter().filter(|line| line.ends_with("; dangling")) {
            let kind = fact(line.split_once(' ').unwrap().0, "type").unwrap();
            assert!(kind.to_ascii_lowercase().starts_with("os.unix="), "{line}");
        }
    }

    #[test]
    fn the_listed_directory_is_not_named_where_the_type_fact_is_not() {
        let server = Server::start();
        server.put("d/a", "");
        let mut client = Client::bob(&server);
        client.cmd("OPTS MLST size;", 200);
        let lines = client.lines("MLSD d");
        assert_eq!(lines, ["size=0; a"]);
    }
}

/// The unique fact.
mod section_7_5_2 {
    use super::*;

    #[test]
    fn a_file_keeps_its_unique_fact_when_it_is_renamed() {
        let server = Server::start();
        server.put("a", "");
        server.put("b", "");
        let mut client = Client::bob(&server);
        client.cmd("OPTS MLST unique;", 200);
        let a = entry(&mut client, "MLST a").0;
        assert_ne!(a, entry(&mut client, "MLST b").0);
        client.cmd("RNFR a", 350);
        client.cmd("RNTO c", 250);
        assert_eq!(entry(&mut client, "MLST c").0, a);
    }
}

/// The modify fact.
mod section_7_5_3 {
    use super::*;

    #[test]
    fn modify_is_the_time_val_of_mdtm_and_there_is_no_create() {
        let server = Server::start();
        let path = server.put("a", "");
        set_modified(&path, LEAP_DAY, 0);
        let mut client = Client::bob(&server);
        let (facts, _) = entry(&mut client, "MLST a");
        assert_eq!(fact(&facts, "modify"), Some("20240229120000"));
        // §7.5.4: Unix has none, and its ctime is none
        assert_eq!(fact(&facts, "create"), None);
    }
}

/// The perm fact.
mod section_7_5_5 {
    use super::*;

    fn letters(client: &mut Client, path: &str) -> String {
        let (facts, _) = entry(client, &format!("MLST {path}"));
        let mut letters: Vec<_> =
            fact(&facts, "perm").unwrap().to_lowercase().chars().collect();
        letters.sort_unstable();
        letters.into_iter().collect()
    }

    #[test]
    fn perm_says_which_commands_may_be_applied() {
        for (perm, file, dir) in [
            ("elradfmwMT", "adfrw", "cdeflmp"),
            ("elr", "r", "el"),
            ("lw", "w", "cl"),
            ("la", "a", "l"),
            ("ld", "d", "dlp"),
            ("lf", "f", "fl"),
            ("lm", "", "lm"),
            ("lMT", "", "l"),
        ] {
            let server = Server::setup().user(&format!("perm = {perm}")).start();
            server.put("file", "");
            server.put("dir/x", "");
            let mut client = Client::bob(&server);
            assert_eq!(letters(&mut client, "file"), file, "{perm}");
            assert_eq!(letters(&mut client, "dir"), dir, "{perm}");
        }
    }

    #[test]
    fn what_is_neither_file_nor_directory_may_still_be_deleted_and_renamed() {
        let server = Server::start();
        std::os::unix::fs::symlink("nothing", server.home().join("link")).unwrap();
        let mut client = Client::bob(&server);
        assert_eq!(letters(&mut client, "link"), "df");
        client.cmd("RNFR link", 350);
        client.cmd("RNTO other", 250);
        client.cmd("DELE other", 250);
        assert!(!server.has("link") && !server.has("other"));
    }
}

/// The size fact.
mod section_7_5_7 {
    use super::*;

    #[test]
    fn a_file_has_its_size_in_bytes_whatever_the_type() {
        let server = Server::start();
        server.put("a", "x\n");
        let mut client = Client::bob(&server);
        for kind in ["TYPE I", "TYPE A"] {
            client.cmd(kind, 200);
            assert_eq!(fact(&entry(&mut client, "MLST a").0, "size"), Some("2"));
        }
    }
}

/// MLST in FEAT, and OPTS MLST.
mod section_7_8 {
    use super::*;

    /// Names of the facts in FEAT, and those with a mark.
    pub(super) fn facts(client: &mut Client) -> (Vec<String>, Vec<String>) {
        let reply = client.cmd("FEAT", 211);
        let line = reply.lines().find_map(|line| line.strip_prefix(" MLST ")).unwrap();
        let list = line.strip_suffix(';').unwrap();
        let all = list.split(';').map(|name| name.trim_end_matches('*').to_owned()).collect();
        let marked =
            list.split(';').filter_map(|name| name.strip_suffix('*')).map(str::to_owned);
        (all, marked.collect())
    }

    #[test]
    fn the_marked_facts_are_those_that_are_sent() {
        let server = Server::start();
        server.put("a", "");
        let mut client = Client::bob(&server);
        for choice in [None, Some("type;size;"), Some("modify;"), Some("")] {
            if let Some(choice) = choice {
                client.cmd(format!("OPTS MLST {choice}").trim_end(), 200);
            }
            let (all, marked) = facts(&mut client);
            for name in ["type", "size", "modify", "perm", "unique"] {
                assert!(all.iter().any(|known| known.eq_ignore_ascii_case(name)), "{name}");
            }
            let sent = entry(&mut client, "MLST a").0;
            let mut sent: Vec<_> = sent
                .split_terminator(';')
                .map(|fact| fact.split_once('=').unwrap().0)
                .collect();
            let mut marked: Vec<_> = marked.iter().map(String::as_str).collect();
            sent.sort_unstable();
            marked.sort_unstable();
            assert_eq!(sent, marked, "{choice:?}");
        }
    }
}

/// OPTS MLST.
mod section_7_9 {
    use super::*;

    /// What follows `200 MLST OPTS`, in the syntax of §7.9.1.
    fn choose(client: &mut Client, command: &str) -> Vec<String> {
        let reply = client.cmd(command, 200).to_ascii_lowercase();
        let rest = reply.strip_prefix("200 mlst opts").unwrap_or_else(|| panic!("{reply}"));
        if rest.is_empty() {
            return Vec::new();
        }
        let list = rest.strip_prefix(' ').and_then(|list| list.strip_suffix(';'));
        let list = list.unwrap_or_else(|| panic!("{reply:?}"));
        let mut names: Vec<_> = list.split(';').map(str::to_owned).collect();
        names.sort();
        names
    }

    #[test]
    fn the_examples_of_7_9_2_are_answered_as_there() {
        let server = Server::start();
        server.put("tmp/x", "");
        let mut client = Client::bob(&server);
        assert_eq!(
            choose(&mut client, "OptS Mlst Type;UNIX.mode;Perm;"),
            ["perm", "type", "unix.mode"]
        );
        assert_eq!(choose(&mut client, "opts MLst lang;type;charset;create;"), ["type"]);
        assert_eq!(choose(&mut client, "OPTS mlst size;frogs;"), ["size"]);
        client.cmd("opts MLst unique type;", 501);
        assert_eq!(section_7_8::facts(&mut client).1, ["size"]);
        assert!(choose(&mut client, "Opts MLST").is_empty());
        assert_eq!(client.cmd("MLst tmp", 250).lines().nth(1), Some("  /tmp"));
        assert_eq!(choose(&mut client, "OPTS mlst unique;size;"), ["size", "unique"]);
        assert!(choose(&mut client, "OPTS mlst fish;cakes;").is_empty());
        assert_eq!(client.cmd("MLst tmp", 250).lines().nth(1), Some("  /tmp"));
        assert_eq!(choose(&mut client, "OptS Mlst Modify;Unique;"), ["modify", "unique"]);
        client.cmd("opts MLst fish cakes;", 501);
        let (facts, _) = entry(&mut client, "MLst tmp");
        assert!(fact(&facts, "modify").is_some() && fact(&facts, "unique").is_some());
        assert_eq!(facts.matches('=').count(), 2);
    }

    #[test]
    fn the_choice_holds_for_mlsd_as_well() {
        let server = Server::start();
        server.put("a", "12345");
        let mut client = Client::bob(&server);
        assert_eq!(choose(&mut client, "OPTS MLST size;"), ["size"]);
        assert_eq!(client.download("MLSD"), b"size=5; a\r\n");
    }

    #[test]
    fn the_last_semicolon_may_be_left_out() {
        let server = Server::start();
        let mut client = Client::bob(&server);
        assert_eq!(choose(&mut client, "OPTS MLST type;size"), ["size", "type"]);
    }
}

/// MFMT (draft-somers-ftp-mfxx-04).
mod mfmt {
    use super::*;

    #[test]
    fn the_reply_tells_the_fact_as_it_is_now_and_the_pathname_as_it_was_given() {
        let server = Server::start();
        let path = server.put("d/some file", "x");
        let mut client = Client::bob(&server);
        assert_eq!(
            client.cmd("mfmt 20240229120000 d/some file", 213),
            "213 Modify=20240229120000; d/some file"
        );
        assert_eq!(modified(&path), 1_709_208_000);
        assert_eq!(client.cmd("MDTM d/some file", 213), "213 20240229120000");
    }

    #[test]
    fn a_time_that_the_file_system_cannot_keep_is_not_confirmed() {
        let server = Server::start();
        server.put("a", "x");
        let mut client = Client::bob(&server);
        for time in ["99991231235959", "10000101000000", "20161231235960"] {
            let reply = client.cmd(&format!("MFMT {time} a"), 213);
            let kept = client.cmd("MDTM a", 213);
            let kept = kept.strip_prefix("213 ").unwrap();
            assert_eq!(reply, format!("213 Modify={kept}; a"), "{time}");
            let old = client.cmd(&format!("MDTM {time} a"), 213);
            assert_eq!(old, format!("213 {kept}"), "{time}");
        }
    }

    #[test]
    fn errors_are_501_or_550_and_change_nothing() {
        let server = Server::start();
        let path = server.put("a", "x");
        set_modified(&path, LEAP_DAY, 0);
        let mut client = Client::bob(&server);
        client.cmd("MFMT a", 501);
        client.cmd("MFMT 20200101000000 nothing", 550);
        assert_eq!(modified(&path), 1_709_208_000);
        assert!(!server.has("nothing"));
    }

    #[test]
    fn times_before_1970_and_after_2038_are_kept() {
        let server = Server::start();
        let path = server.put("a", "x");
        let mut client = Client::bob(&server);
        for (time, seconds) in
            [("19650102030405", -157_668_955), ("20500102030405", 2_524_705_445)]
        {
            client.cmd(&format!("MFMT {time} a"), 213);
            assert_eq!(modified(&path), seconds);
            assert_eq!(client.cmd("MDTM a", 213), format!("213 {time}"));
        }
    }
}

/// HOST (RFC 7151).
mod host {
    use super::*;

    #[test]
    fn host_before_a_login_is_220_and_may_be_repeated() {
        let server = Server::start();
        let mut client = Client::connect(&server);
        for host in ["ftp.example.com", "[::1]", "127.0.0.1", "FTP.EXAMPLE.COM"] {
            client.cmd(&format!("HOST {host}"), 220);
        }
        client.cmd("USER bob", 331);
        client.cmd("PASS secret", 230);
    }

    /// A name must be chosen before one logs in there (RFC 7151 §3.1).
    #[test]
    fn host_after_a_login_comes_too_late_and_after_rein_again_in_time() {
        let server = Server::start();
        let mut client = Client::bob(&server);
        client.cmd("HOST ftp.example.com", 503);
        client.cmd("PWD", 257);
        client.cmd("REIN", 220);
        client.cmd("HOST ftp.example.com", 220);
    }
}
