//! [`Cluster`]: a Postgres server of one test, which can be stopped and started again under the same address.

use std::{
    net::TcpListener,
    os::unix::{fs::chown, process::CommandExt},
    path::PathBuf,
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// A Postgres server of one test.
#[derive(Debug)]
pub struct Cluster {
    bin: PathBuf,
    directory: TempDir,
    port: u16,
}

impl Cluster {
    /// Makes one and starts it, with the programs that the launcher found.
    pub fn start() -> Self {
        let bin = std::env::var_os("TOLLKEEPER_TEST_POSTGRES_BIN")
            .expect("TOLLKEEPER_TEST_POSTGRES_BIN names no Postgres programs; `cargo suite` does");
        let cluster = Self { bin: bin.into(), directory: directory(), port: free_port() };
        let data = cluster.data();
        cluster.run("initdb", &["-D", &data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]);
        cluster.resume();
        cluster
    }

    /// A standby that follows it by streaming, and takes no writes.
    pub fn standby(&self) -> Self {
        let directory = directory();
        let standby = Self { bin: self.bin.clone(), directory, port: free_port() };
        let (data, port) = (standby.data(), self.port.to_string());
        let from = ["-D", &data, "-h", "127.0.0.1", "-p", &port, "-U", "postgres"];
        let how = ["-R", "-X", "stream", "--checkpoint=fast", "--no-sync"];
        standby.run("pg_basebackup", &[&from[..], &how[..]].concat());
        standby.resume();
        standby
    }

    /// Ends its time as a standby: from here on it takes writes.
    pub fn promote(&self) {
        self.run("pg_ctl", &["promote", "-D", &self.data(), "-w"]);
    }

    /// Lets in whom these lines of `pg_hba.conf` let in, and nobody else.
    pub fn admit(&self, lines: &str) {
        std::fs::write(self.directory.path().join("data/pg_hba.conf"), lines).unwrap();
        self.stop();
        self.resume();
    }

    /// Host and port.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Stops it as a crash would: connections are cut, nothing is finished.
    pub fn stop(&self) {
        self.run("pg_ctl", &["stop", "-D", &self.data(), "-m", "immediate", "-w"]);
    }

    /// Starts it again, and waits until it answers.
    pub fn resume(&self) {
        let options = format!("-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''", self.port);
        let log = self.directory.path().join("log").display().to_string();
        self.run("pg_ctl", &["start", "-D", &self.data(), "-l", &log, "-o", &options, "-w"]);
    }

    fn data(&self) -> String {
        self.directory.path().join("data").display().to_string()
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(self.bin.join(program));
        command.args(arguments).env("LC_ALL", "C").current_dir(self.directory.path());
        // The server inherits its output; a pipe would never end.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some((user, group)) = account() {
            command.uid(user).gid(group);
        }
        let status = command.status().unwrap();
        assert!(status.success(), "{program} {arguments:?}: {status}");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut stop = Command::new(self.bin.join("pg_ctl"));
        stop.args(["stop", "-D", &self.data(), "-m", "immediate"]).current_dir(self.directory.path());
        if let Some((user, group)) = account() {
            stop.uid(user).gid(group);
        }
        let _ = stop.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// Another account must reach it, and root's own temporary directory may be closed.
pub(crate) fn directory() -> TempDir {
    let directory = tempfile::Builder::new().prefix("tollkeeper-cluster-").tempdir_in("/tmp").unwrap();
    if let Some((user, group)) = account() {
        chown(directory.path(), Some(user), Some(group)).unwrap();
    }
    directory
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The account that Postgres runs under: it refuses to run as root.
pub(crate) fn account() -> Option<(u32, u32)> {
    let id = |what: &str, name: &[&str]| {
        let output = Command::new("id").arg(what).args(name).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse::<u32>().ok()
    };
    if id("-u", &[]) != Some(0) {
        return None;
    }
    ["postgres", "nobody"].into_iter().find_map(|name| Some((id("-u", &[name])?, id("-g", &[name])?)))
}
