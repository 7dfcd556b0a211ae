//! A server of this machine that hears what functions post.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One request.
#[derive(Debug, Clone)]
pub struct Got {
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

/// What was heard, in order.
pub type Inbox = Arc<Mutex<Vec<Got>>>;

/// What is answered to a request, given those before it: a status line's end and a body.
pub type Answers = Arc<dyn Fn(&Got, &[Got]) -> (&'static str, String) + Send + Sync>;

/// A receiver: its address and its inbox.
pub async fn listen(answers: Answers) -> (String, Inbox) {
    let inbox = Inbox::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::clone(&inbox);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(take(stream, Arc::clone(&seen), Arc::clone(&answers)));
        }
    });
    (base, inbox)
}

async fn take(mut stream: TcpStream, inbox: Inbox, answers: Answers) {
    let mut bytes = Vec::new();
    let got = loop {
        if let Some(got) = read(&String::from_utf8_lossy(&bytes)) {
            break got;
        }
        let mut more = [0; 8_192];
        match stream.read(&mut more).await {
            Ok(n) if n > 0 => bytes.extend_from_slice(&more[..n]),
            _ => return,
        }
    };
    let (status, body) = {
        let mut inbox = inbox.lock().unwrap();
        let answer = answers(&got, &inbox);
        inbox.push(got);
        answer
    };
    let length = body.len();
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
    let _ = stream.write_all(answer.as_bytes()).await;
}

/// A whole request, once it is there.
fn read(text: &str) -> Option<Got> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.get("content-length")?.parse().ok()?;
    (body.len() >= length).then(|| Got { path, headers, body: body.to_owned() })
}
