//! The table in memory, for tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Action, Attr, Cond, INDEX_PK, INDEX_SK, Item, Key, Range, Table, Transacted, Write};
use crate::error::StoreError;

/// A table in memory. Clones share it.
///
/// Every call yields to the runtime first, so that concurrent operations interleave as they do over a network.
#[derive(Clone, Default)]
pub struct MemoryTable {
    items: Arc<Mutex<BTreeMap<Key, Item>>>,
}

impl MemoryTable {
    /// A copy of every item.
    pub async fn contents(&self) -> BTreeMap<Key, Item> {
        self.items().await.clone()
    }

    async fn items(&self) -> MutexGuard<'_, BTreeMap<Key, Item>> {
        tokio::task::yield_now().await;
        // A test that panics while it holds the lock leaves whole items behind: each write is one insertion.
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn holds(condition: &Cond, item: Option<&Item>) -> bool {
    let attribute = |name: &str| item.and_then(|i| i.get(name));
    match condition {
        Cond::Always => true,
        Cond::Absent => item.is_none(),
        Cond::Exists => item.is_some(),
        Cond::Eq(name, value) => attribute(name) == Some(value),
        Cond::Less(name, value) => attribute(name).is_some_and(|found| found < value),
        Cond::Greater(name, value) => attribute(name).is_some_and(|found| found > value),
        Cond::Missing(name) => attribute(name).is_none(),
        Cond::All(all) => all.iter().all(|c| holds(c, item)),
        Cond::Any(any) => any.iter().any(|c| holds(c, item)),
    }
}

fn apply(items: &mut BTreeMap<Key, Item>, write: &Write) {
    match &write.action {
        Action::Put(item) => {
            items.insert(write.key.clone(), item.clone());
        }
        Action::Set(set) => items.entry(write.key.clone()).or_default().extend(set.clone()),
        Action::Delete => {
            items.remove(&write.key);
        }
        Action::Check => {}
    }
}

#[async_trait]
impl Table for MemoryTable {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        Ok(self.items().await.get(key).cloned())
    }

    async fn query(&self, pk: &str, range: &Range, limit: Option<u32>) -> Result<Vec<Item>, StoreError> {
        let inside = |sk: &str| match range {
            Range::Prefix(prefix) => sk.starts_with(prefix),
            Range::After(after) => sk > after.as_str(),
            Range::Between(first, last) => sk >= first.as_str() && sk <= last.as_str(),
        };
        let limit = limit.map_or(usize::MAX, |l| l as usize);
        let items = self.items().await;
        let found = items.iter().filter(|(key, _)| key.pk == pk && inside(&key.sk));
        Ok(found.take(limit).map(|(_, item)| item.clone()).collect())
    }

    async fn query_index(&self, pk: &str) -> Result<Vec<Item>, StoreError> {
        let wanted = Attr::S(pk.to_owned());
        let items = self.items().await;
        let mut found: Vec<_> =
            items.values().filter(|item| item.get(INDEX_PK) == Some(&wanted)).cloned().collect();
        found.sort_by(|a, b| a.get(INDEX_SK).cmp(&b.get(INDEX_SK)));
        Ok(found)
    }

    async fn write(&self, write: &Write) -> Result<bool, StoreError> {
        let mut items = self.items().await;
        let held = holds(&write.condition, items.get(&write.key));
        if held {
            apply(&mut items, write);
        }
        Ok(held)
    }

    async fn bump(&self, key: &Key, counter: &'static str, set: &Item) -> Result<Item, StoreError> {
        let mut items = self.items().await;
        let item = items.entry(key.clone()).or_default();
        let count = match item.get(counter) {
            Some(Attr::N(n)) => n + 1,
            _ => 1,
        };
        item.insert(counter.to_owned(), Attr::N(count));
        item.extend(set.clone());
        Ok(item.clone())
    }

    async fn transact(&self, writes: &[Write], _token: &str) -> Result<Transacted, StoreError> {
        let mut items = self.items().await;
        let refused: Vec<usize> =
            (0..writes.len()).filter(|i| !holds(&writes[*i].condition, items.get(&writes[*i].key))).collect();
        if !refused.is_empty() {
            return Ok(Transacted::Refused(refused));
        }
        for write in writes {
            apply(&mut items, write);
        }
        Ok(Transacted::Done)
    }
}
