//! A server with a home on the file system that is tried.

use std::fs;
use std::os::unix::fs::chown;
use std::path::PathBuf;

use crate::client::Client;
use crate::disks::{Disk, USER};
use crate::server::Server;

/// A new folder of a file system, and a server that serves it to two users.
pub(crate) struct Home<'d> {
    pub(crate) disk: &'d Disk,
    pub(crate) server: Server,
    /// The folder on the disk.
    pub(crate) path: PathBuf,
}

impl<'d> Home<'d> {
    /// Makes the folder and starts the server.
    pub(crate) fn on(disk: &'d Disk) -> Self {
        let path = disk.path().join("home");
        if path.exists() {
            // what the last one has left
            fs::remove_dir_all(&path).unwrap();
        }
        fs::create_dir(&path).unwrap();
        // FAT has the owner that it was mounted with
        let _ = chown(&path, Some(USER), Some(USER));
        let user = |name: &str, more: &str| {
            let home = path.display();
            format!("[user:{name}]\npassword = p\nperm = elradfmwMT\nhome = {home}\n{more}\n")
        };
        let server = Server::setup()
            .run_as(USER)
            .section(&user("eve", ""))
            .section(&user("old", "atomic_uploads = off"))
            .start();
        Self { disk, server, path }
    }

    /// A client that is logged in.
    pub(crate) fn client(&self) -> Client {
        Client::login(&self.server, "eve", "p")
    }

    /// A client whose uploads are written in place.
    pub(crate) fn client_in_place(&self) -> Client {
        Client::login(&self.server, "old", "p")
    }

    /// Reads a file of the home from outside the server.
    pub(crate) fn get(&self, name: &str) -> Vec<u8> {
        let path = self.path.join(name);
        fs::read(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
    }
}
