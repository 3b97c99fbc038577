//! `…/prices/import` and `…/prices/export`: price lists, of an organization and of the installation.

use crate::{
    document::OpenApiRouter,
    extract::{
        Allow, Json, Query, Upload,
        upload::{self, unsupported},
    },
    problem::Result,
    state::AppState,
};
use axum::{
    extract::State,
    http::{HeaderName, header},
};
use serde::Deserialize;
use service::{
    authz::{Permission, permit},
    price::list::{self, Encoding, ImportReport, ListFormat, PriceFile, PriceList},
};
use utoipa::IntoParams;
use utoipa_axum::routes;

/// The routes of this file that take files.
pub fn uploads() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(import_prices)).routes(routes!(import_platform_prices))
}

/// The other routes of this file.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(export_prices)).routes(routes!(export_platform_prices))
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ImportQuery {
    /// What the file is: LiteLLM's list, as JSON, or our own format, as JSON, YAML or CSV by `Content-Type`.
    #[serde(default)]
    #[param(inline, default = "tollkeeper")]
    format: ListFormat,
    /// Tells what would happen, and changes nothing.
    #[serde(default)]
    #[param(default = false)]
    dry_run: bool,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ExportQuery {
    /// How the file is written.
    #[serde(default)]
    #[param(inline, default = "json")]
    format: Encoding,
    /// Prices that are over, too.
    #[serde(default)]
    #[param(default = false)]
    history: bool,
}

/// A file to keep.
type File = ([(HeaderName, &'static str); 2], Vec<u8>);

fn file(encoding: Encoding, body: Vec<u8>) -> File {
    let (kind, name) = match encoding {
        Encoding::Json => ("application/json", "attachment; filename=\"prices.json\""),
        Encoding::Yaml => ("application/yaml", "attachment; filename=\"prices.yaml\""),
        Encoding::Csv => ("text/csv; charset=utf-8", "attachment; filename=\"prices.csv\""),
    };
    ([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, name)], body)
}

/// The list that was sent. Facts of models are taken from it by whoever may write models.
fn price_list<P>(allow: &Allow<P>, query: &ImportQuery, upload: Upload) -> Result<PriceList<upload::File>> {
    let Upload { file, encoding } = upload;
    if query.format == ListFormat::Litellm && encoding != Encoding::Json {
        return Err(unsupported("LiteLLM's list is JSON"));
    }
    let token = allow.identity.token.as_ref();
    let with_models = token.is_none_or(|token| token.permissions.contains(&Permission::ModelsWrite));
    Ok(PriceList { file, format: query.format, encoding, with_models })
}

/// Import prices
///
/// The file is the body. Prices made by hand always win, prices in force never change: where the list has another one, a
/// new price takes its place from now on, or from the list's own `effective_from`. The same list again changes nothing.
/// Of LiteLLM's list, entries that cannot be taken exactly are skipped with the reason; a file of our own format
/// with a fault is not taken at all. At most 50 MiB and 100,000 entries.
///
/// A large list is taken in by parts, each in force, and in the audit log, when it is done. Should the import be
/// interrupted, the same list again makes the rest.
#[utoipa::path(post, path = "/v1/organizations/{organization}/prices/import", tag = "prices", params(ImportQuery),
    request_body(content((PriceFile = "application/json"), (String = "application/yaml"), (String = "text/csv")),
        description = "The price list."),
    responses((status = 200, description = "What became of each entry.", body = ImportReport),
        (status = 400, description = "`empty_body`, `invalid_encoding`, `invalid_yaml`, `invalid_csv`: the detail says where."),
        (status = 409, description = "`duplicate`: somebody made a model of the list at the same time; import again.")))]
async fn import_prices(
    allow: Allow<permit::PricesWrite>,
    Query(query): Query<ImportQuery>,
    upload: Upload,
) -> Result<Json<ImportReport>> {
    let list = price_list(&allow, &query, upload)?;
    // The file keeps its turn until its report is made.
    let _turn = list.file.turn();
    Ok(Json(list::import(&allow, list, query.dry_run).await?))
}

/// Export prices
///
/// The organization's own prices, those of connections left out: what is in force or will be, or everything there ever
/// was. The file imports as the same prices; more than 100,000 are refused.
#[utoipa::path(get, path = "/v1/organizations/{organization}/prices/export", tag = "prices", params(ExportQuery),
    responses((status = 200, description = "The file.",
        content((PriceFile = "application/json"), (String = "application/yaml"), (String = "text/csv"))),
        (status = 409, description = "`too_many`: more prices in force or to come than a file holds."),
        (status = 422, description = "`invalid`: more prices than a file holds, at `?history`.")))]
async fn export_prices(
    allow: Allow<permit::PricesRead>,
    State(state): State<AppState>,
    Query(query): Query<ExportQuery>,
) -> Result<File> {
    let _turn = state.uploads.enter(allow.scope.organization).await?;
    Ok(file(query.format, list::export(&allow, query.format, query.history).await?))
}

/// Import prices for all organizations
///
/// For operators. As for an organization.
#[utoipa::path(post, path = "/v1/prices/import", tag = "prices", params(ImportQuery),
    request_body(content((PriceFile = "application/json"), (String = "application/yaml"), (String = "text/csv")),
        description = "The price list."),
    responses((status = 200, description = "What became of each entry.", body = ImportReport),
        (status = 400, description = "`empty_body`, `invalid_encoding`, `invalid_yaml`, `invalid_csv`: the detail says where."),
        (status = 409, description = "`duplicate`: somebody made a model of the list at the same time; import again.")))]
async fn import_platform_prices(
    allow: Allow<permit::PlatformCatalogue>,
    Query(query): Query<ImportQuery>,
    upload: Upload,
) -> Result<Json<ImportReport>> {
    let list = price_list(&allow, &query, upload)?;
    // The file keeps its turn until its report is made.
    let _turn = list.file.turn();
    Ok(Json(list::import(&allow, list, query.dry_run).await?))
}

/// Export the prices for all organizations
///
/// For operators. As for an organization.
#[utoipa::path(get, path = "/v1/prices/export", tag = "prices", params(ExportQuery),
    responses((status = 200, description = "The file.",
        content((PriceFile = "application/json"), (String = "application/yaml"), (String = "text/csv"))),
        (status = 409, description = "`too_many`: more prices in force or to come than a file holds."),
        (status = 422, description = "`invalid`: more prices than a file holds, at `?history`.")))]
async fn export_platform_prices(
    allow: Allow<permit::PlatformCatalogue>,
    State(state): State<AppState>,
    Query(query): Query<ExportQuery>,
) -> Result<File> {
    let _turn = state.uploads.enter(allow.scope.organization).await?;
    Ok(file(query.format, list::export(&allow, query.format, query.history).await?))
}
