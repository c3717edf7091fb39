//! The gate: what judges an upload before it is put in place.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::blank::settings;
use crate::config::hook::Program;
use crate::config::value::Scanner;

settings! {
    /// How uploads to a folder are judged, and what becomes of those that are refused.
    #[derive(PartialEq, Eq)]
    pub struct GateRules {
        /// The program that judges.
        pub program: Option<Arc<Program>> = None,
        /// The virus scanner that judges.
        pub scan: Option<Scanner> = None,
        /// The directory to which refused uploads are moved; `None`: they are removed.
        pub quarantine: Option<PathBuf> = None,
        /// Whether an upload that was not judged is accepted.
        pub fails_open: bool = false,
    }
}

settings! {
    /// Limits on judging uploads.
    pub struct GateLimits {
        /// How long an upload waits to be judged, its turn included.
        pub timeout: Duration = Duration::from_secs(15),
        /// Maximum number of uploads that are judged at once.
        pub workers: usize = 1,
    }
}

impl GateRules {
    /// Returns whether uploads are judged.
    pub fn is_on(&self) -> bool {
        self.program.is_some() || self.scan.is_some()
    }

    /// Returns the name of a key that has uploads judged, if one does.
    pub fn key(&self) -> Option<&'static str> {
        let scan = self.scan.as_ref().map(|_| "scan");
        self.program.as_ref().map(|_| "before_publish").or(scan)
    }

    /// Returns whether every file that has passed `other` would pass these rules.
    pub fn judges_as(&self, other: &Self) -> bool {
        let same = (&self.program, &self.scan) == (&other.program, &other.scan);
        same && (self.fails_open || !other.fails_open)
    }
}
