//! The core against published vectors, other implementations, random input, and its own past.

mod circles;
mod ed25519_edges;
mod evidence;
mod golden;
mod large_trees;
mod lawful;
mod merkle_vectors;
mod note_oracles;
mod parsers;
mod prose;
mod records;
mod registers;
mod sealed_oracle;
mod simulator;
mod spec_map;
mod successions;
mod tile_oracles;
mod tree_oracles;
mod witness;
mod year;
mod year_audit;
