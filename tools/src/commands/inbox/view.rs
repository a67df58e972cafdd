//! Prints drafts for people and for scripts.

use ledger_core::record::format_time;
use ledger_proto::v1::{self, PendingState, pending_lack::What};
use serde_json::{Value, json};

use crate::commands::record::show;
use crate::environment;
use crate::member::{Member, Pending};
use crate::output::{Line, Output};

/// The state of a draft, as a word that scripts may depend on.
pub fn state(draft: &Pending) -> &'static str {
    match draft.claims.state() {
        PendingState::Waiting => "waiting",
        PendingState::Logged => "logged",
        PendingState::Declined => "declined",
        PendingState::Withdrawn => "withdrawn",
        PendingState::Expired => "expired",
        PendingState::Unspecified => "unknown",
    }
}

/// Kind and title on one line.
pub fn headline(draft: &Pending) -> Line {
    let title = draft.record.envelope().title();
    Line::from(format!("{} ", draft.record.kind())).and(Line::strong(title))
}

/// Prints everything about a draft except the record's own text.
pub fn standing(member: &Member, draft: &Pending, out: &Output) {
    let claims = &draft.claims;
    let time = |seconds| format_time(seconds);
    out.line(format!("  statement {}", draft.record.statement()));
    let (issuer, proposer) = (draft.record.envelope().issuer(), &claims.proposer);
    let at = time(claims.proposed_at);
    out.line(format!("  issuer    {issuer}; proposed by {proposer}, {at}"));
    for (name, id, verdict, _) in signatures(member, draft) {
        out.line(format!("  signed by {name} ({id}): {verdict}"));
    }
    for lack in &claims.lacks {
        out.line(format!("  lacks     {}", lacking(lack)));
    }
    for decline in &claims.declines {
        let reason = member.reason(draft, decline);
        let reason = reason.unwrap_or_else(|| "the node sent no valid note".to_owned());
        out.line(format!("  declined  {}: {reason}", decline.member));
    }
    if !claims.refusal.is_empty() {
        out.line(format!("  refused   by the log: {}", claims.refusal));
    }
    let since = time(claims.since);
    let indented = Line::from("  ");
    out.line(match (claims.state(), claims.index) {
        (PendingState::Waiting, _) => {
            Line::from(format!("  waits     until {}", time(claims.expires_at)))
        }
        (PendingState::Logged, Some(index)) => {
            indented.and(Line::good("logged")).and(format!(" as entry {index}, {since}"))
        }
        _ => indented.and(Line::bad(state(draft))).and(format!(" since {since}")),
    });
}

/// The same as JSON, for scripts.
pub fn object(member: &Member, draft: &Pending) -> Value {
    let (claims, envelope) = (&draft.claims, draft.record.envelope());
    let signatures: Vec<Value> = signatures(member, draft)
        .into_iter()
        .map(|(name, id, verdict, _)| json!({ "name": name, "key_id": id, "verdict": verdict }))
        .collect();
    let decline = |decline: &v1::PendingDecline| {
        let reason = member.reason(draft, decline);
        json!({ "member": decline.member, "at": format_time(decline.at), "reason": reason })
    };
    json!({
        "statement": draft.record.statement().to_string(),
        "title": envelope.title(),
        "kind": envelope.kind().as_str(),
        "issuer": envelope.issuer(),
        "proposer": claims.proposer,
        "proposed_at": format_time(claims.proposed_at),
        "expires_at": format_time(claims.expires_at),
        "state": state(draft),
        "since": format_time(claims.since),
        "index": claims.index,
        "awaits_you": claims.awaits_you,
        "signatures": signatures,
        "lacks": claims.lacks.iter().map(lacking).collect::<Vec<_>>(),
        "declines": claims.declines.iter().map(decline).collect::<Vec<_>>(),
        "refusal": claims.refusal,
    })
}

/// Whether no signature is known to be bad.
pub fn is_sound(member: &Member, draft: &Pending) -> bool {
    signatures(member, draft).iter().all(|(_, _, _, well)| *well != Some(false))
}

fn signatures(member: &Member, draft: &Pending) -> Vec<show::SignatureRow> {
    show::signatures(
        &draft.record,
        member.trust.charter().map(|charter| &**charter),
        environment::now(),
    )
}

fn lacking(lack: &v1::PendingLack) -> String {
    match &lack.what {
        Some(What::Issuer(name)) => format!("the issuer {name}"),
        Some(What::Signer(name)) => format!("{name}, named in `signers`"),
        Some(What::Role(role)) => {
            let more = role.needed.saturating_sub(role.signed);
            format!("{more} of {} member(s) with role {}", role.needed, role.role)
        }
        Some(What::Rule(kind)) => format!("a rule for records of kind {kind}"),
        None => "something that this version does not know".to_owned(),
    }
}
