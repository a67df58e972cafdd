//! Where peers and witnesses are reached.

use std::fmt;

use ledger_core::note::VerifierKey;

use crate::listed::is_address;
use crate::transport::{NodeKey, grpc_url};

/// A peer of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfiguredPeer {
    /// Its gRPC address as a URL.
    pub url: String,
    /// The key that it must show.
    pub key: Option<VerifierKey>,
}

impl std::str::FromStr for ConfiguredPeer {
    type Err = ();

    fn from_str(text: &str) -> Result<ConfiguredPeer, ()> {
        let (address, key) = match text.split_once(' ') {
            Some((address, key)) => (address, Some(key.trim().parse().map_err(|_| ())?)),
            None => (text, None),
        };
        let url = grpc_url(address).ok_or(())?;
        let shown = key.as_ref().is_none_or(|key| NodeKey::of(key).is_some());
        // without TLS nobody shows a key
        let is_sound = shown && (key.is_none() || url.starts_with("https://"));
        is_sound.then_some(ConfiguredPeer { url, key }).ok_or(())
    }
}

/// How a witness is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Contact {
    /// It is this node's own.
    Own,
    /// C2SP `tlog-witness` over HTTP; the submission prefix, without a slash at its end.
    Http(String),
    /// The same over gRPC; an `http://` URL of the other node's gRPC address.
    Grpc(String),
}

impl Contact {
    /// Reads an address: `http://` or `https://` and the submission prefix of any C2SP witness, or
    /// `grpc://HOST:PORT` of a node of ours, or `grpcs://HOST:PORT` with TLS. None of them may hold
    /// a user name or password: the node tells every caller where it asks its witnesses.
    pub fn parse(url: &str) -> Option<Contact> {
        let url = url.trim_end_matches('/');
        if url.starts_with("grpc") {
            return grpc_url(url).map(Contact::Grpc);
        }
        is_address(url, &["http://", "https://"]).then(|| Contact::Http(url.to_owned()))
    }
}

impl fmt::Display for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Contact::Own => f.write_str("this node"),
            Contact::Http(url) => f.write_str(url),
            Contact::Grpc(url) => f.write_str(&url.replacen("http", "grpc", 1)),
        }
    }
}
