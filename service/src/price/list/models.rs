//! What a list says of models, kept in the same scope. What somebody changed by hand stays as it is.

use super::{
    Facts,
    diff::Told,
    report::{ImportCounts, ImportOutcome},
};
use crate::{Error, Result, Unit, error::ConflictExt};
use chrono::NaiveDate;
use entity::{
    model::{ActiveModel, Column, Entity, Model},
    status::Origin,
};
use sea_orm::{ActiveValue::Set, ColumnTrait};
use std::collections::HashMap;

/// Models of a scope that are compared.
pub(super) const MOST: u64 = 100_000;

/// A model as a list describes it.
#[derive(Debug, Clone)]
struct Described {
    provider: String,
    name: String,
    facts: Facts,
}

/// What a list changes of the models of a scope.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) counts: ImportCounts,
    added: Vec<Described>,
    changed: Vec<(Model, Facts)>,
}

/// Compares.
pub(super) fn compare<'l>(rows: Vec<Model>, list: impl Iterator<Item = &'l Told>) -> Changes {
    let mut known: HashMap<(String, String), Model> =
        rows.into_iter().map(|row| ((row.provider.clone(), row.name.clone()), row)).collect();
    let mut changes = Changes::default();
    for listed in list {
        let Some(facts) = &listed.facts else { continue };
        let outcome = match &listed.provider {
            None => ImportOutcome::Skipped,
            Some(provider) => match known.remove(&(provider.clone(), listed.key.clone())) {
                Some(row) if row.origin == Origin::Manual => ImportOutcome::Skipped,
                Some(row) if told_by(&row) == **facts => ImportOutcome::Unchanged,
                Some(row) => {
                    changes.changed.push((row, (**facts).clone()));
                    ImportOutcome::Changed
                }
                None => {
                    let (provider, name) = (provider.clone(), listed.key.clone());
                    changes.added.push(Described { provider, name, facts: (**facts).clone() });
                    ImportOutcome::Added
                }
            },
        };
        changes.counts.count(outcome);
    }
    changes
}

fn told_by(row: &Model) -> Facts {
    Facts {
        capabilities: row.capabilities,
        context_window: row.context_window,
        max_output_tokens: row.max_output_tokens,
        deprecated_on: row.deprecated_on,
    }
}

/// Who says it, and of what day that is.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) name: String,
    pub(super) day: NaiveDate,
}

impl Changes {
    /// Makes them.
    pub(super) async fn apply(self, unit: &mut Unit<'_>, source: &Source) -> Result<()> {
        let made: Vec<ActiveModel> = self
            .added
            .into_iter()
            .map(|described| ActiveModel {
                id: Set(unit.id()),
                provider: Set(described.provider),
                name: Set(described.name),
                ..row(described.facts, source)
            })
            .collect();
        if !made.is_empty() {
            unit.repository::<Entity>().insert_all(made).await.conflict("model", "of the list")?;
        }
        for (before, facts) in self.changed {
            // Whoever changes it by hand at this moment wins.
            let writer = unit.repository::<Entity>().narrow(Column::Origin.ne(Origin::Manual));
            match writer.force("update", before.id, row(facts, source)).await {
                Ok(_) | Err(Error::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn row(facts: Facts, source: &Source) -> ActiveModel {
    ActiveModel {
        capabilities: Set(facts.capabilities),
        context_window: Set(facts.context_window),
        max_output_tokens: Set(facts.max_output_tokens),
        deprecated: Set(facts.deprecated_on.is_some()),
        deprecated_on: Set(facts.deprecated_on),
        origin: Set(Origin::Import),
        source: Set(Some(source.name.clone())),
        sourced_on: Set(Some(source.day)),
        ..Default::default()
    }
}
