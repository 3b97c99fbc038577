//! Proxies for the tests of calls to upstreams. Where they cannot be installed here, those tests say how to.

use crate::{Result, account::Account, postgres::run};
use std::path::{Path, PathBuf};

/// As Debian and Homebrew call them, and their programs too.
const NAMES: [&str; 2] = ["tinyproxy", "microsocks"];
/// Debian's packages of them; the one called `tinyproxy` would also start a service.
const DEBIAN: [&str; 2] = ["tinyproxy-bin", "microsocks"];

/// Installs them on Debian as root, and on macOS, if they are missing.
pub fn ensure() -> Result<()> {
    if NAMES.iter().all(|name| is_there(name)) {
        return Ok(());
    }
    if Path::new("/etc/debian_version").exists() && Account::is_root()? {
        run(&["apt-get", "update"])?;
        return run(&[&["apt-get", "install", "--yes", "--no-install-recommends"], &DEBIAN[..]].concat());
    }
    if cfg!(target_os = "macos") && is_there("brew") {
        return run(&[&["brew", "install"], &NAMES[..]].concat());
    }
    Ok(())
}

fn is_there(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/opt/homebrew/bin", "/usr/local/bin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(more).any(|place| place.join(name).is_file())
}
