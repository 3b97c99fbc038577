//! What an upstream likely speaks, by its provider's name and by its URL. A guess: it only says what is tried first.

use entity::status::Protocol;
use url::Url;

/// Every protocol that is worth a try, the commonest first.
const EVERY: [Protocol; 5] = [
    Protocol::OpenaiChat,
    Protocol::AnthropicMessages,
    Protocol::Google,
    Protocol::Ollama,
    Protocol::AzureOpenai,
];

/// Providers that speak OpenAI's protocol under names of their own.
const COMPATIBLE: [&str; 17] = [
    "openai",
    "openrouter",
    "groq",
    "mistral",
    "deepseek",
    "together",
    "xai",
    "fireworks",
    "perplexity",
    "moonshot",
    "zhipu",
    "volcengine",
    "minimax",
    "cerebras",
    "vllm",
    "lmstudio",
    "litellm",
];

/// What the provider's name says.
pub fn by_provider(provider: &str) -> Option<Protocol> {
    let begins = |word: &str| provider.starts_with(word);
    if begins("azure") {
        Some(Protocol::AzureOpenai)
    } else if begins("anthropic") || begins("claude") {
        Some(Protocol::AnthropicMessages)
    } else if begins("gemini") || begins("google") {
        Some(Protocol::Google)
    } else if begins("ollama") {
        Some(Protocol::Ollama)
    } else {
        COMPATIBLE.iter().any(|word| begins(word)).then_some(Protocol::OpenaiChat)
    }
}

/// What the URL says.
pub fn by_url(url: &Url) -> Option<Protocol> {
    let (host, path) = (url.host_str().unwrap_or_default(), url.path());
    if host.ends_with(".azure.com") {
        Some(Protocol::AzureOpenai)
    } else if path.contains("/openai") {
        Some(Protocol::OpenaiChat)
    } else if host.contains("anthropic") || path.contains("/anthropic") {
        Some(Protocol::AnthropicMessages)
    } else if host.starts_with("generativelanguage.") || path.contains("/v1beta") {
        Some(Protocol::Google)
    } else if host.contains("ollama") || url.port() == Some(11434) || path.ends_with("/api") {
        Some(Protocol::Ollama)
    } else {
        path.trim_end_matches('/').ends_with("/v1").then_some(Protocol::OpenaiChat)
    }
}

/// What an upstream likely speaks, the likeliest first: what its provider does, what its URL tells, then the rest.
pub fn likely(provider: &str, url: &Url) -> Vec<Protocol> {
    let guesses = [by_provider(provider), by_url(url)].into_iter().flatten();
    let mut order: Vec<Protocol> = Vec::new();
    for protocol in guesses.chain(EVERY) {
        if !order.contains(&protocol) {
            order.push(protocol);
        }
    }
    order
}
