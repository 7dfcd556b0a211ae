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
use crate::table::{Attr, DynamoTable, MemoryTable, Table, Transacted, Write};

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
            (CommitError::Claimed { model, .. }, Some((digest, claimed))) => {
                let version = self.claimed(&model, digest).await?.unwrap_or(*claimed);
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
