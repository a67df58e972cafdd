//! The command line of `ledger-node`, as data: the program parses with it, and `ledger man` and
//! `ledger completions` describe it.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::address::Contact;

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
    /// Bring back what a restored backup misses, out of another copy of the log; or the whole log,
    /// where its directory is gone. The node must not be running; nothing is written before all of
    /// it is proven to be the log's own.
    #[command(after_help = "Example:\n  ledger-node recover --dir log --from \
                            https://mirror.example/mirror/HASH\n\nExample: the directory is gone, \
                            but not the key\n  ledger-node recover --dir log --from \
                            https://mirror.example/mirror/HASH --log-key log.key --anchor \
                            STATEMENT\n\nIf the log had signed more than the copy has, signing \
                            anew would fork it: a node that has witnesses asks them at its start; \
                            without any, be sure.")]
    Recover(RecoverArgs),
    /// Make a certificate and its key for TLS, signed by nobody else: others believe it once they
    /// are given the file.
    #[command(
        after_help = "Example:\n  ledger-node certificate --name node.example --name 10.0.0.7 \
                            --certificate tls.pem --key tls.key\n\nThen, in config.toml:\n  [tls]\n  \
                            certificate = \"tls.pem\"\n  key = \"tls.key\"\n\nOthers name the \
                            certificate: `ledger --ca tls.pem ...`, or `ca` below their own [tls]."
    )]
    Certificate(CertificateArgs),
}

/// What a certificate is for.
#[derive(Debug, Args)]
pub struct CertificateArgs {
    /// A host name or IP address by which others reach the node; may be given several times.
    #[arg(long = "name", value_name = "HOST", required = true)]
    pub names: Vec<String>,
    /// Where the certificate is written.
    #[arg(long, value_name = "FILE")]
    pub certificate: PathBuf,
    /// Where its key is written.
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
}

/// The log's directory.
#[derive(Debug, Args)]
pub struct DirArgs {
    /// The log's directory.
    #[arg(long)]
    pub dir: PathBuf,
}

/// From where a log is brought up to date.
#[derive(Debug, Args)]
pub struct RecoverArgs {
    /// The log's directory.
    #[arg(long)]
    pub dir: PathBuf,
    /// A copy of the log's site: a URL of its tiles (a mirror's, for instance), or a directory.
    #[arg(long, value_name = "URL|DIR")]
    pub from: String,
    /// Certificates of authorities to believe beside the web's, as PEM.
    #[arg(long, value_name = "FILE", env = "LEDGER_CA")]
    pub ca: Option<PathBuf>,
    /// Make the log again in a new directory, to be signed with this key.
    #[arg(long, value_name = "FILE", requires = "anchor")]
    pub log_key: Option<PathBuf>,
    /// The statement of the charter that the copy must begin with.
    #[arg(long, value_name = "STATEMENT", requires = "log_key")]
    pub anchor: Option<String>,
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
    /// A key that this node witnesses with, for itself and others; may be given several times.
    #[arg(long = "witness-key", value_name = "FILE")]
    pub witness_keys: Vec<PathBuf>,
    /// Where a witness of the policy is reached, if the policy does not say so; may be given
    /// several times.
    #[arg(long = "witness-url", value_name = "NAME=URL", value_parser = name_and_url)]
    pub witness_urls: Vec<(String, String)>,
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
    /// Listen beyond this machine without TLS: a proxy, a tunnel or a private network keeps others
    /// from reading along.
    #[arg(long)]
    pub plain: bool,
    /// Sign although this witness, by its name in the policy, does not answer, or says that it saw
    /// more of this log; may be given several times. Only if you know that the witness is gone or
    /// wrong.
    #[arg(long = "without-witness", value_name = "NAME")]
    pub without_witnesses: Vec<String>,
    /// Sign although witnesses say another time. Only if you know that the clock is right.
    #[arg(long)]
    pub trust_clock: bool,
    /// For tests alone: be a peer that no honest node is.
    #[cfg(feature = "misbehave")]
    #[arg(long, value_name = "KIND", hide = true)]
    pub misbehave: Option<crate::misbehave::Kind>,
}

/// Splits `NAME=URL`.
fn name_and_url(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, url)) if !name.is_empty() && Contact::parse(url).is_some() => {
            Ok((name.to_owned(), url.to_owned()))
        }
        _ => Err(
            "expected NAME=URL, where the URL begins with http://, https://, grpc:// or grpcs://"
                .into(),
        ),
    }
}
