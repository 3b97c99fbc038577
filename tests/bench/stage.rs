//! What the benchmarks run on: a server over a fresh database, in this process on a port of loopback, with as many
//! organizations, keys and tokens as a benchmark asks for; and the bare ceiling to compare with.

use api::state::{AppState, HttpSettings};
use axum::{Json, Router, routing::post, serve::ListenerExt};
use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    gateway_token,
    id::{GatewayTokenId, KeyId, OrganizationId, SessionId, TeamId, UserId},
    json::{Metadata, Tags, Texts},
    key_secret, membership, org_head, organization, session,
    status::{KeyStatus, PriceGuess, Role, Standing, UnpricedPolicy},
    team, user_account, virtual_key,
};
use migration::MigratorTrait;
use sea_orm::{ActiveModelTrait, ConnectionTrait, EntityTrait, IntoActiveModel};
use service::{
    System,
    clock::{Clock, Entropy},
    db::Db,
    jwt::Claims,
    secrets::{Key32, Secrets, Versions},
    system::Settings,
    token::{TokenKind, mint},
};
use std::{net::SocketAddr, path::Path, sync::Arc};

/// A running server.
pub struct Stage {
    /// Its address.
    pub address: SocketAddr,
    /// Its means.
    pub system: Arc<System>,
    /// An access token of the owner of every organization.
    pub owner: String,
    user: UserId,
    _directory: tempfile::TempDir,
}

/// An organization on the stage.
#[derive(Clone)]
pub struct Organization {
    /// Its id.
    pub id: OrganizationId,
    /// A team of it.
    pub team: TeamId,
    /// A gateway token of it.
    pub gateway: String,
    /// Its keys, with their ids.
    pub keys: Vec<(KeyId, String)>,
}

/// The databases to measure on: SQLite, and the Postgres that the launcher started; or the one that is named.
pub fn databases() -> Vec<&'static str> {
    let both = vec!["sqlite", "postgres"];
    let named: Vec<_> =
        both.iter().copied().filter(|kind| std::env::args().any(|word| word == *kind)).collect();
    if named.is_empty() { both } else { named }
}

async fn database(kind: &str, directory: &Path) -> String {
    if kind == "sqlite" {
        return format!("sqlite://{}", directory.join("bench.db").display());
    }
    let cluster = std::env::var("TOLLKEEPER_TEST_POSTGRES").expect("run it with `cargo suite --bench …`");
    let name = format!("bench_{}", uuid::Uuid::new_v4().simple());
    let admin = sea_orm::Database::connect(&cluster).await.expect("the cluster answers");
    admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await.expect("a database");
    let (base, _) = cluster.rsplit_once('/').expect("a database in the URL");
    format!("{base}/{name}")
}

/// Serves a router on a free port.
pub async fn serve(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let listener = listener.tap_io(|tcp| tcp.set_nodelay(true).expect("nodelay"));
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    address
}

/// The ceiling: a handler that reads JSON of the same shape, answers JSON of the same size, and does nothing.
pub async fn bare(path: &str, reply: serde_json::Value) -> SocketAddr {
    serve(bare_route(Router::new(), path, reply)).await
}

/// A router with one more such handler.
pub fn bare_route(router: Router, path: &str, reply: serde_json::Value) -> Router {
    let handler = move |Json(_): Json<serde_json::Value>| std::future::ready(Json(reply.clone()));
    router.route(path, post(handler))
}

/// Inserts rows in statements of at most 500.
pub async fn insert<C, M>(db: &C, rows: Vec<M>)
where
    C: ConnectionTrait,
    M: IntoActiveModel<<M::Entity as EntityTrait>::ActiveModel> + sea_orm::ModelTrait + Clone,
    <M::Entity as EntityTrait>::ActiveModel: ActiveModelTrait<Entity = M::Entity> + Send,
{
    for chunk in rows.chunks(500) {
        let rows = chunk.iter().cloned().map(|row| row.into_active_model().reset_all());
        M::Entity::insert_many(rows).exec_without_returning(db).await.expect("rows");
    }
}

impl Stage {
    /// A server over a fresh database of this kind.
    pub async fn new(kind: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let url = database(kind, directory.path()).await;
        let db = Db::connect(&url, 16).await.expect("the database answers");
        migration::Migrator::up(db.writer.connections(), None).await.expect("the schema");
        let key = |n| Versions::single(Key32::new([n; 32]));
        let secrets = Secrets { encryption: key(1), pepper: key(2), signing: key(3) };
        let settings =
            Settings { public_url: "http://localhost".into(), password_workers: 1, ..Default::default() };
        let system = System::new(db, Clock::System, Entropy::System, secrets, settings).expect("a system");
        let system = Arc::new(system);
        let http = HttpSettings { admin_rate: 0, ..Default::default() };
        let address = serve(api::app(AppState::new(system.clone(), http))).await;
        let (user, owner) = sign_in(&system).await;
        Self { address, system, owner, user, _directory: directory }
    }

    fn now(&self) -> DateTime<Utc> {
        self.system.clock.local()
    }

    /// An organization with a team, a gateway token and this many keys, each with a working secret.
    pub async fn organization(&self, slug: &str, keys: usize) -> Organization {
        let transaction = self.system.db.begin().await.expect("a transaction");
        let mut made = self.tenant(&transaction, slug).await;
        transaction.commit().await.expect("a commit");
        while made.keys.len() < keys {
            let transaction = self.system.db.begin().await.expect("a transaction");
            let count = (keys - made.keys.len()).min(10_000);
            made.keys.extend(self.keys(&transaction, &made, count).await);
            transaction.commit().await.expect("a commit");
        }
        made
    }

    /// Many organizations, each with one key.
    pub async fn crowd(&self, slug: &str, count: usize) -> Vec<Organization> {
        let transaction = self.system.db.begin().await.expect("a transaction");
        let mut crowd = Vec::with_capacity(count);
        for n in 0..count {
            let mut made = self.tenant(&transaction, &format!("{slug}-{n}")).await;
            made.keys = self.keys(&transaction, &made, 1).await;
            crowd.push(made);
        }
        transaction.commit().await.expect("a commit");
        crowd
    }

    /// An organization without keys.
    async fn tenant<C: ConnectionTrait>(&self, db: &C, slug: &str) -> Organization {
        let now = self.now();
        let id: OrganizationId = self.system.entropy.id(now);
        let team: TeamId = self.system.entropy.id(now);
        insert(db, vec![organization_row(id, slug, now)]).await;
        let head = org_head::Model {
            organization_id: id,
            policy_version: 0,
            tag: 0,
            log_floor: 0,
            last_t: DateTime::UNIX_EPOCH,
            next_release_at: None,
            ahead_until: None,
            audit_seq: 0,
            audit_hash: vec![0; 32],
        };
        insert(db, vec![head]).await;
        let member = membership::Model {
            organization_id: id,
            user_id: self.user,
            role: Role::Owner,
            status: Standing::Active,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        insert(db, vec![member]).await;
        insert(db, vec![team_row(id, team, now)]).await;
        Organization { id, team, gateway: self.gateway(db, id).await, keys: Vec::new() }
    }

    async fn gateway<C: ConnectionTrait>(&self, db: &C, organization: OrganizationId) -> String {
        let now = self.now();
        let id: GatewayTokenId = self.system.entropy.id(now);
        let minted = mint(&self.system, TokenKind::Gateway, id.uuid());
        let row = gateway_token::Model {
            id,
            organization_id: organization,
            name: "bench".into(),
            scopes: Texts(vec!["*".into()]),
            team_ids: None,
            allowed_cidrs: None,
            created_by: "system".into(),
            pepper_version: minted.pepper_version,
            digest: minted.digest,
            last4: minted.last4,
            expires_at: None,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        insert(db, vec![row]).await;
        minted.token.expose().to_owned()
    }

    /// Makes keys.
    async fn keys<C: ConnectionTrait>(
        &self,
        db: &C,
        of: &Organization,
        count: usize,
    ) -> Vec<(KeyId, String)> {
        let (mut made, mut keys, mut secrets) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..count {
            let now = self.now();
            let id: KeyId = self.system.entropy.id(now);
            let minted = mint(&self.system, TokenKind::VirtualKey, id.uuid());
            made.push((id, minted.token.expose().to_owned()));
            keys.push(key_row(of.id, of.team, id, now));
            secrets.push(key_secret::Model {
                id: self.system.entropy.id(now),
                organization_id: of.id,
                key_id: id,
                scheme: "hmac-sha256".into(),
                pepper_version: minted.pepper_version,
                digest: minted.digest,
                last4: minted.last4,
                created_by: "system".into(),
                created_at: now,
                expires_at: None,
            });
        }
        insert(db, keys).await;
        insert(db, secrets).await;
        made
    }
}

fn organization_row(id: OrganizationId, slug: &str, now: DateTime<Utc>) -> organization::Model {
    organization::Model {
        id,
        slug: slug.into(),
        name: slug.into(),
        status: Standing::Active,
        allowed_models: None,
        max_key_lifetime: None,
        default_currency: "USD".into(),
        unpriced_policy: UnpricedPolicy::Refuse,
        price_guess: PriceGuess::Flag,
        default_max_output_tokens: None,
        release_after: Some(86_400),
        version: 1,
        created_at: now,
        updated_at: now,
    }
}

fn team_row(organization_id: OrganizationId, id: TeamId, now: DateTime<Utc>) -> team::Model {
    team::Model {
        id,
        organization_id,
        name: "bench".into(),
        status: Standing::Active,
        allowed_models: None,
        max_key_lifetime: None,
        tags: Tags::default(),
        version: 1,
        created_at: now,
        updated_at: now,
    }
}

fn key_row(
    organization_id: OrganizationId,
    team: TeamId,
    id: KeyId,
    now: DateTime<Utc>,
) -> virtual_key::Model {
    virtual_key::Model {
        id,
        organization_id,
        name: "bench".into(),
        team_id: Some(team),
        user_id: None,
        service_account_id: None,
        issued_to_user_id: None,
        issued_to_invitation_id: None,
        holder_left_at: None,
        created_by: "system".into(),
        status: KeyStatus::Active,
        allowed_models: None,
        denied_models: None,
        scopes: None,
        allowed_cidrs: None,
        expires_at: None,
        tags: Tags::default(),
        metadata: Metadata::default(),
        revoked_at: None,
        archived_at: None,
        version: 1,
        created_at: now,
        updated_at: now,
    }
}

/// The owner, signed in.
async fn sign_in(system: &System) -> (UserId, String) {
    let now = system.clock.local();
    let (user, session): (UserId, SessionId) = (system.entropy.id(now), system.entropy.id(now));
    let row = user_account::Model {
        id: user,
        email: "owner@bench.example".into(),
        name: "Owner".into(),
        password_hash: None,
        status: Standing::Active,
        session_version: 1,
        operator: true,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    insert(&system.db.writer, vec![row]).await;
    let row = session::Model {
        id: session,
        user_id: user,
        device_id: None,
        client_ip: None,
        user_agent: None,
        created_at: now,
        refreshed_at: now,
        expires_at: now + TimeDelta::days(1),
        revoked_at: None,
    };
    insert(&system.db.writer, vec![row]).await;
    let token = system.issuer.sign(Claims { user, session, session_version: 1 }, now).expect("a token");
    (user, token)
}

/// Resident memory of this process, in MiB.
pub fn memory() -> u64 {
    memory_of("self")
}

/// Resident memory of a process, in MiB (0 where there is no /proc).
pub fn memory_of(process: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
}
