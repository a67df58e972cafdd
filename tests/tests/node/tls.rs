//! TLS: who is reached is who it should be, and others are told why not.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ledger_node::config::Config;
use ledger_node::transport::{Dialer, read_authorities};
use ledger_tests::process::{NodeProcess, run};
use ledger_tests::wait::{SOON, until};

use super::gossip::ledger;
use super::process::Founded;

/// Changes a log's configuration.
pub(super) fn configure(dir: &Path, change: impl FnOnce(&mut Config)) {
    let file = dir.join("config.toml");
    let mut config = Config::read(&file).expect("written by init");
    change(&mut config);
    std::fs::write(file, config.to_text()).expect("a writable folder");
}

/// Makes a certificate for this machine as an operator does, and has the log's node show it.
pub(super) fn certify(dir: &Path) -> PathBuf {
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

pub(super) fn text(path: &Path) -> &str {
    path.to_str().expect("a path in ASCII")
}

/// What is behind an HTTPS address, for somebody who believes this certificate.
fn try_get(ca: &Path, url: &str) -> Result<String, ureq::Error> {
    let dialer = Dialer::believing(read_authorities(ca).expect("a certificate"));
    let config = ureq::Agent::config_builder().proxy(None).tls_config(dialer.tls()).build();
    ureq::Agent::from(config).get(url).call()?.body_mut().read_to_string()
}

fn get(ca: &Path, url: &str) -> String {
    try_get(ca, url).expect("an answer")
}

/// A connection to a port of a node that speaks TLS, with nothing said yet.
fn silent(url: &str) -> TcpStream {
    let socket = TcpStream::connect(url.trim_start_matches("https://")).expect("it listens");
    socket.set_read_timeout(Some(SOON)).expect("a socket");
    socket
}

fn refused(ca: &Path, node: &NodeProcess, reason: &str) -> u64 {
    let metrics = get(ca, &format!("{}/metrics", node.http));
    let line = format!("ledger_refused_total{{reason=\"{reason}\"}}");
    let found = metrics.lines().find_map(|found| found.strip_prefix(&line));
    found.expect("it is counted").trim().parse().expect("a number")
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
    assert!(told(&node.grpc.replacen("https", "grpc", 1)).contains("write grpcs://"));
    assert!(told("node.example:7780").contains("does not say whether to use TLS"));
    let other = Founded::new();
    let plain = NodeProcess::serve(&other.dir());
    let plain = plain.grpc.replacen("http", "grpcs", 1);
    assert!(told(&plain).contains("speaks no TLS"), "{}", told(&plain));

    // who does not speak TLS learns nothing, and is counted
    let mut plain = silent(&node.http);
    plain.write_all(b"GET /checkpoint HTTP/1.1\r\nHost: node\r\n\r\n").expect("open");
    let mut told = Vec::new();
    let _ = plain.read_to_end(&mut told);
    assert!(!String::from_utf8_lossy(&told).contains("HTTP/1.1"));
    let refused = refused(&ca, &node, "tls");
    assert!(refused >= 2, "{refused}");
}

#[test]
fn handshakes_that_never_end_keep_nobody_waiting() {
    let founded = Founded::new();
    let ca = certify(&founded.dir());
    configure(&founded.dir(), |config| config.limits.request_seconds = 1);
    let node = NodeProcess::serve(&founded.dir());
    let mut silent: Vec<TcpStream> = (0..100).map(|_| silent(&node.http)).collect();
    assert!(get(&ca, &format!("{}/checkpoint", node.http)).starts_with("ledger.test/log\n"));
    for socket in &mut silent {
        let mut told = Vec::new();
        socket.read_to_end(&mut told).expect("the node closes it");
        assert!(told.is_empty());
    }
}

#[test]
fn a_node_that_stops_does_not_wait_for_handshakes() {
    let founded = Founded::new();
    let ca = certify(&founded.dir());
    // longer than any test
    configure(&founded.dir(), |config| config.limits.request_seconds = 100_000);
    let node = NodeProcess::serve(&founded.dir());
    let mut sockets = [&node.http, &node.grpc].map(|url| silent(url));
    // one of them has begun
    sockets[1].write_all(&[0x16, 3, 1, 2]).expect("open");
    assert!(get(&ca, &format!("{}/checkpoint", node.http)).starts_with("ledger.test/log\n"));
    assert_eq!(node.terminate().0, Some(0));
}

#[test]
fn older_versions_of_tls_are_refused() {
    let founded = Founded::new();
    certify(&founded.dir());
    let node = NodeProcess::serve(&founded.dir());
    for url in [&node.http, &node.grpc] {
        let mut socket = silent(url);
        socket.write_all(&hello_of_tls_1_2()).expect("open");
        let mut told = Vec::new();
        let _ = socket.read_to_end(&mut told);
        // an alert (21), fatal (2): protocol_version (70), RFC 8446, section 6
        assert_eq!((told.first(), told.get(5..7)), (Some(&21), Some(&[2, 70][..])), "{told:?}");
    }
}

/// The first message of a client that speaks TLS 1.2 and nothing newer (RFC 5246, section 7.4.1.2).
fn hello_of_tls_1_2() -> Vec<u8> {
    let suites = [0xc0, 0x2b, 0xc0, 0x2f];
    let extensions = [
        [0, 10, 0, 4, 0, 2, 0, 23].as_slice(),    // groups: secp256r1
        &[0, 11, 0, 2, 1, 0],                     // points: uncompressed
        &[0, 13, 0, 8, 0, 6, 4, 3, 8, 4, 4, 1],   // ECDSA and RSA with SHA-256
        &[0, 23, 0, 0],                           // extended master secret
        &[0, 16, 0, 14, 0, 12, 2, b'h', b'2', 8], // ALPN: h2, http/1.1
        b"http/1.1",
    ]
    .concat();
    let length = |bytes: &[u8]| u16::try_from(bytes.len()).expect("short").to_be_bytes();
    let mut body = [&[3, 3][..], &[7; 32], &[0]].concat();
    body.extend(
        [&length(&suites)[..], &suites, &[1, 0], &length(&extensions), &extensions].concat(),
    );
    let message = [&[1, 0][..], &length(&body), &body].concat();
    [&[0x16, 3, 1][..], &length(&message), &message].concat()
}

#[test]
fn a_certificate_that_is_renewed_while_the_node_runs_is_shown_without_a_restart() {
    let founded = Founded::new();
    let old = certify(&founded.dir());
    let node = NodeProcess::serve(&founded.dir());
    let url = format!("{}/checkpoint", node.http);
    get(&old, &url);
    for name in ["tls.pem", "tls.key"] {
        std::fs::remove_file(founded.dir().join(name)).expect("it was made");
    }
    let new = certify(&founded.dir());
    // it looks twice a minute
    until(|| try_get(&new, &url));
    assert_eq!(node.terminate().0, Some(0));
}

#[test]
fn handshakes_of_an_address_are_limited_and_allowed_again_later() {
    let founded = Founded::new();
    let ca = certify(&founded.dir());
    configure(&founded.dir(), |config| {
        config.limits.spare_loopback = false;
        config.limits.requests_per_second = 1;
    });
    let node = NodeProcess::serve(&founded.dir());
    // ten are saved up, and one comes a second; whoever is refused is refused before the handshake
    let mut sockets: Vec<TcpStream> = (0..30).map(|_| silent(&node.grpc)).collect();
    let answer = sockets.last_mut().expect("thirty").read(&mut [0]).map_err(|error| error.kind());
    assert!(matches!(answer, Ok(0) | Err(ErrorKind::ConnectionReset)), "{answer:?}");
    drop(sockets);
    // after a pause it is let in again
    let wait = || std::thread::sleep(Duration::from_secs(2));
    wait();
    until(|| {
        wait();
        try_get(&ca, &format!("{}/checkpoint", node.http))
    });
    wait();
    assert!(refused(&ca, &node, "rate") >= 15);
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
