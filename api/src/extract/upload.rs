//! [`Upload`]: a file as the body of a request, in the encoding that its `Content-Type` names. [`Uploads`] bounds how many
//! there are at a time, from their first byte until they have been dealt with: one of each organization, and a few in all.

use super::json::{Call, Refusal, too_large, too_slow, unreadable};
use crate::{
    middleware::body::{is_caused_by, is_too_slow},
    problem::Problem,
    state::AppState,
};
use axum::{
    RequestExt,
    body::{Body, Bytes, HttpBody},
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
};
use entity::id::OrganizationId;
use http_body_util::{BodyExt, LengthLimitError};
use service::{Ctx, Error, price::list::Encoding};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// How long a file waits for its turn.
const TURN: Duration = Duration::from_secs(10);
/// What is set aside for a file before any of it has arrived, at most.
const AHEAD: u64 = 64 * 1024 * 1024;

/// The files that are being taken, or made.
#[derive(Debug, Clone)]
pub struct Uploads(Arc<Turns>);

#[derive(Debug)]
struct Turns {
    all: Arc<Semaphore>,
    /// One turn of each organization that has a file here.
    each: Mutex<HashMap<OrganizationId, Arc<Semaphore>>>,
}

/// The turn of a file; dropping it gives it back.
#[derive(Debug)]
pub struct Turn {
    turns: Arc<Turns>,
    organization: OrganizationId,
    own: Option<OwnedSemaphorePermit>,
    _all: OwnedSemaphorePermit,
}

impl Uploads {
    /// At most so many at a time.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Turns { all: Arc::new(Semaphore::new(most)), each: Mutex::default() }))
    }

    /// Waits for the turn of a file. The files of one organization wait for each other, so that others find a free turn.
    pub async fn enter(&self, organization: OrganizationId) -> Result<Turn, Error> {
        let own = {
            let mut each = self.0.each.lock().unwrap_or_else(PoisonError::into_inner);
            each.entry(organization).or_insert_with(|| Arc::new(Semaphore::new(1))).clone()
        };
        let turn = timeout(TURN, async {
            let own = own.acquire_owned().await;
            (own, self.0.all.clone().acquire_owned().await)
        });
        let (own, all) = turn.await.map_err(|_| Error::Overloaded)?;
        let (own, all) = (own.map_err(Error::internal)?, all.map_err(Error::internal)?);
        Ok(Turn { turns: self.0.clone(), organization, own: Some(own), _all: all })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut each = self.turns.each.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.own.take());
        // Nobody waits for it: only the table has it.
        if each.get(&self.organization).is_some_and(|own| Arc::strong_count(own) == 1) {
            each.remove(&self.organization);
        }
    }
}

/// A file that was sent, and its turn.
#[derive(Debug)]
pub struct File {
    bytes: Bytes,
    turn: Arc<Turn>,
}

impl File {
    /// Its turn, to be kept for longer than the file.
    pub fn turn(&self) -> Arc<Turn> {
        self.turn.clone()
    }
}

impl AsRef<[u8]> for File {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A file that was sent with a call that may carry an `Idempotency-Key`; success answers 200.
#[derive(Debug)]
pub struct Upload {
    /// What was sent.
    pub file: File,
    /// How it is written.
    pub encoding: Encoding,
}

impl FromRequest<AppState> for Upload {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Refusal> {
        let encoding = encoding(request.headers());
        let call = Call::of(&request);
        let organization = request.extensions().get::<Ctx>().map(|ctx| ctx.scope.organization);
        let turn = state.uploads.enter(organization.unwrap_or(OrganizationId::PLATFORM)).await?;
        let bytes = whole(request).await?;
        call.once(&bytes, StatusCode::OK).await?;
        if bytes.is_empty() {
            let detail = "the body is empty; send the file as it is";
            return Err(Problem::new(StatusCode::BAD_REQUEST, "empty_body", detail).into());
        }
        let file = File { bytes, turn: Arc::new(turn) };
        Ok(Self { file, encoding: encoding.ok_or_else(|| unsupported("send JSON, YAML or CSV"))? })
    }
}

/// The whole body, put together once: collecting first and joining afterwards takes twice its size.
async fn whole(request: Request) -> Result<Bytes, Problem> {
    let mut body: Body = request.into_limited_body();
    let ahead = body.size_hint().exact().unwrap_or_default().min(AHEAD);
    let mut bytes = Vec::with_capacity(usize::try_from(ahead).unwrap_or_default());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| refusal(&error))?;
        if let Some(data) = frame.data_ref() {
            bytes.extend_from_slice(data);
        }
    }
    Ok(bytes.into())
}

fn refusal(error: &axum::Error) -> Problem {
    if is_too_slow(error) {
        too_slow()
    } else if is_caused_by::<LengthLimitError>(error) {
        too_large()
    } else {
        unreadable()
    }
}

/// A file of a kind that the operation does not read.
pub fn unsupported(detail: &'static str) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
}

fn encoding(headers: &HeaderMap) -> Option<Encoding> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    match kind.split(';').next()?.trim().to_ascii_lowercase().as_str() {
        "application/json" => Some(Encoding::Json),
        "application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml" => Some(Encoding::Yaml),
        "text/csv" | "application/csv" => Some(Encoding::Csv),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn other_organization() -> OrganizationId {
        OrganizationId::PLATFORM.to_string().replace('0', "1").parse().unwrap()
    }

    /// Whether a file of the organization waits.
    async fn waits(uploads: &Uploads, organization: OrganizationId) -> bool {
        timeout(Duration::from_millis(20), uploads.enter(organization)).await.is_err()
    }

    #[tokio::test]
    async fn files_of_one_organization_wait_for_each_other() {
        let uploads = Uploads::new(2);
        let first = uploads.enter(OrganizationId::PLATFORM).await.unwrap();
        assert!(waits(&uploads, OrganizationId::PLATFORM).await);
        let other = uploads.enter(other_organization()).await.unwrap();
        drop(first);
        drop(uploads.enter(OrganizationId::PLATFORM).await.unwrap());
        drop(other);
        assert!(uploads.0.each.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn no_more_files_are_taken_than_allowed() {
        let uploads = Uploads::new(1);
        let first = uploads.enter(OrganizationId::PLATFORM).await.unwrap();
        assert!(waits(&uploads, other_organization()).await);
        drop(first);
        uploads.enter(other_organization()).await.unwrap();
    }
}
