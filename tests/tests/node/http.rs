//! The HTTP port: what tlog-tiles asks for, and what it must not do, whatever is sent to it.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::tile::TileCoord;
use ledger_tests::process::NodeProcess;
use ledger_tests::random::Random;

use crate::process::{Founded, submit};

/// A node that does not answer by then has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Entries besides the charter: one full tile and a partial one.
const RECORDS: u64 = 299;

struct Answer {
    status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }
}

fn connect(url: &str) -> TcpStream {
    let socket = TcpStream::connect(url.strip_prefix("http://").expect("a URL")).expect("listens");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    socket
}

/// Sends a request as it stands: no client library tidies the path.
fn ask(url: &str, method: &str, path: &str, headers: &str) -> Answer {
    let mut socket = connect(url);
    let request =
        format!("{method} {path} HTTP/1.1\r\nhost: node\r\nconnection: close\r\n{headers}\r\n");
    socket.write_all(request.as_bytes()).expect("it reads");
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).expect("it answers");
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Answer {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("headers");
    let head = std::str::from_utf8(&bytes[..end]).expect("text");
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
    let header = |line: &str| {
        let (name, value) = line.split_once(':').expect("a header");
        (name.to_ascii_lowercase(), value.trim().to_owned())
    };
    let headers: Vec<_> = lines.map(header).collect();
    let body = &bytes[end + 4..];
    let chunked =
        headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let body = if chunked { unchunk(body) } else { body.to_vec() };
    Answer { status: status.parse().expect("a number"), headers, body }
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").expect("a chunk's length");
        let length = std::str::from_utf8(&rest[..end]).expect("hex");
        let length = usize::from_str_radix(length, 16).expect("hex");
        if length == 0 {
            return body;
        }
        body.extend(&rest[end + 2..end + 2 + length]);
        rest = &rest[end + 2 + length + 2..];
    }
}

async fn node_with_entries(founded: &Founded) -> NodeProcess {
    let node = NodeProcess::serve(&founded.dir());
    let mut client = node.client().await;
    let requests: Vec<_> = (0..RECORDS).map(|n| submit(&founded.consortium.incident(n))).collect();
    let answers = client.submit_stream(tokio_stream::iter(requests)).await.expect("a stream");
    let mut answers = answers.into_inner();
    while answers.message().await.expect("no error").is_some() {}
    node
}

/// Every file of the published tree is served as it stands on the disk.
fn assert_whole(node: &NodeProcess, founded: &Founded) {
    let answer = ask(&node.http, "GET", "/checkpoint", "");
    let claimed = ClaimedCheckpoint::parse(&answer.body).expect("a checkpoint");
    let key = founded.consortium.log.verifier().clone();
    let size = claimed.verify(&[key]).expect("signed").head().size;
    assert!(size.get() > RECORDS);
    for coord in TileCoord::all_in_tree(size) {
        let answer = ask(&node.http, "GET", &format!("/{coord}"), "");
        assert_eq!(answer.status, 200, "{coord}");
        let file = founded.dir().join("site").join(coord.to_string());
        assert_eq!(answer.body, std::fs::read(file).expect("a valid site"), "{coord}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_come_with_the_headers_that_tlog_tiles_asks_for() {
    let founded = Founded::new();
    let node = node_with_entries(&founded).await;
    let headers = |path: &str, more: &str| {
        let answer = ask(&node.http, "GET", path, more);
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{path}");
        let of = |name| answer.header(name).map(str::to_owned);
        (of("content-type"), of("cache-control"), of("content-encoding"))
    };
    let some = |text: &str| Some(text.to_owned());
    let text = some("text/plain; charset=utf-8");
    let octets = some("application/octet-stream");
    let forever = some("public, max-age=31536000, immutable");
    let gzip = "accept-encoding: gzip\r\n";
    assert_eq!(headers("/checkpoint", ""), (text.clone(), some("no-cache"), None));
    for path in ["/tile/0/000", "/tile/0/001.p/44", "/tile/1/000.p/1"] {
        assert_eq!(headers(path, gzip), (octets.clone(), forever.clone(), None), "{path}");
    }
    for path in ["/tile/entries/000", "/tile/entries/001.p/44"] {
        assert_eq!(headers(path, ""), (octets.clone(), forever.clone(), None), "{path}");
        let zipped = (octets.clone(), forever.clone(), some("gzip"));
        assert_eq!(headers(path, gzip), zipped, "{path}");
    }
    let plain = ask(&node.http, "GET", "/tile/entries/000", "");
    let zipped = ask(&node.http, "GET", "/tile/entries/000", gzip);
    assert!(zipped.body.len() < plain.body.len() / 2);
    assert_eq!(zipped.header("vary").map(str::to_ascii_lowercase), some("accept-encoding"));
    let mut unzipped = Vec::new();
    flate2::read::GzDecoder::new(&*zipped.body).read_to_end(&mut unzipped).expect("gzip");
    assert_eq!(unzipped, plain.body);

    let health = ask(&node.http, "GET", "/healthz", "");
    assert_eq!((health.status, health.text()), (200, "ok\n"));
    for path in ["/checkpoint", "/tile/0/000", "/tile/entries/000", "/healthz"] {
        let (head, get) = (ask(&node.http, "HEAD", path, ""), ask(&node.http, "GET", path, ""));
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        for name in ["content-type", "cache-control", "content-length"] {
            assert_eq!(head.header(name), get.header(name), "{path} {name}");
        }
    }
    let preflight = "origin: https://reader.test\r\naccess-control-request-method: GET\r\n";
    let answer = ask(&node.http, "OPTIONS", "/checkpoint", preflight);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_whole(&node, &founded);
}

/// A browser inside the operator's network asks for the pages that it shows.
#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_sites_read_what_proves_itself_and_nothing_else() {
    let founded = Founded::new();
    let node = node_with_entries(&founded).await;
    let hash = "0".repeat(64);
    let (witnessed, mirrored) =
        (format!("/witness/{hash}/checkpoint"), format!("/mirror/{hash}/checkpoint"));
    let files = ["/checkpoint", "/tile/0/000", "/tile/entries/000", &witnessed, &mirrored];
    let others = [
        "/healthz",
        "/metrics",
        "/witness/add-checkpoint",
        "/schemas/",
        "/schemas/risk.json",
        "/x",
    ];
    let allowed = |path: &str, method: &str, asked: &str| {
        let headers = match asked {
            "" => "origin: https://reader.test\r\n".to_owned(),
            asked => {
                format!("origin: https://reader.test\r\naccess-control-request-method: {asked}\r\n")
            }
        };
        let answer = ask(&node.http, method, path, &headers);
        let of = |name: &str| answer.header(name).map(str::to_owned);
        (of("access-control-allow-origin"), of("access-control-allow-methods"))
    };
    for path in files {
        assert_eq!(allowed(path, "GET", "").0.as_deref(), Some("*"), "{path}");
        for asked in ["GET", "POST", "DELETE"] {
            let (origin, methods) = allowed(path, "OPTIONS", asked);
            assert_eq!(origin.as_deref(), Some("*"), "{path}");
            let methods = methods.expect("the answer to a preflight names methods");
            assert_eq!(methods.to_ascii_uppercase().replace(' ', ""), "GET,HEAD", "{path}");
        }
    }
    for path in others {
        for (method, asked) in [("GET", ""), ("POST", ""), ("OPTIONS", "GET"), ("OPTIONS", "POST")]
        {
            assert_eq!(allowed(path, method, asked), (None, None), "{method} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_paths_and_methods_are_refused_with_a_reason() {
    let founded = Founded::new();
    let node = node_with_entries(&founded).await;
    let no_path = "no such path; see the C2SP tlog-tiles specification\n";
    let no_tile = "not the path of a tile: tile/<level or \"entries\">/<number>[.p/<width>]\n";
    let beyond = "the published tree does not reach this tile\n";
    let long = format!("/tile/0/{}000", "x000/".repeat(1000));
    for (path, message) in [
        ("/", no_path),
        ("/nothing", no_path),
        ("/config.toml", no_path),
        ("/private/LOCK", no_path),
        ("/../private/LOCK", no_path),
        ("/%2e%2e/private/LOCK", no_path),
        ("//checkpoint", no_path),
        ("/checkpoint/", no_path),
        ("/CHECKPOINT", no_path),
        ("/tile", no_path),
        ("/tile/../../private/LOCK", no_tile),
        ("/tile/../checkpoint", no_tile),
        ("/tile/%2e%2e/%2e%2e/config.toml", no_tile),
        ("/tile/..%2f..%2fconfig.toml", no_tile),
        ("/tile/entries/../../checkpoint", no_tile),
        ("/tile/entries/%2e%2e/%2e%2e/checkpoint", no_tile),
        ("/tile/0/000%00", no_tile),
        ("/tile/0", no_tile),
        ("/tile/0/0", no_tile),
        ("/tile/0/00", no_tile),
        ("/tile/0/0000", no_tile),
        ("/tile/00/000", no_tile),
        ("/tile/+0/000", no_tile),
        ("/tile/64/000", no_tile),
        ("/tile/-1/000", no_tile),
        ("/tile/0/x000/000", no_tile),
        ("/tile/0/000/", no_tile),
        ("/tile/0//000", no_tile),
        ("/tile/0/000.p/0", no_tile),
        ("/tile/0/000.p/256", no_tile),
        ("/tile/0/000.p/01", no_tile),
        ("/tile/0/000.p", no_tile),
        ("/tile/data/000", no_tile),
        ("/tile/Entries/000", no_tile),
        ("/tile/entries/000.p/", no_tile),
        ("/tile/0/001", beyond),
        ("/tile/0/001.p/45", beyond),
        ("/tile/0/x999/999", beyond),
        ("/tile/1/000", beyond),
        ("/tile/1/000.p/2", beyond),
        ("/tile/2/000.p/1", beyond),
        ("/tile/entries/001.p/45", beyond),
        ("/tile/entries/x001/000", beyond),
        (&long, no_tile),
    ] {
        let answer = ask(&node.http, "GET", path, "");
        assert_eq!((answer.status, answer.text()), (404, message), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"), "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        for path in ["/checkpoint", "/tile/0/000", "/tile/entries/000", "/healthz"] {
            let answer = ask(&node.http, method, path, "content-length: 0\r\n");
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.header("allow"), Some("GET,HEAD"), "{method} {path}");
        }
    }
    // a reader with an older checkpoint gets its partial tiles: the beginning of the full ones
    for (path, full) in
        [("/tile/0/000.p/7", "/tile/0/000"), ("/tile/entries/000.p/255", "/tile/entries/000")]
    {
        let [part, whole] = [path, full].map(|path| ask(&node.http, "GET", path, ""));
        assert_eq!((part.status, whole.status), (200, 200), "{path}");
        assert!(part.body.len() < whole.body.len() && whole.body.starts_with(&part.body), "{path}");
    }
    assert_whole(&node, &founded);
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_either_port_harms_nobody_else() {
    let mut random = Random::from_environment();
    let founded = Founded::new();
    let node = node_with_entries(&founded).await;
    let noise: Vec<u8> = (0..100_000).map(|_| random.word() as u8).collect();
    let long_path = format!("GET /{} HTTP/1.1\r\nhost: node\r\n\r\n", "a".repeat(1 << 20));
    let headers = "x: y\r\n".repeat(5000);
    let many_headers = format!("GET /checkpoint HTTP/1.1\r\nhost: node\r\n{headers}\r\n");
    let http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let big_frame = [http2.as_slice(), &[0xff; 64]].concat();
    let half = b"GET /checkpoint HTT".as_slice();
    let body = b"GET /checkpoint HTTP/1.1\r\nhost: node\r\ncontent-length: 99999999999\r\n\r\nx";
    let sent: [&[u8]; 8] = [
        b"\r\n\r\n\r\n",
        &noise,
        long_path.as_bytes(),
        many_headers.as_bytes(),
        http2,
        &big_frame,
        half,
        body,
    ];
    // connections that stand half way through a request stay open all the while
    let mut slow = Vec::new();
    for url in [&node.http, &node.grpc] {
        for _ in 0..50 {
            let mut socket = connect(url);
            socket.write_all(half).expect("it reads");
            slow.push(socket);
        }
        for bytes in sent {
            let mut socket = connect(url);
            // the node may have closed the connection before all of it was sent
            let _ = socket.write_all(bytes);
            let _ = socket.shutdown(Shutdown::Write);
            let mut answer = Vec::new();
            let _ = socket.read_to_end(&mut answer);
            assert!(answer.len() < 10_000, "a short answer to nonsense");
        }
    }
    assert_whole(&node, &founded);
    let mut client = node.client().await;
    let next = client.submit(submit(&founded.consortium.incident(5000))).await;
    assert_eq!(next.expect("lawful").into_inner().index, RECORDS + 1);
    // longer than a head may be, whatever part of the head it is that is so long
    assert_eq!(ask(&node.http, "GET", &long_path[4..100_000], "").status, 431);
    drop((client, slow));
    assert_eq!(node.terminate(), (Some(0), String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schemas_of_all_kinds_are_served_as_they_stand_in_the_documentation() {
    let founded = Founded::new();
    let node = NodeProcess::serve(&founded.dir());
    let list = ask(&node.http, "GET", "/schemas/", "");
    assert_eq!((list.status, list.header("content-type")), (200, Some("application/json")));
    let list: serde_json::Value = serde_json::from_str(list.text()).expect("JSON");
    let list = list.as_array().expect("a list");
    assert_eq!(list.len(), ledger_core::record::Kind::ALL.len());
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schemas");
    for entry in list {
        let path = entry["path"].as_str().expect("a path");
        let answer = ask(&node.http, "GET", path, "origin: https://example.org\r\n");
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), Some("application/schema+json"));
        let file = docs.join(format!("{}.json", entry["kind"].as_str().expect("a kind")));
        let documented = std::fs::read_to_string(file).expect("it is documented");
        assert!(answer.text() == documented, "{path}");
        let schema: serde_json::Value = serde_json::from_str(&documented).expect("JSON");
        assert_eq!(schema["$id"], entry["id"]);
    }
    for path in ["/schemas/gossip.json", "/schemas/incident", "/schemas/../incident.json"] {
        assert_eq!(ask(&node.http, "GET", path, "").status, 404, "{path}");
    }
}
