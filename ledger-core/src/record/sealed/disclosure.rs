//! Disclosures: what opens a sealed member, kept outside of the log.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::Hint;
use crate::hash::Hash;

use super::super::digest_marks::is_reserved;
use super::super::json::{JsonError, Value};
use super::super::{MAX_RECORD_BYTES, RecordError, RecordId};
use super::digests::check_value;
use super::salt::{Binding, Salt};

/// Characters that a disclosure may have: base64 of the largest value that a draft can hold.
pub const MAX_DISCLOSURE_BYTES: usize = 2 * MAX_RECORD_BYTES;

/// One sealed member or element, with the salt that hides it, in the exact text that was hashed.
///
/// Whoever has it can read the member and prove that it is the record's. Its text is base64url
/// without padding of the JSON `[salt, name, value]`, for an element of a list `[salt, value]`. The
/// salt is `<id>.<binding>.<random>`: the record's id; a digest over the record's log, issuer and
/// id as 43 characters of base64url; 128 random bits as 22 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disclosure {
    text: String,
    binding: Binding,
    name: Option<String>,
    value: Value,
}

/// Why a text is not a disclosure. Whoever made it is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DisclosureError {
    /// More than [`MAX_DISCLOSURE_BYTES`].
    #[error("it has {0} characters; at most {MAX_DISCLOSURE_BYTES} are allowed")]
    TooLong(usize),
    /// Not canonical base64url without padding.
    #[error("it is not base64url without padding")]
    Base64,
    /// What it holds is not UTF-8.
    #[error("it does not hold UTF-8")]
    Utf8,
    /// What it holds breaks a rule of JSON as records use it.
    #[error("its JSON is refused: {0}")]
    Json(JsonError),
    /// Not a list of two or three values, of which the first one, or two, are texts.
    #[error("it is not a list of salt, name and value, or of salt and value")]
    Parts,
    /// The salt has not the form of records' salts.
    #[error(
        "its salt is not <id>.<digest of log, issuer and id>.<128 random bits>, the last two in \
         base64url"
    )]
    Salt,
    /// It names `_sd`, `_sd_alg` or `...`.
    #[error("it names {0:?}, which is no member")]
    ReservedName(String),
    /// The value holds digests that no record may hold.
    #[error("its value is refused: {0}")]
    Digests(RecordError),
}

impl Hint for DisclosureError {
    fn hint(&self) -> &'static str {
        "use the file of disclosures as `ledger seal` wrote it, one a line"
    }
}

impl Disclosure {
    /// Reads a disclosure.
    ///
    /// # Errors
    /// [`DisclosureError`] names the first rule that is broken.
    pub fn parse(text: &str) -> Result<Disclosure, DisclosureError> {
        if text.len() > MAX_DISCLOSURE_BYTES {
            return Err(DisclosureError::TooLong(text.len()));
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| DisclosureError::Base64)?;
        let json = String::from_utf8(bytes).map_err(|_| DisclosureError::Utf8)?;
        let Value::List(parts) = Value::parse(&json).map_err(DisclosureError::Json)? else {
            return Err(DisclosureError::Parts);
        };
        // SPEC rfc9901/4.2: [salt, name, value] for a member, [salt, value] for an element
        let (salt, name, value) = match <[Value; 3]>::try_from(parts.into_vec()) {
            Ok([Value::Text(salt), Value::Text(name), value]) => (salt, Some(name), value),
            Ok(_) => return Err(DisclosureError::Parts),
            Err(parts) => match <[Value; 2]>::try_from(parts) {
                Ok([Value::Text(salt), value]) => (salt, None, value),
                _ => return Err(DisclosureError::Parts),
            },
        };
        let name = name.map(String::from);
        let binding = Binding::of_salt(&salt).ok_or(DisclosureError::Salt)?;
        if let Some(name) = name.iter().find(|name| is_reserved(name)) {
            return Err(DisclosureError::ReservedName(name.clone()));
        }
        check_value(&value).map_err(DisclosureError::Digests)?;
        Ok(Disclosure { text: text.to_owned(), binding, name, value })
    }

    /// Makes the disclosure of a member, or without a name of a list's element.
    pub(super) fn new(salt: &Salt, name: Option<String>, value: Value) -> Disclosure {
        let mut parts = vec![Value::from(salt.to_text())];
        parts.extend(name.iter().map(|name| Value::from(name.as_str())));
        parts.push(value.clone());
        let json = serde_json::to_string(&Value::List(parts.into())).expect("values always print");
        Disclosure { text: URL_SAFE_NO_PAD.encode(json), binding: salt.binding, name, value }
    }

    /// The exact text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands for it in the record: SHA-256 of the text's characters.
    // SPEC rfc9901/4.2.3: over the US-ASCII bytes of the base64url text, not of what it holds
    pub fn digest(&self) -> Hash {
        Hash::digest(self.text.as_bytes())
    }

    /// The id of the record that it belongs to, as its salt says.
    pub fn record(&self) -> RecordId {
        self.binding.id()
    }

    /// Which record it opens, as its salt says.
    pub(super) fn binding(&self) -> Binding {
        self.binding
    }

    /// The member's name; none for an element of a list.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The member's value, in which more may be sealed.
    pub fn value(&self) -> &Value {
        &self.value
    }
}

impl std::str::FromStr for Disclosure {
    type Err = DisclosureError;

    fn from_str(text: &str) -> Result<Disclosure, DisclosureError> {
        Disclosure::parse(text)
    }
}
