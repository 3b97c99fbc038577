//! Icons of connections: what they may be, how they are served, that they go.

use crate::connections::make;
use axum::http::Method;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;
use tests::{Client, Request, on_both};

/// The smallest GIF there is.
pub const GIF: &str = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==";

/// Sets the icon of a connection.
pub fn put(client: &Client, connection: &str, data_url: &str) -> Request {
    client.request(Method::PUT, &format!("{connection}/icon")).json(&json!({ "data_url": data_url }))
}

fn data_url(kind: &str, content: &[u8]) -> String {
    format!("data:{kind};base64,{}", STANDARD.encode(content))
}

on_both!(an_icon_is_set_shown_replaced_and_removed, |app| {
    let owner = app.owner();
    let connection = make(&owner, "a").await;
    let icon = format!("{connection}/icon");
    owner.get(&icon).await.problem(404, "not_found");
    owner.delete(&icon).await.problem(404, "not_found");
    let set = put(&owner, &connection, GIF).if_match(1).await.ok();
    assert_eq!((&set["media_type"], &set["size"]), (&json!("image/gif"), &json!(37)));
    let shown = owner.get(&icon).await;
    assert_eq!((shown.status, shown.header("content-type")), (200, "image/gif"));
    assert_eq!(shown.header("x-content-type-options"), "nosniff");
    assert!(shown.header("content-security-policy").contains("sandbox"));
    assert!(shown.text.starts_with("GIF89a"));
    let png = data_url("image/png", b"\x89PNG\r\n\x1a\nrest");
    put(&owner, &connection, &png).await.ok();
    assert_eq!(owner.get(&icon).await.header("content-type"), "image/png");
    // An icon has no version: that of the connection is stated, and stays.
    put(&owner, &connection, GIF).if_match(2).await.problem(412, "version_conflict");
    owner.delete(&icon).if_match(2).await.problem(412, "version_conflict");
    owner.delete(&icon).if_match(1).await.no_content();
    owner.get(&icon).await.problem(404, "not_found");
    assert_eq!(owner.get(&connection).await.ok()["version"], 1);
});

on_both!(an_icon_is_an_image_of_a_known_kind_and_small, |app| {
    let owner = app.owner();
    let connection = make(&owner, "a").await;
    for (kind, content) in [
        ("image/png", &b"\x89PNG\r\n\x1a\n"[..]),
        ("image/jpeg", b"\xff\xd8\xff\xe0"),
        ("image/webp", b"RIFF\0\0\0\0WEBPVP8 "),
        ("image/gif", b"GIF87a"),
    ] {
        put(&owner, &connection, &data_url(kind, content)).await.ok();
    }
    for (text, code) in [
        (String::new(), "invalid_value"),
        ("https://example.com/icon.png".into(), "invalid_value"),
        ("data:image/png,x".into(), "invalid_value"),
        ("data:image/png;base64,%%%".into(), "invalid_value"),
        (data_url("image/png", b"GIF89a"), "not_supported"),
        (data_url("image/svg+xml", b"<svg/>"), "not_supported"),
        (data_url("text/html", b"<script>"), "not_supported"),
        (data_url("image/png", b""), "not_supported"),
        (data_url("image/gif", &[&b"GIF89a"[..], &vec![0; 64 * 1024]].concat()), "too_long"),
    ] {
        put(&owner, &connection, &text).await.invalid(&[("/data_url", code)]);
    }
    let largest = [&b"GIF89a"[..], &vec![0; 64 * 1024 - 6]].concat();
    assert_eq!(put(&owner, &connection, &data_url("image/gif", &largest)).await.ok()["size"], 65_536);
});

on_both!(icons_that_are_set_at_once_are_one, |app| {
    let owner = app.owner();
    let connection = make(&owner, "a").await;
    let requests = (0..10).map(|_| tokio::spawn(put(&owner, &connection, GIF).into_future()));
    for reply in futures_util::future::join_all(requests).await {
        reply.unwrap().ok();
    }
    owner.delete(&format!("{connection}/icon")).await.no_content();
});
