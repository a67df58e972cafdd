//! Rounds: now and then a peer is asked what it knows.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::gossip::{Message as Said, RoundSalt};
use ledger_proto::v1::gossip_client::GossipClient;
use prost::Message as _;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tonic::Code;
use tonic::transport::Channel;

use super::Gossip;
use crate::clock::Clock;
use crate::transport::within;
use crate::wire::gossip::{PeerReply, from_wire, to_wire};

/// How often a peer may take all the time that one answer has, in one round: others wait for their
/// turn, and alarms for the end of the round.
const SLOW_ANSWERS: u32 = 2;

/// Peers that are asked at once at a start: more than a consortium has.
const ASKED_AT_ONCE: usize = 64;

/// How long a peer that did not answer at a start is left alone before it is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// Takes the heads of the node's own log that peers tell, each with the peer's URL.
pub type OwnHeads = mpsc::Sender<(String, ClaimedCheckpoint)>;

/// Asks all peers for what they know of the node's own log, each until it has answered. A peer that
/// does not answer is no worse off in later rounds. Ends with the value.
pub fn ask_all(gossip: &Arc<Gossip>, heads: &OwnHeads) -> JoinSet<()> {
    let urls: Vec<String> = gossip.peers().asked().iter().map(|peer| peer.url.clone()).collect();
    let turns = Arc::new(Semaphore::new(ASKED_AT_ONCE));
    let mut asked = JoinSet::new();
    #[cfg(feature = "misbehave")]
    if crate::misbehave::is_on() {
        return asked;
    }
    for url in urls {
        let (gossip, heads, turns) = (Arc::clone(gossip), heads.clone(), Arc::clone(&turns));
        asked.spawn(async move {
            loop {
                let turn = turns.acquire().await;
                let ended = match gossip.dialer().lazy(&url) {
                    Ok(channel) => bounded(&gossip, &url, channel, Some(&heads)).await,
                    Err(error) => Err(Ended::Unreached(error.to_string())),
                };
                drop(turn);
                if !matches!(ended, Err(Ended::Unreached(_) | Ended::Full(_) | Ended::Busy(_))) {
                    return;
                }
                tokio::time::sleep(ASK_AGAIN).await;
            }
        });
    }
    asked
}

/// What rounds need from the rest of the node.
pub struct RoundSources {
    /// Lets gossip observe the heads that this node itself signed, published and cosigned. Blocks.
    pub observe_own: Arc<dyn Fn(&Gossip) + Send + Sync>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How long a round takes with the pause before it, give or take a quarter.
    pub interval: Duration,
}

/// Gossips at the interval until `stopping` turns true.
pub async fn run(gossip: Arc<Gossip>, own: RoundSources, mut stopping: watch::Receiver<bool>) {
    let mut lines = Connections::default();
    loop {
        let pause = jittered(own.interval);
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(pause) => {}
        }
        #[cfg(feature = "misbehave")]
        if crate::misbehave::is_on() {
            continue;
        }
        let round = async {
            observe_own(&gossip, &own).await;
            let chosen = gossip.peers().choose(random(), gossip.now());
            if let Some(url) = chosen {
                lines.retain(&gossip);
                meet(&gossip, &own, &mut lines, &url).await;
            }
            let ticking = Arc::clone(&gossip);
            let _ = tokio::task::spawn_blocking(move || ticking.tick()).await;
        };
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = round => {}
        }
    }
}

/// Lets the view observe what this node itself has seen.
async fn observe_own(gossip: &Arc<Gossip>, own: &RoundSources) {
    let (gossip, observe) = (Arc::clone(gossip), Arc::clone(&own.observe_own));
    let observed = tokio::task::spawn_blocking(move || observe(&gossip));
    let _ = observed.await;
}

/// One round with a peer, and what is to be remembered of it.
async fn meet(gossip: &Arc<Gossip>, own: &RoundSources, lines: &mut Connections, url: &str) {
    let began = Instant::now();
    let ended = match lines.to(gossip, url) {
        Ok(channel) => bounded(gossip, url, channel, None).await,
        Err(error) => Err(Ended::Unreached(error.to_string())),
    };
    let (now, moment) = (own.clock.now(), gossip.now());
    let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    let (met, fault) = (ended.is_ok(), matches!(ended, Err(Ended::Fault(_))));
    let idle = matches!(ended, Ok(Met::Idle));
    if matches!(ended, Err(Ended::Unreached(_))) {
        // a connection that died in silence does not come to life again
        lines.cut(url);
    }
    {
        let mut figures = gossip.figures();
        figures.met += u64::from(met);
        figures.idle += u64::from(idle);
        figures.failed += u64::from(!met);
        figures.faults += u64::from(fault);
    }
    let mut peers = gossip.peers();
    let Some(peer) = peers.peer(url) else { return };
    match ended {
        Ok(_) => {
            peer.budget.succeeded();
            peer.met = Some((now, took));
            peer.trouble = None;
        }
        Err(ended) => {
            // a hint is a line of its own for people, and a log line is one
            let why = ended.to_string().replace("\nhint: ", "; ");
            if peer.trouble.as_ref() != Some(&why) {
                tracing::warn!(url, why, "a round of gossip failed");
            }
            match ended {
                Ended::Fault(_) => peer.budget.fault(moment),
                _ => peer.budget.failed(moment, own.interval),
            }
            peer.trouble = Some(why);
        }
    }
}

/// How a round ended that went well.
enum Met {
    /// Nothing differed of what both know.
    Idle,
    /// Something was told.
    Talked,
}

/// Why a round ended early.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("it is not reached: {0}")]
    Unreached(String),
    #[error("it asks to be left alone for {0} ms")]
    Busy(u64),
    #[error("it is busy: {0}")]
    Full(String),
    #[error("its answers cost more than its share for another {0} ms")]
    Costly(u64),
    #[error("{0}")]
    Fault(String),
}

/// Connections to peers, kept between rounds: a handshake is larger than a round with nothing new.
#[derive(Default)]
struct Connections(BTreeMap<String, Channel>);

impl Connections {
    /// The connection to a peer. It is made when it is used first.
    fn to(&mut self, gossip: &Gossip, url: &str) -> Result<Channel, tonic::transport::Error> {
        if let Some(channel) = self.0.get(url) {
            return Ok(channel.clone());
        }
        let channel = gossip.dialer().lazy(url)?;
        self.0.insert(url.to_owned(), channel.clone());
        Ok(channel)
    }

    /// Keeps those to peers that are still asked.
    fn retain(&mut self, gossip: &Gossip) {
        let mut peers = gossip.peers();
        self.0.retain(|url, _| peers.peer(url).is_some());
    }

    fn cut(&mut self, url: &str) {
        self.0.remove(url);
    }
}

/// A round, which ends in its time whatever the peer does.
async fn bounded(
    gossip: &Arc<Gossip>,
    url: &str,
    channel: Channel,
    own: Option<&OwnHeads>,
) -> Result<Met, Ended> {
    let patience = gossip.dialer().patience() * SLOW_ANSWERS;
    let late = || Ended::Unreached(format!("its answers took more than {patience:?}"));
    let ended = tokio::time::timeout(patience, round(gossip, url, channel, own)).await;
    ended.unwrap_or_else(|_| Err(late()))
}

async fn round(
    gossip: &Arc<Gossip>,
    url: &str,
    channel: Channel,
    own: Option<&OwnHeads>,
) -> Result<Met, Ended> {
    let unreached = |error: &dyn std::error::Error| Ended::Unreached(error.to_string());
    let mut client =
        GossipClient::new(channel).max_decoding_message_size(crate::wire::gossip::MAX_MESSAGE);
    let mut salt = RoundSalt([0; 16]);
    salt.0[..8].copy_from_slice(&random().to_be_bytes());
    salt.0[8..].copy_from_slice(&random().to_be_bytes());
    let beginning = Arc::clone(gossip);
    let begun = tokio::task::spawn_blocking(move || beginning.begin(salt)).await;
    let (mut round, mut next) = begun.map_err(|e| unreached(&e))?;
    let mut met = Met::Idle;
    gossip.forget_doubt(url);
    loop {
        let told = to_wire(&next);
        gossip.figures().sent += told.encoded_len() as u64;
        let answer = within(gossip.dialer().patience(), client.tell(told)).await;
        let answer = answer.map_err(|status| match status.code() {
            Code::ResourceExhausted => Ended::Full(status.message().to_owned()),
            _ => Ended::Unreached(status.message().to_owned()),
        })?;
        let answer = answer.into_inner();
        gossip.figures().received += answer.encoded_len() as u64;
        let message = match from_wire(answer) {
            Ok(PeerReply::Message(message)) => message,
            Ok(PeerReply::Busy(after)) => return Err(Ended::Busy(after)),
            Err(malformed) => return Err(Ended::Fault(malformed.to_string())),
        };
        // an answer costs as much as a question
        gossip.charge(url, &message).map_err(Ended::Costly)?;
        if let (Some(own), Said::Exchange(told)) = (own, &message) {
            let is_own = |head: &&ClaimedCheckpoint| gossip.is_own(head.checkpoint().origin());
            for head in told.heads.iter().filter(is_own) {
                // the start may have ended
                let _ = own.send((url.to_owned(), head.clone())).await;
            }
        }
        let hearing = Arc::clone(gossip);
        let taken = tokio::task::spawn_blocking(move || {
            let step = hearing.take_answer(&mut round, message);
            (round, step)
        });
        let (same, step) = taken.await.map_err(|e| unreached(&e))?;
        round = same;
        gossip.note_step(url, &step);
        if let Some(fault) = step.fault {
            return Err(Ended::Fault(fault.to_string()));
        }
        match step.reply {
            Some(reply) => (next, met) = (reply, Met::Talked),
            None => return Ok(met),
        }
    }
}

/// A number that nobody outside can foresee: the standard library's hash keys come from the
/// system's random numbers.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// The interval give or take a quarter, so that nodes that start together do not stay in step.
fn jittered(interval: Duration) -> Duration {
    let quarter = interval / 4;
    let share = u32::try_from(random() % 1_000).unwrap_or(0);
    interval - quarter + quarter * 2 * share / 1_000
}
