//! A server that runs: its clients, and its end.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use crate::broker::Broker;
use crate::client::Client;
use crate::servers::{Family, Setup};
use crate::tree;
use crate::trust::Trust;

/// A server that runs. It is ended on drop.
pub struct Server {
    pub name: &'static str,
    pub port: u16,
    pub family: Family,
    /// A workload that it cannot do.
    pub lacks: &'static str,
    pub setups: &'static [Setup],
    pub login: (&'static str, &'static str),
    pub trust: Trust,
    pub pid: u32,
    /// `None`: another entry has the process, and this one is another user of it.
    pub child: Option<Child>,
    /// The broker that it tells of events.
    #[expect(dead_code, reason = "it is ended with the server")]
    pub broker: Option<Broker>,
}

impl Server {
    /// Waits until the server listens.
    pub fn listens(&mut self, output: &Path) -> Result<(), String> {
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            let ended = self.child.as_mut().map(Child::try_wait);
            if let Some(Ok(Some(status))) = ended {
                let said = fs::read_to_string(output).unwrap_or_default();
                return Err(format!("{status}: {}", said.trim()));
            }
            if Instant::now() > until {
                return Err("it does not listen".to_owned());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Returns the same server for another user, under another name.
    pub fn with_user(&self, name: &'static str, user: &'static str) -> Self {
        let login = (user, self.login.1);
        let trust = self.trust.clone();
        let family = Family::Variant;
        Self { name, family, login, trust, child: None, broker: None, ..*self }
    }

    pub fn serves(&self, setup: Setup) -> bool {
        self.setups.contains(&setup)
    }

    /// Logs in and changes to a directory.
    pub fn client(&self, tls: Option<bool>, directory: &str) -> Client {
        let mut client = self.login(tls);
        client.enter(directory);
        client
    }

    /// Logs in; over TLS, data connections resume the session of the control connection or not.
    pub fn login(&self, tls: Option<bool>) -> Client {
        let (user, password) = self.login;
        match tls {
            Some(resume) => {
                Client::secure_login(self.port, user, password, self.trust.config(resume))
            }
            None => Client::login(self.port, user, password),
        }
    }

    /// Whether this entry has the process, and not another one.
    pub fn is_process(&self) -> bool {
        self.child.is_some()
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(child) = &mut self.child else { return };
        let all = tree::processes(child.id());
        for pid in all.iter().rev() {
            if let Some(pid) = rustix::process::Pid::from_raw((*pid).cast_signed()) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        let _ = child.wait();
    }
}
