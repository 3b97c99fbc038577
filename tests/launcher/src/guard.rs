//! The guard: this program again, as a process that owns the cluster and lives at the other end of a pipe. When the
//! pipe closes — the suite is done, was interrupted or was killed — it stops the cluster and removes it.

use crate::{Result, cluster::Cluster, scratch};
use std::{
    io::{BufRead, BufReader, Read, Write, stdin, stdout},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// The argument by which this program knows that it is the guard.
pub const WORD: &str = "--guard";

/// The guard as the suite sees it.
#[derive(Debug)]
pub struct Guard {
    /// Where its cluster answers.
    pub url: String,
    /// Where temporary files go, which it removes with the cluster.
    pub temporary: PathBuf,
    process: Child,
}

impl Guard {
    /// Starts the guard, and waits until its cluster answers.
    pub fn start(bin: &Path, fsync: &str) -> Result<Self> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command.arg(WORD).arg(bin).arg(fsync).stdin(Stdio::piped()).stdout(Stdio::piped());
        // A group of its own: Ctrl-C is for the suite, the guard still has to clean up.
        let mut process =
            command.process_group(0).spawn().map_err(|error| format!("{command:?}: {error}"))?;
        let mut told = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut told).map_err(|error| error.to_string())?;
        }
        let (url, temporary) = told.trim().split_once(' ').ok_or("there is no Postgres to test on")?;
        Ok(Self { url: url.to_owned(), temporary: temporary.into(), process })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// What the guard does.
pub fn keep(bin: &Path, fsync: &str) -> Result<()> {
    let cluster = Cluster::start(bin, fsync)?;
    let temporary = scratch::temporary(cluster.directory())?;
    let told =
        writeln!(stdout(), "{} {}", cluster.url(), temporary.display()).and_then(|()| stdout().flush());
    told.map_err(|error| error.to_string())?;
    // Nothing is ever written into the pipe: this returns when the suite is gone.
    stdin().read_to_end(&mut Vec::new()).map_err(|error| error.to_string())?;
    drop(cluster);
    Ok(())
}
