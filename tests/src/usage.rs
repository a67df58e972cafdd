//! What a process has used of memory and time, as Linux counts it.

/// The largest part of the memory that a process has had so far, in bytes; `None` once it ended.
pub fn peak_bytes(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok().map(|kib: u64| kib << 10)
}

/// Bytes that a process has read, from disks, from the system's cache and from pipes.
///
/// # Panics
/// If the process has ended.
pub fn read_bytes(process: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/io")).expect("it runs");
    let figure = text.lines().find_map(|line| line.strip_prefix("rchar: "));
    figure.and_then(|figure| figure.parse().ok()).expect("a number")
}
