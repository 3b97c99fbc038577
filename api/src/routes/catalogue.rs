//! Routes of catalogue.

use crate::state::AppState;
use utoipa_axum::router::OpenApiRouter;

/// The routes of this file.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
}
