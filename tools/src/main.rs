//! The program `ledger`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ledger_tools::run(std::env::args_os().collect())
}
