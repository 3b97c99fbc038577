//! Metadata: numbers are kept exactly, or refused by name, alike on both databases.

use crate::teams::TEAMS;
use serde_json::{Value, json};
use service::json_text::canonical;
use tests::on_both;

const KEYS: &str = "/v1/organizations/default/keys";
const JSON: &str = "application/json";

const KEPT: &[&str] = &[
    "0",
    "-1",
    "1.0",
    "1.50",
    "-2.5e-7",
    "0.1",
    "0.30000000000000004",
    "1700000000.123457",
    "9007199254740993",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "1e20",
    "1.7976931348623157e308",
    "5e-324",
];
const REFUSED: &[&str] = &[
    "18446744073709551616",
    "-9223372036854775809",
    "123456789012345678901234567890",
    "-0",
    "-0.0",
    "-0e3",
    "0.1000000000000000055",
    "3.14159265358979323846",
];

on_both!(numbers_of_metadata_are_kept_exactly, |app| {
    let owner = app.owner();
    let team = owner.post(TEAMS, json!({"name": "search"})).await.created()["id"].clone();
    let numbers = format!(r#"{{"list": [{}], "in": {{"it": {}}}}}"#, KEPT.join(", "), KEPT[6]);
    let body = format!(r#"{{"name": "k", "team_id": {team}, "metadata": {numbers}}}"#);
    let key = owner.post(KEYS, ()).body(body, JSON).await.created();
    let path = format!("{KEYS}/{}", key["id"].as_str().unwrap());
    let shown = |key: &Value| canonical(key["metadata"].to_string().as_bytes());
    assert_eq!(shown(&owner.get(&path).await.ok()), canonical(numbers.as_bytes()));
    let patch = format!(r#"{{"metadata": {{"a": {numbers}}}}}"#);
    owner.patch(&path, ()).body(patch, JSON).await.ok();
    let nested = format!(r#"{{"a": {numbers}}}"#);
    assert_eq!(shown(&owner.get(&path).await.ok()), canonical(nested.as_bytes()));
});

on_both!(numbers_that_would_change_are_refused, |app| {
    let owner = app.owner();
    let team = owner.post(TEAMS, json!({"name": "search"})).await.created()["id"].clone();
    let key = owner.post(KEYS, json!({"name": "k", "team_id": team})).await.created();
    let path = format!("{KEYS}/{}", key["id"].as_str().unwrap());
    for number in REFUSED {
        let metadata = format!(r#"{{"order": {{"ids": [1, {number}]}}}}"#);
        let body = format!(r#"{{"name": "k", "team_id": {team}, "metadata": {metadata}}}"#);
        for reply in [
            owner.post(KEYS, ()).body(body, JSON).await,
            owner.patch(&path, ()).body(format!(r#"{{"metadata": {metadata}}}"#), JSON).await,
        ] {
            let problem = reply.problem(422, "invalid");
            assert_eq!(problem["errors"][0]["pointer"], "/metadata");
            let message = problem["errors"][0]["message"].as_str().unwrap();
            assert!(message.contains("/order/ids/1") && message.contains("string"), "{number}: {message}");
        }
    }
    assert_eq!(owner.get(&path).await.ok()["metadata"], json!({}));
    // A string keeps what a number does not.
    let text = json!({"metadata": {"id": "18446744073709551616"}});
    assert_eq!(owner.patch(&path, &text).await.ok()["metadata"], text["metadata"]);
});
