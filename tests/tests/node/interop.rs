//! Another implementation reads the node's log: `tests/go/readlog`, on golang.org/x/mod/sumdb.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ledger_proto::v1 as wire;
use ledger_tests::process::NodeProcess;
use ledger_tests::workspace;

use crate::process::{Founded, submit};

/// Entries besides the charter: more than two full tiles.
const RECORDS: u64 = 700;

/// Builds the Go program, from what is installed and nothing else.
fn build(folder: &Path) -> PathBuf {
    let program = folder.join("readlog");
    let mut build = Command::new("go");
    build.args(["build", "-buildvcs=false", "-o"]).arg(&program).arg(".");
    build.current_dir(workspace().join("tests/go/readlog"));
    let offline =
        [("GO111MODULE", "on"), ("GOPROXY", "off"), ("GOTOOLCHAIN", "local"), ("GOFLAGS", "")];
    build.envs(offline);
    if std::env::var_os("GOCACHE").is_none() {
        build.env("GOCACHE", std::env::temp_dir().join("ledger-go-cache"));
    }
    let hint =
        "install the Debian packages golang-go and golang-golang-x-mod-dev, as tests/run does";
    let output = build.output().unwrap_or_else(|error| panic!("cannot run go: {error}\n{hint}"));
    assert!(output.status.success(), "{}\n{hint}", String::from_utf8_lossy(&output.stderr));
    program
}

struct Readlog {
    program: PathBuf,
    vkey: String,
}

impl Readlog {
    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(&self.program);
        command.args(["-vkey", &self.vkey]).args(arguments).output().expect("it was built")
    }

    fn assert_reads(&self, arguments: &[&str], size: u64) {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.starts_with(&format!("ok {size} ")), "{said}");
    }

    fn assert_refuses(&self, arguments: &[&str]) {
        let output = self.run(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
        assert!(stderr.starts_with("error: "), "{stderr}");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in ASCII")
}

#[tokio::test(flavor = "multi_thread")]
async fn another_implementation_reads_the_nodes_log_and_proofs() {
    let founded = Founded::new();
    let folder = founded.folder.path();
    let vkey = founded.consortium.log.verifier().to_string();
    let readlog = Readlog { program: build(folder), vkey };
    let node = NodeProcess::serve(&founded.dir());
    let mut client = node.client().await;

    let mut older = Vec::new();
    let mut proofs = Vec::new();
    // checkpoints on both sides of full tiles
    for (at, until) in [(0, 1), (1, 254), (254, 255), (255, 256), (256, 640), (640, RECORDS)] {
        let records: Vec<_> = (at..until).map(|n| founded.consortium.incident(n)).collect();
        let requests: Vec<wire::SubmitRequest> = records.iter().map(submit).collect();
        let answers = client.submit_stream(tokio_stream::iter(requests)).await.expect("a stream");
        let mut answers = answers.into_inner();
        let mut last = None;
        while let Some(answer) = answers.message().await.expect("an answer") {
            last = Some(answer);
        }
        let Some(wire::submit_stream_response::Outcome::Logged(logged)) =
            last.and_then(|last| last.outcome)
        else {
            panic!("the last record was not logged")
        };
        let checkpoint = client.get_checkpoint(wire::GetCheckpointRequest {}).await;
        let old = folder.join(format!("{until}.checkpoint"));
        fs::write(&old, checkpoint.expect("published").into_inner().checkpoint).expect("writable");
        older.push(old);
        let name = |kind: &str| folder.join(format!("{until}.{kind}"));
        let (proof, record) = (name("tlog-proof"), name("record"));
        fs::write(&proof, logged.proof).expect("writable");
        fs::write(&record, records.last().expect("some").as_bytes()).expect("writable");
        proofs.push((proof, record));
    }
    let size = RECORDS + 1;
    let site = founded.dir().join("site");
    readlog.assert_reads(&[text(&site)], size);
    readlog.assert_reads(&[&node.http], size);
    let mut arguments = Vec::new();
    older.iter().for_each(|old| arguments.extend(["-old", text(old)]));
    arguments.push(text(&site));
    readlog.assert_reads(&arguments, size);
    for (proof, record) in &proofs {
        let own = ["-proof", text(proof), "-record", text(record)];
        assert!(readlog.run(&own).status.success());
        let mut both = own.to_vec();
        both.push(&node.http);
        readlog.assert_reads(&both, size);
    }

    let [(proof, _), (_, another), ..] = proofs.as_slice() else { panic!("some proofs") };
    readlog.assert_refuses(&["-proof", text(proof), "-record", text(another)]);
    drop(client);
    assert_eq!(node.terminate(), (Some(0), String::new()));
    for file in ["tile/entries/000", "tile/0/001", "tile/1/000.p/2", "tile/entries/002.p/189"] {
        let path = site.join(file);
        let whole = fs::read(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
        let mut flipped = whole.clone();
        flipped[40] ^= 1;
        fs::write(&path, flipped).expect("writable");
        readlog.assert_refuses(&[text(&site)]);
        fs::write(&path, whole).expect("writable");
    }
    readlog.assert_reads(&[text(&site)], size);
    let stranger = ledger_tests::key(
        founded.consortium.log.verifier().name().as_str(),
        ledger_core::note::Algorithm::Ed25519,
        77,
    );
    let stranger = Readlog { vkey: stranger.verifier().to_string(), ..readlog };
    stranger.assert_refuses(&[text(&site)]);
}
