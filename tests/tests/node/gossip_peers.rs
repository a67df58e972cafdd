//! Peers of gossip over real sockets: where their addresses come from, what a round with nothing
//! new costs, and what those take who answer too much or hardly at all.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ledger_core::hash::Hash;
use ledger_core::note::{Algorithm, SignerKey};
use ledger_core::record::Record;
use ledger_proto::v1::gossip_message::Message;
use ledger_proto::v1::gossip_server::{Gossip, GossipServer};
use ledger_proto::v1::{self as wire};
use ledger_tests::consortium::Consortium;
use ledger_tests::key;
use ledger_tests::site::{SignedTree, TestSite};
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status};

use super::gossip::{EVIL, Member, evil, free_port};

/// Passes bytes on both ways, and counts them.
struct Proxy {
    address: SocketAddr,
    bytes: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
}

impl Proxy {
    async fn to(target: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (bytes, connections) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let (counted, came) = (Arc::clone(&bytes), Arc::clone(&connections));
        tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.expect("a connection");
                came.fetch_add(1, Ordering::Relaxed);
                let Ok(far) = TcpStream::connect(target).await else { continue };
                let (near, far) = (near.into_split(), far.into_split());
                tokio::spawn(pass_on(near.0, far.1, Arc::clone(&counted)));
                tokio::spawn(pass_on(far.0, near.1, Arc::clone(&counted)));
            }
        });
        Proxy { address, bytes, connections }
    }
}

async fn pass_on(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    counted: Arc<AtomicU64>,
) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut buffer = vec![0; 16_384];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        counted.fetch_add(read as u64, Ordering::Relaxed);
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_with_nothing_new_costs_less_than_a_kibibyte_on_the_wire() {
    const ROUNDS: u64 = 6;
    let (asker, answerer) = (Member::found(73), Member::found(74));
    answerer.asks([]);
    let _peer = answerer.serve().await;
    let proxy = Proxy::to(([127, 0, 0, 1], answerer.port).into()).await;
    asker.asks_at([proxy.address]);
    let _node = asker.serve().await;
    asker.says("a warm connection", |status| status.idle_rounds >= 2).await;
    let connections = || proxy.connections.load(Ordering::Relaxed);
    // one for the question before the first signature, and one for the rounds
    let opened = connections();
    assert!(opened <= 2, "{opened} connections");
    let before = proxy.bytes.load(Ordering::Relaxed);
    let first = asker.says("rounds", |_| true).await;
    let last = first.idle_rounds + ROUNDS;
    let status = asker.says("more rounds", |status| status.idle_rounds >= last).await;
    let passed = proxy.bytes.load(Ordering::Relaxed) - before;
    assert_eq!((status.failed_rounds, status.idle_rounds), (0, status.rounds), "{status:?}");
    assert!(passed > 0 && passed < 1024 * ROUNDS, "{passed} bytes in {ROUNDS} rounds");
    assert_eq!(connections(), opened, "the connection is kept");
}

/// The charter of members with nodes at these ports of the loopback.
fn charter(own: &Consortium, nodes: &[(SignerKey, u16)]) -> Record {
    let json = own.charter().body().to_pretty_json();
    let mut json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    for (n, (witness, port)) in nodes.iter().enumerate() {
        let vkey = witness.verifier().to_string();
        let witness = serde_json::json!({"vkey": vkey, "use": "witness"});
        json["members"][n]["keys"].as_array_mut().expect("keys").push(witness);
        json["members"][n]["node"] = format!("grpc://127.0.0.1:{port}").into();
    }
    own.signed(&json.to_string(), &[&own.lab, &own.institute, &own.board])
}

#[tokio::test(flavor = "multi_thread")]
async fn members_gossip_at_the_addresses_of_their_charter_without_any_setting() {
    let (left, right) = (TestSite::start().await, TestSite::start().await);
    left.show(&SignedTree::forked(&evil(), 300, 250, "left"));
    right.show(&SignedTree::forked(&evil(), 700, 250, "right"));
    let witness = |name: &str, seed| key(name, Algorithm::CosignatureV1, seed);
    let nodes = [
        (witness("lab.test/witness", 140), free_port()),
        (witness("institute.test/witness", 141), free_port()),
    ];
    let found = |at: usize| {
        let (witness, port) = &nodes[at];
        let n = 75 + u8::try_from(at).expect("two");
        Member::found_by(n, witness, *port, |own| charter(own, &nodes))
    };
    let (a, b) = (found(0), found(1));
    for (member, url) in [(&a, &left.url), (&b, &right.url)] {
        member.asks([]);
        member.knows(&evil(), url);
    }
    let (_node, _other) = (a.process(), b.process());
    for (member, other) in [(&a, &b), (&b, &a)] {
        member.stands(EVIL, "convicted").await;
        let status = member.says("peers", |_| true).await;
        let urls: Vec<&str> = status.peers.iter().map(|peer| peer.url.as_str()).collect();
        assert_eq!(urls, [format!("http://127.0.0.1:{}", other.port)], "all members but itself");
    }
}

/// A node that answers a round with as much work as a message may hold.
struct Costly {
    /// The log that it claims to know more of.
    about: String,
    head: Vec<u8>,
}

#[tonic::async_trait]
impl Gossip for Costly {
    async fn tell(
        &self,
        request: Request<wire::GossipMessage>,
    ) -> Result<Response<wire::GossipMessage>, Status> {
        let message = match request.into_inner().message {
            Some(Message::Hello(hello)) => {
                let name = Hash::digest(&[&*hello.salt, self.about.as_bytes()].concat());
                let line = [&name.as_bytes()[..8], &[0; 8]].concat();
                Message::Lists(wire::GossipLists { salt: hello.salt, lines: line.into() })
            }
            Some(Message::Exchange(told)) => Message::Exchange(wire::GossipExchange {
                salt: told.salt,
                heads: vec![self.head.clone().into(); 256],
                ..wire::GossipExchange::default()
            }),
            _ => Message::Same(wire::GossipSame {}),
        };
        Ok(Response::new(wire::GossipMessage { message: Some(message) }))
    }

    async fn get_gossip(
        &self,
        _: Request<wire::GetGossipRequest>,
    ) -> Result<Response<wire::GetGossipResponse>, Status> {
        Err(Status::unimplemented("it shows nothing"))
    }

    type ListEvidenceStream = ReceiverStream<Result<wire::EvidenceSummary, Status>>;

    async fn list_evidence(
        &self,
        _: Request<wire::ListEvidenceRequest>,
    ) -> Result<Response<Self::ListEvidenceStream>, Status> {
        Err(Status::unimplemented("it shows nothing"))
    }

    async fn get_evidence(
        &self,
        _: Request<wire::GetEvidenceRequest>,
    ) -> Result<Response<wire::GetEvidenceResponse>, Status> {
        Err(Status::unimplemented("it shows nothing"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_whose_answers_cost_more_than_its_share_is_left_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let member = Member::found(77);
    let about = member.consortium.log.verifier().name().to_string();
    // a log that nobody knows: its heads say nothing, and cost
    let head = SignedTree::forked(&evil(), 9, 9, "").head.to_string().into_bytes();
    let peer = GossipServer::new(Costly { about, head });
    let server = tonic::transport::Server::builder().add_service(peer);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    member.asks_at([address]);
    let _node = member.serve().await;
    let costly = |status: &wire::GetGossipResponse| {
        status.peers.iter().any(|peer| peer.trouble.contains("more than its share"))
    };
    let status = member.says("the end of its share", costly).await;
    assert!(status.rounds > 1 && status.peers[0].retry_after > 0, "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_that_hang_take_no_other_logs_turn() {
    // somebody who takes every connection and never answers
    let hanging = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let nowhere = format!("http://{}", hanging.local_addr().expect("it is bound"));
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((socket, _)) = hanging.accept().await {
            held.push(socket);
        }
    });
    let honest = TestSite::start().await;
    honest.show(&SignedTree::forked(&evil(), 300, 700, ""));
    let member = Member::found(78);
    member.asks([]);
    // the alarm comes long before all that hang have been given up, and not for want of a second
    let config = member.dir().join("config.toml");
    let text = std::fs::read_to_string(&config).expect("written by init");
    let text = text.replace("interval_seconds = 1\n", "interval_seconds = 4\n");
    std::fs::write(config, text).expect("a writable folder");
    let line = |key: &SignerKey, url: &str| format!("log {} {url}\n", key.verifier());
    let of_hanging = (0..12).map(|n| {
        let key = key(&format!("a{n:02}.test/log"), Algorithm::Ed25519, 150 + n);
        line(&key, &nowhere)
    });
    let list: String = of_hanging.chain([line(&evil(), &honest.url)]).collect();
    std::fs::write(member.dir().join("witness-logs"), list).expect("a writable folder");
    let _node = member.serve().await;
    let log = |status: &wire::GetGossipResponse| {
        status.logs.iter().find(|log| log.origin == EVIL).cloned().expect("it is known")
    };
    for size in [300, 700] {
        honest.show(&SignedTree::forked(&evil(), size, 700, ""));
        let settled = |status: &wire::GetGossipResponse| {
            let log = log(status);
            assert_eq!(log.standing, "good", "its tiles are there: {log:?}");
            adopted(&log) == Some(size.to_string())
        };
        member.says("the honest log's head", settled).await;
    }
}

/// The size line of the adopted head.
fn adopted(log: &wire::GossipLog) -> Option<String> {
    let head = String::from_utf8_lossy(log.adopted.as_ref()?).into_owned();
    head.lines().nth(1).map(str::to_owned)
}
