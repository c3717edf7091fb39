//! The section `[anonymous]`, and the sections for users of the system.

use super::super::section::Section;
use super::conf::Conf;
use super::keys::Audience;
use super::terms::{FTP, required};

/// A hash that was not made from a password, so that no password matches it.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$\
    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The text that this server replaces by the name of the user.
const TOKEN: &str = "{user}";

/// The rights and limits of anonymous users, and of guests with the same rights.
pub(super) struct Strangers {
    perm: String,
    umask: u32,
    rate: u64,
    public_only: bool,
    may_replace: bool,
}

impl Strangers {
    fn write_to(&self, section: &mut Section) {
        section.set("perm", &self.perm);
        section.set("umask", &format!("{:03o}", self.umask));
        for key in ["max_upload", "max_download"] {
            section.set(key, &self.rate.to_string());
        }
        if self.public_only {
            section.set("world_readable_only", "on");
        }
        if !self.may_replace {
            section.set("overwrite", "no");
        }
    }
}

pub(super) fn strangers(conf: &mut Conf<'_>) -> Strangers {
    let write = conf.switch("write_enable", false);
    let mut perm = "e".to_owned();
    for (key, letter) in [("dirlist_enable", "l"), ("download_enable", "r")] {
        if conf.switch(key, true) {
            perm += letter;
        }
    }
    // vsftpd gives uploads of anonymous users to another user, so these cannot change them
    // later
    let chown = conf.switch("chown_uploads", false);
    let may_replace = conf.switch("anon_other_write_enable", false) && write && !chown;
    let letters = [
        (may_replace, "df"),
        (conf.switch("anon_mkdir_write_enable", false), "m"),
        (conf.switch("anon_upload_enable", false), "w"),
    ];
    for (_, letters) in letters.iter().filter(|(said, _)| *said && write) {
        perm += letters;
    }
    let mut umask = conf.mode("anon_umask", 0o077) | conf.not_opened();
    let chown_mode = conf.mode("chown_upload_mode", 0o600);
    if chown {
        umask |= 0o666 & !chown_mode;
    }
    Strangers {
        perm,
        umask,
        rate: conf.number("anon_max_rate", u64::MAX).unwrap_or_default(),
        public_only: conf.switch("anon_world_readable_only", true) || chown,
        may_replace,
    }
}

pub(super) fn anonymous(
    conf: &mut Conf<'_>,
    strangers: &Strangers,
    server: &mut Section,
) -> Option<Section> {
    if !conf.values.contains_key("anonymous_enable") {
        server
            .note("anonymous_enable is not set: vsftpd takes that for YES, but here it is off");
        return None;
    }
    if !conf.switch("anonymous_enable", false) {
        return None;
    }
    if conf.switch("userlist_enable", false) {
        // the list may contain anonymous users, or only others
        let allows = !conf.switch("userlist_deny", true);
        let why = "userlist_enable: the list decides whether anonymous users are let in";
        conf.lost(conf.line("userlist_enable"), Audience::Anonymous, why);
        if allows {
            let why =
                "userlist_deny=NO admits only users of the list, which has no equivalent here";
            conf.lost(conf.line("userlist_deny"), Audience::Anonymous, why);
        }
    }
    let mut section = Section::new("anonymous");
    let ftp = (conf.system_user)(conf.text("ftp_username").unwrap_or(FTP)).ok();
    let home = conf.text("anon_root").map(str::to_owned);
    if home.is_none() {
        section.note("the home of ftp_username");
    }
    let home = home.or_else(|| ftp?.into_os_string().into_string().ok());
    let home = home.unwrap_or_else(|| "/srv/ftp".to_owned());
    if home.starts_with('/') && !home.contains(TOKEN) {
        section.set("home", &home);
    } else {
        section.no_equal(&format!("anon_root={home}"));
        let line = conf.line("anon_root");
        conf.lost(line, Audience::Anonymous, "anon_root is not an absolute path");
    }
    strangers.write_to(&mut section);
    if conf.switch("ssl_enable", false) {
        let logins = conf.switch("force_anon_logins_ssl", false) || conf.is_implicit();
        let data = conf.switch("force_anon_data_ssl", false);
        section.set("tls_required", required(logins, data));
    }
    Some(section)
}

/// Returns a section that shows what users of the system were allowed.
pub(super) fn users(conf: &mut Conf<'_>, strangers: &Strangers) -> Section {
    let mut user = Section::default();
    for line in [
        "The users of vsftpd are those of the system or of PAM, so vsftpd.conf has no passwords.",
        "The following user is an example and cannot log in. Add a section like it for each user,",
        "with 'ftpd adduser' or with the hash from /etc/shadow as the password. With run_as = NAME,",
        "the sessions of a user have the rights of that user of the system, as with vsftpd.",
    ] {
        user.note(line);
    }
    if conf.switch("userlist_enable", false) {
        let denies = conf.switch("userlist_deny", true);
        let which = if denies { "no sections for users" } else { "sections only for users" };
        user.no_equal("userlist_enable=YES");
        user.note(&format!("make {which} on the list"));
    }
    user.text += &Section::new("user:nobody-yet").text;
    user.set("like", "local");
    user.set("password", NOBODYS);
    user.set("enabled", "off");
    user.text += &("\n".to_owned() + &Section::new("template:local").text);
    let guests = conf.switch("guest_enable", false);
    let are_strangers = guests && !conf.switch("virtual_use_local_privs", false);
    if are_strangers {
        user.note(
            "guest_enable without virtual_use_local_privs: the rights of anonymous users",
        );
        strangers.write_to(&mut user);
    } else {
        local_perm(conf, &mut user);
    }
    local_home(conf, guests, &mut user);
    user
}

fn local_perm(conf: &mut Conf<'_>, user: &mut Section) {
    let (write, list) =
        (conf.switch("write_enable", false), conf.switch("dirlist_enable", true));
    let read = conf.switch("download_enable", true);
    let letters = [
        (true, "e"),
        (list, "l"),
        (read, "r"),
        (write, "adfmw"),
        (write && conf.switch("chmod_enable", true), "M"),
        (write && conf.switch("mdtm_write", true), "T"),
    ];
    let perm: String =
        letters.iter().filter(|(may, _)| *may).map(|(_, letters)| *letters).collect();
    user.set("perm", &perm);
}

/// Sets the home to `local_root`, in which `{user}` replaces the token of `user_sub_token`.
fn local_home(conf: &mut Conf<'_>, guests: bool, user: &mut Section) {
    let guest = conf.text("guest_username").unwrap_or(FTP);
    let of_guest = || (conf.system_user)(guest).ok()?.into_os_string().into_string().ok();
    let root = match conf.text("local_root") {
        Some(root) => Some(root.to_owned()),
        None if guests => of_guest(),
        None => None,
    };
    let Some(root) = root else {
        user.note("vsftpd serves the home that the user has in the system");
        return user.set("home", &format!("/home/{TOKEN}"));
    };
    let token = conf.text("user_sub_token");
    let home = token.map_or_else(|| root.clone(), |token| root.replace(token, TOKEN));
    let is_plain = root.starts_with('/') && !root.contains(TOKEN) && !home.contains('$');
    if is_plain {
        return user.set("home", &home);
    }
    user.no_equal(&format!("local_root={root}"));
    user.set("home", &format!("/home/{TOKEN}"));
    let line = conf.line("local_root").max(conf.line("user_sub_token"));
    conf.fault(
        line,
        "local_root is not an absolute path, or has a token that user_sub_token does not set",
    );
    conf.all_held.get_or_insert("the home of a user is unknown");
}
