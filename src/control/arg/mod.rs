//! The arguments of commands: their types, and the functions that parse them.

pub(super) mod address;
pub(super) mod choice;
pub(super) mod modification;
pub(super) mod options;
pub(super) mod range;
pub(super) mod text;
pub(super) mod time;

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use proptest::prelude::*;

    use super::address::{extended, extended_passive, host_port};
    use super::choice::{facts, letter, mode, mode_and_path, switch, transfer_type};
    use super::text::{allocation, offset, pathname};
    use super::time::{Moment, time_and_path, time_val, timed_path, utime};
    use crate::control::syntax::SyntaxError;

    #[test]
    fn addresses_of_both_forms_are_read() {
        let address: SocketAddr = "10.0.0.1:5001".parse().unwrap();
        assert_eq!(host_port(b"10,0,0,1,19,137"), Ok(address));
        assert_eq!(extended(b"|1|10.0.0.1|5001|"), Ok(address));
        assert_eq!(extended(b"!2!::1!5001!"), Ok("[::1]:5001".parse().unwrap()));
        for text in ["1,2,3,4,5", "1,2,3,4,5,6,7", "1,2,3,4,5,256", "+1,2,3,4,5,6", "a", ""] {
            assert_eq!(host_port(text.as_bytes()), Err(SyntaxError::BadArgument), "{text}");
        }
        for text in ["|1|::1|5|", "|1|1.2.3.4|70000|", "|1|1.2.3.4|5", "1.2.3.4", "", "|"] {
            assert_eq!(extended(text.as_bytes()), Err(SyntaxError::BadArgument), "{text}");
        }
        assert_eq!(extended(b"|3|x|5|"), Err(SyntaxError::UnknownProtocol));
    }

    #[test]
    fn offsets_go_up_to_what_a_file_can_hold() {
        assert_eq!(offset(b"9223372036854775807"), Ok(u64::MAX / 2));
        for text in ["9223372036854775808", "18446744073709551616", "-1", "+1", "1 2", "x", ""]
        {
            assert_eq!(offset(text.as_bytes()), Err(SyntaxError::BadNumber), "{text}");
        }
    }

    #[test]
    fn only_dates_that_exist_are_times() {
        assert_eq!(time_val(b"20240229120000"), Ok(Moment(1_709_208_000)));
        assert_eq!(time_val(b"20240229120000.999"), Ok(Moment(1_709_208_000)));
        assert_eq!(time_val(b"19691231235959"), Ok(Moment(-1)));
        assert_eq!(time_val(b"20161231235960"), Ok(Moment(1_483_228_800)));
        for text in [
            "20230229120000",
            "20241301000000",
            "20240100000000",
            "20240101240000",
            "20240101006000",
            "2024010100000",
            "20240101000000.",
            "2024010100000x",
            "09991231235959",
        ] {
            assert_eq!(time_val(text.as_bytes()), Err(SyntaxError::BadTime), "{text}");
        }
    }

    #[test]
    fn setters_of_time_take_all_the_forms_that_clients_send() {
        let at = |text: &[u8]| timed_path(text).map(|timed| timed.moment.0);
        assert_eq!(at(b"20240229120000 a b"), Ok(1_709_208_000));
        assert_eq!(at(b"20240229120000+60 a"), Ok(1_709_208_000 - 3600));
        assert_eq!(at(b"20240229120000-60 a"), Ok(1_709_208_000 + 3600));
        assert_eq!(at(b"file.txt"), Err(SyntaxError::MissingArgument));
        let path = |text: &[u8]| {
            utime(text).map(|fits| {
                let (at, path) = fits.meant(|_| true);
                (at.0, String::from_utf8(path.as_bytes().to_vec()).unwrap())
            })
        };
        assert_eq!(path(b"202402291200 a b"), Ok((1_709_208_000, "a b".into())));
        assert_eq!(path(b"20240229120000 a"), Ok((1_709_208_000, "a".into())));
        assert_eq!(
            path(b"a b 20240101000000 20240229120000 20240101000000 UTC"),
            Ok((1_709_208_000, "a b".into()))
        );
    }

    #[test]
    fn modes_are_three_octal_digits_of_permission() {
        assert_eq!(mode_and_path(b"0644 a b"), Ok((0o644, pathname(b"a b").unwrap())));
        for text in ["4755 a", "1777 a", "888 a", "+44 a", "00644 a"] {
            assert_eq!(mode_and_path(text.as_bytes()), Err(SyntaxError::BadMode), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_an_argument_panic(text: Vec<u8>) {
            let _ = (pathname(&text), offset(&text), allocation(&text), transfer_type(&text));
            let _ = (letter(&text), host_port(&text), extended(&text), extended_passive(&text));
            let _ = (mode_and_path(&text), timed_path(&text), utime(&text), facts(&text));
            let _ = (switch(&text), time_and_path(&text), mode(&text));
        }
    }
}
