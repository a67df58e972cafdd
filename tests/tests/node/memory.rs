//! What a stranger's messages take of a node's memory and time, whatever is in them: the real
//! process is measured.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use bytes::{Buf as _, BufMut as _, Bytes};
use ledger_core::Hash;
use ledger_core::checkpoint::Origin;
use ledger_core::record::StatementId;
use ledger_core::request::{Call, MAX_LIFETIME, Nonce, Request};
use ledger_proto::v1::ledger_client::LedgerClient;
use ledger_proto::v1::{self as wire};
use ledger_tests::consortium::Consortium;
use ledger_tests::process::NodeProcess;
use ledger_tests::usage::{
    EXPENSIVE_TEXTS, OTHER_TEXTS, cpu_hundredths, forget_peak, held_bytes, peak_bytes,
};
use tokio_stream::StreamExt as _;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Endpoint;
use tonic::{Code, Status};

use super::gossip::Member;
use crate::process::submit;

/// What a caller sends in all, in one message where a call takes as much.
const BYTES: usize = 33_000_000;

/// Bytes of heap for each byte received, and beyond them.
const HEAP_A_BYTE: u64 = 16;
const HEAP: u64 = 64 << 20;

/// Hundredths of a second that one message may be computed on. Without optimisation our code takes
/// five times as long, and what it counts is the same.
const HUNDREDTHS: u64 = if cfg!(debug_assertions) { 500 } else { 100 };

const TELL: &str = "/ledger.v1.Gossip/Tell";
const SUBMIT: &str = "/ledger.v1.Ledger/Submit";
const PROPOSE: &str = "/ledger.v1.Ledger/Propose";
const COSIGN: &str = "/ledger.v1.Ledger/Cosign";
const ADD_CHECKPOINT: &str = "/ledger.v1.Witness/AddCheckpoint";

/// A node that is a witness, and what it takes to answer.
pub(super) struct Measured {
    pub(super) member: Member,
    pub(super) node: NodeProcess,
}

impl Measured {
    pub(super) fn node(n: u8) -> Measured {
        let member = Member::found(n);
        let node = member.process();
        Measured { member, node }
    }

    /// Sends something, and judges what that took; `send` says how many bytes went, and in how many
    /// messages.
    pub(super) async fn judge(
        &self,
        row: &str,
        send: impl AsyncFnOnce(&NodeProcess) -> (usize, usize),
    ) {
        let process = self.node.id();
        forget_peak(process);
        let (held, spent) = (held_bytes(process).expect("it runs"), cpu_hundredths(process));
        let (sent, messages) = send(&self.node).await;
        let peak = peak_bytes(process).unwrap_or_else(|| panic!("{row}: the node has ended"));
        let (heap, most) = (peak.saturating_sub(held), HEAP + HEAP_A_BYTE * sent as u64);
        let spent = cpu_hundredths(process) - spent;
        println!("{row}: {sent} bytes, {messages} messages, {heap} of heap, {spent}/100 s");
        assert!(heap <= most, "{row}: {heap} bytes of heap for {sent} bytes, at most {most}");
        let most = HUNDREDTHS * messages as u64;
        assert!(spent <= most, "{row}: {spent}/100 s for {messages} messages, at most {most}");
    }

    /// Whether it still does what it is for.
    pub(super) async fn lives(&self) {
        let record = self.member.consortium.incident(1);
        let mut client = LedgerClient::connect(self.node.grpc.clone()).await.expect("it listens");
        client.get_checkpoint(wire::GetCheckpointRequest {}).await.expect("it answers");
        client.submit(submit(&record)).await.expect("it logs");
    }
}

/// The texts of a row: where they are long, only those that differ for a call that refuses them by
/// their length.
fn texts(bytes: usize) -> impl Iterator<Item = (&'static str, fn(usize) -> String)> {
    let others = OTHER_TEXTS.into_iter().filter(move |_| bytes < BYTES);
    EXPENSIVE_TEXTS.into_iter().chain(others)
}

/// One field of a message: a length, and so many bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length > 0x7f {
        field.push(length as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    [field.as_slice(), bytes].concat()
}

/// Bytes as they are, in place of a message.
#[derive(Debug, Clone, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buf.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buf.copy_to_bytes(buf.remaining())))
    }
}

/// An address of this machine that has sent nothing yet: no message is turned away because of
/// what another did.
pub(super) fn new_address() -> IpAddr {
    static USED: AtomicU16 = AtomicU16::new(0);
    let [high, low] = USED.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    IpAddr::from([127, 1, high, low])
}

/// A member's request for a call, so that what comes with it is read.
fn requested(of: &Call<'_>, member: &Member) -> Vec<u8> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    let Consortium { log, lab, time, .. } = &member.consortium;
    let origin = Origin::new(log.verifier().name().as_str()).expect("an origin");
    let request = Request::new(origin, of, Nonce::from_bytes(nonce), time + MAX_LIFETIME);
    request.sign(lab).expect("a key for texts").to_string().into_bytes()
}

/// Sends what a member asks for, in one field, with its request: what comes along must be read.
async fn ask(node: &NodeProcess, path: &'static str, message: Vec<u8>) -> (usize, usize) {
    let (sent, answer) = send(node, path, message).await;
    let status = answer.expect_err("no record");
    let asked = !status.message().contains("the request") && status.code() != Code::OutOfRange;
    assert!(asked || sent > BYTES, "it is read: {status:?}");
    (sent, 1)
}

/// Sends bytes as the message of a call; what is answered is another test's matter.
async fn call(node: &NodeProcess, path: &'static str, message: Vec<u8>) -> (usize, usize) {
    let (sent, _) = send(node, path, message).await;
    (sent, 1)
}

async fn send(
    node: &NodeProcess,
    path: &'static str,
    message: Vec<u8>,
) -> (usize, Result<(), Status>) {
    let endpoint = Endpoint::from_shared(node.grpc.clone()).expect("a URL");
    let channel = endpoint.local_address(Some(new_address())).connect().await;
    let mut client = tonic::client::Grpc::new(channel.expect("it listens"));
    client.ready().await.expect("it listens");
    let sent = message.len();
    let request = tonic::Request::new(message);
    let answer = client.unary(request, PathAndQuery::from_static(path), Raw).await;
    (sent, answer.map(|_| ()))
}

/// Something that tells evidence that the node has not asked for.
fn evidence(file: &str) -> Vec<u8> {
    field(4, &[field(1, &[1; 16]), field(6, file.as_bytes())].concat())
}

/// A note whose text goes on with this one after the first line of records.
fn record(text: &str) -> String {
    format!("ledger-record/v1\n{{\"a\":{text}}}\n\n\u{2014} a AAAAAAA=\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn unasked_gossip_takes_at_most_sixteen_bytes_of_heap_a_byte() {
    const FULL: usize = 4 << 20;
    let measured = Measured::node(81);
    for bytes in [BYTES, FULL - 64] {
        for (name, text) in texts(bytes) {
            let text = text(bytes);
            let row = format!("{bytes} bytes of {name} as evidence");
            measured.judge(&row, async |node| call(node, TELL, evidence(&text)).await).await;
            let heads = || field(4, &[field(1, &[1; 16]), field(3, text.as_bytes())].concat());
            let row = format!("{bytes} bytes of {name} as a head");
            measured.judge(&row, async |node| call(node, TELL, heads()).await).await;
        }
    }
    measured.lives().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_empty_messages_take_at_most_sixteen_bytes_of_heap_a_byte() {
    let measured = Measured::node(82);
    for bytes in [BYTES, 6_000_000, 200_000] {
        // heads, held, wants, questions, answers, and a proof of an answer
        for number in [3, 4, 5, 7, 8] {
            let list = field(number, &[]).repeat(bytes / 2);
            let row = format!("{bytes} bytes of empty items in field {number}");
            measured.judge(&row, async |node| call(node, TELL, field(4, &list)).await).await;
        }
        let list = field(3, &[]).repeat(bytes / 2);
        let row = format!("{bytes} bytes of empty hashes");
        measured.judge(&row, async |node| call(node, TELL, field(4, &field(8, &list))).await).await;
        let proof = field(2, &[]).repeat(bytes / 2);
        let row = format!("{bytes} bytes of an empty proof to the witness");
        measured.judge(&row, async |node| call(node, ADD_CHECKPOINT, proof).await).await;
    }
    measured.lives().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_strangers_take_at_most_sixteen_bytes_of_heap_a_byte() {
    /// The largest record, less its first and last lines.
    const FULL: usize = 65_000 - 80;
    let measured = Measured::node(83);
    for bytes in [BYTES, FULL] {
        for (name, text) in texts(bytes) {
            let text = text(bytes);
            let record = record(&text).into_bytes();
            let row = |way: &str| format!("{bytes} bytes of {name} to {way}");
            let one = || field(1, &record);
            let propose = |request: &[u8]| [field(1, request), field(2, &record)].concat();
            let cosign = |request: &[u8], line: &[u8]| {
                [field(1, request), field(2, &[1; 32]), field(3, line)].concat()
            };
            measured.judge(&row("Submit"), async |node| call(node, SUBMIT, one()).await).await;
            let message = propose(text.as_bytes());
            measured.judge(&row("Propose"), async |node| call(node, PROPOSE, message).await).await;
            let message = cosign(text.as_bytes(), &record);
            measured.judge(&row("Cosign"), async |node| call(node, COSIGN, message).await).await;
            // a member's node reads what comes along
            let member = &measured.member;
            let message = propose(&requested(&Call::Propose { record: &record }, member));
            let of_member = format!("{} of a member", row("Propose"));
            measured.judge(&of_member, async |node| ask(node, PROPOSE, message).await).await;
            let statement = StatementId::from_hash(Hash::from_bytes([1; 32]));
            let of_line = Call::Cosign { statement, signature: &text };
            let message = cosign(&requested(&of_line, member), text.as_bytes());
            let of_member = format!("{} of a member", row("Cosign"));
            measured.judge(&of_member, async |node| ask(node, COSIGN, message).await).await;
        }
    }
    measured.lives().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_records_takes_no_more_than_the_room_of_the_queue() {
    const FULL: usize = 65_000 - 80;
    let measured = Measured::node(84);
    let mut rows: Vec<(String, Bytes)> = texts(FULL)
        .map(|(name, text)| (format!("records of {name}"), Bytes::from(record(&text(FULL)))))
        .collect();
    rows.push(("records without a byte".to_owned(), Bytes::new()));
    // a member's name that is as long as the record, in what is wrong about it
    let name = format!("{{\"{}\":{{\"_sd\":1}}}}", "n".repeat(FULL - 40));
    rows.push(("records with a long name".to_owned(), Bytes::from(record(&name))));
    for (row, record) in rows {
        let count = (BYTES / record.len().max(1)).min(20_000);
        let sent = count * record.len();
        let send = async |node: &NodeProcess| {
            let mut client = LedgerClient::connect(node.grpc.clone()).await.expect("it listens");
            let request = wire::SubmitRequest { record, wait: 0 };
            let requests = tokio_stream::iter(std::iter::repeat_n(request, count));
            let answers = client.submit_stream(requests).await.expect("it begins").into_inner();
            let answered = answers.fold(0, |n, answer| n + usize::from(answer.is_ok())).await;
            assert_eq!(answered, count, "an answer to each");
            (sent, count)
        };
        measured.judge(&row, send).await;
    }
    measured.lives().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_to_a_witness_take_at_most_sixteen_bytes_of_heap_a_byte() {
    const FULL: usize = 120_000;
    let measured = Measured::node(85);
    let agent = ledger_tests::web::agent();
    for bytes in [BYTES, FULL] {
        for (name, text) in texts(bytes) {
            let text = text(bytes);
            let note = format!("{text}\n\n\u{2014} a AAAAAAA=\n");
            let row = |way: &str| format!("{bytes} bytes of {name} to the witness by {way}");
            let message = || field(3, note.as_bytes());
            measured
                .judge(&row("gRPC"), async |node| call(node, ADD_CHECKPOINT, message()).await)
                .await;
            let body = format!("old 0\n{text}\n\n{note}");
            let post = async |node: &NodeProcess| {
                let url = format!("{}/witness/add-checkpoint", node.http);
                // the node may refuse it before all was sent
                let _ = agent.post(url).send(body.as_bytes());
                (body.len(), 1)
            };
            measured.judge(&row("HTTP"), post).await;
        }
    }
    measured.lives().await;
}
