//! Our own usage object: one field a class, already disjoint. Unlike a provider's, it tolerates no field that it does not
//! know, and all its faults are told at once.

use super::{Format, Reading, object::Object};
use crate::{Result, cost::Usage, validate::Faults};
use entity::terms::Component;

pub(super) fn read(object: &Object<'_>) -> Result<Reading> {
    let known = |name: &str| Component::EVERY.into_iter().any(|component| Usage::field(component) == name);
    if let Some(stranger) = object.names().find(|name| !known(name)) {
        return Err(object.unknown(stranger));
    }
    let mut usage = Usage::default();
    let mut faults = Faults::default();
    for component in Component::EVERY {
        let count = object.count(Usage::field(component));
        faults.also(&count);
        if let Ok(Some(count)) = count {
            usage.set(component, count)?;
        }
    }
    faults.finish()?;
    Ok(Reading::new(Format::Tollkeeper, usage))
}
