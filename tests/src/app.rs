//! [`TestApp`]: the whole server over a database of its own, with an organization and its owner in it.

use crate::{
    client::{Client, Credential},
    database::{Backend, Database},
    outbound, seed,
};
use api::{
    Routes,
    state::{AppState, HttpSettings},
};
use axum::Router;
use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    id::{OrganizationId, TeamId},
    status::{Role, TeamRole},
};
use futures_util::FutureExt;
use serde_json::json;
use service::{
    Ctx, System,
    catalogue::{self, Catalogue},
    clock::{Clock, Entropy},
    connection::Patience,
    db::Db,
    price::feed::{Feed, FeedSource},
    scope::Scope,
    secrets::{Key32, Secrets, Versions},
    system::Settings,
    upstream::{Resolver, Upstream, UpstreamSettings},
};
use std::{
    fmt,
    panic::{AssertUnwindSafe, resume_unwind},
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Connections of one instance.
const CONNECTIONS: u32 = 8;

/// The routes of all tests but those with settings that shape them.
static ROUTES: LazyLock<Routes> = LazyLock::new(|| Routes::new(&settings()));

/// Runs one test and cleans up behind it, also if it fails.
pub async fn run<F>(backend: Backend, test: impl FnOnce(TestApp) -> F)
where
    F: Future<Output = ()>,
{
    let app = TestApp::new(backend).await;
    let outcome = AssertUnwindSafe(test(app.clone())).catch_unwind().await;
    app.close().await;
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

/// Moves the clocks of every instance of one test together.
#[derive(Debug, Clone)]
pub struct TestClock(Arc<Mutex<Vec<Arc<System>>>>);

impl TestClock {
    /// Lets this much time pass.
    pub fn advance(&self, by: TimeDelta) {
        for system in self.0.lock().unwrap().iter() {
            system.clock.advance(by);
        }
    }

    /// What time it is.
    pub fn now(&self) -> DateTime<Utc> {
        self.0.lock().unwrap()[0].clock.local()
    }
}

/// One instance of the server in this process.
#[derive(Clone)]
pub struct TestApp {
    /// The means of its service layer.
    pub system: Arc<System>,
    /// The time of every instance of this test.
    pub clock: TestClock,
    /// The state of its routes.
    pub state: AppState,
    /// The organization `default`.
    pub organization: OrganizationId,
    /// Which database it runs on.
    pub backend: Backend,
    router: Router,
    owner: Credential,
    database: Arc<Database>,
    count: Arc<AtomicU64>,
}

impl fmt::Debug for TestApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TestApp({})", self.database.url())
    }
}

impl TestApp {
    /// A server over a fresh database, at ten o'clock.
    pub async fn new(backend: Backend) -> Self {
        let database = Arc::new(Database::migrated(backend).await);
        let ten = "2027-01-15T10:00:00Z".parse().unwrap();
        let secrets = Versions::single(encryption_key(1));
        let system = Arc::new(system(database.url(), ten, 0, (secrets, outbound::settings())).await);
        let organization = seed::organization(&system, "default").await;
        let owner = seed::user(&system, "owner@example.com", true).await;
        seed::membership(&system, organization, owner.user, Role::Owner).await;
        Self {
            clock: TestClock(Arc::new(Mutex::new(vec![system.clone()]))),
            state: AppState::new(system.clone(), settings()),
            router: Router::new(),
            owner: Credential::Session(owner),
            count: Arc::default(),
            system,
            organization,
            backend,
            database,
        }
        .routed()
    }

    fn routed(self) -> Self {
        let common = settings();
        let own = &self.state.settings;
        let as_usual =
            (&own.cors_origins, own.request_timeout) == (&common.cors_origins, common.request_timeout);
        let router = if as_usual { ROUTES.app(self.state.clone()) } else { api::app(self.state.clone()) };
        Self { router, ..self }
    }

    /// Another instance over the same database, with the same secrets and its own caches and connections.
    pub async fn second_instance(&self) -> Self {
        self.instance_over(self.database.url()).await
    }

    /// Another instance that reaches the database by another way.
    pub async fn instance_over(&self, url: &str) -> Self {
        self.with_system(self.another(url, Versions::single(encryption_key(1)), outbound::settings()).await)
    }

    /// Another instance, with these versions of the encryption key, the active one first.
    pub async fn instance_with(&self, versions: &[u8]) -> Self {
        let system = self.another(self.database.url(), encryption_keys(versions), outbound::settings()).await;
        self.with_system(system)
    }

    /// Another instance over the same database, whose calls to upstreams go by these settings and find these names.
    pub async fn with_upstream(&self, settings: UpstreamSettings, resolver: Resolver) -> Self {
        let upstream = Upstream::with_resolver(&settings, resolver).unwrap();
        let encryption = Versions::single(encryption_key(1));
        let mut system = self.another(self.database.url(), encryption, settings).await;
        system.upstream = upstream;
        self.with_system(system)
    }

    async fn another(&self, url: &str, encryption: Versions, upstream: UpstreamSettings) -> System {
        let seed = self.clock.0.lock().unwrap().len() as u64;
        system(url, self.clock.now(), seed, (encryption, upstream)).await
    }

    fn with_system(&self, system: System) -> Self {
        let system = Arc::new(system);
        self.clock.0.lock().unwrap().push(system.clone());
        let state = AppState::new(system.clone(), settings());
        Self { system, state, ..self.clone() }.routed()
    }

    /// The same instance with other settings of its HTTP layer.
    #[must_use]
    pub fn with_settings(&self, change: impl FnOnce(&mut HttpSettings)) -> Self {
        let mut settings = settings();
        change(&mut settings);
        Self { state: AppState::new(self.system.clone(), settings), ..self.clone() }.routed()
    }

    /// The same instance with a price feed.
    #[must_use]
    pub fn with_feed(&self, source: FeedSource) -> Self {
        let feed = Feed::new(source).unwrap();
        Self { state: AppState { feed, ..self.state.clone() }, ..self.clone() }.routed()
    }

    /// Where its database is.
    pub fn database(&self) -> &Database {
        &self.database
    }

    async fn close(&self) {
        let systems = std::mem::take(&mut *self.clock.0.lock().unwrap());
        for system in systems {
            // A pool that a background task still uses is cut off with the database.
            system.db.close().await;
        }
        self.database.remove().await;
    }

    /// A caller without any credential.
    pub fn anonymous(&self) -> Client {
        self.caller(Credential::None)
    }

    /// A caller with this bearer token.
    pub fn client(&self, bearer: impl Into<String>) -> Client {
        self.caller(Credential::Bearer(bearer.into()))
    }

    /// The owner of `default`, who is also the operator.
    pub fn owner(&self) -> Client {
        self.caller(self.owner.clone())
    }

    /// A new admin of `default`.
    pub async fn admin(&self) -> Client {
        self.person(Role::Admin).await
    }

    /// A new member of `default`.
    pub async fn member(&self) -> Client {
        self.person(Role::Member).await
    }

    /// A new member of `default` with the role billing.
    pub async fn billing(&self) -> Client {
        self.person(Role::Billing).await
    }

    /// A new viewer of `default`.
    pub async fn viewer(&self) -> Client {
        self.person(Role::Viewer).await
    }

    /// A new person with a role in `default`.
    pub async fn person(&self, role: Role) -> Client {
        self.person_in(self.organization, role).await
    }

    /// A new person with a role in an organization.
    pub async fn person_in(&self, organization: OrganizationId, role: Role) -> Client {
        let person = seed::user(&self.system, &self.address(), false).await;
        seed::membership(&self.system, organization, person.user, role).await;
        self.caller(Credential::Session(person))
    }

    /// A new person who belongs to no organization.
    pub async fn stranger(&self) -> Client {
        self.caller(Credential::Session(seed::user(&self.system, &self.address(), false).await))
    }

    /// A new person who runs the installation and belongs to no organization.
    pub async fn operator(&self) -> Client {
        self.caller(Credential::Session(seed::user(&self.system, &self.address(), true).await))
    }

    /// A new member of `default` who is an admin of a team.
    pub async fn team_admin(&self, team: &str) -> Client {
        self.team_person(team, TeamRole::Admin).await
    }

    /// A new member of `default` who is a member of a team.
    pub async fn team_member(&self, team: &str) -> Client {
        self.team_person(team, TeamRole::Member).await
    }

    async fn team_person(&self, team: &str, role: TeamRole) -> Client {
        let person = self.member().await;
        let (team, user): (TeamId, _) = (team.parse().unwrap(), person.user_id.parse().unwrap());
        seed::team_member(&self.system, (self.organization, team, user), role).await;
        person
    }

    /// The owner of a new organization, who is no operator.
    pub async fn other_organization(&self, slug: &str) -> Client {
        let organization = seed::organization(&self.system, slug).await;
        self.person_in(organization, Role::Owner).await
    }

    /// A gateway of `default` that may ask for every decision.
    pub async fn gateway(&self) -> Client {
        let name = format!("gateway {}", self.next());
        let reply =
            self.owner().post("/v1/organizations/default/gateway-tokens", json!({ "name": name })).await;
        self.client(reply.created()["secret"].as_str().unwrap())
    }

    /// Applies the built-in catalogue, as the start of a real server does: the platform then has the models and prices of
    /// a public list, in force since 2026-07-24. Without this a test starts with an empty price book.
    pub async fn with_catalogue(&self) {
        let platform = Ctx::internal(&self.system, Scope::platform());
        catalogue::apply(&platform, &Catalogue::built_in().unwrap()).await.unwrap();
    }

    fn caller(&self, credential: Credential) -> Client {
        Client::new(self.router.clone(), self.system.clone(), credential)
    }

    fn address(&self) -> String {
        format!("person{}@example.com", self.next())
    }

    fn next(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed)
    }
}

/// Nothing is throttled unless a test asks for it.
fn settings() -> HttpSettings {
    HttpSettings { admin_rate: 0, ..HttpSettings::default() }
}

/// The encryption key of a version in tests.
pub(crate) fn encryption_key(version: u8) -> Key32 {
    Key32::new([version; 32])
}

/// Versions of the encryption key, the active one first.
pub fn encryption_keys(versions: &[u8]) -> Versions {
    Versions::parse(&encryption_setting(versions)).unwrap()
}

/// The same as a setting.
pub fn encryption_setting(versions: &[u8]) -> String {
    let one = |version: &u8| format!("{version}:{}", encryption_key(*version).to_base64());
    versions.iter().map(one).collect::<Vec<_>>().join(",")
}

async fn system(
    url: &str,
    now: DateTime<Utc>,
    seed: u64,
    (encryption, upstream): (Versions, UpstreamSettings),
) -> System {
    let db = Db::connect(url, CONNECTIONS).await.unwrap();
    let secret = |byte| Versions::single(Key32::new([byte; 32]));
    let secrets = Secrets { encryption, pepper: secret(2), signing: secret(3) };
    service::checks::enroll(&db, &secrets).await.unwrap();
    // An upstream that never answers costs a test this much.
    let patience = Patience { answer: Duration::from_secs(3), whole: Duration::from_secs(12) };
    let settings =
        Settings { public_url: "http://localhost:8080".into(), password_workers: 2, upstream, patience };
    let system = System::new(db, Clock::fixed(now), Entropy::seeded(seed), secrets, settings).unwrap();
    service::vault::ensure(&system, OrganizationId::PLATFORM).await.unwrap();
    system
}
