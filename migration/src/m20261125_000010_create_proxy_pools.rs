//! Proxy pools: the outbound proxies of an organization, with what is known of each.

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
        manager.create_table(proxy_pool()).await?;
        index(manager, "proxy_pool", &["organization_id", "id"], true).await?;
        index(manager, "proxy_pool", &["organization_id", "name"], true).await?;
        manager.create_table(proxy_entry()).await?;
        index(manager, "proxy_entry", &["organization_id", "proxy_pool_id"], false).await?;
        index(manager, "proxy_entry", &["data_key_id"], false).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &["proxy_entry", "proxy_pool"]).await
    }
}

fn proxy_pool() -> TableCreateStatement {
    let columns = [
        uuid("id"),
        uuid("organization_id"),
        text("name", 255),
        text("status", 16),
        text("strategy", 16),
        bool("strict"),
        json("no_proxy"),
        text("created_by", 64),
    ];
    table("proxy_pool", columns.into_iter().chain(stamps()), &["id"])
        .check(one_of("proxy_pool", "status", &["active", "disabled"]))
        .check(one_of("proxy_pool", "strategy", &["round_robin", "random", "sticky"]))
        .foreign_key(&mut foreign_key("proxy_pool", &["organization_id"], "organization", &["id"]))
        .take()
}

fn proxy_entry() -> TableCreateStatement {
    let columns = [
        uuid("id"),
        uuid("organization_id"),
        uuid("proxy_pool_id"),
        int("position"),
        bool("enabled"),
        text("scheme", 8),
        text("host", 255),
        int("port"),
        text("display_url", 1024),
        bytes_null("login"),
        uuid_null("data_key_id"),
        text("test_status", 16),
        time_null("tested_at"),
        big_null("latency_ms"),
        int_null("http_status"),
        text_null("exit_address", 64),
        text_null("error_code", 64),
        text_null("error", 1024),
        time("created_at"),
    ];
    table("proxy_entry", columns, &["id"])
        .check(one_of("proxy_entry", "scheme", &["http", "https", "socks5"]))
        .check(one_of("proxy_entry", "test_status", &["unknown", "active", "error"]))
        .check(Check::named(
            name("ck_proxy_entry_sealed"),
            Expr::cust("(login IS NULL) = (data_key_id IS NULL)"),
        ))
        .foreign_key(&mut foreign_key(
            "proxy_entry",
            &["organization_id", "proxy_pool_id"],
            "proxy_pool",
            &["organization_id", "id"],
        ))
        .foreign_key(&mut foreign_key(
            "proxy_entry",
            &["organization_id", "data_key_id"],
            "data_key",
            &["organization_id", "id"],
        ))
        .take()
}
