//! Finding out what an upstream speaks, and where: its places are asked in the likeliest protocols for their models, until one
//! answers. A key goes to the places of its own connection and nowhere else. What is asked is bounded in number and in time.

use super::{
    CheckCode,
    format::{FormatFacts, FormatPlan, plan},
};
use crate::{
    System,
    upstream::{
        Answer, Call, Fault, Way,
        provider::{self, Dialect, Found, Listing, Verdict, dialect, judge, shown, trimmed},
    },
    vault::Plain,
};
use entity::status::Protocol;
use http::{HeaderMap, Method};
use serde::Serialize;
use std::{
    collections::HashSet,
    time::{Duration, Instant},
};
use url::Url;
use utoipa::ToSchema;

/// Questions of one search.
const MOST: usize = 12;
/// Bytes of one answer.
const ANSWER: usize = 8 * 1024 * 1024;
/// Pages of a list.
const PAGES: usize = 100;
/// Models of a list.
pub(super) const MODELS: usize = 10_000;

/// How long upstreams are waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For one answer.
    pub answer: Duration,
    /// For everything that one call of ours asks.
    pub whole: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { answer: Duration::from_secs(8), whole: Duration::from_secs(20) }
    }
}

/// An upstream to ask.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) facts: FormatFacts,
    /// Where else it may be.
    pub(super) alternates: Vec<Url>,
    pub(super) secret: Option<Plain>,
    pub(super) headers: HeaderMap,
    pub(super) way: Way,
}

/// One question, and what came of it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Attempt {
    /// Where was asked.
    #[schema(example = "https://api.openai.com/v1")]
    pub base_url: String,
    /// In which protocol.
    pub format: Protocol,
    /// What came of it.
    pub code: CheckCode,
    /// The status of the answer; null if there was none.
    #[schema(required, example = 200)]
    pub status: Option<u16>,
    /// How long it took, in milliseconds.
    pub latency_ms: u64,
}

/// The place that answered.
#[derive(Debug)]
pub(super) struct Won {
    pub(super) protocol: Protocol,
    pub(super) base: Url,
    pub(super) listing: Listing,
    pub(super) latency_ms: u64,
}

/// What a search found.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) code: CheckCode,
    pub(super) reason: String,
    pub(super) tried: Vec<Attempt>,
    pub(super) plan: FormatPlan,
    pub(super) won: Option<Won>,
    /// Where it was found, if that is not where it is said to be.
    pub(super) detected_endpoint: Option<String>,
    /// Until when there may be asked more.
    pub(super) until: Instant,
}

/// A search under way.
struct Search<'s> {
    system: &'s System,
    candidate: &'s Candidate,
    until: Instant,
    tried: Vec<Attempt>,
    reasons: Vec<String>,
    asked: HashSet<(&'static str, Url)>,
}

/// What is to be done after a question.
enum Next {
    /// Nothing: this place answered.
    Stop(Won),
    /// Another base of the same place, or another protocol.
    Here,
    /// Another protocol: this one has nothing more to say here.
    Protocol,
    /// Another place.
    Place,
}

impl Candidate {
    /// The places, the likeliest first: where it was found, where it is said to be, where else it may be.
    fn places(&self) -> Vec<&Url> {
        let first = self.facts.detected_endpoint.iter().chain([&self.facts.base_url]);
        first.chain(&self.alternates).collect()
    }

    /// Where it is said to speak a protocol.
    fn stated(&self, protocol: Protocol) -> Option<Url> {
        let endpoints = &self.facts.protocols.0;
        let endpoint = endpoints.iter().find(|endpoint| endpoint.protocol == protocol)?;
        endpoint.base_url.as_ref()?.parse().ok()
    }

    /// Where it was found, if that is not where it is said to speak that protocol.
    fn elsewhere(&self, won: &Won) -> Option<String> {
        let stated = self.stated(won.protocol).unwrap_or_else(|| self.facts.base_url.clone());
        let found = shown(&won.base);
        (found != shown(&trimmed(&stated))).then_some(found)
    }

    fn headers(&self, dialect: &dyn Dialect) -> Option<HeaderMap> {
        provider::headers(dialect, &self.headers, self.secret.as_ref())
    }
}

/// Asks until a place answers.
pub(super) async fn search(system: &System, candidate: &Candidate) -> Finding {
    let plan = plan(&candidate.facts);
    let mut search = Search {
        system,
        candidate,
        until: Instant::now() + system.settings.patience.whole,
        tried: Vec::new(),
        reasons: Vec::new(),
        asked: HashSet::new(),
    };
    let won = search.places(&plan).await;
    search.finish(plan, won)
}

impl Search<'_> {
    async fn places(&mut self, plan: &FormatPlan) -> Option<Won> {
        let base_url = &self.candidate.facts.base_url;
        for place in self.candidate.places() {
            let from = self.tried.len();
            for protocol in &plan.candidate_formats {
                // A protocol that has a place of its own is asked there instead of at the base URL.
                let own = self.candidate.stated(*protocol).filter(|_| place == base_url);
                match self.protocol(own.as_ref().unwrap_or(place), *protocol).await {
                    Next::Stop(won) => return Some(won),
                    Next::Place if own.is_none() => break,
                    _ => {}
                }
            }
            let tells_most = self.tried[from..].iter().max_by_key(|attempt| attempt.code.weight());
            if self.is_over() || tells_most.is_some_and(|attempt| !attempt.code.goes_on()) {
                return None;
            }
        }
        None
    }

    fn is_over(&self) -> bool {
        self.tried.len() >= MOST || (!self.tried.is_empty() && self.left().is_zero())
    }

    fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    async fn protocol(&mut self, place: &Url, protocol: Protocol) -> Next {
        for base in dialect(protocol).bases(place) {
            if self.is_over() {
                return Next::Place;
            }
            match self.base(base, protocol).await {
                Next::Here => {}
                next => return next,
            }
        }
        Next::Protocol
    }

    async fn base(&mut self, base: Url, protocol: Protocol) -> Next {
        let dialect = dialect(protocol);
        let list = dialect.list(&base, None);
        if !self.asked.insert((dialect.whose(), list.clone())) {
            return Next::Here;
        }
        let started = Instant::now();
        let (mut verdict, mut status) = self.ask(&list, &base, protocol).await;
        if let (Verdict::Listed(_), Some(proof)) = (&verdict, dialect.proof(&base)) {
            let proved = self.prove(&proof, &base, protocol).await;
            if let Some((refused, by)) = proved {
                (verdict, status) = (refused, Some(by));
            }
        }
        let latency_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let attempt = |code| Attempt { base_url: shown(&base), format: protocol, code, status, latency_ms };
        match verdict {
            Verdict::Listed(listing) => {
                self.tried.push(attempt(CheckCode::Ok));
                self.reasons.push(format!("{} answers in {}'s protocol.", shown(&base), dialect.whose()));
                Next::Stop(Won { protocol, base, listing, latency_ms })
            }
            Verdict::Failed { code, reason, sure } => {
                self.tried.push(attempt(code));
                self.reasons.push(reason);
                match code {
                    _ if sure || code.ends_host() => Next::Place,
                    CheckCode::NotFound => Next::Here,
                    _ => Next::Protocol,
                }
            }
        }
    }

    async fn ask(&self, list: &Url, base: &Url, protocol: Protocol) -> (Verdict, Option<u16>) {
        let Some(headers) = self.candidate.headers(dialect(protocol)) else {
            let reason =
                "The key has characters that no header can carry: it was not copied as it is.".to_owned();
            let code = CheckCode::KeyMalformed;
            return (Verdict::Failed { code, reason, sure: true }, None);
        };
        match send(self.system, self.candidate, (list, headers), self.left()).await {
            Ok(answer) => {
                let keyed = self.candidate.secret.is_some();
                let status = Some(answer.status.as_u16());
                (judge(protocol, base, (answer.status, &answer.body), keyed), status)
            }
            Err(fault) => {
                let (code, reason) = (fault.kind.into(), told(&fault, base));
                (Verdict::Failed { code, reason, sure: false }, None)
            }
        }
    }

    /// Why a key is no good, if it is not: the list is there for everybody.
    async fn prove(&self, proof: &Url, base: &Url, protocol: Protocol) -> Option<(Verdict, u16)> {
        let headers = self.candidate.headers(dialect(protocol))?;
        let answer = send(self.system, self.candidate, (proof, headers), self.left()).await.ok()?;
        let keyed = self.candidate.secret.is_some();
        let refused = matches!(answer.status.as_u16(), 401 | 403);
        refused.then(|| (judge(protocol, base, (answer.status, &[]), keyed), answer.status.as_u16()))
    }

    /// What all of it means: the answer, or else the failure that tells most.
    fn finish(self, mut plan: FormatPlan, won: Option<Won>) -> Finding {
        let told = self.tried.iter().zip(self.reasons);
        // Of several that tell as much, the first: it is the likeliest.
        let most = told.rev().max_by_key(|(attempt, _)| attempt.code.weight());
        let (code, reason) = match most {
            Some((attempt, reason)) => (attempt.code, reason),
            None => (CheckCode::Timeout, "There was no time to ask.".to_owned()),
        };
        let detected_endpoint = won.as_ref().and_then(|won| self.candidate.elsewhere(won));
        if let Some(won) = &won {
            plan.settle(&self.candidate.facts, won.protocol, detected_endpoint.is_some());
        }
        Finding { code, reason, plan, won, detected_endpoint, tried: self.tried, until: self.until }
    }
}

async fn send(
    system: &System,
    candidate: &Candidate,
    (url, headers): (&Url, HeaderMap),
    left: Duration,
) -> Result<Answer, Fault> {
    let call = Call {
        method: Method::GET,
        url: url.clone(),
        headers,
        body: Vec::new(),
        patience: system.settings.patience.answer.min(left),
        most: ANSWER,
    };
    system.upstream.send(call, &candidate.way).await
}

/// What a fault means, for people.
fn told(fault: &Fault, base: &Url) -> String {
    let (place, host) = (shown(base), base.host_str().unwrap_or_default());
    match CheckCode::from(fault.kind) {
        CheckCode::NameUnresolved => {
            format!("The name {host} has no address: it is misspelt, or not known from here.")
        }
        CheckCode::Timeout => format!("{place} took too long to answer: {fault}."),
        CheckCode::Unreachable => format!("{place} cannot be reached: {fault}."),
        CheckCode::AddressForbidden => format!("{place} is not where calls may go: {fault}."),
        CheckCode::TlsFailed => format!("There is no trusted connection to {place}: {fault}."),
        CheckCode::ProxyFailed => format!("No proxy leads to {place}: {fault}."),
        CheckCode::AnswerTooLarge => format!("What {place} answers is too large: {fault}."),
        _ => format!("What {place} answers is no answer: {fault}."),
    }
}

/// Every model of the upstream, beginning with the page that was found; the first of them, if there are too many.
pub(super) async fn every_model(
    system: &System,
    candidate: &Candidate,
    (won, until): (Won, Instant),
) -> Result<Vec<Found>, (CheckCode, String)> {
    let dialect = dialect(won.protocol);
    let (mut models, mut next) = (Vec::new(), won.listing.next);
    let mut seen = HashSet::new();
    take(&mut models, &mut seen, won.listing.models);
    for _ in 1..PAGES {
        let Some(after) = next.filter(|_| models.len() < MODELS) else {
            models.truncate(MODELS);
            return Ok(models);
        };
        let headers = candidate.headers(dialect).unwrap_or_default();
        let url = dialect.list(&won.base, Some(&after));
        let left = until.saturating_duration_since(Instant::now());
        let answer = send(system, candidate, (&url, headers), left).await;
        let answer = answer.map_err(|fault| (fault.kind.into(), told(&fault, &won.base)))?;
        let keyed = candidate.secret.is_some();
        match judge(won.protocol, &won.base, (answer.status, &answer.body), keyed) {
            Verdict::Listed(listing) => {
                take(&mut models, &mut seen, listing.models);
                next = listing.next;
                // It leads to itself: there is no use in following it.
                if next.as_ref() == Some(&after) {
                    break;
                }
            }
            Verdict::Failed { code, reason, .. } => return Err((code, reason)),
        }
    }
    let reason = format!("The list of models at {} has no end.", shown(&won.base));
    if next.is_none() { Ok(models) } else { Err((CheckCode::AnswerTooLarge, reason)) }
}

/// Each model once.
fn take(models: &mut Vec<Found>, seen: &mut HashSet<String>, more: Vec<Found>) {
    models.extend(more.into_iter().filter(|model| seen.insert(model.name.clone())));
}
