//! The benchmark programs. They compare on one machine in one run, so read the ratios.
//!
//! `cargo suite --bench [decisions] [footprint] [keys] [prices]` runs those named, or all.

mod decisions;
mod footprint;
mod keys;
mod load;
mod prices;
mod stage;

fn main() {
    let named: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
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
        if wanted("prices") {
            prices::run().await;
        }
    });
}
