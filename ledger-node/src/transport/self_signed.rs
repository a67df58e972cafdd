//! A certificate for a consortium of its own: nobody vouches for it, so others are given the file.

use ledger_core::Hint;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, DnType, KeyPair};

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SelfSignError {
    /// A name is none.
    #[error("no certificate for these names: {0}")]
    Name(String),
    /// A file cannot be written, or is there already.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Hint for SelfSignError {
    fn hint(&self) -> &'static str {
        match self {
            SelfSignError::Name(_) => "a name is a host name or an IP address, without a port",
            SelfSignError::Write { .. } => {
                "the folder must be there (`init` makes the log's), and no file is overwritten: name others"
            }
        }
    }
}

/// Makes a key and a certificate for host names and IP addresses, signed by the key itself, as two
/// new files of PEM; the key's has mode 0600. It has no end that anybody lives to see: who gives up
/// its key takes it away from where it is believed.
///
/// # Errors
/// [`SelfSignError`].
pub fn self_sign(names: &[String], certificate: &Path, key: &Path) -> Result<(), SelfSignError> {
    let unusable = |e: rcgen::Error| SelfSignError::Name(e.to_string());
    let mut params = CertificateParams::new(names).map_err(unusable)?;
    if let Some(first) = names.first() {
        params.distinguished_name.push(DnType::CommonName, first.as_str());
    }
    let pair = KeyPair::generate().map_err(unusable)?;
    let made = params.self_signed(&pair).map_err(unusable)?;
    write(key, 0o600, &pair.serialize_pem())?;
    write(certificate, 0o644, &made.pem())
}

fn write(path: &Path, mode: u32, text: &str) -> Result<(), SelfSignError> {
    let error = |source| SelfSignError::Write { path: path.to_owned(), source };
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let mut file = opened.map_err(error)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(error)
}
