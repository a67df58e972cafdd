//! The node as a mirror, over real sockets and disks: what it copies, what it cosigns, and what it
//! never does.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use ledger_core::checkpoint::{ClaimedCheckpoint, Origin};
use ledger_core::cosignature::{cosign, verify_line};
use ledger_core::evidence::{ClaimedEvidence, Entries, Trust};
use ledger_core::hash::Hash;
use ledger_core::merkle::{ConsistencyProof, TreeHead, verify_consistency};
use ledger_core::note::{Algorithm, SignerKey};
use ledger_core::tile::TileCoord;
use ledger_core::witness::origin_hash;
use ledger_proto::v1::gossip_client::GossipClient;
use ledger_proto::v1::gossip_message;
use ledger_proto::v1::mirror_client::MirrorClient;
use ledger_proto::v1::{self as wire, MirroredLog};
use ledger_tests::consortium::Consortium;
use ledger_tests::process::{NodeProcess, run};
use ledger_tests::served::{ServedSite, write_site};
use ledger_tests::wait::{so, until_async};
use ledger_tests::web::agent;
use ledger_tests::{entry, key, size};
use tempfile::TempDir;
use tonic::Code;

const LOG: &str = "other.example/log";

pub(super) fn log_key() -> SignerKey {
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

    pub(super) fn configure(&self, old: &str, new: &str) {
        let config = self.dir().join("config.toml");
        let text = std::fs::read_to_string(&config).expect("written by init");
        assert!(text.contains(old), "{text}");
        std::fs::write(&config, text.replace(old, new)).expect("a writable folder");
    }

    pub(super) fn dir(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    pub(super) fn list(&self, list: &str) {
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

pub(super) fn hash(origin: &str) -> String {
    origin_hash(&Origin::new(origin).expect("an origin"))
}

/// What a running mirror says of its only log.
pub(super) async fn status(grpc: &str) -> Option<MirroredLog> {
    let mut client = MirrorClient::connect(grpc.to_owned()).await.expect("the node listens");
    let listed = client.list_mirrored(wire::ListMirroredRequest {}).await.expect("no error");
    listed.into_inner().logs.into_iter().next()
}

pub(super) async fn wait(
    grpc: &str,
    what: &str,
    fine: impl Fn(&MirroredLog) -> bool,
) -> MirroredLog {
    let seen = until_async(async || {
        let is = so(status(grpc).await, |log| log.as_ref().is_some_and(&fine));
        is.map_err(|log| Box::new((what, log)))
    });
    seen.await.expect("it is listed")
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
    let agent = agent();
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
pub(super) fn ledger(arguments: &[&str]) -> (i32, serde_json::Value, String) {
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
    let made = until_async(async || so(mirror.evidence(), |made| !made.is_empty())).await;
    let evidence = &made[0];
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
    until_async(async || so(source.asked("checkpoint"), |now| *now >= asked + 2)).await;
    let log = status(&node.grpc).await.expect("listed");
    assert_eq!((log.size, log.trouble.as_str()), (Some(300), ""));
    let mut other = entries(200);
    other[199] = b"another entry".to_vec();
    write_site(old.path(), &other, &log_key());
    trouble(&node.grpc, "contradiction").await;
    until_async(async || so(mirror.evidence(), |made| !made.is_empty())).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_made_again_is_not_served_before_all_that_was_promised_is_here() {
    let site = tempfile::tempdir().expect("a folder");
    write_site(site.path(), &entries(9_000), &log_key());
    let source = ServedSite::start(site.path()).await;
    let mirror = Mirror::new(&list()(&source.url));
    let node = NodeProcess::serve(&mirror.dir());
    let before = cosigned(&node.grpc, 9_000).await;
    drop(node);
    std::fs::remove_dir_all(mirror.dir().join("mirrors")).expect("it was there");
    // the second chunk does not come
    source.cut_off(Some("tile/entries/035"));
    let node = NodeProcess::serve(&mirror.dir());
    wait(&node.grpc, "a chunk", |log| log.copied_size == 8192).await;
    drop(node);
    let node = NodeProcess::serve(&mirror.dir());
    let url = format!("{}/mirror/{}/checkpoint", node.http, hash(LOG));
    assert_eq!(get(&url).status, 404, "a part of it is here");
    source.cut_off(None);
    let after = cosigned(&node.grpc, 9_000).await;
    assert_eq!(after.checkpoint, before.checkpoint, "it is what was promised");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pending_head_that_no_source_has_any_more_gives_way_to_a_later_one() {
    let (log, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir());
    let other = other.expect("a folder");
    write_site(log.path(), &entries(900), &log_key());
    let source = ServedSite::start(log.path()).await;
    let mirror = Mirror::new(&list()(&source.url));
    let node = NodeProcess::serve(&mirror.dir());
    cosigned(&node.grpc, 900).await;
    source.cut_off(Some("tile/entries"));
    write_site(log.path(), &entries(1_100), &log_key());
    wait(&node.grpc, "a pending head", |log| log.pending_size == Some(1_100)).await;
    drop(node);
    // another mirror was there at 900 and at 1,300, and has the partial tiles of no size between
    write_site(other.path(), &entries(900), &log_key());
    write_site(other.path(), &entries(1_300), &log_key());
    source.show(other.path());
    source.cut_off(None);
    let node = NodeProcess::serve(&mirror.dir());
    cosigned(&node.grpc, 1_300).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_could_not_be_shown_is_shown_once_the_disk_takes_it() {
    let site = tempfile::tempdir().expect("a folder");
    write_site(site.path(), &entries(300), &log_key());
    let source = ServedSite::start(site.path()).await;
    let mirror = Mirror::new(&list()(&source.url));
    let node = NodeProcess::serve(&mirror.dir());
    cosigned(&node.grpc, 300).await;
    let checkpoint = mirror.dir().join("mirrors").join(hash(LOG)).join("checkpoint");
    std::fs::remove_file(&checkpoint).expect("it was published");
    std::fs::create_dir(&checkpoint).expect("a writable folder");
    write_site(site.path(), &entries(400), &log_key());
    let log = trouble(&node.grpc, "storage").await;
    assert_eq!((log.size, log.pending_size), (Some(300), None), "it is kept, and not shown");
    std::fs::remove_dir(&checkpoint).expect("it is there");
    let log = cosigned(&node.grpc, 400).await;
    assert_eq!(std::fs::read(&checkpoint).expect("published"), log.checkpoint);
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
