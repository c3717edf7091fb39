//! The tests that drive the real server over real sockets.
//!
//! # Where a new test belongs
//!
//! Ask first whether a loop over a table covers it already: each command with each permission,
//! before a login, and without its argument is in `table.rs`, and so is each key with a wrong
//! value. A value that is parsed, without a server, is tested beside its code in `src`.
//! Otherwise:
//!
//! | What is tested | File |
//! | --- | --- |
//! | a sentence of an RFC | `rfc959.rs`, `rfc1123.rs`, `rfc2389.rs`, `rfc2428.rs`, `rfc3659.rs`; one module for each section |
//! | USER, PASS, ACCT, REIN, QUIT; users, anonymous, delays, attempts | `login.rs` |
//! | TYPE, STRU, MODE, PASV, EPSV, PORT, EPRT, OPTS; data connections | `param.rs` |
//! | RETR, STOR, APPE, STOU, REST, ALLO; ASCII type | `transfer.rs` |
//! | MFF, SITE CHGRP, SITE MKDIR, LANG, `CWD ~` | `site.rs` |
//! | SITE CPFR and SITE CPTO | `copies.rs` |
//! | HASH, XCRC and its kin, SITE MD5, RANG | `hashes.rs` |
//! | ABOR, STAT and QUIT during a transfer | `abort.rs` |
//! | LIST, NLST, MLSD, MLST, STAT with a path | `listing.rs` |
//! | CWD, MKD, RMD, DELE, RNFR, RNTO, SITE CHMOD; confinement, odd names | `tree.rs` |
//! | SIZE, MDTM, MFMT, SITE UTIME; HELP, FEAT, SITE and other commands that inform | `facts.rs` |
//! | an upload that is whole or absent; resuming it; what others see of it | `uploads.rs` |
//! | uploads and kill -9, full disks, races, restarts, odd file systems | `faults.rs` |
//! | modes of what is made, folders that are made, where files are filed | `filing.rs` |
//! | files that the server removes by itself, and room for uploads | `keep.rs` |
//! | a name that is taken, and the name under which a session sees its file | `overwrite.rs` |
//! | what is deleted or replaced, and bringing it back | `trash.rs`, `trash_faults.rs` |
//! | what is synced to the disk, and when | `synced.rs` |
//! | AUTH, PBSZ, PROT; transfers, certificates and attacks over TLS | `tls.rs` |
//! | how bytes arrive over TLS: in one piece, byte by byte, cut short | `lumps.rs` |
//! | forms, chains, faults and warnings of certificates and keys | `tls_keys.rs` |
//! | `max_cons`, `max_per_ip`, timeouts, throttles, stopping, few file descriptors | `limits.rs` |
//! | permission letters and speed limits of folders | `letters.rs` |
//! | folders from elsewhere (`from`) | `elsewhere.rs` |
//! | speed limits that transfers share | `speed.rs` |
//! | `ftpd stop --drain` | `drain.rs` |
//! | a balancer in front of two servers | `balancer.rs` |
//! | fifty clients of a balancer that do everything at random | `crowd.rs` |
//! | two servers that serve the same homes (`shared_storage`) | `shared.rs` |
//! | threads that sleep while nothing happens | `idle.rs` |
//! | bans: what leads to them, for whom they hold, how they are lifted | `bans.rs` |
//! | the PROXY protocol | `proxy.rs` |
//! | hostile clients: long lines, NUL, IAC, pipelining, slow and half-closed peers | `hostile.rs` |
//! | names in the charset of the client; `ftpd convert-names` | `charset.rs` |
//! | `ftpd.ini` and `ftpd check` | `config.rs` |
//! | the image of `etc/Dockerfile`, without a container runtime | `container.rs` |
//! | settings from the environment, secrets in files | `environment.rs` |
//! | the command line, exit codes, starting and stopping | `cli.rs` |
//! | users that the settings do not have: `auth_program`, `auth_url` | `external.rs` |
//! | hashed passwords, `passwd`, `adduser`, `deluser`, `users`, `import` | `accounts.rs` |
//! | `who`, `kick`, `reload`, `stop` and the admin socket | `admin.rs` |
//! | `ftpd why`, and the same sentence in the log | `why.rs` |
//! | `ftpd parts` | `broken_off.rs` |
//! | quotas and `ftpd quota` | `quota.rs` |
//! | `ftpd share` | `share.rs` |
//! | `ftpd test` | `test_command.rs`; behind firewalls, NAT and the like `worlds.rs` |
//! | `ftpd doctor` | `doctor.rs` |
//! | `ftpd stats`, the counters, the metrics and the status page over HTTP | `metrics.rs` |
//! | the log and the transfer log | `logs.rs` |
//! | programs of hooks, such as `on_upload` | `hooks.rs` |
//! | judging uploads before they are in place: `before_publish`, `scan`, `quarantine` | `gate.rs`; against odds `gate_faults.rs` |
//! | events for a receiver on another machine, over HTTP and MQTT | `events.rs` |
//! | the programs of `etc/auth` | `auth_scripts.rs` |
//! | the process that starts programs beside the sandbox | `launch.rs` |
//! | what systemd and packages rely on: messages, sockets handed over, `make install` | `service.rs` |
//! | giving up root; most of it takes root | `privileges.rs` |
//! | curl, lftp, rclone and other clients, whole trees, compared by hash | `clients.rs`; over TLS `clients_tls.rs`; in other charsets `clients_charset.rs` |
//! | all commands or all keys at once; the permission matrix | `table.rs` |
//! | any bytes: see `tests/fuzz`, whose seeds are checked here | `fuzz.rs` |
//! | an attack of the table in `.github/SECURITY.md` that no file above covers | `attacks.rs` |
//! | the source itself: which room may use which, the order inside a room | `rooms.rs` |
//! | generated texts equal what is in the tree | `docs.rs` |
//! | a bug that has been mended and fits nowhere above, with its story | `regress.rs` |
//!
//! `tests/probe` takes the place of the server and tries what an attacker could do in it.
//!
//! The harness is in `client.rs` (a client that prints its transcript), `server.rs` (a server
//! on port 0), `program.rs` (the program on an ini file of the test's own), `parts.rs` (uploads
//! that break off), `namespaces.rs` (machines in networks of the test's own), `middlebox.rs` (what stands between them), `other_servers.rs`, `tls_client.rs` (a TLS client, and an authority that issues certificates)
//! and `trusting.rs` (a client's look at certificates, which the soak and the fuzz targets
//! share).
//!
//! A test waits for an event with a deadline: a reply, a line of the log, or
//! `server::eventually`. It sleeps only where the pace of a client is what is tested, and says
//! so.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::wildcard_enum_match_arm,
    clippy::missing_panics_doc,
    clippy::format_push_string,
    clippy::assigning_clones,
    clippy::too_many_lines,
    reason = "a test that panics has done its work, and a transcript reads best in one piece"
)]

mod abort;
mod accounts;
mod admin;
mod attacks;
mod auth_scripts;
mod balancer;
mod bans;
mod broken_off;
mod calls;
mod charset;
mod cli;
mod client;
mod clients;
mod clients_charset;
mod clients_tls;
mod config;
mod container;
mod copies;
mod crowd;
mod docs;
mod doctor;
mod drain;
mod elsewhere;
mod environment;
mod events;
mod external;
mod facts;
mod faults;
mod filing;
mod folders;
mod fuzz;
mod gate;
mod gate_faults;
mod hashes;
mod hooks;
mod hostile;
mod idle;
mod keep;
mod launch;
mod letters;
mod limits;
mod listing;
mod login;
mod logs;
mod lumps;
mod metrics;
mod middlebox;
mod namespaces;
mod other_servers;
mod overwrite;
mod param;
mod parts;
mod privileges;
mod program;
mod proxy;
mod quota;
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
mod shared;
mod site;
mod speed;
mod synced;
mod table;
mod test_command;
mod tls;
mod tls_client;
mod tls_keys;
#[path = "../faults/tracer.rs"]
mod tracer;
mod transfer;
mod trash;
mod trash_faults;
mod tree;
mod trusting;
mod uploads;
mod why;
mod worlds;
