//! Reads files with a size limit, and writes them whole or not at all.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Reads a file of at most `limit` bytes; `-` is stdin.
///
/// # Errors
/// [`Failure`] as [`open`], and when the file is longer.
pub fn read(path: &Path, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let most = limit as u64 + 1;
    let result = if path.as_os_str() == "-" {
        std::io::stdin().lock().take(most).read_to_end(&mut bytes)
    } else {
        open(path)?.take(most).read_to_end(&mut bytes)
    };
    result.map_err(|e| cannot_read(path, &e))?;
    if bytes.len() > limit {
        let name = path.display();
        let hint = "is it the right file?";
        return Err(Failure::refused(format!("{name} has more than {limit} bytes"), hint));
    }
    Ok(bytes)
}

/// Opens a file to read. Refuses named pipes, because one in an archive from a stranger would block
/// the reader. A pipe of the shell, as in `<(...)`, has no name in the file system and is read.
///
/// # Errors
/// [`Failure`] when it cannot be read or is a named pipe.
pub fn open(path: &Path) -> Result<File, Failure> {
    if is_named_pipe(path) {
        let hint = "give a file, or `-` to read standard input";
        return Err(Failure::refused(format!("{} is a named pipe", path.display()), hint));
    }
    File::open(path).map_err(|e| cannot_read(path, &e))
}

#[cfg(unix)]
fn is_named_pipe(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    let named = std::fs::canonicalize(path).and_then(std::fs::symlink_metadata);
    named.is_ok_and(|named| named.file_type().is_fifo())
}

#[cfg(not(unix))]
fn is_named_pipe(_: &Path) -> bool {
    false
}

/// The failure for a file that cannot be read.
pub fn cannot_read(path: &Path, error: &std::io::Error) -> Failure {
    let hint = match error.kind() {
        std::io::ErrorKind::NotFound => "check the path",
        std::io::ErrorKind::PermissionDenied => "check the file's permissions",
        _ => "check the path and the disk",
    };
    Failure::environment(format!("cannot read {}: {error}", path.display()), hint)
}

/// The failure for a file that cannot be written.
pub fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    let hint = "check that the folder exists and is writable, and that the disk is not full";
    Failure::environment(format!("cannot write {}: {error}", path.display()), hint)
}

/// Writes a file atomically: a temporary file beside it, then a rename. Replaces an existing file.
///
/// # Errors
/// [`Failure`] when the file cannot be written; an existing file is then unchanged.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let folder = folder_of(path);
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".ledger-").tempfile_in(folder)?;
        file.write_all(bytes)?;
        set_public(file.as_file())?;
        // first the bytes, then the name, then the folder that holds the name: after a power cut
        // the file is the old one or the new one, never an empty one
        file.as_file().sync_all()?;
        file.persist(path)?;
        sync_folder(folder)
    };
    write().map_err(|e| cannot_write(path, &e))
}

/// Writes a file that must not exist yet.
///
/// # Errors
/// [`Failure`] when it exists or cannot be written.
pub fn create(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    write_new(path, bytes, File::options().write(true))
}

/// Writes a file that must not exist yet, with mode 0600.
///
/// # Errors
/// [`Failure`] when it exists or cannot be written.
pub fn create_private(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut options = File::options();
    make_private(options.write(true));
    write_new(path, bytes, &mut options)
}

fn write_new(path: &Path, bytes: &[u8], options: &mut OpenOptions) -> Result<(), Failure> {
    let file = options.create_new(true).open(path);
    let mut file = file.map_err(|e| match e.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::refused(
            format!("{} exists; it is not overwritten", path.display()),
            "choose another name, or move the file away",
        ),
        _ => cannot_write(path, &e),
    })?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| sync_folder(folder_of(path)))
        .map_err(|e| cannot_write(path, &e))
}

fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> std::io::Result<()> {
    Ok(())
}

/// The file beside `path` with another extension: `a/x.record` gives `a/x.tlog-proof`.
pub fn beside(path: &Path, extension: &str) -> PathBuf {
    path.with_extension(extension)
}

/// Sets mode 0600 for a file that is created.
#[cfg(unix)]
pub fn make_private(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt as _;
    options.mode(0o600);
}

/// Does nothing where files have no modes.
#[cfg(not(unix))]
pub fn make_private(_: &mut OpenOptions) {}

#[cfg(unix)]
fn set_public(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    // temporary files are private, but proofs and records are for all readers
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn set_public(_: &File) -> std::io::Result<()> {
    Ok(())
}
