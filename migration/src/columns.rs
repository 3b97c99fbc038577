//! Column and constraint shorthands that every migration uses. Names are given as plain text, so that a
//! migration reads like the table it makes.

use sea_orm_migration::prelude::*;

pub(crate) fn name(text: &str) -> Alias {
    Alias::new(text)
}
fn column(text: &str) -> ColumnDef {
    ColumnDef::new(name(text))
}
pub(crate) fn uuid(text: &str) -> ColumnDef {
    column(text).uuid().not_null().take()
}
pub(crate) fn uuid_null(text: &str) -> ColumnDef {
    column(text).uuid().take()
}
pub(crate) fn text(n: &str, length: u32) -> ColumnDef {
    column(n).string_len(length).not_null().take()
}
pub(crate) fn text_null(n: &str, length: u32) -> ColumnDef {
    column(n).string_len(length).take()
}
pub(crate) fn long_text(n: &str) -> ColumnDef {
    column(n).text().not_null().take()
}
pub(crate) fn json(text: &str) -> ColumnDef {
    column(text).json_binary().not_null().take()
}
pub(crate) fn json_null(text: &str) -> ColumnDef {
    column(text).json_binary().take()
}
pub(crate) fn time(text: &str) -> ColumnDef {
    column(text).timestamp_with_time_zone().not_null().take()
}
pub(crate) fn time_null(text: &str) -> ColumnDef {
    column(text).timestamp_with_time_zone().take()
}
pub(crate) fn big(text: &str) -> ColumnDef {
    column(text).big_integer().not_null().take()
}
pub(crate) fn big_null(text: &str) -> ColumnDef {
    column(text).big_integer().take()
}
pub(crate) fn int(text: &str) -> ColumnDef {
    column(text).integer().not_null().take()
}
pub(crate) fn int_null(text: &str) -> ColumnDef {
    column(text).integer().take()
}
pub(crate) fn date_null(text: &str) -> ColumnDef {
    column(text).date().take()
}
pub(crate) fn bool(text: &str) -> ColumnDef {
    column(text).boolean().not_null().take()
}
pub(crate) fn bytes(text: &str) -> ColumnDef {
    column(text).binary().not_null().take()
}
pub(crate) fn bytes_null(text: &str) -> ColumnDef {
    column(text).binary().take()
}

/// A table with these columns and this primary key.
pub(crate) fn table(
    table: &str,
    columns: impl IntoIterator<Item = ColumnDef>,
    key: &[&str],
) -> TableCreateStatement {
    let mut statement = Table::create().table(name(table)).take();
    for mut column in columns {
        statement.col(&mut column);
    }
    let mut primary = Index::create().name(format!("pk_{table}")).take();
    for column in key {
        primary.col(name(column));
    }
    statement.primary_key(&mut primary).take()
}

/// The columns of every row that is edited under optimistic locking.
pub(crate) fn stamps() -> [ColumnDef; 3] {
    [big("version"), time("created_at"), time("updated_at")]
}

/// `fk_<from>_<label>`: these columns of `from` point to those of `to`. `RESTRICT`, never a cascade.
pub(crate) fn foreign_key(
    from: &str,
    columns: &[&str],
    to: &str,
    keys: &[&str],
) -> ForeignKeyCreateStatement {
    let label = columns.last().copied().unwrap_or_default();
    let mut key = ForeignKey::create().name(format!("fk_{from}_{label}")).take();
    for (column, target) in columns.iter().zip(keys) {
        key.from(name(from), name(column)).to(name(to), name(target));
    }
    key.on_delete(ForeignKeyAction::Restrict).on_update(ForeignKeyAction::Restrict).take()
}

/// `ck_<table>_<column>`: a column holds one of these words.
pub(crate) fn one_of(table: &str, column: &str, words: &[&str]) -> Check {
    let list = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(", ");
    Check::named(name(&format!("ck_{table}_{column}")), Expr::cust(format!("{column} IN ({list})")))
}

/// Makes an index `ix_…` or, if `unique`, `uq_…`.
pub(crate) async fn index(
    manager: &SchemaManager<'_>,
    table: &str,
    columns: &[&str],
    unique: bool,
) -> Result<(), DbErr> {
    let prefix = if unique { "uq" } else { "ix" };
    let mut index =
        Index::create().name(format!("{prefix}_{table}_{}", columns.join("_"))).table(name(table)).take();
    for column in columns {
        index.col(name(column));
    }
    if unique {
        index.unique();
    }
    manager.create_index(index).await
}

/// Drops these tables, in this order.
pub(crate) async fn drop_tables(manager: &SchemaManager<'_>, tables: &[&str]) -> Result<(), DbErr> {
    for table in tables {
        manager.drop_table(Table::drop().table(name(table)).take()).await?;
    }
    Ok(())
}
