//! Tests of importing the `settings.py` of pyftpdlib's tutorial.

use super::super::format::Format;
use super::{has, imported, kind, lines};

#[test]
fn the_tutorials_settings_are_those_of_the_same_server() {
    let settings = "# -*- coding: utf-8 -*-\nimport os\nip = '0.0.0.0'\nport = '2121'\n\
        # comment\nmax_upload = 300 * 1024\nmax_download = 500 * 1024  # per second\n\
        max_cons = 150\nmax_per_ip = 10\npassive_ports = (2000, 2200)\n\
        enable_anonymous = 'on'\nenable_logging = False\nloging_name = 'pyftp.log'\n\
        masquerade_address = \"\"\nwelcome_msg = 'Welcome to my ftp'\n\
        anonymous_path = '/srv'\n";
    assert_eq!(kind(settings), Some(Format::Settings));
    let (text, faults) = imported(settings);
    assert_eq!(faults, []);
    for line in [
        "ip = 0.0.0.0",
        "port = 2121",
        "max_upload = 307200",
        "max_download = 512000",
        "max_cons = 150",
        "max_per_ip = 10",
        "passive_ports = 2000-2200",
        "enable_logging = off",
        "; log_file = pyftp.log",
        "welcome_msg = Welcome to my ftp",
        "[anonymous]",
        "home = /srv",
    ] {
        assert!(has(&text, line), "{line}\n{text}");
    }
    assert!(text.contains("the wrong way round") && !text.contains("masquerade"), "{text}");
    // if a limit cannot be read, nobody is let in without it
    let (text, faults) =
        imported("enable_anonymous = 'on'\nanonymous_path = '/srv'\nmax_cons = many()\n");
    assert_eq!(lines(&faults), [3]);
    assert!(!has(&text, "[anonymous]") && has(&text, ";[anonymous]"), "{text}");
    let (text, faults) = imported(
        "ip = ''\nport = 70000\nmax_cons = os.cpu_count()\npassive_ports = 5\n\
         enable_anonymous = 'maybe'\nenable_logging = True\nlogging_name = 'x.log'\n\
         max_upload = -1\nmasquerade_address = '0.0.0.0'\nother = 7\nnonsense\n",
    );
    assert_eq!(lines(&faults), [2, 3, 4, 5, 8, 9, 11], "{faults:?}");
    for line in [
        "ip = 0.0.0.0",
        "enable_logging = on",
        "log_file = x.log",
        "; no equivalent: other = 7",
    ] {
        assert!(has(&text, line), "{line}\n{text}");
    }
    assert!(!text.contains("[anonymous]"), "{text}");
    // a `vsftpd.conf` is not taken for a `settings.py`, nor the other way round
    assert_eq!(kind("max_per_ip=5\nlisten=YES\n"), Some(Format::Vsftpd));
    assert_eq!(kind("max_per_ip=5\n"), Some(Format::Vsftpd));
    assert_eq!(kind("passive_ports = (2000, 2200)\n"), Some(Format::Settings));
    assert_eq!(kind("max_upload=300*1024\nport='1'\n"), Some(Format::Settings));
}
