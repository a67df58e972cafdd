//! The service `ledger.v1.Ledger`: wire types to core types and back, and nothing else.

use super::answers::{Answers, Waiting};
use super::find::{find, locate, statement};
use super::service::{GrpcService, PATIENCE};
use super::status::{CallError, damaged, hash_of, invalid};
use super::{authority, pending, stream, witnesses};
use crate::admission::Admitted;
use crate::index::{EntryKeys, Key};
use crate::log::Published;
use crate::refusal::Refusal;
use crate::sequencer::{Duplicate, LoggedAt, Outcome};
use crate::service::Service;
use crate::wire::bytes::hash_bytes;
use ledger_core::hash::Hash;
use ledger_core::record::Entry;
use ledger_core::{LeafIndex, TreeSize};
use ledger_proto::v1::ledger_server::Ledger;
use ledger_proto::v1::{
    self as wire, get_authority_request, get_inclusion_proof_request::Leaf, lookup_request,
};
use std::sync::Arc;
use std::time::Duration;
use tonic::{Code, Request, Response, Status};

/// Entries that wait for a slow reader of `GetEntries`.
const ENTRIES_AHEAD: usize = 16;

#[tonic::async_trait]
impl Ledger for GrpcService {
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
            policy: charter.policy_text().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }))
    }

    async fn submit(
        &self,
        request: Request<wire::SubmitRequest>,
    ) -> Result<Response<wire::SubmitResponse>, Status> {
        let wire::SubmitRequest { record, wait } = request.into_inner();
        let admission = &self.service.admission;
        let room = admission.room_soon(record.len()).await.map_err(CallError::from)?;
        let checked = admission.check(&record).map_err(CallError::from)?;
        // the record has its own copy, and may wait for long
        drop(record);
        let outcome = match checked {
            Admitted::Duplicate(at) => Outcome::Duplicate(at),
            Admitted::Verified(verified) => {
                let queued = admission.enqueue(*verified, room).await;
                let outcome = queued.map_err(CallError::from)?.await;
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
        let turn = self.acquire(&self.submit_streams, request.extensions())?;
        Ok(Response::new(stream::submit(self.clone(), request.into_inner(), turn)))
    }

    async fn get_checkpoint(
        &self,
        _: Request<wire::GetCheckpointRequest>,
    ) -> Result<Response<wire::GetCheckpointResponse>, Status> {
        let published = self.service.current_soon().await.map_err(CallError::from)?;
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
        let turn = cache.acquire().await;
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
        let turn = self.acquire(&self.entry_streams, request.extensions())?;
        let wire::GetEntriesRequest { start, count } = request.into_inner();
        let published = self.service.current_soon().await.map_err(CallError::from)?;
        let size = published.size().get();
        if start > size {
            let message = format!("start is {start}, but the log has {size} entries");
            return Err(CallError::new(Code::OutOfRange, message, "start within the log").into());
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
        let turn = self.acquire(&self.entry_streams, request.extensions())?;
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

impl GrpcService {
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
    pub(super) async fn answer(
        &self,
        outcome: Outcome,
        wait: i32,
        patience: Duration,
    ) -> Result<wire::SubmitResponse, CallError> {
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
fn duplicate(
    published: &Published,
    at: &Duplicate,
) -> Result<(LoggedAt, wire::Duplicate), CallError> {
    let index = at.index;
    let (entry, _) = published.entry(index)?;
    let (logged, record) = Entry::split(&entry).map_err(|_| damaged(index))?;
    let keys = EntryKeys::of(&entry).map_err(|_| damaged(index))?;
    let place = LoggedAt { index, logged, leaf: keys.leaf, statement: keys.statement };
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
) -> Result<wire::GetInclusionProofResponse, CallError> {
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

fn prove(published: &Published, place: &LoggedAt) -> Result<bytes::Bytes, CallError> {
    let extra = place.logged.to_string().into_bytes();
    let proof = published.prove(place.index, &place.leaf, extra)?;
    Ok(proof.to_string().into_bytes().into())
}

fn checkpoint_bytes(published: &Published) -> bytes::Bytes {
    published.checkpoint().claimed().to_string().into_bytes().into()
}

fn size_within(asked: Option<u64>, published: &Published) -> Result<TreeSize, CallError> {
    let size = published.size();
    let Some(asked) = asked else { return Ok(size) };
    TreeSize::new(asked).ok().filter(|asked| *asked <= size).ok_or_else(|| {
        let message = format!("size {asked} is larger than the published size {size}");
        CallError::new(Code::OutOfRange, message, "ask again once the log has grown")
    })
}

fn wants_proof(wait: i32) -> Result<bool, CallError> {
    match wire::Wait::try_from(wait) {
        Ok(wire::Wait::Unspecified) => Ok(false),
        Ok(wire::Wait::Published) => Ok(true),
        Err(_) => Err(invalid(format!("wait is {wait}"), "use WAIT_UNSPECIFIED or WAIT_PUBLISHED")),
    }
}
