# 'make run' and 'make test' do all set-up themselves. To install the server: 'make deb' or
# 'make install', see etc/INSTALL.md.

.PHONY: run test check docs bench cluster soak filesystems faults powerloss models fuzz clients servers install installed uninstall deb static container nspawn \
  audit sbom reproducible release

# where cargo builds
OUT = $(or $(CARGO_TARGET_DIR),target)

run:
	@mkdir -p target/home
	@chmod o-r etc/ftpd.ini
	@cargo build --release
	@echo 'address:  ftp://127.0.0.1:2121   user: demo   password: demo   files: target/home'
	@echo 'try:      curl -T README.md ftp://demo:demo@127.0.0.1:2121/ && curl ftp://demo:demo@127.0.0.1:2121/'
	@echo 'stop:     Ctrl-C'
	@exec cargo run --release --quiet -- --config etc/ftpd.ini

# most tests spend their time waiting; TARGET=musl tests the program of 'make static'
RUST_TEST_THREADS ?= 6
test: clients
	RUST_TEST_THREADS=$(RUST_TEST_THREADS) cargo test \
	  $(if $(TARGET),--target $(if $(filter musl,$(TARGET)),$(STATIC),$(TARGET)))

check:
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo clippy --no-default-features -- -D warnings
	cargo clippy --test soak --test filesystems --test faults --test powerloss -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --document-private-items

# Measures the server beside its rivals, which are downloaded; run it as root. ONLY=, SERVERS= and
# ROUNDS= select what is measured, and LOGS=off measures all without their logs.
# BEFORE=path/to/an/older/ftpd is measured in the same run. tests/bench/rivals/main.rs has more.
# ONLY=growth measures costs against sizes, such as those of sessions, users and bans, and ONLY=shares
# how fair and exact shared speed limits are; ROWS= selects.
bench:
	cargo build --release
	test "$(ONLY)" = growth || test "$(ONLY)" = shares || \
	  FTPD=$(or $(FTPD),$(OUT)/release/ftpd) cargo bench --profile measure --bench rivals
	FTPD=$(or $(FTPD),$(abspath $(OUT)/release/ftpd)) \
	  cargo bench --profile measure --bench growth --bench shares

# Starts HAProxy and two servers on this machine, for a look, until Ctrl-C. Needs haproxy.
cluster:
	@cargo build --release
	@exec sh tests/cluster/run.sh $(OUT)/release/ftpd

# Runs many clients that do everything at random and checks them against a model, for ten minutes in
# each of nine setups. SECONDS=, CLIENTS=, SEED=, WAY= and FTPD= change this. Fifty clients behind HAProxy:
# FTPD_CROWD=1000 cargo test --test suite crowd::
soak:
	cargo test --release --test soak

# Mounts each file system that this kernel has, and compares what the server can promise on it with the
# manual. Run it as root. ONLY=ext4,btrfs selects, and FTPD_WRITE_DOCS=1 writes into the manual.
filesystems:
	@$(MAKE) --no-print-directory clients CLIENTS='xfsprogs btrfs-progs dosfstools bindfs quota'
	cargo test --test filesystems

# Makes each system call of the server fail in turn, and checks what the client is told and what is
# left on the disk. PATHS=, CALLS= and ERRORS= narrow this. Needs strace.
faults:
	@$(MAKE) --no-print-directory clients CLIENTS=strace
	cargo test --release --test faults

# Uploads in a virtual machine, and checks what is left when the power is lost at hundreds of moments,
# on ext4, XFS and btrfs. Run it as root. tests/powerloss/main.rs says how to narrow it. The kernel is
# Debian's; KERNEL= names a folder in which its package is unpacked.
KERNEL ?= $(abspath $(OUT))/powerloss/kernel
powerloss:
	@$(MAKE) --no-print-directory clients CLIENTS='qemu-system-x86 xfsprogs btrfs-progs musl-tools'
	@test -d $(KERNEL) || { mkdir -p $(OUT)/powerloss && cd $(OUT)/powerloss && apt-get download \
	  $$(apt-cache depends linux-image-amd64 | sed -n 's/ *Depends: \(linux-image\)/\1/p') && \
	  dpkg -x linux-image-*.deb $(KERNEL); }
	KERNEL=$(KERNEL) cargo test --release --target $(STATIC) --test powerloss

# Runs the threads that share something under many schedules: see tests/models/main.rs. SCHEDULES=,
# ONLY= and SEED= change what is tried.
MODELS = --manifest-path tests/models/Cargo.toml
models:
	cargo fmt --check --all $(MODELS)
	cargo clippy --locked --target-dir $(OUT)/models $(MODELS) -- -D warnings
	cargo run --locked --target-dir $(OUT)/models $(MODELS)

# Feeds random input to everything that parses bytes of others, for a minute for each target of
# tests/fuzz. SECONDS= and TARGET= change this. What libFuzzer learns is kept in target/fuzz. Needs a
# C++ compiler. RUSTC_BOOTSTRAP lets a stable Rust compiler count branches.
FUZZ = RUSTC_BOOTSTRAP=1 PATH="$$PATH:$(CURDIR)/target/tools/bin" cargo fuzz run --sanitizer none \
  --fuzz-dir tests/fuzz --target-dir $(OUT)/fuzz/build
fuzz:
	@command -v cargo-fuzz >/dev/null || test -x target/tools/bin/cargo-fuzz || \
	  cargo install --locked --root target/tools cargo-fuzz
	@for target in $(or $(TARGET),$(notdir $(wildcard tests/fuzz/seeds/*))); do \
	  mkdir -p $(OUT)/fuzz/$$target && \
	  $(FUZZ) $$target $(OUT)/fuzz/$$target tests/fuzz/seeds/$$target -- \
	    -max_total_time=$(or $(SECONDS),60) -print_final_stats=1 -artifact_prefix=$(OUT)/fuzz/$$target- || exit 1; \
	done

# Rewrites the generated parts of the manuals and the sample settings in etc/.
docs:
	FTPD_WRITE_DOCS=1 cargo test --test suite docs::

# Installs the server as a service. Build it first as yourself, and run this as root. Existing
# settings are kept. DESTDIR= and PREFIX= name other places, BINARY= another program, such as
# target/x86_64-unknown-linux-musl/release/ftpd.
PREFIX = /usr/local
SBINDIR = $(PREFIX)/sbin
MANDIR = $(PREFIX)/share/man
UNITDIR = $(PREFIX)/lib/systemd/system
BASHDIR = $(PREFIX)/share/bash-completion/completions
ZSHDIR = $(PREFIX)/share/zsh/vendor-completions
FISHDIR = $(PREFIX)/share/fish/vendor_completions.d
AUTHDIR = $(PREFIX)/share/ftpd/auth
SYSCONFDIR = /etc
BINARY = $(OUT)/release/ftpd
# yes: install the OpenRC service as well
OPENRC = $(if $(wildcard /sbin/openrc-run),yes,no)
# in the source tree, the files name the place where a package puts the program
PLACE = sed -i 's\#/usr/sbin/ftpd\#$(SBINDIR)/ftpd\#'
GIVE = install -D -m
install:
	@test -x $(BINARY) || cargo build --release
	$(GIVE) 755 $(BINARY) $(DESTDIR)$(SBINDIR)/ftpd
	$(GIVE) 644 etc/ftpd.8 $(DESTDIR)$(MANDIR)/man8/ftpd.8
	$(GIVE) 644 etc/ftpd.ini.5 $(DESTDIR)$(MANDIR)/man5/ftpd.ini.5
	$(GIVE) 644 etc/completions/ftpd.bash $(DESTDIR)$(BASHDIR)/ftpd
	$(GIVE) 644 etc/completions/_ftpd $(DESTDIR)$(ZSHDIR)/_ftpd
	$(GIVE) 644 etc/completions/ftpd.fish $(DESTDIR)$(FISHDIR)/ftpd.fish
	for name in ldap.py pam.py sqlite.py; do \
	  $(GIVE) 755 etc/auth/$$name $(DESTDIR)$(AUTHDIR)/$$name || exit 1; done
	$(GIVE) 644 etc/ftpd.service $(DESTDIR)$(UNITDIR)/ftpd.service
	$(PLACE) $(DESTDIR)$(UNITDIR)/ftpd.service
	$(GIVE) 644 etc/ftpd.socket $(DESTDIR)$(UNITDIR)/ftpd.socket
	test $(OPENRC) != yes || $(GIVE) 755 etc/ftpd.openrc $(DESTDIR)$(SYSCONFDIR)/init.d/ftpd
	test $(OPENRC) != yes || $(PLACE) $(DESTDIR)$(SYSCONFDIR)/init.d/ftpd
	test -e $(DESTDIR)$(SYSCONFDIR)/logrotate.d/ftpd || \
	  $(GIVE) 644 etc/ftpd.logrotate $(DESTDIR)$(SYSCONFDIR)/logrotate.d/ftpd
	test -e $(DESTDIR)$(SYSCONFDIR)/ftpd.ini || \
	  $(GIVE) 640 etc/ftpd.system.ini $(DESTDIR)$(SYSCONFDIR)/ftpd.ini
	@test -n "$(DESTDIR)" || $(MAKE) --no-print-directory installed

# The part of the installation that changes the running system: creates the server's user and the
# directory for homes, and reloads systemd.
installed:
	@getent group ftpd >/dev/null || groupadd --system ftpd
	@getent passwd ftpd >/dev/null || useradd --system --gid ftpd --no-create-home \
	  --home-dir /var/lib/ftpd --shell /usr/sbin/nologin ftpd
	@test -e /srv/ftp || install -d -m 755 /srv/ftp
	@test "$$(stat -c %U:%G:%a $(SYSCONFDIR)/ftpd.ini)" != root:root:640 || \
	  chgrp ftpd $(SYSCONFDIR)/ftpd.ini
	@echo 'next: add a user to $(SYSCONFDIR)/ftpd.ini (ftpd adduser), check it (ftpd check), then:'
	@if [ -d /run/systemd/system ]; then \
	  systemctl daemon-reload; echo '  systemctl enable --now ftpd'; \
	elif [ $(OPENRC) = yes ]; then echo '  rc-update add ftpd && rc-service ftpd start'; \
	else echo '  ftpd --config $(SYSCONFDIR)/ftpd.ini, as the user ftpd'; fi

# Leaves the settings, the logs, the server's user and all uploaded files.
uninstall:
	@test -n "$(DESTDIR)" || test ! -d /run/systemd/system || \
	  systemctl disable --now ftpd.service ftpd.socket || true
	@test -n "$(DESTDIR)" || test $(OPENRC) != yes || rc-service --ifexists ftpd stop || true
	rm -f $(DESTDIR)$(SBINDIR)/ftpd
	rm -f $(DESTDIR)$(MANDIR)/man8/ftpd.8 $(DESTDIR)$(MANDIR)/man5/ftpd.ini.5
	rm -f $(DESTDIR)$(BASHDIR)/ftpd $(DESTDIR)$(ZSHDIR)/_ftpd $(DESTDIR)$(FISHDIR)/ftpd.fish
	rm -f $(DESTDIR)$(AUTHDIR)/ldap.py $(DESTDIR)$(AUTHDIR)/pam.py $(DESTDIR)$(AUTHDIR)/sqlite.py
	rm -f $(DESTDIR)$(UNITDIR)/ftpd.service $(DESTDIR)$(UNITDIR)/ftpd.socket
	test $(OPENRC) != yes || rm -f $(DESTDIR)$(SYSCONFDIR)/init.d/ftpd
	@test -n "$(DESTDIR)" || test ! -d /run/systemd/system || systemctl daemon-reload

# Checks the dependencies against deny.toml: licences, sources, what must not be among them, and
# known vulnerabilities if their database can be fetched. etc/DEPENDENCIES.md says what each is for.
DENY = PATH="$$PATH:$(CURDIR)/target/tools/bin" cargo deny
audit:
	@command -v cargo-deny >/dev/null || test -x target/tools/bin/cargo-deny || \
	  cargo install --locked --root target/tools cargo-deny
	$(DENY) --all-features check licenses bans sources
	@for crate in fuzz models; do \
	  cargo metadata --locked --manifest-path tests/$$crate/Cargo.toml --format-version 1 >/dev/null || exit 1; done
	@if $(DENY) fetch db; then $(DENY) --all-features check advisories; \
	  else echo 'NOT CHECKED: advisories, because their database cannot be fetched'; fi

# Lists the materials of the program in target/ftpd.cdx.json (CycloneDX).
sbom:
	@command -v cargo-cyclonedx >/dev/null || test -x target/tools/bin/cargo-cyclonedx || \
	  cargo install --locked --root target/tools cargo-cyclonedx
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) PATH="$$PATH:$(CURDIR)/target/tools/bin" \
	  cargo cyclonedx --format json --target $$(rustc -vV | sed -n 's/^host: //p') --no-build-deps \
	  --override-filename ftpd.cdx
	@sed 's#file://$(CURDIR)#file:///ftpd#' ftpd.cdx.json >target/ftpd.cdx.json
	@rm ftpd.cdx.json
	@grep -c '"purl"' target/ftpd.cdx.json | sed 's/$$/ materials in target\/ftpd.cdx.json/'

# Builds the program of the last commit twice, in two folders and with two homes of cargo, and
# compares the two byte by byte.
TWICE = $(abspath $(OUT))/reproducible
reproducible:
	@rm -rf $(TWICE)
	@set -e; for place in one another/place; do \
	  mkdir -p $(TWICE)/$$place/cargo $(TWICE)/$$place/ftpd; \
	  git archive HEAD | tar -x -C $(TWICE)/$$place/ftpd; \
	  CARGO_HOME=$(TWICE)/$$place/cargo CARGO_TARGET_DIR=target \
	    $(MAKE) --no-print-directory -C $(TWICE)/$$place/ftpd release; \
	  done
	cd $(TWICE) && sha256sum one/ftpd/target/release/ftpd another/place/ftpd/target/release/ftpd
	cmp $(TWICE)/one/ftpd/target/release/ftpd $(TWICE)/another/place/ftpd/target/release/ftpd

# Builds the program as it is distributed: no path of this machine is in it, so that everybody
# who builds this version with the same compiler gets the same bytes.
HOME_OF_CARGO = $(or $(CARGO_HOME),$(HOME)/.cargo)
NO_PATHS = RUSTFLAGS="$(RUSTFLAGS) --remap-path-prefix=$(CURDIR)=/ftpd --remap-path-prefix=$(HOME_OF_CARGO)=/cargo"
release:
	$(NO_PATHS) cargo build --release --locked --bin ftpd

# Makes a package for Debian and its relatives in target/debian.
deb:
	@command -v cargo-deb >/dev/null || test -x target/tools/bin/cargo-deb || \
	  cargo install --locked --root target/tools cargo-deb
	$(NO_PATHS) PATH="$$PATH:$(CURDIR)/target/tools/bin" cargo deb

# Tests the package in a booted Debian. Run it as root; it needs debootstrap and systemd-container.
nspawn: deb
	sh tests/nspawn/run.sh

# Builds a program that needs no libraries, for any Linux on this kind of processor. Needs a C
# compiler for musl (Debian: musl-tools).
STATIC = $(shell uname -m)-unknown-linux-musl
static:
	@rustc --print sysroot | xargs -I{} test -d {}/lib/rustlib/$(STATIC) || rustup target add $(STATIC)
	$(NO_PATHS) cargo build --release --target $(STATIC) $(FEATURES)
	@ls -l $(OUT)/$(STATIC)/release/ftpd | awk '{ printf "%s: %.1f MB\n", $$NF, $$5 / 1e6 }'

# Runs the static program as the container does: as uid 65532 in a root with nothing else, with the
# variables of etc/compose.yaml. Run it as root; it needs no container runtime.
container: static
	cargo test --test suite container:: -- --include-ignored

# Unpacks the packages of other FTP servers, which exclude each other, for the tests of 'ftpd test'.
SERVERS = vsftpd libwrap0 pure-ftpd proftpd-core libhiredis0.14 libmemcached11 libmemcachedutil2 \
  libhashkit2 libpcre2-posix3 python3-pyftpdlib
servers:
	@mkdir -p $(OUT)/servers; cd $(OUT)/servers; for name in $(SERVERS); do \
	  ls $${name}_*.deb >/dev/null 2>&1 && continue; \
	  { apt-get download -q $$name || { apt-get update -q && apt-get download -q $$name; }; } \
	    </dev/null >/dev/null 2>&1 && dpkg -x $${name}_*.deb root || echo "not unpacked: $$name"; done

# Installs the programs that the tests use: FTP clients, a browser, the tools of a file system that
# can clone files, those that make networks, and what the programs of etc/auth ask (Debian starts slapd,
# mosquitto, haproxy, clamd and freshclam as services; the tests start their own). Without the right to
# install them, tests say what is missing.
CLIENTS = curl lftp wget python3 tnftp inetutils-ftp ncftp rclone openssl btrfs-progs \
  chromium logrotate faketime mandoc mosquitto strace nftables iproute2 slapd python3-ldap python3-pam db-util haproxy bindfs \
  clamav-daemon
clients: servers
	@missing=; for name in $(CLIENTS); do \
	  case $$name in ncftp) tool=ncftpput;; btrfs-progs) tool=mkfs.btrfs;; xfsprogs) tool=mkfs.xfs;; \
	  dosfstools) tool=mkfs.vfat;; quota) tool=setquota;; \
	  nftables) tool=nft;; clamav-daemon) tool=clamd;; iproute2) tool=ip;; db-util) tool=db_load;; \
	  python3-*) tool=true; dpkg -s $$name >/dev/null 2>&1 || tool=$$name;; \
	  qemu-system-x86) tool=qemu-system-x86_64;; musl-tools) tool=musl-gcc;; *) tool=$$name;; esac; \
	  command -v $$tool >/dev/null 2>&1 || missing="$$missing $$name"; done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	    apt-get update -q && DEBIAN_FRONTEND=noninteractive \
	      apt-get install -qy --no-install-recommends $$missing </dev/null || \
	      echo "could not install:$$missing"; \
	  else echo "not installed:$$missing"; fi; fi
