//! Reading credentials, never their secrets.

use super::{Credential, of, view};
use crate::{
    Ctx, Result,
    page::{Page, PageRequest},
};
use entity::{
    credential::{Column, Entity},
    id::{ConnectionId, CredentialId},
    provider_connection,
    status::CredentialState,
};
use sea_orm::{ColumnTrait, Condition};

/// Which credentials of a connection to list.
#[derive(Debug, Default)]
pub struct CredentialFilter {
    /// Only in this state.
    pub state: Option<CredentialState>,
}

/// One page of the credentials of a connection.
pub async fn list(
    ctx: &Ctx,
    connection: ConnectionId,
    page: &PageRequest,
    filter: CredentialFilter,
) -> Result<Page<Credential>> {
    ctx.repository::<provider_connection::Entity>().find(connection).await?;
    let condition = Condition::all().add_option(filter.state.map(|state| Column::State.eq(state)));
    let credentials = ctx.repository::<Entity>().narrow(of(connection));
    let mut page = credentials.list::<Credential>(page, condition).await?;
    view::complete(&ctx.system.db.reader, &mut page.items).await?;
    Ok(page)
}

/// One credential of a connection.
pub async fn get(ctx: &Ctx, (connection, id): (ConnectionId, CredentialId)) -> Result<Credential> {
    ctx.repository::<provider_connection::Entity>().find(connection).await?;
    let mut credentials = [ctx.repository::<Entity>().narrow(of(connection)).view::<Credential>(id).await?];
    view::complete(&ctx.system.db.reader, &mut credentials).await?;
    let [credential] = credentials;
    Ok(credential)
}
