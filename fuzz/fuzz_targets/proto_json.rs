//! See `assay_fuzz::proto_json`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| assay_fuzz::proto_json::run(data));
