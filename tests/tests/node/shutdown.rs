//! SIGTERM while clients are at work: the node finishes what it accepted, and says of everything
//! else that it was not logged.

use std::sync::Arc;

use ledger_proto::v1 as wire;
use ledger_tests::follower::Follower;
use ledger_tests::long::rounds;
use ledger_tests::process::NodeProcess;
use ledger_tests::random::Random;
use tonic::Code;

use crate::crash::{Load, audit};
use crate::process::Founded;

/// Moments at which the node is asked to stop.
const ROUNDS: u64 = 8;

/// Requests that a stream sends: more than a node answers before it is asked to stop.
const REQUESTS: u64 = 2000;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_told_to_stop_answers_what_it_accepted() {
    let mut random = Random::from_environment();
    let founded = Founded::new();
    let load = Load::new(founded.consortium.clone(), Random::new(random.word()));
    let mut follower = Follower::new(founded.consortium.log.verifier().clone());
    let mut cut_off = 0;
    for _ in 0..rounds(ROUNDS) {
        let node = NodeProcess::serve(&founded.dir());
        let url = || node.grpc.clone();
        let mut answers = load.answers();
        let enough = *answers.borrow() + random.below(300);
        let first = Arc::clone(&load).stream(url(), REQUESTS, wire::Wait::Unspecified);
        let second = Arc::clone(&load).stream(url(), REQUESTS, wire::Wait::Published);
        let streams = [tokio::spawn(first), tokio::spawn(second)];
        let unary = tokio::spawn(Arc::clone(&load).unary(url(), REQUESTS));
        answers.wait_for(|answers| *answers >= enough).await.expect("clients are at work");
        let stopped = tokio::task::spawn_blocking(move || node.terminate()).await;
        assert_eq!(stopped.expect("no panic"), (Some(0), String::new()));
        let mut refused = Vec::new();
        for stream in streams {
            let ended = stream.await.expect("no panic");
            // a stream that was cut off says so, behind the answers; a busy machine may let a
            // client start when the node listens no more
            let Some(status) = ended.status else {
                assert_eq!((ended.answered, ended.refusals), (0, Vec::new()), "it ended silently");
                refused.extend(ended.unanswered);
                continue;
            };
            cut_off += 1;
            assert_eq!(status.code(), Code::Unavailable, "{status}");
            let message = "the node is shutting down; the record was not logged";
            let told = format!("{message}\nhint: submit it again in a while");
            assert_eq!(status.message(), told);
            for (statement, refusal) in ended.refusals {
                assert_eq!(refusal.message, message);
                refused.push(statement);
            }
            refused.extend(ended.unanswered);
        }
        if let Some((statement, status)) = unary.await.expect("no panic") {
            // a request that crosses the end of the connection was never read, and ends in the
            // client's library: the status has a source there
            let crossed = std::error::Error::source(&status).is_some()
                || (status.code() == Code::Internal && status.message().contains("h2 protocol"));
            assert!(crossed || status.code() == Code::Unavailable, "{status}");
            refused.push(statement);
        }

        let node = NodeProcess::serve(&founded.dir());
        follower.catch_up(&mut node.client().await).await;
        load.check(&follower);
        let acknowledged = load.acknowledged_statements();
        for statement in refused {
            let is_logged = follower.place(&statement).is_some();
            assert!(!is_logged || acknowledged.contains(&statement), "{statement} was refused");
        }
        audit(&founded);
    }
    assert!(cut_off >= rounds(ROUNDS), "only {cut_off} streams were at work when the node stopped");
    println!("{} entries, {} acknowledged", follower.size(), load.acknowledged_statements().len());
}
