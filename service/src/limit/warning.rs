//! What a new limit is warned about: a glob that matches nothing known is stored, since the model may come later, and said.

use crate::{
    Ctx, Result,
    meter::{fold, matches},
    validate::Faults,
};
use entity::{discovered_model, json::Texts, model_mapping};
use sea_orm::Condition;
use serde::Serialize;
use utoipa::ToSchema;

/// Something about a limit that may be a mistake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LimitWarning {
    /// The field of the request, as a JSON pointer.
    #[schema(example = "/models/0")]
    pub pointer: String,
    /// Stable code: `unknown_model`.
    #[schema(value_type = String, example = "unknown_model")]
    pub code: &'static str,
    /// What may be wrong, for people.
    #[schema(example = "gpt-5o* matches no model, price, alias or mapping that is known")]
    pub message: String,
}

/// The globs of a limit that match nothing known, by their places. What is no acceptable glob is refused, not warned about.
pub(crate) async fn of_models(ctx: &Ctx, models: Option<&Texts>) -> Result<Vec<LimitWarning>> {
    let mut faults = Faults::default();
    faults.globs("/models", models);
    let (Some(Texts(globs)), Ok(())) = (models, faults.finish()) else { return Ok(Vec::new()) };
    let prices = ctx.system.books.now(&ctx.system, ctx.scope.organization).await?;
    let unknown: Vec<(usize, &String)> =
        globs.iter().enumerate().filter(|(_, glob)| !prices.knows(glob)).collect();
    if unknown.is_empty() {
        return Ok(Vec::new());
    }
    let upstream = upstream_names(ctx).await?;
    let is_unknown = |glob: &str| !upstream.iter().any(|name| matches(&fold(glob), &fold(name)));
    let warning = |(n, glob): (usize, &String)| LimitWarning {
        pointer: format!("/models/{n}"),
        code: "unknown_model",
        message: format!("{glob} matches no model, price, alias or mapping that is known"),
    };
    Ok(unknown.into_iter().filter(|(_, glob)| is_unknown(glob)).map(warning).collect())
}

/// What connections have and call models.
async fn upstream_names(ctx: &Ctx) -> Result<Vec<String>> {
    let every = u64::from(u32::MAX);
    let mappings = ctx.repository::<model_mapping::Entity>().all(Condition::all(), every).await?;
    let models = ctx.repository::<discovered_model::Entity>().all(Condition::all(), every).await?;
    let mapped = mappings.into_iter().flat_map(|mapping| [mapping.client_name, mapping.upstream_name]);
    Ok(mapped.chain(models.into_iter().map(|model| model.name)).collect())
}
