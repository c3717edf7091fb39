//! The properties, one file for each target: what holds for any input, and not only that
//! nothing panics.

mod ascii;
mod control;
mod environment;
mod http;
mod import;
mod ini;
mod parts;
mod pieces;
mod proxy;
mod reply;
mod tls;

/// A property that must hold for any input.
pub(crate) type Check = fn(&[u8]);

/// Each target by its name, which is that of its folder in `seeds` as well.
pub(crate) const TARGETS: [(&str, Check); 10] = [
    ("ascii", ascii::check),
    ("control", control::check),
    ("environment", environment::check),
    ("http", http::check),
    ("import", import::check),
    ("ini", ini::check),
    ("parts", parts::check),
    ("proxy", proxy::check),
    ("reply", reply::check),
    ("tls", tls::check),
];
