//! A node in this process, founded in a folder, which can be stopped and started.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ledger_core::record::{Draft, Record, format_time};
use ledger_node::{Founding, Overrides, RunningNode, StartError};

use super::{charter, log_key, member_key, write_key};

pub struct Served {
    home: PathBuf,
    runtime: tokio::runtime::Runtime,
    node: Option<RunningNode>,
    pub grpc: String,
    pub http: String,
    pub anchor: String,
}

/// The charter of the tests, written now: a node judges times by its clock.
pub fn fresh_charter() -> Record {
    let now = ledger_tools::environment::now();
    let object = charter().body().clone().with("issued_at", format_time(now));
    Draft::from_object(&object).unwrap().sign(&[&member_key()]).unwrap()
}

impl Served {
    /// Founds a log in `dir/node`, its key in `dir/log.key`, and serves it.
    pub fn found(dir: &Path, charter: &Record) -> Served {
        let log = write_key(dir, "log.key", &log_key());
        let home = dir.join("node");
        let founding = Founding {
            dir: &home,
            charter: charter.as_bytes(),
            log_key: Path::new(&log),
            witness_keys: &[],
            witness_urls: &BTreeMap::new(),
        };
        let anchor = ledger_node::init(&founding).unwrap().anchor.to_string();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let (grpc, http) = Default::default();
        let mut served = Served { home, runtime, node: None, grpc, http, anchor };
        served.start().unwrap();
        served
    }

    pub fn start(&mut self) -> Result<(), StartError> {
        let any = Some("127.0.0.1:0".parse().unwrap());
        let overrides = Overrides { grpc: any, http: any, ..Overrides::default() };
        let node = self.runtime.block_on(RunningNode::start(&self.home, overrides))?;
        self.grpc = format!("http://{}", node.grpc_addr());
        self.http = format!("http://{}", node.http_addr());
        self.node = Some(node);
        Ok(())
    }

    pub fn stop(&mut self) {
        if let Some(node) = self.node.take() {
            self.runtime.block_on(node.shutdown()).unwrap();
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop();
    }
}
