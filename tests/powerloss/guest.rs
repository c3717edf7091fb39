//! The first process of the guest: it mounts the disk, starts the server on it, and lets a client
//! work. What the client does and is told is written to the disk behind the file system, so that it
//! has a place among the logged writes.

use std::ffi::CString;
use std::fs::{self, File};
use std::path::Path;
use std::process::exit;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, open};
use rustix::mount::{MountFlags, mount};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, SendFlags, SocketType, sendto, socket};
use rustix::system::{RebootCommand, init_module, reboot};

use crate::history::Mark;
use crate::server::Server;
use crate::work::Work;

/// Bytes of a block of the disk.
const BLOCK: usize = 4096;

/// How fast the guest brings files to the disk by itself, in hundredths of a second. Linux waits for
/// 30 s; here all is faster, so that more happens in a short run.
const WRITEBACK: [(&str, &str); 3] = [
    ("vm/dirty_writeback_centisecs", "50"),
    ("vm/dirty_expire_centisecs", "300"),
    ("fs/xfs/xfssyncd_centisecs", "100"),
];

/// Carries out a task, and turns the machine off.
pub(crate) fn main(task: &str) -> ! {
    let words: Vec<_> = task.split(',').collect();
    let [kind, disk, size, sync, seconds, seed, kept] = words[..] else { panic!("{task}") };
    let number = |text: &str| text.parse::<u64>().unwrap();
    prepare();
    let data = CString::new(if kind == "xfs" { "" } else { "commit=1" }).unwrap();
    for (name, value) in WRITEBACK {
        let _ = fs::write(format!("/proc/sys/{name}"), value);
    }
    fs::create_dir_all(disk).unwrap();
    mount("/dev/vda", disk, kind, MountFlags::empty(), Some(data.as_c_str())).unwrap();
    for folder in ["home", "direct"] {
        fs::create_dir(format!("{disk}/{folder}")).unwrap();
    }
    sync_all();
    let server = Server::setup()
        .server(&format!("state_dir = {disk}/state\nsync_uploads = {sync}"))
        .user(&crate::uploader(Path::new(&format!("{disk}/home")), kept == "true"))
        .section(&format!(
            "[user:old]\npassword = p\nperm = elradfmw\nhome = {disk}/direct\natomic_uploads = off"
        ))
        .start();
    let until = Instant::now() + Duration::from_secs(number(seconds));
    let marks = Marks::new(number(size));
    Work::new(&server, format!("{disk}/home").into(), marks, number(seed), sync == "on")
        .run(until);
    sync_all();
    println!("\nthe guest has ended");
    let _ = reboot(RebootCommand::PowerOff);
    exit(0);
}

fn sync_all() {
    rustix::fs::sync();
}

/// Mounts what programs expect, loads the modules, and brings the loopback interface up.
fn prepare() {
    for (kind, place) in [("devtmpfs", "/dev"), ("proc", "/proc"), ("sysfs", "/sys")] {
        mount(kind, place, kind, MountFlags::empty(), None).unwrap();
    }
    let mut modules: Vec<_> =
        fs::read_dir("/modules").unwrap().map(|entry| entry.unwrap().path()).collect();
    modules.sort();
    for module in modules {
        let loaded = init_module(&fs::read(&module).unwrap(), c"");
        loaded.unwrap_or_else(|why| panic!("{}: {why}", module.display()));
    }
    let socket = socket(AddressFamily::NETLINK, SocketType::RAW, None).unwrap();
    sendto(&socket, &interface_up(), SendFlags::empty(), &SocketAddrNetlink::new(0, 0))
        .unwrap();
}

/// The request to bring up the first interface (`RTM_NEWLINK`, `IFF_UP`; rtnetlink(7)).
fn interface_up() -> Vec<u8> {
    let (kind, is_request, first, up) = (16_u16, 1_u16, 1_i32, 1_u32);
    let mut message = 32_u32.to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(is_request.to_ne_bytes());
    message.extend([0; 8 + 4]);
    message.extend(first.to_ne_bytes());
    message.extend(up.to_ne_bytes());
    message.extend(up.to_ne_bytes());
    message
}

/// Writes what the client says behind the file system. These writes do not pass through the page
/// cache, and flush nothing.
pub(crate) struct Marks {
    disk: File,
    at: u64,
    buffer: Vec<u8>,
}

impl Marks {
    fn new(at: u64) -> Self {
        let flags = OFlags::WRONLY | OFlags::DIRECT;
        let disk = open("/dev/vda", flags, rustix::fs::Mode::empty()).unwrap().into();
        Self { disk, at, buffer: vec![0; 2 * BLOCK] }
    }

    /// Writes a mark, and returns once it is on the disk.
    pub(crate) fn say(&mut self, mark: &Mark) {
        let text = mark.write();
        assert!(text.len() < BLOCK, "{text}");
        let from = self.buffer.as_ptr().align_offset(BLOCK);
        let block = &mut self.buffer[from..from + BLOCK];
        block.fill(0);
        block[..text.len()].copy_from_slice(text.as_bytes());
        assert_eq!(rustix::io::pwrite(&self.disk, block, self.at).unwrap(), BLOCK);
    }
}
