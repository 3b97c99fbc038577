//! What a reservation keeps as JSON: what it holds, and the terms on which the call was authorized. Field names are short,
//! because there is a row for every call.

use crate::{
    id::{ConnectionId, LimitId, PriceId},
    json::Tags,
    status::{Metric, Mode, Period, PriceSource},
};
use sea_orm::FromJsonQueryResult;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use uuid::Uuid;

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What a call holds of one window of one limit, fixed when it is authorized. It says all that settling needs, whatever
/// becomes of the limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    /// The limit.
    #[serde(rename = "l")]
    pub limit: LimitId,
    /// For whom the window is counted.
    #[serde(rename = "s")]
    pub subject: Uuid,
    /// The first moment of the window, in microseconds since 1970.
    #[serde(rename = "w")]
    pub window: i64,
    /// How long the window is.
    #[serde(rename = "p")]
    pub period: Period,
    /// What is counted.
    #[serde(rename = "m")]
    pub metric: Metric,
    /// What came of not fitting.
    #[serde(rename = "o")]
    pub mode: Mode,
    /// Of a limit of cost.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// The models that are counted; none = all.
    #[serde(rename = "g", default, skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
    /// How much is held.
    #[serde(rename = "h", default, skip_serializing_if = "is_default")]
    pub held: i64,
    /// How much was used, once that is known.
    #[serde(rename = "u", default, skip_serializing_if = "is_default")]
    pub used: i64,
    /// The amount of the limit when the call was authorized.
    #[serde(rename = "a")]
    pub amount: i64,
    /// What was left of it, this call considered; below zero if it did not fit and was let through. None of a limit that was not
    /// asked: what served the call was not authorized.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub remaining: Option<i64>,
}

/// What a call holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult)]
pub struct Legs(pub Vec<Leg>);

/// A model that the call may be served by, and the price that was in force for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// As the client calls it.
    #[serde(rename = "m")]
    pub model: String,
    /// The price; none if there was none.
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    pub price: Option<PriceId>,
    /// Where the price comes from; none of a call from before that was noted.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub source: Option<PriceSource>,
    /// Its further names when the call was authorized, in lower case: those of aliases and of the connection's mapping.
    #[serde(rename = "n", default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

/// The terms on which a call was authorized: what was asked, and the figures of the answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, FromJsonQueryResult)]
#[serde(default)]
pub struct CallTerms {
    /// The models.
    #[serde(rename = "m", skip_serializing_if = "is_default")]
    pub candidates: Vec<Candidate>,
    /// The connection it names.
    #[serde(rename = "n", skip_serializing_if = "is_default")]
    pub connection: Option<ConnectionId>,
    /// What kind of call it is.
    #[serde(rename = "k", skip_serializing_if = "is_default")]
    pub scope: Option<String>,
    /// The client's project.
    #[serde(rename = "j", skip_serializing_if = "is_default")]
    pub project: Option<String>,
    /// The client's session.
    #[serde(rename = "s", skip_serializing_if = "is_default")]
    pub session: Option<String>,
    /// The labels of the key and of the call.
    #[serde(rename = "t", skip_serializing_if = "is_default")]
    pub tags: Tags,
    /// Where the client calls from.
    #[serde(rename = "i", skip_serializing_if = "is_default")]
    pub client_ip: Option<IpAddr>,
    /// The most tokens of the prompt.
    #[serde(rename = "in", skip_serializing_if = "is_default")]
    pub input_tokens: i64,
    /// The most tokens of the completion: the cap to send upstream.
    #[serde(rename = "out", skip_serializing_if = "is_default")]
    pub output_tokens: i64,
    /// The most it can cost, in billionths, in the currency beside.
    #[serde(rename = "c", skip_serializing_if = "is_default")]
    pub cost: Option<(i64, String)>,
    /// Whether the figures bound the call.
    #[serde(rename = "x", skip_serializing_if = "is_default")]
    pub exact: bool,
    /// How it stood with caps on one call, which hold nothing.
    #[serde(rename = "q", skip_serializing_if = "is_default")]
    pub caps: Legs,
    /// Seconds after its end at which what it holds is released; none = never.
    #[serde(rename = "z", skip_serializing_if = "is_default")]
    pub release_after: Option<i64>,
}
