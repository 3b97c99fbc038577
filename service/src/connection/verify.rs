//! Verifying: whether an upstream is there, what it speaks, and whether it takes the key. The upstream is asked outside of any
//! transaction; what was found is noted afterwards, unless the connection has been led elsewhere meanwhile.

use super::{
    CheckCode, FormatPlan, candidate,
    check::{self, Stated},
    format::FormatFacts,
    headers::{self, Headers},
    noted,
    search::{Attempt, Candidate, Finding, search},
};
use crate::{
    Ctx, Error, Result,
    credential::check_secret,
    scope::Reach,
    upstream::provider::{dialect, shown},
    validate::Faults,
    vault::Plain,
};
use entity::{
    connection_state,
    endpoint::{CapabilityProfile, Endpoints},
    id::{ConnectionId, ProxyPoolId, TeamId},
    json::Texts,
    provider_connection::{self, Model},
    proxy_pool,
    status::{FormatMode, Protocol},
    team,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// An upstream to verify before there is a connection to it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewVerification {
    /// The provider; it tells what is likely spoken.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 64, example = "ollama")]
    pub provider: Option<String>,
    /// The team that the connection is to belong to; absent or null = the organization.
    #[serde(default)]
    pub team_id: Option<TeamId>,
    /// Where it is, with or without a version: an https URL without login, query and fragment; http only where the operator
    /// allows the network.
    #[schema(min_length = 1, max_length = 2048, example = "http://localhost:11434")]
    pub base_url: String,
    /// Where else it may be, at most 16: asked in order when the base URL refuses the key or is not there.
    #[serde(default)]
    #[schema(max_items = 16)]
    pub alternate_base_urls: Texts,
    /// What it speaks.
    #[serde(default)]
    pub format: Option<Protocol>,
    /// Whether nothing else than what is stated is tried (`pinned`, which needs a format).
    #[serde(default)]
    #[schema(default = "auto")]
    pub format_mode: FormatMode,
    /// The protocols it speaks, the preferred one first, each once.
    #[serde(default)]
    #[schema(max_items = 6)]
    pub protocols: Endpoints,
    /// The key. It is sent to this upstream, and not kept.
    #[serde(default)]
    pub secret: Option<Plain>,
    /// Headers of every call, at most 32, by name. They are not kept.
    #[serde(default)]
    #[schema(example = json!({"x-tenant": "search"}))]
    pub headers: Option<BTreeMap<String, Plain>>,
    /// The proxies that calls take; absent or null = none.
    #[serde(default)]
    pub proxy_pool_id: Option<ProxyPoolId>,
}

/// How to verify a connection.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectionVerification {
    /// Another secret to try in place of the connection's credential. It is not kept, and what is found with it is not noted.
    #[serde(default)]
    pub secret: Option<Plain>,
}

/// How an upstream is best spoken to.
#[derive(Debug, Serialize, ToSchema)]
pub struct Recommendation {
    /// What it speaks.
    pub format: Protocol,
    /// Where.
    #[schema(example = "https://api.openai.com/v1")]
    pub base_url: String,
}

/// What verifying an upstream found.
#[derive(Debug, Serialize, ToSchema)]
pub struct Verification {
    /// Whether it works.
    pub ok: bool,
    /// Stable word for what was found.
    pub code: CheckCode,
    /// What was found and what to do about it, for people.
    #[schema(
        example = "The key was refused (401) by https://api.openai.com/v1: it is wrong, or of another project."
    )]
    pub reason: String,
    /// How it is best spoken to; null if it does not work.
    #[schema(required)]
    pub recommended: Option<Recommendation>,
    /// Which protocol is spoken, and what decided that.
    pub plan: FormatPlan,
    /// What it can do, as far as that follows from the protocol; null if it does not work.
    #[schema(required)]
    pub capabilities: Option<CapabilityProfile>,
    /// Models in the first page of its list; null if it does not work.
    #[schema(required)]
    pub models_count: Option<u64>,
    /// What was asked, in order.
    pub tried: Vec<Attempt>,
}

impl From<Finding> for Verification {
    fn from(finding: Finding) -> Self {
        let Finding { code, reason, tried, plan, won, .. } = finding;
        let recommended =
            won.as_ref().map(|won| Recommendation { format: won.protocol, base_url: shown(&won.base) });
        Self {
            ok: won.is_some(),
            code,
            reason,
            recommended,
            plan,
            capabilities: won.as_ref().map(|won| dialect(won.protocol).capabilities()),
            models_count: won.map(|won| won.listing.models.len() as u64),
            tried,
        }
    }
}

/// Verifies an upstream to which there is no connection; nothing of it is kept.
pub async fn verify_candidate(ctx: &Ctx, new: NewVerification) -> Result<Verification> {
    let candidate = stated(ctx, new).await?;
    let finding = search(&ctx.system, &candidate).await;
    let mut unit = ctx.begin().await?;
    let detail = json!({ "base_url": shown(&candidate.facts.base_url), "code": finding.code });
    unit.audit("connection.verify_candidate", ctx.scope.organization, detail);
    unit.commit(finding.into()).await
}

/// What is stated of an upstream, if all of it is acceptable.
async fn stated(ctx: &Ctx, new: NewVerification) -> Result<Candidate> {
    // What is not there is told before what is wrong with the rest.
    if let Some(team) = new.team_id {
        ctx.repository::<team::Entity>().find(team).await?;
    }
    if let Some(pool) = new.proxy_pool_id {
        ctx.repository::<proxy_pool::Entity>().find(pool).await?;
    }
    let mut faults = Faults::default();
    let headers = new.check(ctx, &mut faults);
    faults.finish()?;
    let id: ConnectionId = ctx.id(ctx.now().await?);
    Ok(Candidate {
        facts: FormatFacts {
            provider: new.provider.unwrap_or_default(),
            base_url: candidate::url(&new.base_url)?,
            format: new.format,
            mode: new.format_mode,
            protocols: new.protocols,
            force: None,
            detected: None,
            detected_endpoint: None,
        },
        alternates: candidate::urls(&new.alternate_base_urls)?,
        secret: new.secret,
        headers: sensitive(&headers)?,
        way: candidate::way(ctx, new.proxy_pool_id, id).await?,
    })
}

impl NewVerification {
    fn check(&self, ctx: &Ctx, faults: &mut Faults) -> Headers {
        let limited = matches!(ctx.scope.reach, Reach::Limited { .. }) && self.team_id.is_none();
        faults.when(limited, "/team_id", "required", "a team's administrator makes connections of the team");
        if let Some(provider) = &self.provider {
            faults.word("/provider", provider);
        }
        check::url(&ctx.system, "/base_url", &self.base_url, faults);
        check::alternates(&ctx.system, "/alternate_base_urls", &self.alternate_base_urls, faults);
        check::endpoints(&ctx.system, &self.protocols, faults);
        let stated =
            Stated { format: self.format, mode: self.format_mode, protocols: &self.protocols, force: None };
        check::stated(&stated, faults);
        if let Some(secret) = &self.secret {
            check_secret(secret, faults);
        }
        let none = Headers::new();
        headers::check(self.headers.as_ref().unwrap_or(&none), &none, faults)
    }
}

fn sensitive(headers: &Headers) -> Result<HeaderMap> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(Error::internal)?;
        let mut value = HeaderValue::from_bytes(value.expose()).map_err(Error::internal)?;
        value.set_sensitive(true);
        map.insert(name, value);
    }
    Ok(map)
}

/// Verifies a connection, and notes what was found.
pub async fn verify(ctx: &Ctx, id: ConnectionId, with: ConnectionVerification) -> Result<Verification> {
    let row = ctx.repository::<provider_connection::Entity>().find(id).await?;
    let mut faults = Faults::default();
    if let Some(secret) = &with.secret {
        check_secret(secret, &mut faults);
    }
    faults.finish()?;
    let other_secret = with.secret.is_some();
    let (_, finding) = ask(ctx, &row, with.secret).await?;
    let mut unit = ctx.begin().await?;
    let now = unit.read::<provider_connection::Entity>().hold(id).await?;
    if !other_secret && candidate::lead_alike(&row, &now) {
        noted::finding(&unit, id, &finding).await?;
    }
    let detail = json!({ "code": finding.code, "format": finding.plan.selected_format });
    unit.audit("connection.verify", id, detail);
    unit.commit(finding.into()).await
}

/// Refuses a secret that the upstream of a connection does not take. One of which it only says that too much was asked of it
/// is taken: it is known there.
pub(crate) async fn try_secret(ctx: &Ctx, row: &Model, secret: &Plain) -> Result<()> {
    let (_, finding) = ask(ctx, row, Some(secret.clone())).await?;
    match finding.code {
        CheckCode::Ok | CheckCode::RateLimited => Ok(()),
        code => Err(Error::invalid("/secret", code.word(), finding.reason)),
    }
}

/// Asks the upstream of a connection.
pub(super) async fn ask(ctx: &Ctx, row: &Model, secret: Option<Plain>) -> Result<(Candidate, Finding)> {
    let state = ctx.repository::<connection_state::Entity>().find(row.id).await?;
    let candidate = candidate::saved(ctx, row, &state, secret).await?;
    let finding = search(&ctx.system, &candidate).await;
    Ok((candidate, finding))
}
