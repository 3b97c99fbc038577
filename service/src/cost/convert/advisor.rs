//! [`Advisor`]: another model that the one that serves a call asks on its way. The provider charges for what it uses at that
//! model's own price, and the sides of the call do not hold it.

use super::object::Object;
use crate::{Result, cost::Usage, meter::fold, validate::Faults};
use entity::terms::Component;

/// Advisors of one call, as many as its attempts leave room for at most.
const ADVISORS: usize = 31;
/// Characters of the name of a model.
const NAME: usize = 256;

/// A model that was asked within a call, and all that it used there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advisor {
    /// The model.
    pub model: String,
    /// How much of everything it used. However often it was asked, it is one request.
    pub usage: Usage,
}

/// Adds what an iteration used to its advisor's. What it used comes back if it does not say which model that is, or there
/// are too many: that is a doubt, and the call itself has used it.
pub(super) fn add(advisors: &mut Vec<Advisor>, iteration: &Object<'_>, used: Usage) -> Result<Option<Usage>> {
    let Some(model) = name(iteration)? else { return Ok(Some(used)) };
    if let Some(known) = advisors.iter_mut().find(|advisor| fold(&advisor.model) == fold(model)) {
        let sum = known.usage.plus(&used);
        let too_much = || iteration.wrong("input_tokens", "out_of_range", "is together too much");
        known.usage = sum.ok_or_else(too_much)?;
        return Ok(None);
    }
    if advisors.len() >= ADVISORS {
        let message = format!("is one advisor more than the {ADVISORS} that are told apart");
        iteration.doubt(iteration.wrong("model", "too_many", message))?;
        return Ok(Some(used));
    }
    let mut usage = used;
    usage.set(Component::Request, 1)?;
    advisors.push(Advisor { model: model.to_owned(), usage });
    Ok(None)
}

/// The model of an iteration, if it is one that can be named.
fn name<'v>(iteration: &Object<'v>) -> Result<Option<&'v str>> {
    let model = iteration.text("model")?.map(str::trim).unwrap_or_default();
    let (pointer, mut faults) = (iteration.pointer("model"), Faults::default());
    faults.when(model.is_empty(), &pointer, "required", "is needed to know what the advisor costs");
    faults.text(&pointer, model, NAME);
    match faults.finish() {
        Ok(()) => Ok(Some(model)),
        Err(error) => iteration.doubt(error).map(|()| None),
    }
}
