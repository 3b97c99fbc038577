//! Rotating keys while instances serve: everything stays readable, nothing of the old keys is left, and the next run goes on
//! where one was stopped.

use entity::{credential, id::OrganizationId, provider_connection, secret_check, status::DataKeyState};
use futures_util::future::join_all;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::json;
use service::{
    Ctx, Error, System,
    scope::Scope,
    vault::{
        self,
        rotate::{Renewal, Report, rotate},
    },
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};
use tests::{
    Backend, TestApp, on_both,
    treasure::{self, Treasure, seal},
};

const TEAMS: &str = "/v1/organizations/default/teams";

async fn run(system: &Arc<System>, renewal: Renewal) -> Report {
    rotate(system, renewal, &|| Ok(())).await.unwrap()
}

async fn treasure(app: &TestApp) -> Treasure {
    let mut treasure = Treasure::default();
    for slug in ["acme", "bolt"] {
        treasure.add(&app.system, slug, 3).await;
    }
    treasure
}

/// The versions of the encryption key that the database is used with.
async fn versions(system: &System) -> Vec<i32> {
    let rows = secret_check::Entity::find().filter(secret_check::Column::Name.eq("encryption_key"));
    let mut versions: Vec<i32> =
        rows.all(&system.db.reader).await.unwrap().into_iter().map(|row| row.version).collect();
    versions.sort_unstable();
    versions
}

/// Everything is wrapped with this version, and nothing is left of what was before.
async fn is_complete(system: &System, version: i32) {
    assert_eq!(versions(system).await, [version]);
    for key in treasure::data_keys(system).await {
        assert_eq!((key.kek_version, key.state), (version, DataKeyState::Active), "{key:?}");
    }
}

async fn actions(system: &System, action: &str) -> u64 {
    let events = entity::audit_event::Entity::find().filter(entity::audit_event::Column::Action.eq(action));
    events.count(&system.db.reader).await.unwrap()
}

on_both!(data_keys_are_wrapped_anew_and_the_old_key_is_retired, |app| {
    let treasure = treasure(&app).await;
    let b = app.instance_with(&[2, 1]).await;
    let before = treasure::stored(&app.system).await;
    let report = run(&b.system, Renewal::Nobody).await;
    let expected = Report { active: 2, wrapped: 3, retired: vec![1], ..Report::default() };
    assert_eq!(report, expected);
    assert!(report.is_complete());
    is_complete(&b.system, 2).await;
    treasure.check(&b.system).await;
    // Without the old version, by an instance that has nothing in memory.
    let c = app.instance_with(&[2]).await;
    treasure.check(&c.system).await;
    let after = treasure::stored(&c.system).await;
    assert!(before.iter().zip(&after).all(|(a, b)| a.sealed == b.sealed), "only keys are wrapped anew");
    assert_eq!(run(&c.system, Renewal::Nobody).await, Report { active: 2, ..Report::default() });
    assert_eq!(actions(&c.system, "encryption_key.retire").await, 1);
    // Who still has both does not bring the old one back.
    let d = app.instance_with(&[2, 1]).await;
    is_complete(&d.system, 2).await;
    app.instance_with(&[2]).await;
});

on_both!(a_retired_encryption_key_encrypts_nothing, |app| {
    let organization = treasure::organization(&app.system, "late").await;
    // A key that this instance has in memory goes on working.
    let mut treasure = treasure(&app).await;
    treasure.check(&app.system).await;
    let b = app.instance_with(&[2, 1]).await;
    run(&b.system, Renewal::Nobody).await;
    treasure.check(&app.system).await;
    let code = |error: Error| match error {
        Error::InvalidState(code, text) => (code, text.into_owned()),
        other => panic!("{other:?}"),
    };
    let ctx = Ctx::internal(&app.system, Scope::all(organization));
    let unit = ctx.begin().await.unwrap();
    let error = seal(&unit, organization, ("credential", "secret"), b"row", "text").await.unwrap_err();
    drop(unit);
    let (word, text) = code(error);
    assert_eq!(word, "encryption_key_retired");
    assert!(text.contains("version 1 of encryption_key was retired"), "{text}");
    // What the other makes, this one cannot open: it lacks the version.
    treasure.add(&b.system, "newer", 1).await;
    let newer = treasure.organizations.last().copied();
    let values = treasure::stored(&b.system).await;
    let value = values.iter().find(|value| Some(value.organization) == newer).unwrap();
    let (word, text) = code(value.open(&app.system).await.unwrap_err());
    assert_eq!(word, "encryption_key_missing");
    assert!(text.contains("version 2"), "{text}");
    // And no instance starts with the old one in front.
    let secrets = service::secrets::Secrets {
        encryption: tests::encryption_keys(&[1, 2]),
        ..app.system.secrets.clone()
    };
    let (word, _) = code(service::checks::enroll(&app.system.db, &secrets).await.unwrap_err());
    assert_eq!(word, "encryption_key_retired");
    assert_eq!(versions(&app.system).await, [2]);
});

on_both!(a_newer_version_is_left_alone, |app| {
    let treasure = treasure(&app).await;
    let ready = app.instance_with(&[1, 2]).await;
    let report = run(&ready.system, Renewal::Nobody).await;
    assert_eq!(report, Report { active: 1, ..Report::default() });
    assert_eq!(versions(&ready.system).await, [1, 2]);
    let first = app.instance_with(&[2, 1]).await;
    run(&first.system, Renewal::One(treasure.organizations[0])).await;
    is_complete(&first.system, 2).await;
    treasure.check(&ready.system).await;
});

on_both!(data_keys_are_renewed_and_nobody_sees_a_difference, |app| {
    let treasure = treasure(&app).await;
    let call = || app.owner().post(TEAMS, json!({"name": "search"})).idempotency_key("once");
    let made = call().await.created();
    let old = treasure::data_keys(&app.system).await;
    let stale = treasure::stored(&app.system).await;
    let rows = async || {
        let db = &app.system.db.reader;
        let connections = provider_connection::Entity::find().all(db).await.unwrap();
        let credentials = credential::Entity::find().all(db).await.unwrap();
        (
            connections.iter().map(|row| (row.version, row.updated_at)).collect::<Vec<_>>(),
            credentials.iter().map(|row| (row.version, row.updated_at)).collect::<Vec<_>>(),
        )
    };
    let before = rows().await;
    let b = app.second_instance().await;
    let report = run(&b.system, Renewal::Everybody).await;
    let expected = Report { active: 1, renewed: 3, sealed: 11, destroyed: 3, ..Report::default() };
    assert_eq!(report, expected);
    is_complete(&b.system, 1).await;
    assert_eq!(rows().await, before);
    let new = treasure::data_keys(&app.system).await;
    assert!(new.iter().all(|key| old.iter().all(|old| old.id != key.id)));
    // By the instance that had the old keys in memory, and by one that had not.
    let c = app.second_instance().await;
    for system in [&app.system, &b.system, &c.system] {
        treasure.check(system).await;
    }
    // Who read a row before, and opens it now.
    let d = app.second_instance().await;
    for value in stale {
        let text = value.open(&d.system).await.unwrap();
        assert!(text.starts_with("treasure") || text.contains("search"), "{text}");
    }
    assert_eq!(call().await.created(), made);
    assert_eq!(actions(&b.system, "data_key.rotate").await, 3);
    assert_eq!(actions(&b.system, "data_key.destroy").await, 3);
});

on_both!(one_organization_gets_a_new_data_key, |app| {
    let treasure = treasure(&app).await;
    let (acme, bolt) = (treasure.organizations[0], treasure.organizations[1]);
    let key = async |organization: OrganizationId| {
        let keys = treasure::data_keys(&app.system).await;
        keys.into_iter().find(|key| key.organization_id == organization).unwrap().id
    };
    let before = (key(acme).await, key(bolt).await);
    let report = run(&app.system, Renewal::One(acme)).await;
    assert_eq!((report.renewed, report.sealed, report.destroyed), (1, 5, 1));
    assert!(key(acme).await != before.0 && key(bolt).await == before.1);
    treasure.check(&app.system).await;
    // Who has no data key gets none.
    let none = treasure::organization(&app.system, "none").await;
    assert_eq!(run(&app.system, Renewal::One(none)).await.renewed, 0);
});

on_both!(what_does_not_open_is_told_and_keeps_its_key, |app| {
    treasure(&app).await;
    let value = treasure::stored(&app.system).await.into_iter().next().unwrap();
    let row = credential::ActiveModel {
        id: sea_orm::ActiveValue::Unchanged(entity::id::CredentialId::new(
            uuid::Uuid::from_slice(&value.row).unwrap(),
        )),
        secret: sea_orm::ActiveValue::Set(Some(entity::secret::Sealed(vec![1; 80]))),
        ..Default::default()
    };
    credential::Entity::update(row).exec(&app.system.db.writer).await.unwrap();
    let report = run(&app.system, Renewal::Everybody).await;
    assert!(!report.is_complete());
    assert_eq!(report.in_use, [(value.key, 1)]);
    assert!(report.broken.len() == 1 && report.broken[0].contains("credential.secret"), "{report:?}");
    assert_eq!((report.sealed, report.destroyed), (9, 2));
    // Everything else opens.
    for other in treasure::stored(&app.system).await.iter().filter(|other| other.row != value.row) {
        other.open(&app.system).await.unwrap();
    }
});

/// Organizations that are made while keys are rotated.
const WRITTEN: usize = 40;

on_both!(rotations_at_once_and_writers_do_not_disturb_each_other, |app| {
    let mut treasure = treasure(&app).await;
    let b = app.instance_with(&[2, 1]).await;
    let c = app.instance_with(&[2, 1]).await;
    let running = AtomicBool::new(true);
    let count = AtomicUsize::new(0);
    // New organizations with their secrets, and calls with replies, by the instances that rotate.
    let write = async |app: &TestApp, name: &str| {
        let mut mine = Treasure::default();
        let owner = app.owner();
        // Every organization makes the rotations longer: without an end to them, there would be none to those.
        while running.load(Ordering::Relaxed) && count.load(Ordering::Relaxed) < WRITTEN {
            let n = count.fetch_add(1, Ordering::Relaxed);
            mine.add(&app.system, &format!("{name}-{n}"), 1).await;
            let call = || {
                owner
                    .post(TEAMS, json!({"name": format!("{name} {n}")}))
                    .idempotency_key(&format!("{name}{n}"))
            };
            let made = call().await.created();
            assert_eq!(call().await.created(), made);
        }
        mine
    };
    let read = async |app: &TestApp| {
        while running.load(Ordering::Relaxed) {
            for value in treasure::stored(&app.system).await {
                value.open(&app.system).await.unwrap();
                // What is in memory opens at once: the transactions of the others must not wait for all of it.
                tokio::task::yield_now().await;
            }
        }
    };
    let turn = async || {
        for _ in 0..3 {
            join_all([&b, &c].map(|app| run(&app.system, Renewal::Everybody))).await;
        }
        running.store(false, Ordering::Relaxed);
    };
    let fresh = app.instance_with(&[2, 1]).await;
    let (one, two, (), ()) = tokio::join!(write(&b, "b"), write(&c, "c"), read(&fresh), turn());
    treasure.join(one);
    treasure.join(two);
    let report = run(&b.system, Renewal::Nobody).await;
    assert!(report.is_complete(), "{report:?}");
    is_complete(&b.system, 2).await;
    treasure.check(&app.instance_with(&[2]).await.system).await;
});

on_both!(the_doctor_s_count_is_of_versions, |app| {
    treasure(&app).await;
    assert_eq!(vault::wrapped(&app.system.db).await.unwrap(), [(1, 3)]);
    let b = app.instance_with(&[2, 1]).await;
    run(&b.system, Renewal::Nobody).await;
    assert_eq!(vault::wrapped(&app.system.db).await.unwrap(), [(2, 3)]);
});

on_both!(a_version_that_was_taken_up_meanwhile_is_kept, |app| {
    let mut treasure = treasure(&app).await;
    let b = app.instance_with(&[2, 1]).await;
    // An instance that has the old version in front makes a data key after all were wrapped: on Postgres after they were counted,
    // too, in the midst of the transaction that retires the version.
    let at = if app.backend == Backend::Postgres { 9 } else { 8 };
    let (steps, made) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let late = treasure::organization(&app.system, "late").await;
    let watch = || {
        if steps.fetch_add(1, Ordering::Relaxed) + 1 == at {
            made.fetch_add(1, Ordering::Relaxed);
            let make = vault::ensure(&app.system, late);
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(make))?;
        }
        Ok(())
    };
    let report = rotate(&b.system, Renewal::Nobody, &watch).await.unwrap();
    assert_eq!((made.load(Ordering::Relaxed), report.wrapped), (1, 4), "{report:?}");
    assert!(report.is_complete() && report.retired == [1]);
    treasure.organizations.push(late);
    treasure.check(&b.system).await;
    is_complete(&b.system, 2).await;
});

on_both!(the_foreign_key_keeps_what_is_in_use, |app| {
    let treasure = treasure(&app).await;
    let db = &app.system.db.writer;
    for statement in ["DELETE FROM secret_check WHERE name = 'encryption_key'", "DELETE FROM data_key"] {
        let error = db.execute_unprepared(statement).await.unwrap_err().to_string();
        assert!(error.to_lowercase().contains("foreign key"), "{error}");
    }
    treasure.check(&app.system).await;
});
