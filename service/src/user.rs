//! People. An account is global by its e-mail address; what a person may do is said by memberships. An account that is
//! suspended, or whose password changes, loses its sessions at once.

use crate::{
    Ctx, Error, Result, System, Turn, Unit, access,
    error::ConflictExt,
    head,
    page::{Page, PageRequest},
    repository::View,
    scope::Scope,
    session,
    token::{self, Token, TokenKind},
    validate::Faults,
};
use chrono::{DateTime, TimeDelta, Utc};
use entity::{
    id::{InvitationId, OrganizationId, UserId},
    invitation,
    json::Tags,
    secret::Sealed,
    status::{Role, Standing},
    user_account::{ActiveModel, Column, Entity, Model},
};
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition, DerivePartialModel};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;
use uuid::Uuid;

/// How long an invitation made on the command line is good for.
const INVITATION: TimeDelta = TimeDelta::days(7);

/// A person's account.
#[derive(Debug, Serialize, DerivePartialModel, ToSchema)]
#[sea_orm(entity = "Entity")]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// The address, in lower case.
    #[schema(example = "ada@example.com")]
    pub email: String,
    /// Shown name.
    #[schema(example = "Ada Lovelace")]
    pub name: String,
    /// At work or suspended.
    pub status: Standing,
    /// Whether the person runs this installation.
    pub operator: bool,
    /// One up with each change.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}
crate::page!(UserPage, User);

impl View for User {
    type Entity = Entity;
    fn cursor(&self) -> Uuid {
        self.id.uuid()
    }
}

/// Which users to list.
#[derive(Debug, Default)]
pub struct UserFilter {
    /// Only with this status.
    pub status: Option<Standing>,
    /// Only with this address.
    pub email: Option<String>,
}

/// An account to make.
#[derive(Debug)]
pub(crate) struct NewUser {
    pub(crate) id: UserId,
    pub(crate) email: String,
    pub(crate) name: String,
    pub(crate) password_hash: Sealed,
    pub(crate) operator: bool,
}

/// An address in the form in which it is stored and compared.
pub fn fold_email(email: &str) -> String {
    email.trim().to_lowercase()
}

/// The account of an address, already folded.
pub async fn by_email(ctx: &Ctx, email: &str) -> Result<Option<Model>> {
    let platform = ctx.within(Scope::platform());
    platform.repository::<Entity>().first(Column::Email.eq(email)).await
}

/// Makes an account, in a unit of the platform's scope.
pub(crate) async fn register(unit: &mut Unit<'_>, new: NewUser) -> Result<Model> {
    let row = ActiveModel {
        id: Set(new.id),
        email: Set(new.email),
        name: Set(new.name),
        password_hash: Set(Some(new.password_hash)),
        status: Set(Standing::Active),
        session_version: Set(1),
        operator: Set(new.operator),
        ..Default::default()
    };
    unit.repository::<Entity>().insert(row).await.conflict("user", "with this e-mail address")
}

/// Gives an account a new password. Whoever is signed in with the old one is out.
pub(crate) async fn set_password(
    unit: &mut Unit<'_>,
    action: &str,
    user: &Model,
    hash: Sealed,
) -> Result<Model> {
    let changes = ActiveModel {
        password_hash: Set(Some(hash)),
        session_version: Set(user.session_version + 1),
        ..Default::default()
    };
    session::end_all(unit, user.id).await?;
    crate::password_reset::void(unit, user.id).await?;
    unit.repository::<Entity>().force(action, user.id, changes).await
}

/// One page of the users.
pub async fn list(ctx: &Ctx, page: &PageRequest, filter: UserFilter) -> Result<Page<User>> {
    let condition = Condition::all()
        .add_option(filter.status.map(|status| Column::Status.eq(status)))
        .add_option(filter.email.map(|email| Column::Email.eq(fold_email(&email))));
    ctx.repository::<Entity>().list(page, condition).await
}

/// One user.
pub async fn get(ctx: &Ctx, id: UserId) -> Result<User> {
    ctx.repository::<Entity>().view(id).await
}

/// Suspends an account, or lets it work again. Its sessions end and its keys follow at once.
pub async fn turn(ctx: &Ctx, id: UserId, turn: Turn) -> Result<User> {
    let mut unit = ctx.begin().await?;
    let user = unit.read::<Entity>().lock(id).await?;
    let mut changes = ActiveModel { status: Set(turn.standing()), ..Default::default() };
    if turn == Turn::Suspend {
        changes.session_version = Set(user.session_version + 1);
        session::end_all(&unit, id).await?;
    }
    unit.repository::<Entity>().turn(turn, id, changes).await?;
    if turn == Turn::Suspend {
        keep_an_operator(&unit, &user).await?;
    }
    let view = unit.read::<Entity>().view(id).await?;
    unit.commit(view).await
}

/// Operators that suspend each other take turns, so that one is left. The head is locked last, as by everybody: a sign-in
/// of the same person waits for the suspension, and neither waits for the other.
async fn keep_an_operator(unit: &Unit<'_>, user: &Model) -> Result<()> {
    let others = Condition::all()
        .add(Column::Operator.eq(true))
        .add(Column::Status.eq(Standing::Active))
        .add(Column::Id.ne(user.id));
    unit.take_turn(OrganizationId::PLATFORM).await;
    head::lock(&unit.tx, OrganizationId::PLATFORM).await?;
    if user.operator && unit.read::<Entity>().count(others).await? == 0 {
        return Err(Error::InvalidState(
            "last_operator",
            "this is the last operator at work; who would resume it?".into(),
        ));
    }
    Ok(())
}

/// A person to invite from the command line.
#[derive(Debug)]
pub struct Invitee {
    /// The address.
    pub email: String,
    /// The organization's slug or id.
    pub organization: String,
    /// The role in it.
    pub role: Role,
}

/// Invites a person on the operator's word; the token opens the account, once.
pub async fn create_by_operator(system: &Arc<System>, invitee: Invitee) -> Result<Token> {
    let email = fold_email(&invitee.email);
    let mut faults = Faults::default();
    faults.email("/email", &email);
    faults.finish()?;
    let organization = access::organization_id(system, &invitee.organization).await?;
    let organization = organization.ok_or(Error::NotFound("organization"))?;
    let ctx = Ctx::internal(system, Scope::all(organization));
    let mut unit = ctx.begin().await?;
    let id: InvitationId = unit.id();
    let minted = token::mint(system, TokenKind::Invitation, id.uuid());
    let row = invitation::ActiveModel {
        id: Set(id),
        email: Set(Some(email)),
        role: Set(invitee.role),
        teams: Set(Tags::default()),
        operator: Set(false),
        created_by: Set(ctx.actor.id.clone()),
        pepper_version: Set(minted.pepper_version),
        digest: Set(minted.digest),
        expires_at: Set(unit.now + INVITATION),
        accepted_at: Set(None),
        ..Default::default()
    };
    unit.repository::<invitation::Entity>().insert(row).await?;
    unit.commit(()).await?;
    Ok(minted.token)
}
