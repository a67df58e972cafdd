//! The node as a mirror, over real sockets and disks: what it copies, what it cosigns, and what it
//! never does.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ledger_core::checkpoint::{ClaimedCheckpoint, Origin};
use ledger_core::cosignature::{cosign, verify_line};
use ledger_core::evidence::{ClaimedEvidence, Entries, Trust};
use ledger_core::hash::Hash;
use ledger_core::merkle::{ConsistencyProof, TreeHead, verify_consistency};
use ledger_core::note::{Algorithm, SignerKey};
use ledger_core::record::{Entry, Logged};
use ledger_core::tile::TileCoord;
use ledger_core::witness::origin_hash;
use ledger_node::clock::ManualClock;
use ledger_node::{Overrides, RunningNode};
use ledger_proto::v1::gossip_client::GossipClient;
use ledger_proto::v1::gossip_message;
use ledger_proto::v1::mirror_client::MirrorClient;
use ledger_proto::v1::{self as wire, MirroredLog};
use ledger_tests::consortium::{Consortium, ORIGIN};
use ledger_tests::process::{NodeProcess, run};
use ledger_tests::served::{ServedSite, write_site};
use ledger_tests::year::{Breach, Site, Year};
use ledger_tests::{entry, index, key, size};
use tempfile::TempDir;
use tonic::Code;

/// How long a mirror may take for what it is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

const LOG: &str = "other.example/log";

fn log_key() -> SignerKey {
    key(LOG, Algorithm::Ed25519, 61)
}

fn mirror_key() -> SignerKey {
    key("mirror.test/m1", Algorithm::CosignatureV1, 63)
}

/// A node with a log of its own, which mirrors the logs of a list.
pub(super) struct Mirror {
    folder: TempDir,
}

impl Mirror {
    pub(super) fn new(list: &str) -> Mirror {
        let folder = tempfile::tempdir().expect("a folder");
        let own = key("mirror.test/own", Algorithm::Ed25519, 64);
        let consortium = Consortium { log: own, ..Consortium::new() };
        let (charter, log_key) = consortium.write_founding(folder.path());
        let mirror = Mirror { folder };
        let [init, dir, c, k] = ["init", "--dir", "--charter", "--log-key"].map(AsRef::as_ref);
        let place = mirror.dir();
        let arguments = [init, dir, place.as_ref(), c, charter.as_ref(), k, log_key.as_ref()];
        let output = run("ledger-node", &arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let file = mirror.folder.path().join("mirror.key");
        consortium.write_key(&mirror_key(), &file);
        mirror.configure("mirror_keys = []", &format!("mirror_keys = [{file:?}]"));
        mirror.list(list);
        mirror
    }

    fn configure(&self, old: &str, new: &str) {
        let config = self.dir().join("config.toml");
        let text = std::fs::read_to_string(&config).expect("written by init");
        assert!(text.contains(old), "{text}");
        std::fs::write(&config, text.replace(old, new)).expect("a writable folder");
    }

    pub(super) fn dir(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn list(&self, list: &str) {
        std::fs::write(self.dir().join("mirror-logs"), list).expect("a writable folder");
    }

    /// The evidence that the node holds, of the types that it is.
    pub(super) fn evidence(&self) -> Vec<ClaimedEvidence> {
        let folder = self.dir().join("private/evidence");
        let Ok(files) = std::fs::read_dir(folder) else { return Vec::new() };
        let paths = files.map(|file| file.expect("readable").path());
        let files = paths.filter(|path| path.extension().is_some_and(|end| end == "json"));
        let parse = |path| {
            let bytes = std::fs::read(path).expect("readable");
            ClaimedEvidence::parse(&bytes).expect("evidence")
        };
        files.map(parse).collect()
    }
}

fn hash(origin: &str) -> String {
    origin_hash(&Origin::new(origin).expect("an origin"))
}

/// What a running mirror says of its only log.
async fn status(grpc: &str) -> Option<MirroredLog> {
    let mut client = MirrorClient::connect(grpc.to_owned()).await.expect("the node listens");
    let listed = client.list_mirrored(wire::ListMirroredRequest {}).await.expect("no error");
    listed.into_inner().logs.into_iter().next()
}

async fn wait(grpc: &str, what: &str, fine: impl Fn(&MirroredLog) -> bool) -> MirroredLog {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = status(grpc).await;
        if let Some(status) = &status
            && fine(status)
        {
            return status.clone();
        }
        assert!(Instant::now() < deadline, "waited for {what}: {status:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(super) async fn cosigned(grpc: &str, size: u64) -> MirroredLog {
    wait(grpc, &format!("size {size}"), |log| log.size == Some(size)).await
}

pub(super) async fn trouble(grpc: &str, kind: &str) -> MirroredLog {
    wait(grpc, kind, |log| log.trouble_kind == kind).await
}

struct Answer {
    status: u16,
    kind: String,
    cache: String,
    body: Vec<u8>,
}

fn get(url: &str) -> Answer {
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut answer = agent.get(url).call().expect("it answers");
    let header = |name: &str| {
        let value = answer.headers().get(name).map(|value| value.to_str().expect("text"));
        value.unwrap_or_default().to_owned()
    };
    let (kind, cache) = (header("content-type"), header("cache-control"));
    let body = answer.body_mut().read_to_vec().expect("a body");
    Answer { status: answer.status().as_u16(), kind, cache, body }
}

fn entries(count: u64) -> Vec<Vec<u8>> {
    (0..count).map(entry).collect()
}

fn list() -> impl Fn(&str) -> String {
    |url| format!("log {} {url}\n", log_key().verifier())
}

/// Runs `ledger` and gives what it printed as JSON.
fn ledger(arguments: &[&str]) -> (i32, serde_json::Value, String) {
    let arguments: Vec<&std::ffi::OsStr> =
        [&["--json"], arguments].concat().into_iter().map(AsRef::as_ref).collect();
    let output = run("ledger", &arguments);
    let object = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().expect("it exits"), object, stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_serves_a_cosigned_copy_of_any_log_and_follows_it() {
    let site = tempfile::tempdir().expect("a folder");
    write_site(site.path(), &entries(700), &log_key());
    let source = ServedSite::start(site.path()).await;
    let mirror = Mirror::new(&list()(&source.url));
    let node = NodeProcess::serve(&mirror.dir());
    cosigned(&node.grpc, 700).await;
    let prefix = format!("{}/mirror/{}", node.http, hash(LOG));
    let answer = get(&format!("{prefix}/checkpoint"));
    assert_eq!((answer.status, answer.kind.as_str()), (200, "text/plain; charset=utf-8"));
    assert_eq!(answer.cache, "no-cache");
    let first = ClaimedCheckpoint::parse(&answer.body).expect("a checkpoint");
    first.verify(&[log_key().verifier().clone()]).expect("the log's line is there");
    let line = first.note().signatures().iter().find(|line| line.is_by(mirror_key().verifier()));
    let line = line.expect("the mirror's line");
    assert!(verify_line(first.note(), mirror_key().verifier(), line).is_some());
    for coord in TileCoord::all_in_tree(size(700)) {
        let answer = get(&format!("{prefix}/{coord}"));
        assert_eq!((answer.status, answer.kind.as_str()), (200, "application/octet-stream"));
        assert!(answer.cache.contains("immutable"), "{coord}: {}", answer.cache);
        let original = std::fs::read(site.path().join(coord.to_string())).expect("written");
        assert_eq!(answer.body, original, "{coord}");
    }
    assert_eq!(get(&format!("{prefix}/tile/entries/002.p/200")).status, 404, "beyond the tree");
    assert_eq!(get(&format!("{}/mirror/{}/checkpoint", node.http, hash("x"))).status, 404);

    // the log grows, over the edge of a bundle
    write_site(site.path(), &entries(900), &log_key());
    cosigned(&node.grpc, 900).await;
    assert_eq!(source.asked("tile/entries/000"), 1, "what is here is not fetched again");
    let vkey = log_key().verifier().to_string();
    let (exit, audit, stderr) = ledger(&["audit", &prefix, "--vkey", &vkey, "--opaque"]);
    assert_eq!((exit, &audit["size"]), (0, &900.into()), "{stderr}");
    let folder = mirror.dir().join("mirrors").join(hash(LOG)).display().to_string();
    let (exit, audit, stderr) = ledger(&["audit", &folder, "--vkey", &vkey, "--opaque"]);
    assert_eq!((exit, &audit["size"]), (0, &900.into()), "{stderr}");

    let mut client = MirrorClient::connect(node.grpc.clone()).await.expect("it listens");
    let ask =
        |old_size, new_size| wire::GetConsistencyRequest { origin: LOG.into(), old_size, new_size };
    let proof = client.get_consistency(ask(700, None)).await.expect("proven").into_inner();
    let hashes = proof.hashes.iter().map(|own| own.as_ref().try_into().expect("32 bytes"));
    let own = ConsistencyProof::new(hashes.map(Hash::from_bytes).collect()).expect("short");
    let second = ClaimedCheckpoint::parse(&proof.checkpoint).expect("a checkpoint");
    verify_consistency(&own, first.checkpoint().head(), second.checkpoint().head())
        .expect("the copy only grew");
    let refused = client.get_consistency(ask(700, Some(901))).await.expect_err("too large");
    assert_eq!(refused.code(), Code::OutOfRange);
    let refused = client.get_consistency(ask(900, Some(700))).await.expect_err("reversed");
    assert_eq!(refused.code(), Code::OutOfRange);
    let (exit, object, _) = ledger(&["mirror", "status", "--node", &node.grpc]);
    assert_eq!((exit, &object["logs"][0]["size"]), (0, &900.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_answers_the_questions_of_gossip_after_the_log_has_gone() {
    let site = tempfile::tempdir().expect("a folder");
    let head = |count| {
        write_site(site.path(), &entries(count), &log_key());
        let note = std::fs::read(site.path().join("checkpoint")).expect("written");
        *ClaimedCheckpoint::parse(&note).expect("a checkpoint").checkpoint().head()
    };
    let (smaller, middle, larger) = (head(300), head(555), head(700));
    let source = ServedSite::start(site.path()).await;
    let mirror = Mirror::new(&list()(&source.url));
    let node = NodeProcess::serve(&mirror.dir());
    cosigned(&node.grpc, 700).await;
    drop(source);
    let metrics = String::from_utf8(get(&format!("{}/metrics", node.http)).body).expect("text");
    for line in ["ledger_mirror_copies{state=\"left\"} 0", "ledger_mirror_entries 700"] {
        assert!(metrics.lines().any(|found| found == line), "{line} in\n{metrics}");
    }

    let asked = |smaller: TreeHead, larger: TreeHead| wire::GossipQuestion {
        origin: LOG.into(),
        smaller_size: smaller.size.get(),
        smaller_root: smaller.root.as_bytes().to_vec().into(),
        larger_size: larger.size.get(),
        larger_root: larger.root.as_bytes().to_vec().into(),
    };
    let forged = TreeHead { root: Hash::leaf(b"another tree"), ..larger };
    let questions = vec![asked(smaller, larger), asked(smaller, middle), asked(smaller, forged)];
    let exchange =
        wire::GossipExchange { salt: vec![3; 16].into(), questions, ..Default::default() };
    let message = Some(gossip_message::Message::Exchange(exchange));
    let mut client = GossipClient::connect(node.grpc.clone()).await.expect("it listens");
    let told = client.tell(wire::GossipMessage { message }).await.expect("an answer").into_inner();
    let Some(gossip_message::Message::Exchange(told)) = told.message else { panic!("{told:?}") };
    assert_eq!(told.answers.len(), 2, "what it holds, and nothing about another tree: {told:?}");
    for (answer, larger) in told.answers.iter().zip([larger, middle]) {
        let hashes = answer.proof.iter().map(|own| own.as_ref().try_into().expect("32 bytes"));
        let proof = ConsistencyProof::new(hashes.map(Hash::from_bytes).collect()).expect("short");
        assert_eq!(answer.root, smaller.root.as_bytes().as_slice());
        verify_consistency(&proof, &smaller, &larger).expect("the tree grew");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_was_killed_goes_on_where_it_was() {
    let site = tempfile::tempdir().expect("a folder");
    let many: Vec<Vec<u8>> = entries(17_000);
    write_site(site.path(), &many, &log_key());
    let source = ServedSite::start(site.path()).await;
    // the second chunk does not come
    source.cut_off(Some("tile/entries/040"));
    let mirror = Mirror::new(&list()(&source.url));
    let mut node = NodeProcess::serve(&mirror.dir());
    let log = wait(&node.grpc, "a chunk", |log| log.copied_size == 8192).await;
    assert_eq!((log.size, log.pending_size), (None, Some(17_000)));
    assert_eq!(get(&format!("{}/mirror/{}/checkpoint", node.http, hash(LOG))).status, 404);
    let first = source.asked("tile/entries/000");
    node.kill();
    // unfinished files lie about after a power cut
    let copy = mirror.dir().join("mirrors").join(hash(LOG));
    std::fs::write(copy.join("tile/entries/032"), b"torn").expect("a writable folder");
    source.cut_off(None);
    let mut node = NodeProcess::serve(&mirror.dir());
    cosigned(&node.grpc, 17_000).await;
    assert_eq!(source.asked("tile/entries/000"), first, "the first chunk was not fetched again");
    assert_eq!(
        std::fs::read(copy.join("tile/entries/032")).ok().map(|b| b == b"torn"),
        Some(false)
    );
    let before = get(&format!("{}/mirror/{}/checkpoint", node.http, hash(LOG))).body;
    node.kill();
    // what was cosigned is served again, by the same line, also while the source is away
    source.cut_off(Some(""));
    let node = NodeProcess::serve(&mirror.dir());
    assert_eq!(get(&format!("{}/mirror/{}/checkpoint", node.http, hash(LOG))).body, before);
    let vkey = log_key().verifier().to_string();
    let (exit, audit, stderr) =
        ledger(&["audit", &copy.display().to_string(), "--vkey", &vkey, "--opaque"]);
    assert_eq!((exit, &audit["size"]), (0, &17_000.into()), "{stderr}");
    assert_eq!(audit["warnings"], serde_json::json!([]), "no leavings");
}

#[test]
fn killing_at_many_moments_never_spoils_a_copy() {
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let site = tempfile::tempdir().expect("a folder");
    write_site(site.path(), &entries(9_000), &log_key());
    let source = runtime.block_on(ServedSite::start(site.path()));
    let mirror = Mirror::new(&list()(&source.url));
    for moment in [0, 20, 60, 100, 200, 400, 800] {
        NodeProcess::kill_while_starting(&mirror.dir(), Duration::from_millis(moment));
        let mut node = NodeProcess::serve(&mirror.dir());
        let deadline = Instant::now() + Duration::from_millis(moment);
        while Instant::now() < deadline {
            std::thread::yield_now();
        }
        node.kill();
    }
    let node = NodeProcess::serve(&mirror.dir());
    runtime.block_on(cosigned(&node.grpc, 9_000));
    let copy = mirror.dir().join("mirrors").join(hash(LOG)).display().to_string();
    let vkey = log_key().verifier().to_string();
    let (exit, audit, stderr) = ledger(&["audit", &copy, "--vkey", &vkey, "--opaque"]);
    assert_eq!((exit, &audit["size"]), (0, &9_000.into()), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_at_the_source_is_named_and_nothing_is_cosigned_before_it_is_mended() {
    let site = tempfile::tempdir().expect("a folder");
    write_site(site.path(), &entries(700), &log_key());
    let path = site.path().join("tile/entries/001");
    let whole = std::fs::read(&path).expect("written");
    let mut damaged = whole.clone();
    // inside a text, past its two bytes of length
    damaged[105] ^= 1;
    std::fs::write(&path, &damaged).expect("a writable folder");
    let source = ServedSite::start(site.path()).await;
    let mirror = Mirror::new(&list()(&source.url));
    let node = NodeProcess::serve(&mirror.dir());
    let log = trouble(&node.grpc, "damaged").await;
    assert!(log.trouble.contains("entries 256 to 511"), "{}", log.trouble);
    assert_eq!((log.size, log.copied_size), (None, 0));
    assert_eq!(get(&format!("{}/healthz", node.http)).status, 200, "the node itself is well");
    let (exit, object, _) = ledger(&["mirror", "status", "--node", &node.grpc]);
    assert_eq!((exit, &object["logs"][0]["trouble_kind"]), (1, &"damaged".into()));
    std::fs::write(&path, &whole).expect("a writable folder");
    let log = cosigned(&node.grpc, 700).await;
    assert!(mirror.evidence().is_empty(), "damage convicts nobody: {log:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hash_tile_that_lies_is_no_proof() {
    let site = tempfile::tempdir().expect("a folder");
    write_site(site.path(), &entries(9_000), &log_key());
    let path = site.path().join("tile/1/000.p/35");
    let whole = std::fs::read(&path).expect("written");
    let mut damaged = whole.clone();
    // the first hash behind the first chunk, which proves that chunk
    damaged[32 * 32] ^= 1;
    std::fs::write(&path, &damaged).expect("a writable folder");
    let source = ServedSite::start(site.path()).await;
    let mirror = Mirror::new(&list()(&source.url));
    let node = NodeProcess::serve(&mirror.dir());
    let log = trouble(&node.grpc, "damaged").await;
    assert_eq!(log.size, None);
    std::fs::write(&path, &whole).expect("a writable folder");
    cosigned(&node.grpc, 9_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_shows_another_history_is_not_followed_and_is_convicted() {
    let (honest, forked) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir());
    let forked = forked.expect("a folder");
    write_site(honest.path(), &entries(300), &log_key());
    let mut other = entries(400);
    other[5] = b"another entry".to_vec();
    write_site(forked.path(), &other, &log_key());
    let source = ServedSite::start(honest.path()).await;
    let mirror = Mirror::new(&list()(&source.url));
    let node = NodeProcess::serve(&mirror.dir());
    let before = cosigned(&node.grpc, 300).await;
    source.show(forked.path());
    let log = trouble(&node.grpc, "contradiction").await;
    assert_eq!((log.size, &log.checkpoint), (Some(300), &before.checkpoint));
    let trust = Trust::new().with_log(log_key().verifier().clone(), Entries::Opaque);
    let deadline = Instant::now() + PATIENCE;
    while mirror.evidence().is_empty() {
        assert!(Instant::now() < deadline, "no evidence was made");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let evidence = &mirror.evidence()[0];
    let conviction = evidence.verify(&trust).expect("it convicts");
    assert!(conviction.convicts(log_key().verifier()));
    assert_eq!(evidence.kind(), "split-history");
    // the honest history goes on, but under a key that lies nothing is cosigned any more
    write_site(honest.path(), &entries(301), &log_key());
    source.show(honest.path());
    trouble(&node.grpc, "convicted").await;
    assert_eq!(status(&node.grpc).await.expect("listed").size, Some(300));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_head_is_no_news_and_a_false_one_convicts() {
    let (new, old) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir());
    let old = old.expect("a folder");
    write_site(new.path(), &entries(300), &log_key());
    write_site(old.path(), &entries(200), &log_key());
    let source = ServedSite::start(new.path()).await;
    let mirror = Mirror::new(&list()(&source.url));
    let node = NodeProcess::serve(&mirror.dir());
    cosigned(&node.grpc, 300).await;
    source.show(old.path());
    let asked = source.asked("checkpoint");
    let deadline = Instant::now() + PATIENCE;
    while source.asked("checkpoint") < asked + 2 {
        assert!(Instant::now() < deadline, "the mirror asks no more");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let log = status(&node.grpc).await.expect("listed");
    assert_eq!((log.size, log.trouble.as_str()), (Some(300), ""));
    let mut other = entries(200);
    other[199] = b"another entry".to_vec();
    write_site(old.path(), &other, &log_key());
    trouble(&node.grpc, "contradiction").await;
    let deadline = Instant::now() + PATIENCE;
    while mirror.evidence().is_empty() {
        assert!(Instant::now() < deadline, "no evidence was made");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_comes_and_goes_while_the_node_runs_and_its_copy_stays() {
    let site = tempfile::tempdir().expect("a folder");
    write_site(site.path(), &entries(300), &log_key());
    let source = ServedSite::start(site.path()).await;
    let mirror = Mirror::new("");
    let node = NodeProcess::serve(&mirror.dir());
    assert_eq!(status(&node.grpc).await, None);
    let dir = mirror.dir().display().to_string();
    let vkey = log_key().verifier().to_string();
    let add = ["mirror", "add", "--dir", &dir, &vkey, "--from", &source.url];
    let (exit, _, stderr) = ledger(&add);
    assert_eq!(exit, 0, "{stderr}");
    cosigned(&node.grpc, 300).await;
    assert_eq!(ledger(&add).0, 1, "it is there already");
    assert_eq!(ledger(&["mirror", "remove", "--dir", &dir, LOG]).0, 0);
    wait(&node.grpc, "removal", |log| log.source.is_empty()).await;
    write_site(site.path(), &entries(400), &log_key());
    let prefix = format!("{}/mirror/{}", node.http, hash(LOG));
    let held = get(&format!("{prefix}/checkpoint")).body;
    assert_eq!(get(&format!("{prefix}/tile/entries/000")).status, 200, "it stays served");
    drop(node);
    let node = NodeProcess::serve(&mirror.dir());
    let prefix = format!("{}/mirror/{}", node.http, hash(LOG));
    assert_eq!(get(&format!("{prefix}/checkpoint")).body, held, "also after a restart");
    assert_eq!(ledger(&add).0, 0);
    cosigned(&node.grpc, 400).await;
    assert_eq!(source.asked("tile/entries/000"), 1, "the copy went on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_was_lost_is_made_again_and_no_promise_is_taken_back() {
    let site = tempfile::tempdir().expect("a folder");
    write_site(site.path(), &entries(300), &log_key());
    let source = ServedSite::start(site.path()).await;
    let mirror = Mirror::new(&list()(&source.url));
    let node = NodeProcess::serve(&mirror.dir());
    cosigned(&node.grpc, 300).await;
    drop(node);
    std::fs::remove_dir_all(mirror.dir().join("mirrors")).expect("it was there");
    // the source has lost entries, too
    write_site(site.path(), &entries(200), &log_key());
    let _ = std::fs::remove_file(site.path().join("tile/entries/001.p/44"));
    let node = NodeProcess::serve(&mirror.dir());
    trouble(&node.grpc, "damaged").await;
    let url = format!("{}/mirror/{}/checkpoint", node.http, hash(LOG));
    assert_eq!(get(&url).status, 404, "nothing is served that is not here");
    write_site(site.path(), &entries(300), &log_key());
    cosigned(&node.grpc, 300).await;
    assert_eq!(get(&url).status, 200);
}

#[test]
fn a_mirror_does_not_start_with_a_witness_key() {
    let mirror = Mirror::new("");
    let key = mirror.folder.path().join("mirror.key");
    mirror.configure("witness_keys = []", &format!("witness_keys = [{key:?}]"));
    let output = NodeProcess::try_serve(&mirror.dir()).expect_err("one key for two uses");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr.contains("mirror.test/m1") && stderr.contains("hint: "), "{stderr}");
    mirror.configure(&format!("witness_keys = [{key:?}]"), "witness_keys = []");
    NodeProcess::serve(&mirror.dir());
}

pub(super) fn ledger_list(entries: &[Entry], url: &str) -> String {
    format!("ledger {ORIGIN} {} {url}\n", entries[0].record().statement())
}

/// A mirror of a forged site: what is wrong by its word, and the evidence that it made.
async fn forged(site: &Site) -> (MirroredLog, Mirror) {
    let folder = tempfile::tempdir().expect("a folder");
    site.write(folder.path());
    let source = ServedSite::start(folder.path()).await;
    let mirror = Mirror::new(&ledger_list(site.entries(), &source.url));
    let node = NodeProcess::serve(&mirror.dir());
    let log = trouble(&node.grpc, "unlawful").await;
    assert_eq!(log.size, None, "nothing is cosigned");
    (log, mirror)
}

#[track_caller]
fn convicts(mirror: &Mirror, kind: &str, log: &SignerKey, charter: &Entry) {
    let evidence = mirror.evidence();
    let own = evidence.iter().find(|own| own.kind() == kind);
    let own = own.unwrap_or_else(|| panic!("no {kind} among {}", evidence.len()));
    let trust = Trust::new().with_log(log.verifier().clone(), Entries::Records);
    let conviction = own.verify(&trust).expect("it convicts");
    assert!(conviction.convicts(log.verifier()));
    assert_eq!(charter.logged().governance, index(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_year_of_a_log_of_ours_is_mirrored_and_an_unlawful_leaf_of_it_never() {
    let year = Year::new(4, 900);
    println!("LEDGER_TEST_SEED=4, 900 records");
    let log = year.ring.log(2);
    let honest = Site::new(&year.entries, log.clone());
    let folder = tempfile::tempdir().expect("a folder");
    honest.write(folder.path());
    let source = ServedSite::start(folder.path()).await;
    let mirror = Mirror::new(&ledger_list(&year.entries, &source.url));
    let node = NodeProcess::serve(&mirror.dir());
    let total = year.entries.len() as u64;
    cosigned(&node.grpc, total).await;
    drop(node);

    let unlawful = year.attempts.iter().find(|own| {
        let place = year.entries.get(own.index as usize);
        let ordinary = place.is_some_and(|place| !place.record().kind().is_governance());
        ordinary && own.index > 300 && own.breaches.contains(&Breach::KeyRevoked)
    });
    let unlawful = unlawful.expect("somebody tried");
    let site = honest.forged(unlawful.index, unlawful.entry.clone());
    let (log_status, mirror) = forged(&site).await;
    let at = format!("entry {} is unlawful", unlawful.index);
    assert!(log_status.trouble.contains(&at), "{}", log_status.trouble);
    convicts(&mirror, "unlawful-leaf", &log, &year.entries[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_that_goes_back_and_a_statement_logged_twice_convict() {
    let year = Year::new(4, 900);
    let log = year.ring.log(2);
    let honest = Site::new(&year.entries, log.clone());
    let ordinary = |at: &usize| !year.entries[*at].record().kind().is_governance();
    let at = (300..).find(|at| ordinary(at) && ordinary(&(at + 1))).expect("a pair");
    let (first, second) = (&year.entries[at], &year.entries[at + 1]);
    let logged = Logged { time: first.logged().time - 1, ..second.logged() };
    let back = honest.forged(at as u64 + 1, Entry::new(logged, second.record().clone()));
    let (status, mirror) = forged(&back).await;
    assert!(status.trouble.contains("lies before the entry before it"), "{}", status.trouble);
    convicts(&mirror, "time-reversal", &log, &year.entries[0]);
    let twice = Entry::new(second.logged(), first.record().clone());
    let (status, mirror) = forged(&honest.forged(at as u64 + 1, twice)).await;
    let why = format!("its statement is already in entry {at}");
    assert!(status.trouble.contains(&why), "{}", status.trouble);
    convicts(&mirror, "duplicate-leaf", &log, &year.entries[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_before_an_unlawful_leaf_stays_cosigned() {
    let consortium = Consortium::new();
    let line = Logged { time: consortium.time, governance: index(0) };
    let mut entries = vec![Entry::new(line, consortium.charter())];
    entries.extend((1..300).map(|n| Entry::new(line, consortium.incident(n))));
    let folder = tempfile::tempdir().expect("a folder");
    Site::new(&entries, consortium.log.clone()).write(folder.path());
    let source = ServedSite::start(folder.path()).await;
    let mirror = Mirror::new(&ledger_list(&entries, &source.url));
    let node = NodeProcess::serve(&mirror.dir());
    cosigned(&node.grpc, 300).await;
    // a reviewer may not publish incidents
    let json = consortium.incident_json(300).replace("lab.test", "board.test");
    entries.push(Entry::new(line, consortium.signed(&json, &[&consortium.board])));
    entries.extend((301..310).map(|n| Entry::new(line, consortium.incident(n))));
    Site::new(&entries, consortium.log.clone()).write(folder.path());
    let log = trouble(&node.grpc, "unlawful").await;
    assert_eq!((log.size, log.pending_size), (Some(300), Some(310)));
    convicts(&mirror, "unlawful-leaf", &consortium.log, &entries[0]);
    drop(node);
    let node = NodeProcess::serve(&mirror.dir());
    wait(&node.grpc, "trouble again", |log| !log.trouble.is_empty()).await;
    let log = status(&node.grpc).await.expect("listed");
    assert_eq!(log.size, Some(300), "a restart forgives nothing: {}", log.trouble);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_the_future_waits_for_its_time() {
    let consortium = Consortium::new();
    let now = consortium.time;
    let at = |time| Logged { time, governance: index(0) };
    let entries = vec![
        Entry::new(at(now), consortium.charter()),
        Entry::new(at(now + 300), consortium.incident(1)),
        Entry::new(at(now + 5_000), consortium.incident(2)),
    ];
    let folder = tempfile::tempdir().expect("a folder");
    Site::new(&entries[..2], consortium.log.clone()).write(folder.path());
    let source = ServedSite::start(folder.path()).await;
    let mirror = Mirror::new(&ledger_list(&entries, &source.url));
    let clock = ManualClock::at(now);
    let any = Some("127.0.0.1:0".parse().expect("an address"));
    let overrides = Overrides { grpc: any, http: any, ..Overrides::default() };
    let node = RunningNode::start_with(&mirror.dir(), overrides, Arc::new(clock.clone())).await;
    let node = node.expect("it starts");
    let grpc = format!("http://{}", node.grpc_addr());
    cosigned(&grpc, 2).await;
    Site::new(&entries, consortium.log.clone()).write(folder.path());
    let log = trouble(&grpc, "future").await;
    assert!(log.trouble.contains("entry 2 is of the future"), "{}", log.trouble);
    assert_eq!(log.size, Some(2));
    clock.set(now + 4_699);
    let asked = source.asked("checkpoint");
    // one second early is early; the time comes, and it goes on without having asked again
    clock.set(now + 4_700);
    cosigned(&grpc, 3).await;
    assert!(source.asked("checkpoint") >= asked);
    assert!(mirror.evidence().is_empty(), "a clock may be wrong: nobody is convicted");
    node.shutdown().await.expect("it stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charter_of_another_statement_is_not_mirrored() {
    let consortium = Consortium::new();
    let line = Logged { time: consortium.time, governance: index(0) };
    let entries = [Entry::new(line, consortium.charter())];
    let folder = tempfile::tempdir().expect("a folder");
    Site::new(&entries, consortium.log.clone()).write(folder.path());
    let source = ServedSite::start(folder.path()).await;
    let anchor = "0".repeat(64);
    let mirror = Mirror::new(&format!("ledger {ORIGIN} {anchor} {}\n", source.url));
    let node = NodeProcess::serve(&mirror.dir());
    let log = trouble(&node.grpc, "foreign").await;
    assert!(log.trouble.contains("not the anchor"), "{}", log.trouble);
}

/// Founds a log and gives its directory.
fn found(folder: &Path, consortium: &Consortium) -> PathBuf {
    let (charter, log_key) = consortium.write_founding(folder);
    let dir = folder.join("log");
    let [init, d, c, k] = ["init", "--dir", "--charter", "--log-key"].map(AsRef::as_ref);
    let arguments = [init, d, dir.as_ref(), c, charter.as_ref(), k, log_key.as_ref()];
    assert!(run("ledger-node", &arguments).status.success(), "the log is founded");
    dir
}

async fn submit(node: &NodeProcess, consortium: &Consortium, numbers: std::ops::Range<u64>) {
    let mut client = node.client().await;
    for n in numbers {
        let wait = wire::Wait::Published.into();
        let record = consortium.incident(n).to_bytes().into();
        client.submit(wire::SubmitRequest { record, wait }).await.expect("lawful");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_whose_operator_vanished_is_proven_audited_and_made_again_from_its_mirror() {
    let (consortium, folder) = (Consortium::new(), tempfile::tempdir().expect("a folder"));
    let dir = found(folder.path(), &consortium);
    let anchor = consortium.charter().statement().to_string();
    let node = NodeProcess::serve(&dir);
    submit(&node, &consortium, 1..4).await;
    let source = node.grpc.replace("http://", "grpc://");
    let mirror = Mirror::new(&format!("ledger {ORIGIN} {anchor} {source} quorum\n"));
    let keeper = NodeProcess::serve(&mirror.dir());
    cosigned(&keeper.grpc, 4).await;
    submit(&node, &consortium, 4..300).await;
    cosigned(&keeper.grpc, 300).await;
    // the operator vanishes with everything but the key
    drop(node);
    std::fs::remove_dir_all(&dir).expect("it was there");
    trouble(&keeper.grpc, "unreachable").await;

    let copy = format!("{}/mirror/{}", keeper.http, hash(ORIGIN));
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (record, charter) = (at("77.record"), at("charter.record"));
    std::fs::write(&record, consortium.incident(77).as_bytes()).expect("a writable folder");
    let proof = at("77.tlog-proof");
    let prove = ["prove", "--from", &copy, "--anchor", &anchor, "--record", &record, "-o", &proof];
    let (exit, object, stderr) = ledger(&prove);
    assert_eq!((exit, &object["index"]), (0, &77.into()), "{stderr}");
    let verify = ["verify", &proof, "--anchor", &anchor, "--charter", &charter];
    let (exit, _, stderr) = ledger(&verify);
    assert_eq!(exit, 0, "{stderr}");
    let bundle = at("77.authority");
    let prove = ["prove", "--from", &copy, "--anchor", &anchor, "--index", "77", "--authority"];
    let (exit, _, stderr) = ledger(&[&prove[..], &["-o", &bundle]].concat());
    assert_eq!(exit, 0, "{stderr}");
    let (exit, _, stderr) = ledger(&["verify", &bundle, "--anchor", &anchor]);
    assert_eq!(exit, 0, "{stderr}");
    let other = "0".repeat(64);
    let (exit, _, stderr) = ledger(&["prove", "--from", &copy, "--anchor", &other, "--index", "7"]);
    assert_eq!(exit, 1, "{stderr}");
    let missing = ["prove", "--from", &copy, "--anchor", &anchor, "--statement", &other];
    assert_eq!(ledger(&missing).0, 1);
    let (exit, audit, stderr) = ledger(&["audit", &copy, "--anchor", &anchor]);
    assert_eq!((exit, &audit["lawful"]), (0, &300.into()), "{stderr}");
    let (exit, _, stderr) = ledger(&["register", "members", &copy, "--anchor", &anchor]);
    assert_eq!(exit, 0, "{stderr}");

    // nobody makes the log again without its charter and its key
    let again = dir.display().to_string();
    let recover = |key: &str, anchor: &str| {
        let arguments = ["recover", "--dir", &again, "--from", &copy, "--log-key", key];
        let arguments = [&arguments[..], &["--anchor", anchor]].concat();
        let arguments: Vec<&std::ffi::OsStr> = arguments.into_iter().map(AsRef::as_ref).collect();
        run("ledger-node", &arguments)
    };
    let (key, stranger) = (at("log.key"), at("stranger.key"));
    consortium.write_key(&log_key(), Path::new(&stranger));
    for (key, anchor) in [(&key, &other), (&stranger, &anchor)] {
        assert_eq!(recover(key, anchor).status.code(), Some(1));
        assert!(!dir.exists(), "nothing is left behind");
    }
    let output = recover(&key, &anchor);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(recover(&key, &anchor).status.code(), Some(1), "it is there now");
    let node = NodeProcess::serve(&dir);
    submit(&node, &consortium, 300..310).await;
    let source = node.grpc.replace("http://", "grpc://");
    mirror.list(&format!("ledger {ORIGIN} {anchor} {source} quorum\n"));
    cosigned(&keeper.grpc, 310).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_asks_for_the_quorum_of_the_charter_if_it_is_told_to() {
    let consortium = Consortium::new();
    let witness = key("w.test", Algorithm::CosignatureV1, 65);
    let log = consortium.log.verifier();
    let policy = format!("log {log}\nwitness w {}\nquorum w\n", witness.verifier());
    let line = Logged { time: consortium.time, governance: index(0) };
    let entries = [Entry::new(line, consortium.charter_with_policy(&policy))];
    let folder = tempfile::tempdir().expect("a folder");
    Site::new(&entries, consortium.log.clone()).write(folder.path());
    let source = ServedSite::start(folder.path()).await;
    let list = ledger_list(&entries, &source.url);
    let mirror = Mirror::new(&list.replace('\n', " quorum\n"));
    let node = NodeProcess::serve(&mirror.dir());
    let log = trouble(&node.grpc, "foreign").await;
    assert_eq!((log.size, log.copied_size), (None, 1), "{}", log.trouble);
    let path = folder.path().join("checkpoint");
    let bare = std::fs::read(&path).expect("written");
    let bare = ClaimedCheckpoint::parse(&bare).expect("a checkpoint");
    let cosignature = cosign(&witness, bare.checkpoint(), consortium.time);
    let whole = bare.with_signatures([cosignature.clone()]).expect("two lines");
    std::fs::write(&path, whole.to_string()).expect("a writable folder");
    let log = cosigned(&node.grpc, 1).await;
    let served = String::from_utf8(log.checkpoint.to_vec()).expect("text");
    assert!(served.contains(&cosignature.to_string()), "the witness's line is kept: {served}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_changes_its_key_is_followed_from_one_key_to_the_other() {
    let year = Year::new(4, 900);
    println!("LEDGER_TEST_SEED=4, 900 records");
    let added = year.books.iter().position(|book| book.log_keys.len() == 2).expect("a rotation");
    let before = &year.entries[..year.books[added].latest as usize];
    let folder = tempfile::tempdir().expect("a folder");
    Site::new(before, year.ring.log(1)).write(folder.path());
    let source = ServedSite::start(folder.path()).await;
    let mirror = Mirror::new(&ledger_list(&year.entries, &source.url));
    let node = NodeProcess::serve(&mirror.dir());
    cosigned(&node.grpc, before.len() as u64).await;
    // the old key has gone by the end, and the new one is in none of the entries that are here
    Site::new(&year.entries, year.ring.log(1)).write(folder.path());
    let log = trouble(&node.grpc, "foreign").await;
    assert_eq!(log.size, Some(before.len() as u64), "{}", log.trouble);
    let log = wait(&node.grpc, "no head", |log| log.pending_size.is_none()).await;
    assert_eq!(log.copied_size, before.len() as u64, "no retired key holds the mirror up");
    Site::new(&year.entries, year.ring.log(2)).write(folder.path());
    cosigned(&node.grpc, year.entries.len() as u64).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_file_decides_what_is_cosigned_and_its_witnesses_are_kept() {
    let witness = key("w.test", Algorithm::CosignatureV1, 65);
    let site = tempfile::tempdir().expect("a folder");
    write_site(site.path(), &entries(3), &log_key());
    let source = ServedSite::start(site.path()).await;
    let (log, w) = (log_key().verifier().to_string(), witness.verifier().to_string());
    let mirror = Mirror::new(&format!("log {log} {} other.policy\n", source.url));
    let policy = format!("log {log}\nwitness w {w}\nquorum w\n");
    std::fs::write(mirror.dir().join("other.policy"), policy).expect("a writable folder");
    let node = NodeProcess::serve(&mirror.dir());
    assert_eq!(trouble(&node.grpc, "foreign").await.size, None);
    let path = site.path().join("checkpoint");
    let bare = ClaimedCheckpoint::parse(&std::fs::read(&path).expect("written")).expect("one");
    let line = cosign(&witness, bare.checkpoint(), 1_800_000_000);
    // a stranger's line, and what says it is our own, are not passed on
    let stranger = cosign(&key("x.test", Algorithm::CosignatureV1, 66), bare.checkpoint(), 1);
    let false_line = cosign(&mirror_key(), bare.checkpoint(), 1);
    let whole = bare.with_signatures([line.clone(), stranger.clone(), false_line.clone()]);
    std::fs::write(&path, whole.expect("four lines").to_string()).expect("a writable folder");
    let log = cosigned(&node.grpc, 3).await;
    let served = String::from_utf8(log.checkpoint.to_vec()).expect("text");
    assert!(served.contains(&line.to_string()), "{served}");
    assert!(!served.contains(&stranger.to_string()), "{served}");
    assert!(!served.contains(&false_line.to_string()), "{served}");
}

#[test]
fn a_mirror_whose_state_is_damaged_does_not_start() {
    let mirror = Mirror::new("");
    drop(NodeProcess::serve(&mirror.dir()));
    let state = mirror.dir().join("private/mirror/state.sqlite");
    std::fs::write(&state, b"no database at all, but long enough to be read as one").expect("it");
    let _ = std::fs::remove_file(state.with_extension("sqlite-wal"));
    let output = NodeProcess::try_serve(&mirror.dir()).expect_err("it cannot know its promises");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr.contains("never delete this file"), "{stderr}");
}
