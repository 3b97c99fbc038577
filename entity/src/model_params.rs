//! Parameters of calls that state none. Fractions are kept in thousandths: an integer, as everything that is compared.

use sea_orm::FromJsonQueryResult;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use std::{borrow::Cow, str::FromStr};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, schema::Type},
};

/// A fraction with at most three digits after the point; a number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Thousandths(pub i32);

impl Thousandths {
    fn text(self) -> String {
        let (sign, size) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        let text = format!("{sign}{}.{:03}", size / 1000, size % 1000);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

impl FromStr for Thousandths {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "must be a number with at most three digits after the point";
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let plain = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
        // 1.0 and 1.000 are 1; a longer tail of zeros means nothing either.
        let part = part.trim_end_matches('0');
        if whole.is_empty() || whole.len() > 5 || part.len() > 3 || !plain(whole) || !plain(part) {
            return Err(wrong);
        }
        let size: i32 = format!("{whole}{part:0<3}").parse().map_err(|_| wrong)?;
        Ok(Self(if negative { -size } else { size }))
    }
}

impl Serialize for Thousandths {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::Number::from_str(&self.text()).map_err(ser::Error::custom)?.serialize(serializer)
    }
}
impl<'de> Deserialize<'de> for Thousandths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        let text: Cow<'_, str> = Cow::Owned(number.to_string());
        text.parse().map_err(de::Error::custom)
    }
}
impl PartialSchema for Thousandths {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::Number).multiple_of(Some(0.001)).into()
    }
}
impl ToSchema for Thousandths {
    fn name() -> Cow<'static, str> {
        "Fraction".into()
    }
}

/// Parameters of calls that state none; an absent one is the model's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ModelParams {
    /// 0 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<Thousandths>,
    /// 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<Thousandths>,
    /// -2 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency_penalty: Option<Thousandths>,
    /// -2 to 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence_penalty: Option<Thousandths>,
    /// From 1 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub max_tokens: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_read_digit_by_digit_and_written_as_they_are() -> Result<(), serde_json::Error> {
        for (text, thousandths, again) in [
            ("0.7", 700, "0.7"),
            ("1", 1000, "1"),
            ("1.0", 1000, "1"),
            ("-2", -2000, "-2"),
            ("0.125", 125, "0.125"),
        ] {
            let read: Thousandths = serde_json::from_str(text)?;
            assert_eq!(read, Thousandths(thousandths), "{text}");
            assert_eq!(serde_json::to_value(read)?.to_string().parse::<Thousandths>(), Ok(read));
            assert_eq!(read.text(), again);
        }
        for text in ["0.1234", "1e9", "123456", "\"1\"", "null"] {
            assert!(serde_json::from_str::<Thousandths>(text).is_err(), "{text}");
        }
        Ok(())
    }
}
