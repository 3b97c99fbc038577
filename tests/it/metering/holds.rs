//! A call holds its worst case until it is known what it used; then that is counted, once, whatever is repeated.

use super::*;
use tests::on_both;

fn tokens(amount: &str) -> Value {
    json!([{"metric": "tokens", "amount": amount, "window": "month"}])
}

on_both!(a_call_holds_its_worst_case_until_it_is_settled, |app| {
    let calls = Calls::new(&app, tokens("1000")).await;
    let call = json!({"model": "m", "input_tokens": 300, "max_output_tokens": 200});
    let reply = calls.ask(call.clone()).await;
    assert_eq!(reply["allowed"], true, "{reply}");
    assert_eq!((&reply["basis"], &reply["max_output_tokens"]), (&json!("exact"), &json!(200)));
    assert_eq!(reply["limits"][0]["remaining"], "500");
    assert_eq!(reply["expires_at"], "2027-01-15T10:10:00Z");
    same(counted(&app, calls.limit(0)).await, "0", "500");
    let second = calls.open(call.clone()).await;
    same(counted(&app, calls.limit(0)).await, "0", "1000");
    denied(
        &calls.ask(json!({"model": "m", "input_tokens": 1, "max_output_tokens": 0})).await,
        &["limit_exceeded"],
    );
    same(counted(&app, calls.limit(0)).await, "0", "1000");

    let usage =
        json!({"input_tokens": 100, "cache_read_tokens": 50, "output_tokens": 20, "reasoning_tokens": 10});
    let settled = calls.settle(reply["reservation_id"].as_str().unwrap(), usage).await;
    assert_eq!(settled["state"], "settled");
    assert_eq!(settled["attempts"][0]["overrun"], false);
    same(counted(&app, calls.limit(0)).await, "180", "500");
    calls.void(&second).await;
    same(counted(&app, calls.limit(0)).await, "180", "0");
});

on_both!(a_repeated_question_has_one_hold_and_one_answer, |app| {
    let calls = Calls::new(&app, tokens("1000")).await;
    let call = json!({"model": "m", "input_tokens": 300, "max_output_tokens": 200,
        "reservation_id": chosen(&app), "tags": {"run": "7"}});
    let first = calls.ask(call.clone()).await;
    let b = app.second_instance().await;
    let elsewhere = Calls { gateway: b.client(calls.gateway.bearer().unwrap()), key: calls.key.clone() };
    for again in [&calls, &elsewhere, &calls] {
        assert_eq!(again.ask(call.clone()).await, first);
    }
    same(counted(&app, calls.limit(0)).await, "0", "500");
    let mut other = call.clone();
    other["input_tokens"] = json!(301);
    other["key"] = calls.key["secret"].clone();
    calls.gateway.post("/v1/authorize", other).await.problem(409, "reservation_in_use");
    // Even when it is settled, the question has the answer that it had.
    let id = call["reservation_id"].as_str().unwrap();
    calls.settle(id, json!({"input_tokens": 1})).await;
    assert_eq!(calls.ask(call.clone()).await, first);
    same(counted(&app, calls.limit(0)).await, "1", "0");
    // But a key that is revoked makes no call, whatever it was told before.
    app.owner().post(&format!("{}/revoke", crate::keys::path(&calls.key)), json!({})).await.ok();
    denied(&calls.ask(call).await, &["key_revoked"]);
});

on_both!(a_repeated_settlement_changes_nothing, |app| {
    let calls = Calls::new(&app, tokens("1000")).await;
    let id = calls.open(json!({"model": "m", "input_tokens": 300, "max_output_tokens": 200})).await;
    let first = calls.settle(&id, json!({"input_tokens": 40})).await;
    for _ in 0..3 {
        assert_eq!(calls.settle(&id, json!({"input_tokens": 40})).await, first);
    }
    let other = json!({"reservation_id": id, "usage": {"input_tokens": 41}});
    calls.gateway.post("/v1/settle", other).await.problem(409, "already_settled");
    calls.gateway.post("/v1/void", json!({"reservation_id": id})).await.problem(409, "already_settled");
    calls.gateway.post("/v1/extend", json!({"reservation_id": id})).await.problem(409, "already_settled");
    same(counted(&app, calls.limit(0)).await, "40", "0");
    let events = app.owner().get(&format!("{BASE}/usage/events?key_id={}", calls.id())).await.ok();
    assert_eq!(events["items"].as_array().unwrap().len(), 1);
    assert_eq!(events["items"][0]["reservation_id"], json!(id));
});

on_both!(a_voided_call_never_happens, |app| {
    let calls = Calls::new(&app, tokens("1000")).await;
    let id = calls.open(json!({"model": "m", "input_tokens": 300, "max_output_tokens": 0})).await;
    assert_eq!(calls.void(&id).await["state"], "voided");
    assert_eq!(calls.void(&id).await["state"], "voided", "again");
    let body = json!({"reservation_id": id, "usage": {"input_tokens": 1}});
    calls.gateway.post("/v1/settle", body).await.problem(409, "reservation_voided");
    same(counted(&app, calls.limit(0)).await, "0", "0");
    // Overtaken by its own void: the call can not hold any more.
    let early = chosen(&app);
    assert_eq!(calls.void(&early).await["state"], "voided");
    let call = json!({"key": calls.key["secret"], "model": "m", "input_tokens": 1, "reservation_id": early});
    calls.gateway.post("/v1/authorize", call).await.problem(409, "reservation_voided");
    same(counted(&app, calls.limit(0)).await, "0", "0");
});

on_both!(more_than_was_held_is_counted_all_the_same, |app| {
    let calls = Calls::new(&app, tokens("1000")).await;
    let id = calls.open(json!({"model": "m", "input_tokens": 10, "max_output_tokens": 10})).await;
    let settled = calls.settle(&id, json!({"input_tokens": 10, "output_tokens": 5000})).await;
    assert_eq!(settled["attempts"][0]["overrun"], true);
    same(counted(&app, calls.limit(0)).await, "5010", "0");
    let denial = calls.ask(json!({"model": "m", "input_tokens": 0, "max_output_tokens": 0})).await;
    denied(&denial, &["limit_exceeded"]);
});

on_both!(ids_that_gateways_choose_are_of_now, |app| {
    let calls = Calls::new(&app, json!([])).await;
    let ask = async |id: String| {
        let body = json!({"key": calls.key["secret"], "model": "m", "reservation_id": id});
        calls.gateway.post("/v1/authorize", body).await
    };
    let at = |minutes: i64| {
        let time = app.clock.now() + chrono::TimeDelta::minutes(minutes);
        app.system.entropy.id::<entity::id::Reservation>(time).to_string()
    };
    for (minutes, code) in [(6, "in_the_future"), (-24 * 60 - 1, "too_old"), (60 * 24 * 365, "in_the_future")]
    {
        ask(at(minutes)).await.invalid(&[("/reservation_id", code)]);
    }
    for minutes in [4, -23 * 60] {
        assert_eq!(ask(at(minutes)).await.ok()["allowed"], true);
    }
    let version_4 = "res_7f0f2f5a8f0c4d0f9d3a2b1c0e9d8c7b".to_owned();
    ask(version_4).await.invalid(&[("/reservation_id", "invalid_value")]);
    ask("res_7".into()).await.invalid(&[("/reservation_id", "invalid_value")]);
});

on_both!(another_organizations_reservation_is_not_there, |app| {
    let calls = Calls::new(&app, tokens("1000")).await;
    let id = calls.open(json!({"model": "m", "input_tokens": 10, "max_output_tokens": 0})).await;
    let acme = app.other_organization("acme").await;
    let made = acme.post("/v1/organizations/acme/gateway-tokens", json!({"name": "x"})).await.created();
    let foreign = app.client(made["secret"].as_str().unwrap());
    let random = chosen(&app);
    for path in ["/v1/settle", "/v1/extend"] {
        for reservation in [&id, &random] {
            let mut body = json!({"reservation_id": reservation});
            if path == "/v1/settle" {
                body["usage"] = json!({"input_tokens": 1});
            }
            foreign.post(path, &body).await.problem(404, "not_found");
            body["organization_id"] = json!(app.organization);
            foreign.post(path, &body).await.problem(404, "not_found");
        }
    }
    let body = json!({"reservation_id": id, "organization_id": app.organization});
    foreign.post("/v1/void", &body).await.problem(404, "not_found");
    // What it voids ahead is its own, and does not touch ours.
    foreign.post("/v1/void", json!({"reservation_id": id})).await.ok();
    calls.settle(&id, json!({"input_tokens": 5})).await;
    same(counted(&app, calls.limit(0)).await, "5", "0");
    acme.get(&format!("/v1/organizations/acme/reservations/{id}")).await.ok();
    let events = acme.get("/v1/organizations/acme/usage/events").await.ok();
    assert_eq!(events["items"], json!([]));
});

on_both!(a_gateway_of_the_installation_serves_everybody, |app| {
    let calls = Calls::new(&app, tokens("1000")).await;
    let made = app.owner().post("/v1/gateway-tokens", json!({"name": "all"})).await.created();
    let platform = Calls { gateway: app.client(made["secret"].as_str().unwrap()), key: calls.key.clone() };
    let id = platform.open(json!({"model": "m", "input_tokens": 100, "max_output_tokens": 0})).await;
    platform.gateway.post("/v1/extend", json!({"reservation_id": id, "seconds": 900})).await.ok();
    platform.settle(&id, json!({"input_tokens": 7})).await;
    same(counted(&app, calls.limit(0)).await, "7", "0");
    // A call that a gateway of the organization authorized is found if the organization is named.
    let id = calls.open(json!({"model": "m", "input_tokens": 100, "max_output_tokens": 0})).await;
    let mut body = json!({"reservation_id": id, "usage": {"input_tokens": 1}});
    platform.gateway.post("/v1/settle", &body).await.problem(404, "not_found");
    body["organization_id"] = json!(app.organization);
    platform.gateway.post("/v1/settle", &body).await.ok();
    same(counted(&app, calls.limit(0)).await, "8", "0");
    // One id in two organizations has to be told apart.
    let acme = app.other_organization("acme").await;
    let base = "/v1/organizations/acme";
    let team = acme.post(&format!("{base}/teams"), json!({"name": "x"})).await.created();
    let theirs =
        acme.post(&format!("{base}/keys"), json!({"name": "x", "team_id": team["id"]})).await.created();
    let id = chosen(&app);
    for key in [&calls.key, &theirs] {
        platform
            .with(key)
            .open(json!({"model": "m", "reservation_id": id, "input_tokens": 1, "max_output_tokens": 0}))
            .await;
    }
    let mut body = json!({"reservation_id": id, "usage": {"input_tokens": 1}});
    platform.gateway.post("/v1/settle", &body).await.invalid(&[("/organization_id", "required")]);
    body["organization_id"] = json!(app.organization);
    platform.gateway.post("/v1/settle", &body).await.ok();
    same(counted(&app, calls.limit(0)).await, "9", "0");
    let early = json!({"reservation_id": chosen(&app)});
    platform.gateway.post("/v1/void", early).await.problem(404, "not_found");
});

on_both!(a_gateway_of_some_teams_serves_their_calls_alone, |app| {
    let calls = Calls::new(&app, tokens("1000")).await;
    let id = calls.open(json!({"model": "m", "input_tokens": 100, "max_output_tokens": 0})).await;
    let other = crate::keys::team(&app, "another").await;
    for (team, status) in [(json!(other), 404), (calls.key["team_id"].clone(), 200)] {
        let body = json!({"name": format!("of {team}"), "team_ids": [team]});
        let made = app.owner().post(&format!("{BASE}/gateway-tokens"), body).await.created();
        let narrow = app.client(made["secret"].as_str().unwrap());
        let body = json!({"reservation_id": id, "usage": {"input_tokens": 1}});
        assert_eq!(narrow.post("/v1/settle", body).await.status, status);
    }
});
