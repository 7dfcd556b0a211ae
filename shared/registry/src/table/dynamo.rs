//! The table on DynamoDB.

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{ConditionCheck, Delete, Put, ReturnValue, TransactWriteItem, Update};

use super::expression::{Placeholders, from_item, to_item, to_key};
use super::{Action, Attr, INDEX, INDEX_PK, Item, Key, Range, Table, Transacted, Write};
use crate::error::StoreError;

/// A DynamoDB table. Clones share the client.
#[derive(Debug, Clone)]
pub struct DynamoTable {
    client: Client,
    name: String,
}

impl DynamoTable {
    /// The table `name`, reached through `client`.
    #[must_use]
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        Self { client, name: name.into() }
    }
}

type Built<T> = Result<T, aws_sdk_dynamodb::error::BuildError>;

fn unavailable<E>(action: impl FnOnce() -> String) -> impl FnOnce(E) -> StoreError
where
    E: std::error::Error + Send + Sync + 'static,
{
    move |source| StoreError::Unavailable { action: action(), source: Box::new(source) }
}

#[async_trait]
impl Table for DynamoTable {
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        let request =
            self.client.get_item().table_name(&self.name).set_key(Some(to_key(key))).consistent_read(true);
        let answer = request.send().await.map_err(unavailable(|| format!("read {key}")))?;
        Ok(answer.item.map(from_item))
    }

    async fn query(&self, pk: &str, range: &Range, limit: Option<u32>) -> Result<Vec<Item>, StoreError> {
        let mut with = Placeholders::default();
        let partition = format!("{} = {}", with.name("pk"), with.value(&Attr::S(pk.to_owned())));
        let sort = with.name("sk");
        let mut text = |t: &str| with.value(&Attr::S(t.to_owned()));
        let sorted = match range {
            Range::Prefix(prefix) => format!("begins_with({sort}, {})", text(prefix)),
            Range::After(after) => format!("{sort} > {}", text(after)),
            Range::Between(first, last) => format!("{sort} BETWEEN {} AND {}", text(first), text(last)),
        };
        self.pages(pk, None, format!("{partition} AND {sorted}"), with, limit).await
    }

    async fn query_index(&self, pk: &str) -> Result<Vec<Item>, StoreError> {
        let mut with = Placeholders::default();
        let partition = format!("{} = {}", with.name(INDEX_PK), with.value(&Attr::S(pk.to_owned())));
        self.pages(pk, Some(INDEX), partition, with, None).await
    }

    async fn write(&self, write: &Write) -> Result<bool, StoreError> {
        let mut with = Placeholders::default();
        let condition = with.condition(&write.condition);
        let key = Some(to_key(&write.key));
        let failed = |code: Option<&str>| code == Some("ConditionalCheckFailedException");
        macro_rules! send {
            ($request:expr) => {{
                let (names, values) = with.into_maps();
                let request = $request.table_name(&self.name).set_condition_expression(condition);
                let request =
                    request.set_expression_attribute_names(names).set_expression_attribute_values(values);
                match request.send().await {
                    Ok(_) => Ok(true),
                    Err(e) if failed(e.code()) => Ok(false),
                    Err(e) => Err(unavailable(|| format!("write {}", write.key))(e)),
                }
            }};
        }
        match &write.action {
            Action::Put(item) => send!(self.client.put_item().set_item(Some(to_item(&write.key, item)))),
            Action::Set(item) => {
                let update = with.set(item);
                send!(self.client.update_item().set_key(key).update_expression(update))
            }
            Action::Delete => send!(self.client.delete_item().set_key(key)),
            Action::Check => {
                Ok(matches!(self.transact(std::slice::from_ref(write), "").await?, Transacted::Done))
            }
        }
    }

    async fn bump(&self, key: &Key, counter: &'static str, set: &Item) -> Result<Item, StoreError> {
        let mut with = Placeholders::default();
        let update = format!("ADD {} {} {}", with.name(counter), with.value(&Attr::N(1)), with.set(set));
        let (names, values) = with.into_maps();
        let request = self.client.update_item().table_name(&self.name).set_key(Some(to_key(key)));
        let request = request.update_expression(update.trim()).return_values(ReturnValue::AllNew);
        let request = request.set_expression_attribute_names(names).set_expression_attribute_values(values);
        let answer = request.send().await.map_err(unavailable(|| format!("count at {key}")))?;
        Ok(answer.attributes.map(from_item).unwrap_or_default())
    }

    async fn transact(&self, writes: &[Write], token: &str) -> Result<Transacted, StoreError> {
        let action = || format!("commit a transaction of {} items", writes.len());
        let items: Built<Vec<_>> = writes.iter().map(|w| self.transaction_item(w)).collect();
        let items = items.map_err(unavailable(action))?;
        let request = self.client.transact_write_items().set_transact_items(Some(items));
        let token = Some(token.to_owned()).filter(|t| !t.is_empty());
        match request.set_client_request_token(token).send().await {
            Ok(_) => Ok(Transacted::Done),
            Err(e) => refused(&e).ok_or_else(|| unavailable(action)(e)),
        }
    }
}

impl DynamoTable {
    async fn pages(
        &self,
        pk: &str,
        index: Option<&str>,
        condition: String,
        with: Placeholders,
        limit: Option<u32>,
    ) -> Result<Vec<Item>, StoreError> {
        let limit = limit.map_or(usize::MAX, |l| l as usize);
        let (names, values) = with.into_maps();
        let mut found = Vec::new();
        let mut next = None;
        loop {
            let wanted = i32::try_from(limit - found.len()).ok();
            let request = self.client.query().table_name(&self.name).set_index_name(index.map(str::to_owned));
            // An index is never strongly consistent; asking for it is an error.
            let request = request.set_consistent_read(index.is_none().then_some(true)).set_limit(wanted);
            let request = request.key_condition_expression(&condition).set_exclusive_start_key(next);
            let request = request.set_expression_attribute_names(names.clone());
            let request = request.set_expression_attribute_values(values.clone());
            let answer = request.send().await.map_err(unavailable(|| format!("list {pk}")))?;
            found.extend(answer.items.unwrap_or_default().into_iter().map(from_item));
            next = answer.last_evaluated_key.filter(|key| !key.is_empty());
            if next.is_none() || found.len() >= limit {
                return Ok(found);
            }
        }
    }

    fn transaction_item(&self, write: &Write) -> Built<TransactWriteItem> {
        let mut with = Placeholders::default();
        let condition = with.condition(&write.condition);
        let key = Some(to_key(&write.key));
        let item = TransactWriteItem::builder();
        macro_rules! build {
            ($builder:expr) => {{
                let (names, values) = with.into_maps();
                let builder = $builder.table_name(&self.name).set_condition_expression(condition);
                builder
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .build()?
            }};
        }
        Ok(match &write.action {
            Action::Put(put) => item.put(build!(Put::builder().set_item(Some(to_item(&write.key, put))))),
            Action::Set(set) => {
                let update = with.set(set);
                item.update(build!(Update::builder().set_key(key).update_expression(update)))
            }
            Action::Delete => item.delete(build!(Delete::builder().set_key(key))),
            Action::Check => item.condition_check(build!(ConditionCheck::builder().set_key(key))),
        }
        .build())
    }
}

/// What a failed transaction means, if it means anything but that DynamoDB is not available.
///
/// The reasons stand in the order of the writes. Any condition that failed decides, because busy neighbours may hide
/// others but never make one fail.
fn refused(error: &SdkError<TransactWriteItemsError>) -> Option<Transacted> {
    match error.as_service_error()? {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => {
            let codes: Vec<&str> =
                cancelled.cancellation_reasons().iter().map(|r| r.code().unwrap_or("None")).collect();
            let failed: Vec<usize> =
                (0..codes.len()).filter(|i| codes[*i] == "ConditionalCheckFailed").collect();
            let busy = ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];
            if !failed.is_empty() {
                Some(Transacted::Refused(failed))
            } else {
                codes.iter().any(|code| busy.contains(code)).then_some(Transacted::Busy)
            }
        }
        TransactWriteItemsError::TransactionInProgressException(_)
        | TransactWriteItemsError::ProvisionedThroughputExceededException(_)
        | TransactWriteItemsError::RequestLimitExceeded(_) => Some(Transacted::Busy),
        other => (other.code() == Some("ThrottlingException")).then_some(Transacted::Busy),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::config::http::HttpResponse;
    use aws_sdk_dynamodb::types::CancellationReason;
    use aws_sdk_dynamodb::types::error::{TransactionCanceledException, TransactionInProgressException};

    use super::*;

    fn answer(error: TransactWriteItemsError) -> Option<Transacted> {
        let raw = HttpResponse::new(400_u16.try_into().unwrap(), "".into());
        refused(&SdkError::service_error(error, raw))
    }

    fn cancelled(codes: &[&str]) -> Option<Transacted> {
        let reasons = codes.iter().map(|code| CancellationReason::builder().code(*code).build()).collect();
        let error = TransactionCanceledException::builder().set_cancellation_reasons(Some(reasons)).build();
        answer(TransactWriteItemsError::TransactionCanceledException(error))
    }

    #[test]
    fn the_reasons_of_a_cancelled_transaction_stand_for_its_writes() {
        let failed = ["None", "ConditionalCheckFailed", "None", "ConditionalCheckFailed"];
        assert_eq!(cancelled(&failed), Some(Transacted::Refused(vec![1, 3])));
        assert_eq!(cancelled(&["TransactionConflict", "None"]), Some(Transacted::Busy));
        assert_eq!(
            cancelled(&["ThrottlingError", "ConditionalCheckFailed"]),
            Some(Transacted::Refused(vec![1]))
        );
        assert_eq!(
            cancelled(&["ValidationError", "None"]),
            None,
            "our own mistake is not retried as if it were load"
        );
        let progress = TransactionInProgressException::builder().build();
        let error = TransactWriteItemsError::TransactionInProgressException(progress);
        assert_eq!(answer(error), Some(Transacted::Busy));
    }
}
