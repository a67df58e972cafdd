//! TLS on the node's own ports: the certificate for everybody, and the node key for those who ask
//! for it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SignatureScheme};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::dial::HTTP_2;
use super::node_key::MayHoldOne;
use super::{Endpoint, provider};
use crate::config::{ConfigError, read_secret};
use crate::store::disk::Layout;
use ledger_core::Hint;

/// What HTTP/1.1 is called in TLS (RFC 7301).
const HTTP_1: &[u8] = b"http/1.1";

/// How often the files are looked at: certificates are renewed while the node runs.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Bytes of the largest file of certificates: a bundle of all that browsers believe has 250 KiB.
const MAX_PEM: u64 = 1 << 20;

/// What a node's ports show.
#[derive(Debug, Clone)]
pub struct ServerTls {
    shown: Arc<OwnCertificate>,
    node: Option<Arc<CertifiedKey>>,
}

/// A certificate that is read again when its files change.
#[derive(Debug)]
struct OwnCertificate {
    layout: Layout,
    files: (PathBuf, PathBuf),
    now: RwLock<(CertificateStamp, Arc<CertifiedKey>)>,
}

/// When the two files were changed last, their permissions too, and how long they are.
type CertificateStamp = [Option<(i64, i64, u64)>; 2];

/// Reads certificates of authorities.
///
/// # Errors
/// [`ConfigError`] for a file that cannot be read, or holds none, or one that is none.
pub fn read_authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let found = read_certificates(path)?;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in &found {
        let added = roots.add(certificate.clone());
        added
            .map_err(|e| ConfigError::Certificate { path: path.to_owned(), why: e.to_string() })?;
    }
    Ok(found)
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let unusable = |why: String| ConfigError::Certificate { path: path.to_owned(), why };
    let read = |e: std::io::Error| unusable(format!("it cannot be read: {e}"));
    if fs::metadata(path).map_err(read)?.len() > MAX_PEM {
        return Err(unusable(format!("it is longer than {MAX_PEM} bytes")));
    }
    let text = fs::read(path).map_err(read)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|e| unusable(e.to_string()))?;
    if found.is_empty() {
        return Err(unusable("there is no certificate in it".to_owned()));
    }
    Ok(found)
}

impl ServerTls {
    /// Reads certificate and key. `node` is shown to those who ask for a node key, over gRPC.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn open(
        layout: &Layout,
        (certificate, key): (PathBuf, PathBuf),
        node: Option<Arc<CertifiedKey>>,
    ) -> Result<ServerTls, ConfigError> {
        let files = (certificate, key);
        let now = RwLock::new((stamp(&files), Arc::new(load(layout, &files)?)));
        Ok(ServerTls {
            shown: Arc::new(OwnCertificate { layout: layout.clone(), files, now }),
            node,
        })
    }

    /// What answers handshakes at a face.
    pub fn acceptor(&self, face: Endpoint) -> TlsAcceptor {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("the provider speaks TLS 1.3");
        let shown = Arc::clone(&self.shown);
        let mut config = match face {
            Endpoint::Grpc => builder
                .with_client_cert_verifier(Arc::new(MayHoldOne))
                .with_cert_resolver(Arc::new(Chosen { shown, node: self.node.clone() })),
            Endpoint::Http => builder
                .with_no_client_auth()
                .with_cert_resolver(Arc::new(Chosen { shown, node: None })),
        };
        config.alpn_protocols = match face {
            Endpoint::Grpc => vec![HTTP_2.to_vec()],
            Endpoint::Http => vec![HTTP_1.to_vec()],
        };
        TlsAcceptor::from(Arc::new(config))
    }

    /// Reads the files again whenever they change, until `stopping` turns true.
    pub async fn reload_when_changed(self, mut stopping: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
            let shown = Arc::clone(&self.shown);
            let _ = tokio::task::spawn_blocking(move || shown.look_again()).await;
        }
    }
}

impl OwnCertificate {
    /// Takes what lies there now, if it is whole; else what was shown before stays.
    fn look_again(&self) {
        let found = stamp(&self.files);
        if self.now.read().unwrap_or_else(PoisonError::into_inner).0 == found {
            return;
        }
        let loaded = load(&self.layout, &self.files);
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        now.0 = found;
        match loaded {
            Ok(loaded) => {
                now.1 = Arc::new(loaded);
                tracing::info!("the certificate was read again");
            }
            Err(error) => {
                tracing::error!(%error, hint = error.hint(), "the new certificate is not used");
            }
        }
    }
}

fn stamp(files: &(PathBuf, PathBuf)) -> CertificateStamp {
    let of = |path: &PathBuf| {
        let metadata = fs::metadata(path).ok()?;
        Some((metadata.ctime(), metadata.ctime_nsec(), metadata.len()))
    };
    [of(&files.0), of(&files.1)]
}

fn load(layout: &Layout, files: &(PathBuf, PathBuf)) -> Result<CertifiedKey, ConfigError> {
    let chain = read_certificates(&files.0)?;
    let unusable =
        |path: &Path, why: String| ConfigError::Certificate { path: path.to_owned(), why };
    let text = read_secret(layout, &files.1, MAX_PEM).map_err(|error| match error {
        ConfigError::Read { path, source } => {
            unusable(&path, format!("it cannot be read: {source}"))
        }
        ConfigError::Key { path, .. } => unusable(&path, "it is too long for a key".to_owned()),
        other => other,
    })?;
    let key = PrivateKeyDer::from_pem_slice(text.as_bytes())
        .map_err(|e| unusable(&files.1, e.to_string()))?;
    CertifiedKey::from_der(chain, key, &provider()).map_err(|e| unusable(&files.0, e.to_string()))
}

/// Which certificate is shown to whom.
#[derive(Debug)]
struct Chosen {
    shown: Arc<OwnCertificate>,
    node: Option<Arc<CertifiedKey>>,
}

impl ResolvesServerCert for Chosen {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // whoever takes Ed25519 alone expects a node key; no browser and no common client does
        let wants_node = hello.signature_schemes().iter().all(|s| *s == SignatureScheme::ED25519);
        if let Some(node) = self.node.as_ref().filter(|_| wants_node) {
            return Some(Arc::clone(node));
        }
        let now = self.shown.now.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&now.1))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use crate::transport::{SelfSignError, self_sign};

    use super::*;

    #[test]
    fn a_renewed_certificate_is_shown_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let layout = Layout::new(folder.path());
        let files = (folder.path().join("tls.pem"), folder.path().join("tls.key"));
        let names = ["node.example".to_owned(), "10.0.0.7".to_owned()];
        self_sign(&names, &files.0, &files.1).expect("names");
        let again = self_sign(&names, &files.0, &files.1).expect_err("they are there");
        assert!(again.hint().contains("overwritten"), "{again}");
        let tls = ServerTls::open(&layout, files.clone(), None).expect("a pair");
        let shown = || tls.shown.now.read().expect("whole").1.cert.clone();
        let first = shown();

        fs::write(&files.0, "-----BEGIN CERTIFICATE-----\nnone\n").expect("writable");
        tls.shown.look_again();
        assert_eq!(shown(), first);
        fs::remove_file(&files.0).expect("there");
        fs::remove_file(&files.1).expect("there");
        tls.shown.look_again();
        assert_eq!(shown(), first);
        self_sign(&names, &files.0, &files.1).expect("names");
        let mode = |mode| {
            fs::set_permissions(&files.1, fs::Permissions::from_mode(mode)).expect("ours");
        };
        mode(0o640);
        tls.shown.look_again();
        assert_eq!(shown(), first, "others may read the key");
        mode(0o600);
        tls.shown.look_again();
        assert_ne!(shown(), first);
    }

    #[test]
    fn keys_of_other_certificates_and_files_of_no_certificates_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let layout = Layout::new(folder.path());
        let at = |name: &str| folder.path().join(name);
        let names = ["node.example".to_owned()];
        self_sign(&names, &at("a.pem"), &at("a.key")).expect("names");
        self_sign(&names, &at("b.pem"), &at("b.key")).expect("names");
        let open = |certificate, key| ServerTls::open(&layout, (at(certificate), at(key)), None);
        assert!(open("a.pem", "a.key").is_ok());
        assert!(matches!(open("a.pem", "b.key"), Err(ConfigError::Certificate { .. })));
        assert!(matches!(open("a.key", "a.key"), Err(ConfigError::Certificate { .. })));
        assert!(matches!(open("a.pem", "a.pem"), Err(ConfigError::KeyReadable { .. })));
        assert!(read_authorities(&at("a.pem")).is_ok());
        assert!(matches!(read_authorities(&at("a.key")), Err(ConfigError::Certificate { .. })));
        assert!(matches!(read_authorities(&at("none")), Err(ConfigError::Certificate { .. })));
        assert!(matches!(open("a.pem", "none"), Err(ConfigError::Certificate { .. })));
        let error = self_sign(&["nöde".to_owned()], &at("c.pem"), &at("c.key"));
        assert!(matches!(error, Err(SelfSignError::Name(_))));
    }
}
