//! The same once more, as plainly as can be, in rational numbers without bound.

use super::*;

/// What a call costs in units of the currency, not rounded, and what has no rate.
pub(super) fn cost(terms: &Terms, usage: &Usage, manner: &Manner) -> (BigRational, Vec<Component>) {
    let band = band(terms, usage);
    let mut sum = rational(0);
    let (mut charged, mut without) = (false, Vec::new());
    for component in Component::EVERY.into_iter().filter(|component| usage.get(*component) > 0) {
        match rate(band, component, manner.service_tier) {
            Some(rate) => {
                sum += rational(usage.get(component)) * rational(rate) / power(15);
                charged = true;
            }
            None => without.push(component),
        }
    }
    let by_token = has(terms, &Component::EVERY[..11]);
    let by_request = has(terms, &[Component::Request]);
    let nothing = !charged && has(terms, &Component::EVERY) && !by_request;
    let rates = terms.bands.iter().flat_map(|band| band.rates.values());
    let costs = rates.flat_map(|rates| rates.0.values()).any(|rate| rate.0 > 0);
    let ought = |component: &Component| match component {
        Component::Request => false,
        Component::WebSearch | Component::CodeExecution if costs && (by_token || !by_request) => true,
        token if Component::EVERY[..11].contains(token) => nothing || by_token,
        _ => nothing,
    };
    let unpriced = without.into_iter().filter(ought).collect();
    (sum * factor(terms, manner), unpriced)
}

/// The nearest whole number; of two equally near ones the even.
pub(super) fn half_even(number: &BigRational) -> BigRational {
    let floor = number.floor();
    let half = BigRational::new(1.into(), 2.into());
    let odd = floor.to_integer().bit(0);
    let rest = number - &floor;
    if rest > half || (rest == half && odd) { floor + rational(1) } else { floor }
}

pub(super) fn power(of_ten: u32) -> BigRational {
    rational(10i128.pow(of_ten))
}

fn band<'t>(terms: &'t Terms, usage: &Usage) -> &'t Band {
    let size: u64 = match terms.tier_by {
        None => 0,
        Some(TierBy::PromptTokens) => prompt(usage),
        Some(TierBy::TotalTokens) => {
            use Component::*;
            let classes = [Input, AudioInput, ImageInput, Output, AudioOutput, ImageOutput];
            classes.iter().map(|class| usage.get(*class)).sum()
        }
        Some(TierBy::Images) => usage.get(Component::Image),
        Some(TierBy::Seconds) => usage.get(Component::Second),
    };
    for band in &terms.bands {
        match band.up_to {
            Some(up_to) if u64::try_from(up_to).unwrap() < size => {}
            _ => return band,
        }
    }
    unreachable!("the last tier has no end")
}

fn prompt(usage: &Usage) -> u64 {
    use Component::*;
    [Input, CacheRead, CacheReadAudio, CacheWrite, CacheWrite1h, AudioInput, ImageInput]
        .map(|class| usage.get(class))
        .iter()
        .sum()
}

fn rate(band: &Band, component: Component, service_tier: ServiceTier) -> Option<i64> {
    use Component::*;
    let line: &[Component] = match component {
        CacheWrite1h => &[CacheWrite1h, CacheWrite, Input],
        CacheWrite => &[CacheWrite, Input],
        CacheRead => &[CacheRead, Input],
        AudioInput => &[AudioInput, Input],
        ImageInput => &[ImageInput, Input],
        Reasoning => &[Reasoning, Output],
        AudioOutput => &[AudioOutput, Output],
        ImageOutput => &[ImageOutput, Output],
        CacheReadAudio => &[CacheRead, AudioInput, Input],
        ref itself => std::slice::from_ref(itself),
    };
    let tiers = [service_tier, ServiceTier::Standard];
    let own = |tier: ServiceTier, component| Some(band.rates.get(&tier)?.0.get(&component)?.0);
    if band.rates.get(&service_tier).is_some_and(|rates| rates.0.is_empty()) {
        return None;
    }
    if component == CacheReadAudio {
        let itself = tiers.iter().find_map(|tier| own(*tier, CacheReadAudio));
        let audio = tiers.iter().find_map(|tier| own(*tier, AudioInput));
        let ratio = |tier: &ServiceTier| {
            let input = own(*tier, Input).filter(|input| *input > 0)?;
            Some(rational(own(*tier, CacheRead)?) / rational(input))
        };
        let share = audio.zip(tiers.iter().find_map(ratio)).map(|(audio, ratio)| {
            let rate = (rational(audio) * ratio).ceil().min(rational(audio));
            rate.to_integer().try_into().unwrap()
        });
        if itself.or(share).is_some() {
            return itself.or(share);
        }
    }
    for component in line {
        for tier in tiers {
            if let Some(rate) = own(tier, *component) {
                return Some(rate);
            }
        }
    }
    None
}

fn factor(terms: &Terms, manner: &Manner) -> BigRational {
    let words: std::collections::BTreeSet<_> =
        [&manner.region, &manner.speed].into_iter().flatten().collect();
    let factors = words.into_iter().filter_map(|word| terms.multipliers.get(word));
    factors.fold(rational(1), |product, factor| product * rational(factor.0) / power(6))
}

fn has(terms: &Terms, any: &[Component]) -> bool {
    terms
        .bands
        .iter()
        .any(|band| band.rates.values().any(|rates| rates.0.keys().any(|component| any.contains(component))))
}
