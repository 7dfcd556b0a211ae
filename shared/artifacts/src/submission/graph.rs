//! Reads the graph out of the bytes that are being hashed, so that one pass is enough.

use std::io::{self, Read};

use bytes::{Buf as _, Bytes};
use seatrial_inference::{GraphError, GraphInfo};
use tokio::sync::mpsc;

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
        let source = ChannelReader { chunks, current: Bytes::new() };
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

struct ChannelReader {
    chunks: mpsc::Receiver<Bytes>,
    current: Bytes,
}

impl Read for ChannelReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.chunks.blocking_recv() {
                Some(chunk) => self.current = chunk,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}
