//! Organizations: making, reading, changing and suspending tenants.

use chrono::TimeDelta;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::{Client, TestApp, on_both};

const ORGANIZATIONS: &str = "/v1/organizations";

fn path(organization: &Value) -> String {
    format!("{ORGANIZATIONS}/{}", organization["id"].as_str().unwrap())
}

async fn slugs(client: &Client, query: &str) -> Vec<String> {
    let page = client.get(&format!("{ORGANIZATIONS}{query}")).await.ok();
    let items = page["items"].as_array().unwrap();
    items.iter().map(|item| item["slug"].as_str().unwrap().to_owned()).collect()
}

on_both!(an_operator_makes_an_organization_and_owns_it, |app| {
    let operator = app.owner();
    let made = operator.post(ORGANIZATIONS, json!({"name": "Acme Ltd", "slug": "acme"})).await.created();
    assert_eq!(
        (&made["name"], &made["slug"], &made["status"]),
        (&json!("Acme Ltd"), &json!("acme"), &json!("active"))
    );
    assert_eq!((&made["allowed_models"], &made["max_key_lifetime"]), (&json!(null), &json!(null)));
    assert_eq!(made["version"], 1);
    assert_eq!(operator.get("/v1/organizations/acme").await.ok(), made);
    assert_eq!(operator.get(&path(&made)).await.ok(), made);

    let own = operator.get(&format!("{}/members/{}", path(&made), operator.user_id)).await.ok();
    assert_eq!((&own["role"], &own["status"]), (&json!("owner"), &json!("active")));
    let told = operator.get("/v1/organizations/acme/audit-events?order=asc").await.ok();
    let actions: Vec<_> = told["items"].as_array().unwrap().iter().map(|event| &event["action"]).collect();
    assert_eq!(actions, ["organization.create", "member.create"]);
    let platform = operator.get("/v1/audit-events?action=organization.create").await.ok();
    assert_eq!(platform["items"][0]["subject"], made["id"]);
    assert_eq!(platform["items"][0]["detail"], json!({"slug": "acme"}));
    for chain in ["/v1/organizations/acme/audit-events/verify", "/v1/audit-events/verify"] {
        assert_eq!(operator.get(chain).await.ok()["valid"], true, "{chain}");
    }
    operator.post(&format!("{}/teams", path(&made)), json!({"name": "first"})).await.created();
});

on_both!(a_slug_comes_from_the_name, |app| {
    let operator = app.owner();
    for (name, slug) in [
        ("Acme Ltd.", "acme-ltd"),
        ("  --Trim me--  ", "trim-me"),
        ("Ünïcode & Söhne", "n-code-s-hne"),
        ("R2D2", "r2d2"),
    ] {
        let made = operator.post(ORGANIZATIONS, json!({"name": name})).await.created();
        assert_eq!((&made["name"], &made["slug"]), (&json!(name), &json!(slug)));
    }
    for name in ["東京", "🦀🦀🦀", "x"] {
        let made = operator.post(ORGANIZATIONS, json!({"name": name})).await.created();
        let slug = made["slug"].as_str().unwrap();
        assert!(slug.starts_with("organization-") && slug.len() == 25, "{slug}");
        assert_eq!(operator.get(&format!("{ORGANIZATIONS}/{slug}")).await.ok()["name"], name);
    }
    let long = operator.post(ORGANIZATIONS, json!({"name": "a".repeat(255)})).await.created();
    assert_eq!(long["slug"], "a".repeat(63));
    operator.post(ORGANIZATIONS, json!({"name": "acme, ltd"})).await.problem(409, "duplicate");
    operator
        .post(ORGANIZATIONS, json!({"name": "Other", "slug": "acme-ltd"}))
        .await
        .problem(409, "duplicate");
});

on_both!(what_is_no_organization_is_refused, |app| {
    let operator = app.owner();
    let post = |body: Value| operator.post(ORGANIZATIONS, body);
    post(json!({})).await.invalid(&[("/name", "required")]);
    post(json!({"name": null})).await.invalid(&[("/name", "not_nullable")]);
    post(json!({"name": "  "})).await.invalid(&[("/name", "required")]);
    post(json!({"name": "a".repeat(256)})).await.invalid(&[("/name", "too_long")]);
    post(json!({"name": "a\u{0}b", "slug": "A"}))
        .await
        .invalid(&[("/name", "invalid_character"), ("/slug", "invalid_slug")]);
    for slug in ["", "a", "-ab", "ab-", "a b", "a_b", "Ab", "ä-ö", "a/b", "a\u{0}b", &"a".repeat(64)] {
        post(json!({"name": "x", "slug": slug})).await.invalid(&[("/slug", "invalid_slug")]);
    }
    post(json!({"name": "x", "version": 7})).await.problem(400, "unknown_field");
    operator.post(ORGANIZATIONS, json!([])).await.problem(422, "invalid");
    assert_eq!(slugs(&operator, "?all=true").await, ["default"]);
});

on_both!(only_operators_make_and_suspend_organizations, |app| {
    let acme = app.other_organization("acme").await;
    acme.post(ORGANIZATIONS, json!({"name": "mine"})).await.problem(403, "forbidden");
    app.admin().await.post(ORGANIZATIONS, json!({"name": "mine"})).await.problem(403, "forbidden");
    app.anonymous().post(ORGANIZATIONS, json!({"name": "mine"})).await.problem(401, "unauthenticated");
    acme.post("/v1/organizations/acme/suspend", json!({})).await.problem(403, "forbidden");

    let operator = app.owner();
    let path = "/v1/organizations/acme";
    let suspended = operator.post(&format!("{path}/suspend"), json!({})).await.ok();
    assert_eq!((&suspended["status"], &suspended["version"]), (&json!("suspended"), &json!(2)));
    assert_eq!(acme.get(path).await.ok()["status"], "suspended");
    acme.post(&format!("{path}/resume"), json!({})).await.problem(403, "forbidden");
    let twice = operator.post(&format!("{path}/suspend"), json!({})).await.ok();
    assert_eq!(twice["status"], "suspended");
    let resumed = operator.post(&format!("{path}/resume"), json!({})).await.ok();
    assert_eq!((&resumed["status"], &resumed["version"]), (&json!("active"), &json!(4)));
    operator.post("/v1/organizations/nobody/suspend", json!({})).await.problem(404, "not_found");
    for log in ["/v1/audit-events", "/v1/organizations/acme/audit-events"] {
        let reader = if log.contains("acme") { &acme } else { &operator };
        let events = reader.get(&format!("{log}?action=organization.suspend")).await.ok();
        assert_eq!(events["items"].as_array().unwrap().len(), 2, "{log}");
        assert_eq!(events["items"][0]["actor_id"], json!(operator.user_id));
    }
});

on_both!(an_organization_is_changed, |app| {
    let owner = app.owner();
    let path = "/v1/organizations/default";
    let body = json!({"name": "Über alles 🦀", "allowed_models": ["gpt-*"], "max_key_lifetime": 86400});
    let changed = owner.patch(path, body).if_match(1).await.ok();
    assert_eq!((&changed["name"], &changed["version"]), (&json!("Über alles 🦀"), &json!(2)));
    assert_eq!(
        (&changed["allowed_models"], &changed["max_key_lifetime"]),
        (&json!(["gpt-*"]), &json!(86400))
    );
    assert_eq!(changed["slug"], "default");
    let cleared = owner.patch(path, json!({"allowed_models": null, "max_key_lifetime": null})).await.ok();
    assert_eq!((&cleared["allowed_models"], &cleared["max_key_lifetime"]), (&json!(null), &json!(null)));
    assert_eq!((&cleared["name"], &cleared["version"]), (&json!("Über alles 🦀"), &json!(3)));
    let none = owner.patch(path, json!({"allowed_models": []})).await.ok();
    assert_eq!(none["allowed_models"], json!([]));

    owner.patch(path, json!({"name": "late"})).if_match(2).await.problem(412, "version_conflict");
    owner.patch(path, json!({"name": null})).await.invalid(&[("/name", "not_nullable")]);
    owner.patch(path, json!({"slug": null})).await.invalid(&[("/slug", "not_nullable")]);
    let wrong = json!({"name": "", "slug": "?", "allowed_models": [""], "max_key_lifetime": 0});
    let faults = [
        ("/name", "required"),
        ("/slug", "invalid_slug"),
        ("/allowed_models/0", "required"),
        ("/max_key_lifetime", "out_of_range"),
    ];
    owner.patch(path, wrong).await.invalid(&faults);
    owner.patch(path, json!({"status": "suspended"})).await.problem(400, "unknown_field");
    owner.patch(path, json!({"id": "org_x"})).await.problem(400, "unknown_field");

    let moved = owner.patch(path, json!({"slug": "moved"})).await.ok();
    assert_eq!(moved["slug"], "moved");
    owner.get(path).await.problem(404, "not_found");
    assert_eq!(owner.get("/v1/organizations/moved").await.ok(), moved);
    app.other_organization("acme").await;
    owner.patch("/v1/organizations/moved", json!({"slug": "acme"})).await.problem(409, "duplicate");
});

on_both!(an_organization_decides_about_currency_and_calls_without_a_price, |app| {
    let owner = app.owner();
    let path = "/v1/organizations/default";
    let made = owner.get(path).await.ok();
    assert_eq!((&made["default_currency"], &made["unpriced_policy"]), (&json!("USD"), &json!("refuse")));
    for policy in ["default", "allow", "refuse"] {
        assert_eq!(
            owner.patch(path, json!({"unpriced_policy": policy})).await.ok()["unpriced_policy"],
            policy
        );
    }
    let changed = owner.patch(path, json!({"default_currency": "EUR"})).await.ok();
    assert_eq!(
        (&changed["default_currency"], &changed["unpriced_policy"]),
        (&json!("EUR"), &json!("refuse"))
    );
    let told = owner.get(&format!("{path}/audit-events?action=organization.update")).await.ok();
    assert_eq!(told["items"][0]["detail"]["before"]["default_currency"], "USD");
    assert_eq!(told["items"][0]["detail"]["after"]["default_currency"], "EUR");

    for currency in ["", "usd", "XYZ", "EURO", "€", "U\u{0}D", &"U".repeat(1000)] {
        let patch = owner.patch(path, json!({"default_currency": currency}));
        patch.await.invalid(&[("/default_currency", "unknown")]);
    }
    let wrong = owner.patch(path, json!({"unpriced_policy": "free"}));
    wrong.await.invalid(&[("/unpriced_policy", "invalid_value")]);
    for field in ["default_currency", "unpriced_policy"] {
        let pointer = format!("/{field}");
        owner.patch(path, json!({field: null})).await.invalid(&[(pointer.as_str(), "not_nullable")]);
    }
    assert_eq!(owner.get(path).await.ok(), changed);
});

on_both!(an_organization_decides_what_calls_are_assumed_to_use, |app| {
    let owner = app.owner();
    let path = "/v1/organizations/default";
    let both = |found: &Value| [found["default_max_output_tokens"].clone(), found["release_after"].clone()];
    assert_eq!(both(&owner.get(path).await.ok()), [json!(null), json!(86_400)]);
    for [tokens, after] in [
        [json!(1), json!(0)],
        [json!(10_000_000), json!(315_576_000)],
        [json!(null), json!(null)],
        [json!(4096), json!(60)],
    ] {
        let body = json!({"default_max_output_tokens": tokens, "release_after": after});
        assert_eq!(both(&owner.patch(path, body).await.ok()), [tokens, after]);
    }
    // An absent field is kept.
    let kept = owner.patch(path, json!({"default_max_output_tokens": 5})).await.ok();
    assert_eq!(both(&kept), [json!(5), json!(60)]);
    for [tokens, after] in [[0, -1], [10_000_001, 315_576_001], [i64::MIN, i64::MAX]] {
        let body = json!({"default_max_output_tokens": tokens, "release_after": after});
        let faults = [("/default_max_output_tokens", "out_of_range"), ("/release_after", "out_of_range")];
        owner.patch(path, body).await.invalid(&faults);
    }
    for field in ["default_max_output_tokens", "release_after"] {
        for value in [json!("60"), json!(1.5), json!(true)] {
            let pointer = format!("/{field}");
            owner.patch(path, json!({ field: value })).await.invalid(&[(pointer.as_str(), "invalid_value")]);
        }
    }
    assert_eq!(owner.get(path).await.ok(), kept);
});

on_both!(an_organization_is_its_members_business, |app| {
    let acme = app.other_organization("acme").await;
    for request in
        [acme.get("/v1/organizations/default"), acme.patch("/v1/organizations/default", json!({"name": "x"}))]
    {
        let hidden = request.await.problem(404, "not_found");
        let absent = acme.get("/v1/organizations/nobody").await.problem(404, "not_found");
        assert_eq!((&hidden["detail"], &hidden["title"]), (&absent["detail"], &absent["title"]));
    }
    acme.get("/v1/organizations/org_00000000000000000000000000000000").await.problem(404, "not_found");
    acme.get("/v1/organizations/-").await.problem(404, "not_found");
    for reader in [app.admin().await, app.member().await, app.billing().await, app.viewer().await] {
        reader.get("/v1/organizations/default").await.ok();
    }
    for reader in [app.member().await, app.billing().await, app.viewer().await] {
        reader.patch("/v1/organizations/default", json!({"name": "x"})).await.problem(403, "forbidden");
    }
    // An operator runs organizations, and changes none that is not also the operator's own.
    app.owner().get("/v1/organizations/acme").await.ok();
    app.owner().patch("/v1/organizations/acme", json!({"name": "x"})).await.problem(404, "not_found");
    app.owner().get("/v1/organizations/acme/members").await.problem(404, "not_found");
});

on_both!(everybody_lists_their_own_organizations, |app| {
    let (operator, acme) = (app.owner(), app.other_organization("acme").await);
    for n in 0..5 {
        app.clock.advance(TimeDelta::seconds(1));
        operator.post(ORGANIZATIONS, json!({"name": format!("number {n}")})).await.created();
    }
    assert_eq!(slugs(&acme, "").await, ["acme"]);
    let mine = ["number-4", "number-3", "number-2", "number-1", "number-0", "default"];
    assert_eq!(slugs(&operator, "").await, mine);
    assert_eq!(slugs(&operator, "?all=true").await.len(), 7);
    assert_eq!(slugs(&app.stranger().await, "").await, Vec::<String>::new());
    acme.get(&format!("{ORGANIZATIONS}?all=true")).await.problem(403, "forbidden");

    let mut seen = Vec::new();
    let mut query = "?page_size=4&order=asc".to_owned();
    loop {
        let page = operator.get(&format!("{ORGANIZATIONS}{query}")).await.ok();
        seen.extend(
            page["items"].as_array().unwrap().iter().map(|item| item["slug"].as_str().unwrap().to_owned()),
        );
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        query = format!("?page_size=4&order=asc&cursor={cursor}");
    }
    seen.reverse();
    assert_eq!(seen, mine);
    for query in ["?page_size=0", "?page_size=101", "?cursor=AAAA", "?cursor=%00", "?limit=3", "?all=maybe"] {
        assert_eq!(operator.get(&format!("{ORGANIZATIONS}{query}")).await.status, 400, "{query}");
    }
});

on_both!(making_an_organization_can_be_repeated, |app| {
    let operator = app.owner();
    let body = json!({"name": "Acme", "slug": "acme"});
    let first = operator.post(ORGANIZATIONS, &body).idempotency_key("one").await;
    let again = operator.post(ORGANIZATIONS, &body).idempotency_key("one").await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (201, "true"));
    assert_eq!((first.text.as_str(), first.header("etag")), (again.text.as_str(), again.header("etag")));
    let other = json!({"name": "Acme", "slug": "other"});
    operator.post(ORGANIZATIONS, other).idempotency_key("one").await.problem(422, "idempotency_key_reused");
    let suspend = || operator.post("/v1/organizations/acme/suspend", json!({})).idempotency_key("two");
    assert_eq!(suspend().await.ok()["version"], 2);
    assert_eq!(suspend().await.ok()["version"], 2);
    assert_eq!(operator.get("/v1/organizations/acme").await.ok()["version"], 2);
});

on_both!(of_many_who_want_one_slug_one_gets_it, |app| {
    let operator = app.owner();
    let body = |n: i32| json!({"name": format!("race {n}"), "slug": "wanted"});
    let replies = join_all((0..20).map(|n| operator.post(ORGANIZATIONS, body(n)).into_future())).await;
    let mut statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    statuses.sort_unstable();
    let mut expected = vec![409; 19];
    expected.insert(0, 201);
    assert_eq!(statuses, expected);
    assert_eq!(slugs(&operator, "?all=true").await.len(), 2);
    assert_eq!(operator.get("/v1/audit-events/verify").await.ok()["valid"], true);
});

/// Two changes that were read at one version: one is made, whole, and the other is told.
async fn race(app: &TestApp, version: i64) -> i64 {
    let (one, two) = (app.owner(), app.owner());
    let path = "/v1/organizations/default";
    let name = |n: u8| json!({"name": format!("v{version} by {n}"), "max_key_lifetime": n});
    let (a, b) = tokio::join!(
        one.patch(path, name(1)).if_match(version).into_future(),
        two.patch(path, name(2)).if_match(version).into_future()
    );
    let winners = [&a, &b].into_iter().filter(|reply| reply.status == 200).count();
    let losers = [&a, &b].into_iter().filter(|reply| matches!(reply.status, 409 | 412)).count();
    assert_eq!((winners, losers), (1, 1), "{} {}", a.text, b.text);
    let now = one.get(path).await.ok();
    let winner = now["max_key_lifetime"].as_u64().unwrap();
    assert_eq!(now["name"], format!("v{version} by {winner}"));
    assert_eq!(now["version"], version + 1);
    version + 1
}

on_both!(two_changes_of_one_version_never_mix, |app| {
    let mut version = 1;
    for _ in 0..50 {
        version = race(&app, version).await;
    }
});
