//! The answer about a login: one JSON object, or the lines of Pure-FTPd's scripts. Values in, values
//! out: whether the values are good ones is decided by the settings.

use serde_json::Value;

/// The answer of a program or a URL about a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// The login is refused.
    Refused,
    /// The login is accepted, with these keys of the settings and their texts.
    Accepted(Vec<(String, String)>),
}

/// Reads an answer in JSON.
///
/// # Errors
///
/// When it is not one; the text says why, and contains nothing of the answer.
pub(super) fn of_json(text: &[u8]) -> Result<Answer, String> {
    let not_one = |why: &str| Err(format!("the answer is not {why}"));
    let value = match serde_json::from_slice(text) {
        Ok(value) => value,
        Err(why) if text.trim_ascii().is_empty() => {
            drop(why);
            return Err("the answer is empty".to_owned());
        }
        Err(why) => {
            return not_one(&format!("JSON: line {}, column {}", why.line(), why.column()));
        }
    };
    let Value::Object(mut members) = value else { return not_one("a JSON object") };
    match members.remove("accept") {
        Some(Value::Bool(true)) => {}
        Some(Value::Bool(false)) => return Ok(Answer::Refused),
        Some(_) => return Err("'accept' in the answer is neither true nor false".to_owned()),
        None => return Err("the answer has no member 'accept'".to_owned()),
    }
    let text = |(name, value): (String, Value)| match value {
        Value::String(text) => Ok((name, text)),
        Value::Number(number) => Ok((name, number.to_string())),
        Value::Bool(is_on) => Ok((name, if is_on { "on" } else { "off" }.to_owned())),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            let name = name.escape_debug();
            Err(format!("'{name}' in the answer is not a text, a number, true or false"))
        }
    };
    Ok(Answer::Accepted(members.into_iter().map(text).collect::<Result<_, _>>()?))
}

/// Reads an answer of a script for Pure-FTPd.
///
/// # Errors
///
/// When it is not one; the text says why.
pub(super) fn of_extauth(text: &[u8]) -> Result<Answer, String> {
    let text = std::str::from_utf8(text).map_err(|_| "the answer is not UTF-8 text")?;
    let mut lines = text.lines().map(str::trim_end);
    let mut said: Vec<(&str, &str)> = Vec::new();
    for line in lines.by_ref().take_while(|line| *line != "end") {
        match line.split_once(':') {
            Some((name, value)) => said.push((name.trim(), value.trim_start())),
            None if line.is_empty() => {}
            None => return Err("a line of the answer has no colon".to_owned()),
        }
    }
    if text.lines().all(|line| line.trim_end() != "end") {
        return Err("the answer does not end with the line 'end'".to_owned());
    }
    let of =
        |name: &str| said.iter().rev().find(|(key, _)| *key == name).map(|(_, text)| *text);
    match of("auth_ok") {
        Some("1") => {}
        Some("0" | "-1") => return Ok(Answer::Refused),
        Some(_) => return Err("'auth_ok' in the answer is none of 1, 0 and -1".to_owned()),
        None => return Err("the answer has no line 'auth_ok:'".to_owned()),
    }
    let (Some(uid), Some(gid), Some(dir)) = (of("uid"), of("gid"), of("dir")) else {
        return Err(
            "the answer accepts the login, but has no 'uid:', 'gid:' or 'dir:'".to_owned()
        );
    };
    // what follows "/./" is the directory in which a session starts
    let (home, start) = match dir.split_once("/./") {
        Some((home, start)) => (home, Some(format!("/{start}"))),
        None => (dir, None),
    };
    let mut keys = vec![("home".to_owned(), home.to_owned())];
    keys.push(("run_as".to_owned(), format!("{uid}:{gid}")));
    keys.extend(start.map(|start| ("start_dir".to_owned(), start)));
    let others = LIMITS.iter().filter_map(|(name, key)| Some((*key, of(name)?)));
    keys.extend(others.map(|(key, text)| (key.to_owned(), text.to_owned())));
    Ok(Answer::Accepted(keys))
}

/// The limits that a script for Pure-FTPd can give, with the keys of the same meaning. Ratios and what it
/// says about `~` have none, and are ignored.
const LIMITS: [(&str, &str); 5] = [
    ("throttling_bandwidth_ul", "max_upload"),
    ("throttling_bandwidth_dl", "max_download"),
    ("user_quota_size", "quota_bytes"),
    ("user_quota_files", "quota_files"),
    ("per_user_max", "max_per_user"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(keys: &[(&str, &str)]) -> Answer {
        let own = |(key, text): &(&str, &str)| ((*key).to_owned(), (*text).to_owned());
        Answer::Accepted(keys.iter().map(own).collect())
    }

    #[test]
    fn an_answer_is_one_json_object() {
        let read = |text: &str| of_json(text.as_bytes());
        assert_eq!(read("{\"accept\": false, \"x\": []}"), Ok(Answer::Refused));
        assert_eq!(read(" {\"accept\":true}\n\n"), Ok(accepted(&[])));
        assert_eq!(
            read(
                "{\"home\":\"a\\u00e4\",\"accept\":true,\"max_upload\":5,\"create_home\":true}"
            ),
            Ok(accepted(&[("create_home", "on"), ("home", "a\u{e4}"), ("max_upload", "5")]))
        );
        for (text, why) in [
            ("", "the answer is empty"),
            (" \n", "the answer is empty"),
            ("{\"accept\": true", "the answer is not JSON: line 1, column 15"),
            ("{\"accept\": true} {}", "the answer is not JSON: line 1, column 18"),
            ("secret", "the answer is not JSON: line 1, column 1"),
            ("[true]", "the answer is not a JSON object"),
            ("{}", "the answer has no member 'accept'"),
            ("{\"Accept\": true}", "the answer has no member 'accept'"),
            ("{\"accept\": \"true\"}", "'accept' in the answer is neither true nor false"),
            ("{\"accept\": 1}", "'accept' in the answer is neither true nor false"),
            ("{\"accept\": null}", "'accept' in the answer is neither true nor false"),
            (
                "{\"accept\": true, \"home\": null}",
                "'home' in the answer is not a text, a number, true or false",
            ),
        ] {
            assert_eq!(read(text), Err(why.to_owned()), "{text}");
        }
        assert!(of_json(b"{\"accept\": true, \"home\": \"\xE4\"}").is_err());
    }

    #[test]
    fn deep_answers_do_not_use_up_the_stack() {
        let deep = [b"[".repeat(60_000), b"]".repeat(60_000)].concat();
        assert!(of_json(&deep).is_err());
    }

    #[test]
    fn answers_of_scripts_for_pure_ftpd_are_understood() {
        let read = |text: &str| of_extauth(text.as_bytes());
        let home = [("home", "/srv/ann"), ("run_as", "42:43")];
        let whole = "auth_ok:1\nuid:42\ngid:43\ndir:/srv/ann\n";
        assert_eq!(read(&format!("{whole}end\n")), Ok(accepted(&home)));
        assert_eq!(read(&format!("{whole}end")), Ok(accepted(&home)));
        let more = "slow_tilde_expansion:1\nthrottling_bandwidth_ul:10\nuser_quota_size:20\n\
                    ratio_upload:1\nuser_quota_files:30\nper_user_max:4\n";
        let limits = [
            ("max_upload", "10"),
            ("quota_bytes", "20"),
            ("quota_files", "30"),
            ("max_per_user", "4"),
        ];
        let keys = [&home[..], &limits].concat();
        assert_eq!(read(&format!("{whole}{more}end\nx\n")), Ok(accepted(&keys)));
        let start = "auth_ok: 1\r\nuid:42\r\ngid:43\r\ndir:/srv/ann/./in\r\nend\r\n";
        let keys = [&home[..], &[("start_dir", "/in")]].concat();
        assert_eq!(read(start), Ok(accepted(&keys)));
        for refused in ["auth_ok:0\nend\n", "auth_ok:-1\nend", "\nauth_ok:0\nend\n"] {
            assert_eq!(read(refused), Ok(Answer::Refused), "{refused}");
        }
        for broken in [
            "",
            "end\n",
            "auth_ok:1\nend\n",
            "auth_ok:2\nend\n",
            "auth_ok:\nend\n",
            "{\"accept\": true}",
            whole,
            "auth_ok:1\nuid:42\ngid:43\nend\n",
            "auth_ok:0\nhello\nend\n",
            "end\nauth_ok:0\n",
        ] {
            assert!(read(broken).is_err(), "{broken}");
        }
    }
}
