//! Reaching others: plain, or by TLS with whoever must be there.
//!
//! Where a charter or the configuration names a key for a node's address, whoever answers there
//! must show that key. Everywhere else a certificate for the address counts, from the authorities
//! that browsers believe or one that the operator names.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::Uri;
use hyper_util::rt::TokioIo;
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{AlertDescription, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use tower_service::Service;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use super::node_key::HoldsOneOf;
use super::pinned_stream::{Duplex, PinnedStream};
use super::{NodeKey, Nodes, endpoint, provider};
use crate::clock::{Clock, SystemClock};

/// Ports of URLs that name none.
const PLAIN_PORT: u16 = 80;
const TLS_PORT: u16 = 443;

/// How long whoever is asked may take, where nothing is set.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked whether the term of a key has ended whose holder is connected.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// What HTTP/2 is called in TLS (RFC 7301).
pub(super) const HTTP_2: &[u8] = b"h2";

/// How this program reaches others. Copies share what they know.
///
/// Connections that it makes end by themselves when another key is known for their address, or the
/// term of the key ends that was shown: channels then connect anew, and ask who is there.
#[derive(Debug, Clone)]
pub struct Dialer(Arc<DialerParts>);

struct DialerParts {
    authorities: Vec<CertificateDer<'static>>,
    own: Option<Arc<CertifiedKey>>,
    nodes: Arc<Nodes>,
    clock: Arc<dyn Clock>,
    /// How long a connection, or a whole answer, is waited for.
    patience: Duration,
    /// Made when the first address wants them.
    config: OnceLock<Arc<ClientConfig>>,
    roots: OnceLock<RootCerts>,
}

impl std::fmt::Debug for DialerParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts").field("nodes", &self.nodes).finish_non_exhaustive()
    }
}

/// Why nobody is reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// The address is none.
    #[error("{0:?} is no address")]
    Address(String),
    /// The network.
    #[error("{0}")]
    Network(io::Error),
    /// Whoever is there has not the key that it must have.
    #[error("it does not show the node key that is known for this address")]
    OtherKey,
    /// A key is known for the address, and without TLS nobody shows one.
    #[error("a node key is known for this address, which says grpc:// and not grpcs://")]
    KeyWithoutTls,
    /// It speaks no TLS.
    #[error("it speaks no TLS: does it listen for grpc:// and not grpcs://?")]
    NoTls,
    /// It speaks TLS, and something else than HTTP/2 in it.
    #[error("it speaks no gRPC: is this the node's HTTP address?")]
    NoGrpc,
    /// The keys that are known for the address are all revoked, or not valid now.
    #[error("no node key that is known for this address is valid now")]
    NoKey,
    /// TLS fails.
    #[error("TLS: {0}")]
    Tls(io::Error),
}

/// A gRPC address as a URL to connect to: `grpc://HOST:PORT` is `http://HOST:PORT`, and `grpcs://`
/// is `https://`.
///
/// Each address has one spelling, by which it is looked up: the host in lower case, and the port,
/// also where it is the usual one. `None` for what is no address of a node: with a path, or a name
/// before the host.
pub fn grpc_url(address: &str) -> Option<String> {
    let (scheme, rest) = address.split_once("://")?;
    let (scheme, usual) = match scheme {
        "grpc" | "http" => ("http", PLAIN_PORT),
        "grpcs" | "https" => ("https", TLS_PORT),
        _ => return None,
    };
    let uri: Uri = format!("{scheme}://{rest}").parse().ok()?;
    let (host, authority) = (uri.host()?, uri.authority()?.as_str());
    let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
    if host.is_empty() || !is_bare || authority.contains('@') {
        return None;
    }
    let port = match authority.strip_prefix(host)?.strip_prefix(':') {
        None => usual,
        Some(port) => port.parse::<u16>().ok()?,
    };
    Some(format!("{scheme}://{}:{port}", host.to_ascii_lowercase()))
}

impl Default for Dialer {
    /// Believes the web's authorities, and knows no node.
    fn default() -> Dialer {
        Dialer::believing(Vec::new())
    }
}

impl Dialer {
    /// Believes these authorities beside the web's, and knows no node.
    pub fn believing(authorities: Vec<CertificateDer<'static>>) -> Dialer {
        Dialer::new(authorities, None, Arc::default(), Arc::new(SystemClock), PATIENCE)
    }

    /// Believes these authorities beside the web's, shows its own node key to those who ask for
    /// one, and expects those of `nodes`. Whoever is asked may take `patience` for a whole answer.
    pub fn new(
        authorities: Vec<CertificateDer<'static>>,
        own: Option<Arc<CertifiedKey>>,
        nodes: Arc<Nodes>,
        clock: Arc<dyn Clock>,
        patience: Duration,
    ) -> Dialer {
        let (config, roots) = (OnceLock::new(), OnceLock::new());
        Dialer(Arc::new(DialerParts { authorities, own, nodes, clock, patience, config, roots }))
    }

    /// The nodes that it knows.
    pub fn nodes(&self) -> &Arc<Nodes> {
        &self.0.nodes
    }

    /// How long whoever is asked may take for a whole answer.
    pub fn patience(&self) -> Duration {
        self.0.patience
    }

    /// A channel to a node, at a URL as [`grpc_url`] makes it; it connects when it is used.
    ///
    /// # Errors
    /// If it is no URL.
    pub fn lazy(&self, url: &str) -> Result<Channel, tonic::transport::Error> {
        let endpoint = endpoint(url, self.0.patience)?;
        Ok(endpoint.connect_with_connector_lazy(Connector(self.clone())))
    }

    /// A channel to a node, connected.
    ///
    /// # Errors
    /// What [`DialError`] says, as its source.
    pub async fn connect(&self, endpoint: &Endpoint) -> Result<Channel, tonic::transport::Error> {
        endpoint.connect_with_connector(Connector(self.clone())).await
    }

    /// What an HTTP client believes.
    pub fn tls(&self) -> TlsConfig {
        if self.0.authorities.is_empty() {
            return TlsConfig::default();
        }
        let roots = self.0.roots.get_or_init(|| {
            let all = self.authorities().map(|der| Certificate::from_der(der).to_owned());
            all.collect::<Vec<_>>().into_iter().into()
        });
        TlsConfig::builder().root_certs(roots.clone()).build()
    }

    /// An HTTP client, which waits this long for a whole answer.
    ///
    /// It goes to the address that it is given, and nowhere else: it follows no redirect, and uses
    /// no proxy, whatever the environment names. A proxy would learn what is read and from whom, and
    /// answer in the name of others; programs of this machine are not reached through one at all.
    pub fn http_client(&self, timeout: Duration) -> ureq::Agent {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .tls_config(self.tls())
            .user_agent(concat!("ledger/", env!("CARGO_PKG_VERSION")))
            .build();
        config.into()
    }

    fn authorities(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().chain(&self.0.authorities)
    }

    /// For addresses where a certificate counts.
    fn config(&self) -> Arc<ClientConfig> {
        let make = || {
            let mut roots = RootCertStore::empty();
            // those of the operator were parsed when they were read
            roots.add_parsable_certificates(self.authorities().cloned());
            Arc::new(self.finish(builder().with_root_certificates(roots)))
        };
        Arc::clone(self.0.config.get_or_init(make))
    }

    /// For an address where keys are known.
    fn config_of(&self, keys: HoldsOneOf) -> ClientConfig {
        let builder = builder().dangerous();
        self.finish(builder.with_custom_certificate_verifier(Arc::new(keys)))
    }

    fn finish(
        &self,
        builder: rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>,
    ) -> ClientConfig {
        let mut config = match &self.0.own {
            Some(own) => {
                let shows = SingleCertAndKey::from(CertifiedKey::clone(own));
                builder.with_client_cert_resolver(Arc::new(shows))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![HTTP_2.to_vec()];
        // who is there is asked anew each time: keys are revoked
        config.resumption = Resumption::disabled();
        config
    }

    async fn reach(self, uri: Uri) -> Result<PinnedStream, DialError> {
        let address = || DialError::Address(uri.to_string());
        let url = grpc_url(&uri.to_string()).ok_or_else(address)?;
        let host = uri.host().ok_or_else(address)?.trim_matches(['[', ']']).to_owned();
        let is_tls = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_tls { TLS_PORT } else { PLAIN_PORT });
        let expected = self.0.nodes.expected(&url, self.0.clock.now());
        if !is_tls && expected.is_some() {
            return Err(DialError::KeyWithoutTls);
        }
        let connected = TcpStream::connect((host.as_str(), port)).await;
        let socket = connected.map_err(DialError::Network)?;
        // questions are small and must not wait for more bytes to come
        let _ = socket.set_nodelay(true);
        if !is_tls {
            return Ok(self.line(url, None, socket));
        }
        let is_pinned = expected.is_some();
        let config = match expected {
            Some(keys) if keys.is_empty() => return Err(DialError::NoKey),
            Some(keys) => Arc::new(self.config_of(HoldsOneOf(keys))),
            None => self.config(),
        };
        let name = ServerName::try_from(host).map_err(|_| address())?;
        let secured = TlsConnector::from(config).connect(name, socket).await;
        let secured = secured.map_err(|error| why(error, is_pinned))?;
        let (_, session) = secured.get_ref();
        if session.alpn_protocol() != Some(HTTP_2) {
            return Err(DialError::NoGrpc);
        }
        let shown = session.peer_certificates().filter(|_| is_pinned);
        let shown = shown.and_then(|chain| NodeKey::shown(chain.first()?));
        Ok(self.line(url, shown, secured))
    }

    /// A connection to somebody who showed this key.
    fn line(
        self,
        url: String,
        shown: Option<NodeKey>,
        stream: impl Duplex + 'static,
    ) -> PinnedStream {
        let ends = async move {
            let DialerParts { nodes, clock, .. } = &*self.0;
            nodes.until_disbelieved(&url, shown, &**clock, LOOK_AGAIN).await;
        };
        PinnedStream::new(stream, ends)
    }
}

fn builder() -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider speaks TLS 1.3")
}

/// Why a handshake failed. A server that must show a node key and has none, or another one, ends it
/// as one does whose certificate cannot be used.
fn why(error: io::Error, is_pinned: bool) -> DialError {
    use rustls::Error::{AlertReceived, InvalidCertificate, InvalidMessage};
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(AlertReceived(AlertDescription::HandshakeFailure) | InvalidCertificate(_))
            if is_pinned =>
        {
            DialError::OtherKey
        }
        Some(AlertReceived(AlertDescription::NoApplicationProtocol)) => DialError::NoGrpc,
        Some(InvalidMessage(_)) => DialError::NoTls,
        _ => DialError::Tls(error),
    }
}

/// What a channel connects by.
struct Connector(Dialer);

impl Service<Uri> for Connector {
    type Response = TokioIo<PinnedStream>;
    type Error = DialError;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<PinnedStream>, DialError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dialer = self.0.clone();
        Box::pin(async move { dialer.reach(uri).await.map(TokioIo::new) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_grpc_are_urls() {
        for (address, expected) in [
            ("grpc://node.example:7780", Some("http://node.example:7780")),
            ("grpcs://node.example:7780/", Some("https://node.example:7780")),
            ("http://node.example:7780/", Some("http://node.example:7780")),
            ("https://Node.Example", Some("https://node.example:443")),
            ("http://node.example", Some("http://node.example:80")),
            ("grpcs://[2001:DB8::1]:7780", Some("https://[2001:db8::1]:7780")),
            ("grpcs://node.example:99999", None),
            ("grpcs://node.example:", None),
            ("grpcs://node.example:7780/prefix", None),
            ("grpcs://node.example:7780?key", None),
            ("grpcs://somebody@node.example:7780", None),
            ("ftp://node.example", None),
            ("node.example:7780", None),
            ("grpc://", None),
        ] {
            assert_eq!(grpc_url(address).as_deref(), expected, "{address}");
        }
    }
}
