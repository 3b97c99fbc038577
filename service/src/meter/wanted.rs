//! [`Wanted`]: what requests need of the cache.

use super::{
    command::Command,
    ledger::Ledger,
    question::{Asker, Question},
    stranger::strangers,
    task::{Request, Task},
};
use entity::id::{ConnectionId, CredentialId, GatewayTokenId, KeyId, OrganizationId};
use std::collections::{BTreeMap, BTreeSet};

/// What has to be in the cache.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) tokens: BTreeSet<GatewayTokenId>,
    /// Keys, each with the connection that the call names.
    pub(super) keys: BTreeSet<(KeyId, Option<ConnectionId>)>,
    /// Connections that calls name, or that have served them.
    pub(super) connections: BTreeSet<ConnectionId>,
    /// The credentials that have served them.
    pub(super) credentials: BTreeSet<CredentialId>,
}

impl Wanted {
    pub(super) fn of(requests: &[Request]) -> Self {
        let mut wanted = Self::default();
        for Request { task, .. } in requests {
            if let Asker::Gateway(gateway) = task.asker() {
                wanted.tokens.insert(gateway.id());
            }
            let key = |question: &Question| Some((question.key.key()?, question.call.connection_id));
            wanted.keys.extend(task.question().and_then(key));
            wanted.connections.extend(task.question().and_then(|question| question.call.connection_id));
            let attempts = if let Task::Do(command) = task { command.attempts() } else { &[] };
            wanted.connections.extend(attempts.iter().filter_map(|attempt| attempt.connection_id));
            wanted.credentials.extend(attempts.iter().filter_map(|attempt| attempt.credential_id));
        }
        wanted
    }

    /// What settlements need: the connections of their calls, and the keys of those that were served by another model.
    pub(super) fn of_settled(requests: &[Request], ledger: &Ledger) -> Self {
        let keys = strangers(requests, ledger).map(|stranger| (stranger.key, stranger.row.terms.connection));
        let connections = requests.iter().filter_map(|request| {
            let Task::Do(Command::Settle(naming, ..)) = &request.task else { return None };
            ledger.reservation(naming.organization, naming.reservation)?.terms.connection
        });
        Self { keys: keys.collect(), connections: connections.collect(), ..Self::default() }
    }
}

/// Whether something is worth money to a request, so that prices are needed.
fn is_priced(request: &Request) -> bool {
    match &request.task {
        Task::Do(Command::Void(_) | Command::Extend(..)) => false,
        Task::Do(_) => true,
        Task::Look(question) => question.key.key().is_some(),
    }
}

/// The organizations whose prices requests need, each with whether one of them has not waited for these yet.
pub(super) fn priced(requests: &[Request]) -> BTreeMap<OrganizationId, bool> {
    let mut homes = BTreeMap::new();
    for request in requests.iter().filter(|request| request.home != OrganizationId::PLATFORM) {
        if is_priced(request) {
            *homes.entry(request.home).or_default() |= !request.prepared;
        }
    }
    homes
}
