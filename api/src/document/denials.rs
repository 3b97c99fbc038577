//! What `/v1/check` answers a proxy whose client may not make a call: a status of its own, and the body that the client's
//! SDK expects instead of a problem. Only refusals of the proxy itself are problems.

use crate::verdict::STATUSES;
use axum::http::StatusCode;
use serde_json::json;
use utoipa::openapi::{
    Content, ObjectBuilder, Ref, RefOr, Response, Schema, path::Operation, schema::AdditionalProperties,
};

/// The path of the operations.
pub const PATH: &str = "/v1/check";
/// The name of the schema.
pub const CLIENT_ERROR: &str = "ClientError";

/// The body of a denial, as far as it is the same for every provider.
pub fn client_error() -> RefOr<Schema> {
    let open =
        || ObjectBuilder::new().additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(true)));
    let error =
        open().description(Some("What stands in the way, in the fields of that provider.")).examples([
            json!({"message": "the key does not allow o3", "type": "permission_error", "param": null,
            "code": "model_not_allowed"}),
        ]);
    open()
        .description(Some("An error as the client's provider words it: OpenAI's, or Anthropic's where the call is one of its."))
        .property("error", error)
        .required("error")
        .into()
}

/// Documents the denials of an operation, each status with the codes that it stands for.
pub fn describe(operation: &mut Operation) {
    for status in [
        StatusCode::UNAUTHORIZED,
        StatusCode::PAYMENT_REQUIRED,
        StatusCode::FORBIDDEN,
        StatusCode::TOO_MANY_REQUESTS,
    ] {
        let codes = STATUSES.iter().filter(|(_, of_code)| *of_code == status);
        let codes: Vec<String> = codes.map(|(code, _)| format!("`{}`", code.word())).collect();
        let about = format!("{}: the key may not make the call; the body is the client's.", codes.join(", "));
        super::problem(operation, status.as_u16(), &about);
        let response = operation.responses.responses.get_mut(status.as_str());
        if let Some(RefOr::T(response)) = response {
            denied(response, status);
        }
    }
}

/// A proxy of which nothing is known, or that may not ask, is told so itself, by 401 and 403.
fn denied(response: &mut Response, status: StatusCode) {
    let own = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    if own {
        let problem = Content::new(Some(Ref::from_schema_name("Problem")));
        response.content.insert("application/problem+json".into(), problem.into());
    }
    let error = Content::new(Some(Ref::from_schema_name(CLIENT_ERROR)));
    response.content.insert("application/json".into(), error.into());
}
