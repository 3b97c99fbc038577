//! Usage events: what one attempt of a call really used and cost. Append-only; its price is named, not copied.
#![expect(clippy::struct_excessive_bools, reason = "what is known of an attempt: each is told by itself")]

use crate::{
    id::{
        ConnectionId, CredentialId, KeyId, OrganizationId, PriceId, ReservationId, SecretId,
        ServiceAccountId, TeamId, UserId,
    },
    json::Tags,
    money::Nanos,
    status::{PriceSource, RawUsage, UsageOrigin, UsageStatus},
    terms::ServiceTier,
};
use sea_orm::entity::prelude::*;

/// A row of `usage_event`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "usage_event")]
pub struct Model {
    /// The tenant.
    #[sea_orm(primary_key, auto_increment = false)]
    pub organization_id: OrganizationId,
    /// The call's id, which is its reservation's.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ReservationId,
    /// Which attempt of the call, from 0.
    #[sea_orm(primary_key, auto_increment = false)]
    pub attempt: i32,
    /// When it became known, by the database.
    pub occurred_at: DateTimeUtc,
    /// How it became known.
    pub origin: UsageOrigin,
    /// The key.
    pub key_id: Option<KeyId>,
    /// The secret that proved the key.
    pub secret_id: Option<SecretId>,
    /// The team that owned the key.
    pub team_id: Option<TeamId>,
    /// The person who owned the key.
    pub user_id: Option<UserId>,
    /// The service account that owned the key.
    pub service_account_id: Option<ServiceAccountId>,
    /// The connection that served it.
    pub connection_id: Option<ConnectionId>,
    /// The secret of the connection.
    pub credential_id: Option<CredentialId>,
    /// The provider that served it.
    pub provider: Option<String>,
    /// The model as the client called it.
    pub requested_model: Option<String>,
    /// The model, with every alias followed.
    pub model: Option<String>,
    /// The client's project.
    pub project: Option<String>,
    /// The client's session.
    pub session_id: Option<String>,
    /// What kind of call it was.
    pub endpoint: Option<String>,
    /// The labels of the key and of the call.
    #[sea_orm(column_type = "JsonBinary")]
    pub tags: Option<Tags>,
    /// Where the client called from.
    pub client_ip: Option<String>,
    /// How it went.
    pub status: UsageStatus,
    /// What the provider called its failure.
    pub error_code: Option<String>,
    /// How urgently it was served.
    pub service_tier: ServiceTier,
    /// Where it was served, as far as that is charged for.
    pub region: Option<String>,
    /// How fast it was served, as far as that is charged for.
    pub speed: Option<String>,
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
    /// Milliseconds until the last byte.
    pub latency_ms: Option<i64>,
    /// Milliseconds until the first token.
    pub ttft_ms: Option<i64>,
    /// What it cost, or, if that is not known, what the call held of limits of cost; 0 if it held nothing.
    pub cost: Nanos,
    /// ISO 4217.
    pub currency: Option<String>,
    /// The price that it was charged by.
    pub price_id: Option<PriceId>,
    /// Whether what it cost is known, in the currency of every limit of cost that the call held something of.
    pub priced: bool,
    /// Whether the call used more than it held.
    pub overrun: bool,
    /// Whether a limit was charged what the call held of it, because what was used of it is not known.
    pub estimated: bool,
    /// Whether a call that a provider has served does not say what it used.
    pub usage_unclear: bool,
    /// Where the price comes from; none of an event from before that was noted.
    pub price_source: Option<PriceSource>,
    /// Whether the price is a guess, and the organization wants guesses to be counted.
    pub guessed: bool,
    /// What the provider said that it cost, in US dollars; none if it said nothing.
    pub provider_stated_cost: Option<Nanos>,
    /// What became of the usage object, if it is one that is kept because it cannot be read exactly.
    pub raw_usage: Option<RawUsage>,
}

impl ActiveModelBehavior for ActiveModel {}
