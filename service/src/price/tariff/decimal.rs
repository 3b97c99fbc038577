//! Rates and multipliers on the wire: decimal strings, exact. A JSON number may have been a float on its way and is refused.

use entity::money::{self, Factor, Rate};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

macro_rules! decimal_texts {
    ($($(#[$doc:meta])* $name:ident($inner:ident) $scale:literal $example:literal $about:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name(pub $inner);

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&money::decimal(self.0.0.into(), $scale, 0))
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                money::deserialize(deserializer, $scale).map(|value| Self($inner(value)))
            }
        }
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                money::schema($example, $scale, $about)
            }
        }
        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    )*};
}

decimal_texts! {
    /// The price of a million tokens, exact to nine digits after the point.
    PerMillion(Rate) 9 "2.5" "The price of a million tokens in the currency's unit.";
    /// The price of one request, image, second, character, web search or execution of code, exact to fifteen digits after the point.
    PerUnit(Rate) 15 "0.04" "The price of one in the currency's unit.";
    /// What the whole cost is multiplied by, exact to six digits after the point.
    Multiplier(Factor) 6 "1.1" "What the whole cost is multiplied by.";
}
