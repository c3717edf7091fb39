//! The table of file systems in the manual.

use std::env;
use std::fs;
use std::path::Path;

use crate::promise::Promise;

/// The manual, and the name of the part that is the table.
const FILE: &str = "etc/ftpd.ini.5";
const PART: &str = "file systems";

/// Compares rows with those in the manual, and returns the number of rows that differ. With
/// `FTPD_WRITE_DOCS`, writes them into the manual instead; rows of file systems that were not
/// tried stay as they are.
pub(crate) fn differences(seen: &[(&str, String)]) -> usize {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    let manual = fs::read_to_string(&path).unwrap();
    let (_, rest) = manual.split_once(&format!("begin {PART}\n")).unwrap();
    let (table, _) = rest.split_once(&format!(".\\\" end {PART}")).unwrap();
    let mut rows: Vec<String> = table.lines().skip(2).map(plain).collect();
    rows.retain(|row| row != ".fi");
    let mut differ = 0;
    for (name, row) in seen {
        let there = rows.iter_mut().find(|row| row.starts_with(&format!("{name}  ")));
        match there {
            Some(there) if there == row => continue,
            Some(there) => there.clone_from(row),
            None => rows.push(row.clone()),
        }
        println!("not in {FILE}: {row}");
        differ += 1;
    }
    if differ == 0 || env::var_os("FTPD_WRITE_DOCS").is_none() {
        return differ;
    }
    rows.insert(0, Promise::head());
    let body = format!(".nf\n{}\n.fi\n", rows.join("\n").replace('-', "\\-"));
    fs::write(&path, ftpd::docs::splice(&manual, PART, &body).unwrap()).unwrap();
    0
}

/// A line of the manual without what troff needs.
fn plain(line: &str) -> String {
    line.replace("\\-", "-")
}
