//! Reservations and usage events, by month on Postgres; the sums of events by hour and day.
//!
//! Both ledgers are partitioned by the time in their ids, so that an id is unique for ever within its partition. Partitions
//! begin with the month of the first release that could write one; the server makes those to come.

use crate::columns::*;
use sea_orm_migration::{prelude::*, sea_orm::DatabaseBackend};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const CLASSES: [&str; 14] = [
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
    "audio_input_tokens",
    "audio_output_tokens",
    "image_input_tokens",
    "image_output_tokens",
    "requests",
    "images",
    "seconds",
    "characters",
];

/// Makes the partition of a month: a table like its parent, then attached, which keeps nobody from the parent for long.
const PARTITION: &str = "CREATE FUNCTION make_ledger_partition(parent text, at timestamptz) RETURNS boolean \
     LANGUAGE plpgsql AS $$ \
     DECLARE \
       low timestamp := date_trunc('month', at AT TIME ZONE 'UTC'); \
       high timestamp := low + interval '1 month'; \
       part text := parent || '_' || to_char(low, 'YYYYMM'); \
       bound CONSTANT text := '00000000000000000000'; \
     BEGIN \
       IF to_regclass(part) IS NOT NULL THEN RETURN false; END IF; \
       PERFORM set_config('lock_timeout', '2000', true); \
       EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', part, parent); \
       EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, part, \
         lpad(to_hex((extract(epoch FROM low AT TIME ZONE 'UTC') * 1000)::bigint), 12, '0') || bound, \
         lpad(to_hex((extract(epoch FROM high AT TIME ZONE 'UTC') * 1000)::bigint), 12, '0') || bound); \
       RETURN true; \
     END $$";

/// From the first month to a year ahead.
const PARTITIONS: &str = "SELECT make_ledger_partition(parent, month) \
     FROM unnest(ARRAY['reservation', 'usage_event']) AS parent, \
     generate_series('2026-11-01T00:00:00Z'::timestamptz, now() + interval '12 months', interval '1 month') AS month";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let postgres = manager.get_database_backend() == DatabaseBackend::Postgres;
        let db = manager.get_connection();
        for statement in [reservation(), usage_event()] {
            if postgres {
                let sql = statement.to_string(PostgresQueryBuilder);
                db.execute_unprepared(&format!("{sql} PARTITION BY RANGE (id)")).await?;
            } else {
                manager.create_table(statement).await?;
            }
        }
        for statement in [usage_rollup(), usage_latency()] {
            manager.create_table(statement).await?;
        }
        for (index, on) in [
            ("release", "reservation (organization_id, release_at) WHERE release_at IS NOT NULL"),
            ("open", "reservation (organization_id, id) WHERE state = 'held'"),
            ("platform", "reservation (id) WHERE by_platform"),
        ] {
            db.execute_unprepared(&format!("CREATE INDEX ix_reservation_{index} ON {on}")).await?;
        }
        index(manager, "usage_event", &["organization_id", "key_id", "id"], false).await?;
        index(manager, "usage_rollup", &["organization_id", "key_id", "grain", "start"], false).await?;
        index(manager, "usage_rollup", &["organization_id", "team_id", "grain", "start"], false).await?;
        if postgres {
            db.execute_unprepared(PARTITION).await?;
            db.execute_unprepared(PARTITIONS).await?;
            db.execute_unprepared("ALTER TABLE usage_rollup SET (fillfactor = 70)").await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &["usage_latency", "usage_rollup", "usage_event", "reservation"]).await?;
        if manager.get_database_backend() == DatabaseBackend::Postgres {
            let drop = "DROP FUNCTION make_ledger_partition(text, timestamptz)";
            manager.get_connection().execute_unprepared(drop).await?;
        }
        Ok(())
    }
}

fn reservation() -> TableCreateStatement {
    let columns = [
        uuid("organization_id"),
        uuid("id"),
        uuid_null("key_id"),
        uuid_null("secret_id"),
        uuid_null("team_id"),
        uuid_null("user_id"),
        uuid_null("service_account_id"),
        bool("by_platform"),
        text("state", 16),
        bytes("body_hash"),
        bytes_null("settle_hash"),
        json("legs"),
        int("released"),
        json("terms"),
        time("created_at"),
        time("expires_at"),
        time_null("release_at"),
        time_null("closed_at"),
    ];
    table("reservation", columns, &["organization_id", "id"])
        .check(one_of("reservation", "state", &["held", "settled", "voided"]))
        .take()
}

fn usage_event() -> TableCreateStatement {
    let before = vec![
        uuid("organization_id"),
        uuid("id"),
        int("attempt"),
        time("occurred_at"),
        text("origin", 16),
        uuid_null("key_id"),
        uuid_null("secret_id"),
        uuid_null("team_id"),
        uuid_null("user_id"),
        uuid_null("service_account_id"),
        uuid_null("connection_id"),
        uuid_null("credential_id"),
        text_null("provider", 64),
        text_null("requested_model", 256),
        text_null("model", 256),
        text_null("project", 255),
        text_null("session_id", 255),
        text_null("endpoint", 256),
        json_null("tags"),
        text_null("client_ip", 64),
        text("status", 16),
        text_null("error_code", 64),
        text("service_tier", 16),
        text_null("region", 64),
        text_null("speed", 64),
    ];
    let after = [
        big_null("latency_ms"),
        big_null("ttft_ms"),
        big("cost"),
        text_null("currency", 3),
        uuid_null("price_id"),
        bool("priced"),
        bool("overrun"),
    ];
    let columns = before.into_iter().chain(CLASSES.map(big)).chain(after);
    table("usage_event", columns, &["organization_id", "id", "attempt"])
        .check(one_of("usage_event", "origin", &["authorize", "check", "usage"]))
        .check(one_of("usage_event", "status", &["success", "error", "aborted", "skipped"]))
        .take()
}

/// `dimensions_id` is made from the dimensions: what is summed together has one row.
fn usage_rollup() -> TableCreateStatement {
    let before = [
        uuid("organization_id"),
        text("grain", 16),
        time("start"),
        uuid("dimensions_id"),
        uuid_null("key_id"),
        uuid_null("team_id"),
        uuid_null("user_id"),
        uuid_null("service_account_id"),
        uuid_null("connection_id"),
        text_null("provider", 64),
        text_null("model", 256),
        text_null("project", 255),
        text("status", 16),
        text_null("currency", 3),
        big("events"),
    ];
    let after = ["cost_units", "cost", "unpriced_events", "overruns", "latency_events", "latency_ms"];
    let columns = before.into_iter().chain(CLASSES.map(big)).chain(after.map(big));
    table("usage_rollup", columns, &["organization_id", "grain", "start", "dimensions_id"])
        .check(one_of("usage_rollup", "grain", &["hour", "day"]))
        .take()
}

/// How often calls took how long: counts that can be added up, so that percentiles of any sum are real.
fn usage_latency() -> TableCreateStatement {
    let columns = [
        uuid("organization_id"),
        text("grain", 16),
        time("start"),
        uuid("dimensions_id"),
        int("bucket"),
        big("events"),
    ];
    table("usage_latency", columns, &["organization_id", "grain", "start", "dimensions_id", "bucket"])
}
