//! The rules of drafts, with time as an argument.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use ledger_core::LeafIndex;
use ledger_core::charter::{Charter, CharterDraft, KeyReach};
use ledger_core::checkpoint::Origin;
use ledger_core::decline::{ClaimedDecline, Decline};
use ledger_core::note::{Algorithm, KeyName, SignerKey};
use ledger_core::record::{
    Basics, Draft as Unsigned, Entry, Kind, Logged, Object, Record, RecordId, StatementId, Value,
    template,
};
use ledger_core::request::{Call, ClaimedRequest, MAX_LIFETIME, Nonce, Request};

use super::book::*;
use super::draft::DraftState;
use super::nonces::MAX_PER_MEMBER;
use crate::refusal::{PendingRefusal, Refusal};

const ORIGIN: &str = "ledger.example/1";
const NOW: u64 = 1_800_000_000;
const DAY: u64 = 86_400;

fn key(name: &str, seed: u8) -> SignerKey {
    let name = KeyName::new(name).unwrap();
    SignerKey::from_seed(name, Algorithm::Ed25519, [seed; 32]).unwrap()
}

fn lab() -> SignerKey {
    key("lab.example", 1)
}

fn partner() -> SignerKey {
    key("partner.example", 2)
}

fn board() -> SignerKey {
    key("board.example", 3)
}

/// Decisions need two publishers and a reviewer; reviews, two reviewers, of whom there is one.
fn charter() -> Charter {
    let vkey = |key: SignerKey| key.verifier().clone();
    let draft = CharterDraft::new("Example", vkey(key(ORIGIN, 9)))
        .member("lab.example", vkey(lab()), ["publisher", "steward"])
        .member("partner.example", vkey(partner()), ["publisher"])
        .member("board.example", vkey(board()), ["reviewer"])
        .member("guest.example", vkey(key("guest.example", 4)), [])
        .draft(RecordId::from_parts(NOW * 1000, [0; 10]), NOW)
        .unwrap();
    let requirement = |role: &str, members: i64| {
        Object::new().with("role", role).with("members", Value::Integer(members))
    };
    let rules = Object::new()
        .with("decision", vec![requirement("publisher", 2), requirement("reviewer", 1)])
        .with("review", vec![requirement("reviewer", 2)]);
    let body = draft.body().clone().with("rules", rules);
    let guest = key("guest.example", 4);
    let record = Unsigned::from_object(&body).unwrap();
    let record = record.sign(&[&lab(), &partner(), &board(), &guest]).unwrap();
    let logged = Logged { time: NOW, governance: LeafIndex::ZERO };
    Charter::found(&Entry::new(logged, record)).unwrap()
}

fn decision_object(number: u64, issued_at: u64) -> Object {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&number.to_be_bytes());
    let id = RecordId::from_parts(NOW * 1000, random);
    let english = |text: &str| Object::new().with("en", text);
    template(Kind::Decision, &Basics { log: ORIGIN, issuer: "lab.example", id, issued_at })
        .with("title", english("Evaluate first"))
        .with("summary", english("What was decided."))
        .with("status", "accepted")
        .with("context", "c")
        .with("options", vec!["a", "b"])
        .with("outcome", "a")
        .with("rationale", "r")
        .with("decided_by", vec!["lab.example"])
}

fn decision(number: u64) -> Record {
    signed(&decision_object(number, NOW), &[&lab()])
}

fn signed(object: &Object, keys: &[&SignerKey]) -> Record {
    Unsigned::from_object(object).unwrap().sign(keys).unwrap()
}

fn asker(key: &SignerKey, time: u64) -> AskingMember {
    AskingMember { member: key.verifier().name().to_string(), reach: KeyReach::Full, time }
}

struct Fixture {
    folder: tempfile::TempDir,
    charter: Charter,
    book: DraftBook,
}

impl Fixture {
    fn new() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let book = DraftBook::open(&folder.path().join("pending"), 14 * DAY).unwrap();
        Fixture { folder, charter: charter(), book }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("pending")
    }

    fn list(&mut self, time: u64) -> Vec<StatementId> {
        self.book.list(&self.charter, &asker(&lab(), time))
    }

    fn reopen(&mut self) {
        self.book = DraftBook::open(&self.path(), 14 * DAY).unwrap();
    }

    fn propose(&mut self, record: &Record, key: &SignerKey) -> Result<StatementId, PendingRefusal> {
        let verified = self.charter.verify(record.clone()).map_err(Refusal::from)?;
        self.book.propose(&self.charter, &asker(key, NOW), verified)?;
        Ok(record.statement())
    }

    fn cosign(
        &mut self,
        record: &Record,
        key: &SignerKey,
        time: u64,
    ) -> Result<(), PendingRefusal> {
        let line = key.sign_text(record.text()).to_string();
        self.book.cosign(&self.charter, &asker(key, time), record.statement(), &line)
    }

    fn decline(&mut self, record: &Record, key: &SignerKey) -> Result<StatementId, PendingRefusal> {
        let origin = Origin::new(ORIGIN).unwrap();
        let note = Decline::new(origin, record.statement(), "no").unwrap().sign(key).unwrap();
        let note = ClaimedDecline::parse(note.to_string().as_bytes()).unwrap();
        self.book.decline(&self.charter, &asker(key, NOW), note)
    }

    fn state(&self, record: &Record) -> Option<DraftState> {
        let view = self.book.view(&self.charter, &asker(&lab(), NOW), record.statement());
        view.map(|view| view.draft.state)
    }
}

fn request(number: u8, key: &SignerKey, expires: u64) -> Vec<u8> {
    let call = Call::ListPending { statement: None };
    let nonce = Nonce::from_bytes([number; 16]);
    let request = Request::new(Origin::new(ORIGIN).unwrap(), &call, nonce, expires);
    request.sign(key).unwrap().to_string().into_bytes()
}

fn judged(
    desk: &mut Fixture,
    note: &[u8],
    call: &Call<'_>,
    clock: u64,
) -> Result<AskingMember, PendingRefusal> {
    let time = desk.book.time(clock);
    let request = ClaimedRequest::parse(note)?.verify(&desk.charter, call, time)?;
    desk.book.take(&request, time)
}

fn ask(desk: &mut Fixture, note: &[u8], clock: u64) -> Result<AskingMember, PendingRefusal> {
    let call = Call::ListPending { statement: None };
    judged(desk, note, &call, clock)
}

#[test]
fn a_draft_gathers_signatures_and_survives_reopening_at_every_step() {
    let mut desk = Fixture::new();
    let record = decision(1);
    desk.propose(&record, &lab()).unwrap();
    desk.reopen();
    desk.cosign(&record, &partner(), NOW + 1).unwrap();
    desk.decline(&record, &lab()).expect_err("it has signed");
    desk.reopen();
    let view = desk.book.view(&desk.charter, &asker(&board(), NOW), record.statement()).unwrap();
    assert_eq!(view.draft.record, record.cosign(&partner()).unwrap());
    assert!(view.awaits && view.lacks.len() == 1);
    assert_eq!(desk.book.take_complete(&desk.charter, record.statement(), NOW + 2), None);
    desk.cosign(&record, &board(), NOW + 3).unwrap();
    desk.reopen();
    let complete = desk.book.take_complete(&desk.charter, record.statement(), NOW + 4).unwrap();
    assert_eq!(complete.note().signatures().len(), 3);
    // while it is on its way nobody touches it
    let untouched = desk.book.withdraw(&asker(&lab(), NOW + 4), record.statement());
    assert_eq!(untouched, Err(PendingRefusal::BeingLogged));
    let index = LeafIndex::new(7).unwrap();
    desk.book.arrived(record.statement(), index, NOW + 5);
    desk.reopen();
    assert_eq!(desk.state(&record), Some(DraftState::Logged(index)));
    let late = desk.cosign(&record, &key("guest.example", 4), NOW + 6);
    assert_eq!(late, Err(PendingRefusal::AlreadyLogged(index)));
}

#[test]
fn only_lawful_records_signed_by_those_they_speak_for_may_wait() {
    let mut desk = Fixture::new();
    let guest = key("guest.example", 4);
    let stranger = signed(&decision_object(1, NOW), &[&lab(), &key("lab.example", 77)]);
    let error = desk.propose(&stranger, &lab()).unwrap_err();
    assert!(error.to_string().contains("is not in the charter"), "{error}");
    let error = desk.propose(&decision(1), &guest).unwrap_err();
    assert_eq!(error, PendingRefusal::AskerHasNotSigned("guest.example".into()));
    let alone = signed(&decision_object(1, NOW), &[&guest]);
    let error = desk.propose(&alone, &guest).unwrap_err();
    assert_eq!(error, PendingRefusal::NobodyItNames("lab.example".into()));
    // a listed signer may speak before the issuer does
    let named = decision_object(2, NOW).with("signers", vec!["guest.example"]);
    desk.propose(&signed(&named, &[&guest]), &guest).unwrap();
    let early = signed(&decision_object(3, NOW + 601), &[&lab()]);
    let old = signed(&decision_object(3, NOW - 30 * DAY - 1), &[&lab()]);
    let elsewhere = signed(&decision_object(3, NOW).with("log", "other.example/1"), &[&lab()]);
    for record in [early, old, elsewhere] {
        let error = desk.propose(&record, &lab()).unwrap_err();
        assert!(matches!(error, PendingRefusal::Record(Refusal::NotAllowed(_))), "{error}");
    }
    let english = |text: &str| Object::new().with("en", text);
    let id = RecordId::from_parts(NOW * 1000, [9; 10]);
    let basics = Basics { log: ORIGIN, issuer: "board.example", id, issued_at: NOW };
    let review = template(Kind::Review, &basics)
        .with("title", english("t"))
        .with("summary", english("s"))
        .with("body", "b")
        .with("review_stage", "design")
        .with("outcome", "approve")
        .with("public_summary", english("s"));
    let error = desk.propose(&signed(&review, &[&board()]), &board()).unwrap_err();
    assert!(error.to_string().contains("1 of 2 member(s) with role \"reviewer\""), "{error}");
    let files = fs::read_dir(desk.path()).unwrap().count();
    assert_eq!(files, 2, "one draft and the list of requests");
}

#[test]
fn the_same_draft_or_id_does_not_wait_twice() {
    let mut desk = Fixture::new();
    let record = decision(1);
    desk.propose(&record, &lab()).unwrap();
    assert_eq!(desk.propose(&record, &lab()), Err(PendingRefusal::AlreadyPending));
    let other = signed(&decision_object(1, NOW).with("outcome", "b"), &[&lab()]);
    let error = desk.propose(&other, &lab()).unwrap_err();
    assert_eq!(error, PendingRefusal::IdPending(record.statement()));
    desk.book.withdraw(&asker(&lab(), NOW), record.statement()).unwrap();
    desk.propose(&other, &lab()).unwrap();
    desk.book.withdraw(&asker(&lab(), NOW), other.statement()).unwrap();
    desk.propose(&record, &lab()).expect("it was taken back, and is wanted again");
}

#[test]
fn signatures_that_are_forged_foreign_or_needless_are_refused() {
    let mut desk = Fixture::new();
    let record = decision(1);
    let id = desk.propose(&record, &lab()).unwrap();
    let line = |key: &SignerKey, text: &str| key.sign_text(text).to_string();
    let mut cosign = |key: &SignerKey, line: &str| {
        desk.book.cosign(&desk.charter, &asker(key, NOW), id, line).unwrap_err()
    };
    let foreign = cosign(&board(), &line(&partner(), record.text()));
    assert!(matches!(foreign, PendingRefusal::NotTheAskers { .. }));
    let forged = cosign(&partner(), &line(&partner(), "another text\n"));
    assert!(forged.to_string().contains("does not verify"), "{forged}");
    let needless = cosign(&key("guest.example", 4), &line(&key("guest.example", 4), record.text()));
    assert_eq!(needless, PendingRefusal::NotNeeded("guest.example".into()));
    let again = cosign(&lab(), &line(&lab(), record.text()));
    assert_eq!(again, PendingRefusal::HasSigned("lab.example".into()));
    let good = line(&partner(), record.text());
    for bad in ["", good.trim_end(), &format!("{good}{good}"), &format!(" {good}"), "text\n"] {
        assert_eq!(cosign(&partner(), bad), PendingRefusal::SignatureLine, "{bad:?}");
    }
    let unknown = desk.cosign(&decision(2), &partner(), NOW).unwrap_err();
    assert_eq!(unknown, PendingRefusal::NoSuchDraft);
    assert_eq!(desk.state(&record), Some(DraftState::Waiting));
}

#[test]
fn a_decline_is_kept_and_ends_the_draft_once_nobody_can_make_up_for_it() {
    let mut desk = Fixture::new();
    let record = decision(1);
    desk.propose(&record, &lab()).unwrap();
    let needless = desk.decline(&record, &key("guest.example", 4)).unwrap_err();
    assert_eq!(needless, PendingRefusal::NotNeeded("guest.example".into()));
    desk.decline(&record, &board()).unwrap();
    desk.reopen();
    assert_eq!(desk.state(&record), Some(DraftState::Declined));
    let view = desk.book.view(&desk.charter, &asker(&lab(), NOW), record.statement()).unwrap();
    assert_eq!(view.draft.declines[0].member, "board.example");
    assert_eq!(view.draft.declines[0].note.decline().reason(), "no");
    assert_eq!(desk.cosign(&record, &partner(), NOW), Err(PendingRefusal::Settled("declined")));
}

#[test]
fn only_proposer_and_issuer_withdraw() {
    let mut desk = Fixture::new();
    let object = decision_object(1, NOW).with("signers", vec!["partner.example"]);
    let record = signed(&object, &[&partner()]);
    desk.propose(&record, &partner()).unwrap();
    let other = desk.book.withdraw(&asker(&board(), NOW), record.statement());
    assert_eq!(other, Err(PendingRefusal::NotTheProposer("board.example".into())));
    desk.book.withdraw(&asker(&lab(), NOW), record.statement()).expect("it is the issuer");
    assert_eq!(desk.state(&record), Some(DraftState::Withdrawn));
}

#[test]
fn drafts_expire_are_told_of_and_are_forgotten() {
    let mut desk = Fixture::new();
    let record = decision(1);
    desk.propose(&record, &lab()).unwrap();
    // the window of an older record closes before the draft's time is over
    let older = signed(&decision_object(2, NOW - 29 * DAY), &[&lab()]);
    desk.propose(&older, &lab()).unwrap();
    desk.cosign(&older, &partner(), NOW + DAY).unwrap();
    let closed = desk.cosign(&older, &board(), NOW + DAY + 1);
    assert_eq!(closed, Err(PendingRefusal::Settled("expired")));
    let end = NOW + 14 * DAY;
    desk.cosign(&record, &partner(), end - 1).unwrap();
    let late = desk.cosign(&record, &board(), end);
    assert_eq!(late, Err(PendingRefusal::Settled("expired")));
    desk.reopen();
    assert_eq!(desk.state(&record), Some(DraftState::Expired));
    assert_eq!(desk.list(end + TOLD_SECONDS - 1), [record.statement()]);
    assert_eq!(desk.list(end + TOLD_SECONDS), []);
    desk.reopen();
    assert_eq!(desk.state(&record), None);
}

#[test]
fn a_member_has_so_many_drafts_waiting_and_no_more() {
    let mut desk = Fixture::new();
    for number in 0..MAX_DRAFTS_PER_MEMBER as u64 {
        desk.propose(&decision(number), &lab()).unwrap();
    }
    let error = desk.propose(&decision(1000), &lab()).unwrap_err();
    assert_eq!(error, PendingRefusal::TooManyDrafts("lab.example".into()));
    let object = decision_object(1000, NOW).with("issuer", "partner.example");
    desk.propose(&signed(&object, &[&partner()]), &partner()).expect("another member's");
    desk.book.withdraw(&asker(&lab(), NOW), decision(0).statement()).unwrap();
    desk.propose(&decision(1001), &lab()).expect("there is room again");
    // whoever proposes and withdraws for ever keeps no more than so many files
    for number in 2000..2000 + 2 * MAX_SETTLED_PER_MEMBER as u64 {
        desk.book.withdraw(&asker(&lab(), NOW), decision(1001).statement()).ok();
        let record = decision(number);
        desk.propose(&record, &lab()).unwrap();
        desk.book.withdraw(&asker(&lab(), NOW), record.statement()).unwrap();
    }
    let kept = desk.list(NOW).len();
    assert_eq!(kept, MAX_DRAFTS_PER_MEMBER - 1 + 1 + MAX_SETTLED_PER_MEMBER);
    assert_eq!(fs::read_dir(desk.path()).unwrap().count(), kept + 1);
}

#[test]
fn a_request_is_acted_upon_once_also_after_reopening() {
    let mut desk = Fixture::new();
    let note = request(1, &lab(), NOW + 60);
    let asked = ask(&mut desk, &note, NOW).unwrap();
    assert_eq!(asked, asker(&lab(), NOW));
    assert_eq!(ask(&mut desk, &note, NOW), Err(PendingRefusal::Replayed));
    desk.reopen();
    assert_eq!(ask(&mut desk, &note, NOW + 59), Err(PendingRefusal::Replayed));
    // another member may happen to choose the same number
    ask(&mut desk, &request(1, &partner(), NOW + 90), NOW + 59).unwrap();
    let expired = |refused: Result<AskingMember, PendingRefusal>| {
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("the request ended at"), "{refused}");
    };
    expired(ask(&mut desk, &note, NOW + 60));
    ask(&mut desk, &request(2, &lab(), NOW + 120), NOW + 61).unwrap();
    // a clock that goes back does not bring a forgotten request back, nor does a restart
    expired(ask(&mut desk, &note, NOW));
    desk.reopen();
    expired(ask(&mut desk, &note, NOW));
    assert_eq!(ask(&mut desk, &request(2, &lab(), NOW + 120), NOW), Err(PendingRefusal::Replayed));
}

#[test]
fn a_request_that_ends_between_its_check_and_its_use_is_not_acted_upon() {
    let mut desk = Fixture::new();
    let call = Call::ListPending { statement: None };
    let note = request(1, &lab(), NOW + 60);
    ask(&mut desk, &note, NOW).unwrap();
    let again = ClaimedRequest::parse(&note).unwrap().verify(&desk.charter, &call, NOW).unwrap();
    // meanwhile the number is forgotten
    ask(&mut desk, &request(2, &partner(), NOW + 120), NOW + 60).unwrap();
    let error = desk.book.take(&again, NOW).unwrap_err().to_string();
    assert!(error.contains("the request ended at"), "{error}");
}

#[test]
fn a_member_that_asks_too_often_is_refused_for_a_while() {
    let mut desk = Fixture::new();
    let call = Call::ListPending { statement: None };
    let ask = |desk: &mut Fixture, number: u64, key: &SignerKey, time: u64| {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&number.to_be_bytes());
        let origin = Origin::new(ORIGIN).unwrap();
        let expires = time + MAX_LIFETIME;
        let request = Request::new(origin, &call, Nonce::from_bytes(nonce), expires);
        let note = request.sign(key).unwrap().to_string();
        judged(desk, note.as_bytes(), &call, time)
    };
    for number in 0..MAX_PER_MEMBER as u64 {
        ask(&mut desk, number, &lab(), NOW).unwrap();
    }
    let refused = ask(&mut desk, 5000, &lab(), NOW).unwrap_err();
    assert_eq!(refused, PendingRefusal::TooManyRequests("lab.example".into()));
    ask(&mut desk, 5000, &partner(), NOW).expect("it has asked nothing yet");
    ask(&mut desk, 5001, &lab(), NOW + MAX_LIFETIME).expect("the others have ended");
}

#[test]
fn a_torn_line_of_the_list_of_requests_is_dropped_and_other_damage_stops_the_start() {
    let mut desk = Fixture::new();
    let note = request(1, &lab(), NOW + 60);
    ask(&mut desk, &note, NOW).unwrap();
    let path = desk.path().join("requests");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}1800000000 18000")).unwrap();
    desk.reopen();
    assert_eq!(ask(&mut desk, &note, NOW), Err(PendingRefusal::Replayed));
    for damaged in ["", "nothing\n", &text.replace("lab.example", "\n"), &text.replace(' ', "")] {
        fs::write(&path, damaged).unwrap();
        let error = DraftBook::open(&desk.path(), DAY).unwrap_err().to_string();
        assert!(error.contains("is no list of used requests"), "{error}");
    }
}

#[test]
fn damaged_and_unfinished_files_are_set_aside_and_the_others_are_read() {
    let mut desk = Fixture::new();
    let (good, bad, moved) = (decision(1), decision(2), decision(3));
    for record in [&good, &bad, &moved] {
        desk.propose(record, &lab()).unwrap();
    }
    let path = |record: &Record, ending: &str| {
        desk.path().join(format!("{}.{ending}", record.statement()))
    };
    let text = fs::read_to_string(path(&bad, "pending")).unwrap();
    fs::write(path(&bad, "pending"), text.replace("Evaluate", "Elevate")).unwrap();
    fs::rename(path(&moved, "pending"), path(&decision(4), "pending")).unwrap();
    fs::write(path(&decision(5), "unfinished"), "half").unwrap();
    let names = [path(&bad, "damaged"), path(&decision(4), "damaged")];
    desk.reopen();
    assert_eq!(desk.list(NOW), [good.statement()]);
    assert!(names.iter().all(|path| path.exists()));
    let unfinished = |entry: &Path| entry.extension().is_some_and(|e| e == "unfinished");
    let mut entries = fs::read_dir(desk.path()).unwrap();
    assert!(!entries.any(|entry| unfinished(&entry.unwrap().path())));
}

#[test]
fn a_write_that_fails_leaves_the_draft_as_it_was() {
    let mut desk = Fixture::new();
    let record = decision(1);
    desk.propose(&record, &lab()).unwrap();
    fs::remove_dir_all(desk.path()).unwrap();
    let error = desk.cosign(&record, &partner(), NOW).unwrap_err();
    assert!(matches!(error, PendingRefusal::Storage(_)), "{error}");
    let error = desk.propose(&decision(2), &lab()).unwrap_err();
    assert!(matches!(error, PendingRefusal::Storage(_)), "{error}");
    let view = desk.book.view(&desk.charter, &asker(&lab(), NOW), record.statement()).unwrap();
    assert_eq!(view.draft.record, record);
    assert_eq!(desk.list(NOW), [record.statement()]);
}

#[test]
fn what_the_log_refuses_is_shown_until_a_signature_changes_it() {
    let mut desk = Fixture::new();
    let record = decision(1);
    desk.propose(&record, &lab()).unwrap();
    desk.book.turned_back(record.statement(), &Refusal::Busy);
    desk.reopen();
    let view = desk.book.view(&desk.charter, &asker(&lab(), NOW), record.statement()).unwrap();
    assert!(view.draft.refusal.unwrap().contains("busy"));
    assert_eq!(view.draft.state, DraftState::Waiting);
    desk.cosign(&record, &partner(), NOW).unwrap();
    let view = desk.book.view(&desk.charter, &asker(&lab(), NOW), record.statement()).unwrap();
    assert_eq!(view.draft.refusal, None);
}

#[test]
fn a_change_of_the_charter_that_can_never_be_logged_is_not_laid_out() {
    let mut desk = Fixture::new();
    let id = RecordId::from_parts(NOW * 1000, [7; 10]);
    let english = |text: &str| Object::new().with("en", text);
    let norm = |desk: &Fixture, changes: Vec<Object>, from: &str| {
        template(Kind::Norm, &Basics { log: ORIGIN, issuer: "board.example", id, issued_at: NOW })
            .with("title", english("Another policy"))
            .with("summary", english("How heads are signed."))
            .with("base", desk.charter.base().to_string())
            .with("version", "1")
            .with("effective_from", from)
            .with("text", "t")
            .with("changes", changes)
    };
    let policy = |text: &str| Object::new().with("action", "set_policy").with("policy", text);
    let retire = Object::new()
        .with("action", "retire_log_key")
        .with("vkey", key(ORIGIN, 9).verifier().to_string());
    let (now, later) = ("2027-01-15T08:00:00Z", "2027-01-20T08:00:00Z");
    for wrong in [policy("junk"), retire] {
        let record = signed(&norm(&desk, vec![wrong], now), &[&board()]);
        let refused = desk.propose(&record, &board());
        assert!(matches!(refused, Err(PendingRefusal::Record(_))), "{refused:?}");
    }
    let text = format!("log {}\nquorum none\n", key(ORIGIN, 9).verifier());
    // the steward has not signed; what takes effect later may wait
    for from in [now, later] {
        let record = signed(&norm(&desk, vec![policy(&text)], from), &[&board()]);
        desk.propose(&record, &board()).unwrap();
        desk = Fixture::new();
    }
}
