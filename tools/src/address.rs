//! Checks the node addresses in records before they are signed. A record is permanent, and so is a
//! typo in it.

use ledger_core::record::{Object, Value};
use ledger_node::transport::grpc_url;

use crate::output::Output;

/// Whether other nodes can use this address: a gRPC address with a port.
pub fn is_of_node(address: &str) -> bool {
    let rest = address.split_once("://").map_or("", |(_, rest)| rest).trim_end_matches('/');
    let port = rest.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    grpc_url(address).is_some() && port.is_some()
}

/// Warns about addresses in a charter or membership record that other nodes cannot use.
pub fn warn_of_strange(body: &Object, out: &Output) {
    let lists = ["members", "changes"].into_iter().filter_map(|name| body.get(name)?.as_list());
    let nodes = lists.flatten().filter_map(Value::as_object).filter_map(|item| item.text("node"));
    for address in nodes.filter(|address| !is_of_node(address)) {
        out.warn(format!(
            "`node` is \"{address}\": other nodes expect a gRPC address, grpcs://HOST:PORT"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_a_node_says_scheme_and_port() {
        for (address, is_one) in [
            ("grpcs://lab.example:7780", true),
            ("grpc://127.0.0.1:7780", true),
            ("https://lab.example:443/", true),
            ("grpcs://[::1]:7780", true),
            ("grpcs://lab.example", false),
            ("grpcs://[::1]", false),
            ("https://lab.example/", false),
            ("ftp://lab.example:21", false),
            ("lab.example:7780", false),
        ] {
            assert_eq!(is_of_node(address), is_one, "{address}");
        }
    }
}
