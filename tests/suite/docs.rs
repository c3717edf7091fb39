//! The generated texts in the tree are what the tables print today. `make docs` writes them.

use std::path::Path;

use ftpd::config::Section;
use ftpd::docs;

fn hold(file: &str, make: impl Fn(&str) -> String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    let wanted = make(&there);
    if std::env::var_os("FTPD_WRITE_DOCS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap();
    assert!(there == wanted, "{file} is not what the tables print; run 'make docs'");
}

fn part(text: &str, name: &str, body: &str) -> String {
    docs::splice(text, name, body).unwrap_or_else(|| panic!("no part '{name}'"))
}

#[test]
fn the_samples_are_printed_from_the_key_table() {
    hold("etc/ftpd.ini", |_| docs::sample_ini());
    hold("etc/ftpd.system.ini", |_| docs::system_ini());
}

#[test]
fn the_manuals_list_every_key_and_every_command() {
    hold("etc/ftpd.8", |text| {
        let text = part(text, "subcommands", &docs::subcommands_roff());
        docs::broken(&part(&text, "commands", &docs::commands_roff()))
    });
    hold("etc/ftpd.ini.5", |text| {
        let text = part(text, "server keys", &docs::keys_roff(Section::Server));
        let text = part(&text, "user keys", &docs::keys_roff(Section::User));
        docs::broken(&part(&text, "keys of both", &docs::keys_roff(Section::Both)))
    });
}

#[test]
fn the_readme_lists_every_command() {
    hold("README.md", |text| {
        let text = part(text, "subcommands", &docs::subcommands_markdown());
        part(&text, "commands", &docs::commands_markdown())
    });
}

#[test]
fn mandoc_has_nothing_to_say_of_the_manuals() {
    let etc = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("etc");
    let output = std::process::Command::new("mandoc")
        .args(["-T", "lint"])
        .args([etc.join("ftpd.8"), etc.join("ftpd.ini.5")])
        .output();
    let Ok(output) = output else {
        eprintln!("skipped: mandoc is not installed");
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    // which other manuals there are depends on the machine
    let about = said.lines().filter(|line| !line.contains("cross reference"));
    assert_eq!(about.collect::<Vec<_>>(), [""; 0]);
}
