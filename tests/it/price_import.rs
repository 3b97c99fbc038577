//! price_import
