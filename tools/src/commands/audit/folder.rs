//! Checks the files in a log's directory that its signed tree does not need.

use std::path::{Path, PathBuf};

use ledger_core::index::TreeSize;
use ledger_core::tile::{EntryBundle, TileCoord, TileKind};

use super::report::Report;
use ledger_node::source::Source;

/// Limit on nested folders below `tile/`: a level, groups of three digits, and a folder of partial
/// tiles.
const MAX_DEPTH: usize = 12;

/// Walks `tile/`. Older partial tiles must be prefixes of the current tiles; files outside the
/// signed tree are reported. A folder that cannot be read does not end the walk.
pub fn check(source: &Source, size: TreeSize, report: &mut Report) {
    if let Source::Folder(root) = source {
        walk(source, size, (root, Path::new("tile")), 0, report);
    }
}

fn walk(
    source: &Source,
    size: TreeSize,
    (root, below): (&PathBuf, &Path),
    depth: usize,
    report: &mut Report,
) {
    let folder = root.join(below);
    if !folder.exists() {
        return;
    }
    let items = match std::fs::read_dir(&folder) {
        Ok(items) => items,
        Err(e) => return report.unread(&below.display().to_string(), &e.to_string()),
    };
    for item in items {
        let (item, is_folder) = match item.and_then(|item| Ok((item.file_type()?, item))) {
            Ok((kind, item)) => (item, kind.is_dir()),
            Err(e) => return report.unread(&below.display().to_string(), &e.to_string()),
        };
        let below = below.join(item.file_name());
        let name = below.display().to_string();
        // a folder that has the name of a tile holds no tiles
        let coord = name.parse::<TileCoord>().ok();
        if is_folder && depth < MAX_DEPTH && coord.is_none() {
            walk(source, size, (root, &below), depth + 1, report);
            continue;
        }
        match coord {
            None => report.remark(&format!("{name} is not a file of a log")),
            Some(coord) if !coord.is_within(size) => {
                report.remark(&format!("{name} is beyond the signed tree of {size}"));
            }
            Some(coord) => stale(source, size, coord, report),
        }
    }
}

/// Compares an older partial tile with the tile that replaced it.
fn stale(source: &Source, size: TreeSize, coord: TileCoord, report: &mut Report) {
    let Some(grown) = TileCoord::in_tree(coord.kind(), coord.index(), size) else { return };
    // a problem of the current tile is reported already, and says nothing about the older one
    if grown == coord || report.blames(grown) {
        return;
    }
    let Ok(new) = source.file(grown) else { return };
    if report.blames(new.coord) {
        return;
    }
    let beginning = match coord.kind() {
        TileKind::Hashes(_) => Some(new.bytes),
        TileKind::Entries => {
            let new = EntryBundle::parse(new.coord, new.bytes);
            new.ok().map(|new| new.cut(coord.width()).into_bytes())
        }
    };
    let Some(mut beginning) = beginning else { return };
    if coord.kind() != TileKind::Entries {
        beginning.truncate(usize::from(coord.width()) * ledger_core::Hash::LEN);
    }
    match source.file(coord) {
        Ok(old) if old.bytes == beginning => {}
        Ok(_) => report.damaged(coord, &format!("it is not the beginning of {grown}")),
        // no part of the signed tree needs it
        Err(error) => report.remark(&format!("{coord} {error}")),
    }
}
