//! [`Client`]: one caller, and the requests it makes.

use crate::reply::Reply;
use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{HeaderName, HeaderValue, Method, header},
};
use serde::Serialize;
use service::{System, jwt::Claims};
use std::{fmt, net::SocketAddr, pin::Pin, sync::Arc};
use tower::ServiceExt;

#[derive(Debug, Clone)]
pub(crate) enum Credential {
    None,
    Bearer(String),
    Session(Claims),
}

/// One caller with one credential.
#[derive(Clone)]
pub struct Client {
    /// The person's id; empty for a token.
    pub user_id: String,
    router: Router,
    system: Arc<System>,
    credential: Credential,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({:?})", self.credential)
    }
}

impl Client {
    pub(crate) fn new(router: Router, system: Arc<System>, credential: Credential) -> Self {
        let user_id = match &credential {
            Credential::Session(claims) => claims.user.to_string(),
            _ => String::new(),
        };
        Self { user_id, router, system, credential }
    }

    /// What it sends as bearer token. A person's access token is as fresh as after a refresh.
    pub fn bearer(&self) -> Option<String> {
        match &self.credential {
            Credential::None => None,
            Credential::Bearer(text) => Some(text.clone()),
            Credential::Session(claims) => {
                Some(self.system.issuer.sign(*claims, self.system.clock.local()).unwrap())
            }
        }
    }

    /// Reads.
    pub fn get(&self, path: &str) -> Request {
        self.request(Method::GET, path)
    }

    /// Makes or does something.
    pub fn post(&self, path: &str, body: impl Serialize) -> Request {
        self.request(Method::POST, path).json(&body)
    }

    /// Changes.
    pub fn patch(&self, path: &str, body: impl Serialize) -> Request {
        self.request(Method::PATCH, path).json(&body)
    }

    /// Removes.
    pub fn delete(&self, path: &str) -> Request {
        self.request(Method::DELETE, path)
    }

    /// A request by any method.
    pub fn request(&self, method: Method, path: &str) -> Request {
        let mut request = axum::http::Request::builder().method(method).uri(path);
        if let Some(bearer) = self.bearer() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {bearer}"));
        }
        let here = ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 40_000)));
        let request = request.extension(here).body(Body::empty()).unwrap();
        Request { router: self.router.clone(), path: path.into(), inner: request }
    }
}

/// A request that is sent when it is awaited.
#[must_use = "a request is sent when it is awaited"]
#[derive(Debug)]
pub struct Request {
    router: Router,
    path: String,
    inner: axum::http::Request<Body>,
}

impl Request {
    /// With a header, instead of any of that name.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        self.inner.headers_mut().insert(name, HeaderValue::from_bytes(value.as_ref()).unwrap());
        self
    }

    /// With one more header of a name that may be there already.
    pub fn also(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        self.inner.headers_mut().append(name, value.parse().unwrap());
        self
    }

    /// Only if the row has this version.
    pub fn if_match(self, version: i64) -> Self {
        self.header("if-match", format!("\"{version}\""))
    }

    /// Once, however often it is sent.
    pub fn idempotency_key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    /// With any body.
    pub fn body(mut self, bytes: impl Into<Vec<u8>>, content_type: &str) -> Self {
        *self.inner.body_mut() = Body::from(bytes.into());
        self.header("content-type", content_type)
    }

    /// With a body that never comes.
    pub fn stalled(mut self) -> Self {
        let never = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
        *self.inner.body_mut() = Body::from_stream(never);
        self
    }

    /// With JSON.
    pub fn json(self, value: &impl Serialize) -> Self {
        self.body(serde_json::to_vec(value).unwrap(), "application/json")
    }

    /// From another address than 127.0.0.1.
    pub fn from(mut self, address: &str) -> Self {
        let peer = SocketAddr::new(address.parse().unwrap(), 40_000);
        self.inner.extensions_mut().insert(ConnectInfo(peer));
        self
    }
}

impl IntoFuture for Request {
    type Output = Reply;
    type IntoFuture = Pin<Box<dyn Future<Output = Reply> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let method = self.inner.method().clone();
            let Ok(response) = self.router.oneshot(self.inner).await;
            Reply::read(&method, self.path, response).await
        })
    }
}
