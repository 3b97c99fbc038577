//! Splitting: wholes into disjoint parts. What goes in sums to what comes out.

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
    pub(super) total: Option<u64>,
    /// How it counts reasoning, where no total tells.
    pub(super) convention: Reasoning,
    /// The JSON pointers of the reasoning and of the total.
    pub(super) at: [String; 2],
}

/// The two sides of a call: all tokens of the prompt, all tokens of the completion, and how many of those are reasoning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sides {
    pub(super) prompt: u64,
    pub(super) completion: u64,
    pub(super) reasoning: u64,
}

impl Stated {
    /// The sides; none if nothing is said of them.
    ///
    /// The total is what is charged, so it decides whether reasoning is part of the completion (OpenAI) or comes on top
    /// (xAI, which speaks OpenAI's format; Google, mostly). What a total holds beyond prompt and completion, where no
    /// reasoning is named, is reasoning (Google's endpoint in OpenAI's format). A side that is not told is what the other
    /// leaves of the total. A total without any sides is halved, the odd token to the completion, as nothing is known that
    /// would be better. Any other total contradicts its parts.
    pub(super) fn sides(&self) -> Result<Option<Sides>> {
        let [reasoning_at, total_at] = &self.at;
        let sides = match (self.total, self.prompt, self.completion) {
            (None, None, None) => return Ok(None),
            (None, ..) => self.by_convention(),
            (Some(total), None, None) => self.halved(total),
            (Some(total), ..) => {
                let message = "contradicts the parts that it is the total of";
                self.by_total(total).ok_or_else(|| Error::invalid(total_at, "inconsistent", message))?
            }
        };
        if sides.prompt.max(sides.completion) > MOST {
            return Err(Error::invalid(total_at, "out_of_range", format!("must be at most {MOST}")));
        }
        if sides.reasoning > sides.completion {
            let message = format!("is more than the {} that it is part of", sides.completion);
            return Err(Error::invalid(reasoning_at, "inconsistent", message));
        }
        Ok(Some(sides))
    }

    fn by_convention(&self) -> Sides {
        let completion = self.completion.unwrap_or(0) + self.apart();
        Sides { prompt: self.prompt.unwrap_or(0), completion, reasoning: self.reasoning }
    }

    /// The reasoning that comes on top of the completion, where no total tells.
    fn apart(&self) -> u64 {
        if self.convention == Reasoning::Apart { self.reasoning } else { 0 }
    }

    fn halved(&self, total: u64) -> Sides {
        Sides { prompt: total / 2, completion: total - total / 2, reasoning: self.reasoning }
    }

    fn by_total(&self, total: u64) -> Option<Sides> {
        let prompt = self.prompt.or_else(|| self.left_by_completion(total))?;
        let completion = total.checked_sub(prompt)?;
        let reasoning = match completion.checked_sub(self.completion.unwrap_or(completion))? {
            0 => self.reasoning,
            beside if self.reasoning == 0 || self.reasoning == beside => beside,
            _ => return None,
        };
        Some(Sides { prompt, completion, reasoning })
    }

    /// What the completion leaves of a total; one that leaves no room for reasoning on top holds it.
    fn left_by_completion(&self, total: u64) -> Option<u64> {
        let rest = total.checked_sub(self.completion?)?;
        Some(rest.checked_sub(self.apart()).unwrap_or(rest))
    }
}
