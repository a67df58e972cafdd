//! Records grouped: versions of one thing are a chain, and other chains refer to it.

use super::chronicle::{Chronicle, Relation, Stored, StoredRef, earliest};
use super::names::{Symbol, position};
use super::{Claim, Disclosed, Headline, Mention, Summary};
use crate::record::Kind;

/// The records of a chronicle, chain by chain, and who refers to each chain.
///
/// Making it takes time in proportion to the entries; all registers share one.
#[derive(Debug)]
pub struct Chains<'a> {
    pub(super) chronicle: &'a Chronicle,
    /// For each record, its chain.
    chain_of: Vec<u32>,
    /// The records of all chains, chain after chain, each in the order of the log.
    records: Vec<u32>,
    /// The references to all chains from records that stand, each in the order of the log.
    incoming: Vec<u32>,
    /// Where each chain begins in `records` and in `incoming`, and where the last ends.
    bounds: Vec<(u32, u32)>,
}

impl<'a> Chains<'a> {
    /// Groups the records that were read so far.
    pub fn of(chronicle: &'a Chronicle) -> Chains<'a> {
        const NONE: u32 = u32::MAX;
        let mut parents = chronicle.parents.clone();
        let mut number_of = vec![NONE; parents.len()];
        let mut chain_of = Vec::with_capacity(parents.len());
        let mut chains = 0;
        for at in 0..position(parents.len()) {
            let number = &mut number_of[earliest(&mut parents, at) as usize];
            if *number == NONE {
                *number = chains;
                chains += 1;
            }
            chain_of.push(*number);
        }
        let target = |reference: &StoredRef| match reference.to {
            Some(to) if !chronicle.fact(reference.from).retracted => Some(chain_of[to as usize]),
            _ => None,
        };
        let (records, first) = grouped(chains, chain_of.iter().map(|chain| Some(*chain)));
        let (incoming, refs) = grouped(chains, chronicle.refs.iter().map(target));
        let bounds = first.into_iter().zip(refs).collect();
        Chains { chronicle, chain_of, records, incoming, bounds }
    }

    /// The chains of a kind, in the order of their first records.
    pub(super) fn of_kind(&self, kind: Kind) -> impl Iterator<Item = u32> {
        let is = move |chain: &u32| self.fact(self.records(*chain)[0]).kind == kind;
        (0..self.len()).filter(is)
    }

    /// How many chains there are.
    pub(super) fn len(&self) -> u32 {
        position(self.bounds.len() - 1)
    }

    /// A chain's records, which are one at least.
    pub(super) fn records(&self, chain: u32) -> &[u32] {
        let (from, to) = (self.bounds[chain as usize], self.bounds[chain as usize + 1]);
        &self.records[from.0 as usize..to.0 as usize]
    }

    /// A chain's records that were not retracted.
    pub(super) fn standing(&self, chain: u32) -> impl DoubleEndedIterator<Item = u32> {
        self.records(chain).iter().copied().filter(|at| !self.fact(*at).retracted)
    }

    /// The references to a chain's records from records that stand.
    pub(super) fn incoming(&self, chain: u32) -> impl Iterator<Item = &'a StoredRef> {
        let (from, to) = (self.bounds[chain as usize], self.bounds[chain as usize + 1]);
        let refs = &self.incoming[from.1 as usize..to.1 as usize];
        let chronicle = self.chronicle;
        refs.iter().map(|at| &chronicle.refs[*at as usize])
    }

    pub(super) fn fact(&self, at: u32) -> &'a Stored {
        self.chronicle.fact(at)
    }

    pub(super) fn chain_of(&self, at: u32) -> u32 {
        self.chain_of[at as usize]
    }

    pub(super) fn headline(&self, at: u32) -> Headline {
        self.chronicle.headline(at)
    }

    /// The record whose values a row shows: the latest that stands, else the latest of all.
    pub(super) fn latest(&self, chain: u32) -> u32 {
        let all = self.records(chain);
        self.standing(chain).next_back().unwrap_or(all[all.len() - 1])
    }

    pub(super) fn text(&self, told: Disclosed<Symbol>) -> Disclosed<String> {
        told.map(|symbol| self.chronicle.names.text(symbol).to_owned())
    }

    pub(super) fn summary(&self, chain: u32) -> Summary {
        let records = self.records(chain);
        Summary {
            first: self.headline(records[0]),
            latest: self.headline(self.latest(chain)),
            records: records.len() as u64,
            retracted: self.standing(chain).next().is_none(),
            claims: self.claims(chain),
        }
    }

    /// The chains with a standing record that refers to a chain by one of some relations, each
    /// once, in the order of the references.
    pub(super) fn referring(&self, chain: u32, wanted: impl Fn(&StoredRef) -> bool) -> Vec<u32> {
        let refs = self.incoming(chain).filter(|reference| wanted(reference));
        let mut found: Vec<u32> = refs.map(|reference| self.chain_of(reference.from)).collect();
        found.retain(|other| *other != chain);
        let mut seen = std::collections::HashSet::new();
        found.retain(|other| seen.insert(*other));
        found
    }

    /// The chains of a kind that refer to a chain by a relation.
    pub(super) fn related(&self, chain: u32, kind: Kind, relation: Relation) -> Vec<u32> {
        let of_kind = |at: u32| self.fact(at).kind == kind;
        self.referring(chain, |own| own.relation == relation && of_kind(own.from))
    }

    pub(super) fn mention(&self, chain: u32) -> Mention {
        let word = self.fact(self.latest(chain)).detail.word();
        Mention { first: self.headline(self.records(chain)[0]), word: self.text(word) }
    }

    fn claims(&self, chain: u32) -> Vec<Claim> {
        let claimed = |own: &&StoredRef| own.relation.claims_power() && !own.binds;
        let claim = |own: &StoredRef| Claim {
            relation: own.relation.as_str(),
            by: self.headline(own.from),
        };
        self.incoming(chain).filter(claimed).map(claim).collect()
    }
}

/// Sorts numbers into groups and keeps their order: the numbers, and where each group begins.
fn grouped(
    groups: u32,
    group_of: impl ExactSizeIterator<Item = Option<u32>> + Clone,
) -> (Vec<u32>, Vec<u32>) {
    let mut bounds = vec![0u32; groups as usize + 1];
    for group in group_of.clone().flatten() {
        bounds[group as usize + 1] += 1;
    }
    for at in 0..groups as usize {
        bounds[at + 1] += bounds[at];
    }
    let mut next = bounds.clone();
    let mut sorted = vec![0; bounds[groups as usize] as usize];
    for (at, group) in group_of.enumerate() {
        if let Some(group) = group {
            let place = &mut next[group as usize];
            sorted[*place as usize] = position(at);
            *place += 1;
        }
    }
    (sorted, bounds)
}
