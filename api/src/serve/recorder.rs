//! The recorder of the metrics that `/metrics` shows.

use api::metric::{self, Kind, METRICS};
use metrics::Unit;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use service::System;

/// Seconds; from a decision in memory to a request that is about to time out.
#[expect(clippy::disallowed_types, reason = "Prometheus has no other number")]
const SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];
/// How many; up to the largest batch.
#[expect(clippy::disallowed_types, reason = "Prometheus has no other number")]
const COUNTS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// Installs it for this process.
pub fn install(system: &System) -> anyhow::Result<PrometheusHandle> {
    // What has no buckets of its own would be a summary, which cannot be added up over instances.
    let mut builder = PrometheusBuilder::new().set_buckets(&SECONDS)?;
    for metric in METRICS.iter().filter(|m| m.kind == Kind::Histogram && m.unit != Some(Unit::Seconds)) {
        builder = builder.set_buckets_for_metric(Matcher::Full(metric.name.into()), &COUNTS)?;
    }
    let recorder = builder.install_recorder()?;
    metric::describe();
    metrics::gauge!("tollkeeper_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    let since_1970 = system.clock.local() - chrono::DateTime::UNIX_EPOCH;
    metrics::gauge!("process_start_time_seconds").set(since_1970.to_std().unwrap_or_default());
    Ok(recorder)
}
