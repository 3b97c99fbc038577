//! What upstreams speak, where, and what follows from that.

use crate::status::Protocol;
use sea_orm::FromJsonQueryResult;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A protocol that a connection speaks, and where, if that is not its base URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// What is spoken.
    pub protocol: Protocol,
    /// Where; absent or null = at the connection's base URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2048, example = "https://api.example.com/anthropic")]
    pub base_url: Option<String>,
    /// The path of calls, in place of the protocol's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024, example = "/v2/chat")]
    pub rewrite_path: Option<String>,
}

/// The protocols of a connection, the preferred one first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult, ToSchema)]
pub struct Endpoints(pub Vec<Endpoint>);

/// A list of protocols.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult, ToSchema)]
pub struct Protocols(pub Vec<Protocol>);

/// How an upstream calls tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToolCallMode {
    /// By fields of its own.
    Native,
    /// Not at all, as far as is known.
    None,
}

/// What an upstream can do, as far as that follows from what it speaks.
#[expect(clippy::struct_excessive_bools, reason = "a list of what it can do, each by itself")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult, ToSchema)]
pub struct CapabilityProfile {
    /// How it calls tools.
    pub tool_call_mode: ToolCallMode,
    /// Whether it calls several tools at once.
    pub parallel_tool_calls: bool,
    /// Whether it streams the calls of tools.
    pub streaming_tool_calls: bool,
    /// Whether it answers by a JSON schema.
    pub json_schema: bool,
    /// Bytes of the largest schema of a tool.
    pub max_tool_schema_bytes: i64,
    /// Whether it takes images.
    pub vision: bool,
    /// Whether it takes audio.
    pub audio: bool,
}
