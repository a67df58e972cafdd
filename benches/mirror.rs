//! A real mirror that copies a large log over HTTP and gRPC on loopback, in a separate process.
//!
//! `cargo bench -p ledger-benches --bench mirror` prints how long a million entries of 1 KiB take
//! from the mirror's start to its cosignature: of any C2SP log, and of a ledger, each of whose
//! entries is judged, from its files and from a node; and in the same run how long a client takes
//! that only fetches the same bundles and looks at nothing. `LEDGER_BENCH_ENTRIES` sets another
//! number of entries; see RESULTS.md.

use std::ffi::OsStr;
use std::path::Path;
use std::time::{Duration, Instant};

use ledger_core::index::TreeSize;
use ledger_core::note::{Algorithm, SignerKey};
use ledger_core::record::{Entry, Logged};
use ledger_core::tile::{TileCoord, TileKind};
use ledger_proto::v1::{self as wire, mirror_client::MirrorClient};
use ledger_tests::consortium::{Consortium, ORIGIN};
use ledger_tests::process::{NodeProcess, run};
use ledger_tests::served::{ServedSite, SiteWriter};
use ledger_tests::{index, key, size};

/// Entries, unless the environment says otherwise.
const ENTRIES: u64 = 1_000_000;

/// Entries that are written at once.
const SLICE: u64 = 16 * 1024;

const LOG: &str = "large.example/log";

fn main() {
    // `cargo test --benches` runs this without the flag: then there is nothing to measure
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let asked = std::env::var("LEDGER_BENCH_ENTRIES").ok();
    let entries = asked.map_or(ENTRIES, |asked| asked.parse().expect("a number of entries"));
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder on a disk");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("threads");

    let any = folder.path().join("any");
    opaque(&any, entries);
    let source = runtime.block_on(ServedSite::start(&any));
    report("fetched, not looked at", entries, fetch(&source.url, size(entries)));
    let list = format!("log {} {}\n", log_key().verifier(), source.url);
    report("mirrored, any log", entries, mirror(&runtime, folder.path(), &list, entries));
    std::fs::remove_dir_all(&any).expect("it was there");

    let ours = folder.path().join("ours");
    let anchor = records(&ours, entries);
    let source = runtime.block_on(ServedSite::start(&ours));
    let list = format!("ledger {ORIGIN} {anchor} {}\n", source.url);
    report("mirrored, a ledger", entries, mirror(&runtime, folder.path(), &list, entries));
    drop(source);

    let node = from_copy(folder.path(), &ours, &anchor);
    std::fs::remove_dir_all(&ours).expect("it was there");
    let list = format!("ledger {ORIGIN} {anchor} {}\n", node.grpc.replacen("http", "grpc", 1));
    report(
        "mirrored, a ledger from its node",
        entries,
        mirror(&runtime, folder.path(), &list, entries),
    );
}

/// A node that serves the log of a folder.
fn from_copy(folder: &Path, site: &Path, anchor: &str) -> NodeProcess {
    let (dir, key) = (folder.join("node"), folder.join("node.key"));
    let consortium = Consortium::new();
    consortium.write_key(&consortium.log, &key);
    let [recover, d, from, k, a]: [&OsStr; 5] =
        ["recover", "--dir", "--from", "--log-key", "--anchor"].map(AsRef::as_ref);
    let arguments =
        [recover, d, dir.as_ref(), from, site.as_ref(), k, key.as_ref(), a, anchor.as_ref()];
    let output = run("ledger-node", &arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    NodeProcess::serve(&dir)
}

fn report(what: &str, entries: u64, took: Duration) {
    let rate = entries as f64 / took.as_secs_f64();
    println!("{what:<28} {entries} entries in {:.1} s: {rate:.0}/s", took.as_secs_f64());
}

fn log_key() -> SignerKey {
    key(LOG, Algorithm::Ed25519, 90)
}

/// Entries of 1 KiB that no compression shortens much.
fn opaque(folder: &Path, entries: u64) {
    let mut site = SiteWriter::new(folder);
    for first in (0..entries).step_by(SLICE as usize) {
        let slice: Vec<Vec<u8>> =
            (first..entries.min(first + SLICE)).map(|n| noise(n).collect()).collect();
        site.append(&slice);
    }
    site.sign(&log_key());
}

/// 1 KiB from a number (xorshift64*).
fn noise(n: u64) -> impl Iterator<Item = u8> {
    let mut state = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..128).flat_map(move |_| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes()
    })
}

/// A charter and incidents, all of them signed; gives the charter's statement.
fn records(folder: &Path, entries: u64) -> String {
    let consortium = Consortium::new();
    let charter = consortium.charter();
    let anchor = charter.statement().to_string();
    let line = Logged { time: consortium.time, governance: index(0) };
    let mut site = SiteWriter::new(folder);
    site.append(&[Entry::new(line, charter).to_bytes()]);
    for first in (1..entries).step_by(SLICE as usize) {
        let numbers = first..entries.min(first + SLICE);
        let slice: Vec<Vec<u8>> =
            numbers.map(|n| Entry::new(line, consortium.incident(n)).to_bytes()).collect();
        site.append(&slice);
    }
    site.sign(&consortium.log);
    anchor
}

fn fetch(url: &str, size: TreeSize) -> Duration {
    let config = ureq::Agent::config_builder().proxy(None).build();
    let agent = ureq::Agent::from(config);
    let began = Instant::now();
    let bundles = (0..).map_while(|n| TileCoord::in_tree(TileKind::Entries, n, size));
    for coord in bundles {
        let mut answer = agent.get(format!("{url}/{coord}")).call().expect("it answers");
        let body = answer.body_mut().with_config().limit(1 << 30).read_to_vec();
        assert!(!body.expect("a body").is_empty());
    }
    began.elapsed()
}

/// From the start of a mirror's process to its cosignature.
fn mirror(runtime: &tokio::runtime::Runtime, folder: &Path, list: &str, entries: u64) -> Duration {
    let own = folder.join("mirror");
    std::fs::create_dir(&own).expect("a writable folder");
    let log = key("mirror.example/own", Algorithm::Ed25519, 91);
    let consortium = Consortium { log, ..Consortium::new() };
    let (charter, log_key) = consortium.write_founding(&own);
    let (dir, mirror_key) = (own.join("log"), own.join("mirror.key"));
    consortium.write_key(&key("mirror.example/m1", Algorithm::CosignatureV1, 92), &mirror_key);
    let [init, d, c, k]: [&OsStr; 4] =
        ["init", "--dir", "--charter", "--log-key"].map(AsRef::as_ref);
    let arguments = [init, d, dir.as_ref(), c, charter.as_ref(), k, log_key.as_ref()];
    assert!(run("ledger-node", &arguments).status.success(), "the log is founded");
    let config = dir.join("config.toml");
    let text = std::fs::read_to_string(&config).expect("written by init");
    let keys = format!("mirror_keys = [{mirror_key:?}]");
    std::fs::write(&config, text.replace("mirror_keys = []", &keys)).expect("writable");
    std::fs::write(dir.join("mirror-logs"), list).expect("writable");
    let began = Instant::now();
    let node = NodeProcess::serve(&dir);
    runtime.block_on(async {
        let mut client = MirrorClient::connect(node.grpc.clone()).await.expect("it listens");
        loop {
            let listed = client.list_mirrored(wire::ListMirroredRequest {}).await;
            let logs = listed.expect("no error").into_inner().logs;
            if let Some(log) = logs.first() {
                assert_eq!(log.trouble, "");
                if log.size == Some(entries) {
                    break;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let took = began.elapsed();
    drop(node);
    std::fs::remove_dir_all(&own).expect("it was there");
    took
}
