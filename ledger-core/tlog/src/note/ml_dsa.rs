//! ML-DSA-44 (FIPS 204), pure and with an empty context, as C2SP `tlog-cosignature` uses it.
//!
//! Only here is the crate that computes it named.

use std::sync::Arc;

use ml_dsa::{EncodedSignature, EncodedVerifyingKey, MlDsa44, VerifyingKey};

/// A public key. The expanded form that verifies has 16 KiB, so copies of a key share it.
#[derive(Clone)]
pub(super) struct MlDsaPublicKey(Arc<Keys>);

struct Keys {
    bytes: Box<[u8]>,
    key: VerifyingKey<MlDsa44>,
}

/// A secret key, made from its seed.
#[cfg(feature = "sign")]
#[derive(Clone)]
pub(super) struct SecretKey(Arc<ml_dsa::SigningKey<MlDsa44>>);

impl MlDsaPublicKey {
    /// Takes the 1312 bytes of a key; every such string is one.
    pub(super) fn new(bytes: &[u8]) -> Option<MlDsaPublicKey> {
        let encoded = EncodedVerifyingKey::<MlDsa44>::try_from(bytes).ok()?;
        let key = VerifyingKey::decode(&encoded);
        Some(MlDsaPublicKey(Arc::new(Keys { bytes: bytes.into(), key })))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// Whether the 2420 bytes are this key's signature over a message.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let encoded = EncodedSignature::<MlDsa44>::try_from(signature).ok();
        let signature = encoded.and_then(|encoded| ml_dsa::Signature::decode(&encoded));
        signature.is_some_and(|signature| self.0.key.verify_with_context(message, &[], &signature))
    }
}

impl PartialEq for MlDsaPublicKey {
    fn eq(&self, other: &MlDsaPublicKey) -> bool {
        self.0.bytes == other.0.bytes
    }
}

impl Eq for MlDsaPublicKey {}

#[cfg(feature = "sign")]
impl SecretKey {
    pub(super) fn from_seed(seed: &[u8; 32]) -> SecretKey {
        SecretKey(Arc::new(ml_dsa::SigningKey::from_seed(&(*seed).into())))
    }

    pub(super) fn seed(&self) -> [u8; 32] {
        self.0.to_seed().into()
    }

    /// The public key's 1312 bytes.
    pub(super) fn public(&self) -> Vec<u8> {
        use ml_dsa::signature::Keypair as _;
        self.0.verifying_key().encode().to_vec()
    }

    /// The signature's 2420 bytes, the same ones each time: a witness that cosigns again what it
    /// cosigned must say the same.
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        use ml_dsa::signature::Signer as _;
        self.0.sign(message).encode().to_vec()
    }
}
