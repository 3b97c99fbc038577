//! Importing a price list: read and checked outside of any transaction, compared and applied within one. The same list
//! again changes nothing.

use super::{
    Encoding,
    diff::{Candidate, PriceBook, Told},
    litellm,
    models::{self, Source},
    own,
    report::{ImportReport, ListFormat},
};
use crate::{
    Ctx, Result, Unit, blocking,
    error::ConflictExt,
    price::{create::default_currency, term},
};
use chrono::{DateTime, Utc};
use entity::{
    id::PriceId,
    model,
    price::{ActiveModel, Column, Entity},
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, DatabaseBackend, ExprTrait, Statement,
    sea_query::Expr,
};
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// Rows that are read at a time: as many as are understood in some milliseconds, in which a thread does nothing else.
const AT_ONCE: u64 = 250;

/// A price list to import.
#[derive(Debug)]
pub struct PriceList<F> {
    /// The file.
    pub file: F,
    /// Its format.
    pub format: ListFormat,
    /// How it is written.
    pub encoding: Encoding,
    /// Whether the facts that it tells of models are taken as well.
    pub with_models: bool,
}

/// Entries of a list that are taken in at once: as many as are written in some milliseconds, which others wait for.
const PART: usize = 200;
/// The same on SQLite, where everybody else who writes waits, and not only who decides for the organization.
const PART_OF_SQLITE: usize = 25;

/// A list that has been read.
#[derive(Clone)]
struct Understood {
    format: ListFormat,
    sha256: String,
    candidates: Vec<Candidate>,
}

/// Imports a price list into the scope's organization, or the platform. A dry run only tells what would happen.
pub async fn import<F>(ctx: &Ctx, list: PriceList<F>, dry_run: bool) -> Result<ImportReport>
where
    F: AsRef<[u8]> + Send + 'static,
{
    let (now, currency) = (ctx.now().await?, default_currency(ctx).await?);
    let with_models = list.with_models;
    let list = blocking::run(move || understand(&list, now, &currency)).await??;
    if dry_run { preview(ctx, list, with_models, now).await } else { apply(ctx, list, with_models).await }
}

fn understand<F: AsRef<[u8]>>(list: &PriceList<F>, now: DateTime<Utc>, currency: &str) -> Result<Understood> {
    let file = list.file.as_ref();
    let keep = |listed| Candidate::new(listed, now, currency);
    let candidates = match list.format {
        ListFormat::Litellm => litellm::read_each(file, keep)?,
        ListFormat::Tollkeeper => own::read(file, list.encoding, now, keep)?,
    };
    let digest = Sha256::digest(file);
    Ok(Understood {
        format: list.format,
        sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        candidates,
    })
}

impl Understood {
    fn told(&self, with_models: bool) -> impl Iterator<Item = &Told> {
        self.candidates.iter().map(|candidate| &candidate.listed).filter(move |_| with_models)
    }

    fn report(&self, dry_run: bool) -> ImportReport {
        ImportReport::new(self.format, self.sha256.clone(), dry_run)
    }

    fn source(&self, now: DateTime<Utc>) -> Source {
        let name = format!("{} price list {:.8}", self.format.word(), self.sha256);
        Source { name, day: now.date_naive() }
    }
}

/// Prices of the scope itself, not of a connection.
fn of_scope() -> Condition {
    Condition::all().add(Column::ConnectionId.is_null())
}

async fn preview(ctx: &Ctx, list: Understood, with_models: bool, now: DateTime<Utc>) -> Result<ImportReport> {
    let models = ctx.repository::<model::Entity>().all(Condition::all(), models::MOST).await?;
    let mut report = list.report(true);
    report.models = models::compare(models, list.told(with_models)).counts;
    let mut book = PriceBook::new(Vec::new(), now);
    let mut after = PriceId::new(Uuid::nil());
    // A book is smaller than its rows: they are never here all at once.
    loop {
        let rows = ctx.repository::<Entity>().all(of_scope().add(Column::Id.gt(after)), AT_ONCE).await?;
        let Some(last) = rows.last() else { break };
        after = last.id;
        book.add(rows);
    }
    for candidate in list.candidates {
        report.add(book.enter(candidate).0);
    }
    Ok(report)
}

/// Takes a list in, part by part, each in a unit of work of its own: nobody waits for all of a large list. Whatever stops
/// it in between, the same list again makes what is missing.
async fn apply(ctx: &Ctx, mut list: Understood, with_models: bool) -> Result<ImportReport> {
    let mut report = list.report(false);
    let mut entries = Vec::with_capacity(list.candidates.len());
    let size = match ctx.system.db.backend() {
        DatabaseBackend::Sqlite => PART_OF_SQLITE,
        _ => PART,
    };
    for candidates in parts(std::mem::take(&mut list.candidates), size) {
        let (numbers, candidates) = candidates.into_iter().unzip::<_, _, Vec<usize>, _>();
        let part = apply_part(ctx, Understood { candidates, ..list.clone() }, with_models).await?;
        report.models.plus(part.models);
        entries.extend(numbers.into_iter().zip(part.entries));
    }
    entries.sort_unstable_by_key(|(number, _)| *number);
    entries.into_iter().for_each(|(_, entry)| report.add(entry));
    Ok(report)
}

/// The entries of a list, each with its place in it, in parts: those of one model stay together, since one entry decides
/// what becomes of the next.
fn parts(candidates: Vec<Candidate>, size: usize) -> Vec<Vec<(usize, Candidate)>> {
    let mut parts: Vec<Vec<(usize, Candidate)>> = Vec::new();
    let mut of: HashMap<Option<String>, usize> = HashMap::new();
    for (number, candidate) in candidates.into_iter().enumerate() {
        let full = parts.last().is_none_or(|part| part.len() >= size);
        let next = if full { parts.len() } else { parts.len() - 1 };
        let at = match &candidate.offer {
            Ok(_) => *of.entry(candidate.model().map(str::to_owned)).or_insert(next),
            Err(_) => next,
        };
        match parts.get_mut(at) {
            Some(part) => part.push((number, candidate)),
            None => parts.push(vec![(number, candidate)]),
        }
    }
    parts
}

async fn apply_part(ctx: &Ctx, list: Understood, with_models: bool) -> Result<ImportReport> {
    let mut unit = ctx.begin().await?;
    one_at_a_time(&unit).await?;
    let source = list.source(unit.now);
    let mut report = list.report(false);
    let told = || list.told(with_models).filter_map(|listed| Some((listed.provider.as_ref()?, &listed.key)));
    let (providers, names): (BTreeSet<_>, BTreeSet<_>) = told().unzip();
    let of = Condition::all().add(model::Column::Provider.is_in(providers));
    let named = of.add(model::Column::Name.is_in(names));
    let models = unit.read::<model::Entity>().matching(named).await?;
    let changes = models::compare(models, list.told(with_models));
    report.models = changes.counts;
    changes.apply(&mut unit, &source).await?;
    // From here on the prices of the scope are ours: nobody else's change of them is under way.
    let now = term::lock(&unit).await?;
    let rows = unit.read::<Entity>().matching(of_scope().add(of_models(&list.candidates))).await?;
    let mut book = PriceBook::new(rows, now);
    let mut made = Vec::new();
    for candidate in list.candidates {
        let (mut entry, row) = book.enter(candidate);
        if let Some(row) = row {
            let row = signed(row, &unit, &source);
            entry.price_id = Some(*row.id.as_ref());
            made.push(row);
        }
        report.add(entry);
    }
    if !made.is_empty() {
        unit.repository::<Entity>().insert_all(made).await.conflict("price", "of the list")?;
    }
    if report.changes_something() {
        let organization = ctx.scope.organization;
        unit.audit("price.import", organization, report.summary());
    }
    unit.commit(report).await
}

/// Prices of the models that a part of a list names.
fn of_models(candidates: &[Candidate]) -> Condition {
    let models: BTreeSet<&str> = candidates.iter().map(|one| one.model().unwrap_or_default()).collect();
    Condition::all().add(Expr::cust(term::MODEL).is_in(models))
}

/// The row with its id, and who says so and who made it.
fn signed(mut row: ActiveModel, unit: &Unit<'_>, source: &Source) -> ActiveModel {
    let name = row.source.take().flatten().unwrap_or_else(|| source.name.clone());
    let day = row.sourced_on.take().flatten().unwrap_or(source.day);
    (row.id, row.created_by) = (Set(unit.id()), Set(unit.ctx.actor.id.clone()));
    (row.source, row.sourced_on) = (Set(Some(name)), Set(Some(day)));
    row
}

/// Imports into one scope follow each other: two of the same list would make every model twice. On SQLite there is one
/// writer anyway.
async fn one_at_a_time(unit: &Unit<'_>) -> Result<()> {
    if unit.tx.get_database_backend() == DatabaseBackend::Postgres {
        let (high, low) = unit.ctx.scope.organization.uuid().as_u64_pair();
        let turn = (high ^ low).cast_signed();
        let sql = "SELECT pg_advisory_xact_lock($1)";
        unit.tx
            .execute_raw(Statement::from_sql_and_values(DatabaseBackend::Postgres, sql, [turn.into()]))
            .await?;
    }
    Ok(())
}
