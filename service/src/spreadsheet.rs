//! Text in cells of CSV files that people open in spreadsheets. A text that a spreadsheet would run as a formula is written
//! with an apostrophe in front, which spreadsheets show as text, and read back without it: writing and reading give the
//! same text. Numbers are never touched.

use std::borrow::Cow;

/// What begins a formula somewhere, also in full width, small, or as the sign of mathematics. An apostrophe of one's own is
/// marked as well, so that reading back is exact.
const MARKED: [char; 17] =
    ['=', '+', '-', '@', '\t', '\r', '\n', '\'', '＝', '＋', '－', '＠', '﹦', '﹢', '﹣', '﹫', '\u{2212}'];

/// What a spreadsheet may drop before it looks at the first character: spaces of any kind, and what has no width.
fn is_dropped(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2060}')
}

fn is_marked(text: &str) -> bool {
    text.starts_with(MARKED) || text.trim_start_matches(is_dropped).starts_with(MARKED)
}

/// A text as a cell holds it.
pub fn cell(text: &str) -> Cow<'_, str> {
    if is_marked(text) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

/// The text that a cell holds.
pub fn text(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|text| is_marked(text)).unwrap_or(cell)
}

#[cfg(test)]
mod tests {
    use super::{cell, text};
    use proptest::prelude::*;

    #[test]
    fn a_formula_is_text() {
        for formula in [
            "=1+1",
            "+1",
            "-1",
            "@SUM(A1)",
            "\t=1",
            "\r=1",
            "\n=1",
            "＝1",
            "'=1",
            "''",
            "'",
            " =1",
            "\u{a0}=1",
            "\u{3000}=1",
            "\u{feff}=1",
            "\u{200b}+1",
            "﹢1",
            "−1",
        ] {
            assert_eq!(cell(formula), format!("'{formula}"));
        }
        for plain in ["", "gpt-4o", "a=b", "2.5", " a =1", "日本"] {
            assert_eq!(cell(plain), plain);
        }
        assert_eq!((text("'quoted'"), text("'=1"), text("")), ("'quoted'", "=1", ""));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(original in "['=+@ \u{a0}\t\r\n＝-]{0,3}\\PC{0,5}") {
            let cell = cell(&original);
            prop_assert_eq!(text(&cell), &original);
            prop_assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']));
        }
    }
}
