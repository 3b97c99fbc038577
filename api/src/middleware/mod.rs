//! What happens around every handler.

pub mod body;
pub mod proxies;
pub mod request;
pub mod throttle;
