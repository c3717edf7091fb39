//! `haproxy` with `etc/haproxy.cfg` in front of two servers, each on a machine of its own: both ways of
//! passive mode, TLS that is passed through, clients on IPv6, a server that is drained, and one that is
//! killed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use tempfile::TempDir;

use crate::client::{Client, connect_from, drain, port_command};
use crate::namespaces::{Machine, are_possible};
use crate::program::{Program, folder};
use crate::server::{PATIENCE, pause};
use crate::test_command::Found;
use crate::tls_client::{Tls, VERSIONS};

/// The address of the balancer, as in `etc/haproxy.cfg`.
pub(crate) const BALANCER: &str = "192.0.2.10";

/// Its address for clients on IPv6.
const BALANCER_V6: &str = "2001:db8::10";

/// The address of a client on IPv6.
const CLIENT_V6: &str = "2001:db8::1";

/// The addresses of the clients, all of which are on one machine.
const CLIENTS: [&str; 6] =
    ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6"];

/// The addresses of many more clients.
pub(crate) fn crowd() -> impl Iterator<Item = IpAddr> {
    (101..=150).map(|last| IpAddr::from([192, 0, 2, last]))
}

/// How data connections in passive mode come to the servers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Balancer,
    Direct,
}

/// A network with a balancer, two servers and clients. Fields are dropped in this order.
pub(crate) struct World {
    /// The balancer; after a reload, another one as well.
    pub(crate) haproxies: Vec<Child>,
    servers: Vec<Program>,
    pub(crate) client: Machine,
    pub(crate) places: Vec<Machine>,
    balancer: Machine,
    _cables: Machine,
    /// The folder of the home that both servers share.
    shared: TempDir,
}

/// Returns whether this can be tested here. If not, it says so on standard error.
pub(crate) fn is_possible(test: &str) -> bool {
    let has_haproxy = Command::new("haproxy").arg("-v").output().is_ok();
    if !has_haproxy {
        // print even if the test passes and its output is captured
        let _ =
            writeln!(io::stderr(), "haproxy is not installed, so {test} has tested nothing");
    }
    has_haproxy && are_possible(test)
}

impl World {
    pub(crate) fn new(way: Way) -> Self {
        let cables = Machine::new();
        cables.run("ip link add br0 type bridge && ip link set br0 up");
        let machine = |name: &str, addresses: &[&str]| {
            let machine = Machine::new();
            machine.connect(("eth0", addresses), &cables, (name, &[]));
            cables.run(&format!("ip link set {name} master br0"));
            machine
        };
        let addresses = CLIENTS.iter().map(|address| format!("{address}/24"));
        let addresses = addresses.chain(crowd().map(|address| format!("{address}/24")));
        let addresses: Vec<_> = addresses.chain([format!("{CLIENT_V6}/64")]).collect();
        let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
        let client = machine("client", &addresses);
        let balancer = machine("balancer", &["192.0.2.10/24", "2001:db8::10/64"]);
        let places = vec![
            machine("to-a", &["192.0.2.11/24", "2001:db8::11/64"]),
            machine("to-b", &["192.0.2.12/24", "2001:db8::12/64"]),
        ];
        let shared = tempfile::tempdir().unwrap();
        fs::create_dir(shared.path().join("home")).unwrap();
        let serve = |(at, place)| serve(place, at, way, &mount(place, at, shared.path()));
        let servers = places.iter().enumerate().map(serve);
        let servers: Vec<_> = servers.collect();
        let haproxy = run_haproxy(&balancer, servers[0].dir(), way);
        let haproxies = vec![haproxy];
        Self { haproxies, servers, client, places, balancer, _cables: cables, shared }
    }

    /// Connects as one of the clients, and tells to which server: 0 or 1. The balancer may still look
    /// which servers are there.
    pub(crate) fn connect(&self, from: &str) -> (Client, usize) {
        let until = Instant::now() + PATIENCE;
        loop {
            let from: IpAddr = from.parse().unwrap();
            let to = if from.is_ipv4() { BALANCER } else { BALANCER_V6 }.parse().unwrap();
            let stream =
                self.client.inside(move || connect_from(from, SocketAddr::new(to, 21)));
            if let Ok(stream) = stream {
                let mut client = Client::over(stream);
                if let Some(greeting) = client.try_line() {
                    let at = usize::from(greeting.contains("server b"));
                    assert!(greeting.starts_with("220 server "), "{greeting}");
                    return (client, at);
                }
            }
            assert!(Instant::now() < until, "no greeting");
            pause();
        }
    }

    /// A transfer of each direction, over a passive data connection.
    fn transfer(&self, client: &mut Client, name: &str, passive: &str) {
        for (command, sent) in [("STOR", &b"content"[..]), ("RETR", b"")] {
            let to = client.passive_address(passive);
            let from = client.stream().local_addr().unwrap().ip();
            let data = self.client.inside(move || connect_from(from, to)).unwrap();
            client.cmd(&format!("{command} {name}"), 150);
            let received = finish(data, sent);
            client.expect(226);
            assert_eq!(received, if sent.is_empty() { &b"content"[..] } else { b"" });
        }
    }

    /// A transfer of each direction, over a connection that the server makes.
    fn transfer_actively(&self, client: &mut Client, name: &str) {
        for (command, sent) in [("STOR", &b"content"[..]), ("RETR", b"")] {
            let own = client.stream().local_addr().unwrap().ip();
            let listener = self.client.inside(move || TcpListener::bind((own, 0))).unwrap();
            client.cmd(&port_command(listener.local_addr().unwrap()), 200);
            client.cmd(&format!("{command} {name}"), 150);
            let received = finish(listener.accept().unwrap().0, sent);
            client.expect(226);
            assert_eq!(received, if sent.is_empty() { &b"content"[..] } else { b"" });
        }
    }

    /// The home, as it is on the disk.
    pub(crate) fn home(&self) -> PathBuf {
        self.shared.path().join("home")
    }

    /// Starts another balancer, which takes the place of the one that runs.
    pub(crate) fn reload_haproxy(&self) -> Child {
        start_haproxy(&self.balancer, self.servers[0].dir())
    }

    fn test(&self, scheme: &str, host: &str) -> Found {
        let url = format!("{scheme}://bob:tops3cret@{host}/");
        let mut command = self.client.command(env!("CARGO_BIN_EXE_ftpd"));
        Found::of(&command.args(["test", &url, "--json", "--active"]).output().unwrap())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for haproxy in &mut self.haproxies {
            let _ = haproxy.kill();
            let _ = haproxy.wait();
        }
    }
}

fn log_in(client: &mut Client) {
    client.cmd("USER bob", 331);
    client.cmd("PASS tops3cret", 230);
    client.cmd("TYPE I", 200);
}

/// Sends what is to be sent and reads what is to be read.
fn finish(mut data: TcpStream, sent: &[u8]) -> Vec<u8> {
    data.write_all(sent).unwrap();
    if !sent.is_empty() {
        data.shutdown(Shutdown::Write).unwrap();
    }
    drain(&mut data)
}

/// Mounts the home on the machine of a server by FUSE, in the place of a file system of the network:
/// each server has a mount of its own, with its own caches. If that cannot be done, says so, and
/// returns the home itself.
fn mount(place: &Machine, at: usize, shared: &Path) -> PathBuf {
    let (home, mounted) = (shared.join("home"), shared.join(["a", "b"][at]));
    fs::create_dir(&mounted).unwrap();
    let mut bindfs = place.command("bindfs");
    bindfs.args(["--multithreaded", "--enable-lock-forwarding"]);
    let output = bindfs.arg(&home).arg(&mounted).output().unwrap();
    if output.status.success() {
        return mounted;
    }
    let why = String::from_utf8_lossy(&output.stderr);
    let _ = writeln!(io::stderr(), "not mounted: {}; both servers use one folder", why.trim());
    home
}

/// Starts a server with the settings that `etc/haproxy.cfg` names.
fn serve(place: &Machine, at: usize, way: Way, home: &Path) -> Program {
    let (name, own) = [("a", "192.0.2.11"), ("b", "192.0.2.12")][at];
    let range = ["50000-50099", "50100-50199"][at];
    let passive = match way {
        Way::Balancer => {
            format!("proxy_data = on\npassive_ports = {range}\nmasquerade_address = {BALANCER}")
        }
        Way::Direct => "passive_ports = 50000-50199".to_owned(),
    };
    let dir = folder(format!(
        "[server]\nip = 0.0.0.0\nport = 21\nwelcome_msg = server {name}\nproxy_from = {BALANCER}\n\
         metrics_listen = {own}:9121\nshutdown_grace = 5m\ntls_cert = auto\ntls_implicit_port = 990\nban_after = 1\n\
         ban_exempt =\nshared_storage = on\n{passive}\n[user:bob]\npassword = tops3cret\nperm = elradfmwMT\nhome = {}\n",
        home.display()
    ));
    let log = File::create(dir.path().join("stderr")).unwrap();
    let mut command = place.command(env!("CARGO_BIN_EXE_ftpd"));
    command.arg("--config").arg(dir.path().join("ftpd.ini"));
    let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
    let mut program = Program::of(child, dir);
    program.address("stderr");
    program
}

/// Starts `haproxy` with the file of the source, and with the sections for implicit TLS.
fn run_haproxy(place: &Machine, dir: &Path, way: Way) -> Child {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("etc/haproxy.cfg");
    let mut text = fs::read_to_string(path).unwrap();
    if way == Way::Direct {
        let end = text.find("# way 1: the server").unwrap();
        text.truncate(end);
    }
    for section in ["frontend ftps", "backend ftps"] {
        let begin = text.find(&format!("#{section}\n")).unwrap();
        let end = text[begin..].find("\n\n").map_or(text.len(), |length| begin + length);
        let lines = text[begin..end].lines().map(|line| line.strip_prefix('#').unwrap());
        text.replace_range(begin..end, &lines.collect::<Vec<_>>().join("\n"));
    }
    fs::write(dir.join("haproxy.cfg"), text).unwrap();
    start_haproxy(place, dir)
}

/// Starts `haproxy`, and lets one that runs already finish its sessions, as a reload does.
fn start_haproxy(place: &Machine, dir: &Path) -> Child {
    let log = File::create(dir.join("haproxy.log")).unwrap();
    let mut haproxy = place.command("sh");
    haproxy.args(["-c", "exec haproxy -db -f \"$1\" -sf $(pidof haproxy)", "sh"]);
    haproxy.arg(dir.join("haproxy.cfg"));
    haproxy.stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

#[test]
fn clients_are_served_through_the_balancer_for_data_as_well() {
    if !is_possible("the balancer with all data") {
        return;
    }
    let world = World::new(Way::Balancer);
    let mut places = Vec::new();
    for from in CLIENTS {
        let (mut client, at) = world.connect(from);
        places.push(at);
        log_in(&mut client);
        for passive in ["EPSV", "PASV"] {
            world.transfer(&mut client, "file", passive);
        }
        client.cmd("DELE file", 250);
        // the next connections of a client go to the same server
        for _ in 0..3 {
            assert_eq!(world.connect(from).1, at);
        }
    }
    assert!(places.contains(&0) && places.contains(&1), "{places:?}");
    for scheme in ["ftp", "ftpes", "ftps"] {
        world.test(scheme, BALANCER).fails_with(&[]);
    }
    for program in &world.servers {
        let log = program.text("stderr");
        assert!(!log.contains(&format!("{BALANCER}:")) && !log.contains("banned"), "{log}");
    }
}

#[test]
fn clients_come_to_the_server_itself_for_data() {
    if !is_possible("the balancer without data") {
        return;
    }
    let world = World::new(Way::Direct);
    let tls = Tls::new(VERSIONS[0]);
    let (mut client, _) = world.connect(CLIENTS[0]);
    client.cmd("AUTH TLS", 234);
    client.start_tls(&tls);
    client.cmd("USER bob", 331);
    client.cmd("PASS tops3cret", 230);
    client.cmd("EPSV", 502);
    let (mut client, _) = world.connect(CLIENTS[1]);
    log_in(&mut client);
    world.transfer(&mut client, "file", "PASV");
    client.cmd("DELE file", 250);
    for scheme in ["ftp", "ftpes", "ftps"] {
        world.test(scheme, BALANCER).fails_with(&[]);
    }
}

#[test]
fn clients_on_ipv6_are_served_through_the_balancer() {
    if !is_possible("the balancer with clients on IPv6") {
        return;
    }
    let world = World::new(Way::Balancer);
    let (mut client, _) = world.connect(CLIENT_V6);
    log_in(&mut client);
    world.transfer(&mut client, "file", "EPSV");
    assert!(client.cmd("PASV", 502).contains("EPSV"));
    world.transfer_actively(&mut client, "file");
    client.cmd("DELE file", 250);
    for scheme in ["ftp", "ftpes", "ftps"] {
        world.test(scheme, "[2001:db8::10]").fails_with(&[]);
    }
    let who = world.servers.iter().map(|program| program.text("stderr")).collect::<String>();
    assert!(who.contains(&format!("[{CLIENT_V6}]")), "{who}");
}

/// Clients on IPv6 cannot be told another host to connect to, so they are told to use active mode.
#[test]
fn clients_on_ipv6_that_cannot_come_to_the_server_use_active_mode() {
    if !is_possible("the balancer without data and with clients on IPv6") {
        return;
    }
    let world = World::new(Way::Direct);
    let (mut client, _) = world.connect(CLIENT_V6);
    log_in(&mut client);
    for command in ["PASV", "EPSV", "EPSV 2", "EPSV ALL"] {
        assert!(client.cmd(command, 502).contains("use EPRT"));
    }
    world.transfer_actively(&mut client, "file");
    client.cmd("DELE file", 250);
}

#[test]
fn a_drained_server_keeps_its_sessions_and_others_get_the_other_one() {
    if !is_possible("a drained server") {
        return;
    }
    let mut world = World::new(Way::Balancer);
    let (mut client, at) = world.connect(CLIENTS[0]);
    log_in(&mut client);
    let mut stop = Command::new(env!("CARGO_BIN_EXE_ftpd"));
    let stop = stop.args(["stop", "--drain"]).current_dir(world.servers[at].dir());
    let mut stop = stop.stdout(Stdio::null()).spawn().unwrap();
    world.servers[at].wait_for("stderr", "no more clients are accepted");
    // at once, before the balancer has looked again
    for from in CLIENTS {
        assert_eq!(world.connect(from).1, 1 - at);
    }
    world.transfer(&mut client, "file", "EPSV");
    client.cmd("QUIT", 221);
    assert!(stop.wait().unwrap().success());
}

#[test]
fn clients_of_a_server_that_is_killed_get_the_other_one() {
    if !is_possible("a killed server") {
        return;
    }
    let world = World::new(Way::Balancer);
    let (mut client, at) = world.connect(CLIENTS[0]);
    client.cmd("USER bob", 331);
    // all processes of that machine but the one that holds it
    world.places[at].run("kill -9 -1");
    let began = Instant::now();
    client.expect_close();
    let (mut client, other) = world.connect(CLIENTS[0]);
    eprintln!("served by the other server after {:?}", began.elapsed());
    assert_eq!(other, 1 - at);
    log_in(&mut client);
    world.transfer(&mut client, "file", "EPSV");
}

/// What is uploaded under a name: no two files have one half in common.
fn content(name: &str) -> Vec<u8> {
    name.bytes().cycle().take(300_000).collect()
}

impl World {
    /// Tries an upload. The server may end at any moment.
    fn try_upload(&self, from: &'static str, name: &str) -> Option<()> {
        let own: IpAddr = from.parse().unwrap();
        let open = |to: SocketAddr| self.client.inside(move || connect_from(own, to)).ok();
        let mut client = Client::over(open(SocketAddr::new(BALANCER.parse().unwrap(), 21))?);
        (client.try_code()? == 220).then_some(())?;
        for (line, code) in [("USER bob", 331), ("PASS tops3cret", 230), ("TYPE I", 200)] {
            (client.try_send(line) && client.try_code()? == code).then_some(())?;
        }
        let mut data = open(client.try_passive()?)?;
        client.try_send(&format!("STOR {name}")).then_some(())?;
        (client.try_code()? == 150).then_some(())?;
        for piece in content(name).chunks(10_000) {
            data.write_all(piece).ok()?;
        }
        data.shutdown(Shutdown::Write).ok()?;
        (client.try_code()? == 226).then_some(())
    }
}

/// Clients that upload all the time and try again what fails, one server that is killed in the middle,
/// and a home that both servers share: each file is whole under its name, and nothing else is there.
#[test]
fn no_upload_is_lost_or_half_when_a_server_is_killed() {
    const EACH: usize = 12;
    if !is_possible("a server that is killed during uploads") {
        return;
    }
    let world = World::new(Way::Balancer);
    // the balancer knows both servers
    let homes: Vec<_> = CLIENTS.iter().map(|from| world.connect(from).1).collect();
    let (done, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for from in CLIENTS {
            let (world, done, failed) = (&world, &done, &failed);
            scope.spawn(move || {
                for number in 0..EACH {
                    let until = Instant::now() + PATIENCE;
                    while world.try_upload(from, &format!("{from}-{number}")).is_none() {
                        failed.fetch_add(1, Ordering::SeqCst);
                        assert!(Instant::now() < until, "{from}: no upload succeeds");
                        pause();
                    }
                    done.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        while done.load(Ordering::SeqCst) < CLIENTS.len() * EACH / 3 {
            pause();
        }
        world.places[homes[0]].run("kill -9 -1");
    });
    eprintln!("{} attempts failed", failed.load(Ordering::SeqCst));
    for from in CLIENTS {
        for number in 0..EACH {
            let name = format!("{from}-{number}");
            let there = fs::read(world.home().join(&name)).unwrap();
            assert!(there == content(&name), "{name} has {} bytes", there.len());
        }
    }
    for entry in fs::read_dir(world.home()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_ours = CLIENTS.iter().any(|from| name.starts_with(from));
        assert!(is_ours || name.starts_with(".ftpd-part-"), "{name}");
    }
}
