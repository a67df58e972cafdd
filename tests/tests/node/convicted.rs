//! A witness that evidence convicts: it counts for no quorum, in the node, its mirrors and the
//! command line; and a node whose own key is convicted cosigns nothing with it.

use std::path::{Path, PathBuf};

use ledger_core::checkpoint::{Checkpoint, ClaimedCheckpoint, Origin};
use ledger_core::cosignature::cosign;
use ledger_core::evidence::{Case, ClaimedEvidence, Conflict, EvidenceId, Heads, Trust};
use ledger_core::hash::Hash;
use ledger_core::merkle::TreeHead;
use ledger_core::note::{Algorithm, Signature, SignerKey};
use ledger_core::record::Record;
use ledger_node::RunningNode;
use ledger_node::publisher::confirm::Consent;
use ledger_proto::v1::Wait;
use ledger_proto::v1::ledger_client::LedgerClient;
use ledger_tests::process::{NodeProcess, run};
use ledger_tests::witness::{Mood, TestWitness};
use ledger_tests::{key, size};
use tonic::transport::Channel;

use super::mirror::{Mirror, cosigned, trouble};
use super::starts::{healthy, witness_status};
use super::witnesses::{TWO_OF_THREE, Witnessed, policy_with, submit, until};

const ALL_OF_TWO: &str = "group g all w1 w2\nquorum g\n";

fn witness_key(seed: u8) -> SignerKey {
    key(&format!("w{seed}.test"), Algorithm::CosignatureV1, seed)
}

/// Evidence that this key cosigned two trees of another log.
fn against(key: &SignerKey) -> ClaimedEvidence {
    let head = |leaf: &[u8]| {
        let origin = Origin::new("other.test/log").expect("a name");
        let head = TreeHead { size: size(1), root: Hash::leaf(leaf) };
        let checkpoint = Checkpoint::new(origin, head);
        let text = format!("{checkpoint}\n{}", cosign(key, &checkpoint, 1_700_000_000));
        ClaimedCheckpoint::parse(text.as_bytes()).expect("a checkpoint")
    };
    let (one, other) = (head(b"one"), head(b"other"));
    let conflict = Conflict::of_heads(Heads { one: &one, other: &other }).expect("two roots");
    let trust = Trust::new().with_cosigner(key.verifier().clone());
    let case = Case { trust: &trust, authority: &[] };
    ClaimedEvidence::against_cosigner(&conflict, key.verifier(), case).expect("it convicts")
}

fn has_line_of(checkpoint: &ClaimedCheckpoint, key: &SignerKey) -> bool {
    let is_its = |line: &&Signature| line.is_by(key.verifier());
    checkpoint.note().signatures().iter().any(|line| is_its(&line))
}

fn published_size(node: &RunningNode) -> u64 {
    node.service().current().map_or(0, |published| published.size().get())
}

/// Has a node judge and keep evidence; its id there, for the node adds what proves keys.
fn convict(node: &RunningNode, evidence: &ClaimedEvidence) -> EvidenceId {
    let gossip = &node.service().gossip;
    gossip.convict(evidence).expect("it convicts a witness of the policy");
    let ids = gossip.evidence().ids();
    assert_eq!(ids.len(), 1);
    ids[0]
}

/// Submits a record of which no proof can be published now.
async fn log_unpublished(client: &mut LedgerClient<Channel>, record: &Record) -> u64 {
    let answer = submit(client, record, Wait::Unspecified).await.expect("it is lawful");
    answer.index
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_against_one_of_three_stops_nothing() {
    let log = Witnessed::found().await;
    let (node, mut client) = log.serve().await;
    log.log(&mut client, 0).await;
    let (first, evidence) = (witness_key(1), against(&witness_key(1)));
    let id = convict(&node, &evidence);
    for n in 1..4 {
        log.log(&mut client, n).await;
    }
    // the node does not show the convicted witness's line, and the others are enough
    log.published(&node, |shown| shown.checkpoint().head().size.get() == 5).await;
    let shown = node.service().current().expect("published").checkpoint().claimed().clone();
    assert!(!has_line_of(&shown, &first), "{}", shown.note());
    let text = healthy(&node, |(status, _)| *status == 200).await;
    let line = format!("witness w1: convicted by evidence {id}, counts for nothing");
    assert!(text.contains(&line), "{text}");
    let said = witness_status(&node);
    assert!(said.contains(&format!("CONVICTED by evidence {id}")), "{said}");
    node.shutdown().await.expect("sound");
    // nor does it stop a start, and the verdict is known before gossip judges anything
    let (node, mut client) = log.serve().await;
    assert_eq!(log.log(&mut client, 9).await, 5);
    // one of the others alone is no quorum with it
    log.witnesses[2].feel(Mood::Silent);
    let index = log_unpublished(&mut client, &log.consortium.incident(10)).await;
    let statuses = || node.service().board.statuses();
    let cosigned = |at: usize| statuses()[at].cosigned.is_some_and(|(size, _)| size.get() > index);
    until(|| cosigned(0) && cosigned(1)).await;
    // the third is asked again and again, and nothing more comes of the other two
    let asked = log.witnesses[2].asked();
    until(|| log.witnesses[2].asked() >= asked + 2).await;
    assert_eq!(published_size(&node), index);
    log.witnesses[2].feel(Mood::Honest);
    log.published(&node, |shown| shown.checkpoint().head().size.get() == index + 1).await;
}

/// Another policy with these witnesses, as a change of the charter.
fn change(log: &Witnessed, before: &str, witnesses: &[TestWitness], after: &str) -> Record {
    let own = log.consortium.log.verifier();
    let charter = log.consortium.charter_with_policy(&policy_with(own, &log.witnesses, before));
    log.consortium.norm_with_policy(&charter, &policy_with(own, witnesses, after))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_convicted_witness_makes_no_quorum_in_the_node() {
    let log = Witnessed::found_with(2, ALL_OF_TWO).await;
    let (node, mut client) = log.serve().await;
    log.log(&mut client, 0).await;
    let evidence = against(&witness_key(1));
    let id = convict(&node, &evidence);
    let text = healthy(&node, |(status, _)| *status == 503).await;
    assert!(text.starts_with("convicted-witness: "), "{text}");
    let why = format!("w1 is convicted by evidence {id}");
    assert!(text.contains(&why) && text.contains("set_policy"), "{text}");
    // both cosign, and nothing is published; readers keep what they saw
    let index = log_unpublished(&mut client, &log.consortium.incident(1)).await;
    // a change that stops the log again is refused
    let norm = change(&log, ALL_OF_TWO, &log.witnesses, "group h all w2 w1\nquorum h\n");
    let refused = submit(&mut client, &norm, Wait::Unspecified).await.expect_err("no quorum");
    assert!(refused.message().contains(&why), "{refused}");
    let norm = change(&log, ALL_OF_TWO, &log.witnesses[1..], "quorum w2\n");
    assert_eq!(log_unpublished(&mut client, &norm).await, index + 1);
    // the second head is asked about after all that came of the first
    let cosigned = |at: usize| log.witnesses[at].latest().is_some_and(|h| h.size.get() > index + 1);
    until(|| cosigned(0) && cosigned(1)).await;
    assert_eq!(published_size(&node), index);
    // the policy before must agree to its last head, and cannot
    let text = healthy(&node, |(status, _)| *status == 503).await;
    assert!(text.starts_with("convicted-witness: "), "{text}");
    node.shutdown().await.expect("sound");
    let without = ["w1".to_owned()].into();
    let (node, mut client) = log.serve_with(Consent { without, trust_clock: false }).await;
    log.published(&node, |shown| shown.checkpoint().head().size.get() > index + 1).await;
    healthy(&node, |(status, _)| *status == 200).await;
    let record = log.consortium.incident(2);
    let answer = submit(&mut client, &record, Wait::Published).await.expect("it is lawful");
    assert_eq!(answer.index, index + 2);
    node.shutdown().await.expect("sound");
    // once readers have seen the change, no start needs the flag
    let (node, _) = log.serve().await;
    healthy(&node, |(status, _)| *status == 200).await;
}

/// What a run of `ledger` says, and how it ends.
fn ledger(words: &[&str]) -> (Option<i32>, String) {
    let arguments: Vec<&std::ffi::OsStr> = words.iter().map(AsRef::as_ref).collect();
    let output = run("ledger", &arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), text + &String::from_utf8_lossy(&output.stderr))
}

/// A log of two in three whose third witness is silent, and what readers hold of it.
struct Read {
    log: Witnessed,
    node: RunningNode,
    folder: PathBuf,
    anchor: String,
}

impl Read {
    async fn new() -> Read {
        let log = Witnessed::found().await;
        log.witnesses[2].feel(Mood::Silent);
        let (node, mut client) = log.serve().await;
        log.log(&mut client, 0).await;
        let folder = log.folder.path().join("reader");
        std::fs::create_dir(&folder).expect("a writable folder");
        let policy = policy_with(log.consortium.log.verifier(), &log.witnesses, TWO_OF_THREE);
        let charter = log.consortium.charter_with_policy(&policy);
        let anchor = charter.statement().to_string();
        let write = |name: &str, bytes: &[u8]| {
            std::fs::write(folder.join(name), bytes).expect("a writable folder");
        };
        write("policy", policy.as_bytes());
        write("charter.record", charter.as_bytes());
        write("one.record", log.consortium.incident(0).as_bytes());
        write("two.record", log.consortium.incident(1).as_bytes());
        write("evidence.json", against(&witness_key(1)).as_str().as_bytes());
        Read { log, node, folder, anchor }
    }

    /// A command line in which words that begin with `@` are files of the reader's, `NODE` the
    /// node's address, `SITE` its files and `ANCHOR` the anchor.
    fn words(&self, line: &str) -> Vec<String> {
        let word = |word: &str| match word {
            "NODE" => format!("http://{}", self.node.grpc_addr()),
            "WEB" => format!("http://{}", self.node.http_addr()),
            "SITE" => self.log.dir().join("site").display().to_string(),
            "ANCHOR" => self.anchor.clone(),
            word => match word.strip_prefix('@') {
                Some(name) => self.folder.join(name).display().to_string(),
                None => word.to_owned(),
            },
        };
        line.split_whitespace().map(word).collect()
    }

    fn run(&self, line: &str) -> (Option<i32>, String) {
        let words = self.words(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        tokio::task::block_in_place(|| ledger(&words))
    }
}

/// Commands that conclude something from a checkpoint, in each way in which they take trust.
const COMMANDS: [&str; 19] = [
    "verify @one.tlog-proof --policy @policy",
    "verify @one.tlog-proof --anchor ANCHOR --charter @charter.record",
    "verify @one.tlog-proof --anchor ANCHOR --charter @one.authority",
    "verify @one.authority --anchor ANCHOR",
    "verify @one.authority --anchor ANCHOR --charter @charter.record",
    "verify @one.authority --anchor ANCHOR --policy @policy",
    "verify @checkpoint --policy @policy",
    "checkpoint --node NODE --policy @policy",
    "checkpoint --node NODE --anchor ANCHOR",
    "checkpoint --node NODE",
    "audit SITE --anchor ANCHOR",
    "audit WEB --anchor ANCHOR",
    "audit SITE --policy @policy",
    "audit SITE --anchor ANCHOR --charter @charter.record",
    "prove --node NODE --index 1 --policy @policy -o @new.tlog-proof",
    "prove --node NODE --index 1 --authority --anchor ANCHOR -o @new.authority",
    "prove --from SITE --index 1 --anchor ANCHOR -o @copied.tlog-proof",
    "register members SITE --anchor ANCHOR",
    "submit @one.record --node NODE --anchor ANCHOR",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_convicted_witness_makes_no_quorum_anywhere() {
    let reader = Read::new().await;
    for line in [
        "prove --node NODE --index 1 --policy @policy -o @one.tlog-proof",
        "prove --node NODE --index 1 --authority --anchor ANCHOR -o @one.authority",
    ] {
        let (code, said) = reader.run(line);
        assert_eq!(code, Some(0), "{line}: {said}");
    }
    let site = reader.log.dir().join("site/checkpoint");
    std::fs::copy(site, reader.folder.join("checkpoint")).expect("a checkpoint");
    let id = against(&witness_key(1)).id();
    let mut refused = 0;
    for line in COMMANDS {
        let (code, said) = reader.run(line);
        assert_eq!(code, Some(0), "{line}: {said}");
        let (code, said) = reader.run(&format!("{line} --evidence @evidence.json"));
        assert_eq!(code, Some(1), "{line}: {said}");
        assert!(said.contains(&format!("w1 is convicted by evidence {id}")), "{line}: {said}");
        assert!(!said.contains("\nproven ") && !said.starts_with("proven"), "{line}: {said}");
        refused += 1;
    }
    assert_eq!(refused, COMMANDS.len());
    // once the third witness has cosigned, the other two are enough
    reader.log.witnesses[2].feel(Mood::Honest);
    let both = |shown: &ClaimedCheckpoint| has_line_of(shown, &witness_key(3));
    reader.log.published(&reader.node, both).await;
    for line in [
        "checkpoint --node NODE --policy @policy --evidence @evidence.json",
        "audit SITE --anchor ANCHOR --evidence @evidence.json",
        "audit WEB --anchor ANCHOR --evidence @evidence.json --evidence @evidence.json",
        "prove --node NODE --index 1 --authority --anchor ANCHOR --evidence @evidence.json -o @one.authority",
        "verify @one.authority --anchor ANCHOR --evidence @evidence.json",
    ] {
        let (code, said) = reader.run(line);
        assert_eq!(code, Some(0), "{line}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_that_excludes_no_witness_is_named_and_evidence_against_the_log_proves_nothing() {
    let reader = Read::new().await;
    let write = |name: &str, text: &str| {
        std::fs::write(reader.folder.join(name), text).expect("a writable folder");
    };
    write("stranger.json", against(&witness_key(9)).as_str());
    let line = "checkpoint --node NODE --policy @policy --evidence";
    let (code, said) = reader.run(&format!("{line} @stranger.json"));
    let remark = "warning: evidence";
    assert!(code == Some(0) && said.contains(remark) && said.contains("excludes no"), "{said}");
    let (code, said) = reader.run(&format!("{line} @policy"));
    assert!(code == Some(1) && said.contains("this is not evidence"), "{said}");
    let (code, said) = reader.run(&format!("{line} @missing.json"));
    assert!(code == Some(3) && said.contains("hint: "), "{said}");
    write("log.json", against_log(&reader.log.consortium.log).as_str());
    for line in [line, "audit SITE --anchor ANCHOR --evidence"] {
        let (code, said) = reader.run(&format!("{line} @log.json"));
        assert!(code == Some(1) && said.contains("convicts the log"), "{line}: {said}");
    }
}

/// Evidence that the log signed two trees of one size.
fn against_log(log: &SignerKey) -> ClaimedEvidence {
    let head = |leaf: &[u8]| {
        let origin = Origin::new(log.verifier().name().as_str()).expect("a name");
        Checkpoint::new(origin, TreeHead { size: size(1), root: Hash::leaf(leaf) }).sign(log)
    };
    let (one, other) = (head(b"one"), head(b"other"));
    let conflict = Conflict::of_heads(Heads { one: &one, other: &other }).expect("two roots");
    let trust = Trust::new().with_key(log.verifier().clone());
    let case = Case { trust: &trust, authority: &[] };
    ClaimedEvidence::against_log(&conflict, case).expect("it convicts")
}

/// Puts evidence where a node finds it at its next start.
fn give(dir: &Path, evidence: &ClaimedEvidence) {
    let folder = dir.join("private/evidence");
    std::fs::create_dir_all(&folder).expect("a writable folder");
    let path = folder.join(format!("{}.json", evidence.id()));
    std::fs::write(path, evidence.as_str()).expect("a writable folder");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_takes_no_quorum_of_a_convicted_witness() {
    let reader = Read::new().await;
    let source = format!("http://{}", reader.node.http_addr());
    let list = format!(
        "ledger {} {} {source} quorum\n",
        reader.log.consortium.log.verifier().name(),
        reader.anchor
    );
    let mirror = Mirror::new(&list);
    let node = NodeProcess::serve(&mirror.dir());
    cosigned(&node.grpc, 2).await;
    assert_eq!(node.terminate(), (Some(0), String::new()));
    // the mirror knows the witnesses of the log that it copies, so that evidence against one counts
    give(&mirror.dir(), &against(&witness_key(1)));
    let node = NodeProcess::serve(&mirror.dir());
    let mut client = LedgerClient::connect(format!("http://{}", reader.node.grpc_addr()))
        .await
        .expect("it listens");
    reader.log.log(&mut client, 1).await;
    let refused = trouble(&node.grpc, "foreign").await;
    assert!(refused.trouble.contains("w1 is convicted by evidence"), "{}", refused.trouble);
    assert_eq!(refused.size, Some(2));
    // with the third witness there is a quorum again
    reader.log.witnesses[2].feel(Mood::Honest);
    cosigned(&node.grpc, 3).await;
}
