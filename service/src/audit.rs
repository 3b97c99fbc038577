//! The audit log: one append-only hash chain an organization, gapless, written in the transaction of what it tells.
//!
//! `hash = SHA-256(previous hash ‖ canonical text)`, where the canonical text is every stored column but the hash, in
//! the order of [`canonical`], each as its length (8 bytes, big-endian) and its UTF-8 text.

use crate::{
    Ctx, Error, Result,
    page::{Page, PageRequest},
    repository::Scoped,
    scope::Reach,
};
use chrono::{DateTime, Utc};
use entity::{
    audit_event::{Column, Entity, Model},
    id::{AuditEventId, OrganizationId, TeamId},
    invitation, limit, org_head, provider_connection,
    status::ActorKind,
    virtual_key,
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DatabaseBackend, EntityTrait, IntoActiveModel,
    QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, Query, SelectStatement},
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

/// Rows that a verification reads at a time.
const CHUNK: u64 = 1000;

/// An event that is to be appended when its unit commits.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) organization: OrganizationId,
    pub(crate) action: String,
    pub(crate) subject: String,
    pub(crate) detail: serde_json::Value,
}

/// One audit event.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditEvent {
    /// Its id.
    pub id: AuditEventId,
    /// Gapless number in the organization, from 1.
    pub seq: i64,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// What kind of principal acted.
    pub actor_kind: ActorKind,
    /// Which one.
    pub actor_id: String,
    /// What was done.
    #[schema(example = "key.update")]
    pub action: String,
    /// What it was done to: the prefixed id.
    pub subject: String,
    /// The request it came with.
    pub request_id: String,
    /// The address it came from.
    #[schema(required)]
    pub client_ip: Option<String>,
    /// What changed, `{"before":…,"after":…}`, without secrets.
    #[schema(value_type = Object)]
    pub detail: serde_json::Value,
    /// Hash of the chain up to here, hexadecimal.
    pub hash: String,
}
crate::page!(AuditEventPage, AuditEvent);

/// Which audit events to list.
#[derive(Debug, Default)]
pub struct AuditFilter {
    /// Only this action.
    pub action: Option<String>,
    /// Only by this actor.
    pub actor_id: Option<String>,
    /// Only on this subject.
    pub subject: Option<String>,
    /// From this moment on.
    pub from: Option<DateTime<Utc>>,
    /// Before this moment.
    pub to: Option<DateTime<Utc>>,
}

/// The end of the chain: keep it elsewhere, and a truncated log is noticed.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditCheckpoint {
    /// Number of the last event, 0 if there is none.
    #[schema(example = 42)]
    pub seq: i64,
    /// Its hash, hexadecimal.
    pub hash: String,
}

/// What a verification found.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditVerification {
    /// Whether every event is in its place and unchanged.
    #[schema(example = true)]
    pub valid: bool,
    /// Events checked.
    #[schema(example = 42)]
    pub checked: i64,
    /// Number of the first event that is missing, out of place or changed.
    #[schema(required)]
    pub first_broken: Option<i64>,
    /// What is wrong with it.
    #[schema(required)]
    pub reason: Option<String>,
}

/// The columns that are hashed, in order. Numbers are decimal, times microseconds since 1970, absent is empty.
fn canonical(row: &Model) -> [String; 11] {
    [
        row.organization_id.to_string(),
        row.seq.to_string(),
        row.id.to_string(),
        row.occurred_at.timestamp_micros().to_string(),
        word(row.actor_kind).to_owned(),
        row.actor_id.clone(),
        row.action.clone(),
        row.subject.clone(),
        row.request_id.clone(),
        row.client_ip.clone().unwrap_or_default(),
        row.detail.clone(),
    ]
}

fn word(kind: ActorKind) -> &'static str {
    match kind {
        ActorKind::User => "user",
        ActorKind::AdminToken => "admin_token",
        ActorKind::GatewayToken => "gateway_token",
        ActorKind::VirtualKey => "virtual_key",
        ActorKind::System => "system",
        ActorKind::Anonymous => "anonymous",
    }
}

fn chain(previous: &[u8], row: &Model) -> Vec<u8> {
    let mut hash = Sha256::new();
    hash.update(previous);
    for field in canonical(row) {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field.as_bytes());
    }
    hash.finalize().to_vec()
}

/// Appends events under the head's lock; answers the new end of the chain.
#[expect(clippy::disallowed_methods, reason = "audit events are appended here only")]
pub(crate) async fn append<C: ConnectionTrait>(
    ctx: &Ctx,
    db: &C,
    head: &org_head::Model,
    now: DateTime<Utc>,
    drafts: impl Iterator<Item = &Draft>,
) -> Result<(i64, Vec<u8>)> {
    let (mut seq, mut hash) = (head.audit_seq, head.audit_hash.clone());
    let mut rows = Vec::new();
    for draft in drafts {
        seq += 1;
        let mut row = Model {
            organization_id: draft.organization,
            seq,
            id: ctx.id(now),
            occurred_at: now,
            actor_kind: ctx.actor.kind,
            actor_id: ctx.actor.id.clone(),
            action: draft.action.clone(),
            subject: draft.subject.clone(),
            request_id: ctx.request.id.clone(),
            client_ip: ctx.request.client_ip.map(|ip| ip.to_string()),
            detail: draft.detail.to_string(),
            hash: Vec::new(),
        };
        hash = chain(&hash, &row);
        row.hash.clone_from(&hash);
        rows.push(row.into_active_model().reset_all());
    }
    for chunk in rows.chunks(64) {
        Entity::insert_many(chunk.to_vec()).exec_without_returning(db).await?;
    }
    Ok((seq, hash))
}

/// One page of the organization's audit log, newest first.
#[expect(clippy::disallowed_methods, reason = "the log has a number for a key; the tenant is put on here")]
pub async fn list(ctx: &Ctx, page: &PageRequest, filter: AuditFilter) -> Result<Page<AuditEvent>> {
    // The number stands in the cursor as a UUID of the same value.
    let start = page.start(ctx, "audit event")?.map(|id| i64::try_from(id.as_u128()).unwrap_or(i64::MAX));
    let (after, order) = if page.ascending() {
        (start.map(|seq| Column::Seq.gt(seq)), sea_orm::Order::Asc)
    } else {
        (start.map(|seq| Column::Seq.lt(seq)), sea_orm::Order::Desc)
    };
    let condition = Condition::all()
        .add(Column::OrganizationId.eq(ctx.scope.organization))
        .add_option(within_teams(ctx))
        .add_option(after)
        .add_option(filter.action.map(|action| Column::Action.eq(action)))
        .add_option(filter.actor_id.map(|actor| Column::ActorId.eq(actor)))
        .add_option(filter.subject.map(|subject| Column::Subject.eq(subject)))
        .add_option(filter.from.map(|from| Column::OccurredAt.gte(from)))
        .add_option(filter.to.map(|to| Column::OccurredAt.lt(to)));
    let select = Entity::find().filter(condition).order_by(Column::Seq, order).limit(page.size() + 1);
    let rows = select.all(&ctx.system.db.reader).await?;
    let items = rows.into_iter().map(AuditEvent::try_from).collect::<Result<Vec<_>>>()?;
    page.finish(ctx, "audit event", items, |event| Uuid::from_u128(event.seq.unsigned_abs().into()))
}

/// What concerns the caller's teams, for who sees no more than that: the teams, their keys, limits, connections and
/// invitations, those that were taken back among them, and the places of people in them.
fn within_teams(ctx: &Ctx) -> Option<Condition> {
    let Reach::Limited { teams, .. } = &ctx.scope.reach else { return None };
    let backend = ctx.system.db.backend();
    let of = |prefix: &str, rows: SelectStatement| Column::Subject.in_subquery(named(backend, prefix, rows));
    let place = |team: &TeamId| {
        let team = format!("%\"team_id\":\"{}\"%", team.uuid());
        Condition::all().add(Column::Action.like("team_member.%")).add(Column::Detail.like(team))
    };
    let invited = |team: &TeamId| {
        let team = format!("%\"teams\":{{%\"{team}\":%");
        Condition::all().add(Column::Action.like("invitation.%")).add(Column::Detail.like(team))
    };
    let own = Condition::any()
        .add(Column::Subject.is_in(teams.iter().map(ToString::to_string)))
        .add(of("key", rows_of::<virtual_key::Entity>(ctx)))
        .add(of("lim", rows_of::<limit::Entity>(ctx)))
        .add(of("conn", rows_of::<provider_connection::Entity>(ctx)))
        .add(of("inv", rows_of::<invitation::Entity>(ctx)));
    Some(teams.iter().fold(own, |own, team| own.add(place(team)).add(invited(team))))
}

/// The rows of a table within the caller's reach, deleted ones among them.
fn rows_of<E: Scoped>(ctx: &Ctx) -> SelectStatement {
    let (teams, user) = match &ctx.scope.reach {
        Reach::Limited { teams, user } => (teams.as_slice(), *user),
        Reach::All => (&[][..], None),
    };
    let tenant = E::ORGANIZATION.map(|column| column.eq(ctx.scope.organization.uuid()));
    let within = Condition::all().add_option(tenant).add(E::within(teams, user));
    Query::select().from(E::default()).cond_where(within).take()
}

/// The prefixed ids of rows, as subjects are noted.
fn named(backend: DatabaseBackend, prefix: &str, mut rows: SelectStatement) -> SelectStatement {
    let id = match backend {
        DatabaseBackend::Postgres => "replace(CAST(id AS text), '-', '')",
        _ => "lower(hex(id))",
    };
    rows.expr(Expr::cust(format!("'{prefix}_' || {id}"))).take()
}

impl AuditCheckpoint {
    /// A checkpoint as it was kept: both halves of it, or none.
    pub fn kept(seq: Option<i64>, hash: Option<String>) -> Result<Option<Self>> {
        match (seq, hash) {
            (None, None) => Ok(None),
            (Some(seq), Some(hash)) if seq >= 0 && is_hash(&hash) => Ok(Some(Self { seq, hash })),
            (Some(_), Some(_)) => {
                let message =
                    "must be what a checkpoint said: a number, and 64 lower-case hexadecimal digits";
                Err(Error::malformed("?checkpoint_hash", "invalid_parameter", message))
            }
            _ => {
                let message = "checkpoint_seq and checkpoint_hash go together";
                Err(Error::malformed("?checkpoint_seq", "invalid_parameter", message))
            }
        }
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

impl TryFrom<Model> for AuditEvent {
    type Error = Error;
    fn try_from(row: Model) -> Result<Self> {
        Ok(Self {
            id: row.id,
            seq: row.seq,
            occurred_at: row.occurred_at,
            actor_kind: row.actor_kind,
            actor_id: row.actor_id,
            action: row.action,
            subject: row.subject,
            request_id: row.request_id,
            client_ip: row.client_ip,
            detail: serde_json::from_str(&row.detail).map_err(Error::internal)?,
            hash: hex(&row.hash),
        })
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The end of the chain as the organization's head has it.
#[expect(clippy::disallowed_methods, reason = "the tenant is put on here")]
pub async fn checkpoint(ctx: &Ctx) -> Result<AuditCheckpoint> {
    let head = org_head::Entity::find_by_id(ctx.scope.organization).one(&ctx.system.db.reader).await?;
    let head = head.ok_or_else(|| Error::internal("an organization without a head"))?;
    Ok(AuditCheckpoint { seq: head.audit_seq, hash: hex(&head.audit_hash) })
}

/// Walks the chain from its beginning to the head, and to a `checkpoint` kept elsewhere if one is given; names the first
/// event that is not as it was written. It reads in short statements, so it holds no snapshot.
pub async fn verify(ctx: &Ctx, checkpoint_kept: Option<AuditCheckpoint>) -> Result<AuditVerification> {
    let head = checkpoint(ctx).await?;
    let end = checkpoint_kept.as_ref().map_or(head.seq, |kept| kept.seq.max(head.seq));
    let known = [
        (Some(head), "the event differs from the head"),
        (checkpoint_kept, "the event differs from the checkpoint"),
    ];
    let (mut seq, mut hash) = (0i64, vec![0u8; 32]);
    loop {
        let rows = chunk(ctx, seq).await?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            if row.seq != seq + 1 {
                return Ok(broken(seq + 1, "the event is missing"));
            }
            hash = chain(&hash, &row);
            seq += 1;
            if hash != row.hash {
                return Ok(broken(seq, "the event was changed or moved"));
            }
            let differs = |known: &AuditCheckpoint| known.seq == seq && known.hash != hex(&hash);
            if let Some((_, reason)) = known.iter().find(|(known, _)| known.as_ref().is_some_and(differs)) {
                return Ok(broken(seq, reason));
            }
        }
    }
    if seq < end {
        return Ok(broken(seq + 1, "the event is missing at the end"));
    }
    // The head grows with its events, so what is behind the head now was not appended by it.
    let grown = checkpoint(ctx).await?.seq;
    if seq > grown {
        return Ok(broken(grown + 1, "the event is beyond the head"));
    }
    Ok(AuditVerification { valid: true, checked: seq, first_broken: None, reason: None })
}

fn broken(seq: i64, reason: &str) -> AuditVerification {
    AuditVerification {
        valid: false,
        checked: seq - 1,
        first_broken: Some(seq),
        reason: Some(reason.to_owned()),
    }
}

#[expect(clippy::disallowed_methods, reason = "the tenant is put on here")]
async fn chunk(ctx: &Ctx, after: i64) -> Result<Vec<Model>> {
    let select = Entity::find()
        .filter(Column::OrganizationId.eq(ctx.scope.organization))
        .filter(Column::Seq.gt(after))
        .order_by_asc(Column::Seq)
        .limit(CHUNK);
    Ok(select.all(&ctx.system.db.reader).await?)
}
