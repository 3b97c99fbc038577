//! Small typed values that are stored as JSON.

use sea_orm::FromJsonQueryResult;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A list of texts: model globs, scopes, networks, permissions, identifiers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult, ToSchema)]
pub struct Texts(pub Vec<String>);

/// Labels, such as a cost centre: text → text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult, ToSchema)]
#[schema(example = json!({"cost_centre": "4711"}))]
pub struct Tags(pub BTreeMap<String, String>);

/// A caller's own JSON object, kept as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult, ToSchema)]
#[schema(example = json!({"ticket": "OPS-7"}))]
pub struct Metadata(pub serde_json::Map<String, serde_json::Value>);
