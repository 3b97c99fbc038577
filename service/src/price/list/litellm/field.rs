//! [`Field`]: one field of an entry, and what its name means.

use super::tools;
use entity::terms::{Component, ServiceTier};
use std::borrow::Cow;

/// A field as it is written.
pub(super) struct Field<'f> {
    pub(super) name: &'f str,
    /// Its value as JSON.
    pub(super) raw: &'f str,
}

/// Which half of a call a rate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Prompt,
    Answer,
    Call,
}

/// Where in a price a rate belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) component: Component,
    pub(super) side: Side,
    pub(super) service: ServiceTier,
    /// It is for prompts of more tokens than this.
    pub(super) above: i64,
}

/// What a field means for the price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning<'f> {
    /// A rate.
    Rate(Place),
    /// What the cost is multiplied by in this region.
    Uplift(&'f str),
    /// Multipliers by their words.
    Multipliers,
    /// Rates by the size of the prompt.
    Tiers,
    /// Rates of some hours of the day.
    OffPeak,
    /// What a tool costs that a call may use.
    Tool,
    /// What a web search costs.
    Search,
    /// The rate of audio that is written to a cache.
    AudioWrite,
    /// The rate of images that were read from a cache.
    CachedImage,
    /// A charge for something that no usage reports.
    Charge,
    /// Nothing.
    Other,
}

/// The rates that have a place. One of a query is one of a request: whoever asks once has one query.
const RATES: [(&str, Component, Side); 26] = {
    use Component::{
        AudioInput, AudioOutput, CacheRead, CacheReadAudio, CacheWrite, Character, Image, ImageInput,
        ImageOutput, Input, Output, Reasoning, Request, Second,
    };
    use Side::{Answer, Call, Prompt};
    [
        ("input_cost_per_token", Input, Prompt),
        ("input_cost_per_token_cache_hit", CacheRead, Prompt),
        ("cache_read_input_token_cost", CacheRead, Prompt),
        ("cache_read_input_audio_token_cost", CacheReadAudio, Prompt),
        ("cache_creation_input_token_cost", CacheWrite, Prompt),
        ("input_cost_per_audio_token", AudioInput, Prompt),
        ("input_cost_per_image_token", ImageInput, Prompt),
        ("output_cost_per_token", Output, Answer),
        ("output_cost_per_reasoning_token", Reasoning, Answer),
        ("output_cost_per_audio_token", AudioOutput, Answer),
        ("output_cost_per_image_token", ImageOutput, Answer),
        ("input_cost_per_image", Image, Prompt),
        ("output_cost_per_image", Image, Answer),
        ("input_cost_per_second", Second, Prompt),
        ("output_cost_per_second", Second, Answer),
        ("input_cost_per_audio_per_second", Second, Prompt),
        ("output_cost_per_audio_per_second", Second, Answer),
        ("input_cost_per_video_per_second", Second, Prompt),
        ("output_cost_per_video_per_second", Second, Answer),
        ("input_cost_per_character", Character, Prompt),
        ("output_cost_per_character", Character, Answer),
        ("input_cost_per_request", Request, Call),
        ("output_cost_per_request", Request, Call),
        ("cost_per_request", Request, Call),
        ("input_cost_per_query", Request, Call),
        ("cost_per_query", Request, Call),
    ]
};

/// What follows the name of a rate in a service tier.
const SERVICES: [(&str, ServiceTier); 4] = [
    ("_batches", ServiceTier::Batch),
    ("_batch_requests", ServiceTier::Batch),
    ("_flex", ServiceTier::Flex),
    ("_priority", ServiceTier::Priority),
];

/// How the names of what tools cost begin.
const TOOLS: [&str; 7] = [
    "search_context_cost",
    "web_search_cost",
    "code_interpreter_cost",
    "file_search_cost",
    "vector_store_cost",
    "computer_use_",
    "google_maps_cost",
];

impl<'f> Field<'f> {
    /// A field.
    pub(super) fn new(name: &'f str, raw: &'f str) -> Self {
        Self { name, raw }
    }

    pub(super) fn is_null(&self) -> bool {
        self.raw == "null"
    }

    /// Its value, if that is a text.
    pub(super) fn text(&self) -> Option<Cow<'f, str>> {
        let text = serde_json::from_str::<String>(self.raw).ok()?;
        Some(Cow::Owned(text))
    }

    /// The digits of its value, if that is a number or a text that holds one.
    pub(super) fn number(&self) -> Option<Cow<'f, str>> {
        match self.raw.as_bytes().first()? {
            b'0'..=b'9' | b'-' => Some(Cow::Borrowed(self.raw)),
            b'"' => self.text(),
            _ => None,
        }
    }

    /// What it means for the price.
    pub(super) fn meaning(&self) -> Meaning<'f> {
        if let Some(place) = place(self.name) {
            return Meaning::Rate(place);
        }
        if let Some(region) = self.name.strip_prefix("regional_processing_uplift_multiplier_") {
            return Meaning::Uplift(region);
        }
        match self.name {
            "provider_specific_entry" => Meaning::Multipliers,
            "tiered_pricing" => Meaning::Tiers,
            "off_peak_pricing" => Meaning::OffPeak,
            tools::SEARCH => Meaning::Search,
            tools::AUDIO_WRITE => Meaning::AudioWrite,
            "cache_read_input_image_token_cost" => Meaning::CachedImage,
            name if TOOLS.iter().any(|tool| name.starts_with(tool)) => Meaning::Tool,
            name if name.contains("cost") || name.contains("pric") => Meaning::Charge,
            _ => Meaning::Other,
        }
    }
}

/// The field of this name, unless it is null.
pub(super) fn find<'e, 'f>(fields: &'e [Field<'f>], name: &str) -> Option<&'e Field<'f>> {
    fields.iter().find(|field| field.name == name && !field.is_null())
}

/// The place of a rate of this name: its stem, and what follows it in any order.
pub(super) fn place(name: &str) -> Option<Place> {
    let (mut stem, mut service, mut above, mut an_hour) = (name, None, None, false);
    loop {
        if let Some((rest, tier)) =
            SERVICES.iter().find_map(|(end, tier)| Some((stem.strip_suffix(end)?, *tier)))
        {
            if service.replace(tier).is_some() {
                return None;
            }
            stem = rest;
        } else if let Some(rest) = stem.strip_suffix("_above_1hr") {
            (stem, an_hour) = (rest, true);
        } else if let Some((rest, tokens)) = threshold(stem) {
            if above.replace(tokens).is_some() {
                return None;
            }
            stem = rest;
        } else {
            break;
        }
    }
    let (_, component, side) = *RATES.iter().find(|(name, ..)| *name == stem)?;
    let component = match (an_hour, component) {
        (false, component) => component,
        (true, Component::CacheWrite) => Component::CacheWrite1h,
        (true, _) => return None,
    };
    let service = service.unwrap_or_default();
    Some(Place { component, side, service, above: above.unwrap_or_default() })
}

/// `…_above_200k_tokens`, `…_above_1m`, `…_above_512`: the rest of the name, and how many tokens that is.
fn threshold(name: &str) -> Option<(&str, i64)> {
    let (rest, end) = name.rsplit_once("_above_")?;
    let end = end.strip_suffix("_tokens").unwrap_or(end);
    let units = [('k', 1000), ('m', 1_000_000)];
    let unit = units.iter().find_map(|(unit, size)| Some((end.strip_suffix(*unit)?, *size)));
    let (number, size) = unit.unwrap_or((end, 1));
    let number: u32 = number.parse().ok()?;
    (number > 0).then(|| (rest, i64::from(number) * size))
}
