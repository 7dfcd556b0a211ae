//! From a history to its receivers: each once, whatever fails on the way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::support;

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;

use jiff::SignedDuration;
use seatrial_domain::gate::GateRecord;
use seatrial_domain::ids::{Actor, Auth};
use seatrial_domain::notice::{MOST_ATTEMPTS, NoticeKind, Told};
use seatrial_domain::policy::WebhookFormat::{Generic, Slack, Teams};
use seatrial_registry::ops::Clock;
use seatrial_registry::was_told;
use serde_json::{Value, json};
use support::{APPROVALS, KEY, Receiver, World, hook, now, via};

/// A world whose model tells everything to a mail address, a topic and three webhooks of `receiver`.
async fn telling(receiver: &Receiver) -> World {
    let mut world = World::new().await;
    world
        .policy(|policy| {
            policy.notify.email = vec!["team@example.com".into()];
            policy.notify.topics = vec!["arn:aws:sns:us-east-1:000000000000:seatrial-news".into()];
            let url = format!("{}/200", receiver.base);
            policy.notify.webhooks = vec![
                hook("chat", Slack, None),
                hook("teams", Teams, None),
                hook("audit", Generic, Some(url)),
            ];
        })
        .await;
    let model = world.s.model.clone();
    for (name, value) in [
        ("chat/url", format!("{}/200\n", receiver.base)),
        ("teams/url", format!("{}/202", receiver.base)),
        ("audit/key", KEY.to_owned()),
    ] {
        world.store.0.insert(format!("{model}/{name}"), value);
    }
    world
}

/// A gate of v2 that is open, with the event of it as the last of the history.
async fn open_gate(world: &World) -> GateRecord {
    let run = world.s.start(2).await;
    world.s.open_gate(&run).await
}

#[tokio::test]
async fn an_entry_becomes_one_delivery_a_receiver_and_each_is_made_once_however_often_it_comes() {
    let receiver = Receiver::start().await;
    let world = telling(&receiver).await;
    let gate = open_gate(&world).await;
    let deliveries = world.deliveries().await;
    assert_eq!(world.deliveries().await, deliveries, "again, the same ones under the same names");
    let targets: Vec<_> =
        deliveries.iter().map(|d| d["delivery"]["target"]["via"].as_str().unwrap()).collect();
    assert_eq!(targets, ["mail", "topic", "webhook", "webhook", "webhook"]);
    for _ in 0..3 {
        assert_eq!(world.run(&deliveries, 1, now()).await, 0);
    }
    assert_eq!(world.post.sent.lock().unwrap().len(), 1);
    assert_eq!(world.published.0.lock().unwrap().len(), 1);
    assert_eq!(receiver.got().len(), 3);
    assert!(world.dead_letters.take().is_empty() && world.put_off.0.lock().unwrap().is_empty());

    // What went out leads to the gate, and gives nobody a right to decide.
    let mail = world.post.sent.lock().unwrap()[0].1.text.clone();
    let (_, text, json) = world.published.0.lock().unwrap()[0].clone();
    let mut all = vec![mail, text, json];
    all.extend(receiver.got().into_iter().map(|got| got.body));
    for told in &all {
        assert!(told.contains(&format!("{APPROVALS}/g/{}", gate.id)), "{told}");
        assert!(!told.contains("/l/") && !told.contains("127.0.0.1"), "{told}");
    }
}

#[tokio::test]
async fn what_concerns_nobody_goes_nowhere() {
    let receiver = Receiver::start().await;
    let mut world = telling(&receiver).await;
    world.s.register(3).await;
    assert_eq!(world.deliveries().await, Vec::<Value>::new(), "a version was packaged");
    world.s.start(2).await;
    assert_eq!(world.deliveries().await, Vec::<Value>::new(), "a promotion began");
    // Without a sender nobody is written to, and the others are told all the same.
    world.mail = false;
    world.s.ops(seatrial_person("ann@example.com")).roll_back(&world.s.model, "errors", false).await.unwrap();
    let deliveries = world.deliveries().await;
    assert!(via(&deliveries, "mail").is_empty());
    assert_eq!(deliveries.len(), 4);
}

fn seatrial_person(principal: &str) -> Actor {
    Actor { principal: principal.into(), auth: Auth::Iam }
}

#[tokio::test]
async fn the_deployments_topic_hears_of_every_model() {
    let mut world = World::new().await;
    world.topic = Some("arn:deployment".into());
    open_gate(&world).await;
    let deliveries = world.deliveries().await;
    assert_eq!(via(&deliveries, "topic")[0]["delivery"]["target"]["arn"], "arn:deployment");
    assert_eq!(deliveries.len(), 1, "those who are asked hear of an opened gate from `gate`: {deliveries:?}");
}

#[tokio::test]
async fn only_what_time_may_cure_is_tried_again_and_the_rest_is_given_up_at_once_with_its_reason() {
    let receiver = Receiver::start().await;
    let world = World::new().await;
    let to = |answer: &str| {
        let url = format!("{}/{answer}", receiver.base);
        let mut delivery = world.to_hook(NoticeKind::Crowned, hook(answer, Generic, Some(url)));
        delivery["delivery"]["id"] = json!(format!("de_{answer}"));
        delivery
    };
    let mut world = World { s: world.s.clone(), ..World::new().await };
    for answer in
        ["500", "503", "429", "408", "patient", "greedy", "410", "404", "400", "403", "moved", "large"]
    {
        world.store.0.insert(format!("{}/{answer}/key", world.s.model), KEY.into());
    }
    for (answer, at_least) in
        [("500", 7), ("503", 7), ("429", 7), ("408", 7), ("patient", 900), ("greedy", 3_600)]
    {
        assert_eq!(world.run(&[to(answer)], 1, now()).await, 1, "{answer} comes again");
        let waits = std::mem::take(&mut *world.put_off.0.lock().unwrap());
        assert!(waits.len() == 1 && (at_least..=3_600).contains(&waits[0]), "{answer}: {waits:?}");
        assert!(world.dead_letters.take().is_empty(), "{answer}");
    }
    for (answer, why) in [
        ("410", "410 Gone: so it is"),
        ("404", "404"),
        ("400", "400"),
        ("403", "403"),
        ("moved", "redirects are not followed"),
    ] {
        let sent = to(answer);
        assert_eq!(world.run(std::slice::from_ref(&sent), 1, now()).await, 0, "{answer} does not come again");
        let mut letters = world.dead_letters.take();
        assert_eq!(letters.len(), 1, "{answer}");
        let failed = letters[0].as_object_mut().unwrap().remove("failed").unwrap();
        assert!(failed["why"].as_str().unwrap().contains(why), "{answer}: {failed}");
        assert_eq!(letters[0], sent, "without the reason it is what can be sent to the queue again");
    }
    assert!(world.put_off.0.lock().unwrap().is_empty());
    let paths: Vec<_> = receiver.got().into_iter().map(|got| got.path).collect();
    assert!(!paths.contains(&"200".to_owned()), "the redirect was followed: {paths:?}");
    assert_eq!(paths.len(), 11, "each was tried once");
    assert_eq!(world.run(&[to("large")], 1, now()).await, 0, "however much it says to it, it has it");
    assert!(world.dead_letters.take().is_empty());

    // The last attempt is given up, whatever was wrong; with its reason taken away it can be tried again.
    let sent = to("503");
    assert_eq!(world.run(std::slice::from_ref(&sent), MOST_ATTEMPTS - 1, now()).await, 1);
    assert_eq!(world.run(std::slice::from_ref(&sent), MOST_ATTEMPTS, now()).await, 0);
    let letter = world.dead_letters.take().remove(0);
    assert_eq!(letter["failed"]["attempts"], MOST_ATTEMPTS);
    assert_eq!(world.run(&[letter], 1, now()).await, 1, "a dead letter is a message as it is");
}

#[tokio::test]
async fn a_receiver_that_does_not_answer_delays_no_other() {
    let receiver = Receiver::start().await;
    let mut world = World::new().await;
    for name in ["slow", "quick"] {
        world.store.0.insert(format!("{}/{name}/key", world.s.model), KEY.into());
    }
    let to = |name: &str, answer: &str| {
        world.to_hook(NoticeKind::Failed, hook(name, Generic, Some(format!("{}/{answer}", receiver.base))))
    };
    let began = std::time::Instant::now();
    assert_eq!(world.run(&[to("slow", "silent"), to("quick", "200")], 1, now()).await, 1);
    assert!(began.elapsed().as_secs() < 15, "{:?}", began.elapsed());
    assert_eq!(receiver.got().len(), 2);
    assert_eq!(world.run(&[to("quick", "200")], 2, now()).await, 0);
    assert_eq!(receiver.got().len(), 2, "the quick one has it");
}

#[tokio::test]
async fn secrets_that_are_missing_and_hosts_that_are_not_allowed_are_somebodys_to_put_right() {
    let receiver = Receiver::start().await;
    let mut world = World::new().await;
    let model = world.s.model.clone();
    world
        .store
        .0
        .insert(format!("{model}/chat/url"), "https://hooks.slack.com/services/T0/B0/topsecret".into());
    world.store.0.insert(format!("{model}/short/key"), "abc".into());
    world.store.0.insert(format!("{model}/keyed/key"), KEY.into());
    world.store.0.insert("other/stolen/key".into(), KEY.into());
    let here = Some(format!("{}/200", receiver.base));
    let cases = [
        (hook("nowhere", Slack, None), "there is no parameter"),
        (
            hook("chat", Slack, None),
            "does not allow hooks.slack.com to be called; name it in the parameter NotifyHosts",
        ),
        (hook("short", Generic, here.clone()), "shorter than 32"),
        (hook("stolen", Generic, here), "there is no parameter"),
        (hook("keyed", Generic, Some("https://10.0.0.1/".into())), "does not allow"),
    ];
    for (hook, why) in cases {
        let name = hook.name.clone();
        assert_eq!(world.run(&[world.to_hook(NoticeKind::Failed, hook)], 1, now()).await, 0, "{name}");
        let letter = world.dead_letters.take().remove(0).to_string();
        assert!(letter.contains(why), "{name}: {letter}");
        assert!(!letter.contains("topsecret") && !letter.contains(KEY), "{name}: {letter}");
    }
    assert!(receiver.got().is_empty());
}

/// What the documented snippet says to a request: the delivery, `seen`, or why not.
fn verified(headers: &Value, body: &str, key: &str, seen: &[&str], now: i64) -> String {
    let page = include_str!("../../../docs/notify.md");
    let snippet = page.split("```python").nth(1).unwrap().split("```").next().unwrap();
    let program = format!(
        "{snippet}\nimport sys\na = json.load(sys.stdin)\ntry:\n    n = verify(a['headers'], a['body'].encode(), a['key'], a['seen'], lambda: a['now'])\n    \
         print(n['delivery'] if n else 'seen')\nexcept ValueError as e:\n    print(e)\n"
    );
    let mut python = Command::new("python3")
        .args(["-c", &program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    let asked = json!({ "headers": headers, "body": body, "key": key, "seen": seen, "now": now });
    python.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn a_receiver_knows_by_the_documented_lines_what_is_ours_what_is_old_and_what_it_had() {
    let receiver = Receiver::start().await;
    let mut world = World::new().await;
    let other = "f".repeat(32);
    world.store.0.insert(format!("{}/audit/key", world.s.model), format!("{other}\n{KEY}"));
    let sent =
        world.to_hook(NoticeKind::Crowned, hook("audit", Generic, Some(format!("{}/500", receiver.base))));
    // Tried twice, half an hour apart: the same delivery and body, another time and signature.
    world.run(std::slice::from_ref(&sent), 1, now()).await;
    world.run(std::slice::from_ref(&sent), 2, now() + SignedDuration::from_mins(30)).await;
    let got = receiver.got();
    assert_eq!(got.len(), 2);
    assert_eq!(
        (&got[0].body, &got[0].headers["seatrial-delivery"]),
        (&got[1].body, &got[1].headers["seatrial-delivery"])
    );
    assert_ne!(got[0].headers["seatrial-timestamp"], got[1].headers["seatrial-timestamp"]);
    assert_ne!(got[0].headers["seatrial-signature"], got[1].headers["seatrial-signature"]);
    assert_eq!(got[0].headers["seatrial-event"], "crowned");

    let id = got[0].headers["seatrial-delivery"].as_str();
    let headers = |n: usize| json!({ "Seatrial-Timestamp": got[n].headers["seatrial-timestamp"], "Seatrial-Signature": got[n].headers["seatrial-signature"] });
    let (at, later) = (now().as_second(), now().as_second() + 1_800);
    assert_eq!(verified(&headers(0), &got[0].body, KEY, &[], at + 299), id);
    assert_eq!(
        verified(&headers(0), &got[0].body, &other, &[], at - 60),
        id,
        "while keys change, either signs; a clock may be off"
    );
    assert_eq!(verified(&headers(1), &got[1].body, KEY, &[id], later), "seen");
    assert!(verified(&headers(0), &got[0].body, KEY, &[], at + 301).contains("plays it again"));
    assert!(verified(&headers(0), &got[0].body, &"x".repeat(32), &[], at).contains("not signed"));
    assert!(
        verified(&headers(0), &got[0].body.replace("crowned", "failed"), KEY, &[], at).contains("not signed")
    );
    let mixed = json!({ "Seatrial-Timestamp": got[1].headers["seatrial-timestamp"], "Seatrial-Signature": got[0].headers["seatrial-signature"] });
    assert!(
        verified(&mixed, &got[0].body, KEY, &[], later).contains("not signed"),
        "an old body does not become young"
    );
}

/// The last reminder's deliveries of a gate that is open.
async fn reminded(world: &World) -> (GateRecord, Vec<Value>) {
    let gate = open_gate(world).await;
    let left = gate.expires_at.duration_since(world.s.clock.now());
    world.s.clock.forward(left - SignedDuration::from_secs(60));
    assert!(world.s.system().remind_gate(&gate.id).await.unwrap().fresh);
    (gate, world.deliveries().await)
}

#[tokio::test]
async fn people_count_as_told_once_somebody_who_is_asked_or_a_webhook_has_it() {
    let receiver = Receiver::start().await;
    for (kind, expected) in [("topic", false), ("mail", true), ("webhook", true)] {
        let world = telling(&receiver).await;
        world.policy(|p| p.approval.reminders_seconds = vec![120]).await;
        let (gate, deliveries) = reminded(&world).await;
        let told = || async { was_told(&world.s.registry, &gate, Told::Reminded).await.unwrap() };
        assert!(!told().await, "nothing went out yet");
        world.post.broken.store(true, Ordering::SeqCst);
        let mails: Vec<Value> = via(&deliveries, "mail").into_iter().cloned().collect();
        assert_eq!(mails.len(), 3, "ann, bob and the team");
        assert_eq!(world.run(&mails, 1, now()).await, 3);
        assert!(!told().await, "what failed tells nobody");
        world.post.broken.store(false, Ordering::SeqCst);
        let chosen: Vec<Value> = via(&deliveries, kind).into_iter().cloned().collect();
        assert_eq!(world.run(&chosen, 1, now()).await, 0, "{kind}");
        assert_eq!(told().await, expected, "{kind}");
        assert!(!was_told(&world.s.registry, &gate, Told::Opened).await.unwrap(), "that is another thing");
    }
}

#[tokio::test]
async fn nobody_is_asked_for_what_is_decided() {
    let receiver = Receiver::start().await;
    let world = telling(&receiver).await;
    world.policy(|p| p.approval.reminders_seconds = vec![120]).await;
    let (gate, deliveries) = reminded(&world).await;
    world.s.ops(seatrial_person("bob@example.com")).decide_gate(&gate.id, false, "no", None).await.unwrap();
    assert_eq!(world.run(&deliveries, 3, now()).await, 0);
    assert!(world.post.sent.lock().unwrap().is_empty() && receiver.got().is_empty());
    let decided = world.deliveries().await;
    assert_eq!(world.run(&decided, 1, now()).await, 0);
    let subjects: Vec<_> =
        world.post.sent.lock().unwrap().iter().map(|(_, mail)| mail.subject.clone()).collect();
    assert!(subjects.len() == 3 && subjects.iter().all(|s| s.ends_with("v2 was rejected")), "{subjects:?}");
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_set_aside_and_sinks_nobody() {
    let receiver = Receiver::start().await;
    let world = telling(&receiver).await;
    open_gate(&world).await;
    let good = world.deliveries().await.remove(0);
    let odd =
        [json!({ "kind": "gossip" }), json!({ "kind": "entry", "schema": 2, "model": "m", "seq": 1 }), good];
    assert_eq!(world.run(&odd, 1, now()).await, 0);
    let why: Vec<_> = world.dead_letters.take().iter().map(|l| l["failed"]["why"].to_string()).collect();
    assert!(why.len() == 2 && why[0].contains("cannot be read") && why[1].contains("schema"), "{why:?}");
    assert_eq!(world.post.sent.lock().unwrap().len(), 1);
    let nothing = json!({ "kind": "entry", "schema": 1, "model": world.s.model, "seq": 999 });
    assert_eq!(world.run(&[nothing], 1, now()).await, 1, "an entry that is not there is looked for again");
}
