//! Tests of importing files with a user in each line.

use super::{HASH, imported};

#[test]
fn the_tutorials_users_come_with_all_that_they_had() {
    let (text, faults) = imported(
        "# user password permission home\r\nhuang 12;#45 elradfmwMT /home/huang\r\n\
         short 1 elr\nodd x elz /home/odd\nhash $1$a$b elr /srv\nhuang 2 e /x\n[x] y e /\n",
    );
    assert_eq!(
        text,
        "[user:huang]\npassword = 12;#45\nperm = elradfmwMT\nhome = /home/huang\n\n\
         ; left out: hash, whose password is a hash of an unknown kind\n\n"
    );
    let lines: Vec<_> = faults.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [3, 4, 5, 6, 7], "{faults:?}");
    assert!(faults[1].1.contains('z') && !faults[2].1.contains("$1$"), "{faults:?}");
}

#[test]
fn pure_ftpd_users_keep_bandwidth_sessions_and_addresses() {
    let (text, faults) = imported(&format!(
        "joe:{HASH}:500:101:Joe:/srv/joe/./:307200:2097152:1:5:3:100:1048576:::192.168.1.0/24,10.0.0.1,box.example:10.9.9.9:0900-1800\n\
         old:Xa1b2c3d4e5f6:500:101::/srv/old/./::::::::::::\n\
         md5:$1$salt$YogkosCIrkoEoGzIPu7xf/:500:101::/srv/md5/./::::::::::::\n\
         locked:*:500:101::/srv/x/./::::::::::::\n\
         hosts:{HASH}:500:101::/srv/x/./::::::::::box.example::\n\
         deep:{HASH}:500:101::/srv/./deep::::::::::::\n\
         relative:{HASH}:500:101::srv::::::::::::\n\
         broken:{HASH}:500\n"
    ));
    for line in [
        // a user who was refused from some addresses, or at some times, is not let in without
        // that restriction
        ";[user:joe]",
        ";perm = elradfmwMT",
        ";home = /srv/joe",
        ";max_upload = 307200",
        ";max_download = 2097152",
        ";max_per_user = 3",
        ";allow_from = 192.168.1.0/24, 10.0.0.1",
        "; run_as = 500:101",
        "; no equivalent: authorized client box.example",
        "; no equivalent: upload ratio 1",
        "; no equivalent: download ratio 5",
        ";quota_files = 100",
        ";quota_bytes = 1048576",
        "; no equivalent: refused client IPs 10.9.9.9",
        "; no equivalent: time restrictions 0900-1800",
        "; left out: md5, whose password is a hash of an unknown kind",
        "; left out: old, whose password is a hash of an unknown kind",
        "home = /srv/deep",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(text.contains(&format!("password = {HASH}\n")) && !text.contains("[user:hosts]"));
    let lines: Vec<_> = faults.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [1, 2, 3, 4, 5, 7, 8], "{faults:?}");
}

#[test]
fn pure_ftpd_users_keep_their_quota() {
    let (text, faults) =
        imported(&format!("joe:{HASH}:500:101::/srv/joe/./::::::20:3000000000::::::\n"));
    assert!(faults.is_empty(), "{faults:?}");
    for line in ["[user:joe]", "quota_files = 20", "quota_bytes = 3000000000"] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[test]
fn proftpd_users_come_and_their_shells_do_not() {
    let (text, faults) = imported(&format!(
        "joe:{HASH}:500:101:Joe:/srv/joe:/bin/false\neve::500:101::/srv/eve:/bin/sh\n\
         shadow:x:1:1::/:/bin/sh\nroot:!{HASH}:0:0::/root:/bin/sh\nbad:{HASH}:1:1:/x\n"
    ));
    assert!(
        text.contains("[user:joe]\n") && text.contains("; no equivalent: shell /bin/false\n")
    );
    assert_eq!(text.matches("[user:").count(), 1, "{text}");
    assert_eq!(faults.len(), 4, "{faults:?}");
}
