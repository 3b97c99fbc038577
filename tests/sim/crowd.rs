//! [`Crowd`]: gateways and their clients. They authorize, settle, void, extend, report, check and ask; they repeat what they have
//! said, to whichever instance, with the same or another body; and they settle or void too early, too late, or twice.

use crate::{
    dice::Dice,
    naive,
    policy::{KeyRow, Policy, TokenRow},
    town,
    world::World,
};
use chrono::TimeDelta;
use entity::{
    id::{ConnectionId, OrganizationId, ReservationId},
    json::Tags,
    status::UsageStatus,
    terms::Component,
};
use service::{
    cost::Usage,
    meter::{
        Asker, Call, Gateway, Proof, Purpose, Question, Size, Task,
        command::{Attempt, Command, Fingerprint, Naming},
    },
    token::{Token, TokenKind},
};

/// A call that a client has to do with.
#[derive(Debug, Clone)]
struct Known {
    organization: OrganizationId,
    id: ReservationId,
    asker: Asker,
    call: Call,
}

/// Gateways and their clients.
#[derive(Debug, Default)]
pub struct Crowd {
    calls: Vec<Known>,
    said: Vec<Task>,
}

fn print(dice: &mut Dice) -> Fingerprint {
    *dice.uuid().as_bytes()
}

impl Crowd {
    /// Something that is asked next.
    pub fn next(&mut self, world: &mut World) -> Task {
        let policy = world.policy.clone();
        let task = match world.dice.below(40) {
            0..=13 => self.authorize(world, &policy),
            14..=23 => self.settle(world),
            24..=25 => self.void(world, &policy),
            26..=27 => self.extend(world),
            28 => report(world, &policy),
            29..=30 => count(world, &policy),
            31..=32 => look(world, &policy),
            _ => self.repeat(world),
        };
        let task = task.unwrap_or_else(|| ask(world, &policy, Purpose::Explain, Task::Look));
        self.said.push(task.clone());
        task
    }

    /// An authorized call is known by its id from then on.
    pub fn learn(&mut self, task: &Task, organization: OrganizationId, id: ReservationId) {
        if let Task::Do(Command::Authorize { question, reservation: None, .. }) = task {
            let (asker, call) = (question.asker.clone(), question.call.clone());
            self.calls.push(Known { organization, id, asker, call });
        }
    }

    fn authorize(&mut self, world: &mut World, policy: &Policy) -> Option<Task> {
        let (question, key) = question(world, policy, Purpose::Authorize)?;
        let (organization, dice) = (key.organization, &mut world.dice);
        let millis = match dice.below(30) {
            0 => (world.now - TimeDelta::hours(30)).timestamp_millis(),
            1 => (world.now + TimeDelta::minutes(20)).timestamp_millis(),
            _ => world.now.timestamp_millis(),
        };
        let id = ReservationId::new(dice.timed(millis));
        let chosen = !dice.one_in(4);
        let seconds = [1, 20, 300, 4000][dice.below(4)];
        let print = print(dice);
        if chosen {
            let (asker, call) = (question.asker.clone(), question.call.clone());
            self.calls.push(Known { organization, id, asker, call });
            if dice.one_in(25) {
                // The void overtakes the call itself, which is authorized later, when it is repeated.
                let task = Command::Authorize { question, reservation: Some(id), seconds, print };
                self.said.push(Task::Do(task));
                return self.void(world, policy);
            }
        }
        let reservation = chosen.then_some(id);
        Some(Task::Do(Command::Authorize { question, reservation, seconds, print }))
    }

    fn known(&self, dice: &mut Dice) -> Option<Known> {
        let last = self.calls.len().checked_sub(1)?;
        // Mostly one of the last.
        let back = if dice.one_in(5) { dice.below(last + 1) } else { dice.below(last.min(4) + 1) };
        Some(self.calls[last - back].clone())
    }

    fn naming(&self, world: &mut World, purpose: Purpose) -> Option<(Naming, Known)> {
        let known = self.known(&mut world.dice)?;
        let by = match (&known.asker, world.dice.below(8)) {
            (_, 0) => Asker::Administrator(known.organization),
            (_, 1) => gateway(world, purpose, known.organization)?,
            (Asker::Gateway(gateway), _) => Asker::Gateway(Gateway { purpose, ..gateway.clone() }),
            (other, _) => other.clone(),
        };
        let organization = match &by {
            Asker::Gateway(gateway) => {
                let own = world.policy.tokens.get(&gateway.id()).map(|token| token.organization);
                own.filter(|own| *own != OrganizationId::PLATFORM).unwrap_or(known.organization)
            }
            _ => known.organization,
        };
        Some((Naming { by, organization, reservation: known.id }, known))
    }

    fn settle(&self, world: &mut World) -> Option<Task> {
        let (naming, known) = self.naming(world, Purpose::Settle)?;
        let attempts = attempts(&mut world.dice, &known.call, known.organization);
        let print = print(&mut world.dice);
        Some(Task::Do(Command::Settle(naming, attempts, print)))
    }

    fn void(&self, world: &mut World, policy: &Policy) -> Option<Task> {
        if world.dice.one_in(8) {
            // A call that nobody knows.
            let key = some_key(&mut world.dice, policy)?.organization;
            let by = gateway(world, Purpose::Void, key)?;
            let reservation = ReservationId::new(world.dice.timed(world.now.timestamp_millis()));
            let organization = match &by {
                Asker::Gateway(gateway) => policy.tokens.get(&gateway.id())?.organization,
                _ => key,
            };
            return Some(Task::Do(Command::Void(Naming { by, organization, reservation })));
        }
        Some(Task::Do(Command::Void(self.naming(world, Purpose::Void)?.0)))
    }

    fn extend(&self, world: &mut World) -> Option<Task> {
        let (naming, _) = self.naming(world, Purpose::Extend)?;
        let seconds = [1, 60, 900][world.dice.below(3)];
        Some(Task::Do(Command::Extend(naming, seconds)))
    }

    /// The same again, or with another body.
    fn repeat(&self, world: &mut World) -> Option<Task> {
        let last = self.said.len().checked_sub(1)?;
        let back = world.dice.below(last.min(12) + 1);
        let mut task = self.said[last - back].clone();
        if world.dice.one_in(6)
            && let Task::Do(
                Command::Authorize { print, .. } | Command::Settle(.., print) | Command::Report { print, .. },
            ) = &mut task
        {
            *print = self::print(&mut world.dice);
        }
        Some(task)
    }

    /// The end of everything that may still be open.
    pub fn last_words(&self, world: &mut World) -> Vec<Task> {
        let mut words = Vec::new();
        for known in &self.calls {
            let (organization, reservation) = (known.organization, known.id);
            let by = Asker::Administrator(organization);
            let naming = Naming { by, organization, reservation };
            words.push(Task::Do(if world.dice.one_in(2) {
                Command::Void(naming)
            } else {
                let attempts = attempts(&mut world.dice, &known.call, known.organization);
                Command::Settle(naming, attempts, print(&mut world.dice))
            }));
        }
        words
    }

    /// A small call with each key.
    pub fn small_calls(world: &mut World) -> Vec<Task> {
        let policy = world.policy.clone();
        let small = |key: &KeyRow| {
            let size = Size { input_tokens: Some(1), max_output_tokens: Some(1), ..Size::default() };
            let call = Call { models: vec!["alder".into()], size, ..Call::default() };
            let platform = |token: &&TokenRow| naive::serves(token, key, world.now);
            let token = policy.tokens.values().find(platform)?;
            let asker = asker(token, Purpose::Authorize);
            let question = Question { asker, key: Proof::read(&key.locks[0].text), call };
            let (reservation, seconds, print) = (None, 60, print(&mut world.dice));
            Some(Task::Do(Command::Authorize { question, reservation, seconds, print }))
        };
        policy.keys.values().filter_map(small).collect()
    }
}

fn asker(token: &TokenRow, purpose: Purpose) -> Asker {
    let token = Token::parse_kind(&token.lock.text, TokenKind::Gateway).unwrap();
    Asker::Gateway(Gateway { token, purpose, client_ip: None })
}

fn some_key(dice: &mut Dice, policy: &Policy) -> Option<KeyRow> {
    let keys: Vec<&KeyRow> = policy.keys.values().collect();
    (!keys.is_empty()).then(|| dice.pick(&keys).clone())
}

/// A gateway that has to do with an organization; seldom one that has not.
fn gateway(world: &mut World, purpose: Purpose, organization: OrganizationId) -> Option<Asker> {
    let policy = world.policy.clone();
    let fits = |token: &&TokenRow| {
        token.organization == organization || token.organization == OrganizationId::PLATFORM
    };
    let any = world.dice.one_in(40);
    let tokens: Vec<&TokenRow> = policy.tokens.values().filter(|token| any || fits(token)).collect();
    (!tokens.is_empty()).then(|| asker(world.dice.pick(&tokens), purpose))
}

fn question(world: &mut World, policy: &Policy, purpose: Purpose) -> Option<(Question, KeyRow)> {
    let key = some_key(&mut world.dice, policy)?;
    let asker = gateway(world, purpose, key.organization)?;
    let dice = &mut world.dice;
    let proof = if dice.one_in(60) { Proof::Nothing } else { Proof::read(&dice.pick(&key.locks).text) };
    let call = call(dice, key.organization);
    Some((Question { asker, key: proof, call }, key))
}

fn call(dice: &mut Dice, organization: OrganizationId) -> Call {
    let models = match dice.below(12) {
        0 => Vec::new(),
        1 => vec!["alder".to_owned(), dice.pick(&town::NAMES).to_owned()],
        _ => vec![dice.pick(&town::NAMES).to_owned()],
    };
    let input = u64::try_from(dice.between(1, 60)).unwrap();
    let output = (!dice.one_in(8)).then(|| u64::try_from(dice.between(1, 60)).unwrap());
    let size = Size { input_tokens: Some(input), max_output_tokens: output, ..Size::default() };
    let connection = dice.one_in(4).then(|| ConnectionId::new(town::connection(organization)));
    let project = dice.one_in(150).then(|| "poison".to_owned());
    Call { models, size, connection_id: connection, project, tags: Tags::default(), ..Call::default() }
}

fn ask(world: &mut World, policy: &Policy, purpose: Purpose, of: fn(Question) -> Task) -> Task {
    let asked = question(world, policy, purpose);
    let nothing = || Question {
        asker: Asker::Key,
        key: Proof::Nothing,
        call: call(&mut Dice::new(0), OrganizationId::PLATFORM),
    };
    of(asked.map_or_else(nothing, |(question, _)| question))
}

fn look(world: &mut World, policy: &Policy) -> Option<Task> {
    if world.dice.one_in(2) {
        return Some(ask(world, policy, Purpose::Explain, Task::Look));
    }
    let key = some_key(&mut world.dice, policy)?;
    let call = call(&mut world.dice, key.organization);
    let (asker, key) = if world.dice.one_in(2) {
        (Asker::Key, Proof::read(&key.locks[0].text))
    } else {
        (Asker::Administrator(key.organization), Proof::Id(key.id))
    };
    Some(Task::Look(Question { asker, key, call }))
}

fn count(world: &mut World, policy: &Policy) -> Option<Task> {
    let (question, _) = question(world, policy, Purpose::Check)?;
    Some(Task::Do(Command::Count(question)))
}

fn report(world: &mut World, policy: &Policy) -> Option<Task> {
    let (mut question, key) = question(world, policy, Purpose::Usage)?;
    let dice = &mut world.dice;
    let attempts = attempts(dice, &question.call, key.organization);
    question.call.models = attempts.iter().filter_map(|attempt| attempt.model.clone()).collect();
    if dice.one_in(2) {
        question.key = Proof::Id(key.id);
    }
    let ago = TimeDelta::seconds([0, 100, 5000, 4_000_000][dice.below(4)]);
    let id = ReservationId::new(dice.timed((world.now - ago).timestamp_millis()));
    let reservation = (!dice.one_in(4)).then_some(id);
    let print = print(dice);
    Some(Task::Do(Command::Report { question, reservation, attempts, print }))
}

/// What a call used: as much as it stated, less, or more; in one attempt or several.
fn attempts(dice: &mut Dice, call: &Call, organization: OrganizationId) -> Vec<Attempt> {
    let (input, output) = (call.size.input_tokens.unwrap_or(10), call.size.max_output_tokens.unwrap_or(20));
    let used = |dice: &mut Dice, most: u64| match dice.below(6) {
        0 => most * 3 + 1,
        1 | 2 => most,
        _ => u64::try_from(dice.between(0, i64::try_from(most).unwrap())).unwrap(),
    };
    let count = if dice.one_in(4) { 2 + dice.below(2) } else { 1 };
    let one = |n: usize| {
        let mut usage = Usage::default();
        let last = n + 1 == count;
        let status = match dice.below(4) {
            0 if !last => UsageStatus::Skipped,
            _ if !last => UsageStatus::Error,
            _ => UsageStatus::Success,
        };
        // Some say nothing of what they used.
        let silent = dice.one_in(10);
        if !silent {
            usage.set(Component::Input, used(dice, input)).unwrap();
            usage.set(Component::Output, used(dice, output)).unwrap();
        }
        let unclear = silent && status == UsageStatus::Success;
        let model = dice.one_in(3).then(|| dice.pick(&town::NAMES).to_owned());
        let connection_id = dice.one_in(6).then(|| ConnectionId::new(town::connection(organization)));
        Attempt { model, connection_id, status, unclear, ..Attempt::of(usage) }
    };
    (0..count).map(one).collect()
}
