//! [`Ctx`]: who asks, in which scope, about which request. Every service function takes one.

use crate::{
    Result, System, Unit,
    db::Pool,
    idempotency::Ticket,
    repository::{Repository, Scoped},
    scope::Scope,
};
use chrono::{DateTime, Utc};
use entity::{
    id::{Id, UserId},
    status::ActorKind,
};
use std::sync::{Arc, OnceLock};

/// Who acts, for the audit log: by id, never by address.
#[derive(Debug, Clone)]
pub struct Actor {
    /// What kind of principal.
    pub kind: ActorKind,
    /// Its prefixed id.
    pub id: String,
    /// The person behind it: the signed-in user, or the maker of an admin token.
    pub user: Option<UserId>,
    /// Whether that person runs the installation.
    pub operator: bool,
}

impl Actor {
    /// Nobody yet: sign-in and the like.
    pub fn anonymous() -> Self {
        Self { kind: ActorKind::Anonymous, id: "anonymous".into(), user: None, operator: false }
    }
    /// A person.
    pub fn person(id: UserId, operator: bool) -> Self {
        Self { kind: ActorKind::User, id: id.to_string(), user: Some(id), operator }
    }
    /// The server itself, or the operator's command line.
    pub fn system() -> Self {
        Self { kind: ActorKind::System, id: "system".into(), user: None, operator: true }
    }
}

/// What is known of the request that a call serves.
#[derive(Debug, Clone, Default)]
pub struct RequestInfo {
    /// Its id, in every log line and audit event.
    pub id: String,
    /// The client's address, seen directly or through a trusted proxy.
    pub client_ip: Option<std::net::IpAddr>,
    /// The client program.
    pub user_agent: Option<String>,
}

/// The context of one call.
#[derive(Debug, Clone)]
pub struct Ctx {
    /// The process-wide means.
    pub system: Arc<System>,
    /// The tenant and the reach in it.
    pub scope: Scope,
    /// Who acts.
    pub actor: Actor,
    /// The request it serves.
    pub request: RequestInfo,
    /// Set once the body of a call with an `Idempotency-Key` has been read.
    pub ticket: Arc<OnceLock<Ticket>>,
}

impl Ctx {
    /// A context outside any request.
    pub fn internal(system: &Arc<System>, scope: Scope) -> Self {
        Self {
            system: system.clone(),
            scope,
            actor: Actor::system(),
            request: RequestInfo { id: "internal".into(), ..Default::default() },
            ticket: Arc::default(),
        }
    }

    /// The same call in another scope.
    pub fn within(&self, scope: Scope) -> Self {
        Self { scope, ..self.clone() }
    }

    /// The same call without the promise to answer a repeated one from its reply: for a step on the way to the reply.
    pub(crate) fn quiet(&self) -> Self {
        Self { ticket: Arc::default(), ..self.clone() }
    }

    /// The same call on behalf of a person who has just proved an identity.
    pub fn acting_as(&self, user: UserId, operator: bool) -> Self {
        Self { actor: Actor::person(user, operator), ..self.clone() }
    }

    /// Reads rows of `E` within the scope.
    pub fn repository<E: Scoped>(&self) -> Repository<'_, E, Pool> {
        Repository::new(&self.system.db.reader, self)
    }

    /// Opens a unit of work.
    pub async fn begin(&self) -> Result<Unit<'_>> {
        Unit::begin(self).await
    }

    /// The time by the database.
    pub async fn now(&self) -> Result<DateTime<Utc>> {
        self.system.clock.now(&self.system.db.reader).await
    }

    /// A new id for a row made at `now`.
    pub fn id<K>(&self, now: DateTime<Utc>) -> Id<K> {
        self.system.entropy.id(now)
    }
}
