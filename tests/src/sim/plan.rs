//! What a run is made of: who takes part, who cheats, and what goes wrong, drawn from the seed.

use super::ROUND_MS;
use crate::random::Random;

/// Rounds of a storm that is long enough for any back-off to come to its longest pause.
const LONG_STORM: u64 = 60;

/// How large a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// 2 to 7 nodes and 1 to 3 logs.
    Small,
    /// So many nodes and logs.
    Exactly {
        /// Nodes, at most 100.
        nodes: usize,
        /// Logs, at most 100.
        logs: usize,
    },
}

/// What a node is like. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Does what it should.
    Honest,
    /// Never says anything.
    Silent,
    /// Says what no honest node says.
    Garbage,
    /// Says what was said before.
    Replay,
    /// Says far too much.
    Flood,
    /// Names evidence against honest logs, and sends it when it is asked.
    Slander,
    /// Gossips as it should and cosigns whatever a log signed.
    Yes,
}

/// How a log cheats. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fraud {
    /// Not at all.
    None,
    /// Shows two audiences two trees that are always of one size.
    SameSize,
    /// Shows two audiences two trees that grow as they like.
    OtherSize,
    /// As before, and later shows all the first one again.
    Rejoin,
    /// Shows one audience nothing new any more: a contradiction of nothing.
    Freeze,
    /// Goes on from an old backup.
    RollBack,
    /// Changes an old leaf.
    Rewrite,
    /// Shows one audience an empty tree that has a leaf's root.
    BadEmpty,
}

/// Whom a log shows its tiles. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tiles {
    /// All that it has, to everybody.
    All,
    /// Those of its first tree only.
    First,
    /// None to anybody.
    None,
}

/// What a node that is held for honest does wrong, to see that the observer finds it. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cheat {
    /// Witnesses answer before they sync.
    WitnessForgets,
    /// Logs sign before they sync.
    LogForgets,
    /// Witnesses ask nobody how a log stands.
    Trustful,
    /// Nobody counts the rounds that a head stays open.
    Patient,
    /// Nobody asks for proofs or shows any.
    Incurious,
    /// A node says that it holds evidence against an honest log.
    Slander,
    /// Honest logs ask one witness only.
    Lonely,
    /// Nodes call every peer a liar that tells them something new.
    Touchy,
    /// Logs sign what nobody but those who poll them is told of.
    Secret,
    /// Every other node cares for no cosigner.
    Lenient,
}

/// One log.
#[derive(Debug, Clone)]
pub struct LogPlan {
    /// The node that runs it, of an honest one. A cheat's is no node at all.
    pub host: Option<usize>,
    /// How it cheats.
    pub fraud: Fraud,
    /// Whom it shows its tiles.
    pub tiles: Tiles,
    /// The nodes that cosign it.
    pub witnesses: Vec<usize>,
    /// How many of them make a quorum.
    pub needed: usize,
    /// Witnesses that are asked to cosign both trees of a cheat, and do.
    pub friends: Vec<usize>,
    /// The nodes that keep its tiles.
    pub mirrors: Vec<usize>,
    /// The nodes that know where the log is read; the others know its key alone.
    pub reads: Vec<bool>,
    /// The nodes that also know where its copies are read.
    pub copies: Vec<bool>,
    /// The nodes of the second audience.
    pub second: Vec<bool>,
    /// When it begins to cheat.
    pub turn: u64,
    /// When it shows all the first tree again.
    pub rejoin: u64,
    /// Milliseconds between two heads.
    pub pace: u64,
}

/// A time in which two parts of the net do not reach each other.
#[derive(Debug, Clone)]
pub struct Cut {
    /// From when.
    pub from: u64,
    /// Until when.
    pub until: u64,
    /// The nodes of one part.
    pub apart: Vec<bool>,
}

/// A fall of a node.
#[derive(Debug, Clone, Copy)]
pub struct Fall {
    /// The node.
    pub node: usize,
    /// When.
    pub at: u64,
    /// For how long.
    pub down: u64,
    /// Whether what was not synced is lost.
    pub loses: bool,
}

/// One run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What all of it comes from.
    pub seed: u64,
    /// The nodes.
    pub nodes: Vec<Role>,
    /// The logs.
    pub logs: Vec<LogPlan>,
    /// Lost messages, of a thousand.
    pub lost: u64,
    /// Doubled messages, of a thousand.
    pub doubled: u64,
    /// Late messages, of a thousand.
    pub late: u64,
    /// The cuts.
    pub cuts: Vec<Cut>,
    /// The falls.
    pub falls: Vec<Fall>,
    /// When the storm ends.
    pub calm: u64,
    /// What is wrong with the honest nodes.
    pub cheat: Option<Cheat>,
}

impl Plan {
    /// The plan of a seed.
    pub fn draw(seed: u64, scale: Scale) -> Plan {
        // neighbouring seeds of SplitMix64 give shifted rows of the same numbers
        let mut random = Random::new(Random::new(seed).word());
        let (nodes, logs) = match scale {
            Scale::Small => (2 + below(&mut random, 6), 1 + below(&mut random, 3)),
            Scale::Exactly { nodes, logs } => (nodes, logs),
        };
        let is_long = random.one_in(16);
        let rounds = if is_long { LONG_STORM } else { 6 };
        let calm = (rounds + random.below(8)) * ROUND_MS;
        let roles = roles(&mut random, nodes);
        let logs = (0..logs).map(|_| log(&mut random, &roles, calm)).collect();
        let mild = random.one_in(4);
        let per_mille = |random: &mut Random, most| if mild { 0 } else { random.below(most) };
        let mut plan = Plan {
            seed,
            nodes: roles,
            logs,
            lost: per_mille(&mut random, 300),
            doubled: per_mille(&mut random, 200),
            late: per_mille(&mut random, 200),
            cuts: Vec::new(),
            falls: Vec::new(),
            calm,
            cheat: None,
        };
        if !mild {
            plan.cuts = (0..random.below(3)).map(|_| cut(&mut random, nodes, calm)).collect();
            let falls = random.below(1 + nodes as u64);
            plan.falls = (0..falls).map(|_| fall(&mut random, nodes, calm)).collect();
        }
        if is_long {
            // whoever is on the other side has not answered for as long as any back-off grows
            let apart = (0..nodes).map(|_| random.one_in(2)).collect();
            plan.cuts.push(Cut { from: calm / 16, until: calm, apart });
        }
        plan
    }

    /// Rounds without losses after which what was contradicted must be known to all.
    pub fn bound(&self) -> u64 {
        3 * u64::from(self.nodes.len().next_power_of_two().ilog2()) + 5
    }

    /// When that is.
    pub fn deadline(&self) -> u64 {
        self.calm + self.bound() * ROUND_MS
    }

    /// When the run is over.
    pub fn end(&self) -> u64 {
        self.deadline() + self.bound() * ROUND_MS
    }

    /// Whether a node does what it should.
    pub fn is_honest(&self, node: usize) -> bool {
        self.nodes[node] == Role::Honest
    }

    /// The nodes that do.
    pub fn honest(&self) -> impl Iterator<Item = usize> {
        (0..self.nodes.len()).filter(|node| self.is_honest(*node))
    }
}

fn below(random: &mut Random, limit: usize) -> usize {
    usize::try_from(random.below(limit as u64)).expect("below a usize")
}

fn roles(random: &mut Random, nodes: usize) -> Vec<Role> {
    let faulty = if random.one_in(3) { 0 } else { below(random, 1 + nodes.div_ceil(3)) };
    let mut roles = vec![Role::Honest; nodes];
    let kinds = [
        Role::Silent,
        Role::Garbage,
        Role::Replay,
        Role::Flood,
        Role::Slander,
        Role::Yes,
        Role::Yes,
    ];
    for _ in 0..faulty {
        roles[below(random, nodes)] = kinds[below(random, kinds.len())];
    }
    if roles.iter().all(|role| *role != Role::Honest) {
        roles[0] = Role::Honest;
    }
    roles
}

fn log(random: &mut Random, roles: &[Role], calm: u64) -> LogPlan {
    let nodes = roles.len();
    let kinds = [
        Fraud::SameSize,
        Fraud::OtherSize,
        Fraud::Rejoin,
        Fraud::Freeze,
        Fraud::RollBack,
        Fraud::Rewrite,
        Fraud::BadEmpty,
    ];
    let cheats = random.one_in(2);
    let fraud = if cheats { kinds[below(random, kinds.len())] } else { Fraud::None };
    let tiles = match random.below(4) {
        _ if !cheats => Tiles::All,
        0 | 1 => Tiles::None,
        2 => Tiles::First,
        _ => Tiles::All,
    };
    let wanted = 1 + below(random, nodes.min(7));
    let witnesses = some(random, nodes, wanted);
    let majority = witnesses.len() / 2 + 1;
    let stricter = if random.one_in(3) { witnesses.len() + 1 - majority } else { 1 };
    let needed = majority + below(random, stricter);
    let turn = calm / 4 + random.below(calm / 2);
    let count = below(random, 3);
    let host = (!cheats).then(|| below(random, nodes));
    let mirrors = some(random, nodes, count.min(nodes));
    let copies: Vec<bool> = (0..nodes).map(|_| random.one_in(2)).collect();
    let is_near = |node: usize| host == Some(node) || mirrors.contains(&node);
    let reads = (0..nodes).map(|node| !random.one_in(8) || is_near(node) || copies[node]);
    LogPlan {
        host,
        reads: reads.collect(),
        copies,
        fraud,
        tiles,
        needed,
        friends: (0..nodes).filter(|node| roles[*node] == Role::Yes).collect(),
        witnesses,
        mirrors,
        second: (0..nodes).map(|_| random.one_in(2)).collect(),
        turn,
        rejoin: turn + random.below(calm - turn),
        pace: ROUND_MS + random.below(2 * ROUND_MS),
    }
}

/// So many of the nodes.
fn some(random: &mut Random, nodes: usize, count: usize) -> Vec<usize> {
    let mut all: Vec<usize> = (0..nodes).collect();
    (0..count).map(|_| all.swap_remove(below(random, all.len()))).collect()
}

fn cut(random: &mut Random, nodes: usize, calm: u64) -> Cut {
    let from = random.below(calm);
    let apart = (0..nodes).map(|_| random.one_in(2)).collect();
    Cut { from, until: from + random.below(calm - from + 1), apart }
}

fn fall(random: &mut Random, nodes: usize, calm: u64) -> Fall {
    let at = random.below(calm);
    let down = random.below((calm - at).min(4 * ROUND_MS) + 1);
    Fall { node: below(random, nodes), at, down, loses: !random.one_in(3) }
}
