//! Evidence that strangers make a node ask for, by naming a key that it knows: they may send it
//! whatever they like.

use bytes::Bytes;
use ledger_core::Hash;
use ledger_core::checkpoint::{Checkpoint, ClaimedCheckpoint, Origin};
use ledger_core::note::{Algorithm, Note};
use ledger_core::record::Record;
use ledger_proto::v1::gossip_client::GossipClient;
use ledger_proto::v1::gossip_message::Message;
use ledger_proto::v1::ledger_client::LedgerClient;
use ledger_proto::v1::{self as wire};
use ledger_tests::costly::{Costly, unlawful_leaf, with_authority};
use ledger_tests::key;
use ledger_tests::usage::{EXPENSIVE_TEXTS, OTHER_TEXTS};
use tonic::transport::{Channel, Endpoint};

use super::memory::{Measured, new_address};

/// Bytes of the largest evidence that a message carries.
const FULL: usize = 4 << 20;

/// Says something in a round, and gives what the node wants to be sent.
async fn tell(client: &mut GossipClient<Channel>, told: wire::GossipExchange) -> Vec<Bytes> {
    let told = wire::GossipExchange { salt: vec![1; 16].into(), ..told };
    let message = wire::GossipMessage { message: Some(Message::Exchange(told)) };
    match client.tell(message).await.expect("an answer").into_inner().message {
        Some(Message::Exchange(answer)) => answer.wants,
        _ => Vec::new(),
    }
}

/// Makes the node ask for a file against its own log's key, and sends it.
async fn send_asked(measured: &Measured, file: &[u8]) -> (usize, usize) {
    let endpoint = Endpoint::from_shared(measured.node.grpc.clone()).expect("a URL");
    let channel = endpoint.local_address(Some(new_address())).connect().await;
    let mut client = GossipClient::new(channel.expect("it listens"));
    let id = Bytes::copy_from_slice(Hash::digest(file).as_bytes());
    let log = measured.member.consortium.log.verifier().public();
    let culprit = Bytes::copy_from_slice(Hash::digest(log.as_bytes()).as_bytes());
    let held = vec![wire::GossipEvidence { id: id.clone(), culprit }];
    let wants = tell(&mut client, wire::GossipExchange { held, ..Default::default() }).await;
    assert_eq!(wants, [id], "it asks");
    let evidence = Some(Bytes::copy_from_slice(file));
    tell(&mut client, wire::GossipExchange { evidence, ..Default::default() }).await;
    (file.len(), 1)
}

/// The published checkpoint with the log's line alone, as anyone reads it.
async fn published_head(measured: &Measured) -> ClaimedCheckpoint {
    let mut client = LedgerClient::connect(measured.node.grpc.clone()).await.expect("it listens");
    let answer = client.get_checkpoint(wire::GetCheckpointRequest {}).await.expect("an answer");
    let head = ClaimedCheckpoint::parse(&answer.into_inner().checkpoint).expect("a checkpoint");
    let log = measured.member.consortium.log.verifier();
    let line = head.note().signatures().iter().find(|line| line.is_by(log)).expect("its line");
    let note = Note::new(head.note().text(), vec![line.clone()]).expect("a note");
    ClaimedCheckpoint::parse(note.to_string().as_bytes()).expect("a checkpoint")
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_gossip_takes_at_most_sixteen_bytes_of_heap_a_byte() {
    let measured = Measured::node(86);
    for (name, text) in EXPENSIVE_TEXTS.into_iter().chain(OTHER_TEXTS) {
        let text = text(FULL - 64);
        let member = format!("{{\"format\":\"ledger-evidence/v1\",\"type\":{text}}}");
        for (place, file) in [("a member of evidence", member), ("evidence", text)] {
            let row = format!("{name} as {place}");
            let file = &file.as_bytes()[..file.len().min(FULL)];
            measured.judge(&row, async |_| send_asked(&measured, file).await).await;
        }
    }
    measured.lives().await;
}

/// A stranger's charter, its changes and their signatures, beside a head that the log did sign:
/// all of it was judged before it was asked whether the head's tree has it.
#[tokio::test(flavor = "multi_thread")]
async fn governance_of_strangers_under_a_published_head_is_not_gone_through() {
    let measured = Measured::node(87);
    let log = key("member87.test/log", Algorithm::Ed25519, 187);
    let record = measured.member.consortium.incident(1);
    let head = published_head(&measured).await;
    for (row, keys, changes) in [("signatures", 0, 127), ("keys", 45, 50)] {
        let mut costly = Costly::found(&log);
        costly.keys(keys);
        costly.changes(changes);
        let file = unlawful_leaf(&record, &costly.bundle_under(head.clone()));
        assert!(file.len() <= FULL, "{row}: {}", file.len());
        let row = format!("evidence with {row}");
        measured.judge(&row, async |_| send_asked(&measured, file.as_bytes()).await).await;
    }
    measured.lives().await;
}

/// Former stewards have signed changes that were never logged, and the bundle of them is about a
/// tree that no log signed: what they cost is counted before they are judged.
#[tokio::test(flavor = "multi_thread")]
async fn governance_that_was_never_logged_is_gone_through_as_far_as_its_work_has_a_bound() {
    let measured = Measured::node(88);
    let consortium = &measured.member.consortium;
    let head = published_head(&measured).await;
    let thief = key(head.checkpoint().origin().as_str(), Algorithm::Ed25519, 9);
    let origin = || Origin::new(thief.verifier().name().as_str()).expect("an origin");
    let (charter, record) = (consortium.charter(), consortium.incident(1));
    for (row, keys, changes, many_roles) in
        [("keys", 42, 10, false), ("keys and roles", 20, 2_000, true), ("changes", 0, 2_600, false)]
    {
        let stewards = vec![consortium.lab.clone(), consortium.institute.clone()];
        let mut costly = Costly::after(charter.clone(), stewards, consortium.time);
        costly.keys(keys);
        if many_roles {
            costly.many_roles();
        }
        costly.changes(changes);
        let bundle = costly.bundle_of_tree(|head| Checkpoint::new(origin(), head).sign(&thief));
        // what it says of a leaf is of no matter: its bundles are judged first
        let leaf = costly_leaf(&measured, &record, &head);
        let file = with_authority(&leaf, &bundle);
        assert!(file.len() <= FULL, "{row}: {}", file.len());
        let row = format!("evidence with {row} of former stewards");
        measured.judge(&row, async |_| send_asked(&measured, file.as_bytes()).await).await;
    }
    measured.lives().await;
}

/// Evidence about a leaf under a published head, with the charter alone.
fn costly_leaf(measured: &Measured, record: &Record, head: &ClaimedCheckpoint) -> String {
    let consortium = &measured.member.consortium;
    let charter = Costly::after(consortium.charter(), Vec::new(), consortium.time);
    unlawful_leaf(record, &charter.bundle_under(head.clone()))
}
