//! Salts: they make a disclosure unguessable, and bind it to one record of one log and issuer.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::hash::Hash;

use super::super::{Envelope, RecordId};

/// The first line of the text whose digest binds a salt, without its newline. No log may be called
/// so, and no name contains a newline, so that two bindings never share a text.
const BINDING_FIRST_LINE: &str = "ledger-sealed/v1";

/// Random bytes in a salt.
// SPEC rfc9901/9.3: 128 bits of a salt must not be guessed
pub(super) const SALT_BYTES: usize = 16;

/// The record that a disclosure is for: its id, and a digest over its log, its issuer and its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Binding {
    id: RecordId,
    digest: Hash,
}

/// A salt: `<id>.<binding>.<random>`, 103 characters.
pub(super) struct Salt {
    pub(super) binding: Binding,
    pub(super) random: [u8; SALT_BYTES],
}

impl Binding {
    /// The binding of a record or draft.
    pub(super) fn of(envelope: &Envelope) -> Binding {
        let (log, issuer, id) = (envelope.log(), envelope.issuer(), envelope.id());
        let text = format!("{BINDING_FIRST_LINE}\n{log}\n{issuer}\n{id}\n");
        Binding { id, digest: Hash::digest(text.as_bytes()) }
    }

    pub(super) fn id(&self) -> RecordId {
        self.id
    }

    /// The binding that a salt names; `None` if the text is no salt.
    pub(super) fn of_salt(text: &str) -> Option<Binding> {
        let (id, rest) = text.split_once('.')?;
        let (digest, random) = rest.split_once('.')?;
        let random = URL_SAFE_NO_PAD.decode(random).ok()?;
        if random.len() != SALT_BYTES {
            return None;
        }
        Some(Binding { id: RecordId::parse(id).ok()?, digest: Hash::from_base64url(digest).ok()? })
    }
}

impl Salt {
    pub(super) fn to_text(&self) -> String {
        let Binding { id, digest } = self.binding;
        format!("{id}.{}.{}", digest.to_base64url(), URL_SAFE_NO_PAD.encode(self.random))
    }
}

#[cfg(test)]
mod tests {
    use super::BINDING_FIRST_LINE;
    use crate::record::{FIRST_LINE, RESERVED_FIRST_LINES};
    use crate::{decline, request, succession};

    #[test]
    fn no_log_can_have_a_first_line_as_its_name() {
        let others = [decline::FIRST_LINE, request::FIRST_LINE, succession::FIRST_LINE];
        for line in others.into_iter().chain([FIRST_LINE, BINDING_FIRST_LINE]) {
            assert!(RESERVED_FIRST_LINES.contains(&line), "{line}");
        }
    }
}
