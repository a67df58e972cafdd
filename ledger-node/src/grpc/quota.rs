//! What callers share of something that there is only so much of: all together, and those of one
//! network.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Something that is taken while a call lasts.
#[derive(Debug, Clone)]
pub struct Quota(Arc<QuotaState>);

#[derive(Debug)]
struct QuotaState {
    most: usize,
    /// The most that one network takes, where it is counted.
    each: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    networks: HashMap<IpAddr, usize>,
}

/// What a call has taken; given back when it is dropped.
#[derive(Debug)]
pub struct QuotaPermit {
    whole: Arc<QuotaState>,
    network: Option<IpAddr>,
    amount: usize,
}

impl Quota {
    /// So much for all together, and of it so much for one network.
    pub fn new(most: usize, each: usize) -> Quota {
        Quota(Arc::new(QuotaState { most, each, taken: Mutex::default() }))
    }

    /// Takes some of it for a network, or for somebody who is not counted by network; `None` where
    /// that is too much.
    pub fn acquire(&self, network: Option<IpAddr>, amount: usize) -> Option<QuotaPermit> {
        let QuotaState { most, each, .. } = *self.0;
        let mut taken = self.0.lock();
        let of_network = network.and_then(|network| taken.networks.get(&network)).copied();
        let of_network = of_network.unwrap_or_default();
        let is_too_much = network.is_some() && amount > each.saturating_sub(of_network);
        if is_too_much || amount > most.saturating_sub(taken.all) {
            return None;
        }
        taken.all += amount;
        if let Some(network) = network {
            taken.networks.insert(network, of_network + amount);
        }
        Some(QuotaPermit { whole: Arc::clone(&self.0), network, amount })
    }
}

impl QuotaPermit {
    /// The network that took it, if it is counted by network.
    pub fn network(&self) -> Option<IpAddr> {
        self.network
    }

    /// Adds what the same caller took of the same; gives it back where it took something else.
    pub fn merge(&mut self, mut more: QuotaPermit) -> Option<QuotaPermit> {
        if !Arc::ptr_eq(&self.whole, &more.whole) || self.network != more.network {
            return Some(more);
        }
        self.amount += std::mem::take(&mut more.amount);
        None
    }
}

impl QuotaState {
    fn lock(&self) -> MutexGuard<'_, Taken> {
        // nothing panics between two sums
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for QuotaPermit {
    fn drop(&mut self) {
        let mut taken = self.whole.lock();
        taken.all -= self.amount;
        let Some(network) = self.network else { return };
        if let Some(of_network) = taken.networks.get_mut(&network) {
            // nothing, after a merge
            *of_network -= self.amount;
            if *of_network == 0 {
                taken.networks.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_network_takes_the_share_of_others_and_all_is_given_back() {
        let shares = Quota::new(8, 3);
        let network = |n: u8| Some(IpAddr::from([192, 0, 2, n]));
        let first = shares.acquire(network(1), 2).expect("there is room");
        assert!(shares.acquire(network(1), 2).is_none(), "more than its share");
        let rest = shares.acquire(network(1), 1).expect("there is room");
        let mut first = first;
        assert!(first.merge(rest).is_none() && first.amount == 3, "one share of both");
        let other = shares.acquire(network(2), 3).expect("others have theirs");
        let first = first.merge(other).map(|other| (first, other));
        assert!(shares.acquire(None, 3).is_none(), "more than there is");
        let spared = shares.acquire(None, 2).expect("the rest");
        assert!(shares.acquire(network(3), 1).is_none(), "nothing is left");
        drop((first.expect("two networks"), spared));
        let taken = shares.0.lock();
        assert_eq!((taken.all, taken.networks.len()), (0, 0));
    }
}
