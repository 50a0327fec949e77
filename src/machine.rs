//! What the machine has.

/// Bytes of memory that this program may hope for: what the machine has, or what the program's limits
/// leave it. `u64::MAX` where neither is known.
pub fn memory() -> u64 {
    physical().unwrap_or(u64::MAX).min(address_space().unwrap_or(u64::MAX))
}

/// Bytes of memory of the machine.
pub fn physical() -> Option<u64> {
    let kilobytes: u64 =
        listed("/proc/meminfo", "MemTotal")?.split_whitespace().next()?.parse().ok()?;
    kilobytes.checked_mul(1 << 10)
}

#[cfg(unix)]
fn address_space() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::As).current
}

#[cfg(not(unix))]
fn address_space() -> Option<u64> {
    None
}

/// What stands behind a name in a file of the system, where it has one.
pub fn listed(path: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
