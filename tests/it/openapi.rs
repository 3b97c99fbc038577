//! The contract is complete, consistent, and the one that is committed.

use serde_json::{Map, Value, json};
use std::{collections::BTreeSet, sync::LazyLock};

/// Refusals that are only ever the answer for the gateway's own client, in the form of that client's provider.
const ANSWERS_FOR_CLIENTS: [(&str, &[&str]); 2] =
    [("check_get", &["402", "429"]), ("check_post", &["402", "429"])];

/// One operation of the document.
pub struct Operation {
    /// As `POST`.
    pub method: String,
    /// As `/v1/organizations/{organization}/teams`.
    pub path: String,
    /// What the document says of it.
    pub item: Value,
}

impl Operation {
    /// Its operation id.
    pub fn id(&self) -> &str {
        self.item["operationId"].as_str().unwrap_or_default()
    }

    /// Its parameters in a place, as `path`.
    pub fn parameters(&self, place: &str) -> Vec<&Value> {
        let parameters = self.item["parameters"].as_array().into_iter().flatten();
        parameters.filter(|parameter| parameter["in"] == place).collect()
    }

    /// The kind of credential that it needs, if it needs one.
    pub fn scheme(&self) -> Option<&str> {
        fn name(scheme: &Value) -> Option<&str> {
            scheme.as_object().expect("a requirement").keys().next().map(String::as_str)
        }
        let schemes = self.item["security"].as_array().expect("security");
        schemes.iter().map(name).collect::<Option<Vec<_>>>()?.first().copied()
    }

    /// The names of its parameters in a place.
    pub fn names(&self, place: &str) -> Vec<&str> {
        self.parameters(place).into_iter().map(|parameter| parameter["name"].as_str().unwrap()).collect()
    }
}

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::to_value(api::openapi()).unwrap());

/// The document as JSON, which takes longer to make than most requests.
pub fn document() -> &'static Value {
    &DOCUMENT
}

/// Every operation of the document.
pub fn operations(document: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, item) in item.as_object().unwrap() {
            if ["get", "post", "put", "patch", "delete"].contains(&method.as_str()) {
                operations.push(Operation {
                    method: method.to_uppercase(),
                    path: path.clone(),
                    item: item.clone(),
                });
            }
        }
    }
    operations
}

/// What a schema refers to, however often.
pub fn resolve<'a>(document: &'a Value, mut schema: &'a Value) -> &'a Value {
    while let Some(reference) = schema["$ref"].as_str() {
        let pointer = reference.strip_prefix('#').expect("references stay in the document");
        schema = document.pointer(pointer).unwrap_or_else(|| panic!("{reference} leads nowhere"));
    }
    schema
}

/// The names of a path template.
fn template(path: &str) -> Vec<&str> {
    let names = path.split('{').skip(1).map(|rest| rest.split('}').next().unwrap());
    names.map(|name| name.trim_start_matches('*')).collect()
}

/// Every value under `value`, itself included.
fn walk<'a>(value: &'a Value, visit: &mut impl FnMut(&'a Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            visit(object);
            object.values().for_each(|value| walk(value, visit));
        }
        Value::Array(list) => list.iter().for_each(|value| walk(value, visit)),
        _ => {}
    }
}

/// Whether an example of this schema can be shown: it has one, or everything that it consists of has.
fn has_example(document: &Value, schema: &Value) -> bool {
    let schema = resolve(document, schema);
    let own =
        ["example", "examples", "default", "enum", "const"].iter().any(|word| schema.get(word).is_some());
    let parts = schema["properties"].as_object().into_iter().flat_map(|properties| properties.values());
    own || parts.into_iter().any(|part| has_example(document, part))
        || schema.get("items").is_some_and(|items| has_example(document, items))
        || ["oneOf", "anyOf", "allOf"].iter().any(|word| {
            schema[word].as_array().is_some_and(|list| list.iter().any(|part| has_example(document, part)))
        })
}

#[test]
fn the_document_is_openapi_3_1() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    for field in ["title", "version", "description"] {
        assert!(document["info"][field].as_str().is_some_and(|text| !text.is_empty()), "info.{field}");
    }
    walk(document, &mut |object| {
        if let Some(Value::String(_)) = object.get("$ref") {
            resolve(document, &json!(object)).as_object().expect("a schema");
        }
        assert!(!object.contains_key("nullable"), "a word of 3.0 in {object:?}");
    });
}

#[test]
fn every_operation_is_described() {
    let (document, mut ids) = (document(), BTreeSet::new());
    for operation in operations(document) {
        let name = format!("{} {}", operation.method, operation.path);
        assert!(ids.insert(operation.id().to_owned()), "{name}: the id {:?} is not unique", operation.id());
        for field in ["operationId", "summary", "description"] {
            assert!(
                operation.item[field].as_str().is_some_and(|text| !text.is_empty()),
                "{name} has no {field}"
            );
        }
        let summary = operation.item["summary"].as_str().unwrap();
        assert!(summary.len() <= 80 && !summary.ends_with('.'), "{name}: {summary:?}");
        assert_eq!(operation.item["tags"].as_array().map(Vec::len), Some(1), "{name} has one tag");
        assert!(operation.item["security"].is_array(), "{name} has no security");
    }
}

#[test]
fn every_parameter_is_where_the_path_says() {
    for operation in operations(document()) {
        let name = format!("{} {}", operation.method, operation.path);
        let (mut declared, mut expected) = (operation.names("path"), template(&operation.path));
        declared.sort_unstable();
        expected.sort_unstable();
        assert_eq!(declared, expected, "{name}");
        let parameters = operation.item["parameters"].as_array();
        for parameter in parameters.into_iter().flatten() {
            let described = parameter["description"].as_str().is_some_and(|text| !text.is_empty());
            assert!(described, "{name}: {} has no description", parameter["name"]);
            // A header may be required, such as the gateway's token where the key's takes `Authorization`; and what a
            // question is about.
            let (place, required) = (parameter["in"].as_str().unwrap(), parameter["required"] == true);
            assert!(place != "path" || required, "{name}: {}", parameter["name"]);
            assert!(parameter["schema"].is_object(), "{name}: {} has no schema", parameter["name"]);
        }
        let unique: BTreeSet<String> =
            parameters.into_iter().flatten().map(|p| format!("{}{}", p["in"], p["name"])).collect();
        assert_eq!(unique.len(), parameters.map_or(0, Vec::len), "{name} has a parameter twice");
    }
}

#[test]
fn every_status_is_described_and_every_failure_is_a_problem() {
    let document = document();
    for operation in operations(document) {
        let responses = operation.item["responses"].as_object().expect("responses");
        for (status, response) in responses {
            let name = format!("{} {} {status}", operation.method, operation.path);
            assert!(
                response["description"].as_str().is_some_and(|text| text.len() > 3),
                "{name} has no description"
            );
            let for_clients = |(id, statuses): &(&str, &[&str])| {
                *id == operation.id() && statuses.contains(&status.as_str())
            };
            if status.as_str() >= "400" && !ANSWERS_FOR_CLIENTS.iter().any(for_clients) {
                let content = response["content"].as_object().expect("content");
                let problem = json!({"$ref": "#/components/schemas/Problem"});
                let is_problem =
                    content.get("application/problem+json").is_some_and(|body| body["schema"] == problem);
                assert!(is_problem, "{name} is no problem");
            }
        }
        let name = format!("{} {}", operation.method, operation.path);
        assert!(responses.keys().any(|status| status.starts_with('2')), "{name} never succeeds");
        for status in ["500", "503", "504"] {
            assert!(responses.contains_key(status), "{name} does not document {status}");
        }
        assert!(
            operation.scheme().is_none() || responses.contains_key("401"),
            "{name} does not document 401"
        );
    }
}

#[test]
fn problems_say_their_codes() {
    for operation in operations(document()) {
        for (status, response) in operation.item["responses"].as_object().unwrap() {
            let text = response["description"].as_str().unwrap();
            assert!(status.as_str() < "400" || text.contains('`'), "{} {status}: {text}", operation.id());
        }
    }
}

#[test]
fn every_schema_has_a_name_a_description_and_an_example() {
    let document = document();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        for (field, property) in schema["properties"].as_object().into_iter().flatten() {
            // What can be null is described beside its null.
            let parts = property["oneOf"].as_array().into_iter().flatten().chain([property]);
            let described = parts
                .into_iter()
                .any(|part| part["description"].as_str().is_some_and(|text| !text.is_empty()));
            assert!(described, "{name}.{field} has no description");
        }
    }
    for operation in operations(document) {
        let bodies = operation.item["responses"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(status, body)| (status.as_str(), body));
        for (place, body) in bodies.chain([("request", &operation.item["requestBody"])]) {
            for (kind, content) in body["content"].as_object().into_iter().flatten() {
                let name = format!("{} {place} {kind}", operation.id());
                let for_clients = ANSWERS_FOR_CLIENTS
                    .iter()
                    .any(|(id, statuses)| *id == operation.id() && statuses.contains(&place));
                if kind.ends_with("json") && !for_clients {
                    assert!(content["schema"].get("$ref").is_some(), "{name}: an inlined schema");
                    let empty = resolve(document, &content["schema"])["properties"]
                        .as_object()
                        .is_none_or(Map::is_empty);
                    assert!(empty || has_example(document, &content["schema"]), "{name} has no example");
                }
            }
        }
    }
}

#[test]
fn every_schema_name_stands_for_one_type() {
    assert_eq!(api::schema_clashes(), BTreeSet::new());
}

#[test]
fn absent_is_not_null() {
    walk(document(), &mut |object| {
        assert!(object.get("default") != Some(&Value::Null), "null is told as the default in {object:?}");
    });
}

#[test]
fn every_list_is_paged_in_the_same_way() {
    let document = document();
    let mut lists = 0;
    for operation in operations(document) {
        let body = &operation.item["responses"]["200"]["content"]["application/json"]["schema"];
        let name = body["$ref"].as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default();
        let paged = resolve(document, body)["properties"].get("next_cursor").is_some();
        assert_eq!(paged, name.ends_with("Page"), "{}: {name}", operation.id());
        let query = operation.names("query");
        for parameter in ["page_size", "cursor", "order"] {
            assert_eq!(query.contains(&parameter), paged, "{}: {parameter}", operation.id());
        }
        lists += usize::from(paged);
    }
    assert!(lists > 1);
}

#[test]
fn the_committed_document_is_the_one_of_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi/openapi.json");
    let committed: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(&committed == document(), "run `cargo run -p openapi -- write`");
}
