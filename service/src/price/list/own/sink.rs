//! [`Sink`]: where the prices of a file go, one after the other, so that never more than one of them is held whole. Each is
//! checked by itself and against those before it.

use super::{super::ListPrice, fault::Faulty};
use crate::{Error, Result, clock::to_the_microsecond, error::FieldError, price::NewPrice};
use chrono::{DateTime, Utc};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::HashMap;

/// The first half of a SHA-256: what is kept of a price that has been passed on.
type Print = [u8; 16];

/// Takes the prices of a file.
pub(super) struct Sink<K> {
    now: DateTime<Utc>,
    keep: K,
    /// What is wrong with how the file is written.
    pub(super) faulty: Faulty,
    unacceptable: Faulty,
    contradictory: Faulty,
    /// Whom a price is for and from when on, and the place and the whole of the first one that says so.
    first: HashMap<Print, (usize, Print)>,
    count: usize,
    /// What stands before the number of a price in a pointer.
    under: &'static str,
}

impl<K: FnMut(ListPrice)> Sink<K> {
    pub(super) fn new(now: DateTime<Utc>, keep: K) -> Self {
        let [faulty, unacceptable, contradictory] = Default::default();
        let (first, count, under) = (HashMap::new(), 0, "/prices");
        Self { now, keep, faulty, unacceptable, contradictory, first, count, under }
    }

    /// The list stands by itself, in no object.
    pub(super) fn is_bare(&mut self) {
        self.under = "";
    }

    /// Where the price of this number stands.
    pub(super) fn pointer(&self, number: usize) -> String {
        format!("{}/{number}", self.under)
    }

    /// How many prices have been taken or passed over.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The next price cannot be read.
    pub(super) fn pass_over(&mut self) {
        self.count += 1;
    }

    /// Takes the next price.
    pub(super) fn take(&mut self, price: ListPrice) -> Result<()> {
        let number = self.count;
        self.count += 1;
        let pointer = self.pointer(number);
        self.unacceptable.check(&pointer, NewPrice::from(price.clone()).checked(self.now));
        self.unacceptable.check(&pointer, price.check_source());
        let begin = price.effective_from.map(to_the_microsecond);
        let key = print(&(&price.model, &price.provider, begin))?;
        let whole = print(&price)?;
        let (first, same) = *self.first.entry(key).or_insert((number, whole));
        if same != whole {
            let first = self.pointer(first);
            let message = format!("begins with {first}, which is another price of the same key");
            self.contradictory.add(FieldError { pointer, code: "duplicate", message });
        }
        (self.keep)(price);
        Ok(())
    }

    /// Nothing wrong, or everything that is.
    pub(super) fn finish(self) -> Result<()> {
        self.faulty.and(self.unacceptable).and(self.contradictory).finish()
    }
}

fn print<T: Serialize>(what: &T) -> Result<Print> {
    let text = serde_json::to_vec(what).map_err(Error::internal)?;
    let mut print = Print::default();
    print.copy_from_slice(&Sha256::digest(&text)[..size_of::<Print>()]);
    Ok(print)
}
