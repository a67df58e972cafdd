//! Others that begin an answer and never end it: a peer of gossip, the source of a mirror, a
//! witness.

use std::path::Path;

use ledger_proto::v1::{self as wire};
use ledger_tests::process::NodeProcess;
use ledger_tests::stalling::Stalling;

use super::gossip::Member;
use super::limits::limit;
use super::mirror::{Mirror, cosigned, wait};
use crate::process::Founded;
use crate::witnesses::{Witnessed, until};

/// Has a node wait for no answer longer than a second.
fn is_impatient(dir: &Path) {
    limit(dir, &[("answer_seconds", 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_never_ends_its_answer_is_left_for_others() {
    let stalling = Stalling::start().await;
    let (member, honest) = (Member::found(44), Member::found(45));
    honest.asks([]);
    let _peer = honest.serve().await;
    member.asks_at([stalling.address, ([127, 0, 0, 1], honest.port).into()]);
    is_impatient(&member.dir());
    let _node = member.serve().await;
    let seen = member.says("failures", |status| status.peers[0].failures > 1).await;
    assert!(seen.peers[0].trouble.contains("no whole answer came within 1s"), "{seen:?}");
    let last = seen.rounds + 1;
    let seen = member.says("more rounds", |status| status.rounds > last).await;
    assert!(seen.peers[1].met_at.is_some() && seen.peers[1].trouble.is_empty(), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_never_ends_its_answer_is_named_and_another_is_taken_up() {
    let founded = Founded::new();
    let log = NodeProcess::serve(&founded.dir());
    let list = |url: &str| format!("log {} {url}\n", founded.consortium.log.verifier());
    let sources =
        [Stalling::start().await, Stalling::at("/ledger.v1.Ledger/GetEntries", &log.grpc).await];
    let mirror = Mirror::new(&list(&sources[0].url()));
    is_impatient(&mirror.dir());
    let node = NodeProcess::serve(&mirror.dir());
    for source in &sources {
        mirror.list(&list(&source.url()));
        let url = source.url();
        let stalls = |log: &wire::MirroredLog| log.source == url && !log.trouble.is_empty();
        let seen = wait(&node.grpc, "trouble", stalls).await;
        assert_eq!(seen.trouble_kind, "unreachable");
        assert!(seen.trouble.contains("no whole answer came within 1s"), "{}", seen.trouble);
    }
    mirror.list(&list(&log.grpc.replacen("http", "grpc", 1)));
    cosigned(&node.grpc, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_that_never_ends_its_answer_is_asked_again() {
    let stalling = Stalling::start().await;
    let log = Witnessed::found().await;
    let config = log.dir().join("config.toml");
    let text = std::fs::read_to_string(&config).expect("written by init");
    let url = format!("[witness_urls]\nw3 = \"{}\"\n", stalling.url());
    assert!(text.contains("[witness_urls]\n"), "{text}");
    let text = text.replace("[witness_urls]\n", &url);
    std::fs::write(&config, text).expect("a writable folder");
    let (node, _client) = log.serve().await;
    // the board has its rows once the witnesses are asked first
    until(|| {
        let statuses = node.service().board.statuses();
        let trouble = statuses.get(2).and_then(|status| status.trouble.as_ref());
        trouble.is_some_and(|(why, _)| why.contains("no whole answer came within 10s"))
    })
    .await;
}
