//! [`Terms`]: what a price charges for, as integers. Stored as JSON; never a float, never a decimal text.

use crate::money::{Factor, Rate};
use sea_orm::{DeriveActiveEnum, EnumIter, FromJsonQueryResult, prelude::StringLen};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, collections::BTreeMap};
use utoipa::ToSchema;

/// What is counted and charged. The eleven token classes are disjoint: a token is in exactly one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Component {
    /// Prompt tokens that came from no cache.
    Input,
    /// Prompt tokens read from a cache.
    CacheRead,
    /// Prompt tokens written to a cache that lives some minutes.
    CacheWrite,
    /// Prompt tokens written to a cache that lives an hour.
    #[serde(rename = "cache_write_1h")]
    CacheWrite1h,
    /// Completion tokens, without reasoning.
    Output,
    /// Reasoning tokens.
    Reasoning,
    /// Tokens of audio in the prompt.
    AudioInput,
    /// Tokens of audio in the completion.
    AudioOutput,
    /// Tokens of images in the prompt.
    ImageInput,
    /// Tokens of images in the completion.
    ImageOutput,
    /// Tokens of audio in the prompt that were read from a cache.
    CacheReadAudio,
    /// Requests.
    Request,
    /// Images.
    Image,
    /// Seconds of audio or video.
    Second,
    /// Characters.
    Character,
    /// Web searches that the provider ran for the call.
    WebSearch,
    /// Executions of code that the provider ran for the call.
    CodeExecution,
}

impl Component {
    /// Every component, in order; `as usize` is the place in it.
    pub const EVERY: [Self; 17] = [
        Self::Input,
        Self::CacheRead,
        Self::CacheWrite,
        Self::CacheWrite1h,
        Self::Output,
        Self::Reasoning,
        Self::AudioInput,
        Self::AudioOutput,
        Self::ImageInput,
        Self::ImageOutput,
        Self::CacheReadAudio,
        Self::Request,
        Self::Image,
        Self::Second,
        Self::Character,
        Self::WebSearch,
        Self::CodeExecution,
    ];

    /// Its name on the wire.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::CacheRead => "cache_read",
            Self::CacheWrite => "cache_write",
            Self::CacheWrite1h => "cache_write_1h",
            Self::Output => "output",
            Self::Reasoning => "reasoning",
            Self::AudioInput => "audio_input",
            Self::AudioOutput => "audio_output",
            Self::ImageInput => "image_input",
            Self::ImageOutput => "image_output",
            Self::CacheReadAudio => "cache_read_audio",
            Self::Request => "request",
            Self::Image => "image",
            Self::Second => "second",
            Self::Character => "character",
            Self::WebSearch => "web_search",
            Self::CodeExecution => "code_execution",
        }
    }

    /// Whether it is a class of tokens.
    pub const fn is_token(self) -> bool {
        !matches!(self, Self::Request | Self::Image | Self::Second | Self::Character)
            && !self.is_server_tool()
    }

    /// Whether it is what a provider charges for a tool that it runs itself. The model decides how often, so nobody knows it
    /// before the call.
    pub const fn is_server_tool(self) -> bool {
        matches!(self, Self::WebSearch | Self::CodeExecution)
    }

    /// Whether it is a class of tokens of the prompt.
    pub const fn is_prompt(self) -> bool {
        matches!(
            self,
            Self::Input
                | Self::CacheRead
                | Self::CacheWrite
                | Self::CacheWrite1h
                | Self::AudioInput
                | Self::ImageInput
                | Self::CacheReadAudio
        )
    }

    /// Whether it counts for the size of a price that is tiered by total tokens: what was sent and what was written, without
    /// caches and reasoning.
    pub const fn is_size(self) -> bool {
        matches!(
            self,
            Self::Input
                | Self::Output
                | Self::AudioInput
                | Self::AudioOutput
                | Self::ImageInput
                | Self::ImageOutput
        )
    }

    /// The classes whose rate is taken where this one has none: that of the first which has one.
    pub const fn fallbacks(self) -> &'static [Self] {
        match self {
            Self::CacheWrite1h => &[Self::CacheWrite, Self::Input],
            Self::CacheReadAudio => &[Self::CacheRead, Self::AudioInput, Self::Input],
            Self::CacheRead | Self::CacheWrite | Self::AudioInput | Self::ImageInput => &[Self::Input],
            Self::Reasoning | Self::AudioOutput | Self::ImageOutput => &[Self::Output],
            _ => &[],
        }
    }
}

/// How urgently a provider serves a call, as far as it charges for that.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    EnumIter,
    DeriveActiveEnum,
    Serialize,
    Deserialize,
    ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(16))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum ServiceTier {
    /// As usual.
    #[default]
    Standard,
    /// In a batch, within a day.
    Batch,
    /// When there is room.
    Flex,
    /// Before others.
    Priority,
}

/// What decides which tier of a tiered price a whole call is charged by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TierBy {
    /// All tokens of the prompt, cached ones too.
    #[default]
    PromptTokens,
    /// Tokens of prompt and completion, without those of caches and reasoning.
    TotalTokens,
    /// Images.
    Images,
    /// Seconds.
    Seconds,
}

/// Rates by what is counted. An absent one is "no such rate", which is not "free".
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rates(pub BTreeMap<Component, Rate>);

/// The rates of calls up to some size.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Band {
    /// The largest size it is for; none = whatever is larger than the band before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to: Option<i64>,
    /// Rates by service tier; `Standard` is always there. Another one without any rate is not known to be offered for this
    /// size: nothing of it has a price, unlike one that is absent, which is charged as standard.
    pub rates: BTreeMap<ServiceTier, Rates>,
}

/// What a price charges for. A flat price has one band without rates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, FromJsonQueryResult)]
pub struct Terms {
    /// What the bands are of; none if there is only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier_by: Option<TierBy>,
    /// In order of their sizes, the last one without end; at least one.
    pub bands: Vec<Band>,
    /// What the whole cost is multiplied by in a region (`eu`) or at a speed (`fast`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub multipliers: BTreeMap<String, Factor>,
    /// What is charged otherwise in some hours of the day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub off_peak: Option<OffPeak>,
}

/// Rates of some hours of the day, in place of those of the standard service tier. What is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OffPeak {
    /// The first minute of the day, in UTC.
    pub from: u16,
    /// The first minute that it no longer holds; before `from` if midnight is in between.
    pub until: u16,
    /// The rates.
    pub rates: Rates,
}

impl OffPeak {
    /// Whether it holds in this minute of the day.
    pub const fn holds(&self, minute: u16) -> bool {
        let (after, before) = (self.from <= minute, minute < self.until);
        if self.from < self.until { after && before } else { after || before }
    }
}

impl Terms {
    /// The terms of calls in this minute of the day, in UTC.
    pub fn at(&self, minute: u16) -> Cow<'_, Self> {
        let Some(off_peak) = self.off_peak.as_ref().filter(|off_peak| off_peak.holds(minute)) else {
            return Cow::Borrowed(self);
        };
        Cow::Owned(self.with(&off_peak.rates))
    }

    /// What has a rate above zero in any tier, service tier or hour of the day.
    pub fn charged(&self) -> impl Iterator<Item = Component> + Clone {
        let bands = self.bands.iter().flat_map(|band| band.rates.values());
        let rates = bands.chain(self.off_peak.iter().map(|off_peak| &off_peak.rates));
        let charged = rates.flat_map(|Rates(rates)| rates).filter(|(_, rate)| rate.0 > 0);
        charged.map(|(component, _)| *component)
    }

    /// The terms of every hour of the day.
    pub fn of_all_hours(&self) -> impl Iterator<Item = Cow<'_, Self>> {
        let off_peak = self.off_peak.iter().map(|off_peak| Cow::Owned(self.with(&off_peak.rates)));
        std::iter::once(Cow::Borrowed(self)).chain(off_peak)
    }

    fn with(&self, rates: &Rates) -> Self {
        let mut terms = Self { off_peak: None, ..self.clone() };
        for band in &mut terms.bands {
            band.rates.entry(ServiceTier::Standard).or_default().0.extend(rates.0.clone());
        }
        terms
    }
}
