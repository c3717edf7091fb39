//! The header of the PROXY protocol: what follows it does not matter, and not a byte of that is read.

use ftpd::proxy::read;

/// Checks the beginning of one connection.
pub(super) fn check(data: &[u8]) {
    let first = read(data);
    if let Ok(Some((introduced, length))) = first {
        assert!(length <= data.len(), "more was read than there is");
        let header = &data[..length];
        assert_eq!(read(header), Ok(Some((introduced, length))), "what follows matters");
        for behind in [&b"\r\n"[..], b"USER bob\r\n", b"\0", b"PROXY "] {
            let more = [header, behind].concat();
            assert_eq!(read(&more), Ok(Some((introduced, length))), "what follows matters");
        }
        for cut in 0..length {
            assert_eq!(read(&header[..cut]), Ok(None), "read before it was complete");
        }
    }
    if let Err(why) = first {
        // no further byte makes a header of it
        let more = [data, b"\r\n"].concat();
        assert!(read(&more).is_err(), "{why}, but not with more behind it");
    }
}
