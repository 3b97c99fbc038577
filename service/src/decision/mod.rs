//! Decisions about calls: a gateway asks whether a virtual key may make one and tells what it used, a key asks about itself,
//! an administrator asks how it would go. The meter decides; here requests are understood, answers are put together, and use
//! is noted.

mod advised;
mod answer;
mod attempt;
mod hold;
mod limits;
mod raw;
mod request;
mod resolve;

pub use answer::{
    Authorization, Basis, DenialReason, Explanation, Extension, KeyIdentity, ModelPrice, OwnKey,
    SettledAttempt, Settlement, WorstCase,
};
pub use attempt::{NewAttempt, NewResolution, NewSettlement, NewUsage, ResolutionOutcome};
pub use hold::{NewExtension, NewVoid};
pub use limits::LimitState;
pub use request::{ErrorFormat, KeyCall, NewDecision, Presented};
pub use resolve::resolve;

use crate::{
    Ctx, Error, Result, System,
    meter::{
        Answer, Asker, Call, Decision, Gateway, Meter, Proof, Question, Task, Verdict, command::Command,
    },
};
use answer::reasons;
use entity::{
    id::{KeyId, OrganizationId, ReservationId},
    json::Tags,
    usage_event, virtual_key,
};
use futures_util::future::join_all;
use std::net::IpAddr;

/// Calls of one batch.
pub const BATCH: usize = 256;

/// The gateway was heard; the key's secret was used if it was let through.
fn note(system: &System, gateway: &Gateway, decision: &Decision, allowed: bool) {
    system.activity.note(gateway.token.id(), decision.at);
    if let Some(secret) = decision.secret.filter(|_| allowed) {
        system.activity.note(secret.uuid(), decision.at);
    }
}

/// The credentials that have served a call were used.
fn note_credentials(system: &System, events: &[usage_event::Model]) {
    for event in events {
        if let Some(credential) = event.credential_id {
            system.activity.note(credential.uuid(), event.occurred_at);
        }
    }
}

/// Whether a gateway is who it says it is, whatever it asks.
pub async fn authenticate(meter: &Meter, gateway: Gateway) -> Result<()> {
    let asker = Asker::Gateway(gateway);
    meter.ask(Question { asker, key: Proof::Nothing, call: Call::default() }).await.map(|_| ())
}

/// A request that is no good is told so to a gateway that has proved itself, and to no one else.
async fn understood<T>(meter: &Meter, gateway: &Gateway, read: Result<T>) -> Result<T> {
    if read.is_err() {
        authenticate(meter, gateway.clone()).await?;
    }
    read
}

fn mistaken<T>() -> Result<T> {
    Err(Error::internal("the meter has answered another question"))
}

async fn decide(
    system: &System,
    meter: &Meter,
    gateway: &Gateway,
    (task, tags): (Task, Tags),
) -> Result<Authorization> {
    match meter.run(task).await? {
        Answer::Decided(decision) => {
            note(system, gateway, &decision, false);
            Ok(Authorization::denied(system, &decision, tags))
        }
        Answer::Authorized(decision, row) => {
            note(system, gateway, &decision, true);
            Ok(Authorization::allowed(&decision, &row))
        }
        _ => mistaken(),
    }
}

/// Decides whether a key may make a call, and holds its worst case.
pub async fn authorize(
    system: &System,
    meter: &Meter,
    gateway: Gateway,
    new: NewDecision,
) -> Result<Authorization> {
    let task = understood(meter, &gateway, new.command(gateway.clone())).await?;
    decide(system, meter, &gateway, (task, new.tags)).await
}

/// Decides about a request by itself, and counts it.
pub async fn check(
    system: &System,
    meter: &Meter,
    gateway: Gateway,
    new: NewDecision,
) -> Result<Authorization> {
    let question = understood(meter, &gateway, new.question(gateway.clone())).await?;
    let known = question.key.key().is_some();
    let task = if known { Task::Do(Command::Count(question)) } else { Task::Look(question) };
    decide(system, meter, &gateway, (task, new.tags)).await
}

/// Answers many requests that arrived together; each that is acceptable has its own answer. They are decided in their order:
/// the prices are there before, as a request that has to wait for them is set aside, and those behind it overtake it.
async fn all<N, T, F>(
    system: &System,
    meter: &Meter,
    gateway: Gateway,
    requests: Vec<N>,
    one: impl Fn(Gateway, N) -> F,
) -> Result<Vec<Result<T>>>
where
    F: Future<Output = Result<T>>,
{
    authenticate(meter, gateway.clone()).await?;
    let home = meter.home_of_gateway(&gateway).await?;
    if home != OrganizationId::PLATFORM {
        system.books.now(system, home).await?;
    }
    Ok(join_all(requests.into_iter().map(|request| one(gateway.clone(), request))).await)
}

/// Decides about many calls at once.
pub async fn authorize_all(
    system: &System,
    meter: &Meter,
    gateway: Gateway,
    calls: Vec<NewDecision>,
) -> Result<Vec<Result<Authorization>>> {
    all(system, meter, gateway, calls, |gateway, call| authorize(system, meter, gateway, call)).await
}

/// The organization whose reservation a gateway names: its own; for a gateway of the installation the one that it says, or
/// else the one in which such a gateway has made it.
async fn home(
    meter: &Meter,
    gateway: &Gateway,
    reservation: ReservationId,
    stated: Option<OrganizationId>,
) -> Result<OrganizationId> {
    let own = meter.home_of_gateway(gateway).await?;
    match stated {
        Some(stated) => Ok(stated),
        None if own != OrganizationId::PLATFORM => Ok(own),
        None => Ok(meter.home_of_reservation(reservation).await?.unwrap_or(OrganizationId::PLATFORM)),
    }
}

async fn close(system: &System, meter: &Meter, task: Task) -> Result<Settlement> {
    match meter.run(task).await? {
        Answer::Settled(row, events) => {
            note_credentials(system, &events);
            Ok(Settlement::new(&row, &events))
        }
        Answer::Voided(row) => Ok(Settlement::new(&row, &[])),
        _ => mistaken(),
    }
}

/// Puts what an authorized call used on the books.
pub async fn settle(
    system: &System,
    meter: &Meter,
    gateway: Gateway,
    new: NewSettlement,
) -> Result<Settlement> {
    let home = home(meter, &gateway, new.reservation_id, new.organization_id).await?;
    let command = new.command(Asker::Gateway(gateway.clone()), home);
    let task = understood(meter, &gateway, command).await?;
    let task = raw::seal_for(system, meter, &gateway, task).await;
    heard(system, &gateway, close(system, meter, task).await)
}

/// Lets go of what a call holds that did not happen.
pub async fn void(system: &System, meter: &Meter, gateway: Gateway, new: NewVoid) -> Result<Settlement> {
    let home = home(meter, &gateway, new.reservation_id, new.organization_id).await?;
    let task = new.command(Asker::Gateway(gateway.clone()), home);
    heard(system, &gateway, close(system, meter, task).await)
}

/// Moves the end of a call that takes longer.
pub async fn extend(
    system: &System,
    meter: &Meter,
    gateway: Gateway,
    new: NewExtension,
) -> Result<Extension> {
    let home = home(meter, &gateway, new.reservation_id, new.organization_id).await?;
    let command = new.command(Asker::Gateway(gateway.clone()), home);
    let task = understood(meter, &gateway, command).await?;
    match heard(system, &gateway, meter.run(task).await)? {
        Answer::Extended(row) => Ok(Extension { reservation_id: row.id, expires_at: row.expires_at }),
        _ => mistaken(),
    }
}

/// Puts a call on the books that was not authorized here.
pub async fn report(system: &System, meter: &Meter, gateway: Gateway, new: NewUsage) -> Result<Settlement> {
    let task = understood(meter, &gateway, new.command(gateway.clone())).await?;
    let task = raw::seal_for(system, meter, &gateway, task).await;
    heard(system, &gateway, close(system, meter, task).await)
}

/// A gateway that was answered was heard.
fn heard<T>(system: &System, gateway: &Gateway, answer: Result<T>) -> Result<T> {
    if answer.is_ok() {
        system.activity.note(gateway.token.id(), system.clock.local());
    }
    answer
}

/// Settles many calls at once.
pub async fn settle_all(
    system: &System,
    meter: &Meter,
    gateway: Gateway,
    calls: Vec<NewSettlement>,
) -> Result<Vec<Result<Settlement>>> {
    all(system, meter, gateway, calls, |gateway, call| settle(system, meter, gateway, call)).await
}

/// Voids many calls at once.
pub async fn void_all(
    system: &System,
    meter: &Meter,
    gateway: Gateway,
    calls: Vec<NewVoid>,
) -> Result<Vec<Result<Settlement>>> {
    all(system, meter, gateway, calls, |gateway, call| void(system, meter, gateway, call)).await
}

/// Extends many calls at once.
pub async fn extend_all(
    system: &System,
    meter: &Meter,
    gateway: Gateway,
    calls: Vec<NewExtension>,
) -> Result<Vec<Result<Extension>>> {
    all(system, meter, gateway, calls, |gateway, call| extend(system, meter, gateway, call)).await
}

/// Puts many calls on the books at once.
pub async fn report_all(
    system: &System,
    meter: &Meter,
    gateway: Gateway,
    calls: Vec<NewUsage>,
) -> Result<Vec<Result<Settlement>>> {
    all(system, meter, gateway, calls, |gateway, call| report(system, meter, gateway, call)).await
}

/// Tells how a decision would come about. Nothing is noted.
pub async fn explain(meter: &Meter, gateway: Gateway, new: NewDecision) -> Result<Explanation> {
    let question = understood(meter, &gateway, new.question(gateway.clone())).await?;
    Ok(Explanation::new(meter.ask(question).await?, new.tags))
}

/// Tells an administrator how a decision about a key would come about; its secret is not needed.
pub async fn explain_key(ctx: &Ctx, meter: &Meter, key: KeyId, call: KeyCall) -> Result<Explanation> {
    ctx.repository::<virtual_key::Entity>().with_archived().find(key).await?;
    let tags = call.tags.clone();
    let call = call.read()?;
    let asker = Asker::Administrator(ctx.scope.organization);
    let decision = meter.ask(Question { asker, key: Proof::Id(key), call }).await?;
    Ok(Explanation::new(decision, tags))
}

/// Every limit on the path of a key's calls.
pub async fn key_limits(ctx: &Ctx, meter: &Meter, key: KeyId) -> Result<Vec<LimitState>> {
    ctx.repository::<virtual_key::Entity>().with_archived().find(key).await?;
    let asker = Asker::Administrator(ctx.scope.organization);
    let question = Question { asker, key: Proof::Id(key), call: Call::default() };
    let mut decision = meter.ask(question).await?;
    // No call is asked about: that nobody knows what it would cost is no fault of a limit.
    decision.limits.iter_mut().for_each(Verdict::without_call);
    Ok(Explanation::new(decision, Tags::default()).limits)
}

/// What a virtual key may know of itself; the reasons against it if it may not be used.
pub async fn own_key(
    system: &System,
    meter: &Meter,
    key: &Presented,
    client_ip: Option<IpAddr>,
) -> Result<std::result::Result<OwnKey, Vec<DenialReason>>> {
    let call = Call { client_ip, ..Call::default() };
    let question = Question { asker: Asker::Key, key: key.proof(), call };
    let decision = meter.ask(question).await?;
    let Some(facts) = decision.facts.as_ref().filter(|_| decision.allowed()) else {
        return Ok(Err(reasons(&decision)));
    };
    if let Some(secret) = decision.secret {
        system.activity.note(secret.uuid(), decision.at);
    }
    Ok(Ok(OwnKey::new(facts, &decision)))
}
