//! The clock of the simulated database: it goes, steps back, and jumps; and instances that look at it remove what is old.

use crate::{
    check::{Invariant, Verdict, hold},
    world::World,
};
use chrono::TimeDelta;
use service::{clock::watch, limit::window};

impl World {
    /// Lets time pass, or steps back.
    pub fn turn(&mut self, by: TimeDelta) {
        self.now += by;
        let now = self.now;
        self.since.values_mut().for_each(|since| *since = (*since).min(now));
        self.note(|| format!("the clock goes {by}, to {now}"));
    }

    /// The clock jumps: by minutes, hours or years, back or ahead; half of the time back to where it was.
    pub fn jump(&mut self) {
        let by = if self.ahead != TimeDelta::zero() && self.dice.one_in(2) {
            -self.ahead
        } else {
            let far = [TimeDelta::minutes(4), TimeDelta::hours(1), TimeDelta::days(100)][self.dice.below(3)];
            let by = far * i32::try_from(self.dice.between(1, 12)).unwrap();
            if self.dice.one_in(3) { -by } else { by }
        };
        self.ahead += by;
        self.drift += by;
        self.turn(by);
    }

    /// An instance looks at the clock, and removes what is old if it may: a window that is over. Whatever the clock says, no
    /// window may go that is not over by the right time.
    pub fn prune(&mut self, careless: bool) -> Verdict {
        // One that has just started has not seen the jump itself.
        let here = (!self.dice.one_in(3)).then_some(self.drift);
        let some = TimeDelta::minutes(5);
        // If as much time has passed as the clock has gone back, it cannot see that at all.
        let hidden = here.is_none() && (self.now - self.watch.seen_at).abs() <= some;
        let jump = watch::jump(Some(&self.watch), self.now, here);
        self.watch = watch::seen(Some(&self.watch), self.now, jump);
        // Some minutes are no jump, and a clock that has run for a day is believed.
        let drift = std::mem::take(&mut self.drift);
        if drift.abs() <= some {
            self.ahead -= drift;
        } else if !hidden {
            self.shaken = self.now;
        }
        if self.now - self.shaken >= TimeDelta::hours(24) {
            self.ahead = TimeDelta::zero();
        }
        if !careless && !watch::is_steady(Some(&self.watch), self.now) {
            return Ok(());
        }
        let right = self.now - self.ahead;
        for key in self.rows.windows.keys() {
            let end =
                self.policy.limits.get(&key.limit).and_then(|limit| window::end(limit.period, key.start));
            let Some(end) = end.filter(|end| *end <= self.now) else { continue };
            hold(end <= right, Invariant::I3, || {
                format!("{key:?} is removed at {right}, and ends at {end}")
            })?;
        }
        Ok(())
    }
}
