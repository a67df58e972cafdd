//! What callers may use of a node: connections, requests and time, against real sockets.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ledger_proto::v1::ledger_client::LedgerClient;
use ledger_proto::v1::mirror_client::MirrorClient;
use ledger_proto::v1::{self as wire};
use ledger_tests::process::{NodeProcess, run};
use ledger_tests::wait::{so, until, until_async};
use ledger_tests::web::{agent, figure};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;

use super::gossip::Member;
use crate::process::{Founded, submit};

/// Longer than any limit that these tests set.
const PATIENCE: Duration = Duration::from_secs(30);

/// A node that counts programs on its own machine too.
fn limited(settings: &[(&str, u32)]) -> (Founded, NodeProcess) {
    let founded = Founded::new();
    limit(&founded.dir(), settings);
    let node = NodeProcess::serve(&founded.dir());
    (founded, node)
}

/// Sets these limits, and has a node count programs on its own machine too.
pub(super) fn limit(dir: &Path, settings: &[(&str, u32)]) {
    let config = dir.join("config.toml");
    let text = std::fs::read_to_string(&config).expect("written by init");
    let others = text.split("[limits]").next().unwrap_or_default();
    let mut text = format!("{others}[limits]\nspare_loopback = false\n");
    for (name, value) in settings {
        text.push_str(&format!("{name} = {value}\n"));
    }
    std::fs::write(&config, text).expect("a writable folder");
}

fn address(url: &str) -> &str {
    url.strip_prefix("http://").expect("http")
}

fn connect(url: &str) -> TcpStream {
    let socket = TcpStream::connect(address(url)).expect("it listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    socket
}

/// Whether the node has closed a connection: a limit ended it, if not within the patience it
/// panics.
fn ended(socket: &mut TcpStream) -> Vec<u8> {
    let mut told = Vec::new();
    match socket.read_to_end(&mut told) {
        Ok(_) => told,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => told,
        Err(error) => panic!("it stays open: {error}"),
    }
}

/// Whether a connection is served: it asks for the log's health.
fn is_served(socket: &mut TcpStream) -> bool {
    let ask = b"GET /healthz HTTP/1.1\r\nHost: node\r\n\r\n";
    if socket.write_all(ask).is_err() {
        return false;
    }
    let mut first = [0; 12];
    socket.read_exact(&mut first).is_ok() && &first == b"HTTP/1.1 200"
}

#[test]
fn a_thousand_connections_from_one_address_leave_room_for_others() {
    let (_founded, node) = limited(&[("connections_per_address", 40)]);
    let mut sockets: Vec<TcpStream> = (0..1_000).map(|_| connect(&node.http)).collect();
    let served = sockets.iter_mut().map(is_served).filter(|served| *served).count();
    assert_eq!(served, 40);
    drop(sockets);
    // they are given back, and what was refused is counted
    until(|| so((), |()| is_served(&mut connect(&node.http))));
    assert!(figure(&node.http, "ledger_refused_total{reason=\"address\"}") >= 960);
    assert!(figure(&node.http, "ledger_connections{face=\"http\"}") >= 1);
}

#[test]
fn a_full_node_refuses_at_once_and_serves_again_when_there_is_room() {
    let (_founded, node) = limited(&[("connections", 8), ("connections_per_address", 1_000)]);
    let mut held: Vec<TcpStream> = (0..8).map(|_| connect(&node.grpc)).collect();
    // each face takes its own connections, so whoever asks may come before the last of those
    until(|| {
        held.push(connect(&node.grpc));
        so((), |()| !is_served(&mut connect(&node.http)))
    });
    held.clear();
    until(|| so((), |()| is_served(&mut connect(&node.http))));
    assert!(figure(&node.http, "ledger_refused_total{reason=\"full\"}") >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_often_is_told_when_to_come_again() {
    let (_founded, node) = limited(&[("requests_per_second", 1)]);
    let agent = agent();
    let ask = |path: &str| agent.get(format!("{}{path}", node.http)).call().expect("an answer");
    let refused = (0..100).map(|_| ask("/tile/0/000.p/1")).find(|answer| answer.status() != 200);
    let mut refused = refused.expect("ten are saved up, and one comes a second");
    assert_eq!(refused.status(), 429);
    assert_eq!(refused.headers()["retry-after"], "1");
    let text = refused.body_mut().read_to_string().expect("text");
    assert_eq!(text, "too many requests from your network; come again in a while\n");

    let mut client = LedgerClient::connect(node.grpc.clone()).await.expect("it listens");
    let mut refused = None;
    for _ in 0..100 {
        refused = client.get_log(wire::GetLogRequest {}).await.err();
        if refused.is_some() {
            break;
        }
    }
    let refused = refused.expect("one address has one budget");
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(refused.message().starts_with("too many requests from your network\nhint: try again"));
    // a check of the node's health is answered all the same
    let endpoint = Endpoint::from_shared(node.grpc.clone()).expect("a URL");
    let mut health = HealthClient::new(endpoint.connect().await.expect("it listens"));
    for _ in 0..40 {
        health.check(HealthCheckRequest::default()).await.expect("it is never refused");
    }
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    client.get_log(wire::GetLogRequest {}).await.expect("it has waited");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_figures_and_the_checkpoint_are_never_refused_and_use_nothing_up() {
    let (_founded, node) = limited(&[("requests_per_second", 1)]);
    let agent = agent();
    let status =
        |path: &str| agent.get(format!("{}{path}", node.http)).call().expect("an answer").status();
    let always = ["/healthz", "/metrics", "/checkpoint"];
    for path in always {
        // more than are saved up; what they take is taken from nothing else
        assert!((0..40).all(|_| status(path) == 200), "{path}");
    }
    assert_eq!(status("/tile/0/000.p/1"), 200);
    assert!((0..100).any(|_| status("/tile/0/000.p/1") == 429), "tiles are counted");
    for path in always {
        assert!((0..40).all(|_| status(path) == 200), "{path} when all is used up");
    }
    // only reading them is free
    let post = || {
        let answer = agent.post(format!("{}/healthz", node.http)).send_empty();
        answer.expect("an answer").status()
    };
    assert!((0..40).any(|_| post() == 429), "a question that is no reading is counted");
    // the same over gRPC
    let mut client = LedgerClient::connect(node.grpc.clone()).await.expect("it listens");
    let refused = async |client: &mut LedgerClient<Channel>| {
        client.get_log(wire::GetLogRequest {}).await.is_err()
    };
    until_async(async || so(refused(&mut client.clone()).await, |refused| *refused)).await;
    for _ in 0..40 {
        let answer = client.get_checkpoint(wire::GetCheckpointRequest {}).await;
        assert!(answer.is_ok(), "the checkpoint when all is used up: {answer:?}");
    }
}

#[test]
fn slow_heads_slow_bodies_and_silence_hold_nothing() {
    let member = Member::found(70);
    limit(&member.dir(), &[("request_seconds", 1), ("idle_seconds", 2)]);
    let node = NodeProcess::serve(&member.dir());
    let mut silent = [connect(&node.http), connect(&node.grpc)];
    let mut head = connect(&node.http);
    head.write_all(b"GET /checkpoint HTTP/1.1\r\nHost: no").expect("it listens");
    let mut body = connect(&node.http);
    let post =
        b"POST /witness/add-checkpoint HTTP/1.1\r\nHost: node\r\nContent-Length: 100\r\n\r\nold 0";
    body.write_all(post).expect("it listens");
    assert!(is_served(&mut connect(&node.http)), "others are served meanwhile");
    assert_eq!(String::from_utf8_lossy(&ended(&mut head)), "");
    let told = String::from_utf8(ended(&mut body)).expect("text");
    assert!(told.starts_with("HTTP/1.1 408"), "{told}");
    assert!(told.ends_with("the request took too long to come\n"), "{told}");
    silent.iter_mut().for_each(|socket| drop(ended(socket)));
    // who said nothing over HTTP asked for nothing
    assert_eq!(figure(&node.http, "ledger_refused_total{reason=\"slow\"}"), 3);
    // who keeps a connection open for another request is closed too, and is no trouble
    let mut kept = connect(&node.http);
    assert!(is_served(&mut kept));
    ended(&mut kept);
    assert_eq!(figure(&node.http, "ledger_refused_total{reason=\"slow\"}"), 3);
}

/// A client that takes no byte of any answer, and shows signs of life all the while.
async fn greedy(node: &NodeProcess) -> LedgerClient<Channel> {
    let endpoint = Endpoint::from_shared(node.grpc.clone()).expect("a URL");
    let endpoint = endpoint.initial_stream_window_size(0);
    let endpoint = endpoint.http2_keep_alive_interval(Duration::from_millis(300));
    LedgerClient::new(endpoint.connect().await.expect("it listens"))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_no_entries_gives_its_turn_back_and_one_network_has_not_all() {
    // more than waits for a slow reader
    const ENTRIES: u64 = 200;
    let (founded, node) = limited(&[("idle_seconds", 2)]);
    let mut client = LedgerClient::connect(node.grpc.clone()).await.expect("it listens");
    let records: Vec<_> = (0..ENTRIES).map(|n| submit(&founded.consortium.incident(n))).collect();
    let answers = client.submit_stream(tokio_stream::iter(records)).await.expect("an answer");
    let answered = answers.into_inner().fold(0, |count, answer| count + u64::from(answer.is_ok()));
    assert_eq!(answered.await, ENTRIES);

    let all = wire::GetEntriesRequest { start: 0, count: None };
    let mut greedy = greedy(&node).await;
    let mut held = Vec::new();
    let refused = loop {
        match greedy.get_entries(all).await {
            Ok(stream) => held.push(stream),
            Err(refused) => break refused,
        }
    };
    assert_eq!((held.len(), refused.code()), (16, Code::ResourceExhausted), "{refused}");
    let stream = until_async(async || client.get_entries(all).await).await.into_inner();
    let read = stream.fold(0, |count, entry| count + u64::from(entry.is_ok())).await;
    assert_eq!(read, ENTRIES + 1, "and the charter");
}

/// A record that is none, nearly as large as a message may be.
fn garbage() -> wire::SubmitRequest {
    wire::SubmitRequest { record: vec![0; 130_000].into(), wait: 0 }
}

/// Streams so many empty records, and large ones behind them; says how many of all have gone.
async fn stream_garbage(
    client: &mut LedgerClient<Channel>,
    empty: u64,
) -> (Arc<AtomicU64>, Streaming<wire::SubmitStreamResponse>) {
    let gone = Arc::<AtomicU64>::default();
    let count = Arc::clone(&gone);
    let records = std::iter::from_fn(move || {
        let is_large = count.fetch_add(1, Ordering::Relaxed) >= empty;
        Some(if is_large { garbage() } else { wire::SubmitRequest::default() })
    });
    let stream = client.submit_stream(tokio_stream::iter(records)).await.expect("it begins");
    (gone, stream.into_inner())
}

#[tokio::test(flavor = "multi_thread")]
async fn records_whose_answers_nobody_takes_hold_no_room_that_others_need() {
    // so many answers wait for their caller, and what comes after them is large
    const EMPTY: u64 = 8_500;
    let (founded, node) = limited(&[]);
    let mut streams = Vec::new();
    for _ in 0..60 {
        // together more than the room for records
        let mut greedy = greedy(&node).await;
        let (gone, stream) = stream_garbage(&mut greedy, EMPTY).await;
        streams.push((greedy, stream, gone));
    }
    // until none takes any more
    let mut before = Vec::new();
    until_async(async || {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now: Vec<u64> = streams.iter().map(|own| own.2.load(Ordering::Relaxed)).collect();
        let stands = now == before && now.iter().all(|gone| *gone > EMPTY);
        before.clone_from(&now);
        so(now, |_| stands)
    })
    .await;
    let mut client = LedgerClient::connect(node.grpc.clone()).await.expect("it listens");
    client.submit(submit(&founded.consortium.incident(1))).await.expect("there is room");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_brings_more_than_all_messages_may_hold_at_once() {
    const RECORDS: usize = 1_100;
    let (_founded, node) = limited(&[]);
    let mut client = LedgerClient::connect(node.grpc.clone()).await.expect("it listens");
    let records = std::iter::repeat_with(garbage).take(RECORDS);
    let answers = client.submit_stream(tokio_stream::iter(records)).await.expect("it begins");
    let answered =
        answers.into_inner().map(|answer| answer.expect("an answer to each")).fold(0, |n, _| n + 1);
    assert_eq!(answered.await, RECORDS);
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_are_told_names_take_no_more_and_reflection_is_for_few_at_once() {
    let (_founded, node) = limited(&[]);
    let channel = Endpoint::from_shared(node.grpc.clone()).expect("a URL");
    let channel = channel.connect().await.expect("it listens");
    let name = "n".repeat(5_000);

    let request = HealthCheckRequest { service: name.clone() };
    let refused = HealthClient::new(channel.clone()).check(request).await.expect_err("too long");
    assert_eq!(refused.code(), Code::OutOfRange, "{refused}");
    let request = wire::GetConsistencyRequest {
        origin: name.clone(),
        ..wire::GetConsistencyRequest::default()
    };
    let mut mirror = MirrorClient::new(channel.clone());
    let refused = mirror.get_consistency(request).await.expect_err("too long");
    assert_eq!(refused.code(), Code::OutOfRange, "{refused}");

    let mut client = ServerReflectionClient::new(channel);
    let mut held = Vec::new();
    let refused = loop {
        let (asks, asked) = tokio::sync::mpsc::channel(1);
        match client.server_reflection_info(ReceiverStream::new(asked)).await {
            Ok(stream) => held.push((asks, stream)),
            Err(refused) => break refused,
        }
    };
    assert_eq!((held.len(), refused.code()), (16, Code::ResourceExhausted), "{refused}");
    held.clear();
    let ask = |name: &str| {
        let message_request = Some(MessageRequest::FileContainingSymbol(name.to_owned()));
        ServerReflectionRequest { host: String::new(), message_request }
    };
    let requests = [ask("ledger.v1.Ledger"), ask(&name)];
    let mut answers = until_async(async || {
        client.server_reflection_info(tokio_stream::iter(requests.clone())).await
    })
    .await
    .into_inner();
    answers.message().await.expect("an answer").expect("what was asked for");
    assert!(answers.message().await.is_ok_and(|answer| answer.is_none()), "nothing more is read");
}

#[test]
fn a_node_without_tls_listens_on_this_machine_alone_unless_it_is_told_otherwise() {
    let founded = Founded::new();
    let dir = founded.dir();
    let [serve, d, grpc, http] = ["serve", "--dir", "--grpc", "--http"].map(AsRef::as_ref);
    let [open, own] = ["0.0.0.0:0", "127.0.0.1:0"].map(AsRef::as_ref);
    for addresses in [[grpc, open, http, own], [grpc, own, http, open]] {
        let arguments = [&[serve, d, dir.as_os_str()][..], &addresses[..]].concat();
        let output = run("ledger-node", &arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        let error = "0.0.0.0:0 is reached from other machines, and the node has no TLS certificate";
        assert!(stderr.contains(error), "{stderr}");
        assert!(stderr.contains("`plain = true`"), "{stderr}");
    }
}
