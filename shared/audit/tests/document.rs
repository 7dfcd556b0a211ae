//! What audit documents say, and that they are lawful PDF/A-3a and PDF/UA-1.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::samples;

use std::collections::BTreeSet;

use hayro_syntax::Pdf;
use hayro_syntax::object::{Array, Dict, Name, Object, Stream, String as Text};
use samples::Promotion;
use seatrial_attestation::verify::Files;
use seatrial_audit::{attachments, data, document, file_name};
use serde_json::Value;

/// The data of a document, without what differs in each run.
async fn data_of(promotion: &Promotion, change: impl Fn(&mut Files)) -> Value {
    let mut files = promotion.files().await;
    change(&mut files);
    let text = data(&files, &promotion.keys()).unwrap().to_string();
    serde_json::from_str(&text.replace(promotion.key.public().id(), "<key>")).unwrap()
}

fn section<'v>(data: &'v Value, title: &str) -> &'v Value {
    data["sections"].as_array().unwrap().iter().find(|s| s["title"] == title).unwrap()
}

#[tokio::test]
async fn a_crowned_promotion_is_told_from_its_verdict_to_its_manifest() {
    let data = data_of(&Promotion::crowned(), |_| {}).await;
    assert_eq!(data["evidence"]["holds"], true, "{}", data["evidence"]);
    insta::assert_json_snapshot!(data);
}

#[tokio::test]
async fn a_first_version_says_what_there_is_none_of() {
    let data = data_of(&Promotion::first(), |_| {}).await;
    for title in ["Shadow evidence", "Segments", "Drift", "Explanations", "Canary"] {
        let blocks = &section(&data, title)["blocks"];
        assert_eq!(blocks[0]["title"], "No evidence", "{title}");
    }
    insta::assert_json_snapshot!(serde_json::json!([
        data["title"],
        data["verdict"],
        data["evidence"],
        data["facts"],
        data["summary"],
        section(&data, "Canary")
    ]));
}

#[tokio::test]
async fn an_adopted_version_says_on_its_first_page_that_nothing_was_compared() {
    let adopted = Promotion::adopted();
    let data = data_of(&adopted, |_| {}).await;
    assert_eq!(data["evidence"]["holds"], true, "{}", data["evidence"]);
    assert_eq!((&data["verdict"]["word"], &data["report"]), (&"Adopted".into(), &Value::Null));
    let why = data["verdict"]["why"].as_str().unwrap();
    assert!(why.contains("adopted as it served, not promoted: no comparison was made"), "{why}");
    for title in ["Shadow evidence", "Comparison", "Benchmark evaluation", "Explanations"] {
        let text = section(&data, title)["blocks"].to_string();
        assert!(text.contains("no comparison was made"), "{title}: {text}");
    }
    let approval = section(&data, "Approval")["blocks"].to_string();
    for said in ["Adopted, not approved", "owen@example.com", "In use since May", "RISK-112"] {
        assert!(approval.contains(said), "{said}: {approval}");
    }
    assert!(section(&data, "Canary")["blocks"].to_string().contains("no callers were moved"));
}

#[tokio::test]
async fn an_adoption_that_the_history_does_not_tell_is_in_doubt() {
    for change in [0, 1, 2] {
        let mut made = Promotion::adopted();
        match change {
            0 => made.record["adoption"]["comment"] = "other words".into(),
            1 => made.record["requested_by"]["principal"] = "eve@example.com".into(),
            _ => made.events.truncate(1),
        }
        let data = data_of(&made, |_| {}).await;
        assert_eq!(data["evidence"]["holds"], false, "{change}");
        assert!(
            data["evidence"]["doubts"].to_string().contains("adoption and history"),
            "{}",
            data["evidence"]
        );
    }
}

#[tokio::test]
async fn a_rejected_and_an_aborted_promotion_say_why() {
    let rejected = data_of(&Promotion::rejected(), |_| {}).await;
    let aborted = data_of(&Promotion::aborted(), |_| {}).await;
    insta::assert_json_snapshot!(serde_json::json!([
        rejected["verdict"],
        rejected["report"],
        section(&rejected, "Approval"),
        section(&rejected, "Canary"),
        section(&rejected, "Shadow evidence"),
        aborted["verdict"],
        section(&aborted, "Canary")["blocks"][0],
    ]));
}

#[tokio::test]
async fn evidence_that_is_changed_missing_or_unreadable_is_never_quiet() {
    let made = Promotion::crowned();
    let of = |files: &Files, kind: &str| files.evidence.keys().find(|n| n.starts_with(kind)).unwrap().clone();
    let broken = data_of(&made, |files| {
        let report = of(files, "report-");
        files.evidence.get_mut(&report).unwrap()[100] ^= 1;
        let evaluation = of(files, "evaluation-");
        files.evidence.remove(&evaluation);
        files.evidence.insert("gate-approval-ffffffffffffffff.json".into(), b"{}".to_vec());
    })
    .await;
    assert_eq!((&broken["evidence"]["holds"], &broken["report"]), (&Value::Bool(false), &Value::Null));
    assert_eq!(broken["summary"], serde_json::json!([]), "nothing is summed up that is not what was signed");
    insta::assert_json_snapshot!(serde_json::json!([
        broken["evidence"],
        section(&broken, "Comparison"),
        section(&broken, "Benchmark evaluation")
    ]));

    // Signed as it is, and yet not to be read.
    let mut unreadable = Promotion::crowned();
    unreadable.objects.insert("canary-step-2.json".into(), b"{\"schema\":1}".to_vec());
    let unreadable = data_of(&unreadable, |_| {}).await;
    assert_eq!(unreadable["evidence"]["title"], "Some evidence cannot be read");
    assert!(
        unreadable["evidence"]["doubts"][0]["why"]
            .as_str()
            .unwrap()
            .starts_with("canary-step-2.json cannot be read")
    );
}

#[tokio::test]
async fn without_a_key_or_a_manifest_there_is_still_a_document_and_with_nothing_there_is_an_error() {
    let made = Promotion::first();
    let mut files = made.files().await;
    let stranger = [seatrial_attestation::LocalKey::generate().unwrap().public().clone()];
    let unsigned = data(&files, &stranger).unwrap();
    assert_eq!(unsigned["evidence"]["holds"], false);
    assert!(
        unsigned["evidence"]["doubts"][0]["why"]
            .as_str()
            .unwrap()
            .contains("None of its signatures is of a given key"),
        "{}",
        unsigned["evidence"]
    );
    files.evidence.retain(|n, _| !n.starts_with("manifest-"));
    let found = document(&files, &made.keys()).unwrap();
    assert_eq!((found.file_name.as_str(), found.about.manifest), ("promotion_first_to_v1_audit.pdf", None));
    assert!(found.about.doubt.unwrap().contains("no signed manifest"));
    files.evidence.clear();
    let error = document(&files, &made.keys()).unwrap_err().to_string();
    assert!(error.contains("nothing says which promotion"), "{error}");
}

#[tokio::test]
async fn what_was_skipped_or_decided_in_an_emergency_stands_on_the_first_page() {
    let mut made = Promotion::crowned();
    made.record["bypasses"] = serde_json::json!([{
        "stage": "canary", "by": { "principal": "ops@example.com", "auth": "iam" }, "at": "2026-11-21T09:50:00Z", "reason": "the champion answers nothing",
    }]);
    let gate = made.gate.as_mut().unwrap();
    gate["decisions"][0]["emergency"] = true.into();
    gate["decisions"][0]["bound"]["report"] = serde_json::json!(samples::digest("another report"));
    let data = data_of(&made, |_| {}).await;
    let note = &data["skipped"][0];
    assert_eq!(
        (note["title"].as_str().unwrap(), note["text"].as_str().unwrap(), note["tone"].as_str().unwrap()),
        (
            "The canary was skipped in an emergency",
            "By ops@example.com on 21 Nov 2026, 09:50 UTC: the champion answers nothing",
            "bad"
        )
    );
    assert_eq!(section(&data, "Canary")["blocks"][0], *note);
    assert!(data["facts"].to_string().contains("bob@example.com, in an emergency, 21 Nov 2026"));
    let approval = section(&data, "Approval").to_string();
    assert!(approval.contains("other digests than the gate's"), "{approval}");
}

#[tokio::test]
async fn of_a_long_history_the_end_and_the_promotions_own_entries_are_shown() {
    let mut made = Promotion::rejected();
    let own = made.events.clone();
    made.events = vec![("version_registered", serde_json::json!({}), "ann@example.com"); 90];
    made.events.splice(3..3, own);
    let data = data_of(&made, |_| {}).await;
    let blocks = section(&data, "History")["blocks"].as_array().unwrap();
    let shown = blocks.iter().find(|b| b["kind"] == "table").unwrap()["rows"].as_array().unwrap();
    assert_eq!(shown.len(), 62, "the last sixty, and two of its own");
    assert!(blocks.last().unwrap().to_string().contains("30 earlier entries"));
    assert_eq!(data["evidence"]["holds"], true);
}

#[tokio::test]
async fn what_people_wrote_is_shown_and_is_never_markup() {
    let made = Promotion::hostile();
    let data = data_of(&made, |_| {}).await;
    let approval = section(&data, "Approval").to_string();
    assert!(
        approval.contains("U+202Eetorw I siht sdrawkcabU+202C U+0000#set text(size: 100pt)\\nsecond line"),
        "{approval}"
    );
    assert!(
        data["report"]["why"]
            .as_str()
            .unwrap()
            .contains("#pagebreak() $x$ *bold* <script> U+200BU+0007U+1F469U+200DU+1F52C")
    );
    let printed = document(&made.files().await, &made.keys()).unwrap();
    let pages = Pdf::new(printed.body).unwrap().pages().len();
    assert!((15..40).contains(&pages), "{pages} pages");
}

#[tokio::test]
async fn the_same_evidence_gives_the_same_bytes() {
    let made = Promotion::first();
    let files = made.files().await;
    let printed = document(&files, &made.keys()).unwrap();
    assert_eq!(document(&files, &made.keys()).unwrap(), printed);
    let again = made.files().await;
    assert_ne!(
        document(&again, &made.keys()).unwrap().body,
        printed.body,
        "another signature is other evidence"
    );
}

#[tokio::test]
async fn a_document_is_a_lawful_archive_that_says_in_words_what_pictures_show() {
    let made = Promotion::crowned();
    let files = made.files().await;
    let printed = document(&files, &made.keys()).unwrap();
    assert_eq!(printed.file_name, "promotion_v3_to_v4_audit.pdf");

    let pdf = Pdf::new(printed.body.clone()).unwrap();
    let xref = pdf.xref();
    let catalog: Dict<'_> = xref.get(xref.root_id()).unwrap();
    let metadata = catalog.get::<Stream<'_>>("Metadata").unwrap().decoded().unwrap().into_owned();
    let metadata = String::from_utf8(metadata).unwrap();
    for marker in [
        "<pdfaid:part>3</pdfaid:part>",
        "<pdfaid:conformance>A</pdfaid:conformance>",
        "<pdfuaid:part>1</pdfuaid:part>",
        "<xmp:CreateDate>2026-11-21T12:04:31+00:00</xmp:CreateDate>",
        "Audit of a promotion under the EU AI Act: credit-risk, v3 to v4",
    ] {
        assert!(metadata.contains(marker), "{marker} is not in {metadata}");
    }
    assert_eq!(catalog.get::<Text<'_>>("Lang").unwrap().as_bytes(), b"en-GB");
    let marked = catalog.get::<Dict<'_>>("MarkInfo").unwrap();
    assert_eq!(marked.get::<bool>("Marked"), Some(true));
    assert!(catalog.contains_key("StructTreeRoot"));
    assert!(catalog.get::<Dict<'_>>("ViewerPreferences").unwrap().get::<bool>("DisplayDocTitle").unwrap());
    let intents: Vec<Dict<'_>> = catalog.get::<Array<'_>>("OutputIntents").unwrap().iter().collect();
    assert_eq!(intents[0].get::<Name<'_>>("S").unwrap().as_ref(), b"GTS_PDFA1");

    let mut fonts = 0;
    let mut pictures = 0;
    let mut related = BTreeSet::new();
    let name = |d: &Dict<'_>, key: &str| {
        d.get::<Name<'_>>(key).map(|n| String::from_utf8_lossy(n.as_ref()).into_owned())
    };
    for object in pdf.objects() {
        let Object::Dict(dict) = object else { continue };
        match name(&dict, "Type").as_deref() {
            Some("FontDescriptor") => {
                fonts += 1;
                assert!(
                    dict.contains_key("FontFile2") || dict.contains_key("FontFile3"),
                    "a font is not embedded"
                );
            }
            Some("Filespec") => drop(related.insert(name(&dict, "AFRelationship").unwrap())),
            _ => {}
        }
        if name(&dict, "S").as_deref() == Some("Figure") {
            pictures += 1;
            assert!(
                dict.get::<Text<'_>>("Alt").is_some_and(|alt| alt.as_bytes().len() > 40),
                "a figure without words for it"
            );
        }
    }
    assert!(fonts >= 4 && pictures >= 12, "{fonts} fonts, {pictures} pictures");
    assert_eq!(related.into_iter().collect::<Vec<_>>(), ["Data", "Source"]);
    let files_inside = catalog.get::<Array<'_>>("AF").unwrap().iter::<Dict<'_>>().count();
    let inside = attachments(&printed.body).unwrap();
    assert_eq!(inside.len(), files_inside);
    for (name, bytes) in &inside {
        assert_eq!(files.evidence.get(name), Some(bytes), "{name}");
    }
    let kinds: BTreeSet<&str> = inside.keys().map(|n| n.split(['-', '.']).next().unwrap()).collect();
    assert_eq!(
        kinds.into_iter().collect::<Vec<_>>(),
        [
            "canary",
            "evaluation",
            "explanations",
            "gate",
            "history",
            "inputs",
            "manifest",
            "policy",
            "promotion",
            "report"
        ]
    );
}

#[tokio::test]
async fn objects_beyond_the_limit_and_of_other_names_stay_outside_and_are_listed() {
    let mut made = Promotion::first();
    made.objects.insert("history-notes of ann.json".into(), b"[]".to_vec());
    made.objects.insert("explanations-large.json".into(), vec![b' '; seatrial_audit::ATTACHED_LIMIT + 1]);
    let files = made.files().await;
    let printed = document(&files, &made.keys()).unwrap();
    let inside = attachments(&printed.body).unwrap();
    assert!(inside.keys().all(|n| !n.contains("ann") && !n.contains("large")), "{:?}", inside.keys());
    let listed = section(&data(&files, &made.keys()).unwrap(), "Manifest").to_string();
    assert!(listed.contains("history-notes of ann.json") && listed.contains("explanations-large.json"));
}

#[test]
fn file_names_say_from_where_to_where() {
    let version = |n: &str| {
        serde_json::from_value(serde_json::json!({ "version": n, "digest": samples::digest(n) })).unwrap()
    };
    assert_eq!(file_name(Some(&version("v11")), &version("v12")), "promotion_v11_to_v12_audit.pdf");
    assert_eq!(file_name(None, &version("v1")), "promotion_first_to_v1_audit.pdf");
}
