//! Users that the settings do not have: checks the keys about them, and makes such a user from the
//! answer of `auth_program`.

use std::path::{Component, Path, PathBuf};

use super::draft::Draft;
use super::error::{Fault, Location};
use super::field::{Scope, Target};
use super::folders;
use super::keys::{KEYS, Key, is_of_answers};
use super::kind::Given;
use super::nearest::nearest;
use super::settings::{Elsewhere, Folder, FolderRules, Rules, User};
use super::tls::TlsRequired;
use super::value::{AuthProtocol, Overwrite, Password};
use super::whole::Config;
use crate::rights;

/// The home of a user whose answer names none.
const USUAL_HOME: &str = "{user}";

/// Checks the keys of `[server]` about users from elsewhere. Adds faults to the draft.
pub(super) fn check(draft: &mut Draft) {
    rivals(draft);
    if !draft.server.elsewhere.is_on() || draft.is_faulty(draft.line("auth_homes")) {
        return;
    }
    let fault = match &draft.server.elsewhere.homes {
        None => Fault::Missing,
        Some(homes) => {
            let text = draft.texts.get("auth_homes").cloned().unwrap_or_default();
            match std::fs::metadata(homes) {
                _ if homes.parent().is_none() => {
                    Fault::Value(text, "is the root of the file system".to_owned())
                }
                Ok(meta) if meta.is_dir() => return,
                Ok(_) => Fault::Value(text, "is not a directory".to_owned()),
                Err(why) => Fault::Absent(text, homes.clone(), why.to_string()),
            }
        }
    };
    let asked = if draft.server.elsewhere.url.is_some() { "auth_url" } else { "auth_program" };
    let key = if fault == Fault::Missing { asked } else { "auth_homes" };
    let line = draft.line(key);
    draft.faults.push((Location::of(line, "server", "auth_homes"), fault));
}

/// Reports keys that cannot be set together.
fn rivals(draft: &mut Draft) {
    let asked = &draft.server.elsewhere;
    let (is_url, is_extauth) = (asked.url.is_some(), asked.protocol == AuthProtocol::Extauth);
    let wrong = [
        ("auth_url", "auth_program", asked.program.is_some()),
        ("auth_protocol", "auth_url", is_extauth),
    ];
    let wrong = wrong.into_iter().filter(|(.., is_set)| is_url && *is_set);
    let faults = wrong.map(|(key, other, _)| {
        (Location::of(draft.line(key), "server", key), Fault::Rival(other))
    });
    let faults: Vec<_> = faults.collect();
    draft.faults.extend(faults);
}

impl Config {
    /// Makes a user from the keys that an answer gives, and from the rules and folders of these settings.
    /// The name must be one that a user of the settings could have. Also returns remarks for the log about
    /// what was left out.
    ///
    /// # Errors
    ///
    /// All faults of the answer, in the words in which those of a settings file are reported.
    pub fn user_from_answer(
        &self,
        name: &str,
        answer: &[(String, String)],
    ) -> Result<(User, Vec<String>), Vec<String>> {
        let given = &self.server.elsewhere;
        let mut user = User { rules: self.rules.clone(), ..User::blank() };
        let (mut faults, mut remarks) = (Vec::new(), Vec::new());
        let mut fault = |key: &str, fault: &Fault| {
            faults.push(format!("{}: {fault}", key.escape_debug()));
        };
        for (key, _) in answer {
            if let Some(why) = refusal(key) {
                fault(key, &why);
            }
        }
        for key in KEYS.iter().filter(|key| is_of_answers(key.name)) {
            let said = answer.iter().find(|(name, _)| name == key.name);
            let said = said.map(|(_, text)| text.as_str());
            if key.name == "run_as" && !given.run_as {
                remarks
                    .extend(said.map(|_| "run_as is ignored (auth_run_as = off)".to_owned()));
            } else if let Some(text) = said.or_else(|| usual(key))
                && let Err(why) = set(key, text, name, given, &mut user)
            {
                fault(key.name, &why);
            }
        }
        if let Err(why) = within(given, &mut user) {
            fault("home", &why);
        }
        if let Err(why) = run_as(given, answer, &user) {
            fault("run_as", &why);
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let has_perm = answer.iter().any(|(key, _)| key == "perm");
        let asked = if has_perm { user.perm() } else { given.perm };
        user.rules.folder.perm = asked.and(given.perm);
        if user.perm() != asked {
            remarks.push(format!("of the letters {asked}, auth_perm allows {}", user.perm()));
        }
        tighten(&mut user.rules, &self.rules);
        user.password = Some(Password::Elsewhere);
        let folders = folders::for_all(name, &self.for_all, &user.rules.folder, &self.folder);
        let within = |folder: &Folder| {
            let perm = folder.rules.perm.and(given.perm);
            Folder { rules: FolderRules { perm, ..folder.rules.clone() }, ..folder.clone() }
        };
        user.folders = folders.iter().map(within).collect();
        Ok((user, remarks))
    }
}

/// Returns why an answer cannot give a key, if it cannot.
fn refusal(name: &str) -> Option<Fault> {
    if is_of_answers(name) {
        return None;
    }
    if KEYS.iter().any(|key| key.name == name) {
        return Some(Fault::Note("cannot be given by an answer".to_owned()));
    }
    let known = KEYS.iter().map(|key| key.name).filter(|name| is_of_answers(name));
    Some(Fault::UnknownKey(nearest(name, known)))
}

/// Returns the text of a key that an answer does not give; `None`: the value of `[server]` holds.
fn usual(key: &Key) -> Option<&'static str> {
    match key.name {
        "home" => Some(USUAL_HOME),
        _ => key.default.filter(|_| key.scope() == Scope::User),
    }
}

fn set(
    key: &Key,
    text: &str,
    name: &str,
    given: &Elsewhere,
    user: &mut User,
) -> Result<(), Fault> {
    if text.contains(char::is_control) {
        return Err(Fault::Value(text.to_owned(), "contains a control character".to_owned()));
    }
    let folder = given.homes.as_deref().unwrap_or(Path::new("/"));
    key.set(&Given { text, folder, user: Some(name) }, &mut Target::User(user))
}

/// Checks that the home of a user lies below `auth_homes`, as far as the path tells. Links on it are looked
/// at when the home is opened.
fn within(given: &Elsewhere, user: &mut User) -> Result<(), Fault> {
    // a home that was refused has been reported already
    if user.home.as_os_str().is_empty() {
        return Ok(());
    }
    let above = given.homes.as_deref();
    let rest = above.and_then(|above| user.home.strip_prefix(above).ok());
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    let rest = rest.filter(|rest| rest.parent().is_some() && rest.components().all(is_plain));
    if rest.is_none() {
        let home = user.home.display().to_string();
        return Err(Fault::Value(home, "is not below auth_homes".to_owned()));
    }
    user.above = above.map(PathBuf::from);
    Ok(())
}

/// Checks that an answer does not let a session act as root, or as the server's user by an entry that
/// somebody has left empty.
fn run_as(given: &Elsewhere, answer: &[(String, String)], user: &User) -> Result<(), Fault> {
    if !given.run_as {
        return Ok(());
    }
    match answer.iter().find(|(key, _)| key == "run_as") {
        None if rights::is_root() => {
            return Err(Fault::Note("is missing, and the server runs as root".to_owned()));
        }
        Some((_, text)) if text.trim().is_empty() => {
            return Err(Fault::Note("is empty".to_owned()));
        }
        None | Some(_) => {}
    }
    if user.run_as.as_ref().is_some_and(|ids| ids.gid == 0 || ids.groups.contains(&0)) {
        return Err(Fault::Note("belongs to the group of root".to_owned()));
    }
    Ok(())
}

/// Makes sure that the rules of a user protect no less than those of `[server]`.
fn tighten(own: &mut Rules, server: &Rules) {
    let TlsRequired { control, data } = server.tls.required;
    own.tls.required.control |= control;
    own.tls.required.data |= data;
    own.files.world_readable_only |= server.files.world_readable_only;
    own.files.umask |= server.files.umask;
    own.files.chmod_mask &= server.files.chmod_mask;
    if server.folder.overwrite == Overwrite::No {
        own.folder.overwrite = Overwrite::No;
    }
}

/// Returns whether a user of the settings could have this name.
pub fn may_be_user(name: &str) -> bool {
    !name.is_empty() && name.len() <= LONGEST_NAME && !name.contains(char::is_control)
}

/// Maximum length in bytes of a name that is asked about: that of a file name.
const LONGEST_NAME: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::of_text;

    fn config(more: &str) -> Config {
        let ini = format!(
            "[server]\nauth_program = /bin/true\nauth_homes = /usr\nauth_perm = elrw\n{more}\
             [user:bob]\npassword = x\nhome = /\n[folder:/in]\nperm = rwd\n\
             [folder:/out]\nmax_file_size = 1\n"
        );
        of_text(&ini).unwrap()
    }

    fn user(config: &Config, name: &str, answer: &[(&str, &str)]) -> Result<User, Vec<String>> {
        let own = |&(key, text): &(&str, &str)| (key.to_owned(), text.to_owned());
        let answer: Vec<_> = answer.iter().map(own).collect();
        config.user_from_answer(name, &answer).map(|(user, _)| user)
    }

    #[test]
    fn no_home_lies_elsewhere() {
        let config = config("");
        let home = |name, text| user(&config, name, &[("home", text)]).map(|user| user.home);
        assert_eq!(home("ann", "x/{user}"), Ok("/usr/x/ann".into()));
        assert_eq!(home("ann", "/usr/share"), Ok("/usr/share".into()));
        assert_eq!(user(&config, "ann", &[]).unwrap().home, Path::new("/usr/ann"));
        assert_eq!(user(&config, "ann", &[]).unwrap().above, Some("/usr".into()));
        for text in [
            "/",
            "",
            "/usr",
            "/usr/",
            "/usrs/x",
            "/etc",
            "..",
            "../etc",
            "x/../../etc",
            "x/..",
            "/usr/../etc",
            ".",
            "./",
            "x\n",
            "x\0",
        ] {
            assert!(home("ann", text).is_err(), "{text:?}: {:?}", home("ann", text));
        }
        for name in ["..", ".", "a/b", "../x", "/"] {
            assert!(user(&config, name, &[]).is_err(), "{name}");
            assert!(home(name, "/usr/{user}").is_err(), "{name}");
        }
        assert_eq!(home("..", "x"), Ok("/usr/x".into()));
    }

    #[test]
    fn letters_and_rules_only_become_stricter() {
        let config = config(
            "umask = 027\nchmod_mask = 0755\noverwrite = no\nworld_readable_only = on\n",
        );
        let perm = |text| user(&config, "ann", &[("perm", text)]).map(|user| user.perm());
        assert_eq!(perm("elradfmwMT").unwrap().to_string(), "elrw");
        assert_eq!(perm("e").unwrap().to_string(), "e");
        assert_eq!(perm("").unwrap().to_string(), "");
        assert_eq!(user(&config, "ann", &[]).unwrap().perm().to_string(), "elrw");
        let folders = user(&config, "ann", &[("perm", "e")]).unwrap().folders;
        let perms: Vec<_> = folders.iter().map(|one| one.rules.perm.to_string()).collect();
        assert_eq!(perms, ["rw", "e"], "those of [folder:/in] and [folder:/out]");
        let fault = perm("elx").unwrap_err();
        assert_eq!(fault, ["perm: 'elx' has the unknown permission letter 'x'"]);
        let open = [
            ("umask", "0"),
            ("chmod_mask", "0777"),
            ("overwrite", "yes"),
            ("world_readable_only", "off"),
        ];
        let rules = user(&config, "ann", &open).unwrap().rules;
        assert_eq!((rules.files.umask, rules.files.chmod_mask), (0o027, 0o755));
        assert!(rules.folder.overwrite == Overwrite::No && rules.files.world_readable_only);
    }

    #[test]
    fn keys_that_an_answer_cannot_give_are_refused() {
        let config = config("");
        let fault = |key, text| user(&config, "ann", &[(key, text)]).unwrap_err().join("; ");
        for key in ["password", "password_file", "like", "on_upload", "keep_for", "port"] {
            assert_eq!(fault(key, "x"), format!("{key}: cannot be given by an answer"));
        }
        assert_eq!(fault("prem", "x"), "prem: unknown key; did you mean 'perm'?");
        assert_eq!(fault("x\n", "x"), "x\\n: unknown key");
        assert_eq!(
            fault("max_upload", "many"),
            "max_upload: 'many' is not a size such as 300K, 10M or 1G"
        );
        assert!(fault("login_msg", "a\r\nb").contains("control character"));
        assert!(user(&config, "ann", &[("run_as", "root")]).unwrap().run_as.is_none());
    }

    #[test]
    fn an_answer_never_names_root() {
        let config = config("auth_run_as = on\n");
        let run_as = |text| user(&config, "ann", &[("run_as", text)]).map(|user| user.run_as);
        for text in ["", " ", "root", "0", "0:5", "5:0", "1:root"] {
            assert!(run_as(text).is_err(), "{text}");
        }
        let ids = run_as("61234:61235").unwrap().unwrap();
        assert_eq!((ids.uid, ids.gid, &ids.groups[..]), (61234, 61235, &[61235][..]));
        // nor leaves it to the server, if that is root
        match user(&config, "ann", &[]) {
            Ok(user) => assert!(!rights::is_root() && user.run_as.is_none()),
            Err(why) => {
                assert!(rights::is_root());
                assert_eq!(why, ["run_as: is missing, and the server runs as root"]);
            }
        }
    }

    #[test]
    fn one_thing_is_asked_in_one_way() {
        let fault = |keys: &str| {
            let ini = format!("[server]\nauth_homes = /usr\nauth_url = http://x\n{keys}");
            of_text(&ini)
                .err()
                .unwrap_or_default()
                .iter()
                .map(ToString::to_string)
                .collect::<String>()
        };
        assert_eq!(fault(""), "");
        let rival = "settings:3: [server] auth_url: cannot be set together with 'auth_program'";
        assert_eq!(fault("auth_program = /bin/true\n"), rival);
        let rival =
            "settings:4: [server] auth_protocol: cannot be set together with 'auth_url'";
        assert_eq!(fault("auth_protocol = extauth\n"), rival);
    }

    #[test]
    fn homes_are_required() {
        let fault = |keys: &str| {
            let ini = format!("[server]\nauth_program = /bin/true\n{keys}");
            of_text(&ini).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(fault(""), ["settings:2: [server] auth_homes: is missing"]);
        let root = "settings:3: [server] auth_homes: '/' is the root of the file system";
        assert_eq!(fault("auth_homes = /\n"), [root]);
        let file = "settings:3: [server] auth_homes: '/bin/sh' is not a directory";
        assert_eq!(fault("auth_homes = /bin/sh\n"), [file]);
        assert!(fault("auth_homes = /nowhere/at/all\n")[0].contains("is not a directory: "));
    }
}
