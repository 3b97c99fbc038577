//! `/v1/organizations/{organization}/invitations`: how people come into the organization.

use crate::{
    document::OpenApiRouter,
    extract::{
        Allow, Create, IfMatch, Json, Path, Query,
        json::{Created, NoContent, Once},
    },
    list_query,
    problem::Result,
    state::AppState,
};
use entity::id::InvitationId;
use serde::Deserialize;
use service::{
    authz::permit,
    invitation::{self, Invitation, InvitationPage, IssuedInvitation, NewInvitation},
    page::Page,
};
use utoipa::IntoParams;
use utoipa_axum::routes;

/// The routes of this file.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create_invitation, list_invitations))
        .routes(routes!(get_invitation, revoke_invitation))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct InvitationPath {
    /// The invitation.
    invitation: InvitationId,
}

list_query! {
    /// Which invitations to list.
    InvitationQuery {
        /// Only those accepted, or only those not accepted.
        accepted: bool,
    }
}

/// Invite a person
///
/// The secret in the reply is shown this once: send it to the person, who accepts with it. Nobody invites to more than
/// they have.
#[utoipa::path(post, path = "/v1/organizations/{organization}/invitations", tag = "invitations",
    request_body = NewInvitation,
    responses((status = 201, description = "The invitation and its secret.", body = IssuedInvitation),
              (status = 409, description = "`duplicate`: a member has this address.")))]
async fn create_invitation(
    allow: Allow<permit::MembersWrite>,
    Once(new): Create<NewInvitation>,
) -> Result<Created<IssuedInvitation>> {
    Ok(Created(invitation::create(&allow, new).await?))
}

/// List invitations
///
/// Open, expired and accepted ones; their secrets are not shown again.
#[utoipa::path(get, path = "/v1/organizations/{organization}/invitations", tag = "invitations",
    params(InvitationQuery),
    responses((status = 200, description = "One page.", body = InvitationPage)))]
async fn list_invitations(
    allow: Allow<permit::MembersRead>,
    Query(query): Query<InvitationQuery>,
) -> Result<Json<Page<Invitation>>> {
    Ok(Json(invitation::list(&allow, &query.page(), query.accepted).await?))
}

/// Read an invitation
///
/// Without its secret, which was shown once.
#[utoipa::path(get, path = "/v1/organizations/{organization}/invitations/{invitation}", tag = "invitations",
    params(InvitationPath),
    responses((status = 200, description = "The invitation.", body = Invitation)))]
async fn get_invitation(
    allow: Allow<permit::MembersRead>,
    Path(path): Path<InvitationPath>,
) -> Result<Json<Invitation>> {
    Ok(Json(invitation::get(&allow, path.invitation).await?))
}

/// Take an invitation back
///
/// Its secret is good for nothing when this returns.
#[utoipa::path(delete, path = "/v1/organizations/{organization}/invitations/{invitation}", tag = "invitations",
    params(InvitationPath),
    responses((status = 204, description = "Taken back."),
              (status = 409, description = "`invitation_accepted`: the person is a member.")))]
async fn revoke_invitation(
    allow: Allow<permit::MembersWrite>,
    Path(path): Path<InvitationPath>,
    IfMatch(version): IfMatch,
) -> Result<NoContent> {
    invitation::revoke(&allow, path.invitation, version).await?;
    Ok(NoContent)
}
