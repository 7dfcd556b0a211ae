//! The whole path on the running stack: a first version, then a better one under traffic, both crowned and attested.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use seatrial_domain::canonical::sha256;
use seatrial_domain::gate::GateKind;
use seatrial_domain::history::HistoryEntry;
use seatrial_domain::promotion::{EvidenceKind, PromotionRecord, PromotionStatus, evidence_prefix};
use seatrial_domain::verdict::Verdict;
use seatrial_tests::repository;
use seatrial_tests::stack::{Model, Stack, request};
use serde_json::{Value, json};

/// Requests a second.
const RATE: u64 = 100;

/// What callers saw.
#[derive(Default)]
struct Seen {
    answers: BTreeMap<String, u64>,
    failures: Vec<String>,
    /// The versions that answered each unit since the last look.
    units: BTreeMap<String, Vec<String>>,
    labels: Vec<Value>,
}

struct Traffic {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

async fn ask(client: &reqwest::Client, url: &str, model: &str, row: &Value, seen: &Mutex<Seen>) {
    let answer = client.post(url).json(&request(row)).send().await;
    let (status, body) = match answer {
        Ok(answer) => (answer.status(), answer.json::<Value>().await.unwrap_or_default()),
        Err(e) => return seen.lock().unwrap().failures.push(format!("{e:?}")),
    };
    let mut seen = seen.lock().unwrap();
    let (version, id) =
        (body["model_version"].as_str(), body.pointer("/parameters/observation_id").and_then(Value::as_str));
    let (true, Some(version), Some(id)) = (status.is_success(), version, id) else {
        return seen.failures.push(format!("{status}: {body}"));
    };
    *seen.answers.entry(version.to_owned()).or_default() += 1;
    seen.units.entry(row["unit"].as_str().unwrap().to_owned()).or_default().push(version.to_owned());
    let id = if id.contains('#') { id.to_owned() } else { format!("{id}#0") };
    let at = jiff::Timestamp::now();
    seen.labels.push(json!({ "schema": 1, "kind": "label", "observation_id": id, "model": model, "label": row["label"], "at": at }));
}

impl Traffic {
    fn start(stack: &Stack, base: &str, model: &str) -> Self {
        let live = std::fs::read_to_string(repository("tests/fixtures/live.jsonl")).unwrap();
        let rows: Vec<Value> = live.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let (seen, stop) = (Arc::new(Mutex::new(Seen::default())), Arc::new(AtomicBool::new(false)));
        let (sqs, queue) = (stack.sqs.clone(), stack.out("ObservationsQueueUrl").to_owned());
        let (url, model) = (format!("{base}/v2/models/{model}/infer"), model.to_owned());
        let (shared, ended) = (Arc::clone(&seen), Arc::clone(&stop));
        let task = tokio::spawn(async move {
            let client = reqwest::Client::new();
            let mut tick = tokio::time::interval(Duration::from_millis(1_000 / RATE));
            tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
            for (n, row) in rows.iter().cycle().enumerate() {
                tick.tick().await;
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let (client, url, model, row, seen) =
                    (client.clone(), url.clone(), model.clone(), row.clone(), Arc::clone(&shared));
                tokio::spawn(async move { ask(&client, &url, &model, &row, &seen).await });
                if n % RATE as usize == 0 {
                    let labels = std::mem::take(&mut shared.lock().unwrap().labels);
                    if !labels.is_empty() {
                        sqs.send_message()
                            .queue_url(&queue)
                            .message_body(Value::Array(labels).to_string())
                            .send()
                            .await
                            .unwrap();
                    }
                }
            }
        });
        Self { seen, stop, task }
    }

    fn take(&self) -> Seen {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }

    async fn end(self) -> Seen {
        self.stop.store(true, Ordering::SeqCst);
        self.task.await.unwrap();
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

/// Checks the manifest of a promotion as an auditor does: every object is there, under its digest, and none is left out.
async fn audited(model: &Model<'_>, promotion: &PromotionRecord, kinds: &[EvidenceKind]) {
    let stack = model.stack;
    let reference = &promotion.evidence[&EvidenceKind::Manifest];
    let bytes = stack.object("EvidenceBucket", &reference.key).await;
    assert_eq!(sha256(&bytes), reference.digest);
    let manifest: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(manifest["_type"], "https://in-toto.io/Statement/v1");
    assert_eq!(manifest["predicate"]["challenger"]["digest"], json!(promotion.challenger.digest));

    let mut listed = Vec::new();
    for subject in manifest["subject"].as_array().unwrap() {
        let key = subject["name"].as_str().unwrap().to_owned();
        let bytes = stack.object("EvidenceBucket", &key).await;
        assert_eq!(sha256(&bytes).hex(), subject["digest"]["sha256"].as_str().unwrap(), "{key}");
        assert_eq!(Some(bytes.len() as u64), subject["size"].as_u64(), "{key}");
        assert!(subject["version_id"].is_string(), "{key} has no S3 version");
        listed.push(key);
    }
    let folder = evidence_prefix(&model.name, &promotion.id);
    let mut stored = stack.keys("EvidenceBucket", &folder).await;
    verifies(stack, &folder, &stored).await;
    stored.retain(|key| !key.contains("/manifest-") && !key.contains("/documents/"));
    documented(model, promotion).await;
    assert_eq!(listed, stored, "the manifest is not the list of the evidence");
    for kind in kinds {
        assert!(listed.contains(&promotion.evidence[kind].key), "{kind:?} is not in the manifest");
    }
    let history = listed.iter().find(|k| k.contains("/history-")).expect("the history as evidence");
    let entries: Vec<HistoryEntry> =
        serde_json::from_slice(&stack.object("EvidenceBucket", history).await).unwrap();
    seatrial_domain::history::verify(&model.name, &entries, None).unwrap();
    assert_eq!(entries.last().unwrap().event, "crowned");
    // The operator API shows the same bytes.
    let manifest_url =
        format!("{}/v1/models/{}/promotions/{}/manifest", stack.out("ControlUrl"), model.name, promotion.id);
    let shown = stack.signed("execute-api", "GET", &manifest_url, &[], "").await;
    assert_eq!(sha256(shown.text.as_bytes()), reference.digest);
}

/// Whether `seatrial verify` finds no doubt in the bucket, nor in a copy of it with the public key alone; and finds the right one in
/// a copy that was changed.
async fn verifies(stack: &Stack, folder: &str, stored: &[String]) {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder.replace(['/', '='], "-"));
    std::fs::create_dir_all(&place).unwrap();
    let key = place.join("seatrial.pem");
    let (key, copy) = (key.to_str().unwrap(), place.join("evidence"));
    drop(stack.cli(&["key", "--file", key]).await.json());
    for path in stored {
        let file = copy.join(path.strip_prefix(folder).unwrap());
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, stack.object("EvidenceBucket", path).await).unwrap();
    }
    let address = format!("s3://{}/{folder}", stack.out("EvidenceBucket"));
    for path in [address.as_str(), copy.to_str().unwrap()] {
        let answer = stack.cli(&["verify", path, "--key", key]).await.json();
        let findings = answer["promotions"][0]["findings"].as_array().unwrap();
        for what in
            ["manifest and promotion", "approval and evidence", "crown and approval", "policy", "history"]
        {
            let found = findings.iter().find(|f| f["what"] == what);
            assert_eq!(found.map(|f| &f["standing"]), Some(&json!("holds")), "{what} in {path}: {answer:#}");
        }
    }
    let report = stored.iter().find_map(|p| p.strip_prefix(folder).filter(|p| p.starts_with("report-")));
    let report = copy.join(report.unwrap());
    let mut bytes = std::fs::read(&report).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&report, bytes).unwrap();
    let changed = stack.cli(&["verify", copy.to_str().unwrap(), "--key", key]).await.error(21);
    assert_eq!(changed["code"], "changed");
    std::fs::remove_file(&report).unwrap();
    let missing = stack.cli(&["verify", copy.to_str().unwrap(), "--key", key]).await.error(22);
    assert_eq!(missing["code"], "missing");
    std::fs::remove_dir_all(&place).unwrap();
}

/// Whether the stored audit document verifies alone, is made again byte by byte, and goes into an archive that verifies too.
async fn documented(model: &Model<'_>, promotion: &PromotionRecord) {
    let stack = model.stack;
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("audit-{}", promotion.id));
    std::fs::create_dir_all(&place).unwrap();
    let file = |name: &str| place.join(name).to_str().unwrap().to_owned();
    let key = file("seatrial.pem");
    drop(stack.cli(&["key", "--file", &key]).await.json());
    let reference = &promotion.evidence[&EvidenceKind::Document];
    let stored = stack.object("EvidenceBucket", &reference.key).await;
    assert_eq!(sha256(&stored), reference.digest);
    let name = reference.key.rsplit('/').next().unwrap();
    std::fs::write(file("stored.pdf"), &stored).unwrap();
    let alone = stack.cli(&["verify", &file("stored.pdf"), "--key", &key]).await.json();
    assert_eq!(alone["doubt"], Value::Null, "{alone:#}");

    let (from, to) = (
        promotion.champion.as_ref().map_or_else(|| "first".to_owned(), |c| c.version.to_string()),
        promotion.challenger.version.to_string(),
    );
    let which = ["--model", model.name.as_str(), "--from", &from, "--to", &to];
    let dir = file("again");
    let again = [&["audit"][..], &which, &["--dir", &dir]].concat();
    let made = stack.cli(&again).await.json();
    assert_eq!((&made["same"], &made["document"]), (&json!(true), &json!(reference.digest)), "{made:#}");
    assert_eq!(std::fs::read(place.join("again").join(name)).unwrap(), stored);

    let zip = file("audit.zip");
    drop(stack.cli(&[&["audit", "export"][..], &which, &["--file", &zip]].concat()).await.json());
    let archive = stack.cli(&["verify", &zip, "--key", &key]).await.json();
    assert_eq!(
        archive["promotions"].as_array().unwrap().len(),
        2,
        "the folder and its document: {archive:#}"
    );
    std::fs::remove_dir_all(&place).unwrap();
}

/// Whether the history says who served and who changed it, and stands where its signed checkpoints say.
async fn anchored(model: &Model<'_>, champion: &str) {
    let told = model.stack.cli(&["history", model.name.as_str()]).await.json();
    let last = told["served"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["shares"][0]["version"], &last["until"]), (&json!(champion), &Value::Null), "{last:#}");
    assert_ne!(last["by"], json!([]), "{last:#}");
    let checkpoints = told["checkpoints"].as_array().unwrap();
    assert!(!checkpoints.is_empty(), "no checkpoint is signed");
    assert!(checkpoints.iter().all(|c| c["standing"] == "holds"), "{checkpoints:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_better_version_goes_from_its_upload_to_champion_under_traffic() {
    let stack = Stack::connect().await;
    let rules = json!({
        "shadow": { "window_seconds": 5, "max_seconds": 60, "min_pairs": 150, "min_per_class": 15 },
        "canary": { "steps": [25, 50], "hold_seconds": 2, "check_seconds": 1, "min_requests": 20, "metrics": { "error_rate": { "class": "guardrail", "margin": 0.3 }, "latency_p99": { "class": "guardrail", "margin": "2000%rel", "detect": 99 } } },
    });
    let model = Model::new(&stack, "promotion", &rules).await.with_benchmark().await;
    let name = model.name.as_str();

    // The first version: nothing to compare with, nothing to shadow, and a gate all the same.
    let first = model.first_champion("v1").await;
    assert!(first.steps.is_empty() && first.shadow.is_none() && first.champion.is_none());
    audited(&model, &first, &[EvidenceKind::Evaluation, EvidenceKind::Report]).await;
    anchored(&model, "v1").await;
    let (status, _, cause) = model.execution(&first).await;
    assert_eq!(status, "SUCCEEDED", "{cause}");
    let head = model.head().await;
    assert_eq!(
        (head.champion(), head.standby.as_ref(), head.route.weight.bps()),
        (Some(&first.challenger), None, 0)
    );

    let server = stack.serve(&model.folder().join("serve")).await;
    let traffic = Traffic::start(&stack, &server.base, name);

    // The second, in its shadow: callers see the champion alone.
    let second = model.submit("v2").await;
    let gate = model.gate(&second, GateKind::Approval).await;
    let shadowed = model.now(&second).await;
    let seen = traffic.take();
    assert_eq!(seen.failures, Vec::<String>::new());
    assert_eq!(seen.answers.keys().collect::<Vec<_>>(), ["v1"], "the shadow was seen");
    assert!(
        shadowed.steps.is_empty()
            && shadowed.shadow.as_ref().is_some_and(|s| s.closed_at.is_some() && !s.stopped_early)
    );
    assert!(
        matches!(shadowed.verdict, Some(Verdict::Pass | Verdict::Inconclusive)),
        "{:?}",
        shadowed.verdict
    );
    assert_eq!(gate.bound.package, second.challenger.digest);
    assert_eq!(gate.bound.report, shadowed.evidence[&EvidenceKind::Report].digest);
    let report = stack.cli(&["compare", name]).await.json();
    let rows = report["rows"].as_array().unwrap();
    let agreement = rows.iter().find(|r| r["name"] == "agreement").expect("the row of agreement");
    assert!(agreement["n"].as_u64().unwrap() >= 150, "{agreement}");
    let fidelity = rows.iter().find(|r| r["name"] == "fidelity").expect("the row of fidelity");
    assert_eq!(fidelity["verdict"], "pass", "{fidelity}");

    // Approved, it gets its shares one after the other, and the crown.
    model.decide(&second, "approve").await;
    let ended = model.ended(&second).await;
    assert_eq!(ended.status, PromotionStatus::Crowned, "{:?}", ended.reason);
    assert_eq!(ended.steps.iter().map(|s| s.weight.bps()).collect::<Vec<_>>(), [2_500, 5_000]);
    let during = traffic.take();
    assert_eq!(during.failures, Vec::<String>::new());
    assert!(["v1", "v2"].iter().all(|v| during.answers.contains_key(*v)), "{:?}", during.answers);
    for versions in during.units.values() {
        // A unit that met the challenger stays with it, at every share.
        assert!(versions.windows(2).all(|w| w[0] <= w[1]), "a unit went back: {versions:?}");
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    traffic.take();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = traffic.end().await;
    assert_eq!(after.answers.keys().collect::<Vec<_>>(), ["v2"], "the crown has not taken effect after 2 s");

    audited(&model, &ended, &[EvidenceKind::Evaluation, EvidenceKind::Inputs, EvidenceKind::Report]).await;
    anchored(&model, "v2").await;
    let head = model.head().await;
    assert_eq!((head.champion(), head.standby.as_ref()), (Some(&second.challenger), Some(&first.challenger)));
    assert!(head.running.is_none() && head.route.weight.bps() == 0);
    let told = stack.cli(&["history", name]).await.json();
    assert_eq!(told["verified"], json!(true));
    let events = model.events().await;
    for (event, times) in [
        ("version_packaged", 2),
        ("crowned", 2),
        ("attested", 2),
        ("weight_shifted", 2),
        ("canary_rolled_back", 0),
    ] {
        assert_eq!(events.iter().filter(|e| *e == event).count(), times, "{event} in {events:?}");
    }
}
