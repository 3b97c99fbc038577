//! x
use crate::System;
use std::sync::Arc;
/// x
#[derive(Clone, Debug)]
pub struct Meter;
impl Meter {
    /// x
    pub fn start(_system: Arc<System>) -> Self {
        Self
    }
}
