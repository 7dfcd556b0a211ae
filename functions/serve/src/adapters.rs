//! The ports on AWS.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use seatrial_artifacts::package::{ReadError as ArtifactError, Trust, fetch_version};
use seatrial_artifacts::store::{ObjectStore, StoreError as StoreFault};
use seatrial_domain::head::Head;
use seatrial_domain::ids::{Digest, ModelName, VersionName, VersionRef};
use seatrial_domain::version::VersionRecord;
use seatrial_inference::{LoadError, Model, Runtime};
use seatrial_registry::{Records, StoreError};
use seatrial_remote::Network;

use crate::ports::{Heads, LoadFailure, Loader, Predictor, Queue, ReadError, Sent};

/// The registry behind [`Heads`].
pub struct FromRegistry<R>(pub R);

fn unread(error: &StoreError) -> ReadError {
    ReadError(chain(error))
}

#[async_trait]
impl<R: Records> Heads for FromRegistry<R> {
    async fn head(&self, model: &ModelName) -> Result<Option<Head>, ReadError> {
        self.0.head(model).await.map_err(|error| unread(&error))
    }
    async fn version(
        &self,
        model: &ModelName,
        version: VersionName,
    ) -> Result<Option<VersionRecord>, ReadError> {
        self.0.version(model, version).await.map_err(|error| unread(&error))
    }
}

/// Versions from the models bucket, run by ONNX Runtime, or where they serve already.
pub struct FromStore {
    /// The models bucket.
    pub store: Arc<dyn ObjectStore>,
    /// Whose signatures make a version loadable.
    pub trust: Trust,
    /// Where fetched versions are kept.
    pub folder: PathBuf,
    /// The engine's library.
    pub library: PathBuf,
    /// What remote versions may reach.
    pub network: Network,
}

#[async_trait]
impl Loader for FromStore {
    async fn load(&self, model: &ModelName, version: &VersionRef) -> Result<Arc<dyn Predictor>, LoadFailure> {
        let fetched = fetch_version(self.store.as_ref(), model, version, &self.folder, &self.trust).await;
        let folder = fetched.map_err(|error| match &error {
            ArtifactError::Invalid { .. }
            | ArtifactError::NotSigned { .. }
            | ArtifactError::SignatureDoesNotHold { .. }
            | ArtifactError::Store(StoreFault::Corrupt { .. }) => LoadFailure::Broken(chain(&error)),
            _ => LoadFailure::Unavailable(chain(&error)),
        })?;
        match self.network.connect_folder(model.as_str(), &folder).await {
            Ok(Some(remote)) => return Ok(Arc::new(remote)),
            Ok(None) => {}
            Err(error) if error.is_transient() => return Err(LoadFailure::Unavailable(chain(&error))),
            Err(error) => return Err(LoadFailure::Broken(chain(&error))),
        }
        let library = self.library.clone();
        let loading = tokio::task::spawn_blocking(move || {
            let engine = Runtime::load(&library).map_err(|error| LoadFailure::Unavailable(chain(&error)))?;
            Model::from_folder(engine, &folder).map_err(|error| match &error {
                LoadError::File { .. } => LoadFailure::Unavailable(chain(&error)),
                _ => LoadFailure::Broken(chain(&error)),
            })
        });
        match loading.await {
            Ok(loaded) => loaded.map(|model| Arc::new(model) as Arc<dyn Predictor>),
            Err(_) => Err(LoadFailure::Broken("the engine panicked on it".into())),
        }
    }

    fn forget(&self, version: &Digest) {
        let folder = self.folder.join(version.hex());
        // A process beside this one that is about to read it fetches it again.
        drop(tokio::task::spawn_blocking(move || remove(&folder)));
    }
}

impl FromStore {
    /// Removes what earlier processes fetched, but for the `keep` newest.
    pub fn prune(&self, keep: usize) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return };
        let mut folders: Vec<(SystemTime, PathBuf)> = entries
            .flatten()
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        folders.sort_unstable_by(|one, other| other.cmp(one));
        folders.iter().skip(keep).for_each(|(_, folder)| remove(folder));
    }
}

fn remove(folder: &Path) {
    if let Err(error) = std::fs::remove_dir_all(folder)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(folder = %folder.display(), error = %error, "a version that is not used any more could not be removed");
    }
}

/// The observation queue on SQS.
pub struct ToSqs {
    /// The client.
    pub client: aws_sdk_sqs::Client,
    /// The queue.
    pub url: String,
}

#[async_trait]
impl Queue for ToSqs {
    async fn send(&self, bodies: &[String]) -> Vec<Sent> {
        let again = |why: String| bodies.iter().map(|_| Sent::Again(why.clone())).collect();
        let entries: Result<Vec<_>, _> = bodies
            .iter()
            .enumerate()
            .map(|(n, body)| {
                SendMessageBatchRequestEntry::builder().id(n.to_string()).message_body(body).build()
            })
            .collect();
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => return again(error.to_string()),
        };
        let call = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries));
        let answer = match call.send().await {
            Ok(answer) => answer,
            Err(error) => return again(DisplayErrorContext(error).to_string()),
        };
        let mut outcomes: Vec<Sent> =
            bodies.iter().map(|_| Sent::Again("the queue said nothing of it".into())).collect();
        for done in answer.successful() {
            set(&mut outcomes, done.id(), Sent::Done);
        }
        for failed in answer.failed() {
            let why = format!("{}: {}", failed.code(), failed.message().unwrap_or_default());
            let outcome = if failed.sender_fault() { Sent::Refused(why) } else { Sent::Again(why) };
            set(&mut outcomes, failed.id(), outcome);
        }
        outcomes
    }
}

fn set(outcomes: &mut [Sent], id: &str, outcome: Sent) {
    if let Some(place) = id.parse::<usize>().ok().and_then(|n| outcomes.get_mut(n)) {
        *place = outcome;
    }
}

/// An error and its causes, for the log.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
