//! Organizations, users, memberships, teams, team members, service accounts; the platform's own row.

use crate::columns::*;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const STANDING: [&str; 3] = ["active", "suspended", "deleted"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statement in
            [organization(), user_account(), membership(), team(), team_member(), service_account()]
        {
            manager.create_table(statement).await?;
        }
        index(manager, "organization", &["slug"], true).await?;
        index(manager, "user_account", &["email"], true).await?;
        index(manager, "membership", &["user_id"], false).await?;
        index(manager, "team_member", &["organization_id", "user_id"], false).await?;
        let db = manager.get_connection();
        for owner in ["team", "service_account"] {
            db.execute_unprepared(&format!(
                "CREATE UNIQUE INDEX uq_{owner}_name ON {owner} (organization_id, name) WHERE status <> 'deleted'"
            ))
            .await?;
        }
        let insert = Query::insert()
            .into_table(name("organization"))
            .columns(["id", "slug", "name", "status", "version", "created_at", "updated_at"].map(name))
            .values_panic([
                sea_orm_migration::sea_orm::prelude::Uuid::nil().into(),
                "-".into(),
                "platform".into(),
                "active".into(),
                1i64.into(),
                Expr::val(epoch()),
                Expr::val(epoch()),
            ])
            .take();
        manager.execute(insert).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(
            manager,
            &["service_account", "team_member", "team", "membership", "user_account", "organization"],
        )
        .await
    }
}

fn epoch() -> sea_orm_migration::sea_orm::prelude::DateTimeUtc {
    sea_orm_migration::sea_orm::prelude::DateTimeUtc::UNIX_EPOCH
}

fn organization() -> TableCreateStatement {
    let columns = [
        uuid("id"),
        text("slug", 64),
        text("name", 255),
        text("status", 16),
        json_null("allowed_models"),
        big_null("max_key_lifetime"),
    ];
    table("organization", columns.into_iter().chain(stamps()), &["id"])
        .check(one_of("organization", "status", &STANDING))
        .take()
}

fn user_account() -> TableCreateStatement {
    let columns = [
        uuid("id"),
        text("email", 320),
        text("name", 255),
        bytes_null("password_hash"),
        text("status", 16),
        big("session_version"),
        bool("operator"),
    ];
    table("user_account", columns.into_iter().chain(stamps()), &["id"])
        .check(one_of("user_account", "status", &STANDING))
        .take()
}

fn membership() -> TableCreateStatement {
    let columns = [uuid("organization_id"), uuid("user_id"), text("role", 16), text("status", 16)];
    table("membership", columns.into_iter().chain(stamps()), &["organization_id", "user_id"])
        .check(one_of("membership", "role", &["owner", "admin", "member", "billing", "viewer"]))
        .check(one_of("membership", "status", &STANDING))
        .foreign_key(&mut foreign_key("membership", &["organization_id"], "organization", &["id"]))
        .foreign_key(&mut foreign_key("membership", &["user_id"], "user_account", &["id"]))
        .take()
}

fn team() -> TableCreateStatement {
    let columns = [
        uuid("id"),
        uuid("organization_id"),
        text("name", 255),
        text("status", 16),
        json_null("allowed_models"),
        big_null("max_key_lifetime"),
        json("tags"),
    ];
    table("team", columns.into_iter().chain(stamps()), &["id"])
        .index(
            Index::create()
                .unique()
                .name("uq_team_organization_id")
                .col(name("organization_id"))
                .col(name("id")),
        )
        .check(one_of("team", "status", &STANDING))
        .foreign_key(&mut foreign_key("team", &["organization_id"], "organization", &["id"]))
        .take()
}

fn team_member() -> TableCreateStatement {
    let columns = [uuid("team_id"), uuid("user_id"), uuid("organization_id"), text("role", 16)];
    table("team_member", columns.into_iter().chain(stamps()), &["team_id", "user_id"])
        .check(one_of("team_member", "role", &["admin", "member"]))
        .foreign_key(&mut foreign_key(
            "team_member",
            &["organization_id", "team_id"],
            "team",
            &["organization_id", "id"],
        ))
        .foreign_key(&mut foreign_key(
            "team_member",
            &["organization_id", "user_id"],
            "membership",
            &["organization_id", "user_id"],
        ))
        .take()
}

fn service_account() -> TableCreateStatement {
    let columns = [
        uuid("id"),
        uuid("organization_id"),
        text("name", 255),
        text("description", 1000),
        text("status", 16),
    ];
    table("service_account", columns.into_iter().chain(stamps()), &["id"])
        .index(
            Index::create()
                .unique()
                .name("uq_service_account_organization_id")
                .col(name("organization_id"))
                .col(name("id")),
        )
        .check(one_of("service_account", "status", &STANDING))
        .foreign_key(&mut foreign_key("service_account", &["organization_id"], "organization", &["id"]))
        .take()
}
