//! What is expired is removed, in bounded pieces, by any instance at any time. Nothing depends on it for being right:
//! an expired row is refused by whoever reads it. So it waits while the clocks cannot be trusted: what a wrong clock has
//! removed is gone when it is right again.

use crate::{Result, System, clock::watch, usage::RAW_KEPT};
use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    device, idempotency_record, invitation, login_throttle, password_reset, refresh_token, session, usage_raw,
};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, Iterable, PrimaryKeyToColumn, QueryFilter, QuerySelect, QueryTrait,
    sea_query::{Expr, Value},
};

/// Rows of one statement, so that no lock is held for long.
const PIECE: u64 = 500;
/// Pieces of one table in one round; the next round goes on.
const PIECES: usize = 40;
/// How long a link that was used or has expired can still be seen by those who made it.
const LINKS_KEPT: TimeDelta = TimeDelta::days(30);
/// How long an ended session can still be told from one that never was.
const SESSIONS_KEPT: TimeDelta = TimeDelta::days(1);
/// How long a failed sign-in counts.
const FAILURES_KEPT: TimeDelta = TimeDelta::days(2);

/// One round. A table that fails is logged and does not keep the others from their turn.
pub async fn round(system: &System) {
    // A secret is better gone too early than kept for too long, and what is left says that the call was made.
    if let Ok(now) = system.clock.now(&system.db.reader).await {
        note("secret replies", secrets(system, now).await);
    }
    let Ok(Some(now)) = watch::time_to_destroy(system).await else { return };
    note("idempotency_record", replies(system, now).await);
    note("refresh_token", refresh_tokens(system, now - SESSIONS_KEPT).await);
    note("session", sessions(system, now - SESSIONS_KEPT).await);
    note("device", devices(system, now).await);
    note("login_throttle", failures(system, now - FAILURES_KEPT).await);
    note("invitation", invitations(system, now - LINKS_KEPT).await);
    note("password_reset", resets(system, now - LINKS_KEPT).await);
    note("usage_raw", usage_objects(system, now - RAW_KEPT).await);
}

fn note(what: &str, outcome: Result<u64>) {
    match outcome {
        Ok(0) => {}
        Ok(rows) => tracing::debug!(what, rows, "expired rows removed"),
        Err(error) => {
            tracing::warn!(what, %error, "expired rows could not be removed; the next round tries again");
        }
    }
}

/// Deletes the rows that meet the condition, a piece at a time.
async fn sweep<E: EntityTrait>(system: &System, expired: Condition) -> Result<u64> {
    let key = E::PrimaryKey::iter().map(PrimaryKeyToColumn::into_column).next();
    let Some(key) = key else { return Ok(0) };
    let mut removed = 0;
    for _ in 0..PIECES {
        #[expect(clippy::disallowed_methods, reason = "expired rows of every tenant")]
        let piece = E::find().select_only().column(key).filter(expired.clone()).limit(PIECE).into_query();
        #[expect(clippy::disallowed_methods, reason = "expired rows of every tenant")]
        let deletion = E::delete_many().filter(key.in_subquery(piece));
        let rows = deletion.exec(&system.db.writer).await?.rows_affected;
        removed += rows;
        if rows < PIECE {
            break;
        }
    }
    Ok(removed)
}

async fn replies(system: &System, now: DateTime<Utc>) -> Result<u64> {
    let expired = idempotency_record::Column::ExpiresAt.lte(now);
    sweep::<idempotency_record::Entity>(system, Condition::all().add(expired)).await
}

/// A sealed reply with a secret in it does not outlive the time in which it may be asked for; that the call was made
/// stays known.
async fn secrets(system: &System, now: DateTime<Utc>) -> Result<u64> {
    #[expect(clippy::disallowed_methods, reason = "expired rows of every tenant")]
    let update = idempotency_record::Entity::update_many()
        .col_expr(idempotency_record::Column::Reply, Expr::value(Value::Bytes(None)))
        .filter(idempotency_record::Column::SecretUntil.lte(now))
        .filter(idempotency_record::Column::Reply.is_not_null());
    Ok(update.exec(&system.db.writer).await?.rows_affected)
}

fn ended(before: DateTime<Utc>) -> Condition {
    Condition::any().add(session::Column::ExpiresAt.lte(before)).add(session::Column::RevokedAt.lte(before))
}

/// A session's tokens go before it does.
async fn refresh_tokens(system: &System, before: DateTime<Utc>) -> Result<u64> {
    #[expect(clippy::disallowed_methods, reason = "expired rows of every tenant")]
    let ended = session::Entity::find().select_only().column(session::Column::Id).filter(ended(before));
    let of_ended = refresh_token::Column::SessionId.in_subquery(ended.into_query());
    sweep::<refresh_token::Entity>(system, Condition::all().add(of_ended)).await
}

async fn sessions(system: &System, before: DateTime<Utc>) -> Result<u64> {
    #[expect(clippy::disallowed_methods, reason = "expired rows of every tenant")]
    let in_use = refresh_token::Entity::find().select_only().column(refresh_token::Column::SessionId);
    let free = session::Column::Id.not_in_subquery(in_use.into_query());
    sweep::<session::Entity>(system, Condition::all().add(ended(before)).add(free)).await
}

async fn devices(system: &System, now: DateTime<Utc>) -> Result<u64> {
    sweep::<device::Entity>(system, Condition::all().add(device::Column::ExpiresAt.lte(now))).await
}

async fn failures(system: &System, before: DateTime<Utc>) -> Result<u64> {
    let quiet = Condition::all()
        .add(login_throttle::Column::UpdatedAt.lte(before))
        .add(login_throttle::Column::NotBefore.lte(before));
    sweep::<login_throttle::Entity>(system, quiet).await
}

async fn invitations(system: &System, before: DateTime<Utc>) -> Result<u64> {
    let over = Condition::any()
        .add(invitation::Column::ExpiresAt.lte(before))
        .add(invitation::Column::AcceptedAt.lte(before));
    sweep::<invitation::Entity>(system, over).await
}

async fn resets(system: &System, before: DateTime<Utc>) -> Result<u64> {
    let over = Condition::any()
        .add(password_reset::Column::ExpiresAt.lte(before))
        .add(password_reset::Column::UsedAt.lte(before));
    sweep::<password_reset::Entity>(system, over).await
}

async fn usage_objects(system: &System, before: DateTime<Utc>) -> Result<u64> {
    sweep::<usage_raw::Entity>(system, Condition::all().add(usage_raw::Column::CreatedAt.lte(before))).await
}
