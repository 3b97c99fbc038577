//! Path and query parameters.

use crate::{problem::Problem, state::AppState};
use axum::{
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
};
use serde::de::DeserializeOwned;
use service::{Error, error::FieldError};

/// Path parameters by name. What is no id is as absent as an id that does not exist.
#[derive(Debug)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<AppState> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        path.map(|path| Self(path.0)).map_err(|_| Error::NotFound("resource").into())
    }
}

/// Query parameters; an unknown one is an error.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<AppState> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        // No text that a database keeps contains NUL, and Postgres does not even take the question.
        if query.contains("%00") {
            return Err(refuse("", "must not contain NUL"));
        }
        let reader = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
        let read = serde_path_to_error::deserialize(reader);
        read.map(Self).map_err(|error| refuse(&error.path().to_string(), &error.inner().to_string()))
    }
}

/// Refuses what a parameter says. One that is unknown or missing is named by the message, any other by its place.
fn refuse(place: &str, message: &str) -> Problem {
    let unknown = message.starts_with("unknown field");
    let named = unknown || message.starts_with("missing field");
    let name = if named { message.split('`').nth(1).unwrap_or_default() } else { place };
    let code = if unknown { "unknown_parameter" } else { "invalid_parameter" };
    let fault = FieldError { pointer: format!("?{name}"), code, message: message.to_owned() };
    Problem::new(StatusCode::BAD_REQUEST, code, message.to_owned()).with([fault])
}
