//! Tests of a pool: a real call through each of its proxies. What one finds is noted on the proxy that was tested, unless
//! that has been changed meanwhile; it switches nothing off.

use super::{read::ENTRIES, way};
use crate::{
    Ctx, Error, Result, Unit,
    upstream::{Answer, Call, Fault, FaultKind},
    validate::Faults,
};
use chrono::{DateTime, Utc};
use entity::{
    id::{ProxyEntryId, ProxyPoolId},
    proxy_entry::{ActiveModel, Column, Entity, Model},
    proxy_pool,
    status::TestStatus,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{HeaderMap, Method, StatusCode};
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    net::IpAddr,
    time::{Duration, Instant},
};
use url::Url;
use utoipa::ToSchema;

/// What is called if no target is named: it answers everybody, with a 401.
const TARGET: &str = "https://api.openai.com/v1/models";
/// Seconds for each proxy, unless others are stated.
const SECONDS: i32 = 8;
/// Proxies that are tested at a time.
const AT_ONCE: usize = 8;
/// Bytes of an answer that are read. Nobody tells an address in more.
const ANSWER: usize = 64 * 1024;
/// Characters of a fault that are kept.
const FAULT: usize = 1024;

/// How to test a pool.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTrial {
    /// What is called through each proxy, with GET and without any credential; absent = `https://api.openai.com/v1/models`,
    /// for which a 401 is a good answer. It is bound to the same rules as the base URL of a connection. One that answers with
    /// the caller's address, as text or as `ip` or `origin` of a JSON object, tells the exit address.
    #[serde(default, deserialize_with = "crate::validate::present")]
    #[schema(
        nullable = false,
        min_length = 1,
        max_length = 2048,
        example = "https://api.ipify.org/?format=json"
    )]
    pub target_url: Option<String>,
    /// Seconds that each proxy is given.
    #[serde(default, deserialize_with = "crate::validate::present")]
    #[schema(nullable = false, minimum = 1, maximum = 30, default = 8)]
    pub timeout_seconds: Option<i32>,
}

/// What a test of a pool found.
#[derive(Debug, Serialize, ToSchema)]
pub struct Trials {
    /// What was called.
    #[schema(example = "https://api.openai.com/v1/models")]
    pub target_url: String,
    /// What came of each enabled proxy, in their order.
    pub results: Vec<Trial>,
}

/// What the test of one proxy found.
#[derive(Debug, Serialize, ToSchema)]
pub struct Trial {
    /// The proxy.
    pub id: ProxyEntryId,
    /// Its URL with the password masked.
    #[schema(example = "http://user:****@proxy.example.com:3128")]
    pub display_url: String,
    /// Whether the target answered through it, whatever it answered.
    pub ok: bool,
    /// The HTTP status that the target answered.
    #[schema(required, example = 401)]
    pub status: Option<i32>,
    /// Milliseconds until the answer was there.
    #[schema(required)]
    pub latency_ms: Option<i64>,
    /// The address from which the target saw the call, if it told.
    #[schema(required, example = "203.0.113.7")]
    pub exit_address: Option<String>,
    /// Stable word for what went wrong: `proxy_failed` if the proxy does not do it.
    #[schema(required, example = "proxy_failed")]
    pub error_code: Option<String>,
    /// What went wrong, for people.
    #[schema(required)]
    pub error: Option<String>,
    /// When.
    pub tested_at: DateTime<Utc>,
}

/// Calls a target through each enabled proxy of a pool, be the pool enabled or not.
pub async fn test(ctx: &Ctx, id: ProxyPoolId, new: NewTrial) -> Result<Trials> {
    ctx.repository::<proxy_pool::Entity>().find(id).await?;
    let (target, patience) = terms(ctx, &new)?;
    // A target that cannot be called says nothing of the proxies.
    let callable = ctx.system.upstream.check_target(&target).await;
    callable.map_err(|fault| Error::invalid("/target_url", fault.kind.code(), fault.message))?;
    let enabled = Condition::all().add(Column::ProxyPoolId.eq(id)).add(Column::Enabled.eq(true));
    let mut entries = ctx.repository::<Entity>().all(enabled, ENTRIES).await?;
    entries.sort_by_key(|entry| entry.position);
    let tried = stream::iter(entries).map(async |entry| {
        let came = attempt(ctx, &entry, &target, patience).await?;
        Ok::<_, Error>((entry, came))
    });
    let tried: Vec<_> = tried.buffered(AT_ONCE).try_collect().await?;
    note(ctx, id, target, tried).await
}

/// The target, and how long each proxy is given.
fn terms(ctx: &Ctx, new: &NewTrial) -> Result<(Url, Duration)> {
    let mut faults = Faults::default();
    let seconds = new.timeout_seconds.unwrap_or(SECONDS);
    let wrong = !(1..=30).contains(&seconds);
    faults.when(wrong, "/timeout_seconds", "out_of_range", "must be between 1 and 30 seconds");
    let text = new.target_url.as_deref().unwrap_or(TARGET);
    // A base URL has no query; a target may have one.
    let (base, query) = text.split_once('?').map_or((text, None), |(base, query)| (base, Some(query)));
    let target = match ctx.system.upstream.check_url(base) {
        Ok(mut url) => {
            url.set_query(query);
            Some(url)
        }
        Err(refused) => {
            faults.add("/target_url", refused.code, refused.message);
            None
        }
    };
    faults.finish()?;
    let target = target.ok_or_else(|| Error::internal("a target without a fault is a target"))?;
    Ok((target, Duration::from_secs(seconds.unsigned_abs().into())))
}

/// Calls the target through one proxy. A target that says too much is asked again for its status alone.
async fn attempt(
    ctx: &Ctx,
    entry: &Model,
    target: &Url,
    patience: Duration,
) -> Result<std::result::Result<Answer, Fault>> {
    let proxy = way::proxy(ctx, entry).await?;
    let started = Instant::now();
    let call = |method: Method| Call {
        method,
        url: target.clone(),
        headers: HeaderMap::new(),
        body: Vec::new(),
        patience: patience.saturating_sub(started.elapsed()),
        most: ANSWER,
    };
    let upstream = &ctx.system.upstream;
    let came = match upstream.send_through(call(Method::GET), &proxy).await {
        Err(fault) if fault.kind == FaultKind::TooLarge => {
            upstream.send_through(call(Method::HEAD), &proxy).await
        }
        came => came,
    };
    Ok(came)
}

/// Notes what was found on the proxies, and tells it.
async fn note(
    ctx: &Ctx,
    pool: ProxyPoolId,
    target: Url,
    tried: Vec<(Model, std::result::Result<Answer, Fault>)>,
) -> Result<Trials> {
    let mut unit = ctx.begin().await?;
    // Who edits the pool waits until the results are there, and then decides whether they stay.
    unit.read::<proxy_pool::Entity>().hold(pool).await?;
    let mut results = Vec::new();
    for (entry, came) in tried {
        let trial = trial(&entry, came, unit.now);
        keep(&unit, &entry, &trial).await?;
        results.push(trial);
    }
    let failed = results.iter().filter(|trial| !trial.ok).count();
    let detail = json!({"target": target.host_str(), "tested": results.len(), "failed": failed});
    unit.audit("proxy_pool.test", pool, detail);
    unit.commit(Trials { target_url: target.into(), results }).await
}

fn trial(entry: &Model, came: std::result::Result<Answer, Fault>, now: DateTime<Utc>) -> Trial {
    let mut trial = Trial {
        id: entry.id,
        display_url: entry.display_url.clone(),
        ok: false,
        status: None,
        latency_ms: None,
        exit_address: None,
        error_code: None,
        error: None,
        tested_at: now,
    };
    match came {
        Ok(answer) => {
            trial.ok = true;
            trial.status = Some(answer.status.as_u16().into());
            trial.latency_ms = i64::try_from(answer.elapsed.as_millis()).ok();
            trial.exit_address = exit_address(&answer);
        }
        Err(fault) => {
            trial.error_code = Some(fault.kind.code().to_owned());
            trial.error = Some(fault.message.chars().take(FAULT).collect());
        }
    }
    trial
}

/// The address that the target says it was called from.
fn exit_address(answer: &Answer) -> Option<String> {
    if answer.status != StatusCode::OK {
        return None;
    }
    let text = std::str::from_utf8(&answer.body).ok()?.trim();
    let said = serde_json::from_str::<serde_json::Value>(text).ok();
    let said = said.as_ref().and_then(|said| ["ip", "origin"].iter().find_map(|name| said[*name].as_str()));
    // Some name every address on the way, the nearest last.
    let address = said.unwrap_or(text).split(',').next_back()?.trim();
    address.parse::<IpAddr>().ok().map(|address| address.to_string())
}

/// Keeps a result on the proxy that it is of. One with another address or login by now has no results yet.
#[expect(clippy::disallowed_methods, reason = "no version, no audit event each: the tenant is put on here")]
async fn keep(unit: &Unit<'_>, entry: &Model, trial: &Trial) -> Result<()> {
    let status = if trial.ok { TestStatus::Active } else { TestStatus::Error };
    let changes = ActiveModel {
        test_status: Set(status),
        tested_at: Set(Some(trial.tested_at)),
        latency_ms: Set(trial.latency_ms),
        http_status: Set(trial.status),
        exit_address: Set(trial.exit_address.clone()),
        error_code: Set(trial.error_code.clone()),
        error: Set(trial.error.clone()),
        ..Default::default()
    };
    let same = Condition::all()
        .add(Column::OrganizationId.eq(unit.ctx.scope.organization))
        .add(Column::Id.eq(entry.id))
        .add(Column::DisplayUrl.eq(entry.display_url.as_str()))
        .add(match &entry.login {
            Some(login) => Column::Login.eq(login.clone()),
            None => Column::Login.is_null(),
        });
    Entity::update_many().set(changes).filter(same).exec(&unit.tx).await?;
    Ok(())
}
