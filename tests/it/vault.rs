//! The vault: a sealed value opens in its place and nowhere else; a tenant has one data key however many need it at once; a
//! reply that does not open is lost, and that the call was made is not.

use entity::{data_key, id::CredentialId, idempotency_record, status::DataKeyState};
use futures_util::future::join_all;
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, SqlErr, Statement, Value};
use serde_json::json;
use service::{Ctx, scope::Scope, vault};
use tests::{
    TestApp, on_both,
    treasure::{self, Stored, Treasure, seal},
};

const SECRET: (&str, &str) = ("credential", "secret");

async fn sql(app: &TestApp, sql: &str, values: Vec<Value>) -> Result<u64, DbErr> {
    let db = &app.system.db.writer;
    let backend = db.get_database_backend();
    Ok(db.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?.rows_affected())
}

/// Puts other bytes in the place of a value, past everything.
async fn put(app: &TestApp, value: &Stored, sealed: &[u8]) {
    let (table, column) = value.column;
    let id: Value = match <[u8; 16]>::try_from(value.row.as_slice()) {
        Ok(uuid) => uuid::Uuid::from_bytes(uuid).into(),
        Err(_) => value.row.clone().into(),
    };
    let text = format!("UPDATE {table} SET {column} = $1 WHERE id = $2");
    assert_eq!(sql(app, &text, vec![sealed.to_vec().into(), id]).await.unwrap(), 1);
}

/// Which of the values do not open.
async fn closed(app: &TestApp) -> Vec<Vec<u8>> {
    let mut closed = Vec::new();
    for value in treasure::stored(&app.system).await {
        match value.open(&app.system).await {
            Ok(_) => {}
            Err(error) => {
                assert!(error.to_string().contains("does not open"), "{error}");
                closed.push(value.row);
            }
        }
    }
    closed
}

on_both!(a_value_that_was_moved_or_changed_does_not_open, |app| {
    let mut treasure = Treasure::default();
    treasure.add(&app.system, "acme", 2).await;
    treasure.add(&app.system, "bolt", 2).await;
    treasure.check(&app.system).await;
    let values = treasure::stored(&app.system).await;
    assert_eq!(values.len(), 8);
    // To every other row, column, table and organization.
    for to in &values {
        for from in values.iter().filter(|from| from.row != to.row) {
            put(&app, to, &from.sealed.0).await;
            assert_eq!(closed(&app).await, std::slice::from_ref(&to.row), "{from:?} opens as {to:?}");
        }
        let mut changed = to.sealed.0.clone();
        *changed.last_mut().unwrap() ^= 1;
        put(&app, to, &changed).await;
        assert_eq!(closed(&app).await, std::slice::from_ref(&to.row));
        put(&app, to, &to.sealed.0).await;
    }
    treasure.check(&app.system).await;
});

on_both!(a_value_cannot_name_the_key_of_another_organization, |app| {
    let mut treasure = Treasure::default();
    treasure.add(&app.system, "acme", 1).await;
    let bolt = treasure.add(&app.system, "bolt", 1).await;
    let keys = treasure::data_keys(&app.system).await;
    let of_bolt = keys.iter().find(|key| key.organization_id == bolt).unwrap();
    let text = "UPDATE credential SET data_key_id = $1 WHERE organization_id <> $2";
    let error = sql(&app, text, vec![of_bolt.id.0.into(), bolt.0.into()]).await.unwrap_err();
    assert!(matches!(error.sql_err(), Some(SqlErr::ForeignKeyConstraintViolation(_))), "{error}");
    // Nor can a key that is in use go.
    let error = sql(&app, "DELETE FROM data_key WHERE id = $1", vec![of_bolt.id.0.into()]).await.unwrap_err();
    assert!(error.to_string().to_lowercase().contains("foreign key"), "{error}");
});

on_both!(a_data_key_is_made_once_however_many_need_it, |app| {
    let other = app.second_instance().await;
    for round in 0..5 {
        let organization = treasure::organization(&app.system, &format!("new-{round}")).await;
        let one = async |n: usize| {
            let system = if n.is_multiple_of(2) { &app.system } else { &other.system };
            let ctx = Ctx::internal(system, Scope::all(organization));
            let unit = ctx.begin().await.unwrap();
            let id: CredentialId = unit.id();
            let (key, sealed) =
                seal(&unit, organization, SECRET, id.0.as_bytes(), &format!("text {n}")).await.unwrap();
            unit.commit(()).await.unwrap();
            Stored { column: SECRET, row: id.0.as_bytes().to_vec(), organization, key, sealed }
        };
        let values = join_all((0..12).map(one)).await;
        let keys = treasure::data_keys(&app.system).await;
        let keys: Vec<_> = keys.iter().filter(|key| key.organization_id == organization).collect();
        assert_eq!(keys.len(), 1, "{keys:?}");
        let fresh = app.second_instance().await;
        for (n, value) in values.iter().enumerate() {
            assert_eq!(value.key, keys[0].id);
            assert_eq!(value.open(&fresh.system).await.unwrap(), format!("text {n}"));
        }
        fresh.system.db.close().await;
    }
});

on_both!(a_data_key_of_a_unit_that_is_undone_is_no_key, |app| {
    let organization = treasure::organization(&app.system, "new").await;
    let ctx = Ctx::internal(&app.system, Scope::all(organization));
    let unit = ctx.begin().await.unwrap();
    let (first, _) = seal(&unit, organization, SECRET, b"row", "text").await.unwrap();
    let (again, _) = seal(&unit, organization, SECRET, b"row", "text").await.unwrap();
    assert_eq!(first, again);
    drop(unit);
    let unit = ctx.begin().await.unwrap();
    let (second, sealed) = seal(&unit, organization, SECRET, b"row", "text").await.unwrap();
    unit.commit(()).await.unwrap();
    assert_ne!(first, second);
    let value = Stored { column: SECRET, row: b"row".to_vec(), organization, key: second, sealed };
    let other = app.second_instance().await;
    for system in [&app.system, &other.system] {
        assert_eq!(value.open(system).await.unwrap(), "text");
    }
    let keys = treasure::data_keys(&app.system).await;
    assert!(keys.iter().all(|key| key.id != first && key.state == DataKeyState::Active));
});

on_both!(nothing_is_sealed_for_an_unknown_place, |app| {
    let ctx = Ctx::internal(&app.system, Scope::all(app.organization));
    let unit = ctx.begin().await.unwrap();
    let error = seal(&unit, app.organization, ("credential", "login"), b"row", "text").await.unwrap_err();
    assert!(error.to_string().contains("credential.login is no place of sealed values"), "{error}");
});

on_both!(a_wrapped_key_that_was_moved_does_not_open, |app| {
    let mut treasure = Treasure::default();
    let acme = treasure.add(&app.system, "acme", 1).await;
    let bolt = treasure.add(&app.system, "bolt", 1).await;
    let text = "UPDATE data_key SET wrapped = (SELECT k.wrapped FROM data_key k WHERE k.organization_id = $1) \
                WHERE organization_id = $2";
    assert_eq!(sql(&app, text, vec![bolt.0.into(), acme.0.into()]).await.unwrap(), 1);
    let fresh = app.second_instance().await;
    for value in treasure::stored(&app.system).await {
        let outcome = value.open(&fresh.system).await;
        if value.organization == bolt {
            outcome.unwrap();
        } else {
            let error = outcome.unwrap_err().to_string();
            assert!(error.contains("data key") && error.contains("does not open"), "{error}");
        }
    }
});

on_both!(a_reply_that_does_not_open_is_lost_and_the_call_is_not_made_again, |app| {
    let owner = app.owner();
    let teams = "/v1/organizations/default/teams";
    let call = |key: &'static str| owner.post(teams, json!({"name": key})).idempotency_key(key);
    let first = call("a").await.created();
    assert_eq!(call("a").await.created(), first);
    let values = treasure::stored(&app.system).await;
    let mut changed = values[0].sealed.0.clone();
    changed[40] ^= 1;
    put(&app, &values[0], &changed).await;
    call("a").await.problem(409, "secret_expired");

    // Another key than the one it was sealed with, as after the loss of the encryption key.
    call("b").await.created();
    sql(&app, "UPDATE idempotency_record SET data_key_id = $1", vec![uuid::Uuid::nil().into()])
        .await
        .unwrap();
    call("b").await.problem(409, "secret_expired");
    assert_eq!(idempotency_record::Entity::find().all(&app.system.db.reader).await.unwrap().len(), 2);
    assert_eq!(owner.get(teams).await.ok()["items"].as_array().unwrap().len(), 2);
});

on_both!(a_reply_does_not_open_for_another_call, |app| {
    let owner = app.owner();
    let teams = "/v1/organizations/default/teams";
    let call = |key: &'static str| owner.post(teams, json!({"name": key})).idempotency_key(key);
    call("a").await.created();
    call("b").await.created();
    let values = treasure::stored(&app.system).await;
    put(&app, &values[0], &values[1].sealed.0).await;
    put(&app, &values[1], &values[0].sealed.0).await;
    for key in ["a", "b"] {
        call(key).await.problem(409, "secret_expired");
    }
});

on_both!(equal_secrets_of_one_organization_have_equal_digests, |app| {
    let acme = treasure::organization(&app.system, "acme").await;
    let digest =
        |organization, secret: &str| vault::digest(&app.system, organization, secret.as_bytes()).unwrap();
    let (version, one) = digest(app.organization, "sk-one");
    assert_eq!((version, one), digest(app.organization, "sk-one"));
    assert_ne!(one, digest(app.organization, "sk-two").1);
    assert_ne!(one, digest(acme, "sk-one").1);
    let all = vault::digests(&app.system, app.organization, b"sk-one").unwrap();
    assert_eq!(all, [one.to_vec()]);
    assert_eq!(data_key::Entity::find().all(&app.system.db.reader).await.unwrap().len(), 1);
});
