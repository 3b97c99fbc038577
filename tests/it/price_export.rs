//! price_export
