//! What is told of calls: what they used, attempt by attempt.

use super::{
    advised::{Read, with_advisors},
    raw,
    request::{self, Presented},
};
use crate::{
    Error, Result,
    cost::{self, Format, Manner, Reading, ServiceTierWord, stated_tier, unique},
    meter::{
        Asker, Call, Gateway, Proof, Question, Task,
        command::{Attempt, Command, Naming, fingerprint},
    },
    validate::Faults,
};
use entity::{
    id::{ConnectionId, CredentialId, KeyId, OrganizationId, ReservationId},
    json::Tags,
    status::UsageStatus,
    terms::ServiceTier,
};
use serde::Deserialize;
use serde_json::Value;
use std::{net::IpAddr, sync::Arc};
use utoipa::ToSchema;

/// Attempts at one call.
const ATTEMPTS: usize = 32;
/// The longest time that can be told, a week in milliseconds.
const LONGEST: i64 = 604_800_000;

/// Makes a struct with the fields of an attempt, and fields of its own before.
macro_rules! attempt {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$attribute:meta])* pub $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$attribute])* pub $field: $type,)*
            /// What it used: our own fields, or a provider's usage object as it was received. May be absent if the call
            /// failed.
            #[serde(default, deserialize_with = "unique::optional_usage")]
            #[schema(value_type = Option<Object>, example = json!({"input_tokens": 1200, "output_tokens": 350}))]
            pub usage: Option<Value>,
            /// Whose usage object it is; absent or null = told by its shape.
            #[serde(default)]
            pub format: Option<Format>,
            /// How it went.
            #[serde(default)]
            #[schema(default = "success")]
            pub status: UsageStatus,
            /// What the provider called its failure.
            #[serde(default)]
            #[schema(max_length = 64, example = "rate_limit_exceeded")]
            pub error_code: Option<String>,
            /// The model that served it; absent or null = the one that was authorized first.
            #[serde(default)]
            #[schema(min_length = 1, max_length = 256, example = "gpt-4o-mini")]
            pub model: Option<String>,
            /// The provider that served it; absent or null = that of the connection, or else of the price.
            #[serde(default)]
            #[schema(max_length = 64, example = "openai")]
            pub provider: Option<String>,
            /// The connection that served it; absent or null = the one that was authorized. It may have been disabled or
            /// deleted since.
            #[serde(default)]
            pub connection_id: Option<ConnectionId>,
            /// The credential of the connection that was used.
            #[serde(default)]
            pub credential_id: Option<CredentialId>,
            /// How urgently it was served, in the provider's word; absent, null or `auto` = what the usage object says, or else
            /// `standard`.
            #[serde(default, deserialize_with = "stated_tier")]
            #[schema(value_type = Option<ServiceTierWord>)]
            pub service_tier: Option<ServiceTier>,
            /// Where it was served, such as `eu`; absent or null = what the usage object says.
            #[serde(default)]
            #[schema(max_length = 64)]
            pub region: Option<String>,
            /// How fast it was served, such as `fast`; absent or null = what the usage object says.
            #[serde(default)]
            #[schema(max_length = 64)]
            pub speed: Option<String>,
            /// Milliseconds until the last byte.
            #[serde(default)]
            #[schema(minimum = 0, maximum = 604_800_000)]
            pub latency_ms: Option<i64>,
            /// Milliseconds until the first token.
            #[serde(default)]
            #[schema(minimum = 0, maximum = 604_800_000)]
            pub ttft_ms: Option<i64>,
        }

        impl $name {
            /// What is told of one attempt.
            fn told(&self) -> Told<'_> {
                Told {
                    usage: self.usage.as_ref(),
                    format: self.format,
                    status: self.status,
                    error_code: self.error_code.as_deref(),
                    model: self.model.as_deref(),
                    provider: self.provider.as_deref(),
                    connection_id: self.connection_id,
                    credential_id: self.credential_id,
                    service_tier: self.service_tier,
                    places: [self.region.as_deref(), self.speed.as_deref()],
                    times: [self.latency_ms, self.ttft_ms],
                }
            }
        }
    };
}

attempt! {
    /// One attempt at a call.
    pub struct NewAttempt {}
}

attempt! {
    /// What an authorized call used: of one attempt at the top, or of several in `attempts`.
    pub struct NewSettlement {
        /// The call.
        pub reservation_id: ReservationId,
        /// Its organization, for a gateway of the installation that has authorized it elsewhere.
        #[serde(default)]
        pub organization_id: Option<OrganizationId>,
        /// Instead of the fields of one attempt: all attempts, 1–32, in order. Each is charged by the model that served it.
        #[serde(default)]
        #[schema(min_items = 1, max_items = 32)]
        pub attempts: Option<Vec<NewAttempt>>,
    }
}

attempt! {
    /// A call that was not authorized here, and what it used.
    pub struct NewUsage {
        /// The virtual key as the client presented it; or `key_id`.
        #[serde(default)]
        pub key: Option<Presented>,
        /// The virtual key.
        #[serde(default)]
        pub key_id: Option<KeyId>,
        /// Names the call, so that telling it again counts nothing twice: a UUIDv7 of when it was made. Absent, one is
        /// made, and a repetition counts twice.
        #[serde(default)]
        pub reservation_id: Option<ReservationId>,
        /// Instead of the fields of one attempt: all attempts, 1–32, in order.
        #[serde(default)]
        #[schema(min_items = 1, max_items = 32)]
        pub attempts: Option<Vec<NewAttempt>>,
        /// What kind of call it was.
        #[serde(default)]
        #[schema(example = "chat", min_length = 1, max_length = 256)]
        pub scope: Option<String>,
        /// Where the client called from.
        #[serde(default)]
        #[schema(value_type = Option<String>, example = "203.0.113.7")]
        pub client_ip: Option<IpAddr>,
        /// The client's project.
        #[serde(default)]
        #[schema(max_length = 255)]
        pub project: Option<String>,
        /// The client's session.
        #[serde(default)]
        #[schema(max_length = 255)]
        pub session_id: Option<String>,
        /// Labels of this call; the key's own win.
        #[serde(default)]
        pub tags: Tags,
    }
}

/// What an administrator knows of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResolutionOutcome {
    /// It happened, and what it used is told.
    Settled,
    /// It did not happen.
    Voided,
}

attempt! {
    /// What became of a call of which nothing was heard. What it used is told only if it happened.
    pub struct NewResolution {
        /// Whether it happened.
        pub outcome: ResolutionOutcome,
        /// Instead of the fields of one attempt: all attempts, 1–32, in order.
        #[serde(default)]
        #[schema(min_items = 1, max_items = 32)]
        pub attempts: Option<Vec<NewAttempt>>,
    }
}

/// What is told of one attempt.
#[derive(Debug, Clone, Copy)]
struct Told<'t> {
    usage: Option<&'t Value>,
    format: Option<Format>,
    status: UsageStatus,
    error_code: Option<&'t str>,
    model: Option<&'t str>,
    provider: Option<&'t str>,
    connection_id: Option<ConnectionId>,
    credential_id: Option<CredentialId>,
    service_tier: Option<ServiceTier>,
    places: [Option<&'t str>; 2],
    times: [Option<i64>; 2],
}

impl<'t> Told<'t> {
    /// Whether nothing is told.
    fn is_nothing(&self) -> bool {
        let plain = self.usage.is_none() && self.format.is_none() && self.status == UsageStatus::Success;
        let served = self.error_code.is_none() && self.model.is_none() && self.provider.is_none();
        let by = self.connection_id.is_none() && self.credential_id.is_none() && self.service_tier.is_none();
        plain && served && by && self.places == [None; 2] && self.times == [None; 2]
    }

    /// Whether a provider has served it, at least in part, and nothing is said of what it used. Zeros are said.
    fn is_unclear(&self) -> bool {
        let said =
            |usage: &Value| usage.as_object().is_some_and(|fields| !fields.values().all(Value::is_null));
        self.is_served() && !self.usage.is_some_and(said)
    }

    /// Whether it may have used something that its usage object does not say exactly. Nothing is charged for what has failed
    /// and used nothing.
    fn is_doubted(&self, reading: &Reading) -> bool {
        let used = reading.usage.total_tokens() > 0 || !reading.advisors.is_empty();
        !reading.doubts.is_empty() && (self.is_served() || used)
    }

    /// Whether a provider has served it, at least in part.
    fn is_served(&self) -> bool {
        matches!(self.status, UsageStatus::Success | UsageStatus::Aborted)
    }

    /// The attempt, and the models that it has asked, if its values are acceptable; `at` is its place.
    fn read(&self, faults: &mut Faults, at: &str) -> Result<Read<'t>> {
        if let Some(model) = self.model {
            request::name(faults, &format!("{at}/model"), model);
        }
        if let Some(provider) = self.provider {
            faults.word(&format!("{at}/provider"), provider);
        }
        if let Some(code) = self.error_code {
            faults.when(code.is_empty(), &format!("{at}/error_code"), "required", "must not be empty");
            faults.text(&format!("{at}/error_code"), code, 64);
        }
        for (name, word) in ["region", "speed"].into_iter().zip(self.places) {
            if let Some(word) = word {
                faults.word(&format!("{at}/{name}"), word);
            }
        }
        for (name, time) in ["latency_ms", "ttft_ms"].into_iter().zip(self.times) {
            let wrong = time.is_some_and(|time| !(0..=LONGEST).contains(&time));
            faults.when(wrong, &format!("{at}/{name}"), "out_of_range", "must be between 0 and 604800000");
        }
        let (reading, manner) = self.used(faults, at)?;
        let unclear = reading.as_ref().is_some_and(|reading| self.is_doubted(reading));
        let text = |text: Option<&str>| text.map(str::to_owned);
        let attempt = Attempt {
            model: text(self.model),
            provider: text(self.provider),
            connection_id: self.connection_id,
            credential_id: self.credential_id,
            connection_provider: None,
            mappings: Arc::default(),
            usage: reading.as_ref().map(|reading| reading.usage).unwrap_or_default(),
            unclear: unclear || self.is_unclear(),
            unsided: reading.as_ref().is_some_and(|reading| reading.unsided),
            stated_cost: reading.as_ref().and_then(|reading| reading.stated_cost),
            advisor: false,
            raw: self.usage.filter(|_| unclear).map(raw::kept),
            manner,
            status: self.status,
            error_code: text(self.error_code),
            latency_ms: self.times[0],
            ttft_ms: self.times[1],
        };
        let advisors = reading.map(|reading| reading.advisors).unwrap_or_default();
        Ok(Read { attempt, advisors, usage: self.usage })
    }

    /// What is stated beside the usage object counts more than what stands in it.
    fn used(&self, faults: &mut Faults, at: &str) -> Result<(Option<Reading>, Manner)> {
        let pointer = format!("{at}/usage");
        let stated = Manner {
            service_tier: self.service_tier.unwrap_or_default(),
            region: self.places[0].map(str::to_owned),
            speed: self.places[1].map(str::to_owned),
        };
        let Some(usage) = self.usage else {
            let failed = self.status != UsageStatus::Success;
            faults.when(!failed, &pointer, "required", "must be given of a call that succeeded");
            return Ok((None, stated));
        };
        let reading = cost::read(usage, self.format, &pointer);
        if let Err(error @ Error::Malformed(_)) = reading {
            return Err(error);
        }
        faults.also(&reading);
        let Ok(reading) = reading else { return Ok((None, stated)) };
        let manner = Manner {
            service_tier: self.service_tier.or(reading.service_tier).unwrap_or_default(),
            region: stated.region.or_else(|| reading.region.clone()),
            speed: stated.speed.or_else(|| reading.speed.clone()),
        };
        Ok((Some(reading), manner))
    }
}

/// All attempts at a call: the one at the top, or all that are listed, and behind them what they tell of other models.
fn attempts(faults: &mut Faults, top: Told<'_>, listed: Option<&[NewAttempt]>) -> Result<Vec<Attempt>> {
    let Some(listed) = listed else { return Ok(with_advisors(vec![top.read(faults, "")?], ATTEMPTS)) };
    faults.when(!top.is_nothing(), "/attempts", "exclusive", "give one attempt or several, not both");
    faults.when(listed.is_empty(), "/attempts", "required", "must not be empty");
    faults.when(listed.len() > ATTEMPTS, "/attempts", "too_many", "must have at most 32 entries");
    let listed = listed.iter().enumerate().take(ATTEMPTS);
    let told = listed.map(|(n, attempt)| attempt.told().read(faults, &format!("/attempts/{n}")));
    Ok(with_advisors(told.collect::<Result<_>>()?, ATTEMPTS))
}

impl NewSettlement {
    /// The attempts, or everything that is wrong with them.
    pub(super) fn attempts(&self) -> Result<Vec<Attempt>> {
        let mut faults = Faults::default();
        let attempts = attempts(&mut faults, self.told(), self.attempts.as_deref())?;
        faults.finish()?;
        Ok(attempts)
    }

    /// What settles a reservation.
    pub(super) fn command(&self, by: Asker, organization: OrganizationId) -> Result<Task> {
        let attempts = self.attempts()?;
        let print = fingerprint(&attempts)?;
        let naming = Naming { by, organization, reservation: self.reservation_id };
        Ok(Task::Do(Command::Settle(naming, attempts, print)))
    }
}

impl NewResolution {
    /// What settles or voids a reservation.
    pub(super) fn command(&self, by: Asker, organization: OrganizationId, id: ReservationId) -> Result<Task> {
        let naming = Naming { by, organization, reservation: id };
        let mut faults = Faults::default();
        if self.outcome == ResolutionOutcome::Voided {
            let told = !self.told().is_nothing() || self.attempts.is_some();
            faults.when(told, "/outcome", "exclusive", "a call that did not happen has used nothing");
            faults.finish()?;
            return Ok(Task::Do(Command::Void(naming)));
        }
        let attempts = attempts(&mut faults, self.told(), self.attempts.as_deref())?;
        faults.finish()?;
        let print = fingerprint(&attempts)?;
        Ok(Task::Do(Command::Settle(naming, attempts, print)))
    }
}

impl NewUsage {
    /// What tells of a call that was not authorized.
    pub(super) fn command(&self, gateway: Gateway) -> Result<Task> {
        let mut faults = Faults::default();
        let key = match (&self.key, self.key_id) {
            (Some(key), None) => key.proof(),
            (None, Some(id)) => Proof::Id(id),
            _ => {
                faults.add("/key", "one_key", "give exactly one of key and key_id");
                Proof::Nothing
            }
        };
        if let Some(scope) = &self.scope {
            request::name(&mut faults, "/scope", scope);
        }
        request::labels(&mut faults, self.project.as_deref(), self.session_id.as_deref());
        faults.tags("/tags", &self.tags);
        let attempts = attempts(&mut faults, self.told(), self.attempts.as_deref())?;
        faults.finish()?;
        let mut models: Vec<String> = attempts.iter().filter_map(|attempt| attempt.model.clone()).collect();
        models.dedup();
        let call = Call {
            models,
            scope: self.scope.clone(),
            client_ip: self.client_ip,
            connection_id: attempts.iter().find_map(|attempt| attempt.connection_id),
            project: self.project.clone(),
            session_id: self.session_id.clone(),
            tags: self.tags.clone(),
            ..Call::default()
        };
        let print = fingerprint(&(key.key(), &call, &attempts))?;
        let question = Question { asker: Asker::Gateway(gateway), key, call };
        Ok(Task::Do(Command::Report { question, reservation: self.reservation_id, attempts, print }))
    }
}
