//! The mirror over gRPC: what it holds, and consistency proofs of it.

use ledger_core::TreeSize;
use ledger_core::checkpoint::Origin;
use ledger_core::note::VerifierKey;
use ledger_core::witness::origin_hash;
use ledger_proto::v1::{self as wire, mirror_server};
use tonic::{Code, Request, Response, Status};

use super::service::GrpcService;
use super::status::{CallError, invalid};
use crate::log::ReadError;
use crate::mirror::ServedCopy;
use crate::wire::bytes::hash_bytes;

#[tonic::async_trait]
impl mirror_server::Mirror for GrpcService {
    async fn list_mirrored(
        &self,
        _: Request<wire::ListMirroredRequest>,
    ) -> Result<Response<wire::ListMirroredResponse>, Status> {
        let Some(mirror) = &self.service.mirror else {
            return Ok(Response::new(wire::ListMirroredResponse::default()));
        };
        Ok(Response::new(wire::ListMirroredResponse {
            logs: mirror.all().iter().map(|copy| show(copy)).collect(),
            mirror_vkeys: mirror.keys().map(VerifierKey::to_string).collect(),
        }))
    }

    async fn get_consistency(
        &self,
        request: Request<wire::GetConsistencyRequest>,
    ) -> Result<Response<wire::GetConsistencyResponse>, Status> {
        let wire::GetConsistencyRequest { origin, old_size, new_size } = request.into_inner();
        let copy = Origin::new(&origin).ok().zip(self.service.mirror.as_ref());
        let copy = copy.and_then(|(origin, mirror)| mirror.of(&origin));
        let held = copy.and_then(|copy| Some((copy.checkpoint()?, copy)));
        let (held, copy) = held.ok_or_else(|| {
            let message = "this node holds no copy of such a log";
            CallError::new(Code::NotFound, message, "is the origin spelled as in its checkpoints?")
        })?;
        let size = held.checkpoint().head().size;
        let parse = |size, what: &str| {
            TreeSize::new(size).map_err(|e| invalid(format!("{what} is {e}"), ""))
        };
        let old = parse(old_size, "old_size")?;
        let new = new_size.map_or(Ok(size), |size| parse(size, "new_size"))?;
        let read = self.service.reads.run(move || copy.consistency(old, new)).await;
        let proof = match read {
            Some(Ok(proof)) => proof,
            Some(Err(ReadError::OutOfRange(size))) => {
                let message = format!("this mirror has cosigned {size} entries");
                let hint = "ask for no more than that, or ask the log itself";
                return Err(CallError::new(Code::OutOfRange, message, hint).into());
            }
            Some(Err(error)) => return Err(CallError::from(error).into()),
            None => return Err(CallError::new(Code::Internal, "reading failed", "").into()),
        };
        Ok(Response::new(wire::GetConsistencyResponse {
            old_size,
            new_size: new.get(),
            hashes: proof.hashes().iter().map(hash_bytes).collect(),
            checkpoint: match new_size {
                None => held.to_string().into_bytes().into(),
                Some(_) => bytes::Bytes::new(),
            },
        }))
    }
}

fn show(copy: &ServedCopy) -> wire::MirroredLog {
    let status = copy.status();
    let held = copy.checkpoint();
    let (reason, since) = status.trouble.unzip();
    wire::MirroredLog {
        origin: copy.origin().to_string(),
        origin_hash: origin_hash(copy.origin()),
        source: status.source,
        size: held.as_ref().map(|held| held.checkpoint().head().size.get()),
        checkpoint: held.map(|held| held.to_string().into_bytes().into()).unwrap_or_default(),
        pending_size: status.pending,
        copied_size: status.copied,
        trouble: reason.as_ref().map(|reason| reason.text.clone()).unwrap_or_default(),
        trouble_kind: reason.map(|reason| reason.kind.to_owned()).unwrap_or_default(),
        trouble_since: since,
    }
}
