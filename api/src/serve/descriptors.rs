//! How many file descriptors this process may have. Many systems start programs with few for the sake of very old ones,
//! and allow them to take more.

/// Descriptors for files, the log, calls to others and what is being opened.
const OTHERS: u64 = 128;
/// Descriptors of a connection to the database: a `SQLite` has its file, its log and its index.
const OF_DATABASE: u64 = 3;
/// What macOS allows where it says that it allows everything.
#[cfg(unix)]
const UNLIMITED: u64 = 10_240;

/// Raises the limit as far as it goes; what it is then, if there is one.
#[cfg(unix)]
pub fn raise() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        let to = |current| setrlimit(Resource::Nofile, Rlimit { current, maximum });
        if let Err(error) = to(maximum).or_else(|_| to(Some(maximum.unwrap_or(UNLIMITED)))) {
            tracing::warn!(%error, "the limit of file descriptors could not be raised");
        }
    }
    let limit = getrlimit(Resource::Nofile).current;
    tracing::info!(before = ?current, limit = ?limit, "file descriptors");
    limit
}

/// There is no such limit here.
#[cfg(not(unix))]
pub fn raise() -> Option<u64> {
    None
}

/// How many of the wanted connections there can be within a limit of descriptors, beside those to the database.
pub fn connections(wanted: u32, limit: Option<u64>, database: u32) -> usize {
    let taken = OTHERS + OF_DATABASE * u64::from(database);
    let free = limit.map_or(u64::MAX, |limit| limit.saturating_sub(taken).max(limit / 4).max(1));
    let granted = u64::from(wanted).min(free);
    if granted < u64::from(wanted) {
        tracing::warn!(
            wanted,
            granted,
            "TOLLKEEPER_MAX_CONNECTIONS is more than the limit of file descriptors allows; raise it (ulimit -Hn)"
        );
    }
    usize::try_from(granted).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::connections;

    #[tokio::test]
    async fn connections_leave_descriptors_for_everything_else() {
        assert_eq!(connections(8192, None, 16), 8192);
        assert_eq!(connections(8192, Some(1_048_576), 16), 8192);
        assert_eq!(connections(8192, Some(1024), 16), 1024 - 128 - 48);
        assert_eq!(connections(100, Some(1024), 16), 100);
        assert_eq!(connections(8192, Some(64), 16), 16);
    }
}
