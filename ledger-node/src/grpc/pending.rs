//! Co-signing over the wire: every call is authenticated before anything is stored or shown.

use ledger_core::charter::MissingSignature;
use ledger_core::record::StatementId;
use ledger_core::request::Call;
use ledger_proto::v1::{self as wire, pending_lack::What};
use tonic::Code;

use super::answers::{Answers, Waiting};
use super::quota::QuotaPermit;
use super::service::GrpcService;
use super::status::{CallError, hash_of};
use crate::pending::{AskingMember, DraftState, View, blocking, log_if_complete};
use crate::refusal::PendingRefusal;
use crate::service::Service;
use crate::wire::bytes::hash_bytes;

/// Drafts that wait for a slow reader of `ListPending`.
const DRAFTS_AHEAD: usize = 4;

/// Lays a draft out, and logs it if it lacks nothing.
pub async fn propose(
    face: &GrpcService,
    request: wire::ProposeRequest,
) -> Result<wire::ProposeResponse, CallError> {
    let wire::ProposeRequest { request, record } = request;
    let room = face.service.admission.room_soon(record.len()).await?;
    let (asker, statement) = with_drafts(face, move |service| {
        let call = Call::Propose { record: &record };
        let asker = service.pending.authenticate(&service.admission, &request, &call)?;
        let statement = service.pending.propose(&service.admission, &asker, &record)?;
        drop(room);
        Ok((asker, statement))
    })
    .await?;
    log_if_complete(&face.service, statement).await;
    Ok(wire::ProposeResponse { draft: Some(show(face, asker, statement).await?) })
}

/// Adds a signature, and logs the draft if it lacks nothing more.
pub async fn cosign(
    face: &GrpcService,
    request: wire::CosignRequest,
) -> Result<wire::CosignResponse, CallError> {
    let wire::CosignRequest { request, statement, signature } = request;
    let statement = statement_id(&statement)?;
    let asker = with_drafts(face, move |service| {
        let line = std::str::from_utf8(&signature).map_err(|_| PendingRefusal::SignatureLine)?;
        let call = Call::Cosign { statement, signature: line };
        let asker = service.pending.authenticate(&service.admission, &request, &call)?;
        service.pending.cosign(&service.admission, &asker, statement, line)?;
        Ok(asker)
    })
    .await?;
    log_if_complete(&face.service, statement).await;
    Ok(wire::CosignResponse { draft: Some(show(face, asker, statement).await?) })
}

/// Keeps a refusal to sign.
pub async fn decline(
    face: &GrpcService,
    request: wire::DeclineRequest,
) -> Result<wire::DeclineResponse, CallError> {
    let wire::DeclineRequest { request, decline } = request;
    let (asker, statement) = with_drafts(face, move |service| {
        let call = Call::Decline { note: &decline };
        let asker = service.pending.authenticate(&service.admission, &request, &call)?;
        let statement = service.pending.decline(&service.admission, &asker, &decline)?;
        Ok((asker, statement))
    })
    .await?;
    Ok(wire::DeclineResponse { draft: Some(show(face, asker, statement).await?) })
}

/// Takes a draft back.
pub async fn withdraw(
    face: &GrpcService,
    request: wire::WithdrawRequest,
) -> Result<wire::WithdrawResponse, CallError> {
    let wire::WithdrawRequest { request, statement } = request;
    let statement = statement_id(&statement)?;
    let asker = with_drafts(face, move |service| {
        let call = Call::Withdraw { statement };
        let asker = service.pending.authenticate(&service.admission, &request, &call)?;
        service.pending.withdraw(&service.admission, &asker, statement)?;
        Ok(asker)
    })
    .await?;
    Ok(wire::WithdrawResponse { draft: Some(show(face, asker, statement).await?) })
}

/// Streams all drafts, or one.
pub async fn list(
    face: &GrpcService,
    request: wire::ListPendingRequest,
    permit: QuotaPermit,
) -> Result<Waiting<wire::PendingDraft>, CallError> {
    let wire::ListPendingRequest { request, statement } = request;
    let statement = statement.map(|statement| statement_id(&statement)).transpose()?;
    let (asker, drafts) = with_drafts(face, move |service| {
        let call = Call::ListPending { statement };
        let asker = service.pending.authenticate(&service.admission, &request, &call)?;
        let mut drafts = service.pending.list(&service.admission, &asker);
        if let Some(statement) = statement {
            drafts.retain(|draft| *draft == statement);
            if drafts.is_empty() {
                return Err(PendingRefusal::NoSuchDraft);
            }
        }
        Ok((asker, drafts))
    })
    .await?;
    let (mut answers, waiting) = Answers::new(DRAFTS_AHEAD, face.idle());
    let face = face.clone();
    tokio::spawn(async move {
        for statement in drafts {
            let shown = match show(&face, asker.clone(), statement).await {
                Ok(draft) => Ok(draft),
                // it has gone meanwhile
                Err(failure) if failure.code == Code::NotFound => continue,
                Err(failure) => Err(failure.into()),
            };
            if answers.send(shown).await.is_err() {
                break;
            }
        }
        drop(permit);
    });
    Ok(waiting)
}

/// Runs something that reads and writes files, away from the threads that serve sockets.
async fn with_drafts<T: Send + 'static>(
    face: &GrpcService,
    work: impl FnOnce(&Service) -> Result<T, PendingRefusal> + Send + 'static,
) -> Result<T, CallError> {
    match blocking(&face.service, work).await {
        Ok(done) => done.map_err(CallError::from),
        Err(_) => Err(CallError::new(Code::Internal, "the request failed", "")),
    }
}

async fn show(
    face: &GrpcService,
    asker: AskingMember,
    statement: StatementId,
) -> Result<wire::PendingDraft, CallError> {
    with_drafts(face, move |service| {
        let view = service.pending.view(&service.admission, &asker, statement);
        view.map(to_wire).ok_or(PendingRefusal::NoSuchDraft)
    })
    .await
}

fn to_wire(view: View) -> wire::PendingDraft {
    let View { draft, lacks, awaits } = view;
    let (state, index) = match draft.state {
        DraftState::Waiting => (wire::PendingState::Waiting, None),
        DraftState::Logged(index) => (wire::PendingState::Logged, Some(index.get())),
        DraftState::Declined => (wire::PendingState::Declined, None),
        DraftState::Withdrawn => (wire::PendingState::Withdrawn, None),
        DraftState::Expired => (wire::PendingState::Expired, None),
    };
    let declines = draft.declines.iter().map(|declined| wire::PendingDecline {
        member: declined.member.clone(),
        note: declined.note.note().to_string().into(),
        at: declined.at,
    });
    wire::PendingDraft {
        statement: hash_bytes(draft.statement().as_hash()),
        record: draft.record.to_bytes().into(),
        declines: declines.collect(),
        proposer: draft.proposer,
        proposed_at: draft.proposed_at,
        expires_at: draft.expires_at,
        state: state.into(),
        since: draft.since,
        index,
        lacks: lacks.into_iter().map(|lack| wire::PendingLack { what: what(lack) }).collect(),
        awaits_you: awaits,
        refusal: draft.refusal.unwrap_or_default(),
    }
}

fn what(lack: MissingSignature) -> Option<What> {
    match lack {
        MissingSignature::Issuer(name) => Some(What::Issuer(name)),
        MissingSignature::Signer(name) => Some(What::Signer(name)),
        MissingSignature::Members { role, needed, signed } => {
            Some(What::Role(wire::PendingRole { role, needed, signed }))
        }
        MissingSignature::Rule(kind) => Some(What::Rule(kind.to_string())),
        _ => None,
    }
}

fn statement_id(bytes: &[u8]) -> Result<StatementId, CallError> {
    Ok(StatementId::from_hash(hash_of(bytes, "statement")?))
}
