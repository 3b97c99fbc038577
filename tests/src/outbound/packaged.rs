//! Proxies that others wrote: tinyproxy (HTTP) and microsocks (SOCKS 5). The launcher installs them where it can.

use std::{
    net::SocketAddr,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};

/// A running proxy; it ends with the test.
#[derive(Debug)]
pub struct Packaged {
    /// Where it listens.
    pub address: SocketAddr,
    process: Child,
    _directory: TempDir,
}

impl Drop for Packaged {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An HTTP proxy that connects to any port, with a user and a password if it asks for them.
pub async fn tinyproxy(login: Option<(&str, &str)>) -> Packaged {
    start("tinyproxy", |address, directory| {
        let auth = login.map(|(user, password)| format!("BasicAuth {user} {password}\n")).unwrap_or_default();
        let (ip, port) = (address.ip(), address.port());
        let file = directory.path().join("tinyproxy.conf");
        let text = format!("Listen {ip}\nPort {port}\nMaxClients 20\nTimeout 60\nLogLevel Error\n{auth}");
        std::fs::write(&file, text).unwrap();
        let mut command = unprivileged("tinyproxy");
        command.arg("-d").arg("-c").arg(file);
        command
    })
    .await
}

/// A SOCKS 5 proxy, with a user and a password if it asks for them.
pub async fn microsocks(login: Option<(&str, &str)>) -> Packaged {
    start("microsocks", |address, _| {
        let mut command = unprivileged("microsocks");
        command.args(["-i", &address.ip().to_string(), "-p", &address.port().to_string()]);
        if let Some((user, password)) = login {
            command.args(["-u", user, "-P", password]);
        }
        command
    })
    .await
}

async fn start(name: &str, command: impl Fn(SocketAddr, &TempDir) -> Command) -> Packaged {
    // The port that was free can be taken by another before the program takes it.
    for _ in 0..3 {
        let directory = tempfile::Builder::new().prefix("tollkeeper-proxy-").tempdir().unwrap();
        open_to_all(&directory);
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let mut command = command(address, &directory);
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut proxy = Packaged { address, process, _directory: directory };
        if proxy.answers().await {
            return proxy;
        }
    }
    panic!("{name} does not start");
}

impl Packaged {
    async fn answers(&mut self) -> bool {
        for _ in 0..500 {
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            if TcpStream::connect(self.address).await.is_ok() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }
}

/// The account that the program runs under must find its configuration.
fn open_to_all(directory: &TempDir) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A command that root gives to `nobody`.
fn unprivileged(name: &str) -> Command {
    let mut command = Command::new(program(name));
    let id = |what: &str, of: &[&str]| {
        let output = Command::new("id").arg(what).args(of).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().parse::<u32>().ok()
    };
    if id("-u", &[]) == Some(0)
        && let (Some(user), Some(group)) = (id("-u", &["nobody"]), id("-g", &["nobody"]))
    {
        command.uid(user).gid(group);
    }
    command
}

fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin", "/usr/local/bin"].map(PathBuf::from);
    let found =
        std::env::split_paths(&path).chain(more).map(|place| place.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| {
        panic!("{name} is not installed. Run: sudo apt-get install {name} (or: brew install {name})")
    })
}
