//! What handlers are given: proof that they may run, and input that has been understood. Every rejection is a problem.

pub mod auth;
pub mod decision;
pub mod json;
mod objects;
pub mod page;
pub mod path;
pub mod precondition;
pub mod proxied;
mod target;
pub mod upload;

pub use auth::Allow;
pub use json::{Act, Create, Json};
pub use path::{Path, Query};
pub use precondition::IfMatch;
pub use upload::Upload;
