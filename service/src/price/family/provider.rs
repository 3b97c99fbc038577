//! The provider that is stated for a call: what others charge says nothing of what it charges.

use super::super::shelf::Asked;

/// Names of one provider, as clients, gateways and price lists write them.
const NAMES: [&[&str]; 9] = [
    &["bedrock", "amazon", "amazon-bedrock", "aws"],
    &["vertex_ai", "gemini", "google", "google-vertex", "vertex", "vertexai"],
    &["deepseek", "deepseek-ai"],
    &["minimax", "minimaxai"],
    &["mistral", "mistralai"],
    &["moonshot", "moonshotai"],
    &["openai", "text-completion-openai"],
    &["xai", "x-ai"],
    &["zhipu", "z-ai", "zai", "zhipuai"],
];
/// What a path of resources begins with, and an ARN: not a provider.
const PATHS: [&str; 4] = ["accounts", "models", "projects", "publishers"];

/// The provider that a call states: apart, or before its model's name.
pub fn stated(asked: Asked<'_>) -> Option<&str> {
    let in_name = || asked.model.split_once('/').map(|(name, _)| name.trim());
    let is_path = |name: &str| PATHS.contains(&name) || name.starts_with("arn:");
    asked.provider.or_else(|| in_name().filter(|name| !is_path(name)))
}

/// Whether a price of a provider is one of the provider that is stated. One without provider is everybody's.
pub fn suits(stated: Option<&str>, provider: Option<&str>) -> bool {
    let (Some(stated), Some(provider)) = (stated, provider) else { return true };
    let stated = stated.to_lowercase();
    stated == provider
        || NAMES.iter().any(|names| names.contains(&stated.as_str()) && names.contains(&provider))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provider_is_stated_apart_or_before_the_model() {
        for (model, provider, expected) in [
            ("gpt-4o", None, None),
            ("gpt-4o", Some("azure"), Some("azure")),
            ("azure/gpt-4o", None, Some("azure")),
            ("openai/gpt-4o", Some("groq"), Some("groq")),
            ("publishers/google/models/gemini-2.5-pro", None, None),
            ("arn:aws:bedrock:us-east-1:1:inference-profile/x", None, None),
        ] {
            assert_eq!(stated(Asked { model, provider }), expected, "{model} {provider:?}");
        }
    }

    #[test]
    fn prices_of_other_providers_do_not_suit() {
        for (stated, provider, expected) in [
            (None, Some("openai"), true),
            (Some("groq"), None, true),
            (Some("openai"), Some("openai"), true),
            (Some("OpenAI"), Some("openai"), true),
            (Some("gemini"), Some("vertex_ai"), true),
            (Some("x-ai"), Some("xai"), true),
            (Some("azure"), Some("openai"), false),
            (Some("groq"), Some("openai"), false),
            (Some("bedrock"), Some("anthropic"), false),
        ] {
            assert_eq!(suits(stated, provider), expected, "{stated:?} {provider:?}");
        }
    }
}
