//! Virtual keys and their secrets, admin tokens, gateway tokens, last use.

use crate::columns::*;
use sea_orm_migration::{prelude::*, sea_orm::DatabaseBackend};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statement in [virtual_key(), key_secret(), admin_token(), gateway_token(), credential_activity()]
        {
            manager.create_table(statement).await?;
        }
        for statement in lists(manager.get_database_backend()) {
            manager.get_connection().execute_unprepared(&statement).await?;
        }
        index(manager, "key_secret", &["key_id", "id"], false).await?;
        index(manager, "admin_token", &["organization_id", "name"], true).await?;
        index(manager, "gateway_token", &["organization_id", "name"], true).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(
            manager,
            &["credential_activity", "gateway_token", "admin_token", "key_secret", "virtual_key"],
        )
        .await
    }
}

/// Lists run by id inside an organization, and inside what an organization's keys are filtered by. A key that was
/// deleted is in none of them. Postgres chooses by its statistics, and has more to choose from; SQLite would take an
/// index that does not keep the order where walking the list is better.
fn lists(backend: DatabaseBackend) -> Vec<String> {
    let index = |name: &str, columns: &str, also: &str| {
        format!(
            "CREATE INDEX ix_virtual_key_{name} ON virtual_key ({columns}) WHERE archived_at IS NULL{also}"
        )
    };
    let mut statements = vec![
        index("live", "organization_id, id", ""),
        index("status", "organization_id, status, id", ""),
        index("created_by", "organization_id, created_by, id", ""),
    ];
    for owner in ["team_id", "user_id", "service_account_id"] {
        let columns = format!("organization_id, {owner}, id");
        statements.push(index(owner, &columns, &format!(" AND {owner} IS NOT NULL")));
    }
    if backend == DatabaseBackend::Postgres {
        statements.extend([
            index("expires_at", "organization_id, expires_at", " AND expires_at IS NOT NULL"),
            index("name", "organization_id, name varchar_pattern_ops", ""),
            "CREATE INDEX ix_virtual_key_tags ON virtual_key USING gin (tags jsonb_path_ops)".into(),
        ]);
    }
    statements
}

fn virtual_key() -> TableCreateStatement {
    let columns = [
        uuid("id"),
        uuid("organization_id"),
        text("name", 255),
        uuid_null("team_id"),
        uuid_null("user_id"),
        uuid_null("service_account_id"),
        text("created_by", 64),
        text("status", 16),
        json_null("allowed_models"),
        json_null("denied_models"),
        json_null("scopes"),
        json_null("allowed_cidrs"),
        time_null("expires_at"),
        json("tags"),
        json("metadata"),
        time_null("revoked_at"),
        time_null("archived_at"),
    ];
    let one_owner = "(CASE WHEN team_id IS NULL THEN 0 ELSE 1 END + CASE WHEN user_id IS NULL THEN 0 ELSE 1 END \
                     + CASE WHEN service_account_id IS NULL THEN 0 ELSE 1 END) = 1";
    table("virtual_key", columns.into_iter().chain(stamps()), &["id"])
        .index(
            Index::create()
                .unique()
                .name("uq_virtual_key_organization_id")
                .col(name("organization_id"))
                .col(name("id")),
        )
        .check(one_of("virtual_key", "status", &["active", "disabled", "revoked"]))
        .check(Check::named(name("ck_virtual_key_owner"), Expr::cust(one_owner)))
        .foreign_key(&mut foreign_key("virtual_key", &["organization_id"], "organization", &["id"]))
        .foreign_key(&mut foreign_key(
            "virtual_key",
            &["organization_id", "team_id"],
            "team",
            &["organization_id", "id"],
        ))
        .foreign_key(&mut foreign_key("virtual_key", &["user_id"], "user_account", &["id"]))
        .foreign_key(&mut foreign_key(
            "virtual_key",
            &["organization_id", "service_account_id"],
            "service_account",
            &["organization_id", "id"],
        ))
        .take()
}

fn key_secret() -> TableCreateStatement {
    let columns = [
        uuid("id"),
        uuid("organization_id"),
        uuid("key_id"),
        text("scheme", 16),
        int("pepper_version"),
        bytes("digest"),
        text("last4", 4),
        text("created_by", 64),
        time("created_at"),
        time_null("expires_at"),
    ];
    table("key_secret", columns, &["id"])
        .foreign_key(&mut foreign_key(
            "key_secret",
            &["organization_id", "key_id"],
            "virtual_key",
            &["organization_id", "id"],
        ))
        .take()
}

fn admin_token() -> TableCreateStatement {
    let columns = [
        uuid("id"),
        uuid("organization_id"),
        text("name", 255),
        json("permissions"),
        uuid("created_by"),
        int("pepper_version"),
        bytes("digest"),
        text("last4", 4),
        time_null("expires_at"),
    ];
    table("admin_token", columns.into_iter().chain(stamps()), &["id"])
        .foreign_key(&mut foreign_key("admin_token", &["organization_id"], "organization", &["id"]))
        .foreign_key(&mut foreign_key("admin_token", &["created_by"], "user_account", &["id"]))
        .take()
}

fn gateway_token() -> TableCreateStatement {
    let columns = [
        uuid("id"),
        uuid("organization_id"),
        text("name", 255),
        json("scopes"),
        json_null("team_ids"),
        json_null("allowed_cidrs"),
        text("created_by", 64),
        int("pepper_version"),
        bytes("digest"),
        text("last4", 4),
        time_null("expires_at"),
    ];
    table("gateway_token", columns.into_iter().chain(stamps()), &["id"])
        .foreign_key(&mut foreign_key("gateway_token", &["organization_id"], "organization", &["id"]))
        .take()
}

fn credential_activity() -> TableCreateStatement {
    table("credential_activity", [uuid("id"), time("last_used_at")], &["id"])
}
