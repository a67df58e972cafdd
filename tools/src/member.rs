//! A member's client: signed requests for what only members may see and do.
//!
//! The client checks a draft before a command shows or signs it: its bytes must be a record for
//! this log with the requested statement id, and the commands judge the signatures on it. Which
//! signatures a draft still lacks, and its state, are the node's claims.

use std::path::PathBuf;

use ledger_core::checkpoint::Origin;
use ledger_core::decline::{ClaimedDecline, Decline};
use ledger_core::note::{Algorithm, SignerKey};
use ledger_core::record::{Record, StatementId};
use ledger_core::request::{Call, Nonce, Request};
use ledger_proto::v1;

use crate::client::{self, Node, NodeArgs};
use crate::environment;
use crate::failure::Failure;
use crate::keys;
use crate::output::Output;
use crate::trust::{Trust, TrustArgs};

/// Seconds until a request expires: half of what nodes accept. The other half allows for clocks
/// that differ.
const LIFETIME: u64 = 300;

/// Limit on the drafts in one answer, far above what a node keeps.
const MAX_DRAFTS: usize = 100_000;

/// The member's key, and the node that is asked.
#[derive(Debug, Clone, clap::Args)]
pub struct MemberArgs {
    /// Your member's key file, made by `keygen --use record`
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    #[command(flatten)]
    pub(crate) node: NodeArgs,
    #[command(flatten)]
    pub(crate) trust: TrustArgs,
}

/// A member with a connection to a node.
pub struct Member {
    node: Node,
    /// The policy and the charter that verdicts use.
    pub trust: Trust,
    origin: Origin,
    key: SignerKey,
}

/// A draft whose bytes match its claimed statement id.
#[derive(Debug, Clone)]
pub struct Pending {
    /// The record as signed so far, well formed and meant for this log.
    pub record: Record,
    /// What the node claims about it.
    pub claims: v1::PendingDraft,
}

impl Member {
    /// Reads the key, connects, and finds out which log this is.
    ///
    /// # Errors
    /// [`Failure`] when the key signs no requests, or the node or its log is not as expected.
    pub async fn connect(args: &MemberArgs, out: &Output) -> Result<Member, Failure> {
        let key = keys::read(&args.key)?;
        if key.verifier().algorithm() != Algorithm::Ed25519 {
            return Err(Failure::refused(
                format!("{} holds a cosigner's key, which signs no requests", args.key.display()),
                "use a key made by `ledger keygen --use record`",
            ));
        }
        let mut node = args.node.connect().await?;
        let trust = args.trust.with_node(&mut node, out).await?;
        let origin = origin(&mut node, &trust).await?;
        Ok(Member { node, trust, origin, key })
    }

    /// The key that signs.
    pub fn key(&self) -> &SignerKey {
        &self.key
    }

    /// Proposes a record for other members to sign.
    ///
    /// # Errors
    /// [`Failure`] when the call fails.
    pub async fn propose(&mut self, record: &Record) -> Result<Pending, Failure> {
        self.check_log(record)?;
        let request = self.request(&Call::Propose { record: record.as_bytes() })?;
        let message =
            v1::ProposeRequest { request: request.into(), record: record.to_bytes().into() };
        let answer = client::within(self.node.client().propose(message)).await;
        let draft = answer.map_err(|e| client::failure(&e))?.into_inner().draft;
        self.check(draft, Some(record.statement()))
    }

    /// All drafts that the node shows to this member.
    ///
    /// # Errors
    /// [`Failure`] when the call fails.
    pub async fn list(&mut self) -> Result<Vec<Pending>, Failure> {
        let mut drafts = Vec::new();
        for claims in self.ask(None).await? {
            drafts.push(self.check(Some(claims), None)?);
        }
        Ok(drafts)
    }

    /// One draft.
    ///
    /// # Errors
    /// [`Failure`] if the node has no such draft, or sends another one.
    pub async fn get(&mut self, statement: StatementId) -> Result<Pending, Failure> {
        let draft = self.ask(Some(statement)).await?.into_iter().next();
        self.check(draft, Some(statement))
    }

    /// Adds this member's signature to a draft.
    ///
    /// # Errors
    /// [`Failure`] when the call fails.
    pub async fn cosign(&mut self, draft: &Pending) -> Result<Pending, Failure> {
        let signature = self.key.sign_text(draft.record.text()).to_string();
        let statement = draft.record.statement();
        let request = self.request(&Call::Cosign { statement, signature: &signature })?;
        let message = v1::CosignRequest {
            request: request.into(),
            statement: bytes_of(statement).into(),
            signature: signature.into_bytes().into(),
        };
        let answer = client::within(self.node.client().cosign(message)).await;
        let draft = answer.map_err(|e| client::failure(&e))?.into_inner().draft;
        self.check(draft, Some(statement))
    }

    /// Declines to sign a draft.
    ///
    /// # Errors
    /// [`Failure`] when the reason is malformed, or the call fails.
    pub async fn decline(
        &mut self,
        statement: StatementId,
        reason: &str,
    ) -> Result<Pending, Failure> {
        let decline =
            Decline::new(self.origin.clone(), statement, reason).map_err(Failure::refused_by)?;
        let note = decline.sign(&self.key).map_err(Failure::refused_by)?;
        let note = note.to_string().into_bytes();
        let request = self.request(&Call::Decline { note: &note })?;
        let message = v1::DeclineRequest { request: request.into(), decline: note.into() };
        let answer = client::within(self.node.client().decline(message)).await;
        let draft = answer.map_err(|e| client::failure(&e))?.into_inner().draft;
        self.check(draft, Some(statement))
    }

    /// Withdraws a draft.
    ///
    /// # Errors
    /// [`Failure`] when the call fails.
    pub async fn withdraw(&mut self, statement: StatementId) -> Result<Pending, Failure> {
        let request = self.request(&Call::Withdraw { statement })?;
        let message =
            v1::WithdrawRequest { request: request.into(), statement: bytes_of(statement).into() };
        let answer = client::within(self.node.client().withdraw(message)).await;
        let draft = answer.map_err(|e| client::failure(&e))?.into_inner().draft;
        self.check(draft, Some(statement))
    }

    /// The reason in a decline, if its note is about this draft. If the charter is known, the note
    /// must also be signed by the member that the node names.
    pub fn reason(&self, draft: &Pending, decline: &v1::PendingDecline) -> Option<String> {
        let claimed = ClaimedDecline::parse(&decline.note).ok()?;
        let of_draft = claimed.decline().statement() == draft.record.statement();
        let signed = match self.trust.charter() {
            None => true,
            Some(charter) => {
                claimed.verify(charter, decline.at).is_ok_and(|member| member == decline.member)
            }
        };
        (of_draft && signed).then(|| claimed.decline().reason().to_owned())
    }

    async fn ask(
        &mut self,
        statement: Option<StatementId>,
    ) -> Result<Vec<v1::PendingDraft>, Failure> {
        let request = self.request(&Call::ListPending { statement })?;
        let statement = statement.map(|statement| bytes_of(statement).into());
        let message = v1::ListPendingRequest { request: request.into(), statement };
        let answer = client::within(self.node.client().list_pending(message)).await;
        let mut stream = answer.map_err(|e| client::failure(&e))?.into_inner();
        let mut drafts = Vec::new();
        while let Some(draft) =
            client::within(stream.message()).await.map_err(|e| client::failure(&e))?
        {
            if drafts.len() == MAX_DRAFTS {
                return Err(client::wrong_answer("it sends too many drafts"));
            }
            drafts.push(draft);
        }
        Ok(drafts)
    }

    fn request(&self, call: &Call<'_>) -> Result<Vec<u8>, Failure> {
        let nonce = Nonce::from_bytes(environment::random()?);
        let expires = environment::now() + LIFETIME;
        let request = Request::new(self.origin.clone(), call, nonce, expires);
        let note = request.sign(&self.key).map_err(Failure::refused_by)?;
        Ok(note.to_string().into_bytes())
    }

    fn check_log(&self, record: &Record) -> Result<(), Failure> {
        let (log, origin) = (record.envelope().log(), self.origin.as_str());
        if log == origin {
            return Ok(());
        }
        let (log, origin) = (log, origin);
        Err(Failure::refused(
            format!("the record is meant for the log {log}, not for {origin}"),
            "check --node, or write the record again for this log",
        ))
    }

    fn check(
        &self,
        claims: Option<v1::PendingDraft>,
        asked: Option<StatementId>,
    ) -> Result<Pending, Failure> {
        let claims = claims.ok_or_else(|| client::wrong_answer("it sent no draft"))?;
        let record = Record::parse(&claims.record)
            .map_err(|e| client::wrong_answer(format!("a draft is not a record: {e}")))?;
        let statement = record.statement();
        let same = *statement.as_hash().as_bytes() == *claims.statement;
        if !same || asked.is_some_and(|asked| asked != statement) {
            return Err(client::wrong_answer("it sent another draft's bytes"));
        }
        self.check_log(&record)?;
        Ok(Pending { record, claims })
    }
}

/// The log's origin: the charter's, or the node's claim if the policy has a key for it.
async fn origin(node: &mut Node, trust: &Trust) -> Result<Origin, Failure> {
    let name = match trust.charter() {
        Some(charter) => charter.origin().to_owned(),
        None => {
            let name = node.log().await?.origin;
            if !trust.policy.logs().iter().any(|log| log.key.name().as_str() == name) {
                return Err(Failure::refused(
                    format!("the node serves the log {}, which the policy does not list", name),
                    "check --node and --policy, or give --anchor",
                ));
            }
            name
        }
    };
    Origin::new(&name).map_err(client::wrong_answer)
}

fn bytes_of(statement: StatementId) -> Vec<u8> {
    statement.as_hash().as_bytes().to_vec()
}
