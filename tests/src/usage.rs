//! What a process has used of memory and time, as Linux counts it.

/// The largest part of the memory that a process has had so far, in bytes; `None` once it ended.
pub fn peak_bytes(process: u32) -> Option<u64> {
    kibibytes(process, "VmHWM:").map(|kib| kib << 10)
}

/// What the process has of the memory now, in bytes.
pub fn held_bytes(process: u32) -> Option<u64> {
    kibibytes(process, "VmRSS:").map(|kib| kib << 10)
}

/// Lets the peak begin anew with what the process holds now.
///
/// # Panics
/// If it is no process of this user.
pub fn forget_peak(process: u32) {
    // proc(5): 5 resets the peak resident set size
    std::fs::write(format!("/proc/{process}/clear_refs"), "5").expect("a process of this user");
}

/// The time that all threads of a process have computed for, in hundredths of a second.
///
/// # Panics
/// If the process has ended.
pub fn cpu_hundredths(process: u32) -> u64 {
    // proc(5): utime and stime
    hundredths(process, [14, 15])
}

/// The same of all the processes that a process has started and waited for.
///
/// # Panics
/// If the process has ended.
pub fn children_cpu_hundredths(process: u32) -> u64 {
    // proc(5): cutime and cstime
    hundredths(process, [16, 17])
}

/// The sum of two times in `/proc/PID/stat`, by the numbers of their fields in proc(5). All Linux
/// kernels count them in 1/100 s.
fn hundredths(process: u32, fields: [usize; 2]) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs");
    // the name, field 2, may hold blanks: the fields after its parenthesis begin with field 3
    let (_, rest) = stat.rsplit_once(')').expect("a name");
    let rest: Vec<&str> = rest.split_whitespace().collect();
    fields.map(|field| rest[field - 3].parse::<u64>().expect("a number")).iter().sum()
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

fn kibibytes(process: u32, name: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// What a text is called, and how one of about so many bytes is made.
pub type MadeText = (&'static str, fn(usize) -> String);

/// Texts that take much to read: the shortest values of JSON, deep nesting, long texts and numbers.
pub const EXPENSIVE_TEXTS: [MadeText; 6] = [
    ("objects", |bytes| list("{}", bytes)),
    ("lists", |bytes| list("[]", bytes)),
    ("texts", |bytes| list(r#""""#, bytes)),
    ("deep lists", |bytes| list("[[[[[[[[[[[[[[0]]]]]]]]]]]]]]", bytes)),
    ("a long text", |bytes| format!("\"{}\"", "a".repeat(bytes))),
    ("a long number", |bytes| "9".repeat(bytes)),
];

/// The same, of further kinds.
pub const OTHER_TEXTS: [MadeText; 9] = [
    ("short texts", |bytes| list(r#""a""#, bytes)),
    ("numbers", |bytes| list("0", bytes)),
    ("members", |bytes| list(r#"{"":0}"#, bytes)),
    ("brackets", |bytes| "[".repeat(bytes)),
    ("braces", |bytes| r#"{"":"#.repeat(bytes / 4)),
    ("a long text of escapes", |bytes| format!("\"{}\"", r"\n".repeat(bytes / 2))),
    ("blanks", |bytes| " ".repeat(bytes)),
    ("lines", |bytes| "a\n".repeat(bytes / 2)),
    ("signature lines", |bytes| "\u{2014} a AAAAAAA=\n".repeat(bytes / 15)),
];

/// A list of as many of these values as about so many bytes hold.
fn list(value: &str, bytes: usize) -> String {
    let values = format!("{value},").repeat(bytes / (value.len() + 1));
    format!("[{}]", values.trim_end_matches(','))
}
