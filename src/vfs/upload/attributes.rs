//! The attributes that a new version of a file takes over from the old one.

use std::ffi::CStr;
use std::fs::File;

use rustix::fs::{
    Gid, Mode, Stat, Uid, XattrFlags, fchmod, fchown, fgetxattr, flistxattr, fremovexattr,
    fsetxattr, fstat,
};

/// Name of the extended attribute that holds the access control list.
const ACL: &CStr = c"system.posix_acl_access";

/// Extended attributes that describe the content of a file, and so are not copied to new
/// content.
const OF_CONTENT: [&CStr; 3] = [c"security.capability", c"security.ima", c"security.evm"];

/// Linux's limit on the size of an attribute, and on that of the list of all attribute names.
const MOST: usize = 64 << 10;

/// Gives a new file, which was created with `mode`, the owner, extended attributes and mode of
/// the old one, as far as this process may.
pub(in crate::vfs) fn carry_over(old: &File, stat: &Stat, new: &File, mode: u32) {
    let Ok(blank) = fstat(new) else { return };
    let strange = blank.st_uid != stat.st_uid || blank.st_gid != stat.st_gid;
    if strange {
        let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        // the group alone is often allowed where the owner is not
        let _ = fchown(new, Some(uid), Some(gid)).or_else(|_| fchown(new, None, Some(gid)));
    }
    if !copy_attributes(old, new) {
        // the new file may have inherited a list from its directory that the old one does not
        // have
        let _ = fremovexattr(new, ACL);
    }
    if strange || blank.st_mode & 0o7777 != mode {
        let _ = fchmod(new, Mode::from_raw_mode(mode));
    }
}

/// Copies the extended attributes, and returns whether an access control list was among them.
fn copy_attributes(old: &File, new: &File) -> bool {
    let mut names = [0_u8; 1024];
    let short = flistxattr(old, &mut names[..]).map(|len| names.get(..len));
    let (mut long, mut value) = (Vec::new(), Vec::new());
    let names = match short {
        Ok(Some([])) => return false,
        Ok(names) => names.unwrap_or_default(),
        // the list of names is longer than usual
        Err(rustix::io::Errno::RANGE) => {
            long.resize(MOST, 0);
            let len = flistxattr(old, long.as_mut_slice()).unwrap_or_default();
            long.get(..len).unwrap_or_default()
        }
        Err(_) => return false,
    };
    let names = names.split_inclusive(|&byte| byte == 0);
    let mut has_acl = false;
    for name in names.filter_map(|name| CStr::from_bytes_with_nul(name).ok()) {
        if OF_CONTENT.contains(&name) {
            continue;
        }
        has_acl |= name == ACL;
        value.resize(MOST, 0);
        if let Ok(len) = fgetxattr(old, name, value.as_mut_slice()) {
            let value = value.get(..len).unwrap_or_default();
            // an attribute that this process may not set is left out
            let _ = fsetxattr(new, name, value, XattrFlags::empty());
        }
    }
    has_acl
}
