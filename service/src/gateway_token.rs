//! Gateway tokens: they let a gateway ask for decisions. One made in an organization serves that organization; one of
//! the platform, made by the operator, serves all. A deleted token is refused by every instance at once.

use crate::{
    Ctx, Result, activity,
    error::ConflictExt,
    page::{Page, PageRequest},
    repository::{Expected, View},
    token::{self, Shown, TokenKind},
    validate::Faults,
};
use chrono::{DateTime, Utc};
use entity::{
    gateway_token::{ActiveModel, Entity},
    id::{GatewayTokenId, OrganizationId, TeamId},
    json::Texts,
    team,
};
use sea_orm::{ActiveValue::Set, Condition, DerivePartialModel};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::ToSchema;
use uuid::Uuid;

/// The scope that stands for every decision, also those of later releases.
pub const EVERY: &str = "*";
/// The decisions that a token can be narrowed to.
pub const SCOPES: &[&str] = &[EVERY, "authorize", "explain", "check", "settle", "void", "extend", "usage"];
/// Teams that a token can be narrowed to.
const TEAMS: usize = 256;

/// What lets a gateway ask for decisions.
#[derive(Debug, Serialize, DerivePartialModel, ToSchema)]
#[sea_orm(entity = "Entity")]
pub struct GatewayToken {
    /// Its id.
    pub id: GatewayTokenId,
    /// Unique among the tokens of its organization.
    #[schema(example = "edge-eu")]
    pub name: String,
    /// Decisions it may ask for; `*` = every one, also those of later releases.
    #[schema(example = json!(["authorize", "check"]))]
    pub scopes: Texts,
    /// Teams whose keys it serves; null = the keys of everybody.
    #[schema(required)]
    pub team_ids: Option<Texts>,
    /// Networks the gateway itself may call from; null = anywhere, [] = nowhere.
    #[schema(required)]
    pub allowed_cidrs: Option<Texts>,
    /// Who made it.
    pub created_by: String,
    /// The last four characters of the secret part.
    #[schema(example = "7Qxa")]
    pub last4: String,
    /// Refused from this moment on; null = never.
    #[schema(required)]
    pub expires_at: Option<DateTime<Utc>>,
    /// When it last asked for a decision, to about a minute; null = never.
    #[sea_orm(skip)]
    #[schema(required)]
    pub last_used_at: Option<DateTime<Utc>>,
    /// For `If-Match`.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}
crate::page!(GatewayTokenPage, GatewayToken);

impl View for GatewayToken {
    type Entity = Entity;
    fn cursor(&self) -> Uuid {
        self.id.uuid()
    }
}

/// A gateway token with its secret, which is shown this once.
#[derive(Debug, Serialize, ToSchema)]
pub struct IssuedGatewayToken {
    /// The token.
    #[serde(flatten)]
    pub token: GatewayToken,
    /// What the gateway sends as bearer token.
    #[schema(example = "tkg_…")]
    pub secret: Shown,
}

/// A gateway token to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGatewayToken {
    /// Unique among the tokens of its organization, 1–255 characters.
    #[schema(min_length = 1, max_length = 255, example = "edge-eu")]
    pub name: String,
    /// Decisions it may ask for: `authorize`, `explain`, `check`, or `*` for every one; absent or null = `*`.
    #[serde(default)]
    #[schema(example = json!(["authorize", "check"]))]
    pub scopes: Option<Texts>,
    /// Teams whose keys it serves; absent or null = the keys of everybody. Not for tokens of the platform.
    #[serde(default)]
    pub team_ids: Option<Vec<TeamId>>,
    /// Networks the gateway itself may call from; absent or null = anywhere.
    #[serde(default)]
    #[schema(example = json!(["10.0.0.0/8"]))]
    pub allowed_cidrs: Option<Texts>,
    /// Refused from this moment on; absent or null = never.
    #[serde(default)]
    pub expires_at: Option<DateTime<Utc>>,
}

impl NewGatewayToken {
    fn check(&self, organization: OrganizationId, now: DateTime<Utc>) -> Result<()> {
        let mut faults = Faults::default();
        faults.name("/name", &self.name);
        faults.words("/scopes", self.scopes.as_ref(), SCOPES);
        faults.cidrs("/allowed_cidrs", self.allowed_cidrs.as_ref());
        let past = self.expires_at.is_some_and(|end| end <= now);
        faults.when(past, "/expires_at", "in_the_past", "must be in the future");
        let teams = self.team_ids.as_ref();
        let many = teams.is_some_and(|teams| teams.len() > TEAMS);
        faults.when(many, "/team_ids", "too_many", "must have at most 256 entries");
        let foreign = organization == OrganizationId::PLATFORM && teams.is_some();
        faults.when(foreign, "/team_ids", "not_allowed", "a token for all organizations has no teams");
        faults.finish()
    }
}

/// Makes a gateway token of the scope's organization, or of the platform.
pub async fn create(ctx: &Ctx, new: NewGatewayToken) -> Result<IssuedGatewayToken> {
    new.check(ctx.scope.organization, ctx.now().await?)?;
    let mut unit = ctx.begin().await?;
    let teams: Option<BTreeSet<TeamId>> = new.team_ids.map(|teams| teams.into_iter().collect());
    for team in teams.iter().flatten() {
        unit.read::<team::Entity>().hold(*team).await?;
    }
    let id: GatewayTokenId = unit.id();
    let minted = token::mint(&ctx.system, TokenKind::Gateway, id.uuid());
    let row = ActiveModel {
        id: Set(id),
        name: Set(new.name.clone()),
        scopes: Set(new.scopes.unwrap_or_else(|| Texts(vec![EVERY.into()]))),
        team_ids: Set(teams.map(|teams| Texts(teams.iter().map(TeamId::to_string).collect()))),
        allowed_cidrs: Set(new.allowed_cidrs),
        created_by: Set(ctx.actor.id.clone()),
        pepper_version: Set(minted.pepper_version),
        digest: Set(minted.digest),
        last4: Set(minted.last4),
        expires_at: Set(new.expires_at),
        ..Default::default()
    };
    unit.repository::<Entity>().insert(row).await.conflict("gateway token", &new.name)?;
    let token = unit.read::<Entity>().view(id).await?;
    let view = IssuedGatewayToken { token, secret: Shown::from(&minted.token) };
    unit.commit_secret(view, &minted.token).await
}

/// One page of gateway tokens.
pub async fn list(ctx: &Ctx, page: &PageRequest) -> Result<Page<GatewayToken>> {
    let mut page = ctx.repository::<Entity>().list::<GatewayToken>(page, Condition::all()).await?;
    let ids = page.items.iter().map(|token| token.id.uuid()).collect();
    let used = activity::last_used(&ctx.system.db.reader, ids).await?;
    for token in &mut page.items {
        token.last_used_at = used.get(&token.id.uuid()).copied();
    }
    Ok(page)
}

/// One gateway token.
pub async fn get(ctx: &Ctx, id: GatewayTokenId) -> Result<GatewayToken> {
    let token = ctx.repository::<Entity>().view::<GatewayToken>(id).await?;
    let used = activity::last_used(&ctx.system.db.reader, vec![id.uuid()]).await?;
    Ok(GatewayToken { last_used_at: used.get(&id.uuid()).copied(), ..token })
}

/// Deletes a gateway token: it is refused from the moment this returns.
pub async fn delete(ctx: &Ctx, id: GatewayTokenId, version: Option<i64>) -> Result<()> {
    let current = ctx.repository::<Entity>().find(id).await?;
    let expected = Expected::new(version, current.version)?;
    let mut unit = ctx.begin().await?;
    unit.repository::<Entity>().delete(id, expected).await?;
    unit.forget_replies(id.uuid()).await?;
    unit.commit(()).await
}
