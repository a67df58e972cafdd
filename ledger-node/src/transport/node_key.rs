//! Node keys in TLS: whoever answers or asks shows that it holds a key which a charter names.
//!
//! The certificate is made anew at each start and signed by the key itself. Nothing in it counts
//! but the key: names and dates are the charter's matter. TLS 1.3 alone is spoken, in which the
//! holder signs the whole handshake.

use std::fmt;

use ledger_core::note::{Algorithm, SignerKey, VerifierKey};
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::verify_tls13_signature;
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer,
    UnixTime,
};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::provider;

/// What goes before the seed in PKCS #8 (RFC 8410, section 7).
const PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// What goes before the key in a certificate (RFC 8410, section 4).
const SUBJECT_KEY: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

/// The Ed25519 key that a node shows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeKey([u8; 32]);

impl NodeKey {
    /// The key of a charter or a configuration; `None` for one that nodes do not have.
    pub fn of(key: &VerifierKey) -> Option<NodeKey> {
        let is_plain = key.algorithm() == Algorithm::Ed25519;
        is_plain.then(|| key.public().as_bytes().try_into().ok().map(NodeKey)).flatten()
    }

    /// The key of a certificate.
    pub fn shown(certificate: &CertificateDer<'_>) -> Option<NodeKey> {
        let parsed = ParsedCertificate::try_from(certificate).ok()?;
        NodeKey::of_subject(&parsed.subject_public_key_info())
    }

    fn of_subject(info: &SubjectPublicKeyInfoDer<'_>) -> Option<NodeKey> {
        let key = info.as_ref().strip_prefix(SUBJECT_KEY.as_slice())?;
        key.try_into().ok().map(NodeKey)
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        write!(f, "NodeKey({hex})")
    }
}

/// A node key cannot be used in TLS.
#[derive(Debug, thiserror::Error)]
#[error("a node key is an Ed25519 key of type 0x01 ({0})")]
pub struct UnusableNodeKey(String);

/// The certificate of a node key.
///
/// # Errors
/// [`UnusableNodeKey`] for a key of another type.
pub fn certificate(key: &SignerKey) -> Result<CertifiedKey, UnusableNodeKey> {
    let unusable = |why: &dyn fmt::Display| UnusableNodeKey(why.to_string());
    if NodeKey::of(key.verifier()).is_none() {
        return Err(unusable(&"made with `ledger keygen NAME --use node`"));
    }
    let secret = PrivatePkcs8KeyDer::from([PKCS8.as_slice(), &key.seed()].concat());
    let pair = KeyPair::from_pkcs8_der_and_sign_algo(&secret, &PKCS_ED25519);
    let pair = pair.map_err(|e| unusable(&e))?;
    let made = CertificateParams::default().self_signed(&pair).map_err(|e| unusable(&e))?;
    let chain = vec![made.der().clone()];
    let certified = CertifiedKey::from_der(chain, PrivateKeyDer::Pkcs8(secret), &provider());
    certified.map_err(|e| unusable(&e))
}

/// Believes a server that holds one of these keys, and nobody else.
#[derive(Debug)]
pub struct HoldsOneOf(pub Vec<NodeKey>);

/// Lets whoever asks show a node key, or none. Whose key it is, and what that allows, is decided
/// for each request: keys come and go while connections stay.
#[derive(Debug)]
pub struct MayHoldOne;

fn signed(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let algorithms = &provider().signature_verification_algorithms;
    verify_tls13_signature(message, certificate, signature, algorithms)
}

/// Never asked for: both sides speak TLS 1.3 alone.
fn older() -> Error {
    Error::General("node keys are shown in TLS 1.3 alone".into())
}

impl ServerCertVerifier for HoldsOneOf {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match NodeKey::shown(certificate) {
            Some(key) if self.0.contains(&key) => Ok(ServerCertVerified::assertion()),
            Some(_) => Err(CertificateError::ApplicationVerificationFailure.into()),
            None => Err(CertificateError::BadEncoding.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(older())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signed(message, certificate, signature)
    }

    /// A server with several certificates sees from this which of them is asked for.
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

impl ClientCertVerifier for MayHoldOne {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match NodeKey::shown(certificate) {
            Some(_) => Ok(ClientCertVerified::assertion()),
            None => Err(CertificateError::BadEncoding.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(older())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        signed(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

#[cfg(test)]
mod tests {
    use ledger_core::note::KeyName;

    use super::*;

    fn key(algorithm: Algorithm) -> SignerKey {
        let name = KeyName::new("lab.example/node").expect("a name");
        SignerKey::from_seed(name, algorithm, [7; 32]).expect("sound")
    }

    #[test]
    fn a_certificate_shows_the_key_that_the_charter_names() {
        let node = key(Algorithm::Ed25519);
        let certified = certificate(&node).expect("an Ed25519 key");
        let shown = NodeKey::shown(&certified.cert[0]);
        assert!(shown.is_some() && shown == NodeKey::of(node.verifier()));
        let keys = vec![shown.expect("just so")];
        let believes = |keys: Vec<NodeKey>| {
            let verifier = HoldsOneOf(keys);
            let name = ServerName::try_from("lab.example").expect("a name");
            verifier.verify_server_cert(&certified.cert[0], &[], &name, &[], UnixTime::now())
        };
        assert!(believes(keys).is_ok());
        assert!(believes(vec![NodeKey([1; 32])]).is_err());
        assert!(believes(vec![]).is_err());
    }

    #[test]
    fn keys_of_other_types_are_no_node_keys() {
        let cosigner = key(Algorithm::CosignatureV1);
        assert_eq!(NodeKey::of(cosigner.verifier()), None);
        let error = certificate(&cosigner).expect_err("no node key").to_string();
        assert!(error.contains("--use node"), "{error}");
        // a key of the usual certificates of servers
        let pair = KeyPair::generate().expect("random numbers");
        let made = CertificateParams::default().self_signed(&pair).expect("a certificate");
        assert_eq!(NodeKey::shown(made.der()), None);
        assert_eq!(NodeKey::shown(&CertificateDer::from(vec![0; 40])), None);
    }
}
