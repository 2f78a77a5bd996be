//! See `assay_fuzz::attestation_object`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| assay_fuzz::attestation_object::run(data));
