//! A call that is put on the books: its id, which says when it is made, and its row, which says what it holds and on what terms.

use super::{
    command::{Fingerprint, Naming},
    decide::Decision,
    estimate::Price,
    ledger::{NOTHING, next_release},
    limits::Verdict,
    post::terms_of,
    question::Question,
    task::bytes,
};
use crate::{Error, Result};
use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    id::ReservationId,
    json::Tags,
    ledger::{CallTerms, Legs},
    reservation,
    status::ReservationState,
};

/// How far ahead of the database's clock the clock of a client may be.
const AHEAD: TimeDelta = TimeDelta::minutes(5);
/// How old the id of a call may be when it is authorized.
const OLDEST: TimeDelta = TimeDelta::hours(24);

/// When the id of a call was made; none if it is no UUIDv7.
pub fn made(id: ReservationId) -> Option<DateTime<Utc>> {
    let uuid = id.uuid();
    let timestamp = uuid.get_timestamp().filter(|_| uuid.get_version_num() == 7)?;
    let (seconds, nanos) = timestamp.to_unix();
    DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
}

/// The id of a call that was not known before must say when it is made, and that must be now or lately.
pub(super) fn is_timely(id: ReservationId, at: DateTime<Utc>, oldest: Option<DateTime<Utc>>) -> Result<()> {
    let wrong = |code, message: &str| Err(Error::invalid("/reservation_id", code, message));
    let Some(made) = made(id) else { return wrong("invalid_value", "must be a UUIDv7") };
    if made > at + AHEAD {
        return wrong("in_the_future", "must be made no more than 5 minutes ahead of the database's clock");
    }
    match oldest {
        None if made < at - OLDEST => wrong("too_old", "must be made in the last 24 hours"),
        Some(oldest) if made < oldest => wrong("too_old", "is from before usage was recorded"),
        _ => Ok(()),
    }
}

pub(super) fn end(at: DateTime<Utc>, seconds: i64) -> DateTime<Utc> {
    TimeDelta::try_seconds(seconds).and_then(|seconds| at.checked_add_signed(seconds)).unwrap_or(at)
}

/// A call that is put on the books.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening {
    pub(super) id: ReservationId,
    /// Whether the client has chosen the id.
    pub(super) chosen: bool,
    /// Until it is unresolved.
    pub(super) seconds: i64,
    pub(super) print: Fingerprint,
    /// Whether a gateway of the installation asks.
    pub(super) by_platform: bool,
}

impl Opening {
    /// The row of a call that may be made: what it holds, and on what terms.
    pub(super) fn row(self, decision: &Decision, question: &Question) -> Result<reservation::Model> {
        let facts = decision.facts.as_ref().ok_or_else(|| Error::internal("a call without a key"))?;
        let key = &facts.key;
        let mut tags = question.call.tags.0.clone();
        tags.extend(key.tags.0.clone());
        let mut terms = CallTerms {
            release_after: facts.organization.release_after,
            ..terms_of(&question.call, Tags(tags))
        };
        terms.caps = Legs(decision.limits.iter().filter_map(Verdict::cap).collect());
        if let Some(estimate) = &decision.estimate {
            let whole = |tokens: u64| i64::try_from(tokens).unwrap_or(i64::MAX);
            terms.candidates.clone_from(&estimate.candidates);
            (terms.input_tokens, terms.output_tokens) =
                (whole(estimate.input_tokens), whole(estimate.output_tokens));
            terms.exact = estimate.is_exact();
            terms.cost = match &estimate.price {
                Price::Bounded(nanos, currency) => Some((nanos.0, currency.clone())),
                Price::Unknown(_) | Price::Waived | Price::Mixed(_) => None,
            };
        }
        let mut row = reservation::Model {
            organization_id: key.organization_id,
            id: self.id,
            key_id: Some(key.id),
            secret_id: decision.secret,
            team_id: key.team_id,
            user_id: key.user_id,
            service_account_id: key.service_account_id,
            by_platform: self.by_platform,
            state: ReservationState::Held,
            body_hash: bytes(self.print),
            settle_hash: None,
            legs: Legs(decision.limits.iter().filter_map(Verdict::leg).collect()),
            released: NOTHING,
            terms,
            created_at: decision.at,
            expires_at: end(decision.at, self.seconds),
            release_at: None,
            closed_at: None,
            counted_from: None,
        };
        row.release_at = next_release(&row);
        Ok(row)
    }
}

/// The row of a call that was voided before it was authorized.
pub(super) fn tombstone(naming: &Naming, at: DateTime<Utc>) -> reservation::Model {
    reservation::Model {
        organization_id: naming.organization,
        id: naming.reservation,
        key_id: None,
        secret_id: None,
        team_id: None,
        user_id: None,
        service_account_id: None,
        by_platform: false,
        state: ReservationState::Voided,
        body_hash: Vec::new(),
        settle_hash: None,
        legs: Legs::default(),
        released: NOTHING,
        terms: CallTerms::default(),
        created_at: at,
        expires_at: at,
        release_at: None,
        closed_at: Some(at),
        counted_from: None,
    }
}
