//! Versions that run elsewhere: called by this process, since the child has neither rights nor a network.
//!
//! A pair with one version here and one elsewhere is compared as it is served: the latency of the one that is called over a network
//! holds the network.

use std::path::PathBuf;
use std::sync::Arc;

use seatrial_domain::ModelName;
use seatrial_evidence::pair::Replayed;
use seatrial_remote::{Network, RemoteError, RemoteModel};
use seatrial_runtime::Failure;
use serde_json::{Map, Value};

use crate::child::{Child, Outcome};
use crate::worker::replay;

/// Where one version of a pair runs.
enum Side {
    /// In the child.
    Here,
    /// Elsewhere.
    There(Arc<RemoteModel>),
    /// Nowhere: it is not what it was pinned as. Each of its rows is `load-failed`, as of a version that does not load.
    Nowhere,
}

/// Where both versions of a pair run.
pub(crate) struct Elsewhere {
    champion: Side,
    challenger: Side,
}

impl Elsewhere {
    /// Connects those of both versions that run elsewhere.
    ///
    /// # Errors
    /// When one does not answer, or the champion is not what it was pinned as.
    pub(crate) async fn connect(
        network: &Network,
        model: &ModelName,
        (champion, challenger): &(PathBuf, PathBuf),
    ) -> Result<Self, Failure> {
        let side = async |folder: &PathBuf| match network.connect_folder(model.as_str(), folder).await {
            Ok(Some(remote)) => Ok(Ok(Side::There(Arc::new(remote)))),
            Ok(None) => Ok(Ok(Side::Here)),
            Err(RemoteError::Unavailable(why)) => Err(Failure::unavailable("reaching a remote version", why)),
            Err(refused) => Ok(Err(refused)),
        };
        let champion = side(champion)
            .await?
            .map_err(|e| Failure::internal(&format!("reaching the champion for the replay ({e})"), e))?;
        let challenger = side(challenger).await?.unwrap_or_else(|refused| {
            tracing::warn!(%model, why = %refused, "the challenger is not what it was pinned as");
            Side::Nowhere
        });
        Ok(Self { champion, challenger })
    }

    /// The folders of those that run in the child.
    pub(crate) fn here(
        &self,
        (champion, challenger): &(PathBuf, PathBuf),
    ) -> (Option<PathBuf>, Option<PathBuf>) {
        let here = |side: &Side, folder: &PathBuf| matches!(side, Side::Here).then(|| folder.clone());
        (here(&self.champion, champion), here(&self.challenger, challenger))
    }

    /// Runs both versions on one row, each where it runs, in the order that was drawn.
    pub(crate) async fn run(
        &self,
        child: &mut Child,
        inputs: Map<String, Value>,
        challenger_first: bool,
    ) -> Outcome {
        if let (Side::Here, Side::Here) = (&self.champion, &self.challenger) {
            return child.run(inputs, challenger_first).await;
        }
        let (first, last) = match challenger_first {
            true => (&self.challenger, &self.champion),
            false => (&self.champion, &self.challenger),
        };
        let first = call(first, &inputs).await;
        let here = child.run(inputs.clone(), challenger_first).await;
        let last = call(last, &inputs).await;
        let (champion, challenger) = if challenger_first { (last, first) } else { (first, last) };
        match here {
            Outcome::Both { champion: one, challenger: other } => {
                Outcome::Both { champion: champion.unwrap_or(one), challenger: challenger.unwrap_or(other) }
            }
            died @ Outcome::Died(_) => died,
        }
    }
}

/// What a version that runs elsewhere answers.
async fn call(side: &Side, inputs: &Map<String, Value>) -> Option<Replayed> {
    let Side::There(remote) = side else { return None };
    let (remote, inputs) = (Arc::clone(remote), inputs.clone());
    let run = tokio::task::spawn_blocking(move || replay(remote.as_ref(), &inputs)).await;
    Some(run.unwrap_or_else(|_| Replayed { error: Some("crash".into()), ..Replayed::default() }))
}
