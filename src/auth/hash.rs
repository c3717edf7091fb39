//! Checks a password against a hash, and makes hashes.
//!
//! Both take much time and memory on purpose, so a running server checks passwords only on the
//! threads of `workers`.

use std::io;

use argon2::{Algorithm, Argon2, Block, Params, PasswordHash, Version};
use ring::rand::{SecureRandom, SystemRandom};
use sha_crypt::ShaCrypt;
use sha_crypt::password_hash::{self, PasswordHasher, PasswordVerifier};
use subtle::ConstantTimeEq;
use yescrypt::Yescrypt;

use crate::config::{Hash, Scheme};

/// Maximum length of a password in bytes, as in crypt(3). For some schemes the time of a check grows
/// with the square of the length.
const LONGEST: usize = 512;

/// Minimum number of blocks of 1 KiB to allocate for a check. The allocator returns an area of more
/// than 32 MiB to the system as soon as it is freed, but would keep a smaller one for each thread.
/// Pages that are never written to take no memory.
const ROOM: usize = 33 << 10;

/// Length of the salt of a new hash, in bytes.
const SALT: usize = 16;

/// Returns whether the hash was made from the password.
///
/// # Errors
///
/// When the check fails; the text is for the log.
pub(super) fn check(hash: &Hash, password: &[u8]) -> Result<bool, String> {
    // crypt(3) ends a password at a NUL, so two different passwords would be equal
    let fits = password.len() <= LONGEST && !password.contains(&0);
    let password = password.get(..LONGEST).unwrap_or(password);
    let text = hash.expose();
    let same = match hash.scheme() {
        Scheme::Argon2id => argon2id(text, password)?,
        Scheme::Yescrypt => verdict(Yescrypt::default().verify_password(password, text))?,
        Scheme::ShaCrypt => verdict(ShaCrypt::default().verify_password(password, text))?,
        Scheme::Bcrypt => bcrypt::verify(password, text).map_err(|why| why.to_string())?,
    };
    Ok(same && fits)
}

fn verdict(verified: password_hash::Result<()>) -> Result<bool, String> {
    match verified {
        Ok(()) => Ok(true),
        Err(password_hash::Error::PasswordInvalid) => Ok(false),
        Err(why) => Err(why.to_string()),
    }
}

fn argon2id(text: &str, password: &[u8]) -> Result<bool, String> {
    let hash = PasswordHash::new(text).map_err(|why| why.to_string())?;
    let (Some(salt), Some(right)) = (&hash.salt, &hash.hash) else {
        return Err("no salt or no hash".to_owned());
    };
    let params = Params::try_from(&hash).map_err(|why| why.to_string())?;
    let mut blocks = Vec::<Block>::new();
    let count = params.block_count();
    blocks.try_reserve_exact(count.max(ROOM)).map_err(|why| why.to_string())?;
    blocks.resize(count, Block::new());
    let mut made = vec![0; right.len()];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    argon2
        .hash_password_into_with_memory(password, salt.as_ref(), &mut made, &mut blocks[..])
        .map_err(|why| why.to_string())?;
    Ok(made.ct_eq(right.as_bytes()).into())
}

/// Makes a hash of a password: Argon2id with 19 MiB and two passes, as OWASP advises.
///
/// # Errors
///
/// When the password is empty, is too long or contains a NUL, or the system has no random bytes.
pub fn make(password: &[u8]) -> io::Result<String> {
    if password.is_empty() || password.len() > LONGEST || password.contains(&0) {
        let why = format!("a password must have 1 to {LONGEST} bytes and no NUL");
        return Err(io::Error::other(why));
    }
    let mut salt = [0; SALT];
    let random = SystemRandom::new().fill(&mut salt);
    random.map_err(|_| io::Error::other("the system has no random bytes"))?;
    let made: PasswordHash = Argon2::default()
        .hash_password_with_salt(password, &salt)
        .map_err(|why| io::Error::other(why.to_string()))?;
    Ok(made.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::{Config, Password, of_text};

    fn config(hash: &str) -> Option<Config> {
        of_text(&format!("[user:x]\npassword = {hash}\nhome = /\n")).ok()
    }

    fn read(hash: &str) -> Option<Hash> {
        match config(hash)?.users.get("x")?.password.clone()? {
            Password::Hash(hash) => Some(hash),
            Password::Clear(_) | Password::Elsewhere => None,
        }
    }

    /// Hashes of "tops3cret", made by crypt(3) of Debian 12, except the last one.
    const OF_CRYPT: [&str; 10] = [
        "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$Ck35niP/iB2hEjC.aqhNL2mrOkrxZP6NFq9LYVNr7q5",
        "$y$j75$F5Jx5fExrKuPp53xLKQ..1$cBPmA/Ts3o9M2V8w3imkA6htkN6xm3yBmybTuJvnRm0",
        "$6$saltsalt$9HJUwHOB.jozecNvvho6RDb6Yd34bKc3uTbkrjSb8TAYd4lssXNBL3E3aqUeXvTTsZ6GCAtQzpCmgu9c3BDS1/",
        "$6$rounds=1000$saltsalt$KHJwiP2WZfMm5MqPtm1vQnPth4KxDVzT6t83ieRq2hsCnaiItOyfRpwyCzoir4WvFaDeeSHVdKW967uDCgSUt1",
        "$5$saltsalt$RMZpFlIoeacXWGk1MHDRd33JIZba4KWZM2aFifVrf3B",
        "$2b$04$abcdefghijklmnopqrstuuSxOLLS9sGvgjggOGhncNEfrmAev4zl.",
        "$2y$04$abcdefghijklmnopqrstuuSxOLLS9sGvgjggOGhncNEfrmAev4zl.",
        "$2a$04$abcdefghijklmnopqrstuuSxOLLS9sGvgjggOGhncNEfrmAev4zl.",
        // with the costs that `pure-pw useradd` of Debian 12 chooses
        "$argon2id$v=19$m=8192,t=255,p=1$MDEyMzQ1Njc4OWFiY2RlZg$TjinTotfvNSg0ODgM24gv3zvOgvH7SpzLU+JhZFAd/k",
        // a hash of "password", made by the reference implementation of Argon2
        "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
    ];

    #[test]
    fn hashes_of_other_programs_fit_their_passwords_alone() {
        for hash in OF_CRYPT {
            let right: &[u8] = if hash.contains("m=256,") { b"password" } else { b"tops3cret" };
            let hash = read(hash).unwrap_or_else(|| panic!("{hash}"));
            assert_eq!(check(&hash, right), Ok(true), "{}", hash.expose());
            for wrong in [&b""[..], b"tops3cre", b"tops3cret ", b"TOPS3CRET", b"passwor"] {
                assert_eq!(check(&hash, wrong), Ok(false), "{}", hash.expose());
            }
            let behind_nul = [right, b"\0", right].concat();
            assert_eq!(check(&hash, &behind_nul), Ok(false), "{}", hash.expose());
            assert_eq!(check(&hash, &[b'x'; 8000]), Ok(false), "{}", hash.expose());
        }
    }

    #[test]
    fn what_is_made_here_fits_and_is_never_the_same() {
        let (one, two) = (make(b"p\xE4ss word").unwrap(), make(b"p\xE4ss word").unwrap());
        assert_ne!(one, two);
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        let hash = read(&one).unwrap();
        assert_eq!(check(&hash, b"p\xE4ss word"), Ok(true));
        assert_eq!(check(&hash, b"p\xC3\xA4ss word"), Ok(false));
        for refused in [&b""[..], b"a\0b", &[b'x'; 513]] {
            assert!(make(refused).is_err());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// Every text that the settings accept as a hash can be checked, and a changed hash fits no
        /// password.
        #[test]
        fn a_hash_with_a_letter_changed_fits_no_more(
            // the slow ones come last and are left out
            which in 1..OF_CRYPT.len() - 2, at: prop::sample::Index, letter in "[./0-9A-Za-z]",
        ) {
            let mut text = OF_CRYPT[which].to_owned();
            let begin = text.rfind('$').unwrap() + 1;
            // bcrypt does not separate the hash from the salt before it
            let begin = if text.starts_with("$2") { 29 } else { begin };
            let at = begin + at.index(text.len() - begin - 1);
            prop_assume!(text[at..=at] != letter);
            text.replace_range(at..=at, &letter);
            if let Some(hash) = read(&text) {
                prop_assert_eq!(check(&hash, b"tops3cret"), Ok(false));
            }
        }

        #[test]
        fn no_text_makes_the_check_panic(text in "\\$(y\\$j75|5|6|2b\\$04|argon2id\\$v=19\\$m=8,t=1,p=1)\\$[./0-9A-Za-z+=$]{0,120}") {
            if let Some(hash) = read(&text) {
                let _ = check(&hash, b"tops3cret");
            }
        }
    }
}
