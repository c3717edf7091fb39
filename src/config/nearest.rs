//! Suggestions for misspelt names.

/// Returns the name that is most similar to `word`, if it is similar enough.
pub(super) fn nearest<'n>(word: &str, names: impl Iterator<Item = &'n str>) -> Option<String> {
    let near = |name: &'n str| (strsim::osa_distance(word, name), name);
    let best = names.map(near).min()?;
    (best.0 <= 1 + word.len() / 4).then(|| best.1.to_owned())
}
