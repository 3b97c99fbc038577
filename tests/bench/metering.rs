//! The meter: pairs of authorize and settle over loopback, in one hot organization and in a thousand, against a bare axum
//! handler, against the same work with one transaction for each request, and against the meter's statements alone; then in
//! an organization with 1,000 times the keys and 100 times the events; then many at a time in one request. Every key has
//! three limits on its path, and nothing is ever denied.
//!
//! `cargo suite --bench metering`

mod naive;
mod raw;
mod rows;
mod setting;
mod stages;

use crate::{
    load::{self, Follow, Make, Report},
    stage::{self, Organization, Stage},
};
use axum::Router;
use entity::id::PriceId;
use sea_orm::{ConnectionTrait, Statement};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

const TIME: Duration = Duration::from_secs(3);
const ROUNDS: usize = 3;
const CONNECTIONS: [usize; 4] = [1, 16, 64, 256];
/// Keys of the hot organization, organizations of the crowd.
const KEYS: usize = 100;
const CROWD: usize = 1_000;
/// Events of the past, to begin with.
const EVENTS: usize = 10_000;
/// Calls of one request, where there are many.
const MANY: u32 = 64;

type Script = (Make, Follow);

/// Runs it on every database.
pub async fn run() {
    stages::now();
    for kind in stage::databases() {
        println!("== metering on {kind}: authorize + settle = one pair");
        let stage = Stage::new(kind).await;
        let price = setting::price(&stage).await;
        let hot = vec![stage.organization("hot", KEYS).await];
        let crowd = stage.crowd("crowd", CROWD).await;
        setting::limits(&stage, &hot).await;
        setting::limits(&stage, &crowd).await;
        setting::past(&stage, &hot[0], EVENTS).await;
        let commit = commit(&stage, &hot[0]).await;
        let ceiling = ceiling(setting::pair(&hot)).await;
        for (name, organizations) in [("one organization", &hot), ("1,000 organizations", &crowd)] {
            println!("-- {name}");
            let ours = ours(&stage, organizations, &ceiling).await;
            println!(
                "   at one connection, in raw commits of {:.3} ms: pair {:.2}, authorize {:.2}, settle {:.2}",
                commit.as_secs_f64() * 1e3,
                ratio(ours[0].p50, commit),
                ratio(ours[0].parts[0], commit),
                ratio(ours[0].parts[1], commit)
            );
            compare(&stage, (price, organizations), &ours).await;
        }
        batches(&stage, &hot).await;
        growth(kind, (&stage, &hot)).await;
    }
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}

fn median(mut reports: Vec<Report>) -> Report {
    reports.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    reports[reports.len() / 2]
}

fn line(name: &str, connections: usize, report: Report) {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "{name:<34} {connections:>4} conn {:>8.0} pairs/s   p50 {:>8.2} ms ({:.2} + {:.2})   p99 {:>8.2} ms",
        report.rate,
        ms(report.p50),
        ms(report.parts[0]),
        ms(report.parts[1]),
        ms(report.p99)
    );
}

/// The time of one commit: a row changed by itself.
async fn commit(stage: &Stage, of: &Organization) -> Duration {
    let db = &stage.system.db.writer;
    let sql = "UPDATE org_head SET audit_seq = audit_seq + 1 WHERE organization_id = $1";
    let mut times = Vec::new();
    for _ in 0..300 {
        let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [of.id.into()]);
        let begun = Instant::now();
        db.execute_raw(statement).await.expect("a commit");
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    times[times.len() / 2]
}

/// The bare handlers, at each number of connections.
async fn ceiling(script: Script) -> Vec<Report> {
    let reservation = "res_019aa3c1f6b07c3e9a5d2f4b8c6e1d70";
    let limit = serde_json::json!({
        "limit_id": "lim_019aa3c1f6b07c3e9a5d2f4b8c6e1d70", "metric": "cost", "window": "month", "used": "1.000000000",
        "held": "0.008000000", "amount": "2305843009.213693951", "remaining": "2305843008.205693951", "currency": "USD",
        "window_start": "2026-11-01T00:00:00Z", "resets_at": "2026-12-01T00:00:00Z", "mode": "block",
    });
    let authorized = serde_json::json!({
        "allowed": true, "decision_id": "dec_019aa3c1f6b07c3e9a5d2f4b8c6e1d70", "reservation_id": reservation,
        "expires_at": "2026-11-25T12:00:00Z", "max_output_tokens": 500, "limits": [limit, limit, limit], "reasons": [],
        "key": {"id": "key_019aa3c1f6b07c3e9a5d2f4b8c6e1d70", "name": "bench", "tags": {}},
    });
    let settled = serde_json::json!({
        "reservation_id": reservation, "state": "settled",
        "attempts": [{"event_id": "evt_019aa3c1f6b07c3e9a5d2f4b8c6e1d70", "cost": "0.006250000", "currency": "USD"}],
    });
    let routes = stage::bare_route(Router::new(), "/v1/authorize", authorized);
    let address = stage::serve(stage::bare_route(routes, "/v1/settle", settled)).await;
    let mut reports = Vec::new();
    for connections in CONNECTIONS {
        let report = load::pairs(address, connections, TIME, script.clone()).await;
        line("bare axum handlers", connections, report);
        reports.push(report);
    }
    reports
}

/// Our server, at each number of connections.
async fn ours(stage: &Stage, organizations: &[Organization], ceiling: &[Report]) -> Vec<Report> {
    let script = setting::pair(organizations);
    // What is remembered between batches is, before anything counts.
    load::pairs(stage.address, 64, TIME, script.clone()).await;
    let mut reports = Vec::new();
    for (connections, ceiling) in CONNECTIONS.into_iter().zip(ceiling) {
        let report = rounds(stage.address, connections, &script).await;
        line("the meter", connections, report);
        println!("   ratio to the ceiling {:.3}", report.rate / ceiling.rate);
        reports.push(report);
    }
    reports
}

/// The median of some rounds, with where batches spent their time in the last.
async fn rounds(address: SocketAddr, connections: usize, script: &Script) -> Report {
    let mut reports = Vec::new();
    let mut spent = stages::now();
    for _ in 0..ROUNDS {
        let before = stages::now();
        reports.push(load::pairs(address, connections, TIME, script.clone()).await);
        spent = stages::now().since(&before);
    }
    spent.print();
    median(reports)
}

/// The naive way, and the statements alone, in turns with the meter.
async fn compare(stage: &Stage, (price, organizations): (PriceId, &[Organization]), ours: &[Report]) {
    let script = setting::pair(organizations);
    let naive = naive::serve(stage, price, organizations).await;
    let limits = raw::limits(stage).await;
    let tasks = organizations.len().min(3);
    for (at, connections) in [(0, 1), (3, 256)] {
        assert_eq!(CONNECTIONS[at], connections);
        let (mut theirs, mut again, mut alone, mut sizes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            theirs.push(load::pairs(naive, connections, TIME, script.clone()).await);
            let before = stages::now();
            again.push(load::pairs(stage.address, connections, TIME, script.clone()).await);
            let size = stages::now().since(&before).batch().round().max(1.0);
            sizes.push(size);
            let batch = (whole(size), tasks.min(connections));
            alone.push(raw::rate(stage, (price, &limits), organizations, batch, TIME).await);
        }
        let (theirs, again) = (median(theirs), median(again));
        line("one transaction a request", connections, theirs);
        line("the meter, in turns with these", connections, again);
        alone.sort_by(f64::total_cmp);
        let alone = alone[alone.len() / 2];
        println!("statements alone, batches of {sizes:?} by {tasks} task(s): {alone:.0} pairs/s");
        println!(
            "   {:.1} x one transaction a request, {:.2} of the statements alone (before: {:.0} pairs/s)",
            again.rate / theirs.rate,
            again.rate / alone,
            ours[at].rate
        );
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
fn whole(number: f64) -> usize {
    number as usize
}

/// Many calls in one request.
async fn batches(stage: &Stage, hot: &[Organization]) {
    println!("-- {MANY} calls a request");
    for connections in [1, 4, 16] {
        let script = setting::batches(hot, MANY.into());
        let report = rounds(stage.address, connections, &script).await;
        line(
            "batches of authorize, of settle",
            connections,
            Report { rate: report.rate * f64::from(MANY), ..report },
        );
    }
}

/// The same with a thousand times the keys and a hundred times the events, in a database of its own.
async fn growth(kind: &str, (stage, hot): (&Stage, &[Organization])) {
    println!("-- growth: {} keys and {} events", KEYS * 1_000, EVENTS * 100);
    let large = Stage::new(kind).await;
    setting::price(&large).await;
    let many = vec![large.organization("many", KEYS * 1_000).await];
    setting::limits(&large, &many).await;
    setting::past(&large, &many[0], EVENTS * 100).await;
    let as_many = vec![Organization { keys: many[0].keys[..KEYS].to_vec(), ..many[0].clone() }];
    for (name, organizations) in [("as many keys in use", &as_many), ("all keys in use", &many)] {
        let (few_script, many_script) = (setting::pair(hot), setting::pair(organizations));
        load::pairs(large.address, 64, TIME, many_script.clone()).await;
        let (mut small, mut big) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            small.push(load::pairs(stage.address, 64, TIME, few_script.clone()).await);
            big.push(rounds_of_one(large.address, &many_script).await);
        }
        let (small, big) = (median(small), median(big));
        line("100 keys, 10,000 events", 64, small);
        line(&format!("grown, {name}"), 64, big);
        println!("   {:.2} times the work a pair", small.rate / big.rate);
    }
}

async fn rounds_of_one(address: SocketAddr, script: &Script) -> Report {
    let before = stages::now();
    let report = load::pairs(address, 64, TIME, script.clone()).await;
    stages::now().since(&before).print();
    report
}
