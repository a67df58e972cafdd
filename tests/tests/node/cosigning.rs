//! Co-signing over gRPC, with real processes: drafts wait apart from the log, survive restarts and
//! kills, are logged when the rule is met, and answer nobody but members.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use ledger_core::charter::KeyReach;
use ledger_core::checkpoint::Origin;
use ledger_core::decline::Decline;
use ledger_core::note::{Algorithm, SignerKey};
use ledger_core::record::{Entry, Record};
use ledger_core::request::{Call, MAX_LIFETIME, Nonce, Request};
use ledger_node::clock::ManualClock;
use ledger_node::pending::{AskingMember, DraftBook, MAX_DRAFTS_PER_MEMBER};
use ledger_node::{Founding, Overrides, RunningNode, init};
use ledger_proto::v1::ledger_client::LedgerClient;
use ledger_proto::v1::{self as wire, PendingState};
use ledger_tests::consortium::{Consortium, ORIGIN};
use ledger_tests::key;
use ledger_tests::process::NodeProcess;
use tempfile::TempDir;
use tonic::transport::Channel;
use tonic::{Code, Status};

/// A log whose incidents need two publishers and a reviewer.
struct Joint {
    folder: TempDir,
    consortium: Consortium,
}

/// What a client sends and gets.
struct Desk {
    client: LedgerClient<Channel>,
    /// The time by which requests are written.
    now: u64,
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set").as_secs()
}

/// A key of the lab that signs no records.
fn node_key() -> SignerKey {
    key("lab.test/node", Algorithm::Ed25519, 210)
}

impl Joint {
    fn found(consortium: Consortium) -> Joint {
        let folder = tempfile::tempdir().expect("a folder");
        let json = consortium.charter().body().to_pretty_json();
        let mut json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        json["rules"]["incident"] = serde_json::json!([
            {"role": "publisher", "members": 2},
            {"role": "reviewer", "members": 1},
        ]);
        let node = serde_json::json!({"vkey": node_key().verifier().to_string(), "use": "node"});
        json["members"][0]["keys"].as_array_mut().expect("keys").push(node);
        let Consortium { lab, institute, board, .. } = &consortium;
        let charter = consortium.signed(&json.to_string(), &[lab, institute, board]);
        let log_key = folder.path().join("log.key");
        consortium.write_key(&consortium.log, &log_key);
        let dir = folder.path().join("log");
        let charter = charter.as_bytes();
        let founding = Founding {
            dir: &dir,
            charter,
            log_key: &log_key,
            witness_keys: &[],
            witness_urls: &BTreeMap::new(),
        };
        init(&founding).expect("a new log");
        Joint { folder, consortium }
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn pending(&self) -> PathBuf {
        self.dir().join("private/pending")
    }

    /// The `n`-th incident, signed by the lab alone.
    fn incident(&self, n: u64) -> Record {
        self.consortium.incident(n)
    }
}

fn request_until(call: &Call<'_>, key: &SignerKey, expires: u64) -> bytes::Bytes {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    let origin = Origin::new(ORIGIN).expect("an origin");
    let request = Request::new(origin, call, Nonce::from_bytes(nonce), expires);
    request.sign(key).expect("a key for texts").to_string().into_bytes().into()
}

impl Desk {
    async fn of(node: &NodeProcess) -> Desk {
        Desk { client: node.client().await, now: now() }
    }

    fn request(&self, call: &Call<'_>, key: &SignerKey) -> bytes::Bytes {
        request_until(call, key, self.now + 300)
    }

    async fn propose(
        &mut self,
        record: &Record,
        key: &SignerKey,
    ) -> Result<wire::PendingDraft, Status> {
        let request = self.request(&Call::Propose { record: record.as_bytes() }, key);
        let message = wire::ProposeRequest { request, record: record.to_bytes().into() };
        Ok(self.client.propose(message).await?.into_inner().draft.expect("a draft"))
    }

    async fn list(&mut self, key: &SignerKey) -> Result<Vec<wire::PendingDraft>, Status> {
        let request = self.request(&Call::ListPending { statement: None }, key);
        self.list_with(request).await
    }

    async fn list_with(
        &mut self,
        request: bytes::Bytes,
    ) -> Result<Vec<wire::PendingDraft>, Status> {
        let message = wire::ListPendingRequest { request, statement: None };
        let mut answers = self.client.list_pending(message).await?.into_inner();
        let mut drafts = Vec::new();
        while let Some(draft) = answers.message().await? {
            drafts.push(draft);
        }
        Ok(drafts)
    }

    async fn cosign(
        &mut self,
        record: &Record,
        key: &SignerKey,
    ) -> Result<wire::PendingDraft, Status> {
        let (statement, signature) = (record.statement(), key.sign_text(record.text()).to_string());
        let request = self.request(&Call::Cosign { statement, signature: &signature }, key);
        let statement = bytes_of(record);
        let message = wire::CosignRequest { request, statement, signature: signature.into() };
        Ok(self.client.cosign(message).await?.into_inner().draft.expect("a draft"))
    }

    async fn decline(
        &mut self,
        record: &Record,
        key: &SignerKey,
    ) -> Result<wire::PendingDraft, Status> {
        let origin = Origin::new(ORIGIN).expect("an origin");
        let note = Decline::new(origin, record.statement(), "it names a person").expect("a reason");
        let note = note.sign(key).expect("a key for texts").to_string().into_bytes();
        let request = self.request(&Call::Decline { note: &note }, key);
        let message = wire::DeclineRequest { request, decline: note.into() };
        Ok(self.client.decline(message).await?.into_inner().draft.expect("a draft"))
    }

    async fn withdraw(
        &mut self,
        record: &Record,
        key: &SignerKey,
    ) -> Result<wire::PendingDraft, Status> {
        let request = self.request(&Call::Withdraw { statement: record.statement() }, key);
        let message = wire::WithdrawRequest { request, statement: bytes_of(record) };
        Ok(self.client.withdraw(message).await?.into_inner().draft.expect("a draft"))
    }

    /// All that readers of the log see.
    async fn entries(&mut self) -> Vec<Vec<u8>> {
        let request = wire::GetEntriesRequest { start: 0, count: None };
        let mut answers = self.client.get_entries(request).await.expect("entries").into_inner();
        let mut entries = Vec::new();
        while let Some(entry) = answers.message().await.expect("an entry") {
            entries.push(entry.entry.to_vec());
        }
        entries
    }

    async fn lookup(&mut self, record: &Record) -> Result<wire::LookupResponse, Status> {
        let key = Some(wire::lookup_request::Key::Statement(bytes_of(record)));
        Ok(self.client.lookup(wire::LookupRequest { key }).await?.into_inner())
    }
}

fn bytes_of(record: &Record) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(record.statement().as_hash().as_bytes())
}

/// Whether any file below a folder holds a text.
fn holds(folder: &Path, text: &[u8]) -> bool {
    std::fs::read_dir(folder).expect("a folder").any(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            return holds(&path, text);
        }
        let bytes = std::fs::read(&path).expect("a file");
        bytes.windows(text.len()).any(|window| window == text)
    })
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, about: &str) {
    let status = answer.expect_err(about);
    assert_eq!(status.code(), code, "{status:?}");
    assert!(status.message().contains(about), "{status:?}");
    assert!(status.message().contains("\nhint: "), "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_is_signed_by_all_over_a_restart_and_a_kill_and_then_logged() {
    let joint = Joint::found(Consortium::new());
    let Consortium { lab, institute, board, .. } = &joint.consortium;
    let node = NodeProcess::serve(&joint.dir());
    let mut desk = Desk::of(&node).await;
    let record = joint.incident(1);
    let draft = desk.propose(&record, lab).await.expect("a lawful draft");
    assert_eq!((draft.state(), draft.awaits_you), (PendingState::Waiting, false));
    assert_eq!((draft.lacks.len(), draft.record.as_ref()), (2, record.as_bytes()));
    let seen = desk.list(board).await.expect("a member");
    assert!(seen.len() == 1 && seen[0].awaits_you);
    let two = desk.cosign(&record, institute).await.expect("it was asked");
    assert_eq!((two.state(), two.lacks.len()), (PendingState::Waiting, 1));

    // it is in no log
    let title = b"Incident 1";
    assert_eq!(desk.entries().await.len(), 1);
    refused(desk.lookup(&record).await, Code::NotFound, "no published entry");
    assert!(!holds(&joint.dir().join("site"), title));
    assert!(holds(&joint.pending(), title));

    let (code, stderr) = node.terminate();
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let mut node = NodeProcess::serve(&joint.dir());
    let mut desk = Desk::of(&node).await;
    let seen = desk.list(board).await.expect("a member");
    assert_eq!(seen[0].record, two.record);
    node.kill();
    let node = NodeProcess::serve(&joint.dir());
    let mut desk = Desk::of(&node).await;
    let seen = desk.list(board).await.expect("a member");
    assert_eq!(seen[0].record, two.record);
    let logged = desk.cosign(&record, board).await.expect("it was asked");
    assert_eq!((logged.state(), logged.index), (PendingState::Logged, Some(1)));

    let found = desk.lookup(&record).await.expect("it is published");
    let entry = Entry::parse(&found.entry).expect("an entry");
    assert_eq!(entry.record().as_bytes(), logged.record.as_ref());
    assert_eq!(entry.record().note().signatures().len(), 3);
    for member in [lab, institute, board] {
        let told = desk.list(member).await.expect("a member");
        assert_eq!(
            (told.len(), told[0].state(), told[0].index),
            (1, PendingState::Logged, Some(1))
        );
        assert!(!told[0].awaits_you);
    }
    refused(desk.cosign(&record, board).await, Code::AlreadyExists, "logged as entry 1");
    refused(desk.propose(&record, lab).await, Code::AlreadyExists, "logged as entry 1");
    refused(desk.withdraw(&record, lab).await, Code::AlreadyExists, "logged as entry 1");
    assert_eq!(desk.entries().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_member_revokes_its_own_key_at_the_desk_and_sees_nothing_else() {
    let joint = Joint::found(Consortium::new());
    let Consortium { lab, institute, board, .. } = &joint.consortium;
    let node = NodeProcess::serve(&joint.dir());
    let mut desk = Desk::of(&node).await;
    let founded = Entry::parse(&desk.entries().await[0]).expect("the charter");
    let base = founded.record().statement().to_string().into();
    let change = |n: u64, issuer: &str, base: serde_json::Value, change: serde_json::Value| {
        let json = joint.consortium.incident_json(n);
        let json: serde_json::Value = serde_json::from_str(&json).expect("own text");
        let mut own = serde_json::json!({
            "kind": "membership", "issuer": issuer, "base": base, "changes": [change],
        });
        for name in ["log", "id", "issued_at", "title", "summary"] {
            own[name] = json[name].clone();
        }
        own.to_string()
    };
    let incident = joint.incident(2);
    desk.propose(&incident, lab).await.expect("a lawful draft");
    let suspend = serde_json::json!({"action": "suspend", "member": "institute.test"});
    let suspend = change(1, "lab.test", base, suspend);
    let suspend = joint.consortium.signed(&suspend, &[lab]);
    desk.propose(&suspend, lab).await.expect("a lawful change");
    let logged = desk.cosign(&suspend, board).await.expect("it was asked");
    assert_eq!(logged.state(), PendingState::Logged);
    assert_eq!(desk.list(institute).await.expect("it may revoke").len(), 0);
    refused(
        desk.cosign(&incident, institute).await,
        Code::PermissionDenied,
        "was suspended by entry 1",
    );
    let base = suspend.statement().to_string().into();
    let vkey = institute.verifier().to_string();
    let revoke =
        serde_json::json!({"action": "revoke_key", "member": "institute.test", "vkey": vkey});
    let revoke = change(3, "institute.test", base, revoke);
    let revoke = joint.consortium.signed(&revoke, &[institute]);
    let logged = desk.propose(&revoke, institute).await.expect("nobody else need agree");
    assert_eq!((logged.state(), logged.index), (PendingState::Logged, Some(2)));
    refused(desk.list(institute).await, Code::PermissionDenied, "was revoked by entry 2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_or_after_logging_loses_and_doubles_nothing() {
    let joint = Joint::found(Consortium::new());
    let Consortium { lab, institute, board, .. } = &joint.consortium;
    let mut node = NodeProcess::serve(&joint.dir());
    let mut desk = Desk::of(&node).await;
    // the node died after it had logged one, and before it could log the other
    let (after, before) = (joint.incident(1), joint.incident(2));
    desk.propose(&after, lab).await.expect("a lawful draft");
    let whole = after.cosign(institute).and_then(|record| record.cosign(board)).expect("signed");
    let submitted = wire::SubmitRequest { record: whole.to_bytes().into(), wait: 0 };
    node.kill();
    let charter = std::fs::read(joint.dir().join("site/tile/entries/000.p/1")).expect("an entry");
    let charter = Entry::parse(&charter[2..]).expect("the charter");
    let charter = ledger_core::charter::Charter::found(&charter).expect("lawful");
    let mut book = DraftBook::open(&joint.pending(), 86_400).expect("the node has gone");
    let asker = AskingMember { member: "lab.test".to_owned(), reach: KeyReach::Full, time: now() };
    let complete = before.cosign(institute).and_then(|record| record.cosign(board));
    let complete = charter.verify(complete.expect("signed")).expect("known keys");
    book.propose(&charter, &asker, complete).expect("a lawful draft");
    drop(book);

    let node = NodeProcess::serve(&joint.dir());
    let mut desk = Desk::of(&node).await;
    let answer = desk.client.submit(submitted).await.expect("lawful").into_inner();
    loop {
        let drafts = desk.list(board).await.expect("a member");
        assert_eq!(drafts.len(), 2);
        if drafts.iter().all(|draft| draft.state() == PendingState::Logged) {
            let of = |record: &Record| {
                let found = drafts.iter().find(|draft| draft.statement == bytes_of(record));
                found.expect("both are told of").index.expect("it is logged")
            };
            assert_eq!(of(&after), answer.index);
            assert_eq!(of(&before), desk.lookup(&before).await.expect("published").index);
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(desk.entries().await.len(), 3);
    let node = {
        drop(node);
        NodeProcess::serve(&joint.dir())
    };
    assert_eq!(Desk::of(&node).await.entries().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_a_member_with_a_fresh_request_for_this_very_call_is_answered() {
    let joint = Joint::found(Consortium::new());
    let Consortium { lab, institute, board, log, .. } = &joint.consortium;
    let node = NodeProcess::serve(&joint.dir());
    let mut desk = Desk::of(&node).await;
    let record = joint.incident(1);
    let proposal = desk.request(&Call::Propose { record: record.as_bytes() }, lab);
    let propose = |request: &bytes::Bytes, record: &Record| wire::ProposeRequest {
        request: request.clone(),
        record: record.to_bytes().into(),
    };
    // an altered body, although it is as well signed
    let other = joint.incident(2);
    let answer = desk.client.propose(propose(&proposal, &other)).await;
    refused(answer, Code::PermissionDenied, "was signed for another body");
    desk.client.propose(propose(&proposal, &record)).await.expect("what was signed for");
    let answer = desk.client.propose(propose(&proposal, &record)).await;
    refused(answer, Code::PermissionDenied, "nonce was used before");

    let all = Call::ListPending { statement: None };
    let listing = desk.request(&all, board);
    assert_eq!(desk.list_with(listing.clone()).await.expect("a member").len(), 1);
    let again = desk.list_with(listing.clone()).await;
    refused(again, Code::PermissionDenied, "nonce was used before");
    let (code, _) = node.terminate();
    assert_eq!(code, Some(0));
    let node = NodeProcess::serve(&joint.dir());
    let mut desk = Desk::of(&node).await;
    refused(desk.list_with(listing).await, Code::PermissionDenied, "nonce was used before");

    let expired = request_until(&all, board, desk.now - 1);
    refused(desk.list_with(expired).await, Code::PermissionDenied, "the request ended at");
    let endless = request_until(&all, board, desk.now + MAX_LIFETIME + 3600);
    refused(desk.list_with(endless).await, Code::PermissionDenied, "more than 10 minutes after");
    let strangers = [key("lab.test", Algorithm::Ed25519, 99), log.clone()];
    for stranger in strangers {
        let answer = desk.list(&stranger).await;
        refused(answer, Code::PermissionDenied, "is not in the charter");
    }
    let wrong_use = desk.list(&node_key()).await;
    refused(wrong_use, Code::PermissionDenied, "is for use \"node\"");
    let withdrawal = desk.request(&Call::Withdraw { statement: record.statement() }, lab);
    let answer = desk.list_with(withdrawal).await;
    refused(answer, Code::PermissionDenied, "is for Withdraw, but it was sent for ListPending");
    for junk in [&b""[..], b"junk", record.as_bytes()] {
        let answer = desk.list_with(bytes::Bytes::copy_from_slice(junk)).await;
        refused(answer, Code::InvalidArgument, "the request: ");
    }
    // one member's request does not carry another's signature
    let (statement, line) = (record.statement(), board.sign_text(record.text()).to_string());
    let request = desk.request(&Call::Cosign { statement, signature: &line }, institute);
    let statement = bytes_of(&record);
    let message = wire::CosignRequest { request, statement, signature: line.into() };
    refused(desk.client.cosign(message).await, Code::PermissionDenied, "is not a key or name of");
    let drafts = desk.list(board).await.expect("a member");
    assert!(drafts.len() == 1 && drafts[0].record == record.as_bytes());
    assert_eq!(desk.entries().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn drafts_are_declined_withdrawn_and_limited() {
    let joint = Joint::found(Consortium::new());
    let Consortium { lab, institute, board, .. } = &joint.consortium;
    let node = NodeProcess::serve(&joint.dir());
    let mut desk = Desk::of(&node).await;
    let record = joint.incident(1);
    refused(desk.decline(&record, board).await, Code::NotFound, "no draft");
    desk.propose(&record, lab).await.expect("a lawful draft");
    let declined = desk.decline(&record, board).await.expect("it was asked");
    assert_eq!(declined.state(), PendingState::Declined);
    let told = desk.list(institute).await.expect("a member");
    assert_eq!(told[0].declines[0].member, "board.test");
    let note = String::from_utf8(told[0].declines[0].note.to_vec()).expect("text");
    assert!(note.contains("\nreason it names a person\n"), "{note}");
    let late = desk.cosign(&record, institute).await;
    refused(late, Code::FailedPrecondition, "it is declined");

    let record = joint.incident(2);
    desk.propose(&record, lab).await.expect("a lawful draft");
    let others = desk.withdraw(&record, institute).await;
    refused(others, Code::PermissionDenied, "neither proposed nor issued");
    let withdrawn = desk.withdraw(&record, lab).await.expect("its own");
    assert_eq!(withdrawn.state(), PendingState::Withdrawn);
    refused(desk.cosign(&record, board).await, Code::FailedPrecondition, "it is withdrawn");

    for n in 0..MAX_DRAFTS_PER_MEMBER as u64 {
        desk.propose(&joint.incident(100 + n), lab).await.expect("there is room");
    }
    let crowded = desk.propose(&joint.incident(99), lab).await;
    refused(crowded, Code::ResourceExhausted, "as many drafts waiting as one member may");
    let unsigned = desk.propose(&joint.incident(98), institute).await;
    refused(unsigned, Code::PermissionDenied, "has not signed");
    let elsewhere = joint.consortium.incident_json(97).replace(ORIGIN, "other.test/log");
    let elsewhere = joint.consortium.signed(&elsewhere, &[lab]);
    let elsewhere = desk.propose(&elsewhere, lab).await;
    refused(elsewhere, Code::PermissionDenied, "is meant for the log");
    assert_eq!(desk.entries().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_expires_by_the_nodes_clock_and_everybody_is_told() {
    const DAY: u64 = 86_400;
    let joint = Joint::found(Consortium::new());
    let Consortium { lab, institute, board, .. } = &joint.consortium;
    let clock = ManualClock::at(joint.consortium.time);
    let any = Some("127.0.0.1:0".parse().expect("an address"));
    let overrides = Overrides { grpc: any, http: any, ..Overrides::default() };
    let started = RunningNode::start_with(&joint.dir(), overrides, Arc::new(clock.clone())).await;
    let node = started.expect("it starts");
    let url = format!("http://{}", node.grpc_addr());
    let client = LedgerClient::connect(url).await.expect("it listens");
    let mut desk = Desk { client, now: joint.consortium.time };
    let record = joint.incident(1);
    let draft = desk.propose(&record, lab).await.expect("a lawful draft");
    assert_eq!(draft.expires_at, joint.consortium.time + 14 * DAY);
    desk.now = draft.expires_at - 1;
    clock.set(desk.now);
    desk.cosign(&record, institute).await.expect("there is a second left");
    desk.now += 1;
    clock.set(desk.now);
    refused(desk.cosign(&record, board).await, Code::FailedPrecondition, "it is expired");
    for member in [lab, institute, board] {
        let told = desk.list(member).await.expect("a member");
        assert_eq!(told[0].state(), PendingState::Expired);
        assert_eq!(told[0].since, draft.expires_at);
    }
    assert_eq!(desk.entries().await.len(), 1);
    // and after a week nothing is left of it
    desk.now += 7 * DAY;
    clock.set(desk.now);
    assert!(desk.list(lab).await.expect("a member").is_empty());
    assert!(!holds(&joint.pending(), b"Incident 1"));
    drop(desk);
    node.shutdown().await.expect("it ends");
}
