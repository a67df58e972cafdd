//! kill -9 of the real process at random moments, again and again on one growing log: nothing that
//! was acknowledged is lost, moved or there twice, and no head that anybody saw is contradicted.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use ledger_core::LeafIndex;
use ledger_core::hash::Hash;
use ledger_core::merkle::{ConsistencyProof, TreeHead, verify_consistency};
use ledger_core::policy::Policy;
use ledger_core::proof::TlogProof;
use ledger_core::record::{Entry, Logged, Record, StatementId};
use ledger_proto::v1::ledger_client::LedgerClient;
use ledger_proto::v1::{self as wire, submit_stream_response::Outcome};
use ledger_tests::consortium::Consortium;
use ledger_tests::follower::Follower;
use ledger_tests::long::rounds;
use ledger_tests::process::{NodeProcess, run};
use ledger_tests::random::Random;
use ledger_tests::web::agent;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use crate::process::Founded;

const ROUNDS: u64 = 100;

/// Milliseconds after which most rounds end, whatever was acknowledged.
const LONGEST_ROUND: u64 = 200;

/// The whole log is audited after every round; on a machine so slow that this time has passed,
/// after every tenth.
const AUDITS: Duration = Duration::from_secs(300);

/// Milliseconds within which a node has started, most of the time.
const START: u64 = 250;

/// What all clients together have sent and been told.
pub struct Load {
    consortium: Consortium,
    told: Mutex<Told>,
    /// How many answers came in.
    answers: watch::Sender<u64>,
}

struct Told {
    next: u64,
    random: Random,
    /// Sent, and never answered: they may be in the log or not.
    unanswered: VecDeque<Record>,
    acknowledged: BTreeMap<LeafIndex, Acknowledged>,
    /// Every head that a checkpoint showed, by size.
    heads: BTreeMap<u64, TreeHead>,
    duplicates: u64,
}

struct Acknowledged {
    record: Record,
    leaf: Hash,
}

impl Load {
    pub fn new(consortium: Consortium, random: Random) -> Arc<Load> {
        let told = Told {
            next: 0,
            random,
            unanswered: VecDeque::new(),
            acknowledged: BTreeMap::new(),
            heads: BTreeMap::new(),
            duplicates: 0,
        };
        Arc::new(Load { consortium, told: Mutex::new(told), answers: watch::Sender::new(0) })
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().expect("no panics under this lock")
    }

    fn below(&self, limit: u64) -> u64 {
        self.told().random.below(limit)
    }

    /// A record to send: a new one, or one that was never answered, or one that was.
    fn next_record(&self) -> Record {
        let mut told = self.told();
        match told.random.below(12) {
            0 | 1 if !told.unanswered.is_empty() => {
                return told.unanswered.pop_front().expect("one is there");
            }
            2 if !told.acknowledged.is_empty() => {
                let count = told.acknowledged.len() as u64;
                let at = told.random.below(count) as usize;
                return told.acknowledged.values().nth(at).expect("one is there").record.clone();
            }
            _ => {}
        }
        let (n, long) = (told.next, told.random.one_in(7));
        told.next += 1;
        drop(told);
        if long { self.consortium.long_incident(n, 60_000) } else { self.consortium.incident(n) }
    }

    fn unanswered(&self, records: impl IntoIterator<Item = Record>) {
        self.told().unanswered.extend(records);
    }

    fn see(&self, policy: &Policy, checkpoint: &[u8]) {
        let claimed = ledger_core::checkpoint::ClaimedCheckpoint::parse(checkpoint);
        let accepted = policy.verify(&claimed.expect("a checkpoint")).expect("signed by the log");
        self.saw(*accepted.checkpoint.head());
    }

    fn saw(&self, head: TreeHead) {
        let before = self.told().heads.insert(head.size.get(), head);
        assert!(before.is_none_or(|before| before == head), "two roots at {}", head.size);
    }

    /// Takes what the node says about a record, and holds it against all that it said before.
    fn acknowledge(&self, record: Record, answer: &wire::SubmitResponse) {
        let statement = record.statement();
        assert_eq!(*answer.statement, *statement.as_hash().as_bytes());
        let logged = std::str::from_utf8(&answer.logged).expect("a line");
        let logged = Logged::parse(logged).expect("a line");
        let leaf = Entry::new(logged, record.clone()).leaf_hash();
        let at = LeafIndex::new(answer.index).expect("an index");
        if !answer.proof.is_empty() {
            let proof = TlogProof::parse(&answer.proof).expect("a proof file");
            let accepted = proof.verify(&leaf, &self.consortium.policy()).expect("it proves");
            assert_eq!(proof.index, at);
            self.saw(*accepted.checkpoint.head());
        }
        let mut told = self.told();
        told.duplicates += u64::from(answer.duplicate.is_some());
        let before = told.acknowledged.insert(at, Acknowledged { record, leaf });
        assert!(before.is_none_or(|before| before.leaf == leaf), "two records at {at}");
        drop(told);
        self.answers.send_modify(|answers| *answers += 1);
    }

    /// Streams records until the node ends the stream, or goes. Returns how it ended.
    pub async fn stream(self: Arc<Load>, url: String, count: u64, wait: wire::Wait) -> Ended {
        let Ok(mut client) = LedgerClient::connect(url).await else { return Ended::default() };
        let (sender, requests) = mpsc::channel(32);
        let sent = Arc::new(Mutex::new(VecDeque::new()));
        let feeder = tokio::spawn({
            let (load, sent) = (Arc::clone(&self), Arc::clone(&sent));
            async move {
                for _ in 0..count {
                    let record = load.next_record();
                    let bytes = record.to_bytes().into();
                    sent.lock().expect("no panics").push_back(record);
                    let request = wire::SubmitRequest { record: bytes, wait: wait.into() };
                    if sender.send(request).await.is_err() {
                        return;
                    }
                }
                // the stream stays open until the node goes
                sender.closed().await;
            }
        });
        let mut ended = Ended::default();
        if let Ok(answers) = client.submit_stream(ReceiverStream::new(requests)).await {
            let mut answers = answers.into_inner();
            ended.status = loop {
                let answer = match answers.message().await {
                    Ok(Some(answer)) => answer.outcome.expect("an outcome"),
                    Ok(None) => break None,
                    Err(status) => break Some(status),
                };
                let record = sent.lock().expect("no panics").pop_front();
                let record = record.expect("no answer without a request");
                ended.answered += 1;
                match answer {
                    Outcome::Logged(logged) => self.acknowledge(record, &logged),
                    Outcome::Refused(refusal) => {
                        ended.refusals.push((record.statement(), refusal.clone()));
                        let unavailable = i32::from(tonic::Code::Unavailable);
                        assert_eq!(refusal.code, unavailable, "{}", refusal.message);
                        self.unanswered([record]);
                    }
                }
            };
        }
        feeder.abort();
        let _ = feeder.await;
        let rest: Vec<Record> = sent.lock().expect("no panics").drain(..).collect();
        ended.unanswered = rest.iter().map(Record::statement).collect();
        self.unanswered(rest);
        ended
    }

    /// Submits one record after the other. Returns the status that ended it, if one did, and the
    /// record that was not answered.
    pub async fn unary(
        self: Arc<Load>,
        url: String,
        count: u64,
    ) -> Option<(StatementId, tonic::Status)> {
        let mut client = LedgerClient::connect(url).await.ok()?;
        for n in 0..count {
            let record = self.next_record();
            let wait = if n % 2 == 0 { wire::Wait::Published } else { wire::Wait::Unspecified };
            let request =
                wire::SubmitRequest { record: record.to_bytes().into(), wait: wait.into() };
            match client.submit(request).await {
                Ok(answer) => self.acknowledge(record, &answer.into_inner()),
                Err(status) => {
                    let statement = record.statement();
                    self.unanswered([record]);
                    return Some((statement, status));
                }
            }
        }
        None
    }

    /// Looks at the checkpoint in both ways while the others submit.
    async fn watch(self: Arc<Load>, node: (String, String), count: u64) {
        let policy = self.consortium.policy();
        let (grpc, http) = node;
        let Ok(mut client) = LedgerClient::connect(grpc).await else { return };
        for _ in 0..count {
            let answer = client.get_checkpoint(wire::GetCheckpointRequest {}).await;
            let Ok(answer) = answer else { return };
            self.see(&policy, &answer.into_inner().checkpoint);
            let url = format!("{http}/checkpoint");
            let fetched = tokio::task::spawn_blocking(move || {
                let mut answer = agent().get(url).call().ok()?;
                let text = answer.body_mut().read_to_string().ok()?;
                (answer.status() == 200).then_some(text)
            });
            let Ok(Some(text)) = fetched.await else { return };
            self.see(&policy, text.as_bytes());
        }
    }

    /// Holds everything that anybody was told against the log as it is now.
    pub fn check(&self, follower: &Follower) {
        let told = self.told();
        told.heads.values().for_each(|head| follower.check(head));
        for (at, Acknowledged { record, leaf }) in &told.acknowledged {
            assert!(follower.has(*at, leaf), "entry {at} was acknowledged as another");
            assert_eq!(follower.place(&record.statement()), Some(*at));
        }
    }

    pub fn acknowledged_statements(&self) -> HashSet<StatementId> {
        self.told().acknowledged.values().map(|told| told.record.statement()).collect()
    }

    pub fn answers(&self) -> watch::Receiver<u64> {
        self.answers.subscribe()
    }
}

/// How a stream ended.
#[derive(Debug, Default)]
pub struct Ended {
    /// The status, if it was an error.
    pub status: Option<tonic::Status>,
    /// Refused because the node was going.
    pub refusals: Vec<(StatementId, wire::Refusal)>,
    /// Sent, and not answered.
    pub unanswered: Vec<StatementId>,
    /// How many answers came before the end.
    pub answered: usize,
}

/// The node proves that its head continues heads that were seen before.
async fn prove_consistency(client: &mut LedgerClient<Channel>, load: &Load, now: &TreeHead) {
    let mut olds: Vec<TreeHead> = {
        let mut told = load.told();
        let all: Vec<TreeHead> = told.heads.values().copied().collect();
        let picked = (0..3.min(all.len()))
            .map(|_| all[told.random.below(all.len() as u64) as usize])
            .collect::<Vec<_>>();
        picked.into_iter().chain(all.last().copied()).collect()
    };
    olds.dedup();
    for old in olds {
        let request = wire::GetConsistencyProofRequest {
            old_size: old.size.get(),
            new_size: Some(now.size.get()),
        };
        let answer = client.get_consistency_proof(request).await.expect("a proof").into_inner();
        let hash = |bytes: &bytes::Bytes| Hash::from_bytes((**bytes).try_into().expect("a hash"));
        let proof = ConsistencyProof::new(answer.hashes.iter().map(hash).collect());
        verify_consistency(&proof.expect("short"), &old, now).expect("the log only grew");
    }
}

/// Clients of all kinds work on a node until it is killed at a random moment.
async fn load_and_kill(load: &Arc<Load>, mut node: NodeProcess) {
    let urls = || (node.grpc.clone(), node.http.clone());
    let mut clients = JoinSet::new();
    // now and then so long that the journal lets go of a segment
    let times = if load.below(12) == 0 { 8 } else { 1 };
    let counts: Vec<u64> = (0..4).map(|_| times * load.below(40)).collect();
    let start = *load.answers().borrow();
    let spawn_stream = |clients: &mut JoinSet<()>, count, wait| {
        let streamed = Arc::clone(load).stream(urls().0, count, wait);
        clients.spawn(async move { drop(streamed.await) });
    };
    spawn_stream(&mut clients, counts[0], wire::Wait::Unspecified);
    spawn_stream(&mut clients, counts[1], wire::Wait::Published);
    for count in [counts[2] / 4, counts[3] / 4] {
        let submitted = Arc::clone(load).unary(urls().0, count);
        clients.spawn(async move { drop(submitted.await) });
    }
    clients.spawn(Arc::clone(load).watch(urls(), 10));
    let enough = start + load.below(counts.iter().sum::<u64>() + 1);
    let moment = Duration::from_millis(1 + times * load.below(LONGEST_ROUND));
    let mut answers = load.answers();
    let answered = answers.wait_for(|answers| *answers >= enough);
    let _ = tokio::time::timeout(moment, answered).await;
    node.kill();
    while let Some(ended) = clients.join_next().await {
        ended.expect("no client panicked");
    }
}

/// `ledger audit` of the site.
pub fn audit(founded: &Founded) {
    let (site, vkey) = (founded.dir().join("site"), founded.consortium.log.verifier().to_string());
    let output =
        run("ledger", &["audit".as_ref(), site.as_ref(), "--vkey".as_ref(), vkey.as_ref()]);
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_the_process_loses_doubles_and_rewrites_nothing() {
    let mut random = Random::from_environment();
    let founded = Founded::with_small_segments();
    let load = Load::new(founded.consortium.clone(), Random::new(random.word()));
    let mut follower = Follower::new(founded.consortium.log.verifier().clone());
    let (mut while_starting, mut segments) = (0, 0);
    let (began, mut audits) = (Instant::now(), 0);
    for round in 0..rounds(ROUNDS) {
        for _ in 0..random.below(3) {
            let moment = Duration::from_micros(random.below(START * 1000));
            let served = NodeProcess::kill_while_starting(&founded.dir(), moment);
            while_starting += u64::from(!served);
        }
        let node = NodeProcess::serve(&founded.dir());
        let mut client = node.client().await;
        let head = follower.catch_up(&mut client).await;
        load.check(&follower);
        prove_consistency(&mut client, &load, &head).await;
        if began.elapsed() < AUDITS || round % 10 == 0 {
            audit(&founded);
            audits += 1;
        }
        segments = segments.max(newest_segment(&founded));
        drop(client);
        load_and_kill(&load, node).await;
    }
    let node = NodeProcess::serve(&founded.dir());
    follower.catch_up(&mut node.client().await).await;
    load.check(&follower);
    audit(&founded);
    assert_eq!(node.terminate(), (Some(0), String::new()));
    let told = load.told();
    println!(
        "{} entries, {} acknowledged, {} duplicates, {} heads seen, {} sent and unanswered, {} \
         kills while starting, {segments} segments, {audits} audits",
        follower.size(),
        told.acknowledged.len(),
        told.duplicates,
        told.heads.len(),
        told.unanswered.len(),
        while_starting
    );
    assert!(told.acknowledged.len() > 1000 && segments > 2 && while_starting > 10, "it tested");
}

/// The number of the segment that the journal goes on in.
fn newest_segment(founded: &Founded) -> u64 {
    let folder = founded.dir().join("private/journal");
    let files = folder.read_dir().expect("the journal");
    let names = files.map(|file| file.expect("readable").file_name().into_string().expect("ASCII"));
    let numbers = names.filter_map(|name| name.strip_suffix(".segment")?.parse().ok());
    numbers.max().expect("a segment")
}
