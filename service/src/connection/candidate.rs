//! Upstreams to ask: a connection as it is stored, or one that is only stated. A key goes where its own connection says, and
//! through the proxies that it says.

use super::{format::FormatFacts, headers, search::Candidate};
use crate::{
    Ctx, Error, Result, credential, proxy_pool,
    upstream::{Way, provider::trimmed},
    vault::Plain,
};
use entity::{
    connection_state,
    id::{ConnectionId, ProxyPoolId},
    json::Texts,
    provider_connection::Model,
};
use url::Url;

/// A stored connection, with its own credential or with another secret.
pub(super) async fn saved(
    ctx: &Ctx,
    row: &Model,
    state: &connection_state::Model,
    secret: Option<Plain>,
) -> Result<Candidate> {
    let secret = match secret {
        Some(secret) => Some(secret),
        None => credential::usable(ctx, row.id).await?.map(|(_, secret)| secret),
    };
    let way = way(ctx, row.proxy_pool_id, row.id).await?;
    let alternates = urls(&row.alternate_base_urls)?;
    Ok(Candidate {
        facts: FormatFacts {
            provider: row.provider.clone(),
            base_url: url(&row.base_url)?,
            format: row.format,
            mode: row.format_mode,
            protocols: row.protocols.clone(),
            force: row.force_protocol,
            detected: state.detected_format,
            detected_endpoint: state.detected_endpoint.as_deref().map(url).transpose()?,
        },
        alternates,
        secret,
        headers: headers::headers(ctx, row).await?,
        way: Way { skip_verification: row.tls_skip_verify, ..way },
    })
}

/// How calls of a connection get to its upstream.
pub(super) async fn way(ctx: &Ctx, pool: Option<ProxyPoolId>, id: ConnectionId) -> Result<Way> {
    match pool {
        Some(pool) => proxy_pool::way(ctx, pool, id).await,
        None => Ok(Way::default()),
    }
}

/// A URL that was found acceptable before.
pub(super) fn url(text: &str) -> Result<Url> {
    text.parse().map(|url| trimmed(&url)).map_err(Error::internal)
}

pub(super) fn urls(Texts(texts): &Texts) -> Result<Vec<Url>> {
    texts.iter().map(|text| url(text)).collect()
}

/// Whether what was found of one is true of the other: nothing changed that leads to the upstream.
pub(super) fn lead_alike(one: &Model, other: &Model) -> bool {
    let place = |row: &Model| (row.base_url.clone(), row.alternate_base_urls.clone(), row.protocols.clone());
    let spoken = |row: &Model| (row.format, row.format_mode, row.force_protocol, row.proxy_pool_id);
    place(one) == place(other) && spoken(one) == spoken(other) && one.tls_skip_verify == other.tls_skip_verify
}
