//! Sums of usage events by hour and day, written in the transaction that writes the events: never behind, never adrift.

use crate::{
    id::{ConnectionId, KeyId, OrganizationId, ServiceAccountId, TeamId, UserId},
    money::Nanos,
    status::{Grain, UsageStatus},
};
use sea_orm::entity::prelude::*;

/// A row of `usage_rollup`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "usage_rollup")]
pub struct Model {
    /// The tenant.
    #[sea_orm(primary_key, auto_increment = false)]
    pub organization_id: OrganizationId,
    /// An hour or a day.
    #[sea_orm(primary_key, auto_increment = false)]
    pub grain: Grain,
    /// Its first moment, in UTC.
    #[sea_orm(primary_key, auto_increment = false)]
    pub start: DateTimeUtc,
    /// Made from the dimensions.
    #[sea_orm(primary_key, auto_increment = false)]
    pub dimensions_id: Uuid,
    /// The key.
    pub key_id: Option<KeyId>,
    /// The team that owned the key.
    pub team_id: Option<TeamId>,
    /// The person who owned the key.
    pub user_id: Option<UserId>,
    /// The service account that owned the key.
    pub service_account_id: Option<ServiceAccountId>,
    /// The connection.
    pub connection_id: Option<ConnectionId>,
    /// The provider.
    pub provider: Option<String>,
    /// The model, with every alias followed.
    pub model: Option<String>,
    /// The client's project.
    pub project: Option<String>,
    /// How the calls went.
    pub status: UsageStatus,
    /// ISO 4217.
    pub currency: Option<String>,
    /// Events.
    pub events: i64,
    /// Prompt tokens that came from no cache.
    pub input_tokens: i64,
    /// Prompt tokens read from a cache.
    pub cache_read_tokens: i64,
    /// Prompt tokens written to a cache that lives some minutes.
    pub cache_write_tokens: i64,
    /// Prompt tokens written to a cache that lives an hour.
    pub cache_write_1h_tokens: i64,
    /// Completion tokens, without reasoning.
    pub output_tokens: i64,
    /// Reasoning tokens.
    pub reasoning_tokens: i64,
    /// Tokens of audio in the prompt.
    pub audio_input_tokens: i64,
    /// Tokens of audio in the completion.
    pub audio_output_tokens: i64,
    /// Tokens of images in the prompt.
    pub image_input_tokens: i64,
    /// Tokens of images in the completion.
    pub image_output_tokens: i64,
    /// Tokens of audio in the prompt that were read from a cache.
    pub cache_read_audio_tokens: i64,
    /// Requests.
    pub requests: i64,
    /// Images.
    pub images: i64,
    /// Seconds of audio or video.
    pub seconds: i64,
    /// Characters.
    pub characters: i64,
    /// Web searches that the provider ran.
    pub web_searches: i64,
    /// Executions of code that the provider ran.
    pub code_executions: i64,
    /// What they cost, in whole units of the currency; the rest is beside. Together they hold sums that billionths alone cannot.
    pub cost_units: i64,
    /// The rest of what they cost, added up as it comes.
    pub cost: Nanos,
    /// Events whose cost is not known, or not in the currency of the limits that they held something of.
    pub unpriced_events: i64,
    /// Events of calls that used more than they held.
    pub overruns: i64,
    /// Events whose latency is known.
    pub latency_events: i64,
    /// Their latencies, in milliseconds.
    pub latency_ms: i64,
    /// Events of which a limit was charged what the call held.
    pub estimated_events: i64,
    /// Events that do not say what was used.
    pub unclear_events: i64,
    /// Events whose price is a guess.
    pub guessed_events: i64,
}

impl ActiveModelBehavior for ActiveModel {}
