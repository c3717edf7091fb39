# Two commands matter: 'make run' and 'make test'. Both do all set-up themselves.

.PHONY: run test check docs bench clients

run:
	@mkdir -p target/home
	@chmod o-r etc/ftpd.ini
	@cargo build --release
	@echo 'address:  ftp://127.0.0.1:2121   user: demo   password: demo   files: target/home'
	@echo 'try:      curl -T README.md ftp://demo:demo@127.0.0.1:2121/ && curl ftp://demo:demo@127.0.0.1:2121/'
	@echo 'stop:     Ctrl-C'
	@exec cargo run --release --quiet -- --config etc/ftpd.ini

test: clients
	cargo test

check:
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --document-private-items

# The server beside its rivals, which are fetched; as root. ONLY=, SERVERS= and ROUNDS= narrow it.
bench:
	cargo bench --bench rivals

# Prints the generated parts of etc/ and README.md anew.
docs:
	FTPD_WRITE_DOCS=1 cargo test --test suite docs::

# The FTP clients that the tests drive, a browser, and the tools of a file system whose files can
# be cloned. Without the right to install, a test names what it has to do without.
CLIENTS = curl lftp wget python3 tnftp inetutils-ftp ncftp rclone openssl btrfs-progs chromium
clients:
	@missing=; for name in $(CLIENTS); do \
	  case $$name in ncftp) tool=ncftpput;; btrfs-progs) tool=mkfs.btrfs;; *) tool=$$name;; esac; \
	  command -v $$tool >/dev/null 2>&1 || missing="$$missing $$name"; done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	    apt-get update -q && DEBIAN_FRONTEND=noninteractive \
	      apt-get install -qy --no-install-recommends $$missing </dev/null || \
	      echo "could not install:$$missing"; \
	  else echo "not installed:$$missing"; fi; fi
