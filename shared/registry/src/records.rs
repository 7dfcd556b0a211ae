//! Reading records from the table.

use async_trait::async_trait;
use seatrial_domain::change::PolicyRecord;
use seatrial_domain::gate::GateRecord;
use seatrial_domain::head::Head;
use seatrial_domain::history::HistoryEntry;
use seatrial_domain::promotion::PromotionRecord;
use seatrial_domain::version::VersionRecord;
use seatrial_domain::{Digest, GateId, ModelName, PromotionId, VersionName};
use serde::de::DeserializeOwned;

use crate::error::StoreError;
use crate::layout;
use crate::ports::{GateFilter, Records};
use crate::store::TableRegistry;
use crate::table::{Attr, Item, Key, Range, Table};

impl<T: Table> TableRegistry<T> {
    async fn one<R: DeserializeOwned>(&self, key: Key) -> Result<Option<R>, StoreError> {
        self.table.get(&key).await?.map(|item| layout::read(&key, &item)).transpose()
    }

    async fn many<R: DeserializeOwned>(
        &self,
        pk: &str,
        range: Range,
        limit: Option<u32>,
    ) -> Result<Vec<R>, StoreError> {
        all(pk, &self.table.query(pk, &range, limit).await?)
    }
}

fn all<R: DeserializeOwned>(pk: &str, items: &[Item]) -> Result<Vec<R>, StoreError> {
    items.iter().map(|item| layout::read_at(pk, item)).collect()
}

#[async_trait]
impl<T: Table> Records for TableRegistry<T> {
    async fn head(&self, model: &ModelName) -> Result<Option<Head>, StoreError> {
        self.one(layout::head_key(model)).await
    }

    async fn version(
        &self,
        model: &ModelName,
        version: VersionName,
    ) -> Result<Option<VersionRecord>, StoreError> {
        self.one(layout::version_key(model, version)).await
    }

    async fn versions(&self, model: &ModelName) -> Result<Vec<VersionRecord>, StoreError> {
        self.many(&layout::model_pk(model), Range::Prefix("VERSION#".into()), None).await
    }

    async fn version_by_digest(
        &self,
        model: &ModelName,
        digest: &Digest,
    ) -> Result<Option<VersionRecord>, StoreError> {
        match self.claimed(model, digest).await? {
            Some(version) => self.version(model, version).await,
            None => Ok(None),
        }
    }

    async fn promotion(
        &self,
        model: &ModelName,
        promotion: &PromotionId,
    ) -> Result<Option<PromotionRecord>, StoreError> {
        self.one(layout::promotion_key(model, promotion)).await
    }

    async fn promotions(&self, model: &ModelName) -> Result<Vec<PromotionRecord>, StoreError> {
        let range = Range::Prefix("PROMOTION#".into());
        let mut found: Vec<PromotionRecord> = self.many(&layout::model_pk(model), range, None).await?;
        // Names are hashes; epochs count the starts.
        found.sort_by_key(|p| p.epoch);
        Ok(found)
    }

    async fn gate(&self, gate: &GateId) -> Result<Option<GateRecord>, StoreError> {
        self.one(layout::gate_key(gate)).await
    }

    async fn gates(&self, filter: &GateFilter) -> Result<Vec<GateRecord>, StoreError> {
        let pk = layout::gates_pk(filter.status);
        let mut found: Vec<GateRecord> = all(&pk, &self.table.query_index(&pk).await?)?;
        found.retain(|gate| filter.model.as_ref().is_none_or(|model| gate.model == *model));
        Ok(found)
    }

    async fn policy(&self, model: &ModelName, number: u32) -> Result<Option<PolicyRecord>, StoreError> {
        self.one(layout::policy_key(model, number)).await
    }

    async fn history(
        &self,
        model: &ModelName,
        after_seq: u64,
        limit: u32,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        self.many(&layout::history_pk(model), Range::After(layout::history_sk(after_seq)), Some(limit)).await
    }

    async fn models(&self) -> Result<Vec<ModelName>, StoreError> {
        // Names begin with a letter, so all of them come after a space; an empty text is no key to DynamoDB.
        let items = self.table.query(layout::MODELS, &Range::After(" ".into()), None).await?;
        items
            .iter()
            .map(|item| match item.get("model") {
                Some(Attr::S(name)) => ModelName::parse(name).map_err(|e| StoreError::Corrupt {
                    item: layout::MODELS.into(),
                    expected: "a model's name".into(),
                    source: Some(Box::new(e)),
                }),
                _ => Err(StoreError::Corrupt {
                    item: layout::MODELS.into(),
                    expected: "a model's name".into(),
                    source: None,
                }),
            })
            .collect()
    }
}
