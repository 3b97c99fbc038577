//! Passwords: Argon2id with OWASP's parameters (m = 19 MiB, t = 2, p = 1), off the async threads, a bounded number at a
//! time, in memory that is allocated once for each of them. The rules follow ASVS 6.2: 8 to 256 characters, none of the
//! most common.

mod memory;

use crate::{Error, Result, blocking, error::FieldError};
use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{
        phc::{Output, ParamsString, PasswordHash, Salt},
        try_generate_salt,
    },
};
use entity::secret::Sealed;
use memory::Memory;
use serde::Deserialize;
use std::{fmt, sync::Arc, time::Duration};
use tokio::sync::Semaphore;
use utoipa::ToSchema;
use zeroize::{Zeroize, ZeroizeOnDrop};

const SHORTEST: usize = 8;
const LONGEST: usize = 256;
/// How long a sign-in waits for its turn before it is told to come back.
const PATIENCE: Duration = Duration::from_secs(10);
/// Passwords that everybody tries first, one a line.
const COMMON: &str = include_str!("common_passwords.txt");

/// A password in clear, as a request brings it. It cannot be printed or sent back.
#[derive(Clone, Deserialize, ToSchema, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
#[schema(value_type = String, format = Password, min_length = 8, max_length = 256, example = "correct horse battery")]
pub struct Password(String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl Password {
    /// What is wrong with it as a new password.
    pub fn fault(&self, pointer: &str) -> Option<FieldError> {
        let length = self.0.chars().count();
        let (code, message) = if length < SHORTEST {
            ("too_short", "a password has at least 8 characters; 15 or more are advised")
        } else if length > LONGEST {
            ("too_long", "a password has at most 256 characters")
        } else if self.0.contains('\0') {
            ("invalid_character", "a password cannot contain NUL")
        } else if COMMON.lines().any(|common| common.eq_ignore_ascii_case(&self.0)) {
            ("too_common", "this password is among those that attackers try first")
        } else {
            return None;
        };
        Some(FieldError { pointer: pointer.to_owned(), code, message: message.to_owned() })
    }
}

/// Hashes and checks passwords.
#[derive(Debug)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    memory: Arc<Memory>,
    /// Verified against when the account is unknown, so that the answer takes as long.
    dummy: Sealed,
}

impl Passwords {
    /// At most `workers` computations at a time.
    pub fn new(workers: usize) -> Result<Self> {
        let memory = Arc::<Memory>::default();
        let dummy = hash(b"nobody's password", &memory)?;
        Ok(Self { turns: Arc::new(Semaphore::new(workers.max(1))), memory, dummy })
    }

    async fn work<T: Send + 'static>(&self, work: impl FnOnce(&Memory) -> T + Send + 'static) -> Result<T> {
        let turn = tokio::time::timeout(PATIENCE, self.turns.clone().acquire_owned()).await;
        let turn = turn.map_err(|_| Error::Overloaded)?.map_err(Error::internal)?;
        let memory = self.memory.clone();
        blocking::run(move || {
            let result = work(&memory);
            drop(turn);
            result
        })
        .await
    }

    /// The hash to store.
    pub async fn hash(&self, password: Password) -> Result<Sealed> {
        self.work(move |memory| hash(password.0.as_bytes(), memory)).await?
    }

    /// Whether it is the stored one. Takes the same time if nothing is stored.
    pub async fn verify(&self, password: Password, stored: Option<&Sealed>) -> Result<bool> {
        let known = stored.is_some();
        let stored = stored.unwrap_or(&self.dummy).clone();
        let right = self.work(move |memory| verify(password.0.as_bytes(), &stored, memory)).await?;
        Ok(right && known)
    }
}

fn hash(password: &[u8], memory: &Memory) -> Result<Sealed> {
    let (params, salt) = (Params::DEFAULT, try_generate_salt().map_err(Error::internal)?);
    let output = compute(&Argon2::from(&params), &params, password, &salt, memory).ok_or_else(failed)?;
    let phc = PasswordHash {
        algorithm: Algorithm::default().into(),
        version: Some(Version::default().into()),
        params: ParamsString::try_from(&params).map_err(Error::internal)?,
        salt: Some(Salt::new(&salt).map_err(Error::internal)?),
        hash: Some(output),
    };
    Ok(Sealed(phc.to_string().into_bytes()))
}

fn failed() -> Error {
    Error::internal("a password could not be hashed")
}

fn verify(password: &[u8], stored: &Sealed, memory: &Memory) -> bool {
    let Ok(text) = std::str::from_utf8(&stored.0) else { return false };
    PasswordHash::new(text).is_ok_and(|hash| matches(password, &hash, memory) == Some(true))
}

/// Whether it is the password of the hash, by the hash's own parameters; none if that cannot be told.
fn matches(password: &[u8], hash: &PasswordHash, memory: &Memory) -> Option<bool> {
    let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
    let version = hash.version.map(Version::try_from).transpose().ok()?.unwrap_or_default();
    let params = Params::try_from(hash).ok()?;
    let argon2 = Argon2::new(algorithm, version, params.clone());
    let computed = compute(&argon2, &params, password, hash.salt.as_ref()?, memory)?;
    // An `Output` is compared in constant time.
    Some(computed == *hash.hash.as_ref()?)
}

fn compute(
    argon2: &Argon2<'_>,
    params: &Params,
    password: &[u8],
    salt: &[u8],
    memory: &Memory,
) -> Option<Output> {
    let length = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
    let mut blocks = memory.lend(params.block_count());
    let mut buffer = [0; Output::MAX_LENGTH];
    let out = buffer.get_mut(..length)?;
    argon2.hash_password_into_with_memory(password, salt, out, &mut *blocks).ok()?;
    Output::new(out).ok()
}

#[cfg(test)]
mod tests;
