//! Compiles the interface with protox, so that no user has to install protoc.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;

use prost::Message as _;

/// `TYPE_MESSAGE` of a field's descriptor.
const MESSAGE: i32 = 11;

fn main() -> Result<(), Box<dyn Error>> {
    let files = [
        "ledger/v1/ledger.proto",
        "ledger/v1/mirror.proto",
        "ledger/v1/witness.proto",
        "ledger/v1/gossip.proto",
    ];
    for file in files {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files, ["."])?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    std::fs::write(out.join("ledger_v1.bin"), descriptors.encode_to_vec())?;
    // `src/bounded.rs` counts the fields of messages by these
    let methods = descriptors.file.iter().flat_map(|file| &file.service);
    let requests: BTreeSet<String> = methods
        .flat_map(|service| &service.method)
        .map(|method| name_of(method.input_type()))
        .collect();
    let mut shapes = String::new();
    for message in descriptors.file.iter().flat_map(|file| &file.message_type) {
        if !message.nested_type.is_empty() {
            return Err(
                format!("{} holds the definition of another message", message.name()).into()
            );
        }
        let is_request = requests.contains(message.name());
        let inner = message.field.iter().filter(|field| field.r#type == Some(MESSAGE));
        let inner = inner.map(|field| {
            let name = name_of(field.type_name());
            format!("({}, <crate::v1::{name} as crate::Shaped>::SHAPE),", field.number())
        });
        let (name, inner) = (message.name(), inner.collect::<String>());
        writeln!(
            shapes,
            "impl crate::Shaped for crate::v1::{name} {{ const SHAPE: &'static crate::Shape = \
             &crate::Shape {{ is_request: {is_request}, inner: &[{inner}] }}; }}"
        )?;
    }
    std::fs::write(out.join("shapes.rs"), shapes)?;
    tonic_prost_build::configure()
        .bytes(".")
        .codec_path("crate::BoundedCodec")
        .compile_fds(descriptors)?;
    Ok(())
}

/// A message's name without that of the package.
fn name_of(full: &str) -> String {
    full.rsplit('.').next().unwrap_or(full).to_owned()
}
