//! Invitations: making, listing and taking back. Accepting them is sign-in's.

use chrono::TimeDelta;
use entity::{id::InvitationId, invitation};
use futures_util::future::join_all;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};
use tests::{Client, TestApp, on_both};

const INVITATIONS: &str = "/v1/organizations/default/invitations";

fn path(invitation: &Value) -> String {
    format!("{INVITATIONS}/{}", invitation["id"].as_str().unwrap())
}

async fn team(client: &Client, organization: &str) -> String {
    let path = format!("/v1/organizations/{organization}/teams");
    let team = client.post(&path, json!({"name": "search"})).await.created();
    team["id"].as_str().unwrap().to_owned()
}

async fn stored(app: &TestApp, invitation: &Value) -> invitation::Model {
    let id: InvitationId = invitation["id"].as_str().unwrap().parse().unwrap();
    invitation::Entity::find_by_id(id).one(&app.system.db.reader).await.unwrap().unwrap()
}

on_both!(an_invitation_shows_its_secret_once, |app| {
    let owner = app.owner();
    let team = team(&owner, "default").await;
    let body = json!({"email": "Ada.Lovelace@Example.COM", "role": "member", "teams": [{"team_id": team, "role": "admin"}]});
    let mut made = owner.post(INVITATIONS, body).await.created();
    let secret = made["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("tki_") && secret.len() == 4 + 22 + 1 + 43 + 1 + 6, "{secret}");
    assert_eq!((&made["email"], &made["role"]), (&json!("ada.lovelace@example.com"), &json!("member")));
    assert_eq!(made["teams"], json!([{"team_id": team, "role": "admin"}]));
    assert_eq!(made["created_by"], json!(owner.user_id));
    assert_eq!(made["expires_at"], "2027-01-22T10:00:00Z");
    assert_eq!((&made["accepted_at"], &made["version"]), (&json!(null), &json!(1)));

    made.as_object_mut().unwrap().remove("secret");
    assert_eq!(owner.get(&path(&made)).await.ok(), made);
    let listed = owner.get(INVITATIONS).await;
    assert!(!listed.text.contains(&secret) && !listed.text.contains("digest"));
    assert_eq!(listed.ok()["items"], json!([made]));
    let told = owner.get("/v1/organizations/default/audit-events?action=invitation.create").await;
    assert!(!told.text.contains("ada.lovelace") && !told.text.contains(&secret), "{}", told.text);
    assert_eq!(told.ok()["items"][0]["subject"], made["id"]);
});

on_both!(an_invitation_that_is_none_is_refused, |app| {
    let owner = app.owner();
    let post = |body: Value| owner.post(INVITATIONS, body);
    post(json!({})).await.invalid(&[("/email", "required")]);
    post(json!({"email": "a@b.c"})).await.invalid(&[("/role", "required")]);
    post(json!({"email": "a@b.c", "role": "king"})).await.invalid(&[("/role", "invalid_value")]);
    for email in [
        "",
        "a",
        "@",
        "a@",
        "@b",
        "a b@c.d",
        "a@b@c",
        "a@b.c\n",
        "a\u{0}@b.c",
        "a@.b",
        &format!("{}@b.c", "a".repeat(320)),
    ] {
        post(json!({"email": email, "role": "member"})).await.invalid(&[("/email", "invalid_email")]);
    }
    for seconds in [0, -1, 59, 2_592_001, i64::MAX] {
        let body = json!({"email": "a@b.c", "role": "member", "expires_in_seconds": seconds});
        post(body).await.invalid(&[("/expires_in_seconds", "out_of_range")]);
    }
    let team = team(&owner, "default").await;
    let twice = json!([{"team_id": team, "role": "admin"}, {"team_id": team, "role": "member"}]);
    post(json!({"email": "a@b.c", "role": "member", "teams": twice}))
        .await
        .invalid(&[("/teams", "duplicate")]);
    let many: Vec<Value> =
        (0..65).map(|n| json!({"team_id": format!("team_{n:032x}"), "role": "member"})).collect();
    post(json!({"email": "a@b.c", "role": "member", "teams": many})).await.invalid(&[("/teams", "too_many")]);
    let wrong = json!({"email": "a@b.c", "role": "member", "teams": [{"team_id": "x", "role": "member"}]});
    post(wrong).await.invalid(&[("/teams/0/team_id", "invalid_value")]);
    for extra in ["operator", "created_by", "secret", "accepted_at"] {
        post(json!({"email": "a@b.c", "role": "member", extra: true})).await.problem(400, "unknown_field");
    }
    assert_eq!(owner.get(INVITATIONS).await.ok()["items"], json!([]));
});

on_both!(addresses_are_one_whatever_their_case, |app| {
    let owner = app.owner();
    app.admin().await;
    for email in ["owner@example.com", "OWNER@Example.Com", "Person0@EXAMPLE.com"] {
        owner.post(INVITATIONS, json!({"email": email, "role": "member"})).await.problem(409, "duplicate");
    }
    let unicode =
        owner.post(INVITATIONS, json!({"email": "JÜRGEN@Müller.DE", "role": "viewer"})).await.created();
    assert_eq!(unicode["email"], "jürgen@müller.de");
});

on_both!(nothing_tells_whether_an_address_is_known_elsewhere, |app| {
    let owner = app.owner();
    app.other_organization("acme").await;
    let known = json!({"email": "person0@example.com", "role": "member"});
    let unknown = json!({"email": "nobody@example.com", "role": "member"});
    let mut replies =
        [owner.post(INVITATIONS, known).await.created(), owner.post(INVITATIONS, unknown).await.created()];
    for reply in &mut replies {
        for own in ["id", "email", "secret"] {
            reply.as_object_mut().unwrap().remove(own);
        }
    }
    assert_eq!(replies[0], replies[1]);
});

on_both!(nobody_invites_to_more_than_they_have, |app| {
    let (owner, admin) = (app.owner(), app.admin().await);
    let invite = |role: &str| json!({"email": format!("{role}@new.example"), "role": role});
    for role in ["owner", "admin", "member", "billing", "viewer"] {
        owner.post(INVITATIONS, invite(role)).await.created();
    }
    admin.post(INVITATIONS, invite("owner")).await.problem(403, "forbidden");
    admin.post(INVITATIONS, invite("admin")).await.created();
    for caller in [app.member().await, app.billing().await, app.viewer().await] {
        caller.post(INVITATIONS, invite("viewer")).await.problem(403, "forbidden");
    }
    app.member().await.get(INVITATIONS).await.problem(403, "forbidden");
    app.viewer().await.get(INVITATIONS).await.ok();
    app.anonymous().post(INVITATIONS, invite("viewer")).await.problem(401, "unauthenticated");

    let tokens = "/v1/organizations/default/admin-tokens";
    let permissions = ["members:write", "organization:read", "prices:read", "models:read"];
    let body = json!({"name": "ci", "permissions": permissions});
    let made = owner.post(tokens, body).await.created();
    let robot = app.client(made["secret"].as_str().unwrap());
    for role in ["owner", "admin", "billing", "viewer"] {
        robot.post(INVITATIONS, invite(role)).await.problem(403, "forbidden");
    }
    let invited = robot.post(INVITATIONS, invite("member")).await.created();
    assert_eq!(invited["created_by"], made["id"]);
    let mut into_team = invite("member");
    into_team["teams"] = json!([{"team_id": team(&owner, "default").await, "role": "member"}]);
    robot.post(INVITATIONS, into_team).await.problem(403, "forbidden");
});

on_both!(an_invitation_leads_into_teams_of_its_organization, |app| {
    let (owner, acme) = (app.owner(), app.other_organization("acme").await);
    let foreign = team(&acme, "acme").await;
    let own = team(&owner, "default").await;
    let into = |team: &str| json!({"email": "a@b.c", "role": "member", "teams": [{"team_id": team, "role": "member"}]});
    let hidden = owner.post(INVITATIONS, into(&foreign)).await.problem(404, "not_found");
    let absent = owner
        .post(INVITATIONS, into("team_019aa3c1f6b07c3e9a5d2f4b8c6e1d70"))
        .await
        .problem(404, "not_found");
    assert_eq!(hidden["detail"], absent["detail"]);
    owner.post(INVITATIONS, into(&own)).await.created();
    owner.delete(&format!("/v1/organizations/default/teams/{own}")).await.no_content();
    owner.post(INVITATIONS, into(&own)).await.problem(404, "not_found");
});

on_both!(an_invitation_is_taken_back, |app| {
    let (owner, acme) = (app.owner(), app.other_organization("acme").await);
    let body = json!({"email": "a@b.c", "role": "member"});
    let made = owner.post(INVITATIONS, &body).idempotency_key("one").await;
    let again = owner.post(INVITATIONS, &body).idempotency_key("one").await;
    assert_eq!((again.status, again.header("idempotent-replayed"), &again.text), (201, "true", &made.text));
    let made = made.created();
    acme.get(&path(&made)).await.problem(404, "not_found");
    acme.delete(&path(&made)).await.problem(404, "not_found");
    let foreign = format!("/v1/organizations/acme/invitations/{}", made["id"].as_str().unwrap());
    for request in [acme.get(&foreign), acme.delete(&foreign)] {
        request.await.problem(404, "not_found");
    }
    app.viewer().await.delete(&path(&made)).await.problem(403, "forbidden");
    owner.delete(&path(&made)).if_match(2).await.problem(412, "version_conflict");
    owner.delete(&path(&made)).if_match(1).await.no_content();
    owner.get(&path(&made)).await.problem(404, "not_found");
    owner.delete(&path(&made)).await.problem(404, "not_found");
    // The reply with the secret is gone with the invitation.
    owner.post(INVITATIONS, &body).idempotency_key("one").await.problem(409, "secret_expired");
});

on_both!(an_accepted_invitation_is_history, |app| {
    let owner = app.owner();
    let made = owner.post(INVITATIONS, json!({"email": "a@b.c", "role": "member"})).await.created();
    app.clock.advance(TimeDelta::seconds(1));
    let open = owner.post(INVITATIONS, json!({"email": "b@b.c", "role": "member"})).await.created();
    let accepted = invitation::ActiveModel { accepted_at: Set(Some(app.clock.now())), ..Default::default() };
    let id = stored(&app, &made).await.id;
    let update = invitation::Entity::update_many().set(accepted).filter(invitation::Column::Id.eq(id));
    update.exec(&app.system.db.writer).await.unwrap();

    owner.delete(&path(&made)).await.problem(409, "invitation_accepted");
    assert_eq!(owner.get(&path(&made)).await.ok()["accepted_at"], "2027-01-15T10:00:01Z");
    for (query, id) in [("?accepted=true", &made["id"]), ("?accepted=false", &open["id"])] {
        let page = owner.get(&format!("{INVITATIONS}{query}")).await.ok();
        assert_eq!((page["items"].as_array().unwrap().len(), &page["items"][0]["id"]), (1, id));
    }
    let first = owner.get(&format!("{INVITATIONS}?page_size=1")).await.ok();
    assert_eq!(first["items"][0]["id"], open["id"]);
    let rest = format!("{INVITATIONS}?page_size=1&cursor={}", first["next_cursor"].as_str().unwrap());
    assert_eq!(owner.get(&rest).await.ok()["items"][0]["id"], made["id"]);
    owner.get(&format!("{INVITATIONS}?accepted=perhaps")).await.problem(400, "invalid_parameter");
});

on_both!(an_inviter_who_is_demoted_meanwhile_invites_nobody, |app| {
    let owner = app.owner();
    for round in 0..8 {
        let admin = app.admin().await;
        let invite = json!({"email": format!("round{round}@new.example"), "role": "admin"});
        let member = format!("/v1/organizations/default/members/{}", admin.user_id);
        let demotion = json!({"role": "member"});
        let (demoted, invited) = tokio::join!(
            owner.patch(&member, demotion).into_future(),
            admin.post(INVITATIONS, &invite).into_future()
        );
        assert_eq!(demoted.status, 200, "{}", demoted.text);
        assert!(matches!(invited.status, 201 | 403), "{}", invited.text);
        admin.post(INVITATIONS, invite).await.problem(403, "forbidden");
    }
});

on_both!(of_many_who_take_an_invitation_back_one_does, |app| {
    let owner = app.owner();
    let made = owner.post(INVITATIONS, json!({"email": "a@b.c", "role": "member"})).await.created();
    let replies = join_all((0..10).map(|_| owner.delete(&path(&made)).into_future())).await;
    let mut statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![204], vec![404; 9]].concat());
});
