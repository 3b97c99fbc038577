//! An organization whose clock was wrong: its audit log says so, in the transaction that goes on by the right time.

use crate::{Ctx, Error, System, audit::Draft, head, meter::ledger::Step, scope::Scope};
use sea_orm::{ConnectionTrait, DbErr};
use serde_json::json;
use std::sync::Arc;

/// Notes the steps, under the locks that the batch holds.
pub(super) async fn note<C: ConnectionTrait>(
    system: &Arc<System>,
    tx: &C,
    steps: &[Step],
) -> Result<(), DbErr> {
    for Step { organization, from, to } in steps.iter().copied() {
        let ctx = Ctx::internal(system, Scope::all(organization));
        let (action, subject) = ("clock.step_back".to_owned(), organization.to_string());
        let detail = json!({ "before": { "time": from }, "after": { "time": to } });
        let draft = Draft { organization, action, subject, detail };
        head::append(&ctx, tx, to, vec![draft], Vec::new()).await.map_err(of_database)?;
    }
    Ok(())
}

fn of_database(error: Error) -> DbErr {
    match error {
        Error::Db(error) => error,
        error => DbErr::Custom(error.to_string()),
    }
}
