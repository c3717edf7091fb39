//! How exactly limits on speed are kept, up and down.

use std::time::Instant;

use crate::client::Client;
use crate::link::Reader;
use crate::report::Report;
use crate::server::Server;

/// Users with limits of their own, in bytes for each second.
pub const RATES: [(&str, u64); 2] = [("slow", 300 << 10), ("quick", 10 << 20)];

/// Seconds of each transfer.
const SECONDS: u64 = 5;

pub fn run(server: &Server, report: &mut Report) {
    println!("\nthrottles of {}, of what was asked", server.name);
    for (user, rate) in RATES {
        let mut client = Client::login(server.port, user, "secret");
        client.enter("data");
        let bytes = rate * SECONDS;
        let mut measure = |what: &str, transfer: &mut dyn FnMut(&mut Client)| {
            let began = Instant::now();
            transfer(&mut client);
            let of = bytes as f64 / began.elapsed().as_secs_f64() / rate as f64;
            println!("  {:>6} KiB/s {what:<5} {:.2} %", rate >> 10, of * 100.0);
            report.note(&format!(
                "{{\"workload\":\"throttle\",\"server\":\"{}\",\"rate\":{rate},\
                 \"way\":\"{what}\",\"kept\":{of}}}",
                server.name
            ));
        };
        measure("up", &mut |client| client.upload(user, &[b'x'; 4096], bytes));
        measure("down", &mut |client| {
            assert_eq!(client.download("RETR ", user, Reader::Copy), bytes);
        });
        client.say("DELE ", user, b'2');
    }
}
