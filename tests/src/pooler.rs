//! [`Pooler`]: a PgBouncer of one test, in transaction mode, in front of one database.

use crate::cluster::{account, directory, free_port};
use std::{
    net::TcpStream,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use url::Url;

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a pooler is told about settings that come with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settings {
    /// Nothing: it refuses the connection.
    Refused,
    /// To ignore them: they are lost.
    Ignored,
}

/// A PgBouncer.
#[derive(Debug)]
pub struct Pooler {
    process: Child,
    port: u16,
    database: String,
    directory: TempDir,
}

impl Pooler {
    /// Starts one in front of the database at this URL, with so many connections to it.
    pub fn start(url: &str, connections: u32, settings: Settings) -> Self {
        let (directory, port) = (directory(), free_port());
        let url: Url = url.parse().unwrap();
        let database = url.path().trim_start_matches('/').to_owned();
        let ignored = if settings == Settings::Ignored {
            "ignore_startup_parameters = extra_float_digits,options\n"
        } else {
            ""
        };
        let password = url.password().map(|word| format!(" password='{word}'")).unwrap_or_default();
        let config = format!(
            "[databases]\n{database} = host={} port={} dbname={database} user={}{password}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = transaction\ndefault_pool_size = {connections}\nmax_client_conn = 500\n{ignored}",
            url.host_str().unwrap(),
            url.port().unwrap_or(5432),
            url.username(),
        );
        let file = directory.path().join("pgbouncer.ini");
        std::fs::write(&file, config).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        let log = std::fs::File::create(directory.path().join("log")).unwrap();
        let mut command = Command::new(program());
        command.arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        if let Some((user, group)) = account() {
            command.uid(user).gid(group);
        }
        let mut pooler = Self { process: command.spawn().unwrap(), port, database, directory };
        pooler.wait();
        pooler
    }

    fn wait(&mut self) {
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.process.try_wait().unwrap().is_some() || started.elapsed() > PATIENCE;
            assert!(!ended, "PgBouncer does not answer:\n{}", self.log());
            sleep(Duration::from_millis(20));
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// The database through it.
    pub fn url(&self) -> String {
        format!("postgres://anybody@127.0.0.1:{}/{}", self.port, self.database)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where PgBouncer is; the launcher installs it.
fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/opt/homebrew/bin", "/usr/local/bin"].map(PathBuf::from);
    let mut places = std::env::split_paths(&path).chain(more).map(|place| place.join("pgbouncer"));
    places
        .find(|place: &PathBuf| Path::is_file(place))
        .expect("PgBouncer is not installed: apt-get install pgbouncer, or brew install pgbouncer")
}
