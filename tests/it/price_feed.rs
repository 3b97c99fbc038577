//! The price feed: fetched in turns, imported when it is another list, and harmless when it fails.

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, Response, StatusCode, header},
    routing::get,
};
use chrono::TimeDelta;
use serde_json::{Value, json};
use service::price::{feed::FeedSource, list::ListFormat};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tests::{Client, TestApp, on_both, on_postgres};

const FEED: &str = "/v1/price-feed";

/// What the feed answers.
#[derive(Clone)]
enum Answer {
    List(&'static str, String),
    Status(StatusCode),
    Endless,
    Never,
}

/// A feed on this machine: what it answers, and the tags that it was asked with.
#[derive(Clone)]
struct Server {
    url: String,
    answer: Arc<Mutex<Answer>>,
    asked: Arc<Mutex<Vec<Option<String>>>>,
}

impl Server {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/prices.json?token=hunter2", listener.local_addr().unwrap());
        let answer = Arc::new(Mutex::new(Answer::Status(StatusCode::NOT_FOUND)));
        let server = Self { url, answer, asked: Arc::default() };
        let router = Router::new().route("/prices.json", get(answer_with)).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        server
    }

    fn answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    fn lists(&self, tag: &'static str, input: &str) {
        let rate: serde_json::Number = input.parse().unwrap();
        let list = json!({ "m": { "litellm_provider": "azure", "input_cost_per_token": rate } });
        self.answers(Answer::List(tag, list.to_string()));
    }

    fn asked(&self) -> Vec<Option<String>> {
        self.asked.lock().unwrap().clone()
    }

    fn source(&self) -> FeedSource {
        let patience = Duration::from_secs(2);
        FeedSource {
            url: self.url.clone(),
            format: ListFormat::Litellm,
            interval: TimeDelta::hours(6),
            patience,
        }
    }
}

async fn answer_with(State(server): State<Server>, headers: HeaderMap) -> Response<Body> {
    let tag = headers.get(header::IF_NONE_MATCH).map(|tag| tag.to_str().unwrap().to_owned());
    server.asked.lock().unwrap().push(tag.clone());
    let answer = server.answer.lock().unwrap().clone();
    let response = Response::builder();
    match answer {
        Answer::List(own, _) if tag.as_deref() == Some(own) => response.status(304).body(Body::empty()),
        Answer::List(own, list) => response.header(header::ETAG, own).body(Body::from(list)),
        Answer::Status(status) => {
            response.status(status).header(header::LOCATION, server.url.clone()).body(Body::empty())
        }
        Answer::Endless => {
            let piece = vec![b' '; 1024 * 1024];
            let pieces = std::iter::repeat_with(move || Ok::<_, std::io::Error>(piece.clone()));
            response.body(Body::from_stream(futures_util::stream::iter(pieces)))
        }
        Answer::Never => std::future::pending().await,
    }
    .unwrap()
}

/// The rates of the installation's prices, newest first.
async fn rates(client: &Client) -> Vec<Value> {
    let page = client.get("/v1/prices").await.ok();
    page["items"].as_array().unwrap().iter().map(|price| price["input"].clone()).collect()
}

async fn turn(app: &TestApp) {
    app.state.feed.turn(&app.system).await.unwrap();
}

on_both!(the_feed_is_asked_in_turns_and_imported_when_it_changes, |app| {
    let server = Server::start().await;
    let app = app.with_feed(server.source());
    let owner = app.owner();
    let never = owner.get(FEED).await.ok();
    assert_eq!(
        never,
        json!({"configured": true, "checked_at": null, "imported_at": null, "next_at": null, "etag": null, "fault": null})
    );
    server.lists("\"one\"", "1e-6");
    turn(&app).await;
    turn(&app).await;
    assert_eq!(server.asked(), [None], "it is asked once in its interval");
    assert_eq!(rates(&owner).await, ["1"]);
    let expected = json!({"configured": true, "checked_at": "2027-01-15T10:00:00Z", "imported_at": "2027-01-15T10:00:00Z",
        "next_at": "2027-01-15T16:00:00Z", "etag": "\"one\"", "fault": null});
    assert_eq!(owner.get(FEED).await.ok(), expected);
    app.clock.advance(TimeDelta::hours(6));
    turn(&app).await;
    let status = owner.get(FEED).await.ok();
    assert_eq!(
        (&status["checked_at"], &status["imported_at"]),
        (&json!("2027-01-15T16:00:00Z"), &json!("2027-01-15T10:00:00Z"))
    );
    server.lists("\"two\"", "2e-6");
    app.clock.advance(TimeDelta::hours(6));
    turn(&app).await;
    assert_eq!(server.asked(), [None, Some("\"one\"".to_owned()), Some("\"one\"".to_owned())]);
    assert_eq!(rates(&owner).await, ["2", "1"]);
    assert_eq!(owner.get("/v1/prices").await.ok()["items"][0]["created_by"], "system");
});

on_both!(a_feed_that_fails_leaves_the_last_good_list, |app| {
    let server = Server::start().await;
    let app = app.with_feed(server.source());
    let owner = app.owner();
    server.lists("\"one\"", "1e-6");
    turn(&app).await;
    for (answer, fault) in [
        (Answer::Status(StatusCode::INTERNAL_SERVER_ERROR), "the feed answered 500 Internal Server Error"),
        (Answer::Status(StatusCode::FOUND), "the feed answered 302 Found"),
        (
            Answer::List("\"x\"", "<html>".to_owned()),
            "the file is not JSON: expected value at line 1 column 1",
        ),
        (Answer::List("\"x\"", "[]".to_owned()), "expected an object"),
        (Answer::Endless, "the list is larger than 50 MiB"),
        (Answer::Never, "the feed did not answer in time"),
    ] {
        server.answers(answer);
        app.clock.advance(TimeDelta::hours(6));
        turn(&app).await;
        let status = owner.get(FEED).await.ok();
        let said = status["fault"].as_str().unwrap();
        assert!(said.contains(fault) && !said.contains("hunter2"), "{said}");
        assert_eq!(
            (&status["etag"], &status["imported_at"]),
            (&json!("\"one\""), &json!("2027-01-15T10:00:00Z"))
        );
        assert_eq!(rates(&owner).await, ["1"]);
    }
    let gone = app.with_feed(FeedSource { url: "http://127.0.0.1:1/hunter2".into(), ..server.source() });
    turn(&gone).await;
    let fault = gone.owner().get(FEED).await.ok()["fault"].as_str().unwrap().to_owned();
    assert!(fault.starts_with("the feed could not be read") && !fault.contains("hunter2"), "{fault}");
});

on_both!(an_operator_asks_the_feed_at_once, |app| {
    app.owner().post(&format!("{FEED}/refresh"), json!({})).await.problem(409, "no_price_feed");
    assert_eq!(app.owner().get(FEED).await.ok()["configured"], false);
    let server = Server::start().await;
    let app = app.with_feed(server.source());
    let owner = app.owner();
    server.lists("\"one\"", "1e-6");
    let refresh = || owner.post(&format!("{FEED}/refresh"), json!({})).idempotency_key("now");
    let first = refresh().await.ok();
    assert_eq!(first["etag"], "\"one\"");
    let again = refresh().await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.ok(), first);
    assert_eq!(server.asked().len(), 1);
    owner.post(&format!("{FEED}/refresh"), json!({})).await.ok();
    assert_eq!(server.asked().len(), 2, "it is asked although it is not time");
    let row = owner.get("/v1/prices").await.ok()["items"][0].clone();
    assert_eq!(row["created_by"], owner.user_id);
    app.admin().await.post(&format!("{FEED}/refresh"), json!({})).await.problem(403, "forbidden");
    app.admin().await.get(FEED).await.problem(403, "forbidden");
});

on_postgres!(one_of_several_instances_asks_at_each_turn, |app| {
    let server = Server::start().await;
    server.lists("\"one\"", "1e-6");
    let (one, two) = (app.with_feed(server.source()), app.second_instance().await.with_feed(server.source()));
    for turn_of_day in 1..=3 {
        tokio::join!(turn(&one), turn(&two));
        assert_eq!(server.asked().len(), turn_of_day);
        app.clock.advance(TimeDelta::hours(6));
    }
});

on_both!(another_address_is_asked_without_the_old_tag, |app| {
    let (old, new) = (Server::start().await, Server::start().await);
    old.lists("\"one\"", "1e-6");
    new.lists("\"one\"", "2e-6");
    turn(&app.with_feed(old.source())).await;
    app.clock.advance(TimeDelta::minutes(1));
    turn(&app.with_feed(new.source())).await;
    assert_eq!(new.asked(), [None]);
    assert_eq!(rates(&app.owner()).await, ["2", "1"]);
});
