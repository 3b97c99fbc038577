//! The same work done naively, with one transaction for each request over the same tables: behind the same HTTP server, with
//! the same bodies, and without looking at the key, its secret, its team, the token or the price, which the meter does beside.

use super::rows::{self, Caller};
use crate::stage::{self, Organization, Stage, insert};
use axum::{Json, Router, extract::State, http::HeaderMap, routing::post};
use chrono::{DateTime, Utc};
use entity::{
    id::{LimitId, OrganizationId, PriceId, ReservationId},
    ledger::Leg,
    limit_window, reservation,
    status::{Grain, Metric, Period},
    usage_event, usage_latency, usage_rollup,
};
use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{Set, Unchanged},
    ConnectionTrait, DatabaseBackend, DatabaseTransaction, EntityTrait, ExprTrait, FromQueryResult,
    IntoActiveModel, Statement, Value,
    sea_query::{Expr, OnConflict},
};
use serde_json::{Value as Json_, json};
use service::{System, limit::window};
use std::{collections::HashMap, net::SocketAddr, sync::Arc};
use uuid::Uuid;

struct Naive {
    system: Arc<System>,
    callers: HashMap<String, Caller>,
    gateways: HashMap<String, OrganizationId>,
}

#[derive(FromQueryResult)]
struct Standing {
    id: LimitId,
    subject_id: Uuid,
    metric: Metric,
    amount: i64,
    used: Option<i64>,
    held: Option<i64>,
    adjusted: Option<i64>,
}

/// Serves the naive way for these organizations.
pub async fn serve(stage: &Stage, price: PriceId, organizations: &[Organization]) -> SocketAddr {
    let callers = organizations.iter().flat_map(|made| {
        let caller = |key| Caller { organization: made.id, team: made.team, key, price };
        made.keys.iter().map(move |(id, key)| (key.clone(), caller(*id)))
    });
    let gateways = organizations.iter().map(|made| (format!("Bearer {}", made.gateway), made.id));
    let naive = Arc::new(Naive {
        system: stage.system.clone(),
        callers: callers.collect(),
        gateways: gateways.collect(),
    });
    let routes = Router::new().route("/v1/authorize", post(authorize)).route("/v1/settle", post(settle));
    stage::serve(routes.with_state(naive)).await
}

async fn run<C: ConnectionTrait>(db: &C, sql: &str, values: Vec<Value>) {
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    db.execute_raw(statement).await.expect(sql);
}

/// On SQLite the transaction itself is the lock.
async fn lock(tx: &DatabaseTransaction, organization: OrganizationId) {
    if tx.get_database_backend() == DatabaseBackend::Postgres {
        let sql = "SELECT last_t FROM org_head WHERE organization_id = $1 FOR NO KEY UPDATE";
        let statement = Statement::from_sql_and_values(DatabaseBackend::Postgres, sql, [organization.into()]);
        tx.query_one_raw(statement).await.expect("the lock");
    }
}

async fn authorize(State(naive): State<Arc<Naive>>, Json(body): Json<Json_>) -> Json<Json_> {
    let caller = naive.callers[body["key"].as_str().expect("a key")];
    let tx = naive.system.db.begin().await.expect("a transaction");
    lock(&tx, caller.organization).await;
    let at = naive.system.clock.local();
    let legs: Vec<Leg> =
        standings(&tx, caller, at).await.into_iter().filter_map(|limit| fits(limit, at)).collect();
    assert_eq!(legs.len(), 3, "three limits, and the call fits all of them");
    let id: ReservationId = naive.system.entropy.id(at);
    let row = rows::held(caller, id, legs);
    let windows: Vec<_> = row.legs.0.iter().map(|leg| window_row(caller, leg)).collect();
    insert(&tx, vec![row]).await;
    hold(&tx, windows).await;
    tx.commit().await.expect("a commit");
    Json(
        json!({"allowed": true, "reservation_id": id, "key": {"id": caller.key, "organization_id": caller.organization}}),
    )
}

async fn standings(tx: &DatabaseTransaction, caller: Caller, at: DateTime<Utc>) -> Vec<Standing> {
    let sql = "SELECT l.id, l.subject_id, l.metric, l.amount, w.used, w.held, w.adjusted FROM usage_limit l \
               LEFT JOIN limit_window w ON w.limit_id = l.id AND w.subject_id = l.subject_id \
               AND w.window_start = CASE l.period WHEN 'minute' THEN $5 ELSE $6 END \
               WHERE l.organization_id = $1 AND l.subject_id IN ($2, $3, $4) AND l.deleted_at IS NULL";
    let values: [Value; 6] = [
        caller.organization.into(),
        caller.key.uuid().into(),
        caller.team.uuid().into(),
        caller.organization.uuid().into(),
        window::start(Period::Minute, at).into(),
        window::start(Period::Month, at).into(),
    ];
    let statement = Statement::from_sql_and_values(tx.get_database_backend(), sql, values);
    Standing::find_by_statement(statement).all(tx).await.expect("limits")
}

fn fits(limit: Standing, at: DateTime<Utc>) -> Option<Leg> {
    let leg = rows::leg((limit.id, limit.subject_id), limit.metric, at);
    let [used, held, adjusted] = [limit.used, limit.held, limit.adjusted].map(Option::unwrap_or_default);
    (used - adjusted + held + leg.held <= limit.amount).then_some(leg)
}

fn start(leg: &Leg) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(leg.window).expect("a window")
}

fn window_row(caller: Caller, leg: &Leg) -> limit_window::Model {
    limit_window::Model {
        limit_id: leg.limit,
        subject_id: leg.subject,
        window_start: start(leg),
        organization_id: caller.organization,
        used: 0,
        held: leg.held,
        adjusted: 0,
        would_deny: 0,
    }
}

/// Column = what is there + what is to be inserted.
macro_rules! added {
    ($conflict:expr, $entity:ident, [$($column:ident),*]) => {
        $conflict$(.value(
            $entity::Column::$column,
            Expr::col(($entity::Entity, $entity::Column::$column))
                .add(Expr::col(("excluded", $entity::Column::$column))),
        ))*.to_owned()
    };
}

async fn hold(tx: &DatabaseTransaction, windows: Vec<limit_window::Model>) {
    use limit_window::Column::{LimitId, SubjectId, WindowStart};
    let conflict = added!(OnConflict::columns([LimitId, SubjectId, WindowStart]), limit_window, [Held]);
    let rows = windows.into_iter().map(|row| row.into_active_model().reset_all());
    limit_window::Entity::insert_many(rows)
        .on_conflict(conflict)
        .exec_without_returning(tx)
        .await
        .expect("windows");
}

async fn settle(State(naive): State<Arc<Naive>>, headers: HeaderMap, Json(body): Json<Json_>) -> Json<Json_> {
    let organization = naive.gateways[headers["authorization"].to_str().expect("a token")];
    let id: ReservationId = body["reservation_id"].as_str().expect("an id").parse().expect("an id");
    let tx = naive.system.db.begin().await.expect("a transaction");
    lock(&tx, organization).await;
    let at = naive.system.clock.local();
    let found = reservation::Entity::find_by_id((organization, id)).one(&tx).await.expect("a reservation");
    let row = rows::settled(found.expect("the call"), at);
    let event = rows::event(&row, at);
    close(&tx, &row).await;
    for leg in &row.legs.0 {
        let values =
            vec![leg.held.into(), leg.used.into(), leg.limit.into(), leg.subject.into(), start(leg).into()];
        let sql = "UPDATE limit_window SET held = held - $1, used = used + $2 \
                   WHERE limit_id = $3 AND subject_id = $4 AND window_start = $5";
        run(&tx, sql, values).await;
    }
    sum_up(&tx, &event).await;
    insert(&tx, vec![event]).await;
    tx.commit().await.expect("a commit");
    Json(
        json!({"reservation_id": id, "state": "settled", "attempts": [{"cost": "0.00625", "currency": "USD"}]}),
    )
}

async fn close(tx: &DatabaseTransaction, row: &reservation::Model) {
    let mut change = reservation::ActiveModel {
        organization_id: Unchanged(row.organization_id),
        id: Unchanged(row.id),
        ..Default::default()
    };
    change.state = Set(row.state);
    change.settle_hash = Set(row.settle_hash.clone());
    change.legs = Set(row.legs.clone());
    change.release_at = Set(None);
    change.closed_at = Set(row.closed_at);
    reservation::Entity::update(change).exec(tx).await.expect("a settled call");
}

/// Adds an event to the sums of its hour and its day.
async fn sum_up(tx: &DatabaseTransaction, event: &usage_event::Model) {
    use usage_rollup::Column::{DimensionsId, Grain as GrainOf, OrganizationId as Of, Start};
    let dimensions = service::meter::dimensions(event);
    let grains = [(Grain::Hour, Period::Hour), (Grain::Day, Period::Day)];
    let start = |period| window::start(period, event.occurred_at);
    let sums = grains
        .map(|(grain, period)| sum(event, grain, start(period), dimensions).into_active_model().reset_all());
    let conflict = added!(
        OnConflict::columns([Of, GrainOf, Start, DimensionsId]),
        usage_rollup,
        [Events, InputTokens, OutputTokens, Requests, Cost, LatencyEvents, LatencyMs]
    );
    usage_rollup::Entity::insert_many(sums)
        .on_conflict(conflict)
        .exec_without_returning(tx)
        .await
        .expect("sums");

    use usage_latency::Column as Latency;
    let latencies = grains.map(|(grain, period)| {
        let row = usage_latency::Model {
            organization_id: event.organization_id,
            grain,
            start: start(period),
            dimensions_id: dimensions,
            bucket: service::meter::bucket(event.latency_ms.unwrap_or(0)),
            events: 1,
        };
        row.into_active_model().reset_all()
    });
    let key =
        [Latency::OrganizationId, Latency::Grain, Latency::Start, Latency::DimensionsId, Latency::Bucket];
    let conflict = added!(OnConflict::columns(key), usage_latency, [Events]);
    usage_latency::Entity::insert_many(latencies)
        .on_conflict(conflict)
        .exec_without_returning(tx)
        .await
        .expect("latencies");
}

fn sum(
    event: &usage_event::Model,
    grain: Grain,
    start: DateTime<Utc>,
    dimensions_id: Uuid,
) -> usage_rollup::Model {
    usage_rollup::Model {
        grain,
        key_id: event.key_id,
        team_id: event.team_id,
        provider: event.provider.clone(),
        model: event.model.clone(),
        currency: event.currency.clone(),
        input_tokens: event.input_tokens,
        output_tokens: event.output_tokens,
        cost: event.cost,
        latency_events: 1,
        latency_ms: event.latency_ms.unwrap_or(0),
        ..rows::rollup(event.organization_id, dimensions_id, start)
    }
}
