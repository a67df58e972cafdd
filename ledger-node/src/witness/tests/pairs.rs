//! Two keys that the list names for one log, of which one may be retired.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ledger_core::batch::Edge;
use ledger_core::gossip::{LogStanding, PATIENCE_ROUNDS};
use ledger_core::record::{Draft, Record, format_time};

use super::*;

/// What takes moments takes no longer than this on a loaded machine.
const SOON: Duration = Duration::from_secs(150);

fn new_key() -> SignerKey {
    key(LOG, Algorithm::Ed25519, 8)
}

fn member() -> SignerKey {
    key("lab.example", Algorithm::Ed25519, 3)
}

fn id(n: u8) -> RecordId {
    RecordId::from_parts(NOW * 1000, [n; 10])
}

/// The charter of the log and the norm that adds the new key, and retires the first if it is told.
fn governance(retires: bool) -> Vec<Vec<u8>> {
    let draft = CharterDraft::new("Example", log_key().verifier().clone())
        .member("lab.example", member().verifier().clone(), ["publisher", "steward"])
        .draft(id(0), NOW)
        .unwrap();
    let charter = draft.sign(&[&member()]).unwrap();
    let (old, new) = (log_key().verifier().to_string(), new_key().verifier().to_string());
    let mut actions = vec![format!(r#"{{"action":"add_log_key","vkey":"{new}"}}"#)];
    let mut policy = format!("log {new}\\n");
    if retires {
        actions.push(format!(r#"{{"action":"retire_log_key","vkey":"{old}"}}"#));
    } else {
        policy += &format!("log {old}\\n");
    }
    actions.push(format!(r#"{{"action":"set_policy","policy":"{policy}quorum none\n"}}"#));
    let (now, base) = (format_time(NOW), charter.statement());
    let norm = format!(
        r#"{{"log":"{LOG}","kind":"norm","id":"{}","issuer":"lab.example","issued_at":"{now}",
        "title":{{"en":"Keys"}},"summary":{{"en":"Another key."}},"base":"{base}","version":"2",
        "effective_from":"{now}","text":"Another key.","changes":[{}]}}"#,
        id(1),
        actions.join(",")
    );
    let norm = Draft::parse(&norm).unwrap().sign(&[&member()]).unwrap();
    let logged = Logged { time: NOW, governance: LeafIndex::ZERO };
    [charter, norm].map(|record: Record| Entry::new(logged, record).to_bytes()).to_vec()
}

/// The log's files behind a socket, as long as they are not withheld.
struct ServedLog {
    url: String,
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    /// How many times a bundle of entries was asked for.
    bundles: Arc<AtomicUsize>,
}

impl ServedLog {
    fn new(entries: &[Vec<u8>], signer: &SignerKey) -> (ServedLog, TreeHead) {
        let mut edge = Edge::new();
        let tiles = edge.append(entries).unwrap().tiles.into_iter();
        let mut files: BTreeMap<String, Vec<u8>> =
            tiles.map(|(coord, bytes)| (format!("/{coord}"), bytes.to_vec())).collect();
        let head = Checkpoint::new(Origin::new(LOG).unwrap(), edge.head()).sign(signer);
        files.insert("/checkpoint".to_owned(), head.to_string().into_bytes());
        let files = Arc::new(Mutex::new(files));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (shown, bundles) = (Arc::clone(&files), Arc::new(AtomicUsize::new(0)));
        let asked = Arc::clone(&bundles);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let first = lines.next().unwrap_or_default();
                let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
                lines.take_while(|line| !line.is_empty()).for_each(drop);
                if path.starts_with("/tile/entries/") {
                    asked.fetch_add(1, Ordering::SeqCst);
                }
                let body = shown.lock().unwrap().get(&path).cloned();
                let (status, body) = body.map_or(("503 Busy", Vec::new()), |body| ("200 OK", body));
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
                );
                let _ = stream.write_all(&[head.as_bytes(), &body].concat());
            }
        });
        (ServedLog { url, files, bundles }, edge.head())
    }
}

/// A witness that lists both keys of the log and where it is served.
fn open(place: &WitnessDir, url: &str) -> Witness {
    let (old, new) = (log_key().verifier().to_string(), new_key().verifier().to_string());
    place.list(&format!("log {old}\nlog {new} {url}\n"));
    place.open()
}

fn request_for(signer: &SignerKey, old: u64, head: TreeHead) -> AddCheckpoint {
    let checkpoint = Checkpoint::new(Origin::new(LOG).unwrap(), head).sign(signer);
    AddCheckpoint::new(TreeSize::new(old).unwrap(), Default::default(), checkpoint)
}

/// A head of the same size over another tree.
fn late(branch: u8) -> TreeHead {
    tree(2, branch).frontier().head()
}

fn standing(witness: &Witness) -> LogStanding {
    witness.gossip.standing(&Origin::new(LOG).unwrap())
}

/// Waits until an address was read twice, `bundles` of entries each time, and asserts that no key is
/// convicted by what it shows. The alarm is raised instead.
fn convicts_no_key(what: &str, witness: &Witness, served: &ServedLog, bundles: usize) {
    let is_read = || served.bundles.load(Ordering::SeqCst) > bundles;
    until(what, || is_read() || witness.evidence().count() > 0);
    assert_eq!(witness.evidence().count(), 0, "{what}");
    for _ in 0..PATIENCE_ROUNDS {
        witness.gossip.tick();
    }
    assert!(matches!(standing(witness), LogStanding::Unreconciled(_)), "{what}: the alarm");
}

/// Waits until a thread of the node has done its part.
#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < SOON, "waited in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(25));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_head_by_a_retired_key_convicts_no_log() {
    let entries = governance(true);
    let (served, head) = ServedLog::new(&entries, &new_key());
    let place = WitnessDir::new();
    let witness = open(&place, &served.url);
    assert_eq!(status(&witness, &request_for(&new_key(), 0, head)).await, 200);
    assert_eq!(status(&witness, &request_for(&log_key(), 2, late(7))).await, 422);
    until("the governance is read", || witness.gossip.paired_logs().is_empty());
    assert_eq!(witness.evidence().count(), 0, "both keys were convicted by a late head");
    assert_eq!(standing(&witness), LogStanding::Good);
    // the thief signs on: nothing more is looked into, and the new writer goes on
    assert_eq!(status(&witness, &request_for(&log_key(), 2, late(8))).await, 422);
    assert!(witness.gossip.paired_logs().is_empty());
    let again = request_for(&new_key(), 2, head);
    assert_eq!(status(&witness, &again).await, 200);
    assert_eq!(witness.evidence().against(new_key().verifier()), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_listed_keys_in_force_convict_together() {
    let (served, head) = ServedLog::new(&governance(false), &new_key());
    let place = WitnessDir::new();
    let witness = open(&place, &served.url);
    assert_eq!(status(&witness, &request_for(&new_key(), 0, head)).await, 200);
    assert_eq!(status(&witness, &request_for(&log_key(), 2, late(7))).await, 422);
    until("the log is convicted", || witness.evidence().count() == 1);
    for key in [log_key(), new_key()] {
        assert!(witness.evidence().against(key.verifier()).is_some());
    }
    assert_eq!(status(&witness, &request_for(&new_key(), 2, head)).await, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_keys_of_a_log_that_cannot_be_read_raise_the_alarm_and_convict_no_key() {
    let (served, head) = ServedLog::new(&governance(true), &new_key());
    let files = std::mem::take(&mut *served.files.lock().unwrap());
    let place = WitnessDir::new();
    let witness = open(&place, &served.url);
    assert_eq!(status(&witness, &request_for(&new_key(), 0, head)).await, 200);
    assert_eq!(status(&witness, &request_for(&log_key(), 2, late(7))).await, 422);
    for _ in 0..PATIENCE_ROUNDS {
        assert_eq!(standing(&witness), LogStanding::Good);
        witness.gossip.tick();
    }
    assert!(matches!(standing(&witness), LogStanding::Unreconciled(_)), "the alarm");
    assert_eq!(witness.evidence().count(), 0);
    assert_eq!(status(&witness, &request_for(&new_key(), 2, head)).await, 403);
    *served.files.lock().unwrap() = files;
    until("the governance is read", || witness.gossip.paired_logs().is_empty());
    until("the alarm ends", || standing(&witness) == LogStanding::Good);
    assert_eq!(status(&witness, &request_for(&new_key(), 2, head)).await, 200);
    assert_eq!(witness.evidence().count(), 0);
}

/// A key that the governance does not name counted as one in force, and so did a retired key by the
/// word of its thief, and any key of a tree without a charter.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_counts_as_in_force_only_by_the_word_of_another_key() {
    let honest = governance(true);
    let ours = {
        let mut edge = Edge::new();
        edge.append(&honest).unwrap();
        edge.head()
    };
    let text = vec![b"no entry".to_vec(), b"of ours".to_vec()];
    let cases = [
        ("a key that is not named", (honest[..1].to_vec(), log_key()), 3),
        ("a thief of the retired key", (governance(false), log_key()), 4),
        ("a tree without a charter", (text, log_key()), 1),
    ];
    let judged = cases.len();
    for (at, (what, (entries, signer), bundles)) in cases.into_iter().enumerate() {
        let (served, head) = ServedLog::new(&entries, &signer);
        let place = WitnessDir::new();
        let witness = open(&place, &served.url);
        // the writer's head, and another of that size: by the key at the address, or the other one
        let (first, second) = match at {
            0 => ((log_key(), head), (new_key(), tree(1, 7).frontier().head())),
            _ => ((new_key(), ours), (log_key(), head)),
        };
        assert_eq!(status(&witness, &request_for(&first.0, 0, first.1)).await, 200, "{what}");
        let old = first.1.size.get();
        assert_eq!(status(&witness, &request_for(&second.0, old, second.1)).await, 422, "{what}");
        convicts_no_key(what, &witness, &served, bundles);
    }
    assert_eq!(judged, 3);
}

/// An address with an older tree, which shows one key to be retired, convicted the two others.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_tree_shows_no_key_in_force() {
    let (served, _) = ServedLog::new(&governance(true), &new_key());
    let place = WitnessDir::new();
    let third = key(LOG, Algorithm::Ed25519, 9);
    let [old, new, newest] =
        [log_key(), new_key(), third.clone()].map(|key| format!("log {}", key.verifier()));
    place.list(&format!("{old}\n{new} {}\n{newest}\n", served.url));
    let witness = place.open();
    let head = |branch| tree(5, branch).frontier().head();
    assert_eq!(status(&witness, &request_for(&third, 0, head(0))).await, 200);
    assert_eq!(status(&witness, &request_for(&new_key(), 5, head(7))).await, 422);
    convicts_no_key("an older tree", &witness, &served, 4);
}
