//! Nodes know each other by the keys that a charter or a configuration names.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ledger_core::charter::CharterDraft;
use ledger_core::note::{Algorithm, SignerKey};
use ledger_core::record::{Record, RecordId};
use ledger_node::transport::{Dialer, read_authorities};
use ledger_node::{Founding, init};
use ledger_proto::v1 as wire;
use ledger_proto::v1::gossip_client::GossipClient;
use ledger_tests::consortium::Consortium;
use ledger_tests::key;
use ledger_tests::process::NodeProcess;
use ledger_tests::wait::{self, until};
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::Code;

use super::gossip::{Member, free_port, ledger};
use super::tls::{certify, configure, text};

/// A member with a log of its own, whose charter names its node and those of its partners.
struct Node {
    folder: TempDir,
    key: SignerKey,
    port: u16,
}

impl Node {
    fn new(n: u8) -> Node {
        let name = ["lab.test/node", "institute.test/node", "board.test/node"][usize::from(n)];
        let key = key(name, Algorithm::Ed25519, 180 + n);
        Node { folder: tempfile::tempdir().expect("a folder"), key, port: free_port() }
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// The file of the key that it shows.
    fn node_key(&self) -> PathBuf {
        self.folder.path().join("n.key")
    }

    fn address(&self) -> String {
        format!("grpcs://127.0.0.1:{}", self.port)
    }

    /// Founds its log under a charter that names all nodes, each with the key that stands beside
    /// it.
    fn found(&self, n: u8, nodes: [(&Node, &SignerKey); 3]) -> Founded {
        let log = key(&format!("tls{n}.test/log"), Algorithm::Ed25519, 170 + n);
        let consortium = Consortium { log, ..Consortium::new() };
        let vkey = |key: &SignerKey| key.verifier().clone();
        let mut charter = CharterDraft::new("Test consortium", vkey(&consortium.log))
            .member("lab.test", vkey(&consortium.lab), ["publisher", "steward"])
            .member("institute.test", vkey(&consortium.institute), ["publisher", "steward"])
            .member("board.test", vkey(&consortium.board), ["reviewer", "steward"]);
        for ((node, key), name) in nodes.iter().zip(["lab.test", "institute.test", "board.test"]) {
            charter = charter.node(name, &node.address(), Some(vkey(key)));
        }
        let charter = charter
            .draft(RecordId::from_parts(consortium.time * 1000, [n; 10]), consortium.time)
            .expect("sound")
            .sign(&[&consortium.lab, &consortium.institute, &consortium.board])
            .expect("three record keys");
        let (log_key, node_key) = (self.folder.path().join("l.key"), self.node_key());
        consortium.write_key(&consortium.log, &log_key);
        consortium.write_key(&self.key, &node_key);
        let founding = Founding {
            dir: &self.dir(),
            charter: charter.as_bytes(),
            log_key: &log_key,
            witness_keys: &[],
            witness_urls: &BTreeMap::new(),
        };
        init(&founding).expect("a new log");
        certify(&self.dir());
        configure(&self.dir(), |config| {
            config.tls.node_key = Some(node_key);
            config.gossip.interval_seconds = 1;
            config.gossip.known_nodes_only = true;
        });
        Founded { consortium, charter }
    }

    fn serve(&self) -> NodeProcess {
        NodeProcess::serve_at(&self.dir(), self.port)
    }

    /// What the node says of a peer, once that is so.
    fn until(&self, peer: &Node, so: impl Fn(&Value) -> bool) -> Value {
        let (ca, own) = (self.dir().join("tls.pem"), self.address());
        peer_until(&["--ca", text(&ca), "gossip", "status", "--node", &own], &peer.address(), so)
    }

    /// Has a record logged by the node.
    fn submit(&self, founded: &Founded, record: &Record) {
        let (file, ca) = (self.folder.path().join("1.record"), self.dir().join("tls.pem"));
        std::fs::write(&file, record.as_bytes()).expect("a writable folder");
        let anchor = founded.charter.statement().to_string();
        let (own, ca) = (self.address(), ["--ca", text(&ca)]);
        let submit = ["submit", text(&file), "--node", &own, "--anchor", &anchor];
        let (exit, said) = ledger(&[&ca, &submit[..]].concat());
        assert_eq!(exit, 0, "{said}");
    }
}

/// What a member has founded.
struct Founded {
    consortium: Consortium,
    charter: Record,
}

/// What `ledger gossip status` says of a peer, once that is so.
fn peer_until(status: &[&str], peer: &str, so: impl Fn(&Value) -> bool) -> Value {
    let url = peer.replacen("grpcs", "https", 1);
    until(|| {
        let (exit, told) = ledger(status);
        assert!(exit < 2, "it answers: {told}");
        let peers = told["peers"].as_array().expect("a list");
        let found = peers.iter().find(|found| found["url"] == *url);
        wait::so(found.cloned().unwrap_or_else(|| panic!("{url} is a peer: {told}")), &so)
    })
}

/// What is wrong with a peer.
fn trouble(peer: &Value) -> &str {
    peer["trouble"].as_str().unwrap_or_default()
}

/// Whether the last round with a peer went well.
fn well(peer: &Value) -> bool {
    peer["met_at"].is_u64() && trouble(peer).is_empty()
}

/// Tells a node something as one that shows no key.
fn tell_as_nobody(node: &Node) -> tonic::Status {
    let dialer =
        Dialer::believing(read_authorities(&node.dir().join("tls.pem")).expect("a certificate"));
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    runtime.block_on(async {
        let url = node.address().replacen("grpcs", "https", 1);
        let mut client = GossipClient::new(dialer.lazy(&url).expect("a URL"));
        client.tell(wire::GossipMessage::default()).await.expect_err("it shows no key")
    })
}

#[test]
fn nodes_know_each_other_by_the_keys_of_the_charter_and_talk_to_nobody_else() {
    let [lab, institute, board] = [0, 1, 2].map(Node::new);
    let stranger = key("board.test/node", Algorithm::Ed25519, 199);
    // the board shows a key that no charter but its own names
    let as_told = [(&lab, &lab.key), (&institute, &institute.key), (&board, &stranger)];
    lab.found(0, as_told);
    institute.found(1, as_told);
    board.found(2, [(&lab, &lab.key), (&institute, &institute.key), (&board, &board.key)]);
    let nodes = [&lab, &institute, &board].map(Node::serve);

    let met = |peer: &Value| peer["met_at"].is_u64();
    let is_bad = |peer: &Value| !trouble(peer).is_empty();
    lab.until(&institute, met);
    institute.until(&lab, met);
    let told = lab.until(&board, is_bad);
    assert!(trouble(&told).contains("does not show the node key"), "{told}");
    let told = board.until(&lab, is_bad);
    assert!(trouble(&told).contains("answers only nodes"), "{told}");
    assert!(!met(&lab.until(&board, |_| true)));
    // and whoever shows no key at all
    let refused = tell_as_nobody(&lab);
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    assert!(refused.message().contains("\nhint: name your node_key"), "{refused}");
    for node in nodes {
        assert_eq!(node.terminate().0, Some(0));
    }
}

#[test]
fn a_node_key_that_is_replaced_counts_no_more_on_connections_that_are_open() {
    let [lab, institute, board] = [0, 1, 2].map(Node::new);
    let all = [(&lab, &lab.key), (&institute, &institute.key), (&board, &board.key)];
    let founded = lab.found(0, all);
    institute.found(1, all);
    let nodes = [lab.serve(), institute.serve()];
    lab.until(&institute, well);
    institute.until(&lab, well);

    // the lab's log gives the institute another key, and the institute still shows the old one
    let new = key("institute.test/node", Algorithm::Ed25519, 190);
    let change = |action: &str, key: &SignerKey| {
        let vkey = key.verifier().to_string();
        json!({"action": action, "member": "institute.test", "vkey": vkey})
    };
    let mut add = change("add_key", &new);
    add["use"] = "node".into();
    let changes = json!([add, change("revoke_key", &institute.key)]);
    lab.submit(&founded, &founded.consortium.membership(&founded.charter, changes));
    lab.until(&institute, |peer| trouble(peer).contains("does not show the node key"));
    institute.until(&lab, |peer| trouble(peer).contains("answers only nodes"));

    let [first, second] = nodes;
    assert_eq!(second.terminate().0, Some(0));
    founded.consortium.write_key(&new, &institute.node_key());
    let second = institute.serve();
    lab.until(&institute, well);
    institute.until(&lab, well);
    for node in [first, second] {
        assert_eq!(node.terminate().0, Some(0));
    }
}

#[test]
fn a_node_that_moves_is_asked_where_a_membership_record_says_and_shows_its_key_there() {
    let [lab, mut institute, board] = [0, 1, 2].map(Node::new);
    let all = [(&lab, &lab.key), (&institute, &institute.key), (&board, &board.key)];
    let founded = lab.found(0, all);
    institute.found(1, all);
    let (first, second) = (lab.serve(), institute.serve());
    lab.until(&institute, well);
    assert_eq!(second.terminate().0, Some(0));

    institute.port = free_port();
    let second = institute.serve();
    let moves = json!([
        {"action": "set_node", "member": "institute.test", "node": institute.address()},
    ]);
    lab.submit(&founded, &founded.consortium.membership(&founded.charter, moves));
    lab.until(&institute, well);
    for node in [first, second] {
        assert_eq!(node.terminate().0, Some(0));
    }
}

#[test]
fn a_peer_of_the_configuration_must_show_its_key_or_a_certificate_that_is_believed() {
    let [asker, pinned, other, certified, unknown] = [80, 81, 82, 83, 84].map(Member::found);
    let shows = |member: &Member, n: u8| {
        let key = key(&format!("peer{n}.test/node"), Algorithm::Ed25519, 190 + n);
        let file = member.dir().join("node.key");
        member.consortium.write_key(&key, &file);
        certify(&member.dir());
        configure(&member.dir(), |config| config.tls.node_key = Some("node.key".into()));
        key.verifier().clone()
    };
    let own = shows(&pinned, 1);
    shows(&other, 2);
    shows(&certified, 3);
    shows(&unknown, 4);
    let at = |member: &Member| format!("grpcs://127.0.0.1:{}", member.port);
    configure(&asker.dir(), |config| {
        config.tls.ca = Some(certified.dir().join("tls.pem"));
        config.gossip.interval_seconds = 1;
        config.gossip.peers = vec![
            format!("{} {own}", at(&pinned)),
            format!("{} {own}", at(&other)),
            at(&certified),
            at(&unknown),
        ];
    });
    let serve = |member: &Member| NodeProcess::serve_at(&member.dir(), member.port);
    let nodes = [&pinned, &other, &certified, &unknown, &asker].map(serve);
    let says = |member: &Member, so: &dyn Fn(&Value) -> bool| {
        peer_until(&["gossip", "status", "--node", &nodes[4].grpc], &at(member), so)
    };
    says(&pinned, &well);
    says(&certified, &well);
    says(&other, &|peer| trouble(peer).contains("does not show the node key"));
    says(&unknown, &|peer| trouble(peer).contains("TLS: "));
    for node in nodes {
        assert_eq!(node.terminate().0, Some(0));
    }
}
