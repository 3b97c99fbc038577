//! Every metric: its name, kind, labels and meaning, in one table, which `/metrics` shows as HELP and `docs/operation.md` as a
//! table. The labels of each have few values, whatever clients send.

use metrics::Unit;

/// How a metric moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts what is observed in buckets.
    Histogram,
}

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// How it moves.
    pub kind: Kind,
    /// What it is measured in; the name ends with it.
    pub unit: Option<Unit>,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// Whether it is 0 until it is counted first; what would mean something else then is absent.
    pub from_start: bool,
    /// What it means.
    pub help: &'static str,
}

impl Metric {
    const fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self { name, kind, unit: None, labels: &[], from_start: true, help }
    }

    const fn counter(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::Counter, help)
    }

    const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::Gauge, help)
    }

    const fn histogram(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::Histogram, help)
    }

    const fn seconds(name: &'static str, help: &'static str) -> Self {
        Self::histogram(name, help).of(Unit::Seconds)
    }

    const fn of(self, unit: Unit) -> Self {
        Self { unit: Some(unit), ..self }
    }

    const fn once_known(self) -> Self {
        Self { from_start: false, ..self }
    }

    const fn by(self, labels: &'static [&'static str]) -> Self {
        Self { labels, ..self }
    }

    /// Its name with its labels, as documentation shows it.
    pub fn signature(&self) -> String {
        let labels = self.labels.join(", ");
        if labels.is_empty() { self.name.to_owned() } else { format!("{}{{{labels}}}", self.name) }
    }
}

/// All of them. Those of the process, `process_…`, are as every client of Prometheus names them.
pub const METRICS: [Metric; 36] = [
    Metric::gauge("tollkeeper_build_info", "Always 1; the label says which version runs").by(&["version"]),
    Metric::counter(
        "tollkeeper_http_requests_total",
        "Requests answered; 499 stands for a client that went away before, `unmatched` for paths that are none",
    )
    .by(&["method", "route", "status"]),
    Metric::seconds("tollkeeper_http_request_duration_seconds", "From the head of a request to that of its reply")
        .by(&["method", "route"]),
    Metric::gauge("tollkeeper_http_requests_in_flight", "Requests that are being answered"),
    Metric::seconds("tollkeeper_database_ping_seconds", "How long the database took to answer the readiness probe"),
    Metric::gauge("tollkeeper_database_connections", "Connections of a pool that are `idle` or `in_use`")
        .by(&["pool", "state"]),
    Metric::gauge("tollkeeper_database_connections_max", "Connections that a pool may have").by(&["pool"]),
    Metric::seconds(
        "tollkeeper_database_acquire_seconds",
        "How long a probe, every five seconds, waited for a free connection of a pool",
    )
    .by(&["pool"]),
    Metric::gauge(
        "tollkeeper_database_writable",
        "1 if what is written is kept; 0 while the disk is full, the database a standby, its file replaced",
    )
    .once_known(),
    Metric::counter("tollkeeper_database_commit_failures_total", "Commits that failed; what they held was not confirmed"),
    Metric::gauge("tollkeeper_partitions_remaining_seconds", "For how long the ledgers on Postgres have partitions")
        .of(Unit::Seconds)
        .once_known(),
    Metric::gauge("tollkeeper_clock_skew_seconds", "How far the clocks of instance and database are apart")
        .of(Unit::Seconds),
    Metric::counter("tollkeeper_clock_steps_total", "Organizations whose clock was found to have been wrong, and went back"),
    Metric::counter("tollkeeper_clock_jumps_total", "Jumps of the database's clock of more than 5 minutes"),
    Metric::gauge("tollkeeper_housekeeping_suspended", "1 while nothing is removed by age, since a clock has jumped"),
    Metric::histogram("tollkeeper_meter_batch_size", "Requests of a batch of the meter"),
    Metric::gauge("tollkeeper_meter_queue", "Requests that waited for the meter when the last batch was taken"),
    Metric::seconds(
        "tollkeeper_meter_stage_seconds",
        "How long a request waits in the `queue`, and a batch for its `lock`, for changed `policy`, to `read` reservations, \
         windows and prices, to `decide`, to `write`, to `commit`",
    )
    .by(&["stage"]),
    Metric::seconds("tollkeeper_meter_database_seconds", "One run of a batch, all in all"),
    Metric::counter("tollkeeper_meter_retries_total", "Runs of a batch that failed because of the database, and were run again"),
    Metric::counter("tollkeeper_meter_denials_total", "Reasons of denials; a denial may have several").by(&["code"]),
    Metric::counter(
        "tollkeeper_meter_put_back_total",
        "Requests that waited apart while changed prices were read; everybody else went on",
    ),
    Metric::counter("tollkeeper_meter_panics_total", "Requests that were answered 500 because deciding them panicked"),
    Metric::counter("tollkeeper_meter_statements_total", "Statements that the meter has run"),
    Metric::counter("tollkeeper_meter_entries_total", "Rows of policy that the meter has read into memory"),
    Metric::counter("tollkeeper_price_books_read_total", "Price books that were read into memory, `whole` or what has changed")
        .by(&["extent"]),
    Metric::counter("tollkeeper_price_rows_read_total", "Prices that were read into memory"),
    Metric::counter("process_cpu_seconds_total", "Processor time used").of(Unit::Seconds),
    Metric::gauge("process_resident_memory_bytes", "Memory in use").of(Unit::Bytes),
    Metric::gauge("process_virtual_memory_bytes", "Memory mapped").of(Unit::Bytes),
    Metric::gauge("process_open_fds", "Open file descriptors"),
    Metric::gauge("process_max_fds", "File descriptors that may be open"),
    Metric::gauge("process_threads", "Threads"),
    Metric::gauge("process_start_time_seconds", "When the process started, since 1970").of(Unit::Seconds),
    Metric::counter("tollkeeper_log_lines_total", "Lines of the log at the levels `warn` and `error`").by(&["level"]),
    Metric::counter("tollkeeper_panics_total", "Panics; each is in the log with its place"),
];

/// Describes them to the recorder of this process. Those without labels are there from the start, with 0, so that their
/// absence is not taken for their silence.
pub fn describe() {
    for Metric { name, kind, unit, labels, from_start, help } in METRICS {
        let unit = unit.unwrap_or(Unit::Count);
        let ours = from_start && labels.is_empty() && !name.starts_with("process_");
        match kind {
            Kind::Counter => {
                metrics::describe_counter!(name, unit, help);
                ours.then(|| metrics::counter!(name).increment(0));
            }
            Kind::Gauge => {
                metrics::describe_gauge!(name, unit, help);
                ours.then(|| metrics::gauge!(name).increment(0));
            }
            Kind::Histogram => metrics::describe_histogram!(name, unit, help),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_follow_the_conventions() {
        let names: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len(), "a name is declared twice");
        for Metric { name, kind, unit, help, .. } in METRICS {
            let (stem, total) = name.strip_suffix("_total").map_or((name, false), |stem| (stem, true));
            assert_eq!(total, kind == Kind::Counter, "{name}");
            assert_eq!(unit == Some(Unit::Seconds), stem.ends_with("_seconds"), "{name}");
            assert_eq!(unit == Some(Unit::Bytes), stem.ends_with("_bytes"), "{name}");
            assert!(name.starts_with("tollkeeper_") || name.starts_with("process_"), "{name}");
            assert!(!help.is_empty() && !help.contains('|') && !help.contains('\n'), "{name}");
        }
    }
}
