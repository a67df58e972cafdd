//! Signing. Only with the feature `sign`; core makes no randomness, so seeds come from outside.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer as _;

use super::key::parse_parts;
use super::{Algorithm, KeyName, ParseKeyError, Signature, VerifierKey};

const PREFIX: &str = "PRIVATE+KEY+";

/// A key that signs, in the text form that note tools share:
/// `PRIVATE+KEY+<name>+<id>+<base64 of type and seed>`. The seed has 32 bytes for every type.
///
/// [`fmt::Debug`] never prints the seed; [`SignerKey::to_secret_text`] does.
#[derive(Clone)]
pub struct SignerKey {
    verifier: VerifierKey,
    key: Secret,
}

/// A secret key; both kinds wipe their memory when they are dropped.
#[derive(Clone)]
enum Secret {
    Ed25519(Box<ed25519_dalek::SigningKey>),
    #[cfg(feature = "ml-dsa")]
    MlDsa44(super::ml_dsa::SecretKey),
}

impl SignerKey {
    /// Makes a key from a 32-byte seed, which must come from a cryptographic random source.
    ///
    /// # Errors
    /// [`ParseKeyError::Material`] if the seed gives a weak key (no random seed does);
    /// [`ParseKeyError::UnsupportedType`] for ML-DSA-44 without the feature `ml-dsa`.
    pub fn from_seed(
        name: KeyName,
        algorithm: Algorithm,
        seed: [u8; 32],
    ) -> Result<SignerKey, ParseKeyError> {
        let key = Secret::new(algorithm, &seed)?;
        let verifier = VerifierKey::new(name, algorithm, key.public())?;
        Ok(SignerKey { verifier, key })
    }

    /// The public half.
    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The secret text of a key file. Keep it as a file of mode 0600.
    pub fn to_secret_text(&self) -> String {
        let data = [&[self.verifier.algorithm().byte()], self.key.seed().as_slice()].concat();
        let (name, id) = (self.verifier.name(), self.verifier.id());
        format!("{PREFIX}{name}+{id}+{}", STANDARD.encode(data))
    }

    /// The 32 bytes that the key was made from, for programs that keep or use keys in another form.
    /// Whoever has them has the key.
    pub fn seed(&self) -> [u8; 32] {
        self.key.seed()
    }

    /// Signs a note's text with a key of type `0x01`.
    ///
    /// # Panics
    /// If the key is a cosigner's: those sign checkpoints with a time, through
    /// [`cosignature::cosign`](crate::cosignature::cosign).
    pub fn sign_text(&self, text: &str) -> Signature {
        assert_eq!(self.verifier.algorithm(), Algorithm::Ed25519, "a cosigner key signs no texts");
        self.line(self.sign_bytes(text.as_bytes()))
    }

    /// The signature over a message: the same bytes each time, for every algorithm.
    pub(crate) fn sign_bytes(&self, message: &[u8]) -> Vec<u8> {
        match &self.key {
            Secret::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
            #[cfg(feature = "ml-dsa")]
            Secret::MlDsa44(key) => key.sign(message),
        }
    }

    pub(crate) fn line(&self, bytes: Vec<u8>) -> Signature {
        Signature::new(self.verifier.name().clone(), self.verifier.id(), bytes)
    }
}

impl Secret {
    fn new(algorithm: Algorithm, seed: &[u8; 32]) -> Result<Secret, ParseKeyError> {
        match algorithm {
            Algorithm::Ed25519 | Algorithm::CosignatureV1 => {
                let key = ed25519_dalek::SigningKey::from_bytes(seed);
                Ok(Secret::Ed25519(Box::new(key)))
            }
            #[cfg(feature = "ml-dsa")]
            Algorithm::MlDsa44 => Ok(Secret::MlDsa44(super::ml_dsa::SecretKey::from_seed(seed))),
            #[cfg(not(feature = "ml-dsa"))]
            Algorithm::MlDsa44 => Err(ParseKeyError::UnsupportedType(algorithm.byte())),
        }
    }

    fn public(&self) -> Vec<u8> {
        match self {
            Secret::Ed25519(key) => key.verifying_key().to_bytes().to_vec(),
            #[cfg(feature = "ml-dsa")]
            Secret::MlDsa44(key) => key.public(),
        }
    }

    fn seed(&self) -> [u8; 32] {
        match self {
            Secret::Ed25519(key) => key.to_bytes(),
            #[cfg(feature = "ml-dsa")]
            Secret::MlDsa44(key) => key.seed(),
        }
    }
}

impl FromStr for SignerKey {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<SignerKey, ParseKeyError> {
        let rest = text.strip_prefix(PREFIX).ok_or(ParseKeyError::Shape)?;
        let mut parts = rest.splitn(3, '+');
        let (Some(name), Some(id), Some(data)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(ParseKeyError::Shape);
        };
        let (name, id, algorithm, seed) = parse_parts(name, id, data)?;
        let seed = seed.try_into().map_err(|_| ParseKeyError::Material)?;
        let key = SignerKey::from_seed(name, algorithm, seed)?;
        let derived = key.verifier.id();
        if derived != id { Err(ParseKeyError::IdMismatch(derived)) } else { Ok(key) }
    }
}

impl fmt::Debug for SignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignerKey({}, secret)", self.verifier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_files_round_trip_and_sign() {
        let name = KeyName::new("example.org/log").expect("name");
        let key = SignerKey::from_seed(name, Algorithm::Ed25519, [7; 32]).expect("sound");
        let text = key.to_secret_text();
        let again: SignerKey = text.parse().expect("own text");
        assert_eq!(again.verifier(), key.verifier());
        let line = again.sign_text("hello\n");
        assert!(key.verifier().verify(b"hello\n", line.bytes()));
        assert!(!format!("{key:?}").contains(&text[text.len() - 20..]));
        let wrong = text.replacen(&key.verifier().id().to_string(), "00000000", 1);
        assert!(matches!(wrong.parse::<SignerKey>(), Err(ParseKeyError::IdMismatch(_))));
        assert!(matches!("PRIVATE+KEY+a".parse::<SignerKey>(), Err(ParseKeyError::Shape)));
    }
}
