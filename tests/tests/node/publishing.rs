//! Publishing while witnesses are slow, silent or strange, while a log is quiet, and while a node
//! stops.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ledger_core::Hint;
use ledger_core::TreeSize;
use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::cosignature::verify_line;
use ledger_core::merkle::TreeHead;
use ledger_node::clock::{MAX_JUMP, ManualClock};
use ledger_node::publisher::board::Standing;
use ledger_node::{Overrides, RunningNode};
use ledger_proto::v1::ledger_client::LedgerClient;
use ledger_proto::v1::{self as wire, Wait};
use ledger_tests::wait::SOON;
use ledger_tests::web::agent;
use ledger_tests::witness::{Mood, TestWitness};

use crate::witnesses::{Witnessed, submit, until};

/// How old cosignatures of a quiet log may become where a test waits for new ones.
const SHORT: Duration = Duration::from_millis(300);

impl Witnessed {
    /// When each witness cosigned a checkpoint.
    fn times(&self, checkpoint: &ClaimedCheckpoint) -> Vec<Option<u64>> {
        let time = |seen: &TestWitness| {
            let (lines, key) = (checkpoint.note().signatures().iter(), seen.key());
            lines.filter_map(|line| verify_line(checkpoint.note(), &key, line)).max()
        };
        self.witnesses.iter().map(time).collect()
    }
}

/// What the node says to a GET over HTTP.
async fn read(node: &RunningNode, path: &str) -> String {
    let url = format!("http://{}{path}", node.http_addr());
    let read = move || {
        let mut answer = agent().get(&url).call().expect("an answer");
        answer.body_mut().read_to_string().expect("text")
    };
    tokio::task::spawn_blocking(read).await.expect("read")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_that_hangs_is_called_slow_before_its_time_is_up() {
    let log = Witnessed::found().await;
    let (node, mut client) = log.serve().await;
    log.log(&mut client, 0).await;
    let cosigned = || log.witnesses.iter().all(|seen| seen.latest().is_some_and(is_of_two));
    until(cosigned).await;
    // longer than the node waits for an answer
    log.witnesses[1].feel(Mood::Slow(60_000));
    log.log(&mut client, 1).await;
    let slow = || matches!(node.service().board.statuses()[1].standing(), Standing::Slow(_));
    until(slow).await;
    let said = read(&node, "/healthz").await;
    assert!(said.starts_with("ok\n") && said.contains("\nwitness w2: slow, "), "{said}");
    let metrics = read(&node, "/metrics").await;
    assert!(metrics.contains("ledger_witness_slow{witness=\"w2\"} 1"), "{metrics}");
    let status = client.get_witnesses(wire::GetWitnessesRequest {}).await.expect("an answer");
    let status = &status.into_inner().witnesses[1];
    assert!(status.slow && status.trouble.is_empty(), "{status:?}");
    assert!(status.waiting_us.is_some_and(|waiting| waiting >= 2_000_000), "{status:?}");
    drop(node);
}

fn is_of_two(head: TreeHead) -> bool {
    head.size.get() == 2
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_log_is_witnessed_again_and_keeps_the_lines_of_who_is_down() {
    let log = Witnessed::found().await;
    let overrides = || Overrides { rewitness: Some(SHORT), ..Overrides::default() };
    let (node, mut client) = log.serve_as(overrides()).await;
    log.log(&mut client, 0).await;
    log.published(&node, |checkpoint| checkpoint.note().signatures().len() == 4).await;
    // nobody asks for anything, and still there are newer cosignatures of those who are there
    log.witnesses[2].feel(Mood::Silent);
    let trouble = || node.service().board.statuses()[2].trouble.is_some();
    until(trouble).await;
    let asked: Vec<u64> = log.witnesses.iter().map(TestWitness::cosigned).collect();
    until(|| (0..2).all(|at| log.witnesses[at].cosigned() >= asked[at] + 2)).await;
    let first = log.times(node.service().current().expect("published").checkpoint().claimed());
    let newer = |checkpoint: &ClaimedCheckpoint| {
        assert_eq!(checkpoint.checkpoint().head().size.get(), 2);
        assert_eq!(checkpoint.note().signatures().len(), 4, "{checkpoint}");
        let now = log.times(checkpoint);
        now[2] == first[2] && now[0] > first[0] && now[1] > first[1]
    };
    log.published(&node, newer).await;
    node.shutdown().await.expect("sound");

    // nor is the line lost by a restart
    let checkpoint = std::fs::read_to_string(log.dir().join("site/checkpoint")).expect("a file");
    let stored = ClaimedCheckpoint::parse(checkpoint.as_bytes()).expect("a checkpoint");
    let before = log.times(&stored);
    let (node, _) = log.serve_as(overrides()).await;
    log.published(&node, |checkpoint| log.times(checkpoint)[1] > before[1]).await;
    let shown = node.service().current().expect("published");
    assert_eq!(log.times(shown.checkpoint().claimed())[2], first[2]);
    node.shutdown().await.expect("sound");
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_strangers_in_a_witnesss_answer_are_ignored() {
    let log = Witnessed::found().await;
    log.witnesses[0].feel(Mood::Chatty);
    log.witnesses[2].feel(Mood::Strange);
    let (node, mut client) = log.serve().await;
    log.log(&mut client, 0).await;
    let heard = |at: usize| node.service().board.statuses()[at].clone();
    until(|| heard(2).trouble.is_some()).await;
    let (trouble, _) = heard(2).trouble.expect("it was waited for");
    assert_eq!(trouble, "its answer holds no valid cosignature by w3.test");
    let shown = node.service().current().expect("published");
    let lines = shown.checkpoint().claimed().note().signatures();
    let known = [log.witnesses[0].key(), log.witnesses[1].key()];
    assert_eq!(lines.len(), 3);
    assert!(known.iter().all(|key| lines.iter().any(|line| line.is_by(key))));
    node.shutdown().await.expect("sound");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_says_nothing_is_shown_for_what_it_may_mean() {
    let log = Witnessed::found().await;
    let (node, mut client) = log.serve().await;
    log.log(&mut client, 0).await;
    log.witnesses[2].feel(Mood::Speechless);
    log.log(&mut client, 1).await;
    let trouble = || node.service().board.statuses()[2].trouble.clone();
    until(|| trouble().is_some()).await;
    let (trouble, _) = trouble().expect("it was waited for");
    assert!(
        trouble.starts_with("it says with status 409 and no size that it cosigned"),
        "{trouble}"
    );
    assert!(trouble.contains("another tree of this size"), "{trouble}");
    node.shutdown().await.expect("sound");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_waits_for_the_last_publication() {
    let log = Witnessed::found().await;
    let (node, mut client) = log.serve().await;
    log.log(&mut client, 0).await;
    log.all_feel(Mood::Silent);
    let record = log.consortium.incident(1);
    submit(&mut client, &record, Wait::Unspecified).await.expect("it is lawful");
    let (signed, published) = (node.service().signed.clone(), node.service().published.clone());
    assert_eq!(published.borrow().as_ref().map(|seen| seen.size().get()), Some(2));
    let stopped = tokio::spawn(node.shutdown());
    // what is refused says that the node takes no more; only now the witnesses come back
    let again = log.consortium.incident(2);
    let refused = async {
        while submit(&mut client, &again, Wait::Unspecified).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, refused).await.expect("in time");
    log.all_feel(Mood::Honest);
    stopped.await.expect("no panic").expect("sound");
    let last = published.borrow().as_ref().map(|seen| seen.size());
    let promised = signed.borrow().as_ref().map(|signed| signed.head.checkpoint().head().size);
    assert!(last >= TreeSize::new(3).ok());
    assert_eq!(last, promised, "the quorum's answer was waited for");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_stops_a_log_that_runs() {
    let log = Witnessed::found().await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set").as_secs();
    let clock = ManualClock::at(now);
    let any = Some("127.0.0.1:0".parse().expect("an address"));
    let overrides = Overrides { grpc: any, http: any, ..Overrides::default() };
    let started = RunningNode::start_with(&log.dir(), overrides, Arc::new(clock.clone())).await;
    let mut node = started.expect("it serves");
    let client = LedgerClient::connect(format!("http://{}", node.grpc_addr())).await;
    let mut client = client.expect("it listens");
    log.log(&mut client, 0).await;
    clock.jump(MAX_JUMP as i64 + 1);
    let refused = submit(&mut client, &log.consortium.incident(1), Wait::Unspecified).await;
    assert!(refused.is_err(), "{refused:?}");
    let error = tokio::time::timeout(SOON, node.failed()).await.expect("in time");
    assert!(error.to_string().contains("the clock was moved by"), "{error}");
    assert!(error.hint().contains("NTP"), "{}", error.hint());
    let shown = node.service().current().expect("published").size().get();
    assert_eq!(shown, 2, "nothing is dated by such a clock");
    let _ = node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_metrics_say_who_is_silent() {
    let log = Witnessed::found().await;
    log.witnesses[2].feel(Mood::Silent);
    let (node, mut client) = log.serve().await;
    log.log(&mut client, 0).await;
    let said = read(&node, "/healthz").await;
    assert!(said.starts_with("ok\n") && said.contains("\nwitness w3: silent for "), "{said}");
    let metrics = read(&node, "/metrics").await;
    for line in [
        "ledger_published_size 2",
        "ledger_signed_size 2",
        "ledger_witness_up{witness=\"w1\"} 1",
        "ledger_witness_up{witness=\"w3\"} 0",
        "ledger_witness_cosigned_size{witness=\"w2\"} 2",
        "ledger_witness_slow{witness=\"w3\"} 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in\n{metrics}");
    }
    let status = client.get_witnesses(wire::GetWitnessesRequest {}).await.expect("an answer");
    let status = status.into_inner();
    assert_eq!((status.signed_size, status.published_size), (Some(2), Some(2)));
    let silent = &status.witnesses[2];
    assert_eq!((silent.name.as_str(), silent.cosigned_size), ("w3", None));
    assert!(silent.trouble.contains("503") && silent.trouble_since.is_some(), "{silent:?}");
    node.shutdown().await.expect("sound");
}
