//! Every figure of the built-in catalogue is the list's, worked out here once more, with fractions, from the digits of the
//! list: nothing of the importer takes part.

use num_rational::BigRational;
use serde_json::{Value, value::RawValue};
use std::collections::{BTreeMap, BTreeSet};

const LIST: &str = include_str!("../../catalogue/model-prices-2026-07-24.json");
const CATALOGUE: &str = include_str!("../../service/src/catalogue/catalogue.json");

const CORRECTIONS: &str = include_str!("../../catalogue/corrections-2026-08-21.json");

/// Where a figure of the list is in the catalogue: above which number of tokens, in which service tier, under which name.
type Place = (Option<i64>, &'static str, &'static str);
/// The fields of an entry, digit by digit.
type Entry<'a> = BTreeMap<String, &'a RawValue>;

/// The fields that are rates, and how many units the catalogue's rate is for.
const RATES: [(&str, &str, i64); 19] = [
    ("input_cost_per_token", "input", 1_000_000),
    ("output_cost_per_token", "output", 1_000_000),
    ("cache_read_input_token_cost", "cache_read", 1_000_000),
    ("input_cost_per_token_cache_hit", "cache_read", 1_000_000),
    ("cache_creation_input_token_cost", "cache_write", 1_000_000),
    ("cache_creation_input_token_cost_above_1hr", "cache_write_1h", 1_000_000),
    ("output_cost_per_reasoning_token", "reasoning", 1_000_000),
    ("cache_read_input_audio_token_cost", "cache_read_audio", 1_000_000),
    ("cache_creation_input_audio_token_cost", "cache_read_audio", 1_000_000),
    ("input_cost_per_audio_token", "audio_input", 1_000_000),
    ("output_cost_per_audio_token", "audio_output", 1_000_000),
    ("input_cost_per_image_token", "image_input", 1_000_000),
    ("output_cost_per_image_token", "image_output", 1_000_000),
    ("input_cost_per_image", "per_image", 1),
    ("output_cost_per_image", "per_image", 1),
    ("input_cost_per_second", "per_second", 1),
    ("input_cost_per_audio_per_second", "per_second", 1),
    ("output_cost_per_second", "per_second", 1),
    ("input_cost_per_character", "per_character", 1),
];

/// The catalogue's rate of a web search.
const SEARCH: &str = "per_web_search";

/// A number as a fraction.
fn fraction(text: &str) -> BigRational {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let power = exponent.parse::<i64>().unwrap() - i64::try_from(part.len()).unwrap();
    let zeros = |count: i64| "0".repeat(count.max(0).try_into().unwrap());
    format!("{whole}{part}{}/1{}", zeros(power), zeros(-power)).parse().unwrap()
}

/// What a field of the list says, and where.
fn place(field: &str) -> Option<(Place, i64)> {
    let tiers = [("_batches", "batch"), ("_flex", "flex"), ("_priority", "priority")];
    let tier = tiers.into_iter().find_map(|(end, tier)| Some((field.strip_suffix(end)?, tier)));
    let (field, tier) = tier.unwrap_or((field, "standard"));
    let bounds = [("_above_200k_tokens", 200_000), ("_above_272k_tokens", 272_000)];
    let above = bounds.into_iter().find_map(|(end, bound)| Some((field.strip_suffix(end)?, Some(bound))));
    let (field, above) = above.unwrap_or((field, None));
    let (_, rate, units) = RATES.into_iter().find(|(name, _, _)| *name == field)?;
    Some(((above, tier, rate), units))
}

/// What a web search costs, if it is charged by the search: the medium size, or what all cost.
fn search(entry: &Entry<'_>) -> Option<BigRational> {
    let says = |field: &str| entry.get(field).map(|raw| raw.get());
    let by_prompt = says("litellm_provider")
        .is_some_and(|provider| provider.contains("gemini") || provider.contains("vertex_ai"));
    if by_prompt && says("web_search_billing_unit") != Some("\"per_query\"") {
        return None;
    }
    let sizes: Entry<'_> = serde_json::from_str(says("search_context_cost_per_query")?).unwrap();
    Some(fraction(sizes["search_context_size_medium"].get()))
}

/// The figures of an entry of the list, by where they belong.
fn listed(entry: &Entry<'_>) -> BTreeMap<Place, BTreeSet<BigRational>> {
    let mut figures: BTreeMap<Place, BTreeSet<BigRational>> = BTreeMap::new();
    for (field, raw) in entry {
        if let Some((place, units)) = place(field) {
            let one = fraction(raw.get());
            figures.entry(place).or_default().insert(one * fraction(&units.to_string()));
        }
    }
    figures.extend(search(entry).map(|figure| ((None, "standard", SEARCH), BTreeSet::from([figure]))));
    figures
}

/// The rates of a card, a tier or a price of the catalogue.
fn rates(card: &Value) -> impl Iterator<Item = (&'static str, BigRational)> {
    let names: BTreeSet<&'static str> = RATES.into_iter().map(|(_, name, _)| name).chain([SEARCH]).collect();
    names.into_iter().filter_map(|name| Some((name, fraction(card.get(name)?.as_str()?))))
}

/// The rates of a price of the catalogue, by their places.
fn shipped(price: &Value) -> BTreeMap<Place, BigRational> {
    let mut found = BTreeMap::new();
    let tiers = price["tiers"].as_array().cloned().unwrap_or_else(|| vec![price.clone()]);
    let mut above = None;
    for tier in &tiers {
        let cards = ["batch", "flex", "priority"].map(|name| (name, &tier[name]));
        for (name, card) in cards.into_iter().chain([("standard", tier)]) {
            found.extend(rates(card).map(|(rate, figure)| ((above, name, rate), figure)));
        }
        above = tier.get("up_to").and_then(Value::as_i64);
    }
    found
}

fn list() -> BTreeMap<String, Entry<'static>> {
    serde_json::from_str(LIST).unwrap()
}

fn catalogue() -> Value {
    serde_json::from_str(CATALOGUE).unwrap()
}

fn by_name<'a>(rows: &'a Value, field: &str) -> BTreeMap<&'a str, &'a Value> {
    let rows = rows.as_array().unwrap();
    let map: BTreeMap<&str, &Value> = rows.iter().map(|row| (row[field].as_str().unwrap(), row)).collect();
    assert_eq!(map.len(), rows.len(), "one of each");
    map
}

/// The prices that a later list corrects, by their models.
fn corrections() -> BTreeMap<String, Value> {
    let rows: Vec<Value> = serde_json::from_str(CORRECTIONS).unwrap();
    rows.into_iter().map(|row| (row["model"].as_str().unwrap().to_owned(), row)).collect()
}

/// The prices of the catalogue that are the first list's.
fn first(catalogue: &Value) -> BTreeMap<&str, &Value> {
    let corrected = corrections();
    let prices = by_name(&catalogue["prices"], "model");
    prices.into_iter().filter(|(name, _)| !corrected.contains_key(*name)).collect()
}

#[test]
fn every_correction_is_in_the_catalogue_as_it_is_stated() {
    let catalogue = catalogue();
    let prices = by_name(&catalogue["prices"], "model");
    for (name, correction) in corrections() {
        assert_eq!(*prices[name.as_str()], correction, "{name}");
        assert!(correction["source"].as_str().unwrap().contains("genai-prices 47df840a"), "{name}");
    }
    assert_eq!(corrections()["claude-opus-4-8"]["multipliers"]["fast"], "2");
    // A correction takes the place of the whole price: what the first list says of searches stays.
    let list = list();
    for (name, correction) in corrections() {
        let Some(entry) = list.get(&name) else { continue };
        let kept = correction.get(SEARCH).map(|rate| fraction(rate.as_str().unwrap()));
        assert_eq!(kept, search(entry), "{name}");
    }
}

/// What a service tier costs in large calls where the list does not say it: as much more as the standard tier does.
fn scaled(price: &Value, (above, tier, rate): Place) -> Option<BigRational> {
    let provider = price["provider"].as_str()?;
    let documented = match tier {
        "flex" => provider == "openai",
        "batch" => ["openai", "gemini", "vertex_ai"].contains(&provider),
        _ => false,
    };
    let there = shipped(price);
    let at = |above, tier| there.get(&(above, tier, rate)).cloned();
    let (small, large) = (at(None, "standard")?, at(above, "standard")?);
    (documented && above.is_some() && small != fraction("0"))
        .then(|| at(None, tier).map(|rate| rate * large / small))?
}

#[test]
fn every_rate_of_the_catalogue_is_in_the_list() {
    let (list, catalogue) = (list(), catalogue());
    let mut compared = 0;
    for (name, price) in first(&catalogue) {
        let figures = listed(&list[name]);
        for ((above, tier, rate), figure) in shipped(price) {
            // What the list does not say of large calls is the same as for small ones.
            let scaled = scaled(price, (above, tier, rate)).map(|figure| BTreeSet::from([figure]));
            let said = figures.get(&(above, tier, rate)).or(scaled.as_ref());
            let said = said.or_else(|| figures.get(&(None, tier, rate)));
            let said = said.unwrap_or_else(|| panic!("{name}: nobody says {tier} {rate} above {above:?}"));
            assert!(
                said.contains(&figure),
                "{name}: {tier} {rate} above {above:?} is {said:?}, not {figure}"
            );
            compared += 1;
        }
        assert_eq!(price["currency"], "USD");
        assert_eq!(price["source"], "litellm price list 86135fc6");
        assert_eq!(
            (&price["sourced_on"], &price["effective_from"]),
            (&"2026-07-24".into(), &"2026-07-24T00:00:00Z".into())
        );
    }
    assert!(compared > 1000, "only {compared} rates");
}

#[test]
fn no_rate_of_the_list_is_lost() {
    let (list, catalogue) = (list(), catalogue());
    let (prices, corrected) = (first(&catalogue), corrections());
    let unpriced: Vec<&str> = list
        .keys()
        .map(String::as_str)
        .filter(|name| !prices.contains_key(name) && !corrected.contains_key(*name))
        .collect();
    assert_eq!(unpriced, ["gpt-realtime-whisper"], "its rate for a second has no end");
    for (name, price) in prices {
        let there = shipped(price);
        let by_token = price.get("tiers").is_some() || price.get("input").is_some();
        for (field, raw) in &list[name] {
            let Some((place, units)) = place(field) else { continue };
            let figure = fraction(raw.get()) * fraction(&units.to_string());
            // A unit beside tokens is the same charge told another way; free tokens beside a unit are no charge.
            let told_otherwise = if units == 1 { by_token } else { !by_token && figure == fraction("0") };
            assert!(there.get(&place) == Some(&figure) || told_otherwise, "{name}: {field} is lost");
        }
        assert_eq!(there.get(&(None, "standard", SEARCH)), search(&list[name]).as_ref(), "{name}");
    }
}

#[test]
fn every_multiplier_and_remark_is_the_lists() {
    let (list, catalogue) = (list(), catalogue());
    let mut count = 0;
    for (name, price) in first(&catalogue) {
        let entry = &list[name];
        let mut said = BTreeMap::new();
        for (region, field) in
            ["eu", "us"].map(|region| (region, format!("regional_processing_uplift_multiplier_{region}")))
        {
            said.extend(entry.get(&field).map(|raw| (region.to_owned(), fraction(raw.get()))));
        }
        if let Some(raw) = entry.get("provider_specific_entry") {
            let words: BTreeMap<String, &RawValue> = serde_json::from_str(raw.get()).unwrap();
            said.extend(words.into_iter().map(|(word, raw)| (word, fraction(raw.get()))));
        }
        let kept = price.get("multipliers").and_then(Value::as_object).into_iter().flatten();
        let kept: BTreeMap<String, BigRational> =
            kept.map(|(word, factor)| (word.clone(), fraction(factor.as_str().unwrap()))).collect();
        assert_eq!(kept, said, "{name}");
        count += kept.len();
        let remark = entry.get("_comment").map(|raw| serde_json::from_str::<Value>(raw.get()).unwrap());
        assert_eq!(price.get("note"), remark.as_ref(), "{name}");
    }
    assert!(count > 20, "only {count} multipliers");
}

#[test]
fn every_model_of_the_list_is_in_the_catalogue_with_its_facts() {
    let (list, catalogue) = (list(), catalogue());
    let models = by_name(&catalogue["models"], "name");
    let providers = by_name(&catalogue["providers"], "name");
    assert_eq!(models.len(), 218);
    for (name, entry) in &list {
        let model = models[name.as_str()];
        let says =
            |field: &str| entry.get(field).map(|raw| serde_json::from_str::<Value>(raw.get()).unwrap());
        let context = says("max_input_tokens").or_else(|| says("max_tokens"));
        assert_eq!(model.get("context_window"), context.as_ref(), "{name}");
        assert_eq!(model.get("max_output_tokens"), says("max_output_tokens").as_ref(), "{name}");
        assert_eq!(model.get("deprecated_on"), says("deprecation_date").as_ref(), "{name}");
        assert_eq!(model.get("deprecated").is_some(), says("deprecation_date").is_some(), "{name}");
        for (flag, field) in [
            ("vision", "supports_vision"),
            ("function_calling", "supports_function_calling"),
            ("reasoning", "supports_reasoning"),
            ("pdf_input", "supports_pdf_input"),
            ("prompt_caching", "supports_prompt_caching"),
            ("web_search", "supports_web_search"),
        ] {
            if says(field) == Some(true.into()) {
                assert_eq!(model["capabilities"][flag], true, "{name}: {flag}");
            }
        }
        let mode = says("mode").unwrap();
        let chat = mode == "chat" || mode == "responses";
        assert_eq!(model["capabilities"]["chat"] == true, chat, "{name}: {mode}");
        let streams =
            says("supports_native_streaming") != Some(false.into()) && (chat || mode == "completion");
        let flag = model["capabilities"]["streaming"] == true;
        assert!(
            flag == streams || says("supports_native_streaming") == Some(true.into()),
            "{name}: streaming"
        );
        assert!(providers.contains_key(model["provider"].as_str().unwrap()), "{name}");
    }
}
