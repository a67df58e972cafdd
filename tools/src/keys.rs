//! Key files: one signer key each, mode 0600, never overwritten.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use ledger_core::note::SignerKey;

use crate::failure::Failure;
use crate::files::{self, cannot_read, cannot_write, make_private};

/// Limit on the bytes of a key file: a name of 255 bytes and the rest of the line.
const MAX_KEY_FILE: u64 = 1024;

/// Reads a key file. Refuses one that other accounts can read.
///
/// # Errors
/// [`Failure`] when it cannot be read, is open to others, or holds no key.
pub fn read(path: &Path) -> Result<SignerKey, Failure> {
    let name = path.display();
    let file = files::open(path)?;
    check_private(path, &file)?;
    let mut text = String::new();
    file.take(MAX_KEY_FILE).read_to_string(&mut text).map_err(|e| cannot_read(path, &e))?;
    text.trim_end().parse().map_err(|e| {
        Failure::refused(
            format!("{name} holds no signer key: {e}"),
            "give the file that `ledger keygen --out` wrote, not the vkey it printed",
        )
    })
}

/// Writes a new key file with mode 0600.
///
/// # Errors
/// [`Failure`] when the file exists or cannot be written.
pub fn write(path: &Path, key: &SignerKey) -> Result<(), Failure> {
    let mut options = File::options();
    options.write(true).create_new(true);
    make_private(&mut options);
    let mut file = options.open(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::refused(
            format!("{} exists; a key is never overwritten", path.display()),
            "choose another --out, or move the old key to a safe place",
        ),
        _ => cannot_write(path, &e),
    })?;
    let text = format!("{}\n", key.to_secret_text());
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(|e| cannot_write(path, &e))
}

#[cfg(unix)]
fn check_private(path: &Path, file: &File) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = file.metadata().map_err(|e| cannot_read(path, &e))?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(Failure::refused(
        format!("{} is open to others (mode {mode:04o})", path.display()),
        format!("run chmod 600 {}, and consider whether the key has leaked", path.display()),
    ))
}

#[cfg(not(unix))]
fn check_private(_: &Path, _: &File) -> Result<(), Failure> {
    Ok(())
}
