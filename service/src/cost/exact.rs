//! [`Exact`]: an amount of money before it is rounded. Sums and products are exact or fail; rounding happens once, at the
//! end, and only here.

use entity::money::{Nanos, Rate, decimal};
use serde::{Serialize, Serializer};
use std::{borrow::Cow, fmt};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, schema::Type},
};

/// Digits after the point of an amount of money.
const NANO: u32 = 9;
/// Digits after the point of the smallest number that is told from nothing when it is parsed.
const FINEST: i64 = 28;
/// Significant digits of a number that is parsed.
const DIGITS: usize = 18;
/// Digits after the point of a rate for one unit: nano-units per million.
const RATE: u32 = 15;

/// An exact decimal number: `value` over ten to the power of `scale`, without trailing zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exact {
    value: i128,
    scale: u32,
}

impl Exact {
    /// Nothing.
    pub const ZERO: Self = Self { value: 0, scale: 0 };

    /// `value` over ten to the power of `scale`.
    pub fn new(mut value: i128, mut scale: u32) -> Self {
        while scale > 0 && value % 10 == 0 {
            value /= 10;
            scale -= 1;
        }
        Self { value, scale }
    }

    /// An amount of money.
    pub fn money(Nanos(nanos): Nanos) -> Self {
        Self::new(nanos.into(), NANO)
    }

    /// A number as it is written, `2.5e-06` as well as `0.0000025`; none if it is no number, or has more digits than an
    /// amount of money.
    pub fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (sign, unsigned) = mantissa.strip_prefix('-').map_or((1, mantissa), |rest| (-1, rest));
        let (whole, part) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
        let plain = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !plain(whole) || !plain(part) {
            return None;
        }
        let digits = format!("{whole}{part}");
        let significant = digits.trim_start_matches('0').trim_end_matches('0');
        if significant.is_empty() {
            return Some(Self::ZERO);
        }
        let dropped = digits.trim_start_matches('0').len() - significant.len();
        let behind = i64::try_from(part.len()).ok()? - i64::try_from(dropped).ok()?;
        let scale = behind.checked_sub(exponent.parse().ok()?)?;
        if significant.len() > DIGITS {
            return None;
        }
        let value = significant.parse::<i128>().ok()? * sign;
        match u32::try_from(scale) {
            Ok(_) if scale > FINEST => Some(Self::ZERO),
            Ok(scale) => Some(Self::new(value, scale)),
            Err(_) => {
                let power = 10i128.checked_pow(u32::try_from(scale.unsigned_abs()).ok()?)?;
                value.checked_mul(power).map(|value| Self::new(value, 0))
            }
        }
    }

    /// What a quantity costs at a rate.
    pub fn of(quantity: u64, rate: Rate) -> Option<Self> {
        let value = i128::from(quantity).checked_mul(rate.0.into())?;
        Some(Self::new(value, RATE))
    }

    /// The sum.
    pub fn plus(self, other: Self) -> Option<Self> {
        let scale = self.scale.max(other.scale);
        let value = self.at(scale)?.checked_add(other.at(scale)?)?;
        Some(Self::new(value, scale))
    }

    /// The product.
    pub fn times(self, other: Self) -> Option<Self> {
        let value = self.value.checked_mul(other.value)?;
        Some(Self::new(value, self.scale + other.scale))
    }

    /// The nearest amount of money; of two equally near ones the even.
    pub fn half_even(self) -> Option<Nanos> {
        let (floor, rest, whole) = self.nanos()?;
        let up = match (rest * 2).cmp(&whole) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => floor % 2 != 0,
            std::cmp::Ordering::Greater => true,
        };
        money(floor + i128::from(up))
    }

    /// The least amount of money that is not less.
    pub fn up(self) -> Option<Nanos> {
        let (floor, rest, _) = self.nanos()?;
        money(floor + i128::from(rest > 0))
    }

    /// Its whole billionths, rounded down, and what is left of the next one: so many parts of so many.
    fn nanos(self) -> Option<(i128, i128, i128)> {
        let whole = 10i128.checked_pow(self.scale.saturating_sub(NANO))?;
        let value = self.at(self.scale.max(NANO))?;
        Some((value.div_euclid(whole), value.rem_euclid(whole), whole))
    }

    /// The value at a larger scale.
    fn at(self, scale: u32) -> Option<i128> {
        self.value.checked_mul(10i128.checked_pow(scale - self.scale)?)
    }
}

fn money(nanos: i128) -> Option<Nanos> {
    i64::try_from(nanos).ok().map(Nanos)
}

impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal(self.value, self.scale, 0))
    }
}
impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl PartialSchema for Exact {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(r"^-?\d+(\.\d+)?$"))
            .description(Some("An exact decimal number, not rounded."))
            .examples([serde_json::json!("0.00012345")])
            .into()
    }
}
impl ToSchema for Exact {
    fn name() -> Cow<'static, str> {
        "Exact".into()
    }
}
