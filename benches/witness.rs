//! A real node as a witness, in a separate process, asked over HTTP on loopback.
//!
//! `cargo bench -p ledger-benches --bench witness` prints what a bare `fdatasync` takes on this
//! machine, how long an idle witness takes to answer one `add-checkpoint`, and how many a second it
//! answers to 16 logs at once, each of which waits for its answer before it asks again. Each
//! connection is kept; each answer was durable before it was given, and is verified here. Requests
//! are signed beforehand. Figures are medians over rounds; see RESULTS.md.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use ledger_core::checkpoint::{Checkpoint, Origin};
use ledger_core::cosignature::verify_line;
use ledger_core::hash::Hash;
use ledger_core::merkle::{MemoryTree, prove_consistency};
use ledger_core::note::{Algorithm, SignerKey};
use ledger_core::witness::{AddCheckpoint, WitnessAnswer};
use ledger_tests::consortium::Consortium;
use ledger_tests::key;
use ledger_tests::process::{NodeProcess, run};

/// Single requests measured.
const SINGLES: u64 = 400;

/// Logs that ask at once, and what each asks in one round; the first round is not counted.
const LOGS: u8 = 16;
const EACH: u64 = 2_000;
const ROUNDS: u64 = 5;

fn main() {
    // `cargo test --benches` runs this without the flag: then there is nothing to measure
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder on a disk");
    let node = serve(folder.path());
    let disk = fdatasync(folder.path());
    println!("fdatasync of 1 KiB, preallocated       p50 {disk:?}");
    let (idle, slow) = singles(&node);
    println!("add-checkpoint, idle witness           p50 {idle:?}, p95 {slow:?}");
    let rate = together(&node);
    println!("add-checkpoint, {LOGS} logs at once       median {rate:.0}/s");
}

fn witness_key() -> SignerKey {
    key("witness.example", Algorithm::CosignatureV1, 200)
}

fn log_key(n: u8) -> SignerKey {
    key(&format!("log-{n}.example"), Algorithm::Ed25519, 100 + n)
}

/// A node that witnesses 16 logs and one more.
fn serve(folder: &Path) -> NodeProcess {
    let consortium = Consortium::new();
    let (charter, log_key_file) = consortium.write_founding(folder);
    let dir = folder.join("log");
    let witness = folder.join("witness.key");
    consortium.write_key(&witness_key(), &witness);
    let arguments: [&OsStr; 9] = [
        "init".as_ref(),
        "--dir".as_ref(),
        dir.as_ref(),
        "--charter".as_ref(),
        charter.as_ref(),
        "--log-key".as_ref(),
        log_key_file.as_ref(),
        "--witness-key".as_ref(),
        witness.as_ref(),
    ];
    assert!(run("ledger-node", &arguments).status.success(), "the log is founded");
    let list: String = (0..=LOGS).map(|n| format!("log {}\n", log_key(n).verifier())).collect();
    std::fs::write(dir.join("witness-logs"), list).expect("a writable folder");
    NodeProcess::serve(&dir)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn fdatasync(folder: &Path) -> Duration {
    let file = File::create(folder.join("fdatasync")).expect("a file");
    file.write_all_at(&vec![0; 1 << 20], 0).and_then(|()| file.sync_all()).expect("room");
    let times = (0..SINGLES).map(|n| {
        let began = Instant::now();
        file.write_all_at(&[1; 1024], n * 1024).and_then(|()| file.sync_data()).expect("room");
        began.elapsed()
    });
    median(times.collect())
}

/// A log's client: its tree, and a connection to the witness that it keeps.
struct Client {
    key: SignerKey,
    tree: MemoryTree,
    socket: BufReader<TcpStream>,
}

impl Client {
    fn new(n: u8, node: &NodeProcess) -> Client {
        let address = node.http.strip_prefix("http://").expect("a URL");
        let socket = TcpStream::connect(address).expect("it listens");
        socket.set_nodelay(true).expect("a socket");
        Client { key: log_key(n), tree: MemoryTree::new(), socket: BufReader::new(socket) }
    }

    /// The request for the log's next head, one entry larger.
    fn grow(&mut self) -> AddCheckpoint {
        let old = self.tree.size();
        self.tree.push(Hash::leaf(&old.get().to_be_bytes())).expect("room");
        let new = self.tree.size();
        let proof = prove_consistency(&mut self.tree, old, new).expect("ordered");
        let origin = Origin::new(self.key.verifier().name().as_str()).expect("an origin");
        let checkpoint = Checkpoint::new(origin, self.tree.frontier().head());
        AddCheckpoint::new(old, proof, checkpoint.sign(&self.key))
    }

    fn ask(&mut self, request: &AddCheckpoint) -> WitnessAnswer {
        let body = request.to_string();
        let head = format!(
            "POST /witness/add-checkpoint HTTP/1.1\r\nhost: w\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.socket.get_mut().write_all((head + &body).as_bytes()).expect("it reads");
        let mut line = String::new();
        self.socket.read_line(&mut line).expect("a status line");
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        let (mut length, mut kind) = (0, None);
        loop {
            line.clear();
            self.socket.read_line(&mut line).expect("a header");
            match line.trim_end().split_once(": ") {
                Some(("content-length", value)) => length = value.parse().expect("a length"),
                Some(("content-type", value)) => kind = Some(value.to_owned()),
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.socket.read_exact(&mut body).expect("a body");
        WitnessAnswer::parse(status, kind.as_deref(), &body).expect("an answer")
    }

    /// Asks, and verifies the cosignature.
    fn cosigned(&mut self, request: &AddCheckpoint) {
        let answer = self.ask(request);
        let WitnessAnswer::Cosigned(lines) = &answer else { panic!("{answer:?}") };
        let note = request.checkpoint().note();
        assert!(verify_line(note, witness_key().verifier(), &lines[0]).is_some());
    }
}

fn singles(node: &NodeProcess) -> (Duration, Duration) {
    let mut client = Client::new(LOGS, node);
    let mut times: Vec<Duration> = (0..SINGLES)
        .map(|_| {
            let request = client.grow();
            let began = Instant::now();
            let answer = client.ask(&request);
            let elapsed = began.elapsed();
            assert!(matches!(answer, WitnessAnswer::Cosigned(_)), "{answer:?}");
            elapsed
        })
        .collect();
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 95 / 100])
}

/// Answers a second to all logs together: the median of the rounds.
fn together(node: &NodeProcess) -> f64 {
    let mut clients: Vec<Client> = (0..LOGS).map(|n| Client::new(n, node)).collect();
    let mut rates = Vec::new();
    for round in 0..ROUNDS {
        let requests: Vec<Vec<AddCheckpoint>> =
            clients.iter_mut().map(|client| (0..EACH).map(|_| client.grow()).collect()).collect();
        let began = Instant::now();
        std::thread::scope(|scope| {
            for (client, requests) in clients.iter_mut().zip(&requests) {
                scope.spawn(move || requests.iter().for_each(|request| client.cosigned(request)));
            }
        });
        let rate = (u64::from(LOGS) * EACH) as f64 / began.elapsed().as_secs_f64();
        eprintln!("round {round}: {rate:.0}/s");
        if round > 0 {
            rates.push(rate);
        }
    }
    rates.sort_unstable_by(f64::total_cmp);
    rates[rates.len() / 2]
}
