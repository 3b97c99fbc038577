//! What happens around every handler.

pub mod body;
pub mod request;
pub mod throttle;
