//! What the target of an inference call (its path and query, as the client sent it) says of the call: its kind and its
//! model. Only a path with one reading is read. A proxy and a provider need not agree on dot segments, doubled slashes,
//! parameters after `;`, encodings or letter case, so a path that any of them would read differently is refused rather
//! than guessed at.

use service::token::{Token, TokenKind};

/// Bytes of a path.
const LONGEST: usize = 4096;

/// What the path says.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Target {
    /// The kind of call, if the path is a known one.
    pub scope: Option<&'static str>,
    /// The model, where the provider takes it from the path.
    pub model: Option<String>,
    /// Whether the path is one of Google's own API.
    pub gemini: bool,
}

/// Why a target is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It has more than one reading.
    Ambiguous(&'static str),
    /// It carries a key, which would end up in logs and at the provider.
    KeyInUrl,
}

/// What the path of a call says of its kind.
const SCOPES: &[(&[&str], &str)] = &[
    (&["chat", "completions"], "chat"),
    (&["completions"], "completions"),
    (&["responses"], "responses"),
    (&["messages"], "messages"),
    (&["embeddings"], "embeddings"),
    (&["images"], "images"),
    (&["audio"], "audio"),
    (&["moderations"], "moderations"),
    (&["rerank"], "rerank"),
    (&["files"], "files"),
    (&["batches"], "batches"),
    (&["models"], "models"),
];
/// What may stand before it; of several the first that fits. `*` is any segment, `model` one that names the model.
const MOUNTS: &[&[&str]] = &[
    &["openai", "deployments", "model"],
    &["openai", "v1"],
    &["v1beta", "openai"],
    &["api", "v1"],
    &["v1", "projects", "*", "locations", "*", "publishers", "*"],
    &["v1beta1", "projects", "*", "locations", "*", "publishers", "*"],
    &["v1"],
    &["v2"],
    &["v1beta"],
    &["v1alpha"],
    &[],
];
/// Google's methods of a model, after the last colon.
const METHODS: &[(&str, &str)] = &[
    ("generateContent", "chat"),
    ("streamGenerateContent", "chat"),
    ("countTokens", "chat"),
    ("embedContent", "embeddings"),
    ("batchEmbedContents", "embeddings"),
    ("asyncBatchEmbedContent", "embeddings"),
];
/// Bedrock's methods of a model; `invoke` may be a call of any kind.
const BEDROCK: &[(&str, Option<&str>)] = &[
    ("converse", Some("chat")),
    ("converse-stream", Some("chat")),
    ("count-tokens", Some("chat")),
    ("invoke", None),
    ("invoke-with-response-stream", None),
];

/// Reads a target as it stands in a request line: `/path?query`.
pub fn read(target: &str) -> Result<Target, Refusal> {
    if target.contains('#') {
        return Err(Refusal::Ambiguous("must have no fragment"));
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if form_urlencoded::parse(query.as_bytes()).any(|(name, value)| name == "key" || is_key(&value)) {
        return Err(Refusal::KeyInUrl);
    }
    let segments = segments(path).map_err(Refusal::Ambiguous)?;
    if segments.iter().any(|segment| is_key(segment)) {
        return Err(Refusal::KeyInUrl);
    }
    let read = classify(&segments, |word, segment| word == segment);
    // Some servers compare paths without regard to case, so a known path in other letters may be that path.
    let folded = classify(&segments, |word, segment| fold(word) == fold(segment));
    if read == folded { Ok(read) } else { Err(Refusal::Ambiguous("must be written in lower case")) }
}

fn is_key(text: &str) -> bool {
    Token::parse_kind(text.trim(), TokenKind::VirtualKey).is_some()
}

/// Also what becomes an ASCII letter only by changing its case, such as the Kelvin sign.
fn fold(text: &str) -> String {
    text.to_uppercase().to_lowercase()
}

/// The segments of a path, decoded; one slash at the end is nothing.
fn segments(path: &str) -> Result<Vec<String>, &'static str> {
    if path.len() > LONGEST {
        return Err("must have at most 4096 bytes");
    }
    let path = path.strip_prefix('/').ok_or("must begin with a slash")?;
    if path.is_empty() {
        return Ok(Vec::new());
    }
    path.strip_suffix('/').unwrap_or(path).split('/').map(decoded).collect()
}

/// A segment, if it can be read in one way only.
fn decoded(segment: &str) -> Result<String, &'static str> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => bytes.push(escaped(rest.next(), rest.next())?),
            b';' => return Err("must have no parameters after `;`"),
            b'\\' => return Err("must have no backslash"),
            _ if is_unreserved(byte) || b"!$&'()*+,=:@".contains(&byte) => bytes.push(byte),
            _ => return Err("must have only characters that a path may have, others percent-encoded"),
        }
    }
    let text = String::from_utf8(bytes).map_err(|_| "must be UTF-8 once it is decoded")?;
    if text.is_empty() {
        return Err("must have no empty segment: write one slash");
    }
    if text.chars().any(char::is_control) {
        return Err("must have no control characters");
    }
    // Trimmed, since some file systems and servers ignore space around a name.
    if text.trim() != text || matches!(text.as_str(), "." | "..") {
        return Err("must have no dot segments, and no space around a segment");
    }
    Ok(text)
}

/// The byte of a percent-encoding. One of a plain character is needless, and one of a character that means something in
/// a path is read differently by one that decodes before it splits the path, and one that decodes after.
fn escaped(high: Option<u8>, low: Option<u8>) -> Result<u8, &'static str> {
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    let (Some(high), Some(low)) = (digit(high), digit(low)) else {
        return Err("must have two hexadecimal digits after each `%`");
    };
    match u8::try_from(high * 16 + low) {
        Ok(byte) if is_unreserved(byte) => Err("must not encode letters, digits, `-`, `.`, `_` or `~`"),
        Ok(byte) if b"/\\%;?#".contains(&byte) => Err("must not encode `/`, `\\`, `%`, `;`, `?` or `#`"),
        Ok(byte) if byte.is_ascii_control() => Err("must have no control characters"),
        Ok(byte) => Ok(byte),
        Err(_) => Err("must have two hexadecimal digits after each `%`"),
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Whether a word of the tables is a segment.
type Compare = fn(&str, &str) -> bool;

/// What these segments say, under a comparison of words.
fn classify(segments: &[String], is: Compare) -> Target {
    let Some((rest, model)) = MOUNTS.iter().find_map(|mount| under(mount, segments, is)) else {
        return Target::default();
    };
    if let [collection, .., method] = rest
        && (is("models", collection) || is("tunedModels", collection))
    {
        return of_model(method, is);
    }
    if let [collection, model, method] = rest
        && is("model", collection)
        && let Some((_, scope)) = BEDROCK.iter().find(|(word, _)| is(word, method))
    {
        return Target { scope: *scope, model: Some(model.clone()), gemini: false };
    }
    let starts = |words: &[&str]| {
        words.len() <= rest.len() && words.iter().zip(rest).all(|(word, segment)| is(word, segment))
    };
    let scope = SCOPES.iter().find(|(words, _)| starts(words)).map(|(_, scope)| *scope);
    Target { scope, model, gemini: false }
}

/// What comes after a mount, and the model that it names.
fn under<'s>(mount: &[&str], segments: &'s [String], is: Compare) -> Option<(&'s [String], Option<String>)> {
    let (head, rest) = segments.split_at_checked(mount.len())?;
    let fits = |(word, segment): (&&str, &String)| matches!(*word, "*" | "model") || is(word, segment);
    let named = mount.iter().position(|word| *word == "model").and_then(|at| head.get(at)).cloned();
    mount.iter().zip(head).all(fits).then_some((rest, named))
}

/// `gemini-2.5-pro:generateContent`, or a model by its name. A method that is not known is no reading of the list of models.
fn of_model(segment: &str, is: Compare) -> Target {
    let listed = Target { scope: Some("models"), ..Target::default() };
    let Some((model, method)) = segment.rsplit_once(':') else { return listed };
    let scope = METHODS.iter().find(|(word, _)| is(word, method)).map(|(_, scope)| *scope);
    // A fine-tuned model of OpenAI has colons in its name.
    if scope.is_none() && segment.starts_with("ft:") {
        return listed;
    }
    Target { scope, model: Some(model.to_owned()), gemini: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(target: &str) -> Option<&'static str> {
        read(target).unwrap().scope
    }

    #[test]
    fn a_known_path_says_the_kind_of_call() {
        for (target, expected) in [
            ("/v1/chat/completions", Some("chat")),
            ("/chat/completions?stream=1&x=%2e%2e/", Some("chat")),
            ("/v1/chat/completions/", Some("chat")),
            ("/v1/chat/completionsx", None),
            ("/v1/chat", None),
            ("/v1/messages/count_tokens", Some("messages")),
            ("/v1/models", Some("models")),
            ("/v1/models/gpt-4o", Some("models")),
            ("/v1/models/ft:gpt-4o:acme::abc", Some("models")),
            ("/openai/v1/responses", Some("responses")),
            ("/v1beta/openai/embeddings", Some("embeddings")),
            ("/", None),
            ("/v1/unheard-of/%E6%97%A5%E6%9C%AC", None),
        ] {
            assert_eq!(scope(target), expected, "{target}");
        }
    }

    #[test]
    fn a_path_that_names_the_model_says_it() {
        for (target, scope, model) in [
            ("/openai/deployments/o3/chat/completions?api-version=1", Some("chat"), "o3"),
            ("/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse", Some("chat"), "gemini-2.5-pro"),
            (
                "/v1beta/models/gemini-embedding-001%3AembedContent",
                Some("embeddings"),
                "gemini-embedding-001",
            ),
            ("/v1/models/gemini-2.5-pro:learnContent", None, "gemini-2.5-pro"),
            ("/v1/models/ft:gemini:generateContent", Some("chat"), "ft:gemini"),
            ("/v1/projects/p/locations/l/publishers/google/models/g:countTokens", Some("chat"), "g"),
            (
                "/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse",
                Some("chat"),
                "anthropic.claude-3-haiku-20240307-v1:0",
            ),
            ("/model/amazon.titan-embed/invoke", None, "amazon.titan-embed"),
            ("/openai/deployments/%E6%97%A5%E6%9C%AC/embeddings", Some("embeddings"), "日本"),
        ] {
            let read = read(target).unwrap();
            assert_eq!((read.scope, read.model.as_deref()), (scope, Some(model)), "{target}");
        }
    }

    /// Paths that somebody reads differently, with space between them.
    const AMBIGUOUS: &str = r#"* v1/chat http://provider/v1/chat/completions //v1/chat/completions /v1//embeddings
        /v1/embeddings// /v1/embeddings/../chat/completions /v1/./embeddings /v1/embeddings/..
        /v1/embeddings/%2e%2e/chat/completions /v1/embeddings/.%2E/chat/completions
        /v1/embeddings/%252e%252e/chat/completions /v1/embeddings/..;/chat/completions /v1/embeddings;x
        /v1/embeddings/..%2fchat/completions /v1/embeddings/..%5cchat/completions /v1/embeddings\..\chat
        /v1/%63hat/completions /v1/chat%2Fcompletions /v1/chat%252Fcompletions /v1/embeddings%00/chat
        /v1/embeddings%3F /v1/embeddings%23x /v1/embeddings#/../chat/completions /v1/embeddings?#
        /v1/Chat/Completions /V1/chat/completions /v1/me%C5%BF%C5%BFages /v1/EMBEDDINGS
        /v1/embeddings%C0%AFchat /v1/embeddings/%C0%AE%C0%AE/chat /v1/%FF /v1/%E6%97 /v1/% /v1/%4
        /v1/%zz /v1/%+1 /v1/日本 /v1/embeddings%20 /v1/%20../x /v1/..%20/x /v1/%C2%A0..
        /v1/%0d%0ax /v1/%7F /v1/%C2%85 /v1/a|b /v1/<a> /v1/"
        /v1beta/models/g:GenerateContent /v1beta/MODELS/g:generateContent /v1beta/models/g%253AembedContent"#;

    #[test]
    fn a_path_with_two_readings_is_refused() {
        let long = format!("/{}", "a".repeat(LONGEST));
        for target in AMBIGUOUS.split_whitespace().chain(["", "/v1/a b", "/v1/\u{7f}", "/v1/\0", &long]) {
            assert!(matches!(read(target), Err(Refusal::Ambiguous(_))), "{target:?}: {:?}", read(target));
        }
    }

    #[test]
    fn a_key_in_the_url_is_refused() {
        for target in ["/v1/chat/completions?key=AIza", "/v1?a=b&k%65y=", "/v1?key"] {
            assert_eq!(read(target), Err(Refusal::KeyInUrl), "{target}");
        }
        assert!(read("/v1/chat/completions?keys=1&api-version=2").is_ok());
    }

    proptest::proptest! {
        /// Whatever a server may do to a path before it compares it, the reading stays the same.
        #[test]
        fn what_is_read_survives_every_normalization(target in "(/|/v1|/%[0-9a-fA-F]{2}|/\\.{1,3}|[a-zA-Z;:%?#\\\\]|/chat|/completions|/embeddings|\\PC){0,12}") {
            let Ok(once) = read(&target) else { return Ok(()) };
            let path = target.split('?').next().unwrap_or_default();
            let decoded = form_urlencoded::parse(format!("p={}", path.replace('+', "%2B").replace('&', "%26")).as_bytes())
                .map(|(_, value)| value.into_owned()).next().unwrap_or_default();
            let lower = decoded.to_uppercase().to_lowercase();
            proptest::prop_assert!(!decoded.contains("//") && !decoded.contains('\\') && !decoded.contains(';'));
            proptest::prop_assert!(decoded.split('/').all(|segment| segment != "." && segment != ".."));
            if let Some(scope @ ("chat" | "embeddings")) = once.scope {
                proptest::prop_assert!(lower.contains(scope) || once.gemini, "{} {}", lower, scope);
            } else if once.scope.is_none() {
                for known in ["/v1/chat/completions", "/v1/embeddings", "/chat/completions", "/embeddings"] {
                    proptest::prop_assert!(!lower.starts_with(&format!("{known}/")) && lower != known, "{}", target);
                }
            }
        }
    }
}
