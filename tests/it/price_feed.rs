//! price_feed
