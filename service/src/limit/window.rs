//! The calendar of limits: when a window begins and ends, by the clock and the length of the window alone. So a new window
//! needs no job that makes it, and every instance finds the same one. Windows are those of the calendar in UTC.

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, Utc};
use entity::status::Period;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;
/// From a Monday to the Thursday on which time begins.
const MONDAY: i64 = 3 * DAY;

/// How windows follow each other.
enum Stride {
    /// Every so many seconds, so many seconds before 1970 on.
    Seconds(i64, i64),
    /// Every so many months.
    Months(i32),
    /// There is only one.
    Never,
}

fn stride(period: Period) -> Stride {
    match period {
        Period::Minute => Stride::Seconds(MINUTE, 0),
        Period::Hour => Stride::Seconds(HOUR, 0),
        Period::Day => Stride::Seconds(DAY, 0),
        Period::Week => Stride::Seconds(WEEK, MONDAY),
        Period::Month => Stride::Months(1),
        Period::Quarter => Stride::Months(3),
        Period::Year => Stride::Months(12),
        Period::Request | Period::Total => Stride::Never,
    }
}

/// The first moment of the window that a moment is in. What counts for ever, and a cap on one call, begin in 1970.
pub fn start(period: Period, at: DateTime<Utc>) -> DateTime<Utc> {
    let start = match stride(period) {
        Stride::Seconds(length, lead) => {
            let since = (at.timestamp() + lead).div_euclid(length) * length;
            DateTime::from_timestamp(since - lead, 0)
        }
        Stride::Months(length) => month(months(at).div_euclid(length) * length),
        Stride::Never => None,
    };
    start.unwrap_or(DateTime::UNIX_EPOCH)
}

/// The first moment after the window that begins at `start`; none if it never ends.
pub fn end(period: Period, start: DateTime<Utc>) -> Option<DateTime<Utc>> {
    match stride(period) {
        Stride::Seconds(length, _) => start.checked_add_signed(TimeDelta::try_seconds(length)?),
        Stride::Months(length) => month(months(start) + length),
        Stride::Never => None,
    }
}

/// The months of the calendar from the year 0 to a moment.
fn months(at: DateTime<Utc>) -> i32 {
    at.year() * 12 + at.month0().cast_signed()
}

/// The first moment of a month.
fn month(months: i32) -> Option<DateTime<Utc>> {
    let (year, month) = (months.div_euclid(12), months.rem_euclid(12).cast_unsigned() + 1);
    NaiveDate::from_ymd_opt(year, month, 1).map(|day| day.and_time(NaiveTime::MIN).and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::Timelike;
    use proptest::prelude::*;
    use sea_orm::Iterable;

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn windows_are_those_of_the_calendar() {
        for (period, at, begin, next) in [
            (Period::Minute, "2027-01-15T10:20:30.5Z", "2027-01-15T10:20:00Z", "2027-01-15T10:21:00Z"),
            (Period::Hour, "2027-12-31T23:59:59.999999Z", "2027-12-31T23:00:00Z", "2028-01-01T00:00:00Z"),
            (Period::Day, "2028-02-29T00:00:00Z", "2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z"),
            (Period::Week, "2027-01-15T10:20:30Z", "2027-01-11T00:00:00Z", "2027-01-18T00:00:00Z"),
            (Period::Week, "2027-01-03T23:59:59Z", "2026-12-28T00:00:00Z", "2027-01-04T00:00:00Z"),
            // The week in which time begins began before it.
            (Period::Week, "1970-01-01T00:00:00Z", "1969-12-29T00:00:00Z", "1970-01-05T00:00:00Z"),
            (Period::Month, "2028-02-29T12:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
            (Period::Month, "2027-12-31T23:59:59Z", "2027-12-01T00:00:00Z", "2028-01-01T00:00:00Z"),
            (Period::Quarter, "2027-03-31T23:59:59Z", "2027-01-01T00:00:00Z", "2027-04-01T00:00:00Z"),
            (Period::Quarter, "2027-04-01T00:00:00Z", "2027-04-01T00:00:00Z", "2027-07-01T00:00:00Z"),
            (Period::Quarter, "2027-11-01T00:00:00Z", "2027-10-01T00:00:00Z", "2028-01-01T00:00:00Z"),
            (Period::Year, "2027-12-31T23:59:59Z", "2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"),
            (Period::Year, "9999-12-31T23:59:59.999999Z", "9999-01-01T00:00:00Z", "+10000-01-01T00:00:00Z"),
        ] {
            assert_eq!(start(period, time(at)), time(begin), "{period:?} {at}");
            assert_eq!(end(period, time(begin)), Some(time(next)), "{period:?} {at}");
        }
    }

    #[test]
    fn what_counts_for_ever_has_one_window_without_an_end() {
        for period in [Period::Total, Period::Request] {
            assert_eq!(start(period, time("2027-01-15T10:20:30Z")), DateTime::UNIX_EPOCH);
            assert_eq!(end(period, DateTime::UNIX_EPOCH), None);
        }
    }

    /// A moment of the years 1970 to 9999, to the microsecond.
    fn moment() -> impl Strategy<Value = DateTime<Utc>> {
        (0..=253_402_300_799_999_999_i64).prop_map(|micros| DateTime::from_timestamp_micros(micros).unwrap())
    }

    fn period() -> impl Strategy<Value = Period> {
        prop::sample::select(Period::iter().collect::<Vec<_>>())
    }

    proptest! {
        #[test]
        fn every_moment_is_in_exactly_one_window(period in period(), at in moment()) {
            let begin = start(period, at);
            prop_assert!(begin <= at);
            prop_assert_eq!(start(period, begin), begin);
            let Some(next) = end(period, begin) else {
                prop_assert!(matches!(period, Period::Request | Period::Total));
                return Ok(());
            };
            prop_assert!(at < next);
            prop_assert_eq!(start(period, next), next);
            prop_assert_eq!(start(period, next - TimeDelta::microseconds(1)), begin);
        }

        #[test]
        fn a_window_begins_where_the_calendar_says(at in moment()) {
            let day = start(Period::Day, at);
            prop_assert_eq!(day.date_naive(), at.date_naive());
            prop_assert_eq!(day.num_seconds_from_midnight(), 0);
            prop_assert_eq!(start(Period::Week, at).weekday(), chrono::Weekday::Mon);
            let month = start(Period::Month, at);
            prop_assert_eq!((month.year(), month.month(), month.day()), (at.year(), at.month(), 1));
            let quarter = start(Period::Quarter, at);
            prop_assert_eq!((quarter.year(), quarter.quarter()), (at.year(), at.quarter()));
            prop_assert!([1, 4, 7, 10].contains(&quarter.month()));
            let year = start(Period::Year, at);
            prop_assert_eq!((year.year(), year.ordinal()), (at.year(), 1));
        }
    }
}
