//! [`Reply`]: what came back, and what a test expects of it.

use crate::contract::{self, Received};
use axum::{
    http::{HeaderMap, Method, StatusCode, header},
    response::Response,
};
use http_body_util::BodyExt;
use serde_json::Value;

/// A reply that has been read.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as JSON; null if it is none.
    pub body: Value,
    /// The body as text.
    pub text: String,
    path: String,
}

impl Reply {
    /// Reads a response, which is one that the contract tells of.
    pub(crate) async fn read(method: &Method, path: String, response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let kind = parts.headers.get(header::CONTENT_TYPE).map_or("", |kind| kind.to_str().unwrap());
        let status = parts.status.as_u16();
        contract::check(Received { method, path: &path, status, content_type: kind, body: &bytes });
        Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
            text: String::from_utf8_lossy(&bytes).into_owned(),
            path,
        }
    }

    /// A header as text; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body of a 200.
    #[track_caller]
    pub fn ok(self) -> Value {
        self.expect(StatusCode::OK).tagged().body
    }

    /// The body of a 201.
    #[track_caller]
    pub fn created(self) -> Value {
        self.expect(StatusCode::CREATED).tagged().body
    }

    /// A 204, which has no body.
    #[track_caller]
    pub fn no_content(self) {
        let reply = self.expect(StatusCode::NO_CONTENT);
        assert_eq!(reply.text, "", "a body with 204 for {}", reply.path);
    }

    /// The body of a problem, which has every field and agrees with the reply that carries it.
    #[track_caller]
    pub fn problem(self, status: u16, code: &str) -> Value {
        let said = (self.status, self.body["code"].as_str().unwrap_or_default());
        assert_eq!(said, (status, code), "{} answered {}", self.path, self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        let body = &self.body;
        assert_eq!(body["status"], status);
        assert_eq!(body["type"], format!("urn:tollkeeper:problem:{code}"));
        assert_eq!(body["instance"], self.path.split('?').next().unwrap_or_default());
        assert_eq!(body["request_id"], self.header("x-request-id"));
        assert!(body["title"].as_str().is_some_and(|title| !title.is_empty()), "{body}");
        assert!(body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{body}");
        for fault in body["errors"].as_array().expect("errors is a list") {
            let texts = ["pointer", "code", "message"].map(|field| fault[field].as_str().unwrap_or_default());
            assert!(!texts[1].is_empty() && !texts[2].is_empty(), "{fault}");
        }
        assert_eq!(
            status == 401,
            self.headers.contains_key("www-authenticate"),
            "WWW-Authenticate on {status}"
        );
        if matches!(status, 429 | 503) {
            assert!(self.header("retry-after").parse::<u32>().is_ok_and(|seconds| seconds > 0));
        }
        self.body
    }

    /// A 422 whose faults are exactly these: pointer and code.
    #[track_caller]
    pub fn invalid(self, faults: &[(&str, &str)]) {
        let body = self.problem(422, "invalid");
        let text = |fault: &Value, field: &str| fault[field].as_str().unwrap_or_default().to_owned();
        let found = body["errors"].as_array().unwrap().iter().map(|f| (text(f, "pointer"), text(f, "code")));
        let mut found: Vec<(String, String)> = found.collect();
        let mut expected: Vec<_> = faults.iter().map(|(p, c)| ((*p).to_owned(), (*c).to_owned())).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{body}");
    }

    #[track_caller]
    fn expect(self, status: StatusCode) -> Self {
        assert_eq!(self.status, status.as_u16(), "{} answered {}", self.path, self.text);
        self
    }

    /// What has a version says it in its `ETag`, too.
    #[track_caller]
    fn tagged(self) -> Self {
        if let Some(version) = self.body["version"].as_i64() {
            assert_eq!(self.header("etag"), format!("\"{version}\""), "{}", self.path);
        }
        self
    }
}
