//! Users and groups of the system, by name or number.

use std::ffi::CString;
use std::hash::{Hash, Hasher};
use std::path::PathBuf;

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

use super::aside::look_up;

/// The message for a lookup when the thread that does them has ended.
const NOBODY: &str = "cannot be looked up: the thread for lookups has ended";

/// A user of the system with all its groups.
#[derive(Debug, Clone)]
pub struct Ids {
    /// The name or number that the settings give.
    pub name: String,
    /// The number of the user.
    pub uid: u32,
    /// The number of the group that new files belong to.
    pub gid: u32,
    /// The numbers of all groups, `gid` included.
    pub groups: Vec<u32>,
    /// The line of the settings that names the user, for messages.
    pub place: String,
}

impl Ids {
    /// Looks up a user by name or number. New files belong to the user's primary group unless
    /// `gid` names another one.
    ///
    /// # Errors
    ///
    /// A message that continues a sentence which begins with the quoted name.
    pub fn of(name: &str, gid: Option<u32>) -> Result<Self, String> {
        let own = name.to_owned();
        look_up(move || Self::look_up(&own, gid)).unwrap_or_else(|| Err(NOBODY.to_owned()))
    }

    fn look_up(name: &str, gid: Option<u32>) -> Result<Self, String> {
        let cannot = |why| format!("cannot be looked up: {why}");
        let mut found = User::from_name(name).map_err(cannot)?;
        let number = number(name);
        if let (None, Some(number)) = (&found, number) {
            found = User::from_uid(Uid::from_raw(number)).map_err(cannot)?;
        }
        let (uid, own) = match (&found, number) {
            (Some(user), _) => (user.uid.as_raw(), Some(user.gid.as_raw())),
            (None, Some(number)) => (number, None),
            (None, None) => return Err("is not a user of this system".to_owned()),
        };
        let gid = gid.or(own).ok_or_else(|| "has no primary group; name a group".to_owned())?;
        if uid == 0 {
            return Err("is root; expected a user with fewer rights".to_owned());
        }
        let known = found.and_then(|user| CString::new(user.name).ok());
        let groups = match known {
            Some(name) => getgrouplist(&name, Gid::from_raw(gid)).map_err(cannot)?,
            None => vec![Gid::from_raw(gid)],
        };
        let groups = groups.into_iter().map(Gid::as_raw).collect();
        Ok(Self { name: name.to_owned(), uid, gid, groups, place: String::new() })
    }
}

impl Ids {
    /// Returns all numbers as text, for [`Ids::from_numbers`] in another process.
    pub fn numbers(&self) -> String {
        let groups: Vec<_> = self.groups.iter().map(u32::to_string).collect();
        format!("{}:{}:{}", self.uid, self.gid, groups.join(","))
    }

    /// Parses the text that [`Ids::numbers`] makes. The user need not have a name.
    pub fn from_numbers(text: &str) -> Option<Self> {
        let mut words = text.split(':');
        let (uid, gid, groups) = (words.next()?, words.next()?, words.next()?);
        let groups = groups.split(',').filter(|group| !group.is_empty());
        let groups = groups.map(number).collect::<Option<_>>()?;
        let uid = number(uid).filter(|&uid| uid != 0)?;
        let (name, place) = (uid.to_string(), String::new());
        Some(Self { name, uid, gid: number(gid)?, groups, place })
    }
}

/// Users are equal if their user and group numbers are.
impl PartialEq for Ids {
    fn eq(&self, other: &Self) -> bool {
        (self.uid, self.gid) == (other.uid, other.gid)
    }
}

impl Eq for Ids {}

impl Hash for Ids {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.uid, self.gid).hash(state);
    }
}

/// Returns the home of a user of this system, or `None` if the user does not exist.
pub fn home_of(name: &str) -> Option<PathBuf> {
    User::from_name(name).ok().flatten().map(|user| user.dir)
}

/// Returns the number of a group, given by name or number.
///
/// # Errors
///
/// A message that continues a sentence which begins with the quoted name.
pub fn group(name: &str) -> Result<u32, String> {
    let own = name.to_owned();
    let found = look_up(move || Group::from_name(&own)).ok_or(NOBODY)?;
    let found = found.map_err(|why| format!("cannot be looked up: {why}"))?;
    let found = found.map(|group| group.gid.as_raw()).or_else(|| number(name));
    found.ok_or_else(|| "is not a group of this system".to_owned())
}

/// Parses a number of digits only. Refuses the highest number, which means no user or group.
fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&number| digits && number != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_strangers_are_no_users_to_become() {
        for name in ["root", "0", "00"] {
            assert!(Ids::of(name, None).unwrap_err().starts_with("is root"), "{name}");
        }
        for name in ["", "nobody-of-that-name", "-1", "+5", "4294967295", "1 "] {
            assert_eq!(Ids::of(name, Some(5)).unwrap_err(), "is not a user of this system");
            assert_eq!(group(name).unwrap_err(), "is not a group of this system");
        }
    }

    #[test]
    fn numbers_name_the_same_user_again() {
        let (name, place) = (String::new(), String::new());
        for groups in [vec![], vec![7], vec![7, 8, 90]] {
            let ids = Ids { name: name.clone(), uid: 5, gid: 7, groups, place: place.clone() };
            let again = Ids::from_numbers(&ids.numbers()).unwrap();
            assert_eq!((again.uid, again.gid, again.groups), (5, 7, ids.groups));
        }
        for text in ["", "5", "5:7", "0:7:7", "x:7:", "5:x:", "5:7:x", "-1:7:7"] {
            assert!(Ids::from_numbers(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_number_without_a_name_takes_a_group() {
        let free = (60_000..65_000).find(|&uid| User::from_uid(Uid::from_raw(uid)) == Ok(None));
        let text = free.unwrap().to_string();
        assert_eq!(Ids::of(&text, None).unwrap_err(), "has no primary group; name a group");
        let ids = Ids::of(&text, Some(7)).unwrap();
        assert_eq!((ids.uid, ids.gid, &ids.groups[..]), (free.unwrap(), 7, &[7][..]));
    }
}
