//! Validation of requests: every fault of a request is collected and reported at once, each with its field.

use crate::{Error, Result, error::FieldError, json_text, password::Password};
use chrono::{DateTime, Datelike, Utc};
use entity::json::{Metadata, Tags, Texts};
use ipnet::IpNet;
use serde::Deserialize;

/// Characters of a name.
const NAME: usize = 255;
/// Entries of a list.
const LIST: usize = 256;
/// Characters of an entry.
const ENTRY: usize = 256;
/// Stars of a glob.
const STARS: usize = 8;
/// Tags of a thing.
const TAGS: usize = 64;
/// Bytes of a metadata object.
const METADATA: usize = 16 * 1024;

/// The faults found so far.
#[derive(Debug, Default)]
pub struct Faults(Vec<FieldError>);

impl Faults {
    /// Adds a fault.
    pub fn add(&mut self, pointer: impl Into<String>, code: &'static str, message: impl Into<String>) {
        self.0.push(FieldError { pointer: pointer.into(), code, message: message.into() });
    }

    /// Adds a fault if `wrong`.
    pub fn when(&mut self, wrong: bool, pointer: &str, code: &'static str, message: &str) {
        if wrong {
            self.add(pointer, code, message);
        }
    }

    /// Adds the faults of a check that stands by itself.
    pub fn also<T>(&mut self, checked: &Result<T>) {
        if let Err(Error::Invalid(faults)) = checked {
            self.0.extend(faults.iter().cloned());
        }
    }

    /// Nothing wrong, or everything that is.
    pub fn finish(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Invalid(self.0)) }
    }

    /// 1–255 characters, none of them a control character, not only blanks.
    pub fn name(&mut self, pointer: &str, name: &str) {
        self.when(name.trim().is_empty(), pointer, "required", "must not be empty");
        self.text(pointer, name, NAME);
    }

    /// At most `most` characters, none of them a control character.
    pub fn text(&mut self, pointer: &str, text: &str, most: usize) {
        if text.chars().count() > most {
            self.add(pointer, "too_long", format!("must have at most {most} characters"));
        }
        let control = text.chars().any(char::is_control);
        self.when(control, pointer, "invalid_character", "must not contain control characters");
    }

    /// 2–63 characters: lower-case letters, digits and inner hyphens, and not the form of an id.
    pub fn slug(&mut self, pointer: &str, slug: &str) {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let good = (2..=63).contains(&slug.len())
            && slug.chars().all(allowed)
            && !slug.starts_with('-')
            && !slug.ends_with('-');
        let message = "must be 2–63 lower-case letters, digits and inner hyphens";
        self.when(!good, pointer, "invalid_slug", message);
    }

    /// An e-mail address: something, an @, a domain, no blanks, at most 320 characters.
    pub fn email(&mut self, pointer: &str, email: &str) {
        let blank = email.chars().any(|c| c.is_whitespace() || c.is_control());
        let parts = email.rsplit_once('@').filter(|(local, domain)| {
            !local.is_empty() && !domain.is_empty() && !local.contains('@') && !domain.starts_with('.')
        });
        let good = !blank && parts.is_some() && email.chars().count() <= 320;
        self.when(!good, pointer, "invalid_email", "must be an e-mail address");
    }

    /// A new password.
    pub fn password(&mut self, pointer: &str, password: &Password) {
        self.0.extend(password.fault(pointer));
    }

    /// Model globs: `*` stands for any text, everything else for itself. What one tenant's globs cost keeps every tenant's
    /// decisions waiting, so their stars are counted.
    pub fn globs(&mut self, pointer: &str, globs: Option<&Texts>) {
        self.entries(pointer, globs);
        for (n, glob) in globs.iter().flat_map(|Texts(list)| list.iter().enumerate()) {
            self.stars(&format!("{pointer}/{n}"), glob);
        }
    }

    /// Not more stars than a glob may have.
    pub fn stars(&mut self, pointer: &str, glob: &str) {
        if glob.matches('*').count() > STARS {
            self.add(pointer, "too_many", format!("must have at most {STARS} stars"));
        }
    }

    fn entries(&mut self, pointer: &str, texts: Option<&Texts>) {
        let Some(Texts(texts)) = texts else { return };
        if texts.len() > LIST {
            self.add(pointer, "too_many", format!("must have at most {LIST} entries"));
        }
        for (n, text) in texts.iter().enumerate() {
            self.when(text.is_empty(), &format!("{pointer}/{n}"), "required", "must not be empty");
            self.text(&format!("{pointer}/{n}"), text, ENTRY);
        }
    }

    /// Networks in CIDR notation, without bits outside the mask.
    pub fn cidrs(&mut self, pointer: &str, networks: Option<&Texts>) {
        self.entries(pointer, networks);
        for (n, text) in networks.iter().flat_map(|Texts(list)| list.iter().enumerate()) {
            let good = text.parse::<IpNet>().is_ok_and(|net| net.trunc() == net);
            let message =
                "must be a network such as 10.0.0.0/8 or 2001:db8::/32, without bits outside the mask";
            self.when(!good, &format!("{pointer}/{n}"), "invalid_cidr", message);
        }
    }

    /// A short word for programs: 1–64 lower-case letters, digits, `-`, `_` and `.`, such as a provider's name.
    pub fn word(&mut self, pointer: &str, word: &str) {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
        let good = (1..=64).contains(&word.len()) && word.chars().all(allowed);
        let message = "must be 1–64 lower-case letters, digits, hyphens, underscores and points";
        self.when(!good, pointer, "invalid_value", message);
    }

    /// The name of one model: 1–255 characters, none of them a star, which would make it a glob.
    pub fn model(&mut self, pointer: &str, name: &str) {
        self.name(pointer, name);
        self.when(name.contains('*'), pointer, "invalid_character", "must name one model, without a star");
    }

    /// A currency of ISO 4217.
    pub fn currency(&mut self, pointer: &str, code: &str) {
        let known = iso_currency::Currency::from_code(code).is_some();
        self.when(!known, pointer, "unknown", "must be a currency of ISO 4217, such as USD");
    }

    /// A moment of the years 2000 to 9999: both databases keep those, in the same order.
    pub fn moment(&mut self, pointer: &str, moment: Option<DateTime<Utc>>) {
        let wrong = moment.is_some_and(|moment| !(2000..=9999).contains(&moment.year()));
        self.when(wrong, pointer, "out_of_range", "must be in the years 2000 to 9999");
    }

    /// Words of a closed set.
    pub fn words(&mut self, pointer: &str, words: Option<&Texts>, known: &[&str]) {
        for (n, word) in words.iter().flat_map(|Texts(list)| list.iter().enumerate()) {
            if !known.contains(&word.as_str()) {
                self.add(format!("{pointer}/{n}"), "unknown", format!("must be one of {}", known.join(", ")));
            }
        }
        self.when(
            words.is_some_and(|Texts(list)| list.len() > LIST),
            pointer,
            "too_many",
            "too many entries",
        );
    }

    /// Labels: at most 64, keys of 1–64 characters, values of at most 256.
    pub fn tags(&mut self, pointer: &str, Tags(tags): &Tags) {
        self.when(tags.len() > TAGS, pointer, "too_many", "must have at most 64 tags");
        for (key, value) in tags {
            let at = format!("{pointer}/{}", escaped(key));
            self.when(key.is_empty(), &at, "required", "a tag's name must not be empty");
            self.text(&at, key, 64);
            self.text(&at, value, ENTRY);
        }
    }

    /// A JSON object of at most 16 KiB without NUL.
    pub fn metadata(&mut self, pointer: &str, Metadata(object): &Metadata) {
        let text = serde_json::Value::Object(object.clone()).to_string();
        self.when(text.len() > METADATA, pointer, "too_long", "must have at most 16 KiB");
        self.when(text.contains("\\u0000"), pointer, "invalid_character", "must not contain NUL");
    }

    /// A positive number of seconds, at most ten years.
    pub fn lifetime(&mut self, pointer: &str, seconds: Option<i64>) {
        let wrong = seconds.is_some_and(|seconds| !(1..=315_576_000).contains(&seconds));
        self.when(wrong, pointer, "out_of_range", "must be between 1 and 315576000 seconds");
    }
}

/// A name as a part of a JSON pointer.
pub fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Reads a field that may be absent but not null: `null` on it is an error, not "keep".
pub fn present<'de, D, T>(deserializer: D) -> std::result::Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: serde::Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// Reads an object of the caller's own, of which everything is kept as it was sent.
pub fn metadata<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Metadata, D::Error> {
    let raw = <Box<serde_json::value::RawValue>>::deserialize(deserializer)?;
    let metadata = serde_json::from_str(raw.get()).map_err(serde::de::Error::custom)?;
    json_text::check_kept(raw.get()).map_err(serde::de::Error::custom)?;
    Ok(metadata)
}

/// The same of a field that may be absent but not null.
pub fn present_metadata<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<Metadata>, D::Error> {
    metadata(deserializer).map(Some)
}

/// The column begins with this text, letter for letter on both databases: `LIKE` is what an index can serve, and the
/// comparison minds the case where `LIKE` does not.
pub(crate) fn starts_with<C: sea_orm::ColumnTrait>(
    column: C,
    prefix: &str,
) -> sea_orm::sea_query::SimpleExpr {
    use sea_orm::sea_query::{Expr, ExprTrait, Func, LikeExpr};
    let literal = prefix.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    let length = i32::try_from(prefix.chars().count()).unwrap_or(i32::MAX);
    let begin = Func::cust("substr").args([Expr::col(column.as_column_ref()), 1.into(), length.into()]);
    column.like(LikeExpr::new(format!("{literal}%")).escape('\\')).and(Expr::expr(begin).eq(prefix))
}
