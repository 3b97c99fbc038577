//! The benchmark programs. They compare on one machine in one run, so read the ratios.
//!
//! `cargo suite --bench [decisions] [footprint] [keys] [metering] [prices] [stall]` runs those named, or all; `sqlite` or `postgres`
//! beside them, on that database only.

mod decisions;
mod footprint;
mod keys;
mod load;
mod metering;
mod prices;
mod stage;
mod stall;

fn main() {
    let programs = ["decisions", "footprint", "keys", "metering", "prices", "stall"];
    let named: Vec<String> =
        std::env::args().filter(|argument| programs.contains(&argument.as_str())).collect();
    let wanted = |name: &str| named.is_empty() || named.iter().any(|n| n == name);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        if wanted("decisions") {
            decisions::run().await;
        }
        if wanted("footprint") {
            footprint::run().await;
        }
        if wanted("keys") {
            keys::run().await;
        }
        if wanted("metering") {
            metering::run().await;
        }
        if wanted("prices") {
            prices::run().await;
        }
        if wanted("stall") {
            stall::run().await;
        }
    });
}
