//! The node as a witness, over real sockets: the table of requests that the pure judgement is held
//! to (`tests/tests/spec/witness.rs`), and what a killed process remembers.

use std::io::{BufRead, BufReader, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use ledger_core::checkpoint::{Checkpoint, ClaimedCheckpoint, Origin};
use ledger_core::cosignature::verify_line;
use ledger_core::merkle::prove_consistency;
use ledger_core::note::{Algorithm, SignerKey};
use ledger_core::witness::{AddCheckpoint, WitnessAnswer, origin_hash};
use ledger_node::clock::ManualClock;
use ledger_node::{Overrides, RunningNode};
use ledger_proto::v1::witness_client::WitnessClient;
use ledger_proto::v1::{self as wire, add_checkpoint_response};
use ledger_tests::process::NodeProcess;
use ledger_tests::web::agent;
use ledger_tests::{key, size, tree, workspace};
use serde_json::Value;

use crate::process::Founded;

/// Founds a log whose node witnesses with these keys for the logs of a list.
fn founded(keys: &[SignerKey], logs: &str) -> Founded {
    let founded = Founded::new();
    let mut files = Vec::new();
    for (n, key) in keys.iter().enumerate() {
        let file = founded.folder.path().join(format!("witness-{n}.key"));
        founded.consortium.write_key(key, &file);
        files.push(file.display().to_string());
    }
    let config = founded.dir().join("config.toml");
    let text = std::fs::read_to_string(&config).expect("written by init");
    assert!(text.contains("witness_keys = []"), "{text}");
    let text = text.replace("witness_keys = []", &format!("witness_keys = {files:?}"));
    std::fs::write(&config, text).expect("a writable folder");
    list(&founded.dir(), logs);
    founded
}

fn list(dir: &Path, logs: &str) {
    std::fs::write(dir.join("witness-logs"), logs).expect("a writable folder");
}

struct Table(Value);

impl Table {
    fn read() -> Table {
        let path = workspace().join("tests/vectors/v1/witness/add-checkpoint.json");
        let bytes = std::fs::read(path).expect("the table");
        Table(serde_json::from_slice(&bytes).expect("JSON"))
    }

    fn rows(&self) -> &[Value] {
        self.0["rows"].as_array().expect("rows")
    }

    /// Serves a witness that goes on trusting logs that contradict themselves: the table has many
    /// rows for one log.
    async fn serve(&self) -> (Founded, RunningNode) {
        let keys = self.0["witness_keys"].as_array().expect("keys");
        let keys = keys.iter().map(|key| key.as_str().expect("a key").parse().expect("a key"));
        let keys: Vec<SignerKey> = keys.collect();
        let founded = founded(&keys, self.0["logs"].as_str().expect("a list"));
        let config = founded.dir().join("config.toml");
        let text = std::fs::read_to_string(&config).expect("written by init");
        let text = text.replace("make_evidence = true", "make_evidence = false");
        assert!(text.contains("make_evidence = false"), "{text}");
        std::fs::write(&config, text).expect("a writable folder");
        let clock = ManualClock::at(self.0["time"].as_u64().expect("a time"));
        let any = Some("127.0.0.1:0".parse().expect("an address"));
        let overrides = Overrides { grpc: any, http: any, ..Overrides::default() };
        let node = RunningNode::start_with(&founded.dir(), overrides, Arc::new(clock)).await;
        (founded, node.expect("it starts"))
    }
}

fn request(row: &Value) -> Vec<u8> {
    let request = &row["request"];
    match (request.as_str(), request["base64"].as_str(), request["times"].as_u64()) {
        (Some(text), _, _) => text.as_bytes().to_vec(),
        (_, Some(text), _) => {
            base64::engine::general_purpose::STANDARD.decode(text).expect("base64")
        }
        (_, _, Some(times)) => vec![b'x'; times as usize],
        _ => panic!("{request}"),
    }
}

/// What a witness over HTTP answered.
struct Http {
    status: u16,
    content_type: String,
    body: String,
}

fn read(mut response: ureq::http::Response<ureq::Body>) -> Http {
    let kind = response.headers().get("content-type").map(|kind| kind.to_str().expect("text"));
    let content_type = kind.unwrap_or_default().to_owned();
    let status = response.status().as_u16();
    Http { status, content_type, body: response.body_mut().read_to_string().expect("text") }
}

fn post(agent: &ureq::Agent, url: &str, body: &[u8]) -> Http {
    read(agent.post(format!("{url}/witness/add-checkpoint")).send(body).expect("it answers"))
}

fn get(agent: &ureq::Agent, url: &str, origin: &str) -> Http {
    let hash = origin_hash(&Origin::new(origin).expect("an origin"));
    read(agent.get(format!("{url}/witness/{hash}/checkpoint")).call().expect("it answers"))
}

fn head_of(checkpoint: &str) -> String {
    let claimed = ClaimedCheckpoint::parse(checkpoint.as_bytes()).expect("a checkpoint");
    let head = claimed.checkpoint().head();
    format!("{} {}", head.size, head.root.to_base64())
}

/// Each log that the table names, and its state after a row, if it has one.
fn states(row: &Value) -> impl Iterator<Item = (&'static str, Option<&str>)> {
    let logs = ["a.example/log", "b.example", "zero.example", "huge.example", "unknown.example"];
    logs.into_iter().map(|origin| (origin, row["after"][origin].as_str()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_answers_every_request_of_the_table_over_http() {
    let table = Table::read();
    let (_founded, node) = table.serve().await;
    let url = format!("http://{}", node.http_addr());
    let done = tokio::task::spawn_blocking(move || {
        let agent = agent();
        for row in table.rows() {
            let name = row["name"].as_str().expect("a name");
            let answer = post(&agent, &url, &request(row));
            assert_eq!(u64::from(answer.status), row["status"], "{name}: {}", answer.body);
            assert_eq!(answer.content_type, row["content_type"], "{name}");
            assert_eq!(answer.body, row["body"], "{name}");
            for (origin, state) in states(row) {
                let served = get(&agent, &url, origin);
                assert_eq!(served.status, if state.is_some() { 200 } else { 404 }, "{name}");
                let head = state.map(|_| head_of(&served.body));
                assert_eq!(head.as_deref(), state, "{name}: {origin}");
            }
            if answer.status == 200 {
                let text = String::from_utf8(request(row)).expect("text");
                let origin = text.split("\n\n").nth(1).and_then(|note| note.lines().next());
                let served = get(&agent, &url, origin.expect("an origin")).body;
                assert!(served.ends_with(&answer.body), "{name}: monitors get the same lines");
            }
        }
    });
    done.await.expect("every row");
    node.shutdown().await.expect("it stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_answers_every_request_of_the_table_over_grpc() {
    let table = Table::read();
    let (_founded, node) = table.serve().await;
    let url = format!("http://{}", node.grpc_addr());
    let mut client = WitnessClient::connect(url).await.expect("it listens");
    let mut asked = 0;
    for row in table.rows() {
        let name = row["name"].as_str().expect("a name");
        // messages cannot be malformed in the ways of texts
        let Ok(request) = AddCheckpoint::parse(&request(row)) else { continue };
        let answer = ask(&mut client, &request).await;
        match answer {
            add_checkpoint_response::Answer::Cosignatures(lines) => {
                assert_eq!(row["status"], 200, "{name}");
                assert_eq!(row["body"].as_str().expect("lines").as_bytes(), lines, "{name}");
            }
            add_checkpoint_response::Answer::Refused(refused) => {
                assert_eq!(row["status"], u64::from(refused.status), "{name}");
                let body = match refused.size {
                    Some(size) => size.to_string(),
                    None => refused.message,
                };
                assert_eq!(row["body"], format!("{body}\n"), "{name}");
            }
        }
        for (origin, state) in states(row) {
            let asked = wire::GetWitnessedCheckpointRequest { origin: origin.into() };
            let served = client.get_witnessed_checkpoint(asked).await;
            let head = served.ok().map(|served| {
                let bytes = served.into_inner().checkpoint;
                head_of(std::str::from_utf8(&bytes).expect("text"))
            });
            assert_eq!(head.as_deref(), state, "{name}: {origin}");
        }
        asked += 1;
    }
    assert!(asked >= 60, "{asked} requests");
    node.shutdown().await.expect("it stops");
}

async fn ask(
    client: &mut WitnessClient<tonic::transport::Channel>,
    request: &AddCheckpoint,
) -> add_checkpoint_response::Answer {
    let hashes = request.proof().hashes().iter();
    let message = wire::AddCheckpointRequest {
        old_size: request.old().get(),
        proof: hashes.map(|hash| bytes::Bytes::copy_from_slice(hash.as_bytes())).collect(),
        checkpoint: request.checkpoint().to_string().into_bytes().into(),
    };
    let answer = client.add_checkpoint(message).await.expect("no error").into_inner();
    answer.answer.expect("an answer")
}

const LOG: &str = "other.example/log";

fn log_key() -> SignerKey {
    key(LOG, Algorithm::Ed25519, 61)
}

fn witness_key() -> SignerKey {
    key("witness.example", Algorithm::CosignatureV1, 62)
}

fn growth(old: u64, new: u64) -> AddCheckpoint {
    let (mut tree, heads) = tree(new);
    let proof = prove_consistency(&mut tree, size(old), size(new)).expect("ordered");
    let origin = Origin::new(LOG).expect("an origin");
    let checkpoint = Checkpoint::new(origin, heads[new as usize]).sign(&log_key());
    AddCheckpoint::new(size(old), proof, checkpoint)
}

fn answer(agent: &ureq::Agent, url: &str, request: &AddCheckpoint) -> WitnessAnswer {
    let http = post(agent, url, request.to_string().as_bytes());
    let kind = Some(http.content_type.as_str());
    WitnessAnswer::parse(http.status, kind, http.body.as_bytes()).expect("an answer of a witness")
}

#[test]
fn witness_refuses_rollback_after_restart() {
    let log = format!("log {} https://other.example/\n", log_key().verifier());
    let founded = founded(&[witness_key()], &log);
    let agent = agent();
    for (old, new) in [(0, 3), (3, 4), (4, 9), (9, 9)] {
        let mut node = NodeProcess::serve(&founded.dir());
        let request = growth(old, new);
        let WitnessAnswer::Cosigned(lines) = answer(&agent, &node.http, &request) else {
            panic!("{old} to {new}")
        };
        // the power goes as soon as the answer is there
        node.kill();
        let note = request.checkpoint().note();
        assert!(verify_line(note, witness_key().verifier(), &lines[0]).is_some());
        let node = NodeProcess::serve(&founded.dir());
        if old != new {
            assert_eq!(answer(&agent, &node.http, &request), WitnessAnswer::Conflict(size(new)));
        }
        let back = growth(0, new.max(1) - 1);
        assert_eq!(answer(&agent, &node.http, &back), WitnessAnswer::Conflict(size(new)));
        let served = get(&agent, &node.http, LOG);
        assert!(served.body.ends_with(&lines[0].to_string()), "monitors get the very line again");
    }
}

#[test]
fn logs_come_and_go_while_the_node_runs_and_nothing_is_forgotten() {
    let log = format!("log {}\n", log_key().verifier());
    let founded = founded(&[witness_key()], "");
    let node = NodeProcess::serve(&founded.dir());
    let agent = agent();
    let status =
        |request: &AddCheckpoint| post(&agent, &node.http, request.to_string().as_bytes()).status;
    assert_eq!(status(&growth(0, 5)), 404);
    list(&founded.dir(), &log);
    assert_eq!(status(&growth(0, 5)), 200);
    list(&founded.dir(), "this is no list\n");
    assert_eq!(status(&growth(5, 6)), 200, "the last good list stays");
    list(&founded.dir(), "# none\n");
    // a known log's keys are looked up again after a second at the latest
    let stranger = key("stranger.example", Algorithm::Ed25519, 63);
    let other = Checkpoint::new(
        Origin::new("stranger.example").expect("an origin"),
        ledger_core::merkle::TreeHead::EMPTY,
    );
    let unknown = AddCheckpoint::new(size(0), Default::default(), other.sign(&stranger));
    assert_eq!(status(&unknown), 404, "at once when an unknown log asks");
    assert_eq!(status(&growth(6, 7)), 404);
    assert_eq!(get(&agent, &node.http, LOG).status, 200, "monitors still see what was cosigned");
    list(&founded.dir(), &log);
    assert_eq!(status(&growth(0, 7)), 409);
    assert_eq!(status(&growth(6, 7)), 200);
}

#[test]
fn a_node_without_witness_keys_is_no_witness_and_other_methods_are_refused() {
    let founded = Founded::new();
    let node = NodeProcess::serve(&founded.dir());
    let agent = agent();
    assert_eq!(post(&agent, &node.http, growth(0, 1).to_string().as_bytes()).status, 404);
    assert_eq!(get(&agent, &node.http, LOG).status, 404);
    drop(node);
    let founded = self::founded(&[witness_key()], "");
    let node = NodeProcess::serve(&founded.dir());
    let url = format!("{}/witness/add-checkpoint", node.http);
    assert_eq!(read(agent.get(url).call().expect("it answers")).status, 405);
    let hash = origin_hash(&Origin::new(LOG).expect("an origin"));
    let retrieval = format!("{}/witness/{hash}/checkpoint", node.http);
    assert_eq!(read(agent.post(retrieval).send(&[]).expect("it answers")).status, 405);
    // its own log is always known
    let own = agent.get(format!("{}/checkpoint", node.http)).call().expect("it answers");
    let own = ClaimedCheckpoint::parse(read(own).body.as_bytes()).expect("a checkpoint");
    let request = AddCheckpoint::new(size(0), Default::default(), own);
    assert!(matches!(answer(&agent, &node.http, &request), WitnessAnswer::Cosigned(_)));
}

#[test]
fn a_witness_answers_many_requests_on_one_connection() {
    let founded = founded(&[witness_key()], &format!("log {}\n", log_key().verifier()));
    let node = NodeProcess::serve(&founded.dir());
    let address = node.http.strip_prefix("http://").expect("a URL");
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket");
    // answers good and bad leave the connection as it is
    for (old, new, expected) in [(0, 4, "200"), (0, 5, "409"), (4, 5, "200"), (7, 5, "400")] {
        let body = growth(old.min(new), new).to_string();
        let body = body.replacen(&format!("old {}", old.min(new)), &format!("old {old}"), 1);
        let head = format!(
            "POST /witness/add-checkpoint HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("it is open");
        stream.write_all(body.as_bytes()).expect("it is open");
        let (status, _) = answer_on(&mut BufReader::new(&stream));
        assert_eq!(status, expected, "old {old}, size {new}");
    }
}

/// Reads one answer, and not a byte behind it. Status and body.
fn answer_on(stream: &mut impl BufRead) -> (String, Vec<u8>) {
    let mut line = || {
        let mut line = String::new();
        stream.read_line(&mut line).expect("an answer");
        line.trim_end().to_owned()
    };
    let status = line().split(' ').nth(1).expect("a status").to_owned();
    let mut length = 0;
    loop {
        let header = line().to_ascii_lowercase();
        match header.split_once(": ") {
            Some(("content-length", value)) => length = value.parse().expect("a length"),
            Some(("connection", value)) => assert_ne!(value, "close"),
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).expect("a body");
    (status, body)
}
