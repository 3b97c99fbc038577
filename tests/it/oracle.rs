//! What is promised of limits when everything dies all the time: real servers, killed without warning, over a database that
//! crashes, and a client that knows what was truly used. No overspend, no settled call lost, no denial while it would fit,
//! and what is held is what is open.

mod caller;
mod stand;
mod truth;

use crate::{
    decisions::issue,
    limits::LIMITS,
    prices::{PRICES, cent},
};
use caller::Doors;
use futures_util::future::join_all;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use serde_json::{Value, json};
use stand::Stand;
use std::time::{Duration, Instant};
use tests::{
    Backend, TestApp,
    cluster::Cluster,
    on_both,
    server::{Installation, Server},
};
use truth::Kind;

/// Connections that work at a time.
const WORKERS: usize = 64;
/// How long everything dies.
const TIME: Duration = Duration::from_secs(20);

/// Somewhere between nothing and so many milliseconds.
async fn a_while(most: u32) {
    tokio::time::sleep(Duration::from_millis(u64::from(rand::random::<u32>() % most))).await;
}

/// Kills and restarts servers, and the database if it is one's own; how often of each.
async fn chaos(
    (installation, cluster): (&Installation, Option<&Cluster>),
    servers: &mut Vec<Server>,
    doors: &Doors,
    until: Instant,
) -> [u32; 2] {
    let mut killed = [0, 0];
    for turn in 0_u32.. {
        if Instant::now() > until {
            break;
        }
        a_while(1500).await;
        if let Some(cluster) = cluster
            && turn % 3 == 1
        {
            tokio::task::block_in_place(|| cluster.stop());
            a_while(800).await;
            tokio::task::block_in_place(|| cluster.resume());
            killed[1] += 1;
            continue;
        }
        let n = rand::random::<u32>() as usize % servers.len();
        servers.remove(n).kill();
        a_while(300).await;
        servers.insert(n, installation.serve().await);
        doors.moved(n, &servers[n]);
        killed[0] += 1;
    }
    killed
}

async fn nothing_is_lost(mut installation: Installation, cluster: Option<Cluster>, instances: usize) {
    // The same issuer on whatever port, so that the session goes on.
    installation.set("PUBLIC_URL", "http://oracle.test");
    let mut servers = Vec::new();
    for _ in 0..instances {
        servers.push(installation.serve().await);
    }
    let doors = Doors::of(&servers);
    let kinds = [Kind::Wide, Kind::Wide, Kind::Wide, Kind::Tight(300), Kind::Churning(100)];
    let stand = Stand::new(&servers[0], doors.clone(), &kinds).await;

    let until = Instant::now() + TIME;
    let gateways: Vec<_> = (0..WORKERS).map(|_| stand.gateway(None)).collect();
    let work = join_all(gateways.iter().map(|gateway| stand.work(gateway, until)));
    let killing = chaos((&installation, cluster.as_ref()), &mut servers, &doors, until);
    let (_, killed, ()) = tokio::join!(work, killing, stand.watch(until));
    assert!(killed[0] > 0 && (cluster.is_none() || killed[1] > 0), "nothing died: {killed:?}");

    stand.check().await;
    stand.finish(&gateways[0]).await;
    stand.check().await;
    // What is left of the tight limits fits, to the last call, and not one more.
    for plan in &stand.plans {
        let (Kind::Tight(fit) | Kind::Churning(fit)) = plan.kind else { continue };
        while let Some(id) = plan.authorize(&gateways[0]).await {
            plan.settle(&gateways[0], &id).await;
        }
        let truth = plan.truth.lock().unwrap();
        assert_eq!(truth.settled.len() as u64, fit, "{:?}: calls", plan.kind);
        assert!(truth.allowed == fit || matches!(plan.kind, Kind::Churning(_)));
    }
    stand.check().await;
    let calls: i64 = stand.plans.iter().map(|plan| plan.truth.lock().unwrap().calls()).sum();
    println!("{calls} calls settled; {} servers and {} databases died", killed[0], killed[1]);
    drop(servers);
    installation.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_overspent_when_servers_and_postgres_die() {
    let cluster = Cluster::start();
    let installation = Installation::over(&cluster.url()).with_owner();
    nothing_is_lost(installation, Some(cluster), 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_overspent_when_the_server_over_sqlite_dies() {
    nothing_is_lost(Installation::new(Backend::Sqlite).await.with_owner(), None, 1).await;
}

on_both!(a_dollar_is_a_hundred_calls_of_a_cent, |app| {
    app.owner().post(PRICES, cent("cent", None, None)).await.created();
    let gateway = app.gateway().await;
    // On SQLite there is one instance.
    let other = if app.backend == Backend::Postgres { app.second_instance().await } else { app.clone() };
    let doors = [gateway.clone(), other.client(gateway.bearer().unwrap())];
    for upstream in [0, 100, 1000].map(Duration::from_millis) {
        let limits = json!([{"metric": "cost", "window": "month", "amount": "1"}]);
        let key = issue(&app, json!({"name": format!("{upstream:?}"), "limits": limits})).await;
        let call = async |n: usize| {
            let door = &doors[n % 2];
            let body =
                json!({"key": key["secret"], "model": "cent", "input_tokens": 1, "max_output_tokens": 1});
            let decision = door.post("/v1/authorize", body).await.ok();
            if decision["allowed"] == false {
                assert_eq!(decision["reasons"][0]["code"], "budget_exceeded");
                return false;
            }
            tokio::time::sleep(upstream).await;
            let usage = json!({"input_tokens": 1, "output_tokens": 1});
            let body = json!({"reservation_id": decision["reservation_id"], "usage": usage});
            // Whichever instance is told of it.
            doors[(n / 2) % 2].post("/v1/settle", body).await.ok();
            true
        };
        let allowed = join_all((0..400).map(call)).await.into_iter().filter(|allowed| *allowed).count();
        assert_eq!(allowed, 100, "upstream calls of {upstream:?}");
        let limit = key["limits"][0]["id"].as_str().unwrap();
        let windows = app.owner().get(&format!("{LIMITS}/{limit}/windows")).await.ok();
        let window = &windows["items"][0];
        assert_eq!((&window["used"], &window["held"]), (&json!("1.000000000"), &json!("0.000000000")));
        assert_eq!(events_of(&app, &key).await, 100);
    }
});

async fn events_of(app: &TestApp, key: &Value) -> i64 {
    let path = format!("/v1/organizations/default/keys/{}/usage", key["id"].as_str().unwrap());
    let totals = app.owner().get(&path).await.ok();
    assert_eq!(totals["costs"], json!([{"currency": "USD", "cost": "1.000000000"}]));
    totals["events"].as_i64().unwrap()
}

/// Whether somebody has begun a transaction and does not go on, while others wait for its locks.
async fn is_stuck(db: &DatabaseConnection) -> bool {
    let sql = "SELECT count(*) FILTER (WHERE state = 'idle in transaction' \
                 AND clock_timestamp() - state_change > interval '40 ms') AS idle, \
               count(*) FILTER (WHERE wait_event_type = 'Lock') AS waiting FROM pg_stat_activity";
    let row = db.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap().unwrap();
    row.try_get::<i64>("", "idle").unwrap() > 0 && row.try_get::<i64>("", "waiting").unwrap() > 0
}

/// Stops a server within a batch, for three seconds.
async fn pause_in_a_batch(server: &Server, db: &DatabaseConnection) {
    let begun = Instant::now();
    loop {
        server.pause();
        tokio::time::sleep(Duration::from_millis(60)).await;
        if is_stuck(db).await {
            break;
        }
        server.go_on();
        assert!(begun.elapsed() < Duration::from_secs(10), "it is never within a batch");
        a_while(30).await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    server.go_on();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_instance_holds_its_organization_for_a_moment_only() {
    let cluster = Cluster::start();
    let mut installation = Installation::over(&cluster.url()).with_owner();
    installation.set("PUBLIC_URL", "http://oracle.test");
    let servers = [installation.serve().await, installation.serve().await];
    let [stopped, other] = [&servers[..1], &servers[1..]].map(Doors::of);
    let stand = Stand::new(&servers[1], other.clone(), &[Kind::Wide, Kind::Wide, Kind::Tight(200)]).await;
    let db = sea_orm::Database::connect(cluster.url()).await.unwrap();

    let until = Instant::now() + Duration::from_secs(9);
    let gateways = |doors: &Doors| (0..16).map(|_| stand.gateway(Some(doors))).collect::<Vec<_>>();
    let (of_stopped, of_other) = (gateways(&stopped), gateways(&other));
    let pauses = async {
        for _ in 0..2 {
            pause_in_a_batch(&servers[0], &db).await;
            a_while(500).await;
        }
    };
    let (_, slowest, ()) = tokio::join!(
        join_all(of_stopped.iter().map(|gateway| stand.work(gateway, until))),
        join_all(of_other.iter().map(|gateway| stand.work(gateway, until))),
        pauses
    );
    let slowest = slowest.into_iter().max().unwrap();
    println!("the slowest answer of the other instance took {slowest:?}");
    assert!(slowest < Duration::from_secs(6), "the slowest answer took {slowest:?}");
    stand.finish(&of_other[0]).await;
    stand.check().await;
}
