//! See `assay_fuzz::apple_extensions`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| assay_fuzz::apple_extensions::run(data));
