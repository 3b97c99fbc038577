//! [`Turn`]: suspending and resuming, the same for organizations, teams, members, service accounts and users.

use entity::status::Standing;

/// A change of standing. Suspending is an emergency: it asks for no version and wins every race. Resuming may state the
/// version it was decided on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Stop working.
    Suspend,
    /// Work again, if the version is still the stated one.
    Resume(Option<i64>),
}

impl Turn {
    /// What the audit log calls it.
    pub(crate) fn action(self) -> &'static str {
        match self {
            Self::Suspend => "suspend",
            Self::Resume(_) => "resume",
        }
    }

    /// The standing it leads to.
    pub(crate) fn standing(self) -> Standing {
        match self {
            Self::Suspend => Standing::Suspended,
            Self::Resume(_) => Standing::Active,
        }
    }

    /// The version it was decided on, if one was stated.
    pub(crate) fn stated(self) -> Option<i64> {
        match self {
            Self::Suspend => None,
            Self::Resume(version) => version,
        }
    }
}
