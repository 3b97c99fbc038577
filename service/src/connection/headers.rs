//! Headers that every call of a connection carries: their values may be secrets, so all of them are sealed together as one
//! JSON object, and only their names are shown.

use crate::{
    Ctx, Error, Result, Unit,
    validate::{Faults, escaped},
    vault::{self, Place, Plain},
};
use entity::{
    id::{ConnectionId, OrganizationId},
    json::Texts,
    provider_connection::{ActiveModel, Model},
};
use http::{HeaderMap, HeaderName, HeaderValue};
use sea_orm::ActiveValue::Set;
use serde::{Serializer, ser::SerializeMap};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// What is shown instead of a value, and what keeps a stored one.
pub(super) const MASK: &str = "****";
/// Headers of a connection.
const MOST: usize = 32;
/// Characters of a value.
const VALUE: usize = 8192;
/// Headers that belong to a connection between two hosts, or that say where a call goes and how its body is written.
const OURS: [&str; 17] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-host",
];

/// Names, in lower case, and values.
pub(super) type Headers = BTreeMap<String, Plain>;

/// Shows the names, each with a mask for its value.
pub(super) fn masked<S: Serializer>(names: &Texts, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(names.0.len()))?;
    for name in &names.0 {
        map.serialize_entry(name, MASK)?;
    }
    map.end()
}

/// Whether a value says to keep the stored one.
fn keeps(value: &Plain) -> bool {
    value.expose() == MASK.as_bytes()
}

/// Whether any value says to keep the stored one.
pub(super) fn keep_any(given: &Headers) -> bool {
    given.values().any(keeps)
}

/// The headers that will be: those given, with the stored values of those that are masked. Names are known by their
/// lower case.
pub(super) fn check(given: &Headers, stored: &Headers, faults: &mut Faults) -> Headers {
    if given.len() > MOST {
        faults.add("/headers", "too_many", format!("must have at most {MOST} entries"));
    }
    let mut headers = Headers::new();
    for (name, value) in given {
        let at = format!("/headers/{}", escaped(name));
        let Ok(known) = HeaderName::from_bytes(name.as_bytes()) else {
            faults.add(at, "invalid_value", "must be the name of a header");
            continue;
        };
        let known = known.as_str().to_owned();
        let ours = OURS.contains(&known.as_str());
        faults.when(ours, &at, "not_allowed", "this header is not the connection's to set");
        faults.when(headers.contains_key(&known), &at, "duplicate", "is there twice, but for upper case");
        let value =
            if keeps(value) { kept(&at, &known, stored, faults) } else { checked(&at, value, faults) };
        if let Some(value) = value {
            headers.insert(known, value);
        }
    }
    headers
}

/// The stored value of a header.
fn kept(pointer: &str, name: &str, stored: &Headers, faults: &mut Faults) -> Option<Plain> {
    let value = stored.get(name).cloned();
    let message = "there is no stored value to keep; give the value itself";
    faults.when(value.is_none(), pointer, "not_stored", message);
    value
}

/// A value that a header can have. What is wrong with it is told without it.
fn checked(pointer: &str, value: &Plain, faults: &mut Faults) -> Option<Plain> {
    let bytes = value.expose();
    if bytes.len() > VALUE {
        faults.add(pointer, "too_long", format!("must have at most {VALUE} characters"));
        return None;
    }
    let edges = bytes.first().into_iter().chain(bytes.last());
    faults.when(bytes.is_empty(), pointer, "required", "must not be empty");
    let odd = bytes.iter().any(|byte| !matches!(byte, b' '..=b'~')) || edges.into_iter().any(|b| *b == b' ');
    faults.when(
        odd,
        pointer,
        "invalid_character",
        "must be printable ASCII that neither begins nor ends blank",
    );
    (!odd && !bytes.is_empty()).then(|| value.clone())
}

fn place(organization: OrganizationId, id: &ConnectionId) -> Place<'_> {
    Place { organization, table: "provider_connection", row: id.0.as_bytes(), column: "headers" }
}

/// The columns that hold these headers; without headers they hold nothing.
pub(super) async fn columns(unit: &Unit<'_>, id: ConnectionId, headers: &Headers) -> Result<ActiveModel> {
    let names = Texts(headers.keys().cloned().collect());
    let (mut key, mut sealed) = (None, None);
    if !headers.is_empty() {
        let texts: BTreeMap<&str, &str> =
            headers.iter().map(|(name, value)| (name.as_str(), value.text().unwrap_or_default())).collect();
        let plain = Zeroizing::new(serde_json::to_vec(&texts).map_err(Error::internal)?);
        let (by, text) = vault::seal(unit, place(unit.ctx.scope.organization, &id), &plain).await?;
        (key, sealed) = (Some(by), Some(text));
    }
    Ok(ActiveModel {
        headers: Set(sealed),
        header_names: Set(names),
        data_key_id: Set(key),
        ..Default::default()
    })
}

/// The stored headers of a connection.
pub(super) async fn stored(ctx: &Ctx, row: &Model) -> Result<Headers> {
    let Some((sealed, key)) = row.headers.as_ref().zip(row.data_key_id) else { return Ok(Headers::new()) };
    let plain = vault::open(ctx, place(row.organization_id, &row.id), key, sealed).await?;
    serde_json::from_slice(plain.expose()).map_err(|_| Error::internal("sealed headers are no object"))
}

/// The headers that every call of a connection carries, marked as secrets.
pub async fn headers(ctx: &Ctx, row: &Model) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in stored(ctx, row).await? {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(Error::internal)?;
        let mut value = HeaderValue::from_bytes(value.expose()).map_err(Error::internal)?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}
