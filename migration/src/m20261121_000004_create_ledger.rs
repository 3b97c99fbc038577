//! The head rows, the policy log, the append-only audit log, stored replies.

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
        for statement in [org_head(), policy_log(), audit_event(), idempotency_record()] {
            manager.create_table(statement).await?;
        }
        index(manager, "idempotency_record", &["expires_at"], false).await?;
        index(manager, "idempotency_record", &["secret_of"], false).await?;
        let db = manager.get_connection();
        for statement in append_only(manager.get_database_backend()) {
            db.execute_unprepared(statement).await?;
        }
        let head = Query::insert()
            .into_table(name("org_head"))
            .columns(
                ["organization_id", "policy_version", "tag", "log_floor", "audit_seq", "audit_hash"]
                    .map(name),
            )
            .values_panic([
                sea_orm_migration::sea_orm::prelude::Uuid::nil().into(),
                0i64.into(),
                0i64.into(),
                0i64.into(),
                0i64.into(),
                vec![0u8; 32].into(),
            ])
            .take();
        manager.execute(head).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &["idempotency_record", "audit_event", "policy_log", "org_head"]).await?;
        if manager.get_database_backend() == DatabaseBackend::Postgres {
            manager.get_connection().execute_unprepared("DROP FUNCTION audit_event_append_only()").await?;
        }
        Ok(())
    }
}

/// Nobody changes or removes an audit event, whatever the code does.
fn append_only(backend: DatabaseBackend) -> &'static [&'static str] {
    if backend == DatabaseBackend::Postgres {
        &[
            "CREATE FUNCTION audit_event_append_only() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION 'audit_event is append-only'; END $$",
            "CREATE TRIGGER tr_audit_event_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_event \
             FOR EACH STATEMENT EXECUTE FUNCTION audit_event_append_only()",
        ]
    } else {
        &[
            "CREATE TRIGGER tr_audit_event_no_update BEFORE UPDATE ON audit_event \
             BEGIN SELECT RAISE(ABORT, 'audit_event is append-only'); END",
            "CREATE TRIGGER tr_audit_event_no_delete BEFORE DELETE ON audit_event \
             BEGIN SELECT RAISE(ABORT, 'audit_event is append-only'); END",
        ]
    }
}

fn org_head() -> TableCreateStatement {
    let columns = [
        uuid("organization_id"),
        big("policy_version"),
        big("tag"),
        big("log_floor"),
        big("audit_seq"),
        bytes("audit_hash"),
    ];
    table("org_head", columns, &["organization_id"])
        .foreign_key(&mut foreign_key("org_head", &["organization_id"], "organization", &["id"]))
        .take()
}

fn policy_log() -> TableCreateStatement {
    let columns = [uuid("organization_id"), big("version"), int("n"), text("kind", 32), uuid("subject")];
    table("policy_log", columns, &["organization_id", "version", "n"])
}

fn audit_event() -> TableCreateStatement {
    let columns = [
        uuid("organization_id"),
        big("seq"),
        uuid("id"),
        time("occurred_at"),
        text("actor_kind", 16),
        text("actor_id", 64),
        text("action", 64),
        text("subject", 128),
        text("request_id", 128),
        text_null("client_ip", 64),
        long_text("detail"),
        bytes("hash"),
    ];
    table("audit_event", columns, &["organization_id", "seq"])
}

fn idempotency_record() -> TableCreateStatement {
    let columns = [
        bytes("id"),
        bytes("fingerprint"),
        bytes_null("reply"),
        uuid_null("secret_of"),
        time_null("secret_until"),
        time("created_at"),
        time("expires_at"),
    ];
    table("idempotency_record", columns, &["id"])
}
