//! What is sealed opens in its place, unchanged, and nowhere else.

use super::{Place, cipher, display, places::SealedColumn};
use crate::secrets::Key32;
use entity::id::{DataKeyId, OrganizationId};
use proptest::prelude::*;
use uuid::Uuid;

const NAMES: [&str; 6] = ["credential", "secret", "proxy_entry", "login", "credentialsecret", ""];

/// A place, and the data key beside it.
type Where = (u128, usize, Vec<u8>, usize, u128);

fn bound((organization, table, row, column, key): &Where) -> Vec<u8> {
    let organization = OrganizationId::new(Uuid::from_u128(*organization));
    let place = Place { organization, table: NAMES[*table], row, column: NAMES[*column] };
    place.bound_to(DataKeyId::new(Uuid::from_u128(*key)))
}

/// Few of each, so that places differ in one part often.
fn anywhere() -> impl Strategy<Value = Where> {
    let bytes = prop::collection::vec(0u8..2, 0..4);
    (0u128..2, 0..NAMES.len(), bytes, 0..NAMES.len(), 0u128..2)
}

proptest! {
    #[test]
    fn what_is_sealed_opens_where_it_was_sealed_and_nowhere_else(
        here in anywhere(), there in anywhere(), key: [u8; 32], nonce: [u8; 24], plain: Vec<u8>,
    ) {
        let key = Key32::new(key);
        let sealed = cipher::seal(&key, nonce, &bound(&here), &plain).unwrap();
        let opened = cipher::open(&key, &bound(&here), &sealed);
        prop_assert_eq!(opened.as_deref(), Some(&plain));
        let moved = cipher::open(&key, &bound(&there), &sealed);
        prop_assert_eq!(moved.is_some(), here == there);
    }

    #[test]
    fn what_was_changed_does_not_open(
        key: [u8; 32], plain: Vec<u8>, at: prop::sample::Index, change in 1u8.., cut: prop::sample::Index,
    ) {
        let key = Key32::new(key);
        let mut sealed = cipher::seal(&key, [7; 24], b"here", &plain).unwrap();
        let short = entity::secret::Sealed(sealed.0[..cut.index(sealed.0.len())].to_vec());
        prop_assert!(cipher::open(&key, b"here", &short).is_none());
        let at = at.index(sealed.0.len());
        sealed.0[at] ^= change;
        prop_assert!(cipher::open(&key, b"here", &sealed).is_none(), "byte {}", at);
    }

    #[test]
    fn another_key_does_not_open_it(key: [u8; 32], other: [u8; 32], plain: Vec<u8>) {
        prop_assume!(key != other);
        let sealed = cipher::seal(&Key32::new(key), [7; 24], b"here", &plain).unwrap();
        prop_assert!(cipher::open(&Key32::new(other), b"here", &sealed).is_none());
    }

    #[test]
    fn what_is_shown_of_a_secret_is_little_of_it(secret in "\\PC{0,60}") {
        let shown = display(&secret);
        let count = secret.chars().count();
        if count < 20 {
            prop_assert_eq!(shown, "********");
        } else {
            prop_assert_eq!(shown.chars().count(), 8 + 3 + 4);
            prop_assert!(secret.chars().take(8).eq(shown.chars().take(8)));
        }
    }
}

#[test]
fn the_same_is_sealed_differently_under_another_nonce() {
    let key = Key32::new([1; 32]);
    let seal = |nonce| cipher::seal(&key, [nonce; 24], b"here", b"secret").unwrap();
    assert!(seal(1) != seal(2));
}

#[test]
fn a_value_has_one_of_the_known_places() {
    let organization = OrganizationId::PLATFORM;
    let known = |table, column| SealedColumn::of(&Place { organization, table, row: b"", column }).is_some();
    assert!(known("credential", "secret") && known("idempotency_record", "reply"));
    assert!(!known("credential", "login") && !known("virtual_key", "secret"));
    let tenant = OrganizationId::new(Uuid::from_u128(1));
    assert_eq!(SealedColumn::of_organization(tenant).count(), 4);
    assert_eq!(SealedColumn::of_organization(organization).count(), 5);
}
