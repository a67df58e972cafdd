//! Makes proofs from a log's files: a mirror's URL, a node's HTTP address, or a directory.

use ledger_core::Hash;
use ledger_core::authority::{AuthorityBundle, GovernanceEntry};
use ledger_core::charter::{ChainError, governance_chain};
use ledger_core::checkpoint::ClaimedCheckpoint;
use ledger_core::index::{LeafIndex, TreeSize};
use ledger_core::merkle::{InclusionProof, TreeHead, prove_inclusion};
use ledger_core::proof::TlogProof;
use ledger_core::record::{Entry, Outline, StatementId};
use ledger_core::tile::{BlockProver, EntryBundle, TILE_WIDTH, TileCoord, TileKind, TileReader};
use ledger_node::source::{Source, SourceError};

use super::FetchedProof;
use crate::commands::audit::chain::{self, NotShown};
use crate::commands::audit::{MAX_NOT_SHOWN, MAX_UNREAD};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::reach;
use crate::trust::{Trust, TrustArgs};

/// A log's files at one size.
struct LogFiles {
    source: Source,
    claimed: ClaimedCheckpoint,
    head: TreeHead,
    size: TreeSize,
}

/// The requested entry with its proof, and the trust for the verdict.
pub(super) fn find(
    from: &str,
    wanted: (Option<u64>, Option<StatementId>),
    with_authority: bool,
    trust: &TrustArgs,
    out: &Output,
) -> Result<(FetchedProof, Trust), Failure> {
    let source = reach::source(from)?;
    let bytes = source.checkpoint().map_err(|e| unread("checkpoint", &e))?;
    let charter = || {
        chain::proven(&source, &bytes).map_err(|e| {
            let hint = "this log has no charter, or its files are damaged";
            e.failure(format!("the log shows no charter: {e}"), hint)
        })
    };
    let trust = trust.with_files(charter, out)?;
    let claimed = ClaimedCheckpoint::parse(&bytes).map_err(wrong)?;
    // checked before the search: the checkpoint must be the trusted log's
    trust.policy.verify(&claimed).map_err(|e| {
        let hint = "it was altered, it is from another log, or the policy is outdated";
        Failure::refused(format!("the checkpoint of {source}: {e}"), hint)
    })?;
    let head = *claimed.checkpoint().head();
    let size = head.size;
    let copy = LogFiles { source, claimed, head, size };
    let (index, entry) = match wanted {
        (_, Some(statement)) => copy.search(statement, out)?,
        (index, None) => {
            let index = LeafIndex::new(index.unwrap_or_default()).map_err(wrong)?;
            if !size.contains(index) {
                let message = format!("the copy has {size} entries, and none at {index}");
                return Err(Failure::refused(message, "give an index below the size"));
            }
            (index, copy.entry(index)?)
        }
    };
    let proof = copy.prove(index, &entry)?;
    let file = match with_authority {
        true => copy.bundle(index, proof.clone())?.to_string(),
        false => proof.to_string(),
    };
    Ok((FetchedProof { index: index.get(), entry, file: file.into_bytes(), proof }, trust))
}

impl LogFiles {
    fn bundle_of(&self, number: u64) -> Result<EntryBundle, Failure> {
        let coord = TileCoord::in_tree(TileKind::Entries, number, self.size);
        let coord = coord.ok_or_else(|| wrong("it has no such entry"))?;
        let bytes = self.source.tile(coord).map_err(|e| unread(&coord.to_string(), &e))?;
        EntryBundle::parse(coord, bytes).map_err(|e| wrong(format!("{coord}: {e}")))
    }

    fn entry(&self, index: LeafIndex) -> Result<Vec<u8>, Failure> {
        let width = u64::from(TILE_WIDTH);
        let bundle = self.bundle_of(index.get() / width)?;
        let at = usize::try_from(index.get() % width).unwrap_or(usize::MAX);
        match bundle.get(at) {
            Some(b"") => Err(withheld(index, &self.source)),
            Some(entry) => Ok(entry.to_vec()),
            None => Err(wrong(format!("it has no entry {index}"))),
        }
    }

    /// Searches all entries, the latest first, because the files have no index of statements. A
    /// statement counts as absent only among entries that are proven to be in the tree.
    fn search(
        &self,
        statement: StatementId,
        out: &Output,
    ) -> Result<(LeafIndex, Vec<u8>), Failure> {
        let width = u64::from(TILE_WIDTH);
        out.note(format!("looking for the statement among {} entries", self.size));
        let mut prover = BlockProver::new(&self.source, self.head);
        let (mut checked, mut fault) = (0, None);
        let (mut failed, mut lacking) = (0, 0);
        for number in (0..self.size.get().div_ceil(width)).rev() {
            let bundle = match self.bundle_of(number) {
                Ok(bundle) => bundle,
                // the statement may be in another bundle
                Err(failure) => {
                    failed += u32::from(failure.exit == Exit::Environment);
                    lacking += 1;
                    fault = Some(failure);
                    if failed >= MAX_UNREAD || lacking >= MAX_NOT_SHOWN {
                        break;
                    }
                    continue;
                }
            };
            (failed, lacking) = (0, 0);
            for (at, entry) in (number * width..).zip(bundle.iter()) {
                let outline = Entry::split(entry).ok();
                let outline = outline.and_then(|(_, record)| Outline::parse(record).ok());
                if outline.is_some_and(|outline| outline.statement() == statement) {
                    return Ok((LeafIndex::new(at).map_err(wrong)?, entry.to_vec()));
                }
            }
            let leaves: Vec<Hash> = bundle.iter().map(Hash::leaf).collect();
            match prover.proves(number, &leaves) {
                Ok(true) => checked += leaves.len() as u64,
                Ok(false) => {}
                Err(error) => fault = Some(unread("hash tile", &error)),
            }
        }
        let size = self.size.get();
        if checked == size {
            let message = format!("none of its {size} entries has the statement {statement}");
            let hint = "the copy may be older than the entry: try another copy";
            return Err(Failure::refused(message, hint));
        }
        let left = size - checked;
        let why = fault.as_ref().map_or(String::new(), |fault| format!(" ({})", fault.message));
        Err(Failure {
            exit: fault.map_or(Exit::Refused, |fault| fault.exit),
            message: format!(
                "{left} of {size} entries could not be checked{why}; none of the others has the \
                 statement {statement}"
            ),
            hint: "it may be one of those: run `ledger audit` on the copy, and try another copy"
                .into(),
        })
    }

    fn inclusion(&self, index: LeafIndex) -> Result<InclusionProof, Failure> {
        let mut nodes = TileReader::new(&self.source, self.size);
        let proof = prove_inclusion(&mut nodes, index, self.size);
        proof.map_err(|e| not_shown(NotShown::proof(index, &e)))
    }

    /// Makes the proof file. The caller verifies it.
    fn prove(&self, index: LeafIndex, entry: &[u8]) -> Result<TlogProof, Failure> {
        let (logged, _) = Entry::split(entry).map_err(wrong)?;
        let extra = Some(logged.to_string().into_bytes());
        let (inclusion, checkpoint) = (self.inclusion(index)?, self.claimed.clone());
        Ok(TlogProof { extra, index, inclusion, checkpoint })
    }

    /// Makes the bundle with all governance entries of the copy.
    fn bundle(&self, index: LeafIndex, proof: TlogProof) -> Result<AuthorityBundle, Failure> {
        let parse = |at| chain::proven_entry(&self.source, at, &self.head).map_err(not_shown);
        let last = self.size.last().unwrap_or(index);
        let latest = parse(last)?;
        let latest = match latest.record().kind().is_governance() {
            true => last,
            false => latest.logged().governance,
        };
        let chain = governance_chain(latest, parse);
        let chain = chain.map_err(|error| match error {
            ChainError::Read(failure) => failure,
            ChainError::Order(_) => wrong("its governance entries do not lead to a charter"),
        })?;
        let proven = chain.into_iter().map(|(index, entry)| {
            Ok(GovernanceEntry { index, entry, inclusion: self.inclusion(index)? })
        });
        let governance: Vec<GovernanceEntry> = proven.collect::<Result<_, Failure>>()?;
        Ok(AuthorityBundle::new(governance, proof))
    }
}

fn unread(what: &str, error: &SourceError) -> Failure {
    let hint = "SOURCE is the folder or URL that holds `checkpoint` and `tile/`";
    match error {
        SourceError::Failed(_) => Failure::environment(format!("the {what} {error}"), hint),
        _ => Failure::refused(format!("the {what} {error}"), hint),
    }
}

fn withheld(index: LeafIndex, source: &Source) -> Failure {
    Failure::refused(
        format!("entry {index} is withheld by {source}"),
        "ask the log's own node for it with --node, or try another copy",
    )
}

const UNSOUND: &str = "run `ledger audit` on it, and try another copy";

fn wrong(what: impl std::fmt::Display) -> Failure {
    Failure::refused(format!("the copy is damaged: {what}"), UNSOUND)
}

fn not_shown(error: NotShown) -> Failure {
    error.failure(format!("the copy does not show what the proof needs: {error}"), UNSOUND)
}
