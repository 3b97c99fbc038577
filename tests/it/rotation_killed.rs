//! A rotation that is stopped at any moment, in the process at each step and as a process by `kill -9`: every value is readable,
//! none is in the clear, every key is there, and the next run completes it.

use entity::{secret_check, status::DataKeyState};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::json;
use service::{
    Error, System,
    clock::{Clock, Entropy},
    db::Db,
    secrets::{Key32, Secrets, Versions},
    system::Settings,
    vault::rotate::{Renewal, rotate},
};
use std::{
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tests::{
    Backend, Database, TestApp, encryption_keys, encryption_setting, on_both,
    server::{Installation, OWNER, Server, exchange},
    treasure::{self, Treasure},
};

async fn is_complete(system: &System, version: u8) {
    let known = secret_check::Entity::find().filter(secret_check::Column::Name.eq("encryption_key"));
    let known: Vec<i32> =
        known.all(&system.db.reader).await.unwrap().into_iter().map(|row| row.version).collect();
    assert_eq!(known, [i32::from(version)]);
    for key in treasure::data_keys(system).await {
        assert_eq!((key.kek_version, key.state), (i32::from(version), DataKeyState::Active), "{key:?}");
    }
}

/// Every version up to this one, the last being active.
fn up_to(version: u8) -> Vec<u8> {
    (1..=version).rev().collect()
}

/// An instance that only looks: it has nothing in memory, and is gone afterwards.
async fn look(app: &TestApp, version: u8, treasure: &Treasure) {
    let fresh = app.instance_with(&up_to(version)).await;
    treasure.check(&fresh.system).await;
    fresh.system.db.close().await;
}

on_both!(stopped_before_any_step_it_is_completed_by_the_next_run, |app| {
    let mut treasure = Treasure::default();
    for slug in ["acme", "bolt"] {
        treasure.add(&app.system, slug, 2).await;
    }
    app.owner()
        .post("/v1/organizations/default/teams", json!({"name": "search"}))
        .idempotency_key("once")
        .await
        .created();
    let mut version = 1;
    // Each round has everything to do: a new version of the encryption key, and new data keys for all.
    loop {
        version += 1;
        let stop = usize::from(version) - 2;
        let steps = AtomicUsize::new(0);
        let watch = || match steps.fetch_add(1, Ordering::Relaxed) {
            n if n == stop => Err(Error::Overloaded),
            _ => Ok(()),
        };
        let b = app.instance_with(&up_to(version)).await;
        let outcome = rotate(&b.system, Renewal::Everybody, &watch).await;
        look(&app, version, &treasure).await;
        // What was begun is completed without asking for new data keys again.
        if stop % 3 == 0 {
            let report = rotate(&b.system, Renewal::Nobody, &|| Ok(())).await.unwrap();
            assert!(report.is_complete(), "{report:?} after {stop} steps");
            is_complete(&b.system, version).await;
            look(&app, version, &treasure).await;
        }
        b.system.db.close().await;
        match outcome {
            Err(Error::Overloaded) => assert!(stop < 200, "it does not end"),
            outcome => {
                assert!(outcome.unwrap().is_complete());
                assert!(stop > 30, "only {stop} steps");
                break;
            }
        }
    }
    let b = app.instance_with(&up_to(version)).await;
    assert!(rotate(&b.system, Renewal::Nobody, &|| Ok(())).await.unwrap().is_complete());
    is_complete(&b.system, version).await;
    treasure.check(&app.instance_with(&[version]).await.system).await;
});

/// The means of a test beside the real program, with the secrets of its installation.
async fn beside(url: &str, encryption: Versions) -> Arc<System> {
    let secret = |byte| Versions::single(Key32::new([byte; 32]));
    let secrets = Secrets { encryption, pepper: secret(2), signing: secret(3) };
    let db = Db::connect(url, 4).await.unwrap();
    service::checks::enroll(&db, &secrets).await.unwrap();
    let settings =
        Settings { public_url: "http://kill.test".into(), password_workers: 1, ..Default::default() };
    Arc::new(System::new(db, Clock::System, Entropy::System, secrets, settings).unwrap())
}

struct Killed {
    installation: Installation,
    database: Option<Database>,
    url: String,
}

impl Killed {
    async fn new(backend: Backend) -> Self {
        let (mut installation, database, url) = match backend {
            Backend::Sqlite => {
                let installation = Installation::new(backend).await;
                let url = format!("sqlite://{}", installation.directory().join("tollkeeper.db").display());
                (installation, None, url)
            }
            Backend::Postgres => {
                let database = Database::empty(backend).await;
                let url = database.url().to_owned();
                (Installation::over(&url), Some(database), url)
            }
        };
        installation.set("PUBLIC_URL", "http://kill.test");
        installation.set("ENCRYPTION_KEY", &encryption_setting(&[1]));
        for (name, byte) in [("KEY_PEPPER", 2), ("TOKEN_SIGNING_KEY", 3)] {
            installation.set(name, &Key32::new([byte; 32]).to_base64());
        }
        Self { installation: installation.with_owner(), database, url }
    }

    /// Runs a rotation, and kills it after a while; whether it had ended.
    async fn rotate_for(&self, time: Duration) -> bool {
        let mut command = self.installation.command(&["rotate-key", "--data-keys"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let started = Instant::now();
        while started.elapsed() < time {
            if let Some(status) = child.try_wait().unwrap() {
                let errors = child.wait_with_output().unwrap().stderr;
                assert!(status.success(), "{}", String::from_utf8_lossy(&errors));
                return true;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        false
    }

    /// Calls whose replies are sealed are made, and repeated, by a server that goes on serving.
    async fn call(server: &Server, bearer: &str, n: usize) {
        let body = json!({"name": format!("team {n}")});
        let one = async || {
            let url = server.url("/v1/organizations/default/teams");
            let request = reqwest::Client::new().post(url).bearer_auth(bearer).json(&body);
            let reply = exchange(request.header("idempotency-key", format!("call {n}"))).await.unwrap();
            (reply.status, reply.text)
        };
        let first = one().await;
        assert_eq!(first.0, 201, "{}", first.1);
        assert_eq!(one().await, first);
    }
}

async fn survives_kill_nine(backend: Backend) {
    let mut run = Killed::new(backend).await;
    run.installation.serve().await.kill();
    let system = beside(&run.url, encryption_keys(&[1])).await;
    let mut treasure = Treasure::default();
    for n in 0..8 {
        treasure.add(&system, &format!("organization-{n}"), 30).await;
    }
    system.db.close().await;
    // As an operator does it: both versions to the server, which serves all the time.
    run.installation.set("ENCRYPTION_KEY", &encryption_setting(&[2, 1]));
    let server = run.installation.serve().await;
    let bearer = server.sign_in().await;
    let (mut killed, mut whole, mut time) = (0, 0, Duration::from_millis(10));
    while whole < 2 && killed < 60 {
        if run.rotate_for(time).await {
            whole += 1;
        } else {
            killed += 1;
        }
        Killed::call(&server, &bearer, killed + whole).await;
        let fresh = beside(&run.url, encryption_keys(&[2, 1])).await;
        treasure.check(&fresh).await;
        fresh.db.close().await;
        time += time / 8 + Duration::from_millis(5);
    }
    assert!(killed >= 5 && whole >= 1, "killed {killed} times, completed {whole} times");
    let report = run.installation.run(&["rotate-key"]).await.ok();
    assert!(report.contains("version 2 of encryption_key"), "{report}");
    let fresh = beside(&run.url, encryption_keys(&[2, 1])).await;
    is_complete(&fresh, 2).await;
    fresh.db.close().await;
    Killed::call(&server, &bearer, 0).await;
    let log = server.log();
    server.kill();
    let files = ["tollkeeper.db", "tollkeeper.db-wal"].map(|name| run.installation.directory().join(name));
    let files = files.iter().filter_map(|path| std::fs::read(path).ok());
    for bytes in files.chain([log.into_bytes()]) {
        assert!(!bytes.windows(9).any(|window| window == b"treasure-"), "a secret is in the clear");
    }

    run.installation.set("ENCRYPTION_KEY", &encryption_setting(&[2]));
    let server = run.installation.serve().await;
    let login = json!({"email": OWNER.0, "password": OWNER.1});
    assert_eq!(server.post("/v1/auth/login", None, &login).await.0, 200);
    let fresh = beside(&run.url, encryption_keys(&[2])).await;
    treasure.check(&fresh).await;
    fresh.db.close().await;
    drop(server);
    if let Some(database) = run.database {
        database.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_nine_at_any_moment_of_a_rotation_loses_nothing_on_sqlite() {
    survives_kill_nine(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_nine_at_any_moment_of_a_rotation_loses_nothing_on_postgres() {
    survives_kill_nine(Backend::Postgres).await;
}

#[tokio::test]
async fn the_command_says_what_it_did_and_what_is_left() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let mut run = Killed::new(backend).await;
        let early = run.installation.run(&["rotate-key"]).await.refused();
        assert!(early.contains("tollkeeper migrate up"), "{early}");
        run.installation.serve().await.kill();
        let none = run.installation.run(&["rotate-key"]).await.ok();
        assert!(none.contains("No data key needed to be wrapped anew"), "{none}");

        run.installation.set("ENCRYPTION_KEY", &encryption_setting(&[2]));
        let errors = run.installation.run(&["rotate-key"]).await.refused();
        assert!(errors.contains("version 1 of encryption_key is not configured"), "{errors}");
        let other = encryption_setting(&[3]).replace("3:", "1:");
        run.installation.set("ENCRYPTION_KEY", &format!("{},{other}", encryption_setting(&[2])));
        let errors = run.installation.run(&["rotate-key"]).await.refused();
        assert!(errors.contains("version 1 of encryption_key is not the one"), "{errors}");

        run.installation.set("ENCRYPTION_KEY", &encryption_setting(&[2, 1]));
        run.installation.serve().await.kill();
        let report = run.installation.run(&["doctor"]).await.out;
        assert!(
            report.contains("ok     data keys: 1 wrapped with version 1; `tollkeeper rotate-key`"),
            "{report}"
        );
        let report = run.installation.run(&["rotate-key"]).await.ok();
        for part in
            ["Wrapped 1 data key anew with version 2", "Retired version 1 of encryption_key: take it out"]
        {
            assert!(report.contains(part), "{part} is missing in\n{report}");
        }
        let system = beside(&run.url, encryption_keys(&[2])).await;
        let mut treasure = Treasure::default();
        treasure.add(&system, "acme", 1).await;
        system.db.close().await;
        run.installation.set("ENCRYPTION_KEY", &encryption_setting(&[2]));
        let report =
            run.installation.run(&["rotate-key", "--data-keys", "--organization", "acme"]).await.ok();
        for part in ["Made 1 data key", "Sealed 3 secrets anew", "Destroyed 1 data key"] {
            assert!(report.contains(part), "{part} is missing in\n{report}");
        }
        let errors =
            run.installation.run(&["rotate-key", "--data-keys", "--organization", "nobody"]).await.refused();
        assert!(errors.contains("there is no organization nobody"), "{errors}");
        let report = run.installation.run(&["doctor"]).await.out;
        assert!(report.contains("ok     data keys: 2 wrapped with version 2\n"), "{report}");

        // The old version in front is refused; without the new one there is something wrong.
        run.installation.set("ENCRYPTION_KEY", &encryption_setting(&[1, 2]));
        let errors = run.installation.run(&["rotate-key"]).await.refused();
        assert!(errors.contains("version 1 of encryption_key was retired"), "{errors}");
        run.installation.set("ENCRYPTION_KEY", &encryption_setting(&[1]));
        let report = run.installation.run(&["doctor"]).await;
        assert!(report.out.contains("WRONG  data keys: 2 wrapped with version 2"), "{}", report.out);
        report.refused();
        if let Some(database) = run.database {
            database.remove().await;
        }
    }
}
