//! Finding the word that was probably meant by an unknown one.

/// The known word that is nearest to `word`, if it is near enough to be a typo.
pub(super) fn nearest<'n>(word: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let best = known.map(|name| (strsim::osa_distance(word, name), name)).min()?;
    (best.0 <= 1 + word.trim_start_matches('-').len() / 4).then_some(best.1)
}
