//! The admin API's own rate limit, per principal and instance. It protects the server; it is no limit of the product.

use crate::problem::Problem;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock};
use service::Error;
use std::{num::NonZeroU32, time::Duration};

/// Requests of each principal.
pub struct Throttle {
    limiter: Option<DefaultKeyedRateLimiter<String>>,
}

impl Throttle {
    /// `rate` requests a second with a burst of five times that; 0 = no limit.
    pub fn new(rate: u32) -> Self {
        let quota = NonZeroU32::new(rate).map(|rate| {
            Quota::per_second(rate).allow_burst(rate.saturating_mul(const { NonZeroU32::new(5).unwrap() }))
        });
        Self { limiter: quota.map(RateLimiter::keyed) }
    }

    /// Lets a request in, or says when to come back.
    pub fn admit(&self, principal: &str) -> Result<(), Problem> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        limiter.check_key(&principal.to_owned()).map_err(|until| {
            let wait = until.wait_time_from(governor::clock::DefaultClock::default().now());
            Error::Throttled(wait.max(Duration::from_secs(1))).into()
        })
    }

    /// Forgets principals that have been quiet.
    pub fn tidy(&self) {
        if let Some(limiter) = &self.limiter {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}
