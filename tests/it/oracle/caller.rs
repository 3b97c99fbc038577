//! A client that does not give up: it sends the very same request to any instance until one answers.

use serde_json::Value;
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tests::server::{Server, answer};

/// The longest that an answer may take, whatever dies meanwhile.
const PATIENCE: Duration = Duration::from_mins(1);

/// The addresses of the instances; one that was killed keeps its old one until it is back.
#[derive(Clone, Default)]
pub struct Doors(Arc<Mutex<Vec<String>>>);

impl Doors {
    pub fn of(servers: &[Server]) -> Self {
        Self(Arc::new(Mutex::new(servers.iter().map(|server| server.url("")).collect())))
    }

    pub fn moved(&self, n: usize, server: &Server) {
        self.0.lock().unwrap()[n] = server.url("");
    }

    fn any(&self) -> String {
        let doors = self.0.lock().unwrap();
        doors[rand::random::<u32>() as usize % doors.len()].clone()
    }
}

/// A caller with a credential and a connection of its own.
#[derive(Clone)]
pub struct Caller {
    http: reqwest::Client,
    doors: Doors,
    bearer: String,
}

impl Caller {
    pub fn new(doors: &Doors, bearer: &str) -> Self {
        let http = reqwest::Client::builder().pool_max_idle_per_host(1).timeout(PATIENCE / 2);
        Self { http: http.build().unwrap(), doors: doors.clone(), bearer: bearer.to_owned() }
    }

    /// Makes something while everything is well.
    pub async fn make(&self, path: &str, body: &Value) -> Value {
        let request = self.http.post(format!("{}{path}", self.doors.any())).json(body);
        let (status, body) = answer(request.bearer_auth(&self.bearer)).await.unwrap();
        assert_eq!(status, 201, "{path}: {body}");
        body
    }

    /// Sends a request until it is answered.
    pub async fn post(&self, path: &str, body: &Value) -> Value {
        self.until_answered(|base| self.http.post(format!("{base}{path}")).json(body)).await
    }

    /// Reads, until it is answered.
    pub async fn get(&self, path: &str) -> Value {
        self.until_answered(|base| self.http.get(format!("{base}{path}"))).await
    }

    async fn until_answered(&self, request: impl Fn(&str) -> reqwest::RequestBuilder) -> Value {
        let begun = Instant::now();
        loop {
            let mut request = request(&self.doors.any()).bearer_auth(&self.bearer);
            // Now and then nobody waits for the answer.
            let random = rand::random::<u32>();
            if random.is_multiple_of(16) {
                request = request.timeout(Duration::from_millis(u64::from(random >> 4) % 200));
            }
            if let Some((status, body)) = answer(request).await {
                if status == 200 {
                    return body;
                }
                let passing = ["meter_unavailable", "database_unavailable", "overloaded"];
                let passes = body["code"].as_str().is_some_and(|code| passing.contains(&code));
                assert!(status == 503 && passes, "{status} {body}");
            }
            assert!(begun.elapsed() < PATIENCE, "nobody answers");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
