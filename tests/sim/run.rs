//! [`run`]: one seed, from an empty database to the end: everything that happens is drawn from it, one step after the other.

use crate::{
    admin,
    check::{Invariant, Verdict, Violation, hold},
    crowd::Crowd,
    flaw::Flaw,
    instance::{Answered, Instance},
    judge::{Judge, is_of},
    policy::Policy,
    town,
    world::{Shared, World},
};
use chrono::TimeDelta;
use entity::{
    id::{KeyId, OrganizationId},
    status::Period,
};
use service::{
    limit::window,
    meter::{Answer, Asker, Task, command::Command},
};
use std::{
    fmt,
    task::{Context, Poll, Waker},
};

/// Steps of the stormy part of a run.
const STEPS: usize = 700;
/// Steps that the calm part may take at most.
const PATIENCE: usize = 60_000;
/// Lines of the trace that are shown.
const SHOWN: usize = 60;

/// What a run has seen.
#[derive(Debug, Default, Clone, Copy)]
pub struct Seen {
    pub answers: usize,
    pub judged: usize,
    pub commits: u64,
    pub granted: usize,
    pub denied: usize,
    pub settled: usize,
    /// Granted when nothing fails any more.
    pub calm: usize,
}

impl std::ops::AddAssign for Seen {
    fn add_assign(&mut self, other: Self) {
        self.answers += other.answers;
        self.judged += other.judged;
        self.commits += other.commits;
        self.granted += other.granted;
        self.denied += other.denied;
        self.settled += other.settled;
        self.calm += other.calm;
    }
}

/// A seed that breaks a promise.
#[derive(Debug)]
pub struct Failure {
    pub seed: u64,
    pub violation: Violation,
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { invariant, text } = &self.violation;
        writeln!(f, "the last steps:")?;
        let skip = self.trace.len().saturating_sub(SHOWN);
        self.trace.iter().skip(skip).try_for_each(|line| writeln!(f, "  {line}"))?;
        writeln!(f, "seed {} violates {invariant:?}:\n  {text}", self.seed)?;
        write!(f, "again: SIM_SEED={} cargo test --package tests --test sim promises", self.seed)
    }
}

/// Runs a seed; if it breaks a promise, once more with a trace.
pub fn run(seed: u64, flaw: Flaw) -> Result<Seen, Box<Failure>> {
    if let Ok(seen) = Run::new(seed, flaw, false).all() {
        return Ok(seen);
    }
    let mut run = Run::new(seed, flaw, true);
    let outcome = run.all();
    let trace = run.world.get().trace.take().unwrap_or_default();
    let violation = outcome.err().unwrap_or(Violation {
        invariant: Invariant::I6,
        text: "it fails once, and not again: something is not drawn from the seed".into(),
    });
    Err(Box::new(Failure { seed, violation, trace }))
}

struct Run {
    world: Shared,
    flaw: Flaw,
    instances: Vec<Instance>,
    admins: Vec<admin::Work>,
    crowd: Crowd,
    judge: Judge,
    step: usize,
    seen: Seen,
}

impl Run {
    fn new(seed: u64, flaw: Flaw, traced: bool) -> Self {
        let mut world = World::new(seed, traced);
        town::found(&mut world);
        let count = 2 + world.dice.below(4);
        let world = Shared::new(world);
        let instances = (0..count).map(|n| Instance::new(n, &world, flaw)).collect();
        let (admins, crowd, judge) = (Vec::new(), Crowd::default(), Judge::default());
        Self { world, flaw, instances, admins, crowd, judge, step: 0, seen: Seen::default() }
    }

    fn all(&mut self) -> Result<Seen, Violation> {
        for _ in 0..STEPS {
            self.step += 1;
            self.storm()?;
        }
        self.world.get().calm = true;
        self.judge.calm = true;
        self.world.note(|| "nothing fails any more".into());
        self.quiet()?;
        self.calls(true)?;
        self.world.get().turn(TimeDelta::days(2));
        self.calls(false)?;
        let last = self.crowd.last_words(&mut self.world.get());
        last.into_iter().for_each(|task| self.send(task, false));
        self.quiet()?;
        self.calls(true)?;
        let world = self.world.get();
        self.judge.durable(&world.rows)?;
        self.seen.commits = world.commits;
        self.seen.answers = self.judge.answers;
        self.seen.judged = self.judge.judged;
        Ok(self.seen)
    }

    /// Something happens.
    fn storm(&mut self) -> Verdict {
        let what = self.world.get().dice.below(100);
        match what {
            0..=17 => {
                let task = self.crowd.next(&mut self.world.get());
                let gone = self.world.get().dice.one_in(60);
                self.send(task, gone);
            }
            18..=19 => {
                if self.admins.len() < 3 {
                    self.admins.push(admin::start(&self.world));
                }
            }
            20..=29 => self.administrate(),
            30..=37 => self.pass(),
            38 => {
                let which = self.some();
                if self.world.get().dice.one_in(3) {
                    self.instances[which].crash();
                }
            }
            39..=41 => drop(self.world.get().notice()),
            43 => self.world.get().prune(self.flaw == Flaw::PrunedByWrongClock)?,
            42 if self.world.get().dice.one_in(6) => self.restore()?,
            _ => {
                let which = self.some();
                self.poll(which)?;
            }
        }
        self.commits(None, &[])
    }

    fn some(&self) -> usize {
        self.world.get().dice.below(self.instances.len())
    }

    /// Time passes: a little, up to just before the end of a window, over it, or, after a failover, back. Seldom the clock is
    /// set to another time, and set right again.
    fn pass(&mut self) {
        let mut world = self.world.get();
        let now = world.now;
        let seldom = if world.ahead == TimeDelta::zero() { 30 } else { 8 };
        if world.dice.one_in(seldom) {
            return world.jump();
        }
        let periods = [Period::Minute, Period::Minute, Period::Hour, Period::Day, Period::Month];
        let by = match world.dice.below(12) {
            0 => {
                let period = world.dice.pick(&periods);
                let end = window::end(period, window::start(period, now)).unwrap();
                end - now - TimeDelta::milliseconds(world.dice.between(0, 3))
            }
            1 => TimeDelta::seconds(world.dice.between(1, 400)),
            2 => TimeDelta::milliseconds(-world.dice.between(1, 90_000)),
            _ => TimeDelta::microseconds(world.dice.between(1, 3_000_000)),
        };
        world.turn(by);
    }

    /// The database is restored from a backup: in the middle of everything, or while nobody asks anything and no connection is
    /// seen to break.
    fn restore(&mut self) -> Verdict {
        if self.world.get().dice.one_in(2) {
            self.quiet()?;
        }
        self.world.get().restore();
        self.judge.barred.clear();
        Ok(())
    }

    fn send(&mut self, task: Task, gone: bool) {
        let home = home(&self.world.get().policy, &task);
        self.judge.hear(&task);
        let which = self.some();
        let step = self.step;
        self.world.note(|| format!("instance {which} is sent {} of {home}", brief(&task)));
        self.instances[which].send(task, home, step, gone);
    }

    /// An administrator goes on.
    fn administrate(&mut self) {
        if self.admins.is_empty() {
            return;
        }
        let which = self.world.get().dice.below(self.admins.len());
        if let Poll::Ready(done) = self.admins[which].as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            drop(self.admins.swap_remove(which));
            if let Some(admin::Bar(key)) = done {
                self.judge.barred.insert(key, self.step);
            }
        }
    }

    /// An instance goes on to its next await.
    fn poll(&mut self, which: usize) -> Verdict {
        let blind = self.instances[which].is_blind();
        let answered = self.instances[which].poll();
        for one in &answered {
            self.learn(one);
        }
        self.commits(Some((which, blind)), &answered)
    }

    fn learn(&mut self, one: &Answered) {
        let outcome = crate::outcome::Outcome::of(&one.answer);
        self.world.note(|| format!("{} is answered {outcome:?}", brief(&one.sent.task)));
        match &one.answer {
            Ok(Answer::Authorized(_, row)) => {
                self.seen.granted += 1;
                self.seen.calm += usize::from(self.judge.calm);
                self.crowd.learn(&one.sent.task, row.organization_id, row.id);
            }
            Ok(Answer::Decided(decision)) => self.seen.denied += usize::from(!decision.allowed()),
            Ok(Answer::Settled(..)) => self.seen.settled += 1,
            _ => {}
        }
    }

    /// Judges what was committed in this step, and what an instance has answered in it.
    fn commits(&mut self, instance: Option<(usize, bool)>, answered: &[Answered]) -> Verdict {
        let fresh = std::mem::take(&mut self.world.get().fresh);
        let told = answered.is_empty() || Judge::is_unknown(answered);
        let mut open = !told;
        for commit in &fresh {
            match instance {
                Some((n, blind)) if open && is_of(commit, n) => {
                    open = false;
                    if !blind {
                        self.judge.committed(commit, answered)?;
                        continue;
                    }
                }
                _ => {}
            }
            self.judge.silent(commit)?;
        }
        let Some((n, blind)) = instance.filter(|_| open) else { return Ok(()) };
        Judge::uncommitted(answered)?;
        let world = self.world.get();
        let Some(told) = world.looks.get(&n).filter(|told| !blind && told.commits == world.commits) else {
            return Ok(());
        };
        self.judge.looked((&world.policy, &world.rows), told, answered)
    }

    /// Everybody finishes what there is to do.
    fn quiet(&mut self) -> Verdict {
        for _ in 0..PATIENCE {
            self.step += 1;
            let busy: Vec<usize> =
                self.instances.iter().filter(|one| one.is_busy()).map(|one| one.n).collect();
            let more = self.world.get().notice();
            self.commits(None, &[])?;
            if busy.is_empty() && self.admins.is_empty() && !more {
                return Ok(());
            }
            self.administrate();
            self.commits(None, &[])?;
            if !busy.is_empty() {
                let which = self.world.get().dice.pick(&busy);
                self.poll(which)?;
            }
        }
        hold(false, Invariant::I9, || "nothing fails, and there is no end".into())
    }

    /// Small calls with every key, one after the other.
    fn calls(&mut self, one_by_one: bool) -> Verdict {
        let calls = Crowd::small_calls(&mut self.world.get());
        for task in calls {
            self.send(task, false);
            if one_by_one {
                self.quiet()?;
            }
        }
        self.quiet()
    }
}

/// Whose limits and books a task concerns, as the meter finds it.
fn home(policy: &Policy, task: &Task) -> OrganizationId {
    let of_key = |id: Option<KeyId>| {
        id.and_then(|id| policy.keys.get(&id)).map_or(OrganizationId::PLATFORM, |key| key.organization)
    };
    let key = task.question().and_then(|question| question.key.key());
    match task.asker() {
        Asker::Administrator(organization) => *organization,
        Asker::Key => of_key(key),
        Asker::Gateway(gateway) => {
            let own =
                policy.tokens.get(&gateway.id()).map_or(OrganizationId::PLATFORM, |row| row.organization);
            match task {
                _ if own != OrganizationId::PLATFORM => own,
                Task::Do(
                    Command::Settle(naming, ..) | Command::Void(naming) | Command::Extend(naming, _),
                ) => naming.organization,
                _ => of_key(key),
            }
        }
    }
}

/// A task in a few words.
fn brief(task: &Task) -> String {
    match task {
        Task::Look(_) => "a question".into(),
        Task::Do(Command::Authorize { reservation, question, seconds, .. }) => {
            let models = question.call.models.join(" ");
            format!(
                "authorize {reservation:?} {models:?} {:?} for {seconds} s",
                question.call.size.input_tokens
            )
        }
        Task::Do(Command::Count(_)) => "check".into(),
        Task::Do(Command::Settle(naming, attempts, _)) => {
            format!("settle {} in {}", naming.reservation, attempts.len())
        }
        Task::Do(Command::Void(naming)) => format!("void {}", naming.reservation),
        Task::Do(Command::Extend(naming, seconds)) => format!("extend {} by {seconds} s", naming.reservation),
        Task::Do(Command::Report { reservation, .. }) => format!("report {reservation:?}"),
    }
}
