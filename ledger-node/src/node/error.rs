//! Why a node does not start.

use crate::gossip::GossipError;
use crate::known_logs::LogsError;
use crate::log_dir::{LogDirError, from_log_dir};
use crate::mirror::MirrorError;
use crate::publisher::PublisherError;
use crate::sequencer::SequencerError;
use crate::witness::WitnessError;
use ledger_core::Hint;
use ledger_core::checkpoint::ParseCheckpointError;
use std::net::SocketAddr;

/// Why a node does not start. No socket was opened before everything else was sound.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The directory of the log.
    #[error(transparent)]
    Dir(#[from] LogDirError),
    /// The log's name.
    #[error("the charter's log name: {0}")]
    Origin(#[from] ParseCheckpointError),
    /// Nothing could be published.
    #[error(transparent)]
    Publisher(#[from] PublisherError),
    /// The first head could not be published.
    #[error(transparent)]
    Sequencer(#[from] SequencerError),
    /// What the node needs to be a witness.
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// What the node needs to be a mirror.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// The list of logs that the node knows.
    #[error(transparent)]
    Logs(#[from] LogsError),
    /// What the node has heard of logs.
    #[error(transparent)]
    Gossip(#[from] GossipError),
    /// A socket could not be opened.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The gRPC descriptors are damaged: a fault of the build.
    #[error("cannot serve gRPC reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

from_log_dir!(StartError);

impl Hint for StartError {
    fn hint(&self) -> &'static str {
        match self {
            StartError::Dir(error) => error.hint(),
            StartError::Publisher(error) => error.hint(),
            StartError::Witness(error) => error.hint(),
            StartError::Mirror(error) => error.hint(),
            StartError::Logs(_) => "mend the file; see `ledger witness --help`",
            StartError::Gossip(error) => error.hint(),
            StartError::Listen { .. } => "is another program using the port? see --grpc and --http",
            StartError::Origin(_) => "was this log made with ledger-node init?",
            StartError::Sequencer(error) => error.hint(),
            StartError::Reflection(_) => "check the disk and start again",
        }
    }
}
