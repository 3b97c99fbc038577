//! Changing proxy pools: what is kept of passwords and of results, for which addresses, and what is refused.

use crate::proxy_pools::{entries, found, ids, make, path, rows, shown};
use entity::status::TestStatus;
use serde_json::{Value, json};
use tests::on_both;

on_both!(every_faulty_field_of_a_patch_is_reported, |app| {
    let owner = app.owner();
    let pool = make(&owner, "a", &["http://proxy:3128"]).await;
    let other = make(&owner, "b", &["http://other:3128"]).await;
    let body = json!({
        "name": "", "no_proxy": ["no host"],
        "entries": [
            {"id": ids(&pool)[0], "url": "ftp://x"},
            {"id": ids(&pool)[0], "url": "http://new"},
            {"id": ids(&other)[0], "url": "http://other:3128"},
            {"url": "http://user:****@other:3128"},
        ],
    });
    owner.patch(&path(&pool), body).await.invalid(&[
        ("/name", "required"),
        ("/no_proxy/0", "invalid_character"),
        ("/entries/0/url", "unsupported_scheme"),
        ("/entries/1/id", "duplicate"),
        ("/entries/2/id", "unknown"),
        ("/entries/3/url", "password_required"),
    ]);
    for field in ["name", "entries", "strategy", "no_proxy", "strict", "status"] {
        let pointer = format!("/{field}");
        owner.patch(&path(&pool), json!({field: null})).await.invalid(&[(pointer.as_str(), "not_nullable")]);
    }
    owner.patch(&path(&pool), json!({"entries": []})).await.invalid(&[("/entries", "required")]);
    owner.patch(&path(&pool), json!({"version": 7})).await.problem(400, "unknown_field");
    assert_eq!(owner.get(&path(&pool)).await.ok(), pool);
});

on_both!(a_masked_password_keeps_the_stored_one, |app| {
    let owner = app.owner();
    let urls = ["http://user:first@proxy:3128", "socks5://user:second@proxy:1080", "http://open:80"];
    let pool = make(&owner, "a", &urls).await;
    let before = rows(&app, &pool).await;
    found(&app, &pool, TestStatus::Active).await;
    // What is read is sent back, in another order, with one proxy more, with ids or without.
    for with_ids in [true, false] {
        let shown: Vec<Value> = owner.get(&path(&pool)).await.ok()["entries"].as_array().unwrap().clone();
        let sent = shown.iter().rev().map(|entry| {
            let mut sent = json!({"url": entry["display_url"]});
            if with_ids {
                sent["id"] = entry["id"].clone();
            }
            sent
        });
        let patched = owner.patch(&path(&pool), json!({"entries": sent.collect::<Vec<_>>()})).await.ok();
        let mut back = ids(&patched);
        back.reverse();
        assert_eq!(back, shown.iter().map(|entry| entry["id"].as_str().unwrap()).collect::<Vec<_>>());
        for entry in patched["entries"].as_array().unwrap() {
            assert_eq!((&entry["test_status"], &entry["latency_ms"]), (&json!("active"), &json!(12)));
        }
    }
    let after = rows(&app, &pool).await;
    for (before, after) in before.iter().zip(&after) {
        assert!(
            (&before.id, &before.login, &before.data_key_id) == (&after.id, &after.login, &after.data_key_id)
        );
    }
    // To send the very same is to change nothing, also with the password said.
    let version = owner.get(&path(&pool)).await.ok()["version"].clone();
    let same = owner.patch(&path(&pool), json!({"entries": entries(&urls)})).await.ok();
    assert_eq!((&same["version"], ids(&same)), (&version, ids(&pool)));
    assert_eq!(same["entries"][0]["test_status"], "active");
});

on_both!(a_changed_address_or_login_forgets_what_tests_found, |app| {
    let owner = app.owner();
    let pool = make(&owner, "a", &["http://user:first@proxy:3128"]).await;
    let mut login = rows(&app, &pool).await[0].login.clone();
    for (url, shown_as) in [
        ("http://user:second@proxy:3128", "http://user:****@proxy:3128"),
        ("http://user:second@proxy:3129", "http://user:****@proxy:3129"),
        ("http://other:second@proxy:3129", "http://other:****@proxy:3129"),
        ("https://other:second@proxy:3129", "https://other:****@proxy:3129"),
        ("https://other@proxy:3129", "https://other@proxy:3129"),
    ] {
        found(&app, &pool, TestStatus::Error).await;
        let body = json!({"entries": [{"id": ids(&pool)[0], "url": url}]});
        let changed = owner.patch(&path(&pool), body).await.ok();
        assert_eq!((shown(&changed), ids(&changed)), (vec![shown_as], ids(&pool)));
        let entry = &changed["entries"][0];
        assert_eq!((&entry["test_status"], &entry["tested_at"]), (&json!("unknown"), &json!(null)), "{url}");
        let now = rows(&app, &pool).await[0].login.clone();
        assert!(now.is_some() && now != login, "{url}");
        login = now;
    }
    let body = json!({"entries": [{"id": ids(&pool)[0], "url": "https://proxy:3129"}]});
    owner.patch(&path(&pool), body).await.ok();
    let row = &rows(&app, &pool).await[0];
    assert!(row.login.is_none() && row.data_key_id.is_none());
});

on_both!(a_stored_password_is_kept_for_its_own_address_alone, |app| {
    let owner = app.owner();
    let pool = make(&owner, "a", &["https://user:secret@proxy:3128", "http://open:80"]).await;
    for url in [
        "https://user:****@elsewhere:3128",
        "https://user:****@proxy:3129",
        "https://other:****@proxy:3128",
        "http://user:****@proxy:3128",
        "http://user:****@open:80",
    ] {
        for entry in [json!({"url": url}), json!({"id": ids(&pool)[0], "url": url})] {
            let reply = owner.patch(&path(&pool), json!({"entries": [entry]})).await;
            reply.invalid(&[("/entries/0/url", "password_required")]);
        }
    }
    assert_eq!(owner.get(&path(&pool)).await.ok(), pool);
});

on_both!(proxies_that_are_not_sent_are_gone_and_new_ones_are_new, |app| {
    let owner = app.owner();
    let pool = make(&owner, "a", &["http://one", "http://two", "http://three"]).await;
    let body = json!({"entries": [{"url": "http://new"}, {"url": "http://two", "enabled": false}]});
    let changed = owner.patch(&path(&pool), body).if_match(1).await.ok();
    assert_eq!(shown(&changed), ["http://new:80", "http://two:80"]);
    assert_eq!(ids(&changed)[1], ids(&pool)[1]);
    assert!(!ids(&pool).contains(&ids(&changed)[0]));
    assert_eq!((&changed["entries"][1]["enabled"], &changed["version"]), (&json!(false), &json!(2)));
    assert_eq!(rows(&app, &pool).await.len(), 2);
});

on_both!(a_stale_version_changes_nothing, |app| {
    let owner = app.owner();
    let pool = make(&owner, "a", &["http://proxy"]).await;
    let path = path(&pool);
    owner.patch(&path, json!({"strict": true})).if_match(1).await.ok();
    owner
        .patch(&path, json!({"entries": entries(&["http://x"])}))
        .if_match(1)
        .await
        .problem(412, "version_conflict");
    owner.delete(&path).if_match(1).await.problem(412, "version_conflict");
    owner.post(&format!("{path}/enable"), json!({})).if_match(1).await.problem(412, "version_conflict");
    owner.post(&format!("{path}/disable"), json!({})).if_match(1).await.ok();
    let end = owner.get(&path).await.ok();
    assert_eq!(
        (&end["version"], &end["strict"], &end["status"]),
        (&json!(3), &json!(true), &json!("disabled"))
    );
    assert_eq!(shown(&end), ["http://proxy:80"]);
});
