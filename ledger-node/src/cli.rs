//! The command line of `ledger-node`, as data: the program parses with it, and `ledger man` and
//! `ledger completions` describe it.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Runs a node of the transparency ledger: one append-only log, its storage, its interfaces.
#[derive(Debug, Parser)]
#[command(name = "ledger-node", version, max_term_width = 100)]
#[command(after_help = "Example:\n  ledger-node init --dir log --charter charter.record \
                        --log-key log.key\n  ledger-node serve --dir log")]
pub struct Cli {
    /// Print one JSON object on standard output instead of text.
    #[arg(long, global = true)]
    pub json: bool,
    /// Print nothing but errors.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the node can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a log: the charter becomes its first entry.
    #[command(after_help = "Example:\n  ledger-node init --dir log --charter charter.record \
                            --log-key log.key")]
    Init(InitArgs),
    /// Serve a log until it is told to stop (Ctrl-C or SIGTERM).
    #[command(after_help = "Example:\n  ledger-node serve --dir log --grpc 127.0.0.1:7780 --http \
                            127.0.0.1:7781\n\nSet LEDGER_LOG=debug for one line a batch.")]
    Serve(ServeArgs),
    /// Rebuild everything that is derived from the entries. The node must not be running.
    #[command(after_help = "Example:\n  ledger-node reindex --dir log")]
    Reindex(DirArgs),
}

/// The log's directory.
#[derive(Debug, Args)]
pub struct DirArgs {
    /// The log's directory.
    #[arg(long)]
    pub dir: PathBuf,
}

/// What a log is made from.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The directory to make: it must be missing or empty.
    #[arg(long)]
    pub dir: PathBuf,
    /// The charter, signed by every founding member.
    #[arg(long)]
    pub charter: PathBuf,
    /// The key that signs the log's heads.
    #[arg(long)]
    pub log_key: PathBuf,
    /// A key with which this node witnesses its own log, if the policy names it, and others; may be
    /// given several times.
    #[arg(long = "witness-key", value_name = "FILE", alias = "cosigner")]
    pub cosigners: Vec<PathBuf>,
}

/// How a log is served.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The log's directory.
    #[arg(long)]
    pub dir: PathBuf,
    /// Another configuration file than DIR/config.toml.
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Where gRPC listens; port 0 takes any free one.
    #[arg(long, value_name = "ADDR")]
    pub grpc: Option<SocketAddr>,
    /// Where HTTP listens; port 0 takes any free one.
    #[arg(long, value_name = "ADDR")]
    pub http: Option<SocketAddr>,
}
