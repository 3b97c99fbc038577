//! A database for each test: a copy of a template that was migrated once per process.

use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection};
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// Which database a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// A file of its own.
    Sqlite,
    /// A database of its own in the cluster at `TOLLKEEPER_TEST_POSTGRES`.
    Postgres,
}

/// One test's database.
#[derive(Debug)]
pub struct Database {
    url: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    File(#[expect(dead_code, reason = "the directory goes when this is dropped")] TempDir),
    Cluster(String),
}

static COUNT: AtomicU32 = AtomicU32::new(0);
static SQLITE: OnceCell<Vec<u8>> = OnceCell::const_new();
static POSTGRES: OnceCell<String> = OnceCell::const_new();

impl Database {
    /// A migrated database.
    pub async fn migrated(backend: Backend) -> Self {
        match backend {
            Backend::Sqlite => Self::file(SQLITE.get_or_init(sqlite_template).await),
            Backend::Postgres => {
                let template = POSTGRES.get_or_init(postgres_template).await;
                Self::in_cluster(&format!("TEMPLATE {template}")).await
            }
        }
    }

    /// A database without any table.
    pub async fn empty(backend: Backend) -> Self {
        match backend {
            Backend::Sqlite => Self::file(&[]),
            Backend::Postgres => Self::in_cluster("").await,
        }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A single connection to it, past the server.
    pub async fn connect(&self) -> DatabaseConnection {
        connect(&self.url).await
    }

    /// Cuts every connection to it, and lets nobody in until it is opened again.
    pub async fn shut(&self) {
        let Kind::Cluster(name) = &self.kind else { return };
        administer(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await;
        let all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity";
        administer(&format!("{all} WHERE datname = '{name}'")).await;
    }

    /// Lets everybody in again.
    pub async fn open(&self) {
        let Kind::Cluster(name) = &self.kind else { return };
        administer(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await;
    }

    /// Removes it. Connections to it must have been closed, or are cut.
    pub async fn remove(&self) {
        if let Kind::Cluster(name) = &self.kind {
            administer(&format!("DROP DATABASE {name} WITH (FORCE)")).await;
        }
    }

    fn file(content: &[u8]) -> Self {
        let directory = tempfile::Builder::new().prefix("tollkeeper-test-").tempdir().unwrap();
        let path = directory.path().join("test.db");
        std::fs::write(&path, content).unwrap();
        Self { url: format!("sqlite://{}", path.display()), kind: Kind::File(directory) }
    }

    async fn in_cluster(options: &str) -> Self {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{count}", std::process::id());
        administer(&format!("CREATE DATABASE {name} {options}")).await;
        Self { url: in_postgres(&name), kind: Kind::Cluster(name) }
    }
}

async fn connect(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    sea_orm::Database::connect(options).await.unwrap()
}

/// The cluster that the launcher started.
fn cluster() -> String {
    std::env::var("TOLLKEEPER_TEST_POSTGRES")
        .expect("TOLLKEEPER_TEST_POSTGRES names no Postgres cluster; `cargo suite` starts one")
}

fn in_postgres(database: &str) -> String {
    let cluster = cluster();
    let (server, _) = cluster.rsplit_once('/').expect("postgres://user@host:port/database");
    format!("{server}/{database}")
}

async fn administer(statement: &str) {
    let connection = connect(&cluster()).await;
    connection.execute_unprepared(statement).await.unwrap();
    connection.close().await.unwrap();
}

async fn migrate(url: &str) {
    let connection = connect(url).await;
    Migrator::up(&connection, None).await.unwrap();
    connection.close().await.unwrap();
}

async fn sqlite_template() -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("template.db");
    migrate(&format!("sqlite://{}?mode=rwc", path.display())).await;
    std::fs::read(&path).unwrap()
}

async fn postgres_template() -> String {
    let name = format!("template_{}", std::process::id());
    administer(&format!("DROP DATABASE IF EXISTS {name}")).await;
    administer(&format!("CREATE DATABASE {name}")).await;
    migrate(&in_postgres(&name)).await;
    name
}
