//! x
use crate::{Result, Unit};
use sea_orm::Condition;
/// x
pub(crate) async fn revoke_where(_unit: &mut Unit<'_>, _c: Condition) -> Result<()> {
    Ok(())
}
