//! What a stranger's messages take of a node's memory and time, whatever is in them: the real
//! process is measured.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU16, Ordering};

use bytes::{Buf as _, BufMut as _, Bytes};
use ledger_proto::v1::ledger_client::LedgerClient;
use ledger_proto::v1::{self as wire};
use ledger_tests::process::NodeProcess;
use ledger_tests::usage::{
    EXPENSIVE_TEXTS, OTHER_TEXTS, cpu_hundredths, forget_peak, held_bytes, peak_bytes,
};
use tokio_stream::StreamExt as _;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Endpoint;

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
struct Measured {
    _member: Member,
    node: NodeProcess,
}

impl Measured {
    fn node(n: u8) -> Measured {
        let member = Member::found(n);
        let node = member.process();
        Measured { _member: member, node }
    }

    /// Sends something, and judges what that took; `send` says how many bytes went, and in how many
    /// messages.
    async fn judge(&self, row: &str, send: impl AsyncFnOnce(&NodeProcess) -> (usize, usize)) {
        let process = self.node.id();
        forget_peak(process);
        let (held, spent) = (held_bytes(process).expect("it runs"), cpu_hundredths(process));
        let (sent, messages) = send(&self.node).await;
        let peak = peak_bytes(process).unwrap_or_else(|| panic!("{row}: the node has ended"));
        let (heap, most) = (peak.saturating_sub(held), HEAP + HEAP_A_BYTE * sent as u64);
        println!("{row}: {sent} bytes in {messages} messages, {heap} of heap");
        assert!(heap <= most, "{row}: {heap} bytes of heap for {sent} bytes, at most {most}");
        let (spent, most) = (cpu_hundredths(process) - spent, HUNDREDTHS * messages as u64);
        assert!(spent <= most, "{row}: {spent}/100 s for {messages} messages, at most {most}");
    }

    /// Whether it still does what it is for.
    async fn lives(&self) {
        let record = self._member.consortium.incident(1);
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
fn new_address() -> IpAddr {
    static USED: AtomicU16 = AtomicU16::new(0);
    let [high, low] = USED.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    IpAddr::from([127, 1, high, low])
}

/// Sends bytes as the message of a call; what is answered is another test's matter.
async fn call(node: &NodeProcess, path: &'static str, message: Vec<u8>) -> (usize, usize) {
    let endpoint = Endpoint::from_shared(node.grpc.clone()).expect("a URL");
    let channel = endpoint.local_address(Some(new_address())).connect().await;
    let mut client = tonic::client::Grpc::new(channel.expect("it listens"));
    client.ready().await.expect("it listens");
    let sent = message.len();
    let request = tonic::Request::new(message);
    let _ = client.unary(request, PathAndQuery::from_static(path), Raw).await;
    (sent, 1)
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
            let two = || [field(1, text.as_bytes()), field(2, &record)].concat();
            let three =
                || [field(1, text.as_bytes()), field(2, &[1; 32]), field(3, &record)].concat();
            measured.judge(&row("Submit"), async |node| call(node, SUBMIT, one()).await).await;
            measured.judge(&row("Propose"), async |node| call(node, PROPOSE, two()).await).await;
            measured.judge(&row("Cosign"), async |node| call(node, COSIGN, three()).await).await;
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
