//! The usage object of an event, as the provider sent it: shown with the event alone, for a while.

use crate::{Ctx, Result, meter::raw::place, vault};
use chrono::TimeDelta;
use entity::{
    status, usage_event,
    usage_raw::{Column, Entity},
};
use sea_orm::{ColumnTrait, Condition};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// How long an object is kept.
pub const RAW_KEPT: TimeDelta = TimeDelta::days(90);

/// Why a usage object that cannot be read exactly is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RawUsageDropped {
    /// It has more than 16 KiB, and was not kept.
    TooLarge,
    /// It could not be sealed, and was not kept.
    NotSealed,
    /// Its 90 days are over.
    Expired,
    /// It does not open: its data key is gone.
    Unreadable,
}

/// The object of an event, or why there is none, if its provider has sent one that cannot be read exactly.
pub(super) async fn of(
    ctx: &Ctx,
    event: &usage_event::Model,
) -> Result<(Option<Value>, Option<RawUsageDropped>)> {
    match event.raw_usage {
        None => Ok((None, None)),
        Some(status::RawUsage::TooLarge) => Ok((None, Some(RawUsageDropped::TooLarge))),
        Some(status::RawUsage::NotSealed) => Ok((None, Some(RawUsageDropped::NotSealed))),
        Some(status::RawUsage::Kept) => Ok(match open(ctx, event).await? {
            Ok(object) => (Some(object), None),
            Err(dropped) => (None, Some(dropped)),
        }),
    }
}

async fn open(ctx: &Ctx, event: &usage_event::Model) -> Result<std::result::Result<Value, RawUsageDropped>> {
    let of = Condition::all().add(Column::EventId.eq(event.id)).add(Column::Attempt.eq(event.attempt));
    let now = ctx.now().await?;
    let row = ctx.repository::<Entity>().first(of).await?;
    let Some(row) = row.filter(|row| now < row.created_at + RAW_KEPT) else {
        return Ok(Err(RawUsageDropped::Expired));
    };
    let place = place(row.organization_id, &row.id);
    let plain = vault::open_if_good(ctx, place, row.data_key_id, &row.raw).await?;
    let object = plain.and_then(|plain| serde_json::from_slice(plain.expose()).ok());
    Ok(object.ok_or(RawUsageDropped::Unreadable))
}
