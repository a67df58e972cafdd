//! Verifies that a record is in a log: `verify RECORD PROOF POLICY`.
use ledger_core::{ProvenRecord, policy::Policy, proof::TlogProof};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [record, proof, policy] = [1, 2, 3].map(|at| std::env::args().nth(at).unwrap_or_default());
    let policy = Policy::parse(&std::fs::read(policy)?)?;
    let proof = TlogProof::parse(&std::fs::read(proof)?)?;
    let proven = ProvenRecord::verify(&std::fs::read(record)?, &proof, &policy)?;
    println!("proven: entry {} of a tree of {} entries", proven.index(), proven.head().size);
    Ok(())
}
