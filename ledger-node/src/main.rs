//! `ledger-node`: makes, serves and rebuilds one log.

use std::fs;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use ledger_core::Hint;
use ledger_core::policy::Tolerance;
use ledger_core::record::StatementId;
use ledger_node::cli::{CertificateArgs, Cli, Command, DirArgs, InitArgs, RecoverArgs, ServeArgs};
use ledger_node::escape::{self, LineMode, escaped};
use ledger_node::logging::EscapedFields;
use ledger_node::publisher::confirm::Consent;
use ledger_node::restore::{LostLog, RestoreError, append, rebuild};
use ledger_node::source::Source;
use ledger_node::transport::{Dialer, SelfSignError, read_authorities, self_sign};
use ledger_node::{Founding, InitError, Overrides, RunningNode, StartError, init, reindex};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Exit codes as all programs of the ledger use them.
const REFUSED: u8 = 1;
const USAGE: u8 = 2;
const ENVIRONMENT: u8 = 3;

/// What went wrong, and what to do about it.
struct ExitError {
    code: u8,
    message: String,
    hint: String,
}

/// How results are printed.
#[derive(Clone, Copy)]
struct Output {
    json: bool,
    quiet: bool,
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => return ended(Err(usage(&error))),
        Err(help) => return ended(help.print().and_then(|()| flush()).map_err(|e| full(&e))),
    };
    let filter = match log_filter() {
        Ok(filter) => filter,
        Err(message) => {
            let hint = "set it to error, warn, info, debug or trace".to_owned();
            let message = format!("LEDGER_LOG: {message}");
            return ended(Err(ExitError { code: USAGE, message, hint }));
        }
    };
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .fmt_fields(EscapedFields)
        .with_ansi(colour)
        .with_writer(std::io::stderr)
        .init();
    let output = Output { json: cli.json, quiet: cli.quiet };
    let done = match cli.command {
        Command::Init(args) => run_init(&args, output),
        Command::Serve(args) => run_serve(args, output),
        Command::Reindex(args) => run_reindex(&args, output),
        Command::Recover(args) => run_recover(&args, output),
        Command::Certificate(args) => run_certificate(&args, output),
    };
    ended(done)
}

/// Says what went wrong, one line each, so that no text of others passes for a line of ours.
fn ended(done: Result<(), ExitError>) -> ExitCode {
    let Err(ExitError { code, message, hint }) = done else { return ExitCode::SUCCESS };
    let mut err = std::io::stderr().lock();
    let _ = writeln!(err, "error: {}", escaped(&message, LineMode::One));
    if !hint.is_empty() {
        let _ = writeln!(err, "hint: {}", escaped(&hint, LineMode::One));
    }
    ExitCode::from(code)
}

/// A usage error in the shape of all others.
fn usage(error: &clap::Error) -> ExitError {
    let text = error.render().to_string();
    let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    let message = lines.join(" ");
    let message = message.strip_prefix("error: ").unwrap_or(&message).to_owned();
    ExitError { code: USAGE, message, hint: "see `ledger-node --help`".to_owned() }
}

/// Output that does not arrive is a failure.
fn full(error: &std::io::Error) -> ExitError {
    ExitError {
        code: ENVIRONMENT,
        message: format!("cannot write to stdout: {error}"),
        hint: "is the disk full?".to_owned(),
    }
}

fn flush() -> std::io::Result<()> {
    std::io::stdout().lock().flush()
}

/// What is logged: `LEDGER_LOG` is a level for this project's own events, or a full filter.
fn log_filter() -> Result<EnvFilter, String> {
    let asked = std::env::var("LEDGER_LOG").unwrap_or_default();
    let level = asked.parse::<tracing::Level>();
    let filter = match (asked.as_str(), level) {
        ("", _) => "warn".to_owned(),
        (_, Ok(level)) => format!("warn,ledger_node={level}"),
        (filter, Err(_)) => filter.to_owned(),
    };
    EnvFilter::try_new(filter).map_err(|e| e.to_string())
}

impl Output {
    /// Prints a result: as one JSON object, or as lines for people.
    fn print(self, json: &serde_json::Value, lines: &[String]) -> Result<(), ExitError> {
        let mut text = String::new();
        if self.json {
            text = escape::json(json) + "\n";
        } else if !self.quiet {
            lines.iter().for_each(|line| text += &(escaped(line, LineMode::One) + "\n"));
        }
        let written = std::io::stdout().lock().write_all(text.as_bytes());
        written.and_then(|()| flush()).map_err(|e| full(&e))
    }
}

fn run_init(args: &InitArgs, output: Output) -> Result<(), ExitError> {
    let charter = fs::read(&args.charter).map_err(|e| ExitError {
        code: ENVIRONMENT,
        message: format!("cannot read {}: {e}", args.charter.display()),
        hint: "give the charter's .record file".into(),
    })?;
    let founding = Founding {
        dir: &args.dir,
        charter: &charter,
        log_key: &args.log_key,
        witness_keys: &args.witness_keys,
        witness_urls: &args.witness_urls.iter().cloned().collect(),
    };
    let report = init(&founding).map_err(|e| {
        let refused = matches!(
            e,
            InitError::Exists(_)
                | InitError::Record(_)
                | InitError::Charter(_)
                | InitError::Origin(_)
                | InitError::KeyNotInCharter(_)
                | InitError::Publisher(_)
        );
        let code = if refused { REFUSED } else { ENVIRONMENT };
        ExitError { code, message: e.to_string(), hint: e.hint().into() }
    })?;
    let origin = report.checkpoint.origin();
    let dir = args.dir.display();
    let policy = describe(report.tolerance.as_ref());
    let mut lines = vec![
        format!("made the log \"{origin}\" in {dir}"),
        format!("anchor: {}", report.anchor),
        format!("policy: {policy}"),
    ];
    if !report.unreachable.is_empty() {
        let names = report.unreachable.join(", ");
        let config = args.dir.join("config.toml");
        let config = config.display();
        lines.push(format!("no address of: {names} (see [witness_urls] in {config})"));
    }
    for name in &report.strangers {
        lines.push(format!(
            "WARNING: no witness of the policy has the name \"{name}\" of --witness-url"
        ));
    }
    if !report.quorum_reachable {
        let text = "these are too many: nothing can be published before they have addresses";
        lines.push(text.to_owned());
    }
    lines.push(format!("next: ledger-node serve --dir {dir}"));
    let json = serde_json::json!({
        "origin": origin.as_str(),
        "dir": dir.to_string(),
        "anchor": report.anchor.to_string(),
        "log_vkey": report.checkpoint.log_key().to_string(),
        "checkpoint": report.checkpoint.claimed().to_string(),
        "policy": report.tolerance.map(|t| serde_json::json!({
            "witnesses": t.witnesses,
            "needed": t.needed,
            "may_be_down": t.may_be_down,
            "may_lie": t.may_lie,
        })),
        "unreachable": report.unreachable,
        "strangers": report.strangers,
        "quorum_reachable": report.quorum_reachable,
    });
    output.print(&json, &lines)
}

fn describe(tolerance: Option<&Tolerance>) -> String {
    let Some(tolerance) = tolerance else {
        return "quorum none: readers trust this log's signature alone".into();
    };
    let Tolerance { witnesses, needed, may_be_down, may_lie } = tolerance;
    let lies = match may_lie {
        Some(may_lie) => format!("{may_lie} may lie"),
        None => "WARNING: two quorums need not share a witness, so a log could show two histories"
            .to_owned(),
    };
    format!("{needed} of {witnesses} witnesses make a quorum; {may_be_down} may be down; {lies}")
}

fn start_failure(error: &StartError) -> ExitError {
    ExitError { code: ENVIRONMENT, message: error.to_string(), hint: error.hint().into() }
}

fn run_reindex(args: &DirArgs, output: Output) -> Result<(), ExitError> {
    let entries = reindex(&args.dir).map_err(|e| start_failure(&e))?;
    let json = serde_json::json!({ "entries": entries });
    output.print(&json, &[format!("indexed {entries} entries")])
}

fn run_recover(args: &RecoverArgs, output: Output) -> Result<(), ExitError> {
    let believed = args.ca.as_deref().map(read_authorities).transpose();
    let believed = believed.map_err(|e| ExitError {
        code: ENVIRONMENT,
        message: e.to_string(),
        hint: e.hint().into(),
    })?;
    let dialer = Dialer::believing(believed.unwrap_or_default());
    let source = Source::open_by(&dialer, &args.from).map_err(|e| ExitError {
        code: ENVIRONMENT,
        message: e.to_string(),
        hint: e.hint().into(),
    })?;
    let done = match (&args.log_key, &args.anchor) {
        (Some(log_key), Some(anchor)) => {
            let anchor = StatementId::from_hex(anchor).map_err(|e| ExitError {
                code: USAGE,
                message: format!("--anchor is {e}"),
                hint: "give the charter's statement id, as `ledger-node init` printed it".into(),
            })?;
            rebuild(&LostLog { dir: &args.dir, from: &source, log_key, anchor })
        }
        _ => append(&args.dir, &source),
    };
    let done = done.map_err(|e| {
        let refused = matches!(
            e,
            RestoreError::OtherHistory(_)
                | RestoreError::OtherLog(_)
                | RestoreError::NotSigned(_)
                | RestoreError::Entry(..)
                | RestoreError::Replay(_)
                | RestoreError::Exists(_)
                | RestoreError::OtherAnchor { .. }
                | RestoreError::KeyNotInCharter(_)
        );
        let code = if refused { REFUSED } else { ENVIRONMENT };
        ExitError { code, message: e.to_string(), hint: e.hint().into() }
    })?;
    let (had, has) = (done.had.get(), done.has.get());
    let text = if had == has {
        format!("nothing is missing: the log has {has} entries, and the copy no more")
    } else {
        format!("brought back entries {had} to {}, all proven to be this log's own", has - 1)
    };
    output.print(&serde_json::json!({ "had": had, "has": has }), &[text])
}

fn run_certificate(args: &CertificateArgs, output: Output) -> Result<(), ExitError> {
    let CertificateArgs { names, certificate, key } = args;
    self_sign(names, certificate, key).map_err(|e| {
        let code = if matches!(e, SelfSignError::Name(_)) { USAGE } else { ENVIRONMENT };
        ExitError { code, message: e.to_string(), hint: e.hint().into() }
    })?;
    let lines = [
        format!("made {} for {}", certificate.display(), names.join(", ")),
        format!("its key is {}: keep it to yourself", key.display()),
    ];
    let json = serde_json::json!({
        "certificate": certificate.display().to_string(),
        "key": key.display().to_string(),
    });
    output.print(&json, &lines)
}

fn run_serve(args: ServeArgs, output: Output) -> Result<(), ExitError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|e| ExitError {
        code: ENVIRONMENT,
        message: format!("cannot start: {e}"),
        hint: "the system may be out of threads or memory".into(),
    })?;
    runtime.block_on(serve(args, output))
}

async fn serve(args: ServeArgs, output: Output) -> Result<(), ExitError> {
    let consent = Consent {
        without: args.without_witnesses.into_iter().collect(),
        trust_clock: args.trust_clock,
    };
    let overrides = Overrides {
        config: args.config,
        grpc: args.grpc,
        http: args.http,
        sockets: None,
        plain: args.plain,
        consent,
        rewitness: None,
    };
    // before the log is opened: a signal must never end the process half way
    let environment = |e: std::io::Error| ExitError {
        code: ENVIRONMENT,
        message: format!("cannot listen for signals: {e}"),
        hint: String::new(),
    };
    let mut interrupt = signal(SignalKind::interrupt()).map_err(environment)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(environment)?;
    #[cfg(feature = "misbehave")]
    args.misbehave.into_iter().for_each(ledger_node::misbehave::begin);
    let started = RunningNode::start(&args.dir, overrides).await;
    let mut node = started.map_err(|e| start_failure(&e))?;
    #[cfg(feature = "misbehave")]
    ledger_node::misbehave::pester(node.service());
    let (grpc, http) = (node.grpc_addr(), node.http_addr());
    let scheme = if node.service().tls.is_some() { "https" } else { "http" };
    let origin = node.service().origin.to_string();
    let published = node.service().published.borrow().as_ref().map(|p| p.size().get());
    let state = match published {
        Some(size) => format!("serving \"{origin}\" with {size} entries"),
        None => format!("serving \"{origin}\", which waits for its witnesses"),
    };
    let printed = output.print(
        &serde_json::json!({
            "origin": origin,
            "size": published,
            "grpc": format!("{scheme}://{grpc}"),
            "http": format!("{scheme}://{http}"),
        }),
        &[state, format!("gRPC {scheme}://{grpc}"), format!("HTTP {scheme}://{http}")],
    );
    if let Err(failure) = printed {
        // the operator does not learn where it serves
        let _ = node.shutdown().await;
        return Err(failure);
    }
    let stopped = tokio::select! {
        error = node.failed() => Err(error),
        _ = interrupt.recv() => node.shutdown().await,
        _ = terminate.recv() => node.shutdown().await,
    };
    stopped.map_err(|e| ExitError {
        code: if e.is_refusal() { REFUSED } else { ENVIRONMENT },
        message: format!("the node stopped: {e}"),
        hint: e.hint().into(),
    })
}
