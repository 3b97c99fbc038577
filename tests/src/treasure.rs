//! Sealed values of every kind in the database, written past the server, and whether they can be read.

use crate::seed;
use entity::{
    credential, data_key,
    endpoint::Endpoints,
    id::{ConnectionId, CredentialId, DataKeyId, OrganizationId, ProxyEntryId, ProxyPoolId},
    idempotency_record,
    json::{Metadata, Tags, Texts},
    model_params::ModelParams,
    provider_connection, proxy_entry, proxy_pool,
    secret::Sealed,
    status::{
        BillingType, ConnectionStatus, CredentialState, DataKeyState, FormatMode, Location, PoolStatus,
        ProxyScheme, ProxyStrategy, TestStatus,
    },
    usage_raw,
};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};
use service::{
    Ctx, Result, System, Unit, audit,
    scope::Scope,
    vault::{self, Place},
};
use std::{collections::BTreeMap, sync::Arc};

/// A sealed value as it is stored, and where.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its table and its column.
    pub column: (&'static str, &'static str),
    /// The bytes of its row's id.
    pub row: Vec<u8>,
    /// Its organization.
    pub organization: OrganizationId,
    /// Its data key.
    pub key: DataKeyId,
    /// What is sealed.
    pub sealed: Sealed,
}

impl Stored {
    /// Opens it, as the services do.
    ///
    /// # Errors
    /// It does not open.
    pub async fn open(&self, system: &Arc<System>) -> Result<String> {
        let (table, column) = self.column;
        let place = Place { organization: self.organization, table, row: &self.row, column };
        let ctx = Ctx::internal(system, Scope::all(self.organization));
        let plain = vault::open(&ctx, place, self.key, &self.sealed).await?;
        Ok(plain.text().unwrap().to_owned())
    }
}

/// What is sealed in the organizations of a test, by row.
#[derive(Debug, Default)]
pub struct Treasure {
    /// The organizations.
    pub organizations: Vec<OrganizationId>,
    plain: BTreeMap<Vec<u8>, String>,
}

/// An organization without a data key.
pub async fn organization(system: &System, slug: &str) -> OrganizationId {
    seed::organization(system, slug).await
}

/// Seals a text for a row of an organization.
///
/// # Errors
/// It cannot be sealed.
pub async fn seal(
    unit: &Unit<'_>,
    organization: OrganizationId,
    (table, column): (&'static str, &'static str),
    row: &[u8],
    text: &str,
) -> Result<(DataKeyId, Sealed)> {
    vault::seal(unit, Place { organization, table, row, column }, text.as_bytes()).await
}

/// A unit of work and the organization that it works in.
type In<'u, 'c> = (&'u mut Unit<'c>, OrganizationId);

impl Treasure {
    /// Makes an organization with a connection with headers, a proxy with a login, and credentials.
    pub async fn add(&mut self, system: &Arc<System>, slug: &str, credentials: usize) -> OrganizationId {
        let organization = seed::organization(system, slug).await;
        let ctx = Ctx::internal(system, Scope::all(organization));
        let mut unit = ctx.begin().await.unwrap();
        let connection = self.connection((&mut unit, organization), slug).await;
        self.proxy((&mut unit, organization), slug).await;
        for n in 0..credentials {
            self.credential((&mut unit, organization), connection, &format!("{slug}-{n}")).await;
        }
        unit.commit(()).await.unwrap();
        self.organizations.push(organization);
        organization
    }

    async fn sealed(
        &mut self,
        (unit, organization): (&Unit<'_>, OrganizationId),
        column: (&'static str, &'static str),
        row: &[u8],
        name: &str,
    ) -> (DataKeyId, Sealed) {
        let text = format!("treasure-{}-of-{name}", column.1);
        let sealed = seal(unit, organization, column, row, &text).await.unwrap();
        self.plain.insert(row.to_vec(), text);
        sealed
    }

    async fn connection(&mut self, (unit, organization): In<'_, '_>, name: &str) -> ConnectionId {
        let id: ConnectionId = unit.id();
        let column = ("provider_connection", "headers");
        let (key, headers) = self.sealed((unit, organization), column, id.0.as_bytes(), name).await;
        let row = provider_connection::ActiveModel {
            id: Set(id),
            provider: Set("openai".into()),
            name: Set(name.into()),
            status: Set(ConnectionStatus::Active),
            base_url: Set("https://api.example.com".into()),
            alternate_base_urls: Set(Texts::default()),
            format_mode: Set(FormatMode::Auto),
            protocols: Set(Endpoints::default()),
            model_params: Set(ModelParams::default()),
            headers: Set(Some(headers)),
            header_names: Set(Texts::default()),
            data_key_id: Set(Some(key)),
            billing_type: Set(BillingType::Metered),
            priority: Set(0),
            location: Set(Location::Cloud),
            tls_skip_verify: Set(false),
            tags: Set(Tags::default()),
            metadata: Set(Metadata::default()),
            created_by: Set("system".into()),
            ..Default::default()
        };
        unit.repository::<provider_connection::Entity>().insert(row).await.unwrap();
        id
    }

    async fn proxy(&mut self, (unit, organization): In<'_, '_>, name: &str) {
        let (pool, id): (ProxyPoolId, ProxyEntryId) = (unit.id(), unit.id());
        let row = proxy_pool::ActiveModel {
            id: Set(pool),
            name: Set(name.into()),
            status: Set(PoolStatus::Active),
            strategy: Set(ProxyStrategy::Random),
            strict: Set(false),
            no_proxy: Set(Texts::default()),
            created_by: Set("system".into()),
            ..Default::default()
        };
        unit.repository::<proxy_pool::Entity>().insert(row).await.unwrap();
        let (key, login) =
            self.sealed((unit, organization), ("proxy_entry", "login"), id.0.as_bytes(), name).await;
        let row = proxy_entry::ActiveModel {
            id: Set(id),
            proxy_pool_id: Set(pool),
            position: Set(0),
            enabled: Set(true),
            scheme: Set(ProxyScheme::Http),
            host: Set("proxy.example.com".into()),
            port: Set(3128),
            display_url: Set("http://proxy.example.com:3128".into()),
            login: Set(Some(login)),
            data_key_id: Set(Some(key)),
            test_status: Set(TestStatus::Unknown),
            created_at: Set(unit.now),
            ..Default::default()
        };
        unit.repository::<proxy_entry::Entity>().add(row).await.unwrap();
    }

    /// Adds a credential to a connection.
    pub async fn credential(
        &mut self,
        (unit, organization): In<'_, '_>,
        connection: ConnectionId,
        name: &str,
    ) {
        let id: CredentialId = unit.id();
        let (key, secret) =
            self.sealed((unit, organization), ("credential", "secret"), id.0.as_bytes(), name).await;
        let row = credential::ActiveModel {
            id: Set(id),
            connection_id: Set(connection),
            label: Set(name.into()),
            state: Set(CredentialState::Active),
            state_since: Set(unit.now),
            secret: Set(Some(secret)),
            data_key_id: Set(Some(key)),
            digest: Set(Sealed(id.0.as_bytes().to_vec())),
            pepper_version: Set(1),
            display: Set("********".into()),
            created_by: Set("system".into()),
            ..Default::default()
        };
        unit.repository::<credential::Entity>().insert(row).await.unwrap();
    }

    /// Takes over what another has sealed.
    pub fn join(&mut self, other: Self) {
        self.organizations.extend(other.organizations);
        self.plain.extend(other.plain);
    }

    /// Everything is there, opens, and is nowhere in the clear; every key is there, one active an organization; the audit
    /// chains hold.
    pub async fn check(&self, system: &Arc<System>) {
        let stored = stored(system).await;
        let keys = data_keys(system).await;
        let mut seen = 0;
        for value in &stored {
            let key = keys.iter().find(|key| key.id == value.key);
            assert_eq!(key.map(|key| key.organization_id), Some(value.organization), "{value:?}");
            let text = value.open(system).await.unwrap_or_else(|error| panic!("{value:?}: {error}"));
            if let Some(plain) = self.plain.get(&value.row) {
                assert_eq!(&text, plain);
                seen += 1;
            }
            let clear = value.sealed.0.windows(8).any(|window| window == b"treasure");
            assert!(!clear, "{value:?} is in the clear");
        }
        assert_eq!(seen, self.plain.len(), "a value is lost");
        for organization in &self.organizations {
            let active = |key: &&data_key::Model| {
                key.organization_id == *organization && key.state == DataKeyState::Active
            };
            assert_eq!(keys.iter().filter(active).count(), 1, "{organization}");
            let ctx = Ctx::internal(system, Scope::all(*organization));
            let chain = audit::verify(&ctx, None).await.unwrap();
            assert!(chain.valid, "{chain:?}");
        }
    }
}

/// Every data key.
pub async fn data_keys(system: &System) -> Vec<data_key::Model> {
    data_key::Entity::find().all(&system.db.reader).await.unwrap()
}

/// Every sealed value.
pub async fn stored(system: &System) -> Vec<Stored> {
    let db = &system.db.reader;
    let mut stored = Vec::new();
    for row in
        credential::Entity::find().filter(credential::Column::Secret.is_not_null()).all(db).await.unwrap()
    {
        stored.push(Stored {
            column: ("credential", "secret"),
            row: row.id.0.as_bytes().to_vec(),
            organization: row.organization_id,
            key: row.data_key_id.unwrap(),
            sealed: row.secret.unwrap(),
        });
    }
    for row in
        proxy_entry::Entity::find().filter(proxy_entry::Column::Login.is_not_null()).all(db).await.unwrap()
    {
        stored.push(Stored {
            column: ("proxy_entry", "login"),
            row: row.id.0.as_bytes().to_vec(),
            organization: row.organization_id,
            key: row.data_key_id.unwrap(),
            sealed: row.login.unwrap(),
        });
    }
    let connections = provider_connection::Entity::find();
    for row in connections.filter(provider_connection::Column::Headers.is_not_null()).all(db).await.unwrap() {
        stored.push(Stored {
            column: ("provider_connection", "headers"),
            row: row.id.0.as_bytes().to_vec(),
            organization: row.organization_id,
            key: row.data_key_id.unwrap(),
            sealed: row.headers.unwrap(),
        });
    }
    for row in usage_raw::Entity::find().all(db).await.unwrap() {
        stored.push(Stored {
            column: ("usage_raw", "raw"),
            row: row.id.0.as_bytes().to_vec(),
            organization: row.organization_id,
            key: row.data_key_id,
            sealed: row.raw,
        });
    }
    let replies = idempotency_record::Entity::find();
    for row in replies.filter(idempotency_record::Column::Reply.is_not_null()).all(db).await.unwrap() {
        stored.push(Stored {
            column: ("idempotency_record", "reply"),
            row: row.id,
            organization: OrganizationId::PLATFORM,
            key: row.data_key_id.unwrap(),
            sealed: row.reply.unwrap(),
        });
    }
    stored
}
