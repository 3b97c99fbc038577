//! The names of models, as far as they tell what a model costs.

/// Regions that are charged for by profiles of their own: what they add is not known from the name.
const REGIONS: [&str; 8] = ["apac", "au", "ca", "eu", "jp", "uk", "us", "us-gov"];
/// Variants of a model that cost the same.
const ALIKE: [&str; 3] = ["beta", "extended", "thinking"];
/// Variants of a model that cost something besides.
const EXTRA: [&str; 1] = ["online"];
/// Words that make a model of another kind, which is charged otherwise.
const KINDS: [&str; 42] = [
    "audio",
    "coder",
    "computer",
    "deep",
    "diarize",
    "distill",
    "embed",
    "embedding",
    "embeddings",
    "gpt4all",
    "guard",
    "image",
    "instruct",
    "j",
    "live",
    "math",
    "moderation",
    "native",
    "neo",
    "neox",
    "ocr",
    "omni",
    "oss",
    "prover",
    "realtime",
    "rerank",
    "reranker",
    "research",
    "robotics",
    "safeguard",
    "search",
    "speech",
    "transcribe",
    "transcription",
    "translate",
    "tts",
    "video",
    "vision",
    "vl",
    "voice",
    "voxtral",
    "whisper",
];

/// What a model is called, as far as a price can be found by it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Called {
    /// The name in one spelling.
    pub(super) spelled: String,
    /// The same without date, `latest` and `preview`.
    pub(super) plain: String,
    /// Whether something is charged besides what the model costs.
    pub(super) extra: bool,
}

impl Called {
    /// Understands a name; none if it is of a variant whose price its name does not tell: free, fine-tuned, of a region, or
    /// nothing that is known.
    pub(super) fn new(model: &str) -> Option<Self> {
        let lower = model.trim().to_lowercase();
        let (path, last) = lower.rsplit_once('/').unwrap_or(("", &lower));
        let regional = |name: &str| REGIONS.contains(&name);
        let fine_tuned = last.starts_with("ft:") || last.contains(".ft-") || last.contains(":ft-");
        if fine_tuned || path.split('/').skip(1).any(regional) || last.split('.').next().is_some_and(regional)
        {
            return None;
        }
        let (name, variant) = last.rsplit_once(':').unwrap_or((last, ""));
        let (name, extra) = match variant {
            word if ALIKE.contains(&word) => (name, false),
            word if EXTRA.contains(&word) => (name, true),
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => (last, false),
            _ => return None,
        };
        Some(Self { spelled: spelled(name), plain: plain(name), extra })
    }
}

/// Words of a name that make it a model of another kind, and how large the open ones are, such as `120b`.
pub(super) fn kinds(name: &str) -> impl Iterator<Item = &str> {
    let size = |word: &str| {
        let number = word.strip_suffix('b').map(|number| number.trim_start_matches('a'));
        number.is_some_and(|number| {
            number.starts_with(|c: char| c.is_ascii_digit())
                && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'x')
        })
    };
    name.split('-').filter(move |word| KINDS.contains(word) || size(word))
}

/// One spelling of a model's name: lower case, hyphens between its words, without vendor and version, the date as
/// `-20250219`.
pub(super) fn spelled(model: &str) -> String {
    let own = own(model);
    let mut name = own.as_str();
    while let Some(rest) = without_version(name).filter(|rest| !rest.is_empty()) {
        name = rest;
    }
    finish(&name.replace('@', "-"))
}

/// The plain form of a model's name: lower case, hyphens between its words, without vendor, date and version.
pub fn plain(model: &str) -> String {
    let own = own(model);
    let mut name = own.as_str();
    while let Some(rest) = without_suffix(name) {
        name = rest;
    }
    finish(name)
}

/// The last part of a name, without its vendor.
fn own(model: &str) -> String {
    let lower = model.trim().to_lowercase().replace([' ', '_'], "-");
    let mut name = lower.rsplit('/').next().unwrap_or_default();
    while let Some(rest) = without_vendor(name) {
        name = rest;
    }
    name.to_owned()
}

/// Azure may not write a point in a name: it says `gpt-35-turbo`.
fn finish(name: &str) -> String {
    let name = name.replace('.', "-");
    match name.strip_prefix("gpt-35") {
        Some(rest) if rest.is_empty() || rest.starts_with('-') => format!("gpt-3-5{rest}"),
        _ => name,
    }
}

/// `anthropic.claude-…` without its vendor: letters and hyphens up to a point, and a letter behind it.
fn without_vendor(name: &str) -> Option<&str> {
    let (vendor, rest) = name.split_once('.')?;
    let letters = vendor.chars().all(|c| c.is_ascii_alphabetic() || c == '-') && !vendor.is_empty();
    rest.starts_with(|c: char| c.is_ascii_alphabetic()).then_some(rest).filter(|_| letters)
}

fn without_suffix(name: &str) -> Option<&str> {
    let word = || name.strip_suffix("-latest").or_else(|| name.strip_suffix("-preview"));
    without_date(name).or_else(|| without_version(name)).or_else(word).filter(|rest| !rest.is_empty())
}

/// Without `-20250219`, `@20250219` or `-2025-02-19`.
fn without_date(name: &str) -> Option<&str> {
    let shapes = ["-########", "@########", "-####-##-##"];
    let is_date = |text: &str, shape: &str| {
        let fits = |(c, s): (u8, u8)| if s == b'#' { c.is_ascii_digit() } else { c == s };
        text.bytes().skip(1).take(2).eq(*b"20") && text.bytes().zip(shape.bytes()).all(fits)
    };
    shapes.iter().find_map(|shape| {
        let (rest, end) = name.split_at_checked(name.len().checked_sub(shape.len())?)?;
        is_date(end, shape).then_some(rest)
    })
}

/// Without `:0` or `-v1:0`.
fn without_version(name: &str) -> Option<&str> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (rest, _) = name.rsplit_once(':').filter(|(_, minor)| digits(minor))?;
    let major = rest.rsplit_once("-v").filter(|(_, major)| digits(major));
    Some(major.map_or(rest, |(rest, _)| rest))
}
