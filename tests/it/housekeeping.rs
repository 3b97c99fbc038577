//! What is expired goes, what is not stays, and a secret in a stored reply goes first.

use chrono::TimeDelta;
use entity::{
    device, idempotency_record, invitation, login_throttle, password_reset, refresh_token, session,
};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use serde_json::json;
use service::housekeeping;
use tests::{TestApp, on_both};

async fn count<E>(app: &TestApp) -> u64
where
    E: EntityTrait,
    E::Model: Sync,
{
    E::find().count(&app.system.db.reader).await.unwrap()
}

async fn kept_secrets(app: &TestApp) -> u64 {
    let with_reply = idempotency_record::Entity::find()
        .filter(idempotency_record::Column::SecretOf.is_not_null())
        .filter(idempotency_record::Column::Reply.is_not_null());
    with_reply.count(&app.system.db.reader).await.unwrap()
}

on_both!(a_secret_in_a_stored_reply_lives_ten_minutes_and_the_record_a_day, |app| {
    let owner = app.owner();
    let token = json!({"name": "edge"});
    owner.post("/v1/organizations/default/gateway-tokens", &token).idempotency_key("once").await.created();
    assert_eq!(kept_secrets(&app).await, 1);
    housekeeping::round(&app.system).await;
    assert_eq!(kept_secrets(&app).await, 1);

    app.clock.advance(TimeDelta::minutes(11));
    housekeeping::round(&app.system).await;
    assert_eq!(kept_secrets(&app).await, 0);
    assert_eq!(count::<idempotency_record::Entity>(&app).await, 1, "that the call was made stays known");
    let again = owner.post("/v1/organizations/default/gateway-tokens", &token).idempotency_key("once").await;
    again.problem(409, "secret_expired");

    app.clock.advance(TimeDelta::hours(24));
    housekeeping::round(&app.system).await;
    assert_eq!(count::<idempotency_record::Entity>(&app).await, 0);
});

on_both!(sign_ins_go_when_nothing_can_come_of_them, |app| {
    let seeded = count::<session::Entity>(&app).await;
    let login = json!({"email": "owner@example.com", "password": tests::PASSWORD});
    app.anonymous().post("/v1/auth/login", login).await.ok();
    let wrong = json!({"email": "owner@example.com", "password": "not the password"});
    app.anonymous().post("/v1/auth/login", wrong).await.problem(401, "invalid_credentials");
    housekeeping::round(&app.system).await;
    assert_eq!(count::<session::Entity>(&app).await, seeded + 1);
    assert_eq!(count::<refresh_token::Entity>(&app).await, 1);
    assert_eq!(count::<device::Entity>(&app).await, 1);
    assert!(count::<login_throttle::Entity>(&app).await > 0);

    app.clock.advance(TimeDelta::days(365));
    housekeeping::round(&app.system).await;
    assert_eq!(count::<session::Entity>(&app).await, 0);
    assert_eq!(count::<refresh_token::Entity>(&app).await, 0);
    assert_eq!(count::<device::Entity>(&app).await, 0);
    assert_eq!(count::<login_throttle::Entity>(&app).await, 0);
});

on_both!(links_can_be_seen_for_a_month_after_their_end, |app| {
    let owner = app.owner();
    let member = app.member().await;
    let invitation = json!({"email": "late@example.com", "role": "member"});
    owner.post("/v1/organizations/default/invitations", invitation).await.created();
    owner.post(&format!("/v1/users/{}/reset-link", member.user_id), json!({})).await.created();
    for (days, left) in [(20, 1), (60, 0)] {
        app.clock.advance(TimeDelta::days(days));
        housekeeping::round(&app.system).await;
        assert_eq!(count::<invitation::Entity>(&app).await, left, "after {days} days");
        assert_eq!(count::<password_reset::Entity>(&app).await, left, "after {days} days");
    }
});
