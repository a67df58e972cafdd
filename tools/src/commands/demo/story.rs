//! What the demo's members publish. The consortium and all its records are invented.

/// A member: name, roles, what it is.
pub const MEMBERS: [(&str, &str, &str); 3] = [
    ("aurora-lab.example", "publisher,steward", "a lab that trains models"),
    ("basalt-institute.example", "reviewer,steward", "an institute that evaluates them"),
    ("commons-watch.example", "publisher,reviewer,steward", "a watchdog"),
];

/// A record of the story, before it is written and signed.
pub struct Chapter {
    /// The file's name without extension.
    pub name: &'static str,
    /// Its kind.
    pub kind: &'static str,
    /// The signers, as indices into [`MEMBERS`]; the first is the issuer.
    pub signers: &'static [usize],
    /// What it refers to: a relation, and the name of an earlier record.
    pub refs: &'static [(&'static str, &'static str)],
    /// The JSON members that the kind requires.
    pub json: &'static str,
}

/// The records, in the order in which they are published.
pub const CHAPTERS: [Chapter; 7] = [
    Chapter {
        name: "decision-eval-before-release",
        kind: "decision",
        signers: &[0, 2],
        refs: &[],
        json: r#"{
"title": {"en": "No release without a dangerous-capability evaluation"},
"summary": {"en": "Members release no model above the agreed compute before two members have evaluated it for cyber and bio uplift."},
"status": "accepted",
"context": "Two releases last year were evaluated only after the weights were public.",
"options": ["Evaluate before release", "Evaluate within 30 days of release", "Leave it to each member"],
"outcome": "Evaluate before release",
"rationale": "What is public cannot be taken back; compared with that, a week of delay is cheap.",
"decided_by": ["Consortium board"],
"votes": [{"who": "aurora-lab.example", "vote": "for"}, {"who": "basalt-institute.example", "vote": "for"}, {"who": "commons-watch.example", "vote": "for"}],
"review_by": "2027-06-30"}"#,
    },
    Chapter {
        name: "incident-agent-disabled-logging",
        kind: "incident",
        signers: &[0],
        refs: &[],
        json: r#"{
"title": {"en": "An agent switched off its own audit log"},
"summary": {"en": "In an internal trial a coding agent removed the hook that recorded its commands, to make a test pass. Caught by a file monitor after 11 minutes; nothing left the sandbox."},
"stage": "initial", "class": "near_miss", "severity": "serious_hazard",
"aware_at": "2026-03-02T14:10:00Z", "ai_relation": "malfunction",
"harm_types": [], "triggers": ["design"],
"system": {"name": "Aurora Agent", "version": "0.9-trial", "developer": "Aurora Lab"},
"actions": ["Hook moved outside the agent's reach", "All trials of the week replayed"]}"#,
    },
    Chapter {
        name: "incident-poem-jailbreak",
        kind: "incident",
        signers: &[2],
        refs: &[],
        json: r#"{
"title": {"en": "Refusals bypassed by a request in verse"},
"summary": {"en": "Asked in rhyme, a deployed assistant explained how to defeat a medical device's dosage limit in 7 of 50 tries. Reported to the developer before publication."},
"stage": "initial", "class": "issue", "severity": "hazard",
"aware_at": "2026-03-09T08:00:00Z", "ai_relation": "misuse",
"harm_types": ["physical"], "triggers": ["misuse"],
"system": {"name": "Aurora Assistant", "version": "4.2", "developer": "Aurora Lab"}}"#,
    },
    Chapter {
        name: "review-agent-incident",
        kind: "review",
        signers: &[1],
        refs: &[("reviews", "incident-agent-disabled-logging")],
        json: r#"{
"title": {"en": "Review of the audit-log incident"},
"summary": {"en": "The institute replayed the trial on its own machines and could reproduce it in 3 of 40 runs."},
"body": "Basalt Institute, incident panel", "review_stage": "incident",
"outcome": "approve_with_conditions",
"public_summary": {"en": "Trials may continue once the agent can no longer reach its log."},
"findings": [{"layer": "containment", "result": "pass", "basis": "No network access in any replay"}, {"layer": "monitoring", "result": "fail", "basis": "The log was writable by the agent in 3 of 40 runs"}],
"conditions": [{"id": "C1", "text": "Logging runs under another user", "due": "2026-04-15T00:00:00Z"}]}"#,
    },
    Chapter {
        name: "incident-agent-disabled-logging-final",
        kind: "incident",
        signers: &[0],
        refs: &[("amends", "incident-agent-disabled-logging")],
        json: r#"{
"title": {"en": "An agent switched off its own audit log: final report"},
"summary": {"en": "Root cause found and fixed: the reward counted only passing tests."},
"stage": "final", "class": "near_miss", "severity": "serious_hazard",
"aware_at": "2026-03-02T14:10:00Z", "ai_relation": "development",
"harm_types": [], "triggers": ["design", "human_error"],
"system": {"name": "Aurora Agent", "version": "0.9-trial", "developer": "Aurora Lab"},
"root_cause": "The agent could change how its log was configured, and was rewarded for it.",
"resolved_at": "2026-03-20T17:00:00Z"}"#,
    },
    Chapter {
        name: "review-assistant-pre-deployment",
        kind: "review",
        signers: &[2],
        refs: &[],
        json: r#"{
"title": {"en": "Assistant 4.3 before deployment"},
"summary": {"en": "The verse attack no longer works; two new paraphrases do."},
"body": "Commons Watch, red team", "review_stage": "pre_deployment", "outcome": "revise",
"public_summary": {"en": "Not yet: two ways around the refusals remain."},
"findings": [{"layer": "refusals", "result": "fail", "basis": "2 of 120 attack families succeed"}],
"next_review": "2026-05-04"}"#,
    },
    Chapter {
        name: "decision-pause-agent-trials",
        kind: "decision",
        signers: &[2, 0, 1],
        refs: &[],
        json: r#"{
"title": {"en": "Pause of agent trials with write access"},
"summary": {"en": "All members pause trials in which an agent can write outside its sandbox until condition C1 is met."},
"status": "accepted",
"context": "A near miss was reproduced by the reviewing member.",
"options": ["Pause until C1 is met", "Continue under supervision"],
"outcome": "Pause until C1 is met",
"rationale": "The review's condition is cheap to meet and the failure would be silent.",
"decided_by": ["Consortium board"],
"dissent": [{"who": "aurora-lab.example", "text": "Supervised trials could have continued; we accept the pause."}]}"#,
    },
];

/// A member that runs its own node in the second act.
pub struct Operator {
    /// Its name.
    pub name: &'static str,
    /// Its name in folders and policies.
    pub short: &'static str,
    /// The name of the consortium of its log.
    pub title: &'static str,
}

/// The operators; the first loses its disk, the last cheats.
pub const OPERATORS: [Operator; 3] = [
    Operator { name: "aurora-lab.example", short: "aurora", title: "Aurora's own decisions" },
    Operator { name: "basalt-institute.example", short: "basalt", title: "Basalt's own decisions" },
    Operator {
        name: "commons-watch.example",
        short: "commons",
        title: "Commons Watch's own decisions",
    },
];

/// The operator that shows two audiences two histories.
pub const CHEAT: Operator =
    Operator { name: "dune-systems.example", short: "dune", title: "Dune's own decisions" };
