//! A consortium in one process: virtual time, network and disks, all drawn from one seed.
//!
//! A [`World`] runs the pure parts of the core (views, rounds, conduct, the witness's step, evidence,
//! policies, real keys) under an event heap. There are no threads, no sockets and no clocks: a seed
//! gives the same run again, on every machine. An [`Observer`](observer::Observer) who knows everything
//! checks after every event what must hold; the nodes know nothing of it.
//!
//! # A run
//! 1. **Storm**: messages are lost, late and doubled, the net is cut in two, nodes fall and rise with or
//!    without what they did not sync; logs publish, and some of them cheat.
//! 2. **Calm**: nothing is lost any more, and cheats sign nothing new. Every contradiction that honest
//!    nodes hold at the beginning, or come to hold in it, must be evidence at all of them [`Plan::bound`]
//!    rounds later, or, where nobody can show the larger tree, raise the alarm at all that know where
//!    to read the log. So must whoever cosigned both sides be convicted.
//! 3. **Afterwards**: all logs publish again. Nobody honest cosigns one that was found out, and the
//!    honest logs are published, as long as their quorum can do without the faulty witnesses.

pub mod branch;
pub mod liar;
pub mod net;
pub mod node;
pub mod observer;
pub mod operator;
pub mod plan;
pub mod wire;
pub mod world;

pub use observer::{Report, Violation};
pub use plan::{Cheat, Plan, Scale};
pub use world::World;

/// Virtual milliseconds from one round of a node to its next.
pub const ROUND_MS: u64 = 10_000;

/// Runs the plan of a seed to its end.
///
/// # Errors
/// The first thing that must hold and did not.
pub fn run(plan: Plan) -> Result<Report, Box<Violation>> {
    World::new(plan).run()
}
