#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ftpd_fuzz::check("proxy", data));
