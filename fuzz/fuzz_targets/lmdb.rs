#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cortado_fuzz::run("lmdb", bytes));
