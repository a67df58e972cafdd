//! SHA-256 as RFC 6962 uses it: one prefix for leaves, another for nodes.
//!
//! ```
//! use tlog::Hash;
//!
//! let leaf = Hash::leaf(b"entry");
//! assert_eq!(leaf, Hash::digest(b"\0entry"), "RFC 6962 puts a zero byte before an entry");
//! assert_eq!(Hash::from_base64(&leaf.to_base64()), Ok(leaf));
//! ```

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest: a leaf hash, a node of the tree, a root, or a digest of a text.
///
/// Shown in lower-case hex ([`fmt::Display`]); C2SP texts use [`Hash::to_base64`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; Hash::LEN]);

/// A text that is not a hash in the asked-for encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseHashError {
    /// The text is not canonical base64 of 32 bytes, in the alphabet that was asked for.
    #[error("not the base64 of 32 bytes")]
    Base64,
    /// The text is not 64 lower-case hex digits.
    #[error("not 64 lower-case hex digits")]
    Hex,
}

impl Hash {
    /// Bytes in a hash.
    pub const LEN: usize = 32;

    /// The root of the tree without leaves: the hash of the empty string.
    // SPEC rfc6962/2.1: MTH({}) = SHA-256()
    pub const EMPTY_ROOT: Hash = Hash([
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9,
        0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52,
        0xb8, 0x55,
    ]);

    /// Takes 32 bytes as they are.
    pub const fn from_bytes(bytes: [u8; Hash::LEN]) -> Hash {
        Hash(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; Hash::LEN] {
        &self.0
    }

    /// Plain SHA-256 of `bytes`, without a prefix.
    pub fn digest(bytes: &[u8]) -> Hash {
        Hash(Sha256::digest(bytes).into())
    }

    /// The leaf hash of an entry.
    // SPEC rfc6962/2.1: leaf = SHA-256(0x00 || entry)
    pub fn leaf(entry: &[u8]) -> Hash {
        let mut hasher = Sha256::new();
        hasher.update([0x00]);
        hasher.update(entry);
        Hash(hasher.finalize().into())
    }

    /// The parent of two nodes, `self` on the left.
    // SPEC rfc6962/2.1: node = SHA-256(0x01 || left || right)
    pub fn join(&self, right: &Hash) -> Hash {
        let mut message = [0u8; 1 + 2 * Hash::LEN];
        message[0] = 0x01;
        message[1..=Hash::LEN].copy_from_slice(&self.0);
        message[1 + Hash::LEN..].copy_from_slice(&right.0);
        Hash::digest(&message)
    }

    /// Reads canonical standard base64 (RFC 4648 section 4, with padding).
    ///
    /// # Errors
    /// [`ParseHashError::Base64`] for any other text.
    pub fn from_base64(text: &str) -> Result<Hash, ParseHashError> {
        let bytes = STANDARD.decode(text).map_err(|_| ParseHashError::Base64)?;
        bytes.try_into().map(Hash).map_err(|_| ParseHashError::Base64)
    }

    /// Standard base64 with padding: 44 characters.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// Reads canonical base64url (RFC 4648 section 5, without padding): 43 characters.
    ///
    /// # Errors
    /// [`ParseHashError::Base64`] for any other text.
    pub fn from_base64url(text: &str) -> Result<Hash, ParseHashError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| ParseHashError::Base64)?;
        bytes.try_into().map(Hash).map_err(|_| ParseHashError::Base64)
    }

    /// Base64url without padding: 43 characters.
    pub fn to_base64url(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Reads 64 lower-case hex digits.
    ///
    /// # Errors
    /// [`ParseHashError::Hex`] for any other text.
    pub fn from_hex(text: &str) -> Result<Hash, ParseHashError> {
        let mut bytes = [0u8; Hash::LEN];
        decode_hex(text, &mut bytes).ok_or(ParseHashError::Hex)?;
        Ok(Hash(bytes))
    }
}

/// Fills `out` from exactly `2 * out.len()` lower-case hex digits; `None` for any other text.
pub fn decode_hex(text: &str, out: &mut [u8]) -> Option<()> {
    let text = text.as_bytes();
    if text.len() != out.len().checked_mul(2)? {
        return None;
    }
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(())
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_root_is_the_digest_of_nothing() {
        assert_eq!(Hash::digest(b""), Hash::EMPTY_ROOT);
    }

    #[test]
    fn leaf_and_node_prefixes_keep_them_apart() {
        let (a, b) = (Hash::leaf(b"a"), Hash::leaf(b"b"));
        let both = [a.as_bytes().as_slice(), b.as_bytes()].concat();
        assert_ne!(a.join(&b), Hash::leaf(&both));
        assert_ne!(a.join(&b), b.join(&a));
        assert_eq!(a, Hash::digest(b"\0a"));
    }

    #[test]
    fn text_forms_round_trip_and_reject_other_spellings() {
        let hash = Hash::digest(b"x");
        assert_eq!(Hash::from_base64(&hash.to_base64()), Ok(hash));
        assert_eq!(Hash::from_hex(&hash.to_string()), Ok(hash));
        let upper = hash.to_string().to_uppercase();
        for bad in [upper.as_str(), "", "00", &hash.to_string()[1..]] {
            assert_eq!(Hash::from_hex(bad), Err(ParseHashError::Hex), "{bad}");
        }
        // the last character before the padding carries two unused bits: only zero is canonical
        let text = hash.to_base64();
        let loose = format!("{}{}=", &text[..42], (text.as_bytes()[42] + 1) as char);
        for bad in [loose.as_str(), "", &text[..43], &format!("{text}="), &format!(" {text}")] {
            assert_eq!(Hash::from_base64(bad), Err(ParseHashError::Base64), "{bad}");
        }
        let text = hash.to_base64url();
        assert_eq!((text.len(), Hash::from_base64url(&text)), (43, Ok(hash)));
        let loose = format!("{}{}", &text[..42], (text.as_bytes()[42] + 1) as char);
        let plus = format!("+{}", &text[1..]);
        for bad in [loose.as_str(), &plus, "", &text[..42], &format!("{text}=")] {
            assert_eq!(Hash::from_base64url(bad), Err(ParseHashError::Base64), "{bad}");
        }
    }
}
