//! Limits: who may have how much of what, per when.

pub mod window;
