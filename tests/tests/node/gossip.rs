//! Nodes that gossip over real sockets: a log that shows two audiences two histories is found, and
//! everybody gets the file that convicts it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use ledger_core::checkpoint::Checkpoint;
use ledger_core::hash::Hash;
use ledger_core::merkle::TreeHead;
use ledger_core::note::{Algorithm, SignerKey};
use ledger_core::record::Record;
use ledger_node::publisher::PublishError;
use ledger_node::sequencer::SequencerError;
use ledger_node::{Founding, Overrides, RunningNode, init};
use ledger_proto::v1::gossip_client::GossipClient;
use ledger_proto::v1::gossip_message::Message;
use ledger_proto::v1::{self as wire};
use ledger_tests::consortium::Consortium;
use ledger_tests::process::{NodeProcess, program, run};
use ledger_tests::site::{SignedTree, TestSite};
use ledger_tests::wait::{SOON, so, until_async};
use ledger_tests::{key, size};
use tempfile::TempDir;
use tonic::transport::Channel;

/// A member's node: its own log, its own witness, its own list of other logs.
pub(super) struct Member {
    folder: TempDir,
    pub(super) consortium: Consortium,
    pub(super) port: u16,
}

impl Member {
    /// The `n`-th member; nothing is served yet.
    pub(super) fn found(n: u8) -> Member {
        let witness = key(&format!("member{n}.test/witness"), Algorithm::CosignatureV1, 120 + n);
        Member::found_by(n, &witness, free_port(), Consortium::charter)
    }

    /// The `n`-th member with this witness and this charter, to be served on this port.
    pub(super) fn found_by(
        n: u8,
        witness: &SignerKey,
        port: u16,
        charter: impl Fn(&Consortium) -> Record,
    ) -> Member {
        let folder = tempfile::tempdir().expect("a folder");
        let log = key(&format!("member{n}.test/log"), Algorithm::Ed25519, 100 + n);
        let consortium = Consortium { log, ..Consortium::new() };
        let (log_key, witness_key) = (folder.path().join("log.key"), folder.path().join("w.key"));
        consortium.write_key(&consortium.log, &log_key);
        consortium.write_key(witness, &witness_key);
        let charter = charter(&consortium);
        let founding = Founding {
            dir: &folder.path().join("log"),
            charter: charter.as_bytes(),
            log_key: &log_key,
            witness_keys: &[witness_key],
            witness_urls: &BTreeMap::new(),
        };
        init(&founding).expect("a new log");
        Member { folder, consortium, port }
    }

    pub(super) fn dir(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Whom it asks, a round a second.
    pub(super) fn asks<'a>(&self, peers: impl IntoIterator<Item = &'a Member>) {
        let peers = peers.into_iter().map(|peer| (Ipv4Addr::LOCALHOST, peer.port).into());
        self.asks_at(peers);
    }

    /// Whom it asks, a round a second: the one place where a test's node gets its settings.
    pub(super) fn asks_at(&self, peers: impl IntoIterator<Item = SocketAddr>) {
        asks_at(&self.dir(), peers);
    }

    /// Which logs it knows beside its own.
    pub(super) fn knows(&self, log: &SignerKey, url: &str) {
        let line = format!("log {} {url}\n", log.verifier());
        std::fs::write(self.dir().join("witness-logs"), line).expect("a writable folder");
    }

    /// Which log it mirrors.
    pub(super) fn mirrors(&self, log: &SignerKey, url: &str) {
        let mirror = key(&format!("mirror{}.test/m", self.port), Algorithm::CosignatureV1, 119);
        let file = self.folder.path().join("mirror.key");
        self.consortium.write_key(&mirror, &file);
        let config = self.dir().join("config.toml");
        let text = std::fs::read_to_string(&config).expect("written by init");
        assert!(text.contains("mirror_keys = []"), "{text}");
        let text = text.replace("mirror_keys = []", &format!("mirror_keys = [{file:?}]"));
        std::fs::write(config, text).expect("a writable folder");
        let line = format!("log {} {url}\n", log.verifier());
        std::fs::write(self.dir().join("mirror-logs"), line).expect("a writable folder");
    }

    pub(super) fn process(&self) -> NodeProcess {
        NodeProcess::serve_at(&self.dir(), self.port)
    }

    pub(super) async fn serve(&self) -> RunningNode {
        let at = |port| Some(format!("127.0.0.1:{port}").parse().expect("an address"));
        let overrides = Overrides { grpc: at(self.port), http: at(0), ..Overrides::default() };
        RunningNode::start(&self.dir(), overrides).await.expect("it serves")
    }

    pub(super) async fn gossip(&self) -> GossipClient<Channel> {
        let url = format!("http://127.0.0.1:{}", self.port);
        GossipClient::connect(url).await.expect("it listens")
    }

    /// What the node says of gossip, once it is so.
    pub(super) async fn says(
        &self,
        what: &str,
        well: impl Fn(&wire::GetGossipResponse) -> bool,
    ) -> wire::GetGossipResponse {
        let mut client = self.gossip().await;
        until_async(async || {
            let status = client.get_gossip(wire::GetGossipRequest {}).await.expect("an answer");
            so(status.into_inner(), &well).map_err(|status| (what, status))
        })
        .await
    }

    /// What the node says of a log, once it is so.
    pub(super) async fn says_of(
        &self,
        origin: &str,
        well: impl Fn(&wire::GossipLog) -> bool,
    ) -> wire::GossipLog {
        let is_it = |log: &wire::GossipLog| log.origin == origin && well(log);
        let status = self.says(origin, |status| status.logs.iter().any(is_it)).await;
        status.logs.into_iter().find(is_it).expect("it was there")
    }

    pub(super) async fn stands(&self, origin: &str, standing: &str) -> wire::GossipLog {
        self.says_of(origin, |log| log.standing == standing).await
    }

    /// What `ledger gossip status` says, and its exit code.
    pub(super) async fn status(&self) -> (i32, serde_json::Value) {
        let url = format!("http://127.0.0.1:{}", self.port);
        tokio::task::spawn_blocking(move || ledger(&["gossip", "status", "--node", &url]))
            .await
            .expect("no panic")
    }

    pub(super) fn evidence(&self, id: &str) -> PathBuf {
        self.dir().join("private/evidence").join(format!("{id}.json"))
    }
}

/// Whom the node of a directory asks, a round a second.
pub(super) fn asks_at(dir: &Path, peers: impl IntoIterator<Item = SocketAddr>) {
    let peers: Vec<String> = peers.into_iter().map(|at| format!("grpc://{at}")).collect();
    let config = dir.join("config.toml");
    let text = std::fs::read_to_string(&config).expect("written by init");
    let begins = text.find("[gossip]").expect("init writes the section");
    let text = format!("{}[gossip]\npeers = {peers:?}\ninterval_seconds = 1\n", &text[..begins]);
    std::fs::write(config, text).expect("a writable folder");
}

pub(super) fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    free.local_addr().expect("it is bound").port()
}

pub(super) fn evil() -> SignerKey {
    key("evil.test/log", Algorithm::Ed25519, 66)
}

pub(super) const EVIL: &str = "evil.test/log";

/// Runs `ledger` and gives its exit code and what it printed as JSON.
pub(super) fn ledger(arguments: &[&str]) -> (i32, serde_json::Value) {
    let arguments: Vec<&OsStr> =
        [&["--json"], arguments].concat().into_iter().map(AsRef::as_ref).collect();
    let output = run("ledger", &arguments);
    let object = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code().expect("it exits"), object)
}

/// One log of what `ledger gossip status` says.
pub(super) fn log_of<'a>(status: &'a serde_json::Value, origin: &str) -> &'a serde_json::Value {
    let logs = status["logs"].as_array().expect("a list");
    logs.iter().find(|log| log["origin"] == origin).expect("it is known")
}

/// Whether a program that knows the log's key alone finds the file to convict it.
fn convicts(file: &Path, log: &SignerKey) -> bool {
    let mut command = std::process::Command::new(program("ledger"));
    command.arg("verify").arg(file).arg("--vkey").arg(log.verifier().to_string());
    let output = command.output().expect("the program runs");
    output.status.success() && String::from_utf8_lossy(&output.stdout).contains("convict")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_to_two_audiences_convicts_at_every_node_once_they_are_connected() {
    let (left, right) = (TestSite::start().await, TestSite::start().await);
    left.show(&SignedTree::forked(&evil(), 300, 250, "left"));
    right.show(&SignedTree::forked(&evil(), 700, 250, "right"));
    let members: Vec<Member> = (0..5).map(Member::found).collect();
    for (n, member) in members.iter().enumerate() {
        member.asks(members.iter().filter(|other| other.port != member.port));
        // the fifth member knows the log's key and hears of its heads from the others alone
        let url = [&left.url, &left.url, &right.url, &right.url, "http://127.0.0.1:9"][n];
        member.knows(&evil(), url);
    }
    // two sides that hear nothing of each other
    let mut nodes: Vec<NodeProcess> = members.iter().map(Member::process).collect();
    nodes[2].freeze(true);
    nodes[3].freeze(true);
    let before = members[0].stands(EVIL, "good").await;
    assert!(before.evidence.is_empty());
    nodes[2].freeze(false);
    nodes[3].freeze(false);
    for member in &members {
        let log = member.stands(EVIL, "convicted").await;
        assert!(convicts(&member.evidence(&log.evidence), &evil()));
        let own = member.consortium.log.verifier().name().to_string();
        assert_eq!(
            member.says_of(&own, |_| true).await.standing,
            "good",
            "nobody honest is accused"
        );
    }
    // a power cut takes nothing of it away
    nodes[1].kill();
    let _again = members[1].process();
    let log = members[1].stands(EVIL, "convicted").await;
    assert!(convicts(&members[1].evidence(&log.evidence), &evil()));

    // and anybody can fetch the file
    let mut client = members[4].gossip().await;
    let mut listed = client.list_evidence(wire::ListEvidenceRequest {}).await.expect("a list");
    let summary = listed.get_mut().message().await.expect("an item").expect("there is evidence");
    assert_eq!((summary.kind.as_str(), summary.origin.as_str()), ("split-history", EVIL));
    let request = wire::GetEvidenceRequest { id: summary.id };
    let file = client.get_evidence(request).await.expect("it is here").into_inner().file;
    assert_eq!(file.len() as u64, summary.size);
    let missing = wire::GetEvidenceRequest { id: vec![0; 32].into() };
    let missing = client.get_evidence(missing).await.expect_err("nobody has it");
    assert_eq!(missing.code(), tonic::Code::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn withheld_tiles_raise_the_alarm_until_they_are_shown() {
    let (one, other) = (TestSite::start().await, TestSite::start().await);
    let tree = SignedTree::forked(&evil(), 700, 700, "");
    one.show(&SignedTree::forked(&evil(), 300, 700, ""));
    other.show_head(&tree.head);
    let (a, b) = (Member::found(10), Member::found(11));
    a.asks([&b]);
    b.asks([&a]);
    a.knows(&evil(), &one.url);
    b.knows(&evil(), &other.url);
    let (node, _other) = (a.serve().await, b.serve().await);
    let log = a.stands(EVIL, "unreconciled").await;
    assert_eq!(log.open.len(), 1);
    let (exit, status) = a.status().await;
    let shown = log_of(&status, EVIL);
    assert_eq!((exit, &shown["standing"]), (1, &"unreconciled".into()), "{status}");
    assert_eq!(shown["open"][0]["alarm"], true, "{status}");
    let sizes = [&shown["adopted_size"], &shown["open"][0]["size"]];
    assert!(sizes.contains(&&300.into()) && sizes.contains(&&700.into()), "{status}");
    // its witness cosigns nothing of this log, and says why
    let url = format!("http://{}/witness/add-checkpoint", node.http_addr());
    let head = SignedTree::forked(&evil(), 300, 700, "").head;
    let body = format!("old 0\n\n{head}");
    let offer = move || {
        let agent = ledger_tests::web::agent();
        let mut answer = agent.post(&url).send(body.as_bytes()).expect("an answer");
        (answer.status().as_u16(), answer.body_mut().read_to_string().expect("text"))
    };
    let (status, text) = tokio::task::spawn_blocking(offer.clone()).await.expect("asked");
    assert!(status == 403 && text.contains("sizes 300 and 700") || text.contains("300"), "{text}");
    assert_eq!(status, 403, "{text}");
    // the tiles come: both heads belong to one history
    other.show(&tree);
    one.show(&tree);
    a.stands(EVIL, "good").await;
    b.stands(EVIL, "good").await;
    let (exit, status) = a.status().await;
    let shown = log_of(&status, EVIL);
    assert_eq!((exit, shown["open"].as_array().map(Vec::len)), (0, Some(0)), "{status}");
    let (status, text) = tokio::task::spawn_blocking(offer).await.expect("asked");
    assert_eq!(status, 200, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_whose_key_is_used_elsewhere_signs_nothing_more() {
    let (owner, other) = (Member::found(20), Member::found(21));
    let log = owner.consortium.log.clone();
    let origin = log.verifier().name().to_string();
    // somebody else signs for it, more than it has
    let stolen = TestSite::start().await;
    let head = TreeHead { size: size(50), root: Hash::leaf(b"another tree") };
    let origin_line = ledger_core::checkpoint::Origin::new(&origin).expect("an origin");
    stolen.show_head(&Checkpoint::new(origin_line, head).sign(&log));
    owner.asks([&other]);
    other.asks([&owner]);
    other.knows(&log, &stolen.url);
    let mut node = owner.serve().await;
    let _other = other.serve().await;
    let error = tokio::time::timeout(SOON, node.failed()).await.expect("in time");
    let SequencerError::Publish(trouble) = &error else { panic!("{error}") };
    assert!(matches!(**trouble, PublishError::Own(_)), "{error}");
    assert!(error.to_string().contains("size 50"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_garbage_is_not_listened_to_and_others_are() {
    let member = Member::found(30);
    member.asks([]);
    let _node = member.serve().await;
    let tell = |message| wire::GossipMessage { message };
    let hello = || {
        Message::Hello(wire::GossipHello { salt: vec![1; 16].into(), summary: vec![2; 16].into() })
    };
    let mut liar = member.gossip().await;
    let answer = liar.tell(tell(Some(hello()))).await.expect("an answer").into_inner();
    assert!(matches!(answer.message, Some(Message::Lists(_))), "{answer:?}");
    let garbage = Message::Lists(wire::GossipLists::default());
    for message in [Some(garbage), Some(hello()), None] {
        let answer = liar.tell(tell(message)).await.expect("an answer").into_inner();
        assert!(matches!(answer.message, Some(Message::Busy(_))), "{answer:?}");
    }
    let mut honest = member.gossip().await;
    let answer = honest.tell(tell(Some(hello()))).await.expect("an answer").into_inner();
    assert!(matches!(answer.message, Some(Message::Lists(_))), "{answer:?}");
    let status = honest.get_gossip(wire::GetGossipRequest {}).await.expect("an answer");
    let limited = status.into_inner().limited;
    assert_eq!(limited.len(), 1);
    assert!(limited[0].trouble.contains("malformed"), "{limited:?}");
    // strangers read this: who it is stands in the node's own log
    let number = limited[0].caller.strip_prefix("caller ");
    assert!(number.is_some_and(|number| number.parse::<u64>().is_ok()), "{limited:?}");

    // a flood of expensive messages is stopped, with the time to come again
    let mut flood = member.gossip().await;
    let question = wire::GossipQuestion {
        origin: "unknown.test/log".into(),
        smaller_root: vec![0; 32].into(),
        larger_root: vec![0; 32].into(),
        ..wire::GossipQuestion::default()
    };
    let told = wire::GossipExchange {
        salt: vec![1; 16].into(),
        questions: vec![question; 64],
        ..wire::GossipExchange::default()
    };
    let mut answered = 0;
    let after = loop {
        let message = tell(Some(Message::Exchange(told.clone())));
        match flood.tell(message).await.expect("an answer").into_inner().message {
            Some(Message::Busy(busy)) => break busy.retry_after,
            _ => answered += 1,
        }
        assert!(answered < 1_000, "a flood without end");
    };
    assert!(answered > 10 && after > 0, "{answered} {after}");
    let status = honest.get_gossip(wire::GetGossipRequest {}).await.expect("an answer");
    let limited = status.into_inner().limited;
    let flooding = limited.iter().find(|one| one.trouble.contains("more than its share"));
    assert_eq!(flooding.expect("it is reported").faults, 0, "{limited:?}");

    // who lies when it has no share left is not listened to either
    let lie = Message::Lists(wire::GossipLists::default());
    until_async(async || {
        flood.tell(tell(Some(lie.clone()))).await.expect("an answer");
        let status = honest.get_gossip(wire::GetGossipRequest {}).await.expect("an answer");
        so(status.into_inner().limited, |limited| {
            limited.iter().any(|one| one.faults == 1 && one.trouble.contains("; it asks"))
        })
    })
    .await;
}
