//! [`Sharded`]: a map in pieces. A copy shares every piece with its original, and changing one entry copies one piece: so an
//! edit of a book of 100,000 prices costs some hundred pointers, and a caller that resolves with the book of before keeps it.

use std::{
    borrow::Borrow,
    collections::{HashMap, hash_map::RandomState},
    hash::{BuildHasher, Hash},
    sync::Arc,
};

/// Entries of one piece, on the average, at most.
const FULL: usize = 256;

type Piece<K, V> = HashMap<K, V, RandomState>;

/// A map in pieces.
#[derive(Debug, Clone)]
pub struct Sharded<K, V> {
    /// A power of two of them, or none.
    pieces: Vec<Arc<Piece<K, V>>>,
    hasher: RandomState,
    len: usize,
}

impl<K, V> Default for Sharded<K, V> {
    fn default() -> Self {
        Self { pieces: Vec::new(), hasher: RandomState::new(), len: 0 }
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Sharded<K, V> {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Every entry, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.pieces.iter().flat_map(|piece| piece.iter())
    }

    /// The value of a key.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.pieces.get(self.place(key))?.get(key)
    }

    /// The value of a key, to be changed.
    pub fn get_mut<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let place = self.place(key);
        // Looked up first: what is not there copies nothing.
        let piece = self.pieces.get_mut(place).filter(|piece| piece.contains_key(key))?;
        Arc::make_mut(piece).get_mut(key)
    }

    /// The value of a key, made if there is none, to be changed.
    pub fn entry(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        if self.get(&key).is_none() {
            self.insert(key.clone(), V::default());
        }
        let place = self.place(&key);
        self.piece(place).entry(key).or_default()
    }

    /// Puts a value in the place of a key's former one.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        if self.len >= self.pieces.len() * FULL {
            self.grow();
        }
        let place = self.place(&key);
        let former = self.piece(place).insert(key, value);
        self.len += usize::from(former.is_none());
        former
    }

    /// Takes a key out.
    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let place = self.place(key);
        let piece = self.pieces.get_mut(place).filter(|piece| piece.contains_key(key))?;
        let former = Arc::make_mut(piece).remove(key);
        self.len -= usize::from(former.is_some());
        former
    }

    /// The upper bits choose the piece, for the piece itself goes by the lower ones.
    fn place<Q: Hash + ?Sized>(&self, key: &Q) -> usize {
        let upper = self.hasher.hash_one(key) >> 32;
        usize::try_from(upper).unwrap_or_default() & self.pieces.len().saturating_sub(1)
    }

    fn piece(&mut self, place: usize) -> &mut Piece<K, V> {
        if self.pieces.len() <= place {
            let hasher = &self.hasher;
            self.pieces.resize_with(place + 1, || Arc::new(HashMap::with_hasher(hasher.clone())));
        }
        Arc::make_mut(&mut self.pieces[place])
    }

    /// Twice the pieces: this alone copies everything, and the more there is, the more rarely.
    fn grow(&mut self) {
        let pieces = (self.pieces.len() * 2).max(1);
        let old = std::mem::take(&mut self.pieces);
        let empty = || Arc::new(HashMap::with_hasher(self.hasher.clone()));
        self.pieces = std::iter::repeat_with(empty).take(pieces).collect();
        for piece in old {
            for (key, value) in Arc::unwrap_or_clone(piece) {
                let place = self.place(&key);
                self.piece(place).insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shared<K, V>(one: &Sharded<K, V>, other: &Sharded<K, V>) -> usize {
        one.pieces.iter().zip(&other.pieces).filter(|(one, other)| Arc::ptr_eq(one, other)).count()
    }

    #[test]
    fn edit_copies_one_piece_and_no_more() {
        let mut before = Sharded::<u32, u32>::default();
        for n in 0..100_000 {
            before.insert(n, n);
        }
        let pieces = before.pieces.len();
        assert!(pieces >= 100_000 / FULL);
        let largest = before.pieces.iter().map(|piece| piece.len()).max().unwrap();
        assert!(largest < FULL * 2, "the pieces are of one size: {largest}");
        for n in [0, 17, 99_999] {
            let mut after = before.clone();
            assert_eq!(after.insert(n, 7), Some(n));
            *after.get_mut(&n).unwrap() = 8;
            assert_eq!(shared(&before, &after), pieces - 1);
            assert_eq!((before.get(&n), after.get(&n)), (Some(&n), Some(&8)));
            assert_eq!(after.remove(&n), Some(8));
            assert_eq!((before.len(), after.len()), (100_000, 99_999));
        }
        let mut same = before.clone();
        assert_eq!((same.remove(&100_000), same.get_mut(&100_000)), (None, None));
        assert_eq!(shared(&before, &same), pieces, "what is not there copies nothing");
    }

    proptest! {
        #[test]
        fn it_is_a_map(edits in proptest::collection::vec((0u16..400, any::<Option<u8>>()), 0..1500)) {
            let (mut ours, mut plain) = (Sharded::default(), HashMap::new());
            for (key, value) in edits {
                match value {
                    Some(0) => *ours.entry(key) = *plain.entry(key).or_insert(0u8),
                    Some(value) => prop_assert_eq!(ours.insert(key, value), plain.insert(key, value)),
                    None => prop_assert_eq!(ours.remove(&key), plain.remove(&key)),
                }
                prop_assert_eq!(ours.len(), plain.len());
            }
            let all: HashMap<u16, u8> = ours.iter().map(|(key, value)| (*key, *value)).collect();
            prop_assert_eq!(all, plain);
        }
    }
}
