//! The gRPC face, `ledger.v1`: wire types to core types and back, and nothing else.

mod answers;
mod authority;
pub mod gossip;
mod mirror;
mod pending;
mod rated;
mod shares;
mod stream;
mod unread;
mod weighed;
mod witness;
mod witnesses;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ledger_core::hash::Hash;
use ledger_core::record::{Entry, StatementId};
use ledger_core::{LeafIndex, TreeSize};
use ledger_proto::v1::gossip_server::GossipServer;
use ledger_proto::v1::ledger_server::{Ledger, LedgerServer};
use ledger_proto::v1::mirror_server::MirrorServer;
use ledger_proto::v1::witness_server::WitnessServer;
use ledger_proto::v1::{
    self as wire, get_authority_request, get_inclusion_proof_request::Leaf, lookup_request,
};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::server::NamedService as _;
use tonic::transport::Server;
use tonic::{Code, Extensions, Request, Response, Status};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use self::answers::{Answers, Waiting};
use self::rated::Rated;
use self::shares::{Share, Shares};
use self::weighed::{HeapCost, Rooms, Weighed};
use crate::admission::Admitted;
use crate::index::{EntryKeys, Key};
use crate::log::{Published, ReadError};
use crate::lookup::{FindError, find_entry};
use crate::node::{Service, Unpublished};
use crate::refusal::{PendingRefusal, Refusal};
use crate::sequencer::{Duplicate, Outcome, Place};
use crate::transport::{self, Door};

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

/// Entries that wait for a slow reader of `GetEntries`.
const ENTRIES_AHEAD: usize = 16;

/// `GetEntries` streams at once, each of which holds some entries in memory, and those of one
/// network.
const ENTRY_STREAMS: usize = 64;
const ENTRY_STREAMS_PER_NETWORK: usize = ENTRY_STREAMS / 4;

/// Requests one connection may have under way.
const STREAMS_PER_CONNECTION: u32 = 256;

/// A connection whose other end has gone silently is closed after these two together.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Bytes of a status message: clients limit how long headers may be.
const MAX_MESSAGE: usize = 1024;

/// The service behind the wire.
#[derive(Clone)]
struct Face {
    service: Arc<Service>,
    /// Taken by those who read entries or drafts, or list evidence.
    entry_streams: Shares,
    /// Taken by those who submit in streams: as many as there may be connections.
    submit_streams: Shares,
    /// Taken by the outcomes of streamed records until they are answered.
    outcomes: Shares,
    authority: Arc<authority::Cache>,
}

/// How long a logged record waits for its publication before whoever submitted it is told to come
/// back for the proof.
const PATIENCE: Duration = Duration::from_secs(30);

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
    let tls = service.tls.as_ref().map(|tls| tls.acceptor(transport::Face::Grpc));
    let door = Door { listener, gate: Arc::clone(&gate), face: transport::Face::Grpc, tls };
    let [most, each] = [gate.limits().connections, gate.limits().connections_per_address];
    let face = Face {
        service: Arc::clone(&service),
        entry_streams: Shares::new(ENTRY_STREAMS, ENTRY_STREAMS_PER_NETWORK),
        submit_streams: Shares::new(most as usize, each as usize),
        outcomes: Shares::new(stream::OUTCOMES, stream::OUTCOMES_PER_NETWORK),
        authority: Arc::default(),
    };
    let witness = WitnessServer::new(face.clone()).max_decoding_message_size(witness::MAX_MESSAGE);
    let mirror = MirrorServer::new(face.clone()).max_decoding_message_size(MAX_SMALL_REQUEST);
    let gossip = GossipServer::new(face.clone())
        .max_decoding_message_size(gossip::MAX_MESSAGE)
        .max_encoding_message_size(gossip::MAX_ANSWER);
    let rooms = Rooms::new(Arc::clone(&gate));
    let gossip = Weighed::new(gossip, rooms.clone(), HeapCost::LISTS_OF_MESSAGES);
    let witness = Weighed::new(witness, rooms.clone(), HeapCost::LISTS_OF_BYTES);
    let mirror = Weighed::new(mirror, rooms.clone(), HeapCost::BYTES);
    let ledger = LedgerServer::new(face).max_decoding_message_size(MAX_REQUEST);
    let reflection = Weighed::new(reflection, rooms.clone(), HeapCost::BYTES)
        .except(REFLECTION_STREAM)
        .in_turns(Shares::new(REFLECTIONS, REFLECTIONS_PER_NETWORK));
    let ledger = Weighed::new(ledger, rooms, HeapCost::BYTES).except(SUBMIT_STREAM);
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
        (LedgerServer::<Face>::NAME, ServingStatus::Serving),
        (GossipServer::<Face>::NAME, ServingStatus::Serving),
        (WitnessServer::<Face>::NAME, witness),
        (MirrorServer::<Face>::NAME, mirror),
    ] {
        reporter.set_service_status(name, status).await;
    }
}

#[tonic::async_trait]
impl Ledger for Face {
    async fn get_log(
        &self,
        _: Request<wire::GetLogRequest>,
    ) -> Result<Response<wire::GetLogResponse>, Status> {
        let service = &self.service;
        let charter = Arc::clone(&service.charter.borrow());
        Ok(Response::new(wire::GetLogResponse {
            origin: service.origin.to_string(),
            log_vkeys: charter.log_keys().iter().map(ToString::to_string).collect(),
            charter_statement: hash_bytes(charter.statement().as_hash()),
            policy: charter.policy_text().unwrap_or_default().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }))
    }

    async fn submit(
        &self,
        request: Request<wire::SubmitRequest>,
    ) -> Result<Response<wire::SubmitResponse>, Status> {
        let wire::SubmitRequest { record, wait } = request.into_inner();
        let admission = &self.service.admission;
        let room = admission.room_soon(record.len()).await.map_err(Failure::from)?;
        let checked = admission.check(&record).map_err(Failure::from)?;
        // the record has its own copy, and may wait for long
        drop(record);
        let outcome = match checked {
            Admitted::Duplicate(at) => Outcome::Duplicate(at),
            Admitted::Verified(verified) => {
                let queued = admission.enqueue(*verified, room).await;
                let outcome = queued.map_err(Failure::from)?.await;
                outcome.unwrap_or(Outcome::Refused(Refusal::Unknown))
            }
        };
        Ok(Response::new(self.answer(outcome, wait, PATIENCE).await?))
    }

    type SubmitStreamStream = Waiting<wire::SubmitStreamResponse>;

    async fn submit_stream(
        &self,
        request: Request<tonic::Streaming<wire::SubmitRequest>>,
    ) -> Result<Response<Self::SubmitStreamStream>, Status> {
        let turn = self.turn(&self.submit_streams, request.extensions())?;
        Ok(Response::new(stream::submit(self.clone(), request.into_inner(), turn)))
    }

    async fn get_checkpoint(
        &self,
        _: Request<wire::GetCheckpointRequest>,
    ) -> Result<Response<wire::GetCheckpointResponse>, Status> {
        let published = self.service.current_soon().await.map_err(Failure::from)?;
        let checkpoint = checkpoint_bytes(&published);
        Ok(Response::new(wire::GetCheckpointResponse { checkpoint }))
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<wire::GetInclusionProofRequest>,
    ) -> Result<Response<wire::GetInclusionProofResponse>, Status> {
        let wire::GetInclusionProofRequest { leaf, tree_size } = request.into_inner();
        let leaf = leaf.ok_or_else(|| {
            invalid("no leaf was named", "set one of index, leaf_hash and statement")
        })?;
        self.reading(move |service, published| inclusion(service, published, leaf, tree_size))
            .await
            .map_err(Status::from)
            .map(Response::new)
    }

    async fn get_consistency_proof(
        &self,
        request: Request<wire::GetConsistencyProofRequest>,
    ) -> Result<Response<wire::GetConsistencyProofResponse>, Status> {
        let wire::GetConsistencyProofRequest { old_size, new_size } = request.into_inner();
        self.reading(move |_, published| {
            let new = size_within(new_size, published)?;
            let old =
                TreeSize::new(old_size).map_err(|e| invalid(format!("old_size is {e}"), ""))?;
            let proof = published.consistency(old, new)?;
            Ok(wire::GetConsistencyProofResponse {
                old_size,
                new_size: new.get(),
                hashes: proof.hashes().iter().map(hash_bytes).collect(),
                checkpoint: match new_size {
                    None => checkpoint_bytes(published),
                    Some(_) => bytes::Bytes::new(),
                },
            })
        })
        .await
        .map_err(Status::from)
        .map(Response::new)
    }

    async fn get_authority(
        &self,
        request: Request<wire::GetAuthorityRequest>,
    ) -> Result<Response<wire::GetAuthorityResponse>, Status> {
        let leaf = request.into_inner().leaf.ok_or_else(|| {
            invalid("no leaf was named", "set one of index, leaf_hash and statement")
        })?;
        let leaf = match leaf {
            get_authority_request::Leaf::Index(index) => Leaf::Index(index),
            get_authority_request::Leaf::LeafHash(hash) => Leaf::LeafHash(hash),
            get_authority_request::Leaf::Statement(id) => Leaf::Statement(id),
        };
        let cache = Arc::clone(&self.authority);
        let turn = cache.turn().await;
        let bundle = move |service: &Service, published: &Published| {
            // kept until the answer is made, also where its caller has gone
            let _turn = turn;
            authority::bundle(&cache, service, published, leaf)
        };
        self.reading(bundle).await.map_err(Status::from).map(Response::new)
    }

    type GetEntriesStream = Waiting<wire::GetEntriesResponse>;

    async fn get_entries(
        &self,
        request: Request<wire::GetEntriesRequest>,
    ) -> Result<Response<Self::GetEntriesStream>, Status> {
        let turn = self.turn(&self.entry_streams, request.extensions())?;
        let wire::GetEntriesRequest { start, count } = request.into_inner();
        let published = self.service.current_soon().await.map_err(Failure::from)?;
        let size = published.size().get();
        if start > size {
            let message = format!("start is {start}, but the log has {size} entries");
            return Err(Failure::new(Code::OutOfRange, message, "start within the log").into());
        }
        let end = count.map_or(size, |count| start.saturating_add(count).min(size));
        let (answers, stream) = Answers::new(ENTRIES_AHEAD, self.idle());
        let face = self.clone();
        tokio::spawn(async move {
            face.send_entries(start..end, answers).await;
            drop(turn);
        });
        Ok(Response::new(stream))
    }

    async fn lookup(
        &self,
        request: Request<wire::LookupRequest>,
    ) -> Result<Response<wire::LookupResponse>, Status> {
        let key = request.into_inner().key;
        let key =
            key.ok_or_else(|| invalid("no key was given", "set one of statement and leaf_hash"))?;
        self.reading(move |service, published| {
            let key = match &key {
                lookup_request::Key::Statement(id) => statement(id)?,
                lookup_request::Key::LeafHash(hash) => Key::Leaf(hash_of(hash, "leaf_hash")?),
            };
            let index = find(service, published, &key)?;
            let (entry, _) = published.entry(index)?;
            Ok(wire::LookupResponse { index: index.get(), entry: entry.into() })
        })
        .await
        .map_err(Status::from)
        .map(Response::new)
    }

    async fn get_witnesses(
        &self,
        _: Request<wire::GetWitnessesRequest>,
    ) -> Result<Response<wire::GetWitnessesResponse>, Status> {
        Ok(Response::new(witnesses::show(&self.service)))
    }

    async fn propose(
        &self,
        request: Request<wire::ProposeRequest>,
    ) -> Result<Response<wire::ProposeResponse>, Status> {
        Ok(Response::new(pending::propose(self, request.into_inner()).await?))
    }

    type ListPendingStream = Waiting<wire::PendingDraft>;

    async fn list_pending(
        &self,
        request: Request<wire::ListPendingRequest>,
    ) -> Result<Response<Self::ListPendingStream>, Status> {
        let turn = self.turn(&self.entry_streams, request.extensions())?;
        Ok(Response::new(pending::list(self, request.into_inner(), turn).await?))
    }

    async fn cosign(
        &self,
        request: Request<wire::CosignRequest>,
    ) -> Result<Response<wire::CosignResponse>, Status> {
        Ok(Response::new(pending::cosign(self, request.into_inner()).await?))
    }

    async fn decline(
        &self,
        request: Request<wire::DeclineRequest>,
    ) -> Result<Response<wire::DeclineResponse>, Status> {
        Ok(Response::new(pending::decline(self, request.into_inner()).await?))
    }

    async fn withdraw(
        &self,
        request: Request<wire::WithdrawRequest>,
    ) -> Result<Response<wire::WithdrawResponse>, Status> {
        Ok(Response::new(pending::withdraw(self, request.into_inner()).await?))
    }
}

impl Face {
    /// Runs something that reads files, away from the threads that serve sockets.
    async fn reading<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Service, &Published) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let service = Arc::clone(&self.service);
        let published = service.current_soon().await?;
        let reads = service.reads.clone();
        let done = reads.run(move || read(&service, &published)).await;
        done.unwrap_or_else(|| Err(Failure::new(Code::Internal, "reading the log failed", "")))
    }

    /// How long a caller may let answers lie.
    fn idle(&self) -> Duration {
        self.service.gate.limits().idle()
    }

    /// A caller's turn, until it is dropped: so many may have one at once, and of one network a
    /// part of them.
    fn turn(&self, turns: &Shares, extensions: &Extensions) -> Result<Share, Failure> {
        let network = self.service.gate.network_of(extensions.get());
        turns.take(network, 1).ok_or_else(|| {
            let hint = "try again in a while; entries are also read as tiles over HTTP";
            Failure::new(Code::ResourceExhausted, "too many such streams at once", hint)
        })
    }

    /// Sends entries, some at a time, to a reader who may be slow but takes something now and then.
    async fn send_entries(
        &self,
        mut range: std::ops::Range<u64>,
        mut answers: Answers<wire::GetEntriesResponse>,
    ) {
        while !range.is_empty() {
            let (start, end) = (range.start, range.end);
            let read = self.reading(move |service, published| {
                let first = LeafIndex::new(start).map_err(|e| invalid(e, ""))?;
                let until = TreeSize::new(end).map_err(|e| invalid(e, ""))?;
                Ok(service.reader.run(first, until, published.size())?)
            });
            let entries = match read.await {
                Ok(entries) => entries,
                Err(failure) => {
                    let _ = answers.send(Err(failure.into())).await;
                    return;
                }
            };
            for entry in entries {
                let response = wire::GetEntriesResponse { index: range.start, entry: entry.into() };
                if answers.send(Ok(response)).await.is_err() {
                    return;
                }
                range.start += 1;
            }
        }
    }

    /// The answer to a record whose outcome is known. Waits for `patience` until it is published,
    /// if the answer shows something published.
    async fn answer(
        &self,
        outcome: Outcome,
        wait: i32,
        patience: Duration,
    ) -> Result<wire::SubmitResponse, Failure> {
        let wants_proof = wants_proof(wait)?;
        let (place, duplicate) = match outcome {
            Outcome::Refused(refusal) => return Err(refusal.into()),
            Outcome::Logged(place) => (place, None),
            Outcome::Duplicate(at) => {
                self.service.current_with(at.index, patience).await?;
                let read = self.reading(move |_, published| duplicate(published, &at));
                let (place, duplicate) = read.await?;
                (place, Some(duplicate))
            }
        };
        let mut proof = bytes::Bytes::new();
        if wants_proof {
            let published = self.service.current_with(place.index, patience).await?;
            // the tiles that a proof needs were just written or read: this waits for no disk
            proof = prove(&published, &place)?;
        }
        Ok(wire::SubmitResponse {
            index: place.index.get(),
            statement: hash_bytes(place.statement.as_hash()),
            logged: place.logged.to_string().into_bytes().into(),
            proof,
            duplicate,
        })
    }
}

/// What is in the log where a submitted record's statement stands already.
fn duplicate(published: &Published, at: &Duplicate) -> Result<(Place, wire::Duplicate), Failure> {
    let index = at.index;
    let (entry, _) = published.entry(index)?;
    let (logged, record) = Entry::split(&entry).map_err(|_| damaged(index))?;
    let keys = EntryKeys::of(&entry).map_err(|_| damaged(index))?;
    let place = Place { index, logged, leaf: keys.leaf, statement: keys.statement };
    let duplicate = wire::Duplicate {
        record: bytes::Bytes::copy_from_slice(record),
        signatures_differ: Hash::digest(record) != at.submitted,
    };
    Ok((place, duplicate))
}

fn inclusion(
    service: &Service,
    published: &Published,
    leaf: Leaf,
    tree_size: Option<u64>,
) -> Result<wire::GetInclusionProofResponse, Failure> {
    let size = size_within(tree_size, published)?;
    let index = locate(service, published, leaf)?;
    let mut response = wire::GetInclusionProofResponse {
        index: index.get(),
        tree_size: size.get(),
        ..wire::GetInclusionProofResponse::default()
    };
    let (leaf, proof) = if tree_size.is_none() {
        // the line of the entry goes into the proof file
        let (entry, leaf) = published.entry(index)?;
        let (logged, _) = Entry::split(&entry).map_err(|_| damaged(index))?;
        let proof = published.prove(index, &leaf, logged.to_string().into_bytes())?;
        response.proof = proof.to_string().into_bytes().into();
        (leaf, proof.inclusion)
    } else {
        let leaf = published.leaf(index)?;
        (leaf, published.inclusion(index, &leaf, size)?)
    };
    response.leaf_hash = hash_bytes(&leaf);
    response.hashes = proof.hashes().iter().map(hash_bytes).collect();
    Ok(response)
}

/// The index of the leaf that a request names.
fn locate(service: &Service, published: &Published, leaf: Leaf) -> Result<LeafIndex, Failure> {
    match leaf {
        Leaf::Index(index) => {
            let index = LeafIndex::new(index).map_err(|e| invalid(format!("index is {e}"), ""))?;
            let is_there = published.size().contains(index);
            if is_there { Ok(index) } else { Err(ReadError::OutOfRange(published.size()).into()) }
        }
        Leaf::Statement(id) => find(service, published, &statement(&id)?),
        Leaf::LeafHash(hash) => find(service, published, &Key::Leaf(hash_of(&hash, "leaf_hash")?)),
    }
}

/// The index of the published entry with a key.
fn find(service: &Service, published: &Published, key: &Key) -> Result<LeafIndex, Failure> {
    let found = find_entry(&service.index, &service.reader, published.size(), key)?;
    found.ok_or_else(|| {
        let message = "no published entry has this statement or leaf hash";
        let hint = "a record just submitted appears once it is published";
        Failure::new(Code::NotFound, message, hint)
    })
}

fn prove(published: &Published, place: &Place) -> Result<bytes::Bytes, Failure> {
    let extra = place.logged.to_string().into_bytes();
    let proof = published.prove(place.index, &place.leaf, extra)?;
    Ok(proof.to_string().into_bytes().into())
}

fn checkpoint_bytes(published: &Published) -> bytes::Bytes {
    published.checkpoint().claimed().to_string().into_bytes().into()
}

fn hash_bytes(hash: &Hash) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(hash.as_bytes())
}

fn hash_of(bytes: &[u8], what: &str) -> Result<Hash, Failure> {
    bytes.try_into().map(Hash::from_bytes).map_err(|_| {
        invalid(format!("{what} has {} bytes", bytes.len()), "a SHA-256 hash has 32 raw bytes")
    })
}

fn statement(bytes: &[u8]) -> Result<Key, Failure> {
    Ok(Key::Statement(StatementId::from_hash(hash_of(bytes, "statement")?)))
}

fn size_within(asked: Option<u64>, published: &Published) -> Result<TreeSize, Failure> {
    let size = published.size();
    let Some(asked) = asked else { return Ok(size) };
    TreeSize::new(asked).ok().filter(|asked| *asked <= size).ok_or_else(|| {
        let message = format!("size {asked} is larger than the published size {size}");
        Failure::new(Code::OutOfRange, message, "ask again once the log has grown")
    })
}

fn wants_proof(wait: i32) -> Result<bool, Failure> {
    match wire::Wait::try_from(wait) {
        Ok(wire::Wait::Unspecified) => Ok(false),
        Ok(wire::Wait::Published) => Ok(true),
        Err(_) => Err(invalid(format!("wait is {wait}"), "use WAIT_UNSPECIFIED or WAIT_PUBLISHED")),
    }
}

/// What went wrong, before it becomes a status or a line in a stream of answers.
#[derive(Debug)]
struct Failure {
    code: Code,
    message: String,
    hint: String,
}

impl Failure {
    fn new(code: Code, message: impl ToString, hint: &str) -> Failure {
        Failure { code, message: message.to_string(), hint: hint.to_owned() }
    }

    /// With at most so many bytes of its message.
    fn cut(mut self, most: usize) -> Failure {
        if self.message.len() > most {
            self.message.truncate(self.message.floor_char_boundary(most));
        }
        self.message.shrink_to_fit();
        self
    }

    /// What its texts take of the heap.
    fn text_bytes(&self) -> usize {
        size_of::<Failure>() + self.message.capacity() + self.hint.capacity()
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Status {
        let Failure { code, message, hint } = failure;
        let mut text = if hint.is_empty() { message } else { format!("{message}\nhint: {hint}") };
        text.truncate(text.floor_char_boundary(MAX_MESSAGE));
        Status::new(code, text)
    }
}

impl From<Failure> for wire::Refusal {
    fn from(failure: Failure) -> wire::Refusal {
        let Failure { code, message, hint } = failure;
        wire::Refusal { code: code.into(), message, hint }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        Failure::new(refusal_code(&refusal), &refusal, refusal.hint())
    }
}

impl From<PendingRefusal> for Failure {
    fn from(refusal: PendingRefusal) -> Failure {
        Failure::new(pending_code(&refusal), &refusal, refusal.hint())
    }
}

impl From<Unpublished> for Failure {
    fn from(unpublished: Unpublished) -> Failure {
        Failure::new(Code::Unavailable, unpublished, unpublished.hint())
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Failure {
        match &error {
            ReadError::OutOfRange(_) | ReadError::SizesReversed(_) => {
                Failure::new(Code::OutOfRange, &error, "ask for what the published tree has")
            }
            ReadError::Store(store) => Failure::new(Code::Internal, &error, store.hint()),
            _ => Failure::new(Code::DataLoss, &error, "tell the operator to run `ledger audit`"),
        }
    }
}

impl From<FindError> for Failure {
    fn from(error: FindError) -> Failure {
        match error {
            FindError::Read(error) => error.into(),
            FindError::Index(error) => {
                Failure::new(Code::Internal, error, "tell the operator to run ledger-node reindex")
            }
        }
    }
}

fn invalid(message: impl ToString, hint: &str) -> Failure {
    Failure::new(Code::InvalidArgument, message, hint)
}

fn damaged(index: LeafIndex) -> Failure {
    let hint = "tell the operator to run `ledger audit`";
    Failure::new(Code::DataLoss, format!("entry {index} is stored damaged"), hint)
}

/// The status code of a refusal; see `ledger.proto`.
fn refusal_code(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::Malformed(_) => Code::InvalidArgument,
        Refusal::NotAllowed(rejection) if rejection.is_not_supported() => Code::Unimplemented,
        Refusal::NotAllowed(_) => Code::PermissionDenied,
        Refusal::Revision { .. } | Refusal::Unpublishable(_) => Code::FailedPrecondition,
        Refusal::IdTaken(_) => Code::AlreadyExists,
        Refusal::LogFull | Refusal::Busy | Refusal::PoliciesPending(_) => Code::ResourceExhausted,
        Refusal::ShuttingDown | Refusal::Unknown => Code::Unavailable,
        Refusal::Internal(_) => Code::Internal,
        Refusal::Damaged(_) => Code::DataLoss,
    }
}

/// The status code of a refusal about a draft; see `ledger.proto`.
fn pending_code(refusal: &PendingRefusal) -> Code {
    use PendingRefusal as P;
    match refusal {
        P::Record(refusal) => refusal_code(refusal),
        P::Request(error) if error.is_about_the_asker() => Code::PermissionDenied,
        P::Decline(error) if error.is_about_the_signer() => Code::PermissionDenied,
        P::Request(_) | P::Decline(_) | P::SignatureLine => Code::InvalidArgument,
        P::Replayed
        | P::NotTheAskers { .. }
        | P::NotTheProposer(_)
        | P::AskerHasNotSigned(_)
        | P::NobodyItNames(_) => Code::PermissionDenied,
        P::NoSuchDraft => Code::NotFound,
        P::AlreadyLogged(_) | P::AlreadyPending | P::IdPending(_) | P::HasSigned(_) => {
            Code::AlreadyExists
        }
        P::Settled(_) | P::BeingLogged | P::CannotBeCompleted(_) | P::NotNeeded(_) => {
            Code::FailedPrecondition
        }
        P::TooManyDrafts(_) | P::TooManyRequests(_) | P::NoRoom => Code::ResourceExhausted,
        P::Storage(_) => Code::Internal,
    }
}
