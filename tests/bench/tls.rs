//! What TLS costs a login: the settings that each control connection gets of its own, beside
//! the handshake. `cargo bench --bench tls`.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::missing_panics_doc,
    reason = "a measurement prints, and ends when something is wrong"
)]

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ftpd::config::{CertificateSource, ClientCertificate, Resume, TlsSettings, TlsVersion};
use ftpd::tls::{Layer, Tls};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion, version,
};

/// Each figure is the median of this many runs.
const RUNS: usize = 7;

fn main() {
    let dir = std::env::temp_dir().join(format!("ftpd-bench-{}", std::process::id()));
    let settings = TlsSettings {
        once: false,
        certificate: CertificateSource::Auto,
        key: None,
        dir: dir.clone(),
        names: vec!["localhost".to_owned()],
        min_version: TlsVersion::V1_2,
        resume: Resume::Prefer,
        client_ca: None,
        client_cert: ClientCertificate::Optional,
        owner: None,
    };
    let with = Tls::start(&settings).expect("settings");
    let without = TlsSettings { resume: Resume::Off, ..settings };
    let without = Tls::start(&without).expect("settings");
    let certificate = CertificateDer::from_pem_file(dir.join("cert.pem")).expect("certificate");

    let own = median(|| per_call(10_000, || drop(with.session().expect("session"))));
    let plain = median(|| per_call(10_000, || drop(without.session().expect("session"))));
    println!("settings of a control connection      {own:>10.2?}");
    println!("the same without tickets and cache    {plain:>10.2?}");
    for version in [&version::TLS12, &version::TLS13] {
        let name = version.version;
        let full = median(|| handshakes(&with, &certificate, version, false));
        let resumed = median(|| handshakes(&with, &certificate, version, true));
        println!("{name:?}: full handshake, both ends     {full:>10.2?}");
        println!("{name:?}: resumed handshake, both ends  {resumed:>10.2?}");
    }
    let _ = std::fs::remove_dir_all(dir);
}

fn median(mut run: impl FnMut() -> Duration) -> Duration {
    let mut runs: Vec<_> = (0..RUNS).map(|_| run()).collect();
    runs.sort();
    runs.swap_remove(RUNS / 2)
}

fn per_call(calls: u32, mut call: impl FnMut()) -> Duration {
    let began = Instant::now();
    for _ in 0..calls {
        call();
    }
    began.elapsed() / calls
}

/// One after the other, each over a loopback connection of its own and with a cache of the
/// client's own. A resumed one is counted without the full one that goes before it.
fn handshakes(
    tls: &Tls,
    certificate: &CertificateDer<'static>,
    version: &'static SupportedProtocolVersion,
    resumed: bool,
) -> Duration {
    const COUNT: u32 = 100;
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let address = listener.local_addr().expect("address");
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("root");
    let roots = Arc::new(roots);
    let client = thread::spawn(move || {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut took = Duration::ZERO;
        for _ in 0..COUNT {
            let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_protocol_versions(&[version])
                .expect("version")
                .with_root_certificates(Arc::clone(&roots))
                .with_no_client_auth();
            let config = Arc::new(config);
            for again in [false, true] {
                let mut stream = TcpStream::connect(address).expect("connect");
                stream.set_nodelay(true).expect("nodelay");
                let began = Instant::now();
                let name = ServerName::try_from("localhost").expect("name");
                let mut connection =
                    ClientConnection::new(Arc::clone(&config), name).expect("client");
                while connection.is_handshaking() {
                    connection.complete_io(&mut stream).expect("handshake");
                }
                if again == resumed {
                    took += began.elapsed();
                }
                // the end, and before it the tickets
                let _ = connection.complete_io(&mut stream);
            }
        }
        took / COUNT
    });
    for _ in 0..COUNT {
        let own = tls.session().expect("session");
        for again in [false, true] {
            let (stream, _) = listener.accept().expect("accept");
            stream.set_nodelay(true).expect("nodelay");
            let mut layer = Layer::control(&own).expect("layer");
            let shaken = layer.shake(&stream).expect("handshake");
            assert!(shaken.is_none() && layer.is_resumed() == again);
            layer.close();
            let _ = layer.flush(&stream);
        }
    }
    client.join().expect("client")
}
