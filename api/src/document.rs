//! The OpenAPI document: what the routes say of themselves, completed by what holds on every endpoint, so that no route
//! has to repeat it and none can forget it.

use crate::problem::Problem;
use axum::{Json, Router, response::IntoResponse, routing::get};
use utoipa::{
    OpenApi as _,
    openapi::{
        Content, HeaderBuilder, ObjectBuilder, OpenApi, Ref, RefOr, Required, ResponseBuilder,
        path::{HttpMethod, Operation, Parameter, ParameterBuilder, ParameterIn},
        schema::Type,
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Tollkeeper",
        description = "Keys, limits and money in front of an organization's LLM providers.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    components(schemas(Problem))
)]
struct Head;

/// The document before its paths.
pub fn head() -> OpenApi {
    Head::openapi()
}

/// `/openapi.json` and `/docs`, which work without internet.
pub fn routes(document: &OpenApi) -> Router {
    let json = serde_json::to_value(document).unwrap_or_default();
    let serve = move || std::future::ready(Json(json.clone()).into_response());
    Router::new().route("/openapi.json", get(serve)).merge(
        utoipa_swagger_ui::SwaggerUi::new("/docs").config(utoipa_swagger_ui::Config::from("/openapi.json")),
    )
}

/// Adds to every operation what holds everywhere: security, headers, and the problems it can answer.
pub fn complete(mut document: OpenApi) -> OpenApi {
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    let components = document.components.get_or_insert_default();
    for (name, about) in SCHEMES {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(about)).build();
        components.add_security_scheme(name, SecurityScheme::Http(scheme));
    }
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in methods(item) {
            complete_operation(path, &method, operation);
        }
    }
    document
}

const SCHEMES: [(&str, &str); 3] = [
    ("admin", "An access token from `/v1/auth/login`, or an admin token (`tka_…`)."),
    ("gateway", "A gateway token (`tkg_…`)."),
    ("virtual_key", "A virtual key (`tk_…`)."),
];

fn methods(item: &mut utoipa::openapi::PathItem) -> Vec<(HttpMethod, &mut Operation)> {
    let utoipa::openapi::PathItem { get, post, patch, delete, put, .. } = item;
    let all = [
        (HttpMethod::Get, get),
        (HttpMethod::Post, post),
        (HttpMethod::Put, put),
        (HttpMethod::Patch, patch),
        (HttpMethod::Delete, delete),
    ];
    all.into_iter().filter_map(|(method, operation)| operation.as_mut().map(|o| (method, o))).collect()
}

fn complete_operation(path: &str, method: &HttpMethod, operation: &mut Operation) {
    // An operation that names its own security (none, gateway, virtual_key) keeps it.
    let admin = operation.security.is_none();
    if admin {
        operation.security = Some(vec![SecurityRequirement::new("admin", Vec::<String>::new())]);
    }
    let public = operation.security.as_ref().is_some_and(Vec::is_empty);
    let in_organization = path.contains("{organization}");
    let has_id = path.matches('{').count() > usize::from(in_organization);
    let post = *method == HttpMethod::Post;
    let editing = matches!(method, HttpMethod::Patch | HttpMethod::Delete);
    if in_organization {
        let about = "The organization, by id or by slug.";
        parameter(operation, ("organization", about), ParameterIn::Path, true, Type::String);
    }
    if editing && admin {
        let about = "The version that the change applies to, from `ETag`; a stale one answers 412.";
        parameter(operation, ("If-Match", about), ParameterIn::Header, false, Type::String);
    }
    if post && admin {
        let about = "Makes the call safe to repeat for 24 hours: the same call gets the same reply.";
        parameter(operation, ("Idempotency-Key", about), ParameterIn::Header, false, Type::String);
    }
    let has_body = operation.request_body.is_some();
    let has_query = operation.parameters.iter().flatten().any(is_query);
    let mut problems: Vec<(u16, &str)> = vec![
        (500, "`internal`: the operator's log has the cause under the request id."),
        (503, "`database_unavailable`, `overloaded`: nothing happened; try again after `Retry-After`."),
        (504, "`timeout`: the request took too long."),
    ];
    if has_body || has_query || editing || post {
        problems.push((400, "`invalid_json`, `unknown_field`, `unknown_parameter`, `invalid_parameter`, `invalid_cursor`, `invalid_if_match`, `invalid_idempotency_key`: the request cannot be understood."));
    }
    if !public {
        problems.push((401, "`unauthenticated`, `token_invalid`, `token_expired`, `session_ended`, `account_suspended`: who asks is not known."));
        problems.push((403, "`forbidden`: the caller is known and may not do this."));
    }
    if in_organization || has_id {
        problems.push((
            404,
            "`not_found`: it does not exist, is another organization's, or is outside the caller's reach.",
        ));
    }
    if editing && admin {
        problems.push((409, "`version_conflict`: someone else changed it at the same time."));
        problems.push((412, "`version_conflict`: `If-Match` is stale."));
    }
    if post && admin {
        problems.push((409, "`idempotency_in_progress`: the same call is under way. `secret_expired`: the stored reply carried a secret that is no longer shown."));
    }
    if has_body || post {
        problems.push((413, "`payload_too_large`."));
        problems.push((415, "`unsupported_media_type`."));
        problems.push((422, "`invalid`: every faulty field is listed. `idempotency_key_reused`: the key belongs to another call."));
    }
    if admin || public {
        problems.push((429, "`throttled`: come back after `Retry-After`."));
    }
    for (status, about) in problems {
        problem(operation, status, about);
    }
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response {
            let text = || ObjectBuilder::new().schema_type(Type::String);
            let id =
                HeaderBuilder::new().schema(Some(text())).description(Some("Names the request in the logs."));
            response.headers.insert("X-Request-Id".into(), id.build().into());
            if status.starts_with(['4', '5']) && response.content.is_empty() {
                let content = Content::new(Some(Ref::from_schema_name("Problem")));
                response.content.insert("application/problem+json".into(), content.into());
            }
        }
    }
}

fn parameter(
    operation: &mut Operation,
    (name, about): (&str, &str),
    place: ParameterIn,
    required: bool,
    kind: Type,
) {
    let required = if required { Required::True } else { Required::False };
    let schema = ObjectBuilder::new().schema_type(kind);
    let parameter = ParameterBuilder::new()
        .name(name)
        .description(Some(about))
        .parameter_in(place)
        .required(required)
        .schema(Some(schema))
        .build();
    operation.parameters.get_or_insert_default().insert(0, parameter.into());
}

/// Documents a problem; if the operation has said something of this status, both are said.
fn problem(operation: &mut Operation, status: u16, about: &str) {
    let key = status.to_string();
    if let Some(RefOr::T(own)) = operation.responses.responses.get_mut(&key) {
        own.description = format!("{} {about}", own.description).into();
        return;
    }
    let response = ResponseBuilder::new().description(about).build();
    operation.responses.responses.insert(key, response.into());
}

fn is_query(parameter: &RefOr<Parameter>) -> bool {
    matches!(parameter, RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query)
}
