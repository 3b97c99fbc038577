//! Names in any script: nothing panics, and what has a price of its own is found by its own name. `PROPTEST_CASES=100000`
//! tries more of them.

use super::*;
use crate::price::family::plain;
use proptest::prelude::*;

/// Any text, and such as looks like a model's name in some script, with dates, versions and stars where they may stand.
fn name() -> impl Strategy<Value = String> {
    let part = "[a-z日本語モデルéß🦀\u{300}ﷺİ]{0,4}";
    let end = prop::sample::select(vec![
        "",
        "-20250219",
        "@20250219",
        "-2025-02-19",
        "20250219",
        "-2025-02-1",
        "-latest",
        "-preview",
        "-v1:0",
        ":0",
        "*",
        "/",
        ".",
        "-",
        "語20250219",
        "語2025-02-19",
    ]);
    let word =
        prop::sample::select(vec!["", "gpt-", "claude-", "openai/", "us.anthropic.", "*", "mini", "opus"]);
    prop_oneof![
        any::<String>(),
        "\\PC{0,24}",
        (word, part, end, part).prop_map(|(word, first, end, last)| format!("{word}{first}{end}{last}")),
    ]
}

proptest! {
    #[test]
    fn no_name_panics_and_each_is_found_by_itself(
        models in prop::collection::vec(name(), 1..12),
        asked in name(),
        provider in prop::option::of(name()),
        aliases in prop::collection::vec((name(), name(), any::<bool>()), 0..6),
    ) {
        let rows: Vec<_> = (1..)
            .zip(&models)
            .map(|(n, model)| if n % 2 == 0 { ours(n, None, model) } else { platforms(n, None, model) })
            .collect();
        let aliases: Vec<_> = aliases.iter().map(|(name, target, on)| alias(name, target, *on)).collect();
        let prices = books(&rows, &aliases);
        for model in models.iter().chain([&asked]) {
            resolve(&prices, &wanted(model, provider.as_deref()));
            let name = prices.resolved(model).to_owned();
            let found = winner(&prices, &wanted(model, None));
            if rows.iter().any(|row| row.model.as_ref() == Some(&name)) {
                prop_assert!(found.is_some_and(|won| won.step != Step::Family && won.step != Step::Default));
            }
        }
    }

    #[test]
    fn plain_name_has_no_vendor_path_and_no_capital(model in name()) {
        let name = plain(&model);
        prop_assert!(!name.contains(['/', '.', ' ', '_']), "{name:?}");
        prop_assert_eq!(&name.to_lowercase(), &name);
    }
}
