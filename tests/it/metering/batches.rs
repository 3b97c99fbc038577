//! Many decisions at once: each has an answer of its own, in order, and one bad one fails alone.

use super::*;
use sea_orm::ConnectionTrait;
use tests::on_both;

on_both!(each_of_a_batch_has_its_own_answer, |app| {
    let calls = Calls::new(&app, json!([{"metric": "requests", "amount": "3", "window": "day"}])).await;
    let secret = &calls.key["secret"];
    let twice = chosen(&app);
    let requests = json!([
        {"key": secret, "model": "a"},
        {"key": "nonsense", "model": "a"},
        {"key": secret, "models": []},
        {"key": secret, "model": "b", "reservation_id": twice},
        {"key": secret, "model": "b", "reservation_id": twice},
        {"key": secret, "model": "c", "reservation_id": twice},
        {"key": secret, "nonsense": 1},
        {"key": secret, "model": "d"},
        {"key": secret, "model": "e"}
    ]);
    let reply = calls.gateway.post("/v1/authorize/batch", json!({"requests": requests})).await.ok();
    let results = reply["results"].as_array().unwrap();
    let statuses: Vec<&Value> = results.iter().map(|result| &result["status"]).collect();
    assert_eq!(statuses, [200, 200, 422, 200, 200, 409, 400, 200, 200]);
    let allowed: Vec<&Value> = results.iter().map(|result| &result["decision"]["allowed"]).collect();
    let (yes, no, none) = (json!(true), json!(false), json!(null));
    assert_eq!(allowed, [&yes, &no, &none, &yes, &yes, &none, &none, &yes, &no]);
    assert_eq!(results[3]["decision"], results[4]["decision"]);
    assert_eq!(results[5]["problem"]["code"], "reservation_in_use");
    same(counted(&app, calls.limit(0)).await, "0", "3");

    let id = |n: usize| results[n]["decision"]["reservation_id"].clone();
    let settle = json!([{"reservation_id": id(0), "usage": {}}, {"reservation_id": id(0), "usage": {}},
        {"reservation_id": chosen(&app), "usage": {}}, {"reservation_id": id(3)}]);
    let reply = calls.gateway.post("/v1/settle/batch", json!({"requests": settle})).await.ok();
    let statuses: Vec<&Value> =
        reply["results"].as_array().unwrap().iter().map(|result| &result["status"]).collect();
    assert_eq!(statuses, [200, 200, 404, 422]);
    assert_eq!(reply["results"][3]["problem"]["errors"][0]["pointer"], "/usage");
    let extend = json!([{"reservation_id": id(3)}, {"reservation_id": id(0)}]);
    let reply = calls.gateway.post("/v1/extend/batch", json!({"requests": extend})).await.ok();
    assert_eq!((&reply["results"][0]["status"], &reply["results"][1]["status"]), (&json!(200), &json!(409)));
    let void = json!([{"reservation_id": id(3)}, {"reservation_id": id(7)}, {"reservation_id": id(0)}]);
    let reply = calls.gateway.post("/v1/void/batch", json!({"requests": void})).await.ok();
    assert_eq!(reply["results"][1]["settlement"]["state"], "voided");
    assert_eq!(reply["results"][2]["status"], 409);
    same(counted(&app, calls.limit(0)).await, "1", "0");
    let told =
        json!([{"key_id": calls.id(), "model": "m", "usage": {}}, {"key_id": calls.id(), "usage": {"x": 1}}]);
    let reply = calls.gateway.post("/v1/usage/batch", json!({"requests": told})).await.ok();
    assert_eq!((&reply["results"][0]["status"], &reply["results"][1]["status"]), (&json!(200), &json!(400)));
    same(counted(&app, calls.limit(0)).await, "2", "0");
});

on_both!(a_broken_row_fails_its_own_requests_alone, |app| {
    let good = Calls::new(&app, json!([{"metric": "requests", "amount": "100", "window": "day"}])).await;
    let bad = good.with(&key(&app, json!([{"metric": "requests", "amount": "100", "window": "hour"}])).await);
    let broken = bad.open(json!({"model": "m"})).await;
    let id = uuid(&broken).simple().to_string();
    let which = if app.backend == tests::Backend::Sqlite { format!("x'{id}'") } else { format!("'{id}'") };
    let sql = format!("UPDATE reservation SET legs = '\"nonsense\"' WHERE id = {which}");
    app.system.db.writer.execute_unprepared(&sql).await.unwrap();
    let fine = good.open(json!({"model": "m"})).await;
    let mut requests =
        vec![json!({"reservation_id": fine, "usage": {}}), json!({"reservation_id": broken, "usage": {}})];
    for _ in 0..6 {
        requests.push(json!({"reservation_id": good.open(json!({"model": "m"})).await, "usage": {}}));
    }
    let settled: Vec<_> = requests.iter().map(|body| good.gateway.post("/v1/settle", body)).collect();
    let settled = settled.into_iter().map(|reply| async { reply.await.status });
    let statuses = futures_util::future::join_all(settled).await;
    assert_eq!(statuses, [200, 500, 200, 200, 200, 200, 200, 200]);
    same(counted(&app, good.limit(0)).await, "7", "0");
});
