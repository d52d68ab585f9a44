//! The steps of a life that change more than a key, or rest on what is there: batches with deleted ranges and
//! expiries, transactions, updates of one key.

use tinystoredb::{Batch, Durability, Error, Expected, ValueType, WriteOptions};

use super::life::Life;
use super::model::{Change, Content};
use super::oracle::{Check, Violation};

/// A change among several.
#[derive(Clone, Debug)]
pub enum Part {
    Put {
        key: Vec<u8>,
        size: usize,
        expiry: Option<i64>,
    },
    Delete(Vec<u8>),
    /// An empty end is none.
    DeleteRange(Vec<u8>, Vec<u8>),
}

/// A change that rests on what the key has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Update {
    Swap,
    Take,
    Append,
    Increment,
    Expire,
    PutIfAbsent,
}

impl Update {
    pub const ALL: [Update; 6] =
        [Update::Swap, Update::Take, Update::Append, Update::Increment, Update::Expire, Update::PutIfAbsent];
}

/// The keys of `content` from `from` on and before `to`.
fn keys_of_range(content: &Content, from: &[u8], to: &[u8]) -> Vec<Vec<u8>> {
    let behind =
        content.entries.range::<[u8], _>((std::ops::Bound::Included(from), std::ops::Bound::Unbounded));
    let keys = behind.map(|(key, _)| key).take_while(|key| to.is_empty() || key.as_slice() < to);
    keys.cloned().collect()
}

fn deletion(key: Vec<u8>) -> Change {
    Change { key, value: None, expiry: None }
}

fn wrong(text: String) -> Violation {
    Violation::new(Check::Live, text)
}

impl Life {
    /// What the parts do, key by key, to what the store has; and the same with a value for each put.
    fn resolve(&mut self, parts: &[Part]) -> (Vec<Change>, Vec<(Part, Vec<u8>)>) {
        let mut content = self.content.clone();
        let (mut changes, mut valued) = (Vec::new(), Vec::new());
        for part in parts {
            let mut value = Vec::new();
            let done = match part {
                Part::Put { key, size, expiry } => {
                    value = self.value(*size);
                    vec![Change { key: key.clone(), value: Some((0, value.clone())), expiry: *expiry }]
                }
                Part::Delete(key) if !content.entries.contains_key(key) => Vec::new(),
                Part::Delete(key) => vec![deletion(key.clone())],
                Part::DeleteRange(from, to) => {
                    keys_of_range(&content, from, to).into_iter().map(deletion).collect()
                }
            };
            content.apply(&done);
            changes.extend(done);
            valued.push((part.clone(), value));
        }
        (changes, valued)
    }

    pub(super) fn parts(&mut self, parts: &[Part], durability: Durability) -> Result<(), Violation> {
        let (changes, valued) = self.resolve(parts);
        let mut batch = Batch::new();
        for (part, value) in &valued {
            match part {
                Part::Put { key, expiry, .. } => batch.put_with(key, value, ValueType::Bytes, *expiry),
                Part::Delete(key) => batch.delete(key),
                Part::DeleteRange(from, to) => batch.delete_range(from, to),
            }
            .map_err(Violation::live)?;
        }
        let waits = self.waits(durability);
        self.commit(&changes, waits, |store| store.write(&batch, durability))?;
        Ok(())
    }

    pub(super) fn transaction(
        &mut self,
        reads: &[u8],
        meets: bool,
        parts: &[Part],
        durability: Durability,
    ) -> Result<(), Violation> {
        if self.poisoned {
            // What waited for the failed sync is in nobody's snapshot.
            return Ok(());
        }
        let transaction = self.store().begin().map_err(Violation::live)?;
        transaction.exists(reads).map_err(Violation::live)?;
        let (changes, valued) = self.resolve(parts);
        for (part, value) in &valued {
            match part {
                Part::Put { key, expiry, .. } => {
                    let options = WriteOptions { expires_at: *expiry, ..WriteOptions::default() };
                    transaction.put_with(key, value, options)
                }
                Part::Delete(key) => transaction.delete(key).map(|_| ()),
                Part::DeleteRange(from, to) => transaction.delete_range(from, to).map(|_| ()),
            }
            .map_err(Violation::live)?;
        }
        let writes = !changes.is_empty();
        if meets {
            let change = self.change(reads, Some((0, 40)));
            let commits = self.history.last().commits();
            self.put(&change, durability)?;
            if self.history.last().commits() == commits || self.poisoned {
                return transaction.roll_back().map_err(Violation::live);
            }
            return match transaction.commit(durability) {
                Err(Error::Conflict) if writes => Ok(()),
                Ok(()) if !writes => Ok(()),
                outcome => Err(wrong(format!("{outcome:?} though a key was changed that it read"))),
            };
        }
        if !writes {
            return transaction.commit(durability).map_err(Violation::live);
        }
        let waits = self.waits(durability);
        self.commit(&changes, waits, |_| transaction.commit(durability))?;
        Ok(())
    }

    pub(super) fn delete_range(&mut self, from: &[u8], to: &[u8]) -> Result<(), Violation> {
        let keys = keys_of_range(&self.content, from, to);
        let count = keys.len() as u64;
        if count == 0 {
            return match self.store().delete_range(from, to) {
                Ok(0) => Ok(()),
                Ok(count) => Err(wrong(format!("{count} keys of an empty range were deleted"))),
                Err(_) if self.poisoned => Ok(()),
                Err(Error::Io { .. }) if self.fault => {
                    self.poisoned = true;
                    Ok(())
                }
                Err(error) => Err(Violation::live(error)),
            };
        }
        let changes: Vec<_> = keys.into_iter().map(deletion).collect();
        let (waits, mut answer) = (self.waits(Durability::Default), None);
        let done = self.commit(&changes, waits, |store| {
            answer = Some(store.delete_range(from, to)?);
            Ok(())
        })?;
        match answer {
            Some(found) if done && found != count => Err(wrong(format!("{found} of {count} were deleted"))),
            _ => Ok(()),
        }
    }

    pub(super) fn update(
        &mut self,
        key: &[u8],
        update: Update,
        durability: Durability,
    ) -> Result<(), Violation> {
        if self.poisoned {
            return Ok(());
        }
        let before = self.store().get(key).map_err(Violation::live)?;
        let before = before.map(|value| (value.value_type() as u8, value.to_vec()));
        let expiry = self.store().expiry(key).map_err(Violation::live)?.flatten();
        let integer =
            |value: &(u8, Vec<u8>)| <[u8; 8]>::try_from(value.1.as_slice()).ok().filter(|_| value.0 == 2);
        let fresh = self.value(40);
        let later = expiry.unwrap_or(0) + 1;
        // An operation that the key's value allows, and that writes.
        let (update, value, expiry) = match (update, &before) {
            (Update::PutIfAbsent, None) => (update, Some((0, fresh.clone())), Some(later)),
            (Update::Increment, before) if before.as_ref().is_none_or(|value| integer(value).is_some()) => {
                let sum = before.as_ref().and_then(integer).map_or(0, i64::from_le_bytes) + 7;
                (update, Some((2, sum.to_le_bytes().to_vec())), expiry)
            }
            (Update::Take, Some(_)) => (update, None, None),
            (Update::Expire, Some(value)) => (update, Some(value.clone()), Some(later)),
            (Update::Append, Some((0, bytes))) if bytes.len() < 2000 => {
                (update, Some((0, [bytes.as_slice(), &fresh].concat())), expiry)
            }
            _ => (Update::Swap, Some((0, fresh.clone())), None),
        };
        let change = Change { key: key.to_vec(), value, expiry };
        let options = WriteOptions { durability, expires_at: expiry, ..WriteOptions::default() };
        let with_options = matches!(update, Update::Swap | Update::PutIfAbsent);
        let waits = self.waits(if with_options { durability } else { Durability::Default });
        let mut did = true;
        let done = self.commit(std::slice::from_ref(&change), waits, |store| {
            did = match update {
                Update::PutIfAbsent => store.put_if_absent(key, &fresh, options)?,
                Update::Increment => store.increment_i64(key, 7).map(|_| true)?,
                Update::Take => store.take(key)?.is_some(),
                Update::Expire => store.expire(key, expiry)?,
                Update::Append => store.append(key, &fresh).map(|_| true)?,
                Update::Swap => {
                    let expected =
                        before.as_ref().map_or(Expected::Absent, |(_, bytes)| Expected::Value(bytes));
                    store.compare_and_swap(key, expected, Some(&fresh), options)?
                }
            };
            Ok(())
        })?;
        if done && !did {
            return Err(wrong(format!("{update:?} of {key:?} did nothing, and had to")));
        }
        let read = self.store().get(key).map_err(Violation::live)?;
        let read = read.map(|value| (value.value_type() as u8, value.to_vec()));
        if done && read != change.value {
            return Err(wrong(format!("{update:?} of {key:?} is not what is read")));
        }
        Ok(())
    }
}
