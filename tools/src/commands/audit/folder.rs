//! What lies in a log's directory beside the files that its signed tree needs.

use std::path::{Path, PathBuf};

use ledger_core::hash::Hash;
use ledger_core::index::TreeSize;
use ledger_core::tile::{TileCoord, TileKind};

use super::report::Report;
use crate::failure::Failure;
use ledger_node::source::{Source, split_bundle};

/// Folders below `tile/`: a level, groups of three digits, and a folder of partial tiles.
const MAX_DEPTH: usize = 12;

/// Walks `tile/`: older partial tiles must be beginnings of the present ones, and files that the
/// signed tree does not know are told of.
///
/// # Errors
/// [`Failure`] when a folder cannot be read.
pub fn check(source: &Source, size: TreeSize, report: &mut Report) -> Result<(), Failure> {
    let Source::Folder(root) = source else { return Ok(()) };
    walk(source, size, (root, Path::new("tile")), 0, report)
}

fn walk(
    source: &Source,
    size: TreeSize,
    (root, below): (&PathBuf, &Path),
    depth: usize,
    report: &mut Report,
) -> Result<(), Failure> {
    let folder = root.join(below);
    let unread = |e: std::io::Error| {
        let hint = "may this account read the folder?";
        Failure::environment(format!("{}: {e}", folder.display()), hint)
    };
    if !folder.exists() {
        return Ok(());
    }
    for item in std::fs::read_dir(&folder).map_err(unread)? {
        let item = item.map_err(unread)?;
        let below = below.join(item.file_name());
        if item.file_type().map_err(unread)?.is_dir() && depth < MAX_DEPTH {
            walk(source, size, (root, &below), depth + 1, report)?;
            continue;
        }
        let name = below.display().to_string();
        match name.parse::<TileCoord>() {
            Err(_) => report.remark(&format!("{name} is no file of a log")),
            Ok(coord) if !coord.is_within(size) => {
                report.remark(&format!("{name} lies beyond the signed tree of {size}"));
            }
            Ok(coord) => stale(source, size, coord, report),
        }
    }
    Ok(())
}

/// Compares an older partial tile with the tile that has grown out of it.
fn stale(source: &Source, size: TreeSize, coord: TileCoord, report: &mut Report) {
    let Some(grown) = TileCoord::in_tree(coord.kind(), coord.index(), size) else { return };
    if grown == coord {
        return;
    }
    // what is wrong with the present tile was told of already, and says nothing about the older one
    if report.speaks_of(&grown.to_string()) {
        return;
    }
    let width = usize::from(coord.width());
    let (Ok(old), Ok(new)) = (source.tile(coord), source.tile(grown)) else { return };
    let end = match coord.kind() {
        TileKind::Hashes(_) => width * Hash::LEN,
        TileKind::Entries => split_bundle(&new, width).0.last().map_or(0, |(_, end)| *end),
    };
    if new.get(..end) != Some(old.as_slice()) {
        report.damaged(&coord.to_string(), &format!("it is not the beginning of {grown}"));
    }
}
