//! The gRPC server: its services, limits and deadlines.

use super::memory_limit::{HeapCost, MemoryLimit, MemoryPool};
use super::quota::Quota;
use super::rated::Rated;
use super::service::GrpcService;
use super::{stream, witness};
use crate::service::Service;
use crate::transport::{self, Door};
use crate::wire::gossip;
use ledger_proto::v1::gossip_server::GossipServer;
use ledger_proto::v1::ledger_server::LedgerServer;
use ledger_proto::v1::mirror_server::MirrorServer;
use ledger_proto::v1::witness_server::WitnessServer;
use ledger_proto::v1::{self as wire};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::server::NamedService as _;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// Bytes of the largest request: twice the largest record. Up to here the answer says what is too
/// long, beyond it the connection refuses.
const MAX_REQUEST: usize = 128 << 10;

/// Bytes of a request to the mirror, to health and to reflection: a name and some numbers.
const MAX_SMALL_REQUEST: usize = 4 << 10;

/// The call that is answered whatever its network asked before, as `/checkpoint` is over HTTP.
const CHECKPOINT: &str = "/ledger.v1.Ledger/GetCheckpoint";

/// Streams of reflection at once, and those of one network.
const REFLECTIONS: usize = 64;

const REFLECTIONS_PER_NETWORK: usize = REFLECTIONS / 4;

/// The end of the path of the call whose records take room at the admission, one by one.
const SUBMIT_STREAM: &str = "/SubmitStream";

/// The end of the path of the call whose messages are small, and as many as its caller likes.
const REFLECTION_STREAM: &str = "/ServerReflectionInfo";

/// `GetEntries` streams at once, each of which holds some entries in memory, and those of one
/// network.
const ENTRY_STREAMS: usize = 64;

const ENTRY_STREAMS_PER_NETWORK: usize = ENTRY_STREAMS / 4;

/// Requests one connection may have under way.
const STREAMS_PER_CONNECTION: u32 = 256;

/// A connection whose other end has gone silently is closed after these two together.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);

const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a call may take until its answer begins, what the caller has to send of it included:
/// longer than anything that is waited for, and no caller holds a message for ever.
const DEADLINE: Duration = Duration::from_secs(120);

/// Serves gRPC, health and reflection until `stopping` turns true.
///
/// # Errors
/// When the compiled descriptors are damaged.
pub fn serve(
    service: Arc<Service>,
    listener: TcpListener,
    mut stopping: watch::Receiver<bool>,
) -> Result<impl Future<Output = ()> + Send + 'static, tonic_reflection::server::Error> {
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(wire::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?
        .max_decoding_message_size(MAX_SMALL_REQUEST);
    let gate = Arc::clone(&service.gate);
    let tls = service.tls.as_ref().map(|tls| tls.acceptor(transport::Endpoint::Grpc));
    let door = Door { listener, gate: Arc::clone(&gate), face: transport::Endpoint::Grpc, tls };
    let [most, each] = [gate.limits().connections, gate.limits().connections_per_address];
    let face = GrpcService {
        service: Arc::clone(&service),
        entry_streams: Quota::new(ENTRY_STREAMS, ENTRY_STREAMS_PER_NETWORK),
        submit_streams: Quota::new(most as usize, each as usize),
        outcomes: Quota::new(stream::OUTCOMES, stream::OUTCOMES_PER_NETWORK),
        authority: Arc::default(),
    };
    let witness = WitnessServer::new(face.clone()).max_decoding_message_size(witness::MAX_MESSAGE);
    let mirror = MirrorServer::new(face.clone()).max_decoding_message_size(MAX_SMALL_REQUEST);
    let gossip = GossipServer::new(face.clone())
        .max_decoding_message_size(gossip::MAX_MESSAGE)
        .max_encoding_message_size(gossip::MAX_ANSWER);
    let rooms = MemoryPool::new(Arc::clone(&gate));
    let gossip = MemoryLimit::new(gossip, rooms.clone(), HeapCost::LISTS_OF_MESSAGES);
    let witness = MemoryLimit::new(witness, rooms.clone(), HeapCost::LISTS_OF_BYTES);
    let mirror = MemoryLimit::new(mirror, rooms.clone(), HeapCost::BYTES);
    let ledger = LedgerServer::new(face).max_decoding_message_size(MAX_REQUEST);
    let reflection = MemoryLimit::new(reflection, rooms.clone(), HeapCost::BYTES)
        .except(REFLECTION_STREAM)
        .in_turns(Quota::new(REFLECTIONS, REFLECTIONS_PER_NETWORK));
    let ledger = MemoryLimit::new(ledger, rooms, HeapCost::BYTES).except(SUBMIT_STREAM);
    Ok(async move {
        let (reporter, health) = tonic_health::server::health_reporter();
        let health = health.max_decoding_message_size(MAX_SMALL_REQUEST);
        report(&reporter, &service).await;
        let incoming = door.open(stopping.clone());
        let stopped = async move {
            let _ = stopping.wait_for(|stop| *stop).await;
        };
        let served = Server::builder()
            .timeout(DEADLINE)
            .max_concurrent_streams(STREAMS_PER_CONNECTION)
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            // a check of health and the checkpoint are never refused: see `http::serve`
            .add_service(health)
            .add_service(Rated::new(reflection, Arc::clone(&gate)))
            .add_service(Rated::new(ledger, Arc::clone(&gate)).except(CHECKPOINT))
            .add_service(Rated::new(witness, Arc::clone(&gate)))
            .add_service(Rated::new(mirror, Arc::clone(&gate)))
            .add_service(Rated::new(gossip, gate))
            .serve_with_incoming_shutdown(incoming, stopped)
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "gRPC ended");
        }
    })
}

/// Says what is served.
async fn report(reporter: &HealthReporter, service: &Service) {
    let status = |is_there| match is_there {
        true => ServingStatus::Serving,
        false => ServingStatus::NotServing,
    };
    let [witness, mirror] = [service.witness.is_some(), service.mirror.is_some()].map(status);
    for (name, status) in [
        (LedgerServer::<GrpcService>::NAME, ServingStatus::Serving),
        (GossipServer::<GrpcService>::NAME, ServingStatus::Serving),
        (WitnessServer::<GrpcService>::NAME, witness),
        (MirrorServer::<GrpcService>::NAME, mirror),
    ] {
        reporter.set_service_status(name, status).await;
    }
}
