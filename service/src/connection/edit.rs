//! Changing a connection.

use super::{
    Connection,
    check::{self, Stated},
    headers::{self, Headers},
    hold_pool, state, view,
};
use crate::{
    Ctx, Error, Result, System, Unit, authz::Permission, ceiling::Ceiling, error::ConflictExt,
    repository::Expected, validate::Faults, vault::Plain,
};
use entity::{
    credential,
    endpoint::Endpoints,
    id::{ConnectionId, ProxyPoolId},
    json::{Metadata, Tags, Texts},
    model_mapping,
    model_params::ModelParams,
    provider_connection::{ActiveModel, Entity, Model},
    status::{BillingType, CredentialState, FormatMode, Location, Protocol},
};
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, DeriveIntoActiveModel, IntoActiveModel};
use serde::Deserialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What to change of a connection; an absent field is kept.
#[derive(Debug, Default, Deserialize, ToSchema, DeriveIntoActiveModel)]
#[sea_orm(active_model = "ActiveModel")]
#[serde(deny_unknown_fields)]
pub struct ConnectionPatch {
    /// Unique in its organization and provider, 1–255 characters.
    #[schema(min_length = 1, max_length = 255, nullable = false)]
    #[serde(default, deserialize_with = "crate::validate::present")]
    pub name: Option<String>,
    /// Where it is. A new one makes what was detected forgotten.
    #[schema(min_length = 1, max_length = 2048, nullable = false)]
    #[serde(default, deserialize_with = "crate::validate::present")]
    pub base_url: Option<String>,
    /// Where else it may be, all of them. Others make what was detected forgotten.
    #[schema(nullable = false, max_items = 16)]
    #[serde(default, deserialize_with = "crate::validate::present")]
    pub alternate_base_urls: Option<Texts>,
    /// What it speaks; null = what is detected.
    #[serde(default, with = "serde_with::rust::double_option")]
    #[schema(value_type = Option<Protocol>)]
    pub format: Option<Option<Protocol>>,
    /// Whether what is stated counts, or what is detected.
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "crate::validate::present")]
    pub format_mode: Option<FormatMode>,
    /// The protocols it speaks, all of them.
    #[schema(nullable = false, max_items = 6)]
    #[serde(default, deserialize_with = "crate::validate::present")]
    pub protocols: Option<Endpoints>,
    /// The only protocol to use; null = any.
    #[serde(default, with = "serde_with::rust::double_option")]
    #[schema(value_type = Option<Protocol>)]
    pub force_protocol: Option<Option<Protocol>>,
    /// The model of calls that name none; null = they must name one.
    #[serde(default, with = "serde_with::rust::double_option")]
    #[schema(value_type = Option<String>, max_length = 255)]
    pub default_model: Option<Option<String>>,
    /// Parameters of calls that state none, all of them.
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "crate::validate::present")]
    pub model_params: Option<ModelParams>,
    /// Globs; null = all models, [] = none.
    #[serde(default, with = "serde_with::rust::double_option")]
    #[schema(value_type = Option<Texts>)]
    pub allowed_models: Option<Option<Texts>>,
    /// Headers of every call, all of them; null = none. The value `****` keeps the stored one of that name.
    #[serde(default, with = "serde_with::rust::double_option")]
    #[sea_orm(ignore)]
    #[schema(value_type = Option<BTreeMap<String, Plain>>)]
    pub headers: Option<Option<BTreeMap<String, Plain>>>,
    /// The proxies that calls take; null = none.
    #[serde(default, with = "serde_with::rust::double_option")]
    #[schema(value_type = Option<ProxyPoolId>)]
    pub proxy_pool_id: Option<Option<ProxyPoolId>>,
    /// How it is paid for.
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "crate::validate::present")]
    pub billing_type: Option<BillingType>,
    /// Lower comes first; the others keep their places.
    #[schema(nullable = false, minimum = 0, maximum = 1_000_000)]
    #[serde(default, deserialize_with = "crate::validate::present")]
    pub priority: Option<i32>,
    /// Where it runs.
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "crate::validate::present")]
    pub location: Option<Location>,
    /// Labels, all of them.
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "crate::validate::present")]
    pub tags: Option<Tags>,
    /// The whole JSON object.
    #[schema(nullable = false)]
    #[serde(default, deserialize_with = "crate::validate::present_metadata")]
    pub metadata: Option<Metadata>,
}

impl ConnectionPatch {
    /// What the fields say by themselves, and with what is kept.
    fn check(&self, system: &System, current: &Model, faults: &mut Faults) {
        if let Some(name) = &self.name {
            faults.name("/name", name);
        }
        if let Some(url) = &self.base_url {
            check::url(system, "/base_url", url, faults);
        }
        if let Some(urls) = &self.alternate_base_urls {
            check::alternates(system, "/alternate_base_urls", urls, faults);
        }
        if let Some(protocols) = &self.protocols {
            check::endpoints(system, protocols, faults);
        }
        let stated = Stated {
            format: self.format.unwrap_or(current.format),
            mode: self.format_mode.unwrap_or(current.format_mode),
            protocols: self.protocols.as_ref().unwrap_or(&current.protocols),
            force: self.force_protocol.unwrap_or(current.force_protocol),
        };
        check::stated(&stated, faults);
        if let Some(Some(model)) = &self.default_model {
            faults.model("/default_model", model);
        }
        if let Some(params) = &self.model_params {
            check::params(params, faults);
        }
        faults.globs("/allowed_models", self.allowed_models.as_ref().and_then(Option::as_ref));
        check::priority(self.priority, faults);
        if let Some(tags) = &self.tags {
            faults.tags("/tags", tags);
        }
        if let Some(metadata) = &self.metadata {
            faults.metadata("/metadata", metadata);
        }
    }

    /// Whether the upstream is elsewhere then. A place that is taken out of the others may be the one that was found.
    fn moves(&self, current: &Model) -> bool {
        self.base_url.as_ref().is_some_and(|url| *url != current.base_url)
            || self.alternate_base_urls.as_ref().is_some_and(|urls| *urls != current.alternate_base_urls)
            || self.protocols.as_ref().is_some_and(|protocols| *protocols != current.protocols)
    }

    /// The stored headers, if any of them is to be kept.
    async fn stored(&self, ctx: &Ctx, current: &Model) -> Result<Headers> {
        let given = self.headers.as_ref().and_then(Option::as_ref);
        if given.is_some_and(headers::keep_any) {
            return headers::stored(ctx, current).await;
        }
        Ok(Headers::new())
    }
}

/// Changes a connection.
pub async fn update(
    ctx: &Ctx,
    id: ConnectionId,
    version: Option<i64>,
    mut patch: ConnectionPatch,
) -> Result<Connection> {
    let current = ctx.repository::<Entity>().find(id).await?;
    let expected = Expected::new(version, current.version)?;
    let stored = patch.stored(ctx, &current).await?;
    let mut unit = ctx.begin().await?;
    hold_pool(&unit, patch.proxy_pool_id.flatten()).await?;
    let mut faults = Faults::default();
    patch.check(&ctx.system, &current, &mut faults);
    let given = patch.headers.take().map(Option::unwrap_or_default);
    let headers = given.map(|given| headers::check(&given, &stored, &mut faults));
    faults.finish()?;
    if let Some(protocols) = &patch.protocols {
        speaks_what_is_mapped(&unit, id, protocols).await?;
    }
    let moved = patch.moves(&current);
    if moved {
        may_lead_secrets_elsewhere(&unit, &current).await?;
    }
    let name = patch.name.clone().unwrap_or_default();
    let mut changes = patch.into_active_model();
    if moved && current.tls_skip_verify {
        // An operator let the certificate of that upstream be, not of any other.
        changes.tls_skip_verify = Set(false);
    }
    if let Some(headers) = headers {
        let sealed = headers::columns(&unit, id, &headers).await?;
        changes.headers = sealed.headers;
        changes.header_names = sealed.header_names;
        changes.data_key_id = sealed.data_key_id;
    }
    unit.repository::<Entity>().update(id, expected, changes).await.conflict("connection", &name)?;
    if moved {
        state::forget_detected(&unit, id).await?;
    }
    let connection = view::read(&unit, id).await?;
    unit.commit(connection).await
}

/// What a connection keeps sealed goes where the connection leads: a token that may not write credentials must not have them
/// sent to a host of its choice.
async fn may_lead_secrets_elsewhere(unit: &Unit<'_>, current: &Model) -> Result<()> {
    if Ceiling::read(unit).await?.carries(Permission::CredentialsWrite) {
        return Ok(());
    }
    let kept = Condition::all()
        .add(credential::Column::ConnectionId.eq(current.id))
        .add(credential::Column::State.ne(CredentialState::Retired));
    if current.headers.is_none() && unit.read::<credential::Entity>().count(kept).await? == 0 {
        return Ok(());
    }
    let message =
        "the connection has secrets: to lead it elsewhere takes the permission credentials:write, too";
    Err(Error::Forbidden(message.into()))
}

/// A protocol that a mapping names is not taken from under it. Who makes a mapping holds the connection, so that none is made
/// meanwhile.
async fn speaks_what_is_mapped(unit: &Unit<'_>, id: ConnectionId, protocols: &Endpoints) -> Result<()> {
    if protocols.0.is_empty() {
        return Ok(());
    }
    unit.read::<Entity>().lock(id).await?;
    let narrowed = Condition::all()
        .add(model_mapping::Column::ConnectionId.eq(id))
        .add(model_mapping::Column::Protocols.is_not_null());
    let mappings = unit.read::<model_mapping::Entity>().all(narrowed, u64::from(u32::MAX)).await?;
    let unspoken = |mapping: &&model_mapping::Model| {
        let named = mapping.protocols.iter().flat_map(|protocols| &protocols.0);
        named.into_iter().any(|named| !protocols.0.iter().any(|spoken| spoken.protocol == *named))
    };
    let count = mappings.iter().filter(unspoken).count() as u64;
    if count > 0 { Err(Error::InUse { by: "mappings", count }) } else { Ok(()) }
}
