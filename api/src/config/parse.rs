//! Texts into what they mean. A fault says what is expected and never repeats the text, which may be a secret.

use super::{Database, LogFormat};
use api::state::AccessLog;
use ipnet::IpNet;
use service::{password::Password, price::list::ListFormat, upstream::read_roots};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};
use tracing_subscriber::EnvFilter;

type Parsed<T> = Result<T, String>;

const DEFAULT_DATABASE: &str = "sqlite://tollkeeper.db";

pub(super) fn default_database() -> Database {
    Database::Sqlite { url: DEFAULT_DATABASE.into(), file: "tollkeeper.db".into() }
}

pub(super) fn database(text: &str) -> Parsed<Database> {
    let url = text.to_owned();
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        return service::db::check_postgres_address(text).map(|()| Database::Postgres { url });
    }
    let sqlite = text.starts_with("sqlite:") && service::db::is_address(text);
    let file = sqlite.then(|| service::db::sqlite_file(text)).flatten();
    let file = file.ok_or("expected sqlite://<file> or postgres://…; a database in memory is not served")?;
    Ok(Database::Sqlite { url, file })
}

pub(super) fn address(text: &str) -> Parsed<SocketAddr> {
    text.parse().map_err(|_| "expected an address and a port, as 127.0.0.1:8080 or [::]:8080".into())
}

pub(super) fn number(least: u32, most: u32) -> impl FnOnce(&str) -> Parsed<u32> {
    move |text| {
        let number = text.trim().parse().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| format!("expected a whole number from {least} to {most}"))
    }
}

/// The connections of an instance to its database, all together.
pub(super) fn connections(database: &Database) -> impl FnOnce(&str) -> Parsed<u32> {
    let least =
        if matches!(database, Database::Postgres { .. }) { service::db::LEAST_CONNECTIONS } else { 1 };
    move |text| {
        let parsed = number(least, 1000)(text);
        parsed.map_err(|fault| match least {
            1 => fault,
            _ => format!("{fault}: on Postgres an instance decides over one, writes over one and reads over two at least"),
        })
    }
}

/// A number of things.
pub(super) fn count(least: u32, most: u32) -> impl FnOnce(&str) -> Parsed<usize> {
    move |text| usize::try_from(number(least, most)(text)?).map_err(|error| error.to_string())
}

fn list<T>(text: &str, parse: impl Fn(&str) -> Parsed<T>) -> Parsed<Vec<T>> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(parse).collect()
}

pub(super) fn networks(text: &str) -> Parsed<Vec<IpNet>> {
    list(text, |part| {
        let network = part.parse().or_else(|_| part.parse::<IpAddr>().map(IpNet::from));
        network.map_err(|_| "expected addresses or networks, as 10.0.0.0/8, separated by commas".into())
    })
}

/// Ports, separated by commas.
pub(super) fn ports(text: &str) -> Parsed<Vec<u16>> {
    list(text, |part| part.parse().map_err(|_| "expected ports, as 443, separated by commas".into()))
}

/// A file that a setting names cannot be read. What stands for its name may be a secret in the wrong place.
pub(super) fn unreadable(error: &io::Error) -> String {
    let why = match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "it may not be read by this process".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        io::ErrorKind::InvalidData => "it is not UTF-8".to_owned(),
        kind => kind.to_string(),
    };
    format!("the file cannot be read: {why}")
}

/// The text in a file that a setting names, without the line break at its end.
pub(super) fn contents(path: &str) -> Parsed<String> {
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(&error))?;
    let text = text.trim_start_matches('\u{feff}').trim_end_matches(['\r', '\n']);
    if text.trim().is_empty() {
        return Err("the file is empty".into());
    }
    Ok(text.to_owned())
}

/// A file of certificates in PEM; what is in it.
pub(super) fn authorities(path: &str) -> Parsed<String> {
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(&error))?;
    match read_roots(&text) {
        Ok(roots) if roots.is_empty() => Err("the file is empty".into()),
        Ok(_) => Ok(text),
        Err(fault) => Err(format!("the file {fault}")),
    }
}

/// `scheme://host[:port]`, nothing behind it.
pub(super) fn origin(text: &str) -> Parsed<String> {
    let text = text.strip_suffix('/').unwrap_or(text);
    let uri = text.parse::<axum::http::Uri>().ok();
    let fits = uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.path() == "/"
            && uri.query().is_none()
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
    });
    if fits { Ok(text.to_owned()) } else { Err("expected https://host, with a port if need be".into()) }
}

pub(super) fn origins(text: &str) -> Parsed<Vec<String>> {
    list(text, origin)
}

pub(super) fn filter(text: &str) -> Parsed<String> {
    if EnvFilter::try_new(text).is_ok() {
        return Ok(text.to_owned());
    }
    let wrong = text.split(',').position(|part| EnvFilter::try_new(part).is_err());
    let part = wrong.map_or_else(String::new, |at| format!("; part {} is neither", at + 1));
    Err(format!("expected levels and targets, as info or service=debug,info{part}"))
}

pub(super) fn log_format(text: &str) -> Parsed<LogFormat> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("expected text or json".into()),
    }
}

pub(super) fn access_log(text: &str) -> Parsed<AccessLog> {
    match text {
        "on" => Ok(AccessLog::On),
        "without_address" => Ok(AccessLog::WithoutAddress),
        "off" => Ok(AccessLog::Off),
        _ => Err("expected on, without_address or off".into()),
    }
}

/// An address that can be fetched.
pub(super) fn url(text: &str) -> Parsed<String> {
    let uri = text.parse::<axum::http::Uri>().ok();
    let fits =
        uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some());
    if fits { Ok(text.to_owned()) } else { Err("expected https://host/path".into()) }
}

pub(super) fn list_format(text: &str) -> Parsed<ListFormat> {
    match text {
        "litellm" => Ok(ListFormat::Litellm),
        "tollkeeper" => Ok(ListFormat::Tollkeeper),
        _ => Err("expected litellm or tollkeeper".into()),
    }
}

pub(super) fn email(text: &str) -> Parsed<String> {
    let whole = text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
    if whole { Ok(text.to_owned()) } else { Err("expected an e-mail address".into()) }
}

pub(super) fn password(text: &str) -> Parsed<Password> {
    let password = Password::from(text.to_owned());
    match password.fault("") {
        Some(fault) => Err(fault.message),
        None => Ok(password),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "of the same form as the others")]
pub(super) fn path(text: &str) -> Parsed<PathBuf> {
    Ok(text.into())
}
