//! [`Stand`]: how a call stands with each limit on its path, by what all calls on the books hold and have used.

use crate::{
    expect::Expect,
    naive::{self, Part, Worst, Worth},
    outcome::Outcome,
    policy::KeyRow,
};
use chrono::{DateTime, Utc};
use entity::{
    id::OrganizationId,
    status::{Metric, Mode, Period, ReservationState},
};
use service::meter::{facts::Limit, ledger::WindowKey};

/// How a call stands with a limit.
pub struct Stand<'p> {
    pub limit: &'p Limit,
    pub counted: i128,
    pub wants: i64,
    pub something: bool,
    pub full: bool,
    pub unpriced: bool,
}

impl Stand<'_> {
    pub fn denies(&self) -> bool {
        self.full || self.unpriced
    }
}

impl Expect<'_> {
    /// What a window has counted: what was used, and what is held still, without what was forgiven.
    pub fn counted(
        &self,
        organization: OrganizationId,
        limit: &Limit,
        start: DateTime<Utc>,
        at: DateTime<Utc>,
    ) -> i128 {
        let key = WindowKey { limit: limit.id, subject: limit.subject_id, start };
        let micros = start.timestamp_micros();
        let forgiven = self.before.windows.get(&key).map_or(0, |row| row.adjusted);
        let mut sum = -i128::from(forgiven);
        let mut add = |state, held: i64, used: i64, lasts: bool| match state {
            ReservationState::Held if lasts => sum += i128::from(held),
            ReservationState::Settled => sum += i128::from(used),
            _ => {}
        };
        for (name, row) in &self.before.reservations {
            if name.0 != organization || self.booked.contains_key(name) {
                continue;
            }
            let own = |leg: &&entity::ledger::Leg| (leg.limit, leg.window) == (limit.id, micros);
            for leg in row.legs.0.iter().filter(own) {
                let end = naive::ends(row.counted_from.unwrap_or(row.created_at), row.expires_at, at);
                let lasts = naive::holds(leg.metric, end, row.terms.release_after, at)
                    && !naive::is_released(row.released, leg.metric);
                add(row.state, leg.held, leg.used, lasts);
            }
        }
        for (_, row) in self.booked.iter().filter(|(name, _)| name.0 == organization) {
            for part in row.parts.iter().filter(|part| (part.limit, part.window) == (limit.id, start)) {
                let lasts = naive::holds(part.metric, row.expires, row.release_after, at)
                    && !naive::is_released(row.released, part.metric);
                add(row.state, part.held, part.used, lasts);
            }
        }
        sum
    }

    pub fn stands<'s>(
        &'s self,
        key: &KeyRow,
        path: Vec<&'s Limit>,
        worst: &Worst,
        whole: bool,
        at: DateTime<Utc>,
    ) -> Vec<Stand<'s>> {
        let now = self.told.time(key.organization);
        let stand = |limit: &'s Limit| {
            let start = naive::window(limit.period, at);
            let counted = start.map_or(0, |start| self.counted(key.organization, limit, start, now));
            let (input, output) = worst.tokens;
            let (wants, unpriced) = match limit.metric {
                Metric::Requests | Metric::Concurrency => (1, false),
                Metric::InputTokens => (input, false),
                Metric::OutputTokens => (output, false),
                Metric::Tokens => (input + output, false),
                Metric::Cost => match &worst.worth {
                    Worth::Most(cost, currency) if Some(currency) == limit.currency.as_ref() => {
                        (*cost, false)
                    }
                    Worth::Nothing => (0, false),
                    _ => (0, true),
                },
            };
            let something = !whole && limit.metric != Metric::Requests && !unpriced;
            // What costs nothing takes nothing away.
            let cost = limit.metric == Metric::Cost;
            let free = cost && worst.free;
            let (wants, unpriced, something) =
                if free { (0, false, false) } else { (wants, unpriced, something) };
            let least = if something { 1 } else { wants };
            let full = !free && counted + i128::from(least) > i128::from(limit.amount);
            Stand { limit, counted, wants, something, full, unpriced }
        };
        path.into_iter().map(stand).collect()
    }

    pub fn decided(stands: &[Stand<'_>], may: bool) -> Outcome {
        let denied = stands.iter().any(|stand| stand.denies() && stand.limit.mode == Mode::Block);
        let limits = stands.iter().map(|stand| (stand.limit.id, (stand.counted, stand.denies())));
        Outcome::Decided(may && !denied, limits.collect())
    }

    /// What a call holds, or of which windows it is counted.
    pub fn parts(stands: &[Stand<'_>], at: DateTime<Utc>) -> Vec<Part> {
        let part = |stand: &Stand<'_>| {
            Some(Part {
                limit: stand.limit.id,
                subject: stand.limit.subject_id,
                window: naive::window(stand.limit.period, at)?,
                metric: stand.limit.metric,
                models: stand.limit.models.clone().map(|globs| globs.0),
                currency: stand.limit.currency.clone(),
                held: if stand.something { 0 } else { stand.wants },
                used: 0,
                asked: true,
            })
        };
        stands.iter().filter_map(part).collect()
    }

    pub fn shadows(stands: &[Stand<'_>], at: DateTime<Utc>) -> Vec<WindowKey> {
        let shadow = stands.iter().filter(|stand| stand.denies() && stand.limit.mode == Mode::Shadow);
        let key = |stand: &Stand<'_>| {
            let (limit, subject) = (stand.limit.id, stand.limit.subject_id);
            (stand.limit.period != Period::Request).then(|| WindowKey {
                limit,
                subject,
                start: naive::window(stand.limit.period, at).unwrap(),
            })
        };
        shadow.filter_map(key).collect()
    }
}
