//! Idempotent calls: the reply of a call made with an `Idempotency-Key` is stored in the transaction of its effect, so
//! that a lost reply can be asked for again and the effect happens once.

use crate::{
    Ctx, Error, Result, System,
    vault::{self, Place},
};
use chrono::{DateTime, TimeDelta, Utc};
use entity::{id::OrganizationId, idempotency_record as record};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DatabaseBackend, EntityTrait, QueryFilter, Statement,
    sea_query::{Expr, OnConflict},
};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};
use uuid::Uuid;
use zeroize::Zeroizing;

/// How long a reply is kept.
const KEPT: TimeDelta = TimeDelta::hours(24);
/// How long a secret in a reply can be asked for again.
const SECRET_KEPT: TimeDelta = TimeDelta::minutes(10);

/// One idempotent call: who with which key, and what exactly was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// SHA-256 of principal and key.
    pub id: [u8; 32],
    /// SHA-256 of method, path and the value of the body.
    pub fingerprint: [u8; 32],
    /// The same of the body as it was sent: records made before bodies were compared by value hold this one.
    pub as_sent: [u8; 32],
}

/// A reply to store.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) body: Zeroizing<Vec<u8>>,
    pub(crate) secret_of: Option<Uuid>,
    pub(crate) now: DateTime<Utc>,
}

/// The idempotent calls under way in this process.
#[derive(Debug, Default, Clone)]
pub struct Running(Arc<Mutex<HashSet<[u8; 32]>>>);

/// A place in [`Running`], given back when dropped.
#[derive(Debug)]
pub(crate) struct Guard {
    running: Running,
    id: [u8; 32],
}

fn in_progress() -> Error {
    Error::InvalidState(
        "idempotency_in_progress",
        "the same call is still under way; ask again shortly".into(),
    )
}

impl Guard {
    pub(crate) fn enter(system: &System, ticket: &Ticket) -> Result<Self> {
        let entered = system.running.0.lock().unwrap_or_else(PoisonError::into_inner).insert(ticket.id);
        if entered { Ok(Self { running: system.running.clone(), id: ticket.id }) } else { Err(in_progress()) }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.running.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

/// The stored reply to this call, if it was made before.
pub async fn recall(ctx: &Ctx, ticket: &Ticket) -> Result<Option<Vec<u8>>> {
    let now = ctx.now().await?;
    let Some(record) = find(&ctx.system.db.reader, ticket, now).await? else { return Ok(None) };
    let same = [ticket.fingerprint, ticket.as_sent].iter().any(|print| record.fingerprint == print);
    if !same {
        return Err(Error::InvalidState(
            "idempotency_key_reused",
            "this Idempotency-Key was used for another call".into(),
        ));
    }
    // A record of a clock that was ahead has no more time than any other.
    let alive = record.secret_until.is_none_or(|until| now < until && until <= now + SECRET_KEPT);
    let plain = match record.reply.zip(record.data_key_id) {
        Some((reply, key)) if alive => vault::open_if_good(ctx, place(ticket), key, &reply).await?,
        _ => None,
    };
    let lost = || {
        let message = "the call was made; its reply can no longer be shown";
        Error::InvalidState("secret_expired", message.into())
    };
    plain.map(|plain| plain.expose().to_vec()).ok_or_else(lost).map(Some)
}

/// Where a reply is: replies belong to principals, not to tenants, and so are sealed with the platform's data key.
fn place(ticket: &Ticket) -> Place<'_> {
    let (table, column) = ("idempotency_record", "reply");
    Place { organization: OrganizationId::PLATFORM, table, row: &ticket.id, column }
}

/// Makes this transaction the only one that runs the call, on any instance.
pub(crate) async fn claim<C: ConnectionTrait>(db: &C, ticket: &Ticket, now: DateTime<Utc>) -> Result<()> {
    if db.get_database_backend() == DatabaseBackend::Postgres {
        let mut word = [0; 8];
        word.copy_from_slice(&ticket.id[..8]);
        let sql = "SELECT pg_try_advisory_xact_lock($1) AS locked";
        let lock =
            Statement::from_sql_and_values(DatabaseBackend::Postgres, sql, [i64::from_be_bytes(word).into()]);
        let row = db.query_one_raw(lock).await?;
        let locked = row.map(|row| row.try_get::<bool>("", "locked")).transpose()?;
        if locked != Some(true) {
            return Err(in_progress());
        }
    }
    if find(db, ticket, now).await?.is_some() { Err(in_progress()) } else { Ok(()) }
}

#[expect(clippy::disallowed_methods, reason = "bound to its principal by the hash that is its key")]
async fn find<C: ConnectionTrait>(
    db: &C,
    ticket: &Ticket,
    now: DateTime<Utc>,
) -> Result<Option<record::Model>> {
    let record = record::Entity::find_by_id(ticket.id.to_vec()).one(db).await?;
    Ok(record.filter(|record| record.expires_at > now))
}

#[expect(clippy::disallowed_methods, reason = "bound to its principal by the hash that is its key")]
pub(crate) async fn store<C: ConnectionTrait>(
    ctx: &Ctx,
    db: &C,
    ticket: &Ticket,
    reply: Reply,
) -> Result<()> {
    let (key, sealed) = vault::seal_in(&ctx.system, db, reply.now, place(ticket), &reply.body).await?;
    let row = record::ActiveModel {
        id: Set(ticket.id.to_vec()),
        fingerprint: Set(ticket.fingerprint.to_vec()),
        reply: Set(Some(sealed)),
        data_key_id: Set(Some(key)),
        secret_of: Set(reply.secret_of),
        secret_until: Set(reply.secret_of.map(|_| reply.now + SECRET_KEPT)),
        created_at: Set(reply.now),
        expires_at: Set(reply.now + KEPT),
    };
    // Only an expired record can be in the way: `claim` made sure.
    let replace = OnConflict::column(record::Column::Id)
        .update_columns([
            record::Column::Fingerprint,
            record::Column::Reply,
            record::Column::DataKeyId,
            record::Column::SecretOf,
            record::Column::SecretUntil,
            record::Column::CreatedAt,
            record::Column::ExpiresAt,
        ])
        .to_owned();
    record::Entity::insert(row).on_conflict(replace).exec_without_returning(db).await?;
    Ok(())
}

/// Subjects of one statement.
const FORGOTTEN: usize = 256;

/// Forgets the replies that showed a secret of these subjects.
#[expect(clippy::disallowed_methods, reason = "the subjects' rows were found in scope")]
pub(crate) async fn forget<C: ConnectionTrait>(db: &C, subjects: &[Uuid]) -> Result<()> {
    for some in subjects.chunks(FORGOTTEN) {
        record::Entity::update_many()
            .col_expr(record::Column::Reply, Expr::value(Option::<Vec<u8>>::None))
            .filter(record::Column::SecretOf.is_in(some.iter().copied()))
            .exec(db)
            .await?;
    }
    Ok(())
}
