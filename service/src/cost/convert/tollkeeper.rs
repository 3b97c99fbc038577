//! Our own usage object: one field a class, already disjoint. Unlike a provider's, it tolerates no field that it does not
//! know, and all its faults are told at once.

use super::{Format, Reading, object::Object};
use crate::{Result, cost::Usage, validate::Faults};
use entity::terms::Component;

/// Whether a field is one of ours.
pub(super) fn knows(name: &str) -> bool {
    Component::EVERY.into_iter().any(|component| Usage::field(component) == name)
}

pub(super) fn read(object: &Object<'_>) -> Result<Reading> {
    for stranger in object.names().filter(|name| !knows(name)) {
        object.doubt(object.unknown(stranger))?;
    }
    let mut usage = Usage::default();
    let mut faults = Faults::default();
    for component in Component::EVERY {
        let field = Usage::field(component);
        let count = if component == Component::Second { object.seconds(field) } else { object.count(field) };
        faults.also(&count);
        if let Ok(Some(count)) = count {
            usage.set(component, count)?;
        }
    }
    faults.finish()?;
    Ok(Reading::new(Format::Tollkeeper, usage))
}
