//! Proxy pools: the outbound proxies of an organization, which its connections take. A login is sealed in its row and never
//! shown; a proxy that fails a test is tried last, and never switched off by it.

mod address;
mod create;
mod edit;
mod entries;
mod read;
mod trial;
mod way;

pub use create::create;
pub use edit::{delete, disable, enable, update};
pub use read::{get, list};
pub use trial::{NewTrial, Trial, Trials, test};
pub(crate) use way::Rounds;
pub use way::way;

use crate::vault::Plain;
use chrono::{DateTime, Utc};
use entity::{
    id::{ProxyEntryId, ProxyPoolId},
    json::Texts,
    status::{PoolStatus, ProxyStrategy, TestStatus},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is in the way of a pool's end.
pub const BOUND: &str = "bound connections";

/// Proxies that connections take.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProxyPool {
    /// Its id.
    pub id: ProxyPoolId,
    /// Unique in its organization.
    #[schema(example = "frankfurt")]
    pub name: String,
    /// Whether its proxies are used. While they are not, calls of a strict pool fail and those of another go without a proxy.
    pub status: PoolStatus,
    /// Which of its proxies a call takes first; the others follow if that one does not connect.
    pub strategy: ProxyStrategy,
    /// Whether a call fails rather than go without a proxy.
    pub strict: bool,
    /// Hosts that are reached without a proxy.
    #[schema(example = json!(["localhost", ".internal.example.com"]))]
    pub no_proxy: Texts,
    /// Its proxies, in their order.
    pub entries: Vec<ProxyEntry>,
    /// Connections of the organization that take it; while there are any it is not deleted.
    pub bound_connection_count: i64,
    /// Who made it: the id of a user or of an admin token.
    #[schema(example = "user_019aa3c1f6b07c3e9a5d2f4b8c6e1d70")]
    pub created_by: String,
    /// For `If-Match`. What tests find does not change it.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}
crate::page!(ProxyPoolPage, ProxyPool);

/// A proxy of a pool, with what the last test of it found.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProxyEntry {
    /// Its id.
    pub id: ProxyEntryId,
    /// Its URL with the password masked. Sent back as `url`, it keeps the password.
    #[schema(example = "http://user:****@proxy.example.com:3128")]
    pub display_url: String,
    /// Whether it is used.
    pub enabled: bool,
    /// What the last test found; a changed address or login makes it `unknown`.
    pub test_status: TestStatus,
    /// When it was last tested.
    #[schema(required)]
    pub tested_at: Option<DateTime<Utc>>,
    /// Milliseconds that the last test took.
    #[schema(required)]
    pub latency_ms: Option<i64>,
    /// The HTTP status that the target of the last test answered through it.
    #[schema(required)]
    pub http_status: Option<i32>,
    /// The address from which the target saw the call, if it told.
    #[schema(required, example = "203.0.113.7")]
    pub exit_address: Option<String>,
    /// Stable word for what went wrong in the last test.
    #[schema(required, example = "proxy_failed")]
    pub error_code: Option<String>,
    /// What went wrong, for people.
    #[schema(required)]
    pub error: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// A pool to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProxyPool {
    /// Unique in its organization, 1–255 characters.
    #[schema(min_length = 1, max_length = 255, example = "frankfurt")]
    pub name: String,
    /// Its proxies, 1–64.
    #[schema(min_items = 1, max_items = 64, example = json!([{"url": "http://user:password@proxy.example.com:3128"}]))]
    pub entries: Vec<NewProxyEntry>,
    /// Which of its proxies a call takes first.
    #[serde(default)]
    #[schema(default = "round_robin")]
    pub strategy: ProxyStrategy,
    /// Hosts that are reached without a proxy, at most 256: names, `.example.com` for the names below one, addresses,
    /// networks, `*` for every host; names and addresses also with a port.
    #[serde(default)]
    #[schema(example = json!(["localhost", ".internal.example.com", "10.0.0.0/8"]))]
    pub no_proxy: Texts,
    /// Whether a call fails rather than go without a proxy.
    #[serde(default)]
    #[schema(default = false)]
    pub strict: bool,
    /// Whether its proxies are used.
    #[serde(default)]
    #[schema(default = "active")]
    pub status: PoolStatus,
}

/// A proxy of a new pool.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProxyEntry {
    /// `http`, `https` or `socks5`, perhaps `user:password@`, a host, perhaps a port (else 80, 443 or 1080), and nothing
    /// behind. Special characters in user and password are percent-encoded.
    #[schema(value_type = String, min_length = 1, max_length = 1024,
        example = "http://user:password@proxy.example.com:3128")]
    pub url: Plain,
    /// Whether it is used.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub enabled: bool,
}

/// What to change of a pool; an absent field is kept.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProxyPoolPatch {
    /// Unique in its organization, 1–255 characters.
    #[serde(default, deserialize_with = "crate::validate::present")]
    #[schema(min_length = 1, max_length = 255, nullable = false)]
    pub name: Option<String>,
    /// Its proxies, all of them, 1–64.
    #[serde(default, deserialize_with = "crate::validate::present")]
    #[schema(nullable = false, min_items = 1, max_items = 64)]
    pub entries: Option<Vec<ProxyEntryPatch>>,
    /// Which of its proxies a call takes first.
    #[serde(default, deserialize_with = "crate::validate::present")]
    #[schema(nullable = false)]
    pub strategy: Option<ProxyStrategy>,
    /// Hosts that are reached without a proxy, all of them.
    #[serde(default, deserialize_with = "crate::validate::present")]
    #[schema(nullable = false)]
    pub no_proxy: Option<Texts>,
    /// Whether a call fails rather than go without a proxy.
    #[serde(default, deserialize_with = "crate::validate::present")]
    #[schema(nullable = false)]
    pub strict: Option<bool>,
    /// Whether its proxies are used.
    #[serde(default, deserialize_with = "crate::validate::present")]
    #[schema(nullable = false)]
    pub status: Option<PoolStatus>,
}

/// A proxy of a changed pool: one that is there already, or a new one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProxyEntryPatch {
    /// Which of the pool's proxies it is; absent = the one with this scheme, user, host and port, else a new one.
    #[serde(default, deserialize_with = "crate::validate::present")]
    #[schema(nullable = false)]
    pub id: Option<ProxyEntryId>,
    /// As in a new pool. The password `****` keeps the one that is stored, if scheme, user, host and port are the stored
    /// ones, too: it is not sent anywhere else.
    #[schema(value_type = String, min_length = 1, max_length = 1024,
        example = "http://user:****@proxy.example.com:3128")]
    pub url: Plain,
    /// Whether it is used.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub enabled: bool,
}

impl From<NewProxyEntry> for ProxyEntryPatch {
    fn from(NewProxyEntry { url, enabled }: NewProxyEntry) -> Self {
        Self { id: None, url, enabled }
    }
}

const fn yes() -> bool {
    true
}

/// Which pools to list.
#[derive(Debug, Default)]
pub struct ProxyPoolFilter {
    /// Only with this status.
    pub status: Option<PoolStatus>,
    /// Only with a proxy whose last test found this.
    pub test_status: Option<TestStatus>,
    /// Only whose name begins so.
    pub name_prefix: Option<String>,
}
