//! Provider connections: the configured upstreams of an organization.

use crate::{
    endpoint::Endpoints,
    id::{ConnectionId, DataKeyId, OrganizationId, ProxyPoolId, TeamId},
    json::{Metadata, Tags, Texts},
    model_params::ModelParams,
    secret::Sealed,
    status::{BillingType, ConnectionStatus, FormatMode, Location, Protocol},
};
use sea_orm::entity::prelude::*;

/// A row of `provider_connection`.
#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "provider_connection")]
pub struct Model {
    /// Its id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ConnectionId,
    /// The tenant.
    pub organization_id: OrganizationId,
    /// The team it belongs to; none = the organization.
    pub team_id: Option<TeamId>,
    /// The provider, as models and prices name it.
    pub provider: String,
    /// Unique in its organization and provider among those that are not deleted.
    pub name: String,
    /// Whether calls may name it.
    pub status: ConnectionStatus,
    /// Why it was disabled.
    pub disabled_reason: Option<String>,
    /// Where it is.
    pub base_url: String,
    /// Where else it may be.
    #[sea_orm(column_type = "JsonBinary")]
    pub alternate_base_urls: Texts,
    /// What it speaks, as stated; none = what is detected.
    pub format: Option<Protocol>,
    /// Whether what is stated is what is spoken, whatever is detected.
    pub format_mode: FormatMode,
    /// What it speaks where, as far as that is not the base URL.
    #[sea_orm(column_type = "JsonBinary")]
    pub protocols: Endpoints,
    /// The only protocol that is used.
    pub force_protocol: Option<Protocol>,
    /// The model of calls that name none.
    pub default_model: Option<String>,
    /// Parameters of calls that state none.
    #[sea_orm(column_type = "JsonBinary")]
    pub model_params: ModelParams,
    /// Models that it serves, by globs; none = all of them.
    #[sea_orm(column_type = "JsonBinary")]
    pub allowed_models: Option<Texts>,
    /// Headers of every call, as a JSON object, sealed.
    pub headers: Option<Sealed>,
    /// Their names.
    #[sea_orm(column_type = "JsonBinary")]
    pub header_names: Texts,
    /// What they are sealed with.
    pub data_key_id: Option<DataKeyId>,
    /// The proxies that calls take.
    pub proxy_pool_id: Option<ProxyPoolId>,
    /// Whether each call costs, or a subscription does.
    pub billing_type: BillingType,
    /// Lower comes first.
    pub priority: i32,
    /// Where it runs.
    pub location: Location,
    /// Whether its certificate is not looked at.
    pub tls_skip_verify: bool,
    /// Labels.
    #[sea_orm(column_type = "JsonBinary")]
    pub tags: Tags,
    /// The caller's own object.
    #[sea_orm(column_type = "JsonBinary")]
    pub metadata: Metadata,
    /// Who made it: the prefixed id of a user or a token.
    pub created_by: String,
    /// Optimistic-locking version, 1 at creation.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// When it was last changed.
    pub updated_at: DateTimeUtc,
}

impl ActiveModelBehavior for ActiveModel {}
