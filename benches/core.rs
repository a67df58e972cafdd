//! The pure core, beside the bare primitives that it is made of.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ledger_core::batch::Edge;
use ledger_core::charter::Charter;
use ledger_core::merkle::{MemoryTree, prove_inclusion, verify_inclusion};
use ledger_core::record::{Entry, Kind, Logged, Object, Record, StatementId, format_time};
use ledger_core::register::{
    Chains, Chronicle, Fact, decisions, duties, incidents, reviews, risks,
};
use ledger_core::{Hash, LeafIndex};
use ledger_tests::consortium::Consortium;
use sha2::{Digest as _, Sha256};

fn hashing(c: &mut Criterion) {
    let (left, right) = (Hash::leaf(b"left"), Hash::leaf(b"right"));
    let mut message = [1u8; 65];
    message[1..33].copy_from_slice(left.as_bytes());
    message[33..].copy_from_slice(right.as_bytes());
    let mut group = c.benchmark_group("hash");
    group.bench_function("sha2 of 65 bytes", |b| b.iter(|| Sha256::digest(black_box(&message))));
    group.bench_function("node", |b| b.iter(|| black_box(&left).join(black_box(&right))));
    group.finish();
}

fn records(c: &mut Criterion) {
    let consortium = Consortium::at(1_800_000_000);
    let record = consortium.incident(1);
    let bytes = record.to_bytes();
    let logged = Logged { time: consortium.time, governance: LeafIndex::ZERO };
    let charter = Charter::found(&Entry::new(logged, consortium.charter())).expect("a charter");
    let key = consortium.lab.verifier();
    let signature = record.note().signatures()[0].bytes().to_vec();
    let at = LeafIndex::new(1).expect("small");
    let mut group = c.benchmark_group("record");
    group.bench_function("bare verify_strict", |b| {
        b.iter(|| key.verify(black_box(record.text().as_bytes()), &signature));
    });
    group.bench_function("parse", |b| b.iter(|| Record::parse(black_box(&bytes))));
    group.bench_function("parse and verify", |b| {
        b.iter(|| charter.verify(Record::parse(black_box(&bytes)).expect("a record")));
    });
    let signed = charter.verify(record.clone()).expect("signed");
    group.bench_function("admit", |b| b.iter(|| charter.admit(black_box(&signed), &logged, at)));
    group.finish();
}

fn trees(c: &mut Criterion) {
    let entries: Vec<Vec<u8>> = (0..1000u64).map(|n| n.to_be_bytes().repeat(128)).collect();
    let mut group = c.benchmark_group("tree");
    group.throughput(Throughput::Elements(1000));
    group.bench_function("bare leaf hashes of 1000 KiB", |b| {
        b.iter(|| entries.iter().map(|entry| Hash::leaf(entry)).collect::<Vec<_>>());
    });
    group.bench_function("append 1000 KiB as tiles", |b| {
        b.iter_batched(Edge::new, |mut edge| edge.append(&entries), BatchSize::SmallInput);
    });
    group.throughput(Throughput::Elements(1));
    let mut tree = MemoryTree::new();
    for entry in entries.iter().cycle().take(100_000) {
        tree.push(Hash::leaf(entry)).expect("room");
    }
    let head = tree.frontier().head();
    let at = LeafIndex::new(54_321).expect("small");
    let leaf = Hash::leaf(&entries[321]);
    group.bench_function("prove 1 of 100000", |b| {
        b.iter(|| prove_inclusion(&mut tree, at, head.size));
    });
    let proof = prove_inclusion(&mut tree, at, head.size).expect("inside");
    group.bench_function("verify 1 of 100000", |b| {
        b.iter(|| verify_inclusion(black_box(&proof), &leaf, at, &head).expect("proven"));
    });
    group.finish();
}

/// Entries of the fold.
const ENTRIES: u64 = 1_000_000;

/// An initial report, a remediation, a review with a condition, and a final report.
fn bodies(time: u64) -> [(Kind, Object); 4] {
    let envelope = |kind: &str| {
        Object::parse(&format!(
            r#"{{"log": "ledger.test/log", "kind": "{kind}", "issuer": "lab.test",
                "id": "0198a7c2-5d00-7000-8000-000000000001", "issued_at": "{0}",
                "title": {{"en": "A title"}}, "summary": {{"en": "A summary of some length."}}}}"#,
            format_time(time)
        ))
        .expect("JSON")
    };
    let incident = |stage: &str| {
        envelope("incident")
            .with("stage", stage)
            .with("class", "incident")
            .with("severity", "serious_incident")
            .with("aware_at", format_time(time))
            .with("ai_relation", "use")
            .with("harm_types", vec!["physical"])
            .with("triggers", vec!["design"])
    };
    let condition = Object::new().with("id", "x").with("text", "y").with("due", format_time(time));
    let remediation = envelope("remediation").with("owner", "lab.test").with("state", "planned");
    let review = envelope("review").with("outcome", "approve").with("conditions", vec![condition]);
    [
        (Kind::Incident, incident("initial")),
        (Kind::Remediation, remediation.with("due_by", format_time(time))),
        (Kind::Review, review.with("review_stage", "incident")),
        (Kind::Incident, incident("final").with("resolved_at", format_time(time))),
    ]
}

fn registers(c: &mut Criterion) {
    let consortium = Consortium::at(1_800_000_000);
    let logged = Logged { time: consortium.time, governance: LeafIndex::ZERO };
    let charter = Charter::found(&Entry::new(logged, consortium.charter())).expect("a charter");
    let charter = Arc::new(charter);
    let statement = |n: u64| StatementId::from_hash(Hash::digest(&n.to_be_bytes()));
    let relations = ["derived-from", "remediates", "reviews", "reports-on"];
    // each group of four refers to its first. 1024 groups of bodies are used again and again, so
    // that they need no gigabytes: those of the first groups gather a thousand references each
    let groups: Vec<Vec<(Kind, Object)>> = (0..1024u64)
        .map(|group| {
            let own = bodies(consortium.time).into_iter().zip(relations);
            let named = |((kind, body), relation): ((Kind, Object), &str)| {
                let to = statement(4 * group).to_string();
                let reference = Object::new().with("rel", relation).with("statement", to);
                let refs = if relation == "derived-from" { vec![] } else { vec![reference] };
                (kind, body.with("refs", refs))
            };
            own.map(named).collect()
        })
        .collect();
    let statements: Vec<StatementId> = (0..ENTRIES).map(statement).collect();
    let fact = |n: u64| {
        let (kind, body) = &groups[(n / 4 % 1024) as usize][(n % 4) as usize];
        Fact {
            index: LeafIndex::new(n).expect("small"),
            logged: consortium.time + n,
            statement: statements[n as usize],
            kind: *kind,
            issuer: "lab.test",
            title: "A title",
            series: None,
            body,
        }
    };
    let fold = |entries: u64| {
        let mut chronicle = Chronicle::new();
        (0..entries).for_each(|n| chronicle.add(&fact(n), &charter));
        chronicle
    };
    let mut group = c.benchmark_group("register");
    group.throughput(Throughput::Elements(ENTRIES)).sample_size(10);
    group.bench_function("fold a million entries", |b| b.iter(|| fold(ENTRIES)));
    let chronicle = fold(ENTRIES);
    group.bench_function("chains of a million entries", |b| b.iter(|| Chains::of(&chronicle)));
    let chains = Chains::of(&chronicle);
    group.bench_function("all rows of a million entries", |b| {
        b.iter(|| {
            let now = consortium.time + ENTRIES;
            (
                incidents(&chains).len() + risks(&chains).len() + decisions(&chains).len(),
                reviews(&chains).len() + duties(&chains, now).len(),
            )
        });
    });
    group.finish();
}

criterion_group!(benches, hashing, records, trees, registers);
criterion_main!(benches);
