//! A model in memory, everything that is told of it, and a server that is told.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use fn_notify::{Parameters, Ports, Topics, Tried, handle};
use jiff::Timestamp;
use seatrial_domain::notice::{Delivery, Message, Notice, NoticeKind, Target};
use seatrial_domain::policy::{Policy, Webhook, WebhookFormat};
use seatrial_mail::Mailer;
use seatrial_outbound::{Allowed, Secret};
use seatrial_registry::MemoryRegistry;
use seatrial_registry::contract::Scenario;
use seatrial_registry::ops::{By, live_policy};
use seatrial_report::mail::Mail;
use seatrial_runtime::Failure;
use seatrial_runtime::postpone::Postpone;
use seatrial_runtime::queue::Queue;
use seatrial_runtime::sqs_event::SqsMessage;
use serde_json::{Value, json};

pub const APPROVALS: &str = "https://approvals.example.com";
pub const KEY: &str = "0123456789abcdef0123456789abcdef";

#[derive(Default)]
pub struct Line {
    pub sent: Mutex<Vec<Value>>,
}

impl Line {
    pub fn take(&self) -> Vec<Value> {
        std::mem::take(&mut *self.sent.lock().unwrap())
    }
}

#[async_trait::async_trait]
impl Queue for Line {
    fn name(&self) -> &str {
        "line"
    }
    async fn send(&self, bodies: Vec<String>) -> Result<(), Failure> {
        let read = bodies.iter().map(|body| serde_json::from_str(body).unwrap());
        self.sent.lock().unwrap().extend(read);
        Ok(())
    }
    async fn is_empty(&self) -> Result<bool, Failure> {
        Ok(true)
    }
}

#[derive(Default)]
pub struct PutOff(pub Mutex<Vec<u32>>);

#[async_trait::async_trait]
impl Postpone for PutOff {
    async fn postpone(&self, message: &SqsMessage, seconds: u32) {
        assert!(message.receipt_handle.is_some());
        self.0.lock().unwrap().push(seconds);
    }
}

#[derive(Default)]
pub struct Post {
    pub sent: Mutex<Vec<(String, Mail)>>,
    pub broken: AtomicBool,
}

#[async_trait::async_trait]
impl Mailer for Post {
    async fn send(&self, to: &str, mail: &Mail) -> Result<(), Failure> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(Failure::unavailable("handing a mail to SES", "throttled"));
        }
        self.sent.lock().unwrap().push((to.to_owned(), mail.clone()));
        Ok(())
    }
}

#[derive(Default)]
pub struct Published(pub Mutex<Vec<(String, String, String)>>);

#[async_trait::async_trait]
impl Topics for Published {
    async fn publish(&self, arn: &str, _: &Notice, _: &str, text: &str, json: &str) -> Tried {
        self.0.lock().unwrap().push((arn.to_owned(), text.to_owned(), json.to_owned()));
        Tried::Taken
    }
}

#[derive(Default)]
pub struct Store(pub BTreeMap<String, String>);

#[async_trait::async_trait]
impl Parameters for Store {
    async fn value(&self, name: &str) -> Result<Secret, Tried> {
        let found = self.0.get(name).map(|value| Secret::new(value.clone()));
        found.ok_or_else(|| Tried::Never { why: format!("there is no parameter {name}") })
    }
}

/// What the server was told: path, headers, body.
#[derive(Debug, Clone)]
pub struct Got {
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

/// A server that answers by the last part of the path: a status, `silent`, `moved`, or `patient` (503 with a `Retry-After`).
#[derive(Clone, Default)]
pub struct Receiver {
    pub got: Arc<Mutex<Vec<Got>>>,
    pub base: String,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self { base: format!("http://{}", listener.local_addr().unwrap()), ..Self::default() };
        let router = Router::new().route("/{answer}", post(answer)).with_state(Arc::clone(&receiver.got));
        tokio::spawn(async move { axum::serve(listener, router).await });
        receiver
    }

    pub fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }
}

async fn answer(
    State(got): State<Arc<Mutex<Vec<Got>>>>,
    Path(path): Path<String>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let headers = headers.iter().map(|(n, v)| (n.to_string(), v.to_str().unwrap().to_owned())).collect();
    got.lock().unwrap().push(Got { path: path.clone(), headers, body });
    match path.as_str() {
        "silent" => std::future::pending().await,
        "moved" => (StatusCode::TEMPORARY_REDIRECT, [("location", "/200")]).into_response(),
        "patient" => (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "900")], "later").into_response(),
        "greedy" => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "999999")]).into_response(),
        "large" => (StatusCode::OK, "x".repeat(100_000)).into_response(),
        status => (StatusCode::from_u16(status.parse().unwrap()).unwrap(), "so it is").into_response(),
    }
}

pub struct World {
    pub s: Scenario<MemoryRegistry>,
    pub queue: Line,
    pub dead_letters: Line,
    pub put_off: PutOff,
    pub post: Post,
    pub published: Published,
    pub store: Store,
    pub allowed: Allowed,
    pub topic: Option<String>,
    pub mail: bool,
}

impl World {
    /// A model with a champion v1, and v2 registered by sue@example.com.
    pub async fn new() -> Self {
        let registry = MemoryRegistry::default();
        Self {
            s: Scenario::with_champion(&registry).await,
            queue: Line::default(),
            dead_letters: Line::default(),
            put_off: PutOff::default(),
            post: Post::default(),
            published: Published::default(),
            store: Store::default(),
            allowed: Allowed::of("NotifyHosts", "", true),
            topic: None,
            mail: true,
        }
    }

    pub async fn policy(&self, change: impl FnOnce(&mut Policy)) {
        let mut policy = live_policy(&self.s.registry, &self.s.model).await.unwrap().policy;
        change(&mut policy);
        self.s.system().set_policy_by(&self.s.model, &policy, By::Platform).await.unwrap();
    }

    pub fn ports(&self) -> Ports<'_> {
        Ports {
            registry: &self.s.registry,
            queue: &self.queue,
            postpone: &self.put_off,
            dead_letters: &self.dead_letters,
            mailer: self.mail.then_some(&self.post as &dyn Mailer),
            topics: &self.published,
            parameters: &self.store,
            allowed: &self.allowed,
            topic: self.topic.as_deref(),
            approvals_url: APPROVALS,
        }
    }

    /// Hands messages over, as SQS does for the `attempt`th time. Answers how many come again.
    pub async fn run(&self, bodies: &[Value], attempt: u32, now: Timestamp) -> usize {
        let records: Vec<Value> = bodies
            .iter()
            .enumerate()
            .map(|(n, body)| {
                json!({ "messageId": format!("m{n}"), "receiptHandle": format!("r{n}"), "body": body.to_string(),
                    "attributes": { "ApproximateReceiveCount": attempt.to_string() } })
            })
            .collect();
        let answer = handle(&self.ports(), || now, json!({ "Records": records })).await.unwrap();
        answer.batch_item_failures.len()
    }

    /// The deliveries of the last entry of the history.
    pub async fn deliveries(&self) -> Vec<Value> {
        let seq = self.s.history().await.last().unwrap().seq;
        let entry = json!({ "kind": "entry", "schema": 1, "model": self.s.model, "seq": seq });
        assert_eq!(self.run(&[entry], 1, now()).await, 0);
        self.queue.take()
    }

    /// A delivery of a made-up notice to a webhook.
    pub fn to_hook(&self, kind: NoticeKind, hook: Webhook) -> Value {
        let notice = Notice {
            id: "no_000000000000000000000001".into(),
            kind,
            model: self.s.model.clone(),
            sequence: 3,
            at: now(),
            by: seatrial_domain::ids::Actor::function("gate"),
            emergency: false,
            promotion: None,
            version: None,
            gate: None,
            outcome: None,
            automatic: false,
            ends_at: None,
            weight: None,
            from: None,
            to: None,
            skipped: vec![],
            setting: None,
            policy: None,
            comment: None,
        };
        let id = format!("de_{}", &seatrial_domain::canonical::sha256(hook.name.as_bytes()).hex()[..24]);
        let delivery = Box::new(Delivery { id, notice, target: Target::Webhook { hook } });
        serde_json::to_value(Message::Delivery { schema: 1, delivery }).unwrap()
    }
}

pub fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

pub fn hook(name: &str, format: WebhookFormat, url: Option<String>) -> Webhook {
    Webhook { name: name.into(), format, url, events: Default::default() }
}

/// The deliveries to a kind of target.
pub fn via<'v>(deliveries: &'v [Value], via: &str) -> Vec<&'v Value> {
    deliveries.iter().filter(|d| d["delivery"]["target"]["via"] == via).collect()
}
