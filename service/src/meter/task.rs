//! What waits for the meter, and what is answered.

use super::{
    command::{Command, Fingerprint},
    decide::Decision,
    question::{Asker, Question},
};
use entity::{
    id::{OrganizationId, ReservationId},
    reservation, usage_event,
};
use tracing::Span;

/// The target of the spans that carry the ids of requests: one around each request, and one around each batch.
pub const SPAN: &str = "tollkeeper";

/// What the meter is asked.
#[derive(Debug, Clone)]
pub enum Task {
    /// A question without any effect.
    Look(Question),
    /// What has an effect.
    Do(Command),
}

impl Task {
    /// The question about a key, if it is one.
    pub fn question(&self) -> Option<&Question> {
        match self {
            Self::Look(question) => Some(question),
            Self::Do(command) => command.question(),
        }
    }

    /// Who asks.
    pub fn asker(&self) -> &Asker {
        match self {
            Self::Look(question) => &question.asker,
            Self::Do(command) => command.asker(),
        }
    }

    /// Whether it gives back what is held, or tells what is known.
    pub fn returns(&self) -> bool {
        matches!(self, Self::Do(command) if command.returns())
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A decision without an effect: a denial, or an explanation.
    Decided(Decision),
    /// The call may be made, and holds its worst case; or its request is counted.
    Authorized(Box<Decision>, reservation::Model),
    /// What the call used is on the books; maybe it was before.
    Settled(reservation::Model, Vec<usage_event::Model>),
    /// The call has not happened.
    Voided(reservation::Model),
    /// The call takes longer.
    Extended(reservation::Model),
}

/// A task in a batch.
#[derive(Debug, Clone)]
pub struct Request {
    /// What is asked.
    pub task: Task,
    /// Whose limits and books it concerns.
    pub home: OrganizationId,
    /// Its id, once it has one.
    pub id: Option<ReservationId>,
    /// Whether it may have been carried out before, and its answer been lost.
    pub again: bool,
    /// Whether it has been put back already, so that what it depends on was loaded without the lock.
    pub prepared: bool,
    /// What it is logged with: the span of whoever asked.
    pub span: Span,
}

impl Request {
    /// A task that concerns an organization.
    pub fn new(task: Task, home: OrganizationId) -> Self {
        let id = if let Task::Do(command) = &task { command.named() } else { None };
        Self { task, home, id, again: false, prepared: false, span: Span::current() }
    }

    /// The reservation to look for: what the client names, and what may have been carried out before.
    pub(super) fn sought(&self) -> Option<(OrganizationId, ReservationId)> {
        let Task::Do(command) = &self.task else { return None };
        let id = if self.again { self.id } else { command.named() };
        Some((self.home, id?))
    }
}

/// What tells a repetition from another request.
pub(super) fn bytes(print: Fingerprint) -> Vec<u8> {
    print.to_vec()
}
