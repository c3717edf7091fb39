//! The guest's machine: a kernel of Debian, an initramfs with this program and the server, and qemu
//! with a disk whose writes are logged.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A kind of file system.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// Bytes of the file system. Behind it, the disk has room for what the client says.
    pub(crate) size: u64,
    /// Whether files can be cloned. Where they cannot, an append changes the file in place.
    pub(crate) clones: bool,
    /// Makes it in `$IMAGE` with `$SIZE` bytes.
    script: &'static str,
}

/// All kinds.
pub(crate) const KINDS: &[Kind] = &[
    Kind {
        name: "ext4",
        size: 96 << 20,
        clones: false,
        script: "mkfs.ext4 -q -F -b 4096 $IMAGE $(($SIZE / 1024))k",
    },
    Kind {
        name: "xfs",
        size: 320 << 20,
        clones: true,
        script: "mkfs.xfs -q -s size=4096 -d size=$SIZE $IMAGE",
    },
    Kind {
        name: "btrfs",
        size: 256 << 20,
        clones: true,
        script: "mkfs.btrfs -q -b $SIZE $IMAGE >/dev/null",
    },
];

/// Bytes behind the file system.
pub(crate) const MARGIN: u64 = 1 << 20;

/// Maximum time of a guest in seconds.
const PATIENCE: &str = "1200";

/// Modules that the guest needs for its disk and the file system; each is loaded after those that it
/// depends on.
const MODULES: &[&str] = &["virtio_pci", "virtio_blk", "crc32c_generic"];

/// A machine with one disk, in a folder in memory.
pub(crate) struct Machine {
    pub(crate) kind: &'static Kind,
    dir: TempDir,
}

impl Machine {
    /// Makes the file system and the initramfs.
    pub(crate) fn new(kind: &'static Kind) -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        let machine = Self { kind, dir };
        fs::create_dir(machine.mounted()).unwrap();
        let blank = File::create(machine.blank()).unwrap();
        blank.set_len(kind.size + MARGIN).unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-ec", kind.script]);
        shell.env("IMAGE", machine.blank()).env("SIZE", kind.size.to_string());
        assert!(shell.status().unwrap().success(), "cannot make {}", kind.name);
        machine.copy("blank", "disk");
        machine.pack();
        machine
    }

    /// The folder of all files.
    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// The disk as it was before the guest started.
    pub(crate) fn blank(&self) -> PathBuf {
        self.dir.path().join("blank")
    }

    /// The log of the writes.
    pub(crate) fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// Where disks are mounted, also by the guest: the server's journal has whole paths.
    pub(crate) fn mounted(&self) -> PathBuf {
        self.dir.path().join("mounted")
    }

    /// Mounts a disk. Fails with what the system says.
    pub(crate) fn mount(&self, disk: &str) -> Result<(), String> {
        let mut mount = Command::new("mount");
        mount.args(["-t", self.kind.name, "-o", "loop"]);
        let output =
            mount.arg(self.dir.path().join(disk)).arg(self.mounted()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        if output.status.success() { Ok(()) } else { Err(said) }
    }

    /// Unmounts it.
    pub(crate) fn unmount(&self) {
        let status = Command::new("umount").arg(self.mounted()).status().unwrap();
        assert!(status.success(), "cannot unmount");
    }

    /// Copies a file without its holes.
    pub(crate) fn copy(&self, from: &str, to: &str) {
        copy(&self.dir.path().join(from), &self.dir.path().join(to));
    }

    /// Starts the guest with a task, and waits for its end.
    pub(crate) fn run(&self, task: &str) {
        File::create(self.log()).unwrap();
        let path = |name: &str| self.dir.path().join(name).display().to_string();
        let drive = format!(
            "driver=blklogwrites,node-name=logged,file.driver=file,file.filename={},\
             log.driver=file,log.filename={},log-super-update-interval=1",
            path("disk"),
            path("log"),
        );
        let device = "virtio-blk-pci,drive=logged,discard=off,write-zeroes=off,\
                      physical_block_size=4096,logical_block_size=4096";
        let words = format!(
            "console=ttyS0 quiet panic=-1 no_timer_check rdinit=/init POWERLOSS_GUEST={task}"
        );
        let mut qemu = Command::new("timeout");
        qemu.args([PATIENCE, "qemu-system-x86_64"]);
        qemu.args(["-accel", "tcg,thread=multi", "-m", "768", "-smp", "2"]);
        qemu.args(["-nodefaults", "-nographic", "-no-reboot", "-serial", "stdio"]);
        qemu.args(["-blockdev", &drive, "-device", device]);
        qemu.arg("-kernel").arg(kernel("boot", "vmlinuz"));
        qemu.args(["-initrd", &path("initramfs"), "-append", &words]);
        let output = qemu.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let has_ended = said.lines().any(|line| line.trim() == "the guest has ended");
        assert!(has_ended, "{said}{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Writes the initramfs.
    fn pack(&self) {
        let mut archive = Archive::default();
        for folder in ["dev", "proc", "sys", "tmp", "disk", "modules"] {
            archive.folder(folder);
        }
        archive.file("init", &fs::read("/proc/self/exe").unwrap());
        // the server is where the harness of the suite looks for it
        let server = env!("CARGO_BIN_EXE_ftpd");
        let mut parents: Vec<_> = Path::new(server).ancestors().skip(1).collect();
        parents.reverse();
        for parent in parents.iter().skip(1) {
            archive.folder(&parent.display().to_string()[1..]);
        }
        archive.file(&server[1..], &fs::read(server).unwrap());
        for (at, module) in modules(self.kind.name).iter().enumerate() {
            archive.file(&format!("modules/{at:03}"), &fs::read(module).unwrap());
        }
        fs::write(self.dir.path().join("initramfs"), archive.end()).unwrap();
    }
}

/// Copies a file without its holes.
pub(crate) fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("--sparse=auto").arg(from).arg(to).status().unwrap();
    assert!(status.success(), "cannot copy {}", from.display());
}

/// The first file below a folder of the unpacked kernel whose name begins so.
fn kernel(folder: &str, begin: &str) -> PathBuf {
    let path = kernel_folder().join(folder);
    let mut names = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
    let found = names.find(|path| name_of(path).starts_with(begin));
    found.unwrap_or_else(|| panic!("no {begin} in {}", path.display()))
}

/// Where Debian's package of a kernel is unpacked.
fn kernel_folder() -> PathBuf {
    env::var_os("KERNEL").expect("KERNEL= names the folder of an unpacked kernel").into()
}

fn name_of(path: &Path) -> &str {
    path.file_name().and_then(OsStr::to_str).unwrap()
}

/// The modules for a file system, in the order in which they are loaded.
fn modules(file_system: &str) -> Vec<PathBuf> {
    let mut all = Vec::new();
    gather(&kernel_folder().join("lib/modules"), &mut all);
    let mut loaded = (BTreeSet::new(), Vec::new());
    for name in MODULES.iter().chain([&file_system]) {
        add(name, &all, &mut loaded);
    }
    loaded.1
}

fn gather(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            gather(&entry.path(), found);
        } else if name_of(&entry.path()).ends_with(".ko") {
            found.push(entry.path());
        }
    }
}

/// Adds a module behind those that it depends on. One that is not there is part of the kernel.
fn add(name: &str, all: &[PathBuf], loaded: &mut (BTreeSet<String>, Vec<PathBuf>)) {
    let is_it =
        |path: &&PathBuf| name_of(path).trim_end_matches(".ko").replace('-', "_") == name;
    let Some(path) = all.iter().find(is_it) else { return };
    if !loaded.0.insert(name.to_owned()) {
        return;
    }
    let bytes = fs::read(path).unwrap();
    let key = b"\0depends=";
    let at = bytes.windows(key.len()).position(|window| window == key);
    let names = bytes[at.unwrap() + key.len()..].split(|&byte| byte == 0).next().unwrap();
    for needed in String::from_utf8_lossy(names).split(',').filter(|name| !name.is_empty()) {
        add(&needed.replace('-', "_"), all, loaded);
    }
    loaded.1.push(path.clone());
}

/// An archive as the kernel unpacks it (cpio, `newc`).
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    count: u32,
}

impl Archive {
    fn folder(&mut self, name: &str) {
        self.add(name, 0o40_755, &[]);
    }

    fn file(&mut self, name: &str, content: &[u8]) {
        self.add(name, 0o100_755, content);
    }

    fn add(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.count += 1;
        let (links, length, named) = (1, content.len() as u32, name.len() as u32 + 1);
        write!(self.bytes, "070701{:08x}{mode:08x}", self.count).unwrap();
        for field in [0, 0, links, 0, length, 0, 0, 0, 0, named, 0] {
            write!(self.bytes, "{field:08x}").unwrap();
        }
        write!(self.bytes, "{name}\0").unwrap();
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn end(mut self) -> Vec<u8> {
        self.add("TRAILER!!!", 0, &[]);
        self.bytes
    }
}
