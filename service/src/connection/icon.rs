//! The icon that an organization chose for a connection. It is an image by its first bytes, too, and small; drawings that can
//! run programs are none.

use crate::{Ctx, Error, Result, Unit, repository::Expected};
use base64::{Engine, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use entity::{
    connection_icon::{ActiveModel, Column, Entity},
    id::ConnectionId,
    provider_connection,
};
use sea_orm::{ActiveValue::Set, ColumnTrait};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Bytes of an icon.
const MOST: usize = 64 * 1024;

/// An icon to set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewIcon {
    /// `data:image/png;base64,…`: a PNG, JPEG, WebP or GIF of at most 64 KiB.
    #[schema(
        max_length = 87_500,
        example = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="
    )]
    pub data_url: String,
}

/// What is shown of an icon.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConnectionIcon {
    /// The connection.
    pub connection_id: ConnectionId,
    /// What kind of image.
    #[schema(example = "image/png")]
    pub media_type: String,
    /// Its bytes.
    pub size: i64,
    /// When it was set.
    pub created_at: DateTime<Utc>,
}

/// An icon itself.
#[derive(Debug)]
pub struct IconImage {
    /// What kind of image.
    pub media_type: String,
    /// The image.
    pub content: Vec<u8>,
}

/// What an image is, by its first bytes.
fn kind(content: &[u8]) -> Option<&'static str> {
    match content {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        _ => None,
    }
}

/// The kind and the bytes of an image that a data URL carries.
fn read(data_url: &str) -> Result<(&'static str, Vec<u8>)> {
    let refused = |code, message: &str| Error::invalid("/data_url", code, message);
    let parts = data_url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    let (stated, text) = parts
        .ok_or_else(|| refused("invalid_value", "must be data:, a media type, ;base64, and an image"))?;
    // Whatever it is, it is not decoded if it is too large.
    if text.len() > MOST.div_ceil(3) * 4 {
        return Err(refused("too_long", "must have at most 64 KiB"));
    }
    let content = STANDARD.decode(text).map_err(|_| refused("invalid_value", "is not base64"))?;
    if content.len() > MOST {
        return Err(refused("too_long", "must have at most 64 KiB"));
    }
    match kind(&content) {
        Some(kind) if kind == stated => Ok((kind, content)),
        _ => Err(refused("not_supported", "must be a PNG, JPEG, WebP or GIF, and say which")),
    }
}

/// Sets the icon of a connection, in place of any that it had.
pub async fn set_icon(
    ctx: &Ctx,
    id: ConnectionId,
    version: Option<i64>,
    new: NewIcon,
) -> Result<ConnectionIcon> {
    let mut unit = ctx.begin().await?;
    seen(&unit, id, version).await?;
    let (media_type, content) = read(&new.data_url)?;
    let size = content.len().try_into().map_err(Error::internal)?;
    clear(&mut unit, id).await?;
    let row = ActiveModel {
        connection_id: Set(id),
        media_type: Set(media_type.to_owned()),
        content: Set(content),
        created_at: Set(unit.now),
        ..Default::default()
    };
    let row = unit.repository::<Entity>().add(row).await?;
    let icon =
        ConnectionIcon { connection_id: id, media_type: row.media_type, size, created_at: row.created_at };
    unit.commit(icon).await
}

/// The icon of a connection, if it has one of its own.
pub async fn icon(ctx: &Ctx, id: ConnectionId) -> Result<IconImage> {
    ctx.repository::<provider_connection::Entity>().find(id).await?;
    let icon = ctx.repository::<Entity>().find(id).await?;
    Ok(IconImage { media_type: icon.media_type, content: icon.content })
}

/// Removes the icon of a connection: it has the built-in one again.
pub async fn remove_icon(ctx: &Ctx, id: ConnectionId, version: Option<i64>) -> Result<()> {
    let mut unit = ctx.begin().await?;
    seen(&unit, id, version).await?;
    if clear(&mut unit, id).await? {
        return unit.commit(()).await;
    }
    Err(Error::NotFound("icon"))
}

/// The connection, locked, at the version that the caller has seen. An icon has no version of its own.
async fn seen(unit: &Unit<'_>, id: ConnectionId, version: Option<i64>) -> Result<()> {
    let connection = unit.read::<provider_connection::Entity>().lock(id).await?;
    Expected::new(version, connection.version).map(drop)
}

async fn clear(unit: &mut Unit<'_>, id: ConnectionId) -> Result<bool> {
    let gone = unit.repository::<Entity>().remove_all(Column::ConnectionId.eq(id)).await?;
    Ok(!gone.is_empty())
}
