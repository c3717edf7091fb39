//! The generated texts in the tree are what the tables print today. `make docs` writes them.

use std::path::Path;

use ftpd::config::{KEYS, Scope};
use ftpd::docs;

fn read(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

fn hold(file: &str, make: impl Fn(&str) -> String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    let wanted = make(&there);
    if there != wanted && std::env::var_os("FTPD_WRITE_DOCS").is_some() {
        // other tests read the file at the same time, and must not see half of it
        let new = path.with_extension("new");
        std::fs::write(&new, &wanted).unwrap();
        std::fs::rename(&new, &path).unwrap();
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
fn the_completions_are_made_from_the_table_of_subcommands() {
    let files = [("bash", "ftpd.bash"), ("zsh", "_ftpd"), ("fish", "ftpd.fish")];
    for (shell, file) in files {
        let make = |_: &str| ftpd::cli::completions(shell).unwrap();
        hold(&format!("etc/completions/{file}"), make);
    }
}

#[test]
fn the_manuals_list_every_key_metric_and_command() {
    hold("etc/ftpd.8", |text| {
        let text = part(text, "subcommands", &docs::subcommands_roff());
        docs::broken(&part(&text, "commands", &docs::commands_roff()))
    });
    hold("etc/ftpd.ini.5", |text| {
        let text = part(text, "server keys", &docs::keys_roff(Scope::Server));
        let text = part(&text, "user keys", &docs::keys_roff(Scope::User));
        let text = part(&text, "metrics", &docs::metrics_roff());
        let text = part(&text, "keys of folders", &docs::keys_roff(Scope::Folder));
        docs::broken(&part(&text, "keys of both", &docs::keys_roff(Scope::Both)))
    });
}

#[test]
fn the_overview_of_the_manual_names_every_key_and_no_other() {
    let manual = read("etc/ftpd.ini.5").replace("\\-", "-");
    let (_, overview) = manual.split_once(".SH KEYS BY SUBJECT\n").unwrap();
    let (overview, _) = overview.split_once(".SH ").unwrap();
    let lines =
        overview.lines().filter(|line| line.starts_with(".BR ") || line.starts_with(".B "));
    let mut named: Vec<_> = lines
        .flat_map(|line| line.split([' ', ',', '"', ';']).skip(1))
        .filter(|word| word.len() > 1)
        .collect();
    named.sort_unstable();
    let mut keys: Vec<_> = KEYS.iter().map(|key| key.name).collect();
    keys.sort_unstable();
    assert_eq!(named, keys);
}

#[test]
fn every_text_that_names_the_version_names_this_one() {
    let version = env!("CARGO_PKG_VERSION");
    for (file, text) in [
        ("etc/ftpd.8", format!("\"ftpd {version}\"")),
        ("etc/ftpd.ini.5", format!("\"ftpd {version}\"")),
        ("etc/debian/changelog", format!("({version}-1)")),
        ("CHANGELOG.md", format!("## {version} - ")),
    ] {
        assert!(read(file).contains(&text), "{file} does not contain {text}");
    }
}

#[test]
fn the_table_of_dependencies_names_those_of_cargo_toml_and_no_other() {
    let manifest = read("Cargo.toml");
    let crates = |section: &str| {
        let (_, rest) = manifest.split_once(&format!("\n[{section}]\n")).unwrap();
        let lines = rest.lines().take_while(|line| !line.starts_with('['));
        let named = lines.filter(|line| line.starts_with(|first: char| first.is_alphabetic()));
        named.map(|line| line.split_once(" = ").unwrap().0.to_owned()).collect::<Vec<_>>()
    };
    let normal = crates("dependencies");
    let for_tests =
        crates("dev-dependencies").into_iter().filter(|name| !normal.contains(name));
    let mut wanted: Vec<_> = normal.iter().cloned().chain(for_tests).collect();
    wanted.sort_unstable();
    let table = read("etc/DEPENDENCIES.md");
    let rows = table.lines().filter(|line| line.starts_with("| ["));
    let mut named: Vec<_> = rows
        .map(|row| {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            assert!(
                cells.len() == 5 && cells.iter().skip(1).take(3).all(|cell| !cell.is_empty())
            );
            cells[1].trim_start_matches('[').split(']').next().unwrap().to_owned()
        })
        .collect();
    named.sort_unstable();
    assert_eq!(named, wanted);
}

#[test]
fn every_test_that_security_names_exists() {
    let text = read(".github/SECURITY.md");
    let words = text.split('`').skip(1).step_by(2);
    let named: Vec<_> = words.filter_map(|word| word.split_once("::")).collect();
    for (file, test) in &named {
        let source = read(&format!("tests/suite/{file}.rs"));
        let marked = format!("#[test]\nfn {test}() {{");
        let is_there = source.lines().map(str::trim).collect::<Vec<_>>().join("\n");
        assert!(is_there.contains(&marked), "{file}::{test}");
    }
    let (_, attacks) = text.split_once("\n## Attacks on other servers\n").unwrap();
    let rows = attacks.lines().filter(|line| line.starts_with("| ")).skip(2);
    for row in rows {
        assert!(row.contains("::") || row.contains("`make "), "names no test: {row}");
    }
    assert!(named.len() > 60);
}

#[test]
fn the_readme_is_short_and_its_links_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(read("README.md").lines().count() <= 200);
    for file in [
        "README.md",
        "etc/INSTALL.md",
        "etc/DEPENDENCIES.md",
        ".github/CONTRIBUTING.md",
        ".github/SECURITY.md",
    ] {
        let text = read(file);
        let folder = root.join(file).parent().unwrap().to_owned();
        for rest in text.split("](").skip(1) {
            let target = rest.split(')').next().unwrap();
            if let Some(heading) = target.strip_prefix('#') {
                let name = |line: &str| line.trim_start_matches('#').trim().to_lowercase();
                let anchor = |line: &str| name(line).replace(' ', "-");
                assert!(text.lines().any(|line| anchor(line) == heading), "{file}: {target}");
            } else if !target.contains("://") {
                assert!(folder.join(target).exists(), "{file}: {target}");
            }
        }
    }
}

#[test]
fn the_figures_of_the_readme_are_those_of_the_results() {
    let readme = read("README.md");
    let results = read("tests/bench/RESULTS.md");
    let chart = read("etc/img/speed.svg");
    let table = readme.lines().skip_while(|line| !line.starts_with("| | ftpd")).skip(2);
    let rows: Vec<_> = table.take_while(|line| line.starts_with('|')).collect();
    assert_eq!(rows.len(), 6);
    let block = |name: &str| {
        let (_, rest) = results.split_once(&format!("<!-- make bench: {name} -->")).unwrap();
        rest.split_once("<!-- end -->").unwrap().0.lines()
    };
    let mut drawn = chart.split("font-weight=\"bold\">").skip(1);
    for row in rows {
        let row = row.replace("**", "");
        // the rates have more columns
        let (title, _) = row.trim_start_matches("| ").split_once(" |").unwrap();
        let mut lines = ["rates", "memory"].into_iter().flat_map(&block);
        let same = lines.find(|line| line.starts_with(&format!("| {title} |")));
        let same = same.unwrap_or_else(|| panic!("not in the results: {title}"));
        assert!(same.starts_with(&row), "{row} differs from {same}");
        let figures: Vec<_> = row.split('|').skip(2).map(str::trim).collect();
        let bars = drawn.next().unwrap();
        assert!(bars.to_lowercase().starts_with(&title.to_lowercase()), "{title}: {bars}");
        let texts: Vec<_> =
            bars.lines().skip(1).filter(|line| line.contains("<rect")).collect();
        assert_eq!(texts.len(), 6);
        for (figure, line) in figures.iter().filter(|cell| !cell.is_empty()).zip(texts) {
            assert!(line.ends_with(&format!(">{figure}</text>")), "{figure} is not in {line}");
        }
    }
    assert_eq!(drawn.next(), None);
}

#[test]
fn the_replies_in_the_troubleshooting_section_are_replies_of_the_server() {
    let manual = read("etc/ftpd.8").replace("\\-", "-");
    let (_, section) = manual.split_once(".SH TROUBLESHOOTING\n").unwrap();
    let (section, _) = section.split_once("\n.SH ").unwrap();
    let source = source_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let symptoms = section.lines().filter_map(|line| line.strip_prefix(".B \""));
    let mut replies = 0;
    for symptom in symptoms.filter(|line| line.starts_with(|letter: char| letter.is_numeric()))
    {
        let (_, text) = symptom.trim_end_matches('"').split_once(' ').unwrap();
        // the source has a placeholder where the reply has a number
        let text = text.trim_start_matches("... ").split(char::is_numeric).next().unwrap();
        assert!(source.contains(text), "no such reply: {symptom}");
        replies += 1;
    }
    assert!(replies > 10);
}

#[test]
fn the_manual_names_every_event_of_the_log() {
    let manual = read("etc/ftpd.ini.5");
    let (_, section) = manual.split_once(".SH LOG\n").unwrap();
    let (section, _) = section.split_once("\n.SH ").unwrap();
    let source = read("src/log/event.rs");
    let names = source.split("Account::of(\"").skip(1);
    let names: Vec<_> = names.map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(names.len() > 10);
    for name in names {
        let line = section.lines().any(|line| {
            line.starts_with(".B") && line.split([' ', '"', ',']).any(|word| word == name)
        });
        assert!(line, "not under LOG: {name}");
    }
}

fn source_below(dir: &Path) -> String {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let texts = entries.map(|path| {
        if path.is_dir() { source_below(&path) } else { std::fs::read_to_string(path).unwrap() }
    });
    texts.collect()
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
