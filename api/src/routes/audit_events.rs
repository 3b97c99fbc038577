//! `…/audit-events`: the hash chains, of an organization and of the installation.

use crate::{
    document::OpenApiRouter,
    extract::{Allow, Json, Query},
    list_query,
    problem::Result,
    state::AppState,
};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use service::{
    audit::{self, AuditCheckpoint, AuditEvent, AuditEventPage, AuditFilter, AuditVerification},
    authz::permit,
    page::Page,
};
use utoipa::IntoParams;
use utoipa_axum::routes;

/// The routes of this file.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list_audit_events))
        .routes(routes!(verify_audit_events))
        .routes(routes!(get_audit_checkpoint))
        .routes(routes!(list_platform_audit_events))
        .routes(routes!(verify_platform_audit_events))
        .routes(routes!(get_platform_audit_checkpoint))
}

list_query! {
    /// Which audit events to list.
    AuditQuery {
        /// Only this action.
        #[param(example = "key.revoke")]
        action: String,
        /// Only by this actor: the prefixed id of a user or a token.
        actor_id: String,
        /// Only on this subject: a prefixed id.
        subject: String,
        /// From this moment on.
        from: DateTime<Utc>,
        /// Before this moment.
        to: DateTime<Utc>,
    }
}

impl From<AuditQuery> for AuditFilter {
    fn from(query: AuditQuery) -> Self {
        Self {
            action: query.action,
            actor_id: query.actor_id,
            subject: query.subject,
            from: query.from,
            to: query.to,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct VerifyQuery {
    /// The `seq` of a checkpoint that was kept elsewhere.
    #[param(minimum = 0)]
    checkpoint_seq: Option<i64>,
    /// The `hash` of that checkpoint.
    #[param(pattern = "^[0-9a-f]{64}$")]
    checkpoint_hash: Option<String>,
}

impl VerifyQuery {
    fn kept(self) -> Result<Option<AuditCheckpoint>> {
        Ok(AuditCheckpoint::kept(self.checkpoint_seq, self.checkpoint_hash)?)
    }
}

/// List audit events
///
/// What was done in the organization, newest first. Who administers teams sees what concerns them: the teams, their keys,
/// limits, connections and invitations, and the places of people in them.
#[utoipa::path(get, path = "/v1/organizations/{organization}/audit-events", tag = "audit", params(AuditQuery),
    responses((status = 200, description = "One page.", body = AuditEventPage)))]
async fn list_audit_events(
    allow: Allow<permit::AuditRead>,
    Query(query): Query<AuditQuery>,
) -> Result<Json<Page<AuditEvent>>> {
    Ok(Json(audit::list(&allow, &query.page(), query.into()).await?))
}

/// Verify the audit log
///
/// Walks the organization's hash chain and names the first event that is not as it was written. A log that was cut off
/// together with its head is noticed with a checkpoint that was kept elsewhere.
#[utoipa::path(get, path = "/v1/organizations/{organization}/audit-events/verify", tag = "audit",
    params(VerifyQuery),
    responses((status = 200, description = "Whether the log is as it was written.", body = AuditVerification)))]
async fn verify_audit_events(
    allow: Allow<permit::AuditRead>,
    Query(query): Query<VerifyQuery>,
) -> Result<Json<AuditVerification>> {
    Ok(Json(audit::verify(&allow, query.kept()?).await?))
}

/// Read the end of the audit log
///
/// Keep it elsewhere, and verify against it later.
#[utoipa::path(get, path = "/v1/organizations/{organization}/audit-events/checkpoint", tag = "audit",
    responses((status = 200, description = "The last event's number and hash.", body = AuditCheckpoint)))]
async fn get_audit_checkpoint(allow: Allow<permit::AuditRead>) -> Result<Json<AuditCheckpoint>> {
    Ok(Json(audit::checkpoint(&allow).await?))
}

/// List the installation's audit events
///
/// For operators: sign-ins, users, organizations, and whatever else belongs to no organization.
#[utoipa::path(get, path = "/v1/audit-events", tag = "audit", params(AuditQuery),
    responses((status = 200, description = "One page.", body = AuditEventPage)))]
async fn list_platform_audit_events(
    allow: Allow<permit::PlatformAudit>,
    Query(query): Query<AuditQuery>,
) -> Result<Json<Page<AuditEvent>>> {
    Ok(Json(audit::list(&allow, &query.page(), query.into()).await?))
}

/// Verify the installation's audit log
///
/// For operators. As for an organization.
#[utoipa::path(get, path = "/v1/audit-events/verify", tag = "audit", params(VerifyQuery),
    responses((status = 200, description = "Whether the log is as it was written.", body = AuditVerification)))]
async fn verify_platform_audit_events(
    allow: Allow<permit::PlatformAudit>,
    Query(query): Query<VerifyQuery>,
) -> Result<Json<AuditVerification>> {
    Ok(Json(audit::verify(&allow, query.kept()?).await?))
}

/// Read the end of the installation's audit log
///
/// For operators. As for an organization.
#[utoipa::path(get, path = "/v1/audit-events/checkpoint", tag = "audit",
    responses((status = 200, description = "The last event's number and hash.", body = AuditCheckpoint)))]
async fn get_platform_audit_checkpoint(allow: Allow<permit::PlatformAudit>) -> Result<Json<AuditCheckpoint>> {
    Ok(Json(audit::checkpoint(&allow).await?))
}
