//! How each file system is made and mounted.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A kind of file system.
pub(crate) struct Kind {
    /// Its name in the table of the manual.
    pub(crate) name: &'static str,
    /// The script that makes it in the folder `$D` and mounts it on `$D/mounted`. The first line
    /// that fails says why it is not tried.
    script: &'static str,
    /// The script that limits the user `$U` to about 8 MiB, if the file system has quotas.
    pub(crate) quota: Option<&'static str>,
}

/// The user number of the server.
pub(crate) const USER: u32 = 65_534;

/// All kinds, in the order of the table.
pub(crate) const KINDS: &[Kind] = &[
    Kind {
        name: "ext4",
        script: "truncate -s 64M $D/image && mkfs.ext4 -q -O quota $D/image \
            && { mount -o loop $D/image $D/mounted || { mkfs.ext4 -qF $D/image \
            && mount -o loop $D/image $D/mounted; } }",
        quota: Some("setquota -u $U 8192 8192 0 0 $D/mounted"),
    },
    Kind {
        name: "ext4 +F",
        script: "truncate -s 64M $D/image && mkfs.ext4 -q -O casefold $D/image \
            && mount -o loop $D/image $D/mounted && chattr +F $D/mounted",
        quota: None,
    },
    Kind {
        name: "XFS",
        script: "truncate -s 320M $D/image && mkfs.xfs -q $D/image \
            && { mount -o loop,usrquota $D/image $D/mounted || mount -o loop $D/image $D/mounted; }",
        quota: Some("setquota -u $U 8192 8192 0 0 $D/mounted"),
    },
    Kind {
        name: "btrfs",
        script: "truncate -s 160M $D/image && mkfs.btrfs -q $D/image \
            && mount -o loop $D/image $D/mounted",
        quota: Some(
            "btrfs quota enable $D/mounted && btrfs qgroup limit 8M $D/mounted \
            && btrfs quota rescan -w $D/mounted",
        ),
    },
    Kind {
        name: "tmpfs",
        script: "mount -t tmpfs -o size=64m ftpd-test $D/mounted",
        quota: None,
    },
    Kind {
        // the layers are on different file systems, which shows in the device numbers of files
        name: "overlayfs",
        script: "truncate -s 64M $D/image && mkfs.ext4 -q $D/image && mkdir $D/lower $D/upper \
            && mount -o loop $D/image $D/lower && mount -t tmpfs -o size=64m ftpd-test $D/upper \
            && mkdir $D/upper/files $D/upper/work && echo lower > $D/lower/lower \
            && chown -R $U:$U $D/lower && mount -t overlay \
            -o lowerdir=$D/lower,upperdir=$D/upper/files,workdir=$D/upper/work,xino=off \
            ftpd-test $D/mounted",
        quota: None,
    },
    Kind {
        name: "FAT",
        script: "truncate -s 64M $D/image && mkfs.vfat -F 32 $D/image >/dev/null \
            && mount -t vfat -o loop,utf8,uid=$U,gid=$U $D/image $D/mounted",
        quota: None,
    },
    Kind {
        name: "bindfs",
        script: "mkdir $D/below && mount -t tmpfs -o size=64m ftpd-test $D/below \
            && bindfs $D/below $D/mounted",
        quota: None,
    },
    Kind {
        name: "NFS",
        script: "mkdir $D/below && truncate -s 64M $D/image && mkfs.ext4 -q $D/image \
            && mount -o loop $D/image $D/below && chmod 755 $D \
            && exportfs -o rw,no_root_squash,fsid=7 127.0.0.1:$D/below \
            && mount -t nfs -o vers=4.2 127.0.0.1:$D/below $D/mounted",
        quota: None,
    },
];

/// A file system that is mounted until the end of the value.
pub(crate) struct Disk {
    pub(crate) kind: &'static Kind,
    dir: TempDir,
}

impl Disk {
    /// Makes and mounts a file system. Fails with what the system says if it cannot.
    pub(crate) fn mount(kind: &'static Kind) -> Result<Self, String> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("mounted")).unwrap();
        let disk = Self { kind, dir };
        disk.run("chmod 755 $D")?;
        disk.run(kind.script)?;
        Ok(disk)
    }

    /// The root of the file system.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("mounted")
    }

    /// Runs a script that knows the folder and the user. Fails with the last line of what it
    /// prints.
    pub(crate) fn run(&self, script: &str) -> Result<(), String> {
        run(script, self.dir.path())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // from the top down; what is still in use goes with the mount namespace
        for name in ["mounted", "upper", "lower", "below"] {
            let _ = run(
                &format!("! mountpoint -q $D/{name} || umount -l $D/{name}"),
                self.dir.path(),
            );
        }
    }
}

fn run(script: &str, dir: &Path) -> Result<(), String> {
    let mut shell = Command::new("sh");
    let output =
        shell.args(["-c", script]).env("D", dir).env("U", USER.to_string()).output().unwrap();
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let said = text.lines().rfind(|line| !line.trim_start().starts_with("dmesg(1)"));
    Err(said.unwrap_or("no reason was given").trim().to_owned())
}
