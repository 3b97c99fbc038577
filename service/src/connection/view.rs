//! What is shown of a connection: its row, and beside it what is seen of it, put together here and nowhere else. A page of
//! connections costs the same number of queries as one.

use super::health::{ConnectionHealth, effective, observed, usable};
use crate::{Ctx, Result, Unit, repository::View};
use chrono::{DateTime, Utc};
use entity::{
    endpoint::Endpoints,
    id::{ConnectionId, ProxyPoolId, TeamId},
    json::{Metadata, Tags, Texts},
    model_params::ModelParams,
    provider_connection::Entity,
    status::{BillingType, ConnectionStatus, FormatMode, Health, Location, Protocol},
};
use sea_orm::{ConnectionTrait, DerivePartialModel};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// A configured upstream.
#[derive(Debug, Serialize, DerivePartialModel, ToSchema)]
#[sea_orm(entity = "Entity")]
pub struct Connection {
    /// Its id.
    pub id: ConnectionId,
    /// The team it belongs to; null = the organization.
    #[schema(required)]
    pub team_id: Option<TeamId>,
    /// The provider, as models and prices name it.
    #[schema(example = "openai")]
    pub provider: String,
    /// Unique in its organization and provider.
    #[schema(example = "production")]
    pub name: String,
    /// Whether calls may name it.
    pub status: ConnectionStatus,
    /// Why it is disabled, if somebody said.
    #[schema(required)]
    pub disabled_reason: Option<String>,
    /// Where it is.
    #[schema(example = "https://api.openai.com/v1")]
    pub base_url: String,
    /// Where calls go: the base URL that was found to work, else the stated one.
    #[sea_orm(skip)]
    #[schema(example = "https://api.openai.com/v1")]
    pub effective_base_url: String,
    /// Where else it may be.
    pub alternate_base_urls: Texts,
    /// What it speaks, as stated.
    #[schema(required)]
    pub format: Option<Protocol>,
    /// Whether what is stated counts, or what is detected.
    pub format_mode: FormatMode,
    /// What calls speak: what was detected, else what is stated; if that is pinned, always what is stated.
    #[schema(required)]
    #[sea_orm(skip)]
    pub effective_format: Option<Protocol>,
    /// The protocols it speaks, the preferred one first; [] = none are stated.
    pub protocols: Endpoints,
    /// The only protocol that is used.
    #[schema(required)]
    pub force_protocol: Option<Protocol>,
    /// The model of calls that name none.
    #[schema(required, example = "gpt-4o")]
    pub default_model: Option<String>,
    /// Parameters of calls that state none.
    pub model_params: ModelParams,
    /// Globs of the models it serves; null = all, [] = none.
    #[schema(required)]
    pub allowed_models: Option<Texts>,
    /// Headers of every call, by name; values are never shown.
    #[sea_orm(from_col = "header_names")]
    #[serde(serialize_with = "super::headers::masked")]
    #[schema(value_type = BTreeMap<String, String>, example = json!({"x-tenant": "****"}))]
    pub headers: Texts,
    /// The proxies that calls take; null = none.
    #[schema(required)]
    pub proxy_pool_id: Option<ProxyPoolId>,
    /// How it is paid for.
    pub billing_type: BillingType,
    /// Lower comes first.
    pub priority: i32,
    /// Where it runs.
    pub location: Location,
    /// Whether its certificate is not looked at; only an operator lets that be.
    pub tls_skip_verify: bool,
    /// How it is, everything considered.
    #[sea_orm(skip)]
    pub effective_health: Health,
    /// Labels.
    pub tags: Tags,
    /// The owner's own JSON.
    pub metadata: Metadata,
    /// Who made it: the id of a user or of an admin token.
    #[schema(example = "user_019aa3c1f6b07c3e9a5d2f4b8c6e1d70")]
    pub created_by: String,
    /// For `If-Match`.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}
crate::page!(ConnectionPage, Connection);

impl View for Connection {
    type Entity = Entity;
    fn cursor(&self) -> Uuid {
        self.id.uuid()
    }
}

impl Connection {
    fn seen(&mut self, state: Option<&ConnectionHealth>, usable: bool) {
        let detected = state.and_then(|state| state.detected_format);
        self.effective_format = match self.format_mode {
            FormatMode::Pinned => self.format,
            FormatMode::Auto => detected.or(self.format),
        };
        let endpoint = state.and_then(|state| state.detected_endpoint.as_ref());
        self.effective_base_url = endpoint.unwrap_or(&self.base_url).clone();
        let stored = state.map(|state| state.health).unwrap_or_default();
        self.effective_health = effective(stored, self.location, usable);
    }
}

/// One connection as a unit has left it.
pub(super) async fn read(unit: &Unit<'_>, id: ConnectionId) -> Result<Connection> {
    let mut connections = [unit.read::<Entity>().view::<Connection>(id).await?];
    complete(unit.ctx, &unit.tx, &mut connections).await?;
    let [connection] = connections;
    Ok(connection)
}

/// Puts to the rows of connections what other tables know of them.
pub(super) async fn complete<C: ConnectionTrait>(
    ctx: &Ctx,
    db: &C,
    connections: &mut [Connection],
) -> Result<()> {
    let ids: Vec<ConnectionId> = connections.iter().map(|connection| connection.id).collect();
    let states = observed(ctx, db, &ids).await?;
    let usable = usable(ctx, db, &ids).await?;
    for connection in connections {
        connection.seen(states.get(&connection.id), usable.contains(&connection.id));
    }
    Ok(())
}
