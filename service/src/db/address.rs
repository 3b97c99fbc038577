//! Whether the address of a Postgres database means what was meant. A password in it may contain anything, and what is special
//! in an address must be percent-encoded there; otherwise a part of it is taken for the host, the port or the database, and
//! shown as such in errors. So everything doubtful is refused before anything is done with it, by part and position alone.

use sqlx::postgres::PgConnectOptions;
use std::str::FromStr;

/// What the driver knows of parameters; it logs others, with their values.
const PARAMETERS: [&str; 17] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
];

const ENCODE: &str = "in a user name, a password or a database's name, percent-encode what is special: %23 for #, %2F for /, \
                      %3F for ?, %40 for @, %3A for :, %25 for %, %20 for a space";

/// Whether the layers below take a text for an address at all; one that they do not they quote.
pub fn is_address(text: &str) -> bool {
    url::Url::parse(text).is_ok()
}

/// A fault: what is wrong, and the byte it is at.
type Checked<T> = Result<T, (&'static str, usize)>;

/// Checks a `postgres://…` address; a fault names the part and its position, counted in characters from 1, and no text of it.
pub fn check_postgres_address(text: &str) -> Result<(), String> {
    check(text).map_err(|(what, at)| {
        let position = text.get(..at).map_or(at, |before| before.chars().count()) + 1;
        format!("{what}, at character {position}; {ENCODE}")
    })
}

fn check(text: &str) -> Checked<()> {
    if let Some((at, _)) = text.char_indices().find(|(_, c)| c.is_control() || c.is_whitespace()) {
        return Err(("a space, a line break or a control character is not allowed", at));
    }
    let start = text.find("://").map_or(0, |at| at + 3);
    let end = between(text, start, text.len()).find(['/', '?', '#']).map_or(text.len(), |at| start + at);
    if let Some(at) = text.find('#') {
        return Err(("a # is not allowed as it is", at));
    }
    authority(text, start, end)?;
    let query = between(text, end, text.len()).find('?').map(|at| end + at);
    database(text, end, query.unwrap_or(text.len()))?;
    if let Some(query) = query {
        parameters(text, query + 1)?;
    }
    // Whatever else the driver has against it, in words that do not quote it.
    PgConnectOptions::from_str(text).map(drop).map_err(|_| ("the host or the port is not valid", start))
}

/// `user:password@host:port`, every part of which may be missing.
fn authority(text: &str, start: usize, end: usize) -> Checked<()> {
    let host = between(text, start, end).rfind('@').map_or(start, |at| start + at + 1);
    encoded(text, start, end)?;
    if between(text, host, end).starts_with('[') && !between(text, host, end).contains(']') {
        return Err(("the host is not valid", host));
    }
    let port = match between(text, host, end).rfind(']') {
        Some(bracket) => host + bracket + 1,
        None => between(text, host, end).find(':').map_or(end, |at| host + at),
    };
    let Some(number) = between(text, port, end).strip_prefix(':') else {
        return if port == end { Ok(()) } else { Err(("the host is not valid", host)) };
    };
    let fits = number.bytes().all(|byte| byte.is_ascii_digit()) && number.parse::<u16>().is_ok_and(|n| n > 0);
    if fits { Ok(()) } else { Err(("the port is not a number from 1 to 65535", port + 1)) }
}

/// `/name`.
fn database(text: &str, start: usize, end: usize) -> Checked<()> {
    encoded(text, start, end)?;
    let name = between(text, (start + 1).min(end), end);
    match name.find(['/', '@', ':']) {
        Some(at) => Err(("the database's name contains a special character", start + 1 + at)),
        None => Ok(()),
    }
}

fn parameters(text: &str, start: usize) -> Checked<()> {
    encoded(text, start, text.len())?;
    let mut at = start;
    for pair in between(text, start, text.len()).split('&') {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        let known = PARAMETERS.contains(&name) || name == "options" || name.starts_with("options[");
        if !known && !pair.is_empty() {
            return Err(("a parameter is not known", at));
        }
        // Each by itself, so that the position is that of the faulty one.
        if PgConnectOptions::from_str(&format!("postgres://host/name?{pair}")).is_err() {
            return Err(("the value of a parameter is not valid", at));
        }
        at += pair.len() + 1;
    }
    Ok(())
}

/// A percent sign stands before two hexadecimal digits, and all of them together are UTF-8.
fn encoded(text: &str, start: usize, end: usize) -> Checked<()> {
    let bytes = &text.as_bytes()[start..end];
    let is_hex = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%') {
        if !is_hex(at + 1) || !is_hex(at + 2) {
            return Err(("a % is not followed by two hexadecimal digits", start + at));
        }
    }
    let decoded = percent_encoding::percent_decode(bytes).decode_utf8();
    decoded.map(drop).map_err(|_| ("what is percent-encoded is not UTF-8", start))
}

/// A part of the text; its ends are at characters of ASCII.
fn between(text: &str, start: usize, end: usize) -> &str {
    text.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

    #[test]
    fn what_is_special_is_refused_by_position_unless_it_is_encoded() {
        for (address, position) in [
            ("postgres://u:p#hunter2@h/d", 15),
            ("postgres://u:hunter2#@h/d", 21),
            ("postgres://u:p/hunter2@h/d", 14),
            ("postgres://u:p?hunter2@h/d", 14),
            ("postgres://u:1/hunter2@h/d", 23),
            ("postgres://u:1?hunter2@h/d", 16),
            ("postgres://u@corp:1/hunter2@h/d", 28),
            ("postgres://u:1?sslmode=hunter2@h/d", 16),
            ("postgres://u:hunter2%@h/d", 21),
            ("postgres://u:hunter2%zz@h/d", 21),
            ("postgres://u:hunter2%ff@h/d", 12),
            ("postgres://u:hun ter2@h/d", 17),
            ("postgres://u:hun\nter2@h/d", 17),
            ("postgres://u:p@h:hunter2/d", 18),
            ("postgres://u:p@h:0/d", 18),
            ("postgres://u:p@h:99999/d", 18),
            ("postgres://u:p@[::1/d", 16),
            ("postgres://u:p@[::1]5/d", 16),
            ("postgres://u:p@h/d?hunter2", 20),
            ("postgres://u:p@h/d?sslmode=disable&sslmode=hunter2", 36),
            ("postgres://ü:p#@h/d", 15),
        ] {
            let fault = check_postgres_address(address).unwrap_err();
            assert!(fault.contains(&format!("at character {position};")), "{address}: {fault}");
            assert!(!fault.contains("hunter2") && fault.contains("percent-encode"), "{address}: {fault}");
        }
    }

    #[test]
    fn what_is_right_is_taken() {
        let password = utf8_percent_encode("a#b/c?d@e:f%g h\u{e9}", NON_ALPHANUMERIC).to_string();
        for address in [
            "postgres://",
            "postgres:///name",
            "postgres://host",
            "postgresql://user@host:5432/name",
            "postgres://user:p@ss:word@host:5432/name",
            "postgres://u:p@[::1]:5432/d?sslmode=disable&application_name=x",
            "postgres://u:p@%2Fvar%2Frun%2Fpostgresql/d",
            "postgres:///d?host=/var/run/postgresql&user=u@corp&password=x%23",
            "postgres://u@h/d?options=-c%20geqo%3Doff&options[search_path]=a",
            &format!("postgres://user:{password}@host/name"),
        ] {
            assert_eq!(check_postgres_address(address), Ok(()), "{address}");
        }
    }
}
