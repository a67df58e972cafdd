//! What an operator sees of gossip: `ledger gossip status`, `ledger evidence --node`, and the
//! figures.

use ledger_core::evidence::{Case, ClaimedEvidence, Conflict, Entries, Heads, Trust};
use ledger_proto::v1::gossip_server::{Gossip, GossipServer};
use ledger_proto::v1::{self as wire};
use ledger_tests::process::run;
use ledger_tests::site::{SignedTree, TestSite};
use ledger_tests::wait::{so, until_async};
use ledger_tests::web::figure;
use serde_json::Value;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status};

use super::gossip::{EVIL, Member, evil, ledger, log_of};

/// Asks until the answer is as it should be.
async fn until(member: &Member, well: impl Fn(i32, &Value) -> bool) -> (i32, Value) {
    until_async(async || so(member.status().await, |(exit, status)| well(*exit, status))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn honest_nodes_are_well_and_a_node_that_hears_nobody_is_not() {
    let (a, b) = (Member::found(40), Member::found(41));
    a.asks([&b]);
    b.asks([&a]);
    let node = a.process();
    let own = a.consortium.log.verifier().name().to_string();
    let failed = |status: &Value| status["peers"][0]["failures"].as_u64() >= Some(2);
    let (exit, status) = until(&a, |_, status| failed(status)).await;
    let peer = &status["peers"][0];
    assert_eq!((exit, &log_of(&status, &own)["standing"]), (1, &"good".into()), "{status}");
    assert_eq!((&peer["limited"], &peer["met_at"]), (&false.into(), &Value::Null), "{status}");
    assert!(peer["trouble"].as_str().is_some_and(|why| why.contains("not reached")), "{status}");
    assert!(peer["retry_after_ms"].as_u64() <= Some(5 * 60_000), "{status}");
    let figures = |line: &str| figure(&node.http, line);
    assert_eq!(figures("ledger_gossip_peers{state=\"silent\"}"), 1);
    assert!(figures("ledger_gossip_rounds_total{outcome=\"failed\"}") >= 2);

    let _other = b.process();
    let (_, status) =
        until(&a, |exit, status| exit == 0 && status["idle_rounds"].as_u64() >= Some(1)).await;
    let peer = &status["peers"][0];
    assert_eq!((&peer["failures"], &peer["trouble"]), (&0.into(), &"".into()), "{status}");
    assert!(peer["met_seconds_ago"].is_u64() && peer["took_us"].is_u64(), "{status}");
    assert!(log_of(&status, &own)["adopted_size"].as_u64() >= Some(1), "{status}");
    assert_eq!((&status["convictions"], &status["evidence"]), (&Value::Array(vec![]), &0.into()));
    assert!(figures("ledger_gossip_rounds_total{outcome=\"idle\"}") >= 1);
    assert_eq!(figures("ledger_gossip_peers{state=\"up\"}"), 1);
    assert_eq!(figures("ledger_gossip_logs{standing=\"good\"}"), 1);
    assert_eq!(figures("ledger_gossip_logs{standing=\"convicted\"}"), 0);
    for direction in ["sent", "received"] {
        let line = format!("ledger_gossip_bytes_total{{direction=\"{direction}\"}}");
        assert!(figures(&line) > 32, "{direction}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_shows_in_the_status_and_its_evidence_comes_from_the_node() {
    let (left, right) = (TestSite::start().await, TestSite::start().await);
    left.show(&SignedTree::forked(&evil(), 300, 250, "left"));
    right.show(&SignedTree::forked(&evil(), 700, 250, "right"));
    let (a, b) = (Member::found(42), Member::found(43));
    a.asks([&b]);
    b.asks([&a]);
    a.knows(&evil(), &left.url);
    b.knows(&evil(), &right.url);
    let (node, _other) = (a.process(), b.process());
    let id = a.stands(EVIL, "convicted").await.evidence;
    let vkey = evil().verifier().to_string();

    let (exit, status) = a.status().await;
    let log = log_of(&status, EVIL);
    assert_eq!((exit, log["evidence"].as_str()), (1, Some(&*id)), "{status}");
    let convicted = &status["convictions"][0];
    assert_eq!(
        (convicted["evidence"].as_str(), convicted["role"].as_str()),
        (Some(&*id), Some("log"))
    );
    assert_eq!(
        (&convicted["vkeys"][0], &convicted["type"]),
        (&vkey.as_str().into(), &"split-history".into())
    );
    let output = run("ledger", &["gossip", "status", "--node", &node.grpc].map(AsRef::as_ref));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains(&format!("{EVIL}: convicted, no head")) && text.contains(&id), "{text}");
    assert_eq!(figure(&node.http, "ledger_gossip_logs{standing=\"convicted\"}"), 1);
    assert_eq!(
        figure(&node.http, "ledger_gossip_evidence"),
        status["evidence"].as_u64().expect("a count")
    );

    let at = ["--node", &node.grpc];
    let (exit, listed) = ledger(&["evidence", "list", at[0], at[1], "--vkey", &vkey]);
    let of_id = listed["evidence"].as_array().expect("a list").iter().find(|one| one["id"] == *id);
    let one = of_id.expect("it is listed");
    assert_eq!(
        (exit, &one["origin"], &one["convicts"][0]),
        (0, &EVIL.into(), &vkey.clone().into())
    );
    let (exit, shown) = ledger(&["evidence", "show", &id, at[0], at[1], "--vkey", &vkey]);
    assert_eq!((exit, &shown["type"]), (0, &"split-history".into()), "{shown}");
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("accusation.json");
    let copy_name = copy.to_str().expect("text");
    let (exit, _) = ledger(&["evidence", "export", &id, at[0], at[1], "-o", copy_name]);
    let stored = std::fs::read(a.evidence(&id)).expect("it is kept");
    assert_eq!((exit, std::fs::read(&copy).expect("written")), (0, stored));
    let (exit, verified) = ledger(&["verify", copy_name, "--vkey", &vkey]);
    assert_eq!((exit, &verified["results"][0]["proven"]), (0, &true.into()), "{verified}");
    let (exit, missing) = ledger(&["evidence", "show", &"0".repeat(64), at[0], at[1]]);
    assert_eq!(exit, 1, "{missing}");
}

/// A node that lists and sends whatever it likes.
#[derive(Clone, Default)]
struct Liar {
    ids: Vec<Vec<u8>>,
    file: Vec<u8>,
    status: wire::GetGossipResponse,
}

#[tonic::async_trait]
impl Gossip for Liar {
    async fn tell(
        &self,
        _: Request<wire::GossipMessage>,
    ) -> Result<Response<wire::GossipMessage>, Status> {
        Err(Status::unimplemented("it says nothing"))
    }

    async fn get_gossip(
        &self,
        _: Request<wire::GetGossipRequest>,
    ) -> Result<Response<wire::GetGossipResponse>, Status> {
        Ok(Response::new(self.status.clone()))
    }

    type ListEvidenceStream = ReceiverStream<Result<wire::EvidenceSummary, Status>>;

    async fn list_evidence(
        &self,
        _: Request<wire::ListEvidenceRequest>,
    ) -> Result<Response<Self::ListEvidenceStream>, Status> {
        let (sender, receiver) = tokio::sync::mpsc::channel(self.ids.len().max(1));
        for id in &self.ids {
            let id = id.clone().into();
            let summary = wire::EvidenceSummary { id, ..wire::EvidenceSummary::default() };
            sender.send(Ok(summary)).await.expect("there is room");
        }
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn get_evidence(
        &self,
        _: Request<wire::GetEvidenceRequest>,
    ) -> Result<Response<wire::GetEvidenceResponse>, Status> {
        Ok(Response::new(wire::GetEvidenceResponse { file: self.file.clone().into() }))
    }
}

/// Serves it until the runtime ends; gives the address.
async fn serve(liar: Liar) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let service = GossipServer::new(liar);
    let server = tonic::transport::Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    url
}

/// Runs `ledger` off the runtime that serves the liar; exit code and both outputs.
async fn against(url: &str, arguments: &[&str]) -> (i32, String, String) {
    let arguments: Vec<String> =
        arguments.iter().chain(&["--node", url]).map(ToString::to_string).collect();
    let ask = move || {
        let arguments: Vec<&std::ffi::OsStr> = arguments.iter().map(AsRef::as_ref).collect();
        run("ledger", &arguments)
    };
    let output = tokio::task::spawn_blocking(ask).await.expect("no panic");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().expect("it exits"), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_of_a_lying_node_is_not_shown() {
    let (one, other) =
        (SignedTree::forked(&evil(), 9, 3, "one"), SignedTree::forked(&evil(), 9, 3, "other"));
    let conflict = Conflict::of_heads(Heads { one: &one.head, other: &other.head });
    let trust = Trust::new().with_log(evil().verifier().clone(), Entries::Opaque);
    let case = Case { trust: &trust, authority: &[] };
    let evidence = ClaimedEvidence::against_log(&conflict.expect("they differ"), case);
    let evidence = evidence.expect("it convicts");
    let id = evidence.id().as_hash().as_bytes().to_vec();
    let file = evidence.as_str().as_bytes().to_vec();

    // the same program shows what is true
    let honest = serve(Liar { ids: vec![id.clone()], file: file.clone(), ..Liar::default() }).await;
    let (exit, shown, problem) = against(&honest, &["evidence", "list"]).await;
    assert_eq!(exit, 0, "{problem}");
    assert!(shown.starts_with(&evidence.id().to_string()), "{shown}");

    let cases = [
        (vec![vec![7; 32]], file.clone(), "its id is"),
        (vec![id.clone()], b"{}".to_vec(), "`format` is not"),
        (vec![id.clone()], Vec::new(), "error: what http"),
        (vec![vec![7; 31]], file.clone(), "is not 32 bytes long"),
        (vec![id.clone(), id.clone()], file.clone(), "is not sorted"),
        (vec![vec![8; 32], vec![7; 32]], file, "is not sorted"),
    ];
    for (ids, file, expected) in cases {
        let url = serve(Liar { ids, file, ..Liar::default() }).await;
        let (exit, shown, problem) = against(&url, &["evidence", "list"]).await;
        assert!(exit == 1 && problem.contains(expected), "{exit} {expected}: {problem}");
        assert_eq!(shown, "");
    }
    let wrong = "7".repeat(64);
    let (exit, shown, problem) = against(&honest, &["evidence", "export", &wrong]).await;
    assert!(exit == 1 && shown.is_empty() && problem.contains("its id is"), "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_with_heads_that_are_none_or_another_logs_is_refused() {
    let head = SignedTree::forked(&evil(), 9, 9, "").head.to_string().into_bytes();
    let log = |origin: &str, adopted: Vec<u8>| wire::GetGossipResponse {
        logs: vec![wire::GossipLog {
            origin: origin.to_owned(),
            adopted: Some(adopted.into()),
            standing: "good".to_owned(),
            ..wire::GossipLog::default()
        }],
        ..wire::GetGossipResponse::default()
    };
    for (status, exit, expected) in [
        (log(EVIL, head.clone()), 0, "adopted 9"),
        (log("other.test/log", head), 1, "from another log"),
        (log(EVIL, b"nothing".to_vec()), 1, "not a checkpoint"),
    ] {
        let url = serve(Liar { status, ..Liar::default() }).await;
        let (ended, shown, problem) = against(&url, &["gossip", "status"]).await;
        assert_eq!(ended, exit, "{shown}{problem}");
        assert!(format!("{shown}{problem}").contains(expected), "{shown}{problem}");
    }
}

fn silent(url: &str) -> wire::GossipPeer {
    let (url, trouble) = (url.to_owned(), "it lied \u{1b}[31m".to_owned());
    wire::GossipPeer {
        url,
        trouble,
        failures: 2,
        faults: 1,
        retry_after: 2_001,
        limited: true,
        ..wire::GossipPeer::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_says_who_is_limited_and_fails_when_nobody_answers_or_somebody_is_convicted() {
    let up = wire::GossipPeer { met_at: Some(1), ..wire::GossipPeer::default() };
    let limited = wire::GossipLimited {
        caller: "caller 7".to_owned(),
        trouble: "its message is malformed".to_owned(),
        faults: 1,
        retry_after: 1,
    };
    let convicted = |id: usize| wire::GossipConviction {
        evidence: vec![1; id].into(),
        role: "cosigner".to_owned(),
        vkeys: vec!["witness".to_owned()],
        ..wire::GossipConviction::default()
    };
    let status = |peers, convictions| wire::GetGossipResponse {
        peers,
        convictions,
        limited: vec![limited.clone()],
        ..wire::GetGossipResponse::default()
    };
    let (one, other) = ("http://192.0.2.8:1", "http://192.0.2.9:1");
    for (status, exit, expected) in [
        (status(vec![], vec![]), 0, "refused for 1 s: caller 7: its message is malformed"),
        (
            status(vec![up.clone(), silent(one)], vec![]),
            0,
            "http://192.0.2.8:1: not met yet; LIMITED",
        ),
        (
            status(vec![up.clone(), silent(one)], vec![]),
            0,
            "2 failures, 1 faults, asked again in 3 s",
        ),
        (status(vec![silent(one), silent(other)], vec![]), 1, "no peer answers"),
        (
            status(vec![up.clone()], vec![convicted(32)]),
            1,
            "convicted cosigner witness: evidence 0101",
        ),
        (status(vec![up], vec![convicted(31)]), 1, "is not 32 bytes long"),
    ] {
        let url = serve(Liar { status, ..Liar::default() }).await;
        let (ended, shown, problem) = against(&url, &["gossip", "status"]).await;
        assert!(format!("{shown}{problem}").contains(expected), "{expected}: {shown}{problem}");
        assert_eq!(ended, exit, "{expected}: {shown}{problem}");
        assert!(!shown.contains('\u{1b}'), "no text of others drives the terminal: {shown:?}");
    }
}
