//! The logins of browsers. Of a session only the SHA-256 of its random bits is kept, so whoever reads the table has none.

use async_trait::async_trait;
use jiff::Timestamp;
use seatrial_domain::Digest;
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::layout;
use crate::store::TableRegistry;
use crate::table::{Action, Cond, Table, Write};

/// Somebody's login in one browser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The name that policies know them by.
    pub principal: String,
    /// The issuer's own name for them.
    pub subject: String,
    /// When they logged in.
    pub begun_at: Timestamp,
    /// When it ends. It is never made longer.
    pub expires_at: Timestamp,
}

/// The logins of browsers, by the SHA-256 of the random bits in their cookies.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Keeps a new session. One that is kept under this hash stays as it is.
    async fn put_session(&self, hash: &Digest, session: &Session) -> Result<(), StoreError>;
    /// The session with this hash, if it has not ended at `now`, by itself or by a logout.
    async fn session(&self, hash: &Digest, now: Timestamp) -> Result<Option<Session>, StoreError>;
    /// Ends a session for good. Ending it again, or one that there is not, changes nothing.
    async fn end_session(&self, hash: &Digest) -> Result<(), StoreError>;
}

#[async_trait]
impl<T: Table> Sessions for TableRegistry<T> {
    async fn put_session(&self, hash: &Digest, session: &Session) -> Result<(), StoreError> {
        let put = Action::Put(layout::session_item(session)?);
        let write = Write { key: layout::session_key(hash), action: put, condition: Cond::Absent };
        self.table.write(&write).await.map(|_| ())
    }

    async fn session(&self, hash: &Digest, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let at = layout::session_key(hash);
        let found = self.table.get(&at).await?.map(|item| layout::read::<Session>(&at, &item)).transpose()?;
        // The table forgets an ended session only after a while.
        Ok(found.filter(|s| now < s.expires_at))
    }

    async fn end_session(&self, hash: &Digest) -> Result<(), StoreError> {
        let write = Write { key: layout::session_key(hash), action: Action::Delete, condition: Cond::Always };
        self.table.write(&write).await.map(|_| ())
    }
}
