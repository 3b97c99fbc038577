//! Providers, models, aliases and prices; what organizations decided about calls without a price.

use crate::columns::*;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const ORIGINS: [&str; 3] = ["manual", "import", "catalogue"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statement in [provider(), model(), model_alias(), price(), catalogue_state()] {
            manager.create_table(statement).await?;
        }
        index(manager, "provider", &["organization_id", "name"], true).await?;
        index(manager, "model", &["organization_id", "provider", "name"], true).await?;
        index(manager, "model_alias", &["organization_id", "name"], true).await?;
        index(manager, "price", &["organization_id", "id"], true).await?;
        let db = manager.get_connection();
        for (name, whose, which) in [
            ("begin", "organization_id", "connection_id IS NULL"),
            ("connection_begin", "organization_id, connection_id", "connection_id IS NOT NULL"),
        ] {
            // Two prices of one key cannot begin at the same moment.
            db.execute_unprepared(&format!(
                "CREATE UNIQUE INDEX uq_price_{name} ON price ({whose}, COALESCE(model, ''), \
                 COALESCE(provider, ''), effective_from) WHERE {which}"
            ))
            .await?;
        }
        for mut column in settings() {
            let mut alter = Table::alter().table(name("organization")).take();
            manager.alter_table(alter.add_column(&mut column).take()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in ["default_currency", "unpriced_policy"] {
            let mut alter = Table::alter().table(name("organization")).take();
            manager.alter_table(alter.drop_column(name(column)).take()).await?;
        }
        drop_tables(manager, &["catalogue_state", "price", "model_alias", "model", "provider"]).await
    }
}

/// With what the previous release means by their absence.
fn settings() -> [ColumnDef; 2] {
    [text("default_currency", 3).default("USD").take(), text("unpriced_policy", 16).default("refuse").take()]
}

fn provider() -> TableCreateStatement {
    let columns = [
        uuid("id"),
        uuid("organization_id"),
        text("name", 64),
        text("display_name", 255),
        text("origin", 16),
    ];
    table("provider", columns.into_iter().chain(stamps()), &["id"])
        .check(one_of("provider", "origin", &ORIGINS))
        .foreign_key(&mut foreign_key("provider", &["organization_id"], "organization", &["id"]))
        .take()
}

fn model() -> TableCreateStatement {
    let columns = [
        uuid("id"),
        uuid("organization_id"),
        text("provider", 64),
        text("name", 255),
        json("capabilities"),
        big_null("context_window"),
        big_null("max_output_tokens"),
        bool("deprecated"),
        date_null("deprecated_on"),
        text("origin", 16),
        text_null("source", 255),
        date_null("sourced_on"),
    ];
    table("model", columns.into_iter().chain(stamps()), &["id"])
        .check(one_of("model", "origin", &ORIGINS))
        .foreign_key(&mut foreign_key("model", &["organization_id"], "organization", &["id"]))
        .take()
}

fn model_alias() -> TableCreateStatement {
    let columns =
        [uuid("id"), uuid("organization_id"), text("name", 255), text("target", 255), bool("enabled")];
    table("model_alias", columns.into_iter().chain(stamps()), &["id"])
        .foreign_key(&mut foreign_key("model_alias", &["organization_id"], "organization", &["id"]))
        .take()
}

fn price() -> TableCreateStatement {
    let columns = [
        uuid("id"),
        uuid("organization_id"),
        uuid_null("connection_id"),
        text_null("provider", 64),
        text_null("model", 255),
        text("kind", 16),
        text("currency", 3),
        json("terms"),
        int("markup_bps"),
        time("effective_from"),
        time_null("effective_until"),
        text("origin", 16),
        text_null("source", 255),
        date_null("sourced_on"),
        text_null("note", 1024),
        text("created_by", 64),
    ];
    let range = "effective_until IS NULL OR effective_until > effective_from";
    table("price", columns.into_iter().chain(stamps()), &["id"])
        .check(one_of("price", "kind", &["per_token", "tiered", "per_request", "per_unit", "flat"]))
        .check(one_of("price", "origin", &ORIGINS))
        .check(Check::named(name("ck_price_range"), Expr::cust(range)))
        .foreign_key(&mut foreign_key("price", &["organization_id"], "organization", &["id"]))
        .take()
}

fn catalogue_state() -> TableCreateStatement {
    table("catalogue_state", [int("id"), big("version"), bytes("digest"), time("applied_at")], &["id"])
}
