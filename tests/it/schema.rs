//! The migrations and the entities describe one schema; it can be taken down and put up again; it keeps rows of
//! different organizations apart by itself.

use crate::teams::{id, make};
use entity::{
    admin_token, audit_event, catalogue_state, clock_watch, connection_icon, connection_state, credential,
    credential_activity, data_key, device, discovered_model, gateway_token, idempotency_record, instance,
    invitation, key_secret, limit, limit_window, login_throttle, membership, model, model_alias,
    model_mapping, org_head, organization, password_reset, policy_log, price, price_feed, provider,
    provider_connection, proxy_entry, proxy_pool, refresh_token, reservation, secret_check, service_account,
    session, status::TeamRole, team, team_member, usage_event, usage_latency, usage_raw, usage_rollup,
    user_account, virtual_key,
};
use futures_util::{FutureExt, future::BoxFuture};
use migration::{Migrator, MigratorTrait};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ColumnType as Type, ConnectionTrait, DatabaseBackend, DatabaseConnection,
    DbErr, EntityTrait, IdenStatic, Iterable, SqlErr, Statement,
};
use std::collections::BTreeSet;
use tests::{Backend, Database, on_both};

/// A column: `table.name`, its type as Postgres calls it, and whether it can be null.
type Column = (String, &'static str, bool);

/// What an entity says of its table.
struct Table {
    name: String,
    columns: Vec<Column>,
    select: fn(&DatabaseConnection) -> BoxFuture<'_, Result<(), DbErr>>,
}

fn table<E: EntityTrait>(entity: E) -> Table {
    let name = entity.table_name().to_owned();
    let column = |column: E::Column| {
        let def = column.def();
        (format!("{name}.{}", column.as_str()), word(def.get_column_type()), def.is_null())
    };
    let columns = E::Column::iter().map(column).collect();
    Table { columns, select: |db| async move { E::find().one(db).await.map(drop) }.boxed(), name }
}

fn tables() -> Vec<Table> {
    vec![
        table(admin_token::Entity),
        table(audit_event::Entity),
        table(catalogue_state::Entity),
        table(clock_watch::Entity),
        table(connection_icon::Entity),
        table(connection_state::Entity),
        table(credential::Entity),
        table(credential_activity::Entity),
        table(data_key::Entity),
        table(device::Entity),
        table(discovered_model::Entity),
        table(gateway_token::Entity),
        table(idempotency_record::Entity),
        table(instance::Entity),
        table(invitation::Entity),
        table(key_secret::Entity),
        table(limit::Entity),
        table(limit_window::Entity),
        table(login_throttle::Entity),
        table(membership::Entity),
        table(model::Entity),
        table(model_alias::Entity),
        table(model_mapping::Entity),
        table(org_head::Entity),
        table(organization::Entity),
        table(password_reset::Entity),
        table(policy_log::Entity),
        table(price::Entity),
        table(price_feed::Entity),
        table(provider::Entity),
        table(provider_connection::Entity),
        table(proxy_entry::Entity),
        table(proxy_pool::Entity),
        table(refresh_token::Entity),
        table(reservation::Entity),
        table(secret_check::Entity),
        table(service_account::Entity),
        table(session::Entity),
        table(team::Entity),
        table(team_member::Entity),
        table(usage_event::Entity),
        table(usage_latency::Entity),
        table(usage_raw::Entity),
        table(usage_rollup::Entity),
        table(user_account::Entity),
        table(virtual_key::Entity),
    ]
}

fn word(kind: &Type) -> &'static str {
    match kind {
        Type::Uuid => "uuid",
        Type::String(_) | Type::Enum { .. } | Type::Text => "text",
        Type::Boolean => "bool",
        Type::Integer => "int4",
        Type::BigInteger => "int8",
        Type::JsonBinary => "jsonb",
        Type::Date => "date",
        Type::TimestampWithTimeZone => "timestamptz",
        Type::Binary(_) | Type::VarBinary(_) | Type::Blob => "bytea",
        other => panic!("a column of an unforeseen type: {other:?}"),
    }
}

async fn rows(db: &DatabaseConnection, sql: &str) -> Vec<Vec<String>> {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let rows = db.query_all_raw(statement).await.unwrap();
    let texts = |row: &sea_orm::QueryResult| (0..3).map(|n| row.try_get_by(n).unwrap()).collect();
    rows.iter().map(texts).collect()
}

/// Everything in the schema but the migrator's own table, and the partitions of tables, which are as their tables: kind,
/// name, definition.
async fn schema(db: &DatabaseConnection) -> Vec<Vec<String>> {
    let sql = if db.get_database_backend() == DatabaseBackend::Sqlite {
        "SELECT type, name, coalesce(sql, '') FROM sqlite_master
         WHERE tbl_name <> 'seaql_migrations' AND name NOT LIKE 'sqlite_%' ORDER BY 1, 2"
    } else {
        "SELECT 'column', table_name || '.' || column_name, udt_name || ' ' || is_nullable
         FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'seaql_migrations'
         AND table_name NOT IN (SELECT relname FROM pg_class WHERE relispartition)
         UNION ALL SELECT 'constraint', conname, pg_get_constraintdef(oid) FROM pg_constraint
         WHERE connamespace = 'public'::regnamespace AND conrelid <> 'seaql_migrations'::regclass
         AND conrelid NOT IN (SELECT oid FROM pg_class WHERE relispartition)
         UNION ALL SELECT 'index', indexname, indexdef FROM pg_indexes
         WHERE schemaname = 'public' AND tablename <> 'seaql_migrations'
         AND tablename NOT IN (SELECT relname FROM pg_class WHERE relispartition)
         UNION ALL SELECT 'trigger', tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
         UNION ALL SELECT 'function', proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace
         ORDER BY 1, 2"
    };
    rows(db, sql).await
}

/// The columns that the database has, as [`Column`]s; SQLite does not say types that mean anything.
async fn columns(db: &DatabaseConnection) -> BTreeSet<(String, String, bool)> {
    let sql = if db.get_database_backend() == DatabaseBackend::Sqlite {
        "SELECT m.name || '.' || c.name, '', CASE c.\"notnull\" WHEN 0 THEN 'YES' ELSE 'NO' END
         FROM sqlite_master m, pragma_table_info(m.name) c
         WHERE m.type = 'table' AND m.name <> 'seaql_migrations' AND m.name NOT LIKE 'sqlite_%'"
    } else {
        "SELECT table_name || '.' || column_name, replace(udt_name, 'varchar', 'text'), is_nullable::text
         FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'seaql_migrations'
         AND table_name NOT IN (SELECT relname FROM pg_class WHERE relispartition)"
    };
    let column = |row: Vec<String>| {
        let [name, kind, nullable] = <[String; 3]>::try_from(row).unwrap();
        (name, kind, nullable == "YES")
    };
    rows(db, sql).await.into_iter().map(column).collect()
}

on_both!(every_entity_selects_from_the_migrated_schema, |app| {
    let db = app.database().connect().await;
    for table in tables() {
        (table.select)(&db).await.unwrap_or_else(|error| panic!("{}: {error}", table.name));
    }
});

on_both!(the_entities_and_the_migrations_agree_on_every_column, |app| {
    let sqlite = app.backend == Backend::Sqlite;
    let said = tables().into_iter().flat_map(|table| table.columns);
    let said = said.map(|(name, kind, null)| (name, if sqlite { "" } else { kind }.to_owned(), null));
    let said: BTreeSet<_> = said.collect();
    let found = columns(&app.database().connect().await).await;
    let (missing, unknown): (Vec<_>, Vec<_>) =
        (said.difference(&found).collect(), found.difference(&said).collect());
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "only the entities: {missing:?}; only the database: {unknown:?}"
    );
});

on_both!(the_schema_goes_down_and_up_again, |app| {
    let database = Database::empty(app.backend).await;
    let db = database.connect().await;
    Migrator::up(&db, None).await.unwrap();
    let whole = schema(&db).await;
    assert!(whole.len() > 40, "{whole:?}");
    Migrator::down(&db, None).await.unwrap();
    assert_eq!(schema(&db).await, Vec::<Vec<String>>::new());
    Migrator::up(&db, None).await.unwrap();
    assert_eq!(schema(&db).await, whole);
    // One step at a time as well.
    let steps = u32::try_from(Migrator::migrations().len()).unwrap();
    for _ in 0..steps {
        Migrator::down(&db, Some(1)).await.unwrap();
    }
    for _ in 0..steps {
        Migrator::up(&db, Some(1)).await.unwrap();
    }
    assert_eq!(schema(&db).await, whole);
    db.close().await.unwrap();
    database.remove().await;
});

on_both!(every_constraint_has_a_name_that_says_what_it_is, |app| {
    let named =
        |name: &str| ["pk_", "uq_", "fk_", "ix_", "ck_", "tr_"].iter().any(|prefix| name.starts_with(prefix));
    for row in schema(&app.database().connect().await).await {
        if matches!(row[0].as_str(), "constraint" | "index" | "trigger") && !row[1].ends_with("_not_null") {
            assert!(named(&row[1]), "{row:?}");
        }
    }
});

on_both!(the_database_itself_keeps_organizations_apart, |app| {
    let team = make(&app.owner(), "search").await;
    let acme = app.other_organization("acme").await;
    let db = app.database().connect().await;
    let now = app.clock.now();
    let row = team_member::ActiveModel {
        team_id: Set(id(&team).parse().unwrap()),
        user_id: Set(acme.user_id.parse().unwrap()),
        organization_id: Set(app.organization),
        role: Set(TeamRole::Member),
        added_by_team: Set(false),
        version: Set(1),
        created_at: Set(now),
        updated_at: Set(now),
    };
    let error = team_member::Entity::insert(row).exec_without_returning(&db).await.unwrap_err();
    assert!(matches!(error.sql_err(), Some(SqlErr::ForeignKeyConstraintViolation(_))), "{error}");
});

on_both!(the_database_itself_keeps_audit_events_as_they_are, |app| {
    make(&app.owner(), "search").await;
    let db = app.database().connect().await;
    for statement in ["UPDATE audit_event SET action = 'nothing'", "DELETE FROM audit_event"] {
        let error = db.execute_unprepared(statement).await.unwrap_err().to_string();
        assert!(error.contains("audit_event is append-only"), "{error}");
    }
});
