//! Hashes in reused memory are those of Argon2 itself, and nothing of them is left in it.

use super::*;
use argon2::{
    Block,
    password_hash::{PasswordHasher, PasswordVerifier},
};

const PHRASE: &[u8] = b"correct horse battery";

#[test]
fn a_hash_is_one_that_argon2_verifies() {
    let memory = Memory::default();
    let stored = hash(PHRASE, &memory).unwrap();
    let phc = PasswordHash::new(std::str::from_utf8(&stored.0).unwrap()).unwrap();
    assert!(phc.to_string().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
    assert!(Argon2::default().verify_password(PHRASE, &phc).is_ok());
    assert!(verify(PHRASE, &stored, &memory));
    assert!(!verify(b"correct horse", &stored, &memory));
}

#[test]
fn hashes_of_argon2_and_of_other_parameters_are_verified() {
    let memory = Memory::default();
    for (cost, passes) in [(8, 1), (19 * 1024, 2), (32 * 1024, 1)] {
        let argon2 = Argon2::from(Params::new(cost, passes, 1, None).unwrap());
        let stored = Sealed(argon2.hash_password(PHRASE).unwrap().to_string().into_bytes());
        assert!(verify(PHRASE, &stored, &memory), "m={cost}");
        assert!(!verify(b"", &stored, &memory), "m={cost}");
    }
    assert!(!verify(PHRASE, &Sealed(b"no hash".to_vec()), &memory));
}

#[test]
fn memory_is_wiped_and_used_again() {
    let memory = Memory::default();
    let first = hash(PHRASE, &memory).unwrap();
    let kept = memory.kept();
    assert_eq!(kept, Params::DEFAULT.block_count());
    for _ in 0..3 {
        assert!(verify(PHRASE, &first, &memory));
    }
    assert_eq!(memory.kept(), kept);
    let wiped = |block: &Block| block.as_ref().iter().all(|word| *word == 0);
    assert!(memory.lend(kept).iter().all(wiped));
}
