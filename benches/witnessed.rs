//! A real log that two of three real witnesses have to cosign, all in separate processes.
//!
//! `cargo bench -p ledger-benches --bench witnessed` prints how long an idle log takes from Submit
//! to a proof that its policy accepts, verified by this client, and in the same run what the disk's
//! `fdatasync` takes; see RESULTS.md.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use ledger_core::note::{Algorithm, SignerKey};
use ledger_core::policy::Policy;
use ledger_core::proof::TlogProof;
use ledger_core::record::{Entry, Logged};
use ledger_proto::v1::{self as wire, Wait};
use ledger_tests::consortium::Consortium;
use ledger_tests::key;
use ledger_tests::process::{NodeProcess, run};

/// Single submissions measured; as many again warm up.
const SINGLES: u64 = 300;

fn main() {
    // `cargo test --benches` runs this without the flag: then there is nothing to measure
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder on a disk");
    let consortium = Consortium::new();
    let log = consortium.log.verifier().to_string();
    let mut policy = format!("log {log}\n");
    let mut witnesses = Vec::new();
    for n in 0..3 {
        let own = folder.path().join(format!("witness-{n}"));
        std::fs::create_dir(&own).expect("a writable folder");
        let node = witness(&own, n, &log);
        policy += &format!("witness w{n} {} {}/witness\n", witness_key(n).verifier(), node.http);
        witnesses.push(node);
    }
    policy += "group two 2 w0 w1 w2\nquorum two\n";
    let charter = consortium.charter_with_policy(&policy);
    let node = found(folder.path(), &consortium, charter.as_bytes(), None);
    let policy = Policy::parse(policy.as_bytes()).expect("a policy");
    println!("fdatasync of 1 KiB, preallocated       p50 {:?}", fdatasync(folder.path()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let mut times = runtime.expect("threads").block_on(singles(&node, &consortium, &policy));
    times.sort_unstable();
    let (p50, p95) = (times[times.len() / 2], times[times.len() * 95 / 100]);
    println!("Submit to proof, 2 of 3 witnesses      p50 {p50:?}, p95 {p95:?}");
    drop(witnesses);
}

fn witness_key(n: u8) -> SignerKey {
    key(&format!("witness-{n}.example"), Algorithm::CosignatureV1, 100 + n)
}

/// A node with another log, which witnesses `log` too.
fn witness(folder: &Path, n: u8, log: &str) -> NodeProcess {
    let own = key(&format!("other-{n}.example"), Algorithm::Ed25519, 110 + n);
    let consortium = Consortium { log: own, ..Consortium::new() };
    let node = found(folder, &consortium, consortium.charter().as_bytes(), Some(&witness_key(n)));
    // a running node notices the list by itself
    std::fs::write(folder.join("log/witness-logs"), format!("log {log}\n")).expect("writable");
    node
}

fn found(
    folder: &Path,
    consortium: &Consortium,
    charter: &[u8],
    witness: Option<&SignerKey>,
) -> NodeProcess {
    let [dir, file, log_key, witness_key] =
        ["log", "charter.record", "log.key", "witness.key"].map(|name| folder.join(name));
    std::fs::write(&file, charter).expect("a writable folder");
    consortium.write_key(&consortium.log, &log_key);
    let mut arguments: Vec<&OsStr> = vec!["init".as_ref(), "--dir".as_ref(), dir.as_ref()];
    arguments.extend([OsStr::new("--charter"), file.as_ref()]);
    arguments.extend([OsStr::new("--log-key"), log_key.as_ref()]);
    if let Some(key) = witness {
        consortium.write_key(key, &witness_key);
        arguments.extend([OsStr::new("--witness-key"), witness_key.as_ref()]);
    }
    assert!(run("ledger-node", &arguments).status.success(), "the log is founded");
    NodeProcess::serve(&dir)
}

fn fdatasync(folder: &Path) -> Duration {
    let file = File::create(folder.join("fdatasync")).expect("a file");
    file.write_all_at(&vec![0; 1 << 20], 0).and_then(|()| file.sync_all()).expect("room");
    let mut times: Vec<Duration> = (0..SINGLES)
        .map(|n| {
            let began = Instant::now();
            file.write_all_at(&[1; 1024], n * 1024).and_then(|()| file.sync_data()).expect("room");
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

/// From Submit to a proof that this client has verified by the policy.
async fn singles(node: &NodeProcess, consortium: &Consortium, policy: &Policy) -> Vec<Duration> {
    let mut client = node.client().await;
    let mut times = Vec::new();
    for n in 0..2 * SINGLES {
        let record = consortium.incident(n);
        let wait = Wait::Published.into();
        let request = wire::SubmitRequest { record: record.to_bytes().into(), wait };
        let began = Instant::now();
        let answer = client.submit(request).await.expect("lawful").into_inner();
        let proof = TlogProof::parse(&answer.proof).expect("a proof file");
        let logged = Logged::parse(std::str::from_utf8(&answer.logged).expect("text"));
        let leaf = Entry::new(logged.expect("a line"), record).leaf_hash();
        proof.verify(&leaf, policy).expect("two of three cosigned it");
        if n >= SINGLES {
            times.push(began.elapsed());
        }
    }
    times
}
