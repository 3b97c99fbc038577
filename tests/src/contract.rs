//! What the server sends is what the OpenAPI document says: every reply that a test gets is held against it, by method,
//! path, status, content type and body. Objects of the document are closed here, so a field that it does not tell of is a
//! fault of the document, as is a status.

use axum::http::Method;
use jsonschema::Validator;
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, LazyLock, Mutex},
};

static CONTRACT: LazyLock<Contract> =
    LazyLock::new(|| Contract::new(serde_json::to_value(api::openapi()).unwrap()));

/// Paths that serve the document itself. This list may only shrink.
const UNDOCUMENTED: [&str; 2] = ["/openapi.json", "/docs"];
/// Proxies ask by any method, and about any path below: all of that is answered as `POST` here.
const ASKED_BY_PROXIES: &str = "/v1/check";

/// One reply, as far as the document tells of it.
#[derive(Debug, Clone, Copy)]
pub struct Received<'r> {
    /// How it was asked for.
    pub method: &'r Method,
    /// What was asked for.
    pub path: &'r str,
    /// The status.
    pub status: u16,
    /// The content type; empty if there is none.
    pub content_type: &'r str,
    /// The body.
    pub body: &'r [u8],
}

/// Fails the test if the document does not tell of this reply.
#[track_caller]
pub fn check(received: Received<'_>) {
    if let Err(fault) = CONTRACT.fault(received) {
        let Received { method, path, status, body, .. } = received;
        let body = String::from_utf8_lossy(body);
        panic!("the contract is silent about this reply: {method} {path} {status}: {fault}\n{body}");
    }
}

struct Contract {
    document: Value,
    templates: Vec<Template>,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

/// A path of the document; literals come before parameters, as in the router.
struct Template {
    path: String,
    segments: Vec<Option<String>>,
}

impl Template {
    fn new(path: &str) -> Self {
        let literal = |segment: &str| (!segment.starts_with('{')).then(|| segment.to_owned());
        Self { path: path.to_owned(), segments: path.split('/').map(literal).collect() }
    }

    fn matches(&self, path: &str) -> bool {
        let segments: Vec<&str> = path.split('/').collect();
        segments.len() == self.segments.len()
            && segments.iter().zip(&self.segments).all(|(segment, expected)| match expected {
                Some(literal) => literal == segment,
                None => !segment.is_empty(),
            })
    }
}

impl Contract {
    fn new(document: Value) -> Self {
        let paths = document["paths"].as_object().expect("paths");
        let mut templates: Vec<Template> = paths.keys().map(|path| Template::new(path)).collect();
        templates.sort_by_key(|template| template.segments.iter().map(Option::is_none).collect::<Vec<_>>());
        Self { document, templates, validators: Mutex::default() }
    }

    fn fault(&self, received: Received<'_>) -> Result<(), String> {
        let path = received.path.split('?').next().unwrap_or_default();
        let asked = path == ASKED_BY_PROXIES
            || path.strip_prefix(ASKED_BY_PROXIES).is_some_and(|rest| rest.starts_with('/'));
        let path = if asked { ASKED_BY_PROXIES } else { path };
        let Some(template) = self.templates.iter().find(|template| template.matches(path)) else {
            return self.unknown_path(path, received);
        };
        let method = match received.method.as_str() {
            "HEAD" | "GET" => "get".to_owned(),
            _ if asked => "post".to_owned(),
            other => other.to_ascii_lowercase(),
        };
        let Some(operation) = self.document["paths"][&template.path].get(&method) else {
            return self.unknown_method(received);
        };
        let Some(response) = operation["responses"].get(received.status.to_string()) else {
            return Err("an undocumented status".into());
        };
        self.content(response, received, &format!("{method} {} {}", template.path, received.status))
    }

    /// What the document does not tell of is a problem, but for the document itself.
    fn unknown_path(&self, path: &str, received: Received<'_>) -> Result<(), String> {
        let infrastructure = UNDOCUMENTED.iter().any(|known| path.starts_with(known));
        if infrastructure { Ok(()) } else { self.refusal(404, received) }
    }

    /// A browser asks for permission by `OPTIONS`; any other method is refused.
    fn unknown_method(&self, received: Received<'_>) -> Result<(), String> {
        let preflight = received.method == Method::OPTIONS && received.status == 200;
        if preflight && received.body.is_empty() { Ok(()) } else { self.refusal(405, received) }
    }

    fn refusal(&self, status: u16, received: Received<'_>) -> Result<(), String> {
        if received.status != status {
            return Err(format!("an undocumented operation answers {status}"));
        }
        let problem = json!({"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}});
        self.content(&problem, received, "a refusal")
    }

    fn content(&self, response: &Value, received: Received<'_>, name: &str) -> Result<(), String> {
        if received.method == Method::HEAD {
            return Ok(());
        }
        let kind = received.content_type.split(';').next().unwrap_or_default().trim();
        let Some(documented) = response["content"].as_object().filter(|content| !content.is_empty()) else {
            return if received.body.is_empty() { Ok(()) } else { Err("an undocumented body".into()) };
        };
        let Some(content) = documented.get(kind) else {
            return Err(format!("the content type {kind:?}, where {:?} is documented", documented.keys()));
        };
        if kind != "application/json" && !kind.ends_with("+json") {
            return Ok(());
        }
        let body: Value = serde_json::from_slice(received.body).map_err(|error| error.to_string())?;
        let validator = self.validator(&format!("{name} {kind}"), &content["schema"]);
        let faults: Vec<String> =
            validator.iter_errors(&body).map(|error| format!("{}: {error}", error.instance_path())).collect();
        if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
    }

    fn validator(&self, name: &str, schema: &Value) -> Arc<Validator> {
        if let Some(known) = self.validators.lock().unwrap().get(name) {
            return known.clone();
        }
        let schema = Closed::schema(&self.document, schema);
        let options = jsonschema::options().with_draft(jsonschema::Draft::Draft202012);
        let new = Arc::new(options.should_validate_formats(true).build(&schema).expect("a schema"));
        self.validators.lock().unwrap().insert(name.to_owned(), new.clone());
        new
    }
}

/// A schema with everything that it refers to, whose objects have no other fields than theirs. A schema whose fields are
/// only some of an object's stays open, and so has a definition of its own.
#[derive(Default)]
struct Closed {
    pending: Vec<(String, bool)>,
    seen: BTreeSet<(String, bool)>,
}

impl Closed {
    fn schema(document: &Value, schema: &Value) -> Value {
        let mut closed = Self::default();
        let mut whole = closed.copy(schema, false);
        let mut definitions = Map::new();
        while let Some((name, open)) = closed.pending.pop() {
            let copy = closed.copy(&document["components"]["schemas"][&name], open);
            definitions.insert(Self::key(&name, open), copy);
        }
        whole["$defs"] = Value::Object(definitions);
        whole
    }

    fn key(name: &str, open: bool) -> String {
        format!("{name}{}", if open { "-open" } else { "" })
    }

    fn copy(&mut self, schema: &Value, open: bool) -> Value {
        let Some(object) = schema.as_object() else { return schema.clone() };
        let copies = object.iter().map(|(word, value)| {
            let copy = match word.as_str() {
                "$ref" => self.reference(value, open),
                "allOf" => self.each(value, true),
                "oneOf" | "anyOf" => self.each(value, open || object.contains_key("properties")),
                "properties" => {
                    let fields = value.as_object().expect("properties").iter();
                    fields.map(|(name, field)| (name.clone(), self.copy(field, false))).collect()
                }
                "items" | "additionalProperties" | "propertyNames" => self.copy(value, false),
                _ => value.clone(),
            };
            (word.clone(), copy)
        });
        let mut copy: Map<String, Value> = copies.collect();
        let fields = ["properties", "allOf"].iter().any(|word| copy.contains_key(*word));
        if fields && !open && !copy.contains_key("additionalProperties") {
            copy.insert("unevaluatedProperties".into(), Value::Bool(false));
        }
        Value::Object(copy)
    }

    fn each(&mut self, schemas: &Value, open: bool) -> Value {
        schemas.as_array().expect("schemas").iter().map(|schema| self.copy(schema, open)).collect()
    }

    fn reference(&mut self, reference: &Value, open: bool) -> Value {
        let name = reference.as_str().and_then(|text| text.strip_prefix("#/components/schemas/"));
        let name = name.expect("references stay among the schemas").to_owned();
        if self.seen.insert((name.clone(), open)) {
            self.pending.push((name.clone(), open));
        }
        format!("#/$defs/{}", Self::key(&name, open)).into()
    }
}
