//! The audit log: what is in it, that nobody edits it, and that whoever does is found out.

use chrono::TimeDelta;
use entity::{audit_event, id::OrganizationId, org_head};
use futures_util::future::join_all;
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter};
use serde_json::{Value, json};
use tests::{Backend, Client, TestApp, on_both};

const EVENTS: &str = "/v1/organizations/default/audit-events";
const TEAMS: &str = "/v1/organizations/default/teams";

async fn make_teams(client: &Client, count: usize) {
    for n in 0..count {
        client.post(TEAMS, json!({"name": format!("team {n}")})).await.created();
    }
}

async fn verify(app: &TestApp) -> Value {
    app.owner().get(&format!("{EVENTS}/verify")).await.ok()
}

async fn verify_against(app: &TestApp, kept: &Value) -> Value {
    let (seq, hash) = (&kept["seq"], kept["hash"].as_str().unwrap());
    app.owner().get(&format!("{EVENTS}/verify?checkpoint_seq={seq}&checkpoint_hash={hash}")).await.ok()
}

fn broken(at: i64, reason: &str) -> Value {
    json!({"valid": false, "checked": at - 1, "first_broken": at, "reason": reason})
}

/// Somebody with the whole database in hand: the guards come off first.
struct Forger<'a>(&'a TestApp);

impl Forger<'_> {
    async fn new(app: &TestApp) -> Forger<'_> {
        let triggers: &[&str] = match app.backend {
            Backend::Postgres => &["DROP TRIGGER tr_audit_event_append_only ON audit_event"],
            Backend::Sqlite => {
                &["DROP TRIGGER tr_audit_event_no_update", "DROP TRIGGER tr_audit_event_no_delete"]
            }
        };
        for statement in triggers {
            app.system.db.writer.execute_unprepared(statement).await.unwrap();
        }
        Forger(app)
    }

    fn own(&self) -> sea_orm::Condition {
        sea_orm::Condition::all().add(audit_event::Column::OrganizationId.eq(self.0.organization))
    }

    async fn row(&self, seq: i64) -> audit_event::Model {
        let key = (self.0.organization, seq);
        audit_event::Entity::find_by_id(key).one(&self.0.system.db.reader).await.unwrap().unwrap()
    }

    async fn edit(&self, seq: i64, changes: audit_event::ActiveModel) {
        let update = audit_event::Entity::update_many().set(changes).filter(self.own());
        let edited =
            update.filter(audit_event::Column::Seq.eq(seq)).exec(&self.0.system.db.writer).await.unwrap();
        assert_eq!(edited.rows_affected, 1);
    }

    async fn delete_from(&self, first: i64, last: i64) {
        let delete = audit_event::Entity::delete_many().filter(self.own());
        let delete = delete.filter(audit_event::Column::Seq.between(first, last));
        assert!(delete.exec(&self.0.system.db.writer).await.unwrap().rows_affected > 0);
    }

    async fn insert(&self, row: audit_event::Model) {
        let row = sea_orm::ActiveModelTrait::reset_all(row.into_active_model());
        audit_event::Entity::insert(row).exec_without_returning(&self.0.system.db.writer).await.unwrap();
    }

    async fn set_head(&self, seq: i64, hash: Vec<u8>) {
        let head = org_head::ActiveModel { audit_seq: Set(seq), audit_hash: Set(hash), ..Default::default() };
        let own = org_head::Column::OrganizationId.eq(self.0.organization);
        org_head::Entity::update_many().set(head).filter(own).exec(&self.0.system.db.writer).await.unwrap();
    }
}

on_both!(what_is_done_is_told, |app| {
    let owner = app.owner();
    let admin = app.admin().await;
    assert_eq!(owner.get(EVENTS).await.ok(), json!({"items": [], "next_cursor": null}));
    let made =
        owner.post(TEAMS, json!({"name": "one"})).header("x-request-id", "my-own-request").await.created();
    app.clock.advance(TimeDelta::hours(1));
    let team = format!("{TEAMS}/{}", made["id"].as_str().unwrap());
    admin.patch(&team, json!({"name": "two"})).await.ok();
    app.clock.advance(TimeDelta::hours(1));
    admin.delete(&team).await.no_content();

    let page = owner.get(EVENTS).await.ok();
    let events = page["items"].as_array().unwrap();
    let column = |field: &str| -> Vec<&Value> { events.iter().map(|event| &event[field]).collect() };
    assert_eq!(column("seq"), [3, 2, 1]);
    assert_eq!(column("action"), ["team.update", "team.update", "team.create"]);
    assert_eq!(column("subject"), [&made["id"]; 3]);
    assert_eq!(column("actor_id"), [&admin.user_id, &admin.user_id, &owner.user_id]);
    assert_eq!(column("actor_kind"), ["user"; 3]);
    assert_eq!(column("client_ip"), ["127.0.0.1"; 3]);
    assert_eq!(events[2]["request_id"], "my-own-request");
    assert_eq!(
        (&events[2]["detail"]["before"], &events[2]["detail"]["after"]["name"]),
        (&json!(null), &json!("one"))
    );
    let renamed = &events[1]["detail"];
    assert_eq!((&renamed["before"]["name"], &renamed["after"]["name"]), (&json!("one"), &json!("two")));
    assert_eq!(renamed["before"].get("id"), None);
    assert_eq!(events[0]["detail"]["after"]["status"], "deleted");

    let found = async |query: &str| -> Vec<i64> {
        let page = owner.get(&format!("{EVENTS}?{query}")).await.ok();
        page["items"].as_array().unwrap().iter().map(|event| event["seq"].as_i64().unwrap()).collect()
    };
    assert_eq!(found("order=asc").await, [1, 2, 3]);
    assert_eq!(found("action=team.create").await, [1]);
    assert_eq!(found(&format!("actor_id={}", admin.user_id)).await, [3, 2]);
    assert_eq!(found(&format!("subject={}", made["id"].as_str().unwrap())).await, [3, 2, 1]);
    assert_eq!(found("subject=team_x").await, Vec::<i64>::new());
    // From is in, to is out.
    assert_eq!(found("from=2027-01-15T11:00:00Z").await, [3, 2]);
    assert_eq!(found("to=2027-01-15T11:00:00Z").await, [1]);
    assert_eq!(found("from=2027-01-15T11:00:00Z&to=2027-01-15T12:00:00Z").await, [2]);
    let first = owner.get(&format!("{EVENTS}?page_size=2")).await.ok();
    let rest = format!("page_size=2&cursor={}", first["next_cursor"].as_str().unwrap());
    assert_eq!(found(&rest).await, [1]);
    for query in ["from=yesterday", "seq=1", "page_size=1000", "cursor=x"] {
        assert_eq!(owner.get(&format!("{EVENTS}?{query}")).await.status, 400, "{query}");
    }
});

on_both!(a_time_in_a_detail_is_written_as_in_the_api, |app| {
    let team = app.owner().post(TEAMS, json!({"name": "one"})).await.created();
    let page = app.owner().get(EVENTS).await.ok();
    assert_eq!(page["items"][0]["detail"]["after"]["created_at"], team["created_at"]);
});

on_both!(who_may_read_the_log, |app| {
    let (owner, acme) = (app.owner(), app.other_organization("acme").await);
    make_teams(&owner, 1).await;
    acme.post("/v1/organizations/acme/teams", json!({"name": "theirs"})).await.created();
    for path in [EVENTS.to_owned(), format!("{EVENTS}/verify"), format!("{EVENTS}/checkpoint")] {
        for reader in [app.admin().await, app.billing().await, app.viewer().await] {
            reader.get(&path).await.ok();
        }
        app.member().await.get(&path).await.problem(403, "forbidden");
        acme.get(&path).await.problem(404, "not_found");
        app.anonymous().get(&path).await.problem(401, "unauthenticated");
    }
    for path in ["/v1/audit-events", "/v1/audit-events/verify", "/v1/audit-events/checkpoint"] {
        owner.get(path).await.ok();
        acme.get(path).await.problem(403, "forbidden");
        app.admin().await.get(path).await.problem(403, "forbidden");
    }
    let theirs = acme.get("/v1/organizations/acme/audit-events").await.ok();
    assert_eq!(theirs["items"].as_array().unwrap().len(), 1);
    // What happens in an organization stays there.
    assert_eq!(owner.get("/v1/audit-events").await.ok()["items"], json!([]));
});

on_both!(a_checkpoint_is_two_halves, |app| {
    let owner = app.owner();
    let empty = owner.get(&format!("{EVENTS}/checkpoint")).await.ok();
    assert_eq!(empty, json!({"seq": 0, "hash": "0".repeat(64)}));
    assert_eq!(verify_against(&app, &empty).await["valid"], true);
    make_teams(&owner, 3).await;
    let kept = owner.get(&format!("{EVENTS}/checkpoint")).await.ok();
    assert_eq!(kept["seq"], 3);
    let last = owner.get(&format!("{EVENTS}?page_size=1")).await.ok();
    assert_eq!(last["items"][0]["hash"], kept["hash"]);
    assert_eq!(
        verify_against(&app, &kept).await,
        json!({"valid": true, "checked": 3, "first_broken": null, "reason": null})
    );
    let other = json!({"seq": 2, "hash": kept["hash"]});
    assert_eq!(verify_against(&app, &other).await, broken(2, "the event differs from the checkpoint"));
    let hash = "a".repeat(64);
    for query in [
        "checkpoint_seq=1".to_owned(),
        format!("checkpoint_hash={hash}"),
        format!("checkpoint_seq=-1&checkpoint_hash={hash}"),
        format!("checkpoint_seq=1&checkpoint_hash={}", "A".repeat(64)),
        "checkpoint_seq=1&checkpoint_hash=abc".to_owned(),
        format!("checkpoint_seq=x&checkpoint_hash={hash}"),
    ] {
        owner.get(&format!("{EVENTS}/verify?{query}")).await.problem(400, "invalid_parameter");
    }
});

on_both!(the_database_itself_refuses_to_change_the_past, |app| {
    make_teams(&app.owner(), 2).await;
    let db = &app.system.db.writer;
    for statement in [
        "UPDATE audit_event SET action = 'x'",
        "DELETE FROM audit_event",
        "DELETE FROM audit_event WHERE seq = 2",
    ] {
        let refused = db.execute_unprepared(statement).await.unwrap_err().to_string();
        assert!(refused.contains("audit_event is append-only"), "{refused}");
    }
    if app.backend == Backend::Postgres {
        let refused = db.execute_unprepared("TRUNCATE audit_event").await.unwrap_err().to_string();
        assert!(refused.contains("audit_event is append-only"), "{refused}");
    }
    assert_eq!(verify(&app).await["checked"], 2);
});

on_both!(every_edited_column_is_found_out, |app| {
    make_teams(&app.owner(), 6).await;
    let forger = Forger::new(&app).await;
    let honest = forger.row(4).await;
    let edits = [
        audit_event::ActiveModel { id: Set(app.system.entropy.id(app.clock.now())), ..Default::default() },
        audit_event::ActiveModel {
            occurred_at: Set(honest.occurred_at + TimeDelta::microseconds(1)),
            ..Default::default()
        },
        audit_event::ActiveModel { actor_kind: Set(entity::status::ActorKind::System), ..Default::default() },
        audit_event::ActiveModel { actor_id: Set("user_0".into()), ..Default::default() },
        audit_event::ActiveModel { action: Set("team.read".into()), ..Default::default() },
        audit_event::ActiveModel { subject: Set(format!("{} ", honest.subject)), ..Default::default() },
        audit_event::ActiveModel { request_id: Set("none".into()), ..Default::default() },
        audit_event::ActiveModel { client_ip: Set(None), ..Default::default() },
        audit_event::ActiveModel {
            detail: Set(honest.detail.replace("team 3", "team 4")),
            ..Default::default()
        },
        audit_event::ActiveModel { hash: Set(vec![0; 32]), ..Default::default() },
    ];
    for edit in edits {
        assert_eq!(verify(&app).await["valid"], true);
        forger.edit(4, edit.clone()).await;
        assert_eq!(verify(&app).await, broken(4, "the event was changed or moved"), "{edit:?}");
        let restored = sea_orm::ActiveModelTrait::reset_all(honest.clone().into_active_model());
        forger.edit(4, restored).await;
    }
    // Text that moves over the border of two columns is another text.
    let (action, subject) = (honest.action.clone(), honest.subject.clone());
    let (head, tail) = action.split_at(action.len() - 1);
    let moved = audit_event::ActiveModel {
        action: Set(head.to_owned()),
        subject: Set(format!("{tail}{subject}")),
        ..Default::default()
    };
    forger.edit(4, moved).await;
    assert_eq!(verify(&app).await["first_broken"], 4);
});

on_both!(a_missing_or_moved_event_is_found_out, |app| {
    make_teams(&app.owner(), 6).await;
    let forger = Forger::new(&app).await;
    let (third, fifth) = (forger.row(3).await, forger.row(5).await);
    forger.delete_from(3, 3).await;
    assert_eq!(verify(&app).await, broken(3, "the event is missing"));
    forger.delete_from(5, 5).await;
    forger.insert(audit_event::Model { seq: 5, ..third.clone() }).await;
    forger.insert(audit_event::Model { seq: 3, ..fifth.clone() }).await;
    assert_eq!(verify(&app).await, broken(3, "the event was changed or moved"));
    forger.delete_from(3, 3).await;
    forger.delete_from(5, 5).await;
    forger.insert(third).await;
    forger.insert(fifth).await;
    assert_eq!(verify(&app).await["valid"], true);
    forger.delete_from(1, 1).await;
    assert_eq!(verify(&app).await, broken(1, "the event is missing"));
});

on_both!(a_log_that_is_cut_off_is_found_out, |app| {
    make_teams(&app.owner(), 6).await;
    let kept = app.owner().get(&format!("{EVENTS}/checkpoint")).await.ok();
    let forger = Forger::new(&app).await;
    let fourth = forger.row(4).await;
    forger.delete_from(5, 6).await;
    assert_eq!(verify(&app).await, broken(5, "the event is missing at the end"));
    // Who rewrites the head, too, is given away by a checkpoint alone.
    forger.set_head(4, fourth.hash).await;
    assert_eq!(verify(&app).await["valid"], true);
    assert_eq!(verify_against(&app, &kept).await, broken(5, "the event is missing at the end"));
    // And also when the log has grown past it again.
    make_teams_named(&app, "later", 3).await;
    assert_eq!(verify(&app).await["checked"], 7);
    assert_eq!(verify_against(&app, &kept).await, broken(6, "the event differs from the checkpoint"));
});

async fn make_teams_named(app: &TestApp, name: &str, count: usize) {
    for n in 0..count {
        app.owner().post(TEAMS, json!({"name": format!("{name} {n}")})).await.created();
    }
}

on_both!(a_head_that_was_tampered_with_is_found_out, |app| {
    make_teams(&app.owner(), 4).await;
    let forger = Forger::new(&app).await;
    let (third, fourth) = (forger.row(3).await, forger.row(4).await);
    forger.set_head(4, vec![7; 32]).await;
    assert_eq!(verify(&app).await, broken(4, "the event differs from the head"));
    forger.set_head(3, third.hash).await;
    assert_eq!(verify(&app).await, broken(4, "the event is beyond the head"));
    forger.set_head(9, fourth.hash.clone()).await;
    assert_eq!(verify(&app).await, broken(5, "the event is missing at the end"));
    forger.set_head(4, fourth.hash).await;
    assert_eq!(verify(&app).await["valid"], true);
});

on_both!(fifty_writers_leave_no_gap, |app| {
    let owner = app.owner();
    let name = |n: i32| json!({"name": format!("race {n}")});
    let replies = join_all((0..50).map(|n| owner.post(TEAMS, name(n)).into_future())).await;
    assert!(
        replies.iter().all(|reply| reply.status == 201),
        "{:?}",
        replies.iter().map(|r| r.status).collect::<Vec<_>>()
    );
    assert_eq!(
        verify(&app).await,
        json!({"valid": true, "checked": 50, "first_broken": null, "reason": null})
    );
    // A call that fails leaves no trace, and no gap.
    owner.post(TEAMS, name(0)).await.problem(409, "duplicate");
    owner.post(TEAMS, name(50)).await.created();
    assert_eq!(verify(&app).await["checked"], 51);
});

on_both!(a_long_chain_is_walked_to_its_end, |app| {
    let owner = app.owner();
    make_teams(&owner, 1).await;
    let forger = Forger::new(&app).await;
    let first = forger.row(1).await;
    let ctx = service::Ctx::internal(&app.system, service::scope::Scope::all(app.organization));
    for _ in 0..25 {
        let mut unit = ctx.begin().await.unwrap();
        for n in 0..100 {
            unit.audit("test.event", &first.subject, json!({"n": n, "text": "Ünïcode 🦀 \u{1} \"quoted\""}));
        }
        unit.commit(()).await.unwrap();
    }
    assert_eq!(verify(&app).await["checked"], 2501);
    let edit = audit_event::ActiveModel { action: Set("test.event ".into()), ..Default::default() };
    forger.edit(2345, edit).await;
    assert_eq!(verify(&app).await["first_broken"], 2345);
    let platform: Option<org_head::Model> =
        org_head::Entity::find_by_id(OrganizationId::PLATFORM).one(&app.system.db.reader).await.unwrap();
    assert_eq!(platform.unwrap().audit_seq, 0);
});
