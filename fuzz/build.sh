#!/usr/bin/env bash
# Builds all targets on stable: coverage for libFuzzer, AddressSanitizer, debug assertions.
# Wants Rust and a C++ compiler, nothing else.
set -euo pipefail
cd "$(dirname "$0")"
export RUSTC_BOOTSTRAP=1
export RUSTFLAGS="--cfg fuzzing -Zsanitizer=address -Cpasses=sancov-module \
-Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares"
# Naming the machine keeps the flags away from what only the build runs.
cargo build --release --bins --target "$(rustc -vV | sed -n 's/^host: //p')" "$@"
