//! price_resolve
