//! Races for a term: whatever happens at once, none of two prices of one key begins within the fixed term of the other.

use crate::prices::{PRICES, cent, make, path};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use std::time::Duration;
use tests::{Reply, Request, TestApp, on_both};

/// So many hours from now.
fn at(app: &TestApp, hours: i64) -> DateTime<Utc> {
    app.clock.now() + TimeDelta::hours(hours)
}

/// Sends all at once; exactly one has success, and the others get one of these answers.
async fn one_wins(requests: Vec<Request>, refusals: &[(u16, &str)]) -> Reply {
    let replies = join_all(requests.into_iter().map(Request::into_future)).await;
    let (mut won, lost): (Vec<_>, Vec<_>) = replies.into_iter().partition(|reply| reply.status < 300);
    for reply in lost {
        let (status, code) = (reply.status, reply.body["code"].as_str().unwrap_or_default());
        assert!(refusals.contains(&(status, code)), "{}", reply.text);
    }
    assert_eq!(won.len(), 1);
    won.remove(0)
}

/// Every pair of an organization's prices of one model is legal.
async fn assert_legal(app: &TestApp, model: &str) {
    let page = app.owner().get(&format!("{PRICES}?page_size=100&model={model}")).await.ok();
    let moment = |value: &Value| value.as_str().map(|text| text.parse::<DateTime<Utc>>().unwrap());
    let term = |price: &Value| (moment(&price["effective_from"]).unwrap(), moment(&price["effective_until"]));
    let terms: Vec<_> = page["items"].as_array().unwrap().iter().map(term).collect();
    for (n, (from, until)) in terms.iter().enumerate() {
        for (other, _) in terms.iter().enumerate().filter(|(m, _)| *m != n).map(|(_, term)| term) {
            let within = until.is_some_and(|until| from <= other && *other < until);
            assert!(!within && from != other, "{terms:?}");
        }
    }
}

on_both!(of_racing_prices_that_begin_at_one_moment_one_is_made, |app| {
    let (here, there) = (app.owner(), app.second_instance().await.owner());
    let price = cent("a", Some(at(&app, 1)), None);
    let requests = (0..15).flat_map(|_| [here.post(PRICES, &price), there.post(PRICES, &price)]).collect();
    one_wins(requests, &[(409, "duplicate")]).await;
    assert_legal(&app, "a").await;
});

on_both!(of_racing_prices_whose_terms_overlap_one_is_made, |app| {
    let (here, there) = (app.owner(), app.second_instance().await.owner());
    let term = |n: i64| cent("a", Some(at(&app, n)), Some(at(&app, 40 + n)));
    let requests =
        (0..15).flat_map(|n| [here.post(PRICES, term(n)), there.post(PRICES, term(20 + n))]).collect();
    one_wins(requests, &[(409, "overlap")]).await;
    assert_legal(&app, "a").await;
});

on_both!(either_a_price_ends_after_a_moment_or_another_begins_then, |app| {
    let (here, there) = (app.owner(), app.second_instance().await.owner());
    for round in 0..10 {
        let model = format!("model-{round}");
        let price = path(&make(&here, &model, Some(at(&app, -1)), None).await);
        let end = here.post(&format!("{price}/end"), json!({"at": at(&app, 10)})).if_match(1);
        let begin = there.post(PRICES, cent(&model, Some(at(&app, 5)), None));
        let both = if round % 2 == 0 { vec![end, begin] } else { vec![begin, end] };
        one_wins(both, &[(409, "overlap")]).await;
        assert_legal(&app, &model).await;
    }
});

on_both!(of_two_prices_that_move_into_each_other_one_moves, |app| {
    let (here, there) = (app.owner(), app.second_instance().await.owner());
    for round in 0..10 {
        let model = format!("model-{round}");
        let one = path(&make(&here, &model, Some(at(&app, 10)), Some(at(&app, 20))).await);
        let other = path(&make(&here, &model, Some(at(&app, 30)), Some(at(&app, 40))).await);
        let to = |from: i64, until: i64| json!({"effective_from": at(&app, from), "effective_until": at(&app, until)});
        let requests =
            vec![here.patch(&one, to(22, 28)).if_match(1), there.patch(&other, to(21, 29)).if_match(1)];
        one_wins(requests, &[(409, "overlap")]).await;
        assert_legal(&app, &model).await;
    }
});

on_both!(of_racing_edits_from_one_version_exactly_one_wins, |app| {
    let (here, there) = (app.owner(), app.second_instance().await.owner());
    for round in 0..10 {
        let price = path(&make(&here, &format!("model-{round}"), Some(at(&app, 1)), None).await);
        let requests = vec![
            here.patch(&price, json!({"per_request": "1", "note": "one"})).if_match(1),
            there.patch(&price, json!({"per_request": "2", "note": "two"})).if_match(1),
            there.delete(&price).if_match(1),
            here.post(&format!("{price}/end"), json!({"at": at(&app, 2)})).if_match(1),
        ];
        let won = one_wins(requests, &[(412, "version_conflict"), (404, "not_found")]).await;
        let now = here.get(&price).await;
        if won.status == 204 {
            now.problem(404, "not_found");
        } else {
            assert_eq!(now.ok(), won.body);
        }
    }
});

on_both!(a_change_that_waited_until_the_price_was_in_force_comes_too_late, |app| {
    let owner = app.owner();
    let price = path(&make(&owner, "a", Some(at(&app, 1)), None).await);
    let end = json!({"at": at(&app, 1)});
    let ending = path(&make(&owner, "b", Some(at(&app, -1)), None).await);
    let other = app.system.db.begin().await.unwrap();
    other.execute_unprepared("UPDATE org_head SET tag = tag").await.unwrap();
    let change = tokio::spawn(owner.patch(&price, json!({"per_request": "1"})).if_match(1).into_future());
    let delete = tokio::spawn(owner.delete(&price).if_match(1).into_future());
    let late = tokio::spawn(owner.post(&format!("{ending}/end"), end).if_match(1).into_future());
    tokio::time::sleep(Duration::from_millis(300)).await;
    app.clock.advance(TimeDelta::hours(1) + TimeDelta::microseconds(1));
    other.rollback().await.unwrap();
    change.await.unwrap().problem(409, "price_in_force");
    delete.await.unwrap().problem(409, "price_in_force");
    late.await.unwrap().invalid(&[("/at", "in_the_past")]);
    assert_eq!(owner.get(&price).await.ok()["version"], 1);
});
