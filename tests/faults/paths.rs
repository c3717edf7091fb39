//! The paths: what the server is asked to do while one of its calls fails.

use std::fs;
use std::io::Read;
use std::path::Path as Folder;

use crate::link::{End, Link, Step};
use crate::server::{self, Server};
use crate::state::{self, put};

/// One thing that the server is asked to do.
pub struct Path {
    pub name: &'static str,
    pub about: &'static str,
    /// Lines of `[server]`.
    pub settings: &'static str,
    /// Puts files into the empty home.
    pub prepare: fn(&Folder),
    /// What the client does before calls fail.
    pub before: fn(&mut Link) -> Step<()>,
    /// What the client does while a call fails.
    pub drive: fn(&mut Link, &Server) -> Step<Vec<u8>>,
    /// The beginnings of the names of the threads whose calls fail.
    pub threads: &'static [&'static str],
    /// More calls that fail.
    pub also: &'static str,
    /// If not empty: the only calls that fail, but in all threads, also in those that are started
    /// meanwhile.
    pub everywhere: &'static [&'static str],
    /// Whether strace attaches before the client logs in.
    pub at_login: bool,
    /// Whether each case needs a server that has just started.
    pub fresh: bool,
    pub must: Must,
}

/// What must hold on the disk and for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Must {
    /// The old version after a failure, the new one after a success.
    Whole,
    /// The new version after a success. A failure may leave a file that is neither, as
    /// documented.
    Tear,
    /// As `Whole`, but entries that cannot be examined may be left out of a listing.
    LeaveOut,
    /// The administrator is told what could not be done; what was done before stays.
    Report,
    /// The client is served in any case: the call belongs to something beside it.
    Serve,
}

const USUAL: Path = Path {
    name: "",
    about: "",
    settings: "",
    prepare: old_file,
    before: |_| Ok(()),
    drive: |_, _| Ok(Vec::new()),
    threads: &["session-"],
    also: "",
    everywhere: &[],
    at_login: false,
    fresh: false,
    must: Must::Whole,
};

/// Calls on files and directories.
const ON_FILES: &[&str] = &[
    "fstat",
    "fstatfs",
    "fsync",
    "getdents64",
    "linkat",
    "mkdirat",
    "newfstatat",
    "openat",
    "openat2",
    "renameat2",
    "statx",
    "unlinkat",
];

/// All paths of a session's own thread.
pub static PATHS: &[Path] = &[
    Path {
        name: "upload",
        about: "STOR to a new name",
        drive: |link, _| stor(link, "STOR new"),
        ..USUAL
    },
    Path {
        name: "overwrite",
        about: "STOR over an old version",
        drive: |link, _| stor(link, "STOR old"),
        ..USUAL
    },
    Path {
        name: "synced",
        about: "STOR over an old version, `sync_uploads = on`",
        settings: "sync_uploads = on",
        drive: |link, _| stor(link, "STOR old"),
        ..USUAL
    },
    Path { name: "unique", about: "STOU", drive: |link, _| stor(link, "STOU"), ..USUAL },
    Path {
        name: "classic",
        about: "STOR over an old version, `atomic_uploads = off`",
        settings: "atomic_uploads = off",
        drive: |link, _| stor(link, "STOR old"),
        must: Must::Tear,
        ..USUAL
    },
    Path {
        name: "text",
        about: "STOR in ASCII type",
        before: |link| link.ask("TYPE A").map(drop),
        drive: |link, _| stor(link, "STOR old"),
        ..USUAL
    },
    Path {
        name: "append",
        about: "APPE to an old version, which is copied first",
        drive: |link, _| stor(link, "APPE old"),
        ..USUAL
    },
    Path {
        name: "in place",
        about: "APPE to a file with two names, which is changed in place",
        prepare: |home| {
            old_file(home);
            fs::hard_link(home.join("old"), home.join("twin")).expect("a link");
        },
        drive: |link, _| stor(link, "APPE old"),
        ..USUAL
    },
    Path {
        name: "broken",
        about: "STOR that the client breaks off; its part is kept",
        settings: "keep_parts = 1h",
        drive: |link, _| link.break_off("STOR old", &noise(2, 5_000)).map(|()| Vec::new()),
        ..USUAL
    },
    Path {
        name: "resume",
        about: "REST and STOR, which take a kept part over",
        settings: "keep_parts = 1h",
        before: |link| link.break_off("STOR old", &noise(2, SIZE)[..5_000]),
        drive: |link, _| {
            let data = link.passive()?;
            link.ask("REST 5000")?;
            link.upload(data, "STOR old", &noise(2, SIZE)[5_000..])
        },
        ..USUAL
    },
    Path { name: "download", about: "RETR", drive: |link, _| retr(link, "RETR old"), ..USUAL },
    Path {
        name: "download text",
        about: "RETR in ASCII type",
        before: |link| link.ask("TYPE A").map(drop),
        drive: |link, _| retr(link, "RETR old"),
        ..USUAL
    },
    Path {
        name: "active",
        about: "RETR over EPRT",
        drive: |link, _| {
            let listener = link.listener()?;
            link.send("RETR old")?;
            link.reply()?;
            let mut bytes = Vec::new();
            if let Ok((mut data, _)) = listener.accept() {
                let _ = data.read_to_end(&mut bytes);
            }
            link.reply()?;
            Ok(bytes)
        },
        ..USUAL
    },
    Path {
        name: "list",
        about: "LIST",
        prepare: some_files,
        must: Must::LeaveOut,
        drive: |link, _| retr(link, "LIST"),
        ..USUAL
    },
    Path {
        name: "mlsd",
        about: "MLSD",
        prepare: some_files,
        must: Must::LeaveOut,
        before: |link| link.ask("OPTS MLST type;size;").map(drop),
        drive: |link, _| retr(link, "MLSD"),
        ..USUAL
    },
    Path {
        name: "list -R",
        about: "LIST -R",
        prepare: some_files,
        drive: |link, _| retr(link, "LIST -R"),
        must: Must::LeaveOut,
        ..USUAL
    },
    Path {
        name: "rename",
        about: "RNFR and RNTO over an old version",
        prepare: some_files,
        drive: |link, _| asks(link, &["RNFR other", "RNTO old"]),
        ..USUAL
    },
    Path { name: "delete", about: "DELE", drive: |link, _| asks(link, &["DELE old"]), ..USUAL },
    Path { name: "mkdir", about: "MKD", drive: |link, _| asks(link, &["MKD made"]), ..USUAL },
    Path {
        name: "rmdir",
        about: "RMD",
        prepare: some_files,
        drive: |link, _| asks(link, &["RMD empty"]),
        ..USUAL
    },
    Path {
        name: "trash",
        about: "DELE, to the trash",
        settings: "trash = on",
        drive: |link, _| asks(link, &["DELE old"]),
        ..USUAL
    },
    Path {
        name: "trash rmdir",
        about: "RMD, to the trash",
        settings: "trash = on",
        prepare: some_files,
        drive: |link, _| asks(link, &["RMD empty"]),
        ..USUAL
    },
    Path {
        name: "trash replace",
        about: "STOR over an old version, which goes to the trash",
        settings: "trash = on",
        drive: |link, _| stor(link, "STOR old"),
        ..USUAL
    },
    Path {
        name: "trash rename",
        about: "RNTO over an old version, which goes to the trash",
        settings: "trash = on",
        prepare: some_files,
        drive: |link, _| asks(link, &["RNFR other", "RNTO old"]),
        ..USUAL
    },
    Path {
        name: "trash restore",
        must: Must::Report,
        about: "`ftpd trash restore`, over the admin socket",
        settings: "trash = on\nadmin_socket = admin",
        prepare: in_trash,
        drive: |_, server| {
            ftpd(server, &["trash", "restore", "bob", "/old"]).map(|_| Vec::new())
        },
        everywhere: ON_FILES,
        ..USUAL
    },
    Path {
        name: "trash empty",
        must: Must::Report,
        about: "`ftpd trash empty`, over the admin socket",
        settings: "trash = on\nadmin_socket = admin",
        prepare: in_trash,
        drive: |_, server| ftpd(server, &["trash", "empty", "bob"]).map(|_| Vec::new()),
        everywhere: ON_FILES,
        ..USUAL
    },
    Path {
        name: "quota",
        about: "STOR over an old version, which a quota counts",
        settings: "quota_bytes = 1G\nquota_files = 1000",
        drive: |link, _| stor(link, "STOR old"),
        ..USUAL
    },
    Path {
        name: "quota append",
        about: "APPE, which a quota counts",
        settings: "quota_bytes = 1G\nquota_files = 1000",
        drive: |link, _| stor(link, "APPE old"),
        ..USUAL
    },
    Path {
        name: "quota delete",
        about: "DELE, which a quota counts",
        settings: "quota_bytes = 1G\nquota_files = 1000",
        prepare: some_files,
        drive: |link, _| asks(link, &["DELE old"]),
        ..USUAL
    },
    Path {
        name: "quota rename",
        about: "RNTO over an old version, which a quota counts",
        settings: "quota_bytes = 1G\nquota_files = 1000",
        prepare: some_files,
        drive: |link, _| asks(link, &["RNFR other", "RNTO old"]),
        ..USUAL
    },
    Path {
        name: "keep",
        must: Must::Report,
        about: "`ftpd keep --now`, over the admin socket, which removes an old file",
        settings: "keep_files = 1\nkeep_grace = 0\nadmin_socket = admin",
        prepare: some_files,
        drive: |_, server| ftpd(server, &["keep", "--now"]).map(|_| Vec::new()),
        everywhere: ON_FILES,
        ..USUAL
    },
    Path {
        name: "facts",
        about: "SIZE, MDTM, MLST",
        before: |link| link.ask("OPTS MLST type;size;modify;").map(drop),
        drive: |link, _| asks(link, &["SIZE old", "MDTM old", "MLST old"]),
        ..USUAL
    },
    Path {
        name: "change",
        about: "MFMT and SITE CHMOD",
        drive: |link, _| asks(link, &["MFMT 20010203040506 old", "SITE CHMOD 600 old"]),
        must: Must::Tear,
        ..USUAL
    },
    Path {
        name: "walk",
        about: "CWD and CDUP",
        prepare: some_files,
        drive: |link, _| asks(link, &["CWD empty", "CDUP"]),
        ..USUAL
    },
    Path {
        name: "login",
        about: "USER and PASS",
        drive: |link, _| link.login("bob").map(|()| Vec::new()),
        at_login: true,
        // a server leaves out lines about strangers if there are too many
        fresh: true,
        ..USUAL
    },
    Path {
        name: "journal",
        about: "the first part in a directory, which the journal of parts lists",
        settings: "keep_parts = 1h",
        drive: |link, _| stor(link, "STOR old"),
        fresh: true,
        ..USUAL
    },
    Path {
        name: "accept",
        about: "a connection, for which a thread is started",
        drive: |_, server| Link::connect(server.address())?.login("eve").map(|()| Vec::new()),
        threads: &["accept-"],
        also: "mmap,mprotect,munmap",
        fresh: true,
        ..USUAL
    },
    Path {
        name: "log",
        about: "the log, and the transfer log in a file",
        settings: "transfer_log = transfers",
        drive: |link, server| {
            stor(link, "STOR new")?;
            link.ask("QUIT")?;
            // the line is there in the end; a log that is a pipe may be gone for good
            let transfers = server.dir().join("transfers");
            server::eventually("the transfer log is written", || {
                fs::read_to_string(&transfers).is_ok_and(|text| text.contains("/new "))
            });
            fs::write(&transfers, "").expect("a file");
            Ok(Vec::new())
        },
        threads: &["log"],
        must: Must::Serve,
        ..USUAL
    },
    Path {
        name: "hook",
        about: "the program of `on_upload`",
        settings: "on_upload = /bin/touch {dir}/ran",
        drive: |link, server| {
            let ran = server.dir().join("ran");
            let _ = fs::remove_file(&ran);
            let begun = server.log().len();
            stor(link, "STOR new")?;
            // it runs, or the log says why it does not
            server::eventually("the program runs", || {
                ran.exists() || server.log()[begun..].contains("on_upload")
            });
            Ok(Vec::new())
        },
        threads: &["hook"],
        must: Must::Serve,
        ..USUAL
    },
    Path {
        name: "admin",
        about: "`ftpd who`, over the admin socket",
        settings: "admin_socket = admin",
        drive: |_, server| ftpd(server, &["who"]).map(|_| Vec::new()),
        threads: &["admin"],
        ..USUAL
    },
    Path {
        name: "reload",
        about: "the settings and a renewed certificate are read again",
        settings: "tls_cert = cert.pem\ntls_key = key.pem\nadmin_socket = admin",
        drive: |_, server| ftpd(server, &["reload"]).map(|_| Vec::new()),
        threads: &["ftpd", "reload", "lookups", "admin"],
        ..USUAL
    },
];

/// Runs a subcommand on the settings of a server.
fn ftpd(server: &Server, words: &[&str]) -> Step<String> {
    let words = [words, &["--config", "ftpd.ini"]].concat();
    let (code, out, err) = server::run(&words, server.dir());
    if code == 0 { Ok(out) } else { Err(End::Refused(451, err)) }
}

/// The size of the files: several chunks of the server.
const SIZE: usize = 300_000;

/// Returns bytes that look random, the same for each seed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn old_file(home: &Folder) {
    put(home, "old", &noise(1, 200_000));
}

/// A version of `old` in the trash, which came there at an early time.
fn in_trash(home: &Folder) {
    put(home, "other", &noise(3, 1_000));
    let version = ".ftpd-trash/old/.ftpd-trash-0000000000000001-00000001";
    put(home, version, &noise(1, 200_000));
}

fn some_files(home: &Folder) {
    old_file(home);
    put(home, "other", &noise(3, 1_000));
    fs::create_dir(home.join("empty")).expect("a folder");
    state::age(&home.join("empty"));
}

fn stor(link: &mut Link, line: &str) -> Step<Vec<u8>> {
    let data = link.passive()?;
    link.upload(data, line, &noise(2, SIZE))
}

fn retr(link: &mut Link, line: &str) -> Step<Vec<u8>> {
    let data = link.passive()?;
    link.download(data, line)
}

fn asks(link: &mut Link, lines: &[&str]) -> Step<Vec<u8>> {
    let mut said = String::new();
    for line in lines {
        said += &link.ask(line)?;
    }
    Ok(said.into_bytes())
}
