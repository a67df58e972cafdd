//! A copy that stopped while it grew beyond what is cosigned: wider tiles have replaced those that
//! the cosigned tree ends with.

use ledger_core::TreeSize;
use ledger_core::batch::Edge;
use ledger_core::checkpoint::{Checkpoint, Origin};
use ledger_core::note::{Algorithm, KeyName, SignerKey};
use ledger_core::tile::TileCoord;

use super::copy::is_whole;
use super::served::ServedCopy;
use super::store::Row;
use crate::store::site::Site;

#[test]
fn a_copy_whose_cosigned_edge_is_damaged_is_known_before_it_is_served() {
    let dir = tempfile::tempdir().expect("dir");
    let (root, temporary) = (dir.path().join("site"), dir.path().join("tmp"));
    std::fs::create_dir(&root).expect("a new folder");
    let origin = Origin::new("log.test").expect("a name");
    let site = Site::open(root.clone(), temporary, TreeSize::ZERO).expect("a new site");
    let (mut edge, mut held) = (Edge::new(), None);
    for count in [41, 600] {
        let entries: Vec<String> = (0..count).map(|n| n.to_string()).collect();
        for (coord, bytes) in edge.append(&entries).expect("room").tiles {
            site.put(coord, &bytes).expect("healthy");
        }
        held.get_or_insert(edge.head());
    }
    let held = held.expect("it was set");
    let name = KeyName::new("log.test").expect("a name");
    let key = SignerKey::from_seed(name, Algorithm::Ed25519, [1; 32]).expect("a seed");
    let checkpoint = Checkpoint::new(origin.clone(), held).sign(&key);
    site.start_from(edge.size());
    let served = ServedCopy::new(origin, site);
    let row = Row { held: Some((checkpoint, 1)), pending: None, copied: edge.head() };

    let own: Vec<TileCoord> = TileCoord::partial_in_tree(held.size).collect();
    assert_eq!(own.len(), 2, "a tile of hashes and a bundle");
    assert!(
        own.iter().all(|coord| !root.join(coord.to_string()).exists()),
        "full ones replaced it"
    );
    for coord in own {
        let (file, full) = (root.join(coord.to_string()), root.join(coord.to_full().to_string()));
        assert_eq!(is_whole(&served, &row), Ok(()));
        assert!(file.exists(), "it is cut out of the full one");
        let bytes = std::fs::read(&full).expect("it is there");
        std::fs::write(&full, &bytes[1..]).expect("writable");
        assert_eq!(is_whole(&served, &row), Ok(()), "the own one is whole");
        std::fs::remove_file(&file).expect("it was there");
        assert!(is_whole(&served, &row).is_err(), "nothing gives {coord}");
        std::fs::write(&full, bytes).expect("writable");
    }
}
