//! The node as a mirror of logs of ours: no unlawful leaf, no time from the future, and a log whose
//! operator vanished is proven, audited and made again from its copy.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::cosignature::cosign;
use ledger_core::evidence::{Entries, Trust};
use ledger_core::note::{Algorithm, Signature, SignerKey};
use ledger_core::policy::Policy;
use ledger_core::record::{Entry, Logged, Record};
use ledger_core::tile::TileCoord;
use ledger_node::clock::ManualClock;
use ledger_node::{Overrides, RunningNode};
use ledger_proto::v1::{self as wire, MirroredLog};
use ledger_tests::consortium::{Consortium, ORIGIN};
use ledger_tests::process::{NodeProcess, run};
use ledger_tests::served::ServedSite;
use ledger_tests::wait::{so, until_async};
use ledger_tests::year::{Breach, Site, Year};
use ledger_tests::{index, key, size};
use tempfile::TempDir;

use super::mirror::{Mirror, cosigned, hash, ledger, log_key, status, trouble, wait};

pub(super) fn ledger_list(entries: &[Entry], url: &str) -> String {
    format!("ledger {ORIGIN} {} {url}\n", entries[0].record().statement())
}

/// A mirror of a forged site: what is wrong by its word, and the evidence that it made.
async fn forged(site: &Site) -> (MirroredLog, Mirror) {
    let folder = tempfile::tempdir().expect("a folder");
    site.write(folder.path());
    let source = ServedSite::start(folder.path()).await;
    let mirror = Mirror::new(&ledger_list(site.entries(), &source.url));
    let node = NodeProcess::serve(&mirror.dir());
    let log = trouble(&node.grpc, "unlawful").await;
    assert_eq!(log.size, None, "nothing is cosigned");
    (log, mirror)
}

#[track_caller]
fn convicts(mirror: &Mirror, kind: &str, log: &SignerKey, charter: &Entry) {
    let evidence = mirror.evidence();
    let own = evidence.iter().find(|own| own.kind() == kind);
    let own = own.unwrap_or_else(|| panic!("no {kind} among {}", evidence.len()));
    let trust = Trust::new().with_log(log.verifier().clone(), Entries::Records);
    let conviction = own.verify(&trust).expect("it convicts");
    assert!(conviction.convicts(log.verifier()));
    assert_eq!(charter.logged().governance, index(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_year_of_a_log_of_ours_is_mirrored_and_an_unlawful_leaf_of_it_never() {
    let year = Year::new(4, 900);
    println!("LEDGER_TEST_SEED=4, 900 records");
    let log = year.ring.log(2);
    let honest = Site::new(&year.entries, log.clone());
    let folder = tempfile::tempdir().expect("a folder");
    honest.write(folder.path());
    let source = ServedSite::start(folder.path()).await;
    let mirror = Mirror::new(&ledger_list(&year.entries, &source.url));
    let node = NodeProcess::serve(&mirror.dir());
    let total = year.entries.len() as u64;
    cosigned(&node.grpc, total).await;
    drop(node);

    let unlawful = year.attempts.iter().find(|own| {
        let place = year.entries.get(own.index as usize);
        let ordinary = place.is_some_and(|place| !place.record().kind().is_governance());
        ordinary && own.index > 300 && own.breaches.contains(&Breach::KeyRevoked)
    });
    let unlawful = unlawful.expect("somebody tried");
    let site = honest.forged(unlawful.index, unlawful.entry.clone());
    let (log_status, mirror) = forged(&site).await;
    let at = format!("entry {} is unlawful", unlawful.index);
    assert!(log_status.trouble.contains(&at), "{}", log_status.trouble);
    convicts(&mirror, "unlawful-leaf", &log, &year.entries[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_that_goes_back_and_a_statement_logged_twice_convict() {
    let year = Year::new(4, 900);
    let log = year.ring.log(2);
    let honest = Site::new(&year.entries, log.clone());
    let ordinary = |at: &usize| !year.entries[*at].record().kind().is_governance();
    let at = (300..).find(|at| ordinary(at) && ordinary(&(at + 1))).expect("a pair");
    let (first, second) = (&year.entries[at], &year.entries[at + 1]);
    let logged = Logged { time: first.logged().time - 1, ..second.logged() };
    let back = honest.forged(at as u64 + 1, Entry::new(logged, second.record().clone()));
    let (status, mirror) = forged(&back).await;
    assert!(status.trouble.contains("lies before the entry before it"), "{}", status.trouble);
    convicts(&mirror, "time-reversal", &log, &year.entries[0]);
    let twice = Entry::new(second.logged(), first.record().clone());
    let (status, mirror) = forged(&honest.forged(at as u64 + 1, twice)).await;
    let why = format!("its statement is already in entry {at}");
    assert!(status.trouble.contains(&why), "{}", status.trouble);
    convicts(&mirror, "duplicate-leaf", &log, &year.entries[0]);
}

/// A log of ours that grows while it is mirrored: a charter and 299 incidents to begin with.
struct Growing {
    consortium: Consortium,
    entries: Vec<Entry>,
    folder: TempDir,
    mirror: Mirror,
    _source: ServedSite,
}

impl Growing {
    async fn start() -> Growing {
        let consortium = Consortium::new();
        let line = Logged { time: consortium.time, governance: index(0) };
        let entries = vec![Entry::new(line, consortium.charter())];
        let folder = tempfile::tempdir().expect("a folder");
        let source = ServedSite::start(folder.path()).await;
        let mirror = Mirror::new(&ledger_list(&entries, &source.url));
        let incidents: Vec<Record> = (1..300).map(|n| consortium.incident(n)).collect();
        let mut ours = Growing { consortium, entries, folder, mirror, _source: source };
        ours.log(incidents);
        ours
    }

    /// Logs more records, whatever they are, and signs.
    fn log(&mut self, records: impl IntoIterator<Item = Record>) {
        let line = Logged { time: self.consortium.time, governance: index(0) };
        self.entries.extend(records.into_iter().map(|record| Entry::new(line, record)));
        Site::new(&self.entries, self.consortium.log.clone()).write(self.folder.path());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_before_an_unlawful_leaf_stays_cosigned() {
    let mut ours = Growing::start().await;
    let node = NodeProcess::serve(&ours.mirror.dir());
    cosigned(&node.grpc, 300).await;
    // a reviewer may not publish incidents
    let json = ours.consortium.incident_json(300).replace("lab.test", "board.test");
    let unlawful = ours.consortium.signed(&json, &[&ours.consortium.board]);
    let more: Vec<Record> = (301..310).map(|n| ours.consortium.incident(n)).collect();
    ours.log([unlawful].into_iter().chain(more));
    let log = trouble(&node.grpc, "unlawful").await;
    assert_eq!((log.size, log.pending_size), (Some(300), Some(310)));
    convicts(&ours.mirror, "unlawful-leaf", &ours.consortium.log, &ours.entries[0]);
    drop(node);
    let node = NodeProcess::serve(&ours.mirror.dir());
    wait(&node.grpc, "trouble again", |log| !log.trouble.is_empty()).await;
    let log = status(&node.grpc).await.expect("listed");
    assert_eq!(log.size, Some(300), "a restart forgives nothing: {}", log.trouble);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_was_lost_is_served_again_whatever_its_log_did_since() {
    let mut ours = Growing::start().await;
    let node = NodeProcess::serve(&ours.mirror.dir());
    let before = cosigned(&node.grpc, 300).await;
    // the same record again is unlawful, and convicts
    let again = ours.consortium.incident(7);
    ours.log([again]);
    trouble(&node.grpc, "unlawful").await;
    convicts(&ours.mirror, "duplicate-leaf", &ours.consortium.log, &ours.entries[0]);
    drop(node);
    std::fs::remove_dir_all(ours.mirror.dir().join("mirrors")).expect("it was there");
    let node = NodeProcess::serve(&ours.mirror.dir());
    let log = cosigned(&node.grpc, 300).await;
    assert_eq!(log.checkpoint, before.checkpoint, "nothing is cosigned anew");
    let log = trouble(&node.grpc, "unlawful").await;
    assert_eq!((log.size, log.pending_size), (Some(300), Some(301)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_the_future_waits_for_its_time() {
    let consortium = Consortium::new();
    let now = consortium.time;
    let at = |time| Logged { time, governance: index(0) };
    let entries = vec![
        Entry::new(at(now), consortium.charter()),
        Entry::new(at(now + 300), consortium.incident(1)),
        Entry::new(at(now + 5_000), consortium.incident(2)),
    ];
    let folder = tempfile::tempdir().expect("a folder");
    Site::new(&entries[..2], consortium.log.clone()).write(folder.path());
    let source = ServedSite::start(folder.path()).await;
    let mirror = Mirror::new(&ledger_list(&entries, &source.url));
    let clock = ManualClock::at(now);
    let any = Some("127.0.0.1:0".parse().expect("an address"));
    let overrides = Overrides { grpc: any, http: any, ..Overrides::default() };
    let node = RunningNode::start_with(&mirror.dir(), overrides, Arc::new(clock.clone())).await;
    let node = node.expect("it starts");
    let grpc = format!("http://{}", node.grpc_addr());
    cosigned(&grpc, 2).await;
    Site::new(&entries, consortium.log.clone()).write(folder.path());
    let log = trouble(&grpc, "future").await;
    assert!(log.trouble.contains("entry 2 is of the future"), "{}", log.trouble);
    assert_eq!(log.size, Some(2));
    clock.set(now + 4_699);
    let asked = source.asked("checkpoint");
    // one second early is early; the time comes, and it goes on without having asked again
    clock.set(now + 4_700);
    cosigned(&grpc, 3).await;
    assert!(source.asked("checkpoint") >= asked);
    assert!(mirror.evidence().is_empty(), "a clock may be wrong: nobody is convicted");
    node.shutdown().await.expect("it stops");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charter_of_another_statement_is_not_mirrored() {
    let consortium = Consortium::new();
    let line = Logged { time: consortium.time, governance: index(0) };
    let entries = [Entry::new(line, consortium.charter())];
    let folder = tempfile::tempdir().expect("a folder");
    Site::new(&entries, consortium.log.clone()).write(folder.path());
    let source = ServedSite::start(folder.path()).await;
    let anchor = "0".repeat(64);
    let mirror = Mirror::new(&format!("ledger {ORIGIN} {anchor} {}\n", source.url));
    let node = NodeProcess::serve(&mirror.dir());
    let log = trouble(&node.grpc, "foreign").await;
    assert!(log.trouble.contains("not the anchor"), "{}", log.trouble);
}

/// Founds a log and gives its directory.
fn found(folder: &Path, consortium: &Consortium) -> PathBuf {
    let (charter, log_key) = consortium.write_founding(folder);
    let dir = folder.join("log");
    let [init, d, c, k] = ["init", "--dir", "--charter", "--log-key"].map(AsRef::as_ref);
    let arguments = [init, d, dir.as_ref(), c, charter.as_ref(), k, log_key.as_ref()];
    assert!(run("ledger-node", &arguments).status.success(), "the log is founded");
    dir
}

async fn submit(node: &NodeProcess, consortium: &Consortium, numbers: std::ops::Range<u64>) {
    let mut client = node.client().await;
    for n in numbers {
        let wait = wire::Wait::Published.into();
        let record = consortium.incident(n).to_bytes().into();
        client.submit(wire::SubmitRequest { record, wait }).await.expect("lawful");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_whose_operator_vanished_is_proven_audited_and_made_again_from_its_mirror() {
    let (consortium, folder) = (Consortium::new(), tempfile::tempdir().expect("a folder"));
    let dir = found(folder.path(), &consortium);
    let anchor = consortium.charter().statement().to_string();
    let node = NodeProcess::serve(&dir);
    submit(&node, &consortium, 1..4).await;
    let source = node.grpc.replace("http://", "grpc://");
    let mirror = Mirror::new(&format!("ledger {ORIGIN} {anchor} {source} quorum\n"));
    let keeper = NodeProcess::serve(&mirror.dir());
    cosigned(&keeper.grpc, 4).await;
    submit(&node, &consortium, 4..300).await;
    cosigned(&keeper.grpc, 300).await;
    // the operator vanishes with everything but the key
    drop(node);
    std::fs::remove_dir_all(&dir).expect("it was there");
    trouble(&keeper.grpc, "unreachable").await;

    let copy = format!("{}/mirror/{}", keeper.http, hash(ORIGIN));
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (record, charter) = (at("77.record"), at("charter.record"));
    std::fs::write(&record, consortium.incident(77).as_bytes()).expect("a writable folder");
    let proof = at("77.tlog-proof");
    let prove = ["prove", "--from", &copy, "--anchor", &anchor, "--record", &record, "-o", &proof];
    let (exit, object, stderr) = ledger(&prove);
    assert_eq!((exit, &object["index"]), (0, &77.into()), "{stderr}");
    let verify = ["verify", &proof, "--anchor", &anchor, "--charter", &charter];
    let (exit, _, stderr) = ledger(&verify);
    assert_eq!(exit, 0, "{stderr}");
    let bundle = at("77.authority");
    let prove = ["prove", "--from", &copy, "--anchor", &anchor, "--index", "77", "--authority"];
    let (exit, _, stderr) = ledger(&[&prove[..], &["-o", &bundle]].concat());
    assert_eq!(exit, 0, "{stderr}");
    let (exit, _, stderr) = ledger(&["verify", &bundle, "--anchor", &anchor]);
    assert_eq!(exit, 0, "{stderr}");
    let other = "0".repeat(64);
    let (exit, _, stderr) = ledger(&["prove", "--from", &copy, "--anchor", &other, "--index", "7"]);
    assert_eq!(exit, 1, "{stderr}");
    let missing = ["prove", "--from", &copy, "--anchor", &anchor, "--statement", &other];
    assert_eq!(ledger(&missing).0, 1);
    let (exit, audit, stderr) = ledger(&["audit", &copy, "--anchor", &anchor]);
    assert_eq!((exit, &audit["lawful"]), (0, &300.into()), "{stderr}");
    let (exit, _, stderr) = ledger(&["register", "members", &copy, "--anchor", &anchor]);
    assert_eq!(exit, 0, "{stderr}");

    // nobody makes the log again without its charter and its key
    let again = dir.display().to_string();
    let recover = |key: &str, anchor: &str| {
        let arguments = ["recover", "--dir", &again, "--from", &copy, "--log-key", key];
        let arguments = [&arguments[..], &["--anchor", anchor]].concat();
        let arguments: Vec<&std::ffi::OsStr> = arguments.into_iter().map(AsRef::as_ref).collect();
        run("ledger-node", &arguments)
    };
    let (key, stranger) = (at("log.key"), at("stranger.key"));
    consortium.write_key(&log_key(), Path::new(&stranger));
    for (key, anchor) in [(&key, &other), (&stranger, &anchor)] {
        assert_eq!(recover(key, anchor).status.code(), Some(1));
        assert!(!dir.exists(), "nothing is left behind");
    }
    let output = recover(&key, &anchor);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(recover(&key, &anchor).status.code(), Some(1), "it is there now");
    let node = NodeProcess::serve(&dir);
    submit(&node, &consortium, 300..310).await;
    let source = node.grpc.replace("http://", "grpc://");
    mirror.list(&format!("ledger {ORIGIN} {anchor} {source} quorum\n"));
    cosigned(&keeper.grpc, 310).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_asks_for_the_quorum_of_the_charter_if_it_is_told_to() {
    let consortium = Consortium::new();
    let witness = key("w.test", Algorithm::CosignatureV1, 65);
    let log = consortium.log.verifier();
    let policy = format!("log {log}\nwitness w {}\nquorum w\n", witness.verifier());
    let line = Logged { time: consortium.time, governance: index(0) };
    let entries = [Entry::new(line, consortium.charter_with_policy(&policy))];
    let folder = tempfile::tempdir().expect("a folder");
    Site::new(&entries, consortium.log.clone()).write(folder.path());
    let source = ServedSite::start(folder.path()).await;
    let list = ledger_list(&entries, &source.url);
    let mirror = Mirror::new(&list.replace('\n', " quorum\n"));
    let node = NodeProcess::serve(&mirror.dir());
    let log = trouble(&node.grpc, "foreign").await;
    assert_eq!((log.size, log.copied_size), (None, 1), "{}", log.trouble);
    let path = folder.path().join("checkpoint");
    let bare = std::fs::read(&path).expect("written");
    let bare = ClaimedCheckpoint::parse(&bare).expect("a checkpoint");
    let cosignature = cosign(&witness, bare.checkpoint(), consortium.time);
    let whole = bare.with_signatures([cosignature.clone()]).expect("two lines");
    std::fs::write(&path, whole.to_string()).expect("a writable folder");
    let log = cosigned(&node.grpc, 1).await;
    let served = String::from_utf8(log.checkpoint.to_vec()).expect("text");
    assert!(served.contains(&cosignature.to_string()), "the witness's line is kept: {served}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_changes_its_key_is_followed_from_one_key_to_the_other() {
    let year = Year::new(4, 900);
    println!("LEDGER_TEST_SEED=4, 900 records");
    let added = year.books.iter().position(|book| book.log_keys.len() == 2).expect("a rotation");
    let before = &year.entries[..year.books[added].latest as usize];
    let folder = tempfile::tempdir().expect("a folder");
    Site::new(before, year.ring.log(1)).write(folder.path());
    let source = ServedSite::start(folder.path()).await;
    let mirror = Mirror::new(&ledger_list(&year.entries, &source.url));
    let node = NodeProcess::serve(&mirror.dir());
    cosigned(&node.grpc, before.len() as u64).await;
    // the old key has gone by the end, and the new one is in none of the entries that are here
    Site::new(&year.entries, year.ring.log(1)).write(folder.path());
    let log = trouble(&node.grpc, "foreign").await;
    assert_eq!(log.size, Some(before.len() as u64), "{}", log.trouble);
    let log = wait(&node.grpc, "no head", |log| log.pending_size.is_none()).await;
    assert_eq!(log.copied_size, before.len() as u64, "no retired key holds the mirror up");
    Site::new(&year.entries, year.ring.log(2)).write(folder.path());
    cosigned(&node.grpc, year.entries.len() as u64).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_shows_fewer_lines_takes_none_away() {
    let consortium = Consortium::new();
    let witness = |name: &str, seed| key(name, Algorithm::CosignatureV1, seed);
    let (first, second) = (witness("w1.test", 65), witness("w2.test", 66));
    let policy = format!(
        "log {}\nwitness w1 {}\nwitness w2 {}\ngroup both all w1 w2\nquorum both\n",
        consortium.log.verifier(),
        first.verifier(),
        second.verifier()
    );
    let line = Logged { time: consortium.time, governance: index(0) };
    let entries = [Entry::new(line, consortium.charter_with_policy(&policy))];
    let folder = tempfile::tempdir().expect("a folder");
    Site::new(&entries, consortium.log.clone()).write(folder.path());
    let path = folder.path().join("checkpoint");
    let bare = ClaimedCheckpoint::parse(&std::fs::read(&path).expect("written")).expect("one");
    let show = |lines: &[&Signature]| {
        let whole = bare.with_signatures(lines.iter().map(|line| (*line).clone()));
        std::fs::write(&path, whole.expect("few lines").to_string()).expect("a writable folder");
    };
    let at = |key: &SignerKey, time| cosign(key, bare.checkpoint(), time);
    let (early, late) = (at(&first, consortium.time), at(&first, consortium.time + 60));
    let other = at(&second, consortium.time);
    show(&[&early, &other]);
    let source = ServedSite::start(folder.path()).await;
    let mirror = Mirror::new(&ledger_list(&entries, &source.url));
    let node = NodeProcess::serve(&mirror.dir());
    cosigned(&node.grpc, 1).await;
    // whoever holds the source has one witness cosign again, and leaves the other out
    show(&[&late]);
    let text = |log: &MirroredLog| String::from_utf8_lossy(&log.checkpoint).into_owned();
    let log = wait(&node.grpc, "the line", |log| text(log).contains(&late.to_string())).await;
    assert!(!text(&log).contains(&early.to_string()), "one line a key: {}", text(&log));
    let served = ClaimedCheckpoint::parse(&log.checkpoint).expect("a checkpoint");
    let policy = Policy::parse(policy.as_bytes()).expect("a policy");
    policy.verify(&served).expect("the quorum stays");
    // what came before is no news
    show(&[&early]);
    let asked = source.asked("checkpoint");
    until_async(async || so(source.asked("checkpoint"), |now| *now >= asked + 2)).await;
    assert_eq!(status(&node.grpc).await.expect("listed").checkpoint, log.checkpoint);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_dropped_takes_nothing_of_what_is_held() {
    let year = Year::new(4, 900);
    println!("LEDGER_TEST_SEED=4, 900 records");
    let key = year.ring.log(1);
    let vkey = key.verifier().to_string();
    let retired = year.books.iter().find(|book| !book.log_keys.contains(&vkey));
    let retired = retired.expect("a rotation").latest;
    let (held, total) = (retired - 2, year.entries.len() as u64);
    assert!(held % 256 != 0 && total / 256 > held / 256, "its last tile fills: {held} of {total}");
    let folder = tempfile::tempdir().expect("a folder");
    let site = |count: u64| Site::new(&year.entries[..count as usize], key.clone());
    site(held).write(folder.path());
    let source = ServedSite::start(folder.path()).await;
    let mirror = Mirror::new(&ledger_list(&year.entries, &source.url));
    let node = NodeProcess::serve(&mirror.dir());
    cosigned(&node.grpc, held).await;
    site(total).write(folder.path());
    trouble(&node.grpc, "foreign").await;
    wait(&node.grpc, "no head", |log| log.pending_size.is_none()).await;
    let copy = mirror.dir().join("mirrors").join(hash(ORIGIN));
    for coord in TileCoord::all_in_tree(size(held)) {
        assert!(copy.join(coord.to_string()).is_file(), "{coord} stands by itself");
    }
    site(retired).write(folder.path());
    cosigned(&node.grpc, retired).await;
}
