//! What most tests do without.

use async_trait::async_trait;
use fn_control::{DeadEvents, Letter, Retaken};
use seatrial_runtime::Failure;
use serde_json::Value;

/// A queue that nobody looks into.
pub(crate) struct NoEvents;

#[async_trait]
impl DeadEvents for NoEvents {
    async fn take(&self, _: Option<&str>) -> Result<Vec<Letter>, Failure> {
        panic!("nothing looks for events here")
    }

    async fn put_back(&self, _: &[Letter]) -> Result<(), Failure> {
        panic!("nothing looks for events here")
    }

    async fn remove(&self, _: &Letter) -> Result<(), Failure> {
        panic!("nothing looks for events here")
    }

    async fn replay(&self, _: &Value) -> Result<Retaken, Failure> {
        panic!("nothing looks for events here")
    }
}
