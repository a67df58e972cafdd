//! A log and its witnesses over real sockets: what is published and when, what a node refuses to
//! sign after a restore, and whose clock counts.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ledger_core::Hint;
use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::note::{Algorithm, VerifierKey};
use ledger_core::policy::Policy;
use ledger_core::proof::TlogProof;
use ledger_core::record::{Draft, Entry, Logged, Record, RecordId};
use ledger_node::publisher::PublishError;
use ledger_node::publisher::confirm::Consent;
use ledger_node::publisher::error::ConfirmError;
use ledger_node::restore::{RestoreError, Restored, append};
use ledger_node::sequencer::SequencerError;
use ledger_node::source::Source;
use ledger_node::{Founding, Overrides, RunningNode, init};
use ledger_proto::v1::ledger_client::LedgerClient;
use ledger_proto::v1::{self as wire, Wait};
use ledger_tests::consortium::Consortium;
use ledger_tests::wait::{SOON, so, until_async};
use ledger_tests::witness::{Mood, TestWitness};
use ledger_tests::{copy_folder, key};
use tempfile::TempDir;
use tonic::Code;
use tonic::transport::Channel;

/// How the policy ends of a log that wants two of three witnesses.
pub(crate) const TWO_OF_THREE: &str = "group g 2 w1 w2 w3\nquorum g\n";

/// A log whose policy wants two of three witnesses, unless the test says otherwise.
pub(crate) struct Witnessed {
    pub(crate) folder: TempDir,
    pub(crate) consortium: Consortium,
    pub(crate) witnesses: Vec<TestWitness>,
    policy: Policy,
}

impl Witnessed {
    pub(crate) async fn found() -> Witnessed {
        Witnessed::found_with(3, TWO_OF_THREE).await
    }

    /// A log with witnesses `w1` to `w<count>`, whose policy ends with these lines.
    pub(crate) async fn found_with(count: u8, quorum: &str) -> Witnessed {
        let folder = tempfile::tempdir().expect("a folder");
        let consortium = Consortium::new();
        let log = consortium.log.verifier();
        let mut witnesses = Vec::new();
        for seed in 1..=count {
            witnesses.push(TestWitness::start(seed, log).await);
        }
        let text = policy_with(log, &witnesses, quorum);
        let charter = consortium.charter_with_policy(&text);
        let log_key = folder.path().join("log.key");
        consortium.write_key(&consortium.log, &log_key);
        let founding = Founding {
            dir: &folder.path().join("log"),
            charter: charter.as_bytes(),
            log_key: &log_key,
            witness_keys: &[],
            witness_urls: &BTreeMap::new(),
        };
        let report = init(&founding).expect("a new log");
        assert!(report.quorum_reachable);
        let policy = Policy::parse(text.as_bytes()).expect("a policy");
        Witnessed { folder, consortium, witnesses, policy }
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    pub(crate) async fn serve(&self) -> (RunningNode, LedgerClient<Channel>) {
        self.serve_with(Consent::default()).await
    }

    pub(crate) async fn serve_with(
        &self,
        consent: Consent,
    ) -> (RunningNode, LedgerClient<Channel>) {
        self.serve_as(Overrides { consent, ..Overrides::default() }).await
    }

    pub(crate) async fn serve_as(
        &self,
        overrides: Overrides,
    ) -> (RunningNode, LedgerClient<Channel>) {
        let any = Some("127.0.0.1:0".parse().expect("an address"));
        let overrides = Overrides { grpc: any, http: any, ..overrides };
        let node = RunningNode::start(&self.dir(), overrides).await.expect("it serves");
        let client = LedgerClient::connect(format!("http://{}", node.grpc_addr())).await;
        (node, client.expect("it listens"))
    }

    /// Submits a record and verifies the proof that comes back by the policy.
    pub(crate) async fn log(&self, client: &mut LedgerClient<Channel>, n: u64) -> u64 {
        let record = self.consortium.incident(n);
        let answer = submit(client, &record, Wait::Published).await.expect("it is lawful");
        let proof = TlogProof::parse(&answer.proof).expect("a proof file");
        let logged = Logged::parse(std::str::from_utf8(&answer.logged).expect("text"));
        let leaf = Entry::new(logged.expect("a line"), record).leaf_hash();
        proof.verify(&leaf, &self.policy).expect("the quorum cosigned it");
        answer.index
    }

    pub(crate) fn all_feel(&self, mood: Mood) {
        self.witnesses.iter().for_each(|witness| witness.feel(mood));
    }

    /// Waits until the published checkpoint is as it should be.
    pub(crate) async fn published(
        &self,
        node: &RunningNode,
        is: impl Fn(&ClaimedCheckpoint) -> bool,
    ) {
        let mut published = node.service().published.clone();
        let waited = published.wait_for(|published| {
            published.as_ref().is_some_and(|published| is(published.checkpoint().claimed()))
        });
        tokio::time::timeout(SOON, waited).await.expect("in time").expect("the node lives");
    }
}

/// The policy of a log that wants two of these three witnesses.
pub(crate) fn policy_text(log: &VerifierKey, witnesses: &[TestWitness]) -> String {
    policy_with(log, witnesses, TWO_OF_THREE)
}

/// The policy of a log with these witnesses, which ends with these lines.
pub(crate) fn policy_with(log: &VerifierKey, witnesses: &[TestWitness], quorum: &str) -> String {
    let lines: String = witnesses.iter().map(TestWitness::policy_line).collect();
    format!("log {log}\n{lines}{quorum}")
}

/// Waits until something is so.
pub(crate) async fn until(is: impl Fn() -> bool) {
    until_async(async || so((), |()| is())).await;
}

pub(crate) async fn submit(
    client: &mut LedgerClient<Channel>,
    record: &Record,
    wait: Wait,
) -> Result<wire::SubmitResponse, tonic::Status> {
    let request = wire::SubmitRequest { record: record.to_bytes().into(), wait: wait.into() };
    client.submit(request).await.map(tonic::Response::into_inner)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_quorum_cosigns_is_published_and_late_witnesses_are_added() {
    let log = Witnessed::found().await;
    log.witnesses[2].feel(Mood::Silent);
    let (node, mut client) = log.serve().await;
    for n in 0..5 {
        assert_eq!(log.log(&mut client, n).await, n + 1);
    }
    let statuses = node.service().board.statuses();
    assert!(statuses[0].trouble.is_none() && statuses[1].trouble.is_none(), "{statuses:?}");
    let (trouble, _) = statuses[2].trouble.clone().expect("it was asked");
    assert!(trouble.contains("503"), "{trouble}");
    // it comes back: its cosignature joins those on the latest checkpoint
    log.witnesses[2].feel(Mood::Honest);
    log.published(&node, |checkpoint| checkpoint.note().signatures().len() == 4).await;
    node.shutdown().await.expect("sound");
}

#[tokio::test(flavor = "multi_thread")]
async fn sequencing_waits_for_no_witness_and_nothing_is_shown_without_a_quorum() {
    let log = Witnessed::found().await;
    let (node, mut client) = log.serve().await;
    log.log(&mut client, 0).await;
    log.witnesses[0].feel(Mood::Silent);
    log.witnesses[1].feel(Mood::Silent);
    // logged and durable, but not shown
    let record = log.consortium.incident(1);
    let answer = submit(&mut client, &record, Wait::Unspecified).await.expect("it is lawful");
    assert_eq!(answer.index, 2);
    let shown = node.service().current().expect("published before").size().get();
    assert_eq!(shown, 2);
    log.witnesses[0].feel(Mood::Honest);
    // a duplicate brings the proof as soon as there is one
    assert_eq!(log.log(&mut client, 1).await, 2);
    node.shutdown().await.expect("sound");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_log_shows_nothing_before_its_witnesses_have_seen_it() {
    let log = Witnessed::found().await;
    log.all_feel(Mood::Silent);
    let (node, mut client) = log.serve().await;
    let refused = client.get_checkpoint(wire::GetCheckpointRequest {}).await.expect_err("nothing");
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    assert!(refused.message().contains("hint: "), "{refused}");
    let url = format!("http://{}/checkpoint", node.http_addr());
    let agent = ledger_tests::web::agent();
    let answer = tokio::task::spawn_blocking(move || agent.get(url).call()).await.expect("asked");
    assert_eq!(answer.expect("an answer").status(), 503);
    log.all_feel(Mood::Honest);
    log.published(&node, |checkpoint| checkpoint.checkpoint().head().size.get() == 1).await;
    assert_eq!(log.log(&mut client, 0).await, 1);
    node.shutdown().await.expect("sound");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_told_to_stop_does_not_wait_for_witnesses() {
    let log = Witnessed::found().await;
    log.all_feel(Mood::Silent);
    let (node, _) = log.serve().await;
    tokio::time::timeout(SOON, node.shutdown()).await.expect("in time").expect("sound");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_signs_nothing_until_it_is_recovered() {
    let log = Witnessed::found().await;
    let (node, mut client) = log.serve().await;
    for n in 0..3 {
        log.log(&mut client, n).await;
    }
    node.shutdown().await.expect("sound");
    let backup = log.folder.path().join("backup");
    copy_folder(&log.dir(), &backup);
    let (node, mut client) = log.serve().await;
    for n in 3..400 {
        log.log(&mut client, n).await;
    }
    node.shutdown().await.expect("sound");

    // the operator loses the disk and restores the backup
    let newest = log.folder.path().join("newest");
    std::fs::rename(log.dir(), &newest).expect("moved");
    copy_folder(&backup, &log.dir());
    let (mut node, mut client) = log.serve().await;
    let error = tokio::time::timeout(SOON, node.failed()).await.expect("in time");
    let SequencerError::Confirm(ConfirmError::Shown { size, signed, .. }) = &error else {
        panic!("{error}");
    };
    assert_eq!((size.get(), signed.get()), (401, 4));
    assert!(error.hint().contains("ledger-node recover"), "{}", error.hint());
    let refused = submit(&mut client, &log.consortium.incident(999), Wait::Unspecified).await;
    assert_eq!(refused.expect_err("nothing is sequenced").code(), Code::Unavailable);
    let _ = node.shutdown().await;
    assert_eq!(log.witnesses[0].latest().expect("a head").size.get(), 401);

    // somebody kept a copy of the site
    let site = Source::open(newest.to_str().expect("text")).expect("a folder");
    let dir = log.dir();
    let done = tokio::task::spawn_blocking(move || append(&dir, &site)).await.expect("ran");
    let done = done.expect("it is a copy of this log");
    assert_eq!((done.had.get(), done.has.get()), (4, 401));
    let (node, mut client) = log.serve().await;
    assert_eq!(log.log(&mut client, 999).await, 401);
    node.shutdown().await.expect("sound");
}

#[tokio::test(flavor = "multi_thread")]
async fn recovery_takes_nothing_that_is_not_proven_to_be_the_logs_own() {
    let log = Witnessed::found().await;
    let (node, mut client) = log.serve().await;
    log.log(&mut client, 0).await;
    node.shutdown().await.expect("sound");
    let fork = log.folder.path().join("fork");
    copy_folder(&log.dir(), &fork);
    let (node, mut client) = log.serve().await;
    log.log(&mut client, 1).await;
    log.log(&mut client, 2).await;
    node.shutdown().await.expect("sound");
    let recover = |from: PathBuf| {
        let (dir, from) = (log.dir(), Source::open(from.to_str().expect("text")));
        async move {
            let from = from.expect("a folder");
            tokio::task::spawn_blocking(move || append(&dir, &from)).await.expect("ran")
        }
    };
    // an older copy has nothing to give
    let three = ledger_core::TreeSize::new(4).expect("small");
    let done = recover(fork.clone()).await.expect("an older copy");
    assert_eq!(done, Restored { had: three, has: three });

    // the same key signed another history, which witnesses that forgot have cosigned
    let other = Witnessed { folder: tempfile::tempdir().expect("a folder"), ..log_of(&log) };
    copy_folder(&fork, &other.dir());
    other.witnesses.iter().for_each(TestWitness::forget);
    let (node, mut client) = other.serve().await;
    for n in 10..15 {
        other.log(&mut client, n).await;
    }
    node.shutdown().await.expect("sound");
    let refused = recover(other.dir()).await.expect_err("another history");
    assert!(matches!(refused, RestoreError::OtherHistory(_)), "{refused}");

    // a damaged bundle, and another log
    let copy_of = log.folder.path().join("damaged");
    copy_folder(&other.dir(), &copy_of);
    let bundle = std::fs::read_dir(copy_of.join("site/tile/entries/000.p")).expect("partial ones");
    for file in bundle {
        std::fs::write(file.expect("readable").path(), b"nothing").expect("writable");
    }
    let refused = recover(copy_of).await.expect_err("damage");
    assert!(matches!(refused, RestoreError::Bundle(..)), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_of_the_private_folder_is_brought_back_from_the_own_site() {
    let log = Witnessed::found().await;
    let (node, mut client) = log.serve().await;
    for n in 0..3 {
        log.log(&mut client, n).await;
    }
    node.shutdown().await.expect("sound");
    let older = log.folder.path().join("older");
    copy_folder(&log.dir(), &older);
    let (node, mut client) = log.serve().await;
    for n in 3..300 {
        log.log(&mut client, n).await;
    }
    node.shutdown().await.expect("sound");
    let newest = log.folder.path().join("newest");
    copy_folder(&log.dir(), &newest);
    let serve = || async {
        let any = Some("127.0.0.1:0".parse().expect("an address"));
        let overrides = Overrides { grpc: any, http: any, ..Overrides::default() };
        RunningNode::start(&log.dir(), overrides).await.map(|_| ()).expect_err("something is lost")
    };
    let recover = |from: PathBuf| {
        let (dir, from) = (log.dir(), Source::open(from.to_str().expect("text")));
        async move {
            let from = from.expect("a folder");
            tokio::task::spawn_blocking(move || append(&dir, &from)).await.expect("ran")
        }
    };

    // the private folder is an older one: what readers saw is in the own site
    let private = log.dir().join("private");
    std::fs::remove_dir_all(&private).expect("removed");
    copy_folder(&older.join("private"), &private);
    let error = serve().await;
    assert!(error.to_string().contains("remembers signing only 4"), "{error}");
    assert!(error.hint().contains("ledger-node recover"), "{}", error.hint());
    let done = recover(log.dir()).await.expect("the own site has it all");
    assert_eq!((done.had.get(), done.has.get()), (4, 301));
    let (node, mut client) = log.serve().await;
    assert_eq!(log.log(&mut client, 300).await, 301);
    node.shutdown().await.expect("sound");

    // the journal lost its end, but the head that was promised is known
    let latest = log.folder.path().join("latest");
    copy_folder(&log.dir(), &latest);
    let journal = private.join("journal");
    std::fs::remove_dir_all(&journal).expect("removed");
    copy_folder(&older.join("private/journal"), &journal);
    let error = serve().await;
    assert!(error.to_string().contains("only 4 are stored"), "{error}");
    assert!(error.hint().contains("ledger-node recover"), "{}", error.hint());
    // a copy that has less than was promised does not help, and is said to
    let refused = recover(newest).await.expect_err("it has 301");
    assert!(matches!(refused, RestoreError::TooSmall { .. }), "{refused}");
    assert!(refused.to_string().contains("promised 302"), "{refused}");
    let done = recover(latest).await.expect("it has all");
    assert_eq!((done.had.get(), done.has.get()), (4, 302));
    let (node, mut client) = log.serve().await;
    assert_eq!(log.log(&mut client, 301).await, 302);
    node.shutdown().await.expect("sound");
}

/// The same log and witnesses once more.
fn log_of(log: &Witnessed) -> Witnessed {
    Witnessed {
        folder: tempfile::tempdir().expect("a folder"),
        consortium: log.consortium.clone(),
        witnesses: log.witnesses.clone(),
        policy: log.policy.clone(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_witness_that_is_needed_does_not_starve_a_busy_log() {
    let log = Witnessed::found().await;
    let (node, mut client) = log.serve().await;
    log.log(&mut client, 0).await;
    // it has answered about the first head, and is free to be asked about the next
    until(|| log.witnesses[2].latest().is_some_and(|head| head.size.get() == 2)).await;
    // the quorum needs a witness that takes longer than a round waits while newer heads are there
    log.witnesses[0].feel(Mood::Silent);
    log.witnesses[2].feel(Mood::Slow(6_000));
    for n in 1..=2 {
        submit(&mut client, &log.consortium.incident(n), Wait::Unspecified).await.expect("lawful");
    }
    // its answer about the first of the two heads comes in time to publish that one
    let mut published = node.service().published.clone();
    let next = published.wait_for(|seen| seen.as_ref().is_some_and(|seen| seen.size().get() > 2));
    let next = tokio::time::timeout(SOON, next).await.expect("in time").expect("the node lives");
    assert_eq!(next.as_ref().map(|seen| seen.size().get()), Some(3));
    drop(next);
    node.shutdown().await.expect("sound");
}

#[tokio::test(flavor = "multi_thread")]
async fn witnesses_that_leave_the_policy_see_the_head_that_says_so() {
    let log = Witnessed::found().await;
    let (node, mut client) = log.serve().await;
    log.log(&mut client, 0).await;
    node.shutdown().await.expect("sound");
    let backup = log.folder.path().join("backup");
    copy_folder(&log.dir(), &backup);

    // the members replace all three witnesses by one, while two of the three are away
    let (node, mut client) = log.serve().await;
    // they agree with what the log remembers before they go
    let mut signed = node.service().signed.clone();
    let agreed = tokio::time::timeout(SOON, signed.wait_for(Option::is_some)).await;
    drop(agreed.expect("in time").expect("the node lives"));
    let newcomer = TestWitness::start(9, log.consortium.log.verifier()).await;
    let own = log.consortium.log.verifier();
    let text = format!("log {own}\n{}quorum w9\n", newcomer.policy_line());
    let charter = log.consortium.charter_with_policy(&policy_text(own, &log.witnesses));
    let norm = log.consortium.norm_with_policy(&charter, &text);
    log.witnesses[0].feel(Mood::Silent);
    log.witnesses[1].feel(Mood::Silent);
    submit(&mut client, &norm, Wait::Unspecified).await.expect("two stewards");
    let saw = |seen: &TestWitness| seen.latest().is_some_and(|head| head.size.get() == 3);
    until(|| saw(&newcomer) && saw(&log.witnesses[2])).await;
    let shown = || node.service().current().expect("published before").size().get();
    assert_eq!(shown(), 2, "the quorum of the old policy has not seen that it is out of force");
    node.shutdown().await.expect("sound");
    // nor is it forgotten when the node restarts: the old witnesses still count
    log.witnesses[0].feel(Mood::Honest);
    let (node, mut client) = log.serve().await;
    log.published(&node, |checkpoint| checkpoint.checkpoint().head().size.get() == 3).await;
    assert!(saw(&log.witnesses[0]) && saw(&log.witnesses[2]));
    // from now on the newcomer alone decides
    log.all_feel(Mood::Silent);
    let answer = submit(&mut client, &log.consortium.incident(1), Wait::Published).await;
    assert_eq!(answer.expect("the newcomer cosigns").index, 3);
    node.shutdown().await.expect("sound");

    // a backup from before the change is not fooled by its old policy
    log.all_feel(Mood::Honest);
    std::fs::rename(log.dir(), log.folder.path().join("newest")).expect("moved");
    copy_folder(&backup, &log.dir());
    let (mut node, _) = log.serve().await;
    let error = tokio::time::timeout(SOON, node.failed()).await.expect("in time");
    assert!(matches!(error, SequencerError::Confirm(ConfirmError::Shown { .. })), "{error}");
    let _ = node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_waits_for_pending_policies() {
    let log = Witnessed::found().await;
    let (node, mut client) = log.serve().await;
    log.log(&mut client, 0).await;
    let own = log.consortium.log.verifier();
    let newcomer = TestWitness::start(9, own).await;
    // 29 witnesses that nobody can ask, beside the one that decides
    let policy = |seeds: std::ops::Range<u8>| {
        let extra = seeds.map(|seed| {
            let key = key(&format!("x{seed}.test"), Algorithm::CosignatureV1, seed);
            format!("witness x{seed} {}\n", key.verifier())
        });
        let extra: String = extra.collect();
        format!("log {own}\n{}{extra}quorum w9\n", newcomer.policy_line())
    };
    let charter = log.consortium.charter_with_policy(&policy_text(own, &log.witnesses));
    let first = log.consortium.norm_with_policy(&charter, &policy(60..89));
    let second = log.consortium.norm_with_policy(&first, &policy(100..129));
    let id = RecordId::from_parts(log.consortium.time * 1000, [2; 10]).to_string();
    let second = Draft::from_object(&second.body().clone().with("id", id)).expect("sound");
    let second = second.sign(&[&log.consortium.lab, &log.consortium.institute]).expect("signed");

    // two policies of 30 witnesses each have room; not beside the first three, whose quorum has not
    // seen that they are out of force
    log.witnesses[0].feel(Mood::Silent);
    log.witnesses[1].feel(Mood::Silent);
    submit(&mut client, &first, Wait::Unspecified).await.expect("33 witnesses");
    let refused = submit(&mut client, &second, Wait::Unspecified).await.expect_err("62 witnesses");
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(refused.message().contains("have 62 different witnesses"), "{refused}");
    log.witnesses[0].feel(Mood::Honest);
    log.published(&node, |checkpoint| checkpoint.checkpoint().head().size.get() == 3).await;
    submit(&mut client, &second, Wait::Unspecified).await.expect("59 witnesses");
    node.shutdown().await.expect("sound");
}

#[tokio::test(flavor = "multi_thread")]
async fn witnesses_that_lost_their_memory_are_brought_up_to_the_log() {
    let log = Witnessed::found().await;
    let (node, mut client) = log.serve().await;
    for n in 0..3 {
        log.log(&mut client, n).await;
    }
    node.shutdown().await.expect("sound");
    log.witnesses.iter().for_each(TestWitness::forget);
    let (node, mut client) = log.serve().await;
    assert_eq!(log.log(&mut client, 3).await, 4);
    // and while the node runs
    log.witnesses.iter().for_each(TestWitness::forget);
    assert_eq!(log.log(&mut client, 4).await, 5);
    node.shutdown().await.expect("sound");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_most_witnesses_contradict_stops_the_log() {
    let log = Witnessed::found().await;
    let (node, mut client) = log.serve().await;
    log.log(&mut client, 0).await;
    // one of three is wrong: nobody minds
    log.witnesses[0].feel(Mood::WrongClock(4000));
    log.log(&mut client, 1).await;
    node.shutdown().await.expect("sound");

    // at a start
    log.all_feel(Mood::WrongClock(-4000));
    let (mut node, _) = log.serve().await;
    let error = tokio::time::timeout(SOON, node.failed()).await.expect("in time");
    assert!(matches!(error, SequencerError::Confirm(ConfirmError::Clock(_))), "{error}");
    assert!(error.hint().contains("--trust-clock"), "{}", error.hint());
    let _ = node.shutdown().await;
    // while it runs
    log.all_feel(Mood::Honest);
    let (mut node, mut client) = log.serve().await;
    log.log(&mut client, 2).await;
    log.all_feel(Mood::WrongClock(4000));
    let _ = submit(&mut client, &log.consortium.incident(3), Wait::Unspecified).await;
    let error = tokio::time::timeout(SOON, node.failed()).await.expect("in time");
    let SequencerError::Publish(trouble) = &error else { panic!("{error}") };
    assert!(matches!(**trouble, PublishError::Clock(_)), "{error}");
    let _ = node.shutdown().await;
    // the operator knows better
    let consent = Consent { without: Default::default(), trust_clock: true };
    let (node, mut client) = log.serve_with(consent).await;
    log.log(&mut client, 4).await;
    node.shutdown().await.expect("sound");
}
