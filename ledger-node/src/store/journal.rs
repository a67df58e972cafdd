//! The journal: batches of entries in preallocated segments, one `fdatasync` a batch.
//!
//! A segment is a file of fixed size, written with zeroes before its first use, so that a batch's
//! `fdatasync` has no file metadata to write. Retired segments are used again. Format, all numbers
//! big-endian:
//!
//! ```text
//! segment  "LDGRJNL1"  number:8  base size:8  base root:32  SHA-256 of these:32  zeroes to 512
//!          then frames, then zeroes or frames of an earlier use of the file
//! frame    "FRME"  segment number:8  first index:8  count:4  payload length:4
//!          SHA-256 of the header so far and the payload:32  payload
//! payload  count times: length:2 entry
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use ledger_core::merkle::TreeHead;
use ledger_core::tile::append_entry;
use ledger_core::{Hash, TreeSize};

use super::{Replay, StoreError};

/// Bytes of a segment unless configured otherwise: some seconds of a busy log.
pub const DEFAULT_SEGMENT_BYTES: u64 = 16 << 20;

/// Bytes of the smallest segment: it must hold the largest batch.
pub const MIN_SEGMENT_BYTES: u64 = 8 << 20;

const SEGMENT_MAGIC: &[u8; 8] = b"LDGRJNL1";
const SEGMENT_HEADER: u64 = 512;
const FRAME_MAGIC: &[u8; 4] = b"FRME";
const FRAME_FIELDS: usize = 4 + 8 + 8 + 4 + 4;
const FRAME_HEADER: usize = FRAME_FIELDS + Hash::LEN;

/// The name of the segment file that waits for its use.
const SPARE: &str = "spare";

/// The segment that batches are appended to.
#[derive(Debug)]
pub struct Segment {
    file: File,
    path: PathBuf,
    number: u64,
    /// Where the next frame goes.
    at: u64,
    bytes: u64,
}

/// The journal as it was found.
#[derive(Debug)]
pub struct OpenedJournal {
    /// The batches.
    pub replay: Replay,
    /// The newest segment, ready for more.
    pub segment: Segment,
    /// Older segments, which may go once all tiles up to the newest one's base are durable.
    pub older: Vec<PathBuf>,
}

impl Segment {
    /// Makes the first segment of a new log's journal in `dir`.
    pub fn create_first(dir: &Path, bytes: u64) -> Result<Segment, StoreError> {
        prepare_spare(dir, bytes)?;
        Segment::begin(dir, 1, &TreeHead::EMPTY, bytes)
    }

    /// Turns the spare file of `dir` into segment `number`, which starts behind the tree `base`.
    pub fn begin(
        dir: &Path,
        number: u64,
        base: &TreeHead,
        bytes: u64,
    ) -> Result<Segment, StoreError> {
        let spare = dir.join(SPARE);
        let path = dir.join(format!("{number:012}.segment"));
        let file = OpenOptions::new().read(true).write(true).open(&spare);
        let file = file.map_err(StoreError::io("open", &spare))?;
        file.write_all_at(&segment_header(number, base), 0)
            .and_then(|()| file.sync_data())
            .map_err(StoreError::io("write", &spare))?;
        fs::rename(&spare, &path).map_err(StoreError::io("rename", &spare))?;
        sync_dir(dir)?;
        Ok(Segment { file, path, number, at: SEGMENT_HEADER, bytes })
    }

    /// The number of this segment; the next one's is one more.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The segment's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a batch still fits.
    pub fn has_room(&self, entries: &[Vec<u8>]) -> bool {
        let payload: usize = entries.iter().map(|entry| 2 + entry.len()).sum();
        // a batch larger than a whole segment ends beyond the segment that holds it
        (FRAME_HEADER + payload) as u64 <= self.bytes.saturating_sub(self.at)
    }

    /// Appends a batch whose first entry stands at `first`, and makes it durable.
    ///
    /// The caller has seen that it fits.
    pub fn append(&mut self, first: TreeSize, entries: &[Vec<u8>]) -> Result<(), StoreError> {
        let frame = frame(self.number, first, entries);
        self.file
            .write_all_at(&frame, self.at)
            .and_then(|()| self.file.sync_data())
            .map_err(StoreError::io("write", &self.path))?;
        self.at += frame.len() as u64;
        Ok(())
    }
}

/// Reads the whole journal in `dir` and finds where it goes on.
pub fn open(dir: &Path) -> Result<OpenedJournal, StoreError> {
    let paths = segment_paths(dir)?;
    let mut replay: Option<Replay> = None;
    let mut next_index = 0;
    let mut newest: Option<Newest> = None;
    for (at, path) in paths.iter().enumerate() {
        let content = read_file(path)?;
        let damaged =
            |what: String| StoreError::Damaged(format!("journal {}: {what}", path.display()));
        let (number, base) = parse_segment_header(&content)
            .ok_or_else(|| damaged("the segment's header does not have its checksum".into()))?;
        let replay = replay.get_or_insert_with(|| {
            next_index = base.size.get();
            Replay { base, batches: Vec::new() }
        });
        if base.size.get() != next_index {
            return Err(damaged(format!(
                "it starts at entry {}, but the segments before it end at entry {next_index}",
                base.size
            )));
        }
        let end =
            read_frames(&content, number, &mut next_index, &mut replay.batches).map_err(damaged)?;
        if at + 1 == paths.len() {
            newest = Some(Newest { path: path.clone(), number, end, content });
        }
    }
    let (Some(replay), Some(newest)) = (replay, newest) else {
        return Err(StoreError::Damaged(format!("{} holds no journal", dir.display())));
    };
    let segment = newest.make_durable()?;
    sync_dir(dir)?;
    let older = paths[..paths.len() - 1].to_vec();
    Ok(OpenedJournal { replay, segment, older })
}

/// The segment that goes on, as it was read.
struct Newest {
    path: PathBuf,
    number: u64,
    end: usize,
    content: Vec<u8>,
}

impl Newest {
    /// Makes what was read durable before anybody signs it: a killed process, or a disk that failed
    /// a sync, may have left batches that only the page cache holds. They are written again, for a
    /// failed sync leaves pages that count as clean.
    fn make_durable(self) -> Result<Segment, StoreError> {
        let Newest { path, number, end, content } = self;
        let file = OpenOptions::new().read(true).write(true).open(&path);
        let file = file.map_err(StoreError::io("open", &path))?;
        file.write_all_at(&content[..end], 0)
            .and_then(|()| file.sync_all())
            .map_err(StoreError::io("write", &path))?;
        Ok(Segment { file, path, number, at: end as u64, bytes: content.len() as u64 })
    }
}

/// Makes the spare segment file, unless there is one: zeroes, written and durable.
pub fn prepare_spare(dir: &Path, bytes: u64) -> Result<(), StoreError> {
    let (spare, temporary) = (dir.join(SPARE), dir.join("spare.new"));
    if spare.exists() {
        return Ok(());
    }
    let write = || -> io::Result<()> {
        let mut file = File::create(&temporary)?;
        io::copy(&mut io::repeat(0).take(bytes), &mut file)?;
        file.flush()?;
        file.sync_all()?;
        fs::rename(&temporary, &spare)
    };
    write().map_err(StoreError::io("write", &temporary))?;
    sync_dir(dir)
}

/// Lets go of a segment whose entries' tiles are durable: it becomes the spare, or goes.
pub fn retire(dir: &Path, segment: &Path) -> Result<(), StoreError> {
    let spare = dir.join(SPARE);
    if spare.exists() {
        fs::remove_file(segment).map_err(StoreError::io("remove", segment))?;
    } else {
        fs::rename(segment, &spare).map_err(StoreError::io("rename", segment))?;
    }
    // before the file is written again: its old name must never come back with new content
    sync_dir(dir)
}

/// Makes a folder's entries durable.
///
/// # Errors
/// [`StoreError::Io`].
pub fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(StoreError::io("sync", dir))
}

fn segment_paths(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(StoreError::io("read", dir))? {
        let path = entry.map_err(StoreError::io("read", dir))?.path();
        if path.extension().is_some_and(|extension| extension == "segment") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn read_file(path: &Path) -> Result<Vec<u8>, StoreError> {
    fs::read(path).map_err(StoreError::io("read", path))
}

fn segment_header(number: u64, base: &TreeHead) -> Vec<u8> {
    let mut header = SEGMENT_MAGIC.to_vec();
    header.extend(number.to_be_bytes());
    header.extend(base.size.get().to_be_bytes());
    header.extend(base.root.as_bytes());
    header.extend(Hash::digest(&header).as_bytes());
    header.resize(SEGMENT_HEADER as usize, 0);
    header
}

fn parse_segment_header(content: &[u8]) -> Option<(u64, TreeHead)> {
    let header = content.get(..SEGMENT_HEADER as usize)?;
    let number = u64::from_be_bytes(header[8..16].try_into().ok()?);
    let size = TreeSize::new(u64::from_be_bytes(header[16..24].try_into().ok()?)).ok()?;
    let root = Hash::from_bytes(header[24..56].try_into().ok()?);
    let base = TreeHead { size, root };
    // every byte counts, also those that are always zero
    (segment_header(number, &base) == header).then_some((number, base))
}

fn frame(number: u64, first: TreeSize, entries: &[Vec<u8>]) -> Vec<u8> {
    let length: usize = entries.iter().map(|entry| 2 + entry.len()).sum();
    let mut frame = Vec::with_capacity(FRAME_HEADER + length);
    frame.extend(FRAME_MAGIC);
    frame.extend(number.to_be_bytes());
    frame.extend(first.get().to_be_bytes());
    frame.extend((entries.len() as u32).to_be_bytes());
    frame.extend((length as u32).to_be_bytes());
    frame.extend([0; Hash::LEN]);
    for entry in entries {
        append_entry(&mut frame, entry).expect("the sequencer takes no entry over 65,535 bytes");
    }
    let sum = checksum(&frame[..FRAME_FIELDS], &frame[FRAME_HEADER..]);
    frame[FRAME_FIELDS..FRAME_HEADER].copy_from_slice(sum.as_bytes());
    frame
}

fn checksum(fields: &[u8], payload: &[u8]) -> Hash {
    Hash::digest(fields).join(&Hash::digest(payload))
}

/// A whole, undamaged frame: its entries and where it ends.
struct Frame {
    first: u64,
    entries: Vec<Vec<u8>>,
    end: usize,
}

fn parse_frame(content: &[u8], at: usize, number: u64) -> Option<Frame> {
    let fields = content.get(at..at + FRAME_FIELDS)?;
    let word = |from: usize| fields[from..from + 8].try_into().map(u64::from_be_bytes).ok();
    let half = |from: usize| fields[from..from + 4].try_into().map(u32::from_be_bytes).ok();
    if &fields[..4] != FRAME_MAGIC || word(4)? != number {
        return None;
    }
    let (first, count, length) = (word(12)?, half(20)?, half(24)? as usize);
    let sum = content.get(at + FRAME_FIELDS..at + FRAME_HEADER)?;
    let end = at.checked_add(FRAME_HEADER)?.checked_add(length)?;
    let payload = content.get(at + FRAME_HEADER..end)?;
    if checksum(fields, payload).as_bytes() != sum {
        return None;
    }
    let mut entries = Vec::with_capacity(count as usize);
    let mut rest = payload;
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (entry, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        entries.push(entry.to_vec());
        rest = after;
    }
    (entries.len() == count as usize).then_some(Frame { first, entries, end })
}

/// Reads frames up to the first that is not whole, and returns where that is.
///
/// An unfinished frame is how a crash leaves a journal. A whole frame *behind* a damaged one is
/// not: then something that was durable has been lost, and going on would fork the log.
fn read_frames(
    content: &[u8],
    number: u64,
    next_index: &mut u64,
    batches: &mut Vec<Vec<Vec<u8>>>,
) -> Result<usize, String> {
    let mut at = SEGMENT_HEADER as usize;
    while let Some(frame) = parse_frame(content, at, number) {
        if frame.first != *next_index {
            return Err(format!(
                "a batch says it starts at entry {}, where entry {next_index} is next",
                frame.first
            ));
        }
        *next_index += frame.entries.len() as u64;
        batches.push(frame.entries);
        at = frame.end;
    }
    let mut mark = FRAME_MAGIC.to_vec();
    mark.extend(number.to_be_bytes());
    let mut from = at;
    while let Some(found) = find(&content[from..], &mark) {
        from += found;
        if let Some(frame) = parse_frame(content, from, number) {
            return Err(format!(
                "the batch at byte {at}, which starts at entry {next_index}, is damaged, but the \
                 batch of entry {} after it is whole",
                frame.first
            ));
        }
        from += 1;
    }
    Ok(at)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = needle[0];
    let mut from = 0;
    while let Some(at) = haystack[from..].iter().position(|byte| *byte == first) {
        from += at;
        if haystack[from..].starts_with(needle) {
            return Some(from);
        }
        from += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: u64 = 64 << 10;

    fn batch(first: u64, count: u64) -> Vec<Vec<u8>> {
        (first..first + count).map(|i| format!("entry {i}").into_bytes()).collect()
    }

    fn size(n: u64) -> TreeSize {
        TreeSize::new(n).expect("small")
    }

    fn head(n: u64) -> TreeHead {
        TreeHead { size: size(n), root: Hash::leaf(&n.to_be_bytes()) }
    }

    fn journal_of_three(dir: &Path) -> PathBuf {
        let mut segment = Segment::create_first(dir, BYTES).expect("new");
        for (first, count) in [(0, 2), (2, 1), (3, 5)] {
            segment.append(size(first), &batch(first, count)).expect("room");
        }
        segment.path().to_owned()
    }

    #[test]
    fn batches_come_back_in_order_and_the_journal_goes_on() {
        let dir = tempfile::tempdir().expect("dir");
        journal_of_three(dir.path());
        let mut found = open(dir.path()).expect("own journal");
        let three = vec![batch(0, 2), batch(2, 1), batch(3, 5)];
        assert_eq!(found.replay, Replay { base: TreeHead::EMPTY, batches: three.clone() });
        found.segment.append(size(8), &batch(8, 1)).expect("room");
        let found = open(dir.path()).expect("own journal");
        assert_eq!(found.replay.batches, [three, vec![batch(8, 1)]].concat());
    }

    #[test]
    fn a_batch_larger_than_a_segment_leaves_no_room_behind_it() {
        let dir = tempfile::tempdir().expect("dir");
        let mut segment = Segment::create_first(dir.path(), 1024).expect("room");
        let large = vec![vec![7; 2000]];
        assert!(!segment.has_room(&large) && segment.has_room(&batch(0, 1)));
        segment.append(size(0), &large).expect("the file grows");
        assert!(!segment.has_room(&batch(1, 1)), "it is full");
        let mut found = open(dir.path()).expect("own journal");
        assert_eq!(found.replay.batches, [large]);
        assert!(!found.segment.has_room(&batch(1, 1)));
        found.segment.append(size(1), &batch(1, 1)).expect("the file grows");
    }

    #[test]
    fn a_second_segment_goes_on_and_the_first_is_used_again() {
        let dir = tempfile::tempdir().expect("dir");
        let first = journal_of_three(dir.path());
        prepare_spare(dir.path(), BYTES).expect("spare");
        let mut second = Segment::begin(dir.path(), 2, &head(8), BYTES).expect("spare");
        second.append(size(8), &batch(8, 3)).expect("room");
        let found = open(dir.path()).expect("two segments");
        assert_eq!(found.older, std::slice::from_ref(&first));
        assert_eq!(found.replay.batches.len(), 4);
        retire(dir.path(), &first).expect("older");
        let found = open(dir.path()).expect("one segment");
        assert_eq!(found.replay, Replay { base: head(8), batches: vec![batch(8, 3)] });
        // the frames of its first use are still in the file
        let third = Segment::begin(dir.path(), 3, &head(11), BYTES).expect("spare");
        assert_eq!(third.number(), 3);
        let found = open(dir.path()).expect("two segments");
        assert_eq!(found.replay.batches, [batch(8, 3)]);
    }

    #[test]
    fn a_torn_tail_is_dropped_at_every_byte() {
        let dir = tempfile::tempdir().expect("dir");
        let path = journal_of_three(dir.path());
        let whole = fs::read(&path).expect("segment");
        let frames = [batch(0, 2), batch(2, 1), batch(3, 5)];
        let last = frame(1, size(3), &frames[2]).len();
        let end: usize = 512
            + [0, 2]
                .map(|i| frame(1, size(i), &frames[i as usize / 2]).len())
                .iter()
                .sum::<usize>()
            + last;
        for cut in end - last..end {
            let mut torn = whole.clone();
            torn[cut..].fill(0);
            fs::write(&path, &torn).expect("write");
            let found = open(dir.path()).expect("a torn tail is no damage");
            assert_eq!(found.replay.batches, frames[..2], "cut at {cut}");
        }
    }

    #[test]
    fn damage_before_a_whole_batch_is_an_error() {
        let dir = tempfile::tempdir().expect("dir");
        let path = journal_of_three(dir.path());
        let whole = fs::read(&path).expect("segment");
        let before_last =
            512 + frame(1, size(0), &batch(0, 2)).len() + frame(1, size(2), &batch(2, 1)).len();
        for at in (0..before_last).filter(|at| *at < 88 || *at >= 512) {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x10;
            fs::write(&path, &flipped).expect("write");
            let opened = open(dir.path());
            assert!(matches!(opened, Err(StoreError::Damaged(_))), "byte {at}: {opened:?}");
        }
    }

    #[test]
    fn a_missing_segment_is_an_error() {
        let dir = tempfile::tempdir().expect("dir");
        let first = journal_of_three(dir.path());
        prepare_spare(dir.path(), BYTES).expect("spare");
        Segment::begin(dir.path(), 2, &head(9), BYTES).expect("spare");
        assert!(matches!(open(dir.path()), Err(StoreError::Damaged(_))));
        fs::remove_file(first).expect("remove");
        assert_eq!(open(dir.path()).expect("starts at 9").replay.base, head(9));
        let empty = tempfile::tempdir().expect("dir");
        assert!(matches!(open(empty.path()), Err(StoreError::Damaged(_))));
    }
}
