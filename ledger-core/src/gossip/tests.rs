//! Views that talk to each other, and to liars.

mod judging;

use super::*;
use crate::checkpoint::{Checkpoint, ClaimedCheckpoint, Origin};
use crate::cosignature;
use crate::evidence::{Conflict, Entries, Heads};
use crate::hash::Hash;
use crate::index::TreeSize;
use crate::merkle::{MemoryTree, PrefixProof, TreeHead};
use crate::note::{Algorithm, KeyName, SignerKey};

const ORIGIN: &str = "log.example";

/// The trees that somebody holds; none answers nothing.
struct Trees(Vec<MemoryTree>);

impl PrefixProver for Trees {
    fn prove_prefix(
        &mut self,
        _: &Origin,
        smaller: TreeSize,
        larger: &TreeHead,
    ) -> Option<PrefixProof> {
        let read = |tree: &mut MemoryTree| PrefixProof::read(tree, smaller, larger).ok();
        self.0.iter_mut().filter(|tree| tree.size() >= larger.size).find_map(read)
    }
}

fn nobody() -> Trees {
    Trees(Vec::new())
}

fn key(name: &str, algorithm: Algorithm, seed: u8) -> SignerKey {
    SignerKey::from_seed(KeyName::new(name).expect("name"), algorithm, [seed; 32]).expect("sound")
}

fn log() -> SignerKey {
    key(ORIGIN, Algorithm::Ed25519, 1)
}

fn cosigner() -> SignerKey {
    key("witness.example", Algorithm::CosignatureV1, 2)
}

fn origin() -> Origin {
    Origin::new(ORIGIN).expect("origin")
}

/// A tree with one leaf for each byte.
fn tree(leaves: &str) -> MemoryTree {
    let mut tree = MemoryTree::new();
    for leaf in leaves.bytes() {
        tree.push(Hash::leaf(&[leaf])).expect("room");
    }
    tree
}

fn head(leaves: &str) -> ClaimedCheckpoint {
    Checkpoint::new(origin(), tree(leaves).frontier().head()).sign(&log())
}

fn cosigned(leaves: &str, time: u64) -> ClaimedCheckpoint {
    let head = head(leaves);
    let line = cosignature::cosign(&cosigner(), head.checkpoint(), time);
    head.with_signatures([line]).expect("room")
}

fn view() -> View {
    let keys = vec![log().verifier().clone()];
    let known = KnownKeys {
        origin: origin(),
        keys,
        retired: Vec::new(),
        pairs: Pairs::Convict,
        entries: Entries::Records,
        reach: Reachability::Somewhere,
    };
    View::new(vec![known], vec![cosigner().verifier().clone()])
}

fn holding(heads: &[ClaimedCheckpoint]) -> View {
    let mut view = view();
    heads.iter().for_each(|head| drop(view.observe(head, HeadSource::Fetched).expect("honest")));
    view
}

fn adopted(view: &View) -> Option<ClaimedCheckpoint> {
    view.status().remove(0).adopted
}

/// What `view` asks, answered out of `trees`.
fn settle(view: &mut View, trees: &mut Trees) -> Vec<Event> {
    view.resolve_with(trees)
}

/// A whole round that `asker` begins; how many messages were sent.
fn round(asker: &mut View, its: &mut Trees, answerer: &mut View, other: &mut Trees) -> usize {
    let (mut round, mut next) = Round::begin(asker, RoundSalt([7; 16]));
    let (mut sent, mut wanted) = (0, Vec::new());
    loop {
        let told = answerer.answer(next, &mut wanted, other);
        assert_eq!(told.fault, None);
        let heard = round.take(asker, told.reply.expect("always an answer"), its);
        assert_eq!(heard.fault, None);
        sent += 2;
        match heard.reply {
            Some(reply) => next = reply,
            None => return sent,
        }
    }
}

/// The answer to one message of somebody who was asked for nothing.
fn answer(view: &mut View, message: Message) -> RoundStep {
    view.answer(message, &mut Vec::new(), &mut nobody())
}

fn convicted(view: &View) -> bool {
    matches!(view.standing(&origin()), LogStanding::Convicted(_))
}

#[test]
fn the_first_head_is_adopted_and_a_larger_one_only_after_its_proof() {
    let mut view = view();
    assert!(matches!(
        view.observe(&head("abc"), HeadSource::Fetched).as_deref(),
        Ok([Event::Adopted(_), _])
    ));
    assert!(matches!(
        view.observe(&head("abcde"), HeadSource::Fetched).as_deref(),
        Ok([Event::Opened(_)])
    ));
    assert_eq!(adopted(&view), Some(head("abc")));
    let events = settle(&mut view, &mut Trees(vec![tree("abcde")]));
    assert!(matches!(events.as_slice(), [Event::Adopted(_), Event::Settled(_)]));
    assert_eq!(adopted(&view), Some(head("abcde")));
    assert_eq!(
        view.observe(&head("abc"), HeadSource::Fetched),
        Ok(vec![]),
        "it lies on the history"
    );
    assert_eq!(view.questions(), []);
}

#[test]
fn one_message_makes_a_node_check_only_so_many_signatures() {
    const COSIGNERS: u8 = 60;
    let cosigner = |n: u8| key(&format!("w{n}.example"), Algorithm::CosignatureV1, 50 + n);
    let cosigners: Vec<SignerKey> = (0..COSIGNERS).map(cosigner).collect();
    let keys = vec![log().verifier().clone()];
    let known = KnownKeys {
        origin: origin(),
        keys,
        retired: Vec::new(),
        pairs: Pairs::Convict,
        entries: Entries::Records,
        reach: Reachability::Somewhere,
    };
    let verifiers = cosigners.iter().map(|key| key.verifier().clone()).collect();
    let mut view = View::new(vec![known], verifiers);
    // every line is true, and each head has another tree
    let head = |n: u8| {
        let head = head(&"abcdefgh".repeat(5)[..usize::from(n)]);
        let line = |key: &SignerKey| cosignature::cosign(key, head.checkpoint(), 1_800_000_000);
        head.with_signatures(cosigners.iter().map(line)).expect("room")
    };
    let heads: Vec<ClaimedCheckpoint> = (1..=40).map(head).collect();
    let each = usize::from(COSIGNERS) + 1;
    let told = Exchange { heads: heads.clone(), ..Exchange::new(RoundSalt([7; 16])) };
    let heard = answer(&mut view, Message::Exchange(Box::new(told)));
    assert!(heard.fault.is_none());
    assert_eq!(heard.work.div_ceil(each), 2_048_usize.div_ceil(each), "of 40 heads 34 are heard");
    // a long text is hashed for each line
    let text = format!("{}{}", heads[0].note().text(), "x\n".repeat(100_000));
    let long = crate::note::Note::new(&text, heads[0].note().signatures().to_vec()).expect("short");
    let long = ClaimedCheckpoint::parse(long.to_string().as_bytes()).expect("extension lines");
    let told = Exchange { heads: vec![long; 4], ..Exchange::new(RoundSalt([7; 16])) };
    let heard = answer(&mut view, Message::Exchange(Box::new(told)));
    // the log's line is false, so that no other is looked at
    assert_eq!(heard.work, 4 * (1 + text.len() / (16 << 10)));
}

#[test]
fn a_smaller_head_of_the_same_history_is_settled_and_never_adopted() {
    let mut view = holding(&[head("abcde"), head("abc")]);
    assert_eq!(settle(&mut view, &mut Trees(vec![tree("abXdefg")])), [], "another tree");
    let events = settle(&mut view, &mut Trees(vec![tree("abcdefg")]));
    assert_eq!(events, [Event::Settled(origin())]);
    assert_eq!(adopted(&view), Some(head("abcde")));
}

#[test]
fn an_answer_with_its_sizes_reversed_takes_nobody_back() {
    let mut view = holding(&[head("abcde"), head("abc")]);
    let asked = view.questions().remove(0);
    let shown =
        Trees(vec![tree("abcde")]).prove_prefix(&origin(), asked.smaller.size, &asked.larger);
    let reversed =
        Question { smaller: asked.larger, larger: asked.smaller, origin: asked.origin.clone() };
    let junk = Err(PeerFault::JunkProof(origin()));
    assert_eq!(view.resolve(&reversed, &shown.expect("held")), junk);
    assert_eq!(adopted(&view), Some(head("abcde")));
}

#[test]
fn two_roots_of_one_size_convict_at_once_also_of_a_size_long_past() {
    let mut view = holding(&[cosigned("abc", 1)]);
    let events = view.observe(&cosigned("abX", 2), HeadSource::Fetched).expect("signed");
    let kinds: Vec<&str> = events
        .iter()
        .map(|event| match event {
            Event::Convicted(evidence) => evidence.kind(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds, ["same-size", "cosigner"]);
    assert!(convicted(&view) && adopted(&view).is_none());
    assert_eq!(
        view.observe(&head("abcd"), HeadSource::Fetched),
        Ok(vec![]),
        "its key counts for nothing"
    );

    let mut view = holding(&[head("abc"), head("abcde")]);
    settle(&mut view, &mut Trees(vec![tree("abcde")]));
    assert!(!view.observe(&head("abX"), HeadSource::Fetched).expect("signed").is_empty());
    assert!(convicted(&view));
}

#[test]
fn a_head_of_size_zero_agrees_with_all_unless_its_root_is_false() {
    let mut view = holding(&[head(""), head("abc"), head("")]);
    assert_eq!(adopted(&view), Some(head("abc")));
    assert_eq!(view.questions(), []);
    let root = Hash::leaf(b"x");
    let bad = Checkpoint::new(origin(), TreeHead { root, ..TreeHead::EMPTY }).sign(&log());
    assert!(matches!(
        view.observe(&bad, HeadSource::Fetched).as_deref(),
        Ok([Event::Convicted(_)])
    ));
}

#[test]
fn whoever_holds_the_larger_tree_convicts_whichever_head_came_first() {
    for heads in [[head("abX"), head("abcde")], [head("abcde"), head("abX")]] {
        let mut view = holding(&heads);
        assert_eq!(
            settle(&mut view, &mut Trees(vec![tree("abX")])),
            [],
            "the smaller says nothing"
        );
        let events = settle(&mut view, &mut Trees(vec![tree("abcde")]));
        assert!(matches!(events.as_slice(), [Event::Convicted(_)]), "{events:?}");
        assert!(convicted(&view));
    }
}

#[test]
fn a_head_that_stays_open_raises_the_alarm_until_it_is_settled() {
    let mut view = holding(&[head("abc"), head("abcde")]);
    for _ in 1..PATIENCE_ROUNDS {
        assert_eq!(view.tick(), []);
        assert_eq!(view.standing(&origin()), LogStanding::Good);
    }
    let asked = view.questions().remove(0);
    assert_eq!(view.tick(), [Event::Unreconciled(asked.clone())]);
    assert_eq!(view.tick(), [], "it is said once");
    assert_eq!(view.standing(&origin()), LogStanding::Unreconciled(asked));
    settle(&mut view, &mut Trees(vec![tree("abcde")]));
    assert_eq!(view.standing(&origin()), LogStanding::Good);

    let mut restarted = holding(&[head("abc"), head("abcde")]);
    restarted.recall_alarm(&origin(), head("abcde").checkpoint().head());
    assert!(matches!(restarted.standing(&origin()), LogStanding::Unreconciled(_)));
}

/// The alarm is what one node concludes from silence: passed on, it would be a weapon.
#[test]
fn an_alarm_leaves_no_node() {
    let heads = [head("abc"), head("abcde")];
    let (mut quiet, mut alarmed) = (holding(&heads), holding(&heads));
    for _ in 0..PATIENCE_ROUNDS {
        alarmed.tick();
    }
    assert!(matches!(alarmed.standing(&origin()), LogStanding::Unreconciled(_)));
    // word for word the node says what it said before
    let begun = [&quiet, &alarmed].map(|view| Round::begin(view, RoundSalt([7; 16])).1);
    assert_eq!(begun[0], begun[1]);
    let told = |view: &mut View| {
        let other = Exchange { heads: vec![head("ab")], ..Exchange::new(RoundSalt([1; 16])) };
        let hello = Round::begin(&holding(&[]), RoundSalt([7; 16])).1;
        [hello, Message::Exchange(Box::new(other))].map(|asked| answer(view, asked).reply)
    };
    assert_eq!(told(&mut quiet), told(&mut alarmed));
    // and a node that hears all it has to say is not alarmed
    let mut peer = holding(&[]);
    round(&mut peer, &mut Trees(vec![]), &mut alarmed, &mut Trees(vec![]));
    assert_eq!(peer.standing(&origin()), LogStanding::Good);
}

/// Somebody who asks this node tells it of a head.
fn strangers_tell(view: &mut View, head: &ClaimedCheckpoint) {
    let told = Exchange { heads: vec![head.clone()], ..Exchange::new(RoundSalt([1; 16])) };
    answer(view, Message::Exchange(Box::new(told)));
}

/// A log of nine open heads, the first of which lie on one history.
fn overflowing() -> View {
    let mut view = holding(&[head("a")]);
    strangers_tell(&mut view, &head("abX"));
    for more in 0..MAX_OPEN {
        strangers_tell(&mut view, &head(&"y".repeat(10 + more)));
    }
    view
}

#[test]
fn more_open_heads_than_are_kept_raise_the_alarm_until_all_are_settled() {
    let mut view = overflowing();
    let kept = view.status().remove(0).open;
    assert_eq!((kept.len(), &kept[0].0), (MAX_OPEN, &head("abX")), "nothing is pushed out");
    for _ in 1..PATIENCE_ROUNDS {
        assert_eq!(view.tick(), []);
    }
    assert!(matches!(view.tick().as_slice(), [Event::Unreconciled(_)]));
    assert_eq!(view.tick(), [], "it is said once");
    assert!(matches!(view.standing(&origin()), LogStanding::Unreconciled(_)));
    // younger heads take the places of those that are settled, others are turned away: the alarm
    // stays
    let all = "a".repeat(40);
    let mut view = holding(&[head("a")]);
    for size in 2..=MAX_OPEN + 2 {
        strangers_tell(&mut view, &head(&all[..size]));
    }
    for round in 1..PATIENCE_ROUNDS as usize {
        assert_eq!(view.tick(), []);
        settle_oldest(&mut view, &all);
        for size in [20 + round, 30 + round] {
            strangers_tell(&mut view, &head(&all[..size]));
        }
    }
    assert!(matches!(view.tick().as_slice(), [Event::Unreconciled(_)]));
    // a node that keeps what it is told of each head keeps this too
    let kept = view.status().remove(0).open;
    assert!(!kept.is_empty() && kept.iter().all(|(_, alarm)| *alarm));
    settle(&mut view, &mut Trees(vec![tree(&all)]));
    assert_eq!(view.standing(&origin()), LogStanding::Good);
}

fn settle_oldest(view: &mut View, all: &str) {
    let asked = view.questions().remove(0);
    let mut trees = Trees(vec![tree(all)]);
    let shown = trees.prove_prefix(&origin(), asked.smaller.size, &asked.larger).expect("held");
    view.resolve(&asked, &shown).expect("true");
}

/// Old heads of an honest log, which anybody can send in any number: each is settled within a
/// round, and there is always another.
#[test]
fn old_heads_that_keep_coming_raise_no_alarm_where_the_log_can_be_read() {
    let all = "a".repeat(250);
    let mut view = holding(&[head(&all)]);
    for round in 0..5 * PATIENCE_ROUNDS as usize {
        // more than there is room for, in every round; all of them are settled but the last
        for size in 1 + 12 * round..13 + 12 * round {
            strangers_tell(&mut view, &head(&all[..size]));
        }
        while view.log(&origin()).expect("known").open.len() > 1 {
            settle_oldest(&mut view, &all);
        }
        assert_eq!(view.tick(), [], "round {round}");
    }
}

/// Anybody can fill the places of a log that can be read nowhere, where nothing is ever settled:
/// the own witness goes on, and so do the peers that the node asks.
#[test]
fn places_that_strangers_fill_keep_out_no_head_of_the_own_witness_or_of_a_peer() {
    let all = "a".repeat(80);
    let mut view = holding(&[head(&all[..30])]);
    let open = |view: &View| view.log(&origin()).expect("known").open.len();
    for size in 1..=20 {
        strangers_tell(&mut view, &head(&all[..size]));
    }
    assert_eq!(open(&view), MAX_OPEN);
    view.observe(&head(&"b".repeat(25)), HeadSource::Fetched).expect("signed");
    assert_eq!(open(&view), MAX_OPEN + 1, "a peer has room");
    for size in 31..31 + 2 * MAX_OPEN {
        view.observe(&head(&all[..size]), HeadSource::Fetched).expect("signed");
    }
    assert_eq!(open(&view), 2 * MAX_OPEN);
    let before = *head(&all[..30]).checkpoint().head();
    let events = view.observe_growth(&before, &head(&all[..60])).expect("signed");
    assert!(matches!(events.as_slice(), [Event::Adopted(_), Event::Settled(_)]), "{events:?}");
    assert_eq!(adopted(&view), Some(head(&all[..60])));
    // what it cosigned of another history than the adopted one has room too
    view.observe_growth(&before, &head(&"c".repeat(70))).expect("signed");
    assert_eq!(open(&view), 2 * MAX_OPEN + 1);
    // and a request's own proof convicts without any place
    let (one, other) = (head(&all[..60]), head(&"d".repeat(75)));
    let size = one.checkpoint().head().size;
    let of = *other.checkpoint().head();
    let shown =
        Trees(vec![tree(&"d".repeat(75))]).prove_prefix(&origin(), size, &of).expect("held");
    let events = view.contradict(Heads { one: &one, other: &other }, &shown);
    assert!(matches!(events.as_slice(), [Event::Convicted(_)]) && convicted(&view));
}

/// A log of two keys, one of which signed two heads of one size: what the own witness cosigns of
/// that is evidence, and no growth.
#[test]
fn what_the_own_witness_cosigned_is_not_adopted_over_a_contradiction() {
    let second = key(ORIGIN, Algorithm::Ed25519, 7);
    let keys = vec![log().verifier().clone(), second.verifier().clone()];
    let known = KnownKeys {
        origin: origin(),
        keys,
        retired: Vec::new(),
        pairs: Pairs::Convict,
        entries: Entries::Records,
        reach: Reachability::Somewhere,
    };
    let mut view = View::new(vec![known], Vec::new());
    let by_both = |leaves: &str| {
        let one = head(leaves);
        let other = Checkpoint::new(origin(), tree(leaves).frontier().head()).sign(&second);
        one.with_signatures(other.note().signatures().iter().cloned()).expect("room")
    };
    view.observe(&by_both("ab"), HeadSource::Fetched).expect("signed");
    view.observe(&by_both("abX"), HeadSource::Fetched).expect("signed");
    let before = *head("ab").checkpoint().head();
    let events = view.observe_growth(&before, &by_both("abc")).expect("signed");
    assert!(events.iter().any(|event| matches!(event, Event::Convicted(_))), "{events:?}");
    view.observe(&by_both("abc"), HeadSource::Fetched).expect("signed");
    view.observe(&by_both("abX"), HeadSource::Fetched).expect("signed");
    view.observe(&by_both("abc"), HeadSource::Fetched).expect("signed");
    assert!(view.against(log().verifier()).is_some() && view.against(second.verifier()).is_some());
}

/// True proofs chain old heads one to another: those that are settled give no age to the rest.
#[test]
fn old_heads_that_are_chained_by_proofs_grow_no_older_than_they_are() {
    let all = "a".repeat(60);
    let mut trees = Trees(vec![tree(&all)]);
    let mut view = holding(&[head(&all)]);
    let adopted = *head(&all).checkpoint().head();
    let mut learn = |view: &mut View, smaller: &ClaimedCheckpoint, larger: &TreeHead| {
        let smaller = *smaller.checkpoint().head();
        let shown = trees.prove_prefix(&origin(), smaller.size, larger).expect("held");
        view.resolve(&Question { origin: origin(), smaller, larger: *larger }, &shown)
            .expect("true")
    };
    view.observe(&head(&all[..10]), HeadSource::Fetched).expect("signed");
    for size in 11..30 {
        let before = head(&all[..size - 1]);
        view.observe(&head(&all[..size]), HeadSource::Fetched).expect("signed");
        learn(&mut view, &before, head(&all[..size]).checkpoint().head());
        // the answer about the one before comes when that is no end any more
        learn(&mut view, &before, &adopted);
        assert_eq!(view.tick(), [], "{size}");
    }
    // of a fork the first that is none of the adopted history keeps its age
    let mut view = holding(&[head("aaaa")]);
    let forks = ["aab", "aabb", "aabbb", "aabbbb", "aabbbbb"];
    let mut trees = Trees(vec![tree("aabbbbb")]);
    view.observe(&head("aa"), HeadSource::Fetched).expect("signed");
    let mut before = head("aa");
    for fork in forks {
        view.observe(&head(fork), HeadSource::Fetched).expect("signed");
        let (smaller, larger) = (*before.checkpoint().head(), *head(fork).checkpoint().head());
        let shown = trees.prove_prefix(&origin(), smaller.size, &larger).expect("held");
        view.resolve(&Question { origin: origin(), smaller, larger }, &shown).expect("true");
        before = head(fork);
        view.tick();
        if convicted(&view) {
            return;
        }
    }
    assert!(matches!(view.standing(&origin()), LogStanding::Unreconciled(_)));
}

/// A head that was settled long ago is forgotten in the end, and heard again: also of a log that
/// signs nothing new.
#[test]
fn heads_that_were_settled_and_forgotten_may_be_heard_again_and_again() {
    let all = "a".repeat(60);
    let mut trees = Trees(vec![tree(&all)]);
    let mut view = holding(&[head(&all)]);
    for size in 10..10 + MAX_PATH {
        view.observe(&head(&all[..size]), HeadSource::Fetched).expect("signed");
        settle(&mut view, &mut trees);
    }
    for _ in 0..3 {
        view.observe(&head(&all[..5]), HeadSource::Fetched).expect("signed");
        for _ in 0..2 * PATIENCE_ROUNDS {
            settle(&mut view, &mut trees);
            assert_eq!(view.tick(), []);
        }
        assert_eq!(view.standing(&origin()), LogStanding::Good);
    }
}

#[test]
fn a_heap_of_old_heads_raises_no_alarm_where_the_tree_is_at_hand() {
    let all = "abcdefghijklmnop";
    let mut view = holding(&[head(all)]);
    for size in 1..all.len() {
        view.observe(&head(&all[..size]), HeadSource::Fetched).expect("signed");
        assert_eq!(view.standing(&origin()), LogStanding::Good);
    }
    settle(&mut view, &mut Trees(vec![tree(all)]));
    for _ in 0..2 * PATIENCE_ROUNDS {
        assert_eq!(view.tick(), []);
    }
}

/// Found by the simulator: a node that took its first questions to others never came to those of
/// the last log, because the logs before it left theirs open for good.
#[test]
fn logs_that_leave_many_questions_open_do_not_take_anothers_turn() {
    let names: Vec<String> = (0..20).map(|at| format!("log{at:02}.example")).collect();
    let keys: Vec<SignerKey> = names.iter().map(|name| key(name, Algorithm::Ed25519, 1)).collect();
    let known = |key: &SignerKey| KnownKeys {
        origin: Origin::new(key.verifier().name().as_str()).expect("origin"),
        keys: vec![key.verifier().clone()],
        retired: Vec::new(),
        pairs: Pairs::Convict,
        entries: Entries::Opaque,
        reach: Reachability::Somewhere,
    };
    let mut view = View::new(keys.iter().map(known).collect(), Vec::new());
    for (at, key) in keys.iter().enumerate() {
        let heads = if at + 1 == keys.len() { 2 } else { 1 + MAX_OPEN };
        for leaves in 1..=heads {
            let head = tree(&"x".repeat(leaves)).frontier().head();
            let head = Checkpoint::new(known(key).origin, head).sign(key);
            view.observe(&head, HeadSource::Fetched).expect("signed");
        }
    }
    let mut first = view.questions().into_iter().take(keys.len());
    assert!(first.next_back().is_some_and(|asked| asked.origin.as_str() == names[19]));
    let mut stranger = View::new(keys.iter().map(known).collect(), Vec::new());
    let (mut round, hello) = Round::begin(&view, RoundSalt([3; 16]));
    let lists = answer(&mut stranger, hello).reply.expect("lists");
    let told = round.take(&mut view, lists, &mut nobody()).reply;
    let Some(Message::Exchange(told)) = told else { panic!("{told:?}") };
    assert!(told.questions.len() == MAX_QUESTIONS && told.heads.len() < MAX_HEADS);
    assert!(told.questions.iter().any(|asked| asked.origin.as_str() == names[19]));
}

#[test]
fn a_round_with_nothing_new_is_two_messages() {
    let (mut one, mut other) = (holding(&[head("abc")]), holding(&[head("abc")]));
    assert_eq!(round(&mut one, &mut nobody(), &mut other, &mut nobody()), 2);
    // a log that one side does not know makes the lists differ, and is not talked about
    let stranger = key("stranger.example", Algorithm::Ed25519, 9);
    let known = |key: &SignerKey| KnownKeys {
        origin: Origin::new(key.verifier().name().as_str()).expect("origin"),
        keys: vec![key.verifier().clone()],
        retired: Vec::new(),
        pairs: Pairs::Convict,
        entries: Entries::Opaque,
        reach: Reachability::Somewhere,
    };
    one.set_logs(vec![known(&log()), known(&stranger)], Vec::new());
    assert_eq!(round(&mut one, &mut nobody(), &mut other, &mut nobody()), 2);
}

#[test]
fn a_peer_learns_a_larger_head_with_the_proof_in_one_round() {
    let mut ahead = holding(&[head("abc"), head("abcde")]);
    settle(&mut ahead, &mut Trees(vec![tree("abcde")]));
    for asker_is_ahead in [true, false] {
        let mut behind = holding(&[head("abc")]);
        let (one, other) =
            if asker_is_ahead { (&mut ahead, &mut behind) } else { (&mut behind, &mut ahead) };
        round(one, &mut nobody(), other, &mut nobody());
        round(one, &mut nobody(), other, &mut nobody());
        assert_eq!(adopted(&behind), Some(head("abcde")), "asker is ahead: {asker_is_ahead}");
        assert_eq!(round(&mut ahead, &mut nobody(), &mut behind, &mut nobody()), 2);
    }
}

#[test]
fn a_fork_to_two_audiences_convicts_at_both_as_soon_as_they_talk() {
    for (mine, theirs) in [("abc", "abX"), ("abX", "abcde"), ("abcde", "abX")] {
        let (mut one, mut other) = (holding(&[head(mine)]), holding(&[head(theirs)]));
        let (mut its, mut others) = (Trees(vec![tree(mine)]), Trees(vec![tree(theirs)]));
        for _ in 0..2 {
            round(&mut one, &mut its, &mut other, &mut others);
            one.resolve_with(&mut its);
            other.resolve_with(&mut others);
        }
        round(&mut one, &mut its, &mut other, &mut others);
        assert!(convicted(&one) && convicted(&other), "{mine} {theirs}");
        assert_eq!(round(&mut one, &mut its, &mut other, &mut others), 2, "nothing more to say");
    }
}

#[test]
fn evidence_travels_to_peers_that_never_saw_the_heads() {
    let mut one = holding(&[head("abc"), head("abX")]);
    let mut other = view();
    round(&mut other, &mut nobody(), &mut one, &mut nobody());
    assert!(convicted(&one) && convicted(&other));
    let mut third = view();
    round(&mut other, &mut nobody(), &mut third, &mut nobody());
    assert!(convicted(&third));
}

#[test]
fn a_copy_of_the_beginning_convicts_though_nobody_holds_either_end() {
    // one history has heads at 4, 8 and 10, the other one at 6; only the first 8 leaves were copied
    let mut view = holding(&[head("abcd")]);
    let mut whole = Trees(vec![tree("abcdefghij")]);
    for grown in ["abcdefgh", "abcdefghij"] {
        drop(view.observe(&head(grown), HeadSource::Fetched).expect("honest"));
        settle(&mut view, &mut whole);
    }
    drop(view.observe(&head("abcdXX"), HeadSource::Fetched).expect("signed"));
    let mut copied = Trees(vec![tree("abcdefgh")]);
    assert_eq!(settle(&mut view, &mut copied), [], "the end is asked about first");
    view.tick();
    assert!(!settle(&mut view, &mut copied).is_empty());
    assert!(convicted(&view));
}

#[test]
fn a_view_of_evidence_only_compares_nothing_and_passes_evidence_on() {
    let known = KnownKeys {
        origin: origin(),
        keys: vec![log().verifier().clone()],
        retired: Vec::new(),
        pairs: Pairs::Convict,
        entries: Entries::Records,
        reach: Reachability::Somewhere,
    };
    let mut quiet = View::of_evidence_only();
    quiet.set_logs(vec![known], vec![cosigner().verifier().clone()]);
    assert_eq!(quiet.observe(&cosigned("abc", 1), HeadSource::Fetched), Ok(vec![]));
    assert_eq!(quiet.observe(&cosigned("abX", 2), HeadSource::Fetched), Ok(vec![]));
    assert!(!convicted(&quiet) && quiet.questions().is_empty());

    let mut one = holding(&[head("abc"), head("abX")]);
    round(&mut quiet, &mut nobody(), &mut one, &mut nobody());
    assert!(convicted(&quiet));
    let mut other = view();
    round(&mut other, &mut nobody(), &mut quiet, &mut nobody());
    assert!(convicted(&other));
}

#[test]
fn cosigners_that_a_peer_has_more_are_taken_over() {
    let (mut one, mut other) = (holding(&[head("abc")]), holding(&[cosigned("abc", 5)]));
    round(&mut one, &mut nobody(), &mut other, &mut nobody());
    assert_eq!(adopted(&one), Some(cosigned("abc", 5)));
    assert_eq!(one.status().remove(0).cosigned_at, Some(5));
    assert_eq!(round(&mut one, &mut nobody(), &mut other, &mut nobody()), 2);
    // a quiet log is cosigned again and again: that is told now and then, so that nobody calls it
    // stale
    other.observe(&cosigned("abc", 6), HeadSource::Fetched).expect("honest");
    assert_eq!(round(&mut one, &mut nobody(), &mut other, &mut nobody()), 2);
    other.observe(&cosigned("abc", 1_806), HeadSource::Fetched).expect("honest");
    assert_eq!(round(&mut one, &mut nobody(), &mut other, &mut nobody()), 4);
    assert_eq!(one.status().remove(0).cosigned_at, Some(1_806));
    assert_eq!(round(&mut one, &mut nobody(), &mut other, &mut nobody()), 2);
}

#[test]
fn a_full_note_keeps_the_lines_of_all_witnesses() {
    let log_keys: Vec<SignerKey> = (200..208).map(|n| key(ORIGIN, Algorithm::Ed25519, n)).collect();
    let witnesses: Vec<SignerKey> =
        (1..=60).map(|n| key(&format!("w{n}.example"), Algorithm::CosignatureV1, n)).collect();
    let keys = log_keys.iter().map(|key| key.verifier().clone()).collect();
    let known = KnownKeys {
        origin: origin(),
        keys,
        retired: Vec::new(),
        pairs: Pairs::Convict,
        entries: Entries::Records,
        reach: Reachability::Somewhere,
    };
    let cosigners = witnesses.iter().map(|key| key.verifier().clone()).collect();
    let mut view = View::new(vec![known], cosigners);
    let bare = Checkpoint::new(origin(), tree("abc").frontier().head());
    let with = |signers: &[SignerKey], cosigners: &[SignerKey]| {
        let more = signers[1..].iter().map(|key| key.sign_text(&bare.to_string()));
        let lines = cosigners.iter().map(|key| cosignature::cosign(key, &bare, 5));
        bare.sign(&signers[0]).with_signatures(more.chain(lines)).expect("room")
    };
    view.observe(&with(&log_keys, &witnesses[..30]), HeadSource::Fetched).expect("honest");
    view.observe(&with(&log_keys[..1], &witnesses[30..]), HeadSource::Fetched).expect("honest");
    let kept = adopted(&view).expect("a head");
    assert_eq!(kept.note().signatures().len(), 64);
    for witness in &witnesses {
        let mut lines = kept.note().signatures().iter();
        assert!(lines.any(|line| line.is_by(witness.verifier())), "{}", witness.verifier());
    }
}

#[test]
fn lies_change_nothing() {
    let mut view = holding(&[head("abc"), head("abcde")]);
    let text = head("abcd").to_string().replacen("\n4\n", "\n5\n", 1);
    let altered = ClaimedCheckpoint::parse(text.as_bytes()).expect("well formed");
    assert_eq!(view.observe(&altered, HeadSource::Fetched), Err(FalseSignature(ORIGIN.to_owned())));

    let asked = view.questions().remove(0);
    let mut other = Trees(vec![tree("zzzzz")]);
    let of_other = tree("zzzzz").frontier().head();
    let junk = other.prove_prefix(&origin(), asked.smaller.size, &of_other).expect("held");
    assert_eq!(view.resolve(&asked, &junk), Err(PeerFault::JunkProof(origin())));
    assert_eq!((adopted(&view), view.questions().len()), (Some(head("abc")), 1));
}

#[test]
fn strangers_heads_say_nothing() {
    let mut view = view();
    let stranger = key("stranger.example", Algorithm::Ed25519, 9);
    let theirs = Origin::new("stranger.example").expect("origin");
    let of = |key: &SignerKey, origin: &Origin| {
        Checkpoint::new(origin.clone(), tree("abc").frontier().head()).sign(key)
    };
    assert_eq!(view.observe(&of(&stranger, &theirs), HeadSource::Fetched), Ok(vec![]));
    let impostor = key(ORIGIN, Algorithm::Ed25519, 9);
    assert_eq!(view.observe(&of(&impostor, &origin()), HeadSource::Fetched), Ok(vec![]));
    assert_eq!(adopted(&view), None);
}

#[test]
fn messages_out_of_turn_and_oversized_ones_are_faults() {
    let mut view = view();
    let salt = RoundSalt([1; 16]);
    let lists = Message::Lists { salt, lines: Vec::new() };
    assert_eq!(answer(&mut view, lists).fault, Some(PeerFault::OutOfTurn));
    assert_eq!(answer(&mut view, Message::Same).fault, Some(PeerFault::OutOfTurn));
    let about = vec![LogLineId([0; 8]); MAX_LINES + 1];
    let large = Exchange { about, ..Exchange::new(salt) };
    let heard = answer(&mut view, Message::Exchange(Box::new(large)));
    assert_eq!(heard.fault, Some(PeerFault::TooMuch));
    let (mut round, _) = Round::begin(&view, salt);
    let other = Message::Lists { salt: RoundSalt([2; 16]), lines: Vec::new() };
    assert_eq!(round.take(&mut view, other, &mut nobody()).fault, Some(PeerFault::OutOfTurn));
}

#[test]
fn evidence_that_convicts_nobody_known_is_not_kept() {
    let conflict = Conflict::of_heads(Heads { one: &head("abc"), other: &head("abX") });
    let case = crate::evidence::Case { trust: &view().trust().clone(), authority: &[] };
    let evidence =
        crate::evidence::ClaimedEvidence::against_log(&conflict.expect("two roots"), case)
            .expect("one key signed both");
    let mut stranger = View::new(Vec::new(), Vec::new());
    assert!(stranger.convict(&evidence).is_err());
    let mut known = view();
    assert_eq!(known.convict(&evidence).map(|events| events.len()), Ok(1));
    assert_eq!(known.convict(&evidence).map(|events| events.len()), Ok(0), "once is enough");
    known.set_logs(Vec::new(), Vec::new());
    assert_eq!(known.against(log().verifier()), None);
    let keys = vec![log().verifier().clone()];
    let again = KnownKeys {
        origin: origin(),
        keys,
        retired: Vec::new(),
        pairs: Pairs::Convict,
        entries: Entries::Records,
        reach: Reachability::Somewhere,
    };
    known.set_logs(vec![again], Vec::new());
    assert!(convicted(&known), "a log that is forgotten and known again stays convicted");
}

#[test]
fn a_head_that_the_own_witness_verified_is_adopted_without_another_proof() {
    let mut view = holding(&[head("abc")]);
    let before = *head("abc").checkpoint().head();
    let events = view.observe_growth(&before, &head("abcde")).expect("signed");
    assert!(matches!(events.as_slice(), [Event::Adopted(_), Event::Settled(_)]), "{events:?}");
    // it grew out of another head than the adopted one: that says nothing
    let events = view.observe_growth(&before, &head("abcdefg")).expect("signed");
    assert!(matches!(events.as_slice(), [Event::Opened(_)]), "{events:?}");
    assert_eq!(adopted(&view), Some(head("abcde")));
}

#[test]
fn a_log_that_can_be_read_nowhere_raises_no_alarm() {
    let keys = vec![log().verifier().clone()];
    let (entries, reach) = (Entries::Opaque, Reachability::Nowhere);
    let mut view = View::new(
        vec![KnownKeys {
            origin: origin(),
            keys,
            retired: Vec::new(),
            pairs: Pairs::Convict,
            entries,
            reach,
        }],
        vec![],
    );
    view.observe(&head("abc"), HeadSource::Fetched).expect("signed");
    view.observe(&head("abcde"), HeadSource::Fetched).expect("signed");
    for _ in 0..2 * PATIENCE_ROUNDS {
        assert_eq!(view.tick(), []);
    }
    assert_eq!(view.standing(&origin()), LogStanding::Good);
    assert_eq!(view.questions().len(), 1);
    assert!(
        !view.observe(&head("abX"), HeadSource::Fetched).expect("signed").is_empty(),
        "but it is convicted"
    );
}
