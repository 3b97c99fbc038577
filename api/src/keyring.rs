//! The secrets of an instance: those that are configured, and on `SQLite` those in the file beside the database, where
//! missing ones are made at the first start. A secret that the database is used with is never made anew.

use crate::config::{Config, GivenSecrets};
use anyhow::{Context, bail};
use service::{
    checks::NAMES,
    clock::Entropy,
    db::Db,
    secrets::{Key32, Secrets, Versions},
};
use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

const HEADER: &str = "# The secrets of the database beside this file. Without them it is of no use: keep a copy, apart from the\n\
                      # copies of the database. The same names with TOLLKEEPER_ in the environment take precedence.\n";

/// Options for a file that only its owner may read or write.
pub fn private() -> OpenOptions {
    let mut options = File::options();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Writes a private file so that it is there as a whole or not at all.
pub fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut draft = path.to_owned().into_os_string();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    let write = || {
        if draft.exists() {
            std::fs::remove_file(&draft)?;
        }
        let mut file = private().create_new(true).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&draft, path)?;
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// The secrets in the file beside the database.
fn stored(path: Option<&Path>) -> anyhow::Result<BTreeMap<String, String>> {
    let Some(path) = path.filter(|path| path.exists()) else { return Ok(BTreeMap::new()) };
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    // The parser's own report would quote the line.
    toml::from_str(&text).map_err(|_| anyhow::anyhow!("{} is not readable as TOML", path.display()))
}

fn parsed(stored: &BTreeMap<String, String>, name: &str) -> anyhow::Result<Option<Versions>> {
    let parse = |text: &String| Versions::parse(text).map_err(|fault| anyhow::anyhow!("{name}: {fault}"));
    stored.get(name).map(parse).transpose()
}

/// The configured and the stored secrets together; a configured one takes precedence.
fn together(
    given: &GivenSecrets,
    stored: &BTreeMap<String, String>,
) -> anyhow::Result<[Option<Versions>; 3]> {
    let [encryption, pepper, signing] = NAMES;
    let or_stored = |given: &Option<Versions>, name| match given {
        Some(given) => Ok(Some(given.clone())),
        None => parsed(stored, name),
    };
    Ok([
        or_stored(&given.encryption, encryption)?,
        or_stored(&given.pepper, pepper)?,
        or_stored(&given.signing, signing)?,
    ])
}

fn complete(secrets: [Option<Versions>; 3]) -> Option<Secrets> {
    let [encryption, pepper, signing] = secrets;
    Some(Secrets { encryption: encryption?, pepper: pepper?, signing: signing? })
}

/// The secrets as they are; a missing one is an error.
pub fn open(config: &Config) -> anyhow::Result<Secrets> {
    let path = config.database.beside(".secrets");
    let secrets = together(&config.secrets, &stored(path.as_deref())?)?;
    complete(secrets).context("the secrets are not made yet; the first `tollkeeper serve` makes them")
}

/// The secrets of a server. On `SQLite` missing ones are made, unless the database is used with others.
pub async fn open_or_make(config: &Config, db: &Db) -> anyhow::Result<Secrets> {
    let Some(path) = config.database.beside(".secrets") else { return open(config) };
    let mut stored = stored(Some(&path))?;
    let mut secrets = together(&config.secrets, &stored)?;
    let recorded = service::checks::recorded(db).await?;
    let mut made = false;
    for (name, secret) in NAMES.into_iter().zip(&mut secrets) {
        if secret.is_some() {
            continue;
        }
        if recorded.iter().any(|known| known == name) {
            bail!(
                "this database is used with a {name} that is neither configured nor in {}; bring it back from your copy",
                path.display()
            );
        }
        let key = Key32::new(Entropy::System.bytes());
        stored.insert(name.to_owned(), format!("1:{}", key.to_base64()));
        *secret = Some(Versions::single(key));
        made = true;
    }
    if made {
        write_private(&path, &format!("{HEADER}{}", lines(&stored)))?;
        tracing::info!(path = %path.display(), "secrets made");
    }
    complete(secrets).context("unreachable: every missing secret was made")
}

fn lines(stored: &BTreeMap<String, String>) -> String {
    // Base64 and version numbers need no escapes.
    let lines: Vec<String> = stored.iter().map(|(name, text)| format!("{name} = \"{text}\"")).collect();
    lines.join("\n") + "\n"
}
