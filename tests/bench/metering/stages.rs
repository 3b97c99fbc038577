//! Where a batch spends its time, as the server's own metrics tell it.

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::{collections::BTreeMap, sync::OnceLock};

static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Sums and counts of the meter's histograms, by their names.
#[derive(Debug, Clone, Default)]
pub struct Stages(BTreeMap<String, [f64; 2]>);

/// What has been counted so far.
pub fn now() -> Stages {
    let recorder = RECORDER.get_or_init(|| {
        let one = PrometheusBuilder::new().set_buckets(&[1.0]).expect("a bucket");
        one.install_recorder().expect("no other recorder")
    });
    let mut stages = Stages::default();
    for line in recorder.render().lines().filter(|line| line.starts_with("tollkeeper_meter_")) {
        let Some((name, value)) = line.rsplit_once(' ') else { continue };
        let Ok(value) = value.parse::<f64>() else { continue };
        for (at, suffix) in ["_sum", "_count"].into_iter().enumerate() {
            if name.contains(&format!("{suffix}{{")) || name.ends_with(suffix) {
                let name = name.replace(suffix, "");
                stages.0.entry(name.trim_start_matches("tollkeeper_meter_").to_owned()).or_default()[at] =
                    value;
            }
        }
    }
    stages
}

impl Stages {
    /// What came since an earlier moment.
    pub fn since(&self, before: &Self) -> Self {
        let less = |(name, [sum, count]): (&String, &[f64; 2])| {
            let [sum_before, count_before] = before.0.get(name).copied().unwrap_or_default();
            (name.clone(), [sum - sum_before, count - count_before])
        };
        Self(self.0.iter().map(less).collect())
    }

    fn mean(&self, name: &str) -> f64 {
        let [sum, count] = self.0.get(name).copied().unwrap_or_default();
        if count > 0.0 { sum / count } else { 0.0 }
    }

    /// Requests of a batch, on average.
    pub fn batch(&self) -> f64 {
        self.mean("batch_size")
    }

    /// A line with the average of every stage.
    pub fn print(&self) {
        let stage =
            |name| format!("{name} {:.2}", self.mean(&format!("stage_seconds{{stage=\"{name}\"}}")) * 1e3);
        let stages = ["queue", "lock", "policy", "read", "decide", "write", "commit"].map(stage);
        let (batch, whole) = (self.batch(), self.mean("database_seconds") * 1e3);
        println!("   batches of {batch:.1} in {whole:.2} ms: {}", stages.join(", "));
    }
}
