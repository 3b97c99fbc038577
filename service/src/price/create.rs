//! Making prices, and what every price must meet.

use super::{NewPrice, Price, term};
use crate::{Ctx, Result, clock::to_the_microsecond, error::ConflictExt, validate::Faults};
use chrono::{DateTime, Utc};
use entity::{
    id::OrganizationId,
    organization,
    price::{ActiveModel, Entity},
    provider_connection,
    status::{Origin, PriceKind},
};
use sea_orm::ActiveValue::{NotSet, Set};

/// Characters of a remark.
const NOTE: usize = 1024;
/// The largest markup: a hundred times the cost.
const MARKUP: i32 = 1_000_000;
/// The currency of the platform's prices that name none.
const CURRENCY: &str = "USD";

/// Makes a price of the scope's organization, or of the platform.
pub async fn create(ctx: &Ctx, new: NewPrice) -> Result<Price> {
    let mut unit = ctx.begin().await?;
    // The connection is kept from being deleted meanwhile; who holds it and the head takes the head last.
    if let Some(connection) = new.connection_id {
        unit.read::<provider_connection::Entity>().hold(connection).await?;
    }
    let now = term::lock(&unit).await?;
    let name = new.name();
    let mut row = new.checked(now)?;
    if row.currency.is_not_set() {
        row.currency = Set(default_currency(ctx).await?);
    }
    row.id = Set(unit.id());
    row.created_by = Set(ctx.actor.id.clone());
    let row = unit.repository::<Entity>().insert(row).await.conflict("price", &name)?;
    term::check(&unit, &row, row.effective_from).await?;
    unit.commit(row.into()).await
}

/// The currency of prices of the scope that name none.
pub(super) async fn default_currency(ctx: &Ctx) -> Result<String> {
    let organization = ctx.scope.organization;
    if organization == OrganizationId::PLATFORM {
        return Ok(CURRENCY.to_owned());
    }
    Ok(ctx.repository::<organization::Entity>().find(organization).await?.default_currency)
}

impl NewPrice {
    /// What messages call it.
    pub(super) fn name(&self) -> String {
        let begin = self.effective_from.map_or_else(|| "now".to_owned(), |begin| begin.to_rfc3339());
        format!("{} from {begin}", self.model.as_deref().unwrap_or("default"))
    }

    /// The row that it asks for, if everything about it is acceptable. A price that names no begin begins `now`.
    pub(super) fn checked(self, now: DateTime<Utc>) -> Result<ActiveModel> {
        let begin = to_the_microsecond(self.effective_from.unwrap_or(now));
        let end = self.effective_until.map(to_the_microsecond);
        let mut faults = Faults::default();
        self.check_key(&mut faults);
        if let Some(currency) = &self.currency {
            faults.currency("/currency", currency);
        }
        let wrong = !(0..=MARKUP).contains(&self.markup_bps);
        faults.when(wrong, "/markup_bps", "out_of_range", "must be between 0 and 1000000");
        faults.moment("/effective_from", Some(begin));
        faults.moment("/effective_until", end);
        let inverted = end.is_some_and(|end| end <= begin);
        faults.when(inverted, "/effective_until", "inverted_range", "must be after effective_from");
        faults.text("/note", self.note.as_deref().unwrap_or_default(), NOTE);
        let terms = self.terms("", &mut faults);
        faults.finish()?;
        Ok(ActiveModel {
            provider: Set(self.provider),
            model: Set(self.model),
            connection_id: Set(self.connection_id),
            kind: Set(self.kind),
            currency: self.currency.map_or(NotSet, Set),
            terms: Set(terms),
            markup_bps: Set(self.markup_bps),
            effective_from: Set(begin),
            effective_until: Set(end),
            origin: Set(Origin::Manual),
            source: Set(None),
            sourced_on: Set(None),
            note: Set(self.note),
            ..Default::default()
        })
    }

    fn check_key(&self, faults: &mut Faults) {
        if let Some(model) = &self.model {
            faults.name("/model", model);
            faults.stars("/model", model);
        }
        if let Some(provider) = &self.provider {
            faults.word("/provider", provider);
        }
        let vague = self.provider.is_some() && self.model.is_none();
        let message = "a price of a provider names a model; `*` is each of its models";
        faults.when(vague, "/model", "required", message);
        // Whatever nobody thought of would be free; an organization can allow that by its unpriced_policy.
        let free = self.model.is_none() && self.kind == PriceKind::Flat;
        faults.when(free, "/kind", "not_allowed", "a default price charges for calls");
    }
}
