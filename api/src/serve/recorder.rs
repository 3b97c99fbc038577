//! The recorder of the metrics that `/metrics` shows.

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use service::System;

/// Seconds; from a decision in memory to a request that is about to time out.
#[expect(clippy::disallowed_types, reason = "Prometheus has no other number")]
const BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];
/// Installs it for this process.
pub fn install(system: &System) -> anyhow::Result<PrometheusHandle> {
    let seconds = Matcher::Suffix("_seconds".into());
    let recorder = PrometheusBuilder::new().set_buckets_for_metric(seconds, &BUCKETS)?.install_recorder()?;
    metrics::gauge!("tollkeeper_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    let since_1970 = system.clock.local() - chrono::DateTime::UNIX_EPOCH;
    metrics::gauge!("process_start_time_seconds").set(since_1970.to_std().unwrap_or_default());
    Ok(recorder)
}
