//! `ledger audit` over the files of a log with many signed records.
//!
//! `cargo bench -p ledger-benches --bench audit` founds a log, streams signed records into a real node,
//! stops it, and prints what a whole audit of its files takes: seconds, and seconds of computing.
//! `LEDGER_PROGRAMS` names a folder of built programs to measure, and `LEDGER_BEFORE` another one
//! to compare with: both audit the same files in turns. Figures are medians over rounds.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ledger_proto::v1::{self as wire, submit_stream_response::Outcome};
use ledger_tests::consortium::Consortium;
use ledger_tests::process::{NodeProcess, program, run};
use ledger_tests::usage::children_cpu_hundredths;

/// Another folder of built programs.
const BEFORE: &str = "LEDGER_BEFORE";

/// Records in the log, and how many are made at once.
const RECORDS: u64 = 100_000;
const AT_ONCE: u64 = 20_000;

/// Audits by each program; the first of each warms up and is not counted.
const ROUNDS: usize = 8;

/// What one audit took.
#[derive(Clone, Copy)]
struct Took {
    elapsed: Duration,
    computed: Duration,
}

fn main() {
    // `cargo test --benches` runs this without the flag: then there is nothing to measure
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder on a disk");
    let consortium = Consortium::new();
    let site = log(folder.path(), &consortium);
    let anchor = consortium.charter().statement().to_string();

    let before = std::env::var_os(BEFORE).map(|own| PathBuf::from(own).join("ledger"));
    let programs: Vec<(&str, PathBuf)> =
        before.map(|own| ("before", own)).into_iter().chain([("now", program("ledger"))]).collect();
    let mut took = vec![Vec::new(); programs.len()];
    for round in 0..=ROUNDS {
        for ((name, program), took) in programs.iter().zip(&mut took) {
            let one = audit(program, &site, &anchor);
            eprintln!("round {round}, {name}: {:?}, {:?} of computing", one.elapsed, one.computed);
            if round > 0 {
                took.push(one);
            }
        }
    }
    let mut medians = Vec::new();
    for ((name, _), took) in programs.iter().zip(&took) {
        let elapsed = median(took.iter().map(|own| own.elapsed));
        let computed = median(took.iter().map(|own| own.computed));
        let rate = RECORDS as f64 / elapsed.as_secs_f64();
        println!("audit of {RECORDS} signed records, {name}: median {elapsed:?} ({rate:.0}/s), ");
        println!("  of computing on all cores: median {computed:?}");
        medians.push((elapsed, computed));
    }
    if let [before, now] = medians[..] {
        println!("now / before: {:.3}", now.0.as_secs_f64() / before.0.as_secs_f64());
        println!("  of computing: {:.3}", now.1.as_secs_f64() / before.1.as_secs_f64());
    }
}

fn median(times: impl Iterator<Item = Duration>) -> Duration {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    times[times.len() / 2]
}

/// The site of a log of [`RECORDS`] signed records, all published.
fn log(folder: &Path, consortium: &Consortium) -> PathBuf {
    let (charter, log_key) = consortium.write_founding(folder);
    let dir = folder.join("log");
    let arguments = ["init".as_ref(), "--dir".as_ref(), dir.as_os_str()];
    let founding = ["--charter".as_ref(), charter.as_os_str(), "--log-key".as_ref()];
    let arguments = [&arguments[..], &founding, &[log_key.as_os_str()]].concat();
    assert!(run("ledger-node", &arguments).status.success(), "the log is founded");
    let node = NodeProcess::serve(&dir);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("threads").block_on(async {
        let mut client = node.client().await;
        for first in (0..RECORDS).step_by(usize::try_from(AT_ONCE).expect("small")) {
            let request = |n| wire::SubmitRequest {
                record: consortium.incident(n).to_bytes().into(),
                wait: wire::Wait::Published.into(),
            };
            let requests: Vec<_> = (first..first + AT_ONCE).map(request).collect();
            let answers = client.submit_stream(tokio_stream::iter(requests)).await;
            let mut answers = answers.expect("a stream").into_inner();
            while let Some(answer) = answers.message().await.expect("no error") {
                assert!(matches!(answer.outcome, Some(Outcome::Logged(_))), "{answer:?}");
            }
        }
    });
    drop(node);
    dir.join("site")
}

/// Audits the files whole, and measures the process.
fn audit(program: &Path, site: &Path, anchor: &str) -> Took {
    let before = children_cpu_hundredths(std::process::id());
    let began = Instant::now();
    let output = Command::new(program)
        .args(["audit".as_ref(), site.as_os_str(), "--anchor".as_ref(), anchor.as_ref()])
        .stdin(Stdio::null())
        .output()
        .expect("the program runs");
    let elapsed = began.elapsed();
    let text = String::from_utf8_lossy(&output.stdout);
    let all = format!("{} entries", RECORDS + 1);
    assert!(output.status.success() && text.contains(&all), "{text}{output:?}");
    let hundredths = children_cpu_hundredths(std::process::id()) - before;
    Took { elapsed, computed: Duration::from_millis(10 * hundredths) }
}
