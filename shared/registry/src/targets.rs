//! What traffic targets were seen to do, and who drives one at this moment. None of it is part of the history.

use async_trait::async_trait;
use jiff::Timestamp;
use seatrial_domain::ModelName;
use seatrial_domain::target::{Standing, TargetRecord};

use crate::error::StoreError;
use crate::layout::{self, DOC, corrupt};
use crate::ports::Records;
use crate::store::TableRegistry;
use crate::table::{Action, Attr, Cond, Item, Table, Write};

/// The targets of models.
#[async_trait]
pub trait Targets: Send + Sync {
    /// What was kept of the last look at a model's target.
    async fn target(&self, model: &ModelName) -> Result<Option<TargetRecord>, StoreError>;
    /// Lets `driver`, a name that nobody else has, drive the model's target until `until` at most. `false` while another does.
    async fn hold_target(
        &self,
        model: &ModelName,
        driver: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError>;
    /// Keeps what `driver` saw (nothing: forgets what was kept) and lets the target go. `false`, and nothing is written, where it does not
    /// hold it any more.
    async fn leave_target(
        &self,
        model: &ModelName,
        driver: &str,
        record: Option<&TargetRecord>,
    ) -> Result<bool, StoreError>;
}

/// How the traffic of a model stands to its route at this moment; `None` when there is no such model.
///
/// # Errors
/// When the table does not answer, or holds what cannot be read.
pub async fn standing<R: Records + Targets + ?Sized>(
    registry: &R,
    model: &ModelName,
) -> Result<Option<Standing>, StoreError> {
    let Some(head) = registry.head(model).await? else { return Ok(None) };
    let policy = match &head.policy {
        Some(reference) => registry.policy(model, reference.number).await?,
        None => None,
    };
    let target = policy.as_ref().and_then(|record| record.policy.target.as_ref());
    let seen = match target {
        Some(_) => registry.target(model).await?,
        None => None,
    };
    Ok(Some(Standing::of(&head, target, seen.as_ref())))
}

const HELD_BY: &str = "held_by";
const HELD_UNTIL: &str = "held_until_us";

fn item(attributes: impl IntoIterator<Item = (&'static str, Attr)>) -> Item {
    attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[async_trait]
impl<T: Table> Targets for TableRegistry<T> {
    async fn target(&self, model: &ModelName) -> Result<Option<TargetRecord>, StoreError> {
        let at = layout::target_key(model);
        // An item without a record is held by whoever looks for the first time.
        let found = self.table.get(&at).await?.filter(|item| item.contains_key(DOC));
        found.map(|item| layout::read(&at, &item)).transpose()
    }

    async fn hold_target(
        &self,
        model: &ModelName,
        driver: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        // one: reads the head (25 %) ─────────────────────────► moves the target to 25 %
        // other:            a rollback; reads the head (0 %), finds 0 % there and leaves ─┘  without a hold the rollback would be undone
        let free =
            Cond::Any(vec![Cond::Missing(HELD_BY), Cond::Less(HELD_UNTIL, Attr::N(now.as_microsecond()))]);
        let set =
            item([(HELD_BY, Attr::S(driver.to_owned())), (HELD_UNTIL, Attr::N(until.as_microsecond()))]);
        self.table
            .write(&Write { key: layout::target_key(model), action: Action::Set(set), condition: free })
            .await
    }

    async fn leave_target(
        &self,
        model: &ModelName,
        driver: &str,
        record: Option<&TargetRecord>,
    ) -> Result<bool, StoreError> {
        let key = layout::target_key(model);
        let action = match record {
            Some(record) => {
                let doc = serde_json::to_string(record)
                    .map_err(|e| corrupt(&key, "a record with a JSON form", e))?;
                Action::Put(item([(DOC, Attr::S(doc))]))
            }
            None => Action::Delete,
        };
        let condition = Cond::Eq(HELD_BY, Attr::S(driver.to_owned()));
        self.table.write(&Write { key, action, condition }).await
    }
}
