//! Teams: making, reading, changing, suspending, deleting; who reaches which; races.

use chrono::TimeDelta;
use serde_json::{Value, json};
use tests::{Client, on_both};

pub const TEAMS: &str = "/v1/organizations/default/teams";

/// Makes a team; its path.
pub async fn make(client: &Client, name: &str) -> String {
    let team = client.post(TEAMS, json!({ "name": name })).await.created();
    format!("{TEAMS}/{}", team["id"].as_str().unwrap())
}

/// The id at the end of a path.
pub fn id(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

/// The names in a page.
fn names(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

on_both!(a_team_can_be_made_read_changed_and_deleted, |app| {
    let owner = app.owner();
    let body = json!({
        "name": "search", "allowed_models": ["gpt-4o*"], "max_key_lifetime": 3600, "tags": {"cost_centre": "4711"},
    });
    let team = owner.post(TEAMS, &body).await.created();
    for field in ["name", "allowed_models", "max_key_lifetime", "tags"] {
        assert_eq!(team[field], body[field], "{field}");
    }
    assert_eq!((&team["status"], &team["version"]), (&json!("active"), &json!(1)));
    assert_eq!(team["created_at"], "2027-01-15T10:00:00Z");
    assert_eq!(team["updated_at"], team["created_at"]);

    let path = format!("{TEAMS}/{}", team["id"].as_str().unwrap());
    assert_eq!(owner.get(&path).await.ok(), team);
    let changed = owner.patch(&path, json!({"allowed_models": null})).if_match(1).await.ok();
    assert_eq!((&changed["allowed_models"], &changed["version"]), (&json!(null), &json!(2)));
    assert_eq!(changed["name"], "search");
    owner.delete(&path).if_match(2).await.no_content();
    owner.get(&path).await.problem(404, "not_found");
    owner.delete(&path).await.problem(404, "not_found");
});

on_both!(an_organization_is_named_by_id_or_by_slug, |app| {
    let path = make(&app.owner(), "search").await;
    let by_id = path.replace("default", &app.organization.to_string());
    assert_eq!(app.owner().get(&by_id).await.ok(), app.owner().get(&path).await.ok());
});

on_both!(null_is_no_restriction_and_an_empty_list_allows_nothing, |app| {
    let owner = app.owner();
    let team = owner.post(TEAMS, json!({"name": "a", "allowed_models": []})).await.created();
    assert_eq!(team["allowed_models"], json!([]));
    let path = format!("{TEAMS}/{}", team["id"].as_str().unwrap());
    let team = owner.patch(&path, json!({"allowed_models": null, "max_key_lifetime": 60})).await.ok();
    assert_eq!((&team["allowed_models"], &team["max_key_lifetime"]), (&json!(null), &json!(60)));
    let team = owner.patch(&path, json!({"allowed_models": [], "max_key_lifetime": null})).await.ok();
    assert_eq!((&team["allowed_models"], &team["max_key_lifetime"]), (&json!([]), &json!(null)));
    let team = owner.patch(&path, json!({"tags": {"a": "b"}})).await.ok();
    assert_eq!((&team["allowed_models"], &team["tags"]), (&json!([]), &json!({"a": "b"})));
});

on_both!(every_faulty_field_of_a_new_team_is_reported, |app| {
    let long = "x".repeat(257);
    let body = json!({
        "name": "", "allowed_models": ["ok", "", long, "nul\u{0}", "*a".repeat(8), "*a".repeat(9)],
        "max_key_lifetime": 0,
        "tags": {"": "v", "a/b~c": "line\nbreak"},
    });
    app.owner().post(TEAMS, body).await.invalid(&[
        ("/name", "required"),
        ("/allowed_models/1", "required"),
        ("/allowed_models/2", "too_long"),
        ("/allowed_models/3", "invalid_character"),
        ("/allowed_models/5", "too_many"),
        ("/max_key_lifetime", "out_of_range"),
        ("/tags/", "required"),
        ("/tags/a~1b~0c", "invalid_character"),
    ]);
    let body = json!({"name": "x".repeat(256), "max_key_lifetime": 315_576_001});
    let faults = [("/name", "too_long"), ("/max_key_lifetime", "out_of_range")];
    app.owner().post(TEAMS, body).await.invalid(&faults);
    let many: Vec<String> = (0..257).map(|n| format!("model-{n}")).collect();
    let tags: serde_json::Map<String, Value> = (0..65).map(|n| (format!("tag{n}"), json!(""))).collect();
    let body = json!({"name": "many", "allowed_models": many, "tags": tags});
    app.owner().post(TEAMS, body).await.invalid(&[("/allowed_models", "too_many"), ("/tags", "too_many")]);
    assert_eq!(app.owner().get(TEAMS).await.ok()["items"], json!([]));
});

on_both!(the_largest_acceptable_team_is_accepted, |app| {
    let name = "ü".repeat(255);
    let globs: Vec<String> = (0..256).map(|n| format!("{n:0>256}")).collect();
    let tags: serde_json::Map<String, Value> =
        (0..64).map(|n| (format!("{n:0>64}"), json!("🦀".repeat(256)))).collect();
    let body = json!({"name": name, "allowed_models": globs, "max_key_lifetime": 315_576_000, "tags": tags});
    let team = app.owner().post(TEAMS, &body).await.created();
    let read = app.owner().get(&format!("{TEAMS}/{}", team["id"].as_str().unwrap())).await.ok();
    for field in ["name", "allowed_models", "max_key_lifetime", "tags"] {
        assert_eq!(read[field], body[field], "{field}");
    }
});

on_both!(every_faulty_field_of_a_patch_is_reported, |app| {
    let owner = app.owner();
    let path = make(&owner, "search").await;
    let body = json!({"name": " ", "allowed_models": [""], "max_key_lifetime": -1, "tags": {"k": "\u{0}"}});
    owner.patch(&path, body).await.invalid(&[
        ("/name", "required"),
        ("/allowed_models/0", "required"),
        ("/max_key_lifetime", "out_of_range"),
        ("/tags/k", "invalid_character"),
    ]);
    for (field, value) in [("name", json!(null)), ("tags", json!(null))] {
        let pointer = format!("/{field}");
        owner.patch(&path, json!({field: value})).await.invalid(&[(pointer.as_str(), "not_nullable")]);
    }
    assert_eq!(owner.get(&path).await.ok()["version"], 1);
});

on_both!(values_of_a_wrong_type_and_unknown_or_read_only_fields_are_refused, |app| {
    let owner = app.owner();
    let path = make(&owner, "search").await;
    owner.post(TEAMS, json!({"name": 7})).await.invalid(&[("/name", "invalid_value")]);
    owner.post(TEAMS, json!({})).await.invalid(&[("/name", "required")]);
    owner.post(TEAMS, json!({"name": "a", "tags": {"a": 1}})).await.invalid(&[("/tags/a", "invalid_value")]);
    let floating = json!({"name": "a", "max_key_lifetime": 1.5});
    owner.post(TEAMS, floating).await.invalid(&[("/max_key_lifetime", "invalid_value")]);
    for field in ["id", "organization_id", "status", "version", "created_at", "surprise"] {
        let body = json!({"name": "a", field: "x"});
        for request in [owner.post(TEAMS, &body), owner.patch(&path, &body)] {
            let problem = request.await.problem(400, "unknown_field");
            assert_eq!(problem["errors"][0]["pointer"], format!("/{field}"));
        }
    }
});

on_both!(a_name_is_unique_among_the_teams_of_its_organization, |app| {
    let owner = app.owner();
    let (search, ads) = (make(&owner, "search").await, make(&owner, "ads").await);
    owner.post(TEAMS, json!({"name": "search"})).await.problem(409, "duplicate");
    owner.patch(&ads, json!({"name": "search"})).await.problem(409, "duplicate");
    owner.patch(&search, json!({"name": "search"})).await.ok();
    // A name is free again when its team is gone, and no other organization ever has it taken.
    owner.delete(&search).await.no_content();
    owner.patch(&ads, json!({"name": "search"})).await.ok();
    let acme = app.other_organization("acme").await;
    acme.post("/v1/organizations/acme/teams", json!({"name": "search"})).await.created();
});

on_both!(of_fifty_racing_teams_of_one_name_one_is_made, |app| {
    let owner = app.owner();
    let requests = (0..50).map(|_| owner.post(TEAMS, json!({"name": "search"})).into_future());
    let replies = futures_util::future::join_all(requests).await;
    let made = replies.iter().filter(|reply| reply.status == 201).count();
    assert_eq!(made, 1);
    for reply in replies.into_iter().filter(|reply| reply.status != 201) {
        reply.problem(409, "duplicate");
    }
    assert_eq!(names(&owner.get(TEAMS).await.ok()), ["search"]);
});

on_both!(a_stale_version_is_refused_by_patch_and_delete, |app| {
    let owner = app.owner();
    let path = make(&owner, "search").await;
    owner.patch(&path, json!({"name": "find"})).if_match(1).await.ok();
    for version in [1, 0, 3, -1, i64::MAX] {
        owner.patch(&path, json!({"name": "x"})).if_match(version).await.problem(412, "version_conflict");
        owner.delete(&path).if_match(version).await.problem(412, "version_conflict");
    }
    assert_eq!(owner.get(&path).await.ok()["name"], "find");
    // Being told of the version comes before being told of the values.
    owner.patch(&path, json!({"name": ""})).if_match(1).await.problem(412, "version_conflict");
});

on_both!(another_organizations_team_is_not_there, |app| {
    let acme = app.other_organization("acme").await;
    let path = make(&app.owner(), "search").await;
    let mine = path.replace("/default/", "/acme/");
    let nobodys = "/v1/organizations/acme/teams/team_00000000000070008000000000000000";
    for (here, there) in [(mine.clone(), nobodys.to_owned())] {
        let requests = |path: &str| {
            let action = |word: &str| acme.post(&format!("{path}/{word}"), json!({}));
            [
                acme.get(path),
                acme.patch(path, json!({})),
                acme.delete(path),
                action("suspend"),
                action("resume"),
            ]
        };
        for (request, random) in requests(&here).into_iter().zip(requests(&there)) {
            let (request, random) =
                (request.await.problem(404, "not_found"), random.await.problem(404, "not_found"));
            assert_eq!(request["detail"], random["detail"]);
        }
    }
    acme.get(&path).await.problem(404, "not_found");
    acme.post(TEAMS, json!({"name": "spy"})).await.problem(404, "not_found");
    assert_eq!(app.owner().get(&path).await.ok()["version"], 1);
});

on_both!(a_repeated_call_gets_the_same_reply_and_happens_once, |app| {
    let owner = app.owner();
    let body = json!({"name": "search"});
    let first = owner.post(TEAMS, &body).idempotency_key("one").await;
    let again = owner.post(TEAMS, &body).idempotency_key("one").await;
    assert_eq!((again.header("idempotent-replayed"), first.header("idempotent-replayed")), ("true", ""));
    assert_eq!((again.status, &again.text, again.header("etag")), (201, &first.text, "\"1\""));
    let path = format!("{TEAMS}/{}", first.created()["id"].as_str().unwrap());
    for word in ["suspend", "resume"] {
        let action = format!("{path}/{word}");
        let first = owner.post(&action, json!({})).idempotency_key(word).await;
        let again = owner.post(&action, json!({})).idempotency_key(word).await;
        assert_eq!((again.status, &again.text), (200, &first.text));
        assert_eq!(again.header("idempotent-replayed"), "true");
    }
    assert_eq!(owner.get(&path).await.ok()["version"], 3);
});

on_both!(a_suspended_team_is_shown_as_such_until_it_is_resumed, |app| {
    let owner = app.owner();
    let path = make(&owner, "search").await;
    let suspended = owner.post(&format!("{path}/suspend"), json!({})).await.ok();
    assert_eq!((&suspended["status"], &suspended["version"]), (&json!("suspended"), &json!(2)));
    let suspended = format!("{TEAMS}?status=suspended");
    assert_eq!(names(&owner.get(&suspended).await.ok()), ["search"]);
    let resumed = owner.post(&format!("{path}/resume"), json!({})).await.ok();
    assert_eq!((&resumed["status"], &resumed["version"]), (&json!("active"), &json!(3)));
    assert_eq!(names(&owner.get(&suspended).await.ok()), [""; 0]);
    owner.post(&format!("{path}/suspend"), json!({"reason": "x"})).await.problem(400, "unknown_field");
});

on_both!(a_prefix_is_taken_literally, |app| {
    let owner = app.owner();
    for name in ["a%b", "a_b", "axb", r"a\b", "A%b", "ä"] {
        make(&owner, name).await;
        app.clock.advance(TimeDelta::milliseconds(1));
    }
    for (prefix, found) in [
        ("a%25", vec!["a%b"]),
        ("a_", vec!["a_b"]),
        ("a%5C", vec![r"a\b"]),
        ("%25", vec![]),
        ("%C3%A4", vec!["ä"]),
        ("a", vec!["a%b", "a_b", "axb", r"a\b"]),
        ("", vec!["a%b", "a_b", "axb", r"a\b", "A%b", "ä"]),
    ] {
        let page = owner.get(&format!("{TEAMS}?order=asc&name_prefix={prefix}")).await.ok();
        assert_eq!(names(&page), found, "{prefix}");
    }
});

on_both!(a_list_is_paged_in_either_order, |app| {
    let owner = app.owner();
    let mut made = Vec::new();
    for n in 0..7 {
        made.push(format!("team {n}"));
        make(&owner, &made[n]).await;
        app.clock.advance(TimeDelta::milliseconds(1));
    }
    for (order, expected) in [("asc", made.clone()), ("desc", made.into_iter().rev().collect())] {
        let (mut seen, mut next, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = owner.get(&format!("{TEAMS}?page_size=3&order={order}{next}")).await.ok();
            seen.extend(names(&page).into_iter().map(str::to_owned));
            pages += 1;
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            next = format!("&cursor={cursor}");
        }
        assert_eq!((seen, pages), (expected, 3));
    }
    let exactly = owner.get(&format!("{TEAMS}?page_size=7")).await.ok();
    assert_eq!(exactly["next_cursor"], json!(null));
});

on_both!(people_reach_the_teams_they_belong_to, |app| {
    let owner = app.owner();
    let (mine, other) = (make(&owner, "mine").await, make(&owner, "other").await);
    for client in [app.team_admin(id(&mine)).await, app.team_member(id(&mine)).await] {
        assert_eq!(names(&client.get(TEAMS).await.ok()), ["mine"]);
        client.get(&mine).await.ok();
        client.get(&other).await.problem(404, "not_found");
        client.patch(&mine, json!({"name": "x"})).await.problem(403, "forbidden");
        client.delete(&mine).await.problem(403, "forbidden");
        client.post(TEAMS, json!({"name": "x"})).await.problem(403, "forbidden");
    }
    let member = app.member().await;
    assert_eq!(names(&member.get(TEAMS).await.ok()), [""; 0]);
    member.get(&mine).await.problem(404, "not_found");
    for client in [app.admin().await, app.billing().await, app.viewer().await] {
        assert_eq!(names(&client.get(TEAMS).await.ok()).len(), 2);
        client.get(&other).await.ok();
    }
});

on_both!(of_two_racing_changes_from_one_version_exactly_one_wins, |app| {
    let owner = app.owner();
    let path = make(&owner, "start").await;
    let mut version = 1;
    for round in 0..200 {
        let change = |who: &str| {
            let name = format!("{who} {round}");
            owner.patch(&path, json!({"name": name, "tags": {"who": name}})).if_match(version)
        };
        let (left, right) = (change("left").into_future(), change("right").into_future());
        let (left, right) = tokio::join!(tokio::spawn(left), tokio::spawn(right));
        let (winner, loser) = match (left.unwrap(), right.unwrap()) {
            (left, right) if left.status == 200 => (left, right),
            (left, right) => (right, left),
        };
        let status = loser.status;
        assert!(matches!(status, 409 | 412), "round {round}: {}", loser.text);
        loser.problem(status, "version_conflict");
        let won = winner.ok();
        version += 1;
        assert_eq!(won["version"], version);
        assert_eq!(won["name"], won["tags"]["who"]);
        assert_eq!(owner.get(&path).await.ok(), won);
    }
});

on_both!(racing_changes_without_a_version_never_mix_fields, |app| {
    let owner = app.owner();
    let path = make(&owner, "start").await;
    for round in 0..50 {
        let change = |who: &str| {
            let name = format!("{who} {round}");
            owner.patch(&path, json!({"name": name, "tags": {"who": name}})).into_future()
        };
        let (left, right) = tokio::join!(tokio::spawn(change("left")), tokio::spawn(change("right")));
        let statuses = [left.unwrap().status, right.unwrap().status];
        assert!(
            statuses.contains(&200) && statuses.iter().all(|status| [200, 409].contains(status)),
            "{statuses:?}"
        );
        let team = owner.get(&path).await.ok();
        assert_eq!(team["name"], team["tags"]["who"]);
    }
});

on_both!(what_happens_to_a_team_is_in_the_audit_log, |app| {
    let owner = app.owner();
    let path = make(&owner, "search").await;
    owner.patch(&path, json!({"name": "find"})).header("x-request-id", "my-request").await.ok();
    owner.post(&format!("{path}/suspend"), json!({})).await.ok();
    owner.delete(&path).await.no_content();
    let page = format!("/v1/organizations/default/audit-events?order=asc&subject={}", id(&path));
    let events = owner.get(&page).await.ok();
    let events = events["items"].as_array().unwrap();
    let actions: Vec<&str> = events.iter().map(|event| event["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["team.create", "team.update", "team.suspend", "team.update"]);
    assert_eq!(events[1]["actor_id"], owner.user_id.as_str());
    assert_eq!(events[1]["request_id"], "my-request");
    assert_eq!(events[1]["detail"]["before"]["name"], "search");
    assert_eq!(events[1]["detail"]["after"]["name"], "find");
    assert_eq!(events[1]["detail"]["after"].get("tags"), None);
});

on_both!(a_team_with_live_keys_goes_only_with_them, |app| {
    let owner = app.owner();
    let team = make(&owner, "search").await;
    let body = json!({"name": "k", "team_id": id(&team)});
    let key = owner.post("/v1/organizations/default/keys", body).await.created();
    owner.delete(&team).await.problem(409, "in_use");
    owner.delete(&format!("{team}?cascade=keep")).await.problem(400, "invalid_parameter");
    owner.delete(&format!("{team}?cascade=revoke")).await.no_content();
    let key = format!("/v1/organizations/default/keys/{}", key["id"].as_str().unwrap());
    assert_eq!(owner.get(&key).await.ok()["status"], "revoked");
});

on_both!(no_live_key_is_left_of_a_team_that_is_deleted_meanwhile, |app| {
    let owner = app.owner();
    for round in 0..20 {
        let team = make(&owner, &format!("team {round}")).await;
        let body = json!({"name": "k", "team_id": id(&team)});
        let create = || tokio::spawn(owner.post("/v1/organizations/default/keys", &body).into_future());
        let keys = [create(), create()];
        let gone = tokio::spawn(owner.delete(&format!("{team}?cascade=revoke")).into_future()).await.unwrap();
        gone.no_content();
        for key in keys {
            let reply = key.await.unwrap();
            if reply.status == 404 {
                continue;
            }
            let key = format!("/v1/organizations/default/keys/{}", reply.created()["id"].as_str().unwrap());
            assert_eq!(owner.get(&key).await.ok()["status"], "revoked", "round {round}");
        }
    }
});
