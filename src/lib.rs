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
//! - [How it grows](#how-it-grows): what a second server needs, and where the limits are
//! - [Why it is built like this](#why-it-is-built-like-this): [threads](#threads),
//!   [confinement](#confinement), [privileges](#privileges), [uploads](#uploads),
//!   [transfers and listings](#transfers-and-listings), [TLS](#tls), [passwords](#passwords),
//!   [logs](#logs), [operation](#operation), [behind a balancer](#behind-a-balancer),
//!   [dependencies](#dependencies)
//!
//! # The map
//!
//! The modules, which are called rooms, from top to bottom. A room may use the rooms in the lines
//! below its own, but none above or beside it, and each room may do things that no other room may.
//! A test checks the `use` lines, and `clippy.toml` forbids functions that only one room may call.
//!
//! | Room | Has the sole right to |
//! | --- | --- |
//! | `main`, [`cli`], [`docs`] | command line, standard error, signals, exit codes; printing the tables |
//! | [`server`] | listening for clients, starting threads, admitting clients, shutting down |
//! | [`control`] | the server-PI: session state, login, permission, choosing a reply |
//! | [`data`] | the server-DTP: data sockets, bulk data, sleeping to keep a rate |
//! | [`auth`], [`vfs`] | secrets; served files |
//! | [`gate`] | virus scanners and the quarantine |
//! | [`events`] | who is told of an event |
//! | [`http`], [`dial`] | requests to other servers; connections to them |
//! | [`launch`] | starting programs |
//! | [`proxy`] | the headers of balancers |
//! | [`tls`] | certificates; TLS between a connection and its bytes |
//! | [`config`], [`log`](mod@log) | the settings file; the logs |
//! | [`rights`] | user IDs, capabilities and the sandbox |
//!
//! Two tables define most of the server. [`control::command::VERBS`] describes each FTP command,
//! for parsing, for the check of login and permission, and for HELP, FEAT and the manual.
//! [`config::KEYS`] describes each key of the settings, for parsing, for its default, and for the
//! sample settings and the manual. `make docs` writes the texts of both tables into the files of
//! `etc/`, and a test checks that those files are up to date.
//!
//! # The way of a command
//!
//! The accept thread in [`server`] admits a client and hands it to a worker thread, which runs the
//! session from its 220 to its 221. [`control`] reads a line, finds the row of the command, parses
//! the argument into a `Command`, and checks login and permission in one place. The handler in
//! `control/verbs` calls [`vfs`] for files and [`data`] for transfers, and returns one final reply;
//! preliminary replies (150) have a type of their own. The errors of the lower rooms become replies
//! in `control/refusal.rs` and nowhere else. While a transfer runs, the same thread looks at the
//! control connection between two chunks, so that ABOR and STAT are obeyed at once.
//!
//! # How to add something
//!
//! Each addition begins with a row of a table or a variant of an enum. The rest follows from it, or
//! the compiler reports what is missing, because no `match` over these enums has a `_` arm. After a
//! change of a table, run `make docs`, which rewrites the generated parts of the manuals and the
//! sample settings.
//!
//! ## A command
//!
//! 1. A variant of `Command` and a row of `VERBS`, both in `control/command.rs`. The row has the
//!    names, the usage, the kind of argument with the variant that is built from it, and a line of
//!    help. By default the command requires a login, needs no permission letter, transfers nothing,
//!    and has no line in FEAT. Calls such as `.before_login()`, `.needs(Perm::Store)` and
//!    `.feature("...")` change that. A command whose needs depend on its argument, such as `STAT`
//!    and `STAT path`, has two rows. The name of a SITE command is `SITE NAME`. A command that is
//!    known but not implemented has a row as well. A new kind of argument is a variant of `Arg`
//!    there, with its parser in `control/arg`.
//! 2. An arm of `carry_out` in `control/dispatch.rs`.
//! 3. The handler, in a file of `control/verbs`. It returns a `Reply` or an error, which
//!    `control/refusal.rs` turns into a reply.
//! 4. Unless it takes no argument, an example line in `example` of `tests/suite/table.rs`; and the
//!    permission letter, if there is one, in the test below it that lists the letters.
//!
//! HELP, FEAT, the checks of login and permission, the manual, and the tests that go through the
//! table follow. Write a test of what the command does: `tests/suite/main.rs` says where.
//!
//! ## A key of the settings
//!
//! 1. A field in the struct of its subject in `config/settings`. Its initial value, until the
//!    key is read, is the strictest one.
//! 2. A row of [`config::KEYS`] in `config/keys.rs`: name, default, kind of value, the field that
//!    it sets, and a line of help. The default is a text that is parsed like that of the
//!    administrator. `fixed` instead of `key` marks a key that is read only at the start.
//!    `InServer`, `InUser` and `AlsoPerUser` say in which sections the key may be set.
//! 3. The name of the key in KEYS BY SUBJECT of ftpd.ini(5). A test checks that none is missing.
//! 4. A good value in `every_key_takes_a_good_value_where_it_may_stand` of
//!    `tests/suite/config.rs`.
//!
//! A new kind of value is one constant in `config/kind` that describes and reads it. Values that
//! can only be wrong together, such as the ends of a range, are one value of one key.
//!
//! ## A metric
//!
//! A row of the table in `server/stats/rows.rs`, with its name, its help and a function that
//! reads it. If nothing counts it yet, also add a field to `Counters` in `control/counters.rs`,
//! and increase it where the event happens, for example with `session.shared.counters`. The
//! metrics port, the admin protocol, `ftpd stats --json` and the manual follow. The text of
//! `ftpd stats` is written in `cli/stats.rs`.
//!
//! ## A log event
//!
//! A variant of `Event` in `log/event.rs`, its level in `Event::level`, and an arm of
//! `Event::account`, which returns name, JSON members and text. Both formats of the log are made
//! from that. An event waits for the log's thread as bytes, so that its members also need an arm
//! in each of the two functions `put` and `take` in `log/entry.rs`. A session logs it with
//! `session.log(&Event::...)`. Add an example of it to the unit tests in `log/json.rs` and
//! `log/entry.rs`, and describe the event and its members under LOG in ftpd.ini(5); a test
//! checks the names there.
//!
//! ## An admin request
//!
//! 1. In `server/admin/protocol.rs`: a row of `orders!`, a struct with the members of the request,
//!    and a struct with the members of the answer.
//! 2. In `server/admin/carry_out.rs`: an arm of `answer`, and an `impl CarryOut` for the request.
//! 3. A description under ADMIN PROTOCOL in ftpd(8).
//!
//! A subcommand sends the request with `ask` of `cli/admin.rs` and gets the answer as a value of
//! its type.
//!
//! ## A subcommand
//!
//! A file in `cli` with a function `run`, its `mod` line in `cli/mod.rs`, and a row of the table in
//! `cli/table.rs`. Its `--help`, `ftpd help` and the manual follow.
//!
//! ## A check of `ftpd test`
//!
//! A variant of `Fact` in `cli/test/facts.rs`, the probe that tells it in `probe.rs`, and an arm of
//! `judge` with its row in a test. A cure that is a setting is a `Problem` in `cure.rs`, with the
//! setting of each server.
//!
//! ## A check of `ftpd doctor`
//!
//! A member of `Facts` in `cli/doctor/facts.rs`, the probe that fills it, and a finding with its cure in
//! `judge`, with a row in its tests. What the firewall lets in is followed by `firewall`: a condition of a
//! rule that is not known yet is an arm in `nft.rs` or `iptables.rs`.
//!
//! # How it grows
//!
//! One server serves `max_cons` clients, with a thread for each. Whoever needs more, or one that may
//! fail, puts a balancer in front of several; SEVERAL SERVERS in ftpd(8) says how, and `make cluster`
//! shows it on one machine.
//!
//! ```text
//!                      control            +----------+   files
//!              +-------------------------->| server a |-----------+
//!              |       data, way 1        |  :21     |           |
//!  clients --> balancer ----------------->|  :50000- |     +-----------+
//!    |         :21  :50000-               +----------+     | shared    |
//!    |         |  50199                   +----------+     | homes, or |
//!    |         +------------------------->| server b |-----| a home of |
//!    |                                    |  :21     |     | each user |
//!    +----------------------------------->|  :50100- |     +-----------+
//!              data, way 2                +----------+
//! ```
//!
//! What is measured here is processor time, with `haproxy` 2.6 and its usual settings, on a virtual
//! machine with two processors that had other work as well; expect half or twice of it elsewhere.
//!
//! | What the balancer does | Its processor time |
//! | --- | --- |
//! | a session: connect, header, login, end | 0.49 ms |
//! | a file of 4 KiB, up, with its data connection (way 1) | 0.76 ms |
//! | a file of 4 KiB, down, with its data connection (way 1) | 0.46 ms |
//! | a gigabyte, up (way 1) | 0.78 s |
//! | a gigabyte, down (way 1) | 0.92 s |
//!
//! - **Sessions** grow with the servers: each adds its `max_cons`, at 12 KiB for an idle session. The
//!   balancer takes on some 2,000 new ones a second with one processor, which is far more than FTP
//!   clients ask for, and has as many threads as processors.
//! - **Throughput, way 1**: the balancer is the limit. One processor of it passes on about 1.1 GB/s,
//!   less than a server sends with one (`tests/bench/RESULTS.md`), and each byte crosses its network
//!   twice, so that a second server adds nothing once that is full. Its `option splice-auto`
//!   changed nothing on loopback.
//!   **Way 2**: each server adds its own network, and the balancer carries commands alone.
//! - **Ports**: way 1 takes a range of the balancer for each server, of some 64,000 in all. A session
//!   holds a port only until its client has connected, so a hundred are enough for many sessions.
//! - **A shared file system** bears nothing for an idle session, and for a login one `openat2` and one
//!   `fstat`. An upload of a small new file is ten system calls there: two that open the directory, a
//!   lookup of the name, the creation of the part, a write, four that look at part and name, and the
//!   rename; `sync_uploads` adds its syncs. A download opens the file, looks at it twice and reads. On
//!   NFS an upload is therefore about five round trips, so the time to the file server limits a client
//!   that sends one file after the other, and its rate of creations and renames limits all together.
//!   With `shared_storage` a part is locked and unlocked once; an append makes, locks and removes a file for
//!   its name as well, and a quota takes a lock, a read, a write and an unlock for each of four steps, which
//!   are as many round trips on NFS (counted by the calls, not measured there). The table is in [Homes
//!   that servers share](#homes-that-servers-share).
//! - **Losing a server**: twelve clients that upload 200 KB again and again, through `make cluster` on
//!   the machine above, and try again what fails. One server killed by `kill -9`: 2,330 uploads, of
//!   whose attempts 6 failed, all within 10 ms; the slowest upload took 0.15 s with its retries. One
//!   server drained: 2,356 uploads, none failed. The balancer replaced (`haproxy -sf`): 1,818 uploads,
//!   none failed. All files were whole.
//! - **The next limits** are what servers do not tell each other: a ban, `max_per_user` and a speed
//!   limit hold on each server alone (clients stay with one server by their address). A lock of a shared
//!   home costs round trips to the file server, and a quota is one file that all uploads to a home lock
//!   in turn, some four times each: thousands of small uploads a second to one home do not fit.
//!
//! # Why it is built like this
//!
//! ## Threads
//!
//! - The accept thread hands each client over a bounded channel (`crossbeam-channel`) to a pool
//!   that starts threads on demand, at most `max_cons`. If all are in use, the accept thread
//!   answers a further client with 421 at once; but if two thirds of the clients have not logged
//!   in, one of those makes room for it. A panic ends its own session only. There is no async
//!   runtime.
//! - Memory is bounded per session: stacks are small, no buffer is allocated until a transfer needs
//!   it, and no lock is held across a read, a write or a sleep. A thread that ends gives memory back
//!   that the C library would keep (`server/spare.rs`).
//!
//! ## Confinement
//!
//! - `openat2` resolves each path below a directory handle of the home. On kernels without it, the
//!   server walks down component by component and follows no link. Paths are never compared as
//!   text, so a link that is swapped in between a check and a use gains an attacker nothing.
//!   Absolute links are refused, even those that lead back into the home.
//! - The sandbox is Landlock, through the crate `landlock`. Its rules name directories instead of
//!   files, because `passwd`, `resolv.conf` and certificates are replaced by renames. No thread
//!   that serves a client can read `/etc`: settings and keys are read, and names are looked up, by
//!   separate threads, whose sandbox lets them read files but change none.
//! - Programs would inherit the sandbox, and a server that may start programs could be made to start
//!   any. So a process that is started before the sandbox is entered starts them ([`launch`]). It is
//!   a new process of the same program and no fork of the server, because a fork would take `unsafe`
//!   code, and would have the secrets of the server in its memory. It has the rights that the server
//!   has after root is given up. The server names a program by the digest of its entry in the
//!   settings, which needs no numbers that both sides would have to agree on: whatever each of them
//!   has read, the digest of a program that the settings do not name leads to nothing. A reload is in
//!   two steps, so that settings that are refused change nothing there either. The process ends when
//!   the socket to the server is closed and not by `PR_SET_PDEATHSIG`, which means the death of the
//!   thread that has started it. If it ends first, the server cannot start it again from inside the
//!   sandbox, and continues without programs rather than end the sessions of all clients.
//! - Threads share their memory, so the two sandboxes protect from clients, but not from somebody
//!   who runs code in the server. The threads for settings and names therefore have no
//!   capabilities: with `run_as` they could otherwise become root and read all of `/etc`. The
//!   sandbox leaves the network open, because active data connections go to any port, and Landlock
//!   allows ports only one by one. `tests/probe` tries what is left, and its table is in
//!   `.github/SECURITY.md`.
//!
//! ## Privileges
//!
//! - Root is given up before any other thread starts, because each thread has capabilities of
//!   its own, which it inherits from the thread that starts it. The C library is used for this,
//!   because it changes the user ID of all threads. The server then tries to become root again,
//!   and exits if it can. A server that stays root keeps three capabilities.
//! - Root follows no link to its own files that other users could have planted: it walks from `/`
//!   through directories that it holds open, and looks at the owner of each.
//! - `run_as` changes one thread: its effective user ID, group ID and groups, by the bare system
//!   calls, with no capability in effect. A guard changes the thread back to the server's user,
//!   however the login ends; if that fails, the thread serves no other client. This costs a login
//!   some twenty system calls. A program runs as the user permanently: the process that
//!   becomes the program (`launch/exec.rs`) changes to the user first. A server thread could change permanently too, but
//!   other programs of the user could then send it signals.
//!
//! ## Uploads
//!
//! - An upload is written to a part, a hidden file in the same directory, which is renamed when it
//!   is complete. Parts have names instead of being unnamed files (`O_TMPFILE`), so that programs
//!   which wait for a file with inotify see it moved in when it is complete, and so that file
//!   systems without unnamed files work. The name contains a hash of user and file name, so a part
//!   is found without an index. A journal in `state_dir` lists the directories with parts; it is
//!   written once for each directory, not for each upload. The upload of a small new file costs
//!   eight system calls more than writing in place.
//! - A server keeps at most 50,000 parts of failed uploads. Beyond that, the user with the most
//!   parts loses the oldest, so that nobody's failed uploads displace those of others. Anonymous
//!   users are distinguished by their network (an IPv4 address, an IPv6 /64).
//! - An upload is judged between its last byte and its rename, by the thread of its session, which needs
//!   no thread beside it: what it asks looks at the control connection at least ten times a second. No
//!   lock is held meanwhile. Another session of the user may resume the part, as ever; then the one that
//!   waits fails. What is put in place is the file that was judged: same inode, size and times, the
//!   change time included, which no program can set.
//! - Ways to write that change a file in place are refused where there is a gate, instead of judging what
//!   readers see already. An upload that was not judged is kept as one that broke off, because the client
//!   has sent all of it and can come back for the verdict alone.
//! - A refused file is renamed into the quarantine only if it belongs to the server's user, has one name and
//!   is on the same file system. Otherwise the quarantine gets a copy: a rename would need the rights of the
//!   server in one directory and those of `run_as` in the other, and the user could change the file later.
//!   Copying counts as a part of judging: within the turn and `gate_timeout`, until ABOR, kick or stop. It
//!   is not synced, because that cannot be broken off.
//! - The settings of a folder go by its path, an upload by an open directory. When a file appears, the path
//!   of that directory is found out again, and renames of directories and links by this server wait until
//!   it is there. Other programs, and other servers of the same files, may still rename in between.
//! - A program that judges gets its path appended by the process that starts programs, and only if the
//!   settings name it as one that judges. So the server can add no argument to any other program.
//!
//! ## Transfers and listings
//!
//! - In binary type without a speed limit, data stays in the kernel: downloads by `sendfile`,
//!   uploads through a pipe (`splice`). A speed limit is a token bucket for each transfer, which
//!   returns how long to sleep. `tests/bench/RESULTS.md` has the measurements.
//! - In ASCII type, each line ends with CR LF on the wire, whether the file has LF or CR LF. A text
//!   with LF that is uploaded comes back as it was, and a file with CR LF is sent unchanged. RETR,
//!   SIZE and REST count bytes on the wire. To count them, the file must be read, so beyond 64 MiB
//!   SIZE and REST are refused.
//! - A listing holds no directory in memory unless it has to be sorted (at most 10,000 entries).
//!   `LIST -R` sends the entries of a directory and reads it a second time to enter its
//!   subdirectories, so a large tree takes no more memory than a small one; depth (16) and entries
//!   (100,000) are bounded.
//! - A passive listener serves one connection. Using it for many transfers would save system calls,
//!   but its port would be known to others before the client connects.
//! - Data connections to clients on the same machine are not paced: where the system uses BBR, they
//!   use Reno. All other connections use the congestion control of the system.
//!
//! ## Names
//!
//! - Lines are split into words before their charset matters: no charset of the settings has a letter
//!   with the byte of a space, a slash, a quote or a line end. Only parts of pathnames are converted, by
//!   `control/charset.rs`, which `control/naming.rs` asks for what comes and for what goes.
//! - A name is sent in a form that the same session reads back as the same file: that is checked for
//!   each name, and one for which it fails is escaped.
//! - What a pathname means is found out once for each command, because the answer depends on which files
//!   are there, and must be the same when letters are checked and when the command is carried out.
//!
//! ## TLS
//!
//! - Each control connection gets a copy of the `rustls` settings with its own key for tickets and
//!   a small cache, so that only its own data connections can resume. The copy takes 1 µs, a full
//!   handshake 500 µs (`cargo bench --bench tls`). A data connection receives tickets only if it
//!   has resumed itself.
//! - Waiting for a connection is one function, `tls::wait`, which looks at what TLS holds as well
//!   as at the socket: bytes that rustls has already read would never make the socket ready.
//! - `tls_resume = prefer` refuses no data connection, not even one that does not resume although
//!   earlier ones did. Refusing those was tried and given up: curl uses a TLS 1.3 ticket once and
//!   closes an upload before it has read the next one, and rclone presents the ticket of one
//!   connection on another, so both were refused in the middle of a directory. `require` is for
//!   administrators who know their clients.
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
//!   every page of its stack that it has touched. Logins beyond that number wait. The memory of
//!   a check is released after it: after 100 logins with Argon2 the server has 6 MB. For an
//!   unknown name, the hash of some user is checked, so that the time of the reply does not
//!   reveal which names exist. The four crates add 0.2 MB to the binary.
//!
//! ## Logs
//!
//! - All lines go through the crate `log`, which transports text only. Whether an event becomes
//!   text or JSON is therefore decided by a thread-local variable, which the code that writes
//!   the line sets.
//! - While a disk is full or the reader of standard error has stalled, lines wait in memory, up to
//!   256 KiB for each file, and are written later. A half-written line is completed, so no line is
//!   torn, and nothing waits longer than a second for a reader.
//! - Lines for syslog go to a datagram socket that never blocks; a line that it does not take is
//!   written to standard error.
//!
//! ## Operation
//!
//! - A reload builds all new state before it replaces any of the old. A session keeps the settings
//!   of its login; only values that sessions share, such as a speed limit, change at once.
//! - A server may be started while the previous one still finishes its transfers. It then tries
//!   each second to take over what the previous one still holds: the metrics port, the admin socket
//!   and the journal of parts. A `state_dir` that was removed is created again.
//! - Signals are neither blocked nor ignored, because hook programs would inherit that. SIGHUP has
//!   its handler before the settings are read; signals without a meaning have handlers that do
//!   nothing.
//! - The server reports each of its states to systemd (`sd_notify`) by one datagram, without
//!   `libsystemd`. It feeds the watchdog only while each accept thread makes progress and the locks
//!   that a new client needs are free.
//! - Metrics and the status page need no library: one thread with `poll` answers a few GETs. The
//!   script and style of the page are allowed by their hashes (Content-Security-Policy), names from
//!   clients become text and never HTML, and a `Host` that is not ours is refused. Counting is a
//!   relaxed addition to an atomic number; bytes are added when a transfer waits anyway, or every
//!   20 ms.
//! - Bans are part of the server instead of a program that reads its log, because the server knows
//!   more than a log line contains, and can close a connection before it costs a thread.
//!
//! ## Events
//!
//! - What the receiver has to get is appended to a file in `state_dir` by the session itself, before
//!   the reply: one write into the page cache, which a kill of the server leaves alone. A queue in
//!   memory with a file for the worst case would save that write, and lose what it holds at a kill.
//! - Files of a sixteenth of `events_keep` make dropping and removing one call each. The position of
//!   what was sent is in the first line of each file, so that a file can be taken over, or left, alone.
//!   Each server locks its own files: one that is started while another still ends its transfers takes
//!   over nothing that is being sent.
//! - MQTT is written to the OASIS text: four packets are sent and three understood. The known crates
//!   need an async runtime. Up to 32 messages are in flight, so that a broker far away is no brake; those
//!   after a break of the connection come again in the same order.
//! - An event of many that strangers can cause (a failed login) must not drive out uploads, so it is not
//!   kept once half of the room is in use.
//!
//! ## Behind a balancer
//!
//! - The headers of the PROXY protocol are read by one thread for all connections that wait for theirs
//!   (`server/introduce.rs`), and neither by a worker nor by the thread that accepts, which only reads
//!   what has arrived. A connection takes a place of `max_cons` once it has named its client, so bare
//!   connects, checks and clients that are banned or over `max_per_ip` evict nobody. 256 connections may
//!   wait; then the oldest is closed, because a balancer sends the header with the connection: a flood
//!   without headers closes its own connections, and costs no session. A check gets a place if one is
//!   free, and never that of somebody else.
//!   The bytes are read in steps that certainly belong to the header, so that neither a command nor a
//!   handshake behind it has to be put back; the crate takes a complete header apart, except for LOCAL,
//!   whose addresses must be ignored and which it checks.
//! - `proxy-header` instead of `ppp`: it needs no other crate, while `ppp` would bring a second
//!   `thiserror` and its macro.
//! - A passive port reads eight headers side by side (`data/porch.rs`), the oldest of which makes room
//!   for another one. The session waits for all of them by one `epoll` descriptor, because a wait takes
//!   one descriptor for the data connection.
//! - PASV and EPSV go by the protocol of the client, which may not be that of the balancer's connection.
//!   A session that came through a balancer without `proxy_data` gets no EPSV, which can only name the
//!   balancer. The clients that prefer it (such as curl and lftp) then use PASV, and those on IPv6
//!   active mode. Connections of balancers are then dropped, whoever may connect: in an upload, their
//!   header would become the beginning of the file. How the session came decides, and not the address
//!   of its client, which a reload may have made that of a balancer. With `proxy_data`, a header must name
//!   a client: with `allow_fxp` a session waits for anybody, so a check of the port would be taken for it.
//! - Loopback addresses in a header are those of the balancer's machine. Active mode to them would lead
//!   to programs of the server's machine, so it is refused unless the balancer's connection has both ends
//!   on this machine. For `allow_from`, bans and `local` they count as what they are called, because no
//!   other address of that client is known; the manual says so.
//! - Connections without a header may have a fourth of the file descriptors, and give these up as well if
//!   a client would get none: any other balancer's connection may be the next client.
//! - A server is drained in one more step before those of a stop: the threads that accept clients end
//!   first, and only when they have is "no session" final. A client that was accepted in that moment is
//!   served, also if its header comes later. `ftpd stop --drain` keeps its connection to the admin socket,
//!   on which the server says that it ends in order; asking time and again cannot tell this from a crash.
//!   Such a connection is none of the 16 that the socket serves, where it would be the most silent one.
//!
//! ## Homes that servers share
//!
//! - All locks are `flock` of whole files, tried again and again instead of waited for: NFS would poll as
//!   well, at up to 30 s, and a client that leaves must be noticed. A file that is written to is locked
//!   itself, by which parts tell whether their server lives. A name is locked by a file beside it.
//! - That file is removed by whoever has the lock, so a server may lock a file that has just gone. It is
//!   then no lock: NFS keeps such a file under another name, so its size, which is fresh once it is
//!   locked, says that it was given back; `GlusterFS` shows old attributes for a second, but does not open
//!   the file again by its name.
//! - NFS, `CephFS` and `GlusterFS` know no `RENAME_NOREPLACE`. A new name is a link, and then the old name
//!   is removed; a crash in between leaves a part with two names, which is never resumed, and is removed
//!   when it is met.
//! - Nothing tells for sure whether a file was stored after a part was left: modes, times and links change its
//!   attributes as well. So whoever puts a file in place removes the parts of its name, and a part that
//!   is overlooked stays until `keep_parts`: it takes room, but no upload is lost.
//! - The part of a killed server has a name that others cannot compute, so they read the directory, at
//!   most a twentieth of the time. A part is cut at its first hole: file systems that write out of order
//!   may have lost what a machine without power had not sent.
//! - What others do during the rescan of a quota is known only as a sum, so it counts twice where the
//!   rescan has met it; the result is too large rather than too small, and the rescan is repeated.
//! - Slabs that a server reserves in advance would save locks and were given up: a rescan could not tell
//!   what of them is on the disk already.
//! - It costs system calls, here for an upload of 1000 bytes to a local disk, all of the server, with a
//!   reading of the directory for parts of killed servers in each STOR:
//!
//!   | | `off` | `on` | of them `flock` | `on` with a quota | of them `flock` |
//!   | --- | --- | --- | --- | --- | --- |
//!   | STOR of a new name | 34 | 43 | 1 | 57 | 9 |
//!   | APPE to a file | 46 | 64 | 2 | 76 | 6 |
//!   | STOU | 32 | 47 | 2 | 63 | 10 |
//!
//!   One client stored 2425 such files a second, 2607 with it `on`, and 2163 with a quota as well (medians
//!   of nine rounds in turn, which differed by half; two processors with other work).
//! - Two servers on two mounts of a `GlusterFS` 10.3 volume with one brick, its caches off, passed by hand what
//!   the tests do on a local disk: appends, names, parts that broke off or whose server was killed.
//!
//! ## Dependencies
//!
//! - `rustix` for what the standard library lacks (`sendfile`, `poll`, `statvfs`, times), with safe
//!   signatures, because unsafe code is forbidden in the crate; `nix` for names of users;
//!   `signal-hook` for SIGTERM; `socket2` for socket options.
//! - `listenfd` for sockets that systemd has opened: using a file descriptor by its number is
//!   unsafe code. These sockets are never shut down, because they belong to systemd as well.
//! - `ini` reads the settings. It reports no line numbers and merges duplicates, so a small index
//!   of the lines is kept beside it to find duplicates and to report lines.
//! - `ctrlc` without its feature `termination`, which would also claim SIGHUP.
//! - `time` for local time in the log and in LIST, and for calendar dates.
//! - `encoding_rs` for charsets, without its larger tables, which only make encoding faster: 0.2 MB.
//!   Version 0.8.35 is held in Cargo.lock, because later ones bring five crates more.
//! - `serde` and `serde_json` for the admin socket: requests and answers are types that the server
//!   and the subcommands share.

pub mod auth;
pub mod cli;
pub mod config;
pub mod control;
pub mod data;
pub mod dial;
pub mod docs;
pub mod events;
pub mod gate;
pub mod http;
pub mod launch;
pub mod log;
pub mod proxy;
pub mod rights;
pub mod server;
pub mod tls;
pub mod vfs;
