//! What clients get wrong over gRPC: each mistake has its status and its message, and the node goes
//! on answering.

use ledger_core::note::{Algorithm, SignerKey};
use ledger_core::record::{Draft, RecordId, format_time};
use ledger_proto::v1::get_inclusion_proof_request::Leaf;
use ledger_proto::v1::ledger_client::LedgerClient;
use ledger_proto::v1::lookup_request::Key;
use ledger_proto::v1::{self as wire, submit_stream_response::Outcome};
use ledger_tests::consortium::{Consortium, ORIGIN};
use ledger_tests::process::NodeProcess;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::process::{Founded, submit};

/// A record that is refused.
struct Refused {
    case: &'static str,
    record: Vec<u8>,
    code: Code,
    message: String,
}

fn refused(
    case: &'static str,
    record: impl AsRef<[u8]>,
    code: Code,
    message: impl ToString,
) -> Refused {
    Refused { case, record: record.as_ref().to_vec(), code, message: message.to_string() }
}

/// A record of any text: no draft is asked whether it may be one.
fn raw(keys: &[&SignerKey], json: &str) -> Vec<u8> {
    let text = format!("ledger-record/v1\n{json}\n");
    let mut lines: Vec<String> = keys.iter().map(|key| key.sign_text(&text).to_string()).collect();
    lines.sort();
    format!("{text}\n{}", lines.concat()).into_bytes()
}

fn replaced(json: &str, from: &str, to: &str) -> String {
    assert!(json.contains(from), "{from}");
    json.replacen(from, to, 1)
}

/// Bytes that are no record of this version, whatever the log.
fn malformed(consortium: &Consortium) -> Vec<Refused> {
    let good = consortium.incident(900).to_bytes();
    let text = String::from_utf8(good.clone()).expect("text");
    let long = [good.as_slice(), &[b'\n'; 65_000]].concat();
    let mut bad_text = good.clone();
    bad_text[100] = 0xff;
    let lines = text.find("\n\n").expect("a blank line");
    let invalid = |case, record: &[u8], message| {
        refused(case, record, Code::InvalidArgument, format!("not a signed note: {message}"))
    };
    let too_long = "the record has 65001 bytes; at most 65000 are allowed";
    let first_line = "the first line is not \"ledger-record/v1\"";
    let unsigned = "no text followed by a blank line and signature lines";
    vec![
        refused("65,001 bytes", &long[..65_001], Code::InvalidArgument, too_long),
        refused(
            "another first line",
            replaced(&text, "record/v1", "record/v2"),
            Code::InvalidArgument,
            first_line,
        ),
        invalid("no bytes", b"", unsigned),
        invalid("only the text", &good[..=lines], unsigned),
        invalid(
            "the last newline is missing",
            &good[..good.len() - 1],
            "signature line 1 is not \"\u{2014} <key name> <base64>\"",
        ),
        invalid(
            "cut in its signature",
            &good[..good.len() - 9],
            "signature line 1 is not \"\u{2014} <key name> <base64>\"",
        ),
        invalid(
            "a NUL",
            replaced(&text, "nurse", "nu\0se").as_bytes(),
            "control character U+0000 on line 2; a note allows only newlines",
        ),
        invalid(
            "bytes that are no text",
            &bad_text,
            "a note is UTF-8; the byte at offset 100 is not",
        ),
    ]
}

/// Texts that are signed, but not what a record's text may be.
fn misspelt(consortium: &Consortium) -> Vec<Refused> {
    let json = consortium.incident_json(900);
    let invalid = |case, from, to: &str, message: &str| {
        let record = raw(&[&consortium.lab], &replaced(&json, from, to));
        refused(case, record, Code::InvalidArgument, message)
    };
    let deep = format!("{{\"ext\":{{\"n\":{}{}}},", "[".repeat(40), "]".repeat(40));
    let number = |column| {
        format!(
            "line 2 column {column}: a number is a whole number within 2^53, without fraction, \
             exponent or minus zero"
        )
    };
    let one_object = "the text after the first line is not one JSON object that ends with its line";
    vec![
        refused("a list", raw(&[&consortium.lab], "[]"), Code::InvalidArgument, one_object),
        refused(
            "two objects",
            raw(&[&consortium.lab], &format!("{json}\n{{}}")),
            Code::InvalidArgument,
            "line 3 column 1: trailing characters",
        ),
        invalid(
            "a member twice",
            "{",
            "{\"id\":\"x\",",
            "line 2 column 117: member \"id\" stands twice in one object",
        ),
        invalid(
            "a member twice, once escaped",
            "{",
            "{\"\\u0069d\":\"x\",",
            "line 2 column 122: member \"id\" stands twice in one object",
        ),
        invalid("a fraction", "{", "{\"ext\":{\"n\":1.0},", &number(15)),
        invalid("an exponent", "{", "{\"ext\":{\"n\":1e3},", &number(15)),
        invalid("a number beyond 2^53", "{", "{\"ext\":{\"n\":9007199254740993},", &number(28)),
        invalid(
            "half a surrogate",
            "{",
            "{\"ext\":{\"n\":\"\\ud800\"},",
            "line 2 column 20: unexpected end of hex escape",
        ),
        invalid("40 levels", "{", &deep, "line 2 column 43: objects and lists nest deeper than 32"),
        invalid("a missing member", "\"stage\":\"initial\",", "", "`stage` is missing"),
        invalid(
            "a word outside an enumeration",
            "\"initial\"",
            "\"first\"",
            "`stage` is \"first\", not one of initial, interim, final",
        ),
        invalid("an id that is none", "\"id\":\"", "\"id\":\"0", "`id` is \"0"),
        invalid(
            "no such kind",
            "\"kind\":\"incident\"",
            "\"kind\":\"rumour\"",
            "`kind` is \"rumour\", not one of decision, incident",
        ),
        invalid(
            "a kind without its members",
            "\"kind\":\"incident\"",
            "\"kind\":\"membership\"",
            "`base` is missing",
        ),
    ]
}

/// Records that the charter does not allow.
fn unlawful(consortium: &Consortium) -> Vec<Refused> {
    let Consortium { lab, institute, board, time, .. } = consortium;
    let json = consortium.incident_json(900);
    let signed = |json: &str, keys: &[&SignerKey]| {
        Draft::parse(json).expect("well formed").sign(keys).expect("record keys").to_bytes()
    };
    let denied = |case, json: &str, keys: &[&SignerKey], message: &str| {
        refused(case, signed(json, keys), Code::PermissionDenied, message)
    };
    let stranger = ledger_tests::key("stranger.test", Algorithm::Ed25519, 9);
    let impostor = ledger_tests::key("lab.test", Algorithm::Ed25519, 9);
    let unknown = |key: &SignerKey, line: u64| {
        let (name, id) = (key.verifier().name(), key.verifier().id());
        format!("key \"{name}\" with id {id} on signature line {line} is not in the charter")
    };
    let mut forged = signed(&json, &[lab]);
    let story = forged.windows(5).position(|word| word == b"nurse").expect("in the story");
    forged[story..story + 5].copy_from_slice(b"Nurse");
    let at = |seconds: u64| {
        // nobody is aware of an incident after the report of it
        let at = |name: &str, time| format!("\"{name}\":\"{}\"", format_time(time));
        let json = replaced(&json, &at("aware_at", *time), &at("aware_at", seconds));
        replaced(&json, &at("issued_at", *time), &at("issued_at", seconds))
    };
    let late = format!(
        "issued_at {} lies more than 10 minutes after the log's time ",
        format_time(time + 3600)
    );
    let early = format!(
        "issued_at {} lies more than 30 day(s) before the log's time ",
        format_time(time - 31 * 86_400)
    );
    let by_board = replaced(&json, "\"issuer\":\"lab.test\"", "\"issuer\":\"board.test\"");
    let ask_both = replaced(&json, "{", "{\"signers\":[\"institute.test\",\"lab.test\"],");
    vec![
        denied(
            "another log's",
            &replaced(&json, ORIGIN, "ledger.test/other"),
            &[lab],
            "the record is meant for the log \"ledger.test/other\", not for \"ledger.test/log\"",
        ),
        denied("an unknown key", &json, &[lab, &stranger], &unknown(&stranger, 2)),
        denied("a known name with another key", &json, &[&impostor], &unknown(&impostor, 1)),
        refused(
            "a forged text",
            forged,
            Code::PermissionDenied,
            "the signature of \"lab.test\" on line 1 does not verify",
        ),
        denied(
            "the issuer has not signed",
            &json,
            &[institute],
            "no key of the issuer \"lab.test\" is among the signatures",
        ),
        denied(
            "a board that publishes incidents",
            &by_board,
            &[board],
            "records of kind incident need 1 member(s) with role \"publisher\"; 0 signed",
        ),
        denied(
            "a signer is missing",
            &ask_both,
            &[lab],
            "`signers` asks for \"institute.test\", which has not signed",
        ),
        denied(
            "no such issuer",
            &replaced(&json, "\"issuer\":\"lab.test\"", "\"issuer\":\"lab.other\""),
            &[lab],
            "issuer \"lab.other\" is not a member",
        ),
        denied("issued in an hour", &at(time + 3600), &[lab], &late),
        denied("issued 31 days ago", &at(time - 31 * 86_400), &[lab], &early),
        refused(
            "an id that is taken",
            signed(&replaced(&consortium.incident_json(0), "Incident 0", "Other"), &[lab]),
            Code::AlreadyExists,
            "its issuer has used this id for another record, which is entry 1",
        ),
        refused(
            "a second charter",
            signed(&second_charter(consortium), &[lab, institute, board]),
            Code::PermissionDenied,
            "a charter stands only at index 0, this one at 2",
        ),
    ]
}

fn second_charter(consortium: &Consortium) -> String {
    let charter = consortium.charter();
    let (_, json) = charter.text().split_once('\n').expect("a first line");
    let id = charter.envelope().id().to_string();
    let other = RecordId::from_parts(consortium.time * 1000, [9; 10]).to_string();
    replaced(json.trim_end(), &id, &other)
}

/// A node with one incident.
async fn node(founded: &Founded) -> (NodeProcess, LedgerClient<Channel>) {
    let node = NodeProcess::serve(&founded.dir());
    let mut client = node.client().await;
    let first = client.submit(submit(&founded.consortium.incident(0))).await;
    assert_eq!(first.expect("lawful").into_inner().index, 1);
    (node, client)
}

/// The node answers, and has logged nothing since.
async fn assert_unharmed(client: &mut LedgerClient<Channel>, consortium: &Consortium, index: u64) {
    let request = submit(&consortium.incident(index - 1));
    assert_eq!(client.submit(request).await.expect("lawful").into_inner().index, index);
}

fn assert_says(case: &str, status: &Status, code: Code, message: &str) {
    let said = status.message();
    assert_eq!(status.code(), code, "{case}: {said}");
    assert!(said.starts_with(message), "{case}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_record_that_is_refused_is_told_why() {
    let founded = Founded::new();
    let (node, mut client) = node(&founded).await;
    let consortium = &founded.consortium;
    let mut all = malformed(consortium);
    all.extend(misspelt(consortium));
    all.extend(unlawful(consortium));
    for Refused { case, record, code, message } in &all {
        let request = wire::SubmitRequest { record: record.clone().into(), wait: 0 };
        let status = client.submit(request).await.expect_err(case);
        assert_says(case, &status, *code, message);
        assert!(status.message().contains("\nhint: "), "{case}: {}", status.message());
    }
    // the same in a stream, which goes on behind each of them
    let requests = all.iter().map(|refused| refused.record.clone()).collect::<Vec<_>>();
    let requests = requests.into_iter();
    let requests = requests.map(|record| wire::SubmitRequest { record: record.into(), wait: 0 });
    let last = submit(&consortium.incident(1));
    let requests = tokio_stream::iter(requests.chain([last]).collect::<Vec<_>>());
    let mut answers = client.submit_stream(requests).await.expect("a stream").into_inner();
    for Refused { case, code, message, .. } in &all {
        let answer = answers.message().await.expect("no error").expect("an answer");
        let Some(Outcome::Refused(refusal)) = answer.outcome else { panic!("{case}: {answer:?}") };
        assert_eq!(refusal.code, i32::from(*code), "{case}: {}", refusal.message);
        assert!(refusal.message.starts_with(message), "{case}: {}", refusal.message);
        assert!(!refusal.hint.is_empty(), "{case}");
    }
    let answer = answers.message().await.expect("no error").expect("an answer");
    let Some(Outcome::Logged(logged)) = answer.outcome else { panic!("{answer:?}") };
    assert_eq!(logged.index, 2);
    assert_unharmed(&mut client, consortium, 3).await;
    drop((client, answers));
    assert_eq!(node.terminate(), (Some(0), String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_beyond_any_record_end_their_call_and_nothing_else() {
    let founded = Founded::new();
    let (node, mut client) = node(&founded).await;
    let huge = wire::SubmitRequest { record: vec![b'x'; 2 << 20].into(), wait: 0 };
    let message = "Error, decoded message length too large: found 2097";
    let status = client.submit(huge.clone()).await.expect_err("2 MiB");
    assert_says("2 MiB", &status, Code::OutOfRange, message);
    // in a stream the answers to what came before arrive first
    let before = submit(&founded.consortium.incident(1));
    let requests = tokio_stream::iter([before, huge]);
    let mut answers = client.submit_stream(requests).await.expect("a stream").into_inner();
    let answer = answers.message().await.expect("an answer").expect("an answer");
    assert!(matches!(answer.outcome, Some(Outcome::Logged(_))));
    let status = answers.message().await.expect_err("2 MiB");
    assert_says("2 MiB in a stream", &status, Code::OutOfRange, message);

    let request = wire::SubmitRequest { wait: 7, ..submit(&founded.consortium.incident(0)) };
    let status = client.submit(request).await.expect_err("no such wait");
    let message = "wait is 7\nhint: use WAIT_UNSPECIFIED or WAIT_PUBLISHED";
    assert_says("no such wait", &status, Code::InvalidArgument, message);
    let request = wire::SubmitRequest { wait: 7, ..submit(&founded.consortium.incident(2)) };
    client.submit(request).await.expect_err("no such wait");
    assert_unharmed(&mut client, &founded.consortium, 3).await;
    drop((client, answers));
    assert_eq!(node.terminate(), (Some(0), String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_question_that_makes_no_sense_is_told_why() {
    let founded = Founded::new();
    let (node, mut client) = node(&founded).await;
    let most = u64::MAX;
    let short = bytes::Bytes::from_static(&[1; 31]);
    let long = bytes::Bytes::from_static(&[1; 33]);
    let unknown = bytes::Bytes::from_static(&[1; 32]);
    let none = "no published entry has this statement or leaf hash";
    let inclusion = [
        (None, None, Code::InvalidArgument, "no leaf was named"),
        (Some(Leaf::Index(2)), None, Code::OutOfRange, "the log has 2 entries"),
        (Some(Leaf::Index(most)), None, Code::InvalidArgument, "index is"),
        (Some(Leaf::Index(0)), Some(3), Code::OutOfRange, "size 3 is larger than the published"),
        (Some(Leaf::Index(0)), Some(most), Code::OutOfRange, "size 18446744073709551615 is larger"),
        (Some(Leaf::Index(0)), Some(0), Code::OutOfRange, "the log has 0 entries"),
        (Some(Leaf::Index(1)), Some(1), Code::OutOfRange, "the log has 1 entries"),
        (Some(Leaf::LeafHash(short.clone())), None, Code::InvalidArgument, "leaf_hash has 31"),
        (Some(Leaf::Statement(long.clone())), None, Code::InvalidArgument, "statement has 33"),
        (Some(Leaf::LeafHash(unknown.clone())), None, Code::NotFound, none),
        (Some(Leaf::Statement(unknown.clone())), None, Code::NotFound, none),
    ];
    for (leaf, tree_size, code, message) in inclusion {
        let case = format!("{leaf:?} {tree_size:?}");
        let request = wire::GetInclusionProofRequest { leaf, tree_size };
        let status = client.get_inclusion_proof(request).await.expect_err(&case);
        assert_says(&case, &status, code, message);
    }
    let consistency = [
        (3, None, "the older size is larger than the newer size 2"),
        (2, Some(1), "the older size is larger than the newer size 1"),
        (1, Some(3), "size 3 is larger than the published size 2"),
        (most, Some(1), "old_size is"),
        (1, Some(most), "size 18446744073709551615 is larger"),
    ];
    for (old_size, new_size, message) in consistency {
        let case = format!("{old_size} {new_size:?}");
        let request = wire::GetConsistencyProofRequest { old_size, new_size };
        let status = client.get_consistency_proof(request).await.expect_err(&case);
        let code = if old_size == most { Code::InvalidArgument } else { Code::OutOfRange };
        assert_says(&case, &status, code, message);
    }
    for (key, code, message) in [
        (None, Code::InvalidArgument, "no key was given"),
        (Some(Key::Statement(short)), Code::InvalidArgument, "statement has 31 bytes"),
        (Some(Key::LeafHash(long)), Code::InvalidArgument, "leaf_hash has 33 bytes"),
        (Some(Key::LeafHash(unknown)), Code::NotFound, none),
    ] {
        let status = client.lookup(wire::LookupRequest { key }).await.expect_err(message);
        assert_says("lookup", &status, code, message);
    }
    for (start, count) in [(3, None), (most, None), (most, Some(most))] {
        let request = wire::GetEntriesRequest { start, count };
        let status = client.get_entries(request).await.expect_err("beyond the log");
        let message = format!("start is {start}, but the log has 2 entries");
        assert_says("entries", &status, Code::OutOfRange, &message);
    }
    // the end is a place to start from, and a count may be larger than what is there
    for (start, count, expected) in [(2, None, 0), (1, Some(most), 1), (0, Some(0), 0)] {
        let request = wire::GetEntriesRequest { start, count };
        let mut entries = client.get_entries(request).await.expect("a stream").into_inner();
        let mut read = 0;
        while entries.message().await.expect("no error").is_some() {
            read += 1;
        }
        assert_eq!(read, expected, "{start} {count:?}");
    }
    assert_unharmed(&mut client, &founded.consortium, 2).await;
    drop(client);
    assert_eq!(node.terminate(), (Some(0), String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_reflection_say_what_is_served() {
    use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
    use tonic_reflection::pb::v1 as reflection;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;

    let founded = Founded::new();
    let node = NodeProcess::serve(&founded.dir());
    let endpoint = Channel::from_shared(node.grpc.clone()).expect("a URL");
    let channel = endpoint.connect().await.expect("it listens");
    let mut health = HealthClient::new(channel.clone());
    for service in ["", "ledger.v1.Ledger"] {
        let request = HealthCheckRequest { service: service.into() };
        let answer = health.check(request).await.expect("it is there").into_inner();
        assert_eq!(answer.status().as_str_name(), "SERVING");
    }
    // it has no key to witness or to mirror with
    for service in ["ledger.v1.Witness", "ledger.v1.Mirror"] {
        let request = HealthCheckRequest { service: service.into() };
        let answer = health.check(request).await.expect("known").into_inner();
        assert_eq!(answer.status().as_str_name(), "NOT_SERVING");
    }
    let request = HealthCheckRequest { service: "ledger.v1.Nothing".into() };
    assert_eq!(health.check(request).await.expect_err("none").code(), Code::NotFound);

    let mut client = ServerReflectionClient::new(channel);
    let ask = reflection::server_reflection_request::MessageRequest::ListServices(String::new());
    let request =
        reflection::ServerReflectionRequest { host: String::new(), message_request: Some(ask) };
    let answers = client.server_reflection_info(tokio_stream::iter([request])).await;
    let answer = answers.expect("a stream").into_inner().message().await.expect("no error");
    let answer = answer.expect("an answer").message_response.expect("an answer");
    let reflection::server_reflection_response::MessageResponse::ListServicesResponse(list) =
        answer
    else {
        panic!("{answer:?}")
    };
    let mut names: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "ledger.v1.Gossip",
            "ledger.v1.Ledger",
            "ledger.v1.Mirror",
            "ledger.v1.Witness",
        ]
    );
}
