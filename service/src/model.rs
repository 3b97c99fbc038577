//! Models of the catalogue.
