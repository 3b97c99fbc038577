//! One batch, from arrival to answer: one transaction for all of its requests. Whatever it decides is read by statements that
//! begin after its requests arrived and, of what may be written, under the lock of the organizations' heads.

use super::{
    ahead::Ahead,
    cache::Cache,
    command::Command,
    contain::{Failure, Outcome, Watched, each},
    facts::Limit,
    head::Moment,
    ledger::{Counters, Ledger, Tick, WindowKey},
    names,
    rule::Rules,
    store::{Due, Known, Missing, Named, Parents, Read, Store, Transaction},
    stranger::strangers,
    task::{Request, Task},
    wanted::{Wanted, priced},
};
use crate::{
    Error,
    price::{names::Names, resolve::Prices},
    secrets::Secrets,
};
use chrono::{DateTime, Utc};
use entity::{
    id::{OrganizationId, ReservationId},
    status::ReservationState,
    usage_event,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Instant,
};

/// What a batch has read.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) now: DateTime<Utc>,
    pub(super) at: BTreeMap<OrganizationId, DateTime<Utc>>,
    pub(super) prices: HashMap<OrganizationId, Prices>,
    pub(super) ledger: Watched<Ledger>,
    pub(super) events: HashMap<(OrganizationId, ReservationId), Vec<usage_event::Model>>,
    release: BTreeMap<OrganizationId, Option<DateTime<Utc>>>,
    /// Organizations whose holds were looked through.
    looked: BTreeSet<OrganizationId>,
    /// What is left of a time that was wrong.
    ahead: Ahead,
}

/// Runs batches over a database; it remembers what has not changed between them.
#[derive(Debug)]
pub struct Batch<'b, S> {
    /// The database.
    pub store: &'b S,
    /// The configured secrets.
    pub secrets: &'b Secrets,
    /// What is remembered.
    pub cache: &'b mut Cache,
}

impl<S: Store> Batch<'_, S> {
    /// Decides and answers. After a failure nothing is known of what has been done.
    pub async fn run(&mut self, requests: &mut [Request]) -> Outcome {
        let effects = requests.iter().any(|request| matches!(request.task, Task::Do(_)));
        if effects {
            self.prepare(requests).await?;
        }
        let mut tx = if effects { self.store.begin().await? } else { self.store.look() };
        let mut gathered = self.gather(&mut tx, requests, effects).await?;
        let started = Instant::now();
        let (store, secrets, cache) = (self.store, self.secrets, &mut *self.cache);
        let decide = |gathered: &mut Gathered, request: &mut Request| {
            let at = gathered.at.get(&request.home).copied().unwrap_or(gathered.now);
            request.id.get_or_insert_with(|| store.id(at));
            Rules { secrets, cache, gathered }.answer(request)
        };
        let answers = each(requests, &mut gathered, |gathered| &mut gathered.ledger, decide)?;
        stage("decide", started);
        if effects {
            let writes = finish(gathered);
            let started = Instant::now();
            if !writes.is_empty() {
                tx.write(&writes).await?;
            }
            stage("write", started);
            let started = Instant::now();
            tx.commit().await?;
            stage("commit", started);
            self.store.alarm(&writes.steps);
        }
        Ok(answers)
    }

    /// Loads keys and tokens that are not known at all, with what they hang on, before the lock is taken: nobody waits for
    /// that behind it. Under the lock, only what has changed since is read.
    async fn prepare(&mut self, requests: &[Request]) -> Result<(), Failure> {
        let wanted = Wanted::of(requests);
        let mut keys = wanted.keys.iter().map(|(key, _)| key);
        if wanted.tokens.iter().all(|id| self.cache.has_token(id)) && keys.all(|id| self.cache.has_key(id)) {
            return Ok(());
        }
        let mut look = self.store.look();
        let homes = requests.iter().map(|request| request.home).collect();
        let moment = look.heads(&self.known(homes)).await?;
        self.cache.begin(moment.started, &moment.heads);
        self.prices(requests, &moment)?;
        self.load(&mut look, &wanted).await?;
        Ok(())
    }

    /// The prices that are at hand. Where a book has to be read first, the requests are put back for that once, for it may be
    /// large, and everybody else would wait.
    fn prices(
        &self,
        requests: &[Request],
        moment: &Moment,
    ) -> Result<HashMap<OrganizationId, Prices>, Failure> {
        let (mut found, mut behind) = (HashMap::new(), BTreeSet::new());
        for (home, is_new) in priced(requests) {
            match self.store.remembered(moment, home) {
                Some(prices) => drop(found.insert(home, prices)),
                None if is_new => drop(behind.insert(home)),
                None => {}
            }
        }
        if behind.is_empty() { Ok(found) } else { Err(Failure::Behind(behind)) }
    }

    async fn gather(
        &mut self,
        tx: &mut S::Transaction,
        requests: &[Request],
        effects: bool,
    ) -> Result<Gathered, Failure> {
        let homes: BTreeSet<OrganizationId> = requests.iter().map(|request| request.home).collect();
        let tenants = homes.iter().copied().filter(|home| *home != OrganizationId::PLATFORM).collect();
        let started = Instant::now();
        if effects {
            tx.lock(&tenants).await?;
        }
        stage("lock", started);
        let started = Instant::now();
        let moment = tx.heads(&self.known(homes)).await?;
        self.cache.begin(moment.started, &moment.heads);
        let prices = self.prices(requests, &moment)?;
        self.load(tx, &Wanted::of(requests)).await?;
        stage("policy", started);
        let started = Instant::now();
        let mut gathered = self.found(tx, requests, &moment).await?;
        gathered.prices = prices;
        if effects {
            gathered.ahead = Ahead::meet(tx, &moment, &mut gathered.ledger).await?;
        }
        self.load(tx, &Wanted::of_settled(requests, &gathered.ledger)).await?;
        self.price(requests, &moment, &mut gathered).await?;
        let keys = self.windows(requests, &gathered);
        for row in tx.windows(&keys).await? {
            let key = WindowKey { limit: row.limit_id, subject: row.subject_id, start: row.window_start };
            let counters = Counters {
                used: row.used,
                held: row.held,
                adjusted: row.adjusted,
                would_deny: row.would_deny,
            };
            gathered.ledger.learn_window(key, row.organization_id, counters);
        }
        gathered.ledger.release(&gathered.at);
        stage("read", started);
        Ok(gathered)
    }

    /// The organizations of a batch, each with the version known of it. The platform is always among them.
    fn known(&self, homes: BTreeSet<OrganizationId>) -> Known {
        let all = homes.into_iter().chain([OrganizationId::PLATFORM]);
        all.map(|id| (id, self.cache.version(id))).collect()
    }

    /// Brings the cache up to date: tokens and keys, then what the keys hang on.
    async fn load(&mut self, tx: &mut S::Transaction, wanted: &Wanted) -> Read<()> {
        let missing = self.missing(wanted);
        if !missing.tokens.is_empty() || !missing.keys.is_empty() {
            let found = tx.credentials(&missing).await?;
            found.tokens.into_iter().for_each(|token| self.cache.put_token(token));
            found.keys.into_iter().for_each(|key| self.cache.put_key(key));
        }
        let parents = self.parents(wanted);
        if parents.is_empty() {
            return Ok(());
        }
        let found = tx.parents(&parents).await?;
        found.organizations.into_iter().for_each(|row| self.cache.put_organization(row));
        found.teams.into_iter().for_each(|row| self.cache.put_team(row));
        found.members.into_iter().for_each(|row| self.cache.put_member(row));
        found.accounts.into_iter().for_each(|row| self.cache.put_account(row));
        found.service_accounts.into_iter().for_each(|row| self.cache.put_service_account(row));
        found.connections.into_iter().for_each(|row| self.cache.put_connection(row));
        found.credentials.into_iter().for_each(|row| self.cache.put_credential(row));
        found.limits.into_iter().for_each(|row| self.cache.put_limits(row));
        Ok(())
    }

    fn missing(&mut self, wanted: &Wanted) -> Missing {
        let cache = &mut *self.cache;
        let tokens = wanted.tokens.iter().copied().filter(|id| cache.token(*id).is_none()).collect();
        let keys = wanted.keys.iter().map(|(id, _)| *id).filter(|id| cache.key(*id).is_none()).collect();
        Missing { tokens, keys }
    }

    fn parents(&mut self, wanted: &Wanted) -> Parents {
        let mut missing = Parents::default();
        let cache = &mut *self.cache;
        let connections = wanted.connections.iter().copied();
        missing.connections.extend(connections.filter(|id| cache.connection(*id).is_none()));
        let credentials = wanted.credentials.iter().copied();
        missing.credentials.extend(credentials.filter(|id| cache.credential(*id).is_none()));
        for (id, connection) in &wanted.keys {
            let Some(key) = cache.key(*id) else { continue };
            let organization = key.organization_id;
            if cache.organization(organization).is_none() {
                missing.organizations.insert(organization);
            }
            missing.teams.extend(key.team_id.filter(|id| cache.team(*id).is_none()));
            let accounts = key.service_account_id.filter(|id| cache.service_account(*id).is_none());
            missing.service_accounts.extend(accounts);
            for user in [key.user_id, key.issued_to_user_id].into_iter().flatten() {
                missing.accounts.extend(Some(user).filter(|id| cache.account(*id).is_none()));
                let member = (organization, user);
                missing.members.extend(Some(member).filter(|id| cache.member(*id).is_none()));
            }
            let subjects = key.subjects(*connection).map(|subject| (organization, subject));
            missing.subjects.extend(subjects.filter(|id| cache.limits_of(*id).is_none()));
        }
        missing
    }

    /// Reads the reservations concerned: those that requests name, and those of which something is to be released.
    async fn found(
        &mut self,
        tx: &mut S::Transaction,
        requests: &[Request],
        moment: &Moment,
    ) -> Read<Gathered> {
        let at: BTreeMap<_, _> =
            moment.heads.iter().map(|head| (head.organization, head.time(moment.now))).collect();
        let release = moment.heads.iter().map(|head| (head.organization, head.next_release_at)).collect();
        let mut gathered = Gathered {
            now: moment.now,
            at,
            prices: HashMap::new(),
            ledger: Watched::default(),
            events: HashMap::new(),
            release,
            looked: BTreeSet::new(),
            ahead: Ahead::default(),
        };
        let due = gathered.due();
        if !due.is_empty() {
            let Due { rows, next } = tx.due(&due).await?;
            rows.into_iter().for_each(|row| gathered.ledger.learn(row));
            gathered.looked.extend(due.into_keys());
            gathered.release.extend(next);
        }
        let sought: Named = requests.iter().filter_map(Request::sought).collect();
        if sought.is_empty() {
            return Ok(gathered);
        }
        let mut closed = Named::new();
        for row in tx.reservations(&sought).await? {
            if row.state == ReservationState::Settled {
                closed.insert((row.organization_id, row.id));
            }
            gathered.ledger.learn(row);
        }
        if !closed.is_empty() {
            for event in tx.events(&closed).await? {
                gathered.events.entry((event.organization_id, event.id)).or_default().push(event);
            }
        }
        Ok(gathered)
    }

    /// The prices that are still missing, of requests that have been put back before.
    async fn price(&self, requests: &[Request], moment: &Moment, gathered: &mut Gathered) -> Read<()> {
        for home in priced(requests).into_keys() {
            if gathered.prices.contains_key(&home) {
                continue;
            }
            match self.store.prices(moment, home).await {
                Ok(prices) => drop(gathered.prices.insert(home, prices)),
                Err(Error::Db(error)) => return Err(error),
                // An organization that is not there has no keys.
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Every window that may be looked at.
    fn windows(&mut self, requests: &[Request], gathered: &Gathered) -> BTreeSet<WindowKey> {
        let mut keys: BTreeSet<WindowKey> = gathered.ledger.legs().collect();
        // What is settled in the very batch that authorizes it may be served by any model.
        let early = requests.iter().any(|request| match &request.task {
            Task::Do(Command::Settle(naming, ..)) => {
                gathered.ledger.reservation(naming.organization, naming.reservation).is_none()
            }
            _ => false,
        });
        for request in requests {
            let Some(question) = request.task.question() else { continue };
            let id = question.key.key();
            let facts = id.and_then(|id| self.cache.facts(id, question.call.connection_id));
            let Some(facts) = facts else { continue };
            let prices = gathered.prices.get(&facts.key.organization_id);
            let names = match &request.task {
                Task::Do(Command::Report { attempts, .. }) => {
                    names::of_reported(prices, attempts, |attempt| {
                        let by = attempt.connection_id.or(question.call.connection_id);
                        self.cache.mappings(facts.key.organization_id, by)
                    })
                }
                _ => names::of_call(prices, facts.connection.as_deref(), &question.call.models),
            };
            let at = gathered.time_of(request);
            let counts = |limit: &Limit| early || limit.counts(names.iter().flat_map(Names::all));
            let path = facts.limits.iter().filter(|limit| counts(limit));
            keys.extend(path.filter_map(|limit| limit.window(at)));
        }
        for stranger in strangers(requests, &gathered.ledger) {
            let facts = self.cache.facts(stranger.key, stranger.row.terms.connection);
            let names = stranger.names(gathered.prices.get(&stranger.row.organization_id), self.cache);
            let limits = facts.iter().flat_map(|facts| stranger.limits(facts, &names));
            keys.extend(limits.filter_map(|limit| limit.window(stranger.row.created_at)));
        }
        keys
    }
}

impl Gathered {
    /// The organizations that have something to release by now.
    fn due(&self) -> BTreeMap<OrganizationId, DateTime<Utc>> {
        let due = |(id, at): (&OrganizationId, &DateTime<Utc>)| {
            let next = self.release.get(id).copied().flatten()?;
            (next <= *at).then_some((*id, *at))
        };
        self.at.iter().filter_map(due).collect()
    }

    /// The time that a request is for: of a call that is reported, when it was made.
    pub(super) fn time_of(&self, request: &Request) -> DateTime<Utc> {
        let at = self.at.get(&request.home).copied().unwrap_or(self.now);
        match &request.task {
            Task::Do(Command::Report { .. }) => {
                request.id.and_then(super::opening::made).map_or(at, |made| made.min(at))
            }
            _ => at,
        }
    }
}

/// What the batch leaves behind. The clock of every organization that is written to goes on, and so does its look-out for
/// holds to release.
fn finish(gathered: Gathered) -> super::ledger::Writes {
    let Gathered { at, ledger, mut release, looked, ahead, .. } = gathered;
    let mut writes = ledger.into_inner().writes();
    writes.steps = ahead.steps;
    let mut touched = looked;
    touched.extend(ahead.until.keys());
    touched.extend(writes.windows.iter().map(|row| row.organization_id));
    for row in &writes.reservations {
        touched.insert(row.organization_id);
        let next = release.entry(row.organization_id).or_default();
        *next = [*next, row.release_at].into_iter().flatten().min();
    }
    for organization in touched {
        if let Some(at) = at.get(&organization) {
            let next_release_at = release.get(&organization).copied().flatten();
            let ahead_until = ahead.until.get(&organization).copied().flatten();
            writes.heads.insert(organization, Tick { last_t: *at, next_release_at, ahead_until });
        }
    }
    writes
}

fn stage(name: &'static str, started: Instant) {
    metrics::histogram!("tollkeeper_meter_stage_seconds", "stage" => name).record(started.elapsed());
}
