//! Importing a `vsftpd.conf`, with vsftpd's defaults for the keys that the file does not set.

mod conf;
pub(super) mod keys;
mod server;
mod terms;
mod users;

use std::path::PathBuf;

use super::section::{Imported, Section};
use conf::Conf;

pub(super) fn import(
    lines: &[(usize, &str)],
    system_user: fn(&str) -> Result<PathBuf, String>,
) -> Imported {
    let mut server = Section::new("server");
    let mut conf = Conf::new(system_user);
    for &(number, line) in lines {
        conf.take(number, line, &mut server);
    }
    server::network(&mut conf, &mut server);
    server::limits(&mut conf, &mut server);
    server::tls(&mut conf, &mut server);
    server::logs(&mut conf, &mut server);
    server::become_whom(&mut conf, &mut server);
    let strangers = users::strangers(&mut conf);
    let anonymous = users::anonymous(&mut conf, &strangers, &mut server);
    let users = conf.switch("local_enable", false).then(|| users::users(&mut conf, &strangers));
    let mut text = server.text + "\n";
    let all_held = conf.all_held;
    for (section, held) in [(anonymous, all_held.or(conf.anonymous_held)), (users, all_held)] {
        let Some(section) = section else { continue };
        match held {
            None => text += &section.text,
            Some(why) => {
                let mut note = Section::default();
                note.note(&format!("left out, because {why}; to let them in anyway:"));
                text += &(note.text + &section.held());
            }
        }
        text.push('\n');
    }
    Imported { text, faults: conf.faults }
}
