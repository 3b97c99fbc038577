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

/// A prompt: a whole, and parts of it that may overlap.
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
    /// Puts each token into one class. Audio that was read from a cache has a class of its own; any other token that was read
    /// from or written to a cache is charged as that, whatever its medium. Where a provider does not say which medium that
    /// was, it was text as far as there is text; what was read beyond that was audio, if it can have been nothing else.
    pub(super) fn classify(&self, usage: &mut Usage) -> Result<()> {
        let cached = self.cached.min(self.whole);
        let written = self.written.min(self.whole - cached);
        let written_1h = self.written_1h.min(self.whole - cached - written);
        let uncached = self.whole - cached - written - written_1h;
        let audio = self.media.audio.saturating_sub(self.cached_media.audio).min(uncached);
        let image = self.media.image.saturating_sub(self.cached_media.image).min(uncached - audio);
        let images = self.media.image + self.cached_media.image;
        let cached_audio = if written + written_1h + images == 0 {
            self.media.audio.saturating_sub(audio).max(self.cached_media.audio)
        } else {
            self.cached_media.audio
        };
        let cached_audio = cached_audio.min(cached);
        usage.set(Component::CacheRead, cached - cached_audio)?;
        usage.set(Component::CacheReadAudio, cached_audio)?;
        usage.set(Component::CacheWrite, written)?;
        usage.set(Component::CacheWrite1h, written_1h)?;
        usage.set(Component::AudioInput, audio)?;
        usage.set(Component::ImageInput, image)?;
        usage.set(Component::Input, uncached - audio - image)
    }
}

/// A completion: a whole, and parts of it that do not overlap.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Completion {
    pub(super) whole: u64,
    pub(super) reasoning: u64,
    pub(super) media: Media,
}

impl Completion {
    /// Puts each token into one class.
    pub(super) fn classify(&self, usage: &mut Usage) -> Result<()> {
        let reasoning = self.reasoning.min(self.whole);
        let audio = self.media.audio.min(self.whole - reasoning);
        let image = self.media.image.min(self.whole - reasoning - audio);
        usage.set(Component::Reasoning, reasoning)?;
        usage.set(Component::AudioOutput, audio)?;
        usage.set(Component::ImageOutput, image)?;
        usage.set(Component::Output, self.whole - reasoning - audio - image)
    }
}

/// Whether a provider counts a part within the side of a call that it is of, or apart from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Counted {
    /// It is part of it.
    #[default]
    Within,
    /// It comes on top.
    Apart,
}

impl Counted {
    const BOTH: [Self; 2] = [Self::Within, Self::Apart];

    /// A side of a call with such a part; none if the part does not fit in.
    fn whole(self, side: u64, part: u64) -> Option<u64> {
        match self {
            Self::Within => (part <= side).then_some(side),
            Self::Apart => side.checked_add(part),
        }
    }
}

/// What a provider says of the two sides of a call.
#[derive(Clone, Debug, Default)]
pub(super) struct Stated {
    pub(super) prompt: Option<u64>,
    pub(super) completion: Option<u64>,
    /// Tokens of the prompt that were read from or written to a cache.
    pub(super) cached: u64,
    pub(super) reasoning: u64,
    pub(super) total: Option<u64>,
    /// How it counts what was cached, and reasoning, where no total tells.
    pub(super) convention: [Counted; 2],
    /// Whether it names no part of the completion at all, so that a total that is more than both sides tells its reasoning.
    pub(super) bare: bool,
    /// The JSON pointers of the prompt, of the reasoning and of the total.
    pub(super) at: [String; 3],
}

/// The two sides of a call: all tokens of the prompt, all tokens of the completion, and how many of those are reasoning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sides {
    pub(super) prompt: u64,
    pub(super) completion: u64,
    pub(super) reasoning: u64,
    /// Whether nothing tells one side from the other.
    pub(super) unsided: bool,
}

impl Stated {
    /// The sides; none if nothing is said of them.
    ///
    /// The total is what is charged, so it is the witness: it tells whether reasoning is part of the completion (OpenAI) or
    /// comes on top (xAI, which speaks OpenAI's format; Google, mostly), and whether what was cached is part of the prompt
    /// (OpenAI) or stands beside it (Anthropic, also where a gateway renames its fields). What a total holds beyond prompt
    /// and completion in a bare object is reasoning (Google's endpoint in OpenAI's format). A side that is not
    /// told is what the other leaves of the total. A total without any sides is halved, the odd token to the completion,
    /// as nothing is known that would be better. Any other total contradicts its parts, which then count.
    pub(super) fn sides(&self, object: &Object<'_>) -> Result<Option<Sides>> {
        let told = match (self.total, self.prompt, self.completion) {
            (None, None, None) => return Ok(None),
            (None, ..) => None,
            (Some(total), None, None) => Some(self.halved(total)),
            (Some(total), Some(prompt), Some(completion)) => self.witnessed(total, prompt, completion),
            (Some(total), Some(prompt), None) => self.beside_prompt(total, prompt),
            (Some(total), None, Some(completion)) => self.beside_completion(total, completion),
        };
        if self.total.is_some() && told.is_none() {
            let message = "contradicts the parts that it is the total of";
            object.doubt(Error::invalid(&self.at[2], "inconsistent", message))?;
        }
        let sides = told.map_or_else(|| self.by_convention(object), Ok)?;
        if sides.prompt.max(sides.completion) > MOST {
            let message = format!("must be at most {MOST}");
            object.doubt(Error::invalid(&self.at[2], "out_of_range", message))?;
        }
        let (prompt, completion) = (sides.prompt.min(MOST), sides.completion.min(MOST));
        if sides.reasoning > completion {
            let message = format!("is more than the {completion} that it is part of");
            object.doubt(Error::invalid(&self.at[1], "inconsistent", message))?;
        }
        Ok(Some(Sides { prompt, completion, reasoning: sides.reasoning.min(completion), ..sides }))
    }

    /// The parts as the provider usually counts them; a part that is more than its side cannot be within it.
    fn by_convention(&self, object: &Object<'_>) -> Result<Sides> {
        let (prompt, completion) = (self.prompt.unwrap_or(0), self.completion.unwrap_or(0));
        let [cache, reasoning] = self.convention;
        let whole = |counted: Counted, side: u64, part: u64, at: &String| -> Result<u64> {
            if let Some(whole) = counted.whole(side, part) {
                return Ok(whole);
            }
            let message = format!("is less than the {part} that are said to be part of it");
            object.doubt(Error::invalid(at, "inconsistent", message))?;
            Ok(side.saturating_add(part))
        };
        let prompt = whole(cache, prompt, self.cached, &self.at[0])?;
        let completion = whole(reasoning, completion, self.reasoning, &self.at[1])?;
        Ok(Sides { prompt, completion, reasoning: self.reasoning, unsided: false })
    }

    fn halved(&self, total: u64) -> Sides {
        let prompt = (total / 2).max(self.cached).min(total);
        Sides { prompt, completion: total - prompt, reasoning: self.reasoning, unsided: true }
    }

    /// How the parts must be counted to be the total; the usual way first.
    fn witnessed(&self, total: u64, prompt: u64, completion: u64) -> Option<Sides> {
        let others = |usual: Counted| Counted::BOTH.into_iter().filter(move |way| *way != usual);
        let both = |usual: Counted| std::iter::once(usual).chain(others(usual));
        let [cache, reasoning] = self.convention;
        let mut ways = both(cache).flat_map(|cache| both(reasoning).map(move |reasoning| (cache, reasoning)));
        let sides = |(cache, reasoning): (Counted, Counted)| {
            let prompt = cache.whole(prompt, self.cached)?;
            let completion = reasoning.whole(completion, self.reasoning)?;
            let same = prompt.checked_add(completion)? == total;
            same.then_some(Sides { prompt, completion, reasoning: self.reasoning, unsided: false })
        };
        let unnamed = || {
            let prompt = cache.whole(prompt, self.cached)?;
            let beyond = total.checked_sub(prompt)?.checked_sub(completion)?;
            let completion = completion + beyond;
            self.bare.then_some(Sides { prompt, completion, reasoning: beyond, unsided: false })
        };
        ways.find_map(sides).or_else(unnamed)
    }

    /// What the prompt leaves of a total.
    fn beside_prompt(&self, total: u64, prompt: u64) -> Option<Sides> {
        let prompt = self.convention[0].whole(prompt, self.cached)?;
        let completion = total.checked_sub(prompt)?;
        Some(Sides { prompt, completion, reasoning: self.reasoning, unsided: false })
    }

    /// What the completion leaves of a total; one that leaves no room for reasoning on top holds it.
    fn beside_completion(&self, total: u64, completion: u64) -> Option<Sides> {
        let rest = total.checked_sub(completion)?;
        let apart = if self.convention[1] == Counted::Apart { self.reasoning } else { 0 };
        let prompt = rest.checked_sub(apart).unwrap_or(rest);
        Some(Sides { prompt, completion: total - prompt, reasoning: self.reasoning, unsided: false })
    }
}
