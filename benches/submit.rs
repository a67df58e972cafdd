//! A real node in a separate process, asked over loopback.
//!
//! `cargo bench -p ledger-benches --bench submit` prints, for the machine it runs on, what a bare
//! `fdatasync` and a bare signature check take, and in the same run how long an idle node takes
//! from Submit to a published proof that this client has verified, and how many signed records a
//! second it takes over one stream. Figures are medians over rounds; see RESULTS.md.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use ledger_core::proof::TlogProof;
use ledger_core::record::{Entry, Logged, Record};
use ledger_proto::v1::{self as wire, Wait, submit_stream_response::Outcome};
use ledger_tests::consortium::Consortium;
use ledger_tests::process::{NodeProcess, run};

/// Single submissions measured.
const SINGLES: u64 = 400;

/// Records in one streamed round; the first round warms up and is not counted.
const STREAMED: u64 = 40_000;
const ROUNDS: u64 = 6;

fn main() {
    // `cargo test --benches` runs this without the flag: then there is nothing to measure
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder on a disk");
    let consortium = Consortium::new();
    let (charter, log_key) = consortium.write_founding(folder.path());
    let dir = folder.path().join("log");
    let arguments: [&OsStr; 7] = [
        "init".as_ref(),
        "--dir".as_ref(),
        dir.as_ref(),
        "--charter".as_ref(),
        charter.as_ref(),
        "--log-key".as_ref(),
        log_key.as_ref(),
    ];
    assert!(run("ledger-node", &arguments).status.success(), "the log is founded");
    let node = NodeProcess::serve(&dir);

    let disk = fdatasync(folder.path());
    let check = signature_check(&consortium);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("threads").block_on(async {
        let (idle, slow) = singles(&node, &consortium).await;
        println!("fdatasync of 1 KiB, preallocated       p50 {disk:?}");
        println!("Submit to verified proof, idle node    p50 {idle:?}, p95 {slow:?}");
        let rate = streamed(&node, &consortium).await;
        let bytes = consortium.incident(0).as_bytes().len();
        println!("one strict signature check             {check:?}: {:.0}/s a core", per_s(check));
        println!("streamed signed records, {bytes} bytes    median {rate:.0}/s");
        println!("  per signature check of one core      {:.2}", rate / per_s(check));
    });
}

fn per_s(each: Duration) -> f64 {
    1.0 / each.as_secs_f64()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn fdatasync(folder: &Path) -> Duration {
    let file = File::create(folder.join("fdatasync")).expect("a file");
    file.write_all_at(&vec![0; 1 << 20], 0).and_then(|()| file.sync_all()).expect("room");
    let times = (0..SINGLES).map(|n| {
        let began = Instant::now();
        file.write_all_at(&[1; 1024], n * 1024).and_then(|()| file.sync_data()).expect("room");
        began.elapsed()
    });
    median(times.collect())
}

fn signature_check(consortium: &Consortium) -> Duration {
    let record = consortium.incident(0);
    let (key, line) = (consortium.lab.verifier(), &record.note().signatures()[0]);
    let times = (0..2000).map(|_| {
        let began = Instant::now();
        assert!(key.verify(record.text().as_bytes(), line.bytes()));
        began.elapsed()
    });
    median(times.collect())
}

fn request(record: &Record, wait: Wait) -> wire::SubmitRequest {
    wire::SubmitRequest { record: record.to_bytes().into(), wait: wait.into() }
}

/// From Submit to a proof that the client has verified: median and 95th percentile.
async fn singles(node: &NodeProcess, consortium: &Consortium) -> (Duration, Duration) {
    let mut client = node.client().await;
    let policy = consortium.policy();
    let mut times = Vec::new();
    for n in 0..SINGLES {
        let record = consortium.incident(1_000_000 + n);
        let began = Instant::now();
        let answer = client.submit(request(&record, Wait::Published)).await.expect("lawful");
        let answer = answer.into_inner();
        let proof = TlogProof::parse(&answer.proof).expect("a proof file");
        let logged = Logged::parse(std::str::from_utf8(&answer.logged).expect("text"));
        let leaf = Entry::new(logged.expect("a line"), record).leaf_hash();
        proof.verify(&leaf, &policy).expect("it proves the entry");
        times.push(began.elapsed());
    }
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 95 / 100])
}

/// Records a second over one stream, every answer awaited: the median of the rounds.
async fn streamed(node: &NodeProcess, consortium: &Consortium) -> f64 {
    let mut client = node.client().await;
    let mut rates = Vec::new();
    for round in 0..ROUNDS {
        let requests: Vec<_> = (round * STREAMED..(round + 1) * STREAMED)
            .map(|n| request(&consortium.incident(n), Wait::Unspecified))
            .collect();
        let began = Instant::now();
        let answers = client.submit_stream(tokio_stream::iter(requests)).await.expect("a stream");
        let mut answers = answers.into_inner();
        let mut logged = 0;
        while let Some(answer) = answers.message().await.expect("no error") {
            assert!(matches!(answer.outcome, Some(Outcome::Logged(_))), "{answer:?}");
            logged += 1;
        }
        assert_eq!(logged, STREAMED);
        let rate = STREAMED as f64 / began.elapsed().as_secs_f64();
        eprintln!("round {round}: {rate:.0}/s");
        if round > 0 {
            rates.push(rate);
        }
    }
    rates.sort_unstable_by(f64::total_cmp);
    rates[rates.len() / 2]
}
