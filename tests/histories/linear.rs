//! Whether a history of one key is linearizable: Wing and Gong's search, remembering where it has been.

use std::collections::HashSet;

use super::place::NEVER;

/// What was done to the key, and what it answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    Get(Option<i64>),
    Put(i64),
    Delete(bool),
    Take(Option<i64>),
    /// From one value, or none, to another, or none; whether it did.
    Cas(Option<i64>, Option<i64>, bool),
    /// By so much, to the sum that it answered.
    Increment(i64, i64),
}

/// One call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub begun: u64,
    /// [`NEVER`] where nobody knows whether it happened.
    pub returned: u64,
    pub action: Action,
}

impl Action {
    /// What the key has after it, if it may happen to `state` with this answer; with `unknown`, with any.
    fn apply(self, state: Option<i64>, unknown: bool) -> Option<Option<i64>> {
        let (matches, after) = match self {
            Action::Get(found) => (found == state, state),
            Action::Put(value) => (true, Some(value)),
            Action::Delete(there) => (there == state.is_some(), None),
            Action::Take(found) => (found == state, None),
            Action::Cas(expected, new, done) => {
                let after = if expected == state { new } else { state };
                (done == (expected == state), after)
            }
            Action::Increment(delta, sum) => {
                let after = state.unwrap_or(0) + delta;
                (after == sum, Some(after))
            }
        };
        (matches || unknown).then_some(after)
    }
}

/// An error that says how far an order could be found, where there is none for all calls.
pub fn check(first: Option<i64>, calls: &[Call]) -> Result<(), String> {
    let mut calls = calls.to_vec();
    calls.sort_by_key(|call| call.begun);
    let mut been = HashSet::new();
    let mut stack = vec![(vec![0u64; calls.len().div_ceil(64)], first)];
    let is_done = |done: &[u64], index: usize| done[index / 64] >> (index % 64) & 1 == 1;
    let mut most = 0;
    while let Some((done, state)) = stack.pop() {
        let open = || calls.iter().enumerate().filter(|(index, _)| !is_done(&done, *index));
        let Some(until) = open().map(|(_, call)| call.returned).filter(|at| *at != NEVER).min() else {
            return Ok(());
        };
        most = most.max(calls.len() - open().count());
        for (index, call) in open().take_while(|(_, call)| call.begun < until) {
            if let Some(after) = call.action.apply(state, call.returned == NEVER) {
                let mut next = done.clone();
                next[index / 64] |= 1 << (index % 64);
                if been.insert((next.clone(), after)) {
                    stack.push((next, after));
                }
            }
        }
    }
    let from = most.saturating_sub(6).min(calls.len());
    Err(format!("no order of these {} calls; {most} fit. Near there: {:?}", calls.len(), &calls[from..]))
}

#[cfg(test)]
mod tests {
    use super::Action::*;
    use super::*;

    fn calls(of: &[(u64, u64, Action)]) -> Vec<Call> {
        of.iter().map(|&(begun, returned, action)| Call { begun, returned, action }).collect()
    }

    #[test]
    fn what_overlaps_may_have_happened_in_any_order() {
        let history = calls(&[(1, 4, Put(1)), (2, 5, Get(None)), (3, 6, Get(Some(1))), (7, 8, Delete(true))]);
        check(None, &history).unwrap();
    }

    #[test]
    fn a_stale_read_is_refused() {
        let history = calls(&[(1, 2, Put(1)), (3, 4, Put(2)), (5, 6, Get(Some(1)))]);
        assert!(check(None, &history).is_err());
        let history = calls(&[(1, 8, Put(1)), (2, 3, Get(Some(1))), (4, 5, Get(None))]);
        assert!(check(None, &history).is_err(), "what was seen is not unseen");
    }

    #[test]
    fn a_lost_update_is_refused() {
        let history = calls(&[(1, 3, Increment(1, 1)), (2, 4, Increment(1, 1))]);
        assert!(check(Some(0), &history).is_err());
        let history = calls(&[(1, 3, Cas(Some(0), Some(1), true)), (2, 4, Cas(Some(0), Some(2), true))]);
        assert!(check(Some(0), &history).is_err());
        let history = calls(&[(1, 3, Take(Some(5))), (2, 4, Take(Some(5)))]);
        assert!(check(Some(5), &history).is_err());
    }

    #[test]
    fn what_nobody_knows_may_have_happened_or_not_but_not_both() {
        let unknown = (1, NEVER, Put(1));
        check(None, &calls(&[unknown, (2, 3, Get(None))])).unwrap();
        check(None, &calls(&[unknown, (2, 3, Get(Some(1)))])).unwrap();
        let both = calls(&[unknown, (2, 3, Get(Some(1))), (4, 5, Get(None))]);
        assert!(check(None, &both).is_err());
    }
}
