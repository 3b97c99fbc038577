//! Check values of the configured secrets. An instance whose secrets are not those of the database would refuse every
//! key and issue keys that the others refuse; it must not start.

use crate::{
    Error, Result,
    db::Db,
    secrets::{Secrets, Versions, hmac},
};
use entity::secret_check as check;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, sea_query::OnConflict,
};
use subtle::ConstantTimeEq;

/// The names of the secrets, as the configuration spells them.
pub const NAMES: [&str; 3] = ["encryption_key", "key_pepper", "token_signing_key"];

/// A secret of the database that the configuration does not have, or has otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Which secret.
    pub name: String,
    /// Which version of it.
    pub version: i32,
    /// Whether another value is configured for it; otherwise none is.
    pub differs: bool,
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fault = if self.differs { "is not the one" } else { "is not configured, and was" };
        write!(f, "version {} of {} {fault} that this database is used with", self.version, self.name)
    }
}

fn value(name: &str, version: i32, key: &[u8; 32]) -> Vec<u8> {
    hmac(key, &[b"tollkeeper check value\0", name.as_bytes(), &version.to_be_bytes()]).to_vec()
}

fn each(secrets: &Secrets) -> [(&'static str, &Versions); 3] {
    let [encryption, pepper, signing] = NAMES;
    [(encryption, &secrets.encryption), (pepper, &secrets.pepper), (signing, &secrets.signing)]
}

#[expect(clippy::disallowed_methods, reason = "the installation's own rows, which have no tenant")]
async fn rows(db: &Db) -> Result<Vec<check::Model>> {
    Ok(check::Entity::find().all(&db.writer).await?)
}

/// The names of the secrets that the database is used with; none before the first start.
pub async fn recorded(db: &Db) -> Result<Vec<String>> {
    let mut names: Vec<String> = rows(db).await?.into_iter().map(|row| row.name).collect();
    names.sort();
    names.dedup();
    Ok(names)
}

/// What the database is used with and the configuration does not have. A signing key may be retired: that ends
/// sessions, and nothing else.
pub async fn mismatches(db: &Db, secrets: &Secrets) -> Result<Vec<Mismatch>> {
    Ok(compare(rows(db).await?, secrets))
}

fn compare(rows: Vec<check::Model>, secrets: &Secrets) -> Vec<Mismatch> {
    let mut found = Vec::new();
    for row in rows {
        let versions = each(secrets).into_iter().find(|(name, _)| *name == row.name);
        let configured = versions.and_then(|(_, versions)| versions.get(row.version));
        let retired = configured.is_none() && row.name == NAMES[2];
        let right = configured
            .is_some_and(|key| value(&row.name, row.version, key.expose()).ct_eq(&row.check_value).into());
        if !right && !retired {
            found.push(Mismatch { name: row.name, version: row.version, differs: configured.is_some() });
        }
    }
    found
}

/// Records what is new, then compares: of two instances that start at once with different secrets, one refuses. Encryption keys
/// that are older than all recorded ones were retired: they are not taken up again, and nothing can be encrypted with them.
#[expect(clippy::disallowed_methods, reason = "the installation's own rows, which have no tenant")]
pub async fn enroll(db: &Db, secrets: &Secrets) -> Result<()> {
    let known = rows(db).await?;
    let oldest = known.iter().filter(|row| row.name == NAMES[0]).map(|row| row.version).min();
    let is_retired =
        |name: &str, version: i32| name == NAMES[0] && oldest.is_some_and(|oldest| version < oldest);
    let is_known =
        |name: &str, version: i32| known.iter().any(|row| row.name == name && row.version == version);
    refuse(&compare(known.clone(), secrets))?;
    let (active, _) = secrets.encryption.active();
    if is_retired(NAMES[0], active) {
        return Err(retired(active));
    }
    for (name, versions) in each(secrets) {
        let new =
            versions.iter().filter(|(version, _)| !is_known(name, *version) && !is_retired(name, *version));
        let rows: Vec<_> = new
            .map(|(version, key)| check::ActiveModel {
                name: Set(name.to_owned()),
                version: Set(version),
                check_value: Set(value(name, version, key.expose())),
            })
            .collect();
        if rows.is_empty() {
            continue;
        }
        check::Entity::insert_many(rows)
            .on_conflict(OnConflict::new().do_nothing().to_owned())
            .exec_without_returning(&db.writer)
            .await?;
    }
    refuse(&mismatches(db, secrets).await?)
}

/// Nothing can be encrypted with an encryption key that was retired.
pub(crate) fn retired(version: i32) -> Error {
    let message = format!(
        "version {version} of encryption_key was retired: configure a newer one, in front, and start this instance anew"
    );
    Error::InvalidState("encryption_key_retired", message.into())
}

/// The versions of the encryption key that the database is used with, the oldest first.
pub(crate) async fn encryption_keys(db: &Db) -> Result<Vec<i32>> {
    let rows = rows(db).await?.into_iter();
    let mut versions: Vec<i32> = rows.filter(|row| row.name == NAMES[0]).map(|row| row.version).collect();
    versions.sort_unstable();
    Ok(versions)
}

/// Forgets a version of the encryption key; false if it is forgotten already. While a data key is wrapped with it, its foreign
/// key is in the way.
#[expect(clippy::disallowed_methods, reason = "the installation's own rows, which have no tenant")]
pub(crate) async fn retire<C: ConnectionTrait>(db: &C, version: i32) -> std::result::Result<bool, DbErr> {
    let delete = check::Entity::delete_many()
        .filter(check::Column::Name.eq(NAMES[0]))
        .filter(check::Column::Version.eq(version));
    Ok(delete.exec(db).await?.rows_affected > 0)
}

fn refuse(mismatches: &[Mismatch]) -> Result<()> {
    if mismatches.is_empty() {
        return Ok(());
    }
    let texts: Vec<String> = mismatches.iter().map(ToString::to_string).collect();
    Err(Error::InvalidState("secrets_mismatch", texts.join("; ").into()))
}
