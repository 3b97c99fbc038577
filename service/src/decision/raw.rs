//! Usage objects that cannot be read exactly are kept, so that what they say can be looked at, and charged again. Nothing that
//! goes wrong with that costs the call anything but its object.

use crate::{
    System,
    meter::{
        Gateway, Meter, Task,
        raw::{RawObject, SealedObject, place},
    },
    vault,
};
use entity::{
    id::{OrganizationId, UsageRawId},
    status::RawUsage,
};
use serde_json::Value;

/// Bytes of an object as JSON, of which the largest that are kept have as many.
const MOST: usize = 16 * 1024;

/// What is kept of an object.
pub(super) fn kept(usage: &Value) -> RawObject {
    let text = usage.to_string();
    if text.len() > MOST { RawObject::Dropped(RawUsage::TooLarge) } else { RawObject::Plain(text) }
}

/// Seals the objects that a gateway has told of. Only who has proved itself has something sealed, for its own organization or
/// that of the call; whether the call is its own is decided with the command.
pub(super) async fn seal_for(system: &System, meter: &Meter, gateway: &Gateway, mut task: Task) -> Task {
    if !has_plain(&task) || super::authenticate(meter, gateway.clone()).await.is_err() {
        return task;
    }
    if let Ok(home) = meter.home(&task).await {
        seal(system, home, &mut task).await;
    }
    task
}

fn has_plain(task: &Task) -> bool {
    let Task::Do(command) = task else { return false };
    command.attempts().iter().any(|attempt| matches!(attempt.raw, Some(RawObject::Plain(_))))
}

/// Seals the objects of a command of an organization.
pub(super) async fn seal(system: &System, organization: OrganizationId, task: &mut Task) {
    let Task::Do(command) = task else { return };
    if organization == OrganizationId::PLATFORM {
        return;
    }
    for attempt in command.attempts_mut() {
        let Some(RawObject::Plain(text)) = &attempt.raw else { continue };
        let id: UsageRawId = system.entropy.id(system.time());
        let sealed = vault::seal_ahead(system, place(organization, &id), text.as_bytes()).await;
        attempt.raw = Some(match sealed {
            Ok((key, value)) => RawObject::Sealed(Box::new(SealedObject { id, organization, key, value })),
            Err(error) => {
                tracing::warn!(%organization, %error, "a usage object cannot be sealed, and is not kept");
                RawObject::Dropped(RawUsage::NotSealed)
            }
        });
    }
}
