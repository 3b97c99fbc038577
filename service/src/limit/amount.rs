//! Amounts of limits: an integer in the row, billionths of a currency's unit or a count, and on the wire a decimal number in
//! a string, whatever is counted. What does not fit is refused, never rounded.

use crate::validate::Faults;
use entity::{
    money::{DecimalFault, Nanos, plain},
    status::Metric,
};

/// An amount of what the metric counts, as it is shown.
pub(crate) fn amount_text(metric: Metric, amount: i64) -> String {
    match metric {
        Metric::Cost => Nanos(amount).to_string(),
        _ => amount.to_string(),
    }
}

/// The amount that a text states; nothing is the amount of a text that is at fault.
pub(super) fn amount(metric: Metric, text: &str, pointer: &str, faults: &mut Faults) -> i64 {
    // Zeros that say nothing, and a zero below zero, are not how an amount is written.
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let odd = whole.starts_with('-') && !text.bytes().any(|byte| (b'1'..=b'9').contains(&byte));
    if odd || part.len() > 9 {
        faults.add(pointer, "invalid_value", "must have at most 9 digits after the point, and no sign");
        return 0;
    }
    let read = match metric {
        Metric::Cost => text.parse().map(|Nanos(amount)| amount),
        _ => plain(text, 0),
    };
    match read {
        Ok(amount) => {
            faults.when(amount < 0, pointer, "out_of_range", "must not be below zero");
            amount
        }
        Err(DecimalFault::TooPrecise(0)) => {
            faults.add(pointer, "invalid_value", "must be a whole number, in a string");
            0
        }
        Err(DecimalFault::TooLarge) => {
            let most = amount_text(metric, i64::MAX);
            faults.add(pointer, "out_of_range", format!("must be at most {most}"));
            0
        }
        Err(fault) => {
            faults.add(pointer, "invalid_value", fault.to_string());
            0
        }
    }
}
