//! [`Losers`]: the prices that were looked at for a call and do not hold, each with the reason.

use super::{Level, book::Entry, resolve::Winner, shelf::History};
use chrono::{DateTime, SecondsFormat, Utc};
use entity::{
    id::{ConnectionId, PriceId},
    status::UnpricedPolicy,
};
use serde::Serialize;
use std::collections::HashSet;
use utoipa::ToSchema;

/// Losers that are listed.
const LOSERS: usize = 50;

/// A price that was looked at and does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Loser {
    /// Its id.
    pub price_id: PriceId,
    /// Whose it is.
    pub scope: Level,
    /// The connection it is for; null = all of the scope.
    #[schema(required)]
    pub connection_id: Option<ConnectionId>,
    /// The provider it is for; null = whoever serves the model.
    #[schema(required)]
    pub provider: Option<String>,
    /// Its model or glob; null = a default price.
    #[schema(required)]
    pub model: Option<String>,
    /// Why it does not hold.
    #[schema(example = "beaten by price_019aa3c1f6b07c3e9a5d2f4b8c6e1d70")]
    pub reason: String,
}

/// Those that do not hold, each once.
pub(super) struct Losers<'w> {
    winner: Option<&'w Winner>,
    at: DateTime<Utc>,
    heard: HashSet<PriceId>,
    pub(super) list: Vec<Loser>,
    pub(super) more: bool,
}

impl<'w> Losers<'w> {
    pub(super) fn new(winner: Option<&'w Winner>, at: DateTime<Utc>) -> Self {
        let heard = winner.iter().map(|winner| winner.entry.id).collect();
        Self { winner, at, heard, list: Vec::new(), more: false }
    }

    pub(super) fn note(&mut self, entry: &Entry, reason: impl FnOnce() -> String) {
        if !self.heard.insert(entry.id) {
            return;
        }
        if self.list.len() == LOSERS {
            self.more = true;
            return;
        }
        self.list.push(Loser {
            price_id: entry.id,
            scope: entry.level(),
            connection_id: entry.connection_id,
            provider: entry.provider.as_deref().map(Into::into),
            model: entry.model.as_deref().map(Into::into),
            reason: reason(),
        });
    }

    pub(super) fn beaten(&mut self, entry: &Entry) {
        if let Some(winner) = self.winner {
            self.note(entry, || format!("beaten by {}", winner.entry.id));
        }
    }

    /// A history that was looked at.
    pub(super) fn hear(&mut self, history: &History) {
        let Some(in_force) = history.at(self.at) else { return self.not_in_force(history) };
        self.beaten(in_force);
        self.not_in_force(history);
    }

    fn not_in_force(&mut self, history: &History) {
        let in_force = history.at(self.at);
        for entry in history.entries() {
            let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
            if entry.effective_from > self.at {
                self.note(entry, || format!("not yet in force, but from {}", time(entry.effective_from)));
            } else if let Some(until) = entry.effective_until.filter(|until| *until <= self.at) {
                self.note(entry, || format!("ended at {}", time(until)));
            } else if let Some(later) = in_force.filter(|later| later.id != entry.id) {
                self.note(entry, || format!("superseded by {}", later.id));
            }
        }
    }

    pub(super) fn hear_default(&mut self, history: &History, policy: UnpricedPolicy) {
        let word = match policy {
            UnpricedPolicy::Default => return self.hear(history),
            UnpricedPolicy::Refuse => "refuse",
            UnpricedPolicy::Allow => "allow",
        };
        if let Some(entry) = history.at(self.at) {
            self.note(entry, || format!("the unpriced policy is {word}"));
        }
    }

    pub(super) fn elsewhere(&mut self, history: &History) {
        if let Some(entry) = history.at(self.at) {
            self.note(entry, || {
                format!("another provider's: {}", entry.provider.as_deref().unwrap_or_default())
            });
        }
    }
}
