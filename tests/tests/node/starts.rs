//! The first signature after a start: which answers of witnesses and peers a log waits for, which
//! stop it, and which are only what somebody says.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ledger_core::Hint;
use ledger_core::checkpoint::{Checkpoint, ClaimedCheckpoint, Origin};
use ledger_core::hash::Hash;
use ledger_core::merkle::TreeHead;
use ledger_core::note::{Algorithm, SignerKey};
use ledger_node::RunningNode;
use ledger_node::publisher::confirm::Consent;
use ledger_node::sequencer::SequencerError;
use ledger_proto::v1::ledger_client::LedgerClient;
use ledger_proto::v1::{self as wire, Wait};
use ledger_tests::consortium::{Consortium, ORIGIN};
use ledger_tests::copy_folder;
use ledger_tests::process::run;
use ledger_tests::wait::{SOON, so, until_async};
use ledger_tests::web::agent;
use ledger_tests::witness::{Mood, TestWitness};
use ledger_tests::{key, size};
use tonic::transport::Channel;

use super::gossip::{Member, free_port};
use super::gossip_mirror::copy;
use super::witnesses::{TWO_OF_THREE, Witnessed, policy_text, submit, until};

const ANY_OF_TWO: &str = "group g any w1 w2\nquorum g\n";

/// Requests after which a witness has been asked for longer than a start waits for those that are
/// merely slow.
const MANY: u64 = 8;

/// Status and text of the health check.
async fn health(node: &RunningNode) -> (u16, String) {
    get(node, "/healthz").await
}

async fn get(node: &RunningNode, path: &str) -> (u16, String) {
    let url = format!("http://{}{path}", node.http_addr());
    let read = move || {
        let mut answer = agent().get(&url).call().expect("an answer");
        (answer.status().as_u16(), answer.body_mut().read_to_string().expect("text"))
    };
    tokio::task::spawn_blocking(read).await.expect("read")
}

/// Waits until the health check is as it should be, and gives it.
pub(super) async fn healthy(node: &RunningNode, well: impl Fn(&(u16, String)) -> bool) -> String {
    until_async(async || so(health(node).await, &well)).await.1
}

/// What `ledger witness status` prints.
pub(super) fn witness_status(node: &RunningNode) -> String {
    let url = format!("http://{}", node.grpc_addr());
    let words = ["witness", "status", "--node", &url].map(AsRef::as_ref);
    let output = tokio::task::block_in_place(|| run("ledger", &words));
    let [said, remarks] = [output.stdout, output.stderr].map(String::from_utf8);
    said.expect("text") + &remarks.expect("text")
}

pub(super) fn has_signed(node: &RunningNode) -> bool {
    node.service().signed.borrow().is_some()
}

/// Asserts that a node that was just started signs nothing, however often it asks this witness,
/// and gives what its health check says.
pub(super) async fn waits_for(node: &RunningNode, missing: &TestWitness) -> String {
    let before = missing.asked();
    until(|| missing.asked() >= before + MANY || has_signed(node)).await;
    assert!(!has_signed(node), "it signed although a witness may know more");
    let (status, text) = health(node).await;
    assert_eq!(status, 503, "{text}");
    text
}

pub(super) async fn failed(node: &mut RunningNode) -> SequencerError {
    tokio::time::timeout(SOON, node.failed()).await.expect("in time")
}

/// Waits until a node has signed after its start.
pub(super) async fn signs(node: &RunningNode) {
    let mut signed = node.service().signed.clone();
    let waited = tokio::time::timeout(SOON, signed.wait_for(Option::is_some)).await;
    drop(waited.expect("in time").expect("the node lives"));
}

/// A head of the consortium's log that is not in its tree.
pub(super) fn forged(log: &SignerKey, leaves: u64) -> ClaimedCheckpoint {
    let origin = Origin::new(log.verifier().name().as_str()).expect("a name");
    let head = TreeHead { size: size(leaves), root: Hash::leaf(b"another history") };
    Checkpoint::new(origin, head).sign(log)
}

/// The notes that a node keeps of what others showed.
fn kept(log: &Witnessed) -> Vec<String> {
    let folder = log.dir().join("private/found");
    let files = std::fs::read_dir(folder).into_iter().flatten();
    files
        .map(|file| std::fs::read_to_string(file.expect("readable").path()).expect("text"))
        .collect()
}

/// Puts a copy of the directory aside, under this name.
pub(super) fn back_up(log: &Witnessed, name: &str) {
    copy_folder(&log.dir(), &log.folder.path().join(name));
}

/// Puts the copy of this name in the place of the directory.
pub(super) fn restore(log: &Witnessed, name: &str) {
    std::fs::remove_dir_all(log.dir()).expect("removed");
    copy_folder(&log.folder.path().join(name), &log.dir());
}

fn without(names: &[&str]) -> Consent {
    Consent { without: names.iter().map(|name| (*name).to_owned()).collect(), trust_clock: false }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_log_under_any_of_two_waits_for_both() {
    let log = Witnessed::found_with(2, ANY_OF_TWO).await;
    let (node, mut client) = log.serve().await;
    log.log(&mut client, 0).await;
    until(|| log.witnesses.iter().all(|seen| seen.latest().is_some_and(|h| h.size.get() == 2)))
        .await;
    node.shutdown().await.expect("sound");
    back_up(&log, "backup");
    let (node, mut client) = log.serve().await;
    signs(&node).await;
    // only the second witness sees what follows
    log.witnesses[0].feel(Mood::Silent);
    for n in 1..4 {
        log.log(&mut client, n).await;
    }
    node.shutdown().await.expect("sound");
    assert_eq!(log.witnesses[0].latest().map(|head| head.size.get()), Some(2));

    // the backup comes back, the witness that saw less is there, the other one is not
    restore(&log, "backup");
    log.witnesses[0].feel(Mood::Honest);
    log.witnesses[1].feel(Mood::Silent);
    let (mut node, _) = log.serve().await;
    let said = waits_for(&node, &log.witnesses[1]).await;
    assert!(said.starts_with("unconfirmed: "), "{said}");
    assert!(said.contains("w2") && said.contains("--without-witness"), "{said}");
    let first = said.lines().next().expect("a line");
    assert!(!first.contains("w1"), "that one has agreed: {said}");
    // it serves what readers saw last meanwhile
    assert_eq!(node.service().current().expect("published").size().get(), 2);
    let status = witness_status(&node);
    assert!(status.contains("waits for w2") && status.contains("--without-witness"), "{status}");
    let (_, metrics) = get(&node, "/metrics").await;
    assert!(metrics.contains("ledger_unconfirmed_witnesses 1\n"), "{metrics}");

    // the other one comes back, and shows what it cosigned
    log.witnesses[1].feel(Mood::Honest);
    let error = failed(&mut node).await;
    assert!(error.to_string().contains("the witness w2 shows a head of size 5"), "{error}");
    assert!(error.hint().contains("ledger-node recover"), "{}", error.hint());
    let _ = node.shutdown().await;
    assert_eq!(log.witnesses[0].latest().map(|head| head.size.get()), Some(2), "nothing new");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_may_name_a_witness_that_is_gone() {
    let log = Witnessed::found_with(2, ANY_OF_TWO).await;
    let (node, mut client) = log.serve().await;
    log.log(&mut client, 0).await;
    node.shutdown().await.expect("sound");
    log.witnesses[1].feel(Mood::Silent);
    let (node, mut client) = log.serve_with(without(&["w2"])).await;
    assert_eq!(log.log(&mut client, 1).await, 2);
    node.shutdown().await.expect("sound");
    // a name that no witness has is a mistake
    let (mut node, _) = log.serve_with(without(&["w9"])).await;
    let error = failed(&mut node).await;
    assert!(error.is_refusal() && error.to_string().contains("names no witness w9"), "{error}");
    let _ = node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_within_a_pending_handover_waits() {
    let log = Witnessed::found().await;
    let own = log.consortium.log.verifier();
    let [w8, w9] = [TestWitness::start(8, own).await, TestWitness::start(9, own).await];
    let next =
        format!("log {own}\n{}{}group n any w8 w9\nquorum n\n", w8.policy_line(), w9.policy_line());
    let charter = policy_text(own, &log.witnesses);
    let norm =
        log.consortium.norm_with_policy(&log.consortium.charter_with_policy(&charter), &next);
    let (node, mut client) = log.serve().await;
    log.log(&mut client, 0).await;
    // a change of the policy is logged, and no quorum of the old one cosigns it
    log.all_feel(Mood::Silent);
    submit(&mut client, &norm, Wait::Unspecified).await.expect("two stewards");
    let saw = |seen: &TestWitness, leaves| seen.latest().is_some_and(|h| h.size.get() == leaves);
    until(|| saw(&w8, 3) && saw(&w9, 3)).await;
    assert_eq!(node.service().current().expect("published before").size().get(), 2);
    node.shutdown().await.expect("sound");
    back_up(&log, "pending");
    // it is published, and the log goes on under one of its new witnesses
    log.all_feel(Mood::Honest);
    let (node, mut client) = log.serve().await;
    log.published(&node, |checkpoint| checkpoint.checkpoint().head().size.get() == 3).await;
    w8.feel(Mood::Silent);
    let answer = submit(&mut client, &log.consortium.incident(1), Wait::Published).await;
    assert_eq!(answer.expect("one of two cosigns").index, 3);
    node.shutdown().await.expect("sound");

    // the old quorum agrees with the backup, and so does the new witness that saw no more
    restore(&log, "pending");
    w8.feel(Mood::Honest);
    w9.feel(Mood::Silent);
    let (node, _) = log.serve().await;
    let said = waits_for(&node, &w9).await;
    assert!(said.starts_with("unconfirmed: ") && said.contains("w9"), "{said}");
    node.shutdown().await.expect("sound");
    // nor do the new ones alone decide: the old quorum may have seen that the change was dropped
    restore(&log, "pending");
    w9.forget();
    w9.feel(Mood::Honest);
    log.witnesses[0].feel(Mood::Silent);
    log.witnesses[1].feel(Mood::Silent);
    let (node, _) = log.serve().await;
    let said = waits_for(&node, &log.witnesses[1]).await;
    assert!(said.contains("w1") && said.contains("w2"), "{said}");
    log.witnesses[1].feel(Mood::Honest);
    log.witnesses[1].forget();
    log.witnesses[2].forget();
    drop(node);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bare_422_ends_no_log_and_lets_none_sign() {
    let log = Witnessed::found().await;
    let (node, mut client) = log.serve().await;
    log.log(&mut client, 0).await;
    node.shutdown().await.expect("sound");
    for mood in [Mood::Denies, Mood::Claims(77), Mood::Speechless] {
        log.witnesses[1].feel(mood);
        let (node, _) = log.serve().await;
        let said = waits_for(&node, &log.witnesses[1]).await;
        assert!(said.starts_with("unconfirmed: ") && said.contains("w2"), "{mood:?}: {said}");
        assert!(said.contains("\nwitness w2: claims "), "{mood:?}: {said}");
        let stopped = tokio::time::timeout(SOON, node.shutdown()).await.expect("in time");
        stopped.expect("a claim ends no log");
    }
    // the witness itself ends its claim
    let (node, mut client) = log.serve().await;
    waits_for(&node, &log.witnesses[1]).await;
    log.witnesses[1].feel(Mood::Honest);
    assert_eq!(log.log(&mut client, 1).await, 2);
    node.shutdown().await.expect("sound");
    // or the operator does
    log.witnesses[1].feel(Mood::Denies);
    let (node, mut client) = log.serve_with(without(&["w2"])).await;
    assert_eq!(log.log(&mut client, 2).await, 3);
    node.shutdown().await.expect("sound");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_reported_as_a_claim() {
    let log = Witnessed::found().await;
    let (node, mut client) = log.serve().await;
    log.log(&mut client, 0).await;
    node.shutdown().await.expect("sound");
    for (mood, says) in [
        (Mood::Claims(77), "it says that it cosigned size 77 of this log"),
        (Mood::Denies, "it says with status 422 that this tree is not the one it cosigned"),
        (Mood::Speechless, "it says with status 409 and no size that it cosigned another head"),
    ] {
        log.witnesses[1].feel(mood);
        let (node, _) = log.serve().await;
        let trouble = || {
            let status = node.service().board.statuses().into_iter().nth(1)?;
            status.trouble.map(|own| own.0)
        };
        until(|| trouble().is_some() || has_signed(&node)).await;
        let trouble = trouble().expect("it was asked");
        assert!(trouble.starts_with(says), "{mood:?}: {trouble}");
        let status = witness_status(&node);
        assert!(status.contains("  w2: CLAIMS since ") && status.contains(says), "{status}");
        let (_, text) = health(&node).await;
        assert!(
            !text.contains("has cosigned") && !status.contains("has cosigned"),
            "{text}{status}"
        );
        let (_, metrics) = get(&node, "/metrics").await;
        assert!(metrics.contains("ledger_witness_claims{witness=\"w2\"} 1\n"), "{metrics}");
        node.shutdown().await.expect("sound");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shown_checkpoint_stops_the_log() {
    let log = Witnessed::found().await;
    let (node, mut client) = log.serve().await;
    log.log(&mut client, 0).await;
    node.shutdown().await.expect("sound");
    back_up(&log, "sound");
    let own = &log.consortium.log;
    for (mood, leaves, is) in [
        (Mood::Claims(77), 77, "shows a head of size 77"),
        (Mood::Denies, 2, "shows another tree of size 2"),
        (Mood::Speechless, 1, "shows another tree of size 1"),
    ] {
        let shown = forged(own, leaves).to_string();
        restore(&log, "sound");
        log.witnesses[1].feel(mood);
        log.witnesses[1].show(shown.clone());
        let (mut node, _) = log.serve().await;
        let error = failed(&mut node).await;
        // one that contradicts what is published convicts the log, which the node may find first
        let stops = |error: &SequencerError, by: &str| {
            let said = error.to_string();
            let is_evidence = leaves != 77 && said.contains("convicts this log");
            assert!(is_evidence || error.is_refusal() && said.starts_with(by), "{said}");
            let hint = error.hint();
            assert!(!hint.contains("--without-witness"), "a proof is no claim: {hint}");
        };
        stops(&error, &format!("the witness w2 {is}"));
        let _ = node.shutdown().await;
        assert_eq!(kept(&log), [shown]);
        // the proof was kept: leaving the witness out does not make the log sign
        let (mut node, _) = log.serve_with(without(&["w2"])).await;
        stops(&failed(&mut node).await, "a note in private/found, ");
        assert!(!has_signed(&node));
        let _ = node.shutdown().await;
    }
    // and peers learn of the head
    let size_of = |note: &str| note.lines().nth(1).map(str::to_owned);
    let member = Member::found(90);
    member.asks([]);
    member.knows(own, "http://127.0.0.1:9");
    let _peer = member.serve().await;
    restore(&log, "sound");
    super::gossip::asks_at(&log.dir(), [([127, 0, 0, 1], member.port).into()]);
    log.witnesses[1].feel(Mood::Claims(78));
    log.witnesses[1].show(forged(own, 78).to_string());
    let (mut node, _) = log.serve().await;
    assert!(failed(&mut node).await.is_refusal());
    let told = |log: &wire::GossipLog| {
        let adopted = log.adopted.as_ref().map(|note| String::from_utf8_lossy(note).into_owned());
        let open = log.open.iter().map(|o| String::from_utf8_lossy(&o.head).into_owned());
        open.chain(adopted).any(|note| size_of(&note).as_deref() == Some("78"))
    };
    member.says_of(ORIGIN, told).await;
    let _ = node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_page_shows_nothing() {
    let log = Witnessed::found().await;
    let (node, mut client) = log.serve().await;
    log.log(&mut client, 0).await;
    let honest = node.service().current().expect("published").checkpoint().claimed().to_string();
    node.shutdown().await.expect("sound");
    let other = key("other.test/log", Algorithm::Ed25519, 200);
    let thief = key(ORIGIN, Algorithm::Ed25519, 99);
    let unsigned = forged(&log.consortium.log, 77).to_string();
    // the text of another head under the signature of an honest one
    let line = honest.lines().find(|line| line.starts_with('\u{2014}')).expect("signed");
    let text = unsigned.split("\n\n").next().expect("a text");
    let false_line = format!("{text}\n\n{line}\n");
    let pages: [(&str, Vec<u8>); 7] = [
        ("an empty page", Vec::new()),
        ("a web page", b"<!doctype html><title>Welcome</title>".to_vec()),
        ("no text", vec![0xff; 1 << 10]),
        ("a page without an end", vec![b'x'; 2 << 20]),
        ("another log", forged(&other, 77).to_string().into_bytes()),
        ("a false line", false_line.into_bytes()),
        ("an honest head", honest.into_bytes()),
    ];
    let (judged, witness) = (pages.len(), &log.witnesses[1]);
    witness.feel(Mood::Claims(77));
    let (node, mut client) = log.serve().await;
    let mut seen = 0;
    for (what, page) in pages {
        witness.show(page);
        let before = witness.monitored();
        until(|| witness.monitored() >= before + 2 || has_signed(&node)).await;
        let (status, text) = health(&node).await;
        assert!(status == 503 && text.starts_with("unconfirmed: "), "{what}: {text}");
        assert!(!has_signed(&node) && kept(&log).is_empty(), "{what}");
        seen += 1;
    }
    assert_eq!(seen, judged);
    // a key that this node's charter does not know may be one of later days
    witness.show(forged(&thief, 77).to_string());
    let said = healthy(&node, |(_, text)| text.contains("ledger-node recover")).await;
    assert!(said.starts_with("unconfirmed: ") && !has_signed(&node), "{said}");
    witness.feel(Mood::Honest);
    assert_eq!(log.log(&mut client, 1).await, 2);
    node.shutdown().await.expect("sound");
}

/// Puts another log key into the configuration.
fn sign_with(log: &Witnessed, key: &SignerKey, name: &str) {
    let file = log.folder.path().join(name);
    log.consortium.write_key(key, &file);
    let config = log.dir().join("config.toml");
    let text = std::fs::read_to_string(&config).expect("written by init");
    let others = text.lines().filter(|line| !line.starts_with("log_key"));
    let lines: String = others.map(|line| format!("{line}\n")).collect();
    std::fs::write(config, format!("log_key = {file:?}\n{lines}")).expect("a writable folder");
}

/// Puts a fresh key in the place of the log's, in two changes: entry 2 adds it, and entry 3, which
/// it signs alone, retires the old one. No node runs afterwards.
pub(super) async fn rotated(log: &Witnessed) -> SignerKey {
    let old = &log.consortium.log;
    let fresh = key(ORIGIN, Algorithm::Ed25519, 211);
    log.witnesses.iter().for_each(|witness| witness.trust(fresh.verifier()));
    let vkey = |key: &SignerKey| key.verifier().to_string();
    let witnesses: String = log.witnesses.iter().map(TestWitness::policy_line).collect();
    let both = format!("log {}\nlog {}\n{witnesses}{TWO_OF_THREE}", vkey(old), vkey(&fresh));
    let one = format!("log {}\n{witnesses}{TWO_OF_THREE}", vkey(&fresh));
    let charter = log.consortium.charter_with_policy(&policy_text(old.verifier(), &log.witnesses));
    let add = log.consortium.norm(
        &charter,
        serde_json::json!([
            {"action": "add_log_key", "vkey": vkey(&fresh)},
            {"action": "set_policy", "policy": both},
        ]),
    );
    let later = Consortium { time: log.consortium.time + 1, ..log.consortium.clone() };
    let retire = later.norm(
        &add,
        serde_json::json!([
            {"action": "retire_log_key", "vkey": vkey(old)},
            {"action": "set_policy", "policy": one},
        ]),
    );
    let (node, mut client) = log.serve().await;
    log.log(&mut client, 0).await;
    submit(&mut client, &add, Wait::Published).await.expect("two stewards");
    node.shutdown().await.expect("sound");
    sign_with(log, &fresh, "fresh.key");
    let (node, mut client) = log.serve().await;
    until(|| SystemTime::now() >= UNIX_EPOCH + Duration::from_secs(later.time)).await;
    submit(&mut client, &retire, Wait::Published).await.expect("two stewards");
    node.shutdown().await.expect("sound");
    fresh
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_key_stops_no_log() {
    let log = Witnessed::found().await;
    let old = log.consortium.log.clone();
    rotated(&log).await;

    // entry 3 retired it: heads below, at and beyond its end
    for (n, (leaves, mood)) in
        [(2, Mood::Denies), (4, Mood::Denies), (70, Mood::Claims(70))].into_iter().enumerate()
    {
        let stolen = forged(&old, leaves);
        log.witnesses[1].show(stolen.to_string());
        log.witnesses[1].feel(mood);
        let (node, mut client) = log.serve().await;
        let record = log.consortium.incident(1 + n as u64);
        let answer = submit(&mut client, &record, Wait::Published).await.expect("it signs");
        assert_eq!(answer.index, 4 + n as u64);
        assert!(kept(&log).contains(&stolen.to_string()), "the note is kept");
        node.shutdown().await.expect("a thief stops nothing");
    }
    assert_eq!(kept(&log).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_while_running_is_silence() {
    let log = Witnessed::found().await;
    let (node, mut client) = log.serve().await;
    log.log(&mut client, 0).await;
    let claims = [Mood::Denies, Mood::Claims(77), Mood::Speechless];
    for (witness, mood) in log.witnesses.iter().zip(claims) {
        witness.feel(mood);
    }
    submit(&mut client, &log.consortium.incident(1), Wait::Unspecified).await.expect("lawful");
    let is_silent = |at: usize| node.service().board.statuses()[at].trouble.is_some();
    until(|| (0..3).all(is_silent)).await;
    // all three say that there is more, and none of them shows it
    submit(&mut client, &log.consortium.incident(2), Wait::Unspecified).await.expect("it goes on");
    log.all_feel(Mood::Honest);
    assert_eq!(log.log(&mut client, 3).await, 4);
    // one that shows it ends the log's signing, whatever the others say
    let mut node = node;
    log.witnesses[2].show(forged(&log.consortium.log, 78).to_string());
    log.witnesses[2].feel(Mood::Claims(78));
    submit(&mut client, &log.consortium.incident(4), Wait::Unspecified).await.expect("lawful");
    let error = failed(&mut node).await;
    assert!(error.to_string().contains("the witness w3 shows a head of size 78"), "{error}");
    assert!(error.hint().contains("ledger-node recover"), "{}", error.hint());
    assert!(!error.hint().contains("nothing was signed"), "it runs: {}", error.hint());
    let _ = node.shutdown().await;
    assert_eq!(kept(&log).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_that_went_back_is_reported_not_convicted() {
    let log = Witnessed::found().await;
    let (node, mut client) = log.serve().await;
    log.log(&mut client, 0).await;
    log.published(&node, |checkpoint| checkpoint.note().signatures().len() == 4).await;
    let (_, metrics) = get(&node, "/metrics").await;
    assert!(metrics.contains("ledger_witness_rolled_back_total{witness=\"w1\"} 0\n"), "{metrics}");
    // while the node runs
    log.witnesses[0].forget();
    log.log(&mut client, 1).await;
    let back = |text: &str| text.contains("\nwitness w1: rolled-back, ");
    let said = healthy(&node, |(_, text)| back(text)).await;
    assert!(said.starts_with("ok\n") && said.contains("from size 2 to 0"), "{said}");
    // the text of the metrics may be a tenth of a second old
    let counted = "ledger_witness_rolled_back_total{witness=\"w1\"} 1\n";
    let metrics = async || so(get(&node, "/metrics").await, |(_, text)| text.contains(counted));
    until_async(metrics).await;
    let status = witness_status(&node);
    assert!(status.contains("ROLLED BACK from size 2 to 0"), "{status}");
    // the node brings it up to date
    until(|| log.witnesses[0].latest().is_some_and(|head| head.size.get() == 3)).await;
    assert_eq!(node.service().gossip.evidence().count(), 0, "it is no evidence");
    log.published(&node, |checkpoint| checkpoint.note().signatures().len() == 4).await;
    node.shutdown().await.expect("sound");
    // while the node was away: the published checkpoint holds its line
    log.witnesses[0].forget();
    let (node, mut client) = log.serve().await;
    let said = healthy(&node, |(_, text)| back(text)).await;
    assert!(said.contains("from size 3 to 0"), "{said}");
    assert_eq!(log.log(&mut client, 2).await, 3);
    assert_eq!(node.service().gossip.evidence().count(), 0, "it is no evidence");
    node.shutdown().await.expect("sound");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_leaves_no_node() {
    let log = Witnessed::found().await;
    let (node, mut client) = log.serve().await;
    log.log(&mut client, 0).await;
    log.published(&node, |checkpoint| checkpoint.note().signatures().len() == 4).await;
    let peer = Member::found(91);
    peer.asks_at([node.grpc_addr()]);
    peer.knows(&log.consortium.log, &format!("http://{}", node.http_addr()));
    let other = peer.serve().await;
    // one witness claims, another one goes back
    log.witnesses[0].feel(Mood::Claims(77));
    log.witnesses[2].forget();
    log.log(&mut client, 1).await;
    let alarms = |text: &str| text.contains("w1: claims ") && text.contains("w3: rolled-back, ");
    healthy(&node, |(_, text)| alarms(text)).await;
    // the peer talks with the node until it knows the head that was signed meanwhile, and more
    let adopted = |log: &wire::GossipLog| {
        let note = log.adopted.as_ref().map(|note| String::from_utf8_lossy(note).into_owned());
        note.is_some_and(|note| note.lines().nth(1) == Some("3"))
    };
    peer.says_of(ORIGIN, adopted).await;
    let rounds = peer.says("a round", |_| true).await.rounds;
    let status = peer.says("more rounds", |status| status.rounds >= rounds + 2).await;
    let (_, metrics) = get(&other, "/metrics").await;
    let (_, text) = health(&other).await;
    let told = format!("{metrics}{text}{:?}", status.logs);
    let names = [" w1 ", " w1:", "\"w1\"", " w3 ", " w3:", "\"w3\""];
    for word in [": claims ", "rolled-back", "rolled_back_total{"].into_iter().chain(names) {
        assert!(!told.contains(word), "{word} in {told}");
    }
    assert_eq!((status.evidence, text.trim_end()), (0, "ok"));
    for node in [node, other] {
        node.shutdown().await.expect("sound");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_offset_is_shown() {
    let log = Witnessed::found().await;
    log.witnesses[0].feel(Mood::WrongClock(4_000));
    log.witnesses[1].feel(Mood::WrongClock(-200));
    let (node, mut client) = log.serve().await;
    log.log(&mut client, 0).await;
    let said = healthy(&node, |(_, text)| text.contains("witness w1: ")).await;
    assert!(said.starts_with("ok\n") && said.contains("w1: its clock is "), "{said}");
    assert!(said.contains(" s ahead of this node's"), "{said}");
    assert!(!said.contains("w2: its clock"), "below 300 s: {said}");
    node.shutdown().await.expect("sound");
}

/// Logs so many incidents of a member's own, from this number on.
async fn logs(member: &Member, numbers: std::ops::Range<u64>) {
    let url = format!("http://127.0.0.1:{}", member.port);
    let mut client = LedgerClient::<Channel>::connect(url).await.expect("it listens");
    for n in numbers {
        let record = member.consortium.incident(n);
        submit(&mut client, &record, Wait::Published).await.expect("lawful");
    }
}

fn name(member: &Member) -> String {
    member.consortium.log.verifier().name().to_string()
}

/// Whether a node has adopted a head of this size.
fn has_adopted(log: &wire::GossipLog, leaves: &str) -> bool {
    let note = log.adopted.as_ref().map(|note| String::from_utf8_lossy(note).into_owned());
    note.is_some_and(|note| note.lines().nth(1) == Some(leaves))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_stops_a_restored_log() {
    let (writer, peer) = (Member::found(92), Member::found(93));
    writer.asks([&peer]);
    peer.asks([&writer]);
    peer.knows(&writer.consortium.log, "http://127.0.0.1:9");
    let other = peer.serve().await;
    let node = writer.serve().await;
    logs(&writer, 0..2).await;
    node.shutdown().await.expect("sound");
    let backup = writer.dir().with_file_name("backup");
    copy_folder(&writer.dir(), &backup);
    let node = writer.serve().await;
    logs(&writer, 2..5).await;
    peer.says_of(&name(&writer), |log| has_adopted(log, "6")).await;
    node.shutdown().await.expect("sound");

    // no witness is asked under this policy
    std::fs::remove_dir_all(writer.dir()).expect("removed");
    copy_folder(&backup, &writer.dir());
    let mut node = writer.serve().await;
    let error = failed(&mut node).await;
    let says = format!("the peer http://127.0.0.1:{} shows a head of size 6", peer.port);
    assert!(error.is_refusal() && error.to_string().starts_with(&says), "{error}");
    assert!(error.hint().contains("ledger-node recover"), "{}", error.hint());
    let _ = node.shutdown().await;
    // a peer that is silent means nothing
    other.shutdown().await.expect("sound");
    std::fs::remove_dir_all(writer.dir()).expect("removed");
    copy_folder(&backup, &writer.dir());
    let node = writer.serve().await;
    logs(&writer, 7..8).await;
    node.shutdown().await.expect("sound");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_writer_learns_of_heads_that_followers_only_copied() {
    let (writer, follower) = (Member::found(94), Member::found(95));
    writer.asks([&follower]);
    follower.asks([]);
    let http = free_port();
    let serve = async || {
        let at = |port| Some(format!("127.0.0.1:{port}").parse().expect("an address"));
        let overrides = ledger_node::Overrides {
            grpc: at(writer.port),
            http: at(http),
            ..ledger_node::Overrides::default()
        };
        RunningNode::start(&writer.dir(), overrides).await.expect("it serves")
    };
    // it copies the log and is asked for no cosignature
    follower.mirrors(&writer.consortium.log, &format!("http://127.0.0.1:{http}"));
    let _other = follower.serve().await;
    let node = serve().await;
    logs(&writer, 0..2).await;
    node.shutdown().await.expect("sound");
    let backup = writer.dir().with_file_name("backup");
    copy_folder(&writer.dir(), &backup);
    let node = serve().await;
    logs(&writer, 2..5).await;
    copy(&follower, "what was logged", |log| log.copied_size == 6).await;
    node.shutdown().await.expect("sound");

    std::fs::remove_dir_all(writer.dir()).expect("removed");
    copy_folder(&backup, &writer.dir());
    let mut node = serve().await;
    let error = failed(&mut node).await;
    assert!(error.to_string().contains("shows a head of size 6"), "{error}");
    let _ = node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_that_never_answer_hold_a_start_up_for_seconds_only() {
    // a peer that takes connections and says nothing
    let hanging = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = hanging.local_addr().expect("it is bound");
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((socket, _)) = hanging.accept().await {
            held.push(socket);
        }
    });
    let member = Member::found(96);
    member.asks_at([address]);
    let node = member.serve().await;
    let text = healthy(&node, |(_, text)| text.contains("peers")).await;
    assert!(text.starts_with("unconfirmed: ") && !has_signed(&node), "{text}");
    tokio::time::timeout(Duration::from_secs(60), signs(&node)).await.expect("soon");
    logs(&member, 0..1).await;
    node.shutdown().await.expect("sound");
}
