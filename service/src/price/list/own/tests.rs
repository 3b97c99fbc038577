//! One file in three encodings, and everything that may be wrong with one.

use super::{
    super::{ENTRIES, Encoding},
    ListPrice, write,
};
use crate::{Error, error::FieldError};
use chrono::{DateTime, Utc};

fn read(file: &[u8], encoding: Encoding, now: DateTime<Utc>) -> crate::Result<Vec<super::Listed>> {
    super::read(file, encoding, now, |listed| listed)
}

fn now() -> DateTime<Utc> {
    "2027-01-15T10:00:00Z".parse().unwrap()
}

fn prices(file: &str, encoding: Encoding) -> Vec<ListPrice> {
    read(file.as_bytes(), encoding, now()).unwrap().into_iter().map(|listed| listed.price.unwrap()).collect()
}

fn faults(file: &str, encoding: Encoding) -> Vec<FieldError> {
    match read(file.as_bytes(), encoding, now()) {
        Err(Error::Invalid(faults)) => faults,
        Err(Error::Malformed(fault)) => vec![fault],
        other => panic!("{other:?}"),
    }
}

/// Code and pointer of each fault.
fn told(file: &str, encoding: Encoding) -> Vec<(&'static str, String)> {
    faults(file, encoding).into_iter().map(|fault| (fault.code, fault.pointer)).collect()
}

const JSON: &str = r#"{"version": 1, "prices": [
    {"model": "gpt-4o", "provider": "openai", "kind": "per_token", "input": "2.50", "output": "10", "cache_read": "1.25",
     "batch": {"input": "1.25", "output": "5"}, "priority": {"input": "4.25"}, "multipliers": {"eu": "1.1", "us": "1.05"},
     "markup_bps": 250, "currency": "EUR", "effective_from": "2027-01-01T00:00:00.000001Z", "note": "a remark, with \"quotes\"",
     "source": "the price page", "sourced_on": "2026-12-31"},
    {"model": "gemini-*", "kind": "tiered", "tier_by": "total_tokens", "currency": "USD", "tiers": [
        {"up_to": 200000, "input": "1.25", "batch": {"input": "0.625"}}, {"up_to": 500000, "input": "2.5"},
        {"input": "5", "flex": {"output": "1"}}]},
    {"model": "sora", "kind": "per_unit", "per_second": "0.000000000000001"},
    {"model": "rerank", "kind": "per_request", "per_request": "0.002"},
    {"model": "ours", "provider": "local", "kind": "flat", "effective_until": "2027-06-01T00:00:00Z"},
    {"kind": "per_token", "input": "5", "output": "15"}
]}"#;

const YAML: &str = r#"
version: 1
prices:
  - {model: gpt-4o, provider: openai, kind: per_token, input: 2.50, output: 10, cache_read: "1.25", currency: EUR,
     batch: &half {input: 1.25, output: 5}, priority: {input: 4.25}, multipliers: {eu: 1.1, us: 1.05}, markup_bps: 250,
     effective_from: 2027-01-01T00:00:00.000001Z, note: 'a remark, with "quotes"', source: the price page,
     sourced_on: 2026-12-31}
  - model: gemini-*
    kind: tiered
    tier_by: total_tokens
    currency: USD
    tiers:
      - {up_to: 200000, input: 1.25, batch: {input: 0.625}}
      - {up_to: 500000, input: 2.5}
      - {up_to: null, input: 5, flex: {output: 1}}
  - {model: sora, kind: per_unit, per_second: 0.000000000000001}
  - {model: rerank, kind: per_request, per_request: 0.002}
  - {model: ours, provider: local, kind: flat, effective_until: 2027-06-01T00:00:00Z}
  - {model: ~, kind: per_token, input: 5, output: 15}
"#;

const CSV: &str = "\
model,provider,kind,currency,markup_bps,effective_from,effective_until,input,output,cache_read,batch.input,batch.output,\
priority.input,flex.output,multipliers.eu,multipliers.us,note,source,sourced_on,tier_by,up_to,per_second,per_request
gpt-4o,openai,per_token,EUR,250,2027-01-01T00:00:00.000001Z,,2.50,10,1.25,1.25,5,4.25,,1.1,1.05,\"a remark, with \"\"quotes\"\"\",the price page,2026-12-31,,,,
gemini-*,,tiered,USD,,,,1.25,,,0.625,,,,,,,,,total_tokens,200000,,
gemini-*,,tiered,USD,,,,2.5,,,,,,,,,,,,total_tokens,500000,,
gemini-*,,tiered,USD,,,,5,,,,,,1,,,,,,total_tokens,,,
sora,,per_unit,,,,,,,,,,,,,,,,,,,0.000000000000001,
rerank,,per_request,,,,,,,,,,,,,,,,,,,,0.002
ours,local,flat,,,,2027-06-01T00:00:00Z,,,,,,,,,,,,,,,,
,,per_token,,,,,5,15,,,,,,,,,,,,,,
";

#[test]
fn the_three_encodings_say_the_same() {
    let json = prices(JSON, Encoding::Json);
    assert_eq!(json.len(), 6);
    assert_eq!(serde_json::to_value(json[0].input).unwrap(), "2.5");
    assert_eq!(json[2].per_second.unwrap().0.0, 1);
    assert_eq!(prices(YAML, Encoding::Yaml), json);
    assert_eq!(prices(CSV, Encoding::Csv), json);
    let bare = JSON.trim_start_matches("{\"version\": 1, \"prices\": ").trim_end_matches('}');
    assert_eq!(prices(bare, Encoding::Json), json);
    for (file, encoding) in [(JSON, Encoding::Json), (YAML, Encoding::Yaml), (CSV, Encoding::Csv)] {
        assert_eq!(prices(&format!("\u{feff}{file}"), encoding), json);
    }
}

#[test]
fn what_is_written_reads_as_the_same() {
    let prices = prices(JSON, Encoding::Json);
    for encoding in [Encoding::Json, Encoding::Yaml, Encoding::Csv] {
        let file = String::from_utf8(write(prices.clone(), encoding).unwrap()).unwrap();
        assert_eq!(self::prices(&file, encoding), prices, "{file}");
        let nothing = String::from_utf8(write(Vec::new(), encoding).unwrap()).unwrap();
        assert_eq!(self::prices(&nothing, encoding), Vec::new(), "{nothing}");
    }
}

#[test]
fn every_faulty_field_is_told() {
    let json = r#"{"prices": [{"kind": "per_token", "input": 2.5}, {"kind": "per_token", "input": "-1", "markup_bps": -1,
        "provider": "Open AI", "model": "a"}, {"model": "b"}, {"kind": "per_token", "input": "0.0000000001"},
        {"kind": "hourly"}, {"kind": "flat", "model": "c", "input": "1", "currency": "XXQ", "source": "\u0000"}]}"#;
    let expected = [
        ("invalid_value", "/prices/0/input"),
        ("required", "/prices/2/kind"),
        ("invalid_value", "/prices/3/input"),
        ("invalid_value", "/prices/4/kind"),
        ("invalid_value", "/prices/1/provider"),
        ("out_of_range", "/prices/1/markup_bps"),
        ("out_of_range", "/prices/1/input"),
        ("unknown", "/prices/5/currency"),
        ("not_allowed", "/prices/5/input"),
        ("invalid_character", "/prices/5/source"),
    ];
    assert_eq!(told(json, Encoding::Json), expected.map(|(code, pointer)| (code, pointer.to_owned())));
    let many = format!("[{}]", vec![r#"{"kind": "per_token"}"#; 500].join(","));
    assert_eq!(faults(&many, Encoding::Json).len(), 100);
    assert_eq!(faults(&many, Encoding::Json)[99].pointer, "/99/input");
}

#[test]
fn a_field_that_nobody_knows_is_named() {
    for (file, encoding, pointer) in [
        (r#"[{"kind": "flat", "model": "a"}, {"kind": "flat", "modell": "b"}]"#, Encoding::Json, "/1/modell"),
        (r#"{"prices": [], "author": "me"}"#, Encoding::Json, "/author"),
        (r#"[{"kind": "tiered", "tiers": [{"upto": 5}]}]"#, Encoding::Json, "/0/tiers/0/upto"),
        ("prices: [{kind: flat, modell: b}]", Encoding::Yaml, "/prices/0/modell"),
        ("kind,modell\nflat,b\n", Encoding::Csv, "/modell"),
        ("kind,model,up_to\nflat,b,5\n", Encoding::Csv, "/prices/0/up_to"),
    ] {
        assert_eq!(told(file, encoding), [("unknown_field", pointer.to_owned())], "{file}");
    }
}

#[test]
fn what_cannot_be_read_is_told_with_its_place() {
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n\
        d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\nprices: *f";
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for (file, encoding, code, place) in [
        ("[{\"kind\": \"flat\",\n}]", Encoding::Json, "invalid_json", "line 2 column 1"),
        ("[{\"kind\": \"flat\", \"note\": \"\u{1}\"}]", Encoding::Json, "invalid_json", "line 1 column"),
        ("[] []", Encoding::Json, "invalid_json", "line 1 column 4"),
        (&deep, Encoding::Json, "invalid_value", ""),
        ("prices:\n  - {kind: flat\n  - 5", Encoding::Yaml, "invalid_yaml", "line 2"),
        ("prices:\n- kind: flat\n  kind: flat", Encoding::Yaml, "invalid_yaml", "line 3"),
        ("prices: []\n---\nprices: []", Encoding::Yaml, "invalid_yaml", ""),
        (bomb, Encoding::Yaml, "unknown_field", ""),
        (&deep, Encoding::Yaml, "invalid_yaml", ""),
        ("kind,model\nflat\n", Encoding::Csv, "invalid_csv", "line: 2"),
        ("kind,kind\nflat,flat\n", Encoding::Csv, "invalid_csv", "kind"),
    ] {
        let fault = &faults(file, encoding)[0];
        assert_eq!(fault.code, code, "{}", fault.message);
        assert!(fault.message.contains(place), "{}", fault.message);
        assert!(fault.message.len() < 1000, "{}", fault.message);
    }
    assert!(matches!(read(b"\xff\xfe", Encoding::Csv, now()), Err(Error::Malformed(_))));
}

#[test]
fn the_line_of_a_faulty_value_is_told() {
    let yaml = &faults("prices:\n  - kind: per_token\n    model: a\n    input: 1e-6\n", Encoding::Yaml)[0];
    assert_eq!((yaml.code, yaml.pointer.as_str()), ("invalid_value", "/prices/0/input"));
    assert!(yaml.message.contains("line 4") && yaml.message.contains("decimal"), "{}", yaml.message);
    let csv = &faults("kind,model,markup_bps\nflat,a,\nflat,b,some\n", Encoding::Csv)[0];
    assert_eq!((csv.code, csv.pointer.as_str()), ("invalid_value", "/prices/1/markup_bps"));
    assert!(csv.message.starts_with("line 3: "), "{}", csv.message);
}

#[test]
fn tiers_follow_each_other_in_csv() {
    let header = "model,kind,input,up_to\n";
    let other = &faults(&format!("{header}a,tiered,1,1000\nb,tiered,2,\n"), Encoding::Csv)[0];
    assert!(other.message.contains("line 3") && other.message.contains("line 2"), "{}", other.message);
    assert_eq!(
        told(&format!("{header}a,tiered,1,1000\n"), Encoding::Csv),
        [("not_allowed", "/prices/0/tiers/0/up_to".to_owned())]
    );
    let two =
        prices(&format!("{header}a,tiered,1,1000\na,tiered,2,\nb,tiered,3,5\nb,tiered,4,\n"), Encoding::Csv);
    assert_eq!(two.iter().map(|price| price.tiers.as_ref().unwrap().len()).collect::<Vec<_>>(), [2, 2]);
}

#[test]
fn a_list_without_end_is_refused() {
    let many = "[".to_owned() + &"{},".repeat(ENTRIES) + "{}]";
    assert_eq!(told(&many, Encoding::Json).len(), 1);
    let rows = "kind,model\n".to_owned() + &"flat,a\n".repeat(ENTRIES + 1);
    assert_eq!(faults(&rows, Encoding::Csv)[0].code, "too_many");
}

#[test]
fn what_would_be_too_long_to_read_is_not_written() {
    let mut prices = vec![ListPrice { model: Some("a".to_owned()), ..ListPrice::default() }; ENTRIES + 1];
    for encoding in [Encoding::Json, Encoding::Yaml, Encoding::Csv] {
        let refused = write(prices.clone(), encoding);
        assert!(
            matches!(&refused, Err(Error::Invalid(faults)) if faults[0].pointer == "?history" && faults[0].code == "too_many")
        );
    }
    prices.pop();
    assert!(write(prices, Encoding::Json).is_ok());
}

#[test]
fn two_prices_of_one_key_begin_at_different_moments() {
    let price = |from: &str, more: &str| format!(r#"{{"model": "a", "kind": "flat"{from}{more}}}"#);
    let noon = r#", "effective_from": "2027-01-01T12:00:00.0000001Z""#;
    let same_noon = r#", "effective_from": "2027-01-01T13:00:00+01:00""#;
    let remark = r#", "note": "another""#;
    for other in [price("", remark), price(noon, r#", "provider": "p""#), price(noon, "")] {
        let file = format!("[{}, {other}]", price(noon, ""));
        assert_eq!(prices(&file, Encoding::Json).len(), 2, "{file}");
    }
    for [first, other] in [[noon, same_noon], ["", ""]] {
        let file = format!("[{}, {}]", price(first, ""), price(other, remark));
        assert_eq!(told(&file, Encoding::Json), [("duplicate", "/1".to_owned())], "{file}");
    }
}
