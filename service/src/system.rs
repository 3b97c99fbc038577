//! [`System`]: the process-wide means of the service layer. There is no global; this is handed around.

use crate::{
    activity::Activity,
    clock::{Clock, Entropy, watch::Watch},
    connection::Patience,
    db::Db,
    head::Heads,
    idempotency::Running,
    jwt::Issuer,
    password::Passwords,
    price::books::Books,
    proxy_pool::Rounds,
    secrets::Secrets,
    upstream::{Upstream, UpstreamSettings},
    vault::DataKeys,
};
use chrono::{DateTime, Utc};

/// Settings of the service layer that an operator may change.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Issuer and audience of access tokens: the address by which clients know this installation.
    pub public_url: String,
    /// Argon2 computations at a time.
    pub password_workers: usize,
    /// Where calls to upstreams may go.
    pub upstream: UpstreamSettings,
    /// How long upstreams are waited for when they are checked.
    pub patience: Patience,
}

/// Everything a service function needs that outlives one call.
#[derive(Debug)]
pub struct System {
    /// The databases.
    pub db: Db,
    /// Time.
    pub clock: Clock,
    /// What is known of clocks.
    pub watch: Watch,
    /// Randomness.
    pub entropy: Entropy,
    /// The configured secrets.
    pub secrets: Secrets,
    /// Makes and checks access tokens.
    pub issuer: Issuer,
    /// Hashes and checks passwords.
    pub passwords: Passwords,
    /// Uses of secrets that are to be written.
    pub activity: Activity,
    /// The units that are about to lock a head.
    pub(crate) heads: Heads,
    /// Idempotent calls that are under way in this process.
    pub running: Running,
    /// The price books that are remembered.
    pub books: Books,
    /// The data keys of tenants, unwrapped.
    pub(crate) data_keys: DataKeys,
    /// Which proxy's turn it is.
    pub(crate) rounds: Rounds,
    /// Calls to upstreams.
    pub upstream: Upstream,
    /// Settings.
    pub settings: Settings,
}

impl System {
    /// The time by the database, as far as it is known without asking: for what is checked without a statement. All instances
    /// agree on it, whatever their own clocks say.
    pub fn time(&self) -> DateTime<Utc> {
        self.watch.corrected(&self.clock)
    }

    /// Puts the means together.
    pub fn new(
        db: Db,
        clock: Clock,
        entropy: Entropy,
        secrets: Secrets,
        settings: Settings,
    ) -> crate::Result<Self> {
        let issuer = Issuer::new(&secrets.signing, &settings.public_url)?;
        let passwords = Passwords::new(settings.password_workers)?;
        Ok(Self {
            db,
            clock,
            watch: Watch::default(),
            entropy,
            secrets,
            issuer,
            passwords,
            activity: Activity::default(),
            heads: Heads::default(),
            running: Running::default(),
            books: Books::default(),
            data_keys: DataKeys::default(),
            rounds: Rounds::default(),
            upstream: Upstream::new(&settings.upstream)?,
            settings,
        })
    }
}
