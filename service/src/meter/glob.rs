//! Model globs: `*` stands for any text, everything else for itself. Names of models are compared in lower case and without
//! the space around them: [`fold`] both sides first.

use std::borrow::Cow;

/// A name or a glob as names are compared: in lower case, without the space around it. Letter by letter, so that a glob
/// folds as the text that it matches does, wherever its stars are.
pub fn fold(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    let same = |letter: char| letter.to_lowercase().eq([letter]);
    if text.chars().all(same) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.chars().flat_map(char::to_lowercase).collect())
    }
}

/// Whether one of the globs matches one of the names, which are folded.
pub fn any_match<'n>(globs: &[String], names: impl Iterator<Item = &'n str> + Clone) -> bool {
    globs.iter().any(|glob| {
        let glob = fold(glob);
        names.clone().any(|name| matches(&glob, name))
    })
}

/// Whether a glob matches a text, in time linear in the text for each star: a later star never needs an earlier one to be
/// tried again.
pub fn matches(glob: &str, text: &str) -> bool {
    let Some((head, rest)) = glob.split_once('*') else { return glob == text };
    let Some(mut text) = text.strip_prefix(head) else { return false };
    let Some((middle, tail)) = rest.rsplit_once('*') else { return text.ends_with(rest) };
    for piece in middle.split('*') {
        // The leftmost place for each piece leaves the most text for those that follow.
        let Some((_, behind)) = text.split_once(piece) else { return false };
        text = behind;
    }
    text.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::{fold, matches};
    use proptest::prelude::*;

    fn naive(glob: &[char], text: &[char]) -> bool {
        match glob.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|skip| naive(rest, &text[skip..])),
            Some((first, rest)) => text.first() == Some(first) && naive(rest, &text[1..]),
        }
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (glob, text) in [("*", ""), ("gpt-4o*", "gpt-4o-mini"), ("*/llama", "meta/llama"), ("a**b", "ab")]
        {
            assert!(matches(glob, text), "{glob} {text}");
        }
        for (glob, text) in [("gpt-4o", "gpt-4O"), ("gpt-?", "gpt-4"), ("a*a", "a"), ("", "x"), ("[ab]", "a")]
        {
            assert!(!matches(glob, text), "{glob} {text}");
        }
    }

    #[test]
    fn case_and_surrounding_space_fold_away() {
        for (text, folded) in
            [("GPT-4o ", "gpt-4o"), ("\tΑΣ", "ας"), ("Straße", "straße"), ("gpt 4o", "gpt 4o")]
        {
            assert_eq!(fold(text), folded.replace('ς', "σ"), "{text}");
            assert_eq!(fold(&fold(text)), fold(text));
        }
    }

    #[test]
    fn a_hostile_glob_costs_little() {
        let glob = "*a".repeat(128) + "*b";
        assert!(!matches(&glob, &"a".repeat(100_000)));
    }

    proptest! {
        #[test]
        fn a_name_matches_itself_however_it_is_written(name in "\\PC{0,12}") {
            let upper = name.to_uppercase();
            prop_assert!(matches(&fold(&name), &fold(&name)));
            let folded = fold(&upper);
            prop_assert_eq!(&fold(&folded), &folded);
        }

        #[test]
        fn it_agrees_with_the_naive_matcher(glob in "[ab*é]{0,10}", text in "[ab*é]{0,12}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&glob, &text), naive(&chars(&glob), &chars(&text)));
        }
    }
}
