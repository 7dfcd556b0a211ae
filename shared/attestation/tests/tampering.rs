//! Each way of tampering with a promotion's evidence is found, and called what it is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;

use jiff::Timestamp;
use seatrial_attestation::checkpoint::{self, Checkpoint};
use seatrial_attestation::dsse::{Envelope, IN_TOTO};
use seatrial_attestation::manifest::{Manifest, Subject};
use seatrial_attestation::statement::Sha256;
use seatrial_attestation::verify::{Data, Files, Finding, Standing, Verification, verify};
use seatrial_attestation::{LocalKey, PublicKey};
use seatrial_domain::canonical;
use seatrial_domain::history::{ChainTip, HistoryEntry};
use seatrial_domain::ids::{ModelName, PromotionId};
use seatrial_domain::promotion::PromotionRecord;
use serde_json::{Value, json};

const PROMOTION: &str = "pr_0123456789abcdef01234567";

fn digest(of: &str) -> String {
    canonical::sha256(of.as_bytes()).to_string()
}

fn model() -> ModelName {
    ModelName::parse("credit-risk").unwrap()
}

/// A chain of `events`, each of this promotion.
fn chain(events: &[(&str, Value)]) -> Vec<HistoryEntry> {
    let mut tip = ChainTip::genesis(&model());
    let mut entries = Vec::new();
    for (event, details) in events {
        let mut entry: HistoryEntry = serde_json::from_value(json!({
            "seq": tip.seq + 1, "model": "credit-risk", "at": "2026-11-01T10:00:00Z",
            "actor": { "principal": "function/crown", "auth": "system" }, "event": event, "promotion": PROMOTION, "version": "v2", "epoch": 4,
            "details": details, "previous": tip.hash, "hash": digest("not yet"),
        }))
        .unwrap();
        entry.hash = entry.expected_hash().unwrap();
        tip = ChainTip { seq: entry.seq, hash: entry.hash.clone() };
        entries.push(entry);
    }
    entries
}

/// A frozen list of two files of data.
fn inputs() -> Value {
    let file =
        |name: &str| json!({ "key": name, "sha256": canonical::sha256(name.as_bytes()).hex(), "size": 1 });
    json!({
        "frozen_at": "2026-11-01T09:20:00Z", "shadow": { "opened_at": "2026-11-01T09:00:00Z" }, "pairs": [file("pairs/1")],
        "labels": [file("labels/1")], "observations": [],
    })
}

/// The evidence of a crowned promotion, and the key that signs it.
struct Crowned {
    key: LocalKey,
    record: PromotionRecord,
    history: Vec<HistoryEntry>,
    objects: BTreeMap<String, Vec<u8>>,
    checkpoints: BTreeMap<String, Vec<u8>>,
}

impl Crowned {
    async fn new() -> Self {
        let report = br#"{"schema":1,"verdict":"pass"}"#.to_vec();
        let shown = canonical::sha256(&report);
        let report_name = format!("report-{}.json", &shown.hex()[..16]);
        let bound = json!({
            "package": digest("package"), "report": shown, "benchmark": null, "policy": digest("policy"),
        });
        let key = format!("evidence/model=credit-risk/promotion={PROMOTION}/{report_name}");
        let record: PromotionRecord = serde_json::from_value(json!({
            "id": PROMOTION, "model": "credit-risk",
            "challenger": { "version": "v2", "digest": digest("package") },
            "champion": { "version": "v1", "digest": digest("champion") },
            "status": "crowned", "epoch": 3, "policy": { "number": 1, "digest": digest("policy") },
            "benchmark": null, "requested_by": { "principal": "AIDAEXAMPLE", "auth": "iam" }, "started_at": "2026-11-01T09:00:00Z",
            "ended_at": "2026-11-01T10:00:00Z", "evidence": { "report": { "key": key, "digest": shown } },
        }))
        .unwrap();
        let gate = json!({
            "id": "ga_0123456789abcdef01234567", "kind": "approval", "model": "credit-risk", "promotion": PROMOTION,
            "epoch": 3, "challenger": record.challenger, "champion": record.champion, "status": "approved",
            "bound": bound, "verdict": "pass", "requested_by": "ann", "submitted_by": "ann",
            "opened_at": "2026-11-01T09:30:00Z", "expires_at": "2026-11-02T09:30:00Z",
        });
        let history = chain(&[
            ("promotion_started", json!({})),
            ("gate_decided", json!({ "decision": "approved" })),
            ("crowned", json!({ "bound": bound })),
        ]);
        let objects = [
            (report_name, report),
            ("inputs-00.json".to_owned(), serde_json::to_vec(&inputs()).unwrap()),
            ("summaries/00/part=00.json".to_owned(), b"{}".to_vec()),
            ("promotion-00.json".to_owned(), serde_json::to_vec(&record).unwrap()),
            ("gate-approval-00.json".to_owned(), serde_json::to_vec(&gate).unwrap()),
            ("history-00.json".to_owned(), serde_json::to_vec(&history).unwrap()),
        ];
        let mut made = Self {
            key: LocalKey::generate().unwrap(),
            record,
            history,
            objects: objects.into_iter().collect(),
            checkpoints: BTreeMap::new(),
        };
        let last = made.history.last().unwrap().clone();
        made.checkpoints.insert("000000000003.dsse.json".into(), made.checkpoint(&last).await);
        made
    }

    async fn checkpoint(&self, entry: &HistoryEntry) -> Vec<u8> {
        let statement = canonical::to_bytes(&Checkpoint::at(entry)).unwrap();
        let envelope = Envelope::sign(IN_TOTO, &statement, &self.key).await.unwrap();
        serde_json::to_vec(&envelope).unwrap()
    }

    /// Everything, signed as it is now.
    async fn files(&self) -> Files {
        let prefix = format!("evidence/model=credit-risk/promotion={}", self.record.id);
        let subjects = self.objects.iter().map(|(name, bytes)| Subject {
            name: format!("{prefix}/{name}"),
            size: bytes.len() as u64,
            digest: Sha256 { sha256: canonical::sha256(bytes).hex().to_owned() },
            version_id: Some("v".into()),
        });
        let manifest =
            canonical::to_bytes(&Manifest::of(&self.record, subjects.collect(), Some(400))).unwrap();
        let name = format!("manifest-{}", &canonical::sha256(&manifest).hex()[..16]);
        let envelope = Envelope::sign(IN_TOTO, &manifest, &self.key).await.unwrap();
        let mut evidence = self.objects.clone();
        evidence.insert(format!("{name}.dsse.json"), serde_json::to_vec(&envelope).unwrap());
        evidence.insert(format!("{name}.json"), manifest);
        Files { evidence, checkpoints: self.checkpoints.clone(), ..Files::default() }
    }

    fn keys(&self) -> [PublicKey; 1] {
        [self.key.public().clone()]
    }
}

/// The gravest doubt: which thing, and how it stands.
fn doubt(found: &Verification) -> (Standing, &str) {
    let doubt = found.doubt().unwrap_or_else(|| panic!("no doubt in {found:#?}"));
    (doubt.standing, doubt.what.as_str())
}

#[tokio::test]
async fn evidence_as_it_was_signed_holds_whole() {
    let made = Crowned::new().await;
    let found = verify(&made.files().await, &made.keys());
    assert!(found.findings.iter().all(|f| f.standing == Standing::Holds), "{:#?}", found.findings);
    assert_eq!((found.doubt(), found.signed_by.as_deref()), (None, Some(made.key.public().id())));
    let seen: Vec<_> = found.findings.iter().map(|f| f.what.as_str()).collect();
    for what in ["approval and evidence", "crown and approval", "history", "000000000003.dsse.json"] {
        assert!(seen.contains(&what), "{what} is not among {seen:?}");
    }
}

#[tokio::test]
async fn a_bit_flipped_in_any_object_is_found_by_its_name() {
    let made = Crowned::new().await;
    let files = made.files().await;
    for name in made.objects.keys() {
        for place in 0..files.evidence[name].len().min(40) {
            let mut changed = files.clone();
            changed.evidence.get_mut(name).unwrap()[place] ^= 1;
            assert_eq!(doubt(&verify(&changed, &made.keys())), (Standing::Changed, name.as_str()));
        }
    }
}

#[tokio::test]
async fn a_bit_flipped_in_what_is_signed_is_never_quiet() {
    let made = Crowned::new().await;
    let files = made.files().await;
    let envelope = files.evidence.keys().find(|n| n.ends_with(".dsse.json")).unwrap().clone();
    let text = String::from_utf8(files.evidence[&envelope].clone()).unwrap();
    // The key's id is a hint: nobody trusts it, so changing it changes nothing.
    let hint = text.find("keyid").unwrap()..text.find("\"sig\"").unwrap();
    for place in (0..text.len()).filter(|p| !hint.contains(p)) {
        let mut changed = files.clone();
        changed.evidence.get_mut(&envelope).unwrap()[place] ^= 1;
        assert_eq!(doubt(&verify(&changed, &made.keys())).0, Standing::NotSigned, "byte {place}");
    }
    let plain = envelope.replace(".dsse", "");
    let mut changed = files;
    changed.evidence.get_mut(&plain).unwrap()[10] ^= 1;
    assert_eq!(doubt(&verify(&changed, &made.keys())), (Standing::Changed, plain.as_str()));
}

#[tokio::test]
async fn what_is_missing_and_what_was_added_is_named() {
    let made = Crowned::new().await;
    let mut files = made.files().await;
    files.evidence.remove("inputs-00.json");
    assert_eq!(doubt(&verify(&files, &made.keys())), (Standing::Missing, "inputs-00.json"));
    files.partial = true;
    assert_eq!(verify(&files, &made.keys()).doubt(), None, "a document may leave objects out, and says so");

    let mut files = made.files().await;
    files.evidence.insert("report-ffffffffffffffff.json".into(), b"{}".to_vec());
    assert_eq!(doubt(&verify(&files, &made.keys())), (Standing::Unlisted, "report-ffffffffffffffff.json"));
}

#[tokio::test]
async fn a_swapped_key_and_a_missing_signature_are_not_trusted() {
    let made = Crowned::new().await;
    let mut files = made.files().await;
    let other = [LocalKey::generate().unwrap().public().clone()];
    let found = verify(&files, &other);
    assert_eq!(
        (doubt(&found).0, found.findings.len()),
        (Standing::NotSigned, 1),
        "nothing else is said to hold"
    );
    assert_eq!(found.manifest, None);
    files.evidence.retain(|name, _| !name.ends_with(".dsse.json"));
    assert_eq!(doubt(&verify(&files, &made.keys())), (Standing::NotSigned, "manifest"));
}

#[tokio::test]
async fn a_manifest_of_another_promotion_is_found_however_it_is_put_there() {
    let made = Crowned::new().await;
    let mut other = Crowned::new().await;
    other.key = LocalKey::from_pem(&made.key.to_pem().unwrap()).unwrap();
    other.checkpoints.clone_from(&made.checkpoints);
    other.record.id = PromotionId::parse("pr_ffffffffffffffffffffffff").unwrap();
    // Signed by the same deployment, over the objects of this promotion: their own record says whose they are.
    assert_eq!(
        doubt(&verify(&other.files().await, &made.keys())),
        (Standing::Contradicts, "manifest and promotion")
    );
    let mut both = made.files().await;
    both.evidence.extend(other.files().await.evidence);
    let found = verify(&both, &made.keys());
    let apart = |f: &Finding| f.standing == Standing::Contradicts && f.what.starts_with("manifest-");
    assert_eq!(found.findings.iter().filter(|f| apart(f)).count(), 1, "{found:#?}");
}

#[tokio::test]
async fn a_history_that_was_cut_turned_or_extended_does_not_hold_though_it_is_signed() {
    let forge = async |change: &dyn Fn(&mut Vec<HistoryEntry>)| {
        let mut made = Crowned::new().await;
        change(&mut made.history);
        made.objects.insert("history-00.json".into(), serde_json::to_vec(&made.history).unwrap());
        let found = verify(&made.files().await, &made.keys());
        let (standing, what) = doubt(&found);
        (standing, what.to_owned())
    };
    let broken = (Standing::Contradicts, "history".to_owned());
    let removed = |h: &mut Vec<HistoryEntry>| drop(h.remove(1));
    assert_eq!(forge(&removed).await, broken, "removed");
    assert_eq!(forge(&|h| h.swap(0, 1)).await.0, Standing::Contradicts, "reordered");
    assert_eq!(forge(&|h| h.insert(1, h[0].clone())).await, broken, "inserted");
    assert_eq!(forge(&|h| h[1].details = json!({ "decision": "rejected" })).await, broken, "changed");

    // Rewritten with care, every hash made anew: only the checkpoint knows.
    let rewritten =
        chain(&[("promotion_started", json!({})), ("nothing", json!({})), ("crowned", json!({}))]);
    let found = forge(&|h| h.clone_from(&rewritten)).await;
    assert_eq!(found, (Standing::Contradicts, "000000000003.dsse.json".to_owned()));
}

#[tokio::test]
async fn attesting_that_was_done_again_holds_and_none_of_a_kind_hides_behind_another() {
    let mut made = Crowned::new().await;
    made.objects.insert("history-11.json".into(), serde_json::to_vec(&made.history[..2]).unwrap());
    assert_eq!(
        verify(&made.files().await, &made.keys()).doubt(),
        None,
        "the earlier one begins the later one"
    );

    let another = chain(&[("promotion_started", json!({ "by": "somebody else" }))]);
    made.objects.insert("history-11.json".into(), serde_json::to_vec(&another).unwrap());
    assert_eq!(doubt(&verify(&made.files().await, &made.keys())), (Standing::Contradicts, "history"));
    made.objects.remove("history-11.json");

    made.objects.insert("policy-11.json".into(), b"{}".to_vec());
    assert_eq!(doubt(&verify(&made.files().await, &made.keys())), (Standing::Contradicts, "policy"));
    made.objects.remove("policy-11.json");

    let mut record = serde_json::to_value(&made.record).unwrap();
    record["challenger"]["digest"] = json!(digest("another package"));
    made.objects.insert("promotion-11.json".into(), serde_json::to_vec(&record).unwrap());
    let found = verify(&made.files().await, &made.keys());
    assert_eq!(doubt(&found), (Standing::Contradicts, "manifest and promotion"));
}

/// The signed manifest among the files.
fn envelope(files: &Files) -> (String, Vec<u8>) {
    let found = files.evidence.iter().find(|(path, _)| path.ends_with(".dsse.json")).unwrap();
    (found.0.clone(), found.1.clone())
}

#[tokio::test]
async fn an_earlier_manifest_is_part_of_the_later_one_or_a_doubt() {
    let mut made = Crowned::new().await;
    let (path, earlier) = envelope(&made.files().await);
    made.objects.insert("history-11.json".into(), serde_json::to_vec(&made.history[..2]).unwrap());
    let mut files = made.files().await;
    files.evidence.insert(path.clone(), earlier);
    let found = verify(&files, &made.keys());
    assert_eq!(found.doubt(), None, "{found:#?}");
    assert_eq!(found.manifest.unwrap().subject.len(), made.objects.len(), "the fullest counts");

    let mut another = Crowned::new().await;
    another.key = LocalKey::from_pem(&made.key.to_pem().unwrap()).unwrap();
    another.objects.insert("summaries/00/part=00.json".into(), b"{\"n\":1}".to_vec());
    files.evidence.insert(path.clone(), envelope(&another.files().await).1);
    assert_eq!(doubt(&verify(&files, &made.keys())), (Standing::Contradicts, path.as_str()));

    let foreign = Crowned::new().await;
    files.evidence.insert(path.clone(), envelope(&foreign.files().await).1);
    assert_eq!(doubt(&verify(&files, &made.keys())), (Standing::NotSigned, path.as_str()));
}

#[tokio::test]
async fn data_that_lapsed_by_policy_is_told_from_data_that_was_taken_away() {
    let made = Crowned::new().await;
    let standings = async |data: Data| -> Vec<(String, Standing)> {
        let files = Files { data, ..made.files().await };
        let found = verify(&files, &made.keys()).findings.into_iter();
        found
            .filter(|f| f.what.contains("data of") || f.what.contains("/1"))
            .map(|f| (f.what, f.standing))
            .collect()
    };
    let of = |what: &str, standing| (what.to_owned(), standing);
    let list = "data of inputs-00.json";
    let (early, late): (Timestamp, Timestamp) =
        ("2027-11-01T00:00:00Z".parse().unwrap(), "2028-01-01T00:00:00Z".parse().unwrap());
    assert!(standings(Data::NotAsked).await.is_empty());
    assert_eq!(standings(Data::Elsewhere { now: early }).await, [of(list, Standing::NotChecked)]);
    assert_eq!(standings(Data::Elsewhere { now: late }).await, [of(list, Standing::ExpiredByPolicy)]);

    let there = |names: &[&str]| -> BTreeMap<String, String> {
        names.iter().map(|n| ((*n).to_owned(), canonical::sha256(n.as_bytes()).hex().to_owned())).collect()
    };
    let whole = Data::Found { now: early, digests: there(&["pairs/1", "labels/1"]) };
    assert_eq!(standings(whole).await, [of(list, Standing::Holds)]);
    let taken = Data::Found { now: early, digests: there(&["pairs/1"]) };
    assert_eq!(standings(taken).await, [of("labels/1", Standing::Missing), of(list, Standing::Holds)]);
    let lapsed = Data::Found { now: late, digests: BTreeMap::new() };
    assert_eq!(standings(lapsed).await, [of(list, Standing::ExpiredByPolicy)]);
    let mut other = there(&["pairs/1"]);
    other.insert("labels/1".into(), "00".repeat(32));
    let changed = Data::Found { now: late, digests: other };
    assert_eq!(standings(changed).await, [of("labels/1", Standing::Changed), of(list, Standing::Holds)]);
    assert!(Standing::Missing.is_doubt() && !Standing::ExpiredByPolicy.is_doubt());
    assert_eq!(seatrial_attestation::verify::inputs(&made.files().await).len(), 2);
}

#[tokio::test]
async fn an_approval_that_a_later_report_took_away_is_no_contradiction() {
    let mut made = Crowned::new().await;
    made.record.status = seatrial_domain::promotion::PromotionStatus::Rejected;
    made.objects.insert("promotion-00.json".into(), serde_json::to_vec(&made.record).unwrap());
    let mut gate: Value = serde_json::from_slice(&made.objects["gate-approval-00.json"]).unwrap();
    gate["bound"]["report"] = json!(digest("an earlier report"));
    made.objects.insert("gate-approval-00.json".into(), serde_json::to_vec(&gate).unwrap());
    assert_eq!(verify(&made.files().await, &made.keys()).doubt(), None);
}

#[tokio::test]
async fn an_approval_of_something_else_is_found_though_all_of_it_is_signed() {
    let mut made = Crowned::new().await;
    let mut gate: Value = serde_json::from_slice(&made.objects["gate-approval-00.json"]).unwrap();
    gate["bound"]["report"] = json!(digest("another report"));
    made.objects.insert("gate-approval-00.json".into(), serde_json::to_vec(&gate).unwrap());
    let found = verify(&made.files().await, &made.keys());
    let apart = found.findings.iter().filter(|f| f.standing == Standing::Contradicts);
    assert_eq!(
        apart.map(|f| f.what.as_str()).collect::<Vec<_>>(),
        ["approval and evidence", "crown and approval"]
    );
}

#[tokio::test]
async fn a_checkpoint_of_another_model_proves_nothing() {
    let mut made = Crowned::new().await;
    let mut foreign = made.history[2].clone();
    foreign.model = ModelName::parse("another").unwrap();
    made.checkpoints.insert("000000000002.dsse.json".into(), made.checkpoint(&foreign).await);
    assert_eq!(
        doubt(&verify(&made.files().await, &made.keys())),
        (Standing::NotSigned, "000000000002.dsse.json")
    );
    assert_eq!(checkpoint::key(&model(), 3), "checkpoints/model=credit-risk/000000000003.dsse.json");
}
