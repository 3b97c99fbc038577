//! The sign-in throttle. An attempt is counted, and that is committed, before its password is verified: attempts in
//! parallel and on several instances weigh as much as attempts in a row. What is refused is refused to one account from
//! one address prefix, so that nobody can lock an owner out; attempts from elsewhere only make that delay longer.

use crate::{Ctx, Error, Result, Unit};
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use entity::login_throttle::{ActiveModel, Column, Entity, Model};
use ipnet::IpNet;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter, QuerySelect,
    sea_query::{Expr, LockType, OnConflict},
};
use sha2::{Digest, Sha256};
use std::{net::IpAddr, time::Duration};

/// Failures in a day after which an account is locked for one address prefix until the next day.
const LOCKED_AT: i32 = 50;
/// Failures in a day, from everywhere, after which an account's delays are the longest from the first attempt on.
const WATCHED_AT: i32 = 100;
/// The longest delay between two attempts on one account from one address prefix.
const LONGEST: TimeDelta = TimeDelta::seconds(10);
/// One address prefix has an attempt a second on average, whatever the accounts,
const PACE: TimeDelta = TimeDelta::seconds(1);
/// and is let run ahead of that by this much.
const BURST: TimeDelta = TimeDelta::seconds(60);

/// An attempt that has been counted, to be forgiven if the password is right.
#[derive(Debug)]
pub(crate) struct Attempt {
    pair: [u8; 32],
    account: [u8; 32],
}

/// Counts an attempt on an account, or says when to come back.
pub(crate) async fn admit(ctx: &Ctx, email: &str) -> Result<Attempt> {
    let prefix = ctx.request.client_ip.map_or_else(|| "unknown".to_owned(), prefix);
    let pair = id(&["pair", email, &prefix]);
    let account = id(&["account", email]);
    // Who comes too early is turned away by a read, so that a flood of attempts is no flood of writes.
    if let Some(row) = find(&ctx.system.db.reader, &pair).await? {
        not_before(&row, ctx.now().await?)?;
    }
    let unit = ctx.begin().await?;
    let now = unit.now;
    if ctx.request.client_ip.is_some() {
        let row = lock(&unit, &id(&["address", &prefix])).await?;
        let ahead = Ord::max(row.not_before, now) + PACE;
        wait(ahead - BURST - now)?;
        save(&unit, Model { not_before: ahead, ..counted(row, now) }).await?;
    }
    let everywhere = counted(lock(&unit, &account).await?, now);
    let here = lock(&unit, &pair).await?;
    not_before(&here, now)?;
    let here = counted(here, now);
    let until = next(here.failures, everywhere.failures, now);
    save(&unit, everywhere).await?;
    save(&unit, Model { not_before: until, ..here }).await?;
    unit.commit(()).await?;
    Ok(Attempt { pair, account })
}

impl Attempt {
    /// The password was right: the account starts afresh from this address prefix, and the attempt was no failure.
    #[expect(clippy::disallowed_methods, reason = "the throttle's rows belong to no scope")]
    pub(crate) async fn forgive(&self, unit: &Unit<'_>) -> Result<()> {
        Entity::update_many()
            .col_expr(Column::Failures, Expr::col(Column::Failures).sub(1))
            .filter(Column::Id.eq(self.account.to_vec()))
            .filter(Column::Failures.gt(0))
            .exec(&unit.tx)
            .await?;
        Entity::delete_many().filter(Column::Id.eq(self.pair.to_vec())).exec(&unit.tx).await?;
        Ok(())
    }
}

/// When an account may be tried again from an address prefix, after so many failures there and everywhere.
fn next(here: i32, everywhere: i32, now: DateTime<Utc>) -> DateTime<Utc> {
    let seconds = match here {
        LOCKED_AT.. => {
            let tomorrow = now + TimeDelta::days(1);
            return tomorrow.duration_trunc(TimeDelta::days(1)).unwrap_or(tomorrow);
        }
        ..3 => 1,
        3..9 => 3,
        9..25 => 5,
        25.. => 10,
    };
    now + if everywhere < WATCHED_AT { TimeDelta::seconds(seconds) } else { LONGEST }
}

/// One more attempt; a new day begins at nothing.
fn counted(row: Model, now: DateTime<Utc>) -> Model {
    let before = if row.updated_at.date_naive() < now.date_naive() { 0 } else { row.failures };
    Model { failures: before.saturating_add(1), updated_at: now, ..row }
}

fn not_before(row: &Model, now: DateTime<Utc>) -> Result<()> {
    wait(row.not_before - now)
}

/// Refuses if there is time left to wait, rounded up, so that who comes back then is let in.
fn wait(left: TimeDelta) -> Result<()> {
    if left <= TimeDelta::zero() {
        return Ok(());
    }
    let seconds = (left + TimeDelta::seconds(1) - TimeDelta::nanoseconds(1)).num_seconds();
    Err(Error::Throttled(Duration::from_secs(seconds.unsigned_abs())))
}

/// The part of an address that one customer of a provider is likely to have for itself.
fn prefix(ip: IpAddr) -> String {
    let bits = if ip.is_ipv4() { 24 } else { 64 };
    IpNet::new(ip, bits).map_or_else(|_| ip.to_string(), |net| net.trunc().to_string())
}

fn id(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

#[expect(clippy::disallowed_methods, reason = "the throttle's rows belong to no scope")]
async fn find<C: ConnectionTrait>(db: &C, id: &[u8; 32]) -> Result<Option<Model>> {
    Ok(Entity::find_by_id(id.to_vec()).one(db).await?)
}

/// The row, locked; made first if it is not there.
#[expect(clippy::disallowed_methods, reason = "the throttle's rows belong to no scope")]
async fn lock(unit: &Unit<'_>, id: &[u8; 32]) -> Result<Model> {
    let row = ActiveModel {
        id: Set(id.to_vec()),
        failures: Set(0),
        not_before: Set(unit.now),
        updated_at: Set(unit.now),
    };
    let absent = OnConflict::column(Column::Id).do_nothing().to_owned();
    Entity::insert(row).on_conflict(absent).exec_without_returning(&unit.tx).await?;
    let row = Entity::find_by_id(id.to_vec()).lock(LockType::Update).one(&unit.tx).await?;
    row.ok_or_else(|| Error::internal("a throttle row that has just been made is gone"))
}

#[expect(clippy::disallowed_methods, reason = "the throttle's rows belong to no scope")]
async fn save(unit: &Unit<'_>, row: Model) -> Result<()> {
    let changes = ActiveModel {
        failures: Set(row.failures),
        not_before: Set(row.not_before),
        updated_at: Set(row.updated_at),
        ..Default::default()
    };
    Entity::update_many().set(changes).filter(Column::Id.eq(row.id)).exec(&unit.tx).await?;
    Ok(())
}
