//! Model aliases.
