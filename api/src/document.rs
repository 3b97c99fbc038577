//! The OpenAPI document: what the routes say of themselves, completed by what holds on every endpoint, so that no route
//! has to repeat it and none can forget it.

mod defaults;
mod denials;
mod router;

pub use router::OpenApiRouter;

use crate::problem::Problem;
use axum::{Router, body::Bytes, http::header, response::IntoResponse, routing::get};
use utoipa::{
    OpenApi as _,
    openapi::{
        Content, HeaderBuilder, ObjectBuilder, OpenApi, Ref, RefOr, Required, Response, ResponseBuilder,
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

/// `/openapi.json`, which is this text, and `/docs`, which works without internet.
pub fn routes(document: Bytes) -> Router {
    let json = [(header::CONTENT_TYPE, "application/json")];
    let serve = move || std::future::ready((json, document.clone()).into_response());
    Router::new().route("/openapi.json", get(serve)).merge(
        utoipa_swagger_ui::SwaggerUi::new("/docs").config(utoipa_swagger_ui::Config::from("/openapi.json")),
    )
}

/// Adds to every operation what holds everywhere: security, headers, and the problems it can answer.
pub fn complete(mut document: OpenApi) -> OpenApi {
    env!("CARGO_PKG_VERSION").clone_into(&mut document.info.version);
    let components = document.components.get_or_insert_default();
    for (name, about) in SCHEMES {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(about)).build();
        components.add_security_scheme(name, SecurityScheme::Http(scheme));
    }
    components.schemas.values_mut().for_each(defaults::forget_null);
    components.schemas.insert(denials::CLIENT_ERROR.into(), denials::client_error());
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in methods(item) {
            defaults::unite(operation);
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

/// What an operation is like, as far as its problems and parameters depend on it.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, not states")]
struct Traits {
    admin: bool,
    own_account: bool,
    public: bool,
    in_organization: bool,
    names_a_row: bool,
    edits: bool,
    must_match: bool,
    posts: bool,
    reads_input: bool,
}

impl Traits {
    /// Sign-in and sessions know neither versions nor `Idempotency-Key`: their tokens are single-use by themselves.
    fn versioned(&self) -> bool {
        self.admin && !self.own_account
    }
}

fn complete_operation(path: &str, method: &HttpMethod, operation: &mut Operation) {
    let traits = traits(path, method, operation);
    if traits.admin {
        operation.security = Some(vec![SecurityRequirement::new("admin", Vec::<String>::new())]);
    }
    if traits.in_organization {
        parameter(
            operation,
            ("organization", "The organization, by id or by slug."),
            ParameterIn::Path,
            true,
        );
    }
    if traits.edits && traits.versioned() {
        let about = "The version that the change applies to, from `ETag`; a stale one answers 412.";
        parameter(operation, ("If-Match", about), ParameterIn::Header, traits.must_match);
    }
    if traits.posts && traits.versioned() {
        let about = "Makes the call safe to repeat for 24 hours: the same call gets the same reply. Bodies are compared as \
                     JSON values, files byte for byte.";
        parameter(operation, ("Idempotency-Key", about), ParameterIn::Header, false);
    }
    if path == denials::PATH {
        denials::describe(operation);
    }
    for (applies, status, about) in problems(&traits) {
        if applies {
            problem(operation, status, about);
        }
    }
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response {
            dress(status, response);
        }
    }
}

fn traits(path: &str, method: &HttpMethod, operation: &Operation) -> Traits {
    let in_organization = path.contains("{organization}");
    let posts = *method == HttpMethod::Post;
    // Whoever must state a version can be told that it is missing.
    let must_match = operation.responses.responses.contains_key("428");
    // Resuming may wait for a version; what stops something never does.
    let edits = matches!(method, HttpMethod::Put | HttpMethod::Patch | HttpMethod::Delete);
    let changes = edits || path.ends_with("/resume");
    let edits = changes || must_match;
    let has_query = operation.parameters.iter().flatten().any(is_query);
    Traits {
        // An operation that names its own security (none, gateway, virtual_key) keeps it.
        admin: operation.security.is_none(),
        own_account: path.starts_with("/v1/auth/"),
        public: operation.security.as_ref().is_some_and(|schemes| schemes.iter().all(is_none)),
        in_organization,
        names_a_row: path.matches('{').count() > usize::from(in_organization),
        edits,
        must_match,
        posts,
        reads_input: posts || edits || has_query || operation.request_body.is_some(),
    }
}

fn is_none(scheme: &SecurityRequirement) -> bool {
    *scheme == SecurityRequirement::default()
}

/// The problems that an operation can answer because of what it is, each with the codes it carries.
fn problems(t: &Traits) -> [(bool, u16, &'static str); 17] {
    let takes_body = t.posts || t.edits;
    [
        (
            t.reads_input,
            400,
            "`invalid_json`, `unknown_field`, `unknown_parameter`, `invalid_parameter`, `out_of_range`, \
             `invalid_cursor`, `invalid_if_match`, `invalid_idempotency_key`: the request cannot be understood.",
        ),
        (
            !t.public,
            401,
            "`unauthenticated`, `token_invalid`, `token_expired`, `session_ended`, `account_suspended`: \
             who asks is not known.",
        ),
        (!t.public, 403, "`forbidden`: the caller is known and may not do this."),
        (
            t.in_organization || t.names_a_row,
            404,
            "`not_found`: it does not exist, is another organization's, or is outside the caller's reach.",
        ),
        (takes_body, 408, "`timeout`: the body arrived too slowly."),
        (t.edits && t.versioned(), 409, "`version_conflict`: someone else changed it at the same time."),
        (t.posts && t.versioned(), 409, "`idempotency_in_progress`: the same call is under way."),
        (
            t.posts && t.versioned(),
            409,
            "`secret_expired`: the stored reply carried a secret that is no longer shown.",
        ),
        (
            t.posts && t.versioned(),
            422,
            "`idempotency_key_reused`: the key was used for another call, or with another body.",
        ),
        (t.edits && t.versioned(), 412, "`version_conflict`: `If-Match` is stale."),
        (takes_body, 413, "`payload_too_large`."),
        (takes_body, 415, "`unsupported_media_type`."),
        (t.posts || t.reads_input, 422, "`invalid`: every faulty field is listed."),
        (t.admin || t.public, 429, "`throttled`: come back after `Retry-After`."),
        (true, 500, "`internal`: the operator's log has the cause under the request id."),
        (true, 503, "`database_unavailable`, `overloaded`: nothing happened; try again after `Retry-After`."),
        (true, 504, "`timeout`: the request took too long."),
    ]
}

/// Every response names its request; every problem has the shape of one.
fn dress(status: &str, response: &mut Response) {
    let text = ObjectBuilder::new().schema_type(Type::String);
    let id = HeaderBuilder::new().schema(Some(text)).description(Some("Names the request in the logs."));
    response.headers.insert("X-Request-Id".into(), id.build().into());
    if status.starts_with(['4', '5']) && response.content.is_empty() {
        let content = Content::new(Some(Ref::from_schema_name("Problem")));
        response.content.insert("application/problem+json".into(), content.into());
    }
}

fn parameter(operation: &mut Operation, (name, about): (&str, &str), place: ParameterIn, required: bool) {
    let required = if required { Required::True } else { Required::False };
    let schema = ObjectBuilder::new().schema_type(Type::String);
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
        own.description = format!("{} {about}", own.description);
        return;
    }
    let response = ResponseBuilder::new().description(about).build();
    operation.responses.responses.insert(key, response.into());
}

fn is_query(parameter: &RefOr<Parameter>) -> bool {
    matches!(parameter, RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query)
}
