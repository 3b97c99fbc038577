//! [`CheckCode`]: what came of asking an upstream, as a stable word.

use crate::upstream::FaultKind;
use entity::status::Health;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What came of asking an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckCode {
    /// It works.
    Ok,
    /// It asks for a key, and there is none.
    NoCredential,
    /// It does not accept the key.
    KeyRefused,
    /// The key has characters that no header can carry.
    KeyMalformed,
    /// Too much was asked of it; the key is known.
    RateLimited,
    /// Something else is spoken there.
    WrongProtocol,
    /// It does not take the question.
    RequestRefused,
    /// There is nothing at that place.
    NotFound,
    /// It sends elsewhere, which is not followed.
    Redirected,
    /// It failed.
    ProviderFailed,
    /// It took too long.
    Timeout,
    /// Nothing takes the connection.
    Unreachable,
    /// The name has no address.
    NameUnresolved,
    /// The address is one that calls may not go to.
    AddressForbidden,
    /// No trusted TLS.
    TlsFailed,
    /// The proxy does not do it.
    ProxyFailed,
    /// The answer is too large.
    AnswerTooLarge,
    /// The answer breaks off, or is none.
    AnswerBroken,
}

impl From<FaultKind> for CheckCode {
    fn from(kind: FaultKind) -> Self {
        match kind {
            FaultKind::Forbidden => Self::AddressForbidden,
            FaultKind::Unresolved => Self::NameUnresolved,
            FaultKind::Unreachable => Self::Unreachable,
            FaultKind::Timeout => Self::Timeout,
            FaultKind::Tls => Self::TlsFailed,
            FaultKind::Proxy => Self::ProxyFailed,
            FaultKind::TooLarge => Self::AnswerTooLarge,
            FaultKind::Broken => Self::AnswerBroken,
        }
    }
}

impl CheckCode {
    /// The word itself.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NoCredential => "no_credential",
            Self::KeyRefused => "key_refused",
            Self::KeyMalformed => "key_malformed",
            Self::RateLimited => "rate_limited",
            Self::WrongProtocol => "wrong_protocol",
            Self::RequestRefused => "request_refused",
            Self::NotFound => "not_found",
            Self::Redirected => "redirected",
            Self::ProviderFailed => "provider_failed",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::NameUnresolved => "name_unresolved",
            Self::AddressForbidden => "address_forbidden",
            Self::TlsFailed => "tls_failed",
            Self::ProxyFailed => "proxy_failed",
            Self::AnswerTooLarge => "answer_too_large",
            Self::AnswerBroken => "answer_broken",
        }
    }

    /// How a connection is of which this was found.
    pub fn health(self) -> Health {
        match self {
            Self::Ok => Health::Healthy,
            Self::NoCredential => Health::Unavailable,
            Self::RateLimited
            | Self::ProviderFailed
            | Self::Timeout
            | Self::Unreachable
            | Self::NameUnresolved
            | Self::ProxyFailed => Health::Degraded,
            _ => Health::Error,
        }
    }

    /// Whether nothing else is worth asking at the same host: whatever is asked there gets as far as this did.
    pub(super) fn ends_host(self) -> bool {
        matches!(
            self,
            Self::Timeout
                | Self::Unreachable
                | Self::NameUnresolved
                | Self::AddressForbidden
                | Self::TlsFailed
                | Self::ProxyFailed
                | Self::KeyMalformed
        )
    }

    /// Whether other places where the upstream may be are asked after this.
    pub(super) fn goes_on(self) -> bool {
        !matches!(
            self,
            Self::Ok | Self::RateLimited | Self::ProviderFailed | Self::KeyMalformed | Self::AnswerTooLarge
        )
    }

    /// How much it tells, of several failures: what is known of the key tells most, that nothing is there least.
    pub(super) fn weight(self) -> u8 {
        match self {
            Self::Ok => 9,
            Self::RateLimited => 8,
            Self::KeyRefused | Self::NoCredential | Self::KeyMalformed => 7,
            Self::ProviderFailed => 6,
            Self::WrongProtocol | Self::AnswerTooLarge => 5,
            Self::AnswerBroken | Self::Redirected => 4,
            Self::RequestRefused => 3,
            Self::NotFound => 2,
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_written_as_it_is() {
        for code in [CheckCode::Ok, CheckCode::KeyRefused, CheckCode::AnswerTooLarge, CheckCode::NoCredential]
        {
            assert_eq!(serde_json::to_value(code).unwrap(), code.word());
        }
    }

    #[test]
    fn the_words_of_faults_are_the_words_of_checks() {
        for kind in [
            FaultKind::Forbidden,
            FaultKind::Unresolved,
            FaultKind::Unreachable,
            FaultKind::Timeout,
            FaultKind::Tls,
            FaultKind::Proxy,
            FaultKind::TooLarge,
            FaultKind::Broken,
        ] {
            assert_eq!(CheckCode::from(kind).word(), kind.code());
        }
    }
}
