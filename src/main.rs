//! The `cortado` program.

fn main() {}
