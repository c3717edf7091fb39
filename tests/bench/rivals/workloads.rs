//! The table of workloads and the goals of each.

use crate::link::Reader;
use crate::place::Key;
use crate::workload::{Goal, To, Workload, workload};
use crate::{disk, raw, raw_tls, work};

pub const GIB: u64 = 1 << 30;
pub const SMALL: u64 = 4096;

const GB: f64 = GIB as f64 / 1e9;
const HALF: u64 = GIB / 2;

const fn best(ratio: f64) -> Goal {
    Goal { of: "ftpd", to: To::Best, ratio }
}

const fn direct(ratio: f64) -> Goal {
    Goal { of: "ftpd-direct", to: To::Best, ratio }
}

const fn raw(ratio: f64) -> Goal {
    Goal { of: "ftpd", to: To::Raw, ratio }
}

/// At most 3 % for the log.
const QUIET: Goal = Goal { of: "ftpd", to: To::Quiet, ratio: 0.97 };
/// At most 5 % for quota, retention and trash.
const KEEPS: Goal = Goal { of: "ftpd-keeps", to: To::Plain, ratio: 0.95 };
/// At most 15 % for telling a broker on this machine of each upload.
const EVENTS: Goal = Goal { of: "ftpd-events", to: To::Plain, ratio: 0.85 };
/// No more processor time than the fastest rival.
const CPU: Goal = Goal { of: "ftpd", to: To::BestCpu, ratio: 1.0 };

/// Every workload, with the goals.
#[rustfmt::skip]
pub static WORKLOADS: &[Workload] = &[
    workload("retr_discard", "download 1 GiB, reader that discards", "GB/s", GB, |c| work::big(c, GIB, Reader::Discard))
        .beside(raw::sendfile_discard).goals(&[best(1.0), CPU]),
    workload("retr_copy", "download 1 GiB, reader that copies", "GB/s", GB, |c| work::big(c, GIB, Reader::Copy))
        .beside(raw::sendfile_copy).goals(&[best(1.4)]),
    workload("retr_8", "download, eight streams", "GB/s", GB, |c| work::big(c, GIB, Reader::Discard))
        .clients(8).once().beside(raw::sendfile_discard).goals(&[best(1.2)]),
    workload("stor_1", "upload 1 GiB", "GB/s", GB, |c| work::big_up(c, GIB))
        .beside(raw::splice_up).goals(&[best(1.3)]),
    workload("stor_8", "upload, eight streams", "GB/s", GB / 2.0, |c| work::big_up(c, HALF))
        .clients(8).once().beside(raw::splice_up).goals(&[best(1.3)]),
    workload("small_down", "4 KiB files down, one processor", "files/s", 1.0, work::small_down)
        .on_one_cpu().beside(raw::small_down).above_floor().and(&["ftpd-quiet"]).goals(&[best(1.3), QUIET]),
    workload("small_down_8", "4 KiB files down, eight connections", "files/s", 1.0, work::small_down)
        .clients(8).above_floor().and(&["ftpd-quiet"]).goals(&[best(1.4), QUIET]),
    workload("small_up", "4 KiB files up, one processor", "files/s", 1.0, work::small_up)
        .on_one_cpu().beside(raw::small_up).above_floor().and(&["ftpd-quiet", "ftpd-direct", "ftpd-keeps", "ftpd-events"])
        .goals(&[best(1.0), direct(1.2), QUIET, KEEPS, EVENTS]),
    workload("small_up_8", "4 KiB files up, eight connections", "files/s", 1.0, work::small_up)
        .clients(8).above_floor().and(&["ftpd-quiet", "ftpd-direct", "ftpd-keeps", "ftpd-events"])
        .goals(&[best(1.0), direct(1.2), QUIET, KEEPS, EVENTS]),
    workload("login_1", "logins, one processor", "logins/s", 1.0, work::logins)
        .on_one_cpu().beside(raw::logins).above_floor().and(&["ftpd-quiet"]).goals(&[best(1.7), QUIET]),
    workload("login_16", "logins, sixteen clients", "logins/s", 1.0, work::logins)
        .clients(16).above_floor().and(&["ftpd-quiet"]).goals(&[best(1.5), QUIET]),
    workload("list_10k", "LIST of 10,000 entries", "listings/s", 1.0, |c| work::listing(c, "LIST ", 10_000))
        .beside(raw::listing_10k),
    workload("list_100k", "LIST of 100,000 entries", "listings/s", 1.0, |c| work::listing(c, "LIST ", 100_000))
        .beside(raw::listing_100k).goals(&[best(1.5), raw(0.92)]),
    workload("mlsd_100k", "MLSD of 100,000 entries", "listings/s", 1.0, |c| work::listing(c, "MLSD ", 100_000))
        .beside(raw::listing_100k).goals(&[best(1.4), raw(0.92)]),
    workload("noop", "NOOP, one processor", "replies/s", work::NOOPS as f64, work::noop).on_one_cpu(),
    workload("tls_retr_1", "TLS: download 1 GiB", "GB/s", GB, |c| work::big(c, GIB, Reader::Copy))
        .over_tls(Key::Ecdsa).beside(raw_tls::down).goals(&[best(1.5)]),
    workload("tls_retr_8", "TLS: download, eight streams", "GB/s", GB / 2.0, |c| work::big(c, HALF, Reader::Copy))
        .over_tls(Key::Ecdsa).clients(8).once().goals(&[best(1.5)]),
    workload("tls_stor_1", "TLS: upload 1 GiB", "GB/s", GB, |c| work::big_up(c, GIB))
        .over_tls(Key::Ecdsa).beside(raw_tls::up).goals(&[best(1.5)]),
    workload("tls_stor_8", "TLS: upload, eight streams", "GB/s", GB / 2.0, |c| work::big_up(c, HALF))
        .over_tls(Key::Ecdsa).clients(8).once().goals(&[best(1.5)]),
    workload("tls_small_down", "TLS: 4 KiB files down, data connections resume", "files/s", 1.0, work::small_down)
        .over_tls(Key::Ecdsa),
    workload("tls_small_fresh", "TLS: 4 KiB files down, data connections do not resume", "files/s", 1.0, work::small_down)
        .over_tls(Key::Ecdsa).without_resumption(),
    workload("tls_list_10k", "TLS: LIST of 10,000 entries", "listings/s", 1.0, |c| work::listing(c, "LIST ", 10_000))
        .over_tls(Key::Ecdsa),
    workload("tls_login_1", "TLS: logins, ECDSA key", "logins/s", 1.0, work::logins)
        .over_tls(Key::Ecdsa).above_floor().goals(&[best(1.15)]),
    workload("tls_login_16", "TLS: logins, ECDSA key, sixteen clients", "logins/s", 1.0, work::logins)
        .over_tls(Key::Ecdsa).clients(16).above_floor().goals(&[best(1.15)]),
    workload("tls_login_rsa_1", "TLS: logins, RSA key", "logins/s", 1.0, work::logins)
        .over_tls(Key::Rsa).above_floor().goals(&[best(1.15)]),
    workload("tls_login_rsa_16", "TLS: logins, RSA key, sixteen clients", "logins/s", 1.0, work::logins)
        .over_tls(Key::Rsa).clients(16).above_floor().goals(&[best(1.15)]),
    workload("reno_retr_discard", "download 1 GiB, reader that discards", "GB/s", GB, |c| work::big(c, GIB, Reader::Discard))
        .unpaced().beside(raw::sendfile_discard),
    workload("reno_retr_copy", "download 1 GiB, reader that copies", "GB/s", GB, |c| work::big(c, GIB, Reader::Copy))
        .unpaced().beside(raw::sendfile_copy),
    workload("reno_retr_8", "download, eight streams", "GB/s", GB, |c| work::big(c, GIB, Reader::Discard))
        .unpaced().clients(8).once().beside(raw::sendfile_discard),
    workload("reno_stor_1", "upload 1 GiB", "GB/s", GB, |c| work::big_up(c, GIB))
        .unpaced().beside(raw::splice_up),
    workload("reno_stor_8", "upload, eight streams", "GB/s", GB / 2.0, |c| work::big_up(c, HALF))
        .unpaced().clients(8).once().beside(raw::splice_up),
    workload("disk_retr", "download 1 GiB, reader that copies", "GB/s", GB, |c| work::big(c, GIB, Reader::Copy))
        .on_disk(),
    workload("disk_stor", "upload 1 GiB", "GB/s", GB, |c| work::big_up(c, GIB))
        .on_disk().once(),
    workload("disk_small_down", "4 KiB files down, one processor", "files/s", 1.0, work::small_down)
        .on_disk().on_one_cpu(),
    workload("disk_small_up", "4 KiB files up, one processor", "files/s", 1.0, work::small_up)
        .on_disk().on_one_cpu().and(&["ftpd-direct"]),
    workload("disk_small_up_8", "4 KiB files up, eight connections", "files/s", 1.0, work::small_up)
        .on_disk().clients(8).and(&["ftpd-direct"]),
    workload("sync_small_up", "4 KiB files up, `sync_uploads`", "files/s", 1.0, work::small_up)
        .on_disk().only(&["ftpd-synced"]).beside(disk::synced_small).and_durable(disk::durable_small),
    workload("sync_stor", "upload 1 GiB, `sync_uploads`", "GB/s", GB, |c| work::big_up(c, GIB))
        .on_disk().once().only(&["ftpd-synced"]).beside(disk::synced_big).and_durable(disk::durable_big),
];
