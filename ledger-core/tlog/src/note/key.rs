//! Verifier keys: who may have signed, and how to check it.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::hash::{Hash, decode_hex};

/// Bytes a key name may have: long enough for any URL-like name, short enough for a line.
pub const MAX_KEY_NAME: usize = 255;

/// What a key signs and how, the byte that starts a key's data.
///
/// Closed: a signature type that is not listed here is refused as unsupported. So is ML-DSA-44 in a
/// build without the feature `ml-dsa`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// `0x01`: Ed25519 over the note's text.
    Ed25519,
    /// `0x04`: Ed25519 over a checkpoint and a time, as C2SP `tlog-cosignature` defines.
    CosignatureV1,
    /// `0x06`: ML-DSA-44 over a checkpoint and a time, as C2SP `tlog-cosignature` defines.
    MlDsa44,
}

/// A key's name: not empty, no Unicode spaces, no `+`, no control characters, at most 255 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

/// A key's short identifier. Not a commitment: two keys can be made to share one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 4]);

/// A public key's bytes, comparable, to see whether two verifier keys wrap the same key: 32 of
/// Ed25519, 1312 of ML-DSA-44.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(Box<[u8]>);

/// A key that verifies signatures of one algorithm under one name: a C2SP *vkey*.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: KeyName,
    id: KeyId,
    algorithm: Algorithm,
    key: Material,
}

/// A public key, ready to verify.
#[derive(Clone, PartialEq, Eq)]
enum Material {
    Ed25519(ed25519_dalek::VerifyingKey),
    #[cfg(feature = "ml-dsa")]
    MlDsa44(super::ml_dsa::MlDsaPublicKey),
}

/// Why a text is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseKeyError {
    /// Not three parts (or, of a signer key, not five) joined by `+`.
    #[error("not a key: expected <name>+<8 hex digits>+<base64>")]
    Shape,
    /// The name is empty, too long, or holds a space, a plus or a control character.
    #[error("a key name is 1 to {MAX_KEY_NAME} bytes without spaces, '+' or control characters")]
    Name,
    /// The signature type is one this version cannot check.
    #[error("signature type 0x{0:02x} is not supported by this version")]
    UnsupportedType(u8),
    /// The key's data are not a key of its type, or a weak key that could verify anything.
    #[error("the key data are not a sound key of their type")]
    Material,
    /// The identifier does not belong to the name and key.
    #[error("the key id does not match the name and key (it should be {0})")]
    IdMismatch(KeyId),
}

impl Algorithm {
    /// The byte that C2SP `signed-note` assigns.
    pub const fn byte(self) -> u8 {
        match self {
            Algorithm::Ed25519 => 0x01,
            Algorithm::CosignatureV1 => 0x04,
            Algorithm::MlDsa44 => 0x06,
        }
    }

    /// Whether its keys cosign checkpoints with a time, as witnesses and mirrors do.
    pub const fn is_cosigner(self) -> bool {
        match self {
            Algorithm::Ed25519 => false,
            Algorithm::CosignatureV1 | Algorithm::MlDsa44 => true,
        }
    }

    /// The algorithm of a byte, if this version supports it.
    pub const fn from_byte(byte: u8) -> Option<Algorithm> {
        match byte {
            0x01 => Some(Algorithm::Ed25519),
            0x04 => Some(Algorithm::CosignatureV1),
            #[cfg(feature = "ml-dsa")]
            0x06 => Some(Algorithm::MlDsa44),
            _ => None,
        }
    }
}

impl KeyName {
    /// Takes a name.
    ///
    /// # Errors
    /// [`ParseKeyError::Name`] unless it follows the rules of this type.
    // SPEC signed-note/format: key names are not empty and hold no Unicode spaces or plus
    pub fn new(name: &str) -> Result<KeyName, ParseKeyError> {
        let bad = |c: char| c.is_whitespace() || c.is_control() || c == '+';
        if name.is_empty() || name.len() > MAX_KEY_NAME || name.chars().any(bad) {
            return Err(ParseKeyError::Name);
        }
        Ok(KeyName(name.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl KeyId {
    /// Takes four bytes, most significant first.
    pub const fn from_bytes(bytes: [u8; 4]) -> KeyId {
        KeyId(bytes)
    }

    /// The four bytes, most significant first.
    pub const fn as_bytes(&self) -> &[u8; 4] {
        &self.0
    }

    // SPEC signed-note/signatures: SHA-256(name || 0x0A || type || key)[:4]
    fn derive(name: &KeyName, algorithm: Algorithm, public: &[u8]) -> KeyId {
        let mut message = name.0.as_bytes().to_vec();
        message.extend([b'\n', algorithm.byte()]);
        message.extend(public);
        let [a, b, c, d, ..] = *Hash::digest(&message).as_bytes();
        KeyId([a, b, c, d])
    }
}

impl PublicKey {
    /// The bytes, as many as the algorithm's keys have.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Material {
    fn new(algorithm: Algorithm, public: &[u8]) -> Result<Material, ParseKeyError> {
        match algorithm {
            Algorithm::Ed25519 | Algorithm::CosignatureV1 => {
                let bytes = public.try_into().map_err(|_| ParseKeyError::Material)?;
                let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).ok();
                let key = key.filter(|key| !key.is_weak()).ok_or(ParseKeyError::Material)?;
                Ok(Material::Ed25519(key))
            }
            #[cfg(feature = "ml-dsa")]
            Algorithm::MlDsa44 => super::ml_dsa::MlDsaPublicKey::new(public)
                .map(Material::MlDsa44)
                .ok_or(ParseKeyError::Material),
            #[cfg(not(feature = "ml-dsa"))]
            Algorithm::MlDsa44 => Err(ParseKeyError::UnsupportedType(algorithm.byte())),
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Material::Ed25519(key) => key.as_bytes(),
            #[cfg(feature = "ml-dsa")]
            Material::MlDsa44(key) => key.as_bytes(),
        }
    }
}

impl VerifierKey {
    /// Makes the key of a name, an algorithm and its public key's bytes: 32 for Ed25519, 1312 for
    /// ML-DSA-44. The id follows from them.
    ///
    /// # Errors
    /// [`ParseKeyError::Material`] for bytes of another length, and for those of Ed25519 that are
    /// no point of the curve, or one of small order; [`ParseKeyError::UnsupportedType`] for
    /// ML-DSA-44 without the feature `ml-dsa`.
    pub fn new(
        name: KeyName,
        algorithm: Algorithm,
        public: impl AsRef<[u8]>,
    ) -> Result<VerifierKey, ParseKeyError> {
        let key = Material::new(algorithm, public.as_ref())?;
        let id = KeyId::derive(&name, algorithm, public.as_ref());
        Ok(VerifierKey { name, id, algorithm, key })
    }

    /// The key's name.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The key's short identifier.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// What the key signs and how.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key itself, without name and algorithm.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.key.as_bytes().into())
    }

    /// Whether another key wraps the same public key, whatever its name and algorithm.
    pub fn is_same_public(&self, other: &VerifierKey) -> bool {
        self.key.as_bytes() == other.key.as_bytes()
    }

    /// Whether `signature` (64 bytes of Ed25519, 2420 of ML-DSA-44) is this key's over `message`,
    /// by the one strict rule.
    ///
    /// The message is what the algorithm signs: for `0x01` the note's text, for `0x04` and `0x06`
    /// what [`cosignature`](crate::cosignature) builds.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        #[cfg(feature = "count-checks")]
        super::checked::count();
        match &self.key {
            // strict: two honest verifiers must never disagree about a crafted signature
            Material::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
            #[cfg(feature = "ml-dsa")]
            Material::MlDsa44(key) => key.verify(message, signature),
        }
    }
}

impl FromStr for VerifierKey {
    type Err = ParseKeyError;

    // SPEC signed-note/verifier-keys
    fn from_str(text: &str) -> Result<VerifierKey, ParseKeyError> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(data)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(ParseKeyError::Shape);
        };
        let (name, id, algorithm, public) = parse_parts(name, id, data)?;
        let key = VerifierKey::new(name, algorithm, public)?;
        if key.id != id { Err(ParseKeyError::IdMismatch(key.id)) } else { Ok(key) }
    }
}

type KeyParts = (KeyName, KeyId, Algorithm, Vec<u8>);

/// The parts that verifier and signer keys share; the key's bytes are not yet judged.
pub(super) fn parse_parts(name: &str, id: &str, data: &str) -> Result<KeyParts, ParseKeyError> {
    let name = KeyName::new(name)?;
    let mut id_bytes = [0u8; 4];
    decode_hex(id, &mut id_bytes).ok_or(ParseKeyError::Shape)?;
    let data = STANDARD.decode(data).map_err(|_| ParseKeyError::Shape)?;
    let (kind, bytes) = data.split_first().ok_or(ParseKeyError::Shape)?;
    let algorithm = Algorithm::from_byte(*kind).ok_or(ParseKeyError::UnsupportedType(*kind))?;
    Ok((name, KeyId(id_bytes), algorithm, bytes.to_vec()))
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = [&[self.algorithm.byte()], self.key.as_bytes()].concat();
        write!(f, "{}+{}+{}", self.name, self.id, STANDARD.encode(data))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({self})")
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", STANDARD.encode(&self.0))
    }
}

impl std::str::FromStr for KeyName {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<KeyName, ParseKeyError> {
        KeyName::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";

    #[test]
    fn vkeys_round_trip() {
        let key: VerifierKey = KEY.parse().expect("example of the specification");
        assert_eq!(key.to_string(), KEY);
        assert_eq!(key.algorithm(), Algorithm::Ed25519);
        assert_eq!(key.name().as_str(), "example.com/foo");
    }

    #[test]
    fn unsound_vkeys_are_refused() {
        let cases = [
            ("", ParseKeyError::Shape),
            ("a+b", ParseKeyError::Shape),
            ("a+0000+AQ==", ParseKeyError::Shape),
            ("a+530D903A+AQ==", ParseKeyError::Shape),
            ("a+00000000+", ParseKeyError::Shape),
            ("a b+00000000+AQ==", ParseKeyError::Name),
            ("+00000000+AQ==", ParseKeyError::Name),
            ("a+00000000+AQ==", ParseKeyError::Material),
            ("a+00000000+BQAA", ParseKeyError::UnsupportedType(5)),
            #[cfg(not(feature = "ml-dsa"))]
            ("a+00000000+BgAA", ParseKeyError::UnsupportedType(6)),
            #[cfg(feature = "ml-dsa")]
            ("a+00000000+BgAA", ParseKeyError::Material),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<VerifierKey>(), Err(error), "{text}");
        }
        let other = KEY.replace("530d903a", "530d903b");
        assert!(matches!(other.parse::<VerifierKey>(), Err(ParseKeyError::IdMismatch(_))));
        // a point of small order verifies crafted signatures over anything
        let name = KeyName::new("weak").expect("name");
        let mut weak = [0u8; 32];
        weak[0] = 1;
        assert_eq!(VerifierKey::new(name, Algorithm::Ed25519, weak), Err(ParseKeyError::Material));
    }
}
