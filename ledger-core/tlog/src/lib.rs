//! TODO front page
pub mod batch;
pub mod checkpoint;
pub mod cosignature;
pub mod hash;
pub mod heap;
pub mod index;
pub mod merkle;
pub mod note;
pub mod policy;
pub mod proof;
pub mod tile;
pub mod witness;

pub use hash::Hash;
pub use index::{LeafIndex, TreeSize};
