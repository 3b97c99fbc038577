//! Model mappings: what clients call a model, and what the upstream of a connection calls it.
