//! What the fuzz targets of `ftpd` check; each target is a line in `targets`. The suite checks
//! the same on the seeds, so that `make test` fails when a target no longer builds or a seed
//! fails.
//!
//! `make fuzz` runs each target for a minute and adds what it finds to `target/fuzz`. An input
//! that has failed goes into `seeds` under a name that says what it broke.

mod properties;

#[path = "../suite/trusting.rs"]
mod trusting;

/// Checks the properties of the target of this name.
///
/// # Panics
///
/// When one of them does not hold.
pub fn check(target: &str, data: &[u8]) {
    let (_, check) = properties::TARGETS.iter().find(|(name, _)| *name == target).unwrap();
    check(data);
}
