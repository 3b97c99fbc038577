//! [`Rows`]: many rows as a table in a statement. On Postgres an array a column, whatever the number of rows, so that one
//! text is prepared for all; on SQLite the rows themselves, as many as a statement takes.

use sea_orm::{DatabaseBackend, Statement, Value, sea_query::ArrayType};
use std::fmt::Write as _;

/// Values that SQLite takes in one statement.
const PLACES: usize = 30_000;

/// What a column holds. Where it may hold nothing, arrays hold something that nothing real is, and the statement turns it
/// back: arrays cannot hold nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Uuid,
    UuidNull,
    Text,
    TextNull,
    Json,
    JsonNull,
    Time,
    TimeNull,
    Big,
    BigNull,
    Int,
    Bool,
    Bytes,
    BytesNull,
}

/// A column: its name and what it holds.
pub(super) type Column = (&'static str, Kind);

/// Rows of one shape.
#[derive(Debug)]
pub(super) struct Rows {
    columns: &'static [Column],
    rows: Vec<Vec<Value>>,
}

impl Kind {
    fn array(self) -> ArrayType {
        match self {
            Self::Uuid | Self::UuidNull => ArrayType::Uuid,
            Self::Text | Self::TextNull | Self::Json | Self::JsonNull => ArrayType::String,
            Self::Time | Self::TimeNull => ArrayType::ChronoDateTimeUtc,
            Self::Big | Self::BigNull => ArrayType::BigInt,
            Self::Int => ArrayType::Int,
            Self::Bool => ArrayType::Bool,
            Self::Bytes | Self::BytesNull => ArrayType::Bytes,
        }
    }

    /// What stands for nothing in an array.
    fn nothing(self) -> Option<Value> {
        Some(match self {
            Self::UuidNull => Value::Uuid(Some(uuid::Uuid::nil())),
            Self::TextNull | Self::JsonNull => Value::String(Some(String::new())),
            Self::TimeNull => Value::ChronoDateTimeUtc(Some(chrono::DateTime::UNIX_EPOCH)),
            Self::BigNull => Value::BigInt(Some(i64::MIN)),
            Self::BytesNull => Value::Bytes(Some(Vec::new())),
            Self::Uuid
            | Self::Text
            | Self::Json
            | Self::Time
            | Self::Big
            | Self::Int
            | Self::Bool
            | Self::Bytes => {
                return None;
            }
        })
    }

    /// The column of an array as what it is.
    fn real(self, name: &str) -> String {
        match self {
            Self::UuidNull => format!("NULLIF({name}, '00000000-0000-0000-0000-000000000000')"),
            Self::TextNull | Self::BytesNull => format!("NULLIF({name}, '')"),
            Self::Json => format!("{name}::jsonb"),
            Self::JsonNull => format!("NULLIF({name}, '')::jsonb"),
            Self::TimeNull => format!("NULLIF({name}, 'epoch')"),
            Self::BigNull => format!("NULLIF({name}, -9223372036854775808)"),
            Self::Uuid | Self::Text | Self::Time | Self::Big | Self::Int | Self::Bool | Self::Bytes => {
                name.to_owned()
            }
        }
    }
}

impl Rows {
    pub(super) fn new(columns: &'static [Column], rows: Vec<Vec<Value>>) -> Self {
        Self { columns, rows }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn names(&self) -> Vec<&'static str> {
        self.columns.iter().map(|(name, _)| *name).collect()
    }

    /// The statements of `text(names, source)`, where `source` is a query for the rows: one statement, or on SQLite as many
    /// as it takes. Places are counted from `first`.
    pub(super) fn statements(
        self,
        backend: DatabaseBackend,
        text: impl Fn(&str, &str) -> String,
    ) -> Vec<Statement> {
        let names = self.names().join(", ");
        if backend == DatabaseBackend::Postgres {
            let (sql, values) = self.part(1, |source| text(&names, source));
            return vec![Statement::from_sql_and_values(backend, sql, values)];
        }
        let width = self.columns.len();
        let place = format!("({})", vec!["?"; width].join(", "));
        let chunks = self.rows.chunks((PLACES / width).max(1));
        chunks
            .map(|chunk| {
                let source = format!("VALUES {}", vec![place.as_str(); chunk.len()].join(", "));
                let values = chunk.iter().flatten().cloned();
                Statement::from_sql_and_values(backend, text(&names, &source), values)
            })
            .collect()
    }

    /// On Postgres: the text around a query for the rows whose places are counted from `first`, and their values.
    pub(super) fn part(self, first: usize, text: impl Fn(&str) -> String) -> (String, Vec<Value>) {
        let mut unnest = String::new();
        for (n, (_, kind)) in self.columns.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            let _ = write!(unnest, "{comma}${}::{}[]", first + n, kind.postgres());
        }
        let real: Vec<String> = self.columns.iter().map(|(name, kind)| kind.real(name)).collect();
        let names = self.names().join(", ");
        let source = format!("SELECT {} FROM unnest({unnest}) AS source({names})", real.join(", "));
        let mut columns: Vec<Vec<Value>> =
            self.columns.iter().map(|_| Vec::with_capacity(self.rows.len())).collect();
        for row in self.rows {
            for ((column, value), (_, kind)) in columns.iter_mut().zip(row).zip(self.columns) {
                let empty = kind.nothing().filter(|_| is_nothing(&value));
                column.push(empty.unwrap_or(value));
            }
        }
        let arrays = columns.into_iter().zip(self.columns);
        let values = arrays.map(|(column, (_, kind))| Value::Array(kind.array(), Some(Box::new(column))));
        (text(&source), values.collect())
    }

    /// The names of the columns.
    pub(super) fn list(&self) -> String {
        self.names().join(", ")
    }
}

impl Kind {
    fn postgres(self) -> &'static str {
        match self {
            Self::Uuid | Self::UuidNull => "uuid",
            Self::Text | Self::TextNull | Self::Json | Self::JsonNull => "text",
            Self::Time | Self::TimeNull => "timestamptz",
            Self::Big | Self::BigNull => "bigint",
            Self::Int => "int",
            Self::Bool => "bool",
            Self::Bytes | Self::BytesNull => "bytea",
        }
    }
}

fn is_nothing(value: &Value) -> bool {
    matches!(
        value,
        Value::Uuid(None)
            | Value::String(None)
            | Value::ChronoDateTimeUtc(None)
            | Value::BigInt(None)
            | Value::Bytes(None)
    )
}
