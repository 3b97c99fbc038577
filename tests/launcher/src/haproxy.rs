//! haproxy, for the test of instances that are restarted behind it. Where it cannot be installed here, that test says how to.

use crate::{Result, account::Account, postgres::run};
use std::path::{Path, PathBuf};

/// Installs it on Debian as root, and on macOS, if it is missing.
pub fn ensure() -> Result<()> {
    if is_there("haproxy") {
        return Ok(());
    }
    if Path::new("/etc/debian_version").exists() && Account::is_root()? {
        run(&["apt-get", "update"])?;
        return run(&["apt-get", "install", "--yes", "--no-install-recommends", "haproxy"]);
    }
    if cfg!(target_os = "macos") && is_there("brew") {
        return run(&["brew", "install", "haproxy"]);
    }
    Ok(())
}

fn is_there(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/opt/homebrew/bin", "/usr/local/bin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(more).any(|place| place.join(name).is_file())
}
