//! Decisions about calls: a gateway asks whether a virtual key may make one, a key asks about itself, an administrator
//! asks how it would go. The meter decides; here requests are understood, answers are put together, and use is noted.

mod answer;
mod request;

pub use answer::{Authorization, Explanation, KeyIdentity, OwnKey, Reason};
pub use request::{ErrorFormat, KeyCall, NewDecision, Presented};

use crate::{
    Ctx, Error, Result, System,
    meter::{Asker, Call, Decision, Gateway, Meter, Proof, Question},
};
use answer::reasons;
use entity::{id::KeyId, json::Tags, virtual_key};
use std::net::IpAddr;

/// Calls of one batch.
pub const BATCH: usize = 256;

/// The gateway was heard; the key's secret was used if it was let through.
fn note(system: &System, gateway: &Gateway, decision: &Decision) {
    system.activity.note(gateway.token.id(), decision.at);
    if let Some(secret) = decision.secret.filter(|_| decision.allowed()) {
        system.activity.note(secret.uuid(), decision.at);
    }
}

/// Whether a gateway is who it says it is, whatever it asks.
pub async fn authenticate(meter: &Meter, gateway: Gateway) -> Result<()> {
    let asker = Asker::Gateway(gateway);
    meter.ask(Question { asker, key: Proof::Nothing, call: Call::default() }).await.map(|_| ())
}

/// A question that is no good is told so to a gateway that has proved itself, and to no one else.
async fn ask(meter: &Meter, gateway: &Gateway, new: NewDecision) -> Result<Decision> {
    match new.question(gateway.clone()) {
        Ok(question) => meter.ask(question).await,
        Err(invalid) => {
            authenticate(meter, gateway.clone()).await?;
            Err(invalid)
        }
    }
}

/// Decides whether a key may make a call.
pub async fn authorize(
    system: &System,
    meter: &Meter,
    gateway: Gateway,
    new: NewDecision,
) -> Result<Authorization> {
    let tags = new.tags.clone();
    let decision = ask(meter, &gateway, new).await?;
    note(system, &gateway, &decision);
    Ok(Authorization::new(system, &decision, tags))
}

/// Decides about many calls at once; each that is acceptable has its own answer.
pub async fn authorize_all(
    system: &System,
    meter: &Meter,
    gateway: Gateway,
    calls: Vec<NewDecision>,
) -> Result<Vec<Result<Authorization>>> {
    authenticate(meter, gateway.clone()).await?;
    let tags: Vec<Tags> = calls.iter().map(|call| call.tags.clone()).collect();
    let questions = calls.into_iter().map(|call| call.question(gateway.clone())).collect();
    let decisions = meter.ask_all(questions).await.into_iter().zip(tags);
    let answer = |(decision, tags): (Result<Decision>, Tags)| match decision {
        Ok(decision) => {
            note(system, &gateway, &decision);
            Ok(Ok(Authorization::new(system, &decision, tags)))
        }
        Err(invalid @ Error::Invalid(_)) => Ok(Err(invalid)),
        Err(failure) => Err(failure),
    };
    decisions.map(answer).collect()
}

/// Tells how a decision would come about. Nothing is noted.
pub async fn explain(meter: &Meter, gateway: Gateway, new: NewDecision) -> Result<Explanation> {
    let tags = new.tags.clone();
    Ok(Explanation::new(ask(meter, &gateway, new).await?, tags))
}

/// Tells an administrator how a decision about a key would come about; its secret is not needed.
pub async fn explain_key(ctx: &Ctx, meter: &Meter, key: KeyId, call: KeyCall) -> Result<Explanation> {
    ctx.repository::<virtual_key::Entity>().find(key).await?;
    let call = call.understood(&Tags::default())?;
    let asker = Asker::Administrator(ctx.scope.organization);
    let decision = meter.ask(Question { asker, key: Proof::Id(key), call }).await?;
    Ok(Explanation::new(decision, Tags::default()))
}

/// What a virtual key may know of itself; the reasons against it if it may not be used.
pub async fn own_key(
    system: &System,
    meter: &Meter,
    key: &Presented,
    client_ip: Option<IpAddr>,
) -> Result<std::result::Result<OwnKey, Vec<Reason>>> {
    let call = Call { client_ip, ..Call::default() };
    let question = Question { asker: Asker::Key, key: key.proof(), call };
    let decision = meter.ask(question).await?;
    let Some(facts) = decision.facts.as_ref().filter(|_| decision.allowed()) else {
        return Ok(Err(reasons(&decision)));
    };
    if let Some(secret) = decision.secret {
        system.activity.note(secret.uuid(), decision.at);
    }
    Ok(Ok(OwnKey::new(facts)))
}
