//! `rustix` as the modelled files see it: another thread may run before each system call that
//! changes or looks up names.

pub use rustix::*;

/// As `rustix::fs`.
pub mod fs {
    use std::os::fd::{AsFd, OwnedFd};

    use model_std::switch;
    pub use rustix::fs::*;
    use rustix::io::Result;
    use rustix::path::Arg;

    /// Wraps functions, so that another thread may run first.
    macro_rules! switching {
        ($($name:ident($($arg:ident: $kind:ty),*) -> $result:ty;)*) => {$(
            #[doc = concat!("As `rustix::fs::", stringify!($name), "`.")]
            #[expect(clippy::missing_errors_doc, reason = "as those of rustix")]
            pub fn $name($($arg: $kind),*) -> Result<$result> {
                switch();
                rustix::fs::$name($($arg),*)
            }
        )*};
    }

    switching! {
        open(path: impl Arg, flags: OFlags, mode: Mode) -> OwnedFd;
        openat(dir: impl AsFd, path: impl Arg, flags: OFlags, mode: Mode) -> OwnedFd;
        openat2(dir: impl AsFd, path: impl Arg, flags: OFlags, mode: Mode, how: ResolveFlags) -> OwnedFd;
        statat(dir: impl AsFd, path: impl Arg, flags: AtFlags) -> Stat;
        unlinkat(dir: impl AsFd, path: impl Arg, flags: AtFlags) -> ();
        mkdirat(dir: impl AsFd, path: impl Arg, mode: Mode) -> ();
        renameat(from_dir: impl AsFd, from: impl Arg, to_dir: impl AsFd, to: impl Arg) -> ();
        renameat_with(from_dir: impl AsFd, from: impl Arg, to_dir: impl AsFd, to: impl Arg, flags: RenameFlags) -> ();
        linkat(from_dir: impl AsFd, from: impl Arg, to_dir: impl AsFd, to: impl Arg, flags: AtFlags) -> ();
        fsync(file: impl AsFd) -> ();
        fstat(file: impl AsFd) -> Stat;
    }
}
