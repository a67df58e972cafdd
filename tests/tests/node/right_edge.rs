//! What readers see of a log that has grown far beyond what its witnesses have cosigned.

use std::path::Path;

use ledger_core::TreeSize;
use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::merkle::{TreeHead, root};
use ledger_core::tile::{EntryBundle, TileCoord, TileKind, TileReader};
use ledger_node::RunningNode;
use ledger_node::source::Source;
use ledger_proto::v1::Wait;
use ledger_proto::v1::ledger_client::LedgerClient;
use ledger_tests::witness::Mood;
use ledger_tools::cli::run_step;
use ledger_tools::failure::Exit;
use ledger_tools::output::Output;
use tokio::task::JoinSet;
use tonic::transport::Channel;

use crate::witnesses::{Witnessed, policy_text, submit};

/// Logs records without waiting for their publication.
async fn grow(log: &Witnessed, client: &LedgerClient<Channel>, records: std::ops::Range<u64>) {
    let mut calls = JoinSet::new();
    for n in records {
        let (mut client, record) = (client.clone(), log.consortium.incident(n));
        calls.spawn(async move { submit(&mut client, &record, Wait::Unspecified).await });
    }
    while let Some(done) = calls.join_next().await {
        done.expect("no panic").expect("it is lawful");
    }
}

/// Reads each file of the tree that is shown here under its own path. Returns how many there are.
fn read_all(place: &str) -> usize {
    let source = Source::open(place).expect("it is there");
    let checkpoint = source.checkpoint().expect("it is shown");
    let checkpoint = ClaimedCheckpoint::parse(&checkpoint).expect("a checkpoint");
    let head: TreeHead = *checkpoint.checkpoint().head();
    let mut read = 0;
    for coord in TileCoord::all_in_tree(head.size) {
        let bytes = match &source {
            Source::Folder(folder) => std::fs::read(folder.join(coord.to_string())).ok(),
            Source::Http { prefix, agent } => {
                let answer = agent.get(format!("{prefix}/{coord}")).call().expect("an answer");
                let is_there = answer.status().as_u16() == 200;
                is_there.then(|| answer.into_body().read_to_vec().expect("all of it"))
            }
        };
        let bytes = bytes.unwrap_or_else(|| panic!("{place} has no {coord} of {}", head.size));
        match coord.kind() {
            TileKind::Hashes(_) => assert_eq!(bytes.len(), 32 * usize::from(coord.width())),
            _ => assert!(EntryBundle::parse(coord, bytes).is_ok(), "{coord}"),
        }
        read += 1;
    }
    let mut nodes = TileReader::new(&source, head.size);
    assert_eq!(root(&mut nodes, head.size).expect("its tiles are there"), head.root);
    read
}

/// Runs the commands of readers over a place; all of them must find the log honest.
fn readers_find_it_sound(place: &str, policy: &Path) {
    let policy = policy.to_str().expect("text");
    for arguments in [
        &["ledger", "audit", place, "--policy", policy][..],
        &["ledger", "register", "members", place, "--policy", policy],
        &["ledger", "prove", "--index", "1", "--from", place, "--policy", policy],
        &["ledger", "prove", "--index", "1", "--authority", "--from", place, "--policy", policy],
    ] {
        match run_step(arguments, &Output::new(true, false).silent()) {
            Ok(outcome) => assert_eq!(outcome.exit, Exit::Done, "{arguments:?}"),
            Err(failure) => panic!("{arguments:?}: {failure:?}"),
        }
    }
}

async fn shown(log: &Witnessed, node: &RunningNode, size: u64) {
    log.published(node, |seen| seen.checkpoint().head().size.get() == size).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_is_read_and_audited_however_long_a_witness_is_away() {
    let log = Witnessed::found().await;
    let policy = log.dir().with_file_name("policy");
    let text = policy_text(log.consortium.log.verifier(), &log.witnesses);
    std::fs::write(&policy, text).expect("a writable folder");
    let (node, client) = log.serve().await;
    grow(&log, &client, 0..40).await;
    shown(&log, &node, 41).await;
    log.all_feel(Mood::Silent);
    // past the end of two tiles, and of the partial one that readers know
    grow(&log, &client, 40..600).await;
    let signed = node.service().signed.borrow().as_ref().map(|s| s.head.checkpoint().head().size);
    assert_eq!(signed, TreeSize::new(601).ok());
    let look = |http: String| {
        let (dir, policy) = (log.dir(), policy.clone());
        tokio::task::spawn_blocking(move || {
            for place in [http, dir.join("site").to_str().expect("text").to_owned()] {
                // a tile of hashes and a bundle
                assert_eq!(read_all(&place), 2, "of the published tree of 41");
                readers_find_it_sound(&place, &policy);
            }
        })
    };
    look(format!("http://{}", node.http_addr())).await.expect("all was read");
    // nor does a stop and a start take anything away
    node.shutdown().await.expect("sound");
    let (node, client) = log.serve().await;
    look(format!("http://{}", node.http_addr())).await.expect("all was read");

    // the witnesses come back: what was lacking is shown, and what readers saw before gives way
    log.all_feel(Mood::Honest);
    shown(&log, &node, 601).await;
    let site = log.dir().join("site");
    for gone in ["tile/0/000.p", "tile/entries/000.p", "tile/0/001.p", "tile/entries/001.p"] {
        assert!(!site.join(gone).exists(), "{gone}");
    }
    let files = [format!("http://{}", node.http_addr()), site.to_str().expect("text").to_owned()];
    let read = tokio::task::spawn_blocking(move || files.map(|place| read_all(&place)));
    assert_eq!(read.await.expect("all was read"), [7, 7]);
    drop(client);
    node.shutdown().await.expect("sound");
}
