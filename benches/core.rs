//! The pure core, beside the bare primitives that it is made of.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ledger_core::batch::Edge;
use ledger_core::charter::Charter;
use ledger_core::merkle::{MemoryTree, prove_inclusion, verify_inclusion};
use ledger_core::record::{Entry, Logged, Record};
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

criterion_group!(benches, hashing, records, trees);
criterion_main!(benches);
