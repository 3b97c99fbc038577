//! Provider connections with their credentials, mappings, icons, discovered models, and what was seen of each.

use crate::columns::*;
use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// What upstreams speak.
const PROTOCOLS: [&str; 6] =
    ["openai_chat", "openai_responses", "anthropic_messages", "google", "ollama", "azure_openai"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(provider_connection()).await?;
        index(manager, "provider_connection", &["organization_id", "id"], true).await?;
        index(manager, "provider_connection", &["organization_id", "proxy_pool_id"], false).await?;
        index(manager, "provider_connection", &["data_key_id"], false).await?;
        let db = manager.get_connection();
        db.execute_unprepared(
            "CREATE UNIQUE INDEX uq_provider_connection_name ON provider_connection \
             (organization_id, provider, name) WHERE status <> 'deleted'",
        )
        .await?;
        for statement in
            [connection_state(), connection_icon(), credential(), model_mapping(), discovered_model()]
        {
            manager.create_table(statement).await?;
        }
        index(manager, "credential", &["organization_id", "connection_id"], false).await?;
        index(manager, "credential", &["data_key_id"], false).await?;
        // One secret is one credential of a connection, until it is retired.
        db.execute_unprepared(
            "CREATE UNIQUE INDEX uq_credential_digest ON credential (connection_id, digest) WHERE state <> 'retired'",
        )
        .await?;
        index(manager, "model_mapping", &["connection_id", "client_name"], true).await?;
        index(manager, "model_mapping", &["organization_id", "client_name"], false).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tables = [
            "discovered_model",
            "model_mapping",
            "credential",
            "connection_icon",
            "connection_state",
            "provider_connection",
        ];
        drop_tables(manager, &tables).await
    }
}

fn provider_connection() -> TableCreateStatement {
    let columns = vec![
        uuid("id"),
        uuid("organization_id"),
        uuid_null("team_id"),
        text("provider", 64),
        text("name", 255),
        text("status", 16),
        text_null("disabled_reason", 1024),
        text("base_url", 2048),
        json("alternate_base_urls"),
        text_null("format", 32),
        text("format_mode", 16),
        json("protocols"),
        text_null("force_protocol", 32),
        text_null("default_model", 255),
        json("model_params"),
        json_null("allowed_models"),
        bytes_null("headers"),
        json("header_names"),
        uuid_null("data_key_id"),
        uuid_null("proxy_pool_id"),
        text("billing_type", 16),
        int("priority"),
        text("location", 16),
        bool("tls_skip_verify"),
        json("tags"),
        json("metadata"),
        text("created_by", 64),
    ];
    let of =
        |columns: &[&str], to| foreign_key("provider_connection", columns, to, &["organization_id", "id"]);
    table("provider_connection", columns.into_iter().chain(stamps()), &["id"])
        .check(one_of("provider_connection", "status", &["active", "disabled", "deleted"]))
        .check(one_of("provider_connection", "format", &PROTOCOLS))
        .check(one_of("provider_connection", "format_mode", &["auto", "pinned"]))
        .check(one_of("provider_connection", "force_protocol", &PROTOCOLS))
        .check(one_of("provider_connection", "billing_type", &["metered", "flat_fee"]))
        .check(one_of("provider_connection", "location", &["cloud", "local"]))
        .check(Check::named(
            name("ck_provider_connection_sealed"),
            Expr::cust("(headers IS NULL) = (data_key_id IS NULL)"),
        ))
        .foreign_key(&mut foreign_key("provider_connection", &["organization_id"], "organization", &["id"]))
        .foreign_key(&mut of(&["organization_id", "team_id"], "team"))
        .foreign_key(&mut of(&["organization_id", "proxy_pool_id"], "proxy_pool"))
        .foreign_key(&mut of(&["organization_id", "data_key_id"], "data_key"))
        .take()
}

/// What is seen of a connection while it works; written without touching the connection's version.
fn connection_state() -> TableCreateStatement {
    let columns = [
        uuid("connection_id"),
        uuid("organization_id"),
        text("health", 16),
        int("consecutive_failures"),
        text_null("error_code", 64),
        text_null("error", 1024),
        time_null("error_at"),
        time_null("success_at"),
        big_null("latency_ms"),
        text_null("detected_endpoint", 2048),
        text_null("detected_format", 32),
        json_null("capabilities"),
        time_null("detected_at"),
        time_null("models_at"),
    ];
    table("connection_state", columns, &["connection_id"])
        .check(one_of(
            "connection_state",
            "health",
            &["unknown", "healthy", "degraded", "cooldown", "unavailable", "error"],
        ))
        .check(one_of("connection_state", "detected_format", &PROTOCOLS))
        .foreign_key(&mut of_connection("connection_state"))
        .take()
}

fn connection_icon() -> TableCreateStatement {
    let columns = [
        uuid("connection_id"),
        uuid("organization_id"),
        text("media_type", 64),
        bytes("content"),
        time("created_at"),
    ];
    table("connection_icon", columns, &["connection_id"])
        .foreign_key(&mut of_connection("connection_icon"))
        .take()
}

fn credential() -> TableCreateStatement {
    let columns = [
        uuid("id"),
        uuid("organization_id"),
        uuid("connection_id"),
        text("label", 255),
        text("state", 16),
        text_null("state_reason", 1024),
        time("state_since"),
        bytes_null("secret"),
        uuid_null("data_key_id"),
        bytes("digest"),
        int("pepper_version"),
        text("display", 32),
        text("created_by", 64),
        time_null("deleted_at"),
    ];
    table("credential", columns.into_iter().chain(stamps()), &["id"])
        .check(one_of("credential", "state", &["active", "draining", "disabled", "retired"]))
        .check(Check::named(
            name("ck_credential_sealed"),
            Expr::cust("(secret IS NULL) = (data_key_id IS NULL) AND (secret IS NULL) = (state = 'retired')"),
        ))
        .foreign_key(&mut of_connection("credential"))
        .foreign_key(&mut foreign_key(
            "credential",
            &["organization_id", "data_key_id"],
            "data_key",
            &["organization_id", "id"],
        ))
        .take()
}

fn model_mapping() -> TableCreateStatement {
    let columns = [
        uuid("id"),
        uuid("organization_id"),
        uuid("connection_id"),
        text("client_name", 255),
        text("upstream_name", 255),
        int("weight"),
        bool("enabled"),
        json_null("protocols"),
    ];
    table("model_mapping", columns.into_iter().chain(stamps()), &["id"])
        .check(Check::named(name("ck_model_mapping_weight"), Expr::cust("weight >= 0")))
        .foreign_key(&mut of_connection("model_mapping"))
        .take()
}

fn discovered_model() -> TableCreateStatement {
    let columns = [
        uuid("connection_id"),
        text("name", 255),
        uuid("organization_id"),
        text_null("display_name", 255),
        text_null("owned_by", 255),
        big_null("context_window"),
        big_null("max_output_tokens"),
    ];
    table("discovered_model", columns, &["connection_id", "name"])
        .foreign_key(&mut of_connection("discovered_model"))
        .take()
}

fn of_connection(table: &str) -> ForeignKeyCreateStatement {
    foreign_key(
        table,
        &["organization_id", "connection_id"],
        "provider_connection",
        &["organization_id", "id"],
    )
}
