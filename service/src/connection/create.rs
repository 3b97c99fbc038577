//! Making a connection: its row and its runtime row in one unit of work.

use super::{
    Connection,
    check::{self, Stated},
    headers::{self, Headers},
    hold_pool, state, view, whole,
};
use crate::{
    Ctx, Error, Result, System, Unit, error::ConflictExt, scope::Reach, validate::Faults, vault::Plain,
};
use entity::{
    endpoint::Endpoints,
    id::{ConnectionId, ProxyPoolId, TeamId},
    json::{Metadata, Tags, Texts},
    model_params::ModelParams,
    provider_connection::{ActiveModel, Column, Entity},
    status::{BillingType, ConnectionStatus, FormatMode, Location, Protocol},
    team,
};
use sea_orm::{ActiveValue::Set, ColumnTrait, DeriveIntoActiveModel, IntoActiveModel};
use serde::Deserialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A connection to make.
#[derive(Debug, Deserialize, ToSchema, DeriveIntoActiveModel)]
#[sea_orm(active_model = "ActiveModel", set(status = "ConnectionStatus::Active", tls_skip_verify = "false"))]
#[serde(deny_unknown_fields)]
pub struct NewConnection {
    /// The provider, as models and prices name it; one that the catalogue does not know is fine. It never changes.
    #[schema(min_length = 1, max_length = 64, example = "openai")]
    pub provider: String,
    /// Unique in its organization and provider, 1–255 characters.
    #[schema(min_length = 1, max_length = 255, example = "production")]
    pub name: String,
    /// The team it belongs to, for ever; absent or null = the organization.
    #[serde(default)]
    pub team_id: Option<TeamId>,
    /// Where it is: an https URL without login, query and fragment; http only where the operator allows the network.
    #[schema(min_length = 1, max_length = 2048, example = "https://api.openai.com/v1")]
    pub base_url: String,
    /// Where else it may be, at most 16: tried in order when the base URL refuses the credential.
    #[serde(default)]
    #[schema(max_items = 16)]
    pub alternate_base_urls: Texts,
    /// What it speaks.
    #[serde(default)]
    pub format: Option<Protocol>,
    /// Whether what is stated counts (`pinned`, which needs a format), or what is detected.
    #[serde(default)]
    #[schema(default = "auto")]
    pub format_mode: FormatMode,
    /// The protocols it speaks, the preferred one first, each once.
    #[serde(default)]
    #[schema(max_items = 6)]
    pub protocols: Endpoints,
    /// The only protocol to use, one of `protocols`.
    #[serde(default)]
    pub force_protocol: Option<Protocol>,
    /// The model of calls that name none.
    #[serde(default)]
    #[schema(max_length = 255, example = "gpt-4o")]
    pub default_model: Option<String>,
    /// Parameters of calls that state none.
    #[serde(default)]
    pub model_params: ModelParams,
    /// Globs of the models it serves; absent or null = all, [] = none.
    #[serde(default)]
    #[schema(example = json!(["gpt-4o*"]))]
    pub allowed_models: Option<Texts>,
    /// Headers of every call, at most 32, by name. Their values are sealed and never shown.
    #[serde(default)]
    #[sea_orm(ignore)]
    #[schema(example = json!({"x-tenant": "search"}))]
    pub headers: Option<BTreeMap<String, Plain>>,
    /// The proxies that calls take; absent or null = none.
    #[serde(default)]
    pub proxy_pool_id: Option<ProxyPoolId>,
    /// How it is paid for.
    #[serde(default)]
    #[schema(default = "metered")]
    pub billing_type: BillingType,
    /// Lower comes first; absent or null = behind the provider's others.
    #[serde(default)]
    #[sea_orm(ignore)]
    #[schema(minimum = 0, maximum = 1_000_000)]
    pub priority: Option<i32>,
    /// Where it runs: in a network of one's own (`local`) it needs no credential.
    #[serde(default)]
    #[schema(default = "cloud")]
    pub location: Location,
    /// Labels.
    #[serde(default)]
    pub tags: Tags,
    /// Any JSON object of at most 16 KiB, kept as it is.
    #[serde(default, deserialize_with = "crate::validate::metadata")]
    pub metadata: Metadata,
}

impl NewConnection {
    /// The headers to seal.
    fn check(&self, system: &System, faults: &mut Faults) -> Headers {
        faults.word("/provider", &self.provider);
        faults.name("/name", &self.name);
        check::url(system, "/base_url", &self.base_url, faults);
        check::alternates(system, "/alternate_base_urls", &self.alternate_base_urls, faults);
        check::endpoints(system, &self.protocols, faults);
        let stated = Stated {
            format: self.format,
            mode: self.format_mode,
            protocols: &self.protocols,
            force: self.force_protocol,
        };
        check::stated(&stated, faults);
        if let Some(model) = &self.default_model {
            faults.model("/default_model", model);
        }
        check::params(&self.model_params, faults);
        faults.globs("/allowed_models", self.allowed_models.as_ref());
        check::priority(self.priority, faults);
        faults.tags("/tags", &self.tags);
        faults.metadata("/metadata", &self.metadata);
        let none = Headers::new();
        headers::check(self.headers.as_ref().unwrap_or(&none), &none, faults)
    }
}

/// Makes a connection.
pub async fn create(ctx: &Ctx, mut new: NewConnection) -> Result<Connection> {
    let mut unit = ctx.begin().await?;
    // What is not there is told before what is wrong with the rest.
    let team = hold_team(&unit, new.team_id).await?;
    hold_pool(&unit, new.proxy_pool_id).await?;
    let mut faults = Faults::default();
    faults.also(&team);
    let given = new.check(&ctx.system, &mut faults);
    faults.finish()?;
    new.headers = None;
    let id: ConnectionId = unit.id();
    let sealed = headers::columns(&unit, id, &given).await?;
    let priority = match new.priority {
        Some(priority) => priority,
        None => behind_others(&unit, &new.provider).await?,
    };
    let name = new.name.clone();
    let row = ActiveModel {
        id: Set(id),
        headers: sealed.headers,
        header_names: sealed.header_names,
        data_key_id: sealed.data_key_id,
        priority: Set(priority),
        created_by: Set(ctx.actor.id.clone()),
        ..new.into_active_model()
    };
    unit.repository::<Entity>().insert(row).await.conflict("connection", &name)?;
    state::open(&unit, id).await?;
    let connection = view::read(&unit, id).await?;
    unit.commit(connection).await
}

/// Keeps the team as it is until the unit ends. Who administers teams makes connections of these teams only.
async fn hold_team(unit: &Unit<'_>, team: Option<TeamId>) -> Result<Result<()>> {
    if let Some(team) = team {
        unit.read::<team::Entity>().hold(team).await?;
    } else if matches!(unit.ctx.scope.reach, Reach::Limited { .. }) {
        let message = "a team's administrator makes connections of the team";
        return Ok(Err(Error::invalid("/team_id", "required", message)));
    }
    Ok(Ok(()))
}

/// Behind the organization's other connections to the provider. Of two that are made at once both may get one place: then
/// the older comes first.
async fn behind_others(unit: &Unit<'_>, provider: &str) -> Result<i32> {
    let whole = whole(unit.ctx);
    let others = unit.read_in::<Entity>(&whole);
    let places: Vec<(_, i32)> = others.column(Column::Provider.eq(provider), Column::Priority).await?;
    Ok(check::behind(places.into_iter().map(|(_, place)| place).max()))
}
