//! [`Disk`]: a disk that a test can fill to the page, under a server that runs.
//!
//! As root it is a small tmpfs in a mount namespace of its own, which is gone with this process however that ends. For anybody
//! else, files of the server may not grow beyond a size (`RLIMIT_FSIZE`), which SQLite is told of as another error than "full",
//! at the same writes. Where neither can be had the test fails.

use crate::server::{Installation, Server};
use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// Of tmpfs and of the database.
const PAGE: u64 = 4096;

/// A disk that can be filled.
#[derive(Debug)]
pub struct Disk {
    /// Where the database of the installation is, as the server sees it.
    database: PathBuf,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Whoever holds the namespace; its end ends it.
    Tmpfs(Child),
    Limit,
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Kind::Tmpfs(holder) = &mut self.kind {
            let _ = holder.kill();
            let _ = holder.wait();
        }
    }
}

impl Disk {
    /// Puts the database of an installation on a disk of its own. Nothing may have been started yet.
    pub fn under(installation: &mut Installation) -> Self {
        let directory = installation.directory().join("disk");
        fs::create_dir(&directory).unwrap();
        let database = directory.join("tollkeeper.db");
        installation.set("DATABASE_URL", &format!("sqlite://{}", database.display()));
        let disk = Self { database, kind: tmpfs(&directory).map_or(Kind::Limit, Kind::Tmpfs) };
        let launcher: Vec<String> = match &disk.kind {
            Kind::Tmpfs(holder) => {
                vec!["nsenter".into(), format!("--mount=/proc/{}/ns/mnt", holder.id()), "--".into()]
            }
            // Who writes beyond the limit is killed by a signal, unless it is ignored.
            Kind::Limit => {
                let limit = Command::new("prlimit").arg("--version").output();
                assert!(limit.is_ok(), "neither root nor prlimit: there is no way to fill a disk here");
                ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"].map(str::to_owned).into()
            }
        };
        installation.launch_by(launcher);
        disk
    }

    /// What the server is told when the disk is full.
    pub fn code(&self) -> &'static str {
        match self.kind {
            Kind::Tmpfs(_) => "database_full",
            Kind::Limit => "database_failing",
        }
    }

    /// Whether it is full for other processes than the server, too.
    pub fn is_shared(&self) -> bool {
        matches!(self.kind, Kind::Tmpfs(_))
    }

    /// Fills it but for so many pages.
    pub fn fill(&self, server: &Server, pages: u64) {
        if matches!(self.kind, Kind::Limit) {
            let log = self.outside("-wal");
            let size = fs::metadata(&log).map_or(0, |log| log.len());
            return limit(server, &(size + pages * (PAGE + 24)).to_string());
        }
        let mut filler = File::options().create(true).append(true).open(self.filler()).unwrap();
        let page = vec![0; usize::try_from(PAGE).unwrap()];
        while filler.write_all(&page).is_ok() {}
        let size = filler.metadata().unwrap().len();
        filler.set_len(size.saturating_sub(pages * PAGE)).unwrap();
    }

    /// There is space again.
    pub fn clear(&self, server: &Server) {
        match self.kind {
            Kind::Limit => limit(server, "unlimited"),
            Kind::Tmpfs(_) => fs::remove_file(self.filler()).unwrap(),
        }
    }

    fn filler(&self) -> PathBuf {
        self.outside("-filler")
    }

    /// A file beside the database, as this process sees it.
    fn outside(&self, suffix: &str) -> PathBuf {
        let path = format!("{}{suffix}", self.database.display());
        match &self.kind {
            Kind::Tmpfs(holder) => PathBuf::from(format!("/proc/{}/root{path}", holder.id())),
            Kind::Limit => path.into(),
        }
    }
}

/// Mounts a tmpfs over a directory in a namespace of its own, if that is allowed.
fn tmpfs(directory: &Path) -> Option<Child> {
    let script = "mount -t tmpfs -o size=32m,mode=700 none \"$1\" && echo mounted && read -r _";
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "sh", "-c", script, "sh"]).arg(directory);
    unshare.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut holder = unshare.spawn().ok()?;
    let mut line = String::new();
    // The pipe for its input stays with the child, and ends with this process.
    let read = BufReader::new(holder.stdout.take()?).read_line(&mut line);
    if read.is_ok() && line.trim() == "mounted" {
        return Some(holder);
    }
    let _ = holder.kill();
    let _ = holder.wait();
    None
}

/// How large files of a server may become, from now on.
fn limit(server: &Server, bytes: &str) {
    let pid = server.id().to_string();
    let status = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}:")]).status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "prlimit fails: there is no way to fill a disk here"
    );
}
