//! Finding keys: the states that part them, filters, counts, pages and cursors.

use crate::keys::{KEYS, path, service_account, team};
use chrono::TimeDelta;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tests::{Client, on_both};

const STATES: [&str; 4] = ["active", "disabled", "expired", "revoked"];

/// The ids that a list with this query has, over all its pages.
async fn ids(client: &Client, query: &str) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.get(&format!("{KEYS}?{query}{cursor}")).await.ok();
        let items = page["items"].as_array().unwrap();
        found.extend(items.iter().map(|key| key["id"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

async fn count(client: &Client, query: &str) -> usize {
    let count = client.get(&format!("{KEYS}/count?{query}")).await.ok()["count"].as_u64().unwrap();
    usize::try_from(count).unwrap()
}

on_both!(every_key_is_in_exactly_one_state_at_any_time, |app| {
    let (owner, group) = (app.owner(), team(&app, "a").await);
    let mut known = BTreeMap::new();
    for end in ["null", "10:00:01", "10:00:02", "12:00:00"] {
        for status in ["active", "disabled", "revoked"] {
            let expires_at = (end != "null").then(|| format!("2027-01-15T{end}Z"));
            let body = json!({"name": format!("{status} {end}"), "team_id": group, "expires_at": expires_at});
            let made = owner.post(KEYS, body).await.created();
            if status != "active" {
                let action = status.trim_end_matches('d');
                owner.post(&format!("{}/{action}", path(&made)), json!({})).await.ok();
            }
            known.insert(made["id"].as_str().unwrap().to_owned(), (status, expires_at));
        }
    }
    let everything: BTreeSet<&String> = known.keys().collect();
    for _ in 0..3 {
        let now = app.clock.now();
        let mut seen = BTreeSet::new();
        for state in STATES {
            let found = ids(&owner, &format!("status={state}&page_size=3")).await;
            assert_eq!(count(&owner, &format!("status={state}")).await, found.len(), "{state}");
            for id in &found {
                let (status, end) = &known[id];
                let over = end
                    .as_ref()
                    .is_some_and(|end| end.parse::<chrono::DateTime<chrono::Utc>>().unwrap() <= now);
                let expected = match *status {
                    "revoked" => "revoked",
                    _ if over => "expired",
                    status => status,
                };
                assert_eq!(state, expected, "{status} {end:?} at {now}");
                let shown = owner.get(&format!("{KEYS}/{id}")).await.ok();
                assert_eq!(shown["effective_status"], state);
                assert!(seen.insert(id.clone()), "{id} is in two states");
            }
        }
        assert_eq!(seen.iter().collect::<BTreeSet<_>>(), everything);
        app.clock.advance(TimeDelta::seconds(1));
    }
    assert_eq!(count(&owner, "").await, known.len());
});

on_both!(keys_are_found_by_what_they_have_in_common, |app| {
    let (owner, admin, member) = (app.owner(), app.admin().await, app.member().await);
    let (a, account) = (team(&app, "a").await, service_account(&app, "ci").await);
    let mut made = Vec::new();
    for (client, owned, name, tags) in [
        (&owner, json!({"team_id": a}), "prod-1", json!({"env": "prod", "x": "1:2"})),
        (&admin, json!({"team_id": a}), "Prod-2", json!({"env": "dev"})),
        (&owner, json!({"user_id": member.user_id}), "prod_3%", json!({"env": "prod", "it's \"x\"": "ü"})),
        (&owner, json!({"service_account_id": account}), "x", json!({})),
    ] {
        let mut body = owned;
        body["name"] = json!(name);
        body["tags"] = tags;
        made.push(client.post(KEYS, body).await.created()["id"].as_str().unwrap().to_owned());
    }
    for (query, expected) in [
        (format!("team_id={a}"), vec![0, 1]),
        (format!("user_id={}", member.user_id), vec![2]),
        (format!("service_account_id={account}"), vec![3]),
        (format!("created_by={}", admin.user_id), vec![1]),
        ("created_by=nobody".into(), vec![]),
        ("tag=env:prod".into(), vec![0, 2]),
        ("tag=x:1:2".into(), vec![0]),
        ("tag=env:".into(), vec![]),
        ("tag=it%27s+%22x%22:%C3%BC".into(), vec![2]),
        ("tag=%27:%27".into(), vec![]),
        ("name_prefix=prod".into(), vec![0, 2]),
        ("name_prefix=Prod".into(), vec![1]),
        ("name_prefix=prod_".into(), vec![2]),
        ("name_prefix=%25".into(), vec![]),
        ("name_prefix=".into(), vec![0, 1, 2, 3]),
        (format!("team_id={a}&tag=env:prod&name_prefix=p&status=active"), vec![0]),
        (format!("team_id={a}&user_id={}", member.user_id), vec![]),
    ] {
        let found: BTreeSet<String> = ids(&owner, &query).await.into_iter().collect();
        let expected: BTreeSet<String> = expected.into_iter().map(|n: usize| made[n].clone()).collect();
        assert_eq!(found, expected, "{query}");
        assert_eq!(count(&owner, &query).await, found.len(), "{query}");
    }
    assert_eq!(ids(&member, &format!("user_id={}", member.user_id)).await.len(), 1);
});

on_both!(a_list_says_what_it_does_not_understand, |app| {
    let owner = app.owner();
    let get = |query: &str| owner.get(&format!("{KEYS}?{query}"));
    get("statuss=active").await.problem(400, "unknown_parameter");
    get("status=blocked").await.problem(400, "invalid_parameter");
    get("team_id=nonsense").await.problem(400, "invalid_parameter");
    get("tag=env").await.problem(400, "invalid_parameter");
    get("page_size=0").await.problem(400, "out_of_range");
    get("page_size=101").await.problem(400, "out_of_range");
    get("cursor=nonsense").await.problem(400, "invalid_cursor");
    owner.get(&format!("{KEYS}/count?page_size=3")).await.problem(400, "unknown_parameter");

    // An owner of another organization is as unknown as nobody's.
    let other = app.other_organization("acme").await;
    let theirs = other.post("/v1/organizations/acme/teams", json!({"name": "x"})).await.created();
    let theirs = theirs["id"].as_str().unwrap();
    for id in [theirs, "team_019aa3c1f6b07c3e9a5d2f4b8c6e1d70"] {
        get(&format!("team_id={id}")).await.problem(404, "not_found");
    }
    get(&format!("user_id={}", other.user_id)).await.problem(404, "not_found");
    get("user_id=user_019aa3c1f6b07c3e9a5d2f4b8c6e1d70").await.problem(404, "not_found");
    get("service_account_id=sa_019aa3c1f6b07c3e9a5d2f4b8c6e1d70").await.problem(404, "not_found");
});

on_both!(the_keys_of_an_owner_who_is_gone_are_still_found, |app| {
    let (owner, group) = (app.owner(), team(&app, "a").await);
    owner.post(KEYS, json!({"name": "k", "team_id": group})).await.created();
    owner.delete(&format!("/v1/organizations/default/teams/{group}?cascade=revoke")).await.no_content();
    let found = owner.get(&format!("{KEYS}?team_id={group}")).await.ok();
    assert_eq!(found["items"][0]["effective_status"], "revoked");
    assert_eq!(found["items"][0]["blocked_by"], json!(["owner_gone"]));
});

on_both!(pages_go_from_the_newest_and_back, |app| {
    let (owner, group) = (app.owner(), team(&app, "a").await);
    let mut made = Vec::new();
    for n in 0..25 {
        app.clock.advance(TimeDelta::milliseconds(1));
        let body = json!({"name": format!("k{n}"), "team_id": group});
        made.push(owner.post(KEYS, body).await.created()["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(owner.get(KEYS).await.ok()["items"].as_array().unwrap().len(), 20);
    for size in [1, 7, 25, 100] {
        let oldest = ids(&owner, &format!("order=asc&page_size={size}")).await;
        assert_eq!(oldest, made);
        let newest = ids(&owner, &format!("page_size={size}")).await;
        assert!(newest.iter().eq(made.iter().rev()));
    }
    let page = owner.get(&format!("{KEYS}?page_size=5")).await.ok();
    let cursor = page["next_cursor"].as_str().unwrap();
    owner.get(&format!("{KEYS}?order=asc&cursor={cursor}")).await.problem(400, "invalid_cursor");
    let other = app.other_organization("acme").await;
    other.get(&format!("/v1/organizations/acme/keys?cursor={cursor}")).await.problem(400, "invalid_cursor");
    // A key that was deleted between two pages leaves no gap.
    owner.delete(&format!("{KEYS}/{}", made[20])).await.no_content();
    let next = owner.get(&format!("{KEYS}?page_size=5&cursor={cursor}")).await.ok();
    assert_eq!(next["items"][0]["id"], made[19]);
});

on_both!(a_page_shows_each_key_as_it_is_read_alone, |app| {
    let (owner, member) = (app.owner(), app.member().await);
    let (a, b) = (team(&app, "a").await, team(&app, "b").await);
    let account = service_account(&app, "ci").await;
    for owned in [
        json!({"team_id": a}),
        json!({"team_id": b}),
        json!({"user_id": member.user_id}),
        json!({"service_account_id": account}),
    ] {
        let mut body = owned;
        body["name"] = json!("k");
        let made = owner.post(KEYS, body).await.created();
        owner.post(&format!("{}/rotate", path(&made)), json!({"grace_seconds": 60})).await.ok();
    }
    owner.post(&format!("/v1/organizations/default/teams/{b}/suspend"), json!({})).await.ok();
    let page = owner.get(KEYS).await.ok();
    let items: Vec<Value> = page["items"].as_array().unwrap().clone();
    assert_eq!(items.len(), 4);
    for item in items {
        assert_eq!(item["secrets"].as_array().unwrap().len(), 2);
        assert_eq!(item["effective_status"], if item["team_id"] == b { "blocked" } else { "active" });
        assert_eq!(owner.get(&path(&item)).await.ok(), item);
    }
});
