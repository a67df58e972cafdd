//! The folder that anybody may serve: a static C2SP `tlog-tiles` site at every moment.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use ledger_core::TreeSize;
use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::merkle::TreeHead;
use ledger_core::tile::{TileCoord, cut};

use super::journal::sync_dir;
use super::{FilePart, Files, StoreError};

/// Tiles, bundles and the checkpoint as files. Files appear whole, by rename.
#[derive(Debug)]
pub struct Site {
    root: PathBuf,
    /// Where files are written before they are renamed into the site.
    temporary: PathBuf,
    next_temporary: AtomicU64,
    /// What was written since the last [`Site::start_from`].
    unsynced: Mutex<BTreeSet<TileCoord>>,
    /// The size that the journal starts from: the entries before it are in tiles only.
    base: AtomicU64,
    /// The trees whose partial tiles stay beside full ones.
    shown: Mutex<ShownSizes>,
}

/// The sizes of the trees that readers may see now.
#[derive(Debug, Clone, Copy, Default)]
struct ShownSizes {
    published: TreeSize,
    /// The size in the checkpoint that is being published.
    next: TreeSize,
}

impl ShownSizes {
    /// The partial tiles of these trees at the place of a full one.
    fn partial_at(self, full: TileCoord) -> impl Iterator<Item = TileCoord> {
        let sizes = [self.published, self.next].into_iter();
        let in_tree = move |size| TileCoord::in_tree(full.kind(), full.index(), size);
        sizes.filter_map(in_tree).filter(|coord| !coord.is_full())
    }
}

impl Files for Site {
    fn get(&self, coord: TileCoord) -> Result<Option<Vec<u8>>, StoreError> {
        read_if_there(&self.path(coord))
    }

    fn part(
        &self,
        coord: TileCoord,
        from: u64,
        most: usize,
    ) -> Result<Option<FilePart>, StoreError> {
        let path = self.path(coord);
        match read_part(&path, from, most) {
            Ok(part) => Ok(Some(part)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(StoreError::io("read", &path)(e)),
        }
    }
}

impl Site {
    /// Opens the site in `root`, of a log whose journal starts from the tree of `base` leaves;
    /// unfinished files, which lie in `temporary` on the same disk, are removed.
    pub fn open(root: PathBuf, temporary: PathBuf, base: TreeSize) -> Result<Site, StoreError> {
        if temporary.exists() {
            fs::remove_dir_all(&temporary).map_err(StoreError::io("remove", &temporary))?;
        }
        fs::create_dir(&temporary).map_err(StoreError::io("create", &temporary))?;
        let (next_temporary, unsynced, shown) = Default::default();
        let base = AtomicU64::new(base.get());
        let site = Site { root, temporary, next_temporary, unsynced, base, shown };
        // no signature is checked: the size only says which partial tiles stay
        let published = read_if_there(&site.checkpoint())?.unwrap_or_default();
        if let Ok(published) = ClaimedCheckpoint::parse(&published) {
            let size = published.checkpoint().head().size;
            *site.shown() = ShownSizes { published: size, next: size };
        }
        Ok(site)
    }

    fn path(&self, coord: TileCoord) -> PathBuf {
        self.root.join(coord.to_string())
    }

    /// Writes a file unless it is there with the same bytes.
    pub fn put(&self, coord: TileCoord, bytes: &[u8]) -> Result<(), StoreError> {
        match self.get(coord)? {
            Some(there) if there == bytes => Ok(()),
            Some(_) => Err(StoreError::Conflict(coord)),
            None => self.place(coord, &self.write_temporary(bytes)?),
        }
    }

    /// Writes a file that replaying the journal gave, over whatever is there.
    pub fn restore(&self, coord: TileCoord, bytes: &[u8]) -> Result<(), StoreError> {
        // replay passes sizes whose partial tiles have gone
        if !coord.is_full() && self.path(coord.to_full()).exists() {
            return Ok(());
        }
        self.overwrite(coord, bytes)
    }

    /// Writes a file over whatever is there, and takes away a full one in whose place a partial one
    /// is written: what lies beyond the tree that is known to be whole may be the leavings of a
    /// crash.
    pub fn renew(&self, coord: TileCoord, bytes: &[u8]) -> Result<(), StoreError> {
        self.overwrite(coord, bytes)?;
        let full = self.path(coord.to_full());
        if !coord.is_full() && full.exists() {
            // the full one may be all there is of the beginning that it shares with the partial one
            self.sync(&BTreeSet::from([coord]))?;
            fs::remove_file(&full).map_err(StoreError::io("remove", &full))?;
        }
        Ok(())
    }

    /// Writes a file over whatever is there, also over equal bytes: once an `fsync` has failed, the
    /// system shows bytes that the disk may not have, and says of them that they are durable.
    pub fn overwrite(&self, coord: TileCoord, bytes: &[u8]) -> Result<(), StoreError> {
        let temporary = self.write_temporary(bytes)?;
        if self.base_edge(coord).is_some_and(|edge| coord.is_full() || coord == edge) {
            // what is there may be all that holds the right edge of the base
            let synced = File::open(&temporary).and_then(|file| file.sync_all());
            synced.map_err(StoreError::io("sync", &temporary))?;
        }
        self.place(coord, &temporary)
    }

    fn place(&self, coord: TileCoord, temporary: &Path) -> Result<(), StoreError> {
        self.rename(temporary, &self.path(coord))?;
        self.unsynced().insert(coord);
        self.drop_partial(coord)
    }

    /// The partial tile that the tree of the base ends with at this file's place, if it ends there.
    fn base_edge(&self, coord: TileCoord) -> Option<TileCoord> {
        let base = TreeSize::new(self.base.load(Ordering::Acquire)).unwrap_or(TreeSize::MAX);
        let in_base = TileCoord::in_tree(coord.kind(), coord.index(), base);
        in_base.filter(|in_base| !in_base.is_full())
    }

    /// Removes the partial tiles that a full one replaces, except those of the tree that readers see:
    /// other web servers serve these files as they are.
    ///
    /// Where the journal starts from a tree that has a partial tile here, that tile alone holds
    /// what the journal no longer has: the full one must be durable before it goes.
    // SPEC tlog-tiles/partial-tiles: partial tiles may go once the full one is there
    fn drop_partial(&self, coord: TileCoord) -> Result<(), StoreError> {
        if !coord.is_full() {
            return Ok(());
        }
        if self.base_edge(coord).is_some() {
            self.sync(&BTreeSet::from([coord]))?;
        }
        // the lock is held until the files are removed: `publish` looks for them after that
        let shown = self.shown();
        let stay: Vec<TileCoord> = shown.partial_at(coord).collect();
        if stay.is_empty() {
            return self.drop_folder(coord);
        }
        let folder = self.root.join(coord.partial_folder());
        let entries = match fs::read_dir(&folder) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(StoreError::io("read", &folder))?,
        };
        let stay: Vec<PathBuf> = stay.into_iter().map(|coord| self.path(coord)).collect();
        for entry in entries {
            let path = entry.map_err(StoreError::io("read", &folder))?.path();
            if !stay.contains(&path) {
                fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
            }
        }
        Ok(())
    }

    /// Removes all partial tiles at the place of a full one.
    fn drop_folder(&self, full: TileCoord) -> Result<(), StoreError> {
        let folder = self.root.join(full.partial_folder());
        match fs::remove_dir_all(&folder) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::io("remove", &folder)(e))
            }
            _ => Ok(()),
        }
    }

    /// Writes the partial tiles anew that the tree of `seen` leaves ends with, where the larger
    /// `stored` tree has wider ones to cut them from.
    ///
    /// A tile stays as it is where the wider one is lost or damaged.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where neither of the two is whole.
    pub fn restore_edge(&self, seen: TreeSize, stored: &TreeHead) -> Result<(), StoreError> {
        for coord in TileCoord::partial_in_tree(seen) {
            let wider = TileCoord::in_tree(coord.kind(), coord.index(), stored.size);
            let Some(wider) = wider.filter(|wider| *wider != coord) else { continue };
            match self.cut_out(coord, wider) {
                Ok(true) => {}
                Ok(false) | Err(StoreError::Damaged(_)) if self.is_whole(coord)? => {}
                Ok(false) => return Err(StoreError::Damaged(format!("{coord} is missing"))),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether a tile is there, as long as its path says.
    fn is_whole(&self, coord: TileCoord) -> Result<bool, StoreError> {
        let bytes = self.get(coord)?;
        Ok(bytes.is_some_and(|bytes| cut(coord, bytes, coord.width()).is_some()))
    }

    /// Writes a partial tile over what is there, out of a wider one. Returns whether the wider one
    /// is there.
    fn cut_out(&self, coord: TileCoord, wider: TileCoord) -> Result<bool, StoreError> {
        let Some(bytes) = self.get(wider)? else { return Ok(false) };
        let damaged = || StoreError::Damaged(format!("{wider} is not a whole tile"));
        let bytes = cut(wider, bytes, coord.width()).ok_or_else(damaged)?;
        self.overwrite(coord, &bytes)?;
        Ok(true)
    }

    /// Replaces the checkpoint, before and after which all tiles of its tree are there as files.
    pub fn publish(&self, checkpoint: &ClaimedCheckpoint) -> Result<(), StoreError> {
        let size = checkpoint.checkpoint().head().size;
        // from here on a writer of full tiles keeps the partial ones of this tree
        self.shown().next = size;
        for coord in TileCoord::partial_in_tree(size) {
            let is_there = self.path(coord).try_exists();
            if !is_there.map_err(StoreError::io("find", self.path(coord)))?
                && !self.cut_out(coord, coord.to_full())?
            {
                return Err(StoreError::Damaged(format!("{coord} is missing")));
            }
        }
        let temporary = self.write_temporary(checkpoint.to_string().as_bytes())?;
        self.rename(&temporary, &self.checkpoint())?;
        let before = std::mem::replace(&mut self.shown().published, size);
        // writers of full tiles kept only these: nothing is left between the two sizes
        for full in TileCoord::partial_in_tree(before).map(TileCoord::to_full) {
            // beyond the base a full tile may be the leavings of a crash, and the partial one all
            let is_whole = full.is_within(size) || self.base_edge(full).is_none();
            // the checkpoint is shown, and a file that stays too long misleads no reader
            if is_whole
                && self.path(full).exists()
                && let Err(error) = self.drop_partial(full)
            {
                tracing::warn!(%error, "a partial tile stays beside the full one");
            }
        }
        Ok(())
    }

    fn checkpoint(&self) -> PathBuf {
        self.root.join("checkpoint")
    }

    /// The checkpoint, if there is one.
    pub fn published(&self) -> Result<Option<String>, StoreError> {
        let bytes = read_if_there(&self.checkpoint())?;
        let text = bytes.map(String::from_utf8).transpose();
        text.map_err(|_| StoreError::Damaged("site/checkpoint is not text".into()))
    }

    /// The journal starts from the tree of `base` leaves from now on. Returns the files written
    /// since the last call: once [`Site::sync`] has made them durable, the older journal may go.
    pub fn start_from(&self, base: TreeSize) -> BTreeSet<TileCoord> {
        self.base.store(base.get(), Ordering::Release);
        std::mem::take(&mut self.unsynced())
    }

    /// Makes files durable, and the folders that name them. Partial files that have gone since are
    /// no error: a full one took their place, durably where that matters.
    pub fn sync(&self, coords: &BTreeSet<TileCoord>) -> Result<(), StoreError> {
        let mut folders = BTreeSet::new();
        for coord in coords {
            let path = self.path(*coord);
            match File::open(&path).and_then(|file| file.sync_all()) {
                Err(e) if e.kind() == io::ErrorKind::NotFound && !coord.is_full() => continue,
                Err(e) => return Err(StoreError::io("sync", &path)(e)),
                Ok(()) => {}
            }
            let above = path.ancestors().skip(1);
            folders.extend(above.take_while(|dir| dir.starts_with(&self.root)).map(Path::to_owned));
        }
        for folder in folders {
            match sync_dir(&folder) {
                // a folder of partial tiles that has gone since
                Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                synced => synced?,
            }
        }
        Ok(())
    }

    fn write_temporary(&self, bytes: &[u8]) -> Result<PathBuf, StoreError> {
        let number = self.next_temporary.fetch_add(1, Ordering::Relaxed);
        let temporary = self.temporary.join(number.to_string());
        fs::write(&temporary, bytes).map_err(StoreError::io("write", &temporary))?;
        Ok(temporary)
    }

    fn rename(&self, temporary: &Path, path: &Path) -> Result<(), StoreError> {
        match fs::rename(temporary, path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let folder = path.parent().unwrap_or(&self.root);
                fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
                fs::rename(temporary, path).map_err(StoreError::io("write", path))
            }
            renamed => renamed.map_err(StoreError::io("write", path)),
        }
    }

    fn shown(&self) -> MutexGuard<'_, ShownSizes> {
        self.shown.lock().expect("no thread panics while it holds the sizes")
    }

    fn unsynced(&self) -> MutexGuard<'_, BTreeSet<TileCoord>> {
        self.unsynced.lock().expect("no thread panics while it holds the set")
    }
}

/// Opens a file, and nothing else in its place: a named pipe would keep its reader waiting.
fn open_regular(path: &Path) -> io::Result<File> {
    // without O_NONBLOCK, opening a named pipe waits for its writer
    let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW;
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    let is_file = file.metadata()?.is_file();
    let other = || io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file");
    is_file.then_some(file).ok_or_else(other)
}

fn read_part(path: &Path, from: u64, most: usize) -> io::Result<FilePart> {
    let file = open_regular(path)?;
    let file_len = file.metadata()?.len();
    let rest = usize::try_from(file_len.saturating_sub(from)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; rest.min(most)];
    file.read_exact_at(&mut bytes, from)?;
    Ok(FilePart { bytes, file_len })
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        open_regular(path)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(StoreError::io("read", path)(e)),
    }
}

#[cfg(test)]
mod tests {
    use ledger_core::tile::TileKind;

    use super::*;

    #[test]
    fn a_named_pipe_in_the_place_of_a_tile_keeps_no_reader_waiting() {
        let dir = tempfile::tempdir().expect("a folder");
        let (root, temporary) = (dir.path().join("site"), dir.path().join("tmp"));
        let site = Site::open(root.clone(), temporary, TreeSize::new(0).expect("small"));
        let site = site.expect("an empty site");
        let size = TreeSize::new(1).expect("small");
        let coord = TileCoord::in_tree(TileKind::Entries, 0, size).expect("its only bundle");
        let path = site.path(coord);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        let made = std::process::Command::new("mkfifo").arg(&path).status().expect("mkfifo");
        assert!(made.success());
        for read in [site.get(coord).err(), site.part(coord, 0, 16).err()] {
            let error = read.expect("it is no tile").to_string();
            assert!(error.contains("no regular file"), "{error}");
        }
        // nor is a link read that leads elsewhere
        fs::remove_file(&path).expect("a pipe");
        fs::write(dir.path().join("secret"), "x").expect("room");
        std::os::unix::fs::symlink(dir.path().join("secret"), &path).expect("a link");
        assert!(site.get(coord).is_err() && site.part(coord, 0, 16).is_err());
    }
}
