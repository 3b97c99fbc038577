//! price_quote
