//! The life of a price: planned, changed, in force, in the place of another, ended; what never changes from then on.

use crate::prices::{PRICES, cent, make, path, wire};
use chrono::{DateTime, TimeDelta, Utc};
use entity::{price, status::Origin};
use sea_orm::ActiveValue::Set;
use serde_json::{Value, json};
use service::{Ctx, scope::Scope};
use tests::{TestApp, on_both};

const TICK: TimeDelta = TimeDelta::microseconds(1);

/// So many hours from now.
fn at(app: &TestApp, hours: i64) -> DateTime<Utc> {
    app.clock.now() + TimeDelta::hours(hours)
}

on_both!(a_planned_price_is_changed_field_by_field, |app| {
    let owner = app.owner();
    let body = json!({
        "model": "gpt-4o", "provider": "openai", "kind": "per_token", "input": "2.5", "output": "10", "note": "draft",
        "batch": {"input": "1", "output": "2"}, "multipliers": {"eu": "1.1"}, "effective_from": at(&app, 1),
        "effective_until": at(&app, 2),
    });
    let mut expected = owner.post(PRICES, body).await.created();
    let price = path(&expected);
    let gone = json!(null);
    for (version, (change, shown)) in [
        (json!({"output": "11"}), json!({"output": "11"})),
        (json!({"cache_read": "0", "input": null}), json!({"cache_read": "0", "input": gone})),
        (json!({"batch": {"input": "0.5"}}), json!({"batch": {"input": "0.5"}})),
        (json!({"batch": null, "flex": {"output": "1"}}), json!({"batch": gone, "flex": {"output": "1"}})),
        (json!({"multipliers": {"us": "2"}}), json!({"multipliers": {"us": "2"}})),
        (json!({"multipliers": {}}), json!({"multipliers": gone})),
        (json!({"model": "gpt-*", "provider": null}), json!({"model": "gpt-*", "provider": null})),
        (json!({"model": null}), json!({"model": null})),
        (json!({"currency": "EUR", "markup_bps": 1}), json!({"currency": "EUR", "markup_bps": 1})),
        (json!({"note": null}), json!({"note": null})),
        (json!({"effective_until": null}), json!({"effective_until": null})),
        (json!({"effective_from": at(&app, 3)}), json!({"effective_from": at(&app, 3)})),
        (
            json!({"kind": "tiered", "tiers": [{"input": "1"}], "output": null, "cache_read": null, "flex": null}),
            json!({"kind": "tiered", "tiers": [{"up_to": null, "input": "1"}], "tier_by": "prompt_tokens",
                   "output": gone, "cache_read": gone, "flex": gone}),
        ),
        (
            json!({"kind": "per_request", "tiers": null, "tier_by": null, "per_request": "1"}),
            json!({"kind": "per_request", "tiers": gone, "tier_by": gone, "per_request": "1"}),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        app.clock.advance(TICK);
        let changed = owner.patch(&price, change).if_match(expected["version"].as_i64().unwrap()).await.ok();
        for (field, value) in shown.as_object().unwrap() {
            // A rate, a tier or a multiplier that is not there is absent; everything else is null.
            let absent =
                value.is_null() && !matches!(field.as_str(), "model" | "provider" | "note" | "effective_until");
            if absent {
                expected.as_object_mut().unwrap().remove(field);
            } else {
                expected[field] = value.clone();
            }
        }
        expected["version"] = json!(version + 2);
        expected["updated_at"] = changed["updated_at"].clone();
        assert_eq!(changed, expected);
        assert_eq!(owner.get(&price).await.ok(), expected);
    }
});

on_both!(a_change_of_nothing_changes_nothing, |app| {
    let owner = app.owner();
    let made = make(&owner, "a", Some(at(&app, 1)), None).await;
    app.clock.advance(TICK);
    for change in [json!({}), json!({"per_request": "0.010", "note": null, "model": "a"})] {
        assert_eq!(owner.patch(&path(&made), change).if_match(1).await.ok(), made);
    }
    let events = format!("/v1/organizations/default/audit-events?subject={}", made["id"].as_str().unwrap());
    assert_eq!(owner.get(&events).await.ok()["items"].as_array().unwrap().len(), 1);
});

on_both!(a_price_never_changes_from_the_microsecond_it_is_in_force, |app| {
    let owner = app.owner();
    let price = path(&make(&owner, "a", Some(at(&app, 1)), None).await);
    app.clock.advance(TimeDelta::hours(1) - TICK);
    let last = owner.patch(&price, json!({"per_request": "0.02"})).if_match(1).await.ok();
    app.clock.advance(TICK);
    for _ in 0..2 {
        for change in [
            json!({}),
            json!({"note": "x"}),
            json!({"per_request": "0.03"}),
            json!({"model": "b"}),
            json!({"effective_from": at(&app, 9)}),
            json!({"effective_until": at(&app, 9)}),
        ] {
            owner.patch(&price, change).if_match(2).await.problem(409, "price_in_force");
        }
        owner.delete(&price).if_match(2).await.problem(409, "price_in_force");
        assert_eq!(owner.get(&price).await.ok(), last);
        app.clock.advance(TimeDelta::hours(9));
    }
    // Neither does one that has ended, or that began in the past when it was made.
    owner.post(&format!("{price}/end"), json!({})).if_match(2).await.ok();
    owner.delete(&price).if_match(3).await.problem(409, "price_in_force");
    let past = path(&make(&owner, "b", Some(at(&app, -2)), Some(at(&app, -1))).await);
    owner.patch(&past, json!({"note": "x"})).if_match(1).await.problem(409, "price_in_force");
    owner.delete(&past).if_match(1).await.problem(409, "price_in_force");
});

on_both!(a_planned_price_is_deleted_until_the_microsecond_before, |app| {
    let owner = app.owner();
    let (one, two) =
        (make(&owner, "a", Some(at(&app, 1)), None).await, make(&owner, "b", Some(at(&app, 1)), None).await);
    app.clock.advance(TimeDelta::hours(1) - TICK);
    owner.delete(&path(&one)).if_match(1).await.no_content();
    owner.get(&path(&one)).await.problem(404, "not_found");
    owner.delete(&path(&one)).if_match(1).await.problem(404, "not_found");
    app.clock.advance(TICK);
    owner.delete(&path(&two)).if_match(1).await.problem(409, "price_in_force");
    // What was planned there can be planned again.
    make(&owner, "a", Some(at(&app, 0)), None).await;
});

on_both!(whoever_edits_a_price_says_which_version, |app| {
    let owner = app.owner();
    let price = path(&make(&owner, "a", Some(at(&app, 1)), None).await);
    let nobodys = format!("{PRICES}/price_019aa3c1f6b07c3e9a5d2f4b8c6e1d70");
    let requests = |path: &str| {
        let end = json!({"at": at(&app, 2)});
        [owner.patch(path, json!({"note": "x"})), owner.delete(path), owner.post(&format!("{path}/end"), end)]
    };
    for request in requests(&price) {
        request.await.problem(428, "precondition_required");
    }
    for request in requests(&price) {
        request.header("if-match", "*").await.problem(428, "precondition_required");
    }
    for request in requests(&nobodys) {
        request.await.problem(404, "not_found");
    }
    for version in [0, 2, -1, i64::MAX] {
        for request in requests(&price) {
            request.if_match(version).await.problem(412, "version_conflict");
        }
    }
    // Being told of the version comes before being told of the values, and that before being told of the state.
    owner.patch(&price, json!({"model": ""})).await.problem(428, "precondition_required");
    owner.patch(&price, json!({"model": ""})).if_match(9).await.problem(412, "version_conflict");
    app.clock.advance(TimeDelta::hours(1));
    owner.patch(&price, json!({"model": ""})).if_match(1).await.invalid(&[("/model", "required")]);
    assert_eq!(owner.get(&price).await.ok()["version"], 1);
    owner.post(&format!("{price}/end"), json!({"at": at(&app, 2)})).header("if-match", "W/\"1\"").await.ok();
});

on_both!(an_open_ended_price_gives_way_and_one_with_an_end_does_not, |app| {
    let owner = app.owner();
    let other = |hours: i64, until: Option<i64>| {
        owner.post(PRICES, cent("a", Some(at(&app, hours)), until.map(|hours| at(&app, hours))))
    };
    other(0, None).await.created();
    other(10, Some(20)).await.created();
    other(30, None).await.created();
    for (from, until) in [(0, None), (0, Some(5)), (10, None), (10, Some(15)), (30, None), (30, Some(31))] {
        other(from, until).await.problem(409, "duplicate");
    }
    for (from, until) in [
        (11, None),
        (19, None),
        (19, Some(25)),
        (11, Some(12)),
        (5, Some(11)),
        (5, Some(25)),
        (25, Some(31)),
        (-5, Some(1)),
    ] {
        other(from, until).await.problem(409, "overlap");
    }
    // They may touch, and what begins later than an open-ended one may begin within it.
    for (from, until) in [(5, Some(10)), (20, None), (25, Some(30)), (-5, None), (40, None), (-3, Some(-1))] {
        other(from, until).await.created();
    }
    // Another key is another price.
    for (field, value) in [("model", json!("b")), ("model", json!(null)), ("provider", json!("azure"))] {
        let mut body = cent("a", Some(at(&app, 10)), Some(at(&app, 20)));
        body[field] = value;
        owner.post(PRICES, body).await.created();
    }
    assert_eq!(
        owner.get(&format!("{PRICES}?page_size=100")).await.ok()["items"].as_array().unwrap().len(),
        12
    );
});

on_both!(a_change_of_term_or_key_is_checked_like_a_new_price, |app| {
    let owner = app.owner();
    make(&owner, "a", Some(at(&app, 10)), Some(at(&app, 20))).await;
    let mine = path(&make(&owner, "a", Some(at(&app, 20)), Some(at(&app, 30))).await);
    let other = path(&make(&owner, "b", Some(at(&app, 15)), None).await);
    let patch = |path: &str, body: Value| owner.patch(path, body).if_match(1);
    patch(&mine, json!({"effective_from": at(&app, 19)})).await.problem(409, "overlap");
    patch(&mine, json!({"effective_from": at(&app, 10)})).await.problem(409, "duplicate");
    patch(&mine, json!({"effective_from": at(&app, 5)})).await.problem(409, "overlap");
    patch(&other, json!({"model": "a"})).await.problem(409, "overlap");
    patch(&other, json!({"model": "a", "effective_from": at(&app, 10)})).await.problem(409, "duplicate");
    patch(&other, json!({"model": "a", "effective_from": at(&app, 9)})).await.ok();
    // Its own term is not in its way, nor is a term that it leaves.
    patch(&mine, json!({"effective_from": at(&app, 25), "effective_until": at(&app, 35)})).await.ok();
    make(&owner, "a", Some(at(&app, 20)), Some(at(&app, 25))).await;
});

on_both!(a_price_is_ended_now_or_at_a_moment_to_come, |app| {
    let owner = app.owner();
    let price = path(&make(&owner, "a", None, None).await);
    let end =
        |at: Value, version: i64| owner.post(&format!("{price}/end"), json!({"at": at})).if_match(version);
    for (moment, faults) in [
        (wire(at(&app, 0)), &[("/at", "inverted_range")][..]),
        (wire(at(&app, 0) - TICK), &[("/at", "in_the_past"), ("/at", "inverted_range")]),
        (json!("+10000-01-01T00:00:00Z"), &[("/at", "out_of_range")]),
        (json!("soon"), &[("/at", "invalid_value")]),
        (json!(null), &[("/at", "inverted_range")]),
    ] {
        end(moment, 1).await.invalid(faults);
    }
    owner
        .post(&format!("{price}/end"), json!({"until": null}))
        .if_match(1)
        .await
        .problem(400, "unknown_field");
    app.clock.advance(TICK);
    end(wire(at(&app, 0) - TICK), 1).await.invalid(&[("/at", "in_the_past"), ("/at", "inverted_range")]);

    // The end is moved, later and earlier, while it is to come.
    for (version, hours) in [(1, 5), (2, 9), (3, 1)] {
        let ended = end(wire(at(&app, hours)), version).await.ok();
        assert_eq!(
            (&ended["effective_until"], &ended["version"]),
            (&wire(at(&app, hours)), &json!(version + 1))
        );
    }
    app.clock.advance(TimeDelta::hours(1) - TICK);
    let moved = end(wire(at(&app, 0) + TICK), 4).await.ok();
    assert_eq!(end(json!(null), 5).await.ok()["effective_until"], wire(at(&app, 0)));
    for moment in [wire(at(&app, 0)), wire(at(&app, 5)), json!(null)] {
        end(moment, 6).await.problem(409, "price_ended");
    }
    assert_ne!(owner.get(&price).await.ok()["effective_until"], moved["effective_until"]);
    let in_force = format!("{PRICES}?in_force_at={}", wire(at(&app, 0)).as_str().unwrap());
    assert_eq!(owner.get(&in_force).await.ok()["items"], json!([]));
});

on_both!(a_planned_price_is_given_an_end_after_its_begin, |app| {
    let owner = app.owner();
    let price = path(&make(&owner, "a", Some(at(&app, 5)), None).await);
    let end = |body: Value| owner.post(&format!("{price}/end"), body).if_match(1);
    for body in [json!({}), json!({"at": at(&app, 4)}), json!({"at": at(&app, 5)})] {
        end(body).await.invalid(&[("/at", "inverted_range")]);
    }
    assert_eq!(
        end(json!({"at": at(&app, 5) + TICK})).await.ok()["effective_until"],
        wire(at(&app, 5) + TICK)
    );
});

on_both!(an_end_does_not_reach_over_what_begins_before_it, |app| {
    let owner = app.owner();
    let price = path(&make(&owner, "a", Some(at(&app, -10)), None).await);
    let past = path(&make(&owner, "a", Some(at(&app, -5)), Some(at(&app, -2))).await);
    make(&owner, "a", Some(at(&app, 5)), Some(at(&app, 6))).await;
    let end = |path: &str, hours: i64, version: i64| {
        owner.post(&format!("{path}/end"), json!({"at": at(&app, hours)})).if_match(version)
    };
    end(&price, 9, 1).await.problem(409, "overlap");
    end(&price, 5, 1).await.ok();
    end(&price, 6, 2).await.problem(409, "overlap");
    // What has been in its place before is no obstacle to ending it.
    assert_eq!(end(&price, 0, 2).await.ok()["effective_until"], wire(at(&app, 0)));
    end(&past, 1, 1).await.problem(409, "price_ended");
});

on_both!(a_price_in_whose_place_another_is_ends_before_that_one, |app| {
    let owner = app.owner();
    let old = path(&make(&owner, "a", Some(at(&app, -2)), None).await);
    make(&owner, "a", Some(at(&app, -1)), Some(at(&app, 1))).await;
    let end = |hours: i64| owner.post(&format!("{old}/end"), json!({"at": at(&app, hours)})).if_match(1);
    end(2).await.problem(409, "overlap");
    end(0).await.ok();
});

on_both!(what_somebody_changed_is_no_lists_price_any_more, |app| {
    let ctx = Ctx::internal(&app.system, Scope::all(app.organization));
    let planned = make(&app.owner(), "template", Some(at(&app, 9)), None).await;
    let row = ctx.repository::<price::Entity>().find(planned["id"].as_str().unwrap().parse().unwrap()).await;
    let mut unit = ctx.begin().await.unwrap();
    let mut made = Vec::new();
    for (model, from) in [("planned", at(&app, 9)), ("in force", at(&app, -1))] {
        let mut listed: price::ActiveModel = row.as_ref().unwrap().clone().into();
        listed.id = Set(unit.id());
        listed.model = Set(Some(model.into()));
        listed.effective_from = Set(from);
        listed.origin = Set(Origin::Import);
        listed.source = Set(Some("a list".into()));
        listed.sourced_on = Set(Some(from.date_naive()));
        made.push(unit.repository::<price::Entity>().insert(listed).await.unwrap().id);
    }
    unit.commit(()).await.unwrap();
    let [planned, in_force] = [0, 1].map(|n| format!("{PRICES}/{}", made[n]));
    let changed = app.owner().patch(&planned, json!({"per_request": "1"})).if_match(1).await.ok();
    assert_eq!(
        (&changed["origin"], &changed["source"], &changed["sourced_on"]),
        (&json!("manual"), &json!(null), &json!(null))
    );
    // An end changes nothing of what the list says.
    let ended = app.owner().post(&format!("{in_force}/end"), json!({})).if_match(1).await.ok();
    assert_eq!((&ended["origin"], &ended["source"]), (&json!("import"), &json!("a list")));
});
