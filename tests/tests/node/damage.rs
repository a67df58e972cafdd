//! What an operator or a disk can do to a log's directory. The node refuses with an error that says
//! what to do, or recovers safely: all that was acknowledged is served and proven, and no head is
//! signed that contradicts one before it.

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::hash::Hash;
use ledger_core::merkle::{ConsistencyProof, TreeHead, verify_consistency};
use ledger_core::proof::TlogProof;
use ledger_core::record::{Entry, Logged, Record};
use ledger_proto::v1::ledger_client::LedgerClient;
use ledger_proto::v1::{self as wire, submit_stream_response::Outcome};
use ledger_tests::consortium::Consortium;
use ledger_tests::follower::Follower;
use ledger_tests::process::{NodeProcess, program, run};
use ledger_tests::random::Random;
use tonic::Code;
use tonic::transport::Channel;

use crate::process::{Founded, submit};

/// Some user that owns nothing.
const NOBODY: u32 = 65_534;

/// The exit code of programs whose environment is not as it must be.
const ENVIRONMENT: Option<i32> = Some(3);

/// A log with entries, stopped, and all that its readers know.
struct Log {
    founded: Founded,
    follower: Follower,
    records: Vec<Record>,
}

impl Log {
    /// A log of `records` incidents, each answered.
    async fn of(founded: Founded, records: Vec<Record>) -> Log {
        let node = NodeProcess::serve(&founded.dir());
        let mut client = node.client().await;
        stream(&mut client, &records).await;
        let mut follower = Follower::new(founded.consortium.log.verifier().clone());
        follower.catch_up(&mut client).await;
        drop(client);
        assert_eq!(node.terminate(), (Some(0), String::new()));
        Log { founded, follower, records }
    }

    async fn small(incidents: u64) -> Log {
        let founded = Founded::new();
        let records = (0..incidents).map(|n| founded.consortium.incident(n)).collect();
        Log::of(founded, records).await
    }

    fn dir(&self) -> PathBuf {
        self.founded.dir()
    }

    fn consortium(&self) -> &Consortium {
        &self.founded.consortium
    }

    fn segment(&self) -> PathBuf {
        let folder = self.dir().join("private/journal");
        let files = folder.read_dir().expect("the journal");
        let paths = files.map(|file| file.expect("readable").path());
        let segments = paths.filter(|path| path.extension().is_some_and(|e| e == "segment"));
        segments.max().expect("a segment")
    }

    fn checkpoint(&self) -> String {
        fs::read_to_string(self.dir().join("site/checkpoint")).expect("a checkpoint")
    }

    /// The node does not start, says this, and what to do; the checkpoint stays.
    fn assert_refused(&self, message: &str) {
        let before = self.checkpoint();
        let output = NodeProcess::try_serve(&self.dir()).expect_err("it must not start");
        let stderr = refusal(&output);
        assert!(stderr.contains(message), "{stderr}");
        assert_eq!(self.checkpoint(), before);
    }

    /// The node serves all that it ever acknowledged, and goes on.
    async fn assert_whole(&self) {
        let node = NodeProcess::serve(&self.dir());
        let seen = self.look(&node).await;
        assert_eq!(seen.lost, [0; 0], "entries");
        assert_eq!(seen.unproven, 0);
        seen.went_on.expect("it takes records");
        let (code, stderr) = node.terminate();
        assert_eq!(code, Some(0), "{stderr}");
        // it may say what it made again
        assert!(stderr.lines().all(|line| line.contains(" WARN ")), "{stderr}");
    }

    /// Asks a node for everything that it ever acknowledged. Whatever it hands out must be right.
    async fn look(&self, node: &NodeProcess) -> Seen {
        let mut client = node.client().await;
        let head = self.follower.current(&mut client).await;
        self.follower.check(&head);
        assert_eq!(head.size, self.follower.size(), "nothing acknowledged is missing");
        let lost = self.read_entries(&mut client).await;
        let unproven = self.prove(&mut client, &head).await;
        self.resubmit(&mut client, &lost).await;
        let went_on = self.go_on(&mut client).await;
        Seen { lost, unproven, went_on }
    }

    /// Reads all entries; returns those that the node says are damaged.
    async fn read_entries(&self, client: &mut LedgerClient<Channel>) -> Vec<u64> {
        let mut lost = Vec::new();
        let mut start = 0;
        while start < self.follower.size().get() {
            let request = wire::GetEntriesRequest { start, count: None };
            let mut entries = client.get_entries(request).await.expect("a stream").into_inner();
            loop {
                match entries.message().await {
                    Ok(Some(entry)) => {
                        assert_eq!(entry.index, start);
                        let leaf = self.follower.leaves()[start as usize];
                        assert_eq!(Hash::leaf(&entry.entry), leaf, "entry {start}");
                        start += 1;
                    }
                    Ok(None) => break,
                    Err(status) => {
                        assert_eq!(status.code(), Code::DataLoss, "{status}");
                        lost.push(start);
                        // entries are stored in bundles of 256: try the next one
                        start = (start / 256 + 1) * 256;
                        break;
                    }
                }
            }
        }
        lost
    }

    /// Asks for proofs; returns how many the node says it cannot make.
    async fn prove(&self, client: &mut LedgerClient<Channel>, head: &TreeHead) -> usize {
        let mut unproven = 0;
        let size = head.size.get();
        for at in [0, 1, 100, 255, 256, 257, size - 2, size - 1] {
            let at = at.min(size - 1);
            let leaf = wire::get_inclusion_proof_request::Leaf::Index(at);
            let request = wire::GetInclusionProofRequest { leaf: Some(leaf), ..Default::default() };
            match client.get_inclusion_proof(request).await {
                Ok(answer) => {
                    let proof = TlogProof::parse(&answer.into_inner().proof).expect("a proof");
                    let leaf = self.follower.leaves()[at as usize];
                    proof.verify(&leaf, &self.consortium().policy()).expect("it proves");
                }
                Err(status) => {
                    assert_eq!(status.code(), Code::DataLoss, "{status}");
                    unproven += 1;
                }
            }
        }
        for old in [1, 200, 256, 258, size - 1] {
            let old = old.min(size);
            let request = wire::GetConsistencyProofRequest { old_size: old, new_size: None };
            match client.get_consistency_proof(request).await {
                Ok(answer) => {
                    let hash = |bytes: &bytes::Bytes| {
                        Hash::from_bytes((**bytes).try_into().expect("a hash"))
                    };
                    let hashes = answer.into_inner().hashes.iter().map(hash).collect();
                    let proof = ConsistencyProof::new(hashes).expect("short");
                    let old = self.follower.head_at(old);
                    verify_consistency(&proof, &old, head).expect("it proves");
                }
                Err(status) => {
                    assert_eq!(status.code(), Code::DataLoss, "{status}");
                    unproven += 1;
                }
            }
        }
        unproven
    }

    /// What was logged is not logged again, whatever is damaged.
    async fn resubmit(&self, client: &mut LedgerClient<Channel>, lost: &[u64]) {
        let count = self.records.len();
        for at in [0, count / 2, count - 1] {
            let record = &self.records[at];
            let place = self.follower.place(&record.statement()).expect("it was logged").get();
            match client.submit(submit(record)).await {
                Ok(answer) => {
                    let answer = answer.into_inner();
                    assert_eq!(answer.index, place);
                    assert!(answer.duplicate.is_some());
                }
                Err(status) => {
                    assert_eq!(status.code(), Code::DataLoss, "{status}");
                    assert!(!lost.is_empty());
                }
            }
        }
    }

    /// Submits one more record: the tree that is then signed is the old one and this record.
    async fn go_on(&self, client: &mut LedgerClient<Channel>) -> Result<(), tonic::Status> {
        let record = self.consortium().incident(1_000_000);
        let answer = client.submit(submit(&record)).await?.into_inner();
        let logged = std::str::from_utf8(&answer.logged).expect("a line");
        let entry = Entry::new(Logged::parse(logged).expect("a line"), record);
        let mut follower = self.follower.clone();
        follower.push(&entry.to_bytes());
        let proof = TlogProof::parse(&answer.proof).expect("a proof file");
        let accepted = proof.verify(&entry.leaf_hash(), &self.consortium().policy());
        follower.check(accepted.expect("it proves").checkpoint.head());
        Ok(())
    }
}

/// What a node with a damaged directory still does.
struct Seen {
    lost: Vec<u64>,
    unproven: usize,
    went_on: Result<(), tonic::Status>,
}

/// What a node said that refused to start: always an error and what to do.
fn refusal(output: &Output) -> String {
    let stderr = String::from_utf8(output.stderr.clone()).expect("text");
    assert_eq!(output.status.code(), ENVIRONMENT, "{stderr}");
    let (error, hint) = (stderr.find("error: "), stderr.find("\nhint: "));
    assert!(error.is_some_and(|error| Some(error) < hint), "{stderr}");
    stderr
}

async fn stream(client: &mut LedgerClient<Channel>, records: &[Record]) {
    let requests: Vec<_> = records.iter().map(submit).collect();
    let answers = client.submit_stream(tokio_stream::iter(requests)).await.expect("a stream");
    let mut answers = answers.into_inner();
    while let Some(answer) = answers.message().await.expect("an answer") {
        assert!(matches!(answer.outcome, Some(Outcome::Logged(_))), "{answer:?}");
    }
}

/// Copies a folder with all that is in it. Files below `site` become second names of the same file:
/// the node replaces files there and never writes into one.
fn copy(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).expect("a writable folder");
    }
    fs::create_dir(to).expect("a writable folder");
    fs::set_permissions(to, fs::metadata(from).expect("there").permissions()).expect("own folder");
    for file in from.read_dir().expect("a folder") {
        let path = file.expect("readable").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else if path.components().any(|part| part.as_os_str() == "tile") {
            fs::hard_link(&path, &target).expect("one file system");
        } else {
            fs::copy(&path, &target).expect("room");
        }
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for file in folder.read_dir().expect("a folder") {
        let path = file.expect("readable").path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
    found.sort();
}

/// Flips a bit of a file, which must not be another name of one that is still needed.
fn flip(path: &Path, bit: u64) {
    let mut bytes = fs::read(path).expect("readable");
    bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
    let mode = fs::metadata(path).expect("there").permissions();
    fs::remove_file(path).expect("a writable folder");
    fs::write(path, bytes).expect("room");
    fs::set_permissions(path, mode).expect("own file");
}

/// Where the journal's frames begin, and where the last one ends; see the format in the module
/// `store::journal` of the node.
fn frames(segment: &[u8]) -> Vec<usize> {
    let mut places = vec![512];
    loop {
        let at = *places.last().expect("one");
        if segment.get(at..at + 4) != Some(b"FRME") {
            return places;
        }
        let length = segment[at + 24..at + 28].try_into().expect("four bytes");
        places.push(at + 60 + u32::from_be_bytes(length) as usize);
    }
}

/// What is done to a file's bytes.
type Change<'a> = Box<dyn Fn(&mut Vec<u8>) + 'a>;

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_in_any_file_is_refused_or_recovered_from() {
    let mut random = Random::from_environment();
    let founded = Founded::with_small_segments();
    let consortium = &founded.consortium;
    // so large that two segments fill up: full tiles then are behind the journal, which heals
    // nothing
    let long = (1000..1440).map(|n| consortium.long_incident(n, 60_000));
    let records = (0..260).map(|n| consortium.incident(n)).chain(long);
    let records = records.collect();
    let log = Log::of(founded, records).await;
    let whole = log.founded.folder.path().join("whole");
    fs::rename(log.dir(), &whole).expect("one file system");
    let mut paths = Vec::new();
    files(&whole, &mut paths);
    let (mut refused, mut lost, mut recovered) = (0, 0, 0);
    for path in paths {
        let name = path.strip_prefix(&whole).expect("below");
        let bits = fs::metadata(&path).expect("there").len() * 8;
        for bit in picked_bits(name, &path, bits, &mut random) {
            copy(&whole, &log.dir());
            flip(&log.dir().join(name), bit);
            let outcome = match NodeProcess::try_serve(&log.dir()) {
                Err(output) => {
                    refused += 1;
                    refusal(&output).lines().next().unwrap_or_default().to_owned()
                }
                Ok(node) => {
                    let seen = log.look(&node).await;
                    let is_damaged = !seen.lost.is_empty() || seen.unproven > 0;
                    *(if is_damaged { &mut lost } else { &mut recovered }) += 1;
                    let derived = !name.starts_with("site/tile");
                    assert!(!(derived && is_damaged), "{}: bit {bit}", name.display());
                    format!(
                        "{} lost, {} unproven, {:?}",
                        seen.lost.len(),
                        seen.unproven,
                        seen.went_on
                    )
                }
            };
            println!("{} bit {bit}: {outcome}", name.display());
        }
    }
    println!("{refused} refused, {lost} with losses that were told, {recovered} recovered");
    assert!(refused > 5 && lost > 3 && recovered > 10, "it tested");
}

/// Some bits of a file: at its ends and somewhere, and of those that hold promises more.
fn picked_bits(name: &Path, path: &Path, bits: u64, random: &mut Random) -> Vec<u64> {
    if bits == 0 {
        return Vec::new();
    }
    let mut picked = vec![random.below(bits.min(512)), random.below(bits)];
    if name.starts_with("private/state") {
        // sled's file is long and mostly empty: its first pages hold all there is
        picked.extend((0..6).map(|_| random.below(bits.min(8 * 8192))));
    }
    if name.extension().is_some_and(|kind| kind == "segment") {
        let places = frames(&fs::read(path).expect("readable"));
        picked.extend(places.iter().map(|at| *at as u64 * 8 + random.below(8 * 60)));
        let last = places[places.len().saturating_sub(2)] as u64;
        picked.push(last * 8 + random.below(8 * 1000));
    }
    picked
}

#[test]
fn a_second_node_on_one_directory_is_refused() {
    let founded = Founded::new();
    let node = NodeProcess::serve(&founded.dir());
    let second = NodeProcess::try_serve(&founded.dir()).expect_err("one log has one writer");
    let stderr = refusal(&second);
    let dir = founded.dir();
    assert_eq!(
        stderr,
        format!(
            "error: another process has the log in {} open\nhint: stop the other node first; one log \
             has one writer\n",
            dir.display()
        )
    );
    let reindex = run("ledger-node", &["reindex".as_ref(), "--dir".as_ref(), dir.as_ref()]);
    assert!(refusal(&reindex).contains("another process has the log"));
    assert_eq!(node.terminate(), (Some(0), String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_logs_key_signs_nothing() {
    let log = Log::small(3).await;
    let key = log.founded.folder.path().join("log.key");
    let own = fs::read(&key).expect("readable");
    // same name, other key
    let name = log.consortium().log.verifier().name().as_str();
    let other = ledger_tests::key(name, ledger_core::note::Algorithm::Ed25519, 99);
    log.consortium().write_key(&other, &key);
    log.assert_refused("is not one of the charter's log keys");
    log.consortium().write_key(&log.consortium().lab, &key);
    log.assert_refused("is not one of the charter's log keys");
    fs::write(&key, "nothing\n").expect("writable");
    log.assert_refused("holds no signer key");
    fs::write(&key, own).expect("writable");
    for mode in [0o604, 0o640, 0o660, 0o602] {
        fs::set_permissions(&key, Permissions::from_mode(mode)).expect("own file");
        log.assert_refused(&format!("has mode {mode:04o}: others may read it"));
    }
    fs::set_permissions(&key, Permissions::from_mode(0o400)).expect("own file");
    log.assert_whole().await;
    fs::remove_file(&key).expect("a writable folder");
    log.assert_refused("cannot read");
}

/// Everything below a folder gets an owner, and loses its write permissions.
fn give_read_only(path: &Path, owner: Option<u32>) {
    let mode = fs::metadata(path).expect("there").permissions().mode();
    fs::set_permissions(path, Permissions::from_mode(mode & !0o222)).expect("own file");
    if owner.is_some() {
        chown(path, owner, owner).expect("root may");
    }
    if path.is_dir() {
        for file in path.read_dir().expect("a folder") {
            give_read_only(&file.expect("readable").path(), owner);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_cannot_be_written_is_refused() {
    let log = Log::small(3).await;
    let before = log.checkpoint();
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| {
        use std::os::unix::fs::MetadataExt as _;
        own.uid() == 0
    });
    give_read_only(log.founded.folder.path(), is_root.then_some(NOBODY));
    let node = program("ledger-node");
    let mut command = if is_root {
        let mut command = Command::new("setpriv");
        let nobody = NOBODY.to_string();
        command.args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups"]).arg(node);
        command
    } else {
        Command::new(node)
    };
    command.args(["serve", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--dir"]);
    let output = command.arg(log.dir()).output().expect("it runs");
    let stderr = refusal(&output);
    assert!(stderr.contains("private/LOCK: Permission denied"), "{stderr}");
    assert!(stderr.contains("the node's user must be able to write"), "{stderr}");
    assert_eq!(log.checkpoint(), before);
    // so that the folder can be removed
    give_back(log.founded.folder.path());
}

fn give_back(path: &Path) {
    let mode = fs::metadata(path).expect("there").permissions().mode();
    fs::set_permissions(path, Permissions::from_mode(mode | 0o700)).expect("own file");
    if path.is_dir() {
        path.read_dir().expect("a folder").for_each(|file| give_back(&file.expect("there").path()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_behind_the_journals_last_batch_is_dropped() {
    let log = Log::small(20).await;
    let mut random = Random::from_environment();
    let content = fs::read(log.segment()).expect("readable");
    let places = frames(&content);
    let end = *places.last().expect("one");
    let last = &content[places[places.len() - 2]..end];
    let noise: Vec<u8> = (0..5000).map(|_| random.word() as u8).collect();
    // a batch that never was whole: its beginning, and nothing of it
    let torn = last[..last.len() - 1].to_vec();
    let mut of_another_segment = last.to_vec();
    of_another_segment[11] ^= 1;
    let whole = log.founded.folder.path().join("whole");
    fs::rename(log.dir(), &whole).expect("one file system");
    for garbage in [noise, torn, of_another_segment, last[..60].to_vec(), b"FRME".to_vec()] {
        copy(&whole, &log.dir());
        let file = OpenOptions::new().write(true).open(log.segment()).expect("writable");
        file.write_all_at(&garbage, end as u64).expect("room");
        log.assert_whole().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_lost_promised_entries_is_refused() {
    let founded = Founded::new();
    let first = founded.consortium.incident(500);
    let mut log = Log::of(founded, vec![first]).await;
    // one batch more, the last one promised
    let node = NodeProcess::serve(&log.dir());
    let mut client = node.client().await;
    let record = log.consortium().incident(501);
    client.submit(submit(&record)).await.expect("lawful");
    log.follower.catch_up(&mut client).await;
    drop(client);
    node.terminate();
    let content = fs::read(log.segment()).expect("readable");
    let places = frames(&content);
    let [_, charter_end, first_end, end] = places.as_slice() else { panic!("{places:?}") };
    let whole = log.founded.folder.path().join("whole");
    fs::rename(log.dir(), &whole).expect("one file system");
    let lost = |found: usize| {
        format!("this log has signed a head of 3 entries, but only {found} are stored")
    };
    let cases: [(&str, Change<'_>, String); 7] = [
        ("the last batch is flipped", Box::new(|bytes| bytes[end - 9] ^= 4), lost(2)),
        ("it ends in the last batch", Box::new(|bytes| bytes.truncate(end - 1)), lost(2)),
        ("it ends before the last batch", Box::new(|bytes| bytes.truncate(*first_end)), lost(2)),
        ("it ends behind the charter", Box::new(|bytes| bytes.truncate(*charter_end)), lost(1)),
        (
            "a batch in the middle is flipped",
            Box::new(|bytes| bytes[charter_end + 100] ^= 4),
            "is damaged, but the batch of entry 2 after it is whole".into(),
        ),
        (
            "it ends in the header",
            Box::new(|bytes| bytes.truncate(100)),
            "the segment's header does not have its checksum".into(),
        ),
        (
            "it is empty",
            Box::new(Vec::clear),
            "the segment's header does not have its checksum".into(),
        ),
    ];
    for (case, damage, message) in cases {
        copy(&whole, &log.dir());
        let mut bytes = content.clone();
        damage(&mut bytes);
        fs::write(log.segment(), bytes).expect("writable");
        println!("{case}");
        log.assert_refused(&message);
    }
    copy(&whole, &log.dir());
    fs::remove_file(log.segment()).expect("a writable folder");
    log.assert_refused("holds no journal");
    copy(&whole, &log.dir());
    log.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_older_than_what_readers_saw_is_refused() {
    let mut log = Log::small(3).await;
    let backup = log.founded.folder.path().join("backup");
    copy(&log.dir(), &backup);
    let node = NodeProcess::serve(&log.dir());
    let mut client = node.client().await;
    client.submit(submit(&log.consortium().incident(77))).await.expect("lawful");
    log.follower.catch_up(&mut client).await;
    drop(client);
    node.terminate();
    let newer = log.checkpoint();
    let message = "site/checkpoint has size 5 and this log's signature, but the node remembers \
                   signing only ";
    copy(&backup, &log.dir());
    fs::write(log.dir().join("site/checkpoint"), &newer).expect("writable");
    log.assert_refused(&format!("{message}4"));
    // without its promises a node knows no more than what readers hold
    fs::remove_dir_all(log.dir().join("private/state")).expect("a writable folder");
    log.assert_refused(&format!("{message}0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tree_of_a_published_size_is_refused() {
    let log = Log::small(2).await;
    let head = log.follower.head();
    let other = TreeHead { root: Hash::leaf(b"another tree"), ..head };
    let origin = ClaimedCheckpoint::parse(log.checkpoint().as_bytes()).expect("a checkpoint");
    let origin = origin.checkpoint().origin().clone();
    let signed =
        ledger_core::checkpoint::Checkpoint::new(origin, other).sign(&log.consortium().log);
    fs::write(log.dir().join("site/checkpoint"), signed.to_string()).expect("writable");
    log.assert_refused("the stored entries do not have the root of the head of size 3");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_derived_or_unsigned_is_made_again() {
    let log = Log::small(300).await;
    let site = log.dir().join("site");
    let whole = log.founded.folder.path().join("whole");
    fs::rename(log.dir(), &whole).expect("one file system");
    let index = log.dir().join("private/index");
    let damages: [(&str, &dyn Fn()); 6] = [
        ("no index", &|| fs::remove_dir_all(&index).expect("there")),
        ("an index of noise", &|| {
            fs::write(index.join("index.sqlite"), [7; 9000]).expect("writable");
        }),
        ("no checkpoint", &|| fs::remove_file(site.join("checkpoint")).expect("there")),
        ("a checkpoint of noise", &|| {
            fs::write(site.join("checkpoint"), [0xff; 300]).expect("writable");
        }),
        ("no tiles that the journal gives", &|| {
            fs::remove_dir_all(site.join("tile")).expect("there");
        }),
        ("unfinished files", &|| {
            fs::create_dir_all(log.dir().join("private/tmp")).expect("writable");
            fs::write(log.dir().join("private/tmp/0"), b"half").expect("writable");
            fs::write(log.dir().join("private/journal/spare.new"), b"half").expect("writable");
        }),
    ];
    for (case, damage) in damages {
        copy(&whole, &log.dir());
        damage();
        println!("{case}");
        log.assert_whole().await;
    }
    copy(&whole, &log.dir());
    let dir = log.dir();
    let arguments = ["--json".as_ref(), "reindex".as_ref(), "--dir".as_ref(), dir.as_ref()];
    let output = run("ledger-node", &arguments);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "{\"entries\":301}\n");
    log.assert_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_init_makes_a_log_and_only_where_there_is_none() {
    let log = Log::small(1).await;
    let folder = log.founded.folder.path();
    let (charter, key) = (folder.join("charter.record"), folder.join("log.key"));
    let init = |dir: &Path| {
        let mut command = Command::new(program("ledger-node"));
        command.arg("init").arg("--dir").arg(dir).arg("--charter").arg(&charter);
        command.arg("--log-key").arg(&key).output().expect("it runs")
    };
    let before = log.checkpoint();
    let output = init(&log.dir());
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("is not empty: a log is only made in a new or empty directory"));
    let file = folder.join("file");
    fs::write(&file, b"").expect("writable");
    refusal(&init(&file));
    assert_eq!(log.checkpoint(), before);

    let empty = folder.join("empty");
    fs::create_dir(&empty).expect("writable");
    for dir in [empty.clone(), folder.join("missing")] {
        let stderr = refusal(&NodeProcess::try_serve(&dir).expect_err("there is no log"));
        assert!(stderr.contains("hint: is this the directory of a log? see ledger-node init"));
        let reindex = run("ledger-node", &["reindex".as_ref(), "--dir".as_ref(), dir.as_ref()]);
        refusal(&reindex);
    }
    assert!(empty.read_dir().expect("there").next().is_none(), "serve makes nothing");
    assert!(!folder.join("missing").exists());
    assert!(init(&empty).status.success(), "an empty directory is free");
    // a directory with a configuration and nothing else is no log either
    let bare = folder.join("bare");
    fs::create_dir(&bare).expect("writable");
    fs::copy(empty.join("config.toml"), bare.join("config.toml")).expect("writable");
    refusal(&NodeProcess::try_serve(&bare).expect_err("there is no log"));
    let mut left = Vec::new();
    files(&bare, &mut left);
    assert_eq!(left, [bare.join("config.toml")], "serve makes nothing");
}
