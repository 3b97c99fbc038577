//! What gateways tell of calls that hold: that they did not happen, that they take longer.

use super::request;
use crate::{
    Result,
    meter::{
        Asker, Task,
        command::{Command, Naming},
    },
    validate::Faults,
};
use entity::id::{OrganizationId, ReservationId};
use serde::Deserialize;
use utoipa::ToSchema;

/// A call that did not happen.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewVoid {
    /// The call.
    pub reservation_id: ReservationId,
    /// Its organization, for a gateway of the installation that has authorized it elsewhere.
    #[serde(default)]
    pub organization_id: Option<OrganizationId>,
}

/// A call that takes longer.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewExtension {
    /// The call.
    pub reservation_id: ReservationId,
    /// Its organization, for a gateway of the installation that has authorized it elsewhere.
    #[serde(default)]
    pub organization_id: Option<OrganizationId>,
    /// Seconds from now until it is unresolved.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 86_400, default = 600)]
    pub seconds: Option<i64>,
}

impl NewVoid {
    /// What voids a reservation.
    pub(super) fn command(self, by: Asker, organization: OrganizationId) -> Task {
        Task::Do(Command::Void(Naming { by, organization, reservation: self.reservation_id }))
    }
}

impl NewExtension {
    /// What extends a reservation.
    pub(super) fn command(self, by: Asker, organization: OrganizationId) -> Result<Task> {
        let mut faults = Faults::default();
        request::seconds(&mut faults, "/seconds", self.seconds);
        faults.finish()?;
        let naming = Naming { by, organization, reservation: self.reservation_id };
        Ok(Task::Do(Command::Extend(naming, self.seconds.unwrap_or(request::EXTENSION))))
    }
}
