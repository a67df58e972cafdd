//! Proxies that the environment names: no program uses them.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ledger_tests::process::{NodeProcess, program};
use ledger_tests::{witness::TestWitness, workspace};

use crate::witnesses::{Witnessed, policy_text};

/// A proxy that counts connections, and answers nothing.
struct Proxy {
    url: String,
    connections: Arc<AtomicU64>,
}

impl Proxy {
    fn start() -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let connections = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&connections);
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                drop(connection);
                counted.fetch_add(1, Ordering::SeqCst);
            }
        });
        Proxy { url, connections }
    }

    fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }

    /// What names it in an environment, in all the ways that programs know.
    fn environment(&self) -> Vec<(String, String)> {
        let names = ["http_proxy", "https_proxy", "all_proxy"].into_iter();
        let both = names.flat_map(|name| [name.to_owned(), name.to_uppercase()]);
        let proxy = both.map(|name| (name, self.url.clone()));
        // a program that reads these must find no address that is excepted
        let exceptions = ["no_proxy", "NO_PROXY"].map(|name| (name.to_owned(), String::new()));
        proxy.chain(exceptions).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_the_environment_names_sees_nothing_of_a_node_or_of_its_readers() {
    let proxy = Proxy::start();
    let log = Witnessed::found().await;
    let node = NodeProcess::serve_in(&log.dir(), &proxy.environment());
    let mut client = node.client().await;
    // the witnesses are asked over HTTP, and the quorum is theirs
    for n in 0..3 {
        log.log(&mut client, n).await;
    }
    assert!(log.witnesses.iter().map(TestWitness::cosigned).sum::<u64>() >= 6);

    let policy = log.dir().with_file_name("policy");
    let text = policy_text(log.consortium.log.verifier(), &log.witnesses);
    std::fs::write(&policy, text).expect("a writable folder");
    let policy = policy.to_str().expect("text").to_owned();
    let (http, grpc, environment) = (node.http.clone(), node.grpc.clone(), proxy.environment());
    let read = tokio::task::spawn_blocking(move || {
        for (exit, arguments) in [
            (0, &["audit", &http, "--policy", &policy][..]),
            (0, &["register", "members", &http, "--policy", &policy]),
            (0, &["prove", "--index", "1", "--from", &http, "--policy", &policy]),
            (0, &["prove", "--index", "1", "--node", &grpc, "--policy", &policy]),
            (0, &["witness", "status", "--node", &grpc]),
            // a host that only a proxy could find: its name leaves this machine by no other way
            (3, &["audit", "http://log.invalid", "--policy", &policy]),
            (3, &["audit", "https://log.invalid", "--policy", &policy]),
        ] {
            let mut command = Command::new(program("ledger"));
            command.args(arguments).envs(environment.iter().cloned());
            let output = command.output().expect("it runs");
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {said}");
        }
    });
    read.await.expect("all was read");
    drop(client);
    assert_eq!(node.terminate().0, Some(0));
    assert_eq!(proxy.connections(), 0, "nothing went through the proxy");

    // and it would have counted
    let through = ureq::Agent::config_builder()
        .proxy(Some(ureq::Proxy::new(&proxy.url).expect("a URL")))
        .build();
    let asked = ureq::Agent::from(through).get("http://log.invalid/checkpoint").call();
    assert!(asked.is_err() && proxy.connections() > 0, "{asked:?}");
}

/// The source files below a folder.
fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in folder.read_dir().expect("a folder of the workspace") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = std::fs::read_to_string(&path).expect("text");
            found.push((path.display().to_string(), text));
        }
    }
}

#[test]
fn every_http_client_of_the_programs_is_made_where_no_proxy_is_used() {
    let mut found = Vec::new();
    for folder in ["ledger-node/src", "tools/src", "ledger-core/src", "proto/src"] {
        sources(&workspace().join(folder), &mut found);
    }
    assert!(found.len() > 200, "{} source files", found.len());
    let makes = |text: &str| {
        ["Agent::config_builder", "Agent::new", "ureq::get", "ureq::post", "ureq::request"]
            .iter()
            .any(|way| text.contains(way))
    };
    let makers: Vec<&str> =
        found.iter().filter(|(_, text)| makes(text)).map(|(path, _)| path.as_str()).collect();
    assert_eq!(makers.len(), 1, "{makers:?}");
    assert!(makers[0].ends_with("transport/dial.rs"), "{makers:?}");
    let dial = found.iter().find(|(path, _)| path == makers[0]).expect("it was found");
    assert_eq!(dial.1.matches("Agent::config_builder").count(), 1);
    assert!(dial.1.contains(".proxy(None)"));
}
