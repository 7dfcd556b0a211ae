//! The network of one remote version: a thread with a runtime of its own.
//!
//! Whoever runs a version may block the runtime that it was connected in (`evaluate` has one thread). A connection lives in the runtime
//! that made it and would stand still with it, so everything that goes over the network, the first question included, happens here.

use std::sync::Arc;
use std::sync::mpsc as answers;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use seatrial_inference::{PredictError, RemoteCode};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use crate::failure::CallFailed;
use crate::{IDENTITY_LIMIT, Identity, RemoteError, Transport};

/// How long a service that has no room now is left alone before it is asked once more.
const PAUSE: Duration = Duration::from_millis(200);

/// A line to a version. Its thread ends with it.
#[derive(Debug, Clone)]
pub(crate) struct Line(mpsc::UnboundedSender<Job>);

/// What is asked, and where the answer goes.
#[derive(Debug)]
enum Job {
    Ask { body: String, answer: answers::Sender<Result<Bytes, CallFailed>> },
    Identity { answer: oneshot::Sender<Result<Identity, RemoteError>> },
}

impl Line {
    /// A line over `transport` on which no call takes longer than `limit`.
    pub(crate) fn open(transport: Box<dyn Transport>, limit: Duration) -> Result<Self, RemoteError> {
        let (line, jobs) = mpsc::unbounded_channel();
        let failed = |e: std::io::Error| RemoteError::Unavailable(format!("no thread for the network ({e})"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        thread::Builder::new()
            .name("remote-version".into())
            .spawn(move || runtime.block_on(carry(Arc::from(transport), limit, jobs)))
            .map_err(failed)?;
        Ok(Self(line))
    }

    /// What the service says of itself.
    pub(crate) async fn identity(&self) -> Result<Identity, RemoteError> {
        let gone = || RemoteError::Unavailable("the network of the version ended".into());
        let (answer, answered) = oneshot::channel();
        self.0.send(Job::Identity { answer }).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// Asks for predictions, and blocks until there is an answer or the time is over.
    pub(crate) fn ask(&self, body: String) -> Result<Bytes, PredictError> {
        let gone = || PredictError::remote(RemoteCode::Unavailable, "the network of the version ended");
        let (answer, answered) = answers::channel();
        self.0.send(Job::Ask { body, answer }).map_err(|_| gone())?;
        Ok(answered.recv().map_err(|_| gone())??)
    }
}

/// Carries jobs, as many at a time as there are, until the line is dropped.
async fn carry(transport: Arc<dyn Transport>, limit: Duration, mut jobs: mpsc::UnboundedReceiver<Job>) {
    while let Some(job) = jobs.recv().await {
        let transport = Arc::clone(&transport);
        // An answer that nobody waits for any more is nobody's.
        tokio::spawn(async move {
            match job {
                Job::Ask { body, answer } => drop(answer.send(call(transport.as_ref(), body, limit).await)),
                Job::Identity { answer } => drop(answer.send(identity(transport.as_ref()).await)),
            }
        });
    }
}

/// What the service says of itself, within the time for that.
pub(crate) async fn identity(transport: &dyn Transport) -> Result<Identity, RemoteError> {
    timeout(IDENTITY_LIMIT, transport.identity()).await.unwrap_or_else(|_| {
        let seconds = IDENTITY_LIMIT.as_secs();
        Err(RemoteError::Unavailable(format!("what runs there was not said within {seconds} s")))
    })
}

/// Asks, and once more where the service said that it did not run the first: nothing else is safe to repeat. Whoever waits is held up
/// no longer than `limit`, the second try included; a call that is given up is dropped with its connection.
async fn call(transport: &dyn Transport, body: String, limit: Duration) -> Result<Bytes, CallFailed> {
    let twice = async {
        match transport.call(body.clone()).await {
            Err(CallFailed::NotRun(_)) => {
                sleep(PAUSE).await;
                transport.call(body).await
            }
            done => done,
        }
    };
    timeout(limit, twice).await.unwrap_or_else(|_| {
        let text = format!("it did not answer within {} ms", limit.as_millis());
        Err(CallFailed::Ended(RemoteCode::Timeout, text))
    })
}
