//! The owner who always remains, and other races for power.

use entity::{
    id::{OrganizationId, UserId},
    membership,
    status::{Role, Standing},
    user_account,
};
use futures_util::future::join_all;
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use serde_json::json;
use tests::{Client, TestApp, on_both};

const MEMBERS: &str = "/v1/organizations/default/members";

fn path(person: &Client) -> String {
    format!("{MEMBERS}/{}", person.user_id)
}

/// The operator suspends a person.
async fn suspend_account(app: &TestApp, person: &Client) {
    let row = user_account::ActiveModel { status: Set(Standing::Suspended), ..Default::default() };
    let id: UserId = person.user_id.parse().unwrap();
    let update = user_account::Entity::update_many().set(row).filter(user_account::Column::Id.eq(id));
    update.exec(&app.system.db.writer).await.unwrap();
}

on_both!(the_last_active_owner_stays, |app| {
    let owner = app.owner();
    let refused = async |owner: &Client| {
        let own = path(owner);
        owner.patch(&own, json!({"role": "admin"})).await.problem(409, "last_owner");
        owner.post(&format!("{own}/suspend"), json!({})).await.problem(409, "last_owner");
        owner.delete(&own).await.problem(409, "last_owner");
        owner.post(&format!("{MEMBERS}/leave"), json!({})).await.problem(409, "last_owner");
    };
    app.admin().await;
    refused(&owner).await;
    // An owner who is suspended, here or by the operator, is no active one.
    let second = app.person(Role::Owner).await;
    owner.post(&format!("{}/suspend", path(&second)), json!({})).await.ok();
    refused(&owner).await;
    let third = app.person(Role::Owner).await;
    suspend_account(&app, &third).await;
    refused(&owner).await;
    owner.patch(&path(&owner), json!({"role": "owner"})).await.ok();

    owner.post(&format!("{}/resume", path(&second)), json!({})).await.ok();
    owner.post(&format!("{MEMBERS}/leave"), json!({})).await.ok();
    refused(&second).await;
});

/// An organization with two owners.
async fn two_owners(app: &TestApp, slug: &str) -> (OrganizationId, [Client; 2]) {
    let first = app.other_organization(slug).await;
    let found = first.get(&format!("/v1/organizations/{slug}")).await.ok();
    let organization = found["id"].as_str().unwrap().parse().unwrap();
    (organization, [first, app.person_in(organization, Role::Owner).await])
}

async fn active_owners(app: &TestApp, organization: OrganizationId) -> usize {
    let rows = membership::Entity::find()
        .filter(membership::Column::OrganizationId.eq(organization))
        .filter(membership::Column::Role.eq(Role::Owner))
        .filter(membership::Column::Status.eq(Standing::Active));
    rows.all(&app.system.db.reader).await.unwrap().len()
}

on_both!(of_two_owners_at_each_others_throat_one_remains, |app| {
    for round in 0..4 {
        let slug = format!("round-{round}");
        let (organization, owners) = two_owners(&app, &slug).await;
        let members = format!("/v1/organizations/{slug}/members");
        let calls = (0..50).map(|n: usize| {
            let (caller, other) = (&owners[n % 2], &owners[(n + n / 2) % 2]);
            let target = format!("{members}/{}", other.user_id);
            // Each round begins with another kind of attack.
            match (n / 4 + round) % 4 {
                0 => caller.patch(&target, json!({"role": "viewer"})),
                1 => caller.post(&format!("{target}/suspend"), json!({})),
                2 => caller.delete(&target),
                _ => caller.post(&format!("{members}/leave"), json!({})),
            }
        });
        let replies = join_all(calls.map(IntoFuture::into_future)).await;
        assert!(replies.iter().any(|reply| reply.status < 300), "nobody got through");
        for reply in &replies {
            assert!(matches!(reply.status, 200 | 204 | 403 | 404 | 409), "{}", reply.text);
        }
        assert_eq!(active_owners(&app, organization).await, 1, "{slug}");
    }
});

on_both!(of_two_admins_who_demote_each_other_one_is_too_late, |app| {
    let owner = app.owner();
    for _ in 0..10 {
        let (one, two) = (app.admin().await, app.admin().await);
        let demote = json!({"role": "viewer"});
        let (a, b) = tokio::join!(
            one.patch(&path(&two), &demote).into_future(),
            two.patch(&path(&one), &demote).into_future()
        );
        let mut statuses = [a.status, b.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 403], "{} {}", a.text, b.text);
        let roles = [owner.get(&path(&one)).await.ok(), owner.get(&path(&two)).await.ok()];
        assert_eq!(roles.iter().filter(|member| member["role"] == "admin").count(), 1);
    }
});

on_both!(a_person_is_not_removed_while_joining_a_team, |app| {
    let owner = app.owner();
    let team = owner.post("/v1/organizations/default/teams", json!({"name": "t"})).await.created();
    let places = format!("/v1/organizations/default/teams/{}/members", team["id"].as_str().unwrap());
    for _ in 0..10 {
        let person = app.member().await;
        let join = json!({"user_id": person.user_id, "role": "member"});
        let (joined, removed) = tokio::join!(
            owner.post(&places, &join).into_future(),
            owner.delete(&path(&person)).into_future()
        );
        assert!(matches!(joined.status, 201 | 404), "{}", joined.text);
        assert_eq!(removed.status, 204, "{}", removed.text);
    }
    assert_eq!(owner.get(&places).await.ok()["items"], json!([]));
});
