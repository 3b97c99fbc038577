//! The sign-in throttle. An attempt is counted, and that is committed, before its password is verified: attempts in
//! parallel and on several instances weigh as much as attempts in a row. What is refused is refused to one account from
//! one network for minutes at most, and never to a device that the account is known to sign in from: that waits for its
//! own wrong passwords alone. Nothing here depends on whether there is such an account, so that no reply tells it.

use crate::{Ctx, Error, Result, Unit};
use chrono::{DateTime, TimeDelta, Utc};
use entity::login_throttle::{ActiveModel, Column, Entity, Model};
use ipnet::IpNet;
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter, QuerySelect,
    sea_query::{Expr, LockType, OnConflict},
};
use sha2::{Digest, Sha256};
use std::{net::IpAddr, time::Duration};
use uuid::Uuid;

/// Failures in a day, from everywhere, after which an account's delays are the longest usual ones from the first attempt
/// on.
const WATCHED_AT: i32 = 100;
/// The longest usual delay, in seconds; only who goes on for long at one network waits longer.
const LONGEST: i64 = 10;
/// The longest delay there is, in seconds: what lies further ahead was said by a clock that has gone back since.
const LONGEST_OF_ALL: i64 = 300;
/// Failures in a row after which a known device is so no longer.
const DISTRUSTED_AT: i32 = 25;
/// How far attempts may be ahead of a pace.
const BURST: TimeDelta = TimeDelta::seconds(60);
/// An address has an attempt a second on average, whatever the accounts, and the network around it four: who guesses at
/// one address slows its neighbours down only with many addresses.
const PACES: [Pace; 2] = [
    Pace { of: "address", bits: (32, 64), every: TimeDelta::seconds(1) },
    Pace { of: "network", bits: (24, 48), every: TimeDelta::milliseconds(250) },
];
/// The part of an address, of IPv4 and IPv6, within which the delays of one account hold.
const NEIGHBOURS: (u8, u8) = (24, 64);

/// What the attempts of a part of the internet are held to.
struct Pace {
    of: &'static str,
    bits: (u8, u8),
    every: TimeDelta,
}

impl Pace {
    fn id(&self, ip: IpAddr) -> [u8; 32] {
        id(&[self.of, &network(ip, self.bits)])
    }

    /// When the next attempt is due, if this one is not too early.
    fn next(&self, row: &Model, now: DateTime<Utc>) -> Result<DateTime<Utc>> {
        // Nothing is further ahead than a burst, but for what a clock said that has gone back since.
        let before = if row.not_before > now + BURST { now } else { row.not_before };
        let ahead = Ord::max(before, now) + self.every;
        wait(ahead - BURST - now)?;
        Ok(ahead)
    }
}

/// An attempt that has been counted, to be forgiven if the password is right.
#[derive(Debug)]
pub(crate) struct Attempt {
    own: [u8; 32],
    /// What else it weighs on, unless it is a known device's.
    account: Option<[u8; 32]>,
    failures: i32,
}

/// Counts an attempt on an account, or says when to come back. `known` is a device that the account is known to sign in
/// from, or a session of it.
pub(crate) async fn admit(ctx: &Ctx, email: &str, known: Option<Uuid>) -> Result<Attempt> {
    match known {
        Some(known) => admit_known(ctx, id(&["known", &known.to_string()])).await,
        None => admit_unknown(ctx, email).await,
    }
}

async fn admit_known(ctx: &Ctx, own: [u8; 32]) -> Result<Attempt> {
    admit_early(ctx, &own).await?;
    let unit = ctx.begin().await?;
    let row = lock(&unit, &own).await?;
    not_before(&row, unit.now)?;
    let row = counted(row, unit.now);
    let until = unit.now + TimeDelta::seconds(Ord::min(pause(row.failures), LONGEST));
    let failures = row.failures;
    save(&unit, Model { not_before: until, ..row }).await?;
    unit.commit(()).await?;
    Ok(Attempt { own, account: None, failures })
}

async fn admit_unknown(ctx: &Ctx, email: &str) -> Result<Attempt> {
    let ip = ctx.request.client_ip;
    let neighbours = ip.map_or_else(|| "unknown".to_owned(), |ip| network(ip, NEIGHBOURS));
    let own = id(&["pair", email, &neighbours]);
    let account = id(&["account", email]);
    admit_early(ctx, &own).await?;
    let unit = ctx.begin().await?;
    let now = unit.now;
    for (pace, ip) in PACES.iter().zip(ip.into_iter().cycle()) {
        let row = lock(&unit, &pace.id(ip)).await?;
        let ahead = pace.next(&row, now)?;
        save(&unit, Model { not_before: ahead, ..counted(row, now) }).await?;
    }
    let everywhere = counted(lock(&unit, &account).await?, now);
    let here = lock(&unit, &own).await?;
    not_before(&here, now)?;
    let here = counted(here, now);
    let (until, failures) = (next(here.failures, everywhere.failures, now), here.failures);
    save(&unit, everywhere).await?;
    save(&unit, Model { not_before: until, ..here }).await?;
    unit.commit(()).await?;
    Ok(Attempt { own, account: Some(account), failures })
}

/// Who comes too early is turned away by a read, so that a flood of attempts is no flood of writes.
async fn admit_early(ctx: &Ctx, own: &[u8; 32]) -> Result<()> {
    match find(&ctx.system.db.reader, own).await? {
        Some(row) => not_before(&row, ctx.now().await?),
        None => Ok(()),
    }
}

impl Attempt {
    /// Whether this many failures in a row are more than a person's who has the password.
    pub(crate) fn is_distrusted(&self) -> bool {
        self.failures >= DISTRUSTED_AT
    }

    /// The password was right: delays begin again at nothing, and the attempt was no failure.
    #[expect(clippy::disallowed_methods, reason = "the throttle's rows belong to no scope")]
    pub(crate) async fn forgive(&self, unit: &Unit<'_>) -> Result<()> {
        if let Some(account) = self.account {
            Entity::update_many()
                .col_expr(Column::Failures, Expr::col(Column::Failures).sub(1))
                .filter(Column::Id.eq(account.to_vec()))
                .filter(Column::Failures.gt(0))
                .exec(&unit.tx)
                .await?;
        }
        Entity::delete_many().filter(Column::Id.eq(self.own.to_vec())).exec(&unit.tx).await?;
        Ok(())
    }
}

/// When an account may be tried again from a network, after so many failures there and everywhere.
fn next(here: i32, everywhere: i32, now: DateTime<Utc>) -> DateTime<Utc> {
    let seconds = pause(here);
    now + TimeDelta::seconds(if everywhere < WATCHED_AT { seconds } else { Ord::max(seconds, LONGEST) })
}

/// Seconds to wait after so many failures: longer and longer, and never so long that it is a lock.
fn pause(failures: i32) -> i64 {
    match failures {
        ..3 => 1,
        3..9 => 3,
        9..25 => 5,
        25..50 => LONGEST,
        50..100 => 60,
        100.. => LONGEST_OF_ALL,
    }
}

/// One more attempt; a new day begins at nothing.
fn counted(row: Model, now: DateTime<Utc>) -> Model {
    let before = if row.updated_at.date_naive() == now.date_naive() { row.failures } else { 0 };
    Model { failures: before.saturating_add(1), updated_at: now, ..row }
}

fn not_before(row: &Model, now: DateTime<Utc>) -> Result<()> {
    let left = row.not_before - now;
    if left > TimeDelta::seconds(LONGEST_OF_ALL) { Ok(()) } else { wait(left) }
}

/// Refuses if there is time left to wait, rounded up, so that who comes back then is let in.
fn wait(left: TimeDelta) -> Result<()> {
    if left <= TimeDelta::zero() {
        return Ok(());
    }
    let seconds = (left + TimeDelta::seconds(1) - TimeDelta::nanoseconds(1)).num_seconds();
    Err(Error::Throttled(Duration::from_secs(seconds.unsigned_abs())))
}

/// The network of so many bits, of IPv4 and IPv6, that an address is in.
fn network(ip: IpAddr, (v4, v6): (u8, u8)) -> String {
    let bits = if ip.is_ipv4() { v4 } else { v6 };
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
