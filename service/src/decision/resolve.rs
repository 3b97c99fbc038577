//! An administrator says what became of a call. The meter's own rules decide, within the unit of work that notes who said so.

use super::{NewResolution, Settlement};
use crate::{
    Ctx, Error, Result,
    meter::{Answer, Asker, Batch, Cache, Request, Within},
};
use entity::{id::ReservationId, reservation};
use serde_json::json;

/// Settles or voids a reservation that is open or unresolved.
pub async fn resolve(ctx: &Ctx, id: ReservationId, new: NewResolution) -> Result<Settlement> {
    ctx.repository::<reservation::Entity>().find(id).await?;
    let organization = ctx.scope.organization;
    let mut task = new.command(Asker::Administrator(organization), organization, id)?;
    // The prices are read, if they have to be, and usage objects sealed, before anybody waits for the unit.
    super::raw::seal(&ctx.system, organization, &mut task).await;
    ctx.system.books.now(&ctx.system, organization).await?;
    let mut unit = ctx.begin().await?;
    unit.take_turn(ctx.scope.organization).await;
    let store = Within { system: ctx.system.clone(), tx: &unit.tx };
    let mut cache = Cache::default();
    let mut batch = Batch { store: &store, secrets: &ctx.system.secrets, cache: &mut cache };
    let mut requests = [Request { prepared: true, ..Request::new(task, organization) }];
    let answers = Box::pin(batch.run(&mut requests)).await?;
    let answer = answers.into_iter().next().ok_or_else(|| Error::internal("the meter has not answered"))?;
    let mut used = Vec::new();
    let settlement = match answer? {
        Answer::Settled(row, events) => {
            used = events;
            Settlement::new(&row, &used)
        }
        Answer::Voided(row) => Settlement::new(&row, &[]),
        _ => return super::mistaken(),
    };
    let attempts = serde_json::to_value(&settlement.attempts).map_err(Error::internal)?;
    unit.audit("reservation.resolve", id, json!({ "state": settlement.state, "attempts": attempts }));
    let settlement = unit.commit(settlement).await?;
    super::note_credentials(&ctx.system, &used);
    Ok(settlement)
}
