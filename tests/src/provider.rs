//! [`Provider`]: a small upstream on loopback that speaks each protocol as its real speakers do, well or badly, and remembers
//! what it was asked.

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle};

/// The key that is let in.
pub const GOOD_KEY: &str = "sk-good-canary-0123456789";

/// What a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    /// OpenAI's protocols, under `/v1`.
    OpenAi,
    /// Anthropic's, under `/v1`.
    Anthropic,
    /// Google's, under `/v1beta`.
    Google,
    /// Ollama's, under `/api`; there is no key.
    Ollama,
    /// Azure's OpenAI service, under `/openai`.
    Azure,
}

/// How a provider behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conduct {
    /// As it should.
    Good,
    /// It answers everything with this status, in the form of its protocol.
    Fails(u16),
    /// It never answers.
    Silent,
    /// It answers 200 and a website.
    Website,
    /// It answers 200 and JSON that is no list.
    Nonsense,
    /// It sends elsewhere.
    Redirects(String),
    /// It answers with more than anybody takes.
    Huge,
    /// It breaks off in the middle of its answer.
    BreaksOff,
    /// Every page of its list leads to this page.
    Circles(String),
    /// It answers as it should when it is told to.
    Waits,
}

/// A request that came in.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The path with its query.
    pub target: String,
    /// The headers.
    pub headers: HeaderMap,
}

impl Seen {
    /// A header as text; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The names of the headers in which a text is.
    pub fn carries(&self, text: &str) -> Vec<&str> {
        let carries =
            |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).contains(text);
        self.headers.iter().filter(|(_, value)| carries(value)).map(|(name, _)| name.as_str()).collect()
    }
}

/// An upstream on loopback.
#[derive(Debug)]
pub struct Provider {
    port: u16,
    inner: Arc<Inner>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Inner {
    speech: Speech,
    state: Mutex<Inside>,
    go: Notify,
}

#[derive(Debug)]
struct Inside {
    conduct: Conduct,
    models: Vec<String>,
    page: usize,
    seen: Vec<Seen>,
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Provider {
    /// One that speaks a protocol as it should, and has three models.
    pub async fn start(speech: Speech) -> Self {
        let models = ["alpha", "beta", "gamma"].map(String::from).to_vec();
        let state = Inside { conduct: Conduct::Good, models, page: 1000, seen: Vec::new() };
        let inner = Arc::new(Inner { speech, state: Mutex::new(state), go: Notify::new() });
        let router = Router::new().fallback(answer).with_state(inner.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { port, inner, task }
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it is.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// From now on it behaves so.
    pub fn behave(&self, conduct: Conduct) {
        self.inner.state.lock().unwrap().conduct = conduct;
    }

    /// Lets one answer go that waits, also one that is yet to come.
    pub fn go(&self) {
        self.inner.go.notify_one();
    }

    /// From now on it has these models, so many a page.
    pub fn has(&self, models: impl IntoIterator<Item = impl Into<String>>, page: usize) {
        let mut state = self.inner.state.lock().unwrap();
        state.models = models.into_iter().map(Into::into).collect();
        state.page = page;
    }

    /// What it was asked so far; it forgets it.
    pub fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.inner.state.lock().unwrap().seen)
    }

    /// How often it was asked since it forgot.
    pub fn count(&self) -> usize {
        self.inner.state.lock().unwrap().seen.len()
    }
}

/// An address on loopback that takes no connections.
pub async fn dead_url() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port())
}

async fn answer(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let target = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let headers = request.headers().clone();
    let conduct = {
        let mut state = inner.state.lock().unwrap();
        state.seen.push(Seen { target: target.clone(), headers: headers.clone() });
        state.conduct.clone()
    };
    match conduct {
        Conduct::Good | Conduct::Circles(_) => inner.speak(&target, &headers),
        Conduct::Waits => {
            inner.go.notified().await;
            inner.speak(&target, &headers)
        }
        Conduct::Fails(status) => inner.fail(StatusCode::from_u16(status).unwrap()),
        Conduct::Silent => std::future::pending().await,
        Conduct::Website => ([(header::CONTENT_TYPE, "text/html")], "<html>hello</html>").into_response(),
        Conduct::Nonsense => json_of(200, &json!({"hello": "world", "canary": "said-by-the-upstream"})),
        Conduct::Redirects(to) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
        Conduct::Huge => Body::from_stream(futures_util::stream::repeat_with(|| {
            Ok::<_, std::io::Error>(vec![b' '; 1 << 20])
        }))
        .into_response(),
        Conduct::BreaksOff => {
            let parts = [Ok(b"{\"data\": [".to_vec()), Err(std::io::Error::other("gone"))];
            Body::from_stream(futures_util::stream::iter(parts)).into_response()
        }
    }
}

fn json_of(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

impl Inner {
    /// What a real speaker answers.
    fn speak(&self, target: &str, headers: &HeaderMap) -> Response {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query: HashMap<&str, &str> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        let header = |name: &str| headers.get(name).map_or("", |value| value.to_str().unwrap());
        let (list, key) = match self.speech {
            Speech::OpenAi => ("/v1/models", header("authorization").trim_start_matches("Bearer ")),
            Speech::Anthropic => ("/v1/models", header("x-api-key")),
            Speech::Google => ("/v1beta/models", header("x-goog-api-key")),
            Speech::Ollama => ("/api/tags", GOOD_KEY),
            Speech::Azure => ("/openai/models", header("api-key")),
        };
        let versioned = match self.speech {
            Speech::Anthropic => !header("anthropic-version").is_empty(),
            Speech::Azure => query.contains_key("api-version"),
            _ => true,
        };
        if path != list {
            self.fail(StatusCode::NOT_FOUND)
        } else if key.is_empty() && self.speech == Speech::Google {
            self.fail(StatusCode::FORBIDDEN)
        } else if key != GOOD_KEY && self.speech == Speech::Google {
            json_of(400, &google_bad_key())
        } else if key != GOOD_KEY {
            self.fail(StatusCode::UNAUTHORIZED)
        } else if !versioned {
            self.fail(StatusCode::BAD_REQUEST)
        } else {
            json_of(200, &self.page(query.get("after_id").or(query.get("pageToken")).copied()))
        }
    }

    /// One page of the list.
    fn page(&self, after: Option<&str>) -> Value {
        let state = self.state.lock().unwrap();
        let models = &state.models;
        let from =
            after.and_then(|after| models.iter().position(|model| model == after)).map_or(0, |n| n + 1);
        let page: Vec<&String> = models.iter().skip(from).take(state.page).collect();
        let mut more = from + page.len() < models.len();
        let mut last = page.last().map(|model| (*model).clone()).unwrap_or_default();
        if let Conduct::Circles(to) = &state.conduct {
            (more, last) = (true, to.clone());
        }
        let of = |each: &dyn Fn(&String) -> Value| -> Vec<Value> {
            page.iter().map(|model| each(model)).collect()
        };
        match self.speech {
            Speech::Anthropic => json!({
                "data": of(&|id| json!({"type": "model", "id": id, "display_name": id.to_uppercase()})),
                "has_more": more, "first_id": page.first(), "last_id": last,
            }),
            Speech::Google => {
                let named = |id: &String| json!({"name": format!("models/{id}"), "displayName": id, "inputTokenLimit": 1000, "outputTokenLimit": 100});
                let mut body = json!({"models": of(&named)});
                if more {
                    body["nextPageToken"] = json!(last);
                }
                body
            }
            Speech::Ollama => json!({"models": of(&|id| json!({"name": id, "model": id, "size": 7}))}),
            Speech::OpenAi | Speech::Azure => json!({
                "object": "list",
                "data": of(&|id| json!({"id": id, "object": "model", "created": 7, "owned_by": "fake"})),
            }),
        }
    }

    /// An error in the form of the protocol.
    fn fail(&self, status: StatusCode) -> Response {
        let (code, message) = (status.as_u16(), "canary: said-by-the-upstream");
        let body = match self.speech {
            Speech::OpenAi => {
                json!({"error": {"message": message, "type": "invalid_request_error", "code": "x"}})
            }
            Speech::Anthropic => json!({"type": "error", "error": {"type": "api_error", "message": message}}),
            Speech::Google => json!({"error": {"code": code, "message": message, "status": "FAILED"}}),
            Speech::Ollama => json!({"error": message}),
            Speech::Azure => json!({"error": {"code": code.to_string(), "message": message}}),
        };
        json_of(code, &body)
    }
}

/// What Google says of a key that it does not know.
fn google_bad_key() -> Value {
    json!({"error": {
        "code": 400, "message": "canary: said-by-the-upstream", "status": "INVALID_ARGUMENT",
        "details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}],
    }})
}
