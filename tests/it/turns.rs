//! Suspending and resuming, the same for everything that has a standing: suspending wins whatever version it states, resuming
//! minds the one it states.

use serde_json::json;
use tests::on_both;

on_both!(resuming_may_state_its_version_and_suspending_wins, |app| {
    let owner = app.owner();
    let made = |path: &'static str| {
        let owner = owner.clone();
        async move {
            let row = owner.post(path, json!({"name": "search"})).await.created();
            format!("{path}/{}", row["id"].as_str().unwrap())
        }
    };
    let person = app.member().await.user_id;
    for path in [
        made("/v1/organizations/default/teams").await,
        made("/v1/organizations/default/service-accounts").await,
        made("/v1/organizations").await,
        format!("/v1/organizations/default/members/{person}"),
        format!("/v1/users/{person}"),
    ] {
        let suspended = owner.post(&format!("{path}/suspend"), json!({})).if_match(7).await.ok();
        assert_eq!(
            (suspended["status"].as_str(), suspended["version"].as_i64()),
            (Some("suspended"), Some(2))
        );
        owner.post(&format!("{path}/resume"), json!({})).if_match(1).await.problem(412, "version_conflict");
        assert_eq!(owner.get(&path).await.ok()["status"], "suspended", "{path}");
        let resumed = owner.post(&format!("{path}/resume"), json!({})).if_match(2).await.ok();
        assert_eq!((resumed["status"].as_str(), resumed["version"].as_i64()), (Some("active"), Some(3)));
    }
});
