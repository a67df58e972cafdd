//! How long tests with chance in them go on: longer where `tests/run --all` asks for it.

/// How many times as many rounds and cases there are with `LEDGER_LONG`.
const LONGER: u32 = 4;

/// So many rounds of kills, stops or random histories, or more.
pub fn rounds(usual: u64) -> u64 {
    usual * u64::from(times())
}

/// So many cases of a property test, or more.
pub fn cases(usual: u32) -> u32 {
    usual * times()
}

fn times() -> u32 {
    if std::env::var_os("LEDGER_LONG").is_some() { LONGER } else { 1 }
}
