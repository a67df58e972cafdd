//! Counting connections and requests, and refusing those that are too many.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::caller::Caller;
use super::network;

/// Connections at once, to both faces together: well below what a process may open by default
/// (1,024 files), of which the store needs some.
const CONNECTIONS: u32 = 512;

/// Connections at once from one network: a browser opens 6, and an office has one address.
const CONNECTIONS_PER_ADDRESS: u32 = 64;

/// Requests a second from one network: an audit that reads tiles one after another stays below.
const REQUESTS_PER_SECOND: u32 = 500;

/// Seconds in which what was not asked for is saved up: whoever comes now and then is never
/// refused.
const SAVED_SECONDS: u64 = 10;

/// Seconds for the head of an HTTP request, for a TLS handshake, and for the whole body.
const REQUEST_SECONDS: u32 = 30;

/// Seconds for which no byte comes or goes before a connection is closed. HTTP/2 is asked for a
/// sign of life more often than that.
const IDLE_SECONDS: u32 = 120;

/// Seconds for the whole answer of another node: 16 MiB of entries come over a line of 5 Mbit/s.
const ANSWER_SECONDS: u32 = 30;

/// The largest number in `[limits]`: a million connections or requests are no limit any more.
const MOST: u32 = 1_000_000;

/// Networks that are remembered for their requests; whoever has saved up all is forgotten first.
const MAX_NETWORKS: usize = 16_384;

/// The section `[limits]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections at once, to both faces together.
    pub connections: u32,
    /// Connections at once from one IPv4 address or IPv6 network of 64 bits.
    pub connections_per_address: u32,
    /// Requests a second from one such network, and as many TLS handshakes; ten times as many at
    /// once. A stream is one request.
    pub requests_per_second: u32,
    /// Seconds for the head of an HTTP request, for its body, and for a TLS handshake.
    pub request_seconds: u32,
    /// Seconds for which no byte comes or goes before a connection is closed.
    pub idle_seconds: u32,
    /// Seconds for the whole answer of another node.
    pub answer_seconds: u32,
    /// Whether programs on this machine may have as many connections and requests as they like, up
    /// to `connections`. Turn it off behind a proxy that does not count by itself.
    pub spare_loopback: bool,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: CONNECTIONS,
            connections_per_address: CONNECTIONS_PER_ADDRESS,
            requests_per_second: REQUESTS_PER_SECOND,
            request_seconds: REQUEST_SECONDS,
            idle_seconds: IDLE_SECONDS,
            answer_seconds: ANSWER_SECONDS,
            spare_loopback: true,
        }
    }
}

/// A limit that nobody could live with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} below [limits] is {value}; it may be 1 to {MOST}")]
pub struct LimitsError {
    name: &'static str,
    value: u32,
}

impl Limits {
    /// Whether a node can work within them.
    ///
    /// # Errors
    /// [`LimitsError`] names the one that is out of range.
    pub fn check(&self) -> Result<(), LimitsError> {
        for (name, value) in [
            ("connections", self.connections),
            ("connections_per_address", self.connections_per_address),
            ("requests_per_second", self.requests_per_second),
            ("request_seconds", self.request_seconds),
            ("idle_seconds", self.idle_seconds),
            ("answer_seconds", self.answer_seconds),
        ] {
            if !(1..=MOST).contains(&value) {
                return Err(LimitsError { name, value });
            }
        }
        Ok(())
    }

    /// How long the head of a request, its body, or a handshake may take.
    pub fn request(&self) -> Duration {
        Duration::from_secs(self.request_seconds.into())
    }

    /// How long a connection may be silent.
    pub fn idle(&self) -> Duration {
        Duration::from_secs(self.idle_seconds.into())
    }

    /// How long another node may take for a whole answer.
    pub fn answer(&self) -> Duration {
        Duration::from_secs(self.answer_seconds.into())
    }
}

/// A face of the node. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// Programs.
    Grpc,
    /// Readers.
    Http,
}

/// Why a connection or request was refused. Closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalReason {
    /// The node has as many connections as it may.
    Full,
    /// The network has as many connections as it may.
    Address,
    /// The network asks too often.
    Rate,
    /// Nothing came or went for too long, or a request took too long to come.
    Slow,
    /// A TLS handshake failed.
    Tls,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Endpoint; 2] = [Endpoint::Grpc, Endpoint::Http];

    /// For programs.
    pub fn word(self) -> &'static str {
        match self {
            Endpoint::Grpc => "grpc",
            Endpoint::Http => "http",
        }
    }
}

impl RefusalReason {
    /// All of them.
    pub const ALL: [RefusalReason; 5] = [
        RefusalReason::Full,
        RefusalReason::Address,
        RefusalReason::Rate,
        RefusalReason::Slow,
        RefusalReason::Tls,
    ];

    /// For programs.
    pub fn word(self) -> &'static str {
        match self {
            RefusalReason::Full => "full",
            RefusalReason::Address => "address",
            RefusalReason::Rate => "rate",
            RefusalReason::Slow => "slow",
            RefusalReason::Tls => "tls",
        }
    }
}

/// Counts connections and requests.
#[derive(Debug)]
pub struct Gate {
    limits: Limits,
    began: Instant,
    state: Mutex<GateState>,
    open: [AtomicU64; Endpoint::ALL.len()],
    refused: [AtomicU64; RefusalReason::ALL.len()],
}

#[derive(Debug, Default)]
struct GateState {
    connections: u32,
    networks: HashMap<IpAddr, Usage>,
}

/// What one network uses.
#[derive(Debug)]
struct Usage {
    connections: u32,
    requests: Saved,
    /// Counted apart from requests: a caller in a network that has used those up must still be able
    /// to connect and read the node's health.
    handshakes: Saved,
}

/// The requests, or the handshakes, that one network has saved up.
#[derive(Debug)]
struct Saved {
    /// Thousandths of those that it may make at once.
    left: u64,
    /// When that was so, in milliseconds.
    at: u64,
}

impl Gate {
    /// Nobody is there yet.
    pub fn new(limits: Limits) -> Arc<Gate> {
        Arc::new(Gate {
            limits,
            began: Instant::now(),
            state: Mutex::default(),
            open: Default::default(),
            refused: Default::default(),
        })
    }

    /// The limits that it keeps.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Lets a connection in, until the permit is dropped.
    ///
    /// # Errors
    /// [`RefusalReason::Full`] or [`RefusalReason::Address`].
    pub fn enter(
        self: &Arc<Self>,
        address: IpAddr,
        face: Endpoint,
    ) -> Result<Permit, RefusalReason> {
        let entered = self.try_enter(address);
        match entered {
            Ok(network) => {
                self.open[face as usize].fetch_add(1, Ordering::Relaxed);
                Ok(Permit { gate: Arc::clone(self), network, face })
            }
            Err(reason) => {
                self.refuse(reason);
                Err(reason)
            }
        }
    }

    fn try_enter(&self, address: IpAddr) -> Result<Option<IpAddr>, RefusalReason> {
        let now = self.now();
        let mut state = self.lock();
        if state.connections >= self.limits.connections {
            return Err(RefusalReason::Full);
        }
        let network = self.counted(address);
        if let Some(network) = network {
            let usage = state.usage(network, now, &self.limits);
            if usage.connections >= self.limits.connections_per_address {
                return Err(RefusalReason::Address);
            }
            usage.connections += 1;
        }
        state.connections += 1;
        Ok(network)
    }

    /// Counts a request.
    ///
    /// # Errors
    /// After how long the network may ask again.
    pub fn request(&self, address: IpAddr) -> Result<(), Duration> {
        self.spend(address, |usage| &mut usage.requests)
    }

    /// Counts a TLS handshake.
    ///
    /// # Errors
    /// After how long the network may try again.
    pub fn handshake(&self, address: IpAddr) -> Result<(), Duration> {
        self.spend(address, |usage| &mut usage.handshakes)
    }

    fn spend(
        &self,
        address: IpAddr,
        of: impl FnOnce(&mut Usage) -> &mut Saved,
    ) -> Result<(), Duration> {
        let Some(network) = self.counted(address) else { return Ok(()) };
        let now = self.now();
        let mut state = self.lock();
        let spent = of(state.usage(network, now, &self.limits)).spend(now, &self.limits);
        drop(state);
        if spent.is_err() {
            self.refuse(RefusalReason::Rate);
        }
        spent
    }

    /// Notes that something was refused.
    pub fn refuse(&self, reason: RefusalReason) {
        self.refused[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Connections of a face now.
    pub fn open(&self, face: Endpoint) -> u64 {
        self.open[face as usize].load(Ordering::Relaxed)
    }

    /// What was refused for this reason since the node started.
    pub fn refused(&self, reason: RefusalReason) -> u64 {
        self.refused[reason as usize].load(Ordering::Relaxed)
    }

    /// The network to count a caller by; nothing for those that are spared, or not known.
    pub fn network_of(&self, caller: Option<&Caller>) -> Option<IpAddr> {
        caller.and_then(|caller| self.counted(caller.address.ip()))
    }

    /// The network to count an address by; nothing for those that are spared.
    fn counted(&self, address: IpAddr) -> Option<IpAddr> {
        let spared = self.limits.spare_loopback && address.to_canonical().is_loopback();
        (!spared).then(|| network(address))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, GateState> {
        // counts are whole after every statement
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GateState {
    fn usage(&mut self, network: IpAddr, now: u64, limits: &Limits) -> &mut Usage {
        if self.networks.len() >= MAX_NETWORKS && !self.networks.contains_key(&network) {
            self.forget(now, limits);
        }
        self.networks.entry(network).or_insert_with(|| Usage::new(now, limits))
    }

    /// Forgets those that nothing would be kept of, else the half that asked least lately.
    fn forget(&mut self, now: u64, limits: &Limits) {
        self.networks.retain(|_, usage| {
            usage.connections > 0 || usage.saved(now, limits) < limits.most_saved()
        });
        if self.networks.len() < MAX_NETWORKS {
            return;
        }
        let idle = self.networks.values_mut().filter(|usage| usage.connections == 0);
        let mut saved: Vec<u64> = idle.map(|usage| usage.saved(now, limits)).collect();
        saved.sort_unstable();
        let Some(median) = saved.get(saved.len() / 2).copied() else { return };
        self.networks.retain(|_, usage| usage.connections > 0 || usage.saved(now, limits) < median);
    }
}

impl Limits {
    fn most_saved(&self) -> u64 {
        u64::from(self.requests_per_second) * SAVED_SECONDS * 1_000
    }
}

impl Usage {
    fn new(now: u64, limits: &Limits) -> Usage {
        let full = || Saved { left: limits.most_saved(), at: now };
        Usage { connections: 0, requests: full(), handshakes: full() }
    }

    /// What is left of requests or of handshakes: the smaller number.
    fn saved(&mut self, now: u64, limits: &Limits) -> u64 {
        self.requests.fill(now, limits);
        self.handshakes.fill(now, limits);
        self.requests.left.min(self.handshakes.left)
    }
}

impl Saved {
    fn fill(&mut self, now: u64, limits: &Limits) {
        // a thousandth of a request a millisecond for each request a second
        let more = now.saturating_sub(self.at).saturating_mul(limits.requests_per_second.into());
        self.left = self.left.saturating_add(more).min(limits.most_saved());
        self.at = now;
    }

    fn spend(&mut self, now: u64, limits: &Limits) -> Result<(), Duration> {
        self.fill(now, limits);
        match self.left.checked_sub(1_000) {
            Some(rest) => {
                self.left = rest;
                Ok(())
            }
            None => {
                let missing = 1_000 - self.left;
                let wait = missing.div_ceil(limits.requests_per_second.into());
                Err(Duration::from_millis(wait))
            }
        }
    }
}

/// A connection that was let in.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Gate>,
    network: Option<IpAddr>,
    face: Endpoint,
}

impl Permit {
    /// The connection was given up because nothing came or went.
    pub(super) fn was_slow(&self) {
        self.gate.refuse(RefusalReason::Slow);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.open[self.face as usize].fetch_sub(1, Ordering::Relaxed);
        let mut state = self.gate.lock();
        state.connections -= 1;
        if let Some(usage) = self.network.and_then(|network| state.networks.get_mut(&network)) {
            usage.connections -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn few() -> Limits {
        Limits {
            connections: 5,
            connections_per_address: 2,
            requests_per_second: 2,
            ..Limits::default()
        }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn connections_are_counted_by_network_and_in_all_and_given_back() {
        let gate = Gate::new(few());
        let enter = |text: &str| gate.enter(ip(text), Endpoint::Http);
        let first = enter("192.0.2.1").expect("room");
        let second = enter("::ffff:192.0.2.1").expect("room");
        assert_eq!(enter("192.0.2.1").err(), Some(RefusalReason::Address));
        let local: Vec<Permit> = (0..3).map(|_| enter("127.0.0.1").expect("spared")).collect();
        assert_eq!(enter("192.0.2.2").err(), Some(RefusalReason::Full));
        assert_eq!((gate.open(Endpoint::Http), gate.open(Endpoint::Grpc)), (5, 0));
        drop(local);
        drop((first, second));
        assert_eq!(gate.open(Endpoint::Http), 0);
        assert!(enter("192.0.2.1").is_ok());
        assert_eq!(
            (gate.refused(RefusalReason::Address), gate.refused(RefusalReason::Full)),
            (1, 1)
        );
    }

    #[test]
    fn requests_are_saved_up_and_refused_with_the_time_to_wait() {
        let limits = few();
        let mut usage = Usage::new(0, &limits);
        for _ in 0..20 {
            assert_eq!(usage.requests.spend(0, &limits), Ok(()));
        }
        assert_eq!(usage.requests.spend(0, &limits), Err(Duration::from_millis(500)));
        assert_eq!(usage.requests.spend(499, &limits), Err(Duration::from_millis(1)));
        assert_eq!(usage.requests.spend(500, &limits), Ok(()));
        assert_eq!(usage.saved(u64::MAX, &limits), limits.most_saved());
    }

    #[test]
    fn a_network_that_used_up_its_requests_still_gets_in_by_tls_and_handshakes_have_an_end() {
        let gate = Gate::new(few());
        let address = ip("192.0.2.1");
        let count = |spend: fn(&Gate, IpAddr) -> Result<(), Duration>| {
            (0..1_000).take_while(|_| spend(&gate, address).is_ok()).count()
        };
        // the clock runs on while they are counted
        assert!((20..1_000).contains(&count(Gate::request)));
        assert!((20..1_000).contains(&count(Gate::handshake)));
        assert!(gate.request(address).is_err() || gate.handshake(address).is_err());
    }

    #[test]
    fn nobody_is_counted_twice_by_changing_addresses_and_the_table_stays_small() {
        let gate = Gate::new(few());
        let _stays = gate.enter(ip("192.0.2.1"), Endpoint::Grpc).expect("room");
        for n in 0..3 * MAX_NETWORKS {
            let address = IpAddr::V4(std::net::Ipv4Addr::from_bits(0x0a00_0000 + n as u32));
            assert_eq!(gate.request(address), Ok(()));
        }
        let state = gate.lock();
        assert!(state.networks.len() <= MAX_NETWORKS);
        assert_eq!(state.networks[&ip("192.0.2.1")].connections, 1);
    }

    #[test]
    fn limits_of_nothing_are_refused() {
        assert_eq!(Limits::default().check(), Ok(()));
        let none = Limits { idle_seconds: 0, ..Limits::default() };
        let error = none.check().expect_err("nobody could connect").to_string();
        assert_eq!(error, "idle_seconds below [limits] is 0; it may be 1 to 1000000");
    }
}
