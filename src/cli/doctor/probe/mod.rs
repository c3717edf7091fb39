//! Collects the facts. Nothing here changes anything: files are read, programs that list rules are
//! run with a time limit, and connections are made to addresses of this machine only.

mod host;
mod network;
mod ports;
mod read;
mod rules;
mod settings;
mod sockets;

use std::path::Path;

use super::facts::{Facts, Homes, Network, Running};
use crate::rights;
use settings::Found;

/// Returns the interfaces, and the container that this process is in.
pub(super) fn surroundings() -> (Network, Option<String>) {
    (network::network(), host::container())
}

/// Collects all facts about a server with these settings.
pub(super) fn gather(file: Option<&Path>) -> Facts {
    let network = network::network();
    let (settings, found) = match settings::read(file) {
        Ok(found) => (Ok(found.wanted.clone()), Some(found)),
        Err(why) => (Err(why), None),
    };
    let running = found.as_ref().map_or(Running::Unknown, ports::running);
    let sockets = ports::sockets();
    let control = found.as_ref().map(|found| found.wanted.port);
    let owner = sockets.iter().find(|socket| Some(socket.at.port()) == control);
    let owner = owner.map(|socket| socket.uid);
    let ports = found
        .as_ref()
        .map(|found| ports::ports(&found.wanted, running, &network, sockets))
        .unwrap_or_default();
    let of = |found: &Found| {
        (host::homes(found, owner), host::disks(found), host::limit(found, running))
    };
    let (homes, disks, files) =
        found.as_ref().map_or_else(|| (Homes::default(), Vec::new(), None), of);
    Facts {
        is_root: rights::is_root(),
        container: host::container(),
        running,
        ports,
        rules: rules::rules(),
        homes,
        disks,
        files,
        certificate: found.as_ref().and_then(|found| host::certificate(found, owner)),
        clock: host::clock(),
        kernel: host::kernel(),
        settings,
        network,
    }
}
