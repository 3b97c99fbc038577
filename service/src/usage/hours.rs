//! [`Hours`]: a range of whole hours, and how it is made of whole days and the hours around them.

use crate::{Result, validate::Faults};
use chrono::{DateTime, Utc};
use entity::{status::Grain, usage_rollup::Column};
use sea_orm::{ColumnTrait, Condition};

/// Seconds of an hour.
const HOUR: i64 = 3600;
/// Seconds of a day.
const DAY: i64 = 24 * HOUR;

/// A half-open range of hours in UTC; without a beginning or an end it goes on for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hours {
    pub(super) from: Option<DateTime<Utc>>,
    pub(super) to: Option<DateTime<Utc>>,
}

impl Hours {
    /// The range, if it begins and ends at the full hour.
    pub(super) fn new(from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>) -> Result<Self> {
        let mut faults = Faults::default();
        for (at, moment) in [("?from", from), ("?to", to)] {
            faults.moment(at, moment);
            let aligned = |moment: DateTime<Utc>| {
                moment.timestamp() % HOUR == 0 && moment.timestamp_subsec_nanos() == 0
            };
            let wrong = moment.is_some_and(|moment| !aligned(moment));
            faults.when(wrong, at, "not_aligned", "must be a full hour in UTC");
        }
        faults.finish()?;
        Ok(Self { from, to })
    }

    /// Whether a moment is in the range.
    pub(super) fn holds(self, moment: DateTime<Utc>) -> bool {
        self.from.is_none_or(|from| from <= moment) && self.to.is_none_or(|to| moment < to)
    }

    /// The whole days in the range; none if there is no whole one.
    pub(super) fn days(self) -> Option<Self> {
        let from = self.from.map(|from| start(from.timestamp() + DAY - 1, DAY));
        let to = self.to.map(|to| start(to.timestamp(), DAY));
        from.zip(to).is_none_or(|(from, to)| from < to).then_some(Self { from, to })
    }

    /// How many hours the range has, if it has an end and a beginning.
    pub(super) fn count(self) -> Option<u64> {
        let seconds = self.to?.signed_duration_since(self.from?).num_seconds();
        Some(seconds.max(0).unsigned_abs() / HOUR.unsigned_abs())
    }

    /// The sums that make up the range: those of whole days, and of the hours before and after them.
    pub(super) fn sums(self) -> Condition {
        let of = |grain: Grain, range: Self| {
            Condition::all()
                .add(Column::Grain.eq(grain))
                .add_option(range.from.map(|from| Column::Start.gte(from)))
                .add_option(range.to.map(|to| Column::Start.lt(to)))
        };
        let Some(days) = self.days() else { return of(Grain::Hour, self) };
        let before = self.from.map(|_| of(Grain::Hour, Self { from: self.from, to: days.from }));
        let after = self.to.map(|_| of(Grain::Hour, Self { from: days.to, to: self.to }));
        Condition::any().add(of(Grain::Day, days)).add_option(before).add_option(after)
    }
}

/// The first moment of the sum that a moment belongs to.
pub(super) fn start_of(grain: Grain, moment: DateTime<Utc>) -> DateTime<Utc> {
    match grain {
        Grain::Hour => start(moment.timestamp(), HOUR),
        Grain::Day => start(moment.timestamp(), DAY),
    }
}

fn start(seconds: i64, unit: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds - seconds.rem_euclid(unit), 0).unwrap_or(DateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<DateTime<Utc>> {
        (!text.is_empty()).then(|| text.parse().unwrap())
    }

    #[test]
    fn a_range_begins_and_ends_at_the_full_hour() {
        assert!(Hours::new(at("2027-01-15T10:00:00Z"), at("2027-01-15T11:00:00+01:00")).is_ok());
        for wrong in ["2027-01-15T10:00:01Z", "2027-01-15T10:00:00.000000001Z", "2027-01-15T10:00:00+05:30"] {
            assert!(Hours::new(at(wrong), None).is_err(), "{wrong}");
            assert!(Hours::new(None, at(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn whole_days_are_told_from_the_hours_around_them() {
        for (from, to, days) in [
            (
                "2027-01-15T10:00:00Z",
                "2027-01-18T01:00:00Z",
                Some(("2027-01-16T00:00:00Z", "2027-01-18T00:00:00Z")),
            ),
            (
                "2027-01-15T00:00:00Z",
                "2027-01-16T00:00:00Z",
                Some(("2027-01-15T00:00:00Z", "2027-01-16T00:00:00Z")),
            ),
            ("2027-01-15T01:00:00Z", "2027-01-16T23:00:00Z", None),
            ("2027-01-15T01:00:00Z", "2027-01-15T02:00:00Z", None),
            ("2027-01-18T00:00:00Z", "2027-01-15T00:00:00Z", None),
            ("", "2027-01-15T01:00:00Z", Some(("", "2027-01-15T00:00:00Z"))),
            ("2027-01-15T01:00:00Z", "", Some(("2027-01-16T00:00:00Z", ""))),
            ("", "", Some(("", ""))),
        ] {
            let hours = Hours::new(at(from), at(to)).unwrap();
            assert_eq!(
                hours.days(),
                days.map(|(from, to)| Hours { from: at(from), to: at(to) }),
                "{from} {to}"
            );
        }
    }
}
