//! Rows that a test starts from, written past the server: who is there before the first request.

use entity::{
    id::{OrganizationId, SessionId, TeamId, UserId},
    membership, org_head, organization,
    secret::Sealed,
    session,
    status::{Role, Standing, TeamRole},
    team_member, user_account,
};
use sea_orm::{ActiveValue::Set, EntityTrait};
use service::{System, jwt::Claims};
use tokio::sync::OnceCell;

/// The password of every seeded person.
pub const PASSWORD: &str = "seven purple lighthouses";

static HASH: OnceCell<Sealed> = OnceCell::const_new();

pub(crate) async fn organization(system: &System, slug: &str) -> OrganizationId {
    let now = system.clock.local();
    let id = system.entropy.id(now);
    let row = organization::ActiveModel {
        id: Set(id),
        slug: Set(slug.into()),
        name: Set(slug.into()),
        status: Set(Standing::Active),
        version: Set(1),
        created_at: Set(now),
        updated_at: Set(now),
        ..Default::default()
    };
    organization::Entity::insert(row).exec_without_returning(&system.db.writer).await.unwrap();
    let head = org_head::ActiveModel {
        organization_id: Set(id),
        policy_version: Set(0),
        tag: Set(i64::from_be_bytes(system.entropy.bytes())),
        log_floor: Set(0),
        audit_seq: Set(0),
        audit_hash: Set(vec![0; 32]),
        ..Default::default()
    };
    org_head::Entity::insert(head).exec_without_returning(&system.db.writer).await.unwrap();
    id
}

/// A person who is signed in.
pub(crate) async fn user(system: &System, email: &str, operator: bool) -> Claims {
    let now = system.clock.local();
    let hash =
        HASH.get_or_init(async || system.passwords.hash(PASSWORD.to_owned().into()).await.unwrap()).await;
    let id: UserId = system.entropy.id(now);
    let row = user_account::ActiveModel {
        id: Set(id),
        email: Set(email.into()),
        name: Set(email.split('@').next().unwrap_or_default().into()),
        password_hash: Set(Some(hash.clone())),
        status: Set(Standing::Active),
        session_version: Set(1),
        operator: Set(operator),
        version: Set(1),
        created_at: Set(now),
        updated_at: Set(now),
    };
    user_account::Entity::insert(row).exec_without_returning(&system.db.writer).await.unwrap();
    Claims { user: id, session: open_session(system, id).await, session_version: 1 }
}

async fn open_session(system: &System, user: UserId) -> SessionId {
    let now = system.clock.local();
    let id = system.entropy.id(now);
    let row = session::ActiveModel {
        id: Set(id),
        user_id: Set(user),
        device_id: Set(None),
        client_ip: Set(None),
        user_agent: Set(None),
        created_at: Set(now),
        refreshed_at: Set(now),
        expires_at: Set(now + chrono::TimeDelta::days(30)),
        revoked_at: Set(None),
    };
    session::Entity::insert(row).exec_without_returning(&system.db.writer).await.unwrap();
    id
}

pub(crate) async fn membership(system: &System, organization: OrganizationId, user: UserId, role: Role) {
    let now = system.clock.local();
    let row = membership::ActiveModel {
        organization_id: Set(organization),
        user_id: Set(user),
        role: Set(role),
        status: Set(Standing::Active),
        version: Set(1),
        created_at: Set(now),
        updated_at: Set(now),
    };
    membership::Entity::insert(row).exec_without_returning(&system.db.writer).await.unwrap();
}

pub(crate) async fn team_member(
    system: &System,
    (organization, team, user): (OrganizationId, TeamId, UserId),
    role: TeamRole,
) {
    let now = system.clock.local();
    let row = team_member::ActiveModel {
        team_id: Set(team),
        user_id: Set(user),
        organization_id: Set(organization),
        role: Set(role),
        added_by_team: Set(false),
        version: Set(1),
        created_at: Set(now),
        updated_at: Set(now),
    };
    team_member::Entity::insert(row).exec_without_returning(&system.db.writer).await.unwrap();
}
