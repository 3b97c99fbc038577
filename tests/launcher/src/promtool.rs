//! promtool, which checks the metrics. Where it cannot be installed here, that test says how to.

use crate::{Result, account::Account, output, postgres::run};
use std::{fs, path::Path, process::Command};

/// Where the program goes that is taken out of Debian's package.
const PLACE: &str = "/usr/local/bin/promtool";

/// Installs it on Debian as root, and on macOS, if it is missing.
pub fn ensure() -> Result<()> {
    if is_there("promtool") {
        return Ok(());
    }
    if Path::new("/etc/debian_version").exists() && Account::is_root()? {
        return unpack();
    }
    if cfg!(target_os = "macos") && is_there("brew") {
        return run(&["brew", "install", "prometheus"]);
    }
    Ok(())
}

/// Takes the program out of the package `prometheus`, which, installed, would also start a server.
fn unpack() -> Result<()> {
    run(&["apt-get", "update"])?;
    let directory = std::env::temp_dir().join(format!("tollkeeper-promtool-{}", std::process::id()));
    let failed = |error: std::io::Error| format!("{}: {error}", directory.display());
    fs::create_dir_all(&directory).map_err(failed)?;
    output(Command::new("apt-get").args(["download", "prometheus"]).current_dir(&directory))?;
    let mut files = fs::read_dir(&directory).map_err(failed)?.filter_map(std::result::Result::ok);
    let package = files.find(|file| file.path().extension().is_some_and(|kind| kind == "deb"));
    let package = package.ok_or("apt-get has downloaded no package")?.path();
    output(Command::new("dpkg-deb").arg("--extract").args([&package, &directory]))?;
    fs::copy(directory.join("usr/bin/promtool"), PLACE).map_err(failed)?;
    fs::remove_dir_all(&directory).map_err(failed)
}

fn is_there(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|place| place.join(name).is_file())
}
