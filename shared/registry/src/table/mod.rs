//! One table with conditional writes: the few primitives that the registry stands on.
//!
//! The registry's layout, conditions and transactions are written once over [`Table`], as data; the memory table and
//! DynamoDB only carry them out. So both enforce exactly the same conditions.

mod dynamo;
mod expression;
mod memory;

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::error::StoreError;

pub use dynamo::DynamoTable;
pub use memory::MemoryTable;

/// The name of the index that lists gates by status.
pub const INDEX: &str = "gsi1";
/// The partition attribute of [`INDEX`].
pub const INDEX_PK: &str = "gsi1pk";
/// The sort attribute of [`INDEX`].
pub const INDEX_SK: &str = "gsi1sk";
/// The attribute with the second (Unix time) after which the table may forget an item.
pub const TTL: &str = "expires_at_epoch";

/// The two keys of an item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The partition.
    pub pk: String,
    /// The place in the partition.
    pub sk: String,
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.pk, self.sk)
    }
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attr {
    /// Text.
    S(String),
    /// A whole number.
    N(i64),
    /// Yes or no.
    B(bool),
}

/// The attributes of an item without its keys.
pub type Item = BTreeMap<String, Attr>;

/// What must hold of the stored item for a write to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cond {
    /// Nothing.
    Always,
    /// There is no such item.
    Absent,
    /// There is such an item.
    Exists,
    /// The attribute has this value.
    Eq(&'static str, Attr),
    /// The attribute is there and smaller.
    Less(&'static str, Attr),
    /// The attribute is there and greater.
    Greater(&'static str, Attr),
    /// The attribute is not there.
    Missing(&'static str),
    /// All of these.
    All(Vec<Cond>),
    /// At least one of these.
    Any(Vec<Cond>),
}

/// What a write does when its condition holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Puts the whole item.
    Put(Item),
    /// Sets some attributes and leaves the others.
    Set(Item),
    /// Deletes the item.
    Delete,
    /// Nothing: only the condition counts.
    Check,
}

/// One conditional write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Where.
    pub key: Key,
    /// What.
    pub action: Action,
    /// When.
    pub condition: Cond,
}

/// Which items of a partition to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Range {
    /// Those whose sort key starts so.
    Prefix(String),
    /// Those whose sort key is greater.
    After(String),
    /// Those whose sort key lies between the two, both included.
    Between(String, String),
}

/// How a transaction ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transacted {
    /// Everything is written.
    Done,
    /// Nothing is written: the conditions of the writes with these places do not hold.
    Refused(Vec<usize>),
    /// Nothing is written: the table was busy with these items. It may be done again at once.
    Busy,
}

/// A table.
#[async_trait]
pub trait Table: Send + Sync {
    /// The item at `key`, strongly consistent.
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError>;
    /// Items of a partition by sort key, strongly consistent, at most `limit`.
    async fn query(&self, pk: &str, range: &Range, limit: Option<u32>) -> Result<Vec<Item>, StoreError>;
    /// All items of a partition of [`INDEX`] by sort key. The index follows the table after a moment.
    async fn query_index(&self, pk: &str) -> Result<Vec<Item>, StoreError>;
    /// Does one write; `false` when its condition does not hold.
    async fn write(&self, write: &Write) -> Result<bool, StoreError>;
    /// Adds one to the number `counter` of an item (made if it is not there), sets `set`, and returns the item after.
    async fn bump(&self, key: &Key, counter: &'static str, set: &Item) -> Result<Item, StoreError>;
    /// Does all writes, or none. `token` (at most 36 characters) names the transaction: the same one twice has the effect
    /// of once.
    async fn transact(&self, writes: &[Write], token: &str) -> Result<Transacted, StoreError>;
}
