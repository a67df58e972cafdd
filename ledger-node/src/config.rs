//! `config.toml`: what an operator sets. Checked whole before anything is opened.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use ledger_core::Hint;
use ledger_core::note::{ParseKeyError, SignerKey};
use serde::{Deserialize, Serialize};

use crate::address::{ConfiguredPeer, Contact};
use crate::store::disk::{DEFAULT_SEGMENT_BYTES, Layout, MIN_SEGMENT_BYTES};
use crate::transport::{Limits, LimitsError, UnusableNodeKey};

/// Where the node listens unless told otherwise.
const GRPC: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7780);
const HTTP: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7781);

/// Bytes of the largest segment: it is read into memory at every start.
const MAX_SEGMENT_BYTES: u64 = 1 << 30;

/// Days that a draft waits for signatures unless told otherwise: a fortnight's absence loses none.
const PENDING_DAYS: u32 = 14;

/// Days that a draft may wait at most: its proposer has changed its mind or its keys by then.
const MAX_PENDING_DAYS: u32 = 366;

/// Minutes after which a quiet log has its head cosigned again unless told otherwise: readers who
/// want fresh cosignatures commonly ask for an hour.
const REWITNESS_MINUTES: u32 = 15;

/// Minutes that cosignatures of a quiet log may grow old at most.
const MAX_REWITNESS_MINUTES: u32 = 24 * 60;

/// Seconds between rounds of gossip unless told otherwise, and at most.
const GOSSIP_SECONDS: u32 = 10;
const MAX_GOSSIP_SECONDS: u32 = 3_600;

/// Bytes a key file may have.
const MAX_KEY_FILE: u64 = 16 << 10;

/// A node's configuration. Relative paths are relative to the log's directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The file with the key that signs this log's heads; mode 0600, not below `site`.
    pub log_key: PathBuf,
    /// The file with the key whose place `log_key` has taken, until it is retired: with it the node
    /// signs one head more, the first over its retirement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_log_key: Option<PathBuf>,
    /// Files with keys of type 0x04 or 0x06 with which this node witnesses its own log and others;
    /// mode 0600, not below `site`. With none it is no witness.
    #[serde(default)]
    pub witness_keys: Vec<PathBuf>,
    /// Files with keys of type 0x04 or 0x06 with which this node cosigns the logs that it mirrors;
    /// mode 0600, not below `site`, never a witness's. With none it is no mirror.
    #[serde(default)]
    pub mirror_keys: Vec<PathBuf>,
    /// Where gRPC listens; port 0 takes any free one.
    #[serde(default = "default_grpc")]
    pub grpc: SocketAddr,
    /// Where HTTP listens; port 0 takes any free one.
    #[serde(default = "default_http")]
    pub http: SocketAddr,
    /// Bytes of a journal segment, at least 8 MiB.
    #[serde(default = "default_segment")]
    pub journal_segment_bytes: u64,
    /// Days that a draft waits for signatures, 1 to 366.
    #[serde(default = "default_pending")]
    pub pending_days: u32,
    /// Minutes after which a quiet log has its head cosigned again, 1 to 1440.
    #[serde(default = "default_rewitness")]
    pub rewitness_minutes: u32,
    /// Whether the node compares the heads that it hears of, makes evidence of logs that contradict
    /// themselves, and trusts their keys no longer. Evidence that others made counts in any case.
    #[serde(default = "default_evidence")]
    pub make_evidence: bool,
    /// Whether the node may listen beyond this machine without TLS, because something else keeps
    /// others from reading along.
    #[serde(default)]
    pub plain: bool,
    /// Addresses of witnesses, by their names in the policy; they go before those in the policy.
    #[serde(default)]
    pub witness_urls: BTreeMap<String, String>,
    /// Monitoring prefixes of witnesses over HTTP, by their names in the policy: where they show
    /// what they cosigned, if that is not where they are asked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub monitoring_urls: BTreeMap<String, String>,
    /// Whom the node gossips with, and how often.
    #[serde(default)]
    pub gossip: GossipConfig,
    /// What callers may use of the node.
    #[serde(default)]
    pub limits: Limits,
    /// What keeps others from reading along, and tells nodes from others.
    #[serde(default, skip_serializing_if = "TlsSettings::is_empty")]
    pub tls: TlsSettings,
}

/// The section `[gossip]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GossipConfig {
    /// gRPC addresses of peers, `grpcs://HOST:PORT`, `grpc://HOST:PORT` or URLs, beside the node
    /// addresses in the charter; after a space, the key that a node must show which is no member's.
    pub peers: Vec<String>,
    /// Seconds between rounds, 1 to 3600.
    pub interval_seconds: u32,
    /// Whether the node answers only those who show a node key that it knows.
    pub known_nodes_only: bool,
}

impl GossipConfig {
    /// The peers that it names.
    ///
    /// # Errors
    /// [`ConfigError::Peer`] for one that is no address, or has a key that nobody can show there.
    pub fn configured(&self) -> Result<Vec<ConfiguredPeer>, ConfigError> {
        let parse = |peer: &String| peer.parse().map_err(|()| ConfigError::Peer(peer.clone()));
        self.peers.iter().map(parse).collect()
    }
}

impl Default for GossipConfig {
    fn default() -> GossipConfig {
        let (peers, interval_seconds) = (Vec::new(), GOSSIP_SECONDS);
        GossipConfig { peers, interval_seconds, known_nodes_only: false }
    }
}

fn default_evidence() -> bool {
    true
}

fn default_rewitness() -> u32 {
    REWITNESS_MINUTES
}

fn default_grpc() -> SocketAddr {
    GRPC
}

fn default_http() -> SocketAddr {
    HTTP
}

fn default_segment() -> u64 {
    DEFAULT_SEGMENT_BYTES
}

fn default_pending() -> u32 {
    PENDING_DAYS
}

/// Why a configuration or a key file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The configuration is not what it should be.
    #[error("{path}: {message}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What and where.
        message: String,
    },
    /// Segments could not hold the largest batch, or would not be read back in reasonable time.
    #[error("journal_segment_bytes is {0}; it may be {MIN_SEGMENT_BYTES} to {MAX_SEGMENT_BYTES}")]
    SegmentSize(u64),
    /// Rounds of gossip would come too often, or hardly ever.
    #[error("interval_seconds of gossip is {0}; it may be 1 to {MAX_GOSSIP_SECONDS}")]
    GossipSeconds(u32),
    /// A limit is out of range.
    #[error(transparent)]
    Limits(#[from] LimitsError),
    /// Others could read and change what goes to and from the node.
    #[error("{0} is reached from other machines, and the node has no TLS certificate")]
    Plain(SocketAddr),
    /// A peer's address is none.
    #[error("the gossip peer {0:?} is no address")]
    Peer(String),
    /// Only half of what TLS takes is named.
    #[error("[tls] names only a part of what the node needs")]
    TlsHalf,
    /// Nobody could be told from others.
    #[error("known_nodes_only asks for node keys, and without [tls] nobody shows one")]
    NobodyKnown,
    /// A certificate or its key cannot be used.
    #[error("{path} cannot be used for TLS: {why}")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// One key serves one use.
    #[error("the node key is another key of this node's too")]
    SharedNodeKey,
    /// The node key cannot be used.
    #[error(transparent)]
    NodeKey(#[from] UnusableNodeKey),
    /// Drafts would never expire, or at once.
    #[error("pending_days is {0}; it may be 1 to {MAX_PENDING_DAYS}")]
    PendingDays(u32),
    /// Cosignatures would never be renewed, or all the time.
    #[error("rewitness_minutes is {0}; it may be 1 to {MAX_REWITNESS_MINUTES}")]
    RewitnessMinutes(u32),
    /// A witness's address is none.
    #[error("the address of the witness {name} is \"{url}\"")]
    WitnessUrl {
        /// The witness's name.
        name: String,
        /// What stands there.
        url: String,
    },
    /// A witness's monitoring prefix is none.
    #[error("the monitoring address of the witness {name} is \"{url}\"")]
    MonitoringUrl {
        /// The witness's name.
        name: String,
        /// What stands there.
        url: String,
    },
    /// The key file lies where anybody can fetch it.
    #[error("the key file {0} lies below the public site")]
    KeyInSite(PathBuf),
    /// Others may read the key file.
    #[error("the key file {path} has mode {mode:04o}: others may read it")]
    KeyReadable {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key file cannot be read.
    #[error("cannot read the key file {path}: {source}")]
    KeyUnread {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file holds no signer key.
    #[error("the key file {path} holds no signer key: {error}")]
    Key {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: ParseKeyError,
    },
}

impl Hint for ConfigError {
    fn hint(&self) -> &'static str {
        match self {
            ConfigError::Read { .. } => "is this the directory of a log? see ledger-node init",
            ConfigError::Syntax { message, .. } if message.contains("duplicate key") => {
                "`init` wrote every section but [tls]: change the lines there, and add none twice"
            }
            ConfigError::Syntax { .. } => {
                "known settings: log_key, previous_log_key, witness_keys, mirror_keys, grpc, http, \
                 journal_segment_bytes, pending_days, rewitness_minutes, make_evidence, plain, \
                 [witness_urls], [monitoring_urls], and those below [gossip], [limits] and [tls] in \
                 docs/operations.md"
            }
            ConfigError::SegmentSize(_) => "leave it out for the default of 16 MiB",
            ConfigError::PendingDays(_) => "leave it out for the default of 14 days",
            ConfigError::RewitnessMinutes(_) => "leave it out for the default of 15 minutes",
            ConfigError::WitnessUrl { .. } => {
                "a witness is reached at http://... or https://... (its submission prefix), or, if \
                 it is a node of this ledger, at grpcs://HOST:PORT or grpc://HOST:PORT, without a \
                 user name or password: the node tells every caller where it asks"
            }
            ConfigError::MonitoringUrl { .. } => {
                "a witness shows what it cosigned below http://... or https://... (its monitoring \
                 prefix)"
            }
            ConfigError::GossipSeconds(_) => "leave it out for the default of 10 seconds",
            ConfigError::Limits(_) => "leave it out for the default; see docs/operations.md",
            ConfigError::Plain(_) => {
                "name a certificate and its key below [tls] in config.toml. If a proxy, a tunnel or a \
                 private network keeps others from reading along, say so: `plain = true` there, or --plain"
            }
            ConfigError::Peer(_) => {
                "a peer is a node of this ledger, at its gRPC address: grpcs://HOST:PORT with TLS, where \
                 the vkey of its node key may follow, or grpc://HOST:PORT without"
            }
            ConfigError::TlsHalf => {
                "certificate and key go together, and node_key needs both; `ledger-node certificate` \
                 makes a pair for a consortium of its own"
            }
            ConfigError::NobodyKnown => {
                "name a certificate and its key below [tls] in config.toml, or leave it out"
            }
            ConfigError::Certificate { .. } => {
                "a certificate, with those that lead to its authority, and its key are files in PEM"
            }
            ConfigError::SharedNodeKey | ConfigError::NodeKey(_) => {
                "make one with `ledger keygen NAME --use node --out FILE`"
            }
            ConfigError::KeyInSite(_) => "move it away and make a new key: it may be known by now",
            ConfigError::KeyUnread { .. } => {
                "check the path: in config.toml it is absolute, or relative to the log's directory"
            }
            ConfigError::KeyReadable { .. } => "chmod 600 the file",
            ConfigError::Key { .. } => {
                "make one with `ledger keygen NAME --use log --out FILE`, or --use witness, mirror or node"
            }
        }
    }
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// [`ConfigError`] for a file that cannot be read, unknown settings, or values out of range.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let config: Config = toml::from_str(&text).map_err(|error| ConfigError::Syntax {
            path: path.to_owned(),
            message: error.to_string().trim_end().to_owned(),
        })?;
        if !(MIN_SEGMENT_BYTES..=MAX_SEGMENT_BYTES).contains(&config.journal_segment_bytes) {
            return Err(ConfigError::SegmentSize(config.journal_segment_bytes));
        }
        if !(1..=MAX_PENDING_DAYS).contains(&config.pending_days) {
            return Err(ConfigError::PendingDays(config.pending_days));
        }
        if !(1..=MAX_REWITNESS_MINUTES).contains(&config.rewitness_minutes) {
            return Err(ConfigError::RewitnessMinutes(config.rewitness_minutes));
        }
        for (name, url) in &config.witness_urls {
            if Contact::parse(url).is_none() {
                let (name, url) = (name.clone(), url.clone());
                return Err(ConfigError::WitnessUrl { name, url });
            }
        }
        for (name, url) in &config.monitoring_urls {
            if !matches!(Contact::parse(url), Some(Contact::Http(_))) {
                let (name, url) = (name.clone(), url.clone());
                return Err(ConfigError::MonitoringUrl { name, url });
            }
        }
        config.limits.check()?;
        if !(1..=MAX_GOSSIP_SECONDS).contains(&config.gossip.interval_seconds) {
            return Err(ConfigError::GossipSeconds(config.gossip.interval_seconds));
        }
        config.gossip.configured()?;
        if config.tls.pair()?.is_none() && config.gossip.known_nodes_only {
            return Err(ConfigError::NobodyKnown);
        }
        Ok(config)
    }

    /// The configuration that `init` writes.
    pub fn new(log_key: PathBuf, witness_keys: Vec<PathBuf>) -> Config {
        Config {
            log_key,
            previous_log_key: None,
            witness_keys,
            mirror_keys: Vec::new(),
            grpc: GRPC,
            http: HTTP,
            journal_segment_bytes: DEFAULT_SEGMENT_BYTES,
            pending_days: PENDING_DAYS,
            rewitness_minutes: REWITNESS_MINUTES,
            make_evidence: true,
            plain: false,
            witness_urls: BTreeMap::new(),
            monitoring_urls: BTreeMap::new(),
            gossip: GossipConfig::default(),
            limits: Limits::default(),
            tls: TlsSettings::default(),
        }
    }

    /// The configuration as the text of `config.toml`.
    pub fn to_text(&self) -> String {
        toml::to_string(self).expect("paths come from text, so they are UTF-8")
    }
}

/// Reads a signer key from a file that nobody else can read.
///
/// # Errors
/// [`ConfigError`].
pub fn read_key(layout: &Layout, dir: &Path, file: &Path) -> Result<SignerKey, ConfigError> {
    let path = dir.join(file);
    let text = read_secret(layout, &path, MAX_KEY_FILE).map_err(|error| match error {
        ConfigError::Read { path, source } => ConfigError::KeyUnread { path, source },
        error => error,
    })?;
    text.trim_end().parse().map_err(|error| ConfigError::Key { path, error })
}

/// Reads a secret from a file that nobody else can read, of at most so many bytes.
///
/// # Errors
/// [`ConfigError`].
pub fn read_secret(layout: &Layout, path: &Path, most: u64) -> Result<String, ConfigError> {
    let path = path.to_owned();
    let read = |source| ConfigError::Read { path: path.clone(), source };
    let real = fs::canonicalize(&path).map_err(read)?;
    let in_site = fs::canonicalize(layout.site()).is_ok_and(|site| real.starts_with(site));
    if in_site {
        return Err(ConfigError::KeyInSite(path));
    }
    let metadata = fs::metadata(&real).map_err(read)?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(ConfigError::KeyReadable { path, mode });
    }
    if metadata.len() > most {
        return Err(ConfigError::Key { path, error: ParseKeyError::Shape });
    }
    fs::read_to_string(&real).map_err(read)
}

/// The section `[tls]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsSettings {
    /// The certificate and those that lead to its authority, as PEM.
    pub certificate: Option<PathBuf>,
    /// The certificate's key, as PEM; mode 0600, not below `site`.
    pub key: Option<PathBuf>,
    /// The key that the charter names as this node's; mode 0600, not below `site`.
    pub node_key: Option<PathBuf>,
    /// Certificates of authorities that this node believes beside the web's, as PEM.
    pub ca: Option<PathBuf>,
}

impl TlsSettings {
    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        *self == TlsSettings::default()
    }

    /// The files of the certificate and of its key, if the node speaks TLS.
    ///
    /// # Errors
    /// [`ConfigError::TlsHalf`] where one is named without the other.
    pub fn pair(&self) -> Result<Option<(&Path, &Path)>, ConfigError> {
        match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
            (None, None) if self.node_key.is_none() => Ok(None),
            _ => Err(ConfigError::TlsHalf),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("config.toml");
        fs::write(&path, text).expect("write");
        Config::read(&path)
    }

    #[test]
    fn defaults_fill_in_and_texts_round_trip() {
        let config = read("log_key = \"log.key\"\n").expect("minimal");
        assert_eq!(config, Config::new("log.key".into(), vec![]));
        assert_eq!(read(&config.to_text()).expect("own text"), config);
    }

    #[test]
    fn unknown_settings_and_wrong_values_are_errors() {
        for (text, part) in [
            ("", "log_key"),
            ("log_key = 1\n", "string"),
            ("log_key = \"k\"\nlogkey = \"k\"\n", "logkey"),
            ("log_key = \"k\"\ngrpc = \"localhost\"\n", "socket address"),
        ] {
            let error = read(text).expect_err(text).to_string();
            assert!(error.contains(part), "{error}");
        }
        let twice = read("log_key = \"k\"\n[gossip]\n[gossip]\n").expect_err("a section twice");
        assert!(twice.hint().contains("add none twice"), "{twice}");
        let small = read("log_key = \"k\"\njournal_segment_bytes = 1000\n");
        assert!(matches!(small, Err(ConfigError::SegmentSize(1000))));
        let never = read("log_key = \"k\"\npending_days = 0\n");
        assert!(matches!(never, Err(ConfigError::PendingDays(0))));
        let never = read("log_key = \"k\"\nrewitness_minutes = 0\n");
        assert!(matches!(never, Err(ConfigError::RewitnessMinutes(0))));
        let nowhere = read("log_key = \"k\"\n[witness_urls]\nw1 = \"w1.example\"\n");
        assert!(matches!(nowhere, Err(ConfigError::WitnessUrl { .. })));
    }

    #[test]
    fn tls_and_peers_are_checked_before_anything_is_opened() {
        let tls = "[tls]\ncertificate = \"c\"\nkey = \"k\"\n";
        let gossip = |rest: &str| format!("log_key = \"k\"\n[gossip]\n{rest}\n");
        assert!(read(&format!("log_key = \"k\"\n{tls}")).is_ok());
        let half = read("log_key = \"k\"\n[tls]\ncertificate = \"c\"\n");
        assert!(matches!(half, Err(ConfigError::TlsHalf)));
        let bare = read("log_key = \"k\"\n[tls]\nnode_key = \"n\"\n");
        assert!(matches!(bare, Err(ConfigError::TlsHalf)));
        let nobody = read(&gossip("known_nodes_only = true"));
        assert!(matches!(nobody, Err(ConfigError::NobodyKnown)));
        assert!(read(&(gossip("known_nodes_only = true") + tls)).is_ok());
        let name = ledger_core::note::KeyName::new("lab.example/node").expect("name");
        let algorithm = ledger_core::note::Algorithm::Ed25519;
        let key = SignerKey::from_seed(name, algorithm, [1; 32]).expect("sound");
        let vkey = key.verifier();
        for (peer, is_one) in [
            (format!("grpcs://lab.example:7780 {vkey}"), true),
            ("grpcs://lab.example:7780".to_owned(), true),
            ("grpc://lab.example:7780".to_owned(), true),
            // nobody shows a key without TLS
            (format!("grpc://lab.example:7780 {vkey}"), false),
            ("grpcs://lab.example:7780 lab".to_owned(), false),
            ("lab.example:7780".to_owned(), false),
        ] {
            let config = read(&gossip(&format!("peers = [{peer:?}]")));
            assert_eq!(config.is_ok(), is_one, "{peer}: {config:?}");
        }
    }

    #[test]
    fn key_files_must_be_private_and_outside_the_site() {
        let dir = tempfile::tempdir().expect("dir");
        let layout = Layout::new(dir.path());
        fs::create_dir(layout.site()).expect("dir");
        let name = ledger_core::note::KeyName::new("log.example").expect("name");
        let algorithm = ledger_core::note::Algorithm::Ed25519;
        let key = SignerKey::from_seed(name, algorithm, [1; 32]).expect("sound");
        let read = |file: &str, text: &str, mode: u32| {
            let path = dir.path().join(file);
            fs::write(&path, text).expect("write");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
            read_key(&layout, dir.path(), Path::new(file))
        };
        let text = key.to_secret_text() + "\n";
        let good = read("log.key", &text, 0o600).expect("private");
        assert_eq!(good.verifier(), key.verifier());
        let wide = read("log.key", &text, 0o640);
        assert!(matches!(wide, Err(ConfigError::KeyReadable { mode: 0o640, .. })));
        let public = read("site/log.key", &text, 0o600);
        assert!(matches!(public, Err(ConfigError::KeyInSite(_))));
        let wrong = read("log.key", "nothing", 0o600);
        assert!(matches!(wrong, Err(ConfigError::Key { .. })));
        let lost = read_key(&layout, dir.path(), Path::new("no.key"));
        assert!(matches!(lost, Err(ConfigError::KeyUnread { .. })), "{lost:?}");
        let huge = read("log.key", &"x".repeat(20_000), 0o600);
        assert!(matches!(huge, Err(ConfigError::Key { .. })));
    }
}
