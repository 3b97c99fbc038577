//! What `/metrics` shows: what has been recorded, and beside it what is true at this moment of the pools and the process.

use crate::{
    metric::{Kind, METRICS},
    state::AppState,
};
use std::fs;

/// Ticks of the processor time in `/proc`, a second; the same on every Linux.
const TICKS: u64 = 100;

/// The page, if metrics are recorded.
pub fn page(state: &AppState) -> Option<String> {
    let recorder = state.metrics.as_ref()?;
    for pool in state.system.db.pools() {
        let (size, idle) = pool.connections();
        for (word, count) in [("idle", idle), ("in_use", size - idle)] {
            metrics::gauge!("tollkeeper_database_connections", "pool" => pool.name, "state" => word)
                .set(count);
        }
        metrics::gauge!("tollkeeper_database_connections_max", "pool" => pool.name).set(pool.capacity());
    }
    Some(recorder.render() + &process())
}

/// The metrics of the process, as far as the system tells them: elsewhere than on Linux there are none.
fn process() -> String {
    let read = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
    let fds = fs::read_dir("/proc/self/fd").map(Iterator::count).ok();
    let fds = fds.map(|count| ("process_open_fds", count.to_string()));
    let values = of_stat(&read("stat"))
        .into_iter()
        .chain(of_status(&read("status")))
        .chain(of_limits(&read("limits")));
    values.chain(fds).map(|(name, value)| sample(name, &value)).collect()
}

type Value = (&'static str, String);

/// The name of the program, which comes second and in brackets, may contain anything.
fn of_stat(text: &str) -> Vec<Value> {
    let fields: Vec<&str> = text.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let ticks = number(11).zip(number(12)).map(|(user, system)| user + system);
    let seconds = ticks.map(|ticks| format!("{}.{:02}", ticks / TICKS, ticks % TICKS));
    let values = [
        ("process_cpu_seconds_total", seconds),
        ("process_threads", number(17).map(|threads| threads.to_string())),
        ("process_virtual_memory_bytes", number(20).map(|bytes| bytes.to_string())),
    ];
    values.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn of_status(text: &str) -> Option<Value> {
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(("process_resident_memory_bytes", (kib * 1024).to_string()))
}

fn of_limits(text: &str) -> Option<Value> {
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let soft = line.split_whitespace().next()?;
    let soft = if soft == "unlimited" { "+Inf" } else { soft };
    Some(("process_max_fds", soft.to_owned()))
}

fn sample(name: &str, value: &str) -> String {
    let Some(metric) = METRICS.iter().find(|metric| metric.name == name) else { return String::new() };
    let kind = if metric.kind == Kind::Counter { "counter" } else { "gauge" };
    format!("# HELP {name} {}\n# TYPE {name} {kind}\n{name} {value}\n\n", metric.help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_have_any_name() {
        let stat = "7 (a) b ( c) S 1 7 7 0 -1 4194560 100 0 0 0 250 33 0 0 20 0 9 0 5 1048576 200 18446744073709551615";
        let expected = [
            ("process_cpu_seconds_total", "2.83".to_owned()),
            ("process_threads", "9".to_owned()),
            ("process_virtual_memory_bytes", "1048576".to_owned()),
        ];
        assert_eq!(of_stat(stat), expected);
        assert_eq!(of_stat(""), []);
    }

    #[test]
    fn memory_and_descriptors_are_read_as_linux_tells_them() {
        let status = "Name:\tx\nVmRSS:\t    2048 kB\nThreads:\t9\n";
        assert_eq!(of_status(status), Some(("process_resident_memory_bytes", "2097152".to_owned())));
        let limits = "Max open files            1024                 524288               files     \n";
        assert_eq!(of_limits(limits), Some(("process_max_fds", "1024".to_owned())));
    }
}
