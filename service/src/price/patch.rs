//! [`PricePatch`]: what to change of a price that is not in force yet. Rates are changed one by one; service tiers, tiers
//! and multipliers as a whole. What comes out is checked as a new price is.

use super::{
    NewPrice,
    tariff::{Multiplier, OffPeakRates, RateCard, Tier, changes_rates},
};
use chrono::{DateTime, Utc};
use entity::{status::PriceKind, terms::TierBy};
use serde::Deserialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

changes_rates! {
    /// What to change of a price that is not in force yet. An absent field is kept; a rate that is null is a rate that
    /// the price no longer has.
    #[derive(Debug, Default, Deserialize, ToSchema)]
    #[serde(deny_unknown_fields)]
    pub struct PricePatch {
        /// A model, or a glob of models; null = the default price.
        #[serde(default, with = "serde_with::rust::double_option")]
        #[schema(value_type = Option<String>, max_length = 255, example = "gpt-4o")]
        pub model: Option<Option<String>>,
        /// The provider it is for; null = whoever serves the model.
        #[serde(default, with = "serde_with::rust::double_option")]
        #[schema(value_type = Option<String>, max_length = 64, example = "openai")]
        pub provider: Option<Option<String>>,
        /// ISO 4217.
        #[serde(default, deserialize_with = "crate::validate::present")]
        #[schema(nullable = false, example = "USD")]
        pub currency: Option<String>,
        /// What a team is charged above cost, in hundredths of a percent.
        #[serde(default, deserialize_with = "crate::validate::present")]
        #[schema(nullable = false, minimum = 0, maximum = 1_000_000)]
        pub markup_bps: Option<i32>,
        /// In force from this moment on.
        #[serde(default, deserialize_with = "crate::validate::present")]
        #[schema(nullable = false)]
        pub effective_from: Option<DateTime<Utc>>,
        /// In force up to but not including this moment; null = until the next price of the same key begins.
        #[serde(default, with = "serde_with::rust::double_option")]
        #[schema(value_type = Option<DateTime<Utc>>)]
        pub effective_until: Option<Option<DateTime<Utc>>>,
        /// A remark, at most 1024 characters; null = none.
        #[serde(default, with = "serde_with::rust::double_option")]
        #[schema(value_type = Option<String>, max_length = 1024)]
        pub note: Option<Option<String>>,
        /// How it charges.
        #[serde(default, deserialize_with = "crate::validate::present")]
        #[schema(nullable = false)]
        pub kind: Option<PriceKind>,
        /// Rates in a batch, all of them; null = as in the standard tier.
        #[serde(default, with = "serde_with::rust::double_option")]
        #[schema(value_type = Option<RateCard>)]
        pub batch: Option<Option<RateCard>>,
        /// Rates when there is room, all of them; null = as in the standard tier.
        #[serde(default, with = "serde_with::rust::double_option")]
        #[schema(value_type = Option<RateCard>)]
        pub flex: Option<Option<RateCard>>,
        /// Rates before others, all of them; null = as in the standard tier.
        #[serde(default, with = "serde_with::rust::double_option")]
        #[schema(value_type = Option<RateCard>)]
        pub priority: Option<Option<RateCard>>,
        /// Rates of some hours of the day, all of them; null = as in the other hours.
        #[serde(default, with = "serde_with::rust::double_option")]
        #[schema(value_type = Option<OffPeakRates>)]
        pub off_peak: Option<Option<OffPeakRates>>,
        /// What the tiers of a tiered price are of.
        #[serde(default, with = "serde_with::rust::double_option")]
        #[schema(value_type = Option<TierBy>)]
        pub tier_by: Option<Option<TierBy>>,
        /// The tiers of a tiered price, all of them, in order of their sizes.
        #[serde(default, with = "serde_with::rust::double_option")]
        #[schema(value_type = Option<Vec<Tier>>)]
        pub tiers: Option<Option<Vec<Tier>>>,
        /// What the whole cost is multiplied by in a region or at a speed, all of it.
        #[serde(default, deserialize_with = "crate::validate::present")]
        #[schema(nullable = false, example = json!({"eu": "1.1"}))]
        pub multipliers: Option<BTreeMap<String, Multiplier>>,
    }
}

impl PricePatch {
    /// Changes what is stated of a price.
    pub(super) fn apply(self, price: &mut NewPrice) {
        self.change_rates(price);
        set(&mut price.model, self.model);
        set(&mut price.provider, self.provider);
        set(&mut price.currency, self.currency.map(Some));
        set(&mut price.markup_bps, self.markup_bps);
        set(&mut price.effective_from, self.effective_from.map(Some));
        set(&mut price.effective_until, self.effective_until);
        set(&mut price.note, self.note);
        set(&mut price.kind, self.kind);
        set(&mut price.batch, self.batch);
        set(&mut price.flex, self.flex);
        set(&mut price.priority, self.priority);
        set(&mut price.off_peak, self.off_peak);
        set(&mut price.tier_by, self.tier_by);
        set(&mut price.tiers, self.tiers);
        set(&mut price.multipliers, self.multipliers);
    }
}

fn set<T>(field: &mut T, change: Option<T>) {
    if let Some(value) = change {
        *field = value;
    }
}
