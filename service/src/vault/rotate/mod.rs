//! Rotating the keys of the vault while instances serve. Everything is done in short transactions, each of which leaves every
//! value readable: a rotation may be killed at any moment, and run beside another. The next one goes on with what is left.

mod data_keys;
mod wrapping;

use crate::{Ctx, Error, Result, System, scope::Scope};
use entity::id::{DataKeyId, OrganizationId};
use std::{fmt, sync::Arc, time::Duration};

/// How often what others hold at the moment is tried.
const TRIES: usize = 5;
/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// Who gets a new data key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// Nobody: the data keys are wrapped anew, and what an earlier rotation has begun is completed.
    Nobody,
    /// Every organization that has one.
    Everybody,
    /// One organization, if it has one.
    One(OrganizationId),
}

/// Told before each step of a rotation; an error ends it there.
pub type Watch<'w> = dyn Fn() -> Result<()> + Send + Sync + 'w;

/// What a rotation has done, and what it has left.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Report {
    /// The version of the encryption key that everything is wrapped with.
    pub active: i32,
    /// Data keys that were wrapped anew.
    pub wrapped: u64,
    /// Organizations that got a new data key.
    pub renewed: u64,
    /// Values that were sealed anew.
    pub sealed: u64,
    /// Data keys that were destroyed.
    pub destroyed: u64,
    /// Versions of the encryption key that were retired.
    pub retired: Vec<i32>,
    /// Older versions of the encryption key that data keys are wrapped with, and how many.
    pub kept: Vec<(i32, u64)>,
    /// Data keys that are wrapped with a newer version than the active one.
    pub newer: u64,
    /// Retired data keys that could not be destroyed, with the number of values that are sealed with each.
    pub in_use: Vec<(DataKeyId, u64)>,
    /// What does not open with its key.
    pub broken: Vec<String>,
}

impl Report {
    /// Whether nothing is left to do.
    pub fn is_complete(&self) -> bool {
        self.kept.is_empty() && self.in_use.is_empty() && self.broken.is_empty()
    }
}

/// One run.
struct Rotation<'r> {
    system: &'r Arc<System>,
    watch: &'r Watch<'r>,
    report: Report,
}

impl fmt::Debug for Rotation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rotation({:?})", self.report)
    }
}

/// Wraps every data key with the active encryption key, gives new data keys to whom it is told, seals with the active data key
/// what is sealed with a retired one, destroys data keys that nothing is sealed with, and retires encryption keys that no data
/// key is wrapped with.
pub async fn rotate(system: &Arc<System>, renewal: Renewal, watch: &Watch<'_>) -> Result<Report> {
    let (active, _) = system.secrets.encryption.active();
    let mut run = Rotation { system, watch, report: Report { active, ..Report::default() } };
    run.wrap_all().await?;
    for organization in run.to_renew(renewal).await? {
        run.renew(organization).await?;
    }
    for (organization, key) in run.retired_keys().await? {
        match run.clear(organization, key).await {
            Err(Error::Internal(fault)) => run.broken(fault),
            outcome => outcome?,
        }
    }
    run.retire_versions().await?;
    Ok(run.report)
}

impl Rotation<'_> {
    fn step(&self) -> Result<()> {
        (self.watch)()
    }

    fn ctx(&self, organization: OrganizationId) -> Ctx {
        Ctx::internal(self.system, Scope::all(organization))
    }

    fn broken(&mut self, what: String) {
        if !self.report.broken.contains(&what) {
            self.report.broken.push(what);
        }
    }
}
