//! Users in the settings.

use crate::Costs;
use crate::server::{Client, Server, folder, user};

/// The settings of one user: eight keys.
fn section(at: usize) -> String {
    let more = "max_upload = 1M\nmax_download = 2M\numask = 022\nmax_per_user = 5";
    format!("{}{more}\n", user(&format!("u{at}")))
}

pub(crate) fn measure(count: usize) -> Costs {
    let dir = folder();
    let sections: String = (0..count).map(section).collect();
    let server = Server::start(dir.path(), "", &sections);
    let start = server.time();
    let memory = server.memory("VmRSS");
    let last = format!("u{}", count - 1);
    let login = server.cost(|| drop(Client::login(&server, &last)));
    vec![
        ("start, ms", start.max(1.0)),
        ("resident memory, KiB", memory),
        ("a login of the last user, ms", login),
        ("`ftpd check`, ms by the clock", server.order(&["check"])),
        ("`ftpd reload`, ms by the clock", server.order(&["reload"])),
        ("`ftpd users`, ms by the clock", server.order(&["users"])),
    ]
}
