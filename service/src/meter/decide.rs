//! The decision: a pure function of what was asked, what is so, and the time. Every failing reason is reported, not
//! only the first; but a key that was not proved is unknown, and nothing else is said about it.

use super::{
    code::Code,
    estimate::Estimate,
    facts::{Connection, Facts, GatewayToken, Key, Owner, Secret},
    limits::Verdict,
    models::model,
    question::{Asker, Call, Gateway, Proof, Question},
};
use crate::{Error, Result, gateway_token::EVERY, secrets::Secrets, token::Token};
use chrono::{DateTime, Utc};
use entity::{
    id::{OrganizationId, SecretId, TeamId},
    json::Texts,
    status::{ConnectionStatus, KeyStatus, Standing},
};
use ipnet::IpNet;
use serde::Serialize;
use std::{borrow::Cow, net::IpAddr};
use utoipa::ToSchema;

/// How the digests of secrets made here are computed.
const SCHEME: &str = "hmac-sha256";

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Check {
    /// What was looked at: `key`, `status`, `expiry`, `secret`, `owner`, `holder`, `organization`, `connection`,
    /// `connection_team`, `model`, `scope`, `address`.
    #[schema(value_type = String, example = "owner")]
    pub check: &'static str,
    /// Whether it stands in the way.
    pub passed: bool,
    /// What was found, for people.
    #[schema(value_type = String, example = "the team that owns the key is at work")]
    pub detail: Cow<'static, str>,
    /// What it is called if it stands in the way.
    #[schema(required)]
    pub code: Option<Code>,
}

impl Check {
    pub(super) fn passed(check: &'static str, detail: &'static str) -> Self {
        Self { check, passed: true, detail: detail.into(), code: None }
    }
    pub(super) fn failed(check: &'static str, code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { check, passed: false, detail: detail.into(), code: Some(code) }
    }
}

/// What was decided, when, and about which key.
#[derive(Debug, Clone)]
pub struct Decision {
    /// The time it holds for, by the database.
    pub at: DateTime<Utc>,
    /// Everything that was looked at.
    pub checks: Vec<Check>,
    /// The key and what belongs to it; none if the key was not proved.
    pub facts: Option<Facts>,
    /// The secret that proved the key.
    pub secret: Option<SecretId>,
    /// How the call stands with every limit on its path.
    pub limits: Vec<Verdict>,
    /// The worst case that the limits were asked for.
    pub estimate: Option<Estimate>,
}

impl Decision {
    /// The one answer for every key that was not proved.
    pub(super) fn unknown(at: DateTime<Utc>) -> Self {
        let check = Check::failed("key", Code::KeyUnknown, "the key is unknown");
        Self { at, checks: vec![check], facts: None, secret: None, limits: Vec::new(), estimate: None }
    }

    /// Whether the call may be made.
    pub fn allowed(&self) -> bool {
        self.checks.iter().all(|check| check.passed) && !self.limits.iter().any(Verdict::blocks)
    }
}

/// Decides.
pub(super) fn decide(
    secrets: &Secrets,
    token: Option<&GatewayToken>,
    facts: Option<Facts>,
    question: &Question,
    now: DateTime<Utc>,
) -> Result<Decision> {
    admit_asker(secrets, token, &question.asker, now)?;
    let facts =
        facts.filter(|facts| serves(token, &question.asker, (facts.key.organization_id, facts.key.team_id)));
    let Some(facts) = facts else { return Ok(Decision::unknown(now)) };
    let proof = match &question.key {
        Proof::Secret(presented) => match proved(secrets, presented, &facts.key) {
            Some(secret) => Some(secret),
            None => return Ok(Decision::unknown(now)),
        },
        Proof::Id(_) => None,
        Proof::Nothing => return Ok(Decision::unknown(now)),
    };
    let key = &facts.key;
    let mut checks = vec![Check::passed("key", "the key is known"), status(key), expiry(key, now)];
    checks.extend(proof.map(|secret| grace(secret, now)));
    checks.push(owner(&facts.owner));
    checks.extend(holder(&facts, now));
    checks.push(organization(facts.organization.status));
    if !matches!(question.asker, Asker::Key) {
        if question.call.connection_id.is_some() {
            checks.extend(connection(key, facts.connection.as_deref()));
        }
        checks.extend([model(&facts, &question.call), scope(key, &question.call)]);
    }
    checks.push(address(key, question.call.client_ip));
    let secret = proof.map(|secret| secret.id);
    Ok(Decision { at: now, checks, secret, facts: Some(facts), limits: Vec::new(), estimate: None })
}

/// Whether whoever asks may; only gateways have yet to prove themselves.
pub(super) fn admit_asker(
    secrets: &Secrets,
    token: Option<&GatewayToken>,
    asker: &Asker,
    now: DateTime<Utc>,
) -> Result<()> {
    match asker {
        Asker::Gateway(gateway) => admit(secrets, token, gateway, now),
        Asker::Key | Asker::Administrator(_) => Ok(()),
    }
}

/// Whether the gateway is who it says it is, and may ask this from where it is.
fn admit(
    secrets: &Secrets,
    token: Option<&GatewayToken>,
    gateway: &Gateway,
    now: DateTime<Utc>,
) -> Result<()> {
    let proved = |token: &&GatewayToken| {
        secrets.matches(gateway.token.signed_part(), token.pepper_version, &token.digest.0)
    };
    let token = token
        .filter(proved)
        .ok_or(Error::Unauthenticated("token_invalid", "the gateway token is not valid"))?;
    if token.expires_at.is_some_and(|end| end <= now) {
        return Err(Error::Unauthenticated("token_expired", "the gateway token has expired"));
    }
    if !within(token.allowed_cidrs.as_ref(), gateway.client_ip) {
        return Err(Error::Forbidden("the gateway token is not for this address".into()));
    }
    let word = gateway.purpose.word();
    if !token.scopes.0.iter().any(|scope| scope == word || scope == EVERY) {
        return Err(Error::Forbidden(format!("the gateway token lacks the scope {word}").into()));
    }
    Ok(())
}

/// Whether the asker has anything to do with an organization.
pub(super) fn is_of(token: Option<&GatewayToken>, asker: &Asker, organization: OrganizationId) -> bool {
    match (asker, token) {
        (Asker::Key, _) => true,
        (Asker::Administrator(own), _) => *own == organization,
        (Asker::Gateway(_), None) => false,
        (Asker::Gateway(_), Some(token)) => {
            [OrganizationId::PLATFORM, organization].contains(&token.organization_id)
        }
    }
}

/// Whether the asker has anything to do with what belongs to an organization and maybe a team.
pub(super) fn serves(
    token: Option<&GatewayToken>,
    asker: &Asker,
    (organization, team): (OrganizationId, Option<TeamId>),
) -> bool {
    let teams = token.and_then(|token| token.team_ids.as_ref());
    let of_team = |Texts(teams): &Texts| team.is_some_and(|team| teams.contains(&team.to_string()));
    is_of(token, asker, organization) && teams.is_none_or(of_team)
}

/// The secret of the key that was presented; each is compared in constant time.
fn proved<'k>(secrets: &Secrets, presented: &Token, key: &'k Key) -> Option<&'k Secret> {
    let is_it = |secret: &&Secret| {
        secret.scheme == SCHEME
            && secrets.matches(presented.signed_part(), secret.pepper_version, &secret.digest.0)
    };
    key.secrets.iter().find(is_it)
}

fn status(key: &Key) -> Check {
    const STATUS: &str = "status";
    match key.status {
        _ if key.archived_at.is_some() => Check::failed(STATUS, Code::KeyRevoked, "the key was deleted"),
        KeyStatus::Revoked => Check::failed(STATUS, Code::KeyRevoked, "the key was revoked"),
        KeyStatus::Disabled => Check::failed(STATUS, Code::KeyDisabled, "the key is disabled"),
        KeyStatus::Active => Check::passed(STATUS, "the key is active"),
    }
}

fn expiry(key: &Key, now: DateTime<Utc>) -> Check {
    match key.expires_at {
        Some(end) if end <= now => Check::failed("expiry", Code::KeyExpired, "the key has expired"),
        Some(_) => Check::passed("expiry", "the key has not expired"),
        None => Check::passed("expiry", "the key does not expire"),
    }
}

fn grace(secret: &Secret, now: DateTime<Utc>) -> Check {
    match secret.expires_at {
        Some(end) if end <= now => {
            let detail = "the key was rotated, and the grace of this secret is over";
            Check::failed("secret", Code::SecretExpired, detail)
        }
        Some(_) => Check::passed("secret", "the key was rotated, and the grace of this secret lasts"),
        None => Check::passed("secret", "the secret is the current one"),
    }
}

fn owner(owner: &Owner) -> Check {
    let stands =
        |standing: Option<Standing>, fine: &'static str, suspended: &'static str, gone: &'static str| {
            match standing {
                Some(Standing::Active) => Check::passed("owner", fine),
                Some(Standing::Suspended) => Check::failed("owner", Code::OwnerSuspended, suspended),
                Some(Standing::Deleted) | None => Check::failed("owner", Code::OwnerSuspended, gone),
            }
        };
    match owner {
        Owner::Team(team) => stands(
            team.as_ref().map(|team| team.status),
            "the team that owns the key is at work",
            "the team that owns the key is suspended",
            "the team that owns the key is gone",
        ),
        Owner::ServiceAccount(account) => stands(
            account.as_ref().map(|account| account.status),
            "the service account that owns the key is at work",
            "the service account that owns the key is suspended",
            "the service account that owns the key is gone",
        ),
        Owner::Person(_, Some(account)) if account.status == Standing::Suspended => {
            Check::failed("owner", Code::OwnerSuspended, "the account of the key's owner is suspended")
        }
        Owner::Person(_, account) if account.as_ref().is_none_or(|a| a.status == Standing::Deleted) => {
            Check::failed("owner", Code::OwnerSuspended, "the account of the key's owner is gone")
        }
        Owner::Person(member, _) => stands(
            member.as_ref().map(|member| member.status),
            "the person who owns the key is an active member",
            "the membership of the key's owner is suspended",
            "the key's owner has left the organization",
        ),
    }
}

/// The person whom a team's key was issued to. What left with the person does not come back with them.
fn holder(facts: &Facts, now: DateTime<Utc>) -> Option<Check> {
    const HOLDER: &str = "holder";
    let failed = |detail| Check::failed(HOLDER, Code::HolderLeft, detail);
    let left = || failed("the person whom the key was issued to has left");
    if facts.key.holder_left_at.is_some_and(|left| left <= now) {
        return Some(match facts.key.issued_to_invitation_id {
            Some(_) => failed("nobody can accept the invitation that the key was issued to any more"),
            None => left(),
        });
    }
    let holder = facts.holder.as_ref()?;
    let member = holder.member.as_ref().map(|member| member.status);
    let account = holder.account.as_ref().map(|account| account.status);
    Some(match member.zip(account).map(|(member, account)| member.max(account)) {
        Some(Standing::Active) => {
            Check::passed(HOLDER, "the person whom the key was issued to is an active member")
        }
        Some(Standing::Suspended) => {
            let detail = "the person whom the key was issued to is suspended";
            Check::failed(HOLDER, Code::OwnerSuspended, detail)
        }
        Some(Standing::Deleted) | None => left(),
    })
}

fn organization(standing: Standing) -> Check {
    match standing {
        Standing::Active => Check::passed("organization", "the organization is at work"),
        _ => Check::failed("organization", Code::OrganizationSuspended, "the organization is suspended"),
    }
}

/// The connection that a call names. One that was deleted is not there, and neither is another organization's.
fn connection(key: &Key, connection: Option<&Connection>) -> Vec<Check> {
    const CONNECTION: &str = "connection";
    let known = connection.filter(|connection| connection.status != ConnectionStatus::Deleted);
    let Some(connection) = known else {
        return vec![Check::failed(CONNECTION, Code::ConnectionUnknown, "the connection is unknown")];
    };
    let status = match connection.status {
        ConnectionStatus::Active => Check::passed(CONNECTION, "the connection is at work"),
        ConnectionStatus::Disabled | ConnectionStatus::Deleted => {
            Check::failed(CONNECTION, Code::ConnectionDisabled, "the connection is disabled")
        }
    };
    let team = match connection.team_id {
        None => Check::passed("connection_team", "the connection is the organization's"),
        Some(team) if key.team_id == Some(team) => {
            Check::passed("connection_team", "the connection is that of the key's team")
        }
        Some(_) => {
            let detail = "the connection belongs to a team that is not the key's";
            Check::failed("connection_team", Code::ConnectionNotAllowed, detail)
        }
    };
    vec![status, team]
}

fn scope(key: &Key, call: &Call) -> Check {
    const SCOPE: &str = "scope";
    match (&key.scopes, &call.scope) {
        (None, _) => Check::passed(SCOPE, "the key is for every kind of call"),
        (Some(Texts(scopes)), Some(scope)) if scopes.contains(scope) => {
            Check::passed(SCOPE, "the key is for this kind of call")
        }
        (Some(_), Some(scope)) => {
            Check::failed(SCOPE, Code::ScopeNotAllowed, format!("the key is not for {scope}"))
        }
        (Some(_), None) => {
            let detail = "the key is for some kinds of call only, and none was named";
            Check::failed(SCOPE, Code::ScopeNotAllowed, detail)
        }
    }
}

fn address(key: &Key, client: Option<IpAddr>) -> Check {
    const ADDRESS: &str = "address";
    if key.allowed_cidrs.is_none() {
        return Check::passed(ADDRESS, "the key may be used from anywhere");
    }
    if within(key.allowed_cidrs.as_ref(), client) {
        return Check::passed(ADDRESS, "the client's address is in the key's networks");
    }
    let detail = match client {
        Some(ip) => format!("{ip} is not in the key's networks").into(),
        None => Cow::Borrowed("the key is restricted to networks, and the client's address is not known"),
    };
    Check::failed(ADDRESS, Code::AddressNotAllowed, detail)
}

/// Whether an address is in one of the networks; an unknown one is in none.
fn within(networks: Option<&Texts>, address: Option<IpAddr>) -> bool {
    let Some(Texts(networks)) = networks else { return true };
    let Some(address) = address.map(|address| address.to_canonical()) else { return false };
    networks.iter().any(|net| net.parse::<IpNet>().is_ok_and(|net| net.contains(&address)))
}
