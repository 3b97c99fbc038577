//! Invitations, password resets, sessions, refresh tokens, the sign-in throttle, check values of the secrets.

use crate::columns::*;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tables =
            [invitation(), password_reset(), session(), refresh_token(), login_throttle(), secret_check()];
        for statement in tables {
            manager.create_table(statement).await?;
        }
        index(manager, "invitation", &["organization_id", "id"], false).await?;
        index(manager, "session", &["user_id"], false).await?;
        index(manager, "session", &["expires_at"], false).await?;
        index(manager, "refresh_token", &["session_id"], false).await?;
        // A session has one lineage: at any time one refresh token that has not been exchanged.
        let live =
            "CREATE UNIQUE INDEX uq_refresh_token_live ON refresh_token (session_id) WHERE used_at IS NULL";
        manager.get_connection().execute_unprepared(live).await?;
        index(manager, "login_throttle", &["updated_at"], false).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(
            manager,
            &["secret_check", "login_throttle", "refresh_token", "session", "password_reset", "invitation"],
        )
        .await
    }
}

fn invitation() -> TableCreateStatement {
    let columns = [
        uuid("id"),
        uuid("organization_id"),
        text_null("email", 320),
        text("role", 16),
        json("teams"),
        bool("operator"),
        text("created_by", 64),
        int("pepper_version"),
        bytes("digest"),
        time("expires_at"),
        time_null("accepted_at"),
    ];
    table("invitation", columns.into_iter().chain(stamps()), &["id"])
        .check(one_of("invitation", "role", &["owner", "admin", "member", "billing", "viewer"]))
        .foreign_key(&mut foreign_key("invitation", &["organization_id"], "organization", &["id"]))
        .take()
}

fn password_reset() -> TableCreateStatement {
    let columns = [
        uuid("id"),
        uuid("user_id"),
        int("pepper_version"),
        bytes("digest"),
        time("created_at"),
        time("expires_at"),
        time_null("used_at"),
    ];
    table("password_reset", columns, &["id"])
        .foreign_key(&mut foreign_key("password_reset", &["user_id"], "user_account", &["id"]))
        .take()
}

fn session() -> TableCreateStatement {
    let columns = [
        uuid("id"),
        uuid("user_id"),
        text_null("client_ip", 64),
        text_null("user_agent", 255),
        time("created_at"),
        time("refreshed_at"),
        time("expires_at"),
        time_null("revoked_at"),
    ];
    table("session", columns, &["id"])
        .foreign_key(&mut foreign_key("session", &["user_id"], "user_account", &["id"]))
        .take()
}

fn refresh_token() -> TableCreateStatement {
    let columns = [
        uuid("id"),
        uuid("session_id"),
        uuid_null("replaces"),
        int("pepper_version"),
        bytes("digest"),
        time("created_at"),
        time_null("used_at"),
    ];
    table("refresh_token", columns, &["id"])
        .foreign_key(&mut foreign_key("refresh_token", &["session_id"], "session", &["id"]))
        .take()
}

fn login_throttle() -> TableCreateStatement {
    table("login_throttle", [bytes("id"), int("failures"), time("not_before"), time("updated_at")], &["id"])
}

fn secret_check() -> TableCreateStatement {
    table("secret_check", [text("name", 32), int("version"), bytes("check_value")], &["name", "version"])
}
