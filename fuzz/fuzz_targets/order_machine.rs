//! See `assay_fuzz::order_machine`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| assay_fuzz::order_machine::run(data));
