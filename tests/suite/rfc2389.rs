//! RFC 2389, FEAT and OPTS; one module for each section.

use crate::client::Client;
use crate::server::Server;

/// What FEAT says.
mod section_3_2 {
    use super::*;

    fn features(client: &mut Client) -> Vec<String> {
        let reply = client.cmd("FEAT", 211);
        let mut lines: Vec<_> = reply.lines().map(str::to_owned).collect();
        assert!(lines[0].starts_with("211-"), "{reply}");
        assert_eq!(lines.pop().unwrap(), "211 End");
        lines.remove(0);
        lines
    }

    #[test]
    fn each_feature_has_a_line_that_begins_with_one_space() {
        let server = Server::start();
        let lines = features(&mut Client::connect(&server));
        assert!(!lines.is_empty());
        for line in lines {
            let rest = line.strip_prefix(' ').unwrap_or_else(|| panic!("no space: {line}"));
            let first = rest.bytes().next().unwrap_or_default();
            assert!(first.is_ascii_graphic(), "{line}");
            assert!(!rest.ends_with(' ') && rest.is_ascii(), "{line}");
        }
    }

    #[test]
    fn every_documented_extension_is_named_once_and_feat_and_opts_are_not() {
        let server = Server::start();
        let lines = features(&mut Client::connect(&server));
        let labels: Vec<_> =
            lines.iter().filter_map(|line| line.split_ascii_whitespace().next()).collect();
        for label in
            ["EPRT", "EPSV", "HOST", "MDTM", "MFMT", "MLST", "REST", "SIZE", "TVFS", "UTF8"]
        {
            assert_eq!(labels.iter().filter(|known| **known == label).count(), 1, "{label}");
        }
        assert!(!labels.contains(&"FEAT") && !labels.contains(&"OPTS"));
        // one line for both (RFC 3659 §7.8)
        assert!(!labels.contains(&"MLSD"));
    }

    #[test]
    fn what_feat_names_is_there_before_and_after_a_login() {
        let server = Server::start();
        let mut client = Client::connect(&server);
        let before = features(&mut client);
        let after = features(&mut Client::bob(&server));
        assert_eq!(before, after);
    }
}

/// OPTS.
mod section_4 {
    use super::*;

    #[test]
    fn every_other_option_is_501() {
        let server = Server::start();
        let mut client = Client::bob(&server);
        for command in [
            "OPTS",
            "OPTS XYZZY",
            "OPTS FEAT",
            "OPTS OPTS",
            "OPTS MLSD size;",
            "OPTS RETR x",
            "OPTS UTF8 MAYBE",
            "OPTS UTF8 OFF",
        ] {
            client.cmd(command, 501);
        }
    }
}
