//! The table of what succeeded, and its place in `.github/SECURITY.md`.

use std::fs;
use std::path::Path;

use crate::PLAIN;
use crate::acts::{ACTS, Act};

/// Whether an act succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No,
    /// Only on the thread that reads settings and looks up names.
    Aside,
}

const ALL: [Answer; 3] = [Answer::Yes, Answer::No, Answer::Aside];

impl Answer {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Aside => "other thread",
        }
    }

    pub(crate) fn of_word(word: &str) -> Option<Self> {
        ALL.into_iter().find(|answer| answer.word() == word)
    }
}

/// One server. The answers are missing if it could not be tried on this machine.
pub(crate) struct Column {
    pub(crate) head: &'static str,
    pub(crate) answers: Option<Vec<Answer>>,
}

const BEGIN: &str = "<!-- probe -->\n";
const END: &str = "<!-- end -->";

/// Prints the table, and compares it with the one in the text. Rows are left out of the
/// comparison if this machine forbids an act by other means than the server's, or lets all users
/// do what it takes a right to do elsewhere.
pub(crate) fn is_in_security(
    columns: &[Column],
    control: &[Answer],
    landlock: Option<u32>,
) -> bool {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".github/SECURITY.md");
    let text = fs::read_to_string(&path).expect("it is in the tree");
    let (before, rest) = text.split_once(BEGIN).expect("it has a table");
    let (there, after) = rest.split_once(END).expect("the table has an end");
    let rows = rows(columns);
    println!("{}", rows.concat());
    if std::env::var_os("FTPD_WRITE_DOCS").is_some() {
        let new = format!("{before}{BEGIN}{}{END}{after}", rows.concat());
        fs::write(&path, new).expect("the tree can be written to");
        return true;
    }
    let mut is_right = there.lines().count() == rows.len();
    let acts = ACTS.iter().zip(control);
    for (((act, control), row), wanted) in acts.zip(&rows[2..]).zip(there.lines().skip(2)) {
        // a column that could not be tried has no answers
        let same = |(new, old): (&str, &str)| new.trim() == old.trim() || new.trim() == "?";
        let is_so = row.trim_end().split('|').zip(wanted.split('|')).all(same);
        if !is_so && is_usual(act, *control, wanted, landlock) {
            println!("SECURITY.md has: {wanted}\nbut it is:       {row}");
            is_right = false;
        }
    }
    is_right
}

/// Whether this machine treats an act as the table takes for granted.
fn is_usual(act: &Act, control: Answer, wanted: &str, landlock: Option<u32>) -> bool {
    // before the first column there are the empty text before the first bar, and the name
    let plain_user = wanted.split('|').nth(PLAIN + 2).map(str::trim);
    let is_so = plain_user == Some(control.word());
    let is_new_enough = landlock.is_none_or(|version| version >= act.abi);
    if !is_so || !is_new_enough {
        println!("not compared, because this machine differs: {}", act.name);
    }
    is_so && is_new_enough
}

fn rows(columns: &[Column]) -> Vec<String> {
    let row = |first: &str, cells: Vec<&str>| format!("| {first} | {} |\n", cells.join(" | "));
    let heads = columns.iter().map(|column| column.head).collect();
    let mut rows = vec![row("The attacker can", heads), row("---", vec!["---"; columns.len()])];
    for (index, act) in ACTS.iter().enumerate() {
        let word = |column: &Column| {
            column.answers.as_ref().map_or("?", |answers| answers[index].word())
        };
        rows.push(row(act.name, columns.iter().map(word).collect()));
    }
    rows
}
