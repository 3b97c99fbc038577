//! [`Id`]: one generic typed identifier over UUIDv7, shown with its prefix (`key_01…`), stored as a UUID.

use sea_orm::sea_query::{ArrayType, ColumnType, Nullable, ValueType, ValueTypeErr};
use sea_orm::{ColIdx, DbErr, QueryResult, TryFromU64, TryGetError, TryGetable, Value};
use std::{cmp::Ordering, fmt, hash, marker::PhantomData, str::FromStr};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, schema::Type};
use uuid::Uuid;

/// What an [`Id`] identifies: its prefix on the wire and its name in the OpenAPI document.
pub trait Kind: 'static {
    /// The text before the underscore, as in `key_…`.
    const PREFIX: &'static str;
    /// The schema name, as in `KeyId`.
    const NAME: &'static str;
}

/// The identifier of a row of kind `K`. `Display`/`FromStr`/serde use the prefixed form.
pub struct Id<K>(pub Uuid, PhantomData<fn() -> K>);

/// The text is not an identifier of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseIdError(&'static str);

impl fmt::Display for ParseIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}_ followed by 32 lowercase hexadecimal digits", self.0)
    }
}
impl std::error::Error for ParseIdError {}

impl<K> Id<K> {
    /// Wraps a UUID.
    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid, PhantomData)
    }
    /// The UUID without its kind.
    pub const fn uuid(self) -> Uuid {
        self.0
    }
}
impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}
impl<K> hash::Hash for Id<K> {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", K::PREFIX, self.0.simple())
    }
}
impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl<K: Kind> FromStr for Id<K> {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let canonical = |hex: &&str| hex.len() == 32 && !hex.bytes().any(|b| b.is_ascii_uppercase());
        text.strip_prefix(K::PREFIX)
            .and_then(|rest| rest.strip_prefix('_'))
            .filter(canonical)
            .and_then(|hex| Uuid::try_parse(hex).ok())
            .map(Self::new)
            .ok_or(ParseIdError(K::PREFIX))
    }
}
impl<K: Kind> serde::Serialize for Id<K> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de, K: Kind> serde::Deserialize<'de> for Id<K> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl<K> From<Id<K>> for Value {
    fn from(id: Id<K>) -> Self {
        Value::Uuid(Some(id.0))
    }
}
impl<K> From<Id<K>> for Uuid {
    fn from(id: Id<K>) -> Self {
        id.0
    }
}
impl<K> TryGetable for Id<K> {
    fn try_get_by<I: ColIdx>(res: &QueryResult, index: I) -> Result<Self, TryGetError> {
        Uuid::try_get_by(res, index).map(Self::new)
    }
}
impl<K> ValueType for Id<K> {
    fn try_from(value: Value) -> Result<Self, ValueTypeErr> {
        <Uuid as ValueType>::try_from(value).map(Self::new)
    }
    fn type_name() -> String {
        "Id".to_owned()
    }
    fn array_type() -> ArrayType {
        ArrayType::Uuid
    }
    fn column_type() -> ColumnType {
        ColumnType::Uuid
    }
}
impl<K> Nullable for Id<K> {
    fn null() -> Value {
        Value::Uuid(None)
    }
}
impl<K> sea_orm::IntoActiveValue<Id<K>> for Id<K> {
    fn into_active_value(self) -> sea_orm::ActiveValue<Id<K>> {
        sea_orm::ActiveValue::Set(self)
    }
}
impl<K> TryFromU64 for Id<K> {
    fn try_from_u64(_: u64) -> Result<Self, DbErr> {
        Err(DbErr::ConvertFromU64("Id"))
    }
}
impl<K> sea_orm::sea_query::postgres_array::NotU8 for Id<K> {}

impl<K: Kind> utoipa::PartialSchema for Id<K> {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(format!("^{}_[0-9a-f]{{32}}$", K::PREFIX)))
            .examples([serde_json::json!(format!("{}_019aa3c1f6b07c3e9a5d2f4b8c6e1d70", K::PREFIX))])
            .into()
    }
}
impl<K: Kind> utoipa::ToSchema for Id<K> {
    fn name() -> std::borrow::Cow<'static, str> {
        K::NAME.into()
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident, $alias:ident, $prefix:literal;)*) => {$(
        $(#[$doc])*
        pub enum $kind {}
        impl Kind for $kind {
            const PREFIX: &'static str = $prefix;
            const NAME: &'static str = stringify!($alias);
        }
        $(#[$doc])*
        pub type $alias = Id<$kind>;
    )*};
}

kinds! {
    /// An organization, the tenant.
    Organization, OrganizationId, "org";
    /// A person.
    User, UserId, "user";
    /// A team of an organization.
    Team, TeamId, "team";
    /// A named non-person owner of keys.
    ServiceAccount, ServiceAccountId, "sa";
    /// A virtual key.
    VirtualKey, KeyId, "key";
    /// One secret of a virtual key.
    KeySecret, SecretId, "sec";
    /// An admin token.
    AdminToken, AdminTokenId, "at";
    /// A gateway token.
    GatewayToken, GatewayTokenId, "gt";
    /// A sign-in session.
    Session, SessionId, "ses";
    /// A device that a person signs in from.
    Device, DeviceId, "dev";
    /// A refresh token of a session.
    RefreshToken, RefreshTokenId, "rt";
    /// An invitation into an organization.
    Invitation, InvitationId, "inv";
    /// A password reset link.
    PasswordReset, PasswordResetId, "pwr";
    /// An audit event.
    AuditEvent, AuditEventId, "aud";
    /// A decision of `authorize` or `check`.
    Decision, DecisionId, "dec";
    /// A kind of upstream.
    Provider, ProviderId, "prov";
    /// A model of the catalogue.
    Model, ModelId, "model";
    /// Another name for a model.
    ModelAlias, ModelAliasId, "alias";
    /// A price.
    Price, PriceId, "price";
    /// A configured upstream of an organization.
    Connection, ConnectionId, "conn";
    /// One secret of a connection.
    Credential, CredentialId, "cred";
    /// What clients call a model of a connection.
    Mapping, MappingId, "map";
    /// A pool of outbound proxies.
    ProxyPool, ProxyPoolId, "pool";
    /// A proxy of a pool.
    ProxyEntry, ProxyEntryId, "pxe";
    /// What an organization's secrets are sealed with.
    DataKey, DataKeyId, "dek";
    /// A limit.
    Limit, LimitId, "lim";
    /// An authorized call.
    Reservation, ReservationId, "res";
    /// What the attempts of one call used.
    UsageEvent, UsageEventId, "evt";
    /// A usage object as a provider sent it.
    UsageRaw, UsageRawId, "raw";
}

impl OrganizationId {
    /// The platform itself: the owner of everything that belongs to no organization (the
    /// operator's gateway tokens, sign-ins, users). It is never shown and never addressed by a path.
    pub const PLATFORM: Self = Self::new(Uuid::nil());
}
