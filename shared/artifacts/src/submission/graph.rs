//! Reads the graph out of the bytes that are being hashed, so that one pass is enough.

use bytes::Bytes;
use seatrial_inference::{GraphError, GraphInfo};
use tokio::sync::mpsc;

use super::channel::ChannelReader;

/// How many chunks wait for the reader.
const WAITING: usize = 4;

/// A reader of ONNX that is fed chunk by chunk.
pub(super) struct GraphReader {
    feed: Option<mpsc::Sender<Bytes>>,
    reading: tokio::task::JoinHandle<Result<GraphInfo, GraphError>>,
}

impl GraphReader {
    pub(super) fn start() -> Self {
        let (feed, chunks) = mpsc::channel(WAITING);
        let source = ChannelReader::new(chunks);
        Self { feed: Some(feed), reading: tokio::task::spawn_blocking(move || GraphInfo::read(source)) }
    }

    pub(super) async fn feed(&mut self, chunk: &Bytes) {
        let closed = match &self.feed {
            Some(feed) => feed.send(chunk.clone()).await.is_err(),
            None => false,
        };
        // A reader that has seen enough, or refused, takes no more.
        if closed {
            self.feed = None;
        }
    }

    /// What was read, or why it is no graph.
    pub(super) async fn finish(mut self) -> Result<GraphInfo, String> {
        self.feed = None;
        match self.reading.await {
            Ok(read) => read.map_err(|e| e.to_string()),
            Err(_) => Err("a graph that its reader gave up on".to_owned()),
        }
    }
}
