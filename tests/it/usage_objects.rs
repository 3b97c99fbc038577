//! 645 usage objects as providers returned them: what is read of each, beside the reading of another library, and the reason
//! of each difference. The table is in `tests/data/usage-readings.tsv`; what it ought to be is written to `target/`.

use entity::terms::Component;
use serde_json::Value;
use service::cost::{self, Usage};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// How much of something a usage has.
type Count = fn(&Usage) -> u64;

/// What both sides tell, in the library's words: it counts cached tokens within the input and reasoning within the output.
static FIELDS: [(&str, Count); 10] = [
    ("input_tokens", Usage::prompt_tokens),
    ("output_tokens", Usage::completion_tokens),
    ("cache_read_tokens", |usage| usage.get(Component::CacheRead) + usage.get(Component::CacheReadAudio)),
    ("cache_audio_read_tokens", |usage| usage.get(Component::CacheReadAudio)),
    ("cache_write_tokens", |usage| usage.get(Component::CacheWrite) + usage.get(Component::CacheWrite1h)),
    ("output_reasoning_tokens", |usage| usage.get(Component::Reasoning)),
    ("input_audio_tokens", |usage| usage.get(Component::AudioInput)),
    ("input_image_tokens", |usage| usage.get(Component::ImageInput)),
    ("output_image_tokens", |usage| usage.get(Component::ImageOutput)),
    ("web_searches", |usage| usage.get(Component::WebSearch)),
];

fn theirs(reading: &Value, field: &str) -> u64 {
    reading[field].as_u64().unwrap_or(0)
}

fn data(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(file)).unwrap_or_default()
}

/// The counts that are not zero, as text.
fn shown(count: impl Fn(&str) -> u64) -> String {
    let counts = FIELDS.iter().map(|(field, _)| (*field, count(field))).filter(|(_, count)| *count > 0);
    counts.map(|(field, count)| format!("{field}={count}")).collect::<Vec<_>>().join(" ")
}

/// One line of the table, and the differences.
fn line(n: usize, object: &Value) -> (String, Vec<String>) {
    let reading = cost::read(&object["response"], None, "").unwrap();
    let format = serde_json::to_value(reading.format).unwrap();
    let format = format.as_str().unwrap();
    let ours: BTreeMap<&str, u64> = FIELDS.iter().map(|(field, of)| (*field, of(&reading.usage))).collect();
    let differing = |theirs_of: &&Value| {
        FIELDS.iter().filter(|(field, _)| ours[field] != theirs(theirs_of, field)).count()
    };
    let closest = object["readings"].as_array().unwrap().iter().min_by_key(differing).unwrap();
    let differences = FIELDS.iter().filter(|(field, _)| ours[field] != theirs(closest, field));
    let differences: Vec<String> = differences.map(|(field, _)| format!("{format}:{field}")).collect();
    let model = object["model"].as_str().unwrap_or("-");
    let flag = if reading.doubts.is_empty() { "exact" } else { "unclear" };
    let (left, right) = (shown(|field| ours[field]), shown(|field| theirs(closest, field)));
    let why = if differences.is_empty() { "-".to_owned() } else { differences.join(",") };
    (format!("{n}\t{model}\t{format}\t{flag}\t{left}\t{right}\t{why}"), differences)
}

#[test]
fn usage_objects_of_providers_are_read_as_the_table_says() {
    let objects = data("usage-objects-2026-08-21.jsonl");
    let explained = data("usage-differences.tsv");
    let explained: BTreeSet<&str> =
        explained.lines().skip(1).filter_map(|line| Some(line.split_once('\t')?.0)).collect();
    let mut table = vec!["object\tmodel\tformat\tread\tours\tgenai-prices\tdifferences".to_owned()];
    let mut found = BTreeSet::new();
    for (n, object) in (1..).zip(objects.lines()) {
        let (line, differences) = line(n, &serde_json::from_str(object).unwrap());
        table.push(line);
        found.extend(differences);
    }
    assert_eq!(table.len(), 646);
    let table = table.join("\n") + "\n";
    if table != data("usage-readings.tsv") {
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/usage-readings.tsv");
        fs::write(&target, &table).unwrap();
        panic!("the table is another one: compare {}", target.display());
    }
    let found: BTreeSet<&str> = found.iter().map(String::as_str).collect();
    assert_eq!(found, explained, "each kind of difference is explained, and nothing else");
}
