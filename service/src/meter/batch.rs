//! One batch, from arrival to answer. Whatever it decides is read, or confirmed to be unchanged, by statements that begin
//! after its requests arrived. If the database fails, everybody is told so and everything is forgotten.

use super::{
    Work,
    cache::Cache,
    decide::{Decision, decide},
    head::{self, Moment},
    load::{Loader, Missing, Parents},
    question::{Asker, Question},
};
use crate::{Error, Result, System};
use entity::id::OrganizationId;
use sea_orm::{DbErr, error::ConnAcquireErr};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;
use uuid::Uuid;

type Read<T> = std::result::Result<T, DbErr>;

/// The longest that a batch waits for the database.
const LONGEST: Duration = Duration::from_secs(10);

/// A question, and who waits for its answer.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) question: Question,
    pub(super) reply: oneshot::Sender<Result<Decision>>,
}

/// One batch.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) system: Arc<System>,
    pub(super) work: Arc<Work>,
    pub(super) cache: Cache,
}

impl Batch {
    /// Decides and answers, and gives the cache back. A batch that fails for a reason of its own is split in halves until
    /// only the request that fails gets the error.
    pub(super) async fn run(mut self, mut jobs: Vec<Job>) -> Cache {
        jobs.retain(|job| !job.reply.is_closed());
        if jobs.is_empty() {
            return self.cache;
        }
        metrics::histogram!("tollkeeper_meter_batch_size").record(u32::try_from(jobs.len()).unwrap_or(0));
        let mut parts = vec![jobs];
        while let Some(mut part) = parts.pop() {
            match self.decide(&part).await {
                Ok(decisions) => answer(part, decisions),
                Err(error) => {
                    self.cache = Cache::default();
                    if part.len() > 1 && !Error::Db(error.clone()).is_unavailable() {
                        let rest = part.split_off(part.len() / 2);
                        parts.extend([rest, part]);
                    } else {
                        let refusals = part.iter().map(|_| Err(Error::Db(error.clone()))).collect();
                        answer(part, refusals);
                    }
                }
            }
        }
        self.cache
    }

    async fn decide(&mut self, jobs: &[Job]) -> Read<Vec<Result<Decision>>> {
        let started = Instant::now();
        let gathered = tokio::time::timeout(LONGEST, self.gather(jobs)).await;
        metrics::histogram!("tollkeeper_meter_database_seconds").record(started.elapsed());
        let moment = gathered.unwrap_or(Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)))?;
        Ok(jobs.iter().map(|job| self.decide_one(&job.question, &moment)).collect())
    }

    fn decide_one(&mut self, question: &Question, moment: &Moment) -> Result<Decision> {
        let token = match &question.asker {
            Asker::Gateway(gateway) => self.cache.token(gateway.id()),
            Asker::Key | Asker::Administrator(_) => None,
        };
        let facts = question.key.key().and_then(|key| self.cache.facts(key));
        decide(&self.system.secrets, token.as_deref(), facts, question, moment.now)
    }

    /// Brings the cache up to date for these requests. Organizations are found first, then their heads are read, and
    /// only then anything else of them is loaded or trusted.
    async fn gather(&mut self, jobs: &[Job]) -> Read<Moment> {
        let (system, work) = (self.system.clone(), self.work.clone());
        let loader = Loader { db: &system.db.reader, work: &work };
        let located = loader.locate(&self.homeless(jobs)).await?;
        let moment = head::read(&system, &self.known(jobs, &located)).await?;
        work.ran(0);
        self.cache.begin(moment.started, &moment.heads);
        let missing = self.missing(jobs);
        loader.credentials(&missing, &mut self.cache).await?;
        let parents = self.parents(jobs);
        loader.parents(&parents, &mut self.cache).await?;
        Ok(moment)
    }

    /// Gateway tokens that are not remembered, and keys that may be of any organization.
    fn homeless(&self, jobs: &[Job]) -> Missing {
        let mut missing = Missing::default();
        for Job { question, .. } in jobs {
            let anywhere = match &question.asker {
                Asker::Administrator(_) => false,
                Asker::Key => true,
                Asker::Gateway(gateway) => {
                    let organization = self.cache.organization_of_token(gateway.id());
                    missing.tokens.extend(organization.is_none().then(|| gateway.id()));
                    organization.is_none_or(|organization| organization == OrganizationId::PLATFORM)
                }
            };
            let key = question.key.key().filter(|key| self.cache.organization_of_key(*key).is_none());
            missing.keys.extend(key.filter(|_| anywhere));
        }
        missing
    }

    /// The organizations of a batch, each with the version known of it. The platform is always among them.
    fn known(
        &self,
        jobs: &[Job],
        located: &HashMap<Uuid, OrganizationId>,
    ) -> BTreeMap<OrganizationId, Option<i64>> {
        let mut organizations = BTreeSet::from([OrganizationId::PLATFORM]);
        organizations.extend(located.values());
        for Job { question, .. } in jobs {
            organizations.extend(question.key.key().and_then(|key| self.cache.organization_of_key(key)));
            organizations.extend(match &question.asker {
                Asker::Gateway(gateway) => self.cache.organization_of_token(gateway.id()),
                Asker::Administrator(organization) => Some(*organization),
                Asker::Key => None,
            });
        }
        organizations.into_iter().map(|id| (id, self.cache.version(id))).collect()
    }

    fn missing(&mut self, jobs: &[Job]) -> Missing {
        let mut missing = Missing::default();
        for Job { question, .. } in jobs {
            if let Asker::Gateway(gateway) = &question.asker
                && self.cache.token(gateway.id()).is_none()
            {
                missing.tokens.insert(gateway.id());
            }
            let key = question.key.key().filter(|key| self.cache.key(*key).is_none());
            missing.keys.extend(key);
        }
        missing
    }

    fn parents(&mut self, jobs: &[Job]) -> Parents {
        let mut missing = Parents::default();
        let cache = &mut self.cache;
        for id in jobs.iter().filter_map(|job| job.question.key.key()) {
            let Some(key) = cache.key(id) else { continue };
            let organization = key.organization_id;
            if cache.organization(organization).is_none() {
                missing.organizations.insert(organization);
            }
            missing.teams.extend(key.team_id.filter(|id| cache.team(*id).is_none()));
            let accounts = key.service_account_id.filter(|id| cache.service_account(*id).is_none());
            missing.service_accounts.extend(accounts);
            missing.accounts.extend(key.user_id.filter(|id| cache.account(*id).is_none()));
            let member = key.user_id.map(|user| (organization, user));
            missing.members.extend(member.filter(|id| cache.member(*id).is_none()));
        }
        missing
    }
}

fn answer(jobs: Vec<Job>, decisions: Vec<Result<Decision>>) {
    for (job, decision) in jobs.into_iter().zip(decisions) {
        if let Ok(decision) = &decision {
            for code in decision.checks.iter().filter_map(|check| check.code) {
                metrics::counter!("tollkeeper_meter_denials_total", "code" => code.word()).increment(1);
            }
        }
        // Whoever asked may have gone.
        let _ = job.reply.send(decision);
    }
}
