//! [`Faulty`]: what is wrong with a file, place by place.

use crate::{Error, Result, error::FieldError};

/// Faults of a file that are told.
const MOST: usize = 100;

/// The faults found so far.
#[derive(Debug, Default)]
pub(super) struct Faulty(Vec<FieldError>);

impl Faulty {
    pub(super) fn add(&mut self, fault: FieldError) {
        if self.0.len() < MOST {
            self.0.push(fault);
        }
    }

    /// Adds the faults of a check of what stands at `pointer`.
    pub(super) fn check<T>(&mut self, pointer: &str, checked: Result<T>) {
        let Err(Error::Invalid(faults)) = checked else { return };
        for fault in faults {
            self.add(FieldError { pointer: format!("{pointer}{}", fault.pointer), ..fault });
        }
    }

    /// These, and then others.
    pub(super) fn and(mut self, others: Self) -> Self {
        others.0.into_iter().for_each(|fault| self.add(fault));
        self
    }

    /// Nothing wrong, or everything that is.
    pub(super) fn finish(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(refusal(self.0)) }
    }
}

/// A file with a field that nobody knows is not understood; with other faults it is not acceptable.
pub(super) fn refusal(faults: Vec<FieldError>) -> Error {
    let unknown = faults.iter().find(|fault| fault.code == "unknown_field");
    unknown.cloned().map_or(Error::Invalid(faults), Error::Malformed)
}

/// What a reader says of a value, as a fault of the field.
pub(super) fn fault(path: &serde_path_to_error::Path, under: &str, said: &str) -> FieldError {
    let said = said.rsplit_once(" at line ").map_or(said, |(said, _)| said);
    let named = said.split('`').nth(1).unwrap_or_default();
    let mut pointer = format!("{under}{}", pointer(path));
    let code = if said.starts_with("unknown field") {
        "unknown_field"
    } else if said.starts_with("missing field") {
        "required"
    } else {
        "invalid_value"
    };
    if code != "invalid_value" && !pointer.ends_with(&format!("/{named}")) {
        pointer = format!("{pointer}/{}", escaped(named));
    }
    // What a field is not is left out: it may be long.
    let message = match said.split_once(", expected ") {
        Some((wrong, expected)) if wrong.starts_with("invalid") => format!("expected {expected}"),
        _ => said.to_owned(),
    };
    FieldError { pointer, code, message }
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let step = |segment: &Segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", escaped(key)),
        Segment::Enum { variant } => format!("/{}", escaped(variant)),
        Segment::Unknown => String::new(),
    };
    path.iter().map(step).collect()
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
