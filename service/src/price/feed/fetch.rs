//! Fetching the list: within a time, up to a size, and from where the operator said: a redirect is not followed.

use super::Encoding;
use crate::{Error, Result};
use reqwest::{
    Client, Response, StatusCode,
    header::{CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH},
    redirect::Policy,
};
use std::time::Duration;

/// The largest list: as large as one that is imported by hand.
const MOST: usize = 50 * 1024 * 1024;
/// Characters of a tag that is kept.
const TAG: usize = 1024;

/// What the feed answered.
pub(super) enum Fetched {
    /// The list of the last time.
    Same,
    /// A list.
    List { file: Vec<u8>, encoding: Encoding, etag: Option<String> },
}

pub(super) fn client(patience: Duration) -> Result<Client> {
    let client = Client::builder().timeout(patience).redirect(Policy::none());
    client.user_agent(concat!("tollkeeper/", env!("CARGO_PKG_VERSION"))).build().map_err(Error::internal)
}

/// The list, or what went wrong in words that do not repeat the address, which may hold a secret.
pub(super) async fn fetch(
    client: &Client,
    url: &str,
    etag: Option<&str>,
) -> std::result::Result<Fetched, String> {
    let request = client.get(url);
    let request = match etag {
        Some(etag) => request.header(IF_NONE_MATCH, etag),
        None => request,
    };
    let response = request.send().await.map_err(told)?;
    match response.status() {
        StatusCode::NOT_MODIFIED => Ok(Fetched::Same),
        StatusCode::OK => read(response).await,
        other => Err(format!("the feed answered {other}")),
    }
}

async fn read(mut response: Response) -> std::result::Result<Fetched, String> {
    let header = |name: HeaderName| response.headers().get(name).and_then(|value| value.to_str().ok());
    let etag = header(ETAG).filter(|tag| tag.len() <= TAG).map(str::to_owned);
    let encoding = match header(CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase() {
        kind if kind.contains("yaml") => Encoding::Yaml,
        kind if kind.contains("csv") => Encoding::Csv,
        _ => Encoding::Json,
    };
    let mut file = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(told)? {
        if file.len() + piece.len() > MOST {
            return Err("the list is larger than 50 MiB".to_owned());
        }
        file.extend_from_slice(&piece);
    }
    Ok(Fetched::List { file, encoding, etag })
}

fn told(error: reqwest::Error) -> String {
    if error.is_timeout() {
        "the feed did not answer in time".to_owned()
    } else {
        format!("the feed could not be read: {}", error.without_url())
    }
}
