//! The frames of gRPC answers, read off a bare connection: clients in other languages judge an answer
//! by how its stream ends.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use ledger_node::RunningNode;
use ledger_tests::wait::SOON;

use crate::witnesses::Witnessed;

// Frame types and flags of RFC 9113.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// Every call of `proto/ledger/v1/`.
const CALLS: [&str; 23] = [
    "Ledger/GetLog",
    "Ledger/Submit",
    "Ledger/SubmitStream",
    "Ledger/GetCheckpoint",
    "Ledger/GetInclusionProof",
    "Ledger/GetConsistencyProof",
    "Ledger/GetEntries",
    "Ledger/GetAuthority",
    "Ledger/Lookup",
    "Ledger/GetWitnesses",
    "Ledger/Propose",
    "Ledger/ListPending",
    "Ledger/Cosign",
    "Ledger/Decline",
    "Ledger/Withdraw",
    "Witness/AddCheckpoint",
    "Witness/GetWitnessedCheckpoint",
    "Mirror/ListMirrored",
    "Mirror/GetConsistency",
    "Gossip/Tell",
    "Gossip/GetGossip",
    "Gossip/ListEvidence",
    "Gossip/GetEvidence",
];

/// A frame of an answer: its type and its flags.
type Frame = (u8, u8);

fn write_frame(stream: &mut TcpStream, kind: u8, flags: u8, id: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(id.to_be_bytes());
    frame.extend(payload);
    stream.write_all(&frame).expect("the node listens");
}

/// Header fields without compression (RFC 7541, literals that are not indexed).
fn fields(path: &str) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "node.test"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).expect("short"));
            block.extend(text.as_bytes());
        }
    }
    block
}

/// Calls with one message, and reads the frames of the answer until its stream ends.
fn call(node: &RunningNode, path: &str, message: &[u8]) -> Vec<Frame> {
    let mut stream = TcpStream::connect(node.grpc_addr()).expect("the node listens");
    stream.set_read_timeout(Some(SOON)).expect("a timeout");
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("the node listens");
    write_frame(&mut stream, SETTINGS, 0, 0, &[]);
    write_frame(&mut stream, HEADERS, END_HEADERS, 1, &fields(path));
    let mut body = vec![0];
    body.extend(u32::try_from(message.len()).expect("short").to_be_bytes());
    body.extend(message);
    write_frame(&mut stream, DATA, END_STREAM, 1, &body);
    let mut frames = Vec::new();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).expect("the answer ends before the connection");
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).expect("a whole frame");
        let (kind, flags) = (head[3], head[4]);
        if kind == SETTINGS && flags & ACK == 0 {
            write_frame(&mut stream, SETTINGS, ACK, 0, &[]);
        }
        if head[5..] != 1u32.to_be_bytes() {
            continue;
        }
        frames.push((kind, flags));
        let ends = matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0;
        if ends || kind == RST_STREAM {
            return frames;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_ends_with_headers_and_never_with_data() {
    let log = Witnessed::found().await;
    let (node, mut client) = log.serve().await;
    log.log(&mut client, 0).await;
    let checked = tokio::task::spawn_blocking(move || {
        let undecodable = [0xff; 3];
        let none_of_these = [("Ledger/Nothing", &[][..]), ("Nobody/Nothing", &[])];
        let calls = CALLS.map(|call| (call, &undecodable[..])).into_iter().chain(none_of_these);
        // what is decoded, and refused for what it says
        let said = [
            ("Ledger/GetInclusionProof", &[][..]),
            ("Ledger/GetEntries", &[0x08, 99]),
            ("Ledger/Submit", &[0x0a, 1, b'x']),
            ("Witness/GetWitnessedCheckpoint", &[]),
            ("Gossip/GetEvidence", &[]),
        ];
        let mut alone = 0;
        let mut checked = 0;
        for (path, message) in calls.chain(said) {
            let frames = call(&node, &format!("/ledger.v1.{path}"), message);
            let (last, flags) = *frames.last().expect("an answer");
            assert!(matches!(last, HEADERS | CONTINUATION), "{path}: {frames:?}");
            assert!(flags & END_STREAM != 0, "{path}: {frames:?}");
            assert!(frames.iter().all(|(kind, _)| *kind == HEADERS), "{path}: {frames:?}");
            alone += usize::from(frames.len() == 1);
            checked += 1;
        }
        // a stream of answers may begin before it is refused
        assert!(alone >= checked - 1, "{alone} of {checked} are headers alone");
        checked
    });
    assert_eq!(checked.await.expect("no panic"), CALLS.len() + 7);
}
