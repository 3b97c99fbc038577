//! The proxies of a pool as they are to be: which are kept, changed, new and gone. A masked password stands for the stored
//! one, which is kept for the place that it was given for and for no other.

use super::{
    ProxyEntryPatch,
    address::{Address, Password},
};
use crate::{
    Ctx, Result, Unit,
    validate::Faults,
    vault::{self, Place, Plain},
};
use entity::{
    id::{OrganizationId, ProxyEntryId, ProxyPoolId},
    proxy_entry::{ActiveModel, Column, Entity, Model},
    status::TestStatus,
};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, Condition};

/// Proxies of a pool.
const MOST: usize = 64;

/// What is to be of a pool's proxies.
#[derive(Debug, Default)]
pub(super) struct Plan {
    entries: Vec<Planned>,
    gone: Vec<ProxyEntryId>,
}

#[derive(Debug)]
struct Planned {
    address: Address,
    enabled: bool,
    stored: Option<Model>,
    login: Login,
}

/// What is to be of a login.
#[derive(Debug)]
enum Login {
    /// It stays as it is, and so do address and results.
    Kept,
    /// It is this, or none, from now on.
    New(Option<Plain>),
}

impl Plan {
    /// Whether anything is to change.
    pub(super) fn changes(&self) -> bool {
        let moved = |(n, planned): (usize, &Planned)| match &planned.stored {
            Some(row) => changed(planned, row, n).is_changed() || matches!(planned.login, Login::New(_)),
            None => true,
        };
        !self.gone.is_empty() || self.entries.iter().enumerate().any(moved)
    }
}

/// Works out what is to be; adds every fault of what is wanted.
pub(super) async fn plan(
    ctx: &Ctx,
    wanted: Vec<ProxyEntryPatch>,
    stored: &[Model],
    faults: &mut Faults,
) -> Result<Plan> {
    faults.when(wanted.is_empty(), "/entries", "required", "must have at least one proxy");
    if wanted.len() > MOST {
        faults.add("/entries", "too_many", format!("must have at most {MOST} proxies"));
        return Ok(Plan::default());
    }
    let addresses = read(ctx, &wanted, faults);
    let matched = matched(&wanted, &addresses, stored, faults);
    let mut plan = Plan::default();
    plan.gone.extend(stored.iter().filter(|row| !matched.contains(&Some(*row))).map(|row| row.id));
    for (n, (address, row)) in addresses.into_iter().zip(matched).enumerate() {
        let Some(address) = address else { continue };
        let Some(login) = login(ctx, &address, row).await? else {
            let message = "say the password: none is stored for this scheme, user, host and port";
            faults.add(pointer(n, "url"), "password_required", message);
            continue;
        };
        plan.entries.push(Planned { address, enabled: wanted[n].enabled, stored: row.cloned(), login });
    }
    Ok(plan)
}

fn pointer(n: usize, field: &str) -> String {
    format!("/entries/{n}/{field}")
}

/// The addresses, none where one is faulty, there already, or one that calls may not go to.
fn read(ctx: &Ctx, wanted: &[ProxyEntryPatch], faults: &mut Faults) -> Vec<Option<Address>> {
    let mut read: Vec<Option<Address>> = Vec::new();
    for (n, entry) in wanted.iter().enumerate() {
        let found = Address::parse(entry.url.text().unwrap_or_default()).and_then(|address| {
            let again = read.iter().flatten().any(|other| other.is(&address));
            if again { Err(("duplicate", "the pool has this proxy already")) } else { Ok(address) }
        });
        let found = found.map_err(|(code, message)| (code, message.to_owned()));
        let found = found.and_then(|address| allowed(ctx, &address).map(|()| address));
        read.push(found.map_err(|(code, message)| faults.add(pointer(n, "url"), code, message)).ok());
    }
    read
}

/// Whether calls may go to a proxy, as far as its host says. A name is looked up when it is connected to.
fn allowed(ctx: &Ctx, address: &Address) -> std::result::Result<(), (&'static str, String)> {
    let checked = ctx.system.upstream.check_proxy(&address.host, address.port);
    checked.map(drop).map_err(|refused| (refused.code, refused.message))
}

/// The stored proxy that each one is: by its id, else by its address.
fn matched<'s>(
    wanted: &[ProxyEntryPatch],
    addresses: &[Option<Address>],
    stored: &'s [Model],
    faults: &mut Faults,
) -> Vec<Option<&'s Model>> {
    let mut matched: Vec<Option<&Model>> = Vec::new();
    for (n, id) in wanted.iter().enumerate().map(|(n, entry)| (n, entry.id)) {
        let found = id.and_then(|id| stored.iter().find(|row| row.id == id));
        let again = found.is_some() && matched.contains(&found);
        let unknown = id.is_some() && found.is_none();
        faults.when(unknown, &pointer(n, "id"), "unknown", "the pool has no proxy with this id");
        faults.when(again, &pointer(n, "id"), "duplicate", "another one has this id");
        matched.push(found.filter(|_| !again));
    }
    for (n, address) in addresses.iter().enumerate() {
        let Some(address) = address.as_ref().filter(|_| wanted[n].id.is_none()) else { continue };
        let same = |row: &Model| Address::of(row).is_some_and(|stored| stored.is(address));
        matched[n] = stored.iter().find(|row| same(row) && !matched.contains(&Some(*row)));
    }
    matched
}

/// What is to be of the login; nothing if it is not said and none is stored for this place.
async fn login(ctx: &Ctx, address: &Address, row: Option<&Model>) -> Result<Option<Login>> {
    let row = row.filter(|row| Address::of(row).is_some_and(|stored| stored.is(address)));
    let stored = match row {
        Some(row) if matches!(address.password, Password::Clear(_)) => open(ctx, row).await?,
        _ => None,
    };
    Ok(match (&address.password, row) {
        (Password::Masked, Some(row)) => (row.display_url == address.shown()).then_some(Login::Kept),
        (Password::Masked, None) => None,
        (Password::None, Some(row)) if row.display_url == address.shown() => Some(Login::Kept),
        (Password::Clear(_), Some(_)) if same(stored.as_ref(), address.login().as_ref()) => Some(Login::Kept),
        _ => Some(Login::New(address.login())),
    })
}

fn same(one: Option<&Plain>, other: Option<&Plain>) -> bool {
    one.map(Plain::expose) == other.map(Plain::expose)
}

fn place(organization: OrganizationId, row: &[u8; 16]) -> Place<'_> {
    Place { organization, table: "proxy_entry", row, column: "login" }
}

/// The login of a proxy.
pub(super) async fn open(ctx: &Ctx, row: &Model) -> Result<Option<Plain>> {
    let (Some(login), Some(key)) = (&row.login, row.data_key_id) else { return Ok(None) };
    let id = row.id.uuid();
    vault::open(ctx, place(row.organization_id, id.as_bytes()), key, login).await.map(Some)
}

/// Makes it so. The pool is locked, or new.
pub(super) async fn write(unit: &mut Unit<'_>, pool: ProxyPoolId, plan: Plan) -> Result<()> {
    if !plan.gone.is_empty() {
        let gone = Condition::all().add(Column::ProxyPoolId.eq(pool)).add(Column::Id.is_in(plan.gone));
        unit.repository::<Entity>().remove_all(gone).await?;
    }
    for (n, planned) in plan.entries.into_iter().enumerate() {
        let id = planned.stored.as_ref().map_or_else(|| unit.id(), |row| row.id);
        let mut row = match &planned.stored {
            Some(stored) => changed(&planned, stored, n),
            None => fresh(&planned, n, pool),
        };
        if let Login::New(login) = &planned.login {
            located(&mut row, &planned.address);
            seal(unit, &mut row, id, login.as_ref()).await?;
        }
        if planned.stored.is_none() {
            let row = ActiveModel { id: Set(id), created_at: Set(unit.now), ..row };
            unit.repository::<Entity>().add(row).await?;
        } else if row.is_changed() {
            unit.repository::<Entity>().amend("update", id, row).await?;
        }
    }
    Ok(())
}

fn fresh(planned: &Planned, n: usize, pool: ProxyPoolId) -> ActiveModel {
    ActiveModel {
        proxy_pool_id: Set(pool),
        position: Set(position(n)),
        enabled: Set(planned.enabled),
        ..Default::default()
    }
}

fn position(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

/// Place and use, as far as they change.
fn changed(planned: &Planned, row: &Model, n: usize) -> ActiveModel {
    let mut changes = ActiveModel { ..Default::default() };
    if position(n) != row.position {
        changes.position = Set(position(n));
    }
    if planned.enabled != row.enabled {
        changes.enabled = Set(planned.enabled);
    }
    changes
}

/// The address; what tests found is of another one.
fn located(row: &mut ActiveModel, address: &Address) {
    row.scheme = Set(address.scheme);
    row.host = Set(address.host.clone());
    row.port = Set(address.port.into());
    row.display_url = Set(address.shown());
    row.test_status = Set(TestStatus::Unknown);
    row.tested_at = Set(None);
    row.latency_ms = Set(None);
    row.http_status = Set(None);
    row.exit_address = Set(None);
    row.error_code = Set(None);
    row.error = Set(None);
}

async fn seal(unit: &Unit<'_>, row: &mut ActiveModel, id: ProxyEntryId, login: Option<&Plain>) -> Result<()> {
    let sealed = match login {
        Some(login) => {
            let id = id.uuid();
            let place = place(unit.ctx.scope.organization, id.as_bytes());
            let (key, sealed) = vault::seal(unit, place, login.expose()).await?;
            (Some(key), Some(sealed))
        }
        None => (None, None),
    };
    (row.data_key_id, row.login) = (Set(sealed.0), Set(sealed.1));
    Ok(())
}
