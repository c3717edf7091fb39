//! Real clients over TLS: trees there and back, compared by hash. Every client checks the
//! server's certificate, against an authority that is made here.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::clients::{Outcome, Tool, same, tree};
use crate::parts::noise;
use crate::server::{Server, Setup, eventually, free_port};

/// The versions of TLS that the server supports.
const VERSIONS: [&str; 2] = ["1.2", "1.3"];

/// Settings that allow neither a login nor a transfer in clear text.
const STRICT: &str = "tls_required = on";

/// Settings that require TLS, and that each data connection resumes.
const RESUMING: &str = "tls_required = on\ntls_resume = require";

/// Settings that require TLS, and with which no session can be resumed.
const FREE: &str = "tls_required = on\ntls_resume = off";

/// PEM of an authority, of a certificate that it has signed, and of that one's key.
fn papers() -> &'static [String; 3] {
    static PAPERS: OnceLock<[String; 3]> = OnceLock::new();
    PAPERS.get_or_init(|| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "ftpd test authority");
        let key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "localhost");
        let key = KeyPair::generate().unwrap();
        let signed = params.signed_by(&key, &issuer).unwrap();
        [authority.pem(), signed.pem(), key.serialize_pem()]
    })
}

/// A server with a certificate that the client can check: the authority's is `ca.pem` in the
/// client's home.
fn setup(tool: &Tool, lines: &str) -> Setup {
    let [ca, certificate, key] = papers();
    tool.put("ca.pem", ca);
    let certificate = tool.put("tls/cert.pem", certificate);
    let key = tool.put("tls/key.pem", key);
    let files = format!("tls_cert = {}\ntls_key = {}", certificate.display(), key.display());
    Server::setup().server(&files).server(lines)
}

fn secure(tool: &Tool, lines: &str) -> Server {
    setup(tool, lines).start()
}

/// A server like that of [`secure`], with a second port where TLS begins at once.
fn implicit(tool: &Tool, lines: &str) -> (Server, u16) {
    let port = free_port();
    let server = secure(tool, &format!("{lines}\ntls_implicit_port = {port}"));
    (server, port)
}

/// 20 MB, made once for all tests.
fn large() -> &'static [u8] {
    static LARGE: OnceLock<Vec<u8>> = OnceLock::new();
    LARGE.get_or_init(|| noise(20, 20_000_000))
}

/// Files of sizes where records and buffers end, some in folders.
fn grow(root: &Path) {
    let put = |path: &str, content: &[u8]| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    put("empty", b"");
    put("one", b"1");
    put("with space.txt", b"a line\r\nanother\n");
    for size in [16_383, 16_384, 16_385, 65_536, 65_537, 262_145] {
        put(&format!("sizes/{size}"), &noise(size as u64, size));
    }
    for at in 0..12 {
        put(
            &format!("many/gr\u{fc}n {at}"),
            &noise(at, 1 + usize::try_from(at).unwrap() * 700),
        );
    }
    put("large", large());
}

mod curl {
    use super::*;

    /// The options of every call: TLS is required, with this version only.
    fn curl(tool: &Tool, version: &str, line: &[&str]) -> Outcome {
        let tls = ["-sS", "--ssl-reqd", "--cacert", "ca.pem", "--tls-max", version];
        tool.run([&tls[..], &[&format!("--tlsv{version}")], line].concat())
    }

    fn url(server: &Server, path: &str) -> String {
        format!("ftp://bob:secret@localhost:{}/{path}", server.address().port())
    }

    /// Uploads and downloads a tree over as many connections as `parallel` allows.
    fn round_trip(tool: &Tool, server: &Server, base: &str, version: &str, options: &[&str]) {
        let from = tree(&tool.path("up"));
        let _ = fs::remove_dir_all(tool.path("down"));
        let _ = fs::remove_dir_all(server.home().join("t"));
        let mut up = options.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut down = up.clone();
        up.push("--ftp-create-dirs".into());
        down.push("--create-dirs".into());
        for (path, file) in &from {
            if file.is_none() {
                continue;
            }
            let path = path.to_str().unwrap();
            let url =
                format!("{base}/t/{}", path.replace(' ', "%20").replace('\u{fc}', "%C3%BC"));
            up.extend(["-T".into(), format!("up/{path}"), url.clone()]);
            down.extend(["-o".into(), format!("down/{path}"), url]);
        }
        let words = |line: &[String]| {
            let words: Vec<_> = line.iter().map(String::as_str).collect();
            curl(tool, version, &words).ok();
        };
        words(&up);
        same("up", &from, &tree(&server.home().join("t")));
        words(&down);
        same("down", &from, &tree(&tool.path("down")));
    }

    #[test]
    fn curl_carries_a_tree_both_ways_and_resumes_in_tls_1_2() {
        let Some(tool) = Tool::find("curl") else { return };
        grow(&tool.path("up"));
        for lines in [STRICT, RESUMING] {
            let server = secure(&tool, lines);
            round_trip(&tool, &server, &url(&server, ""), "1.2", &[]);
            server.wait_for_log("TLS 1.2");
        }
    }

    #[test]
    fn curl_carries_a_tree_both_ways_in_tls_1_3() {
        let Some(tool) = Tool::find("curl") else { return };
        grow(&tool.path("up"));
        let server = secure(&tool, FREE);
        round_trip(&tool, &server, &url(&server, ""), "1.3", &[]);
        server.wait_for_log("TLS 1.3");
    }

    #[test]
    fn curl_carries_a_tree_both_ways_in_tls_1_3_with_the_usual_settings() {
        let Some(tool) = Tool::find("curl") else { return };
        grow(&tool.path("up"));
        let server = secure(&tool, STRICT);
        round_trip(&tool, &server, &url(&server, ""), "1.3", &[]);
    }

    #[test]
    fn curl_resumes_for_every_file_that_it_gets_in_tls_1_3() {
        let Some(tool) = Tool::find("curl") else { return };
        let server = secure(&tool, RESUMING);
        grow(&server.home().join("t"));
        let mut line = vec!["--create-dirs".to_owned()];
        for size in [16_383, 16_384, 16_385, 65_536, 65_537, 262_145] {
            let to = format!("down/{size}");
            line.extend(["-o".into(), to, url(&server, &format!("t/sizes/{size}"))]);
        }
        let words: Vec<_> = line.iter().map(String::as_str).collect();
        curl(&tool, "1.3", &words).ok();
        same("sizes", &tree(&server.home().join("t/sizes")), &tree(&tool.path("down")));
    }

    /// All of its connections share one cache, where each session replaces the one before.
    fn parallel(lines: &str) {
        let Some(tool) = Tool::find("curl") else { return };
        grow(&tool.path("up"));
        let server = secure(&tool, lines);
        for version in VERSIONS {
            let options = ["-Z", "--parallel-max", "6"];
            round_trip(&tool, &server, &url(&server, ""), version, &options);
        }
    }

    #[test]
    fn curl_carries_a_tree_over_parallel_connections() {
        parallel(FREE);
    }

    #[test]
    fn curl_carries_a_tree_over_parallel_connections_with_the_usual_settings() {
        parallel(STRICT);
    }

    /// curl 7.88 forgets TLS on data connections that it accepts.
    #[test]
    fn curl_sends_no_file_in_clear_text_actively() {
        let Some(tool) = Tool::find("curl") else { return };
        tool.put("a", "active");
        let server = secure(&tool, STRICT);
        for version in VERSIONS {
            let name = format!("a-{version}");
            let line = ["-P", "127.0.0.1", "-T", "a", &url(&server, &name)];
            let said = curl(&tool, version, &line);
            if server.has(&name) {
                said.ok();
                assert_eq!(server.get(&name), b"active");
            } else {
                said.failed();
                server.wait_for_log("TLS handshake of the data connection");
            }
        }
    }

    #[test]
    fn curl_carries_a_tree_where_tls_begins_at_once() {
        let Some(tool) = Tool::find("curl") else { return };
        grow(&tool.path("up"));
        for (lines, version) in [(RESUMING, "1.2"), (FREE, "1.2"), (FREE, "1.3")] {
            let (server, port) = implicit(&tool, lines);
            let base = format!("ftps://bob:secret@localhost:{port}");
            round_trip(&tool, &server, &base, version, &[]);
        }
    }

    #[test]
    fn curl_resumes_up_and_down_over_tls() {
        let Some(tool) = Tool::find("curl") else { return };
        let part = &large()[..7_654_321];
        for version in VERSIONS {
            let server = secure(&tool, RESUMING);
            let url = url(&server, "large");
            server.put("large", part);
            tool.put("large", large());
            let said = curl(&tool, version, &["-v", "-C", "-", "-T", "large", &url]).ok();
            assert!(said.contains("APPE large"), "{said}");
            assert!(server.get("large") == large());
            tool.put("down", part);
            let said = curl(&tool, version, &["-v", "-C", "-", "-o", "down", &url]).ok();
            assert!(said.contains("REST 7654321"), "{said}");
            assert!(tool.get("down") == large());
            let some = curl(&tool, version, &["-r", "16380-16390", "-o", "some", &url]);
            some.ok();
            assert_eq!(tool.get("some"), &large()[16_380..=16_390]);
        }
    }

    #[test]
    fn curl_lists_converts_and_appends_over_tls() {
        let Some(tool) = Tool::find("curl") else { return };
        for version in VERSIONS {
            let server = secure(&tool, STRICT);
            for at in 0..300 {
                server.put(&format!("dir/{at}"), "");
            }
            let said = curl(&tool, version, &["-l", &url(&server, "dir/")]).ok();
            assert_eq!(said.lines().count(), 300, "{said}");
            let said = curl(&tool, version, &[&url(&server, "dir/")]).ok();
            assert_eq!(said.lines().count(), 300, "{said}");
            tool.put("lines", "line\n".repeat(50_000));
            let to = url(&server, "lines");
            curl(&tool, version, &["--use-ascii", "-T", "lines", &to]).ok();
            assert!(server.get("lines") == tool.get("lines"));
            tool.put("more", "more\n");
            curl(&tool, version, &["-a", "-T", "more", &to]).ok();
            assert!(server.get("lines").ends_with(b"line\nmore\n"));
            assert_eq!(server.get("lines").len(), 250_005);
        }
    }

    #[test]
    fn curl_stays_protected_when_it_asks_for_a_clear_control_connection() {
        let Some(tool) = Tool::find("curl") else { return };
        tool.put("a", "protected");
        for mode in ["passive", "active"] {
            let server = secure(&tool, STRICT);
            let line = ["-v", "--ftp-ssl-ccc", "--ftp-ssl-ccc-mode", mode];
            let to = url(&server, "a");
            let said = curl(&tool, "1.3", &[&line[..], &["-T", "a", &to]].concat()).ok();
            assert!(said.contains("CCC") && said.contains("534"), "{said}");
            assert_eq!(server.get("a"), b"protected");
            curl(&tool, "1.2", &[&line[..], &["-o", "down", &to]].concat()).ok();
            assert_eq!(tool.get("down"), b"protected");
        }
    }

    #[test]
    fn curl_protects_only_the_control_connection_where_that_is_enough() {
        let Some(tool) = Tool::find("curl") else { return };
        tool.put("a", "half");
        let server = secure(&tool, "tls_required = control");
        // it asks for PROT C with this
        let line = ["-sS", "--ftp-ssl-control", "--cacert", "ca.pem", "-T", "a"];
        let to = url(&server, "a");
        tool.run([&line[..], &[&to]].concat()).ok();
        assert_eq!(server.get("a"), b"half");
        let strict = secure(&tool, STRICT);
        tool.run([&line[..], &[&url(&strict, "a")]].concat()).failed();
        assert!(!strict.has("a"));
    }

    #[test]
    fn curl_without_tls_is_refused_and_says_why() {
        let Some(tool) = Tool::find("curl") else { return };
        let server = secure(&tool, STRICT);
        server.put("a", "x");
        // 67: login denied
        let said = tool.run(["-sSv", &url(&server, "a")]).code(67);
        assert!(said.contains("< 5"), "{said}");
        assert!(!said.contains("PASS"), "the password went out in clear text\n{said}");
    }

    #[test]
    fn curl_does_not_trust_an_authority_that_it_does_not_know() {
        let Some(tool) = Tool::find("curl") else { return };
        let server = secure(&tool, STRICT);
        let key = KeyPair::generate().unwrap();
        let other = CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
        tool.put("other.pem", other.pem());
        // 60: the certificate cannot be checked
        tool.run(["-sS", "--ssl-reqd", "--cacert", "other.pem", &url(&server, "")]).code(60);
        // and the server goes on
        curl(&tool, "1.3", &[&url(&server, "")]).ok();
    }

    #[test]
    fn curl_with_a_version_that_is_too_old_is_refused() {
        let Some(tool) = Tool::find("curl") else { return };
        let server = secure(&tool, "tls_min_version = 1.3");
        // 35: no handshake
        curl(&tool, "1.2", &[&url(&server, "")]).code(35);
        curl(&tool, "1.3", &[&url(&server, "")]).ok();
    }
}

mod lftp {
    use super::*;

    /// Runs lftp commands with every check on, and gives up at the first refusal.
    fn lftp(tool: &Tool, to: &str, version: &str, commands: &str) -> Outcome {
        let script = format!(
            "set cmd:fail-exit on; set net:max-retries 2; set net:timeout 20; \
             set xfer:clobber on; set ssl:ca-file ca.pem; set ssl:verify-certificate on; \
             set ssl:check-hostname on; set ftp:ssl-force on; set ftp:ssl-protect-data on; \
             set ftp:ssl-protect-list on; set ssl:priority NORMAL:-VERS-ALL:+VERS-TLS{version}; \
             open -u bob,secret {to}; {commands}"
        );
        tool.run(["--norc", "-c", &script])
    }

    fn explicit(server: &Server) -> String {
        format!("ftp://localhost:{}", server.address().port())
    }

    fn mirrors(tool: &Tool, server: &Server, to: &str, version: &str, setting: &str) {
        for dir in [server.home().join("t"), tool.path("down")] {
            let _ = fs::remove_dir_all(dir);
        }
        let wanted = tree(&tool.path("up"));
        let commands = format!(
            "{setting}; mirror -R --parallel=4 up t; mirror --parallel=4 t down; \
             mirror -R --delete up t"
        );
        lftp(tool, to, version, &commands).ok();
        same(setting, &wanted, &tree(&server.home().join("t")));
        same(setting, &wanted, &tree(&tool.path("down")));
    }

    #[test]
    fn lftp_mirrors_both_ways_over_parallel_connections_and_each_version_of_tls() {
        let Some(tool) = Tool::find("lftp") else { return };
        grow(&tool.path("up"));
        for lines in [STRICT, RESUMING] {
            let server = secure(&tool, lines);
            for version in VERSIONS {
                mirrors(&tool, &server, &explicit(&server), version, "");
            }
        }
    }

    #[test]
    fn lftp_mirrors_with_each_of_its_settings_over_tls() {
        let Some(tool) = Tool::find("lftp") else { return };
        grow(&tool.path("up"));
        fs::remove_file(tool.path("up/large")).unwrap();
        let server = secure(&tool, RESUMING);
        for setting in [
            "set ftp:passive-mode off",
            "set ftp:sync-mode off",
            "set ftp:use-mlsd on",
            "set ftp:use-feat off",
            "set ftp:prefer-epsv on",
            "set ftp:ssl-auth TLS",
            "set ftp:ssl-auth SSL",
            "set ftp:ssl-auth TLS-P; set ftp:ssl-auth TLS",
            "set ftp:ssl-use-ccc on",
            "set ftp:use-stat-for-list on",
        ] {
            mirrors(&tool, &server, &explicit(&server), "1.3", setting);
        }
    }

    #[test]
    fn lftp_mirrors_where_tls_begins_at_once() {
        let Some(tool) = Tool::find("lftp") else { return };
        grow(&tool.path("up"));
        let (server, port) = implicit(&tool, RESUMING);
        for version in VERSIONS {
            mirrors(&tool, &server, &format!("ftps://localhost:{port}"), version, "");
        }
    }

    #[test]
    fn lftp_resumes_and_fetches_in_pieces_over_tls() {
        let Some(tool) = Tool::find("lftp") else { return };
        tool.put("large", large());
        let part = &large()[..3_333_333];
        for version in VERSIONS {
            let server = secure(&tool, RESUMING);
            server.put("large", part);
            tool.put("down", part);
            let commands = "put -c large; get -c large -o down; pget -n 4 large -o pieces";
            lftp(&tool, &explicit(&server), version, commands).ok();
            assert!(server.get("large") == large());
            assert!(tool.get("down") == large());
            assert!(tool.get("pieces") == large());
        }
    }

    #[test]
    fn lftp_trusts_no_other_authority_and_no_other_name() {
        let Some(tool) = Tool::find("lftp") else { return };
        let server = secure(&tool, STRICT);
        lftp(&tool, &explicit(&server), "1.3", "set ssl:ca-file ''; ls").failed();
        lftp(&tool, &explicit(&server), "1.3", "ls").ok();
    }
}

mod python {
    use super::*;

    /// Goes through the transfers of ftplib, over a tree: `up` to `t`, and back to `down`.
    const SCRIPT: &str = r"
import ftplib, os, ssl, sys

port, version, how, prot = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]

class Resuming(ftplib.FTP_TLS):
    def ntransfercmd(self, cmd, rest=None):
        conn, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        if self._prot_p:
            conn = self.context.wrap_socket(
                conn, server_hostname=self.host, session=self.sock.session)
            assert conn.session_reused, 'the data connection did not resume'
        return conn, size

class Implicit(ftplib.FTP_TLS):
    @property
    def sock(self):
        return self._sock
    @sock.setter
    def sock(self, value):
        if value is not None and not isinstance(value, ssl.SSLSocket):
            value = self.context.wrap_socket(value, server_hostname=self.host)
        self._sock = value

context = ssl.create_default_context(cafile='ca.pem')
context.minimum_version = context.maximum_version = {
    '1.2': ssl.TLSVersion.TLSv1_2, '1.3': ssl.TLSVersion.TLSv1_3}[version]
kind = {'plain': ftplib.FTP_TLS, 'resuming': Resuming, 'implicit': Implicit}[how]
ftp = kind(context=context, encoding='utf-8', timeout=30)
ftp.connect('localhost', port)
ftp.login('bob', 'secret')
ftp.prot_p()
if prot == 'c':
    ftp.prot_c()
ftp.mkd('t')
wanted = []
for root, dirs, names in os.walk('up'):
    to = 't' + root[2:]
    for name in dirs:
        ftp.mkd(to + '/' + name)
        os.makedirs('down' + to[1:] + '/' + name, exist_ok=True)
    for name in names:
        wanted.append(to + '/' + name)
        with open(root + '/' + name, 'rb') as file:
            assert ftp.storbinary('STOR ' + to + '/' + name, file).startswith('226')
for path in wanted:
    with open('down' + path[1:], 'wb') as file:
        assert ftp.retrbinary('RETR ' + path, file.write).startswith('226')
assert sorted(ftp.nlst('t/many')) == sorted('t/many/' + name for name in os.listdir('up/many')) \
    or sorted(ftp.nlst('t/many')) == sorted(os.listdir('up/many'))
assert {name for name, _ in ftp.mlsd('t/sizes')} >= set(os.listdir('up/sizes'))
lines = []
ftp.dir('t/many', lines.append)
assert len(lines) == 12, lines
with open('lines', 'wb') as file:
    file.write(b'line\n' * 30000)
with open('lines', 'rb') as file:
    ftp.storlines('STOR lines', file)
lines = []
ftp.retrlines('RETR lines', lines.append)
assert lines == ['line'] * 30000, len(lines)
ftp.retrbinary('RETR t/large', (rest := []).append, rest=19999990)
assert sum(map(len, rest)) == 10
conn = ftp.transfercmd('RETR t/large')
conn.recv(1000)
conn.close()
print('cut short:', ftp.getmultiline()[:3])
assert ftp.voidcmd('NOOP').startswith('200')
try:
    ftp.voidcmd('CCC')
    assert False, 'CCC was taken'
except ftplib.error_perm as why:
    assert str(why).startswith('534'), why
ftp.quit()
print('all of it')
";

    fn goes_through(tool: &Tool, server: &Server, port: u16, words: [&str; 3]) {
        let _ = fs::remove_dir_all(tool.path("down"));
        fs::create_dir(tool.path("down")).unwrap();
        tool.put("script.py", SCRIPT);
        let [version, how, prot] = words;
        let said = tool.run(["script.py", &port.to_string(), version, how, prot]).ok();
        assert!(said.contains("all of it"), "{said}");
        let wanted = tree(&tool.path("up"));
        same("up", &wanted, &tree(&server.home().join("t")));
        same("down", &wanted, &tree(&tool.path("down")));
    }

    #[test]
    fn ftplib_which_cannot_resume_goes_through_its_transfers() {
        let Some(tool) = Tool::find("python3") else { return };
        grow(&tool.path("up"));
        for version in VERSIONS {
            let server = secure(&tool, STRICT);
            goes_through(&tool, &server, server.address().port(), [version, "plain", "p"]);
        }
    }

    #[test]
    fn ftplib_with_clear_data_goes_through_its_transfers() {
        let Some(tool) = Tool::find("python3") else { return };
        grow(&tool.path("up"));
        let server = secure(&tool, "tls_required = control\ntls_resume = require");
        goes_through(&tool, &server, server.address().port(), ["1.3", "plain", "c"]);
    }

    #[test]
    fn ftplib_that_was_taught_to_resume_uses_one_session_for_every_transfer() {
        let Some(tool) = Tool::find("python3") else { return };
        grow(&tool.path("up"));
        for version in VERSIONS {
            let server = secure(&tool, RESUMING);
            goes_through(&tool, &server, server.address().port(), [version, "resuming", "p"]);
        }
    }

    #[test]
    fn ftplib_goes_through_its_transfers_where_tls_begins_at_once() {
        let Some(tool) = Tool::find("python3") else { return };
        grow(&tool.path("up"));
        let (server, port) = implicit(&tool, STRICT);
        goes_through(&tool, &server, port, ["1.3", "implicit", "p"]);
    }

    #[test]
    fn a_record_full_of_commands_is_answered_while_a_passive_port_waits() {
        let Some(tool) = Tool::find("python3") else { return };
        let server = secure(&tool, STRICT);
        let script = r"
import ftplib, ssl, sys
ftp = ftplib.FTP_TLS(context=ssl.create_default_context(cafile='ca.pem'), timeout=30)
ftp.connect('localhost', int(sys.argv[1]))
ftp.login('bob', 'secret')
for passive in False, True:
    if passive:
        ftp.makepasv()
    ftp.sock.sendall(b'NOOP\r\n' * 2000)
    for _ in range(2000):
        assert ftp.getresp().startswith('200')
ftp.quit()
";
        tool.put("script.py", script);
        tool.run(["script.py", &server.address().port().to_string()]).ok();
    }

    #[test]
    fn ftplib_that_does_not_resume_where_it_must_is_told_so_and_goes_on() {
        let Some(tool) = Tool::find("python3") else { return };
        let server = secure(&tool, RESUMING);
        server.put("a", "x");
        let script = r"
import ftplib, ssl, sys
ftp = ftplib.FTP_TLS(context=ssl.create_default_context(cafile='ca.pem'), timeout=30)
ftp.connect('localhost', int(sys.argv[1]))
ftp.login('bob', 'secret')
ftp.prot_p()
got = []
try:
    conn = ftp.transfercmd('RETR a')
    got.append(conn.recv(100))
except (OSError, ftplib.Error):
    pass
try:
    print('says', ftp.voidresp())
except ftplib.Error as why:
    print('says', why)
assert b''.join(got) == b'', got
print(ftp.voidcmd('NOOP'))
";
        tool.put("script.py", script);
        let said = tool.run(["script.py", &server.address().port().to_string()]).ok();
        assert!(said.contains("says 522") && said.contains("\n200"), "{said}");
    }
}

mod rclone {
    use super::*;

    fn rclone(tool: &Tool, port: u16, options: &str, line: &[&str]) -> Outcome {
        let obscured = tool.run(["obscure", "secret"]).ok();
        let config = format!(
            "[s]\ntype = ftp\nhost = localhost\nport = {port}\nuser = bob\npass = {}\n{options}\n",
            obscured.lines().last().unwrap()
        );
        tool.put("rclone.conf", config);
        let trust = ["SSL_CERT_FILE=ca.pem", "SSL_CERT_DIR=none", "rclone"];
        let bounds = ["--config", "rclone.conf", "--retries", "1", "--low-level-retries", "1"];
        tool.run_as("env", [&trust, line, &bounds].concat())
    }

    fn copies(tool: &Tool, server: &Server, port: u16, options: &str) {
        let wanted = tree(&tool.path("up"));
        for dir in [server.home().join("t"), tool.path("down")] {
            let _ = fs::remove_dir_all(dir);
        }
        rclone(tool, port, options, &["copy", "up", "s:t"]).ok();
        same(options, &wanted, &tree(&server.home().join("t")));
        rclone(tool, port, options, &["copy", "s:t", "down"]).ok();
        same(options, &wanted, &tree(&tool.path("down")));
        rclone(tool, port, options, &["check", "--download", "up", "s:t"]).ok();
    }

    /// All of its connections share one cache, where each session replaces the one before.
    fn copies_explicitly(lines: &str, options: &[&str]) {
        let Some(tool) = Tool::find("rclone") else { return };
        grow(&tool.path("up"));
        let server = secure(&tool, lines);
        for options in options {
            let options = format!("explicit_tls = true\n{options}");
            copies(&tool, &server, server.address().port(), &options);
        }
    }

    #[test]
    fn rclone_copies_over_parallel_connections() {
        copies_explicitly(FREE, &["", "disable_tls13 = true"]);
    }

    #[test]
    fn rclone_without_a_cache_copies_over_parallel_connections_with_the_usual_settings() {
        copies_explicitly(STRICT, &["tls_cache_size = 0"]);
    }

    #[test]
    fn rclone_copies_over_parallel_connections_with_the_usual_settings() {
        copies_explicitly(STRICT, &["", "disable_tls13 = true"]);
    }

    #[test]
    fn rclone_copies_where_tls_begins_at_once() {
        let Some(tool) = Tool::find("rclone") else { return };
        grow(&tool.path("up"));
        let (server, port) = implicit(&tool, FREE);
        copies(&tool, &server, port, "tls = true");
    }

    #[test]
    fn rclone_trusts_no_other_authority() {
        let Some(tool) = Tool::find("rclone") else { return };
        let server = secure(&tool, STRICT);
        let port = server.address().port();
        rclone(&tool, port, "explicit_tls = true", &["lsd", "s:"]).ok();
        fs::remove_file(tool.path("ca.pem")).unwrap();
        rclone(&tool, port, "explicit_tls = true", &["lsd", "s:"]).failed();
    }
}

mod openssl {
    use super::*;

    /// Types these lines into `openssl s_client`, which goes on until the server closes.
    fn s_client(tool: &Tool, options: &str, lines: &str) -> Outcome {
        tool.put("lines", lines);
        let client = format!(
            "exec openssl s_client {options} -CAfile ca.pem -verify_return_error -quiet -crlf \
             <lines"
        );
        tool.run_as("sh", ["-c", &client])
    }

    #[test]
    fn s_client_logs_in_and_quits_over_each_version_of_tls() {
        let Some(tool) = Tool::find("openssl") else { return };
        let server = secure(&tool, STRICT);
        for version in ["-tls1_2", "-tls1_3"] {
            let to = format!(
                "-starttls ftp -connect localhost:{} -verify_hostname localhost {version}",
                server.address().port()
            );
            let lines =
                "FEAT\nUSER bob\nPASS secret\nPBSZ 0\nPROT P\nPWD\nAUTH TLS\nCCC\nQUIT\n";
            let said = s_client(&tool, &to, lines).ok();
            let codes: Vec<_> = said
                .lines()
                .filter_map(|line| line.get(..4)?.trim_end().parse::<u16>().ok())
                .collect();
            // the greeting, the last line of FEAT, and one for each of the others
            let wanted = [220, 211, 331, 230, 200, 200, 257, 503, 534, 221];
            assert_eq!(codes, wanted, "{said}");
        }
    }

    #[test]
    fn s_client_is_greeted_inside_where_tls_begins_at_once() {
        let Some(tool) = Tool::find("openssl") else { return };
        let (_server, port) = implicit(&tool, STRICT);
        let said = s_client(&tool, &format!("-connect localhost:{port}"), "NOOP\nQUIT\n").ok();
        assert!(said.contains("220 ") && said.contains("\n221 "), "{said}");
    }

    #[test]
    fn s_client_with_an_old_version_is_refused() {
        let Some(tool) = Tool::find("openssl") else { return };
        let server = secure(&tool, STRICT);
        let port = server.address().port();
        for version in ["-tls1 -cipher ALL:@SECLEVEL=0", "-tls1_1 -cipher ALL:@SECLEVEL=0"] {
            let to = format!("-starttls ftp -connect localhost:{port} {version}");
            s_client(&tool, &to, "QUIT\n").failed();
        }
        server.wait_for_log("TLS handshake failed");
    }
}

/// Built on `GnuTLS`: it takes the session right behind the handshake of the control
/// connection, and never again.
mod wget {
    use super::*;

    const COMMON: [&str; 5] =
        ["-nv", "--tries=1", "--ca-certificate=ca.pem", "--ftps-resume-ssl", "-O"];

    /// Downloads with wget. After a handshake of TLS 1.3, its library waits 60 ms for a ticket. Without
    /// one, wget says so, and fails because it has no session to resume. More tries of its own would
    /// use the same control connection. Whether a busy machine sends the ticket in time is not for
    /// this test to check.
    fn download(tool: &Tool, line: &[&str]) {
        eventually("wget receives a ticket in time", || {
            let outcome = tool.run([&COMMON[..], line].concat());
            let had_none = outcome.failed_with("Could not save SSL session data");
            if !had_none {
                outcome.ok();
            }
            !had_none
        });
        assert!(tool.get("down") == large());
    }

    #[test]
    fn wget_resumes_for_every_file_in_both_versions() {
        let Some(tool) = Tool::find("wget") else { return };
        for version in ["TLSv1_2", "TLSv1_3"] {
            let version = format!("--secure-protocol={version}");
            let (server, port) = implicit(&tool, RESUMING);
            server.put("large", large());
            let explicit = server.address().port();
            for (option, port) in [("--no-passive-ftp", port), ("--passive-ftp", port)] {
                let url = format!("ftps://bob:secret@localhost:{port}/large");
                download(&tool, &["down", &version, option, "--ftps-implicit", &url]);
            }
            let url = format!("ftps://bob:secret@localhost:{explicit}/large");
            download(&tool, &["down", &version, &url]);
            server.wait_for_log("TLS data connections resume the session");
        }
    }
}
