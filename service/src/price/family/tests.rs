//! Names made plain, and models found by their likeness.

use super::*;

/// Models of the built-in catalogue.
const MODELS: [&str; 30] = [
    "claude-3-7-sonnet-20250219",
    "claude-haiku-4-5",
    "claude-haiku-4-5-20251001",
    "claude-opus-4-1",
    "claude-opus-4-20250514",
    "claude-opus-4-8",
    "claude-opus-5",
    "claude-sonnet-4-20250514",
    "claude-sonnet-4-5",
    "claude-sonnet-4-5-20250929-v1:0",
    "claude-sonnet-4-6",
    "claude-sonnet-5",
    "deepseek-chat",
    "deepseek-reasoner",
    "gemini-2.0-flash",
    "gemini-2.5-flash",
    "gemini-2.5-flash-lite",
    "gemini-2.5-pro",
    "gemini-flash-latest",
    "gpt-3.5-turbo",
    "gpt-4",
    "gpt-4-turbo",
    "gpt-4.1",
    "gpt-4o",
    "gpt-4o-2024-05-13",
    "gpt-4o-mini",
    "gpt-5-nano",
    "grok-4.20-0309-reasoning",
    "grok-4.3",
    "o3-mini",
];

fn families(models: &[&str]) -> Families {
    let mut families = Families::default();
    let mut models: Vec<Arc<str>> = models.iter().map(|model| Arc::from(*model)).collect();
    models.sort_unstable_by_key(|model| (model.len(), Reverse(model.clone())));
    models.iter().for_each(|model| families.set(model, true));
    families
}

fn found(families: &Families, models: &[&str], model: &str) -> Option<(String, Likeness)> {
    families.find(model, |model| models.contains(&model).then(|| model.to_owned()))
}

#[test]
fn names_are_made_plain() {
    for (model, name) in [
        ("GPT 4o", "gpt-4o"),
        ("gpt_4o", "gpt-4o"),
        ("openai/gpt-4.1", "gpt-4-1"),
        ("openrouter/anthropic/claude-opus-4.5", "claude-opus-4-5"),
        ("anthropic.claude-3-haiku-20240307-v1:0", "claude-3-haiku"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
        ("us-gov.anthropic.claude-3-haiku", "claude-3-haiku"),
        ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-4o-mini-search-preview-2025-03-11", "gpt-4o-mini-search"),
        ("gemini-flash-latest", "gemini-flash"),
        ("claude-2:0", "claude-2"),
        ("gpt-4-0613", "gpt-4-0613"),
        ("gpt-35-turbo", "gpt-3-5-turbo"),
        ("gpt-350", "gpt-350"),
        ("gpt-4.1", "gpt-4-1"),
        ("model-12345678", "model-12345678"),
        ("gpt-4o-2024-13", "gpt-4o-2024-13"),
        ("-20250219", "-20250219"),
        ("-latest", "-latest"),
        ("日本-20250219", "日本"),
        ("日本語モデル", "日本語モデル"),
        ("日本語モデル-20250219", "日本語モデル"),
        ("@20250219", "@20250219"),
        ("", ""),
        ("/", ""),
        (".", "-"),
        (":", ":"),
    ] {
        assert_eq!(plain(model), name, "{model}");
    }
}

#[test]
fn the_nearest_name_is_taken() {
    let families = families(&MODELS);
    for (model, nearest, likeness) in [
        ("GPT_4o", "gpt-4o", Likeness::Spelling),
        ("openai/gpt-4-1", "gpt-4.1", Likeness::Spelling),
        ("gpt-35-turbo", "gpt-3.5-turbo", Likeness::Spelling),
        ("claude-sonnet-4@20250514", "claude-sonnet-4-20250514", Likeness::Spelling),
        ("anthropic/claude-opus-4.8:beta", "claude-opus-4-8", Likeness::Spelling),
        ("global.anthropic.claude-sonnet-4-5-v1:0", "claude-sonnet-4-5", Likeness::Spelling),
        ("gpt-4o-2024-11-20", "gpt-4o", Likeness::Same),
        ("claude-opus-4", "claude-opus-4-20250514", Likeness::Same),
        ("gemini-flash", "gemini-flash-latest", Likeness::Same),
        ("gpt-4o-mini:online", "gpt-4o-mini", Likeness::Prefix),
        ("gpt-5.7-nano", "gpt-5-nano", Likeness::Prefix),
        ("claude-opus-4-9", "claude-opus-5", Likeness::Tier("claude", "opus")),
        ("claude-sonnet-4-9", "claude-sonnet-4-6", Likeness::Tier("claude", "sonnet")),
        ("gpt-4o-mini-high", "gpt-4o-mini", Likeness::Prefix),
        ("gpt-4-32k", "gpt-4", Likeness::Prefix),
        ("o3-mini-high", "o3-mini", Likeness::Prefix),
        ("gpt-3.5", "gpt-3.5-turbo", Likeness::Prefix),
        ("grok-4", "grok-4.3", Likeness::Prefix),
        ("grok", "grok-4.3", Likeness::Prefix),
        ("gemini-2.5", "gemini-2.5-pro", Likeness::Prefix),
        ("claude-opus-6", "claude-opus-5", Likeness::Tier("claude", "opus")),
        ("claude-3-opus", "claude-opus-5", Likeness::Tier("claude", "opus")),
        ("claude-3-5-haiku-20241022", "claude-haiku-4-5", Likeness::Tier("claude", "haiku")),
        ("claude-3-5-sonnet-20241022", "claude-sonnet-4-6", Likeness::Tier("claude", "sonnet")),
        ("claude-instant", "claude-sonnet-4-6", Likeness::Tier("claude", "sonnet")),
        ("claude", "claude-sonnet-4-6", Likeness::Tier("claude", "sonnet")),
        ("gpt", "gpt-4o", Likeness::Tier("gpt", "4o")),
        ("gpt-4omni", "gpt-4o", Likeness::Tier("gpt", "4o")),
        ("chatgpt-latest", "gpt-4o", Likeness::Tier("gpt", "4o")),
        ("gpt-9-mini", "gpt-4o-mini", Likeness::Tier("gpt", "mini")),
        ("gpt-9-nano", "gpt-5-nano", Likeness::Tier("gpt", "nano")),
        ("gemini-ultra", "gemini-2.5-flash", Likeness::Tier("gemini", "flash")),
        ("gemini-9-flash-lite", "gemini-2.5-flash-lite", Likeness::Tier("gemini", "lite")),
        ("gemini-9-pro", "gemini-2.5-pro", Likeness::Tier("gemini", "pro")),
        ("deepseek-v9", "deepseek-chat", Likeness::Tier("deepseek", "chat")),
        ("deepseek-r1-0528", "deepseek-reasoner", Likeness::Tier("deepseek", "reasoner")),
    ] {
        assert_eq!(found(&families, &MODELS, model), Some((nearest.to_owned(), likeness)), "{model}");
    }
}

#[test]
fn a_model_of_another_kind_is_near_to_none() {
    let families = families(&MODELS);
    for model in [
        "llama-3",
        "o9",
        "mistral-large",
        "qwen-plus",
        "",
        "日本",
        "-",
        "gp-t",
        "openai/gpt-oss-120b",
        "gpt-oss:120b",
        "gpt-4o-audio",
        "gpt-image-3",
        "gpt-embedding-1",
        "claude-embed-1",
        "gpt-4-vision-preview",
        "gpt-neo-2.7b",
        "my-gpt-4o",
        "openhermes-2.5-mistral-7b",
        "deepseek-r1-distill-qwen-32b",
        "deepseek-r1:free",
        "gpt-4o:nitro",
        "ft:gpt-4o-mini:acme::1",
        "gpt-4o.ft-1",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "azure/eu/gpt-4o",
    ] {
        assert_eq!(found(&families, &MODELS, model), None, "{model}");
    }
}

#[test]
fn every_family_has_the_tier_that_is_meant_without_a_word() {
    let first = FAMILIES.iter().map(|family| (family.word, family.tiers[0].name));
    let expected = [
        ("claude", "sonnet"),
        ("gpt", "4o"),
        ("gemini", "flash"),
        ("deepseek", "chat"),
        ("mistral", "large"),
        ("qwen", "plus"),
    ];
    assert_eq!(first.collect::<Vec<_>>(), expected);
}

#[test]
fn without_the_preferred_the_plainest_of_the_tier_stands_for_it() {
    let models =
        ["mistral-large-2407", "mistral-large-2411", "mistral-small", "qwen-plus", "claude-opus-3-thinking"];
    for turned in [false, true] {
        let mut models = models;
        if turned {
            models.reverse();
        }
        let families = families(&models);
        for (model, stands) in [
            ("mistral-large-9", "mistral-large-2411"),
            ("mistral-tiny", "mistral-large-2411"),
            ("open-mistral-small-9", "mistral-small"),
            ("mistral-medium", "mistral-large-2411"),
            ("qwen3-max", "qwen-plus"),
            ("claude-opus", "claude-opus-3-thinking"),
        ] {
            let (found, _) = found(&families, &models, model).unwrap();
            assert_eq!(found, stands, "{model}");
        }
        assert_eq!(found(&families, &models, "claude-haiku"), None, "no sonnet is there either");
    }
}

#[test]
fn what_is_not_accepted_is_passed_over() {
    let families = families(&MODELS);
    let accepted = ["gpt-4", "claude-opus-4-8"];
    assert_eq!(found(&families, &accepted, "gpt-4-99").unwrap().0, "gpt-4");
    assert_eq!(found(&families, &accepted, "claude-opus-9").unwrap().0, "claude-opus-4-8");
}

/// Spellings of a vendor's models, and the price that each has: of the model itself, a guess from it, or none.
#[test]
fn variants_of_every_vendor_are_the_model_a_guess_or_nothing() {
    let families = families(&MODELS);
    let (same, guess, nothing) = (Some(false), Some(true), None);
    let variants = [
        ("{}", same),
        ("{}:beta", same),
        ("{}:extended", same),
        ("{}:thinking", same),
        ("vendor/{}", same),
        ("vendor.{}-v1:0", same),
        ("global.vendor.{}-v1:0", same),
        ("{}:online", guess),
        ("{}-latest", guess),
        ("{}-preview", guess),
        ("{}-20990101", guess),
        ("{}@20990101", guess),
        ("{}-2099-01-01", guess),
        ("{}:free", nothing),
        ("{}:nitro", nothing),
        ("{}:floor", nothing),
        ("{}:8b", nothing),
        ("ft:{}:acme::1", nothing),
        ("{}.ft-1", nothing),
        ("us.vendor.{}-v1:0", nothing),
        ("eu.vendor.{}-v1:0", nothing),
        ("apac.vendor.{}", nothing),
        ("us-gov.vendor.{}", nothing),
        ("azure/eu/{}", nothing),
        ("{}-audio", nothing),
        ("{}-embedding", nothing),
        ("{}-image", nothing),
        ("{}-oss-120b", nothing),
        ("{}-distill-70b", nothing),
    ];
    for model in
        ["claude-opus-4-8", "gpt-4o", "gpt-4o-mini", "gemini-2.5-flash-lite", "deepseek-chat", "o3-mini"]
    {
        for (variant, expected) in variants {
            let called = variant.replace("{}", model);
            let found = found(&families, &MODELS, &called);
            assert_eq!(
                found.as_ref().map(|(_, likeness)| likeness.is_guess()),
                expected,
                "{called}: {found:?}"
            );
            if let Some((found, _)) = found {
                assert_eq!(found, model, "{called}");
            }
        }
    }
}
