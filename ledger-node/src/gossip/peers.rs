//! Whom a node gossips with, and how they behave.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use ledger_core::charter::{Charter, Member};
use ledger_core::gossip::{EvidenceRef, Moment, PeerBudget};
use ledger_core::note::PublicKey;

use crate::transport::{Caller, grpc_url, network};

/// Addresses whose conduct is remembered: those that came first go first.
const MAX_CALLERS: usize = 4_096;

/// Milliseconds for which it is shown that somebody asked for more than its share, or sent what
/// cannot be verified.
const SHOWN_MS: u64 = 60_000;

/// Peers that a charter may name beside those of the configuration.
const MAX_PEERS: usize = 1_024;

/// A peer that this node asks.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its gRPC address as a URL.
    pub url: String,
    /// How it behaves.
    pub budget: PeerBudget,
    /// When a round with it went well last, in POSIX seconds, and how many microseconds it took.
    pub met: Option<(u64, u64)>,
    /// What is wrong with it.
    pub trouble: Option<String>,
    /// What it sent in the last round that cannot be verified: it made that up, or knows other
    /// keys.
    pub doubt: Option<String>,
}

/// An address that asks this node.
#[derive(Debug, Clone)]
pub struct CallerStatus {
    /// How it behaves.
    pub conduct: PeerBudget,
    /// The last thing it did that no honest node does.
    pub trouble: Option<String>,
    /// The evidence that it was asked for in answers.
    pub wanted: Vec<EvidenceRef>,
    /// When it last asked for more than its share, and how many of its messages were turned away
    /// for that since it began to.
    flood: Option<(Moment, u64)>,
    /// What it sent last that cannot be verified, and when.
    doubt: Option<(Moment, String)>,
    /// In the order of their coming.
    number: u64,
}

/// Everybody that a node talks to.
#[derive(Debug, Default)]
pub struct Peers {
    asked: Vec<Peer>,
    callers: BTreeMap<Sender, CallerStatus>,
    came: u64,
}

impl Peers {
    /// Asks these from now on; what is known of those that stay is kept.
    pub fn set(&mut self, urls: Vec<String>, now: Moment) {
        let mut before = std::mem::take(&mut self.asked);
        for url in urls.into_iter().take(MAX_PEERS) {
            if self.asked.iter().any(|peer| peer.url == url) {
                continue;
            }
            let known = before.iter().position(|peer| peer.url == url);
            self.asked.push(match known {
                Some(at) => before.swap_remove(at),
                None => {
                    let conduct = PeerBudget::new(now);
                    Peer { url, budget: conduct, met: None, trouble: None, doubt: None }
                }
            });
        }
    }

    /// One of the peers that are due, chosen by a random number.
    pub fn choose(&self, random: u64, now: Moment) -> Option<String> {
        let due: Vec<&Peer> = self.asked.iter().filter(|peer| peer.budget.is_due(now)).collect();
        let count = u64::try_from(due.len()).ok().filter(|count| *count > 0)?;
        let at = usize::try_from(random % count).ok()?;
        due.get(at).map(|peer| peer.url.clone())
    }

    /// The peers that this node asks.
    pub fn asked(&self) -> &[Peer] {
        &self.asked
    }

    /// A peer that this node asks.
    pub fn peer(&mut self, url: &str) -> Option<&mut Peer> {
        self.asked.iter_mut().find(|peer| peer.url == url)
    }

    /// Whoever asks: a node that is known by its key under its name, wherever it asks from,
    /// everybody else by the network.
    pub fn caller(&mut self, caller: &Sender, now: Moment) -> &mut CallerStatus {
        if !self.callers.contains_key(caller) && self.callers.len() >= MAX_CALLERS {
            let oldest = self.callers.iter().min_by_key(|(_, caller)| caller.number);
            if let Some(oldest) = oldest.map(|(sender, _)| sender.clone()) {
                self.callers.remove(&oldest);
            }
        }
        self.came += 1;
        let number = self.came;
        let new = || CallerStatus {
            conduct: PeerBudget::new(now),
            trouble: None,
            wanted: Vec::new(),
            flood: None,
            doubt: None,
            number,
        };
        self.callers.entry(caller.clone()).or_insert_with(new)
    }

    /// Whoever is not listened to for now, or asked for more than its share or sent what cannot be
    /// verified a short while ago.
    pub fn limited(&self, now: Moment) -> impl Iterator<Item = (&Sender, &CallerStatus)> {
        let is_shown = move |caller: &CallerStatus| {
            let recent = caller.floods(now).is_some() || caller.doubted(now).is_some();
            caller.conduct.is_limited(now) || recent
        };
        self.callers.iter().filter(move |(_, caller)| is_shown(caller))
    }
}

impl CallerStatus {
    /// How the status of gossip names this caller: by the name of a node that the charter knows, or
    /// by a number. Every stranger can read that status, so it holds no address. The node writes the
    /// number beside the address to its own log.
    pub fn name(&self, sender: &Sender) -> String {
        match sender {
            Sender::Node(name) => name.clone(),
            _ => format!("caller {}", self.number),
        }
    }

    /// The number that names this caller in the status of gossip.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// It did what no honest node does.
    pub fn fault(&mut self, what: &dyn std::error::Error, now: Moment) {
        self.conduct.fault(now);
        self.trouble = Some(what.to_string());
    }

    /// It sent what is made up, or what somebody sends who knows other keys. Whether that begins
    /// now.
    pub fn doubt(&mut self, what: &dyn std::error::Error, now: Moment) -> bool {
        let is_new = self.doubted(now).is_none();
        self.doubt = Some((now, what.to_string()));
        is_new
    }

    /// A message of it was turned away because it asks for more than its share. Whether that begins
    /// now.
    pub fn turned_away(&mut self, now: Moment) -> bool {
        let before = self.floods(now);
        self.flood = Some((now, before.unwrap_or(0) + 1));
        before.is_none()
    }

    /// What is wrong with it now.
    pub fn why(&self, now: Moment) -> String {
        let fault = self.trouble.as_ref().filter(|_| self.conduct.is_limited(now));
        let flood = self.floods(now).map(|turned_away| {
            format!("it asks for more than its share: {turned_away} messages were turned away")
        });
        let doubt = self.doubted(now).map(str::to_owned);
        let all: Vec<String> = fault.cloned().into_iter().chain(doubt).chain(flood).collect();
        all.join("; ")
    }

    /// What it sent a short while ago that cannot be verified.
    fn doubted(&self, now: Moment) -> Option<&str> {
        let (last, what) = self.doubt.as_ref()?;
        (now.0.saturating_sub(last.0) < SHOWN_MS).then_some(what)
    }

    /// How many messages were turned away of the flood that is shown now.
    fn floods(&self, now: Moment) -> Option<u64> {
        let (last, turned_away) = self.flood?;
        (now.0.saturating_sub(last.0) < SHOWN_MS).then_some(turned_away)
    }
}

/// Whoever shares a quota.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sender {
    /// A node whose key is known, by its name.
    Node(String),
    /// An IPv4 address, or an IPv6 network of 64 bits.
    Network(IpAddr),
    /// A connection of this machine, where all programs share an address.
    Connection(SocketAddr),
    /// Somebody of whom not even that is known.
    Unknown,
}

impl Sender {
    /// Whoever has no key that is known.
    pub fn of(caller: Option<Caller>) -> Sender {
        match caller {
            None => Sender::Unknown,
            Some(Caller { address, .. }) if address.ip().to_canonical().is_loopback() => {
                Sender::Connection(address)
            }
            Some(Caller { address, .. }) => Sender::Network(network(address.ip())),
        }
    }
}

impl std::fmt::Display for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Sender::Node(name) => f.write_str(name),
            Sender::Network(network) => write!(f, "{network}"),
            Sender::Connection(address) => write!(f, "{address}"),
            Sender::Unknown => f.write_str("unknown"),
        }
    }
}

/// The node addresses of a charter's members, without the member that has one of these keys.
pub fn of_charter(charter: &Charter, own: &[PublicKey]) -> Vec<String> {
    let is_own = |name: &str| {
        // a key's name is its member's, or that and a label
        let of_member = |key: &str| key.split('/').next() == Some(name);
        let mut keys = charter.keys().iter().filter(|key| of_member(key.key().name().as_str()));
        keys.any(|key| own.contains(&key.key().public()))
    };
    let stays = |member: &&Member| !member.standing().has_left() && !is_own(member.name());
    let others = charter.members().iter().filter(stays);
    others.filter_map(|member| grpc_url(member.node()?)).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ledger_core::gossip::PeerFault;

    use super::*;

    #[test]
    fn conduct_is_remembered_by_network_and_not_for_ever_many() {
        let mut peers = Peers::default();
        let at = |text: &str| {
            let address = text.parse().expect("an address");
            Sender::of(Some(Caller { address, key: None }))
        };
        peers.caller(&at("192.0.2.1:5"), Moment(0)).fault(&PeerFault::TooMuch, Moment(0));
        assert!(peers.caller(&at("192.0.2.1:6"), Moment(0)).conduct.is_limited(Moment(1)));
        assert!(peers.caller(&at("[::ffff:192.0.2.1]:6"), Moment(0)).conduct.is_limited(Moment(1)));
        assert!(!peers.caller(&at("192.0.2.2:5"), Moment(0)).conduct.is_limited(Moment(1)));
        peers.caller(&at("[2001:db8::1]:5"), Moment(0)).fault(&PeerFault::TooMuch, Moment(0));
        assert!(peers.caller(&at("[2001:db8::2]:5"), Moment(0)).conduct.is_limited(Moment(1)));
        // a node that is called like an address is not that address
        let lab = Sender::Node("192.0.2.1".to_owned());
        assert!(!peers.caller(&lab, Moment(0)).conduct.is_limited(Moment(1)));
        for n in 0..MAX_CALLERS {
            peers.caller(&at(&format!("[::ffff:127.0.0.1]:{}", n + 1)), Moment(0));
        }
        assert_eq!(peers.callers.len(), MAX_CALLERS);
    }

    #[test]
    fn strangers_are_told_a_number_and_never_an_address() {
        let mut peers = Peers::default();
        let sender = |text: &str| {
            let address = text.parse().expect("an address");
            Sender::of(Some(Caller { address, key: None }))
        };
        let senders = ["192.0.2.1:5", "[2001:db8::1]:5", "127.0.0.1:5"].map(sender);
        let node = Sender::Node("lab.example".to_owned());
        for from in senders.iter().chain([&node, &Sender::Unknown]) {
            peers.caller(from, Moment(0)).fault(&PeerFault::TooMuch, Moment(0));
        }
        let told: Vec<String> =
            peers.limited(Moment(1)).map(|(from, caller)| caller.name(from)).collect();
        assert_eq!(told.len(), 5);
        assert!(told.contains(&"lab.example".to_owned()), "the charter names it");
        for name in told.iter().filter(|name| *name != "lab.example") {
            let number = name.strip_prefix("caller ").expect("a number");
            assert!(number.parse::<u64>().is_ok(), "{name}");
        }
        // it keeps its number as long as it is remembered
        let of = |peers: &mut Peers| peers.caller(&senders[0], Moment(1)).number();
        assert_eq!(of(&mut peers), of(&mut peers));
    }

    #[test]
    fn a_flood_is_shown_for_a_while_and_counted_anew_later() {
        let mut peers = Peers::default();
        let name = Sender::Node("lab.example".to_owned());
        assert!(peers.caller(&name, Moment(0)).turned_away(Moment(0)), "it begins");
        assert!(!peers.caller(&name, Moment(9)).turned_away(Moment(9)), "it goes on");
        let why = |peers: &Peers, now| -> Vec<String> {
            peers.limited(Moment(now)).map(|(_, caller)| caller.why(Moment(now))).collect()
        };
        assert!(why(&peers, 10)[0].contains("2 messages"), "{:?}", why(&peers, 10));
        assert!(why(&peers, 9 + SHOWN_MS).is_empty());
        let later = Moment(10 + SHOWN_MS);
        assert!(peers.caller(&name, later).turned_away(later), "another one");
        peers.caller(&name, later).fault(&PeerFault::TooMuch, later);
        let why = why(&peers, later.0);
        assert!(why[0].starts_with("its message is larger") && why[0].contains("; it asks"));
    }

    #[test]
    fn only_peers_that_are_due_are_chosen_and_lists_may_change() {
        let mut peers = Peers::default();
        let urls = |names: &[&str]| names.iter().map(|name| format!("http://{name}")).collect();
        assert_eq!(peers.choose(7, Moment(0)), None);
        peers.set(urls(&["a", "b", "a"]), Moment(0));
        assert_eq!(peers.asked().len(), 2);
        peers.peer("http://a").expect("known").budget.failed(Moment(0), Duration::from_secs(10));
        for random in 0..5 {
            assert_eq!(peers.choose(random, Moment(0)).as_deref(), Some("http://b"));
        }
        peers.set(urls(&["c", "a"]), Moment(0));
        assert!(!peers.peer("http://a").expect("kept").budget.is_due(Moment(0)));
        assert!(peers.peer("http://b").is_none());
    }
}
