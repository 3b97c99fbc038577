//! [`Sealed`]: the only type a stored secret may have. It cannot be printed or serialized.

use sea_orm::DeriveValueType;
use std::fmt;

/// A digest, a password hash or a ciphertext. It has neither `Serialize` nor `ToSchema`, so putting
/// it into a view does not compile, and its `Debug` says nothing.
#[derive(Clone, PartialEq, Eq, DeriveValueType)]
pub struct Sealed(pub Vec<u8>);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[sealed]")
    }
}
