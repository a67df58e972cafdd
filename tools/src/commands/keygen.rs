//! `ledger keygen`: makes a key, or prints the public half of an existing one.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use ledger_core::note::{Algorithm, KeyName, ParseKeyError, SignerKey};
use serde_json::json;

use crate::environment;
use crate::failure::Failure;
use crate::keys;
use crate::output::{Outcome, Output};

const EXAMPLE: &str = "\
Example: a key with which the member safety-lab.example signs records
  ledger keygen safety-lab.example/publishing --out publishing.key
Example: print the vkey of an existing key file
  ledger keygen --show publishing.key";

/// Make a key and print its vkey, the public half; or print the vkey of an existing key
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// The key's name: a member's name or MEMBER/LABEL; for a log its origin
    #[arg(required_unless_present = "show")]
    name: Option<String>,
    /// Where to write the secret key, with mode 0600; never overwritten
    #[arg(long, value_name = "FILE", required_unless_present = "show")]
    out: Option<PathBuf>,
    /// Make no key: print the vkey of this key file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "out", "usage", "alg"])]
    show: Option<PathBuf>,
    /// What the key signs
    #[arg(long = "use", value_enum, default_value_t = Use::Record)]
    usage: Use,
    /// The signature algorithm; ml-dsa-44 (post-quantum) is for witnesses and mirrors
    #[arg(long, value_enum, default_value_t = Alg::Ed25519)]
    alg: Alg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Use {
    Record,
    Log,
    Witness,
    Mirror,
    Node,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Alg {
    Ed25519,
    #[value(name = "ml-dsa-44")]
    MlDsa44,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] for a bad name, an algorithm that this build lacks, a file that exists already, or
/// one that holds no key.
pub fn run(args: &Args, out: &Output) -> Result<Outcome, Failure> {
    match (&args.show, &args.name, &args.out) {
        (Some(file), _, _) => print(&keys::read(file)?, file, out),
        (None, Some(name), Some(file)) => make(name, file, args, out),
        _ => Err(Failure::usage("no key was named", "give NAME and --out FILE, or --show FILE")),
    }
}

fn make(name: &str, file: &Path, args: &Args, out: &Output) -> Result<Outcome, Failure> {
    let name = KeyName::new(name).map_err(|e| {
        Failure::usage(e.to_string(), "names look like safety-lab.example/publishing")
    })?;
    let (algorithm, next) = match args.usage {
        Use::Record => (Algorithm::Ed25519, "give the vkey to the member that writes the charter"),
        Use::Log => (
            Algorithm::Ed25519,
            "ledger charter new --log VKEY --consortium NAME --issuer NAME --member NAME=VKEY:ROLE...",
        ),
        Use::Node => (Algorithm::Ed25519, "name the file in the node's config.toml"),
        Use::Witness | Use::Mirror => (Algorithm::CosignatureV1, "list the vkey in policies"),
    };
    let algorithm = match args.alg {
        Alg::Ed25519 => algorithm,
        Alg::MlDsa44 if algorithm.is_cosigner() => Algorithm::MlDsa44,
        Alg::MlDsa44 => {
            return Err(Failure::usage(
                "ml-dsa-44 keys cosign checkpoints and sign nothing else",
                "give --use witness or --use mirror with it, or leave --alg out",
            ));
        }
    };
    let key =
        SignerKey::from_seed(name, algorithm, environment::random()?).map_err(|e| match e {
            ParseKeyError::UnsupportedType(_) => Failure::usage(
                "this program was built without ml-dsa-44",
                "leave --alg out for an Ed25519 key, which every C2SP tool accepts",
            ),
            e => Failure::environment(e.to_string(), "run the command again"),
        })?;
    keys::write(file, &key)?;
    let made = print(&key, file, out)?;
    out.note(format!("the secret key is in {}: keep it private, and back it up", file.display()));
    out.note(format!("next: {next}"));
    Ok(made)
}

/// Prints the public half of a key.
fn print(key: &SignerKey, file: &Path, out: &Output) -> Result<Outcome, Failure> {
    let vkey = key.verifier().to_string();
    out.data(format!("{vkey}\n").as_bytes())?;
    let file = file.display().to_string();
    Ok(Outcome::done(
        json!({ "vkey": vkey, "key_id": key.verifier().id().to_string(), "file": file }),
    ))
}
