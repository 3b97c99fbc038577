//! nginx, for the test of `/v1/check` behind it. Where it cannot be installed here, that test says how to.

use crate::{Result, account::Account, postgres::run};
use std::path::Path;

/// Installs nginx on Debian as root, if it is missing.
pub fn ensure() -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    let debian = Path::new("/etc/debian_version").exists();
    if places.any(|place| place.join("nginx").is_file()) || !debian || !Account::is_root()? {
        return Ok(());
    }
    run(&["apt-get", "update"])?;
    run(&["apt-get", "install", "--yes", "--no-install-recommends", "nginx"])
}
