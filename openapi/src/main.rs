//! `cargo run -p openapi -- print | write | check`: the committed contract, `openapi/openapi.json`, is exactly what the
//! code says.

use anyhow::{Context, Result, bail, ensure};
use std::fs;

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");

fn main() -> Result<()> {
    let clashes = api::schema_clashes();
    ensure!(
        clashes.is_empty(),
        "several types are called {clashes:?} in the contract: give each a name of its own with `#[schema(as = …)]`"
    );
    let document = api::openapi().to_pretty_json()? + "\n";
    match std::env::args().nth(1).as_deref() {
        Some("print") => print!("{document}"),
        Some("write") => fs::write(COMMITTED, document).context(COMMITTED)?,
        Some("check") => {
            let committed = fs::read_to_string(COMMITTED).context(COMMITTED)?;
            ensure!(
                committed == document,
                "the code has moved on from {COMMITTED}: run `cargo run -p openapi -- write`"
            );
        }
        _ => bail!("usage: openapi print | write | check"),
    }
    Ok(())
}
