//! TLS: who is reached is who it should be, others are told why not, and nodes know each other by the
//! keys that a charter names.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ledger_core::charter::CharterDraft;
use ledger_core::note::{Algorithm, SignerKey};
use ledger_core::record::RecordId;
use ledger_node::config::Config;
use ledger_node::transport::{Dialer, read_authorities};
use ledger_node::{Founding, init};
use ledger_tests::consortium::Consortium;
use ledger_tests::key;
use ledger_tests::process::{NodeProcess, run};
use serde_json::Value;
use tempfile::TempDir;

use super::gossip::{SOON, ledger};
use super::process::Founded;

/// Changes a log's configuration.
fn configure(dir: &Path, change: impl FnOnce(&mut Config)) {
    let file = dir.join("config.toml");
    let mut config = Config::read(&file).expect("written by init");
    change(&mut config);
    std::fs::write(file, config.to_text()).expect("a writable folder");
}

/// Makes a certificate for this machine as an operator does, and has the log's node show it.
fn certify(dir: &Path) -> PathBuf {
    let (certificate, key) = (dir.join("tls.pem"), dir.join("tls.key"));
    let [make, name, own, c, k] =
        ["certificate", "--name", "127.0.0.1", "--certificate", "--key"].map(AsRef::as_ref);
    let output = run("ledger-node", &[make, name, own, c, certificate.as_ref(), k, key.as_ref()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    configure(dir, |config| {
        config.tls.certificate = Some("tls.pem".into());
        config.tls.key = Some("tls.key".into());
    });
    certificate
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in ASCII")
}

/// What is behind an HTTPS address, for somebody who believes this certificate.
fn get(ca: &Path, url: &str) -> String {
    let dialer = Dialer::believing(read_authorities(ca).expect("a certificate"));
    let config = ureq::Agent::config_builder().tls_config(dialer.tls()).build();
    let answer = ureq::Agent::from(config).get(url).call();
    answer.expect("an answer").body_mut().read_to_string().expect("text")
}

#[test]
fn a_log_is_written_read_and_audited_over_tls_by_those_who_believe_its_certificate() {
    let founded = Founded::new();
    let ca = certify(&founded.dir());
    let node = NodeProcess::serve(&founded.dir());
    assert!(node.grpc.starts_with("https://") && node.http.starts_with("https://"), "{node:?}");
    let anchor = founded.consortium.charter().statement().to_string();
    let record = founded.folder.path().join("1.record");
    std::fs::write(&record, founded.consortium.incident(1).as_bytes()).expect("a writable folder");
    let grpcs = node.grpc.replacen("https", "grpcs", 1);
    let submit = ["submit", text(&record), "--node", &grpcs, "--anchor", &anchor];

    let (exit, said) = ledger(&submit);
    assert_eq!(exit, 3, "nobody vouches for the certificate: {said}");
    let arguments: Vec<_> = submit.iter().map(AsRef::as_ref).collect();
    let stderr = String::from_utf8(run("ledger", &arguments).stderr).expect("text");
    assert!(stderr.contains("TLS: ") && stderr.contains("--ca FILE"), "{stderr}");
    let (exit, said) = ledger(&[&["--ca", text(&ca)], &submit[..]].concat());
    assert_eq!(exit, 0, "{said}");
    let vkey = founded.consortium.log.verifier().to_string();
    let (exit, said) = ledger(&["--ca", text(&ca), "audit", &node.http, "--vkey", &vkey]);
    assert_eq!(exit, 0, "{said}");
    assert_eq!(ledger(&["audit", &node.http, "--vkey", &vkey]).0, 3);

    // addresses that do not fit say so
    let told = |node: &str| {
        let arguments = ["--ca", text(&ca), "checkpoint", "--anchor", &anchor, "--node", node];
        let output = run("ledger", &arguments.map(AsRef::as_ref));
        assert_eq!(output.status.code(), Some(if node.contains("://") { 3 } else { 2 }));
        String::from_utf8(output.stderr).expect("text")
    };
    let http = node.http.replacen("https", "grpcs", 1);
    assert!(told(&http).contains("is this the node's HTTP address?"), "{}", told(&http));
    assert!(told(&node.grpc.replacen("https", "grpc", 1)).contains("say grpcs://"));
    assert!(told("node.example:7780").contains("does not say whether to speak TLS"));
    let other = Founded::new();
    let plain = NodeProcess::serve(&other.dir());
    let plain = plain.grpc.replacen("http", "grpcs", 1);
    assert!(told(&plain).contains("speaks no TLS"), "{}", told(&plain));

    // who does not speak TLS learns nothing, and is counted
    let mut plain = TcpStream::connect(node.http.trim_start_matches("https://")).expect("open");
    plain.write_all(b"GET /checkpoint HTTP/1.1\r\nHost: node\r\n\r\n").expect("open");
    let mut told = Vec::new();
    let _ = plain.read_to_end(&mut told);
    assert!(!String::from_utf8_lossy(&told).contains("HTTP/1.1"));
    let metrics = get(&ca, &format!("{}/metrics", node.http));
    let refused =
        metrics.lines().find_map(|l| l.strip_prefix("ledger_refused_total{reason=\"tls\"}"));
    let refused: u64 = refused.expect("it is counted").trim().parse().expect("a number");
    assert!(refused >= 2, "{refused}");
}

#[test]
fn handshakes_that_never_end_keep_nobody_waiting() {
    let founded = Founded::new();
    let ca = certify(&founded.dir());
    configure(&founded.dir(), |config| config.limits.request_seconds = 1);
    let node = NodeProcess::serve(&founded.dir());
    let silent = || TcpStream::connect(node.http.trim_start_matches("https://")).expect("open");
    let mut silent: Vec<TcpStream> = (0..100).map(|_| silent()).collect();
    assert!(get(&ca, &format!("{}/checkpoint", node.http)).starts_with("ledger.test/log\n"));
    for socket in &mut silent {
        socket.set_read_timeout(Some(SOON)).expect("a socket");
        let mut told = Vec::new();
        socket.read_to_end(&mut told).expect("the node closes it");
        assert!(told.is_empty());
    }
}

#[test]
fn a_node_whose_tls_is_half_set_does_not_start_and_says_what_is_missing() {
    let founded = Founded::new();
    certify(&founded.dir());
    let fails = |change: &dyn Fn(&mut Config), part: &str| {
        let file = founded.dir().join("config.toml");
        let before = std::fs::read(&file).expect("readable");
        configure(&founded.dir(), change);
        let output = NodeProcess::try_serve(&founded.dir()).expect_err("it does not start");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(part) && stderr.contains("hint: "), "{stderr}");
        std::fs::write(&file, before).expect("a writable folder");
    };
    fails(&|config| config.tls.key = None, "names only a part");
    fails(&|config| config.tls.certificate = Some("tls.key".into()), "no certificate in it");
    fails(&|config| config.tls.key = Some("tls.pem".into()), "mode 0644");
    fails(&|config| config.tls.node_key = Some(config.log_key.clone()), "another key");
    fails(&|config| config.tls.certificate = Some("none.pem".into()), "cannot be read");
    let unknown = |config: &mut Config| {
        config.gossip.known_nodes_only = true;
        (config.tls.certificate, config.tls.key) = (None, None);
    };
    fails(&unknown, "known_nodes_only");
}

/// A member with a log of its own, whose charter names its node and those of its partners.
struct Node {
    folder: TempDir,
    key: SignerKey,
    port: u16,
}

impl Node {
    fn new(n: u8) -> Node {
        let name = ["lab.test/node", "institute.test/node", "board.test/node"][usize::from(n)];
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("it is bound").port();
        let key = key(name, Algorithm::Ed25519, 180 + n);
        Node { folder: tempfile::tempdir().expect("a folder"), key, port }
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn address(&self) -> String {
        format!("grpcs://127.0.0.1:{}", self.port)
    }

    /// Founds its log under a charter that names all nodes, each with the key that stands beside it.
    fn found(&self, n: u8, nodes: [(&Node, &SignerKey); 3]) {
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
        let (log_key, node_key) =
            (self.folder.path().join("l.key"), self.folder.path().join("n.key"));
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
    }

    fn serve(&self) -> NodeProcess {
        NodeProcess::serve_at(&self.dir(), self.port)
    }

    /// What the node says of a peer, once that is so.
    fn until(&self, peer: &Node, so: impl Fn(&Value) -> bool) -> Value {
        let (began, ca) = (Instant::now(), self.dir().join("tls.pem"));
        loop {
            let (exit, status) =
                ledger(&["--ca", text(&ca), "gossip", "status", "--node", &self.address()]);
            assert!(exit < 2, "it answers: {status}");
            let url = peer.address().replacen("grpcs", "https", 1);
            let found = status["peers"].as_array().expect("a list");
            let found = found.iter().find(|found| found["url"] == *url);
            let found = found.unwrap_or_else(|| panic!("{url} is a peer: {status}"));
            if so(found) {
                return found.clone();
            }
            assert!(began.elapsed() < SOON, "{found}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
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

    let well = |peer: &Value| peer["met_at"].is_u64();
    let trouble = |peer: &Value| !peer["trouble"].as_str().unwrap_or_default().is_empty();
    lab.until(&institute, well);
    institute.until(&lab, well);
    let told = lab.until(&board, trouble)["trouble"].to_string();
    assert!(told.contains("does not show the node key"), "{told}");
    let told = board.until(&lab, trouble)["trouble"].to_string();
    assert!(told.contains("answers only nodes"), "{told}");
    assert!(!well(&lab.until(&board, |_| true)));
    for node in nodes {
        assert_eq!(node.terminate().0, Some(0));
    }
}
