//! The schema as a history. A migration never uses `entity`: history must not move when entities do.
//!
//! Every constraint is named (`pk_`, `uq_`, `fk_`, `ix_`, `ck_`). Changes expand first and contract
//! later, so that the previous release keeps working on the new schema. A migration that a release before cannot live with has
//! [`CONTRACT`] in its name: programs that do not know it refuse to serve on its schema.

use sea_orm_migration::prelude::*;
pub use sea_orm_migration::prelude::{MigratorTrait, SchemaManager};

mod columns;
mod m20261121_000001_create_people;
mod m20261121_000002_create_keys;
mod m20261121_000003_create_sign_in;
mod m20261121_000004_create_ledger;
mod m20261121_000005_create_prices;
mod m20261121_000006_create_price_feed;
mod m20261125_000007_create_limits;
mod m20261125_000008_create_usage;
mod m20261125_000009_create_vault;
mod m20261125_000010_create_proxy_pools;
mod m20261125_000011_create_connections;
mod m20261130_000020_create_instance;
mod m20261130_000070_flag_estimated_usage;
mod m20261130_000071_watch_clock;
mod m20261130_000080_create_device;
mod m20261130_000130_name_price_source;
mod m20261130_000131_issue_keys_to_people;
mod m20261130_000140_count_server_tools;
mod m20261130_000150_keep_stated_cost;
mod m20261130_000151_create_usage_raw;
mod m20261201_000160_note_who_adds;
mod m20261201_000161_end_keys_of_invitations;

/// In the name of a migration that takes away what programs without it use.
pub const CONTRACT: &str = "_contract_";

/// Applies and reverts the migrations, in order.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261121_000001_create_people::Migration),
            Box::new(m20261121_000002_create_keys::Migration),
            Box::new(m20261121_000003_create_sign_in::Migration),
            Box::new(m20261121_000004_create_ledger::Migration),
            Box::new(m20261121_000005_create_prices::Migration),
            Box::new(m20261121_000006_create_price_feed::Migration),
            Box::new(m20261125_000007_create_limits::Migration),
            Box::new(m20261125_000008_create_usage::Migration),
            Box::new(m20261125_000009_create_vault::Migration),
            Box::new(m20261125_000010_create_proxy_pools::Migration),
            Box::new(m20261125_000011_create_connections::Migration),
            Box::new(m20261130_000020_create_instance::Migration),
            Box::new(m20261130_000070_flag_estimated_usage::Migration),
            Box::new(m20261130_000071_watch_clock::Migration),
            Box::new(m20261130_000080_create_device::Migration),
            Box::new(m20261130_000130_name_price_source::Migration),
            Box::new(m20261130_000131_issue_keys_to_people::Migration),
            Box::new(m20261130_000140_count_server_tools::Migration),
            Box::new(m20261130_000150_keep_stated_cost::Migration),
            Box::new(m20261130_000151_create_usage_raw::Migration),
            Box::new(m20261201_000160_note_who_adds::Migration),
            Box::new(m20261201_000161_end_keys_of_invitations::Migration),
        ]
    }
}

/// The name of the newest migration.
pub fn newest() -> String {
    Migrator::migrations().last().map(|migration| migration.name().to_owned()).unwrap_or_default()
}
