//! Requests made from the OpenAPI document: a path with ids in it, a body that its schema takes.

use axum::http::Method;
use serde_json::{Map, Value, json};
use tests::{Client, Reply, Request};

pub use crate::openapi::{Operation, document, operations, resolve};

/// The id of something, by its prefix.
pub type Ids<'a> = &'a dyn Fn(&str) -> String;

/// An id that nothing has.
pub fn nobodys(prefix: &str) -> String {
    format!("{prefix}_019aa3c1f6b07c3e9a5d2f4b8c6e1d70")
}

/// The first prefix of the ids that a schema takes, if it takes ids.
pub fn prefix<'a>(document: &'a Value, schema: &'a Value) -> Option<&'a str> {
    prefixes(document, schema)?.first().copied()
}

/// The prefixes of the ids that a schema takes, if it takes ids: more than one where a thing may be of several kinds.
pub fn prefixes<'a>(document: &'a Value, schema: &'a Value) -> Option<Vec<&'a str>> {
    let schema = resolve(document, some(schema));
    let kinds = schema["pattern"].as_str()?.strip_prefix('^')?.strip_suffix("_[0-9a-f]{32}$")?;
    Some(alternatives(kinds).collect())
}

fn alternatives(kinds: &str) -> impl Iterator<Item = &str> {
    kinds.trim_start_matches('(').trim_end_matches(')').split('|')
}

/// A schema without its null.
fn some(schema: &Value) -> &Value {
    let parts = schema["oneOf"].as_array().into_iter().flatten();
    parts.into_iter().find(|part| part["type"] != "null").unwrap_or(schema)
}

/// The parameters of a path that are ids, with their prefixes.
pub fn path_ids(document: &Value, operation: &Operation) -> Vec<(String, String)> {
    let parameters = operation.parameters("path").into_iter();
    let id = |parameter: &Value| {
        let name = parameter["name"].as_str()?.to_owned();
        Some((name, prefix(document, &parameter["schema"])?.to_owned()))
    };
    parameters.filter_map(id).collect()
}

/// The path in one organization, with these values for its other parameters.
pub fn path(operation: &Operation, organization: &str, value: impl Fn(&str) -> String) -> String {
    let mut path = operation.path.replace("{organization}", organization);
    for name in operation.names("path") {
        for template in [format!("{{{name}}}"), format!("{{*{name}}}")] {
            if path.contains(&template) {
                path = path.replace(&template, &value(name));
            }
        }
    }
    path
}

/// The query parameters that must be there, as the end of a path.
pub fn query(document: &Value, operation: &Operation) -> String {
    let parameters = operation.parameters("query").into_iter();
    let pair = |parameter: &Value| {
        let value = smallest(document, &parameter["schema"], &nobodys);
        format!("{}={}", parameter["name"].as_str().unwrap(), value.as_str().unwrap())
    };
    let pairs: Vec<String> = parameters.filter(|p| p["required"] == true).map(pair).collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

/// The smallest value that a schema takes.
pub fn smallest(document: &Value, schema: &Value, ids: Ids<'_>) -> Value {
    let schema = resolve(document, some(schema));
    if let Some(prefix) = prefix(document, schema) {
        return json!(ids(prefix));
    }
    if let Some(example) =
        [&schema["example"], &schema["examples"][0], &schema["enum"][0]].into_iter().find(|v| !v.is_null())
    {
        return example.clone();
    }
    let kind = schema["type"].as_array().map_or(&schema["type"], |kinds| &kinds[0]);
    match kind.as_str() {
        Some("string") if schema["format"] == "date-time" => json!("2027-02-01T00:00:00Z"),
        Some("string") => json!("x".repeat(schema["minLength"].as_u64().unwrap_or(1).try_into().unwrap())),
        Some("integer") => json!(schema["minimum"].as_i64().unwrap_or(1)),
        Some("boolean") => json!(false),
        Some("array") => json!([]),
        _ => {
            let required = schema["required"].as_array().into_iter().flatten();
            let field = |name: &Value| {
                let name = name.as_str().unwrap();
                (name.to_owned(), smallest(document, &schema["properties"][name], ids))
            };
            Value::Object(required.map(field).collect::<Map<_, _>>())
        }
    }
}

/// The schema of the operation's body.
pub fn body_schema<'a>(document: &'a Value, operation: &'a Operation) -> Option<&'a Value> {
    let schema = operation.item["requestBody"]["content"]["application/json"].get("schema")?;
    Some(resolve(document, schema))
}

/// The request with a body that its schema takes.
pub fn ask(document: &Value, operation: &Operation, client: &Client, path: &str, ids: Ids<'_>) -> Request {
    let request = client.request(method(operation), path);
    match body_schema(document, operation) {
        Some(schema) => request.json(&smallest(document, schema, ids)),
        None => request,
    }
}

/// The operation's method.
pub fn method(operation: &Operation) -> Method {
    operation.method.parse().unwrap()
}

/// What a reply says, but for what names the request itself.
pub fn said(reply: &Reply) -> (u16, Value) {
    let mut body = reply.body.clone();
    if let Some(object) = body.as_object_mut() {
        object.remove("instance");
        object.remove("request_id");
    }
    (reply.status, body)
}
