//! The first words of a server, on standard output: where it is, and what to do next.

use crate::{
    config::{Config, Database, LogFormat},
    keyring,
    serve::logging,
};
use serde_json::{Map, Value};
use service::{System, token::Token};
use std::{
    fmt::Write,
    io::{IsTerminal, Write as _},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
};

/// Where a setup token is to be found.
enum Setup {
    /// It is done.
    Done,
    /// On this terminal.
    Shown(Token),
    /// In this file.
    Left(PathBuf),
}

/// Prints them. At the first start they say how to sign in.
pub async fn print(config: &Config, system: &Arc<System>, address: SocketAddr) -> anyhow::Result<()> {
    let setup = setup(config, system, address).await?;
    let text = match config.log_format {
        LogFormat::Text => text(config, address, &setup),
        LogFormat::Json => line(config, address, &setup),
    };
    let mut out = std::io::stdout();
    // A closed standard output is no reason not to serve.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    Ok(())
}

async fn setup(config: &Config, system: &Arc<System>, address: SocketAddr) -> anyhow::Result<Setup> {
    let token = service::bootstrap::prepare(system, config.bootstrap.clone()).await?;
    let beside = config.database.beside(".setup-token");
    let path =
        beside.unwrap_or_else(|| config.state_dir.join(format!("tollkeeper-{}.setup-token", address.port())));
    let Some(token) = token else {
        // A token that was left at an earlier start opens nothing any more.
        let _ = std::fs::remove_file(&path);
        return Ok(Setup::Done);
    };
    if std::io::stdout().is_terminal() && config.log_format == LogFormat::Text {
        return Ok(Setup::Shown(token));
    }
    keyring::write_private(&path, &format!("{}\n", token.expose()))?;
    tracing::info!(path = %path.display(), "nobody has signed in yet: the one-time setup token is in this file");
    Ok(Setup::Left(path))
}

/// Where the log is read by machines, standard output mostly ends up beside it.
fn line(config: &Config, address: SocketAddr, setup: &Setup) -> String {
    let base = base(config, address);
    let mut fields = Map::from_iter([("documentation".to_owned(), Value::from(format!("{base}/docs")))]);
    if let Setup::Left(path) = setup {
        fields.insert("setup_token_file".to_owned(), path.display().to_string().into());
    }
    let version = env!("CARGO_PKG_VERSION");
    logging::announcement(&format!("Tollkeeper {version} is listening on {base}"), &fields)
}

fn text(config: &Config, address: SocketAddr, setup: &Setup) -> String {
    let base = base(config, address);
    let database = match &config.database {
        Database::Sqlite { file, .. } => file.display().to_string(),
        Database::Postgres { .. } => "Postgres".to_owned(),
    };
    let mut text = format!(
        "Tollkeeper {} is listening on {base}\n\n  database       {database}\n  documentation  {base}/docs\n",
        env!("CARGO_PKG_VERSION")
    );
    let token = match setup {
        Setup::Done => None,
        Setup::Shown(token) => Some((token.expose().to_owned(), token.expose().to_owned())),
        Setup::Left(path) => {
            let path = path.display();
            Some((format!("in {path}, readable by you alone"), format!("'\"$(cat {path})\"'")))
        }
    };
    // Writing to a String cannot fail.
    let _ = match token {
        Some((place, word)) => write!(
            text,
            "  setup token    {place}\n\nMake the first owner and sign in:\n  \
             curl {base}/v1/setup -H 'content-type: application/json' \\\n    \
             -d '{{\"token\": \"{word}\", \"name\": \"<your name>\", \"email\": \"<address>\", \"password\": \"<15 characters or more>\"}}'\n"
        ),
        None => write!(
            text,
            "\nSign in:\n  curl {base}/v1/auth/login -H 'content-type: application/json' \\\n    \
             -d '{{\"email\": \"<address>\", \"password\": \"<password>\"}}'\n"
        ),
    };
    text
}

/// The address as a person on this machine types it.
fn base(config: &Config, address: SocketAddr) -> String {
    let scheme = config.server.scheme();
    if address.ip().is_unspecified() {
        format!("{scheme}://localhost:{}", address.port())
    } else {
        format!("{scheme}://{address}")
    }
}
