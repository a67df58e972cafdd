//! The figures of gossip, of the mirror and of connections for Prometheus: no label holds a name
//! that others choose.

use std::fmt::Write as _;

use crate::gossip::{Gossip, LogWord, PeerState};
use crate::mirror::{Mirror, Progress};
use crate::transport::{Endpoint, Gate, RefusalReason};

/// Adds the figures to a text in Prometheus' format.
pub fn gossip(text: &mut String, gossip: &Gossip) {
    let status = gossip.status();
    let figures = &status.figures;
    family(
        text,
        ("ledger_gossip_rounds_total", "counter"),
        "Rounds that this node began since it started, by what came of them.",
        "outcome",
        &[
            ("told", figures.met.saturating_sub(figures.idle)),
            ("idle", figures.idle),
            ("failed", figures.failed),
        ],
    );
    family(
        text,
        ("ledger_gossip_messages_total", "counter"),
        "Messages of other nodes since the node started.",
        "outcome",
        &[("answered", figures.answered), ("refused", figures.refused)],
    );
    family(
        text,
        ("ledger_gossip_bytes_total", "counter"),
        "Bytes of messages since the node started, without what transport adds.",
        "direction",
        &[("sent", figures.sent), ("received", figures.received)],
    );
    let logs = |state: LogWord| status.logs.iter().filter(|log| gossip.state(log) == state).count();
    family(
        text,
        ("ledger_gossip_logs", "gauge"),
        "Logs that the node knows, by how they stand.",
        "standing",
        &LogWord::ALL.map(|state| (state.word(), logs(state) as u64)),
    );
    let of = |state| move |peer: &&_| PeerState::of(peer, status.now) == state;
    let peers = |state| status.peers.iter().filter(of(state)).count();
    family(
        text,
        ("ledger_gossip_peers", "gauge"),
        "Peers that the node asks, by how they do.",
        "state",
        &PeerState::ALL.map(|state| (state.word(), peers(state) as u64)),
    );
    let open = status.logs.iter().map(|log| log.open.len()).sum::<usize>();
    for (name, kind, help, value) in [
        ("ledger_gossip_open_heads", "gauge", "Heads that are not settled.", open as u64),
        ("ledger_gossip_faults_total", "counter", "What no honest node sends.", figures.faults),
        (
            "ledger_gossip_limited",
            "gauge",
            "Addresses that asked and are not listened to for now.",
            status.limited.len() as u64,
        ),
        ("ledger_gossip_evidence", "gauge", "Files of evidence held.", status.evidence as u64),
    ] {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
    }
}

/// Adds the figures of connections.
pub fn gate(text: &mut String, gate: &Gate) {
    family(
        text,
        ("ledger_connections", "gauge"),
        "Connections that are open.",
        "face",
        &Endpoint::ALL.map(|face| (face.word(), gate.open(face))),
    );
    family(
        text,
        ("ledger_refused_total", "counter"),
        "Connections and requests that were refused since the node started.",
        "reason",
        &RefusalReason::ALL.map(|reason| (reason.word(), gate.refused(reason))),
    );
}

/// Adds the figures of the mirror.
pub fn mirror(text: &mut String, mirror: &Mirror) {
    let copies = mirror.all();
    let states: Vec<Progress> = copies.iter().map(|copy| copy.progress()).collect();
    let of = |state| states.iter().filter(|own| **own == state).count() as u64;
    family(
        text,
        ("ledger_mirror_copies", "gauge"),
        "Logs of which the node has a copy, by how the copying does.",
        "state",
        &Progress::ALL.map(|state| (state.word(), of(state))),
    );
    let copied: u64 = copies.iter().map(|copy| copy.status().copied).sum();
    let (name, help) = ("ledger_mirror_entries", "Entries of all copies that are on the disk.");
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {copied}");
}

fn family(
    text: &mut String,
    (name, kind): (&str, &str),
    help: &str,
    label: &str,
    values: &[(&'static str, u64)],
) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (word, value) in values {
        let _ = writeln!(text, "{name}{{{label}=\"{word}\"}} {value}");
    }
}
