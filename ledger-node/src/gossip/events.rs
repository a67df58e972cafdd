//! What follows from what was heard: it is kept, said in the node's output, and raises the alarm of
//! the own log.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use ledger_core::Hint;
use ledger_core::gossip::{Event, LogStanding};

use super::{Gossip, GossipState};
use crate::evidence::EvidenceStoreError;
use crate::own_trouble::OwnTrouble;

impl Gossip {
    /// Keeps what follows from events, and says it. Nobody is told of evidence before it is
    /// durable.
    pub(super) fn conclude(&self, inner: &mut GossipState, events: Vec<Event>) {
        let mut moved = std::mem::take(&mut inner.moved);
        for event in &events {
            match event {
                Event::Convicted(evidence) => {
                    moved = true;
                    let verdict = inner.view.verdict(evidence.id());
                    if let Err(error) = self.evidence.add_judged(evidence, verdict) {
                        self.fail(&error);
                    }
                }
                Event::Unreconciled(question) => {
                    moved = true;
                    let (smaller, larger) = (question.smaller.size, question.larger.size);
                    tracing::error!(origin = %question.origin, %smaller, %larger,
                        "unreconciled: two heads, and nobody shows that they belong together");
                }
                Event::Opened(_) => {
                    moved = true;
                    // one that is awake already sees it too
                    let _ = self.questions.try_send(());
                }
                Event::Adopted(_) | Event::Settled(_) => moved = true,
                // what cosigners say of a log that fell may convict them, once there is more of it
                Event::CosignaturesAdded(origin) => {
                    let log = inner.view.log(origin);
                    moved |= log.is_some_and(|log| !log.convicting.is_empty());
                }
                _ => {}
            }
        }
        if moved {
            self.keep_heads(inner);
            self.note_standings(inner);
        }
    }

    fn keep_heads(&self, inner: &mut GossipState) {
        // heads that convict by evidence which was not kept are stored, and no more in the view
        if self.is_broken() {
            return;
        }
        let status = inner.view.status();
        if let Err(error) = inner.heads.keep(&status, &inner.cosigned) {
            tracing::error!(%error, hint = error.hint(), "heads cannot be kept");
        }
    }

    /// Evidence cannot be kept: the node ends, and does nothing until then by which anybody is
    /// told.
    fn fail(&self, error: &EvidenceStoreError) {
        self.broken.store(true, Ordering::Release);
        self.raise(OwnTrouble::Unkept(error.to_string()));
    }

    pub(super) fn note_standings(&self, inner: &GossipState) {
        let logs = inner.view.status().into_iter();
        let fallen = logs.filter(|log| log.standing != LogStanding::Good);
        let fallen = fallen.map(|log| (log.origin, log.standing)).collect();
        *self.standings.write().unwrap_or_else(PoisonError::into_inner) = fallen;
        self.check_own_log(inner);
    }

    /// Raises the alarm of the own log, for good.
    fn check_own_log(&self, inner: &GossipState) {
        let Some(origin) = inner.trees.own() else { return };
        let trouble = match inner.view.standing(origin) {
            LogStanding::Convicted(id) => OwnTrouble::Convicted(id),
            LogStanding::Unreconciled(question) => OwnTrouble::Unknown(question.larger.size),
            _ => return,
        };
        self.raise(trouble);
    }

    fn raise(&self, trouble: OwnTrouble) {
        self.alarm.send_if_modified(|alarm| {
            let first = alarm.is_none();
            if first {
                tracing::error!(%trouble, hint = trouble.hint(), "the own log signs nothing more");
                *alarm = Some(trouble);
            }
            first
        });
    }
}
