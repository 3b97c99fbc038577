//! Limits and their windows; the clock of an organization's decisions; what organizations decide about holds.

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
        for statement in [usage_limit(), limit_window()] {
            manager.create_table(statement).await?;
        }
        index(manager, "usage_limit", &["organization_id", "subject_id"], false).await?;
        index(manager, "limit_window", &["organization_id", "window_start"], false).await?;
        if manager.get_database_backend() == DatabaseBackend::Postgres {
            // Every decision writes these rows: room for their next versions beside them, and prompt tidying.
            let db = manager.get_connection();
            for (table, fill) in [("limit_window", 50), ("org_head", 50)] {
                db.execute_unprepared(&format!(
                    "ALTER TABLE {table} SET (fillfactor = {fill}, autovacuum_vacuum_scale_factor = 0.01, \
                     autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0)"
                ))
                .await?;
            }
        }
        for (table, mut column) in columns() {
            let mut alter = Table::alter().table(name(table)).take();
            manager.alter_table(alter.add_column(&mut column).take()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, column) in columns() {
            let mut alter = Table::alter().table(name(table)).take();
            let column = column.get_column_name();
            manager.alter_table(alter.drop_column(name(&column)).take()).await?;
        }
        if manager.get_database_backend() == DatabaseBackend::Postgres {
            let reset = "ALTER TABLE org_head RESET (fillfactor, autovacuum_vacuum_scale_factor, \
                         autovacuum_vacuum_threshold, autovacuum_vacuum_cost_delay)";
            manager.get_connection().execute_unprepared(reset).await?;
        }
        drop_tables(manager, &["limit_window", "usage_limit"]).await
    }
}

/// New columns of tables that exist, with what the previous release means by their absence.
fn columns() -> [(&'static str, ColumnDef); 4] {
    [
        ("org_head", time("last_t").default("1970-01-01T00:00:00+00:00").take()),
        ("org_head", time_null("next_release_at")),
        ("organization", big_null("default_max_output_tokens")),
        ("organization", big_null("release_after").default(86_400).take()),
    ]
}

fn usage_limit() -> TableCreateStatement {
    let columns = [
        uuid("id"),
        uuid("organization_id"),
        text("subject_kind", 16),
        uuid("subject_id"),
        uuid_null("team_id"),
        text_null("each", 16),
        text("metric", 16),
        text_null("currency", 3),
        text("period", 16),
        int("period_count"),
        text_null("timezone", 64),
        json_null("models"),
        text("mode", 16),
        big("amount"),
        json_null("alert_at"),
        json_null("overrides"),
        text("set_by", 16),
        text("created_by", 64),
        time_null("deleted_at"),
    ];
    let subjects = ["organization", "team", "member", "user", "service_account", "key", "connection"];
    let metrics = ["requests", "tokens", "input_tokens", "output_tokens", "cost", "concurrency"];
    let periods = ["request", "minute", "hour", "day", "week", "month", "quarter", "year", "total"];
    table("usage_limit", columns.into_iter().chain(stamps()), &["id"])
        .check(one_of("usage_limit", "subject_kind", &subjects))
        .check(one_of("usage_limit", "each", &["key", "member", "service_account"]))
        .check(one_of("usage_limit", "metric", &metrics))
        .check(one_of("usage_limit", "period", &periods))
        .check(one_of("usage_limit", "mode", &["block", "warn", "shadow"]))
        .check(one_of("usage_limit", "set_by", &["organization", "team"]))
        .check(Check::named(name("ck_usage_limit_amount"), Expr::cust("amount >= 0 AND period_count >= 1")))
        .check(Check::named(
            name("ck_usage_limit_currency"),
            Expr::cust("(metric = 'cost') = (currency IS NOT NULL)"),
        ))
        .check(Check::named(
            name("ck_usage_limit_concurrency"),
            Expr::cust("metric <> 'concurrency' OR period = 'total'"),
        ))
        .foreign_key(&mut foreign_key("usage_limit", &["organization_id"], "organization", &["id"]))
        .take()
}

/// A window begins by being written: there is nothing to reset.
fn limit_window() -> TableCreateStatement {
    let columns = [
        uuid("limit_id"),
        uuid("subject_id"),
        time("window_start"),
        uuid("organization_id"),
        big("used"),
        big("held"),
        big("adjusted"),
        big("would_deny"),
    ];
    table("limit_window", columns, &["limit_id", "subject_id", "window_start"])
        .check(Check::named(name("ck_limit_window_counters"), Expr::cust("used >= 0 AND held >= 0")))
        .take()
}
