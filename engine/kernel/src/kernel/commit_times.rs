//! When commits were made, for as long as versions are kept.
//!
//! Times are whole milliseconds: of the commits of one only the newest is remembered, so that a second takes a thousand entries
//! at most. They never go back, whatever the clock does.

use std::collections::VecDeque;

use crate::ids::Ts;
use crate::planted::planted;

/// Commits with the millisecond that each was made in, both ascending.
#[derive(Debug, Default)]
pub struct CommitTimes(VecDeque<(i64, Ts)>);

impl CommitTimes {
    /// The commit `ts`, newer than all before, was made at `at_us`. Of those that are older than `kept_us` now only the newest
    /// stays.
    pub fn note(&mut self, ts: Ts, at_us: i64, kept_us: i64) {
        let mut at_ms = at_us.div_euclid(1_000);
        if let Some((last_ms, last)) = self.0.back_mut() {
            at_ms = at_ms.max(*last_ms);
            if *last_ms == at_ms {
                *last = ts.max(*last);
                return;
            }
            if ts <= *last {
                return;
            }
        }
        self.0.push_back((at_ms, ts));
        let kept_from = at_us.saturating_sub(kept_us).div_euclid(1_000);
        while self
            .0
            .get(1)
            .is_some_and(|(second_ms, _)| *second_ms <= kept_from)
        {
            self.0.pop_front();
        }
    }

    /// The newest commit that was made in the millisecond of `at_us` or before; `None` when that is no longer known.
    pub fn newest_at(&self, at_us: i64) -> Option<Ts> {
        let at_ms = at_us.div_euclid(1_000);
        let behind = self
            .0
            .partition_point(|(made_ms, _)| match planted!("time-off-by-one") {
                true => *made_ms <= at_ms.saturating_add(1),
                false => *made_ms <= at_ms,
            });
        Some(self.0.get(behind.checked_sub(1)?)?.1)
    }

    /// The oldest time for which [`CommitTimes::newest_at`] knows a commit.
    pub fn oldest_us(&self) -> Option<i64> {
        self.0.front().map(|(made_ms, _)| made_ms * 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_commit_of_a_millisecond_stands_for_it() {
        let mut times = CommitTimes::default();
        for (ts, at_us) in [
            (1, 1_000),
            (2, 1_400),
            (3, 1_999),
            (4, 3_000),
            (5, 2_000),
            (6, 9_500),
        ] {
            times.note(Ts(ts), at_us, i64::MAX);
        }
        let found = |at_us| times.newest_at(at_us).map(|ts| ts.0);
        assert_eq!(found(999), None);
        assert_eq!(found(1_000), Some(3));
        assert_eq!(found(2_999), Some(3));
        assert_eq!(found(3_000), Some(5), "a clock that went back");
        assert_eq!(found(9_499), Some(6), "of the millisecond");
        assert_eq!(found(8_999), Some(5));
        assert_eq!(found(i64::MAX), Some(6));
        assert_eq!(times.oldest_us(), Some(1_000));
    }

    #[test]
    fn what_is_older_than_it_is_kept_goes_but_for_the_newest_of_it() {
        let mut times = CommitTimes::default();
        for second in 0..10 {
            times.note(Ts(second), second as i64 * 1_000_000, 3_000_000);
        }
        assert_eq!(times.newest_at(6_000_000), Some(Ts(6)));
        assert_eq!(times.newest_at(5_999_999), None);
        let mut none = CommitTimes::default();
        none.note(Ts(1), 5, 0);
        none.note(Ts(2), 1_000_005, 0);
        assert_eq!(none.newest_at(1_000_005), Some(Ts(2)));
        assert_eq!(none.newest_at(999_000), None);
    }
}
