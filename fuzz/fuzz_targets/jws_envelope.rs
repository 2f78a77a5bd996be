//! See `assay_fuzz::jws_envelope`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| assay_fuzz::jws_envelope::run(data));
