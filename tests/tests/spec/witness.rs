//! The table of `add-checkpoint` requests in `tests/vectors/v1/witness/add-checkpoint.json`: one
//! after the other is put to one witness, and each row says what it answers and what it has
//! cosigned afterwards. Here the pure judgement is held to the table; `tests/tests/node/witness.rs`
//! sends the same requests to a node.
//!
//! `LEDGER_WRITE_TABLES=1 cargo test -p ledger-tests add_checkpoint` writes the table afresh.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ledger_core::checkpoint::{Checkpoint, Origin};
use ledger_core::cosignature::cosign;
use ledger_core::hash::Hash;
use ledger_core::merkle::{MemoryTree, TreeHead, prove_consistency};
use ledger_core::note::{Algorithm, Note, Signature, SignerKey};
use ledger_core::witness::{AddCheckpoint, LogKeys, Refusal, TEXT_CONTENT_TYPE};
use ledger_tests::{key, size, workspace};
use serde_json::{Value, json};

/// The time of every cosignature.
const TIME: u64 = 1_800_000_000;
const A: &str = "a.example/log";
const B: &str = "b.example";
const ZERO: &str = "zero.example";
const HUGE: &str = "huge.example";
const UNKNOWN: &str = "unknown.example";

fn log_key(origin: &str, seed: u8) -> SignerKey {
    key(origin, Algorithm::Ed25519, seed)
}

/// The keys that the witness knows: two of A, one of each other log. A's key 10 is retired.
fn known() -> Vec<SignerKey> {
    [(A, 11), (A, 12), (B, 13), (ZERO, 14), (HUGE, 15)].map(|(log, seed)| log_key(log, seed)).into()
}

fn witness_keys() -> [SignerKey; 2] {
    [
        key("witness.example/ed25519", Algorithm::CosignatureV1, 21),
        key("witness.example/ml-dsa-44", Algorithm::MlDsa44, 22),
    ]
}

fn tree(branch: u8, size: u64) -> MemoryTree {
    let mut tree = MemoryTree::new();
    for n in 0..size {
        tree.push(Hash::leaf(&[branch, n as u8])).expect("room");
    }
    tree
}

fn root(branch: u8, size: u64) -> Hash {
    tree(branch, size).frontier().head().root
}

fn text(origin: &str, of: u64, root: Hash) -> String {
    let head = TreeHead { size: size(of), root };
    Checkpoint::new(Origin::new(origin).expect("origin"), head).to_string()
}

fn proof(old: u64, new: u64) -> Vec<String> {
    let proof = prove_consistency(&mut tree(0, new), size(old), size(new)).expect("ordered");
    proof.hashes().iter().map(Hash::to_base64).collect()
}

/// A note of a text and its signature lines.
fn note(text: &str, lines: &[Signature]) -> String {
    Note::new(text, lines.to_vec()).expect("a note").to_string()
}

/// A line of a key whose signature is of another text.
fn false_line(key: &SignerKey) -> Signature {
    key.sign_text("another text\n")
}

fn body(old: impl ToString, proof: &[String], checkpoint: &str) -> String {
    let proof: String = proof.iter().map(|line| format!("{line}\n")).collect();
    format!("old {}\n{proof}\n{checkpoint}", old.to_string())
}

/// A checkpoint of A's tree, signed with its first key.
fn a(of: u64) -> String {
    signed(A, 11, of)
}

fn signed(origin: &str, seed: u8, of: u64) -> String {
    let text = text(origin, of, root(0, of));
    note(&text, &[log_key(origin, seed).sign_text(&text)])
}

#[derive(Default)]
struct Rows(Vec<(String, Vec<u8>)>);

impl Rows {
    fn add(&mut self, name: &str, body: impl Into<Vec<u8>>) {
        self.0.push((name.to_owned(), body.into()));
    }

    /// Bodies that no state makes good.
    fn malformed(&mut self) {
        let good = body(0, &[], &a(4));
        self.add("empty body", "");
        self.add("one newline", "\n");
        self.add("no checkpoint", "old 0\n\n");
        self.add("no empty line before the checkpoint", good.replacen("\n\n", "\n", 1));
        self.add("no old line", good.replacen("old 0\n", "", 1));
        self.add("an empty line first", format!("\n{good}"));
        self.add("byte order mark", format!("\u{feff}{good}"));
        self.add("CRLF", good.replace('\n', "\r\n"));
        self.add("CR after the old size", good.replacen("old 0\n", "old 0\r\n", 1));
        for old in [
            "00",
            "01",
            "+0",
            "-1",
            "0x0",
            "",
            " 0",
            "0 ",
            "0 0",
            "1e1",
            "\u{0660}",
            "9223372036854775808",
            "18446744073709551616",
            "99999999999999999999999999",
        ] {
            self.add(&format!("old size {old:?}"), body(old, &[], &a(4)));
        }
        self.add("Old with a capital", good.replacen("old", "Old", 1));
        self.add("a tab after old", good.replacen("old ", "old\t", 1));
        self.add("old without a size", good.replacen("old 0", "old", 1));
        let line = root(0, 1).to_base64();
        for (name, line) in [
            ("is no base64", "not base64".to_owned()),
            ("has no padding", line.trim_end_matches('=').to_owned()),
            ("has 31 bytes", STANDARD.encode([0; 31])),
            ("has 33 bytes", STANDARD.encode([0; 33])),
            ("ends with a space", format!("{line} ")),
            ("has a CR", format!("{line}\r")),
            ("is in the alphabet for URLs", STANDARD.encode([255; 32]).replace('/', "_")),
            ("has stray last bits", line.replace(&line[42..], "9=")),
        ] {
            self.add(&format!("proof line {name}"), body(1, &[line], &a(4)));
        }
        self.add("64 proof lines", body(1, &vec![line.clone(); 64], &a(4)));
        self.malformed_checkpoints();
    }

    fn malformed_checkpoints(&mut self) {
        let good = a(4);
        let root = root(0, 4).to_base64();
        let line = log_key(A, 11).sign_text("x\n").to_string();
        for (name, checkpoint) in [
            ("size has a leading zero", good.replacen("\n4\n", "\n04\n", 1)),
            ("size is 2^63", good.replacen("\n4\n", "\n9223372036854775808\n", 1)),
            ("root has 31 bytes", good.replacen(&root, &STANDARD.encode([0; 31]), 1)),
            ("has no signature", format!("{A}\n4\n{root}\n\n")),
            ("has no signatures' empty line", format!("{A}\n4\n{root}\n")),
            ("has two lines", format!("{A}\n4\n\n{line}")),
            ("has an empty extension line", format!("{A}\n4\n{root}\n\nmore\n\n{line}")),
            ("has a reserved origin", good.replacen(A, "cosignature/v1", 1)),
            ("does not end with a newline", good.trim_end().to_owned()),
            ("has bytes after the signatures", format!("{good}more\n")),
            ("has a tab", good.replacen(A, "a.example\tlog", 1)),
            ("has a hyphen for a dash", good.replacen('\u{2014}', "-", 1)),
            ("has 65 signatures", format!("{A}\n4\n{root}\n\n{}", line.repeat(65))),
        ] {
            self.add(&format!("checkpoint {name}"), body(0, &[], &checkpoint));
        }
        let mut bytes = body(0, &[], &good).into_bytes();
        let last = bytes.len() - 2;
        bytes[last] = 0xff;
        self.add("checkpoint is not UTF-8", bytes);
        let long = vec![b'x'; ledger_core::witness::MAX_REQUEST_BYTES + 1];
        self.add("one byte more than the limit", long);
    }

    /// 404, 403 and 400, and which of them comes first.
    fn signatures(&mut self) {
        let stranger = |of: u64| signed(UNKNOWN, 30, of);
        self.add("unknown log", body(0, &[], &stranger(4)));
        self.add(
            "unknown log, false signature",
            body(0, &[], &{
                let text = text(UNKNOWN, 4, root(0, 4));
                note(&text, &[false_line(&log_key(UNKNOWN, 30))])
            }),
        );
        self.add("unknown log, old size above", body(9, &[], &stranger(4)));
        self.add("unknown log, malformed proof", body(1, &["x".into()], &stranger(4)));
        let of_four = text(A, 4, root(0, 4));
        let with = |lines: &[Signature]| body(0, &[], &note(&of_four, lines));
        let [first, second] = [11, 12].map(|seed| log_key(A, seed));
        let retired = log_key(A, 10);
        let [ours, _] = witness_keys();
        let other = key("other-witness.example", Algorithm::CosignatureV1, 31);
        let checkpoint = Checkpoint::parse_text(&of_four).expect("a checkpoint");
        let cosigned = cosign(&other, &checkpoint, 5);
        self.add("signed by a stranger", with(&[log_key("s", 32).sign_text(&of_four)]));
        self.add("signed by a key that was retired", with(&[retired.sign_text(&of_four)]));
        self.add("signed by another known log", with(&[log_key(B, 13).sign_text(&of_four)]));
        self.add("only cosigned", with(&[cosigned.clone(), cosign(&ours, &checkpoint, 5)]));
        self.add("false signature", with(&[false_line(&first)]));
        self.add("false signature, wrong old size", {
            body(3, &proof(3, 4), &note(&of_four, &[false_line(&first)]))
        });
        self.add("false signature, old size above", {
            body(9, &[], &note(&of_four, &[false_line(&first)]))
        });
        self.add("false line of one key beside a good one of another", {
            with(&[first.sign_text(&of_four), false_line(&second)])
        });
        self.add("false line beside a good one of the same key", {
            with(&[first.sign_text(&of_four), false_line(&first)])
        });
        let short = Signature::new(first.verifier().name().clone(), first.verifier().id(), vec![1]);
        self.add("signature of one byte", with(&[short]));
        self.add("signature of another size", body(0, &[], &a(5).replacen("\n5\n", "\n4\n", 1)));
        self.add("old size above, never cosigned", body(5, &[], &a(4)));
        self.add("largest old size", body(i64::MAX, &[], &a(4)));
    }

    /// A log from nothing to 20 entries, with all that is refused between.
    fn history(&mut self) {
        let of = |lines: &[SignerKey], of: u64, root: Hash, more: &str| {
            let text = text(A, of, root) + more;
            let lines: Vec<_> = lines.iter().map(|key| key.sign_text(&text)).collect();
            note(&text, &lines)
        };
        let [first, second] = [11, 12].map(|seed| log_key(A, seed));
        self.add("never cosigned, old size 3", body(3, &proof(3, 4), &a(4)));
        self.add("never cosigned, a proof", body(0, &proof(3, 4), &a(4)));
        self.add(
            "never cosigned, 63 proof lines",
            body(0, &vec![proof(3, 4)[0].clone(); 63], &a(4)),
        );
        self.add("first checkpoint", body(0, &[], &a(4)));
        self.add("the same again from 0", body(0, &[], &a(4)));
        self.add("the same size, the same root", body(4, &[], &a(4)));
        self.add("the same size, the same root, a proof", body(4, &proof(4, 5), &a(4)));
        let first_key = std::slice::from_ref(&first);
        let other = of(first_key, 4, root(1, 4), "");
        self.add("the same size, another root", body(4, &[], &other));
        self.add("the same size, another root, a proof", body(4, &proof(4, 5), &other));
        self.add("the same size, another root, wrong old size", body(3, &proof(3, 4), &other));
        self.add("smaller, from its own size", body(3, &[], &a(3)));
        self.add("smaller, from the cosigned size", body(4, &[], &a(3)));
        self.add("larger, without a proof", body(4, &[], &a(7)));
        self.add("larger, a proof of another size", body(4, &proof(3, 7), &a(7)));
        let mut cut = proof(4, 7);
        cut.pop();
        self.add("larger, a proof cut short", body(4, &cut, &a(7)));
        let mut long = proof(4, 7);
        long.push(long[0].clone());
        self.add("larger, a proof with a hash more", body(4, &long, &a(7)));
        let mut changed = proof(4, 7);
        changed[0] = root(1, 1).to_base64();
        self.add("larger, a changed proof", body(4, &changed, &a(7)));
        let split = of(first_key, 7, root(1, 7), "");
        self.add("larger, another history", body(4, &proof(4, 7), &split));
        self.add("larger, a bad proof from a wrong old size", body(2, &changed, &a(7)));
        self.add("larger", body(4, &proof(4, 7), &a(7)));
        self.add("the step before once more", body(4, &proof(4, 7), &a(7)));
        let second_key = std::slice::from_ref(&second);
        self.add(
            "signed by the log's other key",
            body(7, &proof(7, 8), &{ of(second_key, 8, root(0, 8), "") }),
        );
        self.add(
            "signed by both keys",
            body(8, &proof(8, 9), &{ of(&[first.clone(), second.clone()], 9, root(0, 9), "") }),
        );
        self.add(
            "extension lines",
            body(9, &proof(9, 10), &{ of(first_key, 10, root(0, 10), "extension\nand another\n") }),
        );
        self.add(
            "the same size and root, other extension lines",
            body(10, &[], &{ of(first_key, 10, root(0, 10), "changed\n") }),
        );
        let [ours, _] = witness_keys();
        let text = text(A, 20, root(0, 20));
        let checkpoint = Checkpoint::parse_text(&text).expect("a checkpoint");
        let (retired, stranger) = (log_key(A, 10), log_key("s", 32));
        let crowd = [
            cosign(&ours, &checkpoint, 5),
            false_line(&stranger),
            false_line(&retired),
            first.sign_text(&text),
            stranger.sign_text(&text),
            first.sign_text(&text),
        ];
        self.add(
            "among lines of others, false ones too",
            body(10, &proof(10, 20), &note(&text, &crowd)),
        );
        self.add("another log from nothing", body(0, &[], &signed(B, 13, 5)));
        self.add("another log with the first one's size", body(20, &[], &signed(B, 13, 20)));
        self.add("another log's key on this log", body(20, &proof(20, 21), &signed(A, 13, 21)));
    }

    /// Sizes at both ends.
    fn ends(&mut self) {
        let of = |origin: &str, seed: u8, of: u64, root: Hash| {
            let text = text(origin, of, root);
            note(&text, &[log_key(origin, seed).sign_text(&text)])
        };
        let zero = |root| of(ZERO, 14, 0, root);
        self.add("size 0, another root", body(0, &[], &zero(root(0, 1))));
        self.add("size 0, another root, a proof", body(0, &proof(1, 2), &zero(root(0, 1))));
        self.add("size 0, a proof", body(0, &proof(1, 2), &zero(Hash::EMPTY_ROOT)));
        self.add("size 0, old size 1", body(1, &[], &zero(Hash::EMPTY_ROOT)));
        self.add("size 0", body(0, &[], &zero(Hash::EMPTY_ROOT)));
        self.add("size 0 again", body(0, &[], &zero(Hash::EMPTY_ROOT)));
        self.add("size 1 from 0, a proof", body(0, &proof(1, 2), &of(ZERO, 14, 1, root(0, 1))));
        self.add("size 1 from 0", body(0, &[], &of(ZERO, 14, 1, root(0, 1))));
        self.add("size 0 after size 1, wrong root", body(0, &[], &zero(root(0, 1))));
        self.add("size 0 after size 1", body(0, &[], &zero(Hash::EMPTY_ROOT)));
        self.add("size 0 after size 1, old size 1", body(1, &[], &zero(Hash::EMPTY_ROOT)));
        self.add("size 2 from 1", body(1, &proof(1, 2), &of(ZERO, 14, 2, root(0, 2))));
        let max = i64::MAX as u64;
        let huge = |size, seed| of(HUGE, 15, size, root(seed, 1));
        self.add("2^63 - 2 leaves", body(0, &[], &huge(max - 1, 0)));
        self.add("2^63 - 1 leaves, no proof", body(max - 1, &[], &huge(max, 0)));
        let line = root(0, 2).to_base64();
        self.add("2^63 - 1 leaves, a wrong proof", {
            body(max - 1, &vec![line; 63], &huge(max, 0))
        });
        self.add("2^63 - 1 leaves, wrong old size", body(max, &[], &huge(max, 0)));
        self.add("2^63 - 2 leaves again", body(max - 1, &[], &huge(max - 1, 0)));
        self.add("2^63 - 2 leaves, another root", body(max - 1, &[], &huge(max - 1, 1)));
    }
}

fn rows() -> Vec<(String, Vec<u8>)> {
    let mut rows = Rows::default();
    rows.malformed();
    rows.signatures();
    rows.history();
    rows.ends();
    rows.0
}

/// What a witness has cosigned, by origin, and its answers.
#[derive(Default)]
struct Model(BTreeMap<String, TreeHead>);

impl Model {
    fn put(&mut self, request: &[u8]) -> Result<Vec<Signature>, Refusal> {
        let request = AddCheckpoint::parse(request)?;
        let origin = request.checkpoint().checkpoint().origin().clone();
        let keys = known().into_iter().map(|key| key.verifier().clone());
        let keys = LogKeys::new(keys.filter(|key| key.name().as_str() == origin.as_str()));
        let authenticated = request.authenticate(Some(&keys))?;
        let kept = authenticated.step(self.0.get(origin.as_str()))?;
        self.0.insert(origin.to_string(), *kept.head());
        let checkpoint = kept.claimed().checkpoint();
        Ok(witness_keys().iter().map(|key| cosign(key, checkpoint, TIME)).collect())
    }

    fn state(&self) -> Value {
        let line = |head: &TreeHead| format!("{} {}", head.size, head.root.to_base64());
        self.0.iter().map(|(origin, head)| (origin.clone(), json!(line(head)))).collect()
    }
}

fn table() -> Value {
    let mut model = Model::default();
    let mut all = Vec::new();
    for (name, request) in rows() {
        let (status, kind, body) = match model.put(&request) {
            Ok(lines) => {
                let body = lines.iter().map(ToString::to_string).collect::<String>();
                (200, TEXT_CONTENT_TYPE, body)
            }
            Err(refusal) => (refusal.status(), refusal.content_type(), refusal.body()),
        };
        // what is not text, or tells nothing by its length, is given as it is made
        let request = match String::from_utf8(request) {
            Ok(text) if text.len() > ledger_core::witness::MAX_REQUEST_BYTES => {
                json!({ "times": text.len(), "of": "x" })
            }
            Ok(text) => json!(text),
            Err(error) => json!({ "base64": STANDARD.encode(error.as_bytes()) }),
        };
        all.push(json!({
            "name": name, "request": request, "status": status, "content_type": kind, "body": body,
            "after": model.state(),
        }));
    }
    let logs: String = known().iter().map(|key| format!("log {}\n", key.verifier())).collect();
    let keys: Vec<_> = witness_keys().iter().map(SignerKey::to_secret_text).collect();
    json!({ "time": TIME, "logs": logs, "witness_keys": keys, "rows": all })
}

#[test]
fn every_add_checkpoint_request_of_the_table_gets_its_answer() {
    let path = workspace().join("tests/vectors/v1/witness/add-checkpoint.json");
    let table = table();
    if std::env::var_os("LEDGER_WRITE_TABLES").is_some() {
        let text = serde_json::to_string_pretty(&table).expect("JSON") + "\n";
        std::fs::write(&path, text).expect("a writable folder");
    }
    let written: Value =
        serde_json::from_slice(&std::fs::read(path).expect("the table")).expect("JSON");
    let (own, rows) = (table["rows"].as_array(), written["rows"].as_array().expect("rows"));
    for (own, row) in own.expect("rows").iter().zip(rows) {
        assert_eq!(own, row, "{}", row["name"]);
    }
    assert_eq!(table, written);
    assert!(rows.len() >= 60, "{} rows", rows.len());
    let statuses: std::collections::BTreeSet<_> =
        rows.iter().map(|row| row["status"].as_u64().expect("a status")).collect();
    assert_eq!(statuses.into_iter().collect::<Vec<_>>(), [200, 400, 403, 404, 409, 413, 422]);
}

#[test]
fn what_the_table_cosigns_verifies_and_is_of_the_whole_tree() {
    let mut cosigned = 0;
    for (name, request) in rows() {
        let mut answers = Model::default();
        let Ok(parsed) = AddCheckpoint::parse(&request) else { continue };
        // from whatever state the request wants
        let Ok(lines) = answers.put(&request) else { continue };
        for (key, line) in witness_keys().iter().zip(&lines) {
            let note = parsed.checkpoint().note();
            let time = ledger_core::cosignature::verify_line(note, key.verifier(), line);
            assert_eq!(time, Some(TIME), "{name}");
        }
        cosigned += 1;
    }
    assert!(cosigned > 3);
}
