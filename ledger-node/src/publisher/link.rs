//! The ways to a witness: over HTTP as C2SP `tlog-witness` says, over gRPC, or within the node.

use std::sync::Arc;
use std::time::Duration;

use ledger_core::checkpoint::{ClaimedCheckpoint, Origin};
use ledger_core::note::MAX_NOTE_BYTES;
use ledger_core::witness::{AddCheckpoint, Refusal, WitnessAnswer, origin_hash};
use ledger_proto::v1::{self as wire, witness_client::WitnessClient};
use tonic::Code;
use tonic::transport::Channel;

use crate::address::Contact;
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
        /// The monitoring prefix, without a slash at its end.
        monitoring: Arc<str>,
    },
    /// A node of ours.
    Grpc(WitnessClient<Channel>),
    /// This node's own witness.
    Own(Arc<Witness>),
}

impl Link {
    /// Prepares the way; nothing is connected yet. `None` where the contact cannot be used. A
    /// witness over HTTP shows what it cosigned below `monitoring`, or where it is asked.
    pub fn open(
        contact: &Contact,
        monitoring: Option<&str>,
        own: Option<&Arc<Witness>>,
        dialer: &Dialer,
    ) -> Option<Link> {
        match contact {
            Contact::Own => own.map(|own| Link::Own(Arc::clone(own))),
            Contact::Http(prefix) => {
                // a witness is where its operator says it is
                let agent = dialer.http_client(TIMEOUT);
                // SPEC tlog-witness/add-checkpoint: POST <submission prefix>/add-checkpoint
                let url = format!("{prefix}/add-checkpoint").into();
                let monitoring = monitoring.unwrap_or(prefix).into();
                Some(Link::Http { agent, url, monitoring })
            }
            Contact::Grpc(url) => Some(Link::Grpc(WitnessClient::new(dialer.lazy(url).ok()?))),
        }
    }

    /// Asks for a cosignature.
    ///
    /// # Errors
    /// What kept the witness from answering, for people.
    pub async fn add_checkpoint(&self, request: AddCheckpoint) -> Result<WitnessAnswer, String> {
        match self {
            Link::Http { agent, url, .. } => {
                let (agent, url) = (agent.clone(), Arc::clone(url));
                let asked = tokio::task::spawn_blocking(move || post(&agent, &url, &request)).await;
                asked.unwrap_or_else(|_| Err("asking failed".into()))
            }
            Link::Grpc(client) => call(client.clone(), &request).await,
            Link::Own(witness) => match witness.add_checkpoint(&request).await {
                Ok(lines) => Ok(WitnessAnswer::Cosigned(lines)),
                Err(WitnessError::Refused(Refusal::Conflict { size })) => {
                    Ok(WitnessAnswer::Conflict(size))
                }
                Err(WitnessError::Refused(refusal)) => Ok(WitnessAnswer::Refused {
                    status: refusal.status(),
                    text: refusal.to_string(),
                }),
                Err(broken) => Err(broken.to_string()),
            },
        }
    }

    /// Reads what the witness cosigned last for a log, as it shows it to monitors. Nothing in it
    /// was verified, nor that it is of that log.
    ///
    /// # Errors
    /// Why it shows no checkpoint, for people.
    pub async fn checkpoint(&self, origin: &Origin) -> Result<ClaimedCheckpoint, String> {
        let bytes = match self {
            Link::Http { agent, monitoring, .. } => {
                // SPEC tlog-witness/monitor-retrieval-mechanism: GET <prefix>/<hash>/checkpoint
                let url = format!("{monitoring}/{}/checkpoint", origin_hash(origin));
                let agent = agent.clone();
                let read = tokio::task::spawn_blocking(move || get(&agent, &url)).await;
                read.unwrap_or_else(|_| Err("reading failed".into()))?
            }
            Link::Grpc(client) => get_witnessed(client.clone(), origin).await?,
            Link::Own(witness) => {
                return witness.checkpoint(&origin_hash(origin)).ok_or_else(|| NONE.to_owned());
            }
        };
        ClaimedCheckpoint::parse(&bytes).map_err(|e| format!("what it shows is no checkpoint: {e}"))
    }
}

/// What a witness says that has cosigned no head of a log.
const NONE: &str = "it shows no checkpoint of this log";

fn get(agent: &ureq::Agent, url: &str) -> Result<Vec<u8>, String> {
    let mut response = agent.get(url).call().map_err(|e| e.to_string())?;
    match response.status().as_u16() {
        200 => {}
        404 => return Err(NONE.to_owned()),
        other => return Err(format!("it shows no checkpoint: {url} is answered with {other}")),
    }
    let body = response.body_mut().with_config().limit(MAX_NOTE_BYTES as u64).read_to_vec();
    body.map_err(|e| format!("what it shows is no checkpoint: {e}"))
}

async fn get_witnessed(
    mut client: WitnessClient<Channel>,
    origin: &Origin,
) -> Result<Vec<u8>, String> {
    let request = wire::GetWitnessedCheckpointRequest { origin: origin.as_str().to_owned() };
    match within(TIMEOUT, client.get_witnessed_checkpoint(request)).await {
        Ok(answer) => Ok(answer.into_inner().checkpoint.to_vec()),
        Err(status) if status.code() == Code::NotFound => Err(NONE.to_owned()),
        Err(status) => Err(format!("it shows no checkpoint: {}", status.message())),
    }
}

fn post(agent: &ureq::Agent, url: &str, request: &AddCheckpoint) -> Result<WitnessAnswer, String> {
    let mut response =
        agent.post(url).send(request.to_string().as_bytes()).map_err(|e| e.to_string())?;
    let content_type = response.headers().get("content-type");
    let content_type = content_type.and_then(|value| value.to_str().ok()).map(str::to_owned);
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
    let body = body.map_err(|e| e.to_string())?;
    WitnessAnswer::parse(status, content_type.as_deref(), &body).map_err(|e| e.to_string())
}

async fn call(
    mut client: WitnessClient<Channel>,
    request: &AddCheckpoint,
) -> Result<WitnessAnswer, String> {
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

fn read(answer: wire::AddCheckpointResponse) -> Option<WitnessAnswer> {
    use wire::add_checkpoint_response::Answer as Wire;
    match answer.answer? {
        Wire::Cosignatures(lines) => WitnessAnswer::parse(200, None, &lines).ok(),
        Wire::Refused(wire::WitnessRefusal { size: Some(size), .. }) => {
            Some(WitnessAnswer::Conflict(ledger_core::TreeSize::new(size).ok()?))
        }
        Wire::Refused(wire::WitnessRefusal { status, message, .. }) => {
            let status = u16::try_from(status).ok()?;
            WitnessAnswer::parse(status, None, message.as_bytes()).ok()
        }
    }
}
