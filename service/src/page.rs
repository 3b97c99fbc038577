//! Keyset pages and their cursors. A cursor is opaque, authenticated, and bound to its tenant, its collection and its
//! order. It names the exact row after which the next page starts, also where several rows have one identifier.

use crate::{Ctx, Error, Result};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use utoipa::ToSchema;
use uuid::Uuid;

/// The order of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Oldest first.
    Asc,
    /// Newest first.
    #[default]
    Desc,
}

/// Which page of a list.
#[derive(Debug, Clone, Default)]
pub struct PageRequest {
    /// Rows a page: 1–100, default 20.
    pub page_size: Option<u64>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Newest first unless `asc`.
    pub order: Option<Order>,
}

/// One page of a list.
#[derive(Debug, Clone, Serialize)]
pub struct Page<V> {
    /// The rows.
    pub items: Vec<V>,
    /// Where the next page starts; null on the last.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// The same page of what its rows are shown as.
    pub fn map<V>(self, view: impl FnMut(T) -> V) -> Page<V> {
        Page { items: self.items.into_iter().map(view).collect(), next_cursor: self.next_cursor }
    }

    /// The same, where showing a row may fail.
    pub fn try_map<V>(self, view: impl FnMut(T) -> Result<V>) -> Result<Page<V>> {
        let items = self.items.into_iter().map(view).collect::<Result<_>>()?;
        Ok(Page { items, next_cursor: self.next_cursor })
    }
}

/// Names the schema of one page type: generic ones would be inlined into every operation.
#[macro_export]
macro_rules! page {
    ($name:ident, $item:ty) => {
        /// One page of a list; `next_cursor` is null on the last.
        #[derive(Debug, serde::Serialize, utoipa::ToSchema)]
        pub struct $name {
            /// The rows.
            pub items: Vec<$item>,
            /// Where the next page starts.
            #[schema(required)]
            pub next_cursor: Option<String>,
        }
        impl From<$crate::page::Page<$item>> for $name {
            fn from(page: $crate::page::Page<$item>) -> Self {
                Self { items: page.items, next_cursor: page.next_cursor }
            }
        }
    };
}

/// A place in a list: an identifier, and which of its rows where several have the same one; 0 where none do.
pub(crate) type Place = (Uuid, u32);

/// Bytes of a place: the identifier, then the number, big-endian.
const PLACE: usize = 20;
/// Bytes of what proves a place to be one of ours.
const TAG: usize = 16;

fn bytes((id, part): Place) -> [u8; PLACE] {
    let mut bytes = [0; PLACE];
    let (head, tail) = bytes.split_at_mut(16);
    head.copy_from_slice(id.as_bytes());
    tail.copy_from_slice(&part.to_be_bytes());
    bytes
}

fn place(bytes: &[u8; PLACE]) -> Option<Place> {
    let (id, part) = bytes.split_first_chunk::<16>()?;
    Some((Uuid::from_bytes(*id), u32::from_be_bytes(part.try_into().ok()?)))
}

fn refused() -> Error {
    Error::malformed("?cursor", "invalid_cursor", "the cursor is not one of this list")
}

impl PageRequest {
    /// Rows a page.
    pub fn size(&self) -> u64 {
        self.page_size.unwrap_or(20)
    }
    /// Oldest first.
    pub fn ascending(&self) -> bool {
        self.order == Some(Order::Asc)
    }

    fn check_size(&self) -> Result<()> {
        let message = "page_size must be between 1 and 100";
        let refused = || Error::malformed("?page_size", "out_of_range", message);
        (1..=100).contains(&self.size()).then_some(()).ok_or_else(refused)
    }

    /// The identifier after which the page starts.
    pub(crate) fn start(&self, ctx: &Ctx, collection: &str) -> Result<Option<Uuid>> {
        Ok(self.start_at(ctx, collection)?.map(|(id, _)| id))
    }

    /// The place after which the page starts.
    pub(crate) fn start_at(&self, ctx: &Ctx, collection: &str) -> Result<Option<Place>> {
        self.check_size()?;
        let Some(text) = &self.cursor else { return Ok(None) };
        let sealed = URL_SAFE_NO_PAD.decode(text).map_err(|_| refused())?;
        let (bytes, tag) = sealed.split_first_chunk::<PLACE>().ok_or_else(refused)?;
        let expected = self.tag(ctx, collection, bytes)?;
        if expected.ct_eq(tag).into() { place(bytes).map(Some).ok_or_else(refused) } else { Err(refused()) }
    }

    /// Cuts one row too many off, and makes the next cursor if there was one.
    pub(crate) fn finish<V>(
        &self,
        ctx: &Ctx,
        collection: &str,
        items: Vec<V>,
        id: impl Fn(&V) -> Uuid,
    ) -> Result<Page<V>> {
        self.finish_at(ctx, collection, items, |item| (id(item), 0))
    }

    /// The same of a list in which several rows may have one identifier.
    pub(crate) fn finish_at<V>(
        &self,
        ctx: &Ctx,
        collection: &str,
        mut items: Vec<V>,
        place: impl Fn(&V) -> Place,
    ) -> Result<Page<V>> {
        let size = usize::try_from(self.size()).unwrap_or(usize::MAX);
        if items.len() <= size {
            return Ok(Page { items, next_cursor: None });
        }
        items.truncate(size);
        let Some(last) = items.last().map(place) else { return Ok(Page { items, next_cursor: None }) };
        let last = bytes(last);
        let tag = self.tag(ctx, collection, &last)?;
        let cursor = URL_SAFE_NO_PAD.encode([&last[..], &tag].concat());
        Ok(Page { items, next_cursor: Some(cursor) })
    }

    /// The text after which the page starts, of a list in order of texts that tell its rows apart.
    pub(crate) fn start_after(&self, ctx: &Ctx, collection: &str) -> Result<Option<String>> {
        self.check_size()?;
        let Some(text) = &self.cursor else { return Ok(None) };
        let sealed = URL_SAFE_NO_PAD.decode(text).map_err(|_| refused())?;
        let (tag, place) = sealed.split_first_chunk::<TAG>().ok_or_else(refused)?;
        let expected = self.tag(ctx, collection, place)?;
        let place = std::str::from_utf8(place).ok().filter(|_| expected.ct_eq(tag).into());
        Ok(Some(place.ok_or_else(refused)?.to_owned()))
    }

    /// Cuts one row too many off such a list, and makes the next cursor if there was one.
    pub(crate) fn finish_after<V>(
        &self,
        ctx: &Ctx,
        collection: &str,
        mut items: Vec<V>,
        text: impl Fn(&V) -> &str,
    ) -> Result<Page<V>> {
        let size = usize::try_from(self.size()).unwrap_or(usize::MAX);
        let more = items.len() > size;
        items.truncate(size);
        let Some(last) = items.last().filter(|_| more).map(text) else {
            return Ok(Page { items, next_cursor: None });
        };
        let tag = self.tag(ctx, collection, last.as_bytes())?;
        let cursor = URL_SAFE_NO_PAD.encode([&tag[..], last.as_bytes()].concat());
        Ok(Page { items, next_cursor: Some(cursor) })
    }

    fn tag(&self, ctx: &Ctx, collection: &str, place: &[u8]) -> Result<[u8; TAG]> {
        let organization = ctx.scope.organization.uuid();
        let order = [u8::from(self.ascending())];
        let parts: [&[u8]; 4] = [organization.as_bytes(), &order, place, collection.as_bytes()];
        ctx.system.secrets.seal_of(b"cursor", &parts)
    }
}
