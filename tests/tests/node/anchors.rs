//! Evidence that nodes make by themselves, judged elsewhere by the statement of a charter alone.

use std::path::{Path, PathBuf};

use ledger_core::checkpoint::{Checkpoint, Origin};
use ledger_core::evidence::{ClaimedEvidence, Trust};
use ledger_core::hash::Hash;
use ledger_core::merkle::TreeHead;
use ledger_core::note::{Algorithm, SignerKey};
use ledger_core::record::{Entry, Logged, Record, StatementId};
use ledger_tests::consortium::{Consortium, ORIGIN};
use ledger_tests::process::NodeProcess;
use ledger_tests::served::ServedSite;
use ledger_tests::site::TestSite;
use ledger_tests::wait::until_async;
use ledger_tests::year::Site;
use ledger_tests::{index, key, size};

use super::gossip::{Member, ledger};
use super::mirror::{Mirror, cosigned, trouble};
use super::mirror_ours::ledger_list;

fn entry(record: Record, time: u64, governance: u64) -> Entry {
    Entry::new(Logged { time, governance: index(governance) }, record)
}

/// The charter and these incidents.
fn history(consortium: &Consortium, incidents: impl IntoIterator<Item = u64>) -> Vec<Entry> {
    let records = incidents.into_iter().map(|n| consortium.incident(n));
    let records = std::iter::once(consortium.charter()).chain(records);
    records.map(|record| entry(record, consortium.time, 0)).collect()
}

/// Waits for evidence in a node's folder, and gives its file.
async fn evidence(dir: &Path) -> (PathBuf, ClaimedEvidence) {
    let folder = dir.join("private/evidence");
    let path = until_async(async || {
        let files = std::fs::read_dir(&folder).into_iter().flatten();
        let mut paths = files.map(|file| file.expect("readable").path());
        let found = paths.find(|path| path.extension().is_some_and(|end| end == "json"));
        found.ok_or("no evidence was made")
    });
    let path = path.await;
    let bytes = std::fs::read(&path).expect("readable");
    (path, ClaimedEvidence::parse(&bytes).expect("evidence"))
}

/// Whether a program that knows nothing but the anchor, or nothing but the key, convicts by the
/// file.
#[track_caller]
fn convicts(file: &Path, anchor: StatementId, key: &SignerKey) {
    let (file, anchor) = (file.display().to_string(), anchor.to_string());
    let vkey = key.verifier().to_string();
    for trust in [["--anchor", &anchor], ["--vkey", &vkey]] {
        let (exit, object) = ledger(&["verify", &file, trust[0], trust[1]]);
        assert_eq!(exit, 0, "{trust:?}: {object}");
        assert_eq!(object["results"][0]["convicted"]["keys"][0], vkey.as_str(), "{trust:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_mirrored_by_its_charter_is_convicted_by_its_anchor_alone() {
    let consortium = Consortium::new();
    let (one, other) = (history(&consortium, 1..20), history(&consortium, (1..9).chain(50..70)));
    let (honest, forked) = (tempfile::tempdir(), tempfile::tempdir());
    let (honest, forked) = (honest.expect("a folder"), forked.expect("a folder"));
    Site::new(&one, consortium.log.clone()).write(honest.path());
    Site::new(&other, consortium.log.clone()).write(forked.path());
    let source = ServedSite::start(honest.path()).await;
    let mirror = Mirror::new(&ledger_list(&one, &source.url));
    let node = NodeProcess::serve(&mirror.dir());
    cosigned(&node.grpc, one.len() as u64).await;
    source.show(forked.path());
    trouble(&node.grpc, "contradiction").await;
    let (file, made) = evidence(&mirror.dir()).await;
    assert_eq!((made.kind(), made.origin()), ("split-history", ORIGIN));
    convicts(&file, one[0].record().statement(), &consortium.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_about_the_own_log_carries_what_proves_its_key() {
    let (owner, other) = (Member::found(40), Member::found(41));
    let log = owner.consortium.log.clone();
    // somebody else signs another charter for it
    let stolen = TestSite::start().await;
    let head = TreeHead { size: size(1), root: Hash::leaf(b"another charter") };
    let origin = Origin::new(log.verifier().name().as_str()).expect("an origin");
    stolen.show_head(&Checkpoint::new(origin, head).sign(&log));
    owner.asks([&other]);
    other.asks([&owner]);
    other.knows(&log, &stolen.url);
    let _nodes = [owner.process(), other.process()];
    let (file, made) = evidence(&owner.dir()).await;
    assert_eq!((made.kind(), made.authority().len()), ("same-size", 1));
    convicts(&file, owner.consortium.charter().statement(), &log);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_rotated_behind_an_unlawful_leaf_is_convicted_of_it() {
    let consortium = Consortium::new();
    let fresh = key(ORIGIN, Algorithm::Ed25519, 210);
    let vkey = |key: &SignerKey| key.verifier().to_string();
    let changes = serde_json::json!([
        {"action": "add_log_key", "vkey": vkey(&fresh)},
        {"action": "retire_log_key", "vkey": vkey(&consortium.log)},
        {"action": "set_policy", "policy": format!("log {}\nquorum none\n", vkey(&fresh))},
    ]);
    let mut entries = history(&consortium, 1..5);
    // the board may review, and not publish
    let unlawful = consortium.incident_json(5).replace("lab.test", "board.test");
    let unlawful = consortium.signed(&unlawful, &[&consortium.board]);
    let norm = consortium.norm(&consortium.charter(), changes);
    entries.push(entry(unlawful, consortium.time, 0));
    entries.push(entry(norm, consortium.time, 0));
    entries.push(entry(consortium.incident(6), consortium.time, 6));
    let folder = tempfile::tempdir().expect("a folder");
    Site::new(&entries, fresh.clone()).write(folder.path());
    let source = ServedSite::start(folder.path()).await;
    let mirror = Mirror::new(&ledger_list(&entries, &source.url));
    let node = NodeProcess::serve(&mirror.dir());
    let log = trouble(&node.grpc, "unlawful").await;
    assert!(log.size.is_none() && log.trouble.contains("entry 5 is unlawful"), "{}", log.trouble);
    let (file, made) = evidence(&mirror.dir()).await;
    assert_eq!(made.kind(), "unlawful-leaf");
    let anchor = entries[0].record().statement();
    let conviction = made.verify(&Trust::new().with_anchor(anchor)).expect("it convicts");
    assert!(
        !conviction.convicts(consortium.log.verifier()),
        "the retired key signed nothing of it"
    );
    convicts(&file, anchor, &fresh);
}
