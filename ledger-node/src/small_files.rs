//! Small files that are there whole or not at all, also after a power cut.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use crate::store::StoreError;
use crate::store::disk::sync_dir;

/// The ending of files that are not whole yet.
pub const UNFINISHED: &str = "unfinished";

/// Writes a file in place of what is there; it is durable when this returns.
///
/// # Errors
/// [`StoreError::Io`]; then the old file is there, or the new one.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let unfinished = path.with_extension(UNFINISHED);
    let write = || -> io::Result<()> {
        let mut file = File::create(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    };
    write().map_err(StoreError::io("write", path))?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Removes a file, which may have gone.
///
/// # Errors
/// [`StoreError::Io`].
pub fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove", path)(e)),
        _ => Ok(()),
    }
}
