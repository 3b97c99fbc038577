//! Money as integers. Nothing here or above it is ever a float: text is read digit by digit, and what does not fit is
//! refused, never rounded.

use sea_orm::DeriveValueType;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{borrow::Cow, fmt, str::FromStr};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, schema::Type},
};

/// Digits after the point of an amount of money.
const NANO: u32 = 9;
/// Digits of a factor after the point.
const MILLIONTH: u32 = 6;

/// Why a text is not an exact decimal number of the wanted precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecimalFault {
    /// It is no decimal number.
    NotDecimal,
    /// It has more digits after the point than are kept.
    TooPrecise(u32),
    /// It is too large.
    TooLarge,
}

impl fmt::Display for DecimalFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDecimal => write!(f, "expected a decimal number in a string, such as \"0.25\""),
            Self::TooPrecise(scale) => write!(f, "expected at most {scale} digits after the point"),
            Self::TooLarge => write!(f, "expected a smaller number"),
        }
    }
}
impl std::error::Error for DecimalFault {}

/// A JSON number (`2.5e-06` as well as `0.0000025`) times ten to the power of `scale`, exactly.
pub fn scaled(text: &str, scale: u32) -> Result<i64, DecimalFault> {
    let (negative, unsigned) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            (mantissa, exponent.parse::<i32>().map_err(|_| DecimalFault::NotDecimal)?)
        }
        None => (unsigned, 0),
    };
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) {
        return Err(DecimalFault::NotDecimal);
    }
    let all = format!("{whole}{part}");
    let significant = all.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        return Ok(0);
    }
    // The power of ten of the last significant digit, once scaled.
    let dropped = all.trim_start_matches('0').len() - significant.len();
    let last = i64::from(exponent) + i64::from(scale) + length(dropped) - length(part.len());
    let zeros = u32::try_from(last).map_err(|_| DecimalFault::TooPrecise(scale))?;
    let value = significant.parse::<i64>().ok().zip(10i64.checked_pow(zeros));
    let value = value.and_then(|(value, power)| value.checked_mul(power)).ok_or(DecimalFault::TooLarge)?;
    Ok(if negative { -value } else { value })
}

fn length(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX / 4)
}

/// A decimal number in plain notation times ten to the power of `scale`, exactly.
pub fn plain(text: &str, scale: u32) -> Result<i64, DecimalFault> {
    if text.len() > 64 || text.contains(['e', 'E']) {
        return Err(DecimalFault::NotDecimal);
    }
    scaled(text, scale)
}

/// An integer over ten to the power of `scale` as a decimal number, with at least `least` digits after the point.
pub fn decimal(value: i128, scale: u32, least: usize) -> String {
    let scale = scale as usize;
    let digits = format!("{:0>width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, part) = digits.split_at_checked(digits.len() - scale).unwrap_or((&digits, ""));
    let part = part.trim_end_matches('0');
    let sign = if value < 0 { "-" } else { "" };
    match part.len().max(least) {
        0 => format!("{sign}{whole}"),
        width => format!("{sign}{whole}.{part:0<width$}"),
    }
}

/// Reads a decimal number from a JSON string; a JSON number may have been a float on its way and is refused.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D, scale: u32) -> Result<i64, D::Error> {
    let text = Cow::<str>::deserialize(deserializer)
        .map_err(|_| de::Error::custom("expected a decimal number in a string, such as \"0.25\""))?;
    plain(&text, scale).map_err(de::Error::custom)
}

/// The schema of a decimal number in a string.
pub fn schema(example: &str, scale: u32, about: &str) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(format!(r"^-?\d+(\.\d{{1,{scale}}})?$")))
        .description(Some(about))
        .examples([serde_json::json!(example)])
        .into()
}

/// An amount of money in billionths of the currency's unit; on the wire a decimal string with nine digits after the
/// point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, DeriveValueType)]
pub struct Nanos(pub i64);

impl Nanos {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The sum, if it fits.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }
    /// The difference, if it fits.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }
}

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal(self.0.into(), NANO, 9))
    }
}
impl FromStr for Nanos {
    type Err = DecimalFault;
    fn from_str(text: &str) -> Result<Self, DecimalFault> {
        plain(text, NANO).map(Self)
    }
}
impl Serialize for Nanos {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for Nanos {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize(deserializer, NANO).map(Self)
    }
}
impl PartialSchema for Nanos {
    fn schema() -> RefOr<Schema> {
        schema("0.000123450", NANO, "An exact amount of money in the currency's unit.")
    }
}
impl ToSchema for Nanos {
    fn name() -> Cow<'static, str> {
        "Money".into()
    }
}

/// A sum of many amounts of money, which may be larger than any one of them can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Total(pub i128);

impl Total {
    /// Whole units of the currency, and billionths beside.
    pub fn new(units: i64, rest: Nanos) -> Self {
        Self(i128::from(units) * 10_i128.pow(NANO) + i128::from(rest.0))
    }
}

impl From<Nanos> for Total {
    fn from(amount: Nanos) -> Self {
        Self(amount.0.into())
    }
}
impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal(self.0, NANO, 9))
    }
}
impl Serialize for Total {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The price of a million units (tokens, characters, images, seconds, requests) in billionths of the currency's unit:
/// $0.0375 for a million tokens is 37,500,000. Stored as that integer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rate(pub i64);

/// A multiplier in millionths, stored as that integer; on the wire a decimal string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Factor(pub i64);

impl Factor {
    /// Leaves everything as it is.
    pub const ONE: Self = Self(1_000_000);
}

impl fmt::Display for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal(self.0.into(), MILLIONTH, 0))
    }
}
impl FromStr for Factor {
    type Err = DecimalFault;
    fn from_str(text: &str) -> Result<Self, DecimalFault> {
        plain(text, MILLIONTH).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_digit_by_digit() {
        for (text, scale, value) in [
            ("0.0375", 9, 37_500_000),
            ("3.75e-06", 15, 3_750_000_000),
            ("2.8E-9", 15, 2_800_000),
            ("0.00000000000000100", 15, 1),
            ("1e3", 0, 1000),
            ("-1.5", 1, -15),
            ("000", 9, 0),
            ("0e999999", 0, 0),
            ("9223372036854775807", 0, i64::MAX),
        ] {
            assert_eq!(scaled(text, scale), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (text, fault) in [
            ("0.0000000001", DecimalFault::TooPrecise(9)),
            ("1e-400", DecimalFault::TooPrecise(9)),
            ("9223372037", DecimalFault::TooLarge),
            ("1e99999999", DecimalFault::TooLarge),
            ("", DecimalFault::NotDecimal),
            (".5", DecimalFault::NotDecimal),
            ("5.", DecimalFault::NotDecimal),
            ("1.2.3", DecimalFault::NotDecimal),
            ("+1", DecimalFault::NotDecimal),
            ("--1", DecimalFault::NotDecimal),
            ("1_000", DecimalFault::NotDecimal),
            ("١", DecimalFault::NotDecimal),
            ("NaN", DecimalFault::NotDecimal),
            ("1e", DecimalFault::NotDecimal),
        ] {
            assert_eq!(scaled(text, 9), Err(fault), "{text}");
        }
        assert_eq!("1e3".parse::<Nanos>(), Err(DecimalFault::NotDecimal));
    }

    #[test]
    fn money_is_written_with_nine_digits() {
        for (nanos, text) in [(0, "0.000000000"), (123_450, "0.000123450"), (-1_500_000_000, "-1.500000000")]
        {
            assert_eq!(Nanos(nanos).to_string(), text);
            assert_eq!(text.parse(), Ok(Nanos(nanos)));
        }
        assert_eq!(Factor(1_100_000).to_string(), "1.1");
        assert_eq!(decimal(i128::from(i64::MIN), 9, 9), "-9223372036.854775808");
    }
}
