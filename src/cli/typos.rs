//! Finding the word that was probably meant by an unknown one.

/// Returns the known word that is most similar to `word`, if `word` may be a typo of it.
pub(super) fn nearest<'n>(word: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let best = known.map(|name| (strsim::osa_distance(word, name), name)).min()?;
    (best.0 <= 1 + word.trim_start_matches('-').len() / 4).then_some(best.1)
}
