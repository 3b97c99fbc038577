//! Where the Postgres programs are; if nowhere, they are installed.

use crate::{Result, account::Account, output, status};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The oldest release that Tollkeeper runs on.
const OLDEST: u32 = 15;
/// Directories that hold one `…/bin` for each installed release.
const SHELVES: [(&str, &str); 4] = [
    ("/usr/lib/postgresql", ""),
    ("/usr", "pgsql-"),
    ("/opt/homebrew/opt", "postgresql"),
    ("/usr/local/opt", "postgresql"),
];

/// The programs that tests run.
const PROGRAMS: [&str; 9] =
    ["initdb", "pg_ctl", "postgres", "pg_basebackup", "pg_dump", "pg_restore", "createdb", "dropdb", "psql"];

/// The directory of [`PROGRAMS`].
pub fn find_or_install() -> Result<PathBuf> {
    if let Some(bin) = find() {
        return Ok(bin);
    }
    install()?;
    find().ok_or_else(|| format!("Postgres was installed, but version {OLDEST} or later is not to be found"))
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    // A link to one program leads to where the others are.
    let linked = places.iter().filter_map(|place| place.join("postgres").canonicalize().ok());
    let linked: Vec<PathBuf> = linked.filter_map(|program| program.parent().map(Path::to_owned)).collect();
    places.extend(linked);
    places.extend(output(Command::new("pg_config").arg("--bindir")).ok().map(PathBuf::from));
    for (shelf, prefix) in SHELVES {
        let mut releases: Vec<PathBuf> = fs::read_dir(shelf)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
            .map(|entry| entry.path().join("bin"))
            .collect();
        releases.sort();
        places.extend(releases.into_iter().rev());
    }
    places.into_iter().find(|place| is_complete(place))
}

fn is_complete(bin: &Path) -> bool {
    PROGRAMS.iter().all(|program| bin.join(program).is_file())
        && output(Command::new(bin.join("postgres")).arg("--version"))
            .is_ok_and(|text| major(&text).is_some_and(|major| major >= OLDEST))
}

/// `postgres (PostgreSQL) 15.18 (Debian …)` → 15
fn major(version: &str) -> Option<u32> {
    let number = version.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn install() -> Result<()> {
    let debian = Path::new("/etc/debian_version").exists();
    let macos = cfg!(target_os = "macos");
    if debian && Account::is_root()? {
        run(&["apt-get", "update"])?;
        return run(&["apt-get", "install", "--yes", "--no-install-recommends", "postgresql"]);
    }
    if macos && Command::new("brew").arg("--version").output().is_ok() {
        return run(&["brew", "install", "postgresql@16"]);
    }
    let advice = match (debian, macos) {
        (true, _) => "sudo apt-get install postgresql",
        (_, true) => "install Homebrew from https://brew.sh, then: brew install postgresql@16",
        _ => "install the PostgreSQL server with your package manager, so that `initdb` is in the PATH",
    };
    Err(format!("PostgreSQL {OLDEST} or later is not installed. Run:\n    {advice}"))
}

/// Runs a command that changes the machine, and says so.
pub fn run(words: &[&str]) -> Result<()> {
    eprintln!("suite: {}", words.join(" "));
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).env("DEBIAN_FRONTEND", "noninteractive");
    match status(&mut command)? {
        0 => Ok(()),
        code => Err(format!("`{}` failed with exit code {code}", words.join(" "))),
    }
}

#[cfg(test)]
mod tests {
    use super::major;

    #[test]
    fn the_major_version_is_the_first_number() {
        assert_eq!(major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 9.6.24"), Some(9));
        assert_eq!(major("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major("postgres"), None);
    }
}
