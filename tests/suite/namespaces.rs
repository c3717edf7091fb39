//! Machines of a test's own: network namespaces, which are connected with each other as the test
//! likes, with firewalls, NAT and servers in them.
//!
//! Each one is held by a process that reads from the test and ends with it, however the test ends.
//! That process is the first one of a namespace of processes as well, so the kernel ends all others
//! that were started in it, and the namespaces go with the last one. Nothing has a name outside.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A machine. It ends, with everything that runs in it, when it is dropped.
pub(crate) struct Machine {
    holder: Child,
}

/// Returns whether machines can be made here. If not, it says so on standard error.
pub(crate) fn are_possible(test: &str) -> bool {
    static MISSING: OnceLock<Option<String>> = OnceLock::new();
    let missing = MISSING.get_or_init(missing);
    if let Some(why) = missing {
        // print even if the test passes and its output is captured
        let _ = writeln!(io::stderr(), "namespaces: {why}, so {test} has tested nothing");
    }
    missing.is_none()
}

/// Tries what the tests need. Returns why it cannot be done.
fn missing() -> Option<String> {
    let script = "ip link add name a type veth peer name b && nft add table inet t \
                  && nsenter --net=/proc/self/ns/net true";
    let mut command = unshare();
    match command.args(["sh", "-ec", script]).stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr);
            Some(why.trim().lines().last().unwrap_or("unshare has failed").to_owned())
        }
        Err(why) => Some(format!("unshare: {why}")),
    }
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--pid", "--kill-child", "--mount-proc", "--"]);
    command
}

impl Machine {
    /// Makes a machine without a connection to others.
    pub(crate) fn new() -> Self {
        let mut holder = unshare()
            .args(["sh", "-ec", "ip link set lo up; echo ready; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self { holder }
    }

    fn file(&self, kind: &str) -> String {
        format!("/proc/{}/ns/{kind}", self.holder.id())
    }

    /// Prepares to start a program in this machine. The child is `nsenter`, which waits for the
    /// program: a signal to it does not reach the program, which ends with the machine.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.file("net")));
        command.arg(format!("--mount={}", self.file("mnt")));
        command.arg(format!("--pid={}", self.file("pid_for_children")));
        command.args(["--", program]).stdin(Stdio::null());
        command
    }

    /// Runs the lines of a shell script, which must succeed.
    pub(crate) fn run(&self, script: &str) {
        let output = self.command("sh").args(["-ec", script]).output().unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
    }

    /// Adds rules of nftables.
    pub(crate) fn rules(&self, rules: &str) {
        self.try_rules(rules).unwrap_or_else(|why| panic!("{rules}: {why}"));
    }

    /// Adds rules that not every kernel can carry out. Returns why this one cannot.
    pub(crate) fn try_rules(&self, rules: &str) -> Result<(), String> {
        let mut nft = self.command("nft");
        nft.args(["-f", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = nft.spawn().unwrap();
        child.stdin.take().unwrap().write_all(rules.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let why = || String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(()) } else { Err(why()) }
    }

    /// Connects two machines with a cable. Its ends have these names and addresses.
    pub(crate) fn connect(&self, end: (&str, &[&str]), other: &Self, far: (&str, &[&str])) {
        let net = other.holder.id();
        self.run_here(&format!(
            "ip link add name {} type veth peer name {} netns {net}",
            end.0, far.0
        ));
        self.set_up(end);
        other.set_up(far);
    }

    /// Runs a command in the network of this machine, among the processes of the test.
    fn run_here(&self, script: &str) {
        let net = format!("--net={}", self.file("net"));
        let output =
            Command::new("nsenter").args([&net, "sh", "-ec", script]).output().unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
    }

    fn set_up(&self, (name, addresses): (&str, &[&str])) {
        let mut script = String::new();
        for address in addresses {
            // nodad: an IPv6 address can be used at once
            let nodad = if address.contains(':') { "nodad" } else { "" };
            script += &format!("ip address add {address} dev {name} {nodad}\n");
        }
        script += &format!("ip link set {name} up\n");
        self.run(&script);
    }

    /// Carries something out in the network of this machine: sockets that are opened in it are
    /// its own, and remain so.
    pub(crate) fn inside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let net = File::open(self.file("net")).unwrap();
        let enter = move || {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(net.as_fd(), kind).unwrap();
            work()
        };
        thread::spawn(enter).join().unwrap()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
