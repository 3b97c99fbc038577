//! Prices: resolutions a second in an organization's book of 1,000 prices over a platform's of 4,000 with 2,000 models,
//! against a bare look-up in a hash map of as many texts in the same run; how long a book takes to be read again from the
//! database, and to be found unchanged; and what a price costs in memory.
//!
//! `cargo suite --bench prices`

use crate::stage::{self, Stage, insert};
use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    id::{ModelId, OrganizationId, PriceId},
    json::Capabilities,
    model,
    money::Rate,
    price,
    status::{Origin, PriceGuess, PriceKind, UnpricedPolicy},
    terms::{Band, Component, Rates, ServiceTier, Terms},
};
use sea_orm::ConnectionTrait;
use service::price::{
    book::{Binder, Book},
    resolve::{Prices, Wanted},
};
use std::{
    collections::{BTreeMap, HashMap},
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};
use uuid::Uuid;

const TIME: Duration = Duration::from_secs(1);
const ROUNDS: usize = 5;
const MODELS: usize = 2_000;
const OURS: usize = 1_000;
const PLATFORMS: usize = 4_000;
/// Books that are held at once to see what a price costs.
const BOOKS: usize = 50;

/// Runs it in memory, and on every database.
pub async fn run() {
    println!("== prices in memory");
    let organization = OrganizationId::new(Uuid::from_u128(7));
    resolutions(organization);
    memory(organization);
    for kind in stage::databases() {
        println!("== prices on {kind}");
        reading(&Stage::new(kind).await).await;
    }
}

/// A model of one of many vendors, none of a family.
fn name(n: usize) -> String {
    format!("vendor{}/model-{}-{n}", n % 40, n % 7)
}

/// Rates of input, output and cache, different for each price.
fn terms(n: usize) -> Terms {
    let rate = |times: i64| Rate(1_000_000 * (i64::try_from(n).expect("a count") + times));
    let rates = [(Component::Input, rate(1)), (Component::Output, rate(4)), (Component::CacheRead, rate(0))];
    let standard = BTreeMap::from([(ServiceTier::Standard, Rates(BTreeMap::from(rates)))]);
    Terms {
        tier_by: None,
        bands: vec![Band { up_to: None, rates: standard }],
        multipliers: BTreeMap::new(),
        off_peak: None,
    }
}

/// The price with this number: the first prices of 2,000 models, then later ones of the same; every tenth is a glob.
fn row(organization: OrganizationId, n: usize, now: DateTime<Utc>) -> price::Model {
    let model = if n % 10 == 9 { format!("vendor{}/{n}-*", n % 40) } else { name(n % MODELS) };
    price::Model {
        id: PriceId::new(Uuid::new_v4()),
        organization_id: organization,
        connection_id: None,
        provider: n.is_multiple_of(2).then(|| format!("vendor{}", n % 40)),
        model: Some(model),
        kind: PriceKind::PerToken,
        currency: "USD".into(),
        terms: terms(n),
        markup_bps: 0,
        effective_from: now - TimeDelta::days(30) + TimeDelta::seconds(i64::try_from(n).expect("a count")),
        effective_until: None,
        origin: Origin::Import,
        source: Some("a price list".into()),
        sourced_on: None,
        note: None,
        created_by: "system".into(),
        version: 1,
        created_at: now,
        updated_at: now,
    }
}

/// What a guess finds, beside the rest.
fn families(now: DateTime<Utc>) -> Vec<price::Model> {
    let named =
        |model: &str| price::Model { model: Some(model.into()), ..row(OrganizationId::PLATFORM, 0, now) };
    ["claude-opus-5", "claude-sonnet-4-6", "gpt-4o", "gpt-4o-mini", "gemini-2.5-flash"].map(named).into()
}

fn rows(organization: OrganizationId, now: DateTime<Utc>) -> Vec<price::Model> {
    let platform = organization == OrganizationId::PLATFORM;
    let count = if platform { PLATFORMS } else { OURS };
    let own = (0..count).map(|n| row(organization, n, now));
    own.chain(platform.then(|| families(now)).into_iter().flatten()).collect()
}

fn models(now: DateTime<Utc>) -> Vec<model::Model> {
    let row = |n| model::Model {
        id: ModelId::new(Uuid::new_v4()),
        organization_id: OrganizationId::PLATFORM,
        provider: format!("vendor{}", n % 40),
        name: name(n),
        capabilities: Capabilities::default(),
        context_window: Some(200_000),
        max_output_tokens: Some(64_000),
        deprecated: false,
        deprecated_on: None,
        origin: Origin::Import,
        source: None,
        sourced_on: None,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    (0..MODELS).map(row).collect()
}

fn book(organization: OrganizationId, rows: Vec<price::Model>, models: Vec<model::Model>) -> Arc<Book> {
    let mut binder = Binder::default();
    rows.into_iter().for_each(|row| binder.price(row));
    models.into_iter().for_each(|row| binder.model(row));
    Arc::new(binder.finish(organization))
}

fn prices(organization: OrganizationId, now: DateTime<Utc>) -> Prices {
    Prices {
        organization: book(organization, rows(organization, now), Vec::new()),
        platform: book(OrganizationId::PLATFORM, rows(OrganizationId::PLATFORM, now), models(now)),
        unpriced_policy: UnpricedPolicy::Allow,
        price_guess: PriceGuess::Flag,
        now,
    }
}

/// How often a second something is done, one after the other for each text; the median of some rounds.
fn rate(texts: &[String], mut each: impl FnMut(&str)) -> f64 {
    let mut round = || {
        let (begun, mut done) = (Instant::now(), 0_u32);
        while begun.elapsed() < TIME {
            texts.iter().for_each(|text| each(black_box(text)));
            done += u32::try_from(texts.len()).expect("a count");
        }
        f64::from(done) / begun.elapsed().as_secs_f64()
    };
    let mut rates: Vec<f64> = (0..ROUNDS).map(|_| round()).collect();
    rates.sort_by(f64::total_cmp);
    rates[ROUNDS / 2]
}

fn resolutions(organization: OrganizationId) {
    let now = Utc::now();
    let prices = prices(organization, now);
    let texts = |name: &dyn Fn(usize) -> String| (0..MODELS).map(name).collect::<Vec<_>>();
    // Every tenth has a glob only.
    let exact = texts(&|n| name(n - usize::from(n % 10 == 9)));
    let map: HashMap<String, usize> = exact.iter().cloned().zip(0..).collect();
    let ceiling = rate(&exact, |model| {
        black_box(map.get(model));
    });
    println!("a bare look-up in a hash map: {ceiling:.0}/s");
    for (what, models, found) in [
        ("exact", exact, true),
        ("glob", texts(&|n| format!("vendor{}/{}-x", (n * 10 + 9) % 40, n % 400 * 10 + 9)), true),
        ("family", texts(&|n| format!("claude-opus-{n}-9")), true),
        ("miss", texts(&|n| format!("nobody/has-{n}-this")), false),
    ] {
        let resolve = |model: &str| {
            prices
                .names(model)
                .winner(&prices, &Wanted { model, provider: None, connection_id: None, at: now })
        };
        assert!(models.iter().all(|model| resolve(model).is_some() == found), "{what}");
        let rate = rate(&models, |model| {
            black_box(resolve(model));
        });
        println!("{what}: {rate:.0} resolutions/s, {:.3} of the ceiling", rate / ceiling);
    }
}

/// By the growth of resident memory, which counts the allocator's own share, too.
fn memory(organization: OrganizationId) {
    let now = Utc::now();
    let one = || book(organization, rows(OrganizationId::PLATFORM, now), Vec::new());
    // What is freed of the first is there for the rows that the others are made of.
    let first = one();
    let before = stage::memory();
    let held: Vec<Arc<Book>> = (0..BOOKS).map(|_| one()).collect();
    let count = u64::try_from(held.len() * first.rows()).expect("a count");
    println!("{} bytes of resident memory a price", (stage::memory() - before) * 1024 * 1024 / count);
}

async fn reading(stage: &Stage) {
    let now = stage.system.clock.local();
    let organization = stage.organization("prices", 0).await.id;
    let db = &stage.system.db.writer;
    insert(db, rows(organization, now)).await;
    insert(db, rows(OrganizationId::PLATFORM, now)).await;
    insert(db, models(now)).await;
    let books = &stage.system.books;
    books.now(&stage.system, organization).await.expect("the books");
    for (what, change) in
        [("read again, both books", "UPDATE org_head SET tag = tag + 1"), ("found unchanged", "SELECT 1")]
    {
        let mut times = Vec::new();
        for _ in 0..20 {
            db.execute_unprepared(change).await.expect("a change");
            let begun = Instant::now();
            black_box(books.now(&stage.system, organization).await.expect("the books"));
            times.push(begun.elapsed());
        }
        times.sort_unstable();
        println!(
            "{what}: {:.2} ms, median of {}",
            times[times.len() / 2].as_secs_f64() * 1000.0,
            times.len()
        );
    }
}
