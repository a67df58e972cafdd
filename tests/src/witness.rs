//! A witness for tests, with faults to order: it is silent, forgets, lies about sizes and trees, or
//! has a wrong clock. It shares the core's judgement with ours, but neither its storage nor its
//! service.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::cosignature::cosign;
use ledger_core::merkle::TreeHead;
use ledger_core::note::{Algorithm, SignerKey, VerifierKey};
use ledger_core::witness::{AddCheckpoint, LogKeys, Refusal, origin_hash};
use tokio::net::TcpListener;

use crate::key;

/// What is wrong with a witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mood {
    /// Nothing.
    #[default]
    Honest,
    /// It answers 503 to everything.
    Silent,
    /// Its clock is off by so many seconds.
    WrongClock(i64),
    /// It says that it has cosigned this size, whatever it is asked.
    Claims(u64),
    /// It says that it has cosigned the size that it is asked to cosign, whatever that is.
    ClaimsSame,
    /// It says that every tree is another one.
    Denies,
    /// It takes so many milliseconds for an answer.
    Slow(u64),
    /// It answers with lines of a stranger, and of a stranger who uses its name, beside its own.
    Chatty,
    /// It answers with lines of strangers alone.
    Strange,
    /// It answers 409 with nothing in it, as for another tree before July 2026.
    Speechless,
}

struct WitnessState {
    key: SignerKey,
    logs: Vec<VerifierKey>,
    latest: Option<ClaimedCheckpoint>,
    /// What it shows to monitors in place of what it cosigned last.
    shows: Option<Vec<u8>>,
    mood: Mood,
    cosigned: u64,
    asked: u64,
    monitored: u64,
}

/// A witness of one log, served on a free port of the loopback until its runtime ends.
#[derive(Clone)]
pub struct TestWitness {
    inner: Arc<Mutex<WitnessState>>,
    /// The submission prefix.
    pub url: String,
}

impl TestWitness {
    /// Serves a witness `w<seed>` of the log with this key.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn start(seed: u8, log: &VerifierKey) -> TestWitness {
        let key = key(&format!("w{seed}.test"), Algorithm::CosignatureV1, seed);
        let inner = WitnessState {
            key,
            logs: vec![log.clone()],
            latest: None,
            shows: None,
            mood: Mood::Honest,
            cosigned: 0,
            asked: 0,
            monitored: 0,
        };
        let inner = Arc::new(Mutex::new(inner));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let routes = Router::new()
            .route("/add-checkpoint", post(add_checkpoint))
            .route("/{hash}/checkpoint", get(checkpoint))
            .with_state(Arc::clone(&inner));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        TestWitness { inner, url }
    }

    /// Its line in a policy, named `w<seed>`.
    ///
    /// # Panics
    /// Never: no test panics while it holds the lock.
    pub fn policy_line(&self) -> String {
        let inner = self.lock();
        let name = inner.key.verifier().name().as_str().trim_end_matches(".test").to_owned();
        format!("witness {name} {} {}\n", inner.key.verifier(), self.url)
    }

    /// The key that it cosigns with.
    ///
    /// # Panics
    /// Never: no test panics while it holds the lock.
    pub fn key(&self) -> VerifierKey {
        self.lock().key.verifier().clone()
    }

    /// Lets it take another key of the log too.
    pub fn trust(&self, log: &VerifierKey) {
        self.lock().logs.push(log.clone());
    }

    /// Shows these bytes to monitors, whatever it cosigned.
    pub fn show(&self, bytes: impl Into<Vec<u8>>) {
        self.lock().shows = Some(bytes.into());
    }

    /// Changes what is wrong with it.
    pub fn feel(&self, mood: Mood) {
        self.lock().mood = mood;
    }

    /// Lets it lose its memory.
    pub fn forget(&self) {
        self.lock().latest = None;
    }

    /// What it cosigned last.
    pub fn latest(&self) -> Option<TreeHead> {
        self.lock().latest.as_ref().map(|claimed| *claimed.checkpoint().head())
    }

    /// How many times it was asked to cosign, whatever it answered.
    pub fn asked(&self) -> u64 {
        self.lock().asked
    }

    /// How many times a monitor asked what it cosigned last.
    pub fn monitored(&self) -> u64 {
        self.lock().monitored
    }

    /// How many times it cosigned.
    pub fn cosigned(&self) -> u64 {
        self.lock().cosigned
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, WitnessState> {
        self.inner.lock().expect("no panics under this lock")
    }
}

async fn add_checkpoint(
    State(inner): State<Arc<Mutex<WitnessState>>>,
    body: axum::body::Bytes,
) -> Response {
    let mood = {
        let mut inner = inner.lock().expect("no panics under this lock");
        inner.asked += 1;
        inner.mood
    };
    if let Mood::Slow(milliseconds) = mood {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    }
    let mut inner = inner.lock().expect("no panics under this lock");
    let judged = match inner.mood {
        Mood::Silent => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Mood::Claims(size) => {
            Err(Refusal::Conflict { size: ledger_core::TreeSize::new(size).expect("small") })
        }
        Mood::ClaimsSame => AddCheckpoint::parse(&body).and_then(|request| {
            let size = request.checkpoint().checkpoint().head().size;
            Err(Refusal::Conflict { size })
        }),
        Mood::Denies => Err(Refusal::RootMismatch),
        Mood::Speechless => return StatusCode::CONFLICT.into_response(),
        _ => judge(&mut inner, &body),
    };
    match judged {
        Ok(lines) => lines.into_response(),
        Err(refusal) => {
            let status = StatusCode::from_u16(refusal.status()).expect("a status");
            (status, [(header::CONTENT_TYPE, refusal.content_type())], refusal.body())
                .into_response()
        }
    }
}

/// What monitors see: the checkpoint that was cosigned last, or what the test ordered.
async fn checkpoint(
    State(inner): State<Arc<Mutex<WitnessState>>>,
    Path(hash): Path<String>,
) -> Response {
    let mut inner = inner.lock().expect("no panics under this lock");
    inner.monitored += 1;
    let is_its = |claimed: &&ClaimedCheckpoint| origin_hash(claimed.checkpoint().origin()) == hash;
    let latest = inner.latest.as_ref().filter(is_its).map(|own| own.to_string().into_bytes());
    match inner.shows.clone().or(latest) {
        _ if inner.mood == Mood::Silent => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Some(bytes) => bytes.into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn judge(inner: &mut WitnessState, body: &[u8]) -> Result<String, Refusal> {
    let request = AddCheckpoint::parse(body)?;
    let keys = LogKeys::new(inner.logs.iter().cloned());
    let latest = inner.latest.as_ref().map(|claimed| *claimed.checkpoint().head());
    let verified = request.authenticate(Some(&keys))?.step(latest.as_ref())?;
    inner.latest = Some(request.checkpoint().clone());
    inner.cosigned += 1;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
    let off = if let Mood::WrongClock(off) = inner.mood { off } else { 0 };
    let time = since.as_secs().saturating_add_signed(off);
    let line = |key: &SignerKey| cosign(key, verified.claimed().checkpoint(), time).to_string();
    let own = line(&inner.key);
    let stranger = line(&key("stranger.test", Algorithm::CosignatureV1, 251));
    let name = inner.key.verifier().name().as_str();
    let impostor = line(&key(name, Algorithm::CosignatureV1, 252));
    Ok(match inner.mood {
        Mood::Chatty => format!("{stranger}{impostor}{own}"),
        Mood::Strange => format!("{stranger}{impostor}"),
        _ => own,
    })
}
