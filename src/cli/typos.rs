//! What was probably meant by a word that is not known.

/// The nearest of some words, if one is near enough to be meant.
pub(super) fn nearest<'n>(word: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let best = known.map(|name| (strsim::osa_distance(word, name), name)).min()?;
    (best.0 <= 1 + word.trim_start_matches('-').len() / 4).then_some(best.1)
}
