//! How urgently a call was served, in the words of all providers.

use entity::terms::ServiceTier;
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use utoipa::ToSchema;

/// A service tier as providers call it. What none of them charges for by the call, such as `scale`, says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServiceTierWord {
    /// As usual.
    Standard,
    /// OpenAI's and Bedrock's word for `standard`.
    Default,
    /// Google's and Groq's word for `standard`.
    OnDemand,
    /// In a batch, within a day.
    Batch,
    /// When there is room.
    Flex,
    /// Google's word for `flex`.
    OnDemandFlex,
    /// Before others.
    Priority,
    /// Google's word for `priority`.
    OnDemandPriority,
    /// The provider chooses: what the usage object says, or else `standard`.
    Auto,
    /// Anthropic's: never `priority`.
    StandardOnly,
    /// OpenAI's capacity that is paid for in advance.
    Scale,
    /// Bedrock's.
    Reserved,
    /// Google's.
    ProvisionedThroughput,
    /// Groq's.
    Performance,
}

impl ServiceTierWord {
    const EVERY: [(Self, &'static str); 14] = [
        (Self::Standard, "standard"),
        (Self::Default, "default"),
        (Self::OnDemand, "on_demand"),
        (Self::Batch, "batch"),
        (Self::Flex, "flex"),
        (Self::OnDemandFlex, "on_demand_flex"),
        (Self::Priority, "priority"),
        (Self::OnDemandPriority, "on_demand_priority"),
        (Self::Auto, "auto"),
        (Self::StandardOnly, "standard_only"),
        (Self::Scale, "scale"),
        (Self::Reserved, "reserved"),
        (Self::ProvisionedThroughput, "provisioned_throughput"),
        (Self::Performance, "performance"),
    ];

    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        Self::EVERY.into_iter().find(|(_, word)| *word == text).map(|(tier, _)| tier)
    }

    /// The tier that is charged for, if one is.
    pub(super) const fn tier(self) -> Option<ServiceTier> {
        match self {
            Self::Standard | Self::Default | Self::OnDemand | Self::StandardOnly => {
                Some(ServiceTier::Standard)
            }
            Self::Batch => Some(ServiceTier::Batch),
            Self::Flex | Self::OnDemandFlex => Some(ServiceTier::Flex),
            Self::Priority | Self::OnDemandPriority => Some(ServiceTier::Priority),
            Self::Auto | Self::Scale | Self::Reserved | Self::ProvisionedThroughput | Self::Performance => {
                None
            }
        }
    }
}

/// Reads the tier that a request states in any of these words.
pub fn stated_tier<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ServiceTier>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let word = ServiceTierWord::parse(&text).ok_or_else(|| {
        let words = ServiceTierWord::EVERY.map(|(_, word)| word).join(", ");
        D::Error::custom(format!("must be one of {words}"))
    })?;
    Ok(word.tier())
}
