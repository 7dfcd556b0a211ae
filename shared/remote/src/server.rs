//! A server of the Open Inference Protocol.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use seatrial_outbound::{Allowed, CallError, Kept, Read};
use serde_json::Value;
use tokio::sync::Mutex;

use crate::failure::{CallFailed, body};
use crate::network::LARGEST_ANSWER;
use crate::{Identity, RemoteError, Transport};

/// How long what a host's name leads to is taken for known.
const KNOWN: Duration = Duration::from_secs(60);

/// The server's model.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) allowed: Allowed,
    pub(crate) url: String,
    pub(crate) image: String,
    pub(crate) kept: Mutex<Option<(Instant, Kept)>>,
}

impl Server {
    async fn kept(&self) -> Result<Kept, CallError> {
        let mut kept = self.kept.lock().await;
        if let Some((_, known)) = kept.as_ref().filter(|(at, _)| at.elapsed() < KNOWN) {
            return Ok(known.clone());
        }
        let opened = Kept::open(&self.allowed, &self.url).await?;
        *kept = Some((Instant::now(), opened.clone()));
        Ok(opened)
    }
}

#[async_trait]
impl Transport for Server {
    async fn call(&self, text: String) -> Result<Bytes, CallFailed> {
        let answer = self.kept().await?.post("/infer", text, Read::Whole(LARGEST_ANSWER)).await?;
        body(answer)
    }

    /// The protocol's metadata of a model name no image. A server that says it in `parameters.image` is held to it; of another, the
    /// reference is what the owner says.
    async fn identity(&self) -> Result<Identity, RemoteError> {
        let what = format!("the server at {}", self.url);
        let of = |e| RemoteError::of(&what, e);
        let answer = self.kept().await.map_err(of)?.get(Read::Whole(LARGEST_ANSWER)).await.map_err(of)?;
        let bytes = RemoteError::read(&what, answer)?;
        let metadata: Value = serde_json::from_slice(&bytes).map_err(|e| {
            RemoteError::Refused(format!("{what} answers no metadata of the Open Inference Protocol ({e})"))
        })?;
        if metadata.get("name").and_then(Value::as_str).is_none() {
            return Err(RemoteError::Refused(format!(
                "{what} answers metadata without a `name`; expected those of a model of the Open Inference Protocol"
            )));
        }
        match metadata.pointer("/parameters/image").and_then(Value::as_str) {
            Some(image) => Identity::same(&what, "the image", &self.image, image),
            None => Ok(Identity::said(&format!("{what} does not say which image it runs"))),
        }
    }
}
