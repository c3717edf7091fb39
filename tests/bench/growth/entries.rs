//! Entries of a directory, depth of a path, and parts of failed uploads.

use std::fs::{self, File};
use std::path::Path;

use crate::Costs;
use crate::server::{Client, Server, folder, user, wait_until};

pub(crate) fn measure(count: usize) -> Costs {
    let dir = folder();
    let home = dir.path().join("home");
    for at in 0..count {
        File::create(home.join(format!("file{at}"))).unwrap();
    }
    let server = Server::start(dir.path(), "", &user("anna"));
    let mut client = Client::login(&server, "anna");
    let memory = server.memory("VmHWM");
    let mut costs = vec![
        ("LIST, ms", server.cost(|| client.get("LIST"))),
        ("MLSD, ms", server.cost(|| client.get("MLSD"))),
        ("NLST, ms", server.cost(|| client.get("NLST"))),
    ];
    let memory = server.memory("VmHWM") - memory;
    costs.extend([
        ("memory for listings, KiB", memory.max(1.0)),
        (
            "STOR of a new file, ms",
            server.cost(|| {
                client.put("STOR new", b"text");
                client.cmd("DELE new", 250);
            }),
        ),
        ("STOR of an existing file, ms", server.cost(|| client.put("STOR file1", b"text"))),
        ("RETR, ms", server.cost(|| client.get("RETR file1"))),
    ]);
    costs
}

pub(crate) fn depth(depth: usize) -> Costs {
    let dir = folder();
    let path = vec!["d"; depth].join("/");
    let deep = dir.path().join("home").join(&path);
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("file"), b"text").unwrap();
    let server = Server::start(dir.path(), "", &user("anna"));
    let mut client = Client::login(&server, "anna");
    let cwd = server.cost(|| drop(client.cmd(&format!("CWD /{path}"), 250)));
    let pwd = server.cost(|| drop(client.cmd("PWD", 257)));
    let near = server.cost(|| client.get("RETR file"));
    let put = server.cost(|| client.put("STOR new", b"text"));
    client.cmd("CWD /", 250);
    let far = server.cost(|| client.get(&format!("RETR {path}/file")));
    vec![
        ("CWD, ms", cwd),
        ("PWD, ms", pwd),
        ("RETR from the working directory, ms", near),
        ("STOR into the working directory, ms", put),
        ("RETR by the whole path, ms", far),
    ]
}

fn count(home: &Path) -> usize {
    fs::read_dir(home).unwrap().count()
}

pub(crate) fn parts(wanted: usize) -> Costs {
    let dir = folder();
    let home = dir.path().join("home");
    let lines = "keep_parts = 1d\nmax_cons = 200";
    let server = Server::start(dir.path(), lines, &user("anna"));
    let time = server.time();
    for at in 0..wanted {
        Client::login(&server, "anna").fail(&format!("STOR file{at}"), b"text");
    }
    let each = (server.time() - time) * 1000.0 / wanted as f64;
    let kept = count(&home);
    let mut client = Client::login(&server, "anna");
    let store = server.cost(|| client.put("STOR other", b"text"));
    let list = server.cost(|| client.get("LIST"));
    server.stop();
    let server = Server::start(dir.path(), lines, &user("anna"));
    let start = server.time();
    let mut client = Client::login(&server, "anna");
    let mut next = 0;
    let resume = server.cost(|| {
        if next < wanted.min(kept) {
            client.cmd("REST 4", 350);
            client.put(&format!("STOR file{next}"), b"more");
            next += 1;
        } else {
            client.put("STOR other", b"text");
        }
    });
    server.stop();
    let server = Server::start(dir.path(), "keep_parts = 1", &user("anna"));
    let done = wait_until(|| (count(&home) <= next + 1).then(|| server.time()));
    vec![
        ("a failed upload, microseconds", each.max(0.1)),
        ("files that are kept", kept as f64),
        ("STOR of another file, ms", store),
        ("LIST, ms", list),
        ("start, ms", start.max(1.0)),
        ("resuming one, ms", resume),
        ("start and cleaning, ms", done.max(1.0)),
    ]
}
