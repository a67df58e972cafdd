//! Machines on a network that a test takes apart: network namespaces with links between them, or,
//! where the system gives none, the loopback.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use crate::process::program;

/// The ports of nodes that have a machine to themselves.
const GRPC: u16 = 7780;
const HTTP: u16 = 7781;

/// The switch that all hosts are plugged into, and the one for those that are cut off.
const SWITCH: &str = "switch";
const OTHER_SWITCH: &str = "aside";

/// Hosts with an address each. What they are made of ends with the value, and with the process.
#[derive(Debug)]
pub struct Network {
    ground: Ground,
    /// Where the nodes of the hosts listen: gRPC, then HTTP.
    listen: Vec<(SocketAddr, SocketAddr)>,
}

#[derive(Debug)]
enum Ground {
    Namespaces {
        // hosts go before what they are plugged into
        hosts: Vec<Namespace>,
        switches: Namespace,
    },
    Loopback,
}

impl Network {
    /// So many hosts in network namespaces of their own. Where that is not allowed, or programs for
    /// it are missing, they are on the loopback, and standard error says so.
    ///
    /// # Panics
    /// If there is no free port on the loopback.
    pub fn of(hosts: u8) -> Network {
        Network::namespaces(hosts).unwrap_or_else(|why| {
            eprintln!("no network namespaces: {why}");
            eprintln!("on the loopback instead, with frozen processes for links that are cut");
            Network::loopback(hosts)
        })
    }

    /// So many hosts on the loopback.
    ///
    /// # Panics
    /// If there is no free port.
    pub fn loopback(hosts: u8) -> Network {
        let free = || TcpListener::bind("127.0.0.1:0").expect("a free port");
        let held: Vec<_> = (0..hosts).map(|_| (free(), free())).collect();
        let at = |port: &TcpListener| port.local_addr().expect("it is bound");
        let listen = held.iter().map(|(grpc, http)| (at(grpc), at(http))).collect();
        Network { ground: Ground::Loopback, listen }
    }

    /// So many hosts in network namespaces, without root where the system allows it.
    ///
    /// # Errors
    /// What did not work.
    ///
    /// # Panics
    /// If something other than the system's rules goes wrong.
    pub fn namespaces(hosts: u8) -> Result<Network, String> {
        // a user namespace makes anybody the root of networks of its own
        let switches = Namespace::open(&["--user", "--map-root-user", "--net"], None)
            .or_else(|_| Namespace::open(&["--net"], None))?;
        for name in [SWITCH, OTHER_SWITCH] {
            switches.ip(&format!("link add {name} type bridge"))?;
            switches.ip(&format!("link set {name} up"))?;
        }
        let mut network =
            Network { ground: Ground::Namespaces { hosts: Vec::new(), switches }, listen: vec![] };
        for n in 0..hosts {
            network.plug_in(n)?;
        }
        Ok(network)
    }

    fn plug_in(&mut self, n: u8) -> Result<(), String> {
        let Ground::Namespaces { hosts, switches } = &mut self.ground else { return Ok(()) };
        let host = Namespace::open(&["--net"], Some(switches))?;
        let (id, address) = (host.id(), Ipv4Addr::new(10, 77, 0, n + 1));
        switches.ip(&format!("link add host{n} type veth peer name eth0 netns {id}"))?;
        switches.ip(&format!("link set host{n} master {SWITCH} up"))?;
        host.ip(&format!("addr add {address}/24 dev eth0"))?;
        host.ip("link set eth0 up")?;
        host.ip("link set lo up")?;
        hosts.push(host);
        self.listen.push(((address, GRPC).into(), (address, HTTP).into()));
        Ok(())
    }

    /// Whether links can be cut. On the loopback they cannot: freeze the processes.
    pub fn has_links(&self) -> bool {
        matches!(self.ground, Ground::Namespaces { .. })
    }

    /// Where the node of a host listens for gRPC.
    pub fn grpc(&self, host: usize) -> SocketAddr {
        self.listen[host].0
    }

    /// Where the node of a host listens for HTTP.
    pub fn http(&self, host: usize) -> SocketAddr {
        self.listen[host].1
    }

    /// A program of the workspace, to be run on a host.
    pub fn command(&self, host: usize, name: &str) -> Command {
        match &self.ground {
            Ground::Namespaces { hosts, .. } => {
                let mut command = hosts[host].enter();
                // the namespace lives as long as a process in it: none outlives the test
                command.args(["setpriv", "--pdeathsig", "KILL"]).arg(program(name));
                command
            }
            Ground::Loopback => Command::new(program(name)),
        }
    }

    /// Takes these hosts off the switch; they reach each other and nobody else. Without links it
    /// does nothing.
    ///
    /// # Panics
    /// If it cannot be done.
    pub fn cut_off(&self, hosts: &[usize]) {
        self.plug(hosts, OTHER_SWITCH);
    }

    /// Brings these hosts back.
    ///
    /// # Panics
    /// If it cannot be done.
    pub fn heal(&self, hosts: &[usize]) {
        self.plug(hosts, SWITCH);
    }

    fn plug(&self, hosts: &[usize], switch: &str) {
        let Ground::Namespaces { switches, .. } = &self.ground else { return };
        for n in hosts {
            switches.ip(&format!("link set host{n} master {switch}")).expect("it is our link");
        }
    }
}

/// A network namespace: it is there as long as a process in it, which waits for the end of its
/// input.
#[derive(Debug)]
struct Namespace {
    holder: Child,
    /// Whether it belongs to a user namespace of its own.
    rootless: bool,
}

impl Namespace {
    /// A new one; with the user of another, if there is one.
    fn open(unshare: &[&str], within: Option<&Namespace>) -> Result<Namespace, String> {
        let mut command = within.map_or_else(
            || Command::new("unshare"),
            |outer| {
                let mut command = outer.enter();
                command.arg("unshare");
                command
            },
        );
        command.args(unshare).args(["sh", "-c", "echo ready && exec cat"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let holder = command.spawn().map_err(|error| format!("unshare: {error}"))?;
        let rootless = unshare.contains(&"--user") || within.is_some_and(|outer| outer.rootless);
        let mut namespace = Namespace { holder, rootless };
        let mut line = String::new();
        let stdout = namespace.holder.stdout.as_mut().expect("piped");
        BufReader::new(stdout).read_line(&mut line).map_err(|error| error.to_string())?;
        if line == "ready\n" {
            return Ok(namespace);
        }
        let stderr = namespace.holder.stderr.take().expect("piped");
        let said: Vec<String> = BufReader::new(stderr).lines().map_while(Result::ok).collect();
        Err(said.join("; "))
    }

    fn id(&self) -> u32 {
        self.holder.id()
    }

    /// Runs what is appended in it, under its own process id.
    fn enter(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.id().to_string(), "--net"]);
        if self.rootless {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg("--");
        command
    }

    fn ip(&self, arguments: &str) -> Result<(), String> {
        let output = self.enter().arg("ip").args(arguments.split(' ')).output();
        let output = output.map_err(|error| format!("nsenter: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("ip {arguments}: {}", said.trim_end()))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
