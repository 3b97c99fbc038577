//! Splitting: wholes into disjoint parts. What goes in sums to what comes out.

use super::object::Object;
use crate::{
    Error, Result,
    cost::{MOST, Usage},
};
use entity::terms::Component;

/// Tokens of media.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Media {
    pub(super) audio: u64,
    pub(super) image: u64,
}

/// A prompt: a whole, and parts of it that may overlap. Neither `cached + written + written_1h` nor the media exceed the
/// whole, and the cached media exceed neither the media nor what is cached.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Prompt {
    pub(super) whole: u64,
    pub(super) cached: u64,
    pub(super) written: u64,
    pub(super) written_1h: u64,
    pub(super) media: Media,
    pub(super) cached_media: Media,
}

impl Prompt {
    /// Puts each token into one class. A token that was read from or written to a cache is charged as that, whatever its
    /// medium; where a provider does not say which medium that was, it was text as far as there is text.
    pub(super) fn classify(&self, usage: &mut Usage) -> Result<()> {
        let uncached = self.whole - self.cached - self.written - self.written_1h;
        let audio = (self.media.audio - self.cached_media.audio).min(uncached);
        let image = (self.media.image - self.cached_media.image).min(uncached - audio);
        usage.set(Component::CacheRead, self.cached)?;
        usage.set(Component::CacheWrite, self.written)?;
        usage.set(Component::CacheWrite1h, self.written_1h)?;
        usage.set(Component::AudioInput, audio)?;
        usage.set(Component::ImageInput, image)?;
        usage.set(Component::Input, uncached - audio - image)
    }
}

/// A completion: a whole, and parts of it that do not overlap and together do not exceed it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Completion {
    pub(super) whole: u64,
    pub(super) reasoning: u64,
    pub(super) media: Media,
}

impl Completion {
    /// Puts each token into one class.
    pub(super) fn classify(&self, usage: &mut Usage) -> Result<()> {
        usage.set(Component::Reasoning, self.reasoning)?;
        usage.set(Component::AudioOutput, self.media.audio)?;
        usage.set(Component::ImageOutput, self.media.image)?;
        usage.set(Component::Output, self.whole - self.reasoning - self.media.audio - self.media.image)
    }
}

/// Whether a provider counts reasoning as part of the completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reasoning {
    /// It is part of it.
    Within,
    /// It comes on top.
    Apart,
}

/// What a provider says of the two sides of a call.
pub(super) struct Stated {
    pub(super) prompt: Option<u64>,
    pub(super) completion: Option<u64>,
    pub(super) reasoning: u64,
    /// Where it says how much reasoning there was.
    pub(super) reasoning_at: String,
    /// How it counts reasoning, where no total tells.
    pub(super) convention: Reasoning,
}

/// The two sides of a call: all tokens of the prompt, all tokens of the completion, and how many of those are reasoning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sides {
    pub(super) prompt: u64,
    pub(super) completion: u64,
    pub(super) reasoning: u64,
}

impl Stated {
    /// The sides, as the total in a field tells them.
    ///
    /// The total is what is charged, so it decides whether reasoning is part of the completion (OpenAI) or comes on top
    /// (xAI, which speaks OpenAI's format; Google, mostly). What a total holds beyond prompt and completion, where no
    /// reasoning is named, is reasoning (Google's endpoint in OpenAI's format). A total without any sides is halved, the
    /// odd token to the completion, as nothing is known that would be better. Any other total contradicts its parts.
    pub(super) fn sides(&self, object: &Object<'_>, total: &str) -> Result<Option<Sides>> {
        let sides = match (object.count(total)?, self.prompt, self.completion) {
            (None, None, None) => return Ok(None),
            (Some(all), None, None) => {
                Some(Sides { prompt: all / 2, completion: all - all / 2, reasoning: self.reasoning })
            }
            (None, ..) => Some(self.by_convention()),
            (Some(all), ..) => self.by_total(all),
        };
        let message = "contradicts the parts that it is the total of";
        let sides = sides.ok_or_else(|| object.wrong(total, "inconsistent", message))?;
        if sides.reasoning > sides.completion {
            let message = format!("is more than the {} that it is part of", sides.completion);
            return Err(Error::invalid(self.reasoning_at.clone(), "inconsistent", message));
        }
        Ok(Some(sides))
    }

    fn by_convention(&self) -> Sides {
        let apart = if self.convention == Reasoning::Apart { self.reasoning } else { 0 };
        Sides {
            prompt: self.prompt.unwrap_or(0),
            completion: self.completion.unwrap_or(0) + apart,
            reasoning: self.reasoning,
        }
    }

    fn by_total(&self, all: u64) -> Option<Sides> {
        let prompt = self.prompt.unwrap_or(0);
        let completion = all.checked_sub(prompt)?;
        let reasoning = match completion.checked_sub(self.completion.unwrap_or(completion))? {
            0 => self.reasoning,
            beside if self.reasoning == 0 || self.reasoning == beside => beside,
            _ => return None,
        };
        Some(Sides { prompt, completion, reasoning })
    }
}

/// The sum of counts that a call has in a field and beside it, refused at the field if it is too large.
pub(super) fn sum(object: &Object<'_>, field: &str, counts: &[u64]) -> Result<u64> {
    let sum = counts.iter().sum();
    if sum > MOST {
        return Err(object.wrong(field, "out_of_range", format!("is together with others more than {MOST}")));
    }
    Ok(sum)
}
