//! [`Address`]: where a proxy is and how it is signed in to, read from a URL. Its password never reaches a message, and is
//! shown as `****`.

use crate::vault::Plain;
use entity::{proxy_entry, status::ProxyScheme};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::{Host, Url};
use zeroize::Zeroizing;

/// What a password is shown as.
const MASK: &str = "****";
/// Characters of a URL, also of the one that is shown.
const LONGEST: usize = 1024;
/// Bytes of a user or a password that SOCKS can say.
const SOCKS: usize = 255;
/// What is written as it is in a user, as in RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A fault of a URL: its code, and what is said of it.
pub(super) type Fault = (&'static str, &'static str);

/// The password of an address.
#[derive(Debug)]
pub(super) enum Password {
    /// There is none.
    None,
    /// There is one, and it is not said.
    Masked,
    /// It is said.
    Clear(Plain),
}

/// Where a proxy is, and how it is signed in to.
#[derive(Debug)]
pub(super) struct Address {
    pub scheme: ProxyScheme,
    pub host: String,
    pub port: u16,
    pub user: Option<String>,
    pub password: Password,
}

impl Address {
    /// Reads a URL: a scheme, perhaps `user:password@`, a host, perhaps a port, and nothing behind.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        sound(text)?;
        let scheme = text.split_once("://").and_then(|(scheme, rest)| Some((known(scheme)?, rest)));
        let unknown = ("unsupported_scheme", "must begin with http://, https:// or socks5://");
        let (scheme, rest) = scheme.ok_or(unknown)?;
        let behind = (
            "invalid_url",
            "must have no path, query or fragment; /, ? and # in a user or a password are percent-encoded",
        );
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#']) {
            return Err(behind);
        }
        let (login, place) = rest.rsplit_once('@').unwrap_or(("", rest));
        let (user, password) = signed_in(login, scheme)?;
        let (host, port) = located(place, scheme)?;
        let address = Self { scheme, host, port, user, password };
        if address.shown().chars().count() > LONGEST {
            return Err(("too_long", "must have at most 1024 characters"));
        }
        Ok(address)
    }

    /// The address of a stored proxy, its password masked.
    pub(super) fn of(row: &proxy_entry::Model) -> Option<Self> {
        Self::parse(&row.display_url).ok()
    }

    /// Whether the other one is the same proxy, with the same user.
    pub(super) fn is(&self, other: &Self) -> bool {
        (self.scheme, &self.host, self.port, &self.user)
            == (other.scheme, &other.host, other.port, &other.user)
    }

    /// The URL with the password masked.
    pub(super) fn shown(&self) -> String {
        let user = self.user.as_deref().map(|user| utf8_percent_encode(user, ENCODED).to_string());
        let login = match (user, &self.password) {
            (None, _) => String::new(),
            (Some(user), Password::None) => format!("{user}@"),
            (Some(user), _) => format!("{user}:{MASK}@"),
        };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{}://{login}{host}:{}", word(self.scheme), self.port)
    }

    /// `user:password`, if there is a user and the password is said or there is none.
    pub(super) fn login(&self) -> Option<Plain> {
        let password = match &self.password {
            Password::None => b"",
            Password::Clear(password) => password.expose(),
            Password::Masked => return None,
        };
        Some(Plain::new(Zeroizing::new([self.user.as_ref()?.as_bytes(), b":", password].concat())))
    }
}

/// The text of a URL before it is looked at more closely.
fn sound(text: &str) -> Result<(), Fault> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || c == '\\';
    match text {
        "" => Err(("required", "must not be empty")),
        text if text.chars().count() > LONGEST => Err(("too_long", "must have at most 1024 characters")),
        text if text.contains(odd) => {
            Err(("invalid_character", "must not contain blanks, backslashes or control characters"))
        }
        _ => Ok(()),
    }
}

const fn word(scheme: ProxyScheme) -> &'static str {
    match scheme {
        ProxyScheme::Http => "http",
        ProxyScheme::Https => "https",
        ProxyScheme::Socks5 => "socks5",
    }
}

fn known(scheme: &str) -> Option<ProxyScheme> {
    let all = [ProxyScheme::Http, ProxyScheme::Https, ProxyScheme::Socks5];
    all.into_iter().find(|known| word(*known).eq_ignore_ascii_case(scheme))
}

/// Host and port. The host is read as that of a web address, so that it has one spelling whatever the scheme.
fn located(place: &str, scheme: ProxyScheme) -> Result<(String, u16), Fault> {
    let wrong = ("invalid_url", "must name a host, and perhaps a port between 1 and 65535");
    let url = Url::parse(&format!("http://{place}")).map_err(|_| wrong)?;
    let host = match url.host().ok_or(wrong)? {
        Host::Domain(name) => name.to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    };
    // The port 80 that goes without saying on the web is not told from one that is said.
    let said = Url::parse(&format!("socks5://{place}")).map_err(|_| wrong)?.port();
    let port = said.unwrap_or(match scheme {
        ProxyScheme::Http => 80,
        ProxyScheme::Https => 443,
        ProxyScheme::Socks5 => 1080,
    });
    if port == 0 || host.len() > 253 { Err(wrong) } else { Ok((host, port)) }
}

fn signed_in(login: &str, scheme: ProxyScheme) -> Result<(Option<String>, Password), Fault> {
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let (user, password) = (decoded(user)?, decoded(password)?);
    if user.contains(':') {
        return Err(("invalid_character", "the user must not contain a colon"));
    }
    let said = 1..=SOCKS;
    let sayable = login.is_empty() || said.contains(&user.len()) && said.contains(&password.len());
    if scheme == ProxyScheme::Socks5 && !sayable {
        return Err(("invalid_login", "user and password for SOCKS must have 1 to 255 bytes each"));
    }
    let password = match password.as_str() {
        "" if user.is_empty() => return Ok((None, Password::None)),
        "" => Password::None,
        MASK => Password::Masked,
        clear => Password::Clear(Plain::new(Zeroizing::new(clear.as_bytes().to_vec()))),
    };
    Ok((Some(user.to_string()), password))
}

fn decoded(part: &str) -> Result<Zeroizing<String>, Fault> {
    let wrong = ("invalid_character", "user and password must be text without control characters");
    let bytes = Zeroizing::new(percent_decode_str(part).collect::<Vec<u8>>());
    let text = Zeroizing::new(std::str::from_utf8(&bytes).map_err(|_| wrong)?.to_owned());
    if text.contains(char::is_control) { Err(wrong) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<String, &'static str> {
        Address::parse(text).map(|address| address.shown()).map_err(|(code, _)| code)
    }

    fn login(text: &str) -> Option<String> {
        Address::parse(text).unwrap().login().map(|login| login.text().unwrap().to_owned())
    }

    #[test]
    fn an_address_is_shown_in_one_spelling_without_its_password() {
        for (text, expected) in [
            ("http://proxy.example.com:3128", "http://proxy.example.com:3128"),
            ("HTTP://Proxy.Example.COM/", "http://proxy.example.com:80"),
            ("https://proxy", "https://proxy:443"),
            ("socks5://proxy", "socks5://proxy:1080"),
            ("socks5://Proxy:80", "socks5://proxy:80"),
            ("https://proxy:80", "https://proxy:80"),
            ("socks5://127.1", "socks5://127.0.0.1:1080"),
            ("http://[::1]:3128", "http://[::1]:3128"),
            ("http://user:pass@host:1", "http://user:****@host:1"),
            ("http://user:****@host:1", "http://user:****@host:1"),
            ("http://user:@host:1", "http://user@host:1"),
            ("http://user@host:1", "http://user@host:1"),
            ("http://:pass@host:1", "http://:****@host:1"),
            ("http://@host:1", "http://host:1"),
            ("http://a%40b:p@host:1", "http://a%40b:****@host:1"),
            ("http://a@b:p@host:1", "http://a%40b:****@host:1"),
            ("http://%41:p@host:1", "http://A:****@host:1"),
            ("http://ü:p@host:1", "http://%C3%BC:****@host:1"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(expected), "{text}");
            assert_eq!(shown(expected).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_of_a_proxy_is_refused() {
        for (text, code) in [
            ("", "required"),
            ("proxy:3128", "unsupported_scheme"),
            ("ftp://proxy", "unsupported_scheme"),
            ("socks4://proxy", "unsupported_scheme"),
            ("http://", "invalid_url"),
            ("http://user:pass@", "invalid_url"),
            ("http://host/path", "invalid_url"),
            ("http://host?query", "invalid_url"),
            ("http://host#fragment", "invalid_url"),
            ("http://user:pa/ss@host", "invalid_url"),
            ("http://host:0", "invalid_url"),
            ("http://host:65536", "invalid_url"),
            ("socks5://host:x", "invalid_url"),
            ("http://ho st", "invalid_character"),
            ("ht\ntp://host", "invalid_character"),
            ("http://host\\@other", "invalid_character"),
            ("http://us%3Aer:pass@host", "invalid_character"),
            ("http://user:%00@host", "invalid_character"),
            ("http://user:%ff@host", "invalid_character"),
            ("http://1.2.3.256", "invalid_url"),
        ] {
            assert_eq!(shown(text), Err(code), "{text}");
        }
        let long = "x".repeat(256);
        assert_eq!(shown(&format!("socks5://u:{long}@host")), Err("invalid_login"));
        assert_eq!(shown("socks5://u@host"), Err("invalid_login"));
        assert_eq!(shown("socks5://:p@host"), Err("invalid_login"));
        assert_eq!(shown(&format!("http://u:{long}@host")).as_deref(), Ok("http://u:****@host:80"));
        // A user grows when it is encoded.
        assert_eq!(shown(&format!("http://{}@host", "ü".repeat(200))), Err("too_long"));
        assert_eq!(shown(&format!("http://{}@host", "u".repeat(1025))), Err("too_long"));
    }

    #[test]
    fn a_login_is_what_was_encoded() {
        assert_eq!(login("http://host"), None);
        assert_eq!(login("http://user:****@host"), None);
        assert_eq!(login("http://user@host").as_deref(), Some("user:"));
        assert_eq!(login("http://a%40b:p%3Aq%2Fr:s@host").as_deref(), Some("a@b:p:q/r:s"));
        assert_eq!(login("http://user:100%@host").as_deref(), Some("user:100%"));
        assert_eq!(login("http://user:a+b@host").as_deref(), Some("user:a+b"));
        assert_eq!(login("http://ü:ö@host").as_deref(), Some("ü:ö"));
    }

    #[test]
    fn nothing_of_a_password_is_printed() {
        let address = Address::parse("http://user:hunter2@host").unwrap();
        assert!(!format!("{address:?} {}", address.shown()).contains("hunter2"));
    }
}
