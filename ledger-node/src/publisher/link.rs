//! The ways to a witness: over HTTP as C2SP `tlog-witness` says, over gRPC, or within the node.

use std::sync::Arc;
use std::time::Duration;

use ledger_core::witness::{AddCheckpoint, Answer, Refusal};
use ledger_proto::v1::{self as wire, witness_client::WitnessClient};
use tonic::transport::Channel;

use super::plan::Contact;
use crate::transport::{Dialer, within};
use crate::witness::{Witness, WitnessError};

/// How long a witness may take for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of an answer: some signature lines.
const MAX_ANSWER: u64 = 256 << 10;

/// A way to one witness. Connections are kept.
#[derive(Clone)]
pub enum Link {
    /// A C2SP witness.
    Http {
        /// Keeps the connection.
        agent: ureq::Agent,
        /// Where requests go.
        url: Arc<str>,
    },
    /// A node of ours.
    Grpc(WitnessClient<Channel>),
    /// This node's own witness.
    Own(Arc<Witness>),
}

impl Link {
    /// Prepares the way; nothing is connected yet. `None` where the contact cannot be used.
    pub fn open(contact: &Contact, own: Option<&Arc<Witness>>, dialer: &Dialer) -> Option<Link> {
        match contact {
            Contact::Own => own.map(|own| Link::Own(Arc::clone(own))),
            Contact::Http(prefix) => {
                // a witness is where its operator says it is
                let agent = dialer.http_client(TIMEOUT);
                // SPEC tlog-witness/add-checkpoint: POST <submission prefix>/add-checkpoint
                let url = format!("{prefix}/add-checkpoint").into();
                Some(Link::Http { agent, url })
            }
            Contact::Grpc(url) => Some(Link::Grpc(WitnessClient::new(dialer.lazy(url).ok()?))),
        }
    }

    /// Asks for a cosignature.
    ///
    /// # Errors
    /// What kept the witness from answering, for people.
    pub async fn add_checkpoint(&self, request: AddCheckpoint) -> Result<Answer, String> {
        match self {
            Link::Http { agent, url } => {
                let (agent, url) = (agent.clone(), Arc::clone(url));
                let asked = tokio::task::spawn_blocking(move || post(&agent, &url, &request)).await;
                asked.unwrap_or_else(|_| Err("asking failed".into()))
            }
            Link::Grpc(client) => call(client.clone(), &request).await,
            Link::Own(witness) => match witness.add_checkpoint(&request).await {
                Ok(lines) => Ok(Answer::Cosigned(lines)),
                Err(WitnessError::Refused(Refusal::Conflict { size })) => {
                    Ok(Answer::Conflict(size))
                }
                Err(WitnessError::Refused(refusal)) => {
                    Ok(Answer::Refused { status: refusal.status(), text: refusal.to_string() })
                }
                Err(broken) => Err(broken.to_string()),
            },
        }
    }
}

fn post(agent: &ureq::Agent, url: &str, request: &AddCheckpoint) -> Result<Answer, String> {
    let mut response =
        agent.post(url).send(request.to_string().as_bytes()).map_err(|e| e.to_string())?;
    let content_type = response.headers().get("content-type");
    let content_type = content_type.and_then(|value| value.to_str().ok()).map(str::to_owned);
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
    let body = body.map_err(|e| e.to_string())?;
    Answer::parse(status, content_type.as_deref(), &body).map_err(|e| e.to_string())
}

async fn call(
    mut client: WitnessClient<Channel>,
    request: &AddCheckpoint,
) -> Result<Answer, String> {
    let request = wire::AddCheckpointRequest {
        old_size: request.old().get(),
        proof: request
            .proof()
            .hashes()
            .iter()
            .map(|hash| bytes::Bytes::copy_from_slice(hash.as_bytes()))
            .collect(),
        checkpoint: request.checkpoint().to_string().into_bytes().into(),
    };
    let answer = within(TIMEOUT, client.add_checkpoint(request)).await;
    let answer = answer.map_err(|e| e.message().to_owned())?;
    read(answer.into_inner()).ok_or_else(|| "the witness gave no answer that can be read".into())
}

fn read(answer: wire::AddCheckpointResponse) -> Option<Answer> {
    use wire::add_checkpoint_response::Answer as Wire;
    match answer.answer? {
        Wire::Cosignatures(lines) => Answer::parse(200, None, &lines).ok(),
        Wire::Refused(wire::WitnessRefusal { size: Some(size), .. }) => {
            Some(Answer::Conflict(ledger_core::TreeSize::new(size).ok()?))
        }
        Wire::Refused(wire::WitnessRefusal { status, message, .. }) => {
            let status = u16::try_from(status).ok()?;
            Answer::parse(status, None, message.as_bytes()).ok()
        }
    }
}
