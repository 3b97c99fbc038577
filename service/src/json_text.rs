//! JSON as it is written. [`canonical`] gives every spelling of one value the same text, and [`check_kept`] refuses what a
//! row would not keep as it was sent. Numbers are compared digit by digit, never as floats.

use serde::de::IgnoredAny;
use std::{collections::BTreeMap, fmt};

use crate::validate::escaped;

/// Levels of nesting, as many as `serde_json` reads.
const DEPTH: usize = 128;

/// A value, with its numbers as they are written.
#[derive(Debug)]
enum Node<'t> {
    Object(BTreeMap<String, Node<'t>>),
    Array(Vec<Node<'t>>),
    Text(String),
    Number(&'t str),
    /// `true`, `false` or `null`.
    Literal(&'t str),
}

/// Why a text has no one value, or a value that is not kept.
#[derive(Debug, PartialEq, Eq)]
pub enum TextFault {
    /// It is not JSON, or nested too deeply.
    Malformed,
    /// An object names this member twice.
    Duplicate(String),
    /// The number at this JSON pointer would be stored as another.
    Inexact(String),
}

impl fmt::Display for TextFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("must be JSON of at most 128 levels"),
            Self::Duplicate(name) => write!(f, "names the member {name:?} twice"),
            Self::Inexact(pointer) => write!(
                f,
                "the number at {pointer} cannot be kept exactly (it is beyond 64 bits, too precise, or -0): send it as a string"
            ),
        }
    }
}

/// One text for every spelling of a JSON value: members in the order of their names, no white space, one form of each
/// number and string. It is JSON of the same value. None of what is not JSON, or names a member of an object twice.
pub fn canonical(text: &[u8]) -> Option<Vec<u8>> {
    let node = parse(std::str::from_utf8(text).ok()?).ok()?;
    let mut out = String::new();
    node.write(&mut out)?;
    Some(out.into_bytes())
}

/// An error unless both databases keep the value as it is written.
pub fn check_kept(text: &str) -> Result<(), TextFault> {
    match parse(text)?.inexact("") {
        Some(pointer) => Err(TextFault::Inexact(pointer)),
        None => Ok(()),
    }
}

fn parse(text: &str) -> Result<Node<'_>, TextFault> {
    // The reader below relies on it: it looks only for where things end.
    serde_json::from_str::<IgnoredAny>(text).map_err(|_| TextFault::Malformed)?;
    let mut reader = Reader { rest: text };
    reader.skip_space();
    reader.value(0)
}

/// What is left of a text that is known to be JSON.
struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// Cuts off so many bytes, and the white space behind them.
    fn cut(&mut self, length: usize) -> Result<&'t str, TextFault> {
        let (token, rest) = self.rest.split_at_checked(length).ok_or(TextFault::Malformed)?;
        self.rest = rest;
        self.skip_space();
        Ok(token)
    }

    fn skip(&mut self, mark: char) -> bool {
        self.rest.starts_with(mark) && self.cut(mark.len_utf8()).is_ok()
    }

    fn value(&mut self, depth: usize) -> Result<Node<'t>, TextFault> {
        if depth >= DEPTH {
            return Err(TextFault::Malformed);
        }
        if self.skip('{') {
            return self.object(depth);
        }
        if self.skip('[') {
            return self.array(depth);
        }
        if self.rest.starts_with('"') {
            return self.string().map(Node::Text);
        }
        let end = self.rest.find([',', '}', ']', ' ', '\t', '\n', '\r']).unwrap_or(self.rest.len());
        let word = self.cut(end)?;
        let number = word.starts_with(|first: char| first == '-' || first.is_ascii_digit());
        Ok(if number { Node::Number(word) } else { Node::Literal(word) })
    }

    fn string(&mut self) -> Result<String, TextFault> {
        let mut escape = false;
        let closes = |&(at, c): &(usize, char)| {
            let closes = c == '"' && !escape && at > 0;
            escape = c == '\\' && !escape;
            closes
        };
        let close = self.rest.char_indices().find(closes).ok_or(TextFault::Malformed)?;
        serde_json::from_str(self.cut(close.0 + 1)?).map_err(|_| TextFault::Malformed)
    }

    fn object(&mut self, depth: usize) -> Result<Node<'t>, TextFault> {
        let mut members = BTreeMap::new();
        while !self.skip('}') {
            let name = self.string()?;
            self.skip(':');
            let value = self.value(depth + 1)?;
            if members.contains_key(&name) {
                return Err(TextFault::Duplicate(name));
            }
            members.insert(name, value);
            self.skip(',');
        }
        Ok(Node::Object(members))
    }

    fn array(&mut self, depth: usize) -> Result<Node<'t>, TextFault> {
        let mut items = Vec::new();
        while !self.skip(']') {
            items.push(self.value(depth + 1)?);
            self.skip(',');
        }
        Ok(Node::Array(items))
    }
}

impl Node<'_> {
    fn write(&self, out: &mut String) -> Option<()> {
        match self {
            Self::Object(members) => {
                out.push('{');
                for (n, (name, value)) in members.iter().enumerate() {
                    out.push_str(if n > 0 { "," } else { "" });
                    out.push_str(&serde_json::to_string(name).ok()?);
                    out.push(':');
                    value.write(out)?;
                }
                out.push('}');
            }
            Self::Array(items) => {
                out.push('[');
                for (n, item) in items.iter().enumerate() {
                    out.push_str(if n > 0 { "," } else { "" });
                    item.write(out)?;
                }
                out.push(']');
            }
            Self::Text(text) => out.push_str(&serde_json::to_string(text).ok()?),
            Self::Number(number) => out.push_str(&decimal(number)?),
            Self::Literal(word) => out.push_str(word),
        }
        Some(())
    }

    /// The pointer of the first number that is not kept.
    fn inexact(&self, at: &str) -> Option<String> {
        match self {
            Self::Object(members) => {
                members.iter().find_map(|(name, value)| value.inexact(&format!("{at}/{}", escaped(name))))
            }
            Self::Array(items) => {
                items.iter().enumerate().find_map(|(n, item)| item.inexact(&format!("{at}/{n}")))
            }
            Self::Number(number) => (!is_kept(number)).then(|| at.to_owned()),
            Self::Text(_) | Self::Literal(_) => None,
        }
    }
}

/// The one form of a number: its significant digits, and a power of ten.
fn decimal(number: &str) -> Option<String> {
    let (sign, unsigned) = number.strip_prefix('-').map_or(("", number), |rest| ("-", rest));
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_end_matches('0');
    let dropped = i64::try_from(digits.len() - significant.len()).ok()?;
    let significant = significant.trim_start_matches('0');
    if significant.is_empty() {
        return Some("0".into());
    }
    let exponent = exponent.parse::<i64>().ok()?.checked_add(dropped)?;
    let exponent = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?;
    Some(format!("{sign}{significant}e{exponent}"))
}

/// Whether a number is read back as it was written. One database has no negative zero.
fn is_kept(number: &str) -> bool {
    let Some(written) = decimal(number) else { return false };
    let stored = serde_json::from_str::<serde_json::Number>(number).ok();
    let negative_zero = written == "0" && number.starts_with('-');
    !negative_zero && stored.and_then(|stored| decimal(&stored.to_string())) == Some(written)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn same(one: &str, other: &str) -> bool {
        let [one, other] = [one, other].map(|text| canonical(text.as_bytes()).unwrap());
        one == other
    }

    #[test]
    fn spellings_of_one_value_have_one_text() {
        for (one, other) in [
            (r#"{"a":1,"b":[true,null]}"#, " {\"b\" : [ true ,null],\n\t\"a\":1 } "),
            (r#"{"a":{"x":1,"y":2}}"#, r#"{"a":{"y":2,"x":1}}"#),
            ("[1,10,0.5,0,-2]", "[1.0,1e1,5E-1,-0.0,-20e-1]"),
            ("100000000000000000000000", "1e+23"),
            (r#""A\/é\"""#, r#""\u0041/\u00e9\u0022""#),
            (r#""\\""#, r#""\u005c""#),
            ("[[],{}]", "[ [ ] , { } ]"),
        ] {
            assert!(same(one, other), "{one} {other}");
        }
    }

    #[test]
    fn different_values_have_different_texts() {
        for (one, other) in [
            ("[1,2]", "[2,1]"),
            ("1", r#""1""#),
            ("18446744073709551616", "18446744073709551617"),
            ("0.1", "0.10000000000000000001"),
            ("1", "-1"),
            (r#"{"a":null}"#, "{}"),
            (r#""a""#, r#""A""#),
        ] {
            assert!(!same(one, other), "{one} {other}");
        }
    }

    #[test]
    fn what_has_no_one_value_has_no_text() {
        let deep = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
        for text in ["", "{", "{}{}", r#"{"a":1,"a":1}"#, r#"[{"a":1,"\u0061":2}]"#, r#""\ud800""#, &deep] {
            assert_eq!(canonical(text.as_bytes()), None);
        }
        assert_eq!(canonical(b"\"\xff\""), None);
        assert_eq!(canonical(b"1e99999999999999999999"), None);
    }

    #[test]
    fn numbers_that_change_are_named() {
        let kept =
            "[0,-1,0.1,1.0,1e300,5e-324,0.30000000000000004,18446744073709551615,-9223372036854775808,1e20]";
        assert_eq!(check_kept(kept), Ok(()));
        for number in [
            "-0",
            "-0.0",
            "-0e5",
            "18446744073709551616",
            "-9223372036854775809",
            "0.10000000000000000001",
            "1e400",
        ] {
            let fault = check_kept(&format!(r#"{{"a/b":[1,{{"c":{number}}}]}}"#));
            assert_eq!(fault, Err(TextFault::Inexact("/a~1b/1/c".into())), "{number}");
        }
        assert_eq!(check_kept(r#"{"a":{"b":1,"b":1}}"#), Err(TextFault::Duplicate("b".into())));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..6).prop_map(|map| json!(map)),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_text_of_a_value_says_what_the_value_says(value in value(), other in value()) {
            let text = |value: &Value| canonical(serde_json::to_string_pretty(value).unwrap().as_bytes()).unwrap();
            prop_assert_eq!(text(&value), canonical(value.to_string().as_bytes()).unwrap());
            prop_assert_eq!(canonical(&text(&value)), Some(text(&value)));
            prop_assert_eq!(text(&value) == text(&other), value == other);
        }
    }
}
