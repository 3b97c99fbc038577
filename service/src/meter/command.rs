//! What is asked of the meter, as it waits in the queue. Whatever has an effect has an id before it waits or gets one when it
//! is first decided, so that it can be run again without a second effect.

use super::{
    question::{Asker, Gateway, Proof, Question},
    raw::RawObject,
};
use crate::{
    Error, Result,
    cost::{Advisor, Manner, Usage},
    price::names::Mapping,
};
use entity::{
    id::{ConnectionId, CredentialId, OrganizationId, ReservationId},
    money::Nanos,
    status::UsageStatus,
    terms::Component,
};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Tells one request from another: 16 bytes of a SHA-256.
pub type Fingerprint = [u8; 16];

/// Makes the fingerprint of a request: of its JSON without what is absent, so that a field of a later release changes nothing.
pub fn fingerprint(request: &impl Serialize) -> Result<Fingerprint> {
    let value = serde_json::to_value(request).map_err(Error::internal)?;
    let digest: [u8; 32] = Sha256::digest(present(value).to_string()).into();
    let mut print = [0; 16];
    print.copy_from_slice(&digest[..16]);
    Ok(print)
}

fn present(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let there = fields.into_iter().filter(|(_, value)| !value.is_null());
            there.map(|(name, value)| (name, present(value))).collect()
        }
        Value::Array(list) => list.into_iter().map(present).collect(),
        plain => plain,
    }
}

/// What one attempt at a call used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// The model that served it; none = the one that was authorized first.
    pub model: Option<String>,
    /// The provider that served it.
    pub provider: Option<String>,
    /// The connection that served it.
    pub connection_id: Option<ConnectionId>,
    /// The secret of the connection.
    pub credential_id: Option<CredentialId>,
    /// The provider of the connection; known only once the connection is.
    #[serde(skip)]
    pub connection_provider: Option<String>,
    /// What the upstream of the connection calls models; known only once the connection is.
    #[serde(skip)]
    pub mappings: Arc<[Mapping]>,
    /// How much of everything it used.
    pub usage: Usage,
    /// Whether a provider has served it and nothing says exactly what it used. It follows from what is told, so it tells no
    /// request from another.
    #[serde(skip)]
    pub unclear: bool,
    /// Whether its usage is a total that was halved, for want of knowing better.
    #[serde(skip)]
    pub unsided: bool,
    /// What the provider says that it costs, in US dollars.
    pub stated_cost: Option<Nanos>,
    /// Whether it is an advisor: a model that another attempt has asked, and so served in place of none that was authorized.
    #[serde(skip)]
    pub advisor: bool,
    /// The usage object as it was received, if it is kept because it cannot be read exactly. What is read of it tells one
    /// request from another.
    #[serde(skip)]
    pub raw: Option<RawObject>,
    /// How it was served, as far as that is charged for.
    pub manner: Manner,
    /// How it went.
    pub status: UsageStatus,
    /// What the provider called its failure.
    pub error_code: Option<String>,
    /// Milliseconds until the last byte.
    pub latency_ms: Option<i64>,
    /// Milliseconds until the first token.
    pub ttft_ms: Option<i64>,
}

impl Attempt {
    /// A successful attempt with this usage, of which nothing else is known.
    pub fn of(usage: Usage) -> Self {
        Self {
            model: None,
            provider: None,
            connection_id: None,
            credential_id: None,
            connection_provider: None,
            mappings: Arc::default(),
            usage,
            unclear: false,
            unsided: false,
            stated_cost: None,
            advisor: false,
            raw: None,
            manner: Manner::default(),
            status: UsageStatus::Success,
            error_code: None,
            latency_ms: None,
            ttft_ms: None,
        }
    }

    /// What another model used that it has asked: served as it was itself, at that model's own price. How long it took, and
    /// how fast it was served, is told of the call alone.
    pub fn advised(&self, Advisor { model, usage }: Advisor) -> Self {
        Self {
            model: Some(model),
            usage,
            unsided: false,
            stated_cost: None,
            advisor: true,
            raw: None,
            manner: Manner { speed: None, ..self.manner.clone() },
            latency_ms: None,
            ttft_ms: None,
            ..self.clone()
        }
    }

    /// Counts what an advisor used as its own, for want of room for another attempt. It is no further request.
    pub fn absorb(&mut self, Advisor { usage, .. }: &Advisor) {
        let mut sum = self.usage.plus(usage).unwrap_or(self.usage);
        // It was set before.
        let _ = sum.set(Component::Request, self.usage.get(Component::Request));
        (self.usage, self.unclear) = (sum, true);
    }
}

/// A reservation that somebody names.
#[derive(Debug, Clone)]
pub struct Naming {
    /// Who.
    pub by: Asker,
    /// Which organization's; of a gateway of the installation only as far as it says so or it was found.
    pub organization: OrganizationId,
    /// Which.
    pub reservation: ReservationId,
}

/// What has an effect.
#[derive(Debug, Clone)]
pub enum Command {
    /// Decide whether a call may be made, and hold its worst case.
    Authorize {
        /// The call.
        question: Question,
        /// Its id, if the client has chosen one.
        reservation: Option<ReservationId>,
        /// Seconds until it is unresolved.
        seconds: i64,
        /// Tells a repetition from another call.
        print: Fingerprint,
    },
    /// Decide about a request by itself, and count it.
    Count(Question),
    /// Tell what a call used.
    Settle(Naming, Vec<Attempt>, Fingerprint),
    /// Tell that a call did not happen.
    Void(Naming),
    /// Tell that a call takes so many more seconds.
    Extend(Naming, i64),
    /// Tell of a call that was not authorized here; the question's call says whose it was.
    Report {
        /// The call.
        question: Question,
        /// Its id, if the client has chosen one.
        reservation: Option<ReservationId>,
        /// What it used.
        attempts: Vec<Attempt>,
        /// Tells a repetition from another report.
        print: Fingerprint,
    },
}

impl Command {
    /// Who asks.
    pub fn asker(&self) -> &Asker {
        match self {
            Self::Authorize { question, .. } | Self::Count(question) | Self::Report { question, .. } => {
                &question.asker
            }
            Self::Settle(naming, ..) | Self::Void(naming) | Self::Extend(naming, _) => &naming.by,
        }
    }

    /// The key that is meant, if a key is.
    pub fn key(&self) -> Option<&Proof> {
        self.question().map(|question| &question.key)
    }

    /// The question about a key, if it is one.
    pub fn question(&self) -> Option<&Question> {
        match self {
            Self::Authorize { question, .. } | Self::Count(question) | Self::Report { question, .. } => {
                Some(question)
            }
            Self::Settle(..) | Self::Void(_) | Self::Extend(..) => None,
        }
    }

    /// The attempts that it tells of.
    pub fn attempts(&self) -> &[Attempt] {
        match self {
            Self::Settle(_, attempts, _) | Self::Report { attempts, .. } => attempts,
            Self::Authorize { .. } | Self::Count(_) | Self::Void(_) | Self::Extend(..) => &[],
        }
    }

    /// The same, for what has to be done to them before the command waits.
    pub fn attempts_mut(&mut self) -> &mut [Attempt] {
        match self {
            Self::Settle(_, attempts, _) | Self::Report { attempts, .. } => attempts,
            Self::Authorize { .. } | Self::Count(_) | Self::Void(_) | Self::Extend(..) => &mut [],
        }
    }

    /// The gateway that asks, if one does.
    pub fn gateway(&self) -> Option<&Gateway> {
        match self.asker() {
            Asker::Gateway(gateway) => Some(gateway),
            Asker::Key | Asker::Administrator(_) => None,
        }
    }

    /// The id that the client has chosen or names.
    pub fn named(&self) -> Option<ReservationId> {
        match self {
            Self::Authorize { reservation, .. } | Self::Report { reservation, .. } => *reservation,
            Self::Count(_) => None,
            Self::Settle(naming, ..) | Self::Void(naming) | Self::Extend(naming, _) => {
                Some(naming.reservation)
            }
        }
    }

    /// Whether it gives back what is held, or tells what is known: refused, it would keep others from being served.
    pub fn returns(&self) -> bool {
        !matches!(self, Self::Authorize { .. } | Self::Count(_))
    }
}
