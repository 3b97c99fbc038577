//! Adding a credential. A secret that the connection has already is not added again, also if two add it at once: whoever adds
//! locks the connection first, and looks under every pepper that is configured.

use super::{Credential, of, place, view};
use crate::{
    Ctx, Result, Unit,
    connection::try_secret,
    head::PolicyKind,
    validate::Faults,
    vault::{self, Plain},
};
use entity::{
    credential::{ActiveModel, Column, Entity},
    id::{ConnectionId, CredentialId},
    provider_connection,
    secret::Sealed,
    status::CredentialState,
};
use sea_orm::{ActiveValue::Set, ColumnTrait, Condition};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Bytes of a secret.
const MOST: usize = 8192;

/// A credential to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCredential {
    /// What people call it, 1–255 characters; absent or null = `API key` and a number.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 255, example = "rotated in May")]
    pub label: Option<String>,
    /// The secret: 1–8192 printable characters of ASCII, without blanks. It is taken as it is and never shown.
    pub secret: Plain,
    /// Whether to try it on the upstream first, and to add it only if that takes it.
    #[serde(default)]
    #[schema(default = false)]
    pub test: bool,
}

/// A credential, and whether it was added now.
#[derive(Debug, Serialize, ToSchema)]
pub struct AddedCredential {
    /// The credential.
    #[serde(flatten)]
    pub credential: Credential,
    /// Whether it was added now; false = the connection had the secret before, and nothing changed.
    pub added: bool,
}

impl NewCredential {
    fn check(&self, faults: &mut Faults) {
        if let Some(label) = &self.label {
            faults.name("/label", label);
        }
        check_secret(&self.secret, faults);
    }
}

/// A secret that a header can carry. What is wrong with it is told without it.
pub(crate) fn check_secret(secret: &Plain, faults: &mut Faults) {
    let (at, bytes) = ("/secret", secret.expose());
    faults.when(bytes.is_empty(), at, "required", "must not be empty");
    if bytes.len() > MOST {
        return faults.add(at, "too_long", format!("must have at most {MOST} bytes"));
    }
    let odd = bytes.iter().any(|byte| !byte.is_ascii_graphic());
    faults.when(odd, at, "invalid_character", "must be printable ASCII without blanks");
    let shown = !odd && secret.text().is_some_and(is_masked);
    faults.when(shown, at, "masked", "this is what is shown of a secret, not the secret itself");
}

/// Whether a text is what is shown in place of a secret: stars, or first and last characters.
fn is_masked(text: &str) -> bool {
    let stars = !text.is_empty() && text.bytes().all(|byte| byte == b'*');
    stars || (text.len() == 15 && text.get(8..11) == Some("..."))
}

/// Adds a credential to a connection, unless it has the secret already.
pub async fn create(ctx: &Ctx, connection: ConnectionId, new: NewCredential) -> Result<AddedCredential> {
    let found = ctx.repository::<provider_connection::Entity>().find(connection).await?;
    let mut faults = Faults::default();
    new.check(&mut faults);
    faults.finish()?;
    if new.test {
        try_secret(ctx, &found, &new.secret).await?;
    }
    let mut unit = ctx.begin().await?;
    unit.read::<provider_connection::Entity>().lock(connection).await?;
    if let Some(existing) = with_secret(&unit, connection, &new.secret).await? {
        let credential = view::read(&unit, existing).await?;
        return unit.commit(AddedCredential { credential, added: false }).await;
    }
    let id = add(&mut unit, connection, new).await?;
    let credential = view::read(&unit, id).await?;
    unit.commit(AddedCredential { credential, added: true }).await
}

/// The credential of a connection that has this secret and is not retired.
async fn with_secret(
    unit: &Unit<'_>,
    connection: ConnectionId,
    secret: &Plain,
) -> Result<Option<CredentialId>> {
    let digests = vault::digests(&unit.ctx.system, unit.ctx.scope.organization, secret.expose())?;
    let same = Condition::all()
        .add(of(connection))
        .add(Column::Digest.is_in(digests))
        .add(Column::State.ne(CredentialState::Retired));
    Ok(unit.read::<Entity>().first(same).await?.map(|row| row.id))
}

async fn add(unit: &mut Unit<'_>, connection: ConnectionId, new: NewCredential) -> Result<CredentialId> {
    let (system, organization) = (&unit.ctx.system, unit.ctx.scope.organization);
    let id: CredentialId = unit.id();
    let (pepper, digest) = vault::digest(system, organization, new.secret.expose())?;
    let (key, sealed) = vault::seal(unit, place(organization, &id), new.secret.expose()).await?;
    let label = match new.label {
        Some(label) => label,
        None => format!("API key {}", unit.read::<Entity>().count(of(connection)).await? + 1),
    };
    let row = ActiveModel {
        id: Set(id),
        connection_id: Set(connection),
        label: Set(label),
        state: Set(CredentialState::Active),
        state_since: Set(unit.now),
        secret: Set(Some(sealed)),
        data_key_id: Set(Some(key)),
        digest: Set(Sealed(digest.to_vec())),
        pepper_version: Set(pepper),
        display: Set(vault::display(new.secret.text().unwrap_or_default())),
        created_by: Set(unit.ctx.actor.id.clone()),
        ..Default::default()
    };
    unit.repository::<Entity>().insert(row).await?;
    unit.policy(PolicyKind::Connection, connection.uuid());
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    fn faults(text: &str) -> Vec<&'static str> {
        let mut faults = Faults::default();
        check_secret(&Plain::from(text.to_owned()), &mut faults);
        match faults.finish() {
            Err(Error::Invalid(faults)) => faults.iter().map(|fault| fault.code).collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn secrets_are_what_a_header_can_carry_and_not_what_is_shown_of_them() {
        for (text, codes) in [
            ("sk-a", vec![]),
            ("a.b...c", vec![]),
            ("", vec!["required"]),
            (" sk-a", vec!["invalid_character"]),
            ("sk-a\n", vec!["invalid_character"]),
            ("sk a", vec!["invalid_character"]),
            ("sk-\u{200b}a", vec!["invalid_character"]),
            ("*", vec!["masked"]),
            ("********", vec!["masked"]),
            ("sk-proj-...x7Qd", vec!["masked"]),
        ] {
            assert_eq!(faults(text), codes, "{text:?}");
        }
        assert_eq!(faults(&"x".repeat(8192)), [""; 0]);
        assert_eq!(faults(&"x".repeat(8193)), ["too_long"]);
        // Whatever is shown of a secret is known as that.
        assert!(is_masked(&vault::display("short")));
        assert!(is_masked(&vault::display("sk-proj-0123456789abcdef")));
    }
}
