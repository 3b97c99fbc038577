//! model_aliases
