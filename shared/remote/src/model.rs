//! A remote version as something that predicts.

use std::fmt;
use std::sync::mpsc as answers;
use std::thread;
use std::time::Duration;

use seatrial_inference::{
    Batch, ColumnSpec, ModelConfig, OipTensor, PredictError, Prediction, Remote, RemoteCode, Runner,
    Signature,
};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::failure::CallFailed;
use crate::{Identity, RemoteError, Transport};
use bytes::Bytes;

/// How long a service that has no room now is left alone before it is asked once more.
const PAUSE: Duration = Duration::from_millis(200);

/// A remote version. Its calls block, as those of a graph in this process do; the network is a thread of its own, which ends with it.
pub struct RemoteModel {
    protocol: Remote,
    identity: Identity,
    line: mpsc::UnboundedSender<Job>,
}

/// One request, and where its answer goes.
struct Job {
    body: String,
    answer: answers::Sender<Result<Bytes, CallFailed>>,
}

impl fmt::Debug for RemoteModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteModel").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl RemoteModel {
    pub(crate) fn start(
        protocol: Remote,
        transport: Box<dyn Transport>,
        timeout_ms: u32,
        identity: Identity,
    ) -> Result<Self, RemoteError> {
        let (line, jobs) = mpsc::unbounded_channel();
        let limit = Duration::from_millis(timeout_ms.into());
        let failed = |e: std::io::Error| RemoteError::Unavailable(format!("no thread for the network ({e})"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        thread::Builder::new()
            .name("remote-version".into())
            .spawn(move || runtime.block_on(carry(Arc::from(transport), limit, jobs)))
            .map_err(failed)?;
        Ok(Self { protocol, identity, line })
    }

    /// What the service said of itself when the version was connected.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    fn ask(&self, body: String) -> Result<Bytes, PredictError> {
        let gone = || PredictError::remote(RemoteCode::Unavailable, "the network of the version ended");
        let (answer, answered) = answers::channel();
        self.line.send(Job { body, answer }).map_err(|_| gone())?;
        Ok(answered.recv().map_err(|_| gone())??)
    }
}

/// Carries jobs, as many at a time as there are, until the version is dropped.
async fn carry(transport: Arc<dyn Transport>, limit: Duration, mut jobs: mpsc::UnboundedReceiver<Job>) {
    while let Some(Job { body, answer }) = jobs.recv().await {
        let transport = Arc::clone(&transport);
        tokio::spawn(async move {
            let late = |_| {
                let text = format!("it did not answer within {} ms", limit.as_millis());
                Err(CallFailed::Ended(RemoteCode::Timeout, text))
            };
            // Whoever waits is held up no longer than this, the second try included. Dropping the call closes its connection.
            let done = timeout(limit, call(transport.as_ref(), body)).await.unwrap_or_else(late);
            // Nobody waits any more: the answer is nobody's.
            drop(answer.send(done));
        });
    }
}

/// Asks, and once more where the service said that it did not run the first: nothing else is safe to repeat.
async fn call(transport: &dyn Transport, body: String) -> Result<Bytes, CallFailed> {
    match transport.call(body.clone()).await {
        Err(CallFailed::NotRun(_)) => {
            sleep(PAUSE).await;
            transport.call(body).await
        }
        done => done,
    }
}

impl Runner for RemoteModel {
    fn config(&self) -> &ModelConfig {
        self.protocol.config()
    }

    fn signature(&self) -> &Signature {
        self.protocol.signature()
    }

    fn columns(&self) -> &[ColumnSpec] {
        self.protocol.columns()
    }

    fn batch_from_oip(&self, tensors: &[OipTensor]) -> Result<Batch, PredictError> {
        self.protocol.batch_from_oip(tensors)
    }

    fn predict(&self, batch: &Batch) -> Result<Vec<Prediction>, PredictError> {
        let mut all = Vec::with_capacity(batch.rows());
        for ask in self.protocol.requests(batch)? {
            let answer = self.ask(ask.body)?;
            all.extend(self.protocol.answer(ask.rows, &answer)?);
        }
        Ok(all)
    }
}
