//! Parsers on random bytes and on damaged valid input: never a panic, and what was read prints back
//! to the letter. Records and charters have such tests of their own.

use ledger_core::checkpoint::{Checkpoint, ClaimedCheckpoint, Origin};
use ledger_core::cosignature::cosign;
use ledger_core::index::parse_decimal;
use ledger_core::merkle::{ConsistencyProof, InclusionProof, prove_consistency, prove_inclusion};
use ledger_core::note::{Algorithm, Note, Signature, SignerKey, VerifierKey};
use ledger_core::policy::Policy;
use ledger_core::proof::TlogProof;
use ledger_core::record::Logged;
use ledger_core::tile::{EntryBundle, HashTile, TileCoord, append_entry};
use ledger_core::{Hash, LeafIndex, TreeSize};
use ledger_tests::{index, key, tree};
use proptest::prelude::*;

/// Pieces that parsers trip over.
const PIECES: [&str; 20] = [
    "\n",
    "\n\n",
    "\r",
    "\r\n",
    "\t",
    " ",
    "  ",
    "+",
    "=",
    "==",
    "0",
    "00",
    "-1",
    "\u{2014} ",
    "x",
    ".p/",
    "\u{feff}",
    "\u{85}",
    "\u{a0}",
    "18446744073709551616",
];

/// One change to a text or file.
#[derive(Debug, Clone)]
enum Edit {
    Set(prop::sample::Index, u8),
    Flip(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    /// Before or behind some newline, where lines are split and trimmed.
    AtNewline(prop::sample::Index, bool, Vec<u8>),
    Remove(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
    Cut(prop::sample::Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<prop::sample::Index>;
    let piece =
        || prop::sample::select(PIECES.to_vec()).prop_map(|piece| piece.as_bytes().to_vec());
    prop_oneof![
        (at(), any::<bool>(), piece()).prop_map(|(at, behind, p)| Edit::AtNewline(at, behind, p)),
        (at(), any::<u8>()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        (at(), 0..8u8).prop_map(|(at, bit)| Edit::Flip(at, bit)),
        (at(), piece()).prop_map(|(at, piece)| Edit::Insert(at, piece)),
        (at(), 1..8usize).prop_map(|(at, count)| Edit::Remove(at, count)),
        (at(), 1..80usize).prop_map(|(at, count)| Edit::Repeat(at, count)),
        at().prop_map(Edit::Cut),
    ]
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let place = |at: &prop::sample::Index| at.index(bytes.len() + 1);
        match self {
            Edit::Set(at, byte) => {
                let at = place(at);
                bytes.splice(at..(at + 1).min(bytes.len()), [*byte]);
            }
            Edit::Flip(at, bit) => {
                let at = place(at);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            Edit::Insert(at, piece) => {
                let at = place(at);
                bytes.splice(at..at, piece.iter().copied());
            }
            Edit::AtNewline(at, behind, piece) => {
                let newlines = (0..bytes.len()).filter(|at| bytes[*at] == b'\n');
                let newlines: Vec<usize> = newlines.collect();
                if !newlines.is_empty() {
                    let at = newlines[at.index(newlines.len())] + usize::from(*behind);
                    bytes.splice(at..at, piece.iter().copied());
                }
            }
            Edit::Remove(at, count) => {
                let at = place(at);
                bytes.drain(at..(at + count).min(bytes.len()));
            }
            Edit::Repeat(at, count) => {
                let at = place(at);
                let copy = bytes[at..(at + count).min(bytes.len())].to_vec();
                bytes.splice(at..at, copy);
            }
            Edit::Cut(at) => bytes.truncate(place(at)),
        }
    }
}

/// A valid input with up to three changes, or none, or random bytes.
fn input(valid: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let damaged = (prop::sample::select(valid), prop::collection::vec(edit(), 0..=3));
    let damaged = damaged.prop_map(|(mut bytes, edits)| {
        edits.iter().for_each(|edit| edit.apply(&mut bytes));
        bytes
    });
    prop_oneof![8 => damaged, 1 => prop::collection::vec(any::<u8>(), 0..200)]
}

fn log() -> SignerKey {
    key("log.example/2026", Algorithm::Ed25519, 1)
}

fn witness(seed: u8) -> SignerKey {
    key(&format!("w{seed}.example"), Algorithm::CosignatureV1, seed)
}

fn checkpoint(leaves: u64) -> ClaimedCheckpoint {
    let head = *tree(leaves).1.last().expect("the head of the whole tree");
    let checkpoint = Checkpoint::new(Origin::new("log.example/2026").expect("origin"), head);
    let cosigned = (2..5).map(|seed| cosign(&witness(seed), &checkpoint, 1_784_000_000));
    checkpoint.sign(&log()).with_signatures(cosigned).expect("room")
}

fn checkpoints() -> Vec<Vec<u8>> {
    let plain = checkpoint(9).to_string();
    let note = Note::parse(plain.as_bytes()).expect("a note");
    let extended = format!("{}an extension\n", note.text());
    let extended = Note::new(&extended, vec![log().sign_text(&extended)]).expect("a note");
    vec![
        plain.into_bytes(),
        checkpoint(0).to_string().into_bytes(),
        extended.to_string().into_bytes(),
    ]
}

fn proofs() -> Vec<Vec<u8>> {
    let proof = |leaves: u64, at: u64, extra: Option<&[u8]>| {
        let (mut nodes, heads) = tree(leaves);
        let size = heads.last().expect("a head").size;
        let inclusion = prove_inclusion(&mut nodes, index(at), size).expect("inside");
        let (extra, checkpoint) = (extra.map(<[u8]>::to_vec), checkpoint(leaves));
        TlogProof { extra, index: index(at), inclusion, checkpoint }.to_string().into_bytes()
    };
    vec![
        proof(1, 0, None),
        proof(13, 5, Some(b"logged 1784000000 0\n")),
        proof(300, 256, Some(b"")),
    ]
}

fn policies() -> Vec<Vec<u8>> {
    let mut text = format!("# who we trust\n\nlog {} https://log.example/\n", log().verifier());
    for seed in 2..8 {
        text += &format!("witness\tX{seed} {} https://w.example/\n", witness(seed).verifier());
    }
    text += "group X 2 X2 X3 X4\ngroup Y any X5 X6 X7\ngroup both all X Y\nquorum both\n";
    vec![text.into_bytes(), format!("log {}\nquorum none\n", log().verifier()).into_bytes()]
}

fn keys() -> Vec<Vec<u8>> {
    let keys = [log(), witness(2), key("a", Algorithm::Ed25519, 9)];
    let public = keys.iter().map(|key| key.verifier().to_string().into_bytes());
    public.chain(keys.iter().map(|key| key.to_secret_text().into_bytes())).collect()
}

fn numbers() -> Vec<Vec<u8>> {
    let texts =
        ["0", "1", "41", "9223372036854775807", "9223372036854775806", "18446744073709551615"];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn paths() -> Vec<Vec<u8>> {
    let texts = [
        "tile/0/000",
        "tile/0/x001/x234/067",
        "tile/63/999.p/255",
        "tile/entries/x001/000.p/1",
        "tile/entries/x018/x446/x744/x073/x709/x551/615",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn bundles() -> Vec<Vec<u8>> {
    let bundle = |entries: &[&[u8]]| {
        let mut bytes = Vec::new();
        entries.iter().for_each(|e| append_entry(&mut bytes, e).expect("short"));
        bytes
    };
    vec![bundle(&[b"one"]), bundle(&[b"", b"two", &[7; 300]]), bundle(&[b"x".as_slice(); 256])]
}

fn proof_lines() -> Vec<Vec<u8>> {
    let (mut nodes, heads) = tree(100);
    let proof = prove_consistency(&mut nodes, heads[37].size, heads[100].size).expect("ordered");
    vec![proof.to_string().into_bytes(), Vec::new()]
}

/// What a parser of texts makes of bytes that may be none.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ledger_tests::long::cases(20_000)))]

    #[test]
    fn notes_print_back(bytes in input([checkpoints(), proofs()].concat())) {
        if let Ok(note) = Note::parse(&bytes) {
            prop_assert_eq!(note.to_string(), text(&bytes));
            let again = Note::new(note.text(), note.signatures().to_vec());
            prop_assert_eq!(again, Ok(note));
        }
        if let Ok(lines) = Signature::parse_lines(text(&bytes)) {
            let printed: String = lines.iter().map(ToString::to_string).collect();
            prop_assert_eq!(printed, text(&bytes));
        }
    }

    #[test]
    fn checkpoints_print_back(bytes in input(checkpoints())) {
        if let Ok(claimed) = ClaimedCheckpoint::parse(&bytes) {
            prop_assert_eq!(claimed.to_string(), text(&bytes));
            prop_assert_eq!(claimed.checkpoint().to_string(), claimed.note().text());
            let _ = claimed.verify(&[log().verifier().clone()]);
        }
        if let Ok(checkpoint) = Checkpoint::parse_text(text(&bytes)) {
            prop_assert_eq!(checkpoint.to_string(), text(&bytes));
        }
    }

    #[test]
    fn proof_files_print_back(bytes in input(proofs())) {
        if let Ok(proof) = TlogProof::parse(&bytes) {
            prop_assert_eq!(proof.to_string(), text(&bytes));
            let _ = proof.verify(&Hash::EMPTY_ROOT, &Policy::single_log(log().verifier().clone()));
        }
    }

    #[test]
    fn policies_are_read_or_refused(bytes in input(policies())) {
        if let Ok(policy) = Policy::parse(&bytes) {
            let all = (0..policy.witnesses().len()).collect();
            prop_assert!(policy.is_satisfied_by(&all), "all witnesses are always enough");
            let tolerance = policy.tolerance();
            prop_assert_eq!(tolerance.is_none(), policy.is_quorum_none());
            if let Some(tolerance) = tolerance {
                prop_assert!(tolerance.needed <= tolerance.witnesses);
                prop_assert!(tolerance.may_be_down < tolerance.witnesses);
            }
        }
    }

    #[test]
    fn keys_print_back(bytes in input(keys())) {
        let text = text(&bytes);
        if let Ok(key) = text.parse::<VerifierKey>() {
            prop_assert_eq!(key.to_string(), text);
        }
        if let Ok(key) = text.parse::<SignerKey>() {
            prop_assert_eq!(key.to_secret_text(), text);
        }
    }

    #[test]
    fn numbers_print_back(bytes in input(numbers())) {
        let text = text(&bytes);
        if let Ok(number) = parse_decimal(text) {
            prop_assert_eq!(number.to_string(), text);
            prop_assert_eq!(TreeSize::parse(text).is_ok(), number < 1 << 63);
            prop_assert_eq!(LeafIndex::parse(text).is_ok(), number < (1 << 63) - 1);
        } else {
            prop_assert!(TreeSize::parse(text).is_err() && LeafIndex::parse(text).is_err());
        }
    }

    #[test]
    fn logged_lines_print_back(bytes in input(vec![b"logged 1784000000 41\n".to_vec()])) {
        if let Ok(logged) = Logged::parse(text(&bytes)) {
            prop_assert_eq!(logged.to_string(), text(&bytes));
        }
    }

    #[test]
    fn tile_paths_print_back(bytes in input(paths())) {
        if let Ok(coord) = text(&bytes).parse::<TileCoord>() {
            prop_assert_eq!(coord.to_string(), text(&bytes));
            let folder = coord.partial_folder();
            prop_assert_eq!(folder, format!("{}.p", coord.to_full()));
            prop_assert!(!coord.is_within(TreeSize::ZERO));
        }
    }

    #[test]
    fn hashes_print_back(bytes in input(proof_lines())) {
        for line in text(&bytes).split('\n') {
            if let Ok(hash) = Hash::from_base64(line) {
                prop_assert_eq!(hash.to_base64(), line);
            }
            if let Ok(hash) = Hash::from_hex(line) {
                prop_assert_eq!(hash.to_string(), line);
            }
        }
        let lines = || text(&bytes).split_terminator('\n');
        if let Ok(proof) = ConsistencyProof::parse(lines()) {
            let terminated = text(&bytes).is_empty() || bytes.ends_with(b"\n");
            let end = if terminated { "" } else { "\n" };
            prop_assert_eq!(proof.to_string(), format!("{}{end}", text(&bytes)));
            let inclusion = InclusionProof::parse(lines()).expect("the same form");
            prop_assert_eq!(inclusion.hashes(), proof.hashes());
        }
    }

    #[test]
    fn bundles_and_tiles_give_back_their_bytes(bytes in input(bundles()), width in 1..=256u16) {
        let path = match width {
            256 => "tile/entries/000".to_owned(),
            _ => format!("tile/entries/000.p/{width}"),
        };
        let coord: TileCoord = path.parse().expect("a path");
        if let Ok(bundle) = EntryBundle::parse(coord, bytes.clone()) {
            prop_assert_eq!(bundle.len(), usize::from(width));
            let mut again = Vec::new();
            bundle.iter().for_each(|entry| append_entry(&mut again, entry).expect("short"));
            prop_assert_eq!(&again, &bytes);
            prop_assert_eq!(bundle.into_bytes(), bytes.clone());
        }
        if let Some(tile) = HashTile::parse(coord, &bytes) {
            prop_assert_eq!(tile.hashes().len(), usize::from(width));
            let flat: Vec<u8> = tile.hashes().iter().flat_map(|h| *h.as_bytes()).collect();
            prop_assert!(bytes.starts_with(&flat));
        }
    }
}

#[test]
fn valid_input_is_read() {
    assert!(checkpoints().iter().all(|bytes| ClaimedCheckpoint::parse(bytes).is_ok()));
    assert!(proofs().iter().all(|bytes| TlogProof::parse(bytes).is_ok()));
    assert!(policies().iter().all(|bytes| Policy::parse(bytes).is_ok()));
    assert!(paths().iter().all(|bytes| text(bytes).parse::<TileCoord>().is_ok()));
    for bytes in keys() {
        let text = text(&bytes);
        assert_ne!(text.parse::<VerifierKey>().is_ok(), text.parse::<SignerKey>().is_ok());
    }
}
