//! The simulation: the decisions and batches of production (`service::meter::round`) against a simulated database and clock. Two
//! to five instances work on it; they crash at any await, replies are lost before and after commits, connections die and the
//! database notices later, clients repeat themselves to whichever instance, settle and void too late or too early,
//! administrators change, revoke, reset and restore in between, the clock passes the ends of windows and steps back, and it jumps by
//! minutes, hours and years, both ways.
//! Everything is drawn from one seed. After every step the invariants I1 to I9 must hold, and every answer must be the
//! one that naive rules give. What the broken variants do ([`flaw`]) must be noticed.
//!
//! `SIM_SEED=4711 cargo test --package tests --test sim promises` runs one seed; whichever fails shows its last steps.
//! `SIM_SEEDS=100000` runs so many instead of 2,000, with `-- --nocapture` to see what happened in them.

mod admin;
mod check;
mod clocks;
mod crowd;
mod dice;
mod expect;
mod flaw;
mod instance;
mod judge;
mod naive;
mod names;
mod outcome;
mod policy;
mod run;
mod stand;
mod store;
mod town;
mod world;

use check::Invariant::{self, *};
use flaw::Flaw;
use run::{Failure, Seen, run};
use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Instant,
};

/// Seeds that a change must pass.
const SEEDS: u64 = 2000;
/// Seeds within which a flaw must be noticed.
const NOTICED: u64 = 300;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// Runs seeds on every processor.
fn every(seeds: u64) -> Result<Seen, Box<Failure>> {
    let (next, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let work = || -> Result<Seen, Box<Failure>> {
        let mut seen = Seen::default();
        while !over.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                break;
            }
            seen += run(seed, Flaw::Nothing).inspect_err(|_| over.store(true, Ordering::Relaxed))?;
        }
        Ok(seen)
    };
    let processors = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..processors).map(|_| scope.spawn(work)).collect();
        let mut all = Seen::default();
        for thread in threads {
            all += thread.join().unwrap()?;
        }
        Ok(all)
    })
}

#[test]
fn promises_hold() {
    let begun = Instant::now();
    let seeds = number("SIM_SEEDS").unwrap_or(SEEDS);
    let outcome = match number("SIM_SEED") {
        Some(seed) => run(seed, Flaw::Nothing),
        None => every(seeds),
    };
    match outcome {
        Ok(seen) => {
            println!("{seeds} seeds in {:?}: {seen:?}", begun.elapsed());
            // A simulation in which nothing happens would hold every promise.
            assert!(
                [seen.granted, seen.denied, seen.settled, seen.judged, seen.calm]
                    .iter()
                    .all(|count| *count > 0)
            );
        }
        Err(failure) => panic!("{failure}"),
    }
}

/// The first seed that notices a flaw by one of the promises that it breaks. By chance another promise may notice it earlier.
fn notices(flaw: Flaw, broken: impl Fn(Invariant) -> bool) -> Option<u64> {
    (0..NOTICED).find(|seed| run(*seed, flaw).is_err_and(|failure| broken(failure.violation.invariant)))
}

macro_rules! flaws {
    ($($name:ident $flaw:ident: $($invariant:ident)|+;)*) => {
        mod noticed {
            use super::*;
            $(#[test]
            fn $name() {
                let seed = notices(Flaw::$flaw, |invariant| matches!(invariant, $($invariant)|+));
                println!("{:?} is noticed at seed {seed:?}", Flaw::$flaw);
                assert!(seed.is_some(), "the flaw is not noticed by what it breaks");
            })*
        }
    };
}

flaws! {
    no_lock NoLock: I1 | I2 | I3 | I5 | I6 | Time;
    no_dedup NoDedup: I2 | I6;
    settled_again SettledAgain: I6 | I3 | I7;
    tombstone_missing TombstoneMissing: I6;
    wrong_window WrongWindow: I2 | I3 | I6;
    log_ignored LogIgnored: I1 | I5 | I6 | I8;
    policy_before_lock PolicyBeforeLock: I1 | I5 | I6 | I8;
    restore_unnoticed RestoreUnnoticed: I1 | I5 | I6 | I8 | I9;
    start_unnoticed StartUnnoticed: I1 | I5 | I6 | I8 | I9;
    released_twice ReleasedTwice: I2;
    released_at_once ReleasedAtOnce: I2;
    release_forgotten ReleaseForgotten: I5 | I9;
    clock_before_lock ClockBeforeLock: Time;
    last_time_ignored LastTimeIgnored: Time;
    denial_consumes DenialConsumes: I4;
    held_not_returned HeldNotReturned: I2;
    commit_lost CommitLost: I6;
    left_open LeftOpen: I6;
    not_atomic NotAtomic: I2 | I3;
    overrun_dropped OverrunDropped: I3 | I6;
    attempt_dropped AttemptDropped: I7;
    unknown_free UnknownFree: I6;
    clock_never_back ClockNeverBack: Time;
    calls_left_ahead CallsLeftAhead: Time | I6 | I2;
    step_unnoted StepUnnoted: Time;
    pruned_by_wrong_clock PrunedByWrongClock: I3;
    alias_ignored AliasIgnored: I1 | I5 | I6 | I8;
    mapping_ignored MappingIgnored: I1 | I5 | I6 | I8;
    disabled_alias_leads DisabledAliasLeads: I1 | I5 | I6 | I8;
    disabled_mapping_leads DisabledMappingLeads: I1 | I5 | I6 | I8;
}
