//! Gossip over gRPC: messages to core types and back, and what the node shows of what it knows.

use bytes::Bytes;
use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::gossip::{LogStanding, PeerBudget};
use ledger_proto::v1::{self as wire, gossip_server};
use prost::Message as _;
use tonic::{Code, Request, Response, Status};

use super::answers::{Answers, Waiting};
use super::memory_limit::MemoryPermit;
use super::service::GrpcService;
use super::status::CallError;
use crate::gossip::Reply;
use crate::gossip::peers::Sender;
use crate::transport::Caller;
use crate::wire::gossip::{
    Malformed, PeerReply, busy, evidence_id, from_wire, id_bytes, summary, to_wire,
};

/// Evidence of one listing that waits for a slow reader.
const LISTED_AHEAD: usize = 16;

#[tonic::async_trait]
impl gossip_server::Gossip for GrpcService {
    async fn tell(
        &self,
        request: Request<wire::GossipMessage>,
    ) -> Result<Response<wire::GossipMessage>, Status> {
        let from = self.service.gossip.sender(request.extensions().get::<Caller>().copied());
        if self.service.known_nodes_only && !matches!(from, Sender::Node(_)) {
            let why = "this node answers only nodes that show a key which its charter names";
            let hint = "name your node_key below [tls], and have a membership record add it, or its operator put it into `peers`";
            return Err(CallError::new(Code::PermissionDenied, why, hint).into());
        }
        let gossip = std::sync::Arc::clone(&self.service.gossip);
        let place = request.extensions().get::<MemoryPermit>().cloned();
        let message = request.into_inner();
        #[cfg(feature = "misbehave")]
        if let Some(answer) = crate::misbehave::answer(&message) {
            return Ok(Response::new(answer));
        }
        let received = message.encoded_len();
        // nothing in it is looked at before
        if let Err(after) = gossip.accepts(&from, received) {
            let answer = busy(after);
            gossip.count_bytes(received, answer.encoded_len());
            return Ok(Response::new(answer));
        }
        let turn = gossip.acquire().await;
        // signatures are checked and evidence is kept: nothing for the runtime's threads
        let told = tokio::task::spawn_blocking(move || {
            // it counts as long as it is there, also when whoever sent it has gone
            let _held = (place, turn);
            match from_wire(message) {
                Ok(PeerReply::Message(message)) => gossip.answer(&from, message),
                Ok(PeerReply::Busy(_)) => {
                    gossip.refuse_for_fault(&from, &Malformed("askers are never busy"))
                }
                Err(malformed) => gossip.refuse_for_fault(&from, &malformed),
            }
        });
        let told = told.await;
        let told = told.map_err(|e| CallError::new(Code::Internal, e, "tell the operator"))?;
        let answer = match told {
            Reply::Answer(message) => to_wire(&message),
            Reply::Busy(after) => busy(after),
        };
        self.service.gossip.count_bytes(received, answer.encoded_len());
        Ok(Response::new(answer))
    }

    async fn get_gossip(
        &self,
        _: Request<wire::GetGossipRequest>,
    ) -> Result<Response<wire::GetGossipResponse>, Status> {
        let status = self.service.gossip.status();
        let after = |conduct: &PeerBudget| conduct.due_at().0.saturating_sub(status.now.0);
        let peers = status.peers.iter().map(|peer| wire::GossipPeer {
            url: peer.url.clone(),
            met_at: peer.met.map(|(at, _)| at),
            took_us: peer.met.map(|(_, took)| took),
            failures: peer.budget.failures(),
            faults: peer.budget.faults(),
            trouble: peer.trouble.clone().or(peer.doubt.clone()).unwrap_or_default(),
            retry_after: after(&peer.budget),
            limited: peer.budget.is_limited(status.now),
        });
        let limited = status.limited.iter().map(|(caller, asker)| wire::GossipLimited {
            caller: caller.clone(),
            faults: asker.conduct.faults(),
            trouble: asker.why(status.now),
            retry_after: after(&asker.conduct),
        });
        let logs = status.logs.iter().map(|log| {
            let evidence = match &log.standing {
                LogStanding::Convicted(id) => id.to_string(),
                _ => String::new(),
            };
            let note = |head: &ClaimedCheckpoint| Bytes::from(head.to_string().into_bytes());
            let open = log.open.iter();
            wire::GossipLog {
                origin: log.origin.to_string(),
                adopted: log.adopted.as_ref().map(note),
                cosigned_at: log.cosigned_at,
                open: open
                    .map(|(h, alarm)| wire::GossipOpen { head: note(h), alarm: *alarm })
                    .collect(),
                standing: self.service.gossip.state(log).word().to_owned(),
                evidence,
            }
        });
        let convictions = status.convictions.iter().map(|(id, conviction)| {
            let culprit = conviction.culprit();
            wire::GossipConviction {
                evidence: id_bytes(id),
                kind: conviction.kind().to_owned(),
                origin: culprit.origin().to_owned(),
                role: culprit.role().to_owned(),
                vkeys: culprit.keys().iter().map(ToString::to_string).collect(),
            }
        });
        Ok(Response::new(wire::GetGossipResponse {
            peers: peers.collect(),
            logs: logs.collect(),
            limited: limited.collect(),
            rounds: status.figures.met,
            idle_rounds: status.figures.idle,
            failed_rounds: status.figures.failed,
            convictions: convictions.collect(),
            evidence: status.evidence as u64,
        }))
    }

    type ListEvidenceStream = Waiting<wire::EvidenceSummary>;

    async fn list_evidence(
        &self,
        request: Request<wire::ListEvidenceRequest>,
    ) -> Result<Response<Self::ListEvidenceStream>, Status> {
        let turn = self.acquire(&self.entry_streams, request.extensions())?;
        let store = std::sync::Arc::clone(self.service.gossip.evidence());
        let (mut answers, waiting) = Answers::new(LISTED_AHEAD, self.idle());
        tokio::spawn(async move {
            for id in store.ids() {
                // one at a time, and none while its caller is waited for: they may be large
                let Some(summary) = store.get(id).map(|evidence| summary(&evidence)) else {
                    continue;
                };
                if answers.send(Ok(summary)).await.is_err() {
                    break;
                }
            }
            drop(turn);
        });
        Ok(Response::new(waiting))
    }

    async fn get_evidence(
        &self,
        request: Request<wire::GetEvidenceRequest>,
    ) -> Result<Response<wire::GetEvidenceResponse>, Status> {
        let id = evidence_id(&request.into_inner().id).map_err(|_| {
            let hint = "an id is the SHA-256 of the file: 32 bytes";
            CallError::new(Code::InvalidArgument, "this is no id of evidence", hint)
        })?;
        let evidence = self.service.gossip.evidence().get(id).ok_or_else(|| {
            let hint = "`ledger evidence list` shows what there is";
            CallError::new(Code::NotFound, format!("there is no evidence {id} here"), hint)
        })?;
        let file = Bytes::copy_from_slice(evidence.as_str().as_bytes());
        Ok(Response::new(wire::GetEvidenceResponse { file }))
    }
}
