//! Large files over sockets with TLS and without FTP: what the TLS library allows.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::sync::Arc;
use std::thread;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::link::{Buffered, Link, copy};
use crate::place::{Key, Place};
use crate::raw::{pair, timed};
use crate::trust::Trust;
use crate::workload::{Figure, Workload};
use crate::workloads::GIB;

/// One stream of the big file over TLS, read and sent 256 KiB at a time.
pub fn down(place: &Place, _: &Workload) -> Figure {
    over_tls(
        place,
        |place, mut server| {
            let mut file = File::open(place.home().join("data/big")).expect("big");
            let mut chunk = vec![0; 256 << 10];
            server.conn.set_buffer_limit(None);
            loop {
                let read = file.read(&mut chunk).expect("read");
                if read == 0 {
                    break;
                }
                server.write_all(&chunk[..read]).expect("send");
            }
            server.conn.send_close_notify();
            server.flush().expect("end");
        },
        |mut client| assert_eq!(copy(&mut client), GIB),
    )
}

/// One stream over TLS into a file.
pub fn up(place: &Place, _: &Workload) -> Figure {
    let chunk = vec![b'x'; 256 << 10];
    let figure = over_tls(
        place,
        |place, mut server| {
            let mut file = File::create(place.home().join("data/up/raw")).expect("raw");
            let mut chunk = vec![0; 64 << 10];
            loop {
                match server.read(&mut chunk).expect("data") {
                    0 => break,
                    read => file.write_all(&chunk[..read]).expect("write"),
                }
            }
        },
        |mut client| {
            (0..GIB / chunk.len() as u64).for_each(|_| client.write_all(&chunk).expect("send"));
            client.end();
            // a close with tickets unread would take back what is on its way
            assert_eq!(copy(&mut client), 0);
        },
    );
    let _ = fs::remove_file(place.home().join("data/up/raw"));
    figure
}

type Secured = StreamOwned<ServerConnection, Buffered>;

fn over_tls(
    place: &Place,
    serve: impl Fn(&Place, Secured) + Sync,
    ask: impl Fn(Link),
) -> Figure {
    let own = place.pair(Key::Ecdsa).expect("certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![own.certificate.clone()], own.key.clone_key())
        .expect("certificate");
    let config = Arc::new(config);
    let (client, server) = pair();
    timed(GIB as f64 / 1e9, || {
        thread::scope(|scope| {
            scope.spawn(|| {
                let connection = ServerConnection::new(config).expect("TLS");
                serve(place, StreamOwned::new(connection, Buffered::of(server)));
            });
            ask(Link::secured(client, &Trust::of(&own.certificate).config(false)));
        });
    })
}
