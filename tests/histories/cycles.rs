//! Whether a history of transactions that append to lists is strictly serializable: a list shows in which order
//! it was written, so that every dependency is known, and an order exists if they make no cycle. After Elle.

use std::collections::{BTreeMap, HashMap, HashSet};

pub type Key = u64;

/// A transaction that committed. Numbers that it appended are appended by nobody else.
#[derive(Clone, Debug, Default)]
pub struct Transaction {
    pub begun: u64,
    pub returned: u64,
    /// The lists that it found, without what it appended itself. A key that a scan did not show is empty.
    pub reads: BTreeMap<Key, Vec<u64>>,
    pub appends: Vec<(Key, u64)>,
}

/// Why one transaction comes before another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Why {
    /// The other one appended next.
    Writes,
    /// The other one has read what it appended.
    IsReadBy,
    /// It has not read what the other one appended.
    ReadsBefore,
    /// It had returned when the other one began.
    Time,
}

/// An error for a history that no order of its transactions explains. The last reader has to have read all
/// lists after everything.
pub fn check(history: &[Transaction]) -> Result<(), String> {
    let mut writers = HashMap::new();
    for (number, transaction) in history.iter().enumerate() {
        for (key, element) in &transaction.appends {
            writers.insert((*key, *element), number);
        }
    }
    let orders = orders(history)?;
    for (key, element) in writers.keys() {
        if !orders.get(key).is_some_and(|order| order.contains(element)) {
            return Err(format!("{element} was appended to {key} and is lost"));
        }
    }
    let writer = |key: Key, element: u64| {
        let unknown = || format!("{element} in {key} was appended by no transaction that committed");
        writers.get(&(key, element)).copied().ok_or_else(unknown)
    };
    let mut edges: Vec<Vec<(usize, Why)>> = vec![Vec::new(); history.len()];
    let mut add = |from: usize, to: usize, why: Why| {
        if from != to {
            edges[from].push((to, why));
        }
    };
    for (key, order) in &orders {
        for pair in order.windows(2) {
            add(writer(*key, pair[0])?, writer(*key, pair[1])?, Why::Writes);
        }
    }
    for (number, transaction) in history.iter().enumerate() {
        for (key, read) in &transaction.reads {
            if let Some(last) = read.last() {
                add(writer(*key, *last)?, number, Why::IsReadBy);
            }
            if let Some(next) = orders.get(key).and_then(|order| order.get(read.len())) {
                add(number, writer(*key, *next)?, Why::ReadsBefore);
            }
        }
        for (other, later) in history.iter().enumerate() {
            if transaction.returned < later.begun {
                add(number, other, Why::Time);
            }
        }
    }
    match cycle(&edges) {
        None => Ok(()),
        Some(cycle) => {
            let text = cycle.iter().map(|(number, why)| format!("\n  {:?}, {why:?}:", history[*number]));
            Err(format!("a cycle:{}", text.collect::<String>()))
        }
    }
}

/// The longest list that was read of each key. An error where another one is not a beginning of it.
fn orders(history: &[Transaction]) -> Result<BTreeMap<Key, Vec<u64>>, String> {
    let mut orders: BTreeMap<Key, Vec<u64>> = BTreeMap::new();
    let reads = || history.iter().flat_map(|transaction| &transaction.reads);
    for (key, read) in reads() {
        let longest = orders.entry(*key).or_default();
        if read.len() > longest.len() {
            longest.clone_from(read);
        }
    }
    for (key, read) in reads() {
        if !orders[key].starts_with(read) {
            return Err(format!("{key} was {read:?}, and {:?}", orders[key]));
        }
    }
    for (key, order) in &orders {
        if order.iter().collect::<HashSet<_>>().len() != order.len() {
            return Err(format!("{key} has an element twice: {order:?}"));
        }
    }
    Ok(orders)
}

/// A cycle, if there is one: its nodes, each with why it comes before the next.
fn cycle(edges: &[Vec<(usize, Why)>]) -> Option<Vec<(usize, Why)>> {
    let mut done = vec![false; edges.len()];
    for first in 0..edges.len() {
        let mut place = HashMap::new();
        // A node, the edge to look at next, and why the next one follows.
        let mut path: Vec<(usize, usize, Why)> = Vec::new();
        if !done[first] {
            place.insert(first, 0);
            path.push((first, 0, Why::Time));
        }
        while let Some((node, next, why)) = path.last_mut() {
            let Some(&(to, reason)) = edges[*node].get(*next) else {
                done[*node] = true;
                place.remove(node);
                path.pop();
                continue;
            };
            *next += 1;
            *why = reason;
            if let Some(start) = place.get(&to) {
                return Some(path[*start..].iter().map(|(node, _, why)| (*node, *why)).collect());
            }
            if !done[to] {
                place.insert(to, path.len());
                path.push((to, 0, Why::Time));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(at: (u64, u64), reads: &[(Key, &[u64])], appends: &[(Key, u64)]) -> Transaction {
        let reads = reads.iter().map(|(key, read)| (*key, read.to_vec())).collect();
        Transaction { begun: at.0, returned: at.1, reads, appends: appends.to_vec() }
    }

    #[test]
    fn what_happened_one_after_the_other_passes() {
        check(&[
            one((1, 2), &[(1, &[])], &[(1, 10)]),
            one((3, 6), &[(1, &[10]), (2, &[])], &[(1, 11), (2, 20)]),
            one((4, 5), &[(1, &[10]), (2, &[])], &[]),
            one((7, 8), &[(1, &[10, 11]), (2, &[20])], &[]),
        ])
        .unwrap();
    }

    #[test]
    fn a_lost_update_is_refused() {
        let history = [
            one((1, 3), &[(1, &[])], &[(1, 10)]),
            one((2, 4), &[(1, &[])], &[(1, 11)]),
            one((5, 6), &[(1, &[11])], &[]),
        ];
        assert!(check(&history).unwrap_err().contains("lost"));
    }

    #[test]
    fn write_skew_is_refused() {
        let history = [
            one((1, 3), &[(1, &[]), (2, &[])], &[(1, 10)]),
            one((2, 4), &[(1, &[]), (2, &[])], &[(2, 20)]),
            one((5, 6), &[(1, &[10]), (2, &[20])], &[]),
        ];
        assert!(check(&history).unwrap_err().contains("cycle"));
    }

    #[test]
    fn a_phantom_is_refused() {
        // Each has scanned 1 to 3 and found nothing; the keys that they wrote were not there.
        let scan: &[(Key, &[u64])] = &[(1, &[]), (2, &[]), (3, &[])];
        let history = [
            one((1, 3), scan, &[(1, 10)]),
            one((2, 4), scan, &[(3, 30)]),
            one((5, 6), &[(1, &[10]), (2, &[]), (3, &[30])], &[]),
        ];
        assert!(check(&history).unwrap_err().contains("cycle"));
    }

    #[test]
    fn a_stale_read_is_refused() {
        let history = [
            one((1, 2), &[(1, &[])], &[(1, 10)]),
            one((3, 4), &[(1, &[])], &[]),
            one((5, 6), &[(1, &[10])], &[]),
        ];
        assert!(check(&history).unwrap_err().contains("cycle"));
    }

    #[test]
    fn half_of_a_commit_is_refused() {
        let history = [
            one((1, 4), &[(1, &[]), (2, &[])], &[(1, 10), (2, 20)]),
            one((2, 3), &[(1, &[10]), (2, &[])], &[]),
            one((5, 6), &[(1, &[10]), (2, &[20])], &[]),
        ];
        assert!(check(&history).unwrap_err().contains("cycle"));
    }

    #[test]
    fn what_was_rolled_back_may_not_be_read() {
        let history = [one((1, 2), &[(1, &[99])], &[])];
        assert!(check(&history).unwrap_err().contains("by no transaction"));
    }
}
