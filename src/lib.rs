//! `ftpd`: a small FTP and FTPS server for Linux. One binary, one settings file, one thread per
//! connection, no async runtime.
//!
//! This page is for people who read or change the code; the README and the manuals ftpd(8) and
//! ftpd.ini(5) are for those who run the server.
//!
//! - [The map](#the-map): the modules, and what each may do
//! - [The way of a command](#the-way-of-a-command)
//! - [How to add something](#how-to-add-something): a command, a key, a metric, a log event, an
//!   admin request, a subcommand
//! - [Why it is built like this](#why-it-is-built-like-this): [threads](#threads),
//!   [confinement](#confinement), [privileges](#privileges), [uploads](#uploads),
//!   [transfers and listings](#transfers-and-listings), [TLS](#tls), [passwords](#passwords),
//!   [logs](#logs), [operation](#operation), [dependencies](#dependencies)
//!
//! # The map
//!
//! The modules ("rooms") from top to bottom. Each uses those below it, and never one above or
//! beside it; each has rights that no other room has. A test reads the `use` lines, and
//! `clippy.toml` forbids the functions that belong to a single room.
//!
//! | Room | Has the sole right to |
//! | --- | --- |
//! | `main`, [`cli`], [`docs`] | command line, standard error, signals, exit codes; printing the tables |
//! | [`server`] | listening for clients, starting threads, admitting clients, shutting down |
//! | [`control`] | the server-PI: session state, login, permission, choosing a reply |
//! | [`data`] | the server-DTP: data sockets, bulk data, sleeping to keep a rate |
//! | [`auth`], [`vfs`], [`hook`] | secrets; served files; starting programs |
//! | [`tls`] | certificates; TLS between a connection and its bytes |
//! | [`config`], [`log`](mod@log) | the settings file; the logs |
//! | [`rights`] | user IDs, capabilities and the sandbox |
//!
//! Two tables hold what the server knows. [`control::command::VERBS`] describes each FTP command:
//! HELP, FEAT, the check of login and permission, and the manual are read off it. [`config::KEYS`]
//! describes each key of the settings: parsing, defaults, the sample settings and the manual are
//! read off it. `make docs` prints both tables into the files of `etc/`, and a test compares them.
//!
//! # The way of a command
//!
//! The accept thread in [`server`] admits a client and hands it to a worker thread, which runs
//! the session from its 220 to its 221. [`control`] reads a line, finds the row of the command,
//! parses the argument into a `Command`, and checks login and permission in one place. The handler
//! in `control/verbs` calls [`vfs`] for files and [`data`] for transfers, and returns one reply;
//! replies before the last one (150) are a type of their own. The errors of the lower rooms become
//! replies in `control/refusal.rs` and nowhere else. While a transfer runs, the same thread looks
//! at the control connection between two chunks, so that ABOR, STAT and QUIT are obeyed.
//!
//! # How to add something
//!
//! Each is a row or a variant in one place. Everything else is read off it, or the compiler asks
//! for it, because the `match` in question has no `_` arm. After a change of a table, `make docs`
//! rewrites the manuals and the sample settings.
//!
//! ## A command
//!
//! 1. A variant of `Command` and a row of `VERBS`, both in `control/command.rs`. The row has the
//!    names, the kind of argument (with the variant that it becomes), the usage and a line of help.
//!    A row is strict: needs a login, needs no letter, is not in FEAT. Calls such as
//!    `.before_login()`, `.needs(Perm::Write)` and `.feature("...")` change that. A command whose
//!    needs depend on its argument (`STAT`, `STAT path`) has two rows; a SITE command is a row
//!    named `SITE NAME`; a command that is known and not implemented is a row as well.
//! 2. An arm of `carry_out` in `control/dispatch.rs`.
//! 3. The handler, in a file of `control/verbs`. It returns a `Reply`, made by a constructor that
//!    knows its code, or an error, which `control/refusal.rs` turns into a reply.
//!
//! HELP, FEAT, the gates for login and permission, the manual and the tests over the table follow.
//! Write a test of what the command does: `tests/suite/main.rs` says where.
//!
//! ## A key of the settings
//!
//! 1. A field in the struct of its subject in `config/settings`.
//! 2. A row of [`config::KEYS`] in `config/keys.rs`: name, default, kind of value, the field that
//!    it sets, and a line of help. The default is text and is read like the administrator's text.
//! 3. The key's name in KEYS BY SUBJECT of ftpd.ini(5); a test compares.
//!
//! A new kind of value is one constant in `config/kind` that describes and reads it. What can only
//! be wrong together, such as the ends of a range, is one value.
//!
//! ## A metric
//!
//! A row of the table in `server/stats/rows.rs`, which names, explains and reads it, and its
//! counter in `control/counters.rs` if there is none yet. The metrics port, `ftpd stats` and the
//! admin protocol follow.
//!
//! ## A log event
//!
//! A variant of `Event` in `log/event.rs` and an arm of `Event::account` there, which gives level,
//! name, JSON members and text. The writers of text and JSON know no event. List its members under
//! LOG in ftpd.ini(5).
//!
//! ## An admin request
//!
//! A row of `orders!` with the struct of its members in `server/admin/protocol.rs`, and how it is
//! carried out in `server/admin/carry_out.rs`. The server and the subcommands use the same types.
//! Describe it under ADMIN PROTOCOL in ftpd(8).
//!
//! ## A subcommand
//!
//! A file in `cli` and a row of the table in `cli/table.rs`. Its `--help`, `ftpd help` and the
//! manual follow.
//!
//! # Why it is built like this
//!
//! ## Threads
//!
//! - The accept thread hands each client over a bounded channel (`crossbeam-channel`) to a pool
//!   that starts threads on demand, at most `max_cons`. Further clients get 421 at once from the
//!   accept thread, or the place of a client that has not logged in if such clients hold two
//!   thirds of all places. A panic ends its own session only. There is no async runtime.
//! - Memory is bounded per session: stacks are small, no buffer is allocated until a transfer needs
//!   it, and no lock is held across a read, a write or a sleep.
//!
//! ## Confinement
//!
//! - `openat2` resolves each path below a directory handle of the home. On kernels without it, the
//!   server walks down component by component and follows no link. Paths are never compared as
//!   text, so a link that is swapped in between a check and a use gains nothing. Absolute links
//!   are refused, even those that lead back into the home.
//! - The sandbox is Landlock, through the crate `landlock`. It admits directories and not files,
//!   because `passwd`, `resolv.conf` and certificates are replaced by renames. No thread that
//!   serves a client can read `/etc`: separate threads, whose sandbox lets them read and change
//!   nothing, read settings and keys and look up names. With hooks, `auto` means off, because
//!   programs would inherit the sandbox and fail at what they could do before.
//!
//! ## Privileges
//!
//! - Root is given up while there is one thread only, before any other starts, and through the C
//!   library, which changes all threads; capabilities belong to a thread and are inherited. The
//!   server then tries to become root again, and exits if it can. A server that stays root keeps
//!   three capabilities.
//! - Root follows no link to its own files that other users could have planted: it walks from `/`
//!   through directories that it holds open, and looks at the owner of each.
//! - `run_as` belongs to the thread: effective user ID, group ID and groups, set by the bare system
//!   calls, with no capability in effect. A guard returns to the server's user, however the login
//!   ends; a thread that fails to return ends. This costs a login some twenty system calls. The
//!   program of a hook becomes the user permanently: the launcher that sets its umask becomes the
//!   user first. A server thread could do that too, but other programs of the user could then send
//!   it signals.
//!
//! ## Uploads
//!
//! - Parts have names instead of being unnamed files (`O_TMPFILE`), so that programs which wait for
//!   a file with inotify see it moved in when it is complete, and so that file systems without
//!   unnamed files work. The name contains a hash of user and file name, so a part is found without
//!   an index. The journal in `state_dir` is written once for each directory, not for each upload.
//!   The upload of a small new file costs eight system calls more than writing in place.
//! - A server keeps 50,000 parts of failed uploads. Beyond that, the user with the most parts loses
//!   the oldest, so that nobody's failed uploads displace those of others. Anonymous users are
//!   distinguished by their network (an IPv4 address, an IPv6 /64).
//!
//! ## Transfers and listings
//!
//! - In binary type without a speed limit, data stays in the kernel: downloads by `sendfile`,
//!   uploads through a pipe (`splice`). A speed limit is a token bucket for each transfer that says
//!   how long to sleep. `tests/bench/RESULTS.md` has the measurements.
//! - ASCII type ends each line with CR LF on the wire, whether the file has LF or CR LF. A text
//!   with LF comes back from an upload as it was, and one with CR LF arrives unchanged. RETR, SIZE
//!   and REST count the same bytes. Counting needs reading the file, so beyond 64 MiB SIZE and REST
//!   are refused.
//! - A listing holds no directory in memory unless it has to be sorted (at most 10,000 entries).
//!   `LIST -R` sends the entries of a directory and reads it a second time to enter its
//!   subdirectories, so a large tree takes no more memory than a small one; depth (16) and entries
//!   (100,000) are bounded.
//! - A passive listener serves one connection. Using it for many transfers would save system calls,
//!   but its port would be known to others before the client connects.
//! - Data connections to clients on the same machine are not paced: where the system uses BBR,
//!   these use Reno. All others keep the system's congestion control.
//!
//! ## TLS
//!
//! - Each control connection gets a copy of the `rustls` settings with its own key for tickets and
//!   a small cache, so that only its own data connections can resume. The copy takes 1 µs, a full
//!   handshake 500 µs (`cargo bench --bench tls`). A data connection receives tickets only if it
//!   has resumed itself.
//! - Waiting for a connection is one function, `tls::wait`, which looks at what TLS holds as well
//!   as at the socket: bytes that rustls has already read would never make the socket ready.
//! - `tls_resume = prefer` enforces nothing, not even when a session has resumed before. That was
//!   built and removed: curl uses a TLS 1.3 ticket once and closes an upload before it has read
//!   the next one, and rclone presents the ticket of one connection on another, so both were
//!   refused in the middle of a directory. `require` is for people who know their clients.
//! - `ring` instead of `aws-lc-rs`: both were measured in one run (2-core virtual machine, rustls
//!   0.23.46, ring 0.17.14, TLS 1.3, curl 7.88 and files in memory, medians of 5). 7 to 9 % of
//!   speed and 20 % of a handshake are not worth 2.1 MB to a small machine.
//!
//!   | | `ring` | `aws-lc-rs` |
//!   | --- | --- | --- |
//!   | binary, stripped (990 KB without TLS) | 2.65 MB | 4.76 MB |
//!   | clean release build, CPU time | 74 s | 120 s |
//!   | full handshake, both ends, TLS 1.3 | 0.53 ms | 0.43 ms |
//!   | download, MB/s (clear text: 3065) | 1364 | 1488 |
//!   | upload, MB/s (clear text: 1617) | 999 | 1067 |
//!
//! ## Passwords
//!
//! - Hashes are checked by `argon2`, `yescrypt`, `sha-crypt` and `bcrypt` in separate threads
//!   (`password_workers`): a check takes 20 MB and more, and the thread of a session would keep
//!   every page of its stack that it has touched. Logins beyond that number wait, and the memory is
//!   released: after 100 logins with Argon2 the server has 6 MB. A name that no user has costs the
//!   check of some user's hash. The four crates add 0.2 MB to the binary.
//!
//! ## Logs
//!
//! - Everything goes through the crate `log`, which knows text only. An event writes itself as text
//!   or as members of JSON; the thread that writes the line knows which of the two is wanted.
//! - While a disk is full or the reader of standard error has stalled, lines wait in memory, up to
//!   256 KiB for each file, and are written later. A half-written line is completed, so no line is
//!   torn, and nothing waits longer than a second for a reader.
//! - Syslog is a datagram socket that never blocks; a line that it does not take is written to
//!   standard error.
//!
//! ## Operation
//!
//! - A reload builds everything anew before it replaces anything. A session keeps the settings of
//!   its login; what users share, such as a speed limit, changes at once.
//! - What a previous server still holds at the start (the metrics port, the admin socket, the
//!   journal of parts) is tried again each second, so that a server which starts while the previous
//!   one finishes its transfers has everything once that has gone. A `state_dir` that was removed
//!   is created again.
//! - Signals are neither blocked nor ignored, because hook programs would inherit that. SIGHUP has
//!   its handler before the settings are read; signals without a meaning have handlers that do
//!   nothing.
//! - systemd is told its states (`sd_notify`) by one datagram each, without `libsystemd`. The
//!   watchdog is fed only while each accept thread makes progress and the locks that a new client
//!   needs are free.
//! - Metrics and the status page need no library: one thread with `poll` answers a few GETs. The
//!   script and style of the page are allowed by their hashes (Content-Security-Policy), names from
//!   clients become text and never HTML, and a `Host` that is not ours is refused. Counting is a
//!   relaxed addition to an atomic number; bytes are added when a transfer waits anyway, or every
//!   20 ms.
//! - Bans are part of the server instead of a program that reads its log: the server knows more
//!   than a log line says, and closes a connection before it costs a thread.
//!
//! ## Dependencies
//!
//! - `rustix` for what the standard library lacks (`sendfile`, `poll`, `statvfs`, times), with safe
//!   signatures, because unsafe code is forbidden in the crate; `nix` for names of users;
//!   `signal-hook` for SIGTERM; `socket2` for socket options.
//! - `listenfd` for sockets that systemd has opened: using a file descriptor by its number is unsafe
//!   code. These sockets are never shut down, because they belong to systemd as well.
//! - `ini` reads the settings. It does not give line numbers and merges duplicates, so a small index
//!   of the lines beside it finds those faults.
//! - `ctrlc` without its feature `termination`, which would also claim SIGHUP.
//! - `time` for local time in the log and for calendar dates. Listings are in UTC.
//! - `serde` and `serde_json` for the admin socket: requests and answers are types that the server
//!   and the subcommands share.

pub mod auth;
pub mod cli;
pub mod config;
pub mod control;
pub mod data;
pub mod docs;
pub mod hook;
pub mod log;
pub mod rights;
pub mod server;
pub mod tls;
pub mod vfs;
