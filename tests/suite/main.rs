//! The tests that drive the real server over real sockets.
//!
//! One file for each family; a new test goes where its subject is:
//!
//! | File | What it holds |
//! | --- | --- |
//! | `client.rs`, `server.rs` | the harness: a client that prints its transcript, a server on port 0 |
//! | `login.rs` | USER, PASS, ACCT, REIN, QUIT; users, anonymous, delays, attempts |
//! | `param.rs` | TYPE, STRU, MODE, PASV, EPSV, PORT, EPRT, REST, OPTS; data connections |
//! | `transfer.rs` | RETR, STOR, APPE, STOU, REST, ALLO, ASCII |
//! | `listing.rs` | LIST, NLST, MLSD, MLST, STAT path |
//! | `tree.rs` | CWD, MKD, RMD, DELE, RNFR, RNTO, SITE CHMOD; confinement, odd names |
//! | `facts.rs` | SIZE, MDTM, MFMT, SITE UTIME; HELP, FEAT, SITE and the rest that informs |
//! | `abort.rs` | ABOR, STAT and QUIT during a transfer |
//! | `limits.rs` | max_cons, max_per_ip, timeouts, throttles, stopping, few file descriptors |
//! | `hostile.rs` | long lines, NUL, IAC, pipelining, slow and half-closed peers, strangers |
//! | `hooks.rs` | on_upload and its like
//! | `config.rs` | ftpd.ini and `ftpd check` |
//! | `cli.rs` | the command line, exit codes, starting and stopping |
//! | `accounts.rs` | hashed passwords, passwd, adduser, deluser, users, import |
//! | `admin.rs` | who, kick, reload, stop and the socket behind them |
//! | `bans.rs` | bans: what leads to them, whom they hold for, and how they are lifted |
//! | `metrics.rs` | counters, `ftpd stats`, the metrics and the page over HTTP |
//! | `why.rs` | `ftpd why`, and the same sentence in the log |
//! | `share.rs` | `ftpd share` |
//! | `service.rs` | what systemd and packages meet: messages, sockets handed over, `make install` |
//! | `privileges.rs` | giving up root; most of it takes root |
//! | `logs.rs` | the log and the transfer log |
//! | `tls_keys.rs` | certificates and keys: forms, chains, faults and warnings |
//! | `program.rs` | the harness of these three: the program on an ini file of the test's own |
//! | `rfc959.rs` ... | conformance; one module per section |
//! | `tls.rs` | AUTH, PBSZ, PROT; transfers, certificates and attacks over TLS |
//! | `lumps.rs` | how bytes arrive over TLS: all in one piece, byte by byte; early ends; thieves |
//! | `tls_client.rs` | the harness of these: a TLS client, and an authority that issues certificates |
//! | `trusting.rs` | the harness's look at certificates, which the soak shares |
//! | `table.rs` | loops over the two tables; the permission matrix |
//! | `fuzz.rs` | the fuzz targets of `tests/fuzz`, on their seeds |
//! | `rooms.rs` | which room may use which |
//! | `clients.rs` | real clients, whole trees, compared by hash |
//! | `clients_tls.rs` | the same over TLS, with their certificate checks on |
//! | `uploads.rs` | uploads that are whole or not there, resumption, what others see of them |
//! | `faults.rs` | uploads and kill -9, full disks, races, restarts, odd file systems |
//! | `regress.rs` | a test and a story for each bug |
//! | `docs.rs` | what the tables print equals what is in the tree |

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::wildcard_enum_match_arm,
    clippy::missing_panics_doc,
    clippy::format_push_string,
    clippy::assigning_clones,
    reason = "a test that panics has done its work"
)]

mod abort;
mod accounts;
mod admin;
mod bans;
mod cli;
mod client;
mod clients;
mod clients_tls;
mod config;
mod docs;
mod facts;
mod faults;
mod fuzz;
mod hooks;
mod hostile;
mod limits;
mod listing;
mod login;
mod logs;
mod lumps;
mod metrics;
mod param;
mod privileges;
mod program;
mod regress;
mod rfc1123;
mod rfc2389;
mod rfc2428;
mod rfc3659;
mod rfc959;
mod rooms;
mod server;
mod service;
mod share;
mod table;
mod tls;
mod tls_client;
mod tls_keys;
mod transfer;
mod tree;
mod trusting;
mod uploads;
mod why;
