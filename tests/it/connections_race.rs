//! Connections under concurrency: one name once, no lost edits, no secret left of what is deleted meanwhile, no connection with a
//! pool that is gone.

use crate::{
    connections::{CONNECTIONS, make, smallest},
    credentials::SECRET,
    proxy_pools, teams,
};
use entity::{credential, id::ConnectionId, provider_connection};
use futures_util::future::join_all;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::json;
use tests::{Reply, Request, on_both};

fn spawn(request: Request) -> tokio::task::JoinHandle<Reply> {
    tokio::spawn(request.into_future())
}

on_both!(of_racing_connections_of_one_name_one_is_made, |app| {
    let owner = app.owner();
    let requests = (0..20).map(|_| spawn(owner.post(CONNECTIONS, smallest("a"))));
    let replies: Vec<Reply> = join_all(requests).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 1);
    for reply in replies.into_iter().filter(|reply| reply.status != 201) {
        reply.problem(409, "duplicate");
    }
});

on_both!(of_two_racing_changes_of_priority_exactly_one_wins, |app| {
    let owner = app.owner();
    let path = make(&owner, "a").await;
    for round in 0..50 {
        let version = round + 1;
        let change = |place: i64| {
            let body = json!({"priority": place, "tags": {"place": place.to_string()}});
            spawn(owner.patch(&path, body).if_match(version))
        };
        let (left, right) = tokio::join!(change(2 * round), change(2 * round + 1));
        let (winner, loser) = match (left.unwrap(), right.unwrap()) {
            (left, right) if left.status == 200 => (left, right),
            (left, right) => (right, left),
        };
        let status = loser.status;
        assert!(matches!(status, 409 | 412), "round {round}: {}", loser.text);
        loser.problem(status, "version_conflict");
        let won = winner.ok();
        assert_eq!(won["version"], version + 1);
        assert_eq!(json!(won["priority"].to_string()), won["tags"]["place"]);
        assert_eq!(owner.get(&path).await.ok(), won);
    }
});

on_both!(disabling_never_loses_to_an_edit, |app| {
    let owner = app.owner();
    let path = make(&owner, "a").await;
    for round in 0..30 {
        let edit = spawn(owner.patch(&path, json!({"name": format!("name {round}")})));
        let disable = spawn(owner.post(&format!("{path}/disable"), json!({})));
        let (edit, disable) = tokio::join!(edit, disable);
        disable.unwrap().ok();
        let edit = edit.unwrap();
        assert!(matches!(edit.status, 200 | 409), "{}", edit.text);
        assert_eq!(owner.get(&path).await.ok()["status"], "disabled", "round {round}");
        owner.post(&format!("{path}/enable"), json!({})).await.ok();
    }
});

on_both!(no_secret_is_left_of_a_connection_that_is_deleted_meanwhile, |app| {
    let owner = app.owner();
    for round in 0..20 {
        let path = make(&owner, &format!("c{round}")).await;
        let body = json!({ "secret": SECRET });
        let add = spawn(owner.post(&format!("{path}/credentials"), body));
        let delete = spawn(owner.delete(&path));
        let (add, delete) = tokio::join!(add, delete);
        delete.unwrap().no_content();
        let add = add.unwrap();
        assert!(matches!(add.status, 201 | 404), "{}", add.text);
        let id: ConnectionId = path.rsplit('/').next().unwrap().parse().unwrap();
        let of_it = credential::Entity::find().filter(credential::Column::ConnectionId.eq(id));
        let rows = of_it.all(&app.system.db.writer).await.unwrap();
        assert_eq!(rows.len(), usize::from(add.status == 201), "round {round}");
        assert!(rows.iter().all(|row| row.secret.is_none() && row.deleted_at.is_some()), "round {round}");
    }
});

on_both!(a_pool_that_is_bound_and_deleted_at_once_is_one_or_the_other, |app| {
    let owner = app.owner();
    let path = make(&owner, "a").await;
    for round in 0..20 {
        let pool = proxy_pools::make(&owner, &format!("p{round}"), &["http://127.0.0.1:9"]).await;
        let bind = spawn(owner.patch(&path, json!({"proxy_pool_id": pool["id"]})));
        let mut new = smallest(&format!("c{round}"));
        new["proxy_pool_id"] = pool["id"].clone();
        let create = spawn(owner.post(CONNECTIONS, new));
        let delete = spawn(owner.delete(&proxy_pools::path(&pool)));
        let (bind, create, delete) = tokio::join!(bind, create, delete);
        let (bind, create, delete) = (bind.unwrap(), create.unwrap(), delete.unwrap());
        match delete.status {
            204 => assert_eq!((bind.status, create.status), (404, 404), "round {round}"),
            409 => assert!(bind.status == 200 || create.status == 201, "round {round}"),
            _ => panic!("{}", delete.text),
        }
        let id: ConnectionId = path.rsplit('/').next().unwrap().parse().unwrap();
        let row = provider_connection::Entity::find_by_id(id).one(&app.system.db.writer).await.unwrap();
        let bound = row.unwrap().proxy_pool_id.map(|pool| pool.to_string());
        assert_eq!(bound.as_deref() == pool["id"].as_str(), bind.status == 200, "round {round}");
    }
});

on_both!(a_connection_is_not_made_for_a_team_that_is_deleted_meanwhile, |app| {
    let owner = app.owner();
    for round in 0..20 {
        let team = teams::make(&owner, &format!("t{round}")).await;
        let mut body = smallest(&format!("c{round}"));
        body["team_id"] = json!(teams::id(&team));
        let create = spawn(owner.post(CONNECTIONS, body));
        let delete = spawn(owner.delete(&format!("{team}?cascade=revoke")));
        let (create, delete) = tokio::join!(create, delete);
        let statuses = (create.unwrap().status, delete.unwrap().status);
        assert!(matches!(statuses, (201, 409) | (404, 204)), "round {round}: {statuses:?}");
    }
});
