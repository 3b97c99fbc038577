//! Pools and the connections that take them, and pools under concurrency: whatever happens at once, no connection is left with a pool that is gone, and no two edits mix.

use crate::proxy_pools::{POOLS, entries, make, path, pool_id, shown};
use entity::{
    endpoint::Endpoints,
    id::{ConnectionId, ProxyPoolId},
    json::{Metadata, Tags, Texts},
    model_params::ModelParams,
    provider_connection, proxy_entry, proxy_pool,
    status::{BillingType, ConnectionStatus, FormatMode, Location},
};
use futures_util::future::join_all;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter,
};
use serde_json::{Value, json};
use service::{Ctx, scope::Scope};
use tests::{TestApp, on_both};

/// Binds a new connection to a pool, as whoever makes one does: it holds the pool.
pub async fn bind(app: &TestApp, name: &str, pool: ProxyPoolId) -> service::Result<ConnectionId> {
    let ctx = Ctx::internal(&app.system, Scope::all(app.organization));
    let mut unit = ctx.begin().await?;
    unit.read_in::<proxy_pool::Entity>(&ctx).hold(pool).await?;
    let row = connection(unit.id(), name, pool);
    let row = unit.repository::<provider_connection::Entity>().insert(row).await?;
    unit.commit(()).await?;
    Ok(row.id)
}

/// A connection that takes a pool.
fn connection(id: ConnectionId, name: &str, pool: ProxyPoolId) -> provider_connection::ActiveModel {
    provider_connection::ActiveModel {
        id: Set(id),
        organization_id: NotSet,
        team_id: Set(None),
        provider: Set("openai".into()),
        name: Set(name.into()),
        status: Set(ConnectionStatus::Active),
        disabled_reason: Set(None),
        base_url: Set("https://api.example.com/v1".into()),
        alternate_base_urls: Set(Texts::default()),
        format: Set(None),
        format_mode: Set(FormatMode::Auto),
        protocols: Set(Endpoints::default()),
        force_protocol: Set(None),
        default_model: Set(None),
        model_params: Set(ModelParams::default()),
        allowed_models: Set(None),
        headers: Set(None),
        header_names: Set(Texts::default()),
        data_key_id: Set(None),
        proxy_pool_id: Set(Some(pool)),
        billing_type: Set(BillingType::Metered),
        priority: Set(0),
        location: Set(Location::Cloud),
        tls_skip_verify: Set(false),
        tags: Set(Tags::default()),
        metadata: Set(Metadata::default()),
        created_by: Set("system".into()),
        version: NotSet,
        created_at: NotSet,
        updated_at: NotSet,
    }
}

/// Lets a connection be deleted: it stays for its history.
async fn soft_delete(app: &TestApp, connection: ConnectionId) {
    let changes =
        provider_connection::ActiveModel { status: Set(ConnectionStatus::Deleted), ..Default::default() };
    let update = provider_connection::Entity::update_many().set(changes);
    let update = update.filter(provider_connection::Column::Id.eq(connection));
    update.exec(&app.system.db.writer).await.unwrap();
}

/// Pools and connections with one that are there: a connection's pool is there.
async fn there(app: &TestApp) -> (u64, u64) {
    let db = &app.system.db.reader;
    let pools = proxy_pool::Entity::find().count(db).await.unwrap();
    let taken = provider_connection::Column::ProxyPoolId.is_not_null();
    (pools, provider_connection::Entity::find().filter(taken).count(db).await.unwrap())
}

on_both!(connections_that_take_a_pool_are_counted_and_keep_it, |app| {
    let owner = app.owner();
    let (pool, other) = (make(&owner, "a", &["http://a"]).await, make(&owner, "b", &["http://b"]).await);
    let mut bound = Vec::new();
    for name in ["one", "two", "three"] {
        bound.push(bind(&app, name, pool_id(&pool)).await.unwrap());
    }
    soft_delete(&app, bound[2]).await;
    let count = async |pool: &Value| owner.get(&path(pool)).await.ok()["bound_connection_count"].clone();
    assert_eq!((count(&pool).await, count(&other).await), (json!(2), json!(0)));
    let page = owner.get(&format!("{POOLS}?order=asc")).await.ok();
    let counts: Vec<_> =
        page["items"].as_array().unwrap().iter().map(|p| &p["bound_connection_count"]).collect();
    assert_eq!(counts.len(), 2);
    assert!(counts.contains(&&json!(2)) && counts.contains(&&json!(0)));
    let problem = owner.delete(&path(&pool)).await.problem(409, "in_use");
    assert_eq!(problem["bound_connection_count"], 2);
    // Other problems do not speak of it.
    assert_eq!(
        owner
            .delete(&path(&pool))
            .if_match(9)
            .await
            .problem(412, "version_conflict")
            .get("bound_connection_count"),
        None
    );
    for connection in &bound[..2] {
        soft_delete(&app, *connection).await;
    }
    assert_eq!(count(&pool).await, json!(0));
    owner.delete(&path(&pool)).await.no_content();
    let kept = provider_connection::Entity::find_by_id(bound[0]).one(&app.system.db.reader).await.unwrap();
    assert_eq!(kept.unwrap().proxy_pool_id, None);
});

on_both!(a_pool_is_bound_or_deleted_never_both, |app| {
    let owner = app.owner();
    let (mut bound, mut deleted) = (0, 0);
    for round in 0..40 {
        let pool = make(&owner, &format!("pool {round}"), &["http://user:pass@proxy"]).await;
        let (before, _) = there(&app).await;
        let delete = || tokio::spawn(owner.delete(&path(&pool)).into_future());
        let take = |n: u32| {
            let (app, pool, path) = (app.clone(), pool_id(&pool), path(&pool));
            tokio::spawn(async move {
                // A delete has more to do before it comes to the lock.
                if round % 2 == 0 {
                    app.owner().get(&path).await;
                }
                bind(&app, &format!("{round} {n}"), pool).await.is_ok()
            })
        };
        // Either comes first in every other round.
        let (deletes, takes) = if round % 2 == 0 {
            let deletes = [delete(), delete()];
            (deletes, [take(0), take(1)])
        } else {
            let takes = [take(0), take(1)];
            ([delete(), delete()], takes)
        };
        let deletes = join_all(deletes).await.into_iter().map(Result::unwrap).collect::<Vec<_>>();
        let taken = join_all(takes).await.into_iter().filter(|taken| *taken.as_ref().unwrap()).count();
        let gone = deletes.iter().filter(|reply| reply.status == 204).count();
        let (after, _) = there(&app).await;
        if gone == 1 {
            assert_eq!((taken, after), (0, before - 1), "round {round}");
            deleted += 1;
        } else {
            assert_eq!((gone, after), (0, before), "round {round}");
            assert!(taken > 0, "round {round}");
            bound += 1;
        }
        for reply in deletes.into_iter().filter(|reply| reply.status != 204) {
            if reply.status == 409 {
                let problem = reply.problem(409, "in_use");
                let count = problem["bound_connection_count"].as_u64().unwrap();
                assert!((1..=2).contains(&count), "round {round}: {problem}");
            } else {
                assert_eq!(gone, 1, "round {round}");
                reply.problem(404, "not_found");
            }
        }
    }
    assert!(bound > 0 && deleted > 0, "{bound} bound, {deleted} deleted");
    // The connections that there are have pools that there are: the foreign key says so, too.
    let (pools, connections) = there(&app).await;
    assert_eq!(pools, bound);
    assert!(connections >= bound);
});

on_both!(the_foreign_key_sees_who_did_not_hold_the_pool, |app| {
    let owner = app.owner();
    for round in 0..20 {
        let pool = make(&owner, &format!("pool {round}"), &["http://proxy"]).await;
        let id = app.system.entropy.id(app.clock.now());
        let row = provider_connection::ActiveModel {
            organization_id: Set(app.organization),
            version: Set(1),
            created_at: Set(app.clock.now()),
            updated_at: Set(app.clock.now()),
            ..connection(id, &format!("{round}"), pool_id(&pool))
        };
        let (insert, delete) = tokio::join!(
            provider_connection::Entity::insert(row).exec_without_returning(&app.system.db.writer),
            owner.delete(&path(&pool)).into_future(),
        );
        match insert {
            Ok(_) => {
                assert_eq!(delete.problem(409, "in_use")["bound_connection_count"], 1, "round {round}");
                owner.get(&path(&pool)).await.ok();
            }
            Err(_) => delete.no_content(),
        }
    }
});

on_both!(of_two_racing_lists_of_proxies_one_is_there, |app| {
    let owner = app.owner();
    let pool = make(&owner, "a", &["http://user:pass@start"]).await;
    for round in 0..40 {
        let change = |who: &str| {
            let urls = [format!("http://user:{round}@{who}"), format!("http://{who}2")];
            let body = json!({"name": who, "entries": entries(&urls.each_ref().map(String::as_str))});
            tokio::spawn(owner.patch(&path(&pool), body).into_future())
        };
        let (left, right) = tokio::join!(change("left"), change("right"));
        let statuses = [left.unwrap().status, right.unwrap().status];
        assert!(
            statuses.contains(&200) && statuses.iter().all(|status| [200, 409].contains(status)),
            "{statuses:?}"
        );
        let end = owner.get(&path(&pool)).await.ok();
        let name = end["name"].as_str().unwrap();
        assert_eq!(shown(&end), [format!("http://user:****@{name}:80"), format!("http://{name}2:80")]);
    }
    let left = proxy_entry::Entity::find().count(&app.system.db.reader).await.unwrap();
    assert_eq!(left, 2);
});

on_both!(of_many_pools_of_one_name_one_is_made, |app| {
    let owner = app.owner();
    let body = json!({"name": "a", "entries": entries(&["http://user:pass@proxy"])});
    let replies = join_all((0..20).map(|_| tokio::spawn(owner.post(POOLS, &body).into_future()))).await;
    let mut made = 0;
    for reply in replies {
        match reply.unwrap() {
            reply if reply.status == 201 => made += 1,
            reply => drop(reply.problem(409, "duplicate")),
        }
    }
    assert_eq!(made, 1);
    assert_eq!(proxy_entry::Entity::find().count(&app.system.db.reader).await.unwrap(), 1);
});
