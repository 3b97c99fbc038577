//! Why a call is refused: a closed set of stable codes.

use serde::Serialize;
use utoipa::ToSchema;

macro_rules! codes {
    ($($code:ident $word:literal $about:literal;)*) => {
        /// Why a call is refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Code { $(#[doc = $about] $code),* }

        impl Code {
            /// Every code, the gravest first.
            pub const EVERY: &'static [Self] = &[$(Self::$code),*];

            /// The code on the wire.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$code => $word),* }
            }
            /// When it is given.
            pub const fn about(self) -> &'static str {
                match self { $(Self::$code => $about),* }
            }
        }
    };
}

codes! {
    KeyUnknown "key_unknown" "The key is malformed, does not exist, has another secret, or is none that this gateway serves.";
    KeyRevoked "key_revoked" "The key was revoked, for ever.";
    KeyExpired "key_expired" "The key's time is over.";
    KeyDisabled "key_disabled" "An administrator disabled the key.";
    SecretExpired "secret_expired" "The key was rotated, and the grace of this older secret is over.";
    OwnerSuspended "owner_suspended" "The team, person or service account that owns the key is suspended or gone, or the person whom it was issued to is suspended.";
    HolderLeft "holder_left" "The person whom the team's key was issued to has left the team, or will never join it: the invitation that it was issued to was taken back or has expired.";
    OrganizationSuspended "organization_suspended" "The organization is suspended.";
    ConnectionUnknown "connection_unknown" "The connection does not exist, or is not one of the key's organization.";
    ConnectionDisabled "connection_disabled" "An administrator disabled the connection.";
    ConnectionNotAllowed "connection_not_allowed" "The connection belongs to a team, and the key is not one of that team's.";
    ModelNotAllowed "model_not_allowed" "A model is not allowed by the key, its team, its organization or the connection, the alias or mapping is disabled, or none was named though they restrict models.";
    ScopeNotAllowed "scope_not_allowed" "The key is not for this kind of call, or none was named though the key is restricted.";
    AddressNotAllowed "address_not_allowed" "The client's address is not in the key's networks, or is not known though the key is restricted.";
    SizeUnknown "size_unknown" "A limit counts tokens or cost, and nothing bounds the call: it does not say how much it has, and neither does the catalogue.";
    PriceUnknown "price_unknown" "There is no price for a model, or none was named, and a limit counts cost.";
    CurrencyMismatch "currency_mismatch" "The call costs another currency than a limit of cost is in.";
    BudgetExceeded "budget_exceeded" "A limit of cost does not leave what the call may cost.";
    LimitExceeded "limit_exceeded" "A limit does not leave what the call may need: requests, tokens, or open calls.";
}

#[cfg(test)]
mod tests {
    use super::Code;

    #[test]
    fn every_code_is_its_word_on_the_wire() {
        for code in Code::EVERY {
            assert_eq!(serde_json::to_value(code).unwrap(), code.word());
        }
    }
}
