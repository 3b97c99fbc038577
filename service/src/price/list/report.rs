//! What an import did, or would do.

use entity::id::PriceId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The format of a price list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ListFormat {
    /// LiteLLM's public list of models and prices, as JSON.
    Litellm,
    /// Our own format, as JSON, YAML or CSV.
    #[default]
    Tollkeeper,
}

impl ListFormat {
    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Litellm => "litellm",
            Self::Tollkeeper => "tollkeeper",
        }
    }
}

/// What becomes of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportOutcome {
    /// It had no price.
    Added,
    /// It had another price; a new one takes its place.
    Changed,
    /// It has this price.
    Unchanged,
    /// It is left as it is.
    Skipped,
}

/// How many entries had which outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct ImportCounts {
    /// New.
    pub added: u32,
    /// Other than before.
    pub changed: u32,
    /// As before.
    pub unchanged: u32,
    /// Left as they are.
    pub skipped: u32,
}

impl ImportCounts {
    pub(super) fn plus(&mut self, other: Self) {
        self.added += other.added;
        self.changed += other.changed;
        self.unchanged += other.unchanged;
        self.skipped += other.skipped;
    }

    pub(super) fn count(&mut self, outcome: ImportOutcome) {
        *match outcome {
            ImportOutcome::Added => &mut self.added,
            ImportOutcome::Changed => &mut self.changed,
            ImportOutcome::Unchanged => &mut self.unchanged,
            ImportOutcome::Skipped => &mut self.skipped,
        } += 1;
    }
}

/// What becomes of one entry of a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ImportEntry {
    /// What the list calls it; `default` for the default price.
    #[schema(example = "azure/gpt-4o")]
    pub key: String,
    /// Its provider, if the list names one.
    #[schema(required, example = "azure")]
    pub provider: Option<String>,
    /// What becomes of it.
    pub outcome: ImportOutcome,
    /// Its price: the new one, or the one that stays; null in a dry run for one that would be made.
    #[schema(required)]
    pub price_id: Option<PriceId>,
    /// Why it was skipped.
    #[schema(required)]
    pub reason: Option<String>,
    /// What was left out of its price, or read in a way that is not obvious.
    pub notes: Vec<String>,
}

/// What an import did, or in a dry run what it would do.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportReport {
    /// The format of the list.
    pub format: ListFormat,
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// SHA-256 of the file, in hexadecimal.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub sha256: String,
    /// Prices.
    pub counts: ImportCounts,
    /// Models whose facts the list tells.
    pub models: ImportCounts,
    /// Every entry, in the order of the list.
    pub entries: Vec<ImportEntry>,
}

impl ImportReport {
    /// A report of nothing yet.
    pub(super) fn new(format: ListFormat, sha256: String, dry_run: bool) -> Self {
        let (counts, models) = (ImportCounts::default(), ImportCounts::default());
        Self { format, dry_run, sha256, counts, models, entries: Vec::new() }
    }

    pub(super) fn add(&mut self, entry: ImportEntry) {
        self.counts.count(entry.outcome);
        self.entries.push(entry);
    }

    /// Whether anything is other than before.
    pub(super) fn changes_something(&self) -> bool {
        [self.counts, self.models].iter().any(|counts| counts.added + counts.changed > 0)
    }

    /// What the audit log keeps of it.
    pub(super) fn summary(&self) -> serde_json::Value {
        let Self { format, sha256, counts, models, .. } = self;
        serde_json::json!({ "format": format, "sha256": sha256, "prices": counts, "models": models })
    }
}
