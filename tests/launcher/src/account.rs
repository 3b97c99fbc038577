//! The account that Postgres runs under: it refuses to run as root.

use crate::{Result, output};
use std::{os::unix::process::CommandExt, path::Path, process::Command};

/// An unprivileged account; none if this program runs under one itself.
#[derive(Debug, Clone, Copy)]
pub struct Account(Option<(u32, u32)>);

fn id(what: &str, of: Option<&str>) -> Result<u32> {
    let text = output(Command::new("id").arg(what).args(of))?;
    text.parse().map_err(|_| format!("id {what} answered {text:?}"))
}

impl Account {
    /// The present account, or, for root, `postgres` or `nobody`.
    pub fn choose() -> Result<Self> {
        if !Self::is_root()? {
            return Ok(Self(None));
        }
        let account = |name| Some((id("-u", Some(name)).ok()?, id("-g", Some(name)).ok()?));
        let found = ["postgres", "nobody"].into_iter().find_map(account);
        found.map(|pair| Self(Some(pair))).ok_or_else(|| "root finds no account to run Postgres under".into())
    }

    /// Whether this program runs as root.
    pub fn is_root() -> Result<bool> {
        Ok(id("-u", None)? == 0)
    }

    /// Gives a directory to the account.
    pub fn own(self, directory: &Path) -> Result<()> {
        let Some((user, group)) = self.0 else { return Ok(()) };
        std::os::unix::fs::chown(directory, Some(user), Some(group))
            .map_err(|error| format!("{}: {error}", directory.display()))
    }

    /// A command that runs under the account.
    pub fn command(self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        if let Some((user, group)) = self.0 {
            command.uid(user).gid(group);
        }
        command
    }
}
