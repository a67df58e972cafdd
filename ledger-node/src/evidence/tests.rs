#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ledger_core::batch::Edge;
use ledger_core::checkpoint::{Checkpoint, ClaimedCheckpoint, Origin};
use ledger_core::cosignature::cosign;
use ledger_core::evidence::{Case, Conflict, Heads};
use ledger_core::note::{Algorithm, KeyName, SignerKey};
use ledger_core::tile::TileCoord;

use super::*;

const PAUSES: &[Duration] = &[Duration::ZERO, Duration::ZERO];

/// How long the investigator may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn key(name: &str, algorithm: Algorithm, seed: u8) -> SignerKey {
    SignerKey::from_seed(KeyName::new(name).unwrap(), algorithm, [seed; 32]).unwrap()
}

fn log() -> SignerKey {
    key("log.example", Algorithm::Ed25519, 1)
}

fn witness() -> SignerKey {
    key("witness.example", Algorithm::CosignatureV1, 2)
}

fn trust() -> Trust {
    Trust::new().with_key(log().verifier().clone()).with_key(witness().verifier().clone())
}

/// A head that log and witness signed, and its tiles by path.
fn tree(leaves: &[String]) -> (ClaimedCheckpoint, BTreeMap<String, Vec<u8>>) {
    let mut edge = Edge::new();
    let entries: Vec<Vec<u8>> = leaves.iter().map(|leaf| leaf.clone().into_bytes()).collect();
    let batch = edge.append(&entries).unwrap();
    let tiles = batch.tiles.into_iter().map(|(at, bytes)| (at.to_string(), bytes.to_vec()));
    let checkpoint = Checkpoint::new(Origin::new("log.example").unwrap(), edge.head());
    let line = cosign(&witness(), &checkpoint, 5);
    (checkpoint.sign(&log()).with_signatures([line]).unwrap(), tiles.collect())
}

fn leaves(n: usize, from: usize, name: &str) -> Vec<String> {
    (0..n).map(|at| if at < from { at.to_string() } else { format!("{name}{at}") }).collect()
}

fn same_size(name: &str) -> ClaimedEvidence {
    let (a, b) = (tree(&leaves(3, 1, "a")).0, tree(&leaves(3, 1, name)).0);
    let conflict = Conflict::of_heads(Heads { one: &a, other: &b }).unwrap();
    let trust = trust();
    let case = Case { trust: &trust, authority: &[] };
    ClaimedEvidence::against_log(&conflict, case).unwrap()
}

#[test]
fn evidence_is_kept_judged_again_and_never_taken_on_trust() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("private/evidence");
    let store = EvidenceStore::open(&folder, trust()).unwrap();
    let evidence = same_size("b");
    assert_eq!(store.against(log().verifier()), None);
    assert!(store.add(&evidence).unwrap());
    assert!(!store.add(&evidence).unwrap());
    assert_eq!(store.against(log().verifier()), Some(evidence.id()));
    assert_eq!(store.against(witness().verifier()), None);
    // what was left unfinished is nobody's evidence
    std::fs::write(folder.join(format!("{}.unfinished", evidence.id())), "{").unwrap();
    let again = EvidenceStore::open(&folder, trust()).unwrap();
    assert_eq!(again.all(), std::slice::from_ref(&evidence));
    assert_eq!(again.get(evidence.id()), Some(evidence.clone()));
    assert_eq!(again.against(log().verifier()), Some(evidence.id()));
    again.trust(Trust::new());
    assert_eq!(again.against(log().verifier()), None);
    assert!(matches!(again.add(&same_size("c")), Err(EvidenceStoreError::Refused(_))));
    let path = folder.join(format!("{}.json", evidence.id()));
    let altered = evidence.as_str().replacen("same-size", "bad-empty", 1);
    std::fs::write(&path, altered).unwrap();
    let error = EvidenceStore::open(&folder, trust()).unwrap_err();
    assert!(matches!(&error, EvidenceStoreError::Damaged { .. }) && !error.hint().is_empty());
}

#[test]
fn a_key_is_accused_often_enough_but_not_without_end() {
    let dir = tempfile::tempdir().unwrap();
    let store = EvidenceStore::open(dir.path(), trust()).unwrap();
    let new = (0..MAX_PER_KEY + 5).filter(|n| store.add(&same_size(&format!("x{n}"))).unwrap());
    assert_eq!(new.count(), MAX_PER_KEY);
}

/// Serves files over HTTP from a socket of this machine until the test ends.
fn serve(files: BTreeMap<String, Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream: TcpStream = stream.unwrap();
            let mut request = [0; 1024];
            let n = stream.read(&mut request).unwrap();
            let line = String::from_utf8_lossy(&request[..n]).into_owned();
            let path = line.split(' ').nth(1).unwrap_or_default().trim_start_matches('/');
            let (status, body) = match files.get(path) {
                Some(bytes) => ("200 OK", bytes.as_slice()),
                None => ("404 Not Found", &[][..]),
            };
            let head = format!("HTTP/1.0 {status}\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        }
    });
    address.to_string()
}

fn fetch(address: &str, coord: TileCoord) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(format!("GET /{coord} HTTP/1.0\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|part| part == b"\r\n\r\n").map(|at| at + 4);
    match (answer.starts_with(b"HTTP/1.0 200"), end) {
        (true, Some(end)) => Ok(answer.split_off(end)),
        _ => Err(io::Error::other("not served")),
    }
}

fn wait_until(mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "nothing happened");
        std::thread::yield_now();
    }
}

#[test]
fn a_forked_log_is_convicted_from_the_tiles_it_serves() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(EvidenceStore::open(dir.path(), trust()).unwrap());
    let investigator =
        Investigator::start_with(Arc::clone(&store), Arc::new(fetch), PAUSES).unwrap();
    let older = tree(&leaves(300, 250, "a")).0;
    let (larger, files) = tree(&leaves(700, 250, "b"));
    let suspicion = Suspicion { older, larger, tiles: serve(files) };
    investigator.suspect(suspicion.clone());
    wait_until(|| store.all().len() == 2);
    assert_eq!(investigator.unreconciled(), []);
    for convicted in [log(), witness()] {
        let id = store.against(convicted.verifier()).unwrap();
        let conviction = store.get(id).unwrap().verify(&trust()).unwrap();
        assert_eq!(conviction.culprit().keys(), [convicted.verifier().clone()]);
    }
    assert_eq!(store.all()[0].origin(), "log.example");
    // withheld tiles convict nobody, and are not passed over in silence
    let elsewhere = Suspicion { tiles: serve(BTreeMap::new()), ..suspicion };
    investigator.suspect(elsewhere.clone());
    wait_until(|| !investigator.unreconciled().is_empty());
    assert_eq!(investigator.unreconciled()[0].suspicion, elsewhere);
    assert_eq!(store.all().len(), 2);
}

#[test]
fn an_honest_log_is_cleared() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(EvidenceStore::open(dir.path(), trust()).unwrap());
    let older = tree(&leaves(300, 700, "a")).0;
    let (larger, files) = tree(&leaves(700, 700, "a"));
    let read = move |_: &str, at: TileCoord| {
        files.get(&at.to_string()).cloned().ok_or_else(|| io::Error::other("missing"))
    };
    let (done, seen) = std::sync::mpsc::channel();
    let tiles = move |at: &str, coord: TileCoord| {
        let _ = done.send(());
        read(at, coord)
    };
    let investigator =
        Investigator::start_with(Arc::clone(&store), Arc::new(tiles), PAUSES).unwrap();
    investigator.suspect(Suspicion { older, larger, tiles: String::new() });
    drop(investigator);
    // the thread ends with the last handle, and takes the source with it
    while seen.recv_timeout(PATIENCE).is_ok() {}
    assert!(store.all().is_empty());
}
