//! The witness over gRPC: the same judgement as over HTTP.

use ledger_core::Hint;
use ledger_core::TreeSize;
use ledger_core::checkpoint::{ClaimedCheckpoint, Origin};
use ledger_core::hash::{Hash, ParseHashError};
use ledger_core::merkle::{ConsistencyProof, MAX_PROOF_HASHES, ParseProofError};
use ledger_core::witness::{AddCheckpoint, MAX_REQUEST_BYTES, Malformed, Refusal};
use ledger_proto::v1::{self as wire, add_checkpoint_response::Answer, witness_server};
use tonic::{Code, Request, Response, Status};

use super::service::GrpcService;
use super::status::CallError;
use crate::witness::{Witness, WitnessError};

/// Bytes of the largest message: the proof takes less room than as text.
pub(super) const MAX_MESSAGE: usize = MAX_REQUEST_BYTES + 4096;

#[tonic::async_trait]
impl witness_server::Witness for GrpcService {
    async fn add_checkpoint(
        &self,
        request: Request<wire::AddCheckpointRequest>,
    ) -> Result<Response<wire::AddCheckpointResponse>, Status> {
        let answer = match &self.service.witness {
            Some(witness) => answer(witness, request.into_inner()).await?,
            None => Answer::Refused(wire::WitnessRefusal {
                status: 404,
                message: "this node is no witness: it has no witness_keys".into(),
                size: None,
            }),
        };
        Ok(Response::new(wire::AddCheckpointResponse { answer: Some(answer) }))
    }

    async fn get_witnessed_checkpoint(
        &self,
        request: Request<wire::GetWitnessedCheckpointRequest>,
    ) -> Result<Response<wire::GetWitnessedCheckpointResponse>, Status> {
        let origin = Origin::new(&request.into_inner().origin);
        let hash = origin.as_ref().map(ledger_core::witness::origin_hash);
        let witness = self.service.witness.as_ref();
        let found = witness.zip(hash.ok()).and_then(|(witness, hash)| witness.checkpoint(&hash));
        let checkpoint = found.ok_or_else(|| {
            let message = "this node has cosigned no checkpoint of such a log";
            CallError::new(Code::NotFound, message, "is the origin spelled as in its checkpoints?")
        })?;
        let checkpoint = checkpoint.to_string().into_bytes().into();
        Ok(Response::new(wire::GetWitnessedCheckpointResponse { checkpoint }))
    }
}

async fn answer(
    witness: &Witness,
    request: wire::AddCheckpointRequest,
) -> Result<Answer, CallError> {
    let verdict = match parse(&request) {
        Ok(request) => witness.add_checkpoint(&request).await,
        Err(refusal) => Err(refusal.into()),
    };
    match verdict {
        Ok(lines) => {
            let text: String = lines.iter().map(ToString::to_string).collect();
            Ok(Answer::Cosignatures(text.into_bytes().into()))
        }
        Err(WitnessError::Refused(refusal)) => Ok(Answer::Refused(wire::WitnessRefusal {
            status: refusal.status().into(),
            message: refusal.to_string(),
            size: match refusal {
                Refusal::Conflict { size } => Some(size.get()),
                _ => None,
            },
        })),
        Err(convicted @ WitnessError::Convicted(_)) => {
            Err(CallError::new(Code::FailedPrecondition, &convicted, convicted.hint()))
        }
        Err(error) => Err(CallError::new(Code::Internal, &error, "tell the operator")),
    }
}

fn parse(request: &wire::AddCheckpointRequest) -> Result<AddCheckpoint, Refusal> {
    let bytes = request.checkpoint.len() + request.proof.iter().map(|h| h.len()).sum::<usize>();
    if bytes > MAX_REQUEST_BYTES {
        return Err(Refusal::TooLarge);
    }
    let old = TreeSize::new(request.old_size).map_err(Malformed::OldSize)?;
    if request.proof.len() > MAX_PROOF_HASHES {
        return Err(Malformed::Proof(ParseProofError::TooLong).into());
    }
    let hash = |(n, bytes): (usize, &bytes::Bytes)| {
        let bytes = bytes.as_ref().try_into().map(Hash::from_bytes);
        bytes.map_err(|_| Malformed::Proof(ParseProofError::Line(n, ParseHashError::Base64)))
    };
    let hashes: Result<Vec<_>, _> = (1..).zip(&request.proof).map(hash).collect();
    let proof = ConsistencyProof::new(hashes?).map_err(Malformed::Proof)?;
    let checkpoint =
        ClaimedCheckpoint::parse(&request.checkpoint).map_err(Malformed::Checkpoint)?;
    Ok(AddCheckpoint::new(old, proof, checkpoint))
}
