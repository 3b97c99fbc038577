//! Price lists: files of prices. Whatever its format, a list is read into [`Listed`] entries, and every number in it from
//! its digits: an entry that cannot be kept exactly is refused, never rounded.

mod diff;
mod export;
mod import;
pub mod litellm;
mod models;
mod own;
mod report;

pub use export::export;
pub use import::{PriceList, import};
pub use own::PriceFile;
pub use report::{ImportCounts, ImportEntry, ImportOutcome, ImportReport, ListFormat};

use super::{NewPrice, tariff::tariff};
use crate::{Error, Result, validate::Faults};
use chrono::{DateTime, NaiveDate, Utc};
use entity::json::Capabilities;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Entries of a list, whether it is read or written.
const ENTRIES: usize = 100_000;
/// Characters of a source.
const SOURCE: usize = 255;

/// How a file of our own format is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// JSON.
    #[default]
    Json,
    /// YAML.
    Yaml,
    /// CSV.
    Csv,
}

/// One entry of a price list, as far as it is understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// What the list calls it.
    pub key: String,
    /// Whose it is.
    pub provider: Option<String>,
    /// What is said of the model; none if nothing is.
    pub facts: Option<Facts>,
    /// What it costs, or why there is no price.
    pub price: std::result::Result<ListPrice, String>,
    /// What was left out or read in a way that is not obvious.
    pub notes: Vec<String>,
}

/// What a list says of a model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// What it can do.
    pub capabilities: Capabilities,
    /// Tokens of prompt and completion together.
    pub context_window: Option<i64>,
    /// Tokens of a completion.
    pub max_output_tokens: Option<i64>,
    /// When it goes.
    pub deprecated_on: Option<NaiveDate>,
}

tariff! {
    /// A price as it stands in a list.
    #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
    #[serde(deny_unknown_fields)]
    pub struct ListPrice {
        /// A model, or a glob of models; absent or null = the default price.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(max_length = 255, example = "gpt-4o")]
        pub model: Option<String>,
        /// The provider it is for; absent or null = whoever serves the model.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(max_length = 64, example = "openai")]
        pub provider: Option<String>,
        /// ISO 4217; absent or null = the organization's default currency.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(example = "USD")]
        pub currency: Option<String>,
        /// What a team is charged above cost, in hundredths of a percent.
        #[serde(default, skip_serializing_if = "is_zero")]
        #[schema(minimum = 0, maximum = 1_000_000)]
        pub markup_bps: i32,
        /// In force from this moment on; absent or null = from the import on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub effective_from: Option<DateTime<Utc>>,
        /// In force up to but not including this moment.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub effective_until: Option<DateTime<Utc>>,
        /// Who says so; absent or null = the list.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(max_length = 255)]
        pub source: Option<String>,
        /// Of what day that is; absent or null = the day of the import.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub sourced_on: Option<NaiveDate>,
        /// A remark.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(max_length = 1024)]
        pub note: Option<String>,
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(markup: &i32) -> bool {
    *markup == 0
}

impl From<ListPrice> for NewPrice {
    fn from(price: ListPrice) -> Self {
        let mut new = Self {
            model: price.model.clone(),
            provider: price.provider.clone(),
            currency: price.currency.clone(),
            markup_bps: price.markup_bps,
            effective_from: price.effective_from,
            effective_until: price.effective_until,
            note: price.note.clone(),
            kind: price.kind,
            batch: price.batch.clone(),
            flex: price.flex.clone(),
            priority: price.priority.clone(),
            off_peak: price.off_peak.clone(),
            tier_by: price.tier_by,
            tiers: price.tiers.clone(),
            multipliers: price.multipliers.clone(),
            ..Self::default()
        };
        new.set_rates(&price.rates());
        new
    }
}

impl ListPrice {
    /// Whether its source can be kept.
    fn check_source(&self) -> Result<()> {
        let mut faults = Faults::default();
        faults.text("/source", self.source.as_deref().unwrap_or_default(), SOURCE);
        faults.finish()
    }
}

/// The file as text, without the mark that some programs put before it.
fn text(file: &[u8]) -> Result<&str> {
    let text = std::str::from_utf8(file).map_err(|error| {
        let detail = format!("the file is not UTF-8 from byte {} on", error.valid_up_to());
        Error::malformed("", "invalid_encoding", detail)
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// What is no JSON is told with its line and column; what is JSON of another shape is an unacceptable value.
fn json_fault(error: &serde_json::Error) -> Error {
    if error.is_data() {
        Error::invalid("", "invalid_value", error.to_string())
    } else {
        Error::malformed("", "invalid_json", format!("the file is not JSON: {error}"))
    }
}
