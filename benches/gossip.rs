//! Gossip among many nodes that know many logs, with the pure core: no sockets, nothing is lost.
//!
//! `cargo bench -p ledger-benches --bench gossip` prints, for each size of a consortium, how many
//! rounds pass until every node holds evidence after two of them were shown heads that contradict
//! each other, beside `ceil(log2 n)` and beside a bare rumour: a bit that starts at two nodes and
//! spreads by the same meetings. And what gossip costs: bytes of messages for each node and round
//! while nothing happens, while every log grows in every round, and while a fork is found.
//!
//! In a round each node in turn, in a random order, asks one other, at random. A message counts
//! once, for its protobuf fields, without what HTTP/2 adds. Proofs come from gossip alone: no node
//! reads a log's tiles.

use ledger_core::TreeSize;
use ledger_core::checkpoint::{Checkpoint, ClaimedCheckpoint, Origin};
use ledger_core::cosignature;
use ledger_core::evidence::Entries;
use ledger_core::gossip::{
    HeadSource, KnownKeys, LogStanding, Pairs, PrefixProver, Reachability, Round, RoundSalt, View,
};
use ledger_core::hash::Hash;
use ledger_core::merkle::{MemoryTree, PrefixProof, TreeHead};
use ledger_core::note::{Algorithm, SignerKey, VerifierKey};
use ledger_tests::key;
use ledger_tests::random::Random;
use ledger_tests::sim::wire;

const LOGS: u8 = 20;

/// Cosigners of each head.
const COSIGNERS: u8 = 3;

/// Forks that are shown to each consortium, one after another in consortia made anew.
const TRIALS: u64 = 40;

/// Rounds over which costs are averaged; those before are not counted.
const ROUNDS: u32 = 20;
const WARM_UP: u32 = 10;

/// Entries of a log that has forked, on each side.
const FORKED: (usize, usize) = (200, 300);

fn main() {
    // `cargo test --benches` runs this without the flag: then there is nothing to measure
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let cast = Cast::new();
    println!(
        "{LOGS} logs, {COSIGNERS} cosigners a head, {TRIALS} forks of each kind; rounds as median/most"
    );
    println!(
        "nodes  ceil(log2 n)  rumour  same size  two sizes   idle B  growing B  fork B (a node a round)"
    );
    for nodes in [5, 10, 20, 50, 100, 200] {
        row(&cast, nodes);
    }
}

fn row(cast: &Cast, nodes: usize) {
    let (mut rumour, mut same, mut two, mut cost) = (vec![], vec![], vec![], vec![]);
    for seed in 0..TRIALS {
        rumour.push(spread(nodes, &mut Random::new(seed)));
        for (kind, rounds) in [(Fork::SameSize, &mut same), (Fork::TwoSizes, &mut two)] {
            let mut net = Net::new(cast, nodes, seed);
            net.fork(kind);
            let passed = net.until_all_convict();
            cost.push(net.bytes / (nodes as u64 * u64::from(passed)));
            rounds.push(passed);
        }
    }
    let idle = Net::new(cast, nodes, 0).cost(|_| {});
    let growing = Net::new(cast, nodes, 0).cost(Net::grow);
    let log2 = nodes.next_power_of_two().trailing_zeros();
    cost.sort_unstable();
    println!(
        "{nodes:5}  {log2:12}  {:>6}  {:>9}  {:>9}  {idle:7}  {growing:9}  {:6}",
        of(&mut rumour),
        of(&mut same),
        of(&mut two),
        cost[cost.len() / 2],
    );
}

/// Median and maximum.
fn of(rounds: &mut [u32]) -> String {
    rounds.sort_unstable();
    format!("{}/{}", rounds[rounds.len() / 2], rounds[rounds.len() - 1])
}

/// Who asks whom in a round.
fn meetings(nodes: usize, random: &mut Random) -> Vec<(usize, usize)> {
    let below = |random: &mut Random, limit: usize| random.below(limit as u64) as usize;
    let mut askers: Vec<usize> = (0..nodes).collect();
    for at in (1..nodes).rev() {
        askers.swap(at, below(random, at + 1));
    }
    let other = |asker: usize, random: &mut Random| (asker + 1 + below(random, nodes - 1)) % nodes;
    askers.into_iter().map(|asker| (asker, other(asker, random))).collect()
}

/// Rounds until a bit that two nodes have is everywhere.
fn spread(nodes: usize, random: &mut Random) -> u32 {
    let mut has = vec![false; nodes];
    (has[0], has[1]) = (true, true);
    let mut rounds = 0;
    while !has.iter().all(|has| *has) {
        rounds += 1;
        for (one, other) in meetings(nodes, random) {
            let either = has[one] || has[other];
            (has[one], has[other]) = (either, either);
        }
    }
    rounds
}

/// Everybody's keys.
struct Cast {
    logs: Vec<SignerKey>,
    cosigners: Vec<SignerKey>,
}

impl Cast {
    fn new() -> Cast {
        let log = |at| key(&format!("log{at}.example/2026"), Algorithm::Ed25519, 100 + at);
        let cosigner =
            |at| key(&format!("witness{at}.example"), Algorithm::CosignatureV1, 200 + at);
        Cast {
            logs: (0..LOGS).map(log).collect(),
            cosigners: (0..COSIGNERS).map(cosigner).collect(),
        }
    }

    fn origin(&self, log: usize) -> Origin {
        Origin::new(self.logs[log].verifier().name().as_str()).expect("an origin")
    }

    fn head(&self, log: usize, tree: &MemoryTree) -> ClaimedCheckpoint {
        let head = Checkpoint::new(self.origin(log), tree.frontier().head()).sign(&self.logs[log]);
        let lines = self.cosigners.iter().map(|by| cosignature::cosign(by, head.checkpoint(), 1));
        head.with_signatures(lines.collect::<Vec<_>>()).expect("room")
    }

    fn view(&self) -> View {
        let known = |log: usize| KnownKeys {
            origin: self.origin(log),
            keys: vec![self.logs[log].verifier().clone()],
            retired: Vec::new(),
            pairs: Pairs::Convict,
            entries: Entries::Records,
            reach: Reachability::Somewhere,
        };
        let cosigners: Vec<VerifierKey> =
            self.cosigners.iter().map(|by| by.verifier().clone()).collect();
        View::new((0..self.logs.len()).map(known).collect(), cosigners)
    }
}

/// The trees that one node holds.
#[derive(Default)]
struct Held(Vec<(Origin, MemoryTree)>);

impl PrefixProver for Held {
    fn prove_prefix(
        &mut self,
        origin: &Origin,
        smaller: TreeSize,
        larger: &TreeHead,
    ) -> Option<PrefixProof> {
        let fits =
            |held: &&mut (Origin, MemoryTree)| held.0 == *origin && held.1.size() >= larger.size;
        let of_log = self.0.iter_mut().filter(fits);
        of_log.filter_map(|(_, tree)| PrefixProof::read(tree, smaller, larger).ok()).next()
    }
}

#[derive(Clone, Copy)]
enum Fork {
    /// Two heads of one size.
    SameSize,
    /// Two heads of two sizes; a third node holds the larger tree.
    TwoSizes,
}

struct Net<'a> {
    cast: &'a Cast,
    views: Vec<View>,
    held: Vec<Held>,
    random: Random,
    bytes: u64,
    /// Entries that each log has.
    size: usize,
}

impl<'a> Net<'a> {
    /// All nodes know one head of every log; the first nodes run the logs.
    fn new(cast: &'a Cast, nodes: usize, seed: u64) -> Net<'a> {
        let size = 100;
        let mut views: Vec<View> = (0..nodes).map(|_| cast.view()).collect();
        let mut held: Vec<Held> = (0..nodes).map(|_| Held::default()).collect();
        for log in 0..cast.logs.len() {
            let tree = tree(size, size);
            let head = cast.head(log, &tree);
            for view in &mut views {
                drop(view.observe(&head, HeadSource::Fetched).expect("honest"));
            }
            held[log % nodes].0.push((cast.origin(log), tree));
        }
        Net { cast, views, held, random: Random::new(seed), bytes: 0, size }
    }

    /// Shows two nodes heads that contradict each other.
    fn fork(&mut self, kind: Fork) {
        let (small, large) = (FORKED.0, FORKED.1);
        let one = tree(small, small);
        let other = match kind {
            Fork::SameSize => tree(small, small - 1),
            Fork::TwoSizes => tree(large, small - 1),
        };
        let nodes = self.views.len() as u64;
        let mut shown = [0; 3];
        for at in 0..3 {
            shown[at] = loop {
                let node = self.random.below(nodes) as usize;
                if !shown[..at].contains(&node) {
                    break node;
                }
            };
        }
        let log = self.random.below(self.cast.logs.len() as u64) as usize;
        for (node, tree) in shown.into_iter().zip([&one, &other]) {
            drop(
                self.views[node]
                    .observe(&self.cast.head(log, tree), HeadSource::Fetched)
                    .expect("signed"),
            );
        }
        if matches!(kind, Fork::TwoSizes) {
            self.held[shown[2]].0.push((self.cast.origin(log), other));
        }
    }

    fn until_all_convict(&mut self) -> u32 {
        let convicts = |view: &View| {
            let mut logs = view.status().into_iter();
            logs.any(|log| matches!(log.standing, LogStanding::Convicted(_)))
        };
        let mut rounds = 0;
        while !self.views.iter().all(convicts) {
            rounds += 1;
            self.round();
            assert!(rounds < 1_000, "no node finds it");
        }
        rounds
    }

    /// Bytes for each node and round, while something happens before each.
    fn cost(mut self, mut before: impl FnMut(&mut Net<'a>)) -> u64 {
        for _ in 0..WARM_UP {
            before(&mut self);
            self.round();
            self.read_tiles();
        }
        self.bytes = 0;
        for _ in 0..ROUNDS {
            before(&mut self);
            self.round();
            self.read_tiles();
        }
        for view in &self.views {
            let standing = view.status().into_iter().find(|log| log.standing != LogStanding::Good);
            assert_eq!(standing, None, "honest logs");
        }
        self.bytes / (self.views.len() as u64 * u64::from(ROUNDS))
    }

    /// Every log has a new head, which its own node knows.
    fn grow(&mut self) {
        self.size += 10;
        for log in 0..self.cast.logs.len() {
            let node = log % self.views.len();
            let tree = tree(self.size, self.size);
            let head = self.cast.head(log, &tree);
            let origin = self.cast.origin(log);
            let own = self.held[node].0.iter_mut().find(|(of, _)| *of == origin);
            own.expect("its log").1 = tree;
            drop(self.views[node].observe(&head, HeadSource::Fetched).expect("honest"));
            drop(self.views[node].resolve_with(&mut self.held[node]));
        }
    }

    fn round(&mut self) {
        for (asker, answerer) in meetings(self.views.len(), &mut self.random) {
            self.meet(asker, answerer);
        }
        for (view, held) in self.views.iter_mut().zip(&mut self.held) {
            // what the node's own disk settles
            drop(view.resolve_with(held));
            drop(view.tick());
        }
    }

    /// Every node settles what it can by the logs' own tiles.
    fn read_tiles(&mut self) {
        for view in &mut self.views {
            for question in view.questions() {
                let owner = self.held.iter_mut();
                let mut shown = owner.filter_map(|held| {
                    held.prove_prefix(&question.origin, question.smaller.size, &question.larger)
                });
                let shown = shown.next().expect("its owner has it");
                drop(view.resolve(&question, &shown).expect("honest"));
            }
        }
    }

    fn meet(&mut self, asker: usize, answerer: usize) {
        let [one, other] = self.views.get_disjoint_mut([asker, answerer]).expect("two nodes");
        let [its, others] = self.held.get_disjoint_mut([asker, answerer]).expect("two nodes");
        let word = self.random.word().to_be_bytes();
        let salt = RoundSalt(*[word, word].concat().first_chunk().expect("16 bytes"));
        let (mut round, mut next) = Round::begin(one, salt);
        let mut wanted = Vec::new();
        loop {
            self.bytes += wire::size(&next) as u64;
            let answer = other.answer(next, &mut wanted, others).reply.expect("always an answer");
            self.bytes += wire::size(&answer) as u64;
            match round.take(one, answer, its).reply {
                Some(reply) => next = reply,
                None => return,
            }
        }
    }
}

/// So many leaves; those from `fork` on are others than in an honest tree.
fn tree(leaves: usize, fork: usize) -> MemoryTree {
    let mut tree = MemoryTree::new();
    for at in 0..leaves {
        let side = u8::from(at >= fork);
        let leaf = [&[side][..], &at.to_be_bytes()].concat();
        tree.push(Hash::leaf(&leaf)).expect("room");
    }
    tree
}
