//! [`Memory`]: the blocks that passwords are hashed in. As many are kept as were ever in use at a time, which the number
//! of workers bounds. Were they freed, each thread's part of the heap would keep some 19 MiB of them.

use argon2::{Block, Params};
use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::{Mutex, PoisonError},
};
use zeroize::Zeroize;

/// Memory that is not in use. What it held has been wiped.
#[derive(Default)]
pub(super) struct Memory(Mutex<Vec<Vec<Block>>>);

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}

/// Memory in use; it is wiped and given back when this is dropped, even by a panic.
pub(super) struct Lent<'m> {
    memory: &'m Memory,
    blocks: Vec<Block>,
}

impl Memory {
    /// At least this many blocks.
    pub(super) fn lend(&self, count: usize) -> Lent<'_> {
        let mut blocks = self.idle().pop().unwrap_or_default();
        if blocks.len() < count {
            // Growing would copy what is there, which is nothing.
            blocks = vec![Block::new(); count];
        }
        Lent { memory: self, blocks }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Vec<Block>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocks that are not in use.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.idle().iter().map(Vec::len).sum()
    }
}

impl AsMut<[Block]> for Lent<'_> {
    fn as_mut(&mut self) -> &mut [Block] {
        &mut self.blocks
    }
}

impl Deref for Lent<'_> {
    type Target = [Block];
    fn deref(&self) -> &[Block] {
        &self.blocks
    }
}

impl DerefMut for Lent<'_> {
    fn deref_mut(&mut self) -> &mut [Block] {
        &mut self.blocks
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.blocks.iter_mut().for_each(Zeroize::zeroize);
        // A hash of other parameters may have asked for more than today's do: that much is not kept.
        if self.blocks.len() <= Params::DEFAULT.block_count() {
            self.memory.idle().push(std::mem::take(&mut self.blocks));
        }
    }
}
