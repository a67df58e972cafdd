//! Nodes that witness each other over HTTP and gRPC; and a log that shows two histories, which a
//! witness convicts by itself.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use ledger_core::evidence::{ClaimedEvidence, Entries, Trust};
use ledger_core::note::{Algorithm, SignerKey};
use ledger_core::policy::Policy;
use ledger_core::proof::TlogProof;
use ledger_core::record::{Entry, Logged};
use ledger_node::publisher::confirm::Consent;
use ledger_node::{Founding, Overrides, RunningNode, init};
use ledger_proto::v1::ledger_client::LedgerClient;
use ledger_proto::v1::{self as wire, Wait};
use ledger_tests::consortium::Consortium;
use ledger_tests::copy_folder;
use ledger_tests::key;
use ledger_tests::wait::{SOON, so, until_async};
use tempfile::TempDir;
use tonic::transport::Channel;

/// A log of a name of its own, in a folder of its own.
struct Log {
    folder: TempDir,
    consortium: Consortium,
    witness: SignerKey,
}

impl Log {
    fn new(seed: u8) -> Log {
        let folder = tempfile::tempdir().expect("a folder");
        let log = key(&format!("log{seed}.test"), Algorithm::Ed25519, seed);
        let consortium = Consortium { log, ..Consortium::new() };
        let witness = key(&format!("witness{seed}.test"), Algorithm::CosignatureV1, seed + 50);
        Log { folder, consortium, witness }
    }

    fn found(&self, policy: &str) {
        let file = |name: &str| self.folder.path().join(name);
        let (log_key, witness_key) = (file("log.key"), file("witness.key"));
        self.consortium.write_key(&self.consortium.log, &log_key);
        self.consortium.write_key(&self.witness, &witness_key);
        let charter = self.consortium.charter_with_policy(policy);
        let founding = Founding {
            dir: &self.dir(),
            charter: charter.as_bytes(),
            log_key: &log_key,
            witness_keys: &[witness_key],
            witness_urls: &BTreeMap::new(),
        };
        init(&founding).expect("a new log");
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// The logs that the node of this log witnesses beside its own.
    fn witnesses(&self, lines: &str) {
        std::fs::write(self.dir().join("witness-logs"), lines).expect("writable");
    }

    fn vkey(&self) -> String {
        self.consortium.log.verifier().to_string()
    }
}

async fn serve(dir: &Path, sockets: (TcpListener, TcpListener)) -> RunningNode {
    let consent = Consent::default();
    let overrides = Overrides {
        config: None,
        grpc: None,
        http: None,
        sockets: Some(sockets),
        consent,
        ..Overrides::default()
    };
    RunningNode::start(dir, overrides).await.expect("it serves")
}

fn socket() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a free port")
}

async fn client(node: &RunningNode) -> LedgerClient<Channel> {
    LedgerClient::connect(format!("http://{}", node.grpc_addr())).await.expect("it listens")
}

/// Logs the consortium's `n`-th incident, and verifies its proof by the policy.
async fn log(client: &mut LedgerClient<Channel>, consortium: &Consortium, policy: &Policy, n: u64) {
    let record = consortium.incident(n);
    let wait = Wait::Published.into();
    let request = wire::SubmitRequest { record: record.to_bytes().into(), wait };
    let answer = client.submit(request).await.expect("it is lawful").into_inner();
    let proof = TlogProof::parse(&answer.proof).expect("a proof file");
    let logged = Logged::parse(std::str::from_utf8(&answer.logged).expect("text"));
    let leaf = Entry::new(logged.expect("a line"), record).leaf_hash();
    proof.verify(&leaf, policy).expect("the quorum cosigned it");
}

async fn checkpoint(client: &mut LedgerClient<Channel>) -> String {
    let answer = client.get_checkpoint(wire::GetCheckpointRequest {}).await.expect("published");
    String::from_utf8(answer.into_inner().checkpoint.to_vec()).expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_that_need_each_other_start_together_and_again() {
    let logs: Vec<Log> = (1..=3).map(Log::new).collect();
    let sockets: Vec<_> = logs.iter().map(|_| (socket(), socket())).collect();
    let mut policies = Vec::new();
    for own in &logs {
        // one is asked over HTTP, one over gRPC, and each node is its own third witness
        let mut text = format!("log {}\n", own.vkey());
        for (at, (log, (grpc, http))) in logs.iter().zip(&sockets).enumerate() {
            let url = match at {
                0 => format!("http://{}/witness", http.local_addr().expect("bound")),
                _ => format!("grpc://{}", grpc.local_addr().expect("bound")),
            };
            text += &format!("witness w{at} {} {url}\n", log.witness.verifier());
        }
        text += "group all 3 w0 w1 w2\nquorum all\n";
        own.found(&text);
        policies.push(Policy::parse(text.as_bytes()).expect("a policy"));
        let others = logs.iter().filter(|log| log.vkey() != own.vkey());
        let lines: String = others.map(|log| format!("log {}\n", log.vkey())).collect();
        own.witnesses(&lines);
    }
    let addresses: Vec<_> = sockets
        .iter()
        .map(|(grpc, http)| [grpc, http].map(|socket| socket.local_addr().expect("bound")))
        .collect();
    for (at, own) in logs.iter().enumerate() {
        let others = (0..logs.len()).filter(|other| *other != at);
        super::gossip::asks_at(&own.dir(), others.map(|other| addresses[other][0]));
    }
    let mut sockets = Some(sockets);
    for round in 0..2u64 {
        // the second time they come back to the addresses that the others know
        let sockets = sockets.take().unwrap_or_else(|| {
            let again = |[grpc, http]: &[_; 2]| {
                let bind = |address| TcpListener::bind(address).expect("its own address is free");
                (bind(*grpc), bind(*http))
            };
            addresses.iter().map(again).collect()
        });
        let mut nodes = Vec::new();
        for (log, sockets) in logs.iter().zip(sockets) {
            nodes.push(serve(&log.dir(), sockets).await);
        }
        for ((node, own), policy) in nodes.iter().zip(&logs).zip(&policies) {
            let mut client = client(node).await;
            log(&mut client, &own.consortium, policy, round).await;
            let checkpoint = checkpoint(&mut client).await;
            assert_eq!(checkpoint.lines().filter(|line| line.starts_with('\u{2014}')).count(), 4);
        }
        for node in nodes {
            node.shutdown().await.expect("sound");
        }
    }
}

/// Asks a witness over HTTP, as any C2SP client would: status and body.
async fn ask(node: &RunningNode, body: String) -> (u16, String) {
    let url = format!("http://{}/witness/add-checkpoint", node.http_addr());
    let ask = move || {
        let agent = ledger_tests::web::agent();
        let mut answer = agent.post(&url).send(body.as_bytes()).expect("an answer");
        (answer.status().as_u16(), answer.body_mut().read_to_string().expect("text"))
    };
    tokio::task::spawn_blocking(ask).await.expect("asked")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_with_two_histories_is_convicted_by_its_witness_and_never_cosigned_again() {
    let cheat = Log::new(10);
    let none = |log: &Log| format!("log {}\nquorum none\n", log.vkey());
    cheat.found(&none(&cheat));
    let policy = Policy::parse(none(&cheat).as_bytes()).expect("a policy");
    let second = cheat.folder.path().join("second");
    copy_folder(&cheat.dir(), &second);
    let one = serve(&cheat.dir(), (socket(), socket())).await;
    let other = serve(&second, (socket(), socket())).await;
    let (mut first_face, mut second_face) = (client(&one).await, client(&other).await);
    for n in 0..3 {
        log(&mut first_face, &cheat.consortium, &policy, n).await;
    }
    for n in 10..17 {
        log(&mut second_face, &cheat.consortium, &policy, n).await;
    }

    let watchman = Log::new(20);
    watchman.found(&none(&watchman));
    watchman.witnesses(&format!("log {} http://{}\n", cheat.vkey(), other.http_addr()));
    let witness = serve(&watchman.dir(), (socket(), socket())).await;
    let head = checkpoint(&mut first_face).await;
    let (status, answer) = ask(&witness, format!("old 0\n\n{head}")).await;
    assert_eq!(status, 200, "{answer}");
    // the larger head with the proof of its own history
    let request = wire::GetConsistencyProofRequest { old_size: 4, new_size: None };
    let proof = second_face.get_consistency_proof(request).await.expect("a proof").into_inner();
    let lines = proof.hashes.iter().map(|hash| {
        let hash: [u8; 32] = hash.as_ref().try_into().expect("a hash");
        ledger_core::Hash::from_bytes(hash).to_base64() + "\n"
    });
    let lines: String = lines.collect();
    let forked = checkpoint(&mut second_face).await;
    let (status, answer) = ask(&witness, format!("old 4\n{lines}\n{forked}")).await;
    assert_eq!(status, 422, "{answer}");

    let store = std::sync::Arc::clone(
        witness.service().witness.as_ref().expect("it is a witness").evidence(),
    );
    let mut made = until_async(async || so(store.all(), |made| !made.is_empty())).await;
    // the file convicts offline, by the log's key alone
    let evidence = made.remove(0);
    let file = watchman.dir().join(format!("private/evidence/{}.json", evidence.id()));
    let bytes = std::fs::read(file).expect("it is kept");
    let key = cheat.consortium.log.verifier().clone();
    let trust = Trust::new().with_log(key, Entries::Opaque);
    let claimed = ClaimedEvidence::parse(&bytes).expect("evidence");
    let conviction = claimed.verify(&trust).expect("it convicts");
    assert_eq!(conviction.kind(), "split-history");

    // the witness trusts this key no longer, also after a restart
    log(&mut first_face, &cheat.consortium, &policy, 3).await;
    let head = checkpoint(&mut first_face).await;
    let (status, answer) = ask(&witness, format!("old 4\n\n{head}")).await;
    assert_eq!(status, 403, "{answer}");
    assert!(answer.contains(&evidence.id().to_string()), "{answer}");
    witness.shutdown().await.expect("sound");
    let witness = serve(&watchman.dir(), (socket(), socket())).await;
    let (status, answer) = ask(&witness, format!("old 4\n\n{head}")).await;
    assert_eq!(status, 403, "{answer}");
    for node in [one, other, witness] {
        node.shutdown().await.expect("sound");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_over_grpc_shows_what_it_cosigned_to_a_restored_log() {
    let (own, other) = (Log::new(30), Log::new(31));
    let (grpc, http) = (socket(), socket());
    let at = grpc.local_addr().expect("bound");
    let line = format!("witness w {} grpc://{at}\n", other.witness.verifier());
    let text = format!("log {}\n{line}quorum w\n", own.vkey());
    own.found(&text);
    other.found(&format!("log {}\nquorum none\n", other.vkey()));
    other.witnesses(&format!("log {}\n", own.vkey()));
    let policy = Policy::parse(text.as_bytes()).expect("a policy");
    let witness = serve(&other.dir(), (grpc, http)).await;
    let node = serve(&own.dir(), (socket(), socket())).await;
    log(&mut client(&node).await, &own.consortium, &policy, 0).await;
    node.shutdown().await.expect("sound");
    let backup = own.folder.path().join("backup");
    copy_folder(&own.dir(), &backup);
    let node = serve(&own.dir(), (socket(), socket())).await;
    log(&mut client(&node).await, &own.consortium, &policy, 1).await;
    node.shutdown().await.expect("sound");
    std::fs::remove_dir_all(own.dir()).expect("removed");
    copy_folder(&backup, &own.dir());
    let mut node = serve(&own.dir(), (socket(), socket())).await;
    let error = tokio::time::timeout(SOON, node.failed()).await.expect("in time");
    let says = "the witness w shows a head of size 3 with this log's signature";
    assert!(error.is_refusal() && error.to_string().starts_with(says), "{error}");
    for node in [node, witness] {
        let _ = node.shutdown().await;
    }
}
