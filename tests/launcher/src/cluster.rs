//! [`Cluster`]: a Postgres of its own, on a free port of the loopback address, in a directory of its own. For
//! tests it trades durability for speed, since nothing of it is kept; benchmarks pay for theirs.

use crate::{Result, account::Account, output, scratch};
use std::{
    fs::{self, File},
    io::Read,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// How often another port is tried, if somebody else takes the free one first.
const ATTEMPTS: usize = 5;
/// How long a start may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// A cluster that runs.
#[derive(Debug)]
pub struct Cluster {
    bin: PathBuf,
    account: Account,
    directory: PathBuf,
    password: String,
    fsync: String,
    server: Option<(Child, u16)>,
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> String {
    move |error| format!("{}: {error}", path.display())
}

impl Cluster {
    /// Makes a cluster and starts it.
    pub fn start(bin: &Path, fsync: &str) -> Result<Self> {
        let directory = scratch::directory(fsync == "off")?;
        let account = Account::choose()?;
        let mut cluster = Self {
            bin: bin.to_owned(),
            account,
            directory,
            password: password()?,
            fsync: fsync.to_owned(),
            server: None,
        };
        cluster.account.own(&cluster.directory)?;
        cluster.initialize()?;
        for _ in 0..ATTEMPTS {
            if cluster.serve()? {
                return Ok(cluster);
            }
        }
        Err(format!("Postgres does not start:\n{}", cluster.log()))
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        let port = self.server.as_ref().map_or(0, |(_, port)| *port);
        format!("postgres://postgres:{}@127.0.0.1:{port}/postgres", self.password)
    }

    /// Where all of it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }

    fn initialize(&self) -> Result<()> {
        let file = self.directory.join("password");
        fs::write(&file, &self.password).map_err(io(&file))?;
        self.account.own(&file)?;
        let mut initdb = self.account.command(self.bin.join("initdb"));
        initdb.current_dir(&self.directory).env("LC_ALL", "C").arg("--pgdata").arg(self.data());
        initdb.arg("--pwfile").arg(&file);
        initdb.args(["--username=postgres", "--auth=password", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        output(&mut initdb).map(drop)
    }

    /// Starts the server on a free port; `false` if it ended at once.
    fn serve(&mut self) -> Result<bool> {
        let port = free_port()?;
        let path = self.directory.join("log");
        let log = File::create(&path).map_err(io(&path))?;
        let mut command = self.account.command(self.bin.join("postgres"));
        command.current_dir(&self.directory).env("LC_ALL", "C").arg("-D").arg(self.data());
        command.arg("-p").arg(port.to_string());
        for setting in [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "max_connections=300",
            "max_locks_per_transaction=128",
        ] {
            command.args(["-c", setting]);
        }
        for setting in ["fsync", "full_page_writes"] {
            command.args(["-c", &format!("{setting}={}", self.fsync)]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        let (child, _) = self.server.insert((child, port));
        let status = self.directory.join("data/postmaster.pid");
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if child.try_wait().map_err(io(&path))?.is_some() {
                return Ok(false);
            }
            // The server writes its state into the last line.
            if fs::read_to_string(&status).is_ok_and(|text| text.trim_end().ends_with("ready")) {
                return Ok(true);
            }
            sleep(Duration::from_millis(20));
        }
        Ok(false)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some((mut child, _)) = self.server.take() {
            let mut stop = self.account.command(self.bin.join("pg_ctl"));
            stop.current_dir(&self.directory).arg("stop").arg("-D").arg(self.data());
            let stopped = output(stop.args(["-m", "immediate", "-W"]));
            if stopped.is_err() {
                let _ = child.kill();
            }
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(|error| format!("no free port: {error}"))
}

/// Other accounts of this machine can reach the port, so it takes a password.
fn password() -> Result<String> {
    let source = Path::new("/dev/urandom");
    let mut bytes = [0; 16];
    File::open(source).and_then(|mut file| file.read_exact(&mut bytes)).map_err(io(source))?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bytes)))
}
