//! See `assay_fuzz::path`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| assay_fuzz::path::run(data));
