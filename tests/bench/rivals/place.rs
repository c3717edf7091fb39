//! The files that all servers serve, in memory, and the files that each server needs for itself.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::inside;

/// The owner of the served files.
pub const UID: u32 = 65534;

/// Sizes and numbers of the small files, and of the entries of the directories that are listed.
pub const FILES: usize = 2000;
const LISTS: [usize; 2] = [10_000, 100_000];

/// A kind of key that servers have in the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// ECDSA on the curve P-256, as rcgen and certbot make it today.
    Ecdsa,
    /// RSA of 2,048 bits, as older tools make it.
    Rsa,
}

/// A self-signed certificate and its key.
pub struct Pair {
    pub certificate: CertificateDer<'static>,
    pub key: PrivateKeyDer<'static>,
}

/// The folder of a run. It is removed on drop.
pub struct Place {
    /// Where the rivals are unpacked.
    pub rivals: PathBuf,
    pub root: PathBuf,
    ecdsa: Pair,
    /// `None`: there is no `openssl`, which makes it.
    rsa: Option<Pair>,
    /// Whether the home has a folder `disk` with the files of `data` on a disk.
    pub disk: bool,
}

impl Key {
    /// The name of the files of this key: `ecdsa-cert.pem`, for example.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ecdsa => "ecdsa",
            Self::Rsa => "rsa",
        }
    }
}

impl Place {
    /// Makes the served files: files of 4 KiB, one of 1 GiB, and directories of many entries.
    pub fn make(rivals: PathBuf, disk: bool) -> Self {
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let root = base.join(format!("ftpd-bench-{}", std::process::id()));
        let data = root.join("home/data");
        fs::create_dir_all(&data).expect("files");
        chmod(&root, 0o755);
        chmod(&root.join("home"), 0o755);
        make_files(&data, &LISTS);
        let disk = disk && make_disk(&root.join("home/disk"), &rivals.join("disk.img"));
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]);
        let made = made.expect("certificate");
        write_pair(&root, Key::Ecdsa, &made.cert.pem(), &made.signing_key.serialize_pem());
        let ecdsa = read_pair(&root, Key::Ecdsa).expect("certificate");
        let rsa = make_rsa(&root).and_then(|()| read_pair(&root, Key::Rsa));
        Self { rivals, root, ecdsa, rsa, disk }
    }

    pub fn home(&self) -> PathBuf {
        self.root.join("home")
    }

    /// The certificate of the servers that have this kind of key.
    pub fn pair(&self, key: Key) -> Option<&Pair> {
        match key {
            Key::Ecdsa => Some(&self.ecdsa),
            Key::Rsa => self.rsa.as_ref(),
        }
    }

    /// A file of the certificate of this key: `cert`, `key`, or `both`.
    pub fn pem(&self, key: Key, part: &str) -> PathBuf {
        self.root.join(format!("{}-{part}.pem", key.name()))
    }

    /// Removes what was uploaded, and empties the logs.
    pub fn clear(&self) {
        for folder in ["data/up", "disk/up"] {
            for entry in fs::read_dir(self.home().join(folder)).into_iter().flatten().flatten()
            {
                fs::remove_file(entry.path()).expect("remove");
            }
        }
        if self.disk {
            // what one server has left to be written must not slow down the next
            let disk = fs::File::open(self.home().join("disk")).expect("disk");
            rustix::fs::syncfs(&disk).expect("sync");
        }
        for entry in fs::read_dir(&self.root).expect("root").flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "log") {
                let file = fs::File::options().write(true).open(entry.path()).expect("log");
                file.set_len(0).expect("log");
            }
        }
    }

    /// Writes a file of settings, which only its owner can read.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.root.join(name);
        fs::write(&path, text).expect("settings");
        chmod(&path, 0o600);
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        inside::unmount_disk(&self.home().join("disk"));
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// Mounts a disk, and makes the files on it.
fn make_disk(folder: &Path, image: &Path) -> bool {
    if let Err(why) = inside::mount_disk(folder, image) {
        println!("nothing is measured on a disk: {why}");
        return false;
    }
    make_files(folder, &[]);
    true
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("mode");
}

/// Makes the files that are downloaded and listed.
fn make_files(data: &Path, lists: &[usize]) {
    let chunk: Vec<u8> =
        (0..1_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for (name, chunks) in [("big", 1024), ("half", 512)] {
        let mut file = fs::File::create(data.join(name)).expect("large file");
        (0..chunks).for_each(|_| file.write_all(&chunk).expect("large file"));
    }
    let small = data.join("small");
    fs::create_dir(&small).expect("small");
    for number in 0..FILES {
        fs::write(small.join(format!("f{number:04}")), &chunk[..4096]).expect("small");
    }
    for &count in lists {
        let many = data.join(format!("list{count}"));
        fs::create_dir(&many).expect("list");
        for number in 0..count {
            fs::File::create(many.join(format!("file-{number:06}.jpg"))).expect("list");
        }
    }
    for path in [data.to_owned(), data.join("up")] {
        fs::create_dir_all(&path).expect("directory");
        std::os::unix::fs::chown(&path, Some(UID), Some(UID)).expect("run this as root");
        chmod(&path, 0o777);
    }
}

/// Makes a certificate with an RSA key. ring, which rcgen uses, makes no such keys.
fn make_rsa(root: &Path) -> Option<()> {
    let (key, cert) = (root.join("made-key.pem"), root.join("made-cert.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&cert)
        .output()
        .ok()?;
    if !made.status.success() {
        return None;
    }
    let text = |path| fs::read_to_string(path).expect("certificate");
    write_pair(root, Key::Rsa, &text(cert), &text(key));
    Some(())
}

fn write_pair(root: &Path, key: Key, certificate: &str, private: &str) {
    for (part, text) in [
        ("cert", certificate.to_owned()),
        ("key", private.to_owned()),
        ("both", format!("{private}{certificate}")),
    ] {
        let path = root.join(format!("{}-{part}.pem", key.name()));
        fs::write(&path, text).expect("certificate");
        chmod(&path, 0o600);
    }
}

fn read_pair(root: &Path, key: Key) -> Option<Pair> {
    let path = |part: &str| root.join(format!("{}-{part}.pem", key.name()));
    Some(Pair {
        certificate: CertificateDer::from_pem_file(path("cert")).ok()?,
        key: PrivateKeyDer::from_pem_file(path("key")).ok()?,
    })
}
