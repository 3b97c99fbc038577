//! Who reaches which connections: a team's administrators the team's, with everything that hangs on them.

use crate::{
    connections::{CONNECTIONS, make, smallest},
    proxy_pools, teams,
};
use serde_json::{Value, json};
use tests::on_both;

fn of_team(name: &str, team: &str) -> Value {
    let mut body = smallest(name);
    body["team_id"] = json!(team);
    body
}

on_both!(a_teams_administrator_makes_and_reaches_the_teams_connections_only, |app| {
    let owner = app.owner();
    let (mine, other) = (teams::make(&owner, "mine").await, teams::make(&owner, "other").await);
    let boss = app.team_admin(teams::id(&mine)).await;
    boss.post(CONNECTIONS, smallest("a")).await.invalid(&[("/team_id", "required")]);
    boss.post(CONNECTIONS, of_team("a", teams::id(&other))).await.problem(404, "not_found");
    let own = boss.post(CONNECTIONS, of_team("a", teams::id(&mine))).await.created();
    assert_eq!(own["team_id"], teams::id(&mine));
    let own = format!("{CONNECTIONS}/{}", own["id"].as_str().unwrap());
    let whole = make(&owner, "b").await;
    let others = owner.post(CONNECTIONS, of_team("c", teams::id(&other))).await.created();
    let others = format!("{CONNECTIONS}/{}", others["id"].as_str().unwrap());
    let page = boss.get(CONNECTIONS).await.ok();
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    for path in [&whole, &others] {
        for request in [
            boss.get(path),
            boss.patch(path, json!({"name": "x"})),
            boss.delete(path),
            boss.post(&format!("{path}/disable"), json!({})),
            boss.get(&format!("{path}/health")),
            boss.get(&format!("{path}/icon")),
            boss.get(&format!("{path}/credentials")),
            boss.post(&format!("{path}/credentials"), json!({"secret": "sk-0123456789"})),
            boss.get(&format!("{path}/mappings")),
            boss.post(&format!("{path}/mappings"), json!({"client_name": "a", "upstream_name": "b"})),
        ] {
            assert_eq!(request.await.problem(404, "not_found")["detail"], "connection not found");
        }
    }
    // A pool is everybody's to bind.
    let pool = proxy_pools::make(&owner, "pool", &["http://127.0.0.1:9"]).await;
    boss.patch(&own, json!({"name": "d", "proxy_pool_id": pool["id"]})).await.ok();
    let added = boss.post(&format!("{own}/credentials"), json!({"secret": "sk-0123456789"})).await.created();
    let credential = format!("{own}/credentials/{}", added["id"].as_str().unwrap());
    boss.patch(&credential, json!({"state": "draining"})).await.ok();
    // No call that the organization's other keys have open is in the way, and so it retires.
    boss.patch(&credential, json!({"state": "retired"})).await.ok();
    let mapping = json!({"client_name": "a", "upstream_name": "b"});
    boss.post(&format!("{own}/mappings"), mapping).await.created();
    boss.delete(&own).await.no_content();
    boss.get(&own).await.problem(404, "not_found");
});

on_both!(roles_read_connections_and_only_administrators_see_their_credentials, |app| {
    let path = make(&app.owner(), "a").await;
    for reader in [app.billing().await, app.viewer().await] {
        reader.get(&path).await.ok();
        reader.get(&format!("{path}/credentials")).await.problem(403, "forbidden");
        reader.patch(&path, json!({"name": "x"})).await.problem(403, "forbidden");
    }
    app.member().await.get(&path).await.problem(403, "forbidden");
    app.admin().await.get(&format!("{path}/credentials")).await.ok();
});

on_both!(a_connection_takes_a_pool_that_is_there_and_lets_it_go, |app| {
    let owner = app.owner();
    let nobodys = json!({"proxy_pool_id": "pool_019aa3c1f6b07c3e9a5d2f4b8c6e1d70"});
    let path = make(&owner, "a").await;
    owner.patch(&path, nobodys).await.problem(404, "not_found");
    let acme = app.other_organization("acme").await;
    let entries = proxy_pools::entries(&["http://127.0.0.1:9"]);
    let body = json!({"name": "theirs", "entries": entries});
    let theirs = acme.post("/v1/organizations/acme/proxy-pools", body).await.created();
    owner.patch(&path, json!({"proxy_pool_id": theirs["id"]})).await.problem(404, "not_found");
    let pool = proxy_pools::make(&owner, "pool", &["http://127.0.0.1:9"]).await;
    let bound = owner.patch(&path, json!({"proxy_pool_id": pool["id"]})).await.ok();
    assert_eq!(bound["proxy_pool_id"], pool["id"]);
    let pool_path = proxy_pools::path(&pool);
    owner.delete(&pool_path).await.problem(409, "in_use");
    let query = format!("{CONNECTIONS}?proxy_pool_id={}", pool["id"].as_str().unwrap());
    assert_eq!(owner.get(&query).await.ok()["items"], json!([bound]));
    assert_eq!(owner.patch(&path, json!({"proxy_pool_id": null})).await.ok()["proxy_pool_id"], json!(null));
    owner.patch(&path, json!({"proxy_pool_id": pool["id"]})).await.ok();
    // A connection that is gone holds no pool.
    owner.delete(&path).await.no_content();
    owner.delete(&pool_path).await.no_content();
});

on_both!(a_token_without_credentials_leads_no_secret_elsewhere, |app| {
    let owner = app.owner();
    let (bare, kept) = (make(&owner, "bare").await, make(&owner, "kept").await);
    let credentials = format!("{kept}/credentials");
    let credential = owner.post(&credentials, json!({"secret": "sk-0123456789abcdef0123"})).await.created();
    let token = async |permissions: &[&str]| {
        let body = json!({"name": permissions.join(" "), "permissions": permissions});
        let made = owner.post("/v1/organizations/default/admin-tokens", body).await.created();
        app.client(made["secret"].as_str().unwrap())
    };
    let narrow = token(&["connections:read", "connections:write"]).await;
    let wide = token(&["connections:read", "connections:write", "credentials:write"]).await;
    let elsewhere = json!({"base_url": "https://elsewhere.example.com/v1"});
    narrow.patch(&bare, &elsewhere).await.ok();
    for patch in [
        elsewhere.clone(),
        json!({"alternate_base_urls": ["https://elsewhere.example.com"]}),
        json!({"protocols": [{"protocol": "openai_chat", "base_url": "https://elsewhere.example.com"}]}),
    ] {
        narrow.patch(&kept, patch).await.problem(403, "forbidden");
    }
    narrow.patch(&kept, json!({"base_url": "https://api.openai.com/v1", "priority": 3})).await.ok();
    wide.patch(&kept, &elsewhere).await.ok();
    // Headers are secrets as well; where there are none any more, nothing is led anywhere.
    owner.patch(&kept, json!({"headers": {"x-project": "secret"}})).await.ok();
    owner.delete(&format!("{credentials}/{}", credential["id"].as_str().unwrap())).await.no_content();
    let back = json!({"base_url": "https://api.openai.com/v1"});
    narrow.patch(&kept, &back).await.problem(403, "forbidden");
    owner.patch(&kept, json!({"headers": null})).await.ok();
    narrow.patch(&kept, &back).await.ok();
});
