//! A small consortium with keys from fixed seeds, that tests and benchmarks write records for.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use ledger_core::Hash;
use ledger_core::charter::CharterDraft;
use ledger_core::note::{Algorithm, SignerKey, VerifierKey};
use ledger_core::policy::Policy;
use ledger_core::record::{Draft, Record, RecordId, format_time};

use crate::key;

/// The name of the log that the consortium's records are for.
pub const ORIGIN: &str = "ledger.test/log";

/// Two labs that publish and a board that reviews; all three are stewards.
#[derive(Debug, Clone)]
pub struct Consortium {
    /// The key that signs heads.
    pub log: SignerKey,
    /// A publisher.
    pub lab: SignerKey,
    /// Another publisher.
    pub institute: SignerKey,
    /// A reviewer, who may not publish incidents.
    pub board: SignerKey,
    /// When the charter and all records are issued, in POSIX seconds.
    pub time: u64,
}

impl Default for Consortium {
    fn default() -> Consortium {
        Consortium::new()
    }
}

impl Consortium {
    /// The consortium as of now.
    ///
    /// # Panics
    /// If the clock stands before 1970.
    pub fn new() -> Consortium {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
        Consortium::at(since.as_secs())
    }

    /// The consortium at a time in POSIX seconds.
    pub fn at(time: u64) -> Consortium {
        let plain = |name, seed| key(name, Algorithm::Ed25519, seed);
        Consortium {
            log: plain(ORIGIN, 200),
            lab: plain("lab.test", 201),
            institute: plain("institute.test", 202),
            board: plain("board.test", 203),
            time,
        }
    }

    /// The charter, signed by all three, for a log without witnesses.
    pub fn charter(&self) -> Record {
        self.charter_with_policy(&format!("log {}\nquorum none\n", self.log.verifier()))
    }

    /// The charter with another policy.
    ///
    /// # Panics
    /// If the draft breaks a rule.
    pub fn charter_with_policy(&self, policy: &str) -> Record {
        let vkey = |key: &SignerKey| -> VerifierKey { key.verifier().clone() };
        CharterDraft::new("Test consortium", vkey(&self.log))
            .member("lab.test", vkey(&self.lab), ["publisher", "steward"])
            .member("institute.test", vkey(&self.institute), ["publisher", "steward"])
            .member("board.test", vkey(&self.board), ["reviewer", "steward"])
            .policy(policy)
            .draft(RecordId::from_parts(self.time * 1000, [0; 10]), self.time)
            .expect("sound")
            .sign(&[&self.lab, &self.institute, &self.board])
            .expect("three record keys")
    }

    /// The policy of the log without witnesses.
    pub fn policy(&self) -> Policy {
        Policy::single_log(self.log.verifier().clone())
    }

    /// The text of the `n`-th incident, about a kilobyte as an entry. Any member may be replaced.
    ///
    /// # Panics
    /// Never: the draft is sound.
    pub fn incident_json(&self, n: u64) -> String {
        let digest = Hash::digest(&n.to_be_bytes());
        let random: [u8; 10] = digest.as_bytes()[..10].try_into().expect("32 bytes");
        let id = RecordId::from_parts(self.time * 1000, random);
        let issued_at = format_time(self.time);
        let story = "The assistant answered a question about drug dosage with the dose for \
                     another drug. A nurse noticed before it was given. ";
        serde_json::json!({
            "log": self.log.verifier().name().as_str(),
            "kind": "incident",
            "id": id.to_string(),
            "issuer": "lab.test",
            "issued_at": issued_at,
            "title": {"en": format!("Incident {n}")},
            "summary": {"en": story.repeat(3)},
            "stage": "initial",
            "class": "near_miss",
            "severity": "hazard",
            "aware_at": issued_at,
            "ai_relation": "direct",
            "harm_types": ["physical"],
            "triggers": ["malfunction"],
        })
        .to_string()
    }

    /// The `n`-th incident, signed by the lab.
    pub fn incident(&self, n: u64) -> Record {
        self.signed(&self.incident_json(n), &[&self.lab])
    }

    /// The `n`-th incident with a story of about this many bytes, which does not compress.
    ///
    /// # Panics
    /// If that is more than a record may have.
    pub fn long_incident(&self, n: u64, bytes: usize) -> Record {
        let json = serde_json::from_str(&self.incident_json(n));
        let mut json: serde_json::Value = json.expect("own text");
        let mut words = String::new();
        for at in 0_u64.. {
            let word = Hash::digest(&[n.to_be_bytes(), at.to_be_bytes()].concat()).to_base64();
            if words.len() + word.len() > bytes {
                break;
            }
            words = words + &word + " ";
        }
        json["summary"]["en"] = words.trim_end().into();
        self.signed(&json.to_string(), &[&self.lab])
    }

    /// The norm after the charter that puts another policy into force, signed by two stewards.
    ///
    /// # Panics
    /// If the policy's text breaks a rule.
    pub fn norm_with_policy(&self, charter: &Record, policy: &str) -> Record {
        self.norm(charter, serde_json::json!([{"action": "set_policy", "policy": policy}]))
    }

    /// The norm after the charter that makes these changes, signed by two stewards.
    ///
    /// # Panics
    /// If they break a rule of shapes.
    pub fn norm(&self, charter: &Record, changes: serde_json::Value) -> Record {
        let now = format_time(self.time);
        let own = serde_json::json!({
            "kind": "norm", "version": "2", "effective_from": now, "text": "Another rule.",
        });
        self.governs(charter, own, changes)
    }

    /// The membership record after the charter that makes these changes, signed by two stewards.
    ///
    /// # Panics
    /// If they break a rule of shapes.
    pub fn membership(&self, charter: &Record, changes: serde_json::Value) -> Record {
        self.governs(charter, serde_json::json!({"kind": "membership"}), changes)
    }

    /// The record with these own members that changes the charter.
    fn governs(
        &self,
        charter: &Record,
        own: serde_json::Value,
        changes: serde_json::Value,
    ) -> Record {
        let mut json = serde_json::json!({
            "log": self.log.verifier().name().as_str(),
            "id": RecordId::from_parts(self.time * 1000, [1; 10]).to_string(),
            "issuer": "lab.test",
            "issued_at": format_time(self.time),
            "title": {"en": "Another charter"},
            "summary": {"en": "What the charter names, or who signs, is another."},
            "base": charter.statement().to_string(),
            "changes": changes,
        });
        let (all, own) = (json.as_object_mut(), own.as_object().cloned());
        all.expect("an object").extend(own.expect("an object"));
        self.signed(&json.to_string(), &[&self.lab, &self.institute])
    }

    /// A record of a JSON text.
    ///
    /// # Panics
    /// If the text breaks a rule.
    pub fn signed(&self, json: &str, keys: &[&SignerKey]) -> Record {
        let draft = Draft::parse(json).unwrap_or_else(|error| panic!("{error}: {json}"));
        draft.sign(keys).expect("record keys")
    }

    /// Writes a key as a file that only its owner reads.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write_key(&self, key: &SignerKey, path: &Path) {
        use std::io::Write as _;
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
        let mut file = file.expect("a writable folder");
        writeln!(file, "{}", key.to_secret_text()).expect("room on the disk");
    }

    /// Writes the charter and the log's key into `folder`, as `ledger-node init` wants them.
    ///
    /// # Panics
    /// If they cannot be written.
    pub fn write_founding(&self, folder: &Path) -> (PathBuf, PathBuf) {
        let (charter, log_key) = (folder.join("charter.record"), folder.join("log.key"));
        std::fs::write(&charter, self.charter().as_bytes()).expect("a writable folder");
        self.write_key(&self.log, &log_key);
        (charter, log_key)
    }
}
