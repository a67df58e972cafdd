//! A real `ledger-node` process: started, asked, killed by its own process id.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use ledger_proto::v1::ledger_client::LedgerClient;
use tonic::transport::Channel;

use crate::network::Network;
use crate::workspace;

/// The folder of built programs to run instead of building them: a benchmark then measures those,
/// and no compiler runs beside it.
pub const PROGRAMS: &str = "LEDGER_PROGRAMS";

/// A program of the workspace: from the folder that [`PROGRAMS`] names, or else built in the profile
/// of the tests.
///
/// # Panics
/// If it cannot be built.
pub fn program(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    if let Some(folder) = std::env::var_os(PROGRAMS) {
        return Path::new(&folder).join(name);
    }
    // cargo builds no other package's programs for a test; the flags are those of tests/run, so
    // that what it has built is used as it is
    BUILT.get_or_init(|| {
        let mut build = Command::new(env!("CARGO"));
        build.current_dir(workspace()).args(["build", "--locked", "--quiet"]);
        build.args(["--workspace", "--all-features", "--bins", "--tests"]);
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        // what describes this test's package: build scripts that look at it would run again
        let described = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];
        for (name, _) in std::env::vars() {
            if described.iter().any(|prefix| name.starts_with(prefix)) {
                build.env_remove(name);
            }
        }
        assert!(build.status().expect("cargo runs").success(), "the programs build");
    });
    // target/<profile>/deps/<test> -> target/<profile>/<program>
    let test = std::env::current_exe().expect("a running test");
    let profile = test.ancestors().find(|at| at.join(name).is_file());
    profile.expect("the program lies beside the tests").join(name)
}

/// A node that serves a log; killed when dropped.
#[derive(Debug)]
pub struct NodeProcess {
    child: Child,
    /// The address of gRPC, as a URL.
    pub grpc: String,
    /// The address of HTTP, as a URL.
    pub http: String,
}

impl NodeProcess {
    /// Serves the log in `dir` on free ports of the loopback.
    ///
    /// # Panics
    /// If the node does not start.
    pub fn serve(dir: &Path) -> NodeProcess {
        match NodeProcess::try_serve(dir) {
            Ok(node) => node,
            Err(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        }
    }

    /// As [`NodeProcess::serve`], with these variables in its environment.
    ///
    /// # Panics
    /// If the node does not start.
    pub fn serve_in(dir: &Path, environment: &[(String, String)]) -> NodeProcess {
        let mut command = serve_command(dir);
        command.envs(environment.iter().cloned());
        match NodeProcess::start(command) {
            Ok(node) => node,
            Err(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        }
    }

    /// As [`NodeProcess::serve`], with gRPC on this port.
    ///
    /// # Panics
    /// If the node does not start.
    pub fn serve_at(dir: &Path, grpc: u16) -> NodeProcess {
        match NodeProcess::start(serve_command_at(dir, grpc)) {
            Ok(node) => node,
            Err(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        }
    }

    /// As [`NodeProcess::serve`], on a host of a network.
    ///
    /// # Panics
    /// If the node does not start.
    pub fn serve_on(network: &Network, host: usize, dir: &Path) -> NodeProcess {
        NodeProcess::serve_on_with(network, host, dir, &[])
    }

    /// As [`NodeProcess::serve_on`], with more arguments.
    ///
    /// # Panics
    /// If the node does not start.
    pub fn serve_on_with(
        network: &Network,
        host: usize,
        dir: &Path,
        arguments: &[&str],
    ) -> NodeProcess {
        let program = network.command(host, "ledger-node");
        let mut command = serve_by(program, dir, network.grpc(host), network.http(host));
        command.arg("--plain").args(arguments);
        match NodeProcess::start(command) {
            Ok(node) => node,
            Err(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        }
    }

    /// Stops the process in its tracks, or lets it go on: to all others it is cut off and back.
    ///
    /// # Panics
    /// If it has gone.
    pub fn freeze(&self, frozen: bool) {
        let signal = if frozen { "-STOP" } else { "-CONT" };
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status().expect("kill runs");
        assert!(sent.success());
    }

    /// As [`NodeProcess::serve`], or what the node said when it ended instead.
    ///
    /// # Errors
    /// The output of a node that did not start.
    ///
    /// # Panics
    /// If the program cannot be run.
    pub fn try_serve(dir: &Path) -> Result<NodeProcess, Output> {
        NodeProcess::start(serve_command(dir))
    }

    fn start(mut command: Command) -> Result<NodeProcess, Output> {
        let mut child = command.spawn().expect("the program runs");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("a pipe");
        if line.is_empty() {
            return Err(child.wait_with_output().expect("it has ended"));
        }
        let ready: serde_json::Value = serde_json::from_str(&line).expect("one JSON object");
        let url = |name: &str| ready[name].as_str().expect("an address").to_owned();
        Ok(NodeProcess { child, grpc: url("grpc"), http: url("http") })
    }

    /// Starts a node and kills it at a moment of its start, or right after. Says whether it had
    /// come as far as to serve.
    ///
    /// # Panics
    /// If the program cannot be run, or ends by itself.
    pub fn kill_while_starting(dir: &Path, moment: Duration) -> bool {
        let mut child = serve_command(dir).spawn().expect("the program runs");
        let stdout = child.stdout.take().expect("piped");
        let (ready, serves) = channel();
        let reader = std::thread::spawn(move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).expect("a pipe");
            // whoever waited may have gone
            let _ = ready.send(!line.is_empty());
        });
        let served = match serves.recv_timeout(moment) {
            Ok(served) => served,
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => panic!("the reader ended"),
        };
        let ended = child.try_wait().expect("it is ours");
        child.kill().expect("it is ours");
        let output = child.wait_with_output().expect("it is ours");
        reader.join().expect("no panic");
        assert_eq!(ended, None, "{}", String::from_utf8_lossy(&output.stderr));
        served
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// A client of the node.
    ///
    /// # Panics
    /// If it cannot connect.
    pub async fn client(&self) -> LedgerClient<Channel> {
        LedgerClient::connect(self.grpc.clone()).await.expect("the node listens")
    }

    /// Kills the process as a power cut would, as far as a process can be.
    ///
    /// # Panics
    /// If it has gone already.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it is ours");
    }

    /// Asks the node to stop, and returns its exit code and what it wrote to standard error.
    ///
    /// # Panics
    /// If it cannot be asked.
    pub fn terminate(mut self) -> (Option<i32>, String) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().expect("kill runs");
        assert!(sent.success());
        let status = self.child.wait().expect("it is ours");
        let mut stderr = String::new();
        let mut pipe = self.child.stderr.take().expect("piped");
        pipe.read_to_string(&mut stderr).expect("text");
        (status.code(), stderr)
    }
}

fn serve_command(dir: &Path) -> Command {
    serve_command_at(dir, 0)
}

fn serve_command_at(dir: &Path, grpc: u16) -> Command {
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    serve_by(Command::new(program("ledger-node")), dir, at(grpc), at(0))
}

fn serve_by(mut command: Command, dir: &Path, grpc: SocketAddr, http: SocketAddr) -> Command {
    command.arg("--json").arg("serve").arg("--dir").arg(dir);
    command.args(["--grpc", &grpc.to_string(), "--http", &http.to_string()]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program to its end.
///
/// # Panics
/// If it cannot be run.
pub fn run(name: &str, arguments: &[&std::ffi::OsStr]) -> Output {
    Command::new(program(name)).args(arguments).output().expect("the program runs")
}
