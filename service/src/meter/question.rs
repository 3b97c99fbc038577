//! What the meter is asked, and by whom. Secrets are read before a question is put: what is no well-formed key costs
//! no look at any key.

use crate::token::{Token, TokenKind};
use entity::{
    id::{ConnectionId, GatewayTokenId, KeyId, OrganizationId},
    json::Tags,
};
use serde::Serialize;
use std::net::IpAddr;

/// What a gateway asks for; a gateway token can be narrowed to some of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A decision.
    Authorize,
    /// How a decision would come about.
    Explain,
    /// A decision as an HTTP status.
    Check,
    /// Telling what a call used.
    Settle,
    /// Telling that a call did not happen.
    Void,
    /// Telling that a call takes longer.
    Extend,
    /// Telling of a call that was not authorized here.
    Usage,
}

impl Purpose {
    /// Its name among the scopes of a gateway token.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Authorize => "authorize",
            Self::Explain => "explain",
            Self::Check => "check",
            Self::Settle => "settle",
            Self::Void => "void",
            Self::Extend => "extend",
            Self::Usage => "usage",
        }
    }
}

/// A gateway that asks, yet to be authenticated.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// Its token.
    pub token: Token,
    /// What it asks for.
    pub purpose: Purpose,
    /// Its own address.
    pub client_ip: Option<IpAddr>,
}

impl Gateway {
    /// The id in its token.
    pub fn id(&self) -> GatewayTokenId {
        GatewayTokenId::new(self.token.id())
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub enum Asker {
    /// A gateway, on behalf of whoever presented the key.
    Gateway(Gateway),
    /// The key about itself.
    Key,
    /// An administrator of this organization, whose reach has been checked.
    Administrator(OrganizationId),
}

/// What shows which key is meant.
#[derive(Debug, Clone)]
pub enum Proof {
    /// A well-formed secret.
    Secret(Token),
    /// Its id, from an administrator.
    Id(KeyId),
    /// Nothing that could be a key.
    Nothing,
}

impl Proof {
    /// Reads what was presented as a virtual key. No I/O.
    pub fn read(text: &str) -> Self {
        Token::parse_kind(text, TokenKind::VirtualKey).map_or(Self::Nothing, Self::Secret)
    }

    /// The key that is meant.
    pub fn key(&self) -> Option<KeyId> {
        match self {
            Self::Secret(token) => Some(KeyId::new(token.id())),
            Self::Id(id) => Some(*id),
            Self::Nothing => None,
        }
    }
}

/// How much a call has at most, as far as it is stated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Tokens of the prompt.
    pub input_tokens: Option<u64>,
    /// Bytes of the request.
    pub input_bytes: Option<u64>,
    /// Tokens of the completion.
    pub max_output_tokens: Option<u64>,
    /// Images.
    pub images: Option<u64>,
    /// Seconds of audio or video.
    pub seconds: Option<u64>,
    /// Characters.
    pub characters: Option<u64>,
}

/// The call that the key is to make.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Call {
    /// The model and its fallbacks; all must be allowed.
    pub models: Vec<String>,
    /// What kind of call it is.
    pub scope: Option<String>,
    /// Where the call comes from.
    pub client_ip: Option<IpAddr>,
    /// How much it has at most.
    pub size: Size,
    /// The connection that is to serve it.
    pub connection_id: Option<ConnectionId>,
    /// The client's project.
    pub project: Option<String>,
    /// The client's session.
    pub session_id: Option<String>,
    /// Its labels; the key's own win.
    pub tags: Tags,
}

/// One question.
#[derive(Debug, Clone)]
pub struct Question {
    /// Who asks.
    pub asker: Asker,
    /// Which key is meant.
    pub key: Proof,
    /// The call it is to make.
    pub call: Call,
}

impl Question {
    /// Whether nothing in the database could change the answer.
    pub fn needs_nothing(&self) -> bool {
        matches!((&self.asker, &self.key), (Asker::Key, Proof::Nothing))
    }
}
