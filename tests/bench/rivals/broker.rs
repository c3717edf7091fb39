//! The MQTT broker that is told of events, on this machine: Debian's mosquitto.

use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::place::Place;

/// A broker that runs. It is ended on drop.
pub struct Broker {
    pub port: u16,
    child: Child,
}

impl Broker {
    /// Starts a broker on this port, and waits until it listens.
    pub fn start(place: &Place, port: u16) -> Result<Self, String> {
        let settings = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_dest none\n"
        );
        let mut command = Command::new("mosquitto");
        command.arg("-c").arg(place.write("mosquitto.conf", &settings));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(|why| format!("mosquitto: {why}"))?;
        let broker = Self { port, child };
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if Instant::now() > until {
                return Err("mosquitto does not listen".to_owned());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(broker)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
