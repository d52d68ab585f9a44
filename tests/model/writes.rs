//! Every way to change a store outside of a transaction, and what it has to answer.

use tinystoredb::{Batch, Durability, Error, Expected, ValueType, WriteOptions};

use super::bench::{Bench, Outcome, live, same};
use super::map::{Change, Entry, Key, in_range};
use super::operation::{Expect, Operation, Part};

pub fn write_options(entry: &Entry, durability: Durability) -> WriteOptions {
    WriteOptions { value_type: entry.value_type, durability, expires_at: entry.expiry }
}

/// A few words that tell refusals apart.
fn refusal<T>(outcome: Result<T, Error>) -> Result<T, &'static str> {
    outcome.map_err(|error| match error {
        Error::WrongType { .. } => "wrong type",
        Error::Decode(_) => "decode",
        Error::Overflow => "overflow",
        Error::InvalidArgument(_) => "invalid",
        _ => "another error",
    })
}

impl Bench {
    /// What the store has of `key` now.
    pub fn now_at(&self, key: &[u8]) -> Option<Entry> {
        self.map.get(key, self.current()).cloned()
    }

    /// The store has acknowledged a commit of these.
    pub fn committed(&mut self, changes: &[Change], durability: Durability) -> Outcome {
        let last = self.store.stats().map_err(live)?.last_lsn;
        same("numbers for all operations", self.map.commit(changes, last), true)?;
        self.acknowledged(durability)
    }

    /// The answer of an operation on one key, which has to do `change` where there is one.
    fn update<T: PartialEq + std::fmt::Debug>(
        &mut self,
        found: Result<T, Error>,
        expected: Result<(T, Option<Change>), &'static str>,
        durability: Durability,
    ) -> Outcome {
        let found = refusal(found);
        match expected {
            Err(refused) => same("an answer", found, Err(refused)),
            Ok((answer, change)) => {
                same("an answer", found, Ok(answer))?;
                change.map_or(Ok(()), |change| self.committed(&[change], durability))
            }
        }
    }

    pub fn write(&mut self, operation: &Operation) -> Outcome {
        use Operation::*;
        match operation {
            Put(key, entry, durability) => {
                let key = key.key();
                let options = write_options(entry, *durability);
                self.store.put_with(&key, &entry.bytes, options).map_err(live)?;
                self.committed(&[Change::Put(key, entry.clone())], *durability)
            }
            Delete(key) => {
                let key = key.key();
                let there = self.now_at(&key).is_some();
                let change = there.then(|| Change::Delete(key.clone()));
                self.update(self.store.delete(&key), Ok((there, change)), Durability::Default)
            }
            DeleteRange(from, to) => self.delete_range(from.key(), to.key()),
            Batch(parts, durability) => self.batch(parts, *durability),
            Fill(from, count) => {
                let parts: Vec<_> = (from.0..from.0 + count)
                    .map(|key| {
                        let entry = Entry {
                            bytes: key.to_le_bytes().to_vec(),
                            value_type: ValueType::Bytes,
                            expiry: None,
                        };
                        Part::Put(super::operation::K(key), entry)
                    })
                    .collect();
                self.batch(&parts, Durability::Default)
            }
            Cas(key, expect, new, durability) => self.cas(key.key(), expect, new.as_ref(), *durability),
            PutIfAbsent(key, entry, durability) => {
                let key = key.key();
                let absent = self.now_at(&key).is_none();
                let change = absent.then(|| Change::Put(key.clone(), entry.clone()));
                let found = self.store.put_if_absent(&key, &entry.bytes, write_options(entry, *durability));
                self.update(found, Ok((absent, change)), *durability)
            }
            Take(key) => {
                let key = key.key();
                let before = self.now_at(&key);
                let change = before.as_ref().map(|_| Change::Delete(key.clone()));
                let before = before.map(|entry| (entry.value_type, entry.bytes));
                let found = self.store.take(&key);
                let found = found.map(|value| value.map(|value| (value.value_type(), value.to_vec())));
                self.update(found, Ok((before, change)), Durability::Default)
            }
            IncrementI64(key, delta) => {
                let key = key.key();
                let expected = self.sum(&key, ValueType::I64, |before| {
                    i64::from_le_bytes(before).checked_add(*delta).map(|sum| (sum, sum.to_le_bytes()))
                });
                self.update(self.store.increment_i64(&key, *delta), expected, Durability::Default)
            }
            IncrementU64(key, delta) => {
                let key = key.key();
                let expected = self.sum(&key, ValueType::U64, |before| {
                    u64::from_le_bytes(before).checked_add_signed(*delta).map(|sum| (sum, sum.to_le_bytes()))
                });
                self.update(self.store.increment_u64(&key, *delta), expected, Durability::Default)
            }
            Append(key, bytes) => {
                let key = key.key();
                let before = self.now_at(&key).unwrap_or(Entry {
                    bytes: Vec::new(),
                    value_type: ValueType::Bytes,
                    expiry: None,
                });
                let expected = match before.value_type {
                    ValueType::String if std::str::from_utf8(bytes).is_err() => Err("invalid"),
                    ValueType::Bytes | ValueType::String => {
                        let entry = Entry { bytes: [before.bytes, bytes.clone()].concat(), ..before };
                        Ok((entry.bytes.len() as u64, Some(Change::Put(key.clone(), entry))))
                    }
                    _ => Err("wrong type"),
                };
                self.update(self.store.append(&key, bytes), expected, Durability::Default)
            }
            Expire(key, expiry) => {
                let key = key.key();
                let expected = match self.now_at(&key) {
                    None => (false, None),
                    Some(before) if before.expiry == *expiry => (true, None),
                    Some(before) => {
                        let entry = Entry { expiry: *expiry, ..before };
                        (true, Some(Change::Put(key.clone(), entry)))
                    }
                };
                self.update(self.store.expire(&key, *expiry), Ok(expected), Durability::Default)
            }
            _ => Err("not a write".to_string()),
        }
    }

    fn sum<T>(
        &self,
        key: &Key,
        value_type: ValueType,
        add: impl FnOnce([u8; 8]) -> Option<(T, [u8; 8])>,
    ) -> Result<(T, Option<Change>), &'static str> {
        let before = self.now_at(key);
        let zero = Entry { bytes: vec![0; 8], value_type, expiry: None };
        let before = before.unwrap_or(zero);
        if before.value_type != value_type {
            return Err("wrong type");
        }
        let bytes = before.bytes.try_into().map_err(|_| "decode")?;
        let (sum, bytes) = add(bytes).ok_or("overflow")?;
        let entry = Entry { bytes: bytes.to_vec(), value_type, expiry: before.expiry };
        Ok((sum, Some(Change::Put(key.clone(), entry))))
    }

    fn cas(&mut self, key: Key, expect: &Expect, new: Option<&Entry>, durability: Durability) -> Outcome {
        let before = self.now_at(&key);
        let bytes = before.as_ref().map(|entry| entry.bytes.clone());
        let (expected, matches) = match expect {
            Expect::Absent => (Expected::Absent, before.is_none()),
            Expect::Any => (Expected::Any, before.is_some()),
            Expect::Current => match &bytes {
                Some(bytes) => (Expected::Value(bytes), true),
                None => (Expected::Absent, true),
            },
            Expect::Value(value) => (Expected::Value(value), bytes.as_ref() == Some(value)),
        };
        let change = match (matches, new) {
            (true, Some(entry)) => Some(Change::Put(key.clone(), entry.clone())),
            (true, None) if before.is_some() => Some(Change::Delete(key.clone())),
            _ => None,
        };
        let options = new.map_or(WriteOptions { durability, ..WriteOptions::default() }, |entry| {
            write_options(entry, durability)
        });
        let new = new.map(|entry| entry.bytes.as_slice());
        let found = self.store.compare_and_swap(&key, expected, new, options);
        self.update(found, Ok((matches, change)), durability)
    }

    fn delete_range(&mut self, from: Key, to: Key) -> Outcome {
        let view = self.current();
        let count = self.map.all(view).filter(|(key, _)| in_range(key, &from, &to)).count() as u64;
        let change = (count > 0).then(|| Change::DeleteRange(from.clone(), to.clone()));
        self.update(self.store.delete_range(&from, &to), Ok((count, change)), Durability::Default)
    }

    fn batch(&mut self, parts: &[Part], durability: Durability) -> Outcome {
        let mut batch = Batch::new();
        let mut changes = Vec::new();
        for part in parts {
            match part {
                Part::Put(key, entry) => {
                    let key = key.key();
                    batch.put_with(&key, &entry.bytes, entry.value_type, entry.expiry).map_err(live)?;
                    changes.push(Change::Put(key, entry.clone()));
                }
                Part::Delete(key) => {
                    batch.delete(&key.key()).map_err(live)?;
                    changes.push(Change::Delete(key.key()));
                }
                Part::DeleteRange(from, to) => {
                    batch.delete_range(&from.key(), &to.key()).map_err(live)?;
                    changes.push(Change::DeleteRange(from.key(), to.key()));
                }
            }
        }
        self.store.write(&batch, durability).map_err(live)?;
        if changes.is_empty() { Ok(()) } else { self.committed(&changes, durability) }
    }
}
