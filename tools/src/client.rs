//! A client for the node's gRPC interface. Its failures say what to do; its answers are not yet
//! verified.

use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::evidence::{EvidenceId, MAX_EVIDENCE_BYTES};
use ledger_core::hash::Hash;
use ledger_node::transport::{self, DialError, endpoint, grpc_url};
use ledger_proto::v1;
use ledger_proto::v1::gossip_client::GossipClient;
use ledger_proto::v1::ledger_client::LedgerClient;
use ledger_proto::v1::mirror_client::MirrorClient;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::failure::Failure;
use crate::reach;

/// Limit on the bytes of a message: the largest authority bundle and its message fields.
const MAX_ANSWER: usize = ledger_core::authority::MAX_BUNDLE_BYTES + 1024;

/// Limit on the evidence ids that a node may list, above what a node keeps.
const MAX_LISTED: usize = 65_536;

/// How long connecting may take.
const CONNECT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);
/// How long a response may take, and each message of a streamed response.
const ANSWER_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(60);

/// The address of the node.
#[derive(Debug, Clone, clap::Args)]
pub struct NodeArgs {
    /// The node's gRPC address: grpc://HOST:PORT, or grpcs://HOST:PORT with TLS
    #[arg(long, value_name = "URL", env = "LEDGER_NODE")]
    pub node: Option<String>,
}

/// A connection to a node.
#[derive(Debug, Clone)]
pub struct Node {
    client: LedgerClient<Channel>,
    channel: Channel,
    url: String,
}

/// Identifies the leaf whose proof is requested.
#[derive(Debug, Clone, Copy)]
pub enum LeafName {
    /// Its index.
    Index(u64),
    /// The statement id of its record.
    Statement([u8; 32]),
}

impl NodeArgs {
    /// Connects to the node.
    ///
    /// # Errors
    /// [`Failure`] when no address is given, or no node answers.
    pub async fn connect(&self) -> Result<Node, Failure> {
        match &self.node {
            Some(url) => Node::connect(url).await,
            None => Err(Failure::usage(
                "no node was named",
                "give --node URL or set LEDGER_NODE, for instance http://127.0.0.1:7780",
            )),
        }
    }
}

impl Node {
    /// Connects to an address.
    ///
    /// # Errors
    /// [`Failure`] when `url` is not an address, or no node answers.
    pub async fn connect(url: &str) -> Result<Node, Failure> {
        let full =
            if url.contains("://") { grpc_url(url) } else { grpc_url(&format!("grpc://{url}")) };
        let no_address = |why: &dyn std::fmt::Display| {
            let hint = "an address looks like grpc://HOST:PORT, or grpcs://HOST:PORT with TLS";
            Failure::usage(format!("--node {url}: {why}"), hint)
        };
        let full = full.ok_or_else(|| no_address(&"it is not a gRPC address"))?;
        if !url.contains("://") && !is_of_this_machine(&full) {
            return Err(no_address(&"it does not say whether to use TLS"));
        }
        let endpoint = endpoint(&full, CONNECT_TIMEOUT).map_err(|e| no_address(&e))?;
        let connected = reach::dialer().connect(&endpoint).await;
        let channel = connected.map_err(|e| {
            let hint = match why_tls(&e) {
                true => "check whose certificate this is; --ca FILE adds a certificate authority",
                false => "is the node running, and is this the gRPC address that `serve` printed?",
            };
            Failure::environment(format!("cannot connect to {full}: {}", causes(&e)), hint)
        })?;
        let client = LedgerClient::new(channel.clone()).max_decoding_message_size(MAX_ANSWER);
        Ok(Node { client, channel, url: full })
    }

    /// The address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The generated client, for streaming calls.
    pub fn client(&mut self) -> &mut LedgerClient<Channel> {
        &mut self.client
    }

    /// The log's name and keys, as the node claims them.
    ///
    /// # Errors
    /// [`Failure`] when the call fails.
    pub async fn log(&mut self) -> Result<v1::GetLogResponse, Failure> {
        let answer = within(self.client.get_log(v1::GetLogRequest {})).await;
        answer.map(tonic::Response::into_inner).map_err(|e| failure(&e))
    }

    /// The latest published checkpoint.
    ///
    /// # Errors
    /// [`Failure`] when the call fails.
    pub async fn checkpoint(&mut self) -> Result<Vec<u8>, Failure> {
        let answer = within(self.client.get_checkpoint(v1::GetCheckpointRequest {})).await;
        answer.map(|a| a.into_inner().checkpoint.to_vec()).map_err(|e| failure(&e))
    }

    /// The state of the log's witnesses.
    ///
    /// # Errors
    /// [`Failure`] when the call fails.
    pub async fn witnesses(&mut self) -> Result<v1::GetWitnessesResponse, Failure> {
        let answer = within(self.client.get_witnesses(v1::GetWitnessesRequest {})).await;
        answer.map(tonic::Response::into_inner).map_err(|e| failure(&e))
    }

    /// The logs that the node mirrors.
    ///
    /// # Errors
    /// [`Failure`] when the call fails.
    pub async fn mirrored(&mut self) -> Result<v1::ListMirroredResponse, Failure> {
        let mut client =
            MirrorClient::new(self.channel.clone()).max_decoding_message_size(MAX_ANSWER);
        let answer = within(client.list_mirrored(v1::ListMirroredRequest {})).await;
        answer.map(tonic::Response::into_inner).map_err(|e| failure(&e))
    }

    /// What the node knows about all logs, and the state of its peers.
    ///
    /// # Errors
    /// [`Failure`] when the call fails.
    pub async fn gossip(&mut self) -> Result<v1::GetGossipResponse, Failure> {
        let answer = within(self.gossip_client().get_gossip(v1::GetGossipRequest {})).await;
        answer.map(tonic::Response::into_inner).map_err(|e| failure(&e))
    }

    /// The ids of the evidence that the node claims to hold, sorted.
    ///
    /// # Errors
    /// [`Failure`] when the call fails.
    pub async fn evidence_ids(&mut self) -> Result<Vec<EvidenceId>, Failure> {
        let request = v1::ListEvidenceRequest {};
        let answer = within(self.gossip_client().list_evidence(request)).await;
        let mut listed = answer.map_err(|e| failure(&e))?.into_inner();
        let mut ids: Vec<EvidenceId> = Vec::new();
        while let Some(summary) = within(listed.message()).await.map_err(|e| failure(&e))? {
            let id = <[u8; 32]>::try_from(&*summary.id)
                .map_err(|_| wrong_answer("an evidence id is not 32 bytes long"))?;
            let id = EvidenceId::from_hash(Hash::from_bytes(id));
            if ids.last().is_some_and(|last| *last >= id) || ids.len() >= MAX_LISTED {
                return Err(wrong_answer("its list of evidence is not sorted, or is too long"));
            }
            ids.push(id);
        }
        Ok(ids)
    }

    /// The file that the node sends for this id, not yet verified.
    ///
    /// # Errors
    /// [`Failure`] when the call fails.
    pub async fn evidence(&mut self, id: EvidenceId) -> Result<Vec<u8>, Failure> {
        let request = v1::GetEvidenceRequest { id: id.as_hash().as_bytes().to_vec().into() };
        let answer = within(self.gossip_client().get_evidence(request)).await;
        answer.map(|answer| answer.into_inner().file.to_vec()).map_err(|e| failure(&e))
    }

    fn gossip_client(&self) -> GossipClient<Channel> {
        let most = MAX_ANSWER.max(MAX_EVIDENCE_BYTES + 1024);
        GossipClient::new(self.channel.clone()).max_decoding_message_size(most)
    }

    /// The bytes of one entry, not yet verified.
    ///
    /// # Errors
    /// [`Failure`] when the call fails.
    pub async fn entry(&mut self, index: u64) -> Result<Vec<u8>, Failure> {
        let request = v1::GetEntriesRequest { start: index, count: Some(1) };
        let mut entries = match within(self.client.get_entries(request)).await {
            Ok(answer) => answer.into_inner(),
            Err(status) if status.code() == Code::OutOfRange => {
                return Err(self.unpublished(index).await);
            }
            Err(status) => return Err(failure(&status)),
        };
        match within(entries.message()).await.map_err(|e| failure(&e))? {
            Some(entry) if entry.index == index => Ok(entry.entry.to_vec()),
            Some(entry) => Err(wrong_answer(format!("it sent entry {} instead", entry.index))),
            None => Err(self.unpublished(index).await),
        }
    }

    /// The failure for an entry that the node does not send. It blames no party: the entry may not
    /// exist, or may still wait for the quorum.
    async fn unpublished(&mut self, index: u64) -> Failure {
        let shown = match self.checkpoint().await {
            Ok(shown) => shown,
            Err(failure) => return failure,
        };
        let size = match ClaimedCheckpoint::parse(&shown) {
            Ok(claimed) => claimed.checkpoint().head().size,
            Err(error) => return wrong_answer(error),
        };
        Failure::refused(
            format!("the node sent no entry {index}: the log has published {size} entries, from 0"),
            "the entry does not exist, or waits for the log's witnesses: see `ledger witness status`",
        )
    }

    /// The index and the bytes of the entry with this statement id, not yet verified.
    ///
    /// # Errors
    /// [`Failure`] when the call fails.
    pub async fn lookup(&mut self, statement: [u8; 32]) -> Result<(u64, Vec<u8>), Failure> {
        let key = Some(v1::lookup_request::Key::Statement(statement.to_vec().into()));
        let answer = within(self.client.lookup(v1::LookupRequest { key })).await;
        answer.map(|a| a.into_inner()).map(|a| (a.index, a.entry.to_vec())).map_err(|e| failure(&e))
    }

    /// The inclusion proof of a leaf in the published tree, or in the tree of size `tree_size`.
    ///
    /// # Errors
    /// [`Failure`] when the call fails.
    pub async fn inclusion(
        &mut self,
        leaf: LeafName,
        tree_size: Option<u64>,
    ) -> Result<v1::GetInclusionProofResponse, Failure> {
        use v1::get_inclusion_proof_request::Leaf;
        let leaf = Some(match leaf {
            LeafName::Index(index) => Leaf::Index(index),
            LeafName::Statement(id) => Leaf::Statement(id.to_vec().into()),
        });
        let request = v1::GetInclusionProofRequest { leaf, tree_size };
        let answer = within(self.client.get_inclusion_proof(request)).await;
        answer.map(tonic::Response::into_inner).map_err(|e| failure(&e))
    }

    /// The authority bundle of an entry, not yet verified.
    ///
    /// # Errors
    /// [`Failure`] when the call fails.
    pub async fn authority(&mut self, leaf: LeafName) -> Result<Vec<u8>, Failure> {
        use v1::get_authority_request::Leaf;
        let leaf = Some(match leaf {
            LeafName::Index(index) => Leaf::Index(index),
            LeafName::Statement(id) => Leaf::Statement(id.to_vec().into()),
        });
        let answer = within(self.client.get_authority(v1::GetAuthorityRequest { leaf })).await;
        answer.map(|answer| answer.into_inner().bundle.to_vec()).map_err(|e| failure(&e))
    }

    /// The consistency proof between two tree sizes. Without `new_size`, up to the published tree.
    ///
    /// # Errors
    /// [`Failure`] when the call fails.
    pub async fn consistency(
        &mut self,
        old_size: u64,
        new_size: Option<u64>,
    ) -> Result<v1::GetConsistencyProofResponse, Failure> {
        let request = v1::GetConsistencyProofRequest { old_size, new_size };
        let answer = within(self.client.get_consistency_proof(request)).await;
        answer.map(tonic::Response::into_inner).map_err(|e| failure(&e))
    }
}

/// Whether a URL's host is this machine.
fn is_of_this_machine(url: &str) -> bool {
    let authority = url.split("://").nth(1).unwrap_or_default();
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let host = host.trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

/// An error and its sources, joined by colons.
fn causes(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    let mut said: Vec<String> = chain.map(ToString::to_string).collect();
    // some errors print the same text as their source
    said.dedup();
    said.join(": ")
}

/// Whether the connection was made and the TLS handshake failed.
fn why_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut chain = std::iter::successors(Some(error), |error| error.source());
    chain.any(|error| matches!(error.downcast_ref(), Some(DialError::Tls(_))))
}

/// The async runtime for commands that call a node.
///
/// # Errors
/// [`Failure`] when the operating system provides no event loop or threads.
pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(
        |e| {
            Failure::environment(
                format!("cannot start the runtime: {e}"),
                "check the limits on threads and open files",
            )
        },
    )
}

/// The failure for an answer that does not fit the request.
pub fn wrong_answer(what: impl std::fmt::Display) -> Failure {
    Failure::refused(
        format!("the node's answer is wrong: {what}"),
        "ask the log's operator, or another node",
    )
}

/// Turns a gRPC status into a failure: refused if the request is at fault, else an environment
/// failure.
pub fn failure(status: &Status) -> Failure {
    let (message, hint) = match status.message().split_once("\nhint: ") {
        Some((message, hint)) => (message.to_owned(), hint.to_owned()),
        None => (status.message().to_owned(), String::new()),
    };
    refusal(status.code(), message, hint)
}

/// A failure from the parts of a status.
pub fn refusal(code: Code, message: String, hint: String) -> Failure {
    let message = if message.is_empty() { code.description().to_owned() } else { message };
    let refused = matches!(
        code,
        Code::InvalidArgument
            | Code::PermissionDenied
            | Code::AlreadyExists
            | Code::Unimplemented
            | Code::NotFound
            | Code::FailedPrecondition
            | Code::OutOfRange
    );
    let or = |hint: String, fallback: &str| {
        if hint.is_empty() { fallback.to_owned() } else { hint }
    };
    if refused {
        Failure::refused(message, or(hint, "see the node's message above"))
    } else {
        Failure::environment(
            message,
            or(
                hint,
                "is this the node's gRPC address, and not its HTTP address? if it uses TLS, \
                 write grpcs://; else try again in a moment",
            ),
        )
    }
}

/// A node's own account of why it cannot reach another node, on one line.
pub fn trouble(text: &str) -> String {
    let text = text.replace("\nhint: ", "; ");
    match text.contains("UnknownIssuer") {
        true => format!("{text}; name its certificate as `ca` below [tls] in config.toml"),
        false => text,
    }
}

/// Runs a call with a time limit, so that a node that never finishes its answer does not block the
/// command.
pub async fn within<T>(call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    transport::within(ANSWER_TIMEOUT, call).await
}

/// An id that a node sent, in hex.
pub fn statement_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_a_node_from_others_is_one_line_that_says_what_to_do() {
        let text = trouble("this node answers few\nhint: name your node_key");
        assert_eq!(text, "this node answers few; name your node_key");
        let text = trouble("io: invalid peer certificate: UnknownIssuer");
        assert!(
            text.ends_with("; name its certificate as `ca` below [tls] in config.toml"),
            "{text}"
        );
    }
}
