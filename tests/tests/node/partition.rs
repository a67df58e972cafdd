//! Five nodes on machines of their own, one of them with two faces, which flood their side and send
//! it garbage: the network is cut, each side is shown another history, one node loses its power,
//! and when the network heals everybody learns of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use ledger_tests::copy_folder;
use ledger_tests::network::Network;
use ledger_tests::process::{NodeProcess, program};
use ledger_tests::wait::{so, until};
use serde_json::Value;

use super::gossip::{Member, asks_at, log_of};

/// What takes some rounds of a second after a partition takes no longer than this: peers that were
/// not reached are left alone for a while each, those that misbehave take their share of the
/// rounds, and the The sides of the network: two honest nodes each, and a face of the fifth.
const LEFT: [usize; 2] = [0, 1];
const RIGHT: [usize; 2] = [2, 3];
const LEFT_FACE: usize = 4;
const RIGHT_FACE: usize = 5;
const HOSTS: u8 = 6;

/// Entries that both sides have seen, and how many each of the histories has.
const SHARED: u64 = 4;
const LEFT_SIZE: u64 = 6;
const RIGHT_SIZE: u64 = 9;

/// The network, the four honest nodes, and the log with two faces.
struct World {
    // nodes end before their machines do
    nodes: BTreeMap<usize, NodeProcess>,
    network: Network,
    honest: Vec<Member>,
    forger: Member,
}

impl World {
    /// Everybody has seen the same beginning of the forger's log, and is connected.
    fn new(network: Network) -> World {
        let honest: Vec<Member> = (60..64).map(Member::found).collect();
        let mut world =
            World { nodes: BTreeMap::new(), network, honest, forger: Member::found(64) };
        world.forger.asks_at([]);
        world.serve_face(LEFT_FACE, &world.forger.dir(), &[]);
        world.log_entries(LEFT_FACE, 1..SHARED);
        world.power_off(LEFT_FACE);
        // the same key and the same past, twice
        copy_folder(&world.forger.dir(), &world.twin());
        let faces = [
            (LEFT, LEFT_FACE, world.forger.dir(), "flood"),
            (RIGHT, RIGHT_FACE, world.twin(), "garbage"),
        ];
        for (side, face, dir, kind) in faces {
            asks_at(&dir, side.map(|n| world.network.grpc(n)));
            world.serve_face(face, &dir, &["--misbehave", kind]);
            let url = format!("http://{}", world.network.http(face));
            for n in side {
                // the face of its side is a peer as good as any
                let others = (0..world.honest.len()).filter(|other| *other != n).chain([face]);
                world.honest[n].asks_at(others.map(|other| world.network.grpc(other)));
                world.honest[n].knows(&world.forger.consortium.log, &url);
                world.serve(n);
            }
        }
        world
    }

    fn twin(&self) -> PathBuf {
        self.forger.dir().with_file_name("twin")
    }

    fn serve(&mut self, n: usize) {
        let node = NodeProcess::serve_on(&self.network, n, &self.honest[n].dir());
        self.nodes.insert(n, node);
    }

    fn serve_face(&mut self, host: usize, dir: &Path, arguments: &[&str]) {
        let face = NodeProcess::serve_on_with(&self.network, host, dir, arguments);
        self.nodes.insert(host, face);
    }

    fn power_off(&mut self, n: usize) {
        self.nodes.remove(&n).expect("it runs").kill();
    }

    /// Where there are no links to cut, only one side is awake.
    fn wake_only(&self, side: [usize; 2]) {
        if !self.network.has_links() {
            let asleep = |n: &usize| [LEFT, RIGHT].concat().contains(n) && !side.contains(n);
            self.nodes.iter().filter(|(n, _)| asleep(n)).for_each(|(_, node)| node.freeze(true));
            side.iter().for_each(|n| self.nodes[n].freeze(false));
        }
    }

    fn wake_all(&self) {
        if !self.network.has_links() {
            self.nodes.values().for_each(|node| node.freeze(false));
        }
    }

    /// Runs `ledger` on a host, and gives its exit code and what it printed as JSON.
    fn ledger(&self, host: usize, arguments: &[&str]) -> (i32, Value) {
        let mut command = self.network.command(host, "ledger");
        let output = command.arg("--json").args(arguments).output().expect("it runs");
        let object = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.code().expect("it exits"), object)
    }

    fn url(&self, host: usize) -> String {
        format!("http://{}", self.network.grpc(host))
    }

    /// Puts incidents of these numbers into the log of a face, from its side.
    fn log_entries(&self, face: usize, numbers: std::ops::Range<u64>) {
        let folder = tempfile::tempdir().expect("a folder");
        let consortium = &self.forger.consortium;
        let anchor = consortium.charter().statement().to_string();
        let files = numbers.map(|n| {
            let file = folder.path().join(format!("{n}.record"));
            std::fs::write(&file, consortium.incident(n).as_bytes()).expect("a writable folder");
            file.display().to_string()
        });
        let (files, url) = (files.collect::<Vec<_>>(), self.url(face));
        let mut arguments = vec!["submit", "--node", &url, "--anchor", &anchor];
        arguments.extend(files.iter().map(String::as_str));
        let (exit, said) = self.ledger(face, &arguments);
        assert_eq!(exit, 0, "{said}");
    }

    /// Waits until the forger's log stands so at a node, and gives what the node says of it.
    fn until(&self, n: usize, well: impl Fn(&Value) -> bool) -> Value {
        let origin = self.forger.consortium.log.verifier().name().to_string();
        let status = self.until_status(n, |status| well(log_of(status, &origin)));
        log_of(&status, &origin).clone()
    }

    /// Waits until what a node says of gossip is so.
    fn until_status(&self, n: usize, well: impl Fn(&Value) -> bool) -> Value {
        let url = self.url(n);
        until(|| {
            let (exit, status) = self.ledger(n, &["gossip", "status", "--node", &url]);
            assert!(exit < 2, "node {n} answers: {status}");
            so(status, &well)
        })
    }

    /// Waits until nodes have adopted the forger's head of this size and hold nothing against it.
    fn all_believe(&self, side: [usize; 2], size: u64) {
        for n in side {
            self.until(n, |log| log["adopted_size"] == size && log["standing"] == "good");
        }
    }

    /// Waits until the nodes of a side say of somebody that asks them that it does so.
    fn all_limit(&self, side: [usize; 2], does: &str) {
        for n in side {
            self.until_status(n, |status| {
                let limited = status["limited"].as_array().expect("a list");
                limited.iter().any(|one| one["trouble"].as_str().is_some_and(|w| w.contains(does)))
            });
        }
    }

    /// Whether a host reaches the node of another.
    fn reaches(&self, from: usize, to: usize) -> bool {
        let url = self.url(to);
        self.ledger(from, &["gossip", "status", "--node", &url]).0 != 3
    }

    /// Takes the evidence out of a node, carries it to where nothing else is, and has it judged
    /// there.
    fn convicts_elsewhere(&self, n: usize, id: &str) {
        let kept = self.honest[n].evidence(id);
        assert!(kept.is_file(), "node {n} has {} on its disk", kept.display());
        let elsewhere = tempfile::tempdir().expect("a folder");
        let file = elsewhere.path().join("accusation.json");
        let target = file.to_str().expect("a path in ASCII");
        let arguments = ["evidence", "export", id, "--node", &self.url(n), "-o", target];
        assert_eq!(self.ledger(n, &arguments).0, 0, "node {n} hands it out");
        let (exported, kept) = (std::fs::read(&file), std::fs::read(kept));
        assert_eq!(exported.expect("written"), kept.expect("readable"));
        let judge = |vkey: &str| {
            let mut judge = Command::new(program("ledger"));
            judge.current_dir(elsewhere.path()).env_clear();
            let output = judge.args(["verify", "accusation.json", "--vkey", vkey]).output();
            let output = output.expect("it runs");
            (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let (exit, said) = judge(&self.forger.consortium.log.verifier().to_string());
        assert!(exit == Some(0) && said.starts_with("convicted "), "{said}");
        let (exit, said) = judge(&self.honest[n].consortium.log.verifier().to_string());
        assert_eq!(exit, Some(1), "it convicts nobody else: {said}");
    }
}

/// The size line of what a face shows.
fn size_shown(dir: &Path) -> u64 {
    let text = std::fs::read_to_string(dir.join("site/checkpoint")).expect("published");
    text.lines().nth(1).expect("a checkpoint").parse().expect("a size")
}

fn tell(network: Network) {
    let mut world = World::new(network);
    world.wake_all();
    world.all_believe(LEFT, SHARED);
    world.all_believe(RIGHT, SHARED);
    assert!(world.reaches(LEFT[0], RIGHT[0]) && world.reaches(RIGHT[1], LEFT[1]));

    // the network is cut, and each side is shown a history of its own
    let right = [RIGHT[0], RIGHT[1], RIGHT_FACE];
    world.network.cut_off(&right);
    world.wake_only(LEFT);
    if world.network.has_links() {
        assert!(!world.reaches(LEFT[0], RIGHT[0]) && !world.reaches(RIGHT[1], LEFT[1]));
        assert!(world.reaches(LEFT[0], LEFT_FACE) && world.reaches(RIGHT[0], RIGHT_FACE));
    }
    world.log_entries(LEFT_FACE, 100..100 + LEFT_SIZE - SHARED);
    world.all_believe(LEFT, LEFT_SIZE);
    world.wake_only(RIGHT);
    world.log_entries(RIGHT_FACE, 200..200 + RIGHT_SIZE - SHARED);
    world.all_believe(RIGHT, RIGHT_SIZE);

    // a power cut on one side, and the network heals without that node
    let lost = RIGHT[1];
    world.power_off(lost);
    world.network.heal(&right);
    world.wake_all();
    let found = world.until(LEFT[0], |log| log["standing"] == "convicted");
    assert!(!world.honest[lost].evidence(id_of(&found)).exists(), "nobody has told it yet");
    world.serve(lost);

    for n in [LEFT, RIGHT].concat() {
        let log = world.until(n, |log| log["standing"] == "convicted");
        world.convicts_elsewhere(n, id_of(&log));
        let (_, status) = world.ledger(n, &["gossip", "status", "--node", &world.url(n)]);
        let own = world.honest[n].consortium.log.verifier().name().to_string();
        assert_eq!(log_of(&status, &own)["standing"], "good", "nobody honest is accused");
    }
    // and none of them listens to the faces, which went on
    world.all_limit(LEFT, "more than its share");
    world.all_limit(RIGHT, "malformed");
    for n in RIGHT {
        let face = format!("http://{}", world.network.grpc(RIGHT_FACE));
        world.until_status(n, |status| {
            let peers = status["peers"].as_array().expect("a list");
            peers.iter().any(|peer| peer["url"] == *face && peer["faults"].as_u64() >= Some(1))
        });
    }
    let shown = [size_shown(&world.forger.dir()), size_shown(&world.twin())];
    assert_eq!(shown, [LEFT_SIZE, RIGHT_SIZE], "each face went on with its own history");
}

fn id_of(log: &Value) -> &str {
    log["evidence"].as_str().expect("the id of the evidence")
}

#[test]
fn a_fork_across_a_partition_of_the_network_convicts_everywhere_once_it_heals() {
    tell(Network::of(HOSTS));
}

#[test]
fn a_fork_across_a_partition_by_frozen_processes_convicts_everywhere_once_they_wake() {
    tell(Network::loopback(HOSTS));
}
