//! The registry over a table: every port, written once.

use std::time::Duration;

use async_trait::async_trait;
use seatrial_domain::change::Change;
use seatrial_domain::{ModelName, VersionName};

use crate::enforce::enforce;
use crate::error::{CommitError, StoreError};
use crate::layout;
use crate::plan::{Part, meaning, plan};
use crate::ports::{Commits, Records};
use crate::table::{Attr, DynamoTable, Item, Key, MemoryTable, Table, Transacted, Write};

/// The registry in memory, for tests. Clones share their content.
pub type MemoryRegistry = TableRegistry<MemoryTable>;
/// The registry on a DynamoDB table.
pub type DynamoRegistry = TableRegistry<DynamoTable>;

/// The registry over a table.
#[derive(Debug, Clone, Default)]
pub struct TableRegistry<T> {
    pub(crate) table: T,
}

impl TableRegistry<DynamoTable> {
    /// The registry in the table `name`, reached through `client`.
    #[must_use]
    pub fn new(client: aws_sdk_dynamodb::Client, name: impl Into<String>) -> Self {
        Self { table: DynamoTable::new(client, name) }
    }
}

impl TableRegistry<MemoryTable> {
    /// Everything in it, to see in a test that nothing has changed.
    pub async fn contents(&self) -> std::collections::BTreeMap<Key, Item> {
        self.table.contents().await
    }
}

/// How often a transaction is sent while the table is busy, or does not say whether it has it.
const TRIES: u32 = 6;

#[async_trait]
impl<T: Table> Commits for TableRegistry<T> {
    async fn commit(&self, change: Change) -> Result<(), CommitError> {
        let model = &change.head.model;
        let stored = self.head(model).await?;
        if stored.as_ref().map_or(0, |head| head.revision) + 1 != change.head.revision {
            return self.lost(&change, CommitError::Conflict { model: model.clone() }).await;
        }
        enforce(&change, stored.as_ref())?;
        let (parts, writes): (Vec<Part>, Vec<Write>) = plan(&change)?.into_iter().unzip();
        // The same change has the same token, so sending it again after an answer was lost has the effect of once.
        let token = &change.entry.hash.hex()[..36];
        let mut tries = 0;
        loop {
            tries += 1;
            let answer = self.table.transact(&writes, token).await;
            match answer {
                Ok(Transacted::Done) => return Ok(()),
                Ok(Transacted::Refused(places)) => {
                    let failed: Vec<Part> = places.iter().filter_map(|i| parts.get(*i).copied()).collect();
                    return self.lost(&change, meaning(&change, &failed)).await;
                }
                Ok(Transacted::Busy) | Err(StoreError::Unavailable { .. }) if tries < TRIES => {
                    tokio::time::sleep(Duration::from_millis(20 << tries)).await;
                }
                Ok(Transacted::Busy) => return Err(CommitError::Conflict { model: model.clone() }),
                Err(error) => return self.lost(&change, error.into()).await,
            }
        }
    }
}

impl<T: Table> TableRegistry<T> {
    /// Whether a commit that seems lost is there after all.
    ///
    /// ```text
    /// first try: written, the answer is lost on the way       second try: the head has moved (by us) → refused
    /// ```
    /// The history tells: if the entry in our place has our hash, the change is committed, whatever came after it.
    async fn lost(&self, change: &Change, error: CommitError) -> Result<(), CommitError> {
        let at = layout::history_key(&change.head.model, change.entry.seq);
        let stored = self.table.get(&at).await?;
        if stored.is_some_and(|item| item.get("hash") == Some(&Attr::S(change.entry.hash.to_string()))) {
            return Ok(());
        }
        match (error, &change.claim) {
            (CommitError::Claimed { model, .. }, Some(claim)) => {
                let version = self.claimed(&model, &claim.digest).await?.unwrap_or(claim.version);
                Err(CommitError::Claimed { model, version })
            }
            (error, _) => Err(error),
        }
    }

    /// The version that has claimed `digest`.
    pub(crate) async fn claimed(
        &self,
        model: &ModelName,
        digest: &seatrial_domain::Digest,
    ) -> Result<Option<VersionName>, StoreError> {
        let at = layout::digest_key(model, digest);
        self.table.get(&at).await?.map(|item| layout::read(&at, &item)).transpose()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use seatrial_domain::canonical::sha256;
    use seatrial_domain::change::{self, Context};
    use seatrial_domain::head::{BenchmarkRef, Head};
    use seatrial_domain::ids::Actor;

    use super::*;
    use crate::table::Range;

    /// What goes wrong with a transaction.
    #[derive(Clone, Copy, PartialEq)]
    enum Fault {
        /// It is written, and the answer is lost.
        Answer,
        /// It is not written, and there is no answer.
        Request,
        /// The table is busy.
        Busy,
    }

    /// A table whose first `times` transactions go wrong.
    #[derive(Clone)]
    struct Faulty {
        table: MemoryTable,
        fault: Fault,
        times: Arc<AtomicU32>,
        sent: Arc<AtomicU32>,
    }

    #[async_trait]
    impl Table for Faulty {
        async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
            self.table.get(key).await
        }
        async fn query(&self, pk: &str, range: &Range, limit: Option<u32>) -> Result<Vec<Item>, StoreError> {
            self.table.query(pk, range, limit).await
        }
        async fn query_index(&self, pk: &str) -> Result<Vec<Item>, StoreError> {
            self.table.query_index(pk).await
        }
        async fn write(&self, write: &Write) -> Result<bool, StoreError> {
            self.table.write(write).await
        }
        async fn bump(&self, key: &Key, counter: &'static str, set: &Item) -> Result<Item, StoreError> {
            self.table.bump(key, counter, set).await
        }
        async fn transact(&self, writes: &[Write], token: &str) -> Result<Transacted, StoreError> {
            self.sent.fetch_add(1, Ordering::SeqCst);
            if self.times.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_err() {
                return self.table.transact(writes, token).await;
            }
            if self.fault == Fault::Busy {
                return Ok(Transacted::Busy);
            }
            if self.fault == Fault::Answer {
                self.table.transact(writes, token).await?;
            }
            Err(StoreError::Unavailable { action: "commit".into(), source: "connection reset".into() })
        }
    }

    fn faulty(fault: Fault, times: u32) -> TableRegistry<Faulty> {
        let table = Faulty {
            table: MemoryTable::default(),
            fault,
            times: Arc::new(AtomicU32::new(times)),
            sent: Arc::default(),
        };
        TableRegistry { table }
    }

    fn first_change() -> Change {
        let now = jiff::Timestamp::from_second(1_800_000_000).unwrap();
        let head = Head::new(ModelName::parse("m").unwrap(), now);
        let actor = Actor::function("test");
        let benchmark = BenchmarkRef { digest: sha256(b"b"), key: "b".into(), size: 1, set_at: now };
        change::set_benchmark(
            &Context { head: &head, actor: &actor, now },
            benchmark,
            &change::Right::Platform,
        )
        .unwrap()
    }

    #[tokio::test]
    async fn whatever_is_lost_on_the_way_the_change_is_there_once() {
        for fault in [Fault::Answer, Fault::Request, Fault::Busy] {
            let registry = faulty(fault, 2);
            let change = first_change();
            let model = change.head.model.clone();
            registry.commit(change.clone()).await.unwrap();
            assert_eq!(registry.head(&model).await.unwrap(), Some(change.head));
            assert_eq!(registry.history(&model, 0, 10).await.unwrap().len(), 1);
        }
    }

    #[tokio::test]
    async fn a_table_that_stays_away_is_unavailable_and_nothing_is_written() {
        let registry = faulty(Fault::Request, u32::MAX);
        let answer = registry.commit(first_change()).await;
        assert!(matches!(answer, Err(CommitError::Store(StoreError::Unavailable { .. }))), "{answer:?}");
        assert_eq!(registry.table.sent.load(Ordering::SeqCst), TRIES, "a few times, not for ever");
        assert!(registry.models().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn an_answer_lost_for_good_is_found_in_the_history() {
        let registry = faulty(Fault::Answer, u32::MAX);
        registry.commit(first_change()).await.unwrap();
        assert_eq!(registry.history(&ModelName::parse("m").unwrap(), 0, 10).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_refusal_is_sent_once() {
        let registry = faulty(Fault::Busy, 0);
        let change = first_change();
        registry.commit(change.clone()).await.unwrap();
        let mut other = change;
        other.entry.actor = Actor::function("other");
        other.entry.hash = other.entry.expected_hash().unwrap();
        let answer = registry.commit(other).await;
        assert!(matches!(answer, Err(CommitError::Conflict { .. })), "{answer:?}");
        assert_eq!(
            registry.table.sent.load(Ordering::SeqCst),
            1,
            "the head is compared before anything is sent"
        );
    }
}
