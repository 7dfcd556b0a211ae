//! Notices on the running stack: what happens to a model is told to people, topics and webhooks, each once, and a webhook that is
//! gone holds nothing up.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use seatrial_domain::gate::GateKind;
use seatrial_domain::promotion::PromotionStatus;
use seatrial_tests::stack::{Model, Stack, encode, until};
use serde_json::{Value, json};

use crate::receiver::{Got, Inbox, listen};

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// A receiver: `/gone` answers 410, `/flaky` answers 500 the first time, all else 200.
async fn receiver() -> (String, Inbox) {
    let answers = |got: &Got, before: &[Got]| {
        let first = !before.iter().any(|g| g.path == got.path);
        let status = match got.path.as_str() {
            "/gone" => "410 Gone",
            "/flaky" if first => "500 Internal Server Error",
            _ => "200 OK",
        };
        (status, String::new())
    };
    listen(Arc::new(answers)).await
}

/// Puts a secret of a webhook where `notify` reads it.
async fn put(stack: &Stack, model: &Model<'_>, name: &str, value: &str) {
    let prefix = stack.out("NotifyFunctionName").trim_end_matches("-notify");
    let name = format!("/{prefix}/webhooks/{}/{name}", model.name);
    let body = json!({ "Name": name, "Value": value, "Type": "SecureString", "Overwrite": true });
    let _ = stack.call("ssm", "AmazonSSM.PutParameter", &body).await;
}

/// A call of SNS: the text between the tags `want` of its answer.
async fn sns(stack: &Stack, fields: &[(&str, &str)], want: &str) -> String {
    let mut form = vec![("Version", "2010-03-31")];
    form.extend_from_slice(fields);
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let url = format!("{}/", stack.out("Endpoint"));
    let answer = stack.signed("sns", "POST", &url, &headers, &encode(&form)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let (_, rest) = answer.text.split_once(&format!("<{want}>")).unwrap_or_else(|| panic!("{}", answer.text));
    rest.split_once('<').unwrap().0.to_owned()
}

/// A topic that a policy may name, and the queue that hears it.
async fn topic(stack: &Stack, model: &Model<'_>) -> (String, String) {
    let name = format!("seatrial-{}", model.name);
    let arn = sns(stack, &[("Action", "CreateTopic"), ("Name", &name)], "TopicArn").await;
    let endpoint = format!("arn:aws:sqs:{}:{}:{name}", stack.out("Region"), stack.out("Account"));
    let rights = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": { "Service": "sns.amazonaws.com" }, "Action": "sqs:SendMessage",
        "Resource": endpoint, "Condition": { "ArnEquals": { "aws:SourceArn": arn } },
    }] });
    let create = stack.sqs.create_queue().queue_name(&name);
    let create = create.attributes(aws_sdk_sqs::types::QueueAttributeName::Policy, rights.to_string());
    let queue = create.send().await.unwrap().queue_url.unwrap();
    let subscribe =
        [("Action", "Subscribe"), ("TopicArn", &arn), ("Protocol", "sqs"), ("Endpoint", &endpoint)];
    sns(stack, &subscribe, "SubscriptionArn").await;
    (arn, queue)
}

/// What the documented lines say to a request.
fn verified(got: &Got) -> String {
    let page = std::fs::read_to_string(seatrial_tests::repository("docs/notify.md")).unwrap();
    let snippet = page.split("```python").nth(1).unwrap().split("```").next().unwrap();
    let program = format!(
        "{snippet}\nimport sys\na = json.load(sys.stdin)\nprint(verify(a['headers'], a['body'].encode(), a['key'], set())['delivery'])\n"
    );
    let mut python = Command::new("python3")
        .args(["-c", &program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    let headers = json!({
        "Seatrial-Timestamp": got.headers["seatrial-timestamp"],
        "Seatrial-Signature": got.headers["seatrial-signature"],
    });
    let asked = json!({ "headers": headers, "body": got.body, "key": KEY });
    python.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn at(inbox: &Inbox, path: &str) -> Vec<Got> {
    inbox.lock().unwrap().iter().filter(|got| got.path == path).cloned().collect()
}

/// The documents that came to a path, by their event.
fn documents(inbox: &Inbox, path: &str) -> Vec<Value> {
    at(inbox, path).iter().map(|got| serde_json::from_str(&got.body).unwrap()).collect()
}

fn events(documents: &[Value]) -> Vec<&str> {
    documents.iter().map(|d| d["event"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn everybody_hears_once_of_a_gate_its_decision_and_the_crown() {
    let stack = Stack::connect().await;
    let (base, inbox) = receiver().await;
    let model = Model::new(&stack, "notify", &json!({})).await;
    let (arn, queue) = topic(&stack, &model).await;
    let audit = json!({ "name": "audit", "format": "generic", "url": format!("{base}/audit") });
    let chat = json!({ "name": "chat", "format": "slack", "events": ["decided"] });
    let notify =
        json!({ "notify": { "email": ["team@example.com"], "topics": [arn], "webhooks": [audit, chat] } });
    put(&stack, &model, "audit/key", KEY).await;
    put(&stack, &model, "chat/url", &format!("{base}/chat")).await;
    model.set_policy(&notify).await;
    let promotion = model.first_champion("v1").await;
    let gate = model.gate(&promotion, GateKind::Approval).await;

    let wanted = ["settings_changed", "gate_opened", "decided", "crowned"];
    let told = until("the notices at the webhook", 90, async || {
        let told = documents(&inbox, "/audit");
        wanted.iter().all(|event| events(&told).contains(event)).then_some(told)
    })
    .await;
    // The policy was set twice; by when the first was told of, the second may have been in force.
    for event in &wanted[1..] {
        assert_eq!(events(&told).iter().filter(|e| *e == event).count(), 1, "{event}: {:?}", events(&told));
    }
    let of = |event: &str| told.iter().find(|d| d["event"] == event).unwrap();
    assert_eq!((&of("decided")["outcome"], &of("decided")["gate"]), (&json!("approved"), &json!(gate.id)));
    assert_eq!(of("decided")["comment"], "the suite says approve");
    assert!(of("gate_opened")["sequence"].as_u64() < of("crowned")["sequence"].as_u64());
    for got in at(&inbox, "/audit") {
        let document: Value = serde_json::from_str(&got.body).unwrap();
        assert_eq!(verified(&got), got.headers["seatrial-delivery"]);
        assert_eq!(document["delivery"], got.headers["seatrial-delivery"].as_str());
    }

    until("the notice in the chat", 60, async || (!at(&inbox, "/chat").is_empty()).then_some(())).await;
    let chat = at(&inbox, "/chat");
    assert_eq!(chat.len(), 1, "it asked for decisions alone");
    assert!(chat[0].body.contains("\"blocks\"") && !chat[0].headers.contains_key("seatrial-signature"));

    let mails = until("the mails", 60, async || {
        let mails = stack.mails(model.name.as_str()).await;
        let decided =
            |to: &str| mails.iter().any(|m| m.to.contains(to) && m.subject.ends_with("was approved"));
        (decided("ann@example.com") && decided("team@example.com")).then_some(mails)
    })
    .await;
    let published = until("what the topic's queue heard", 60, async || {
        let found =
            stack.sqs.receive_message().queue_url(&queue).max_number_of_messages(10).send().await.unwrap();
        let body = |m: &aws_sdk_sqs::types::Message| m.body().unwrap_or_default().to_owned();
        let found: Vec<String> = found.messages().iter().map(body).collect();
        found.into_iter().find(|text| text.contains("crowned"))
    })
    .await;
    let envelope: Value = serde_json::from_str(&published).unwrap();
    let message: Value = serde_json::from_str(envelope["Message"].as_str().unwrap()).unwrap();
    assert_eq!((&message["event"], &message["model"]), (&json!("crowned"), &json!(model.name)));

    // A right to decide goes to one person's own address and nowhere else.
    let mut elsewhere: Vec<String> = inbox.lock().unwrap().iter().map(|g| g.body.clone()).collect();
    elsewhere.push(published);
    elsewhere.extend(mails.iter().filter(|m| !m.subject.starts_with("Review: ")).map(|m| m.all.clone()));
    for text in &elsewhere {
        assert!(!text.contains("/l/") && !text.contains(KEY), "{text}");
    }
    let logs = stack.log_lines().await;
    assert!(
        logs.iter().all(|line| !line.contains(KEY) && !line.contains(&format!("{base}/chat"))),
        "a log tells a secret"
    );
}

#[tokio::test]
async fn a_webhook_that_is_gone_holds_nothing_up_and_one_that_stumbles_gets_it_again() {
    let stack = Stack::connect().await;
    let (base, inbox) = receiver().await;
    let model = Model::new(&stack, "deaf", &json!({})).await;
    let hook = |name: &str| json!({ "name": name, "format": "generic", "url": format!("{base}/{name}"), "events": ["gate_opened"] });
    for name in ["gone", "flaky", "keyless"] {
        if name != "keyless" {
            put(&stack, &model, &format!("{name}/key"), KEY).await;
        }
    }
    model
        .set_policy(&json!({ "notify": { "webhooks": [hook("gone"), hook("flaky"), hook("keyless")] } }))
        .await;
    let ended = model.first_champion("v1").await;
    assert_eq!(ended.status, PromotionStatus::Crowned);

    let twice = until("the second try", 90, async || {
        let got = at(&inbox, "/flaky");
        (got.len() > 1).then_some(got)
    })
    .await;
    assert_eq!(twice.len(), 2);
    assert_eq!(twice[0].body, twice[1].body);
    assert_eq!(twice[0].headers["seatrial-delivery"], twice[1].headers["seatrial-delivery"]);
    assert_ne!(twice[0].headers["seatrial-timestamp"], twice[1].headers["seatrial-timestamp"]);
    assert_eq!(at(&inbox, "/gone").len(), 1, "what is gone is not asked again");

    let mut letters: BTreeMap<String, String> = BTreeMap::new();
    until("the dead letters", 60, async || {
        let url = stack.out("NoticesDeadLettersUrl");
        let read =
            stack.sqs.receive_message().queue_url(url).max_number_of_messages(10).visibility_timeout(1);
        for message in read.send().await.unwrap().messages() {
            let letter: Value = serde_json::from_str(message.body().unwrap_or_default()).unwrap();
            if letter["delivery"]["notice"]["model"] == json!(model.name) {
                let hook = letter["delivery"]["target"]["hook"]["name"].as_str().unwrap().to_owned();
                letters.insert(hook, letter["failed"]["why"].as_str().unwrap().to_owned());
            }
        }
        (letters.len() > 1).then_some(())
    })
    .await;
    assert!(letters["gone"].contains("410"), "{letters:?}");
    assert!(letters["keyless"].contains("there is no parameter"), "{letters:?}");
}
