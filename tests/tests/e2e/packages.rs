//! The signature of a package on the running stack: fetched and checked with the public key alone, and a version whose
//! signature was touched is loaded by nobody.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use seatrial_artifacts::signature_key;
use seatrial_attestation::PublicKey;
use seatrial_attestation::model_signing::folder::{FolderError, verify_folder};
use seatrial_tests::repository;
use seatrial_tests::stack::{Model, Server, Stack, request, until};
use serde_json::{Value, json};

/// The first row of the suite's traffic.
fn row() -> Value {
    let live = std::fs::read_to_string(repository("tests/fixtures/live.jsonl")).unwrap();
    serde_json::from_str(live.lines().next().unwrap()).unwrap()
}

async fn status(server: &Server, model: &str) -> u16 {
    let url = format!("{}/v2/models/{model}/infer", server.base);
    reqwest::Client::new().post(url).json(&request(&row())).send().await.unwrap().status().as_u16()
}

/// Waits until the champion answers.
async fn answers(server: &Server, model: &str) {
    until("an answer of the champion", 90, async || (status(server, model).await == 200).then_some(())).await;
}

fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_package_verifies_without_seatrial_and_no_data_plane_loads_it_once_its_signature_was_touched() {
    let stack = Stack::connect().await;
    let model = Model::new(&stack, "packages", &json!({})).await.with_benchmark().await;
    let name = model.name.as_str();
    let champion = model.first_champion("v1").await.challenger;

    // The package with its signature, and the key, are all that a stranger needs.
    let (folder, pem) = (model.folder().join("fetched"), model.folder().join("seatrial.pem"));
    let _ = stack.cli(&["key", "--file", shown(&pem)]).await.json();
    let fetched = stack.cli(&["fetch", name, "v1", shown(&folder), "--key", shown(&pem)]).await.json();
    assert_eq!((&fetched["signature"], &fetched["digest"]), (&json!("holds"), &json!(champion.digest)));
    let key = PublicKey::from_pem(&std::fs::read_to_string(&pem).unwrap()).unwrap();
    let signed = verify_folder(&folder, std::slice::from_ref(&key)).unwrap();
    assert_eq!(signed.name, format!("{name}@{}", champion.digest));
    let card = folder.join("CHANGELOG.md");
    std::fs::write(&card, "# v1\nOther words.\n").unwrap();
    assert!(matches!(verify_folder(&folder, std::slice::from_ref(&key)), Err(FolderError::Differ { .. })));
    // A folder with something in it is nobody's place for another package.
    let _ = stack.cli(&["fetch", name, "v1", shown(&folder)]).await.error(3);

    let before = stack.serve(&model.folder().join("before")).await;
    answers(&before, name).await;

    // One bit of the signature itself.
    let at = signature_key(&model.name, &champion.digest);
    let good = stack.object("ModelsBucket", &at).await;
    let mut bundle: Value = serde_json::from_slice(&good).unwrap();
    let sig = bundle.pointer_mut("/dsseEnvelope/signatures/0/sig").unwrap();
    let text = sig.as_str().unwrap();
    let flipped = if text.as_bytes()[20] == b'A' { "B" } else { "A" };
    *sig = json!(format!("{}{flipped}{}", &text[..20], &text[21..]));
    stack.put("ModelsBucket", &at, bundle.to_string().into_bytes()).await;

    let fresh_folder = model.folder().join("fresh");
    let fresh = stack.serve(&fresh_folder).await;
    for _ in 0..3 {
        assert_eq!(status(&fresh, name).await, 503);
    }
    let log = std::fs::read_to_string(fresh_folder.join("serve.log")).unwrap();
    assert!(log.contains(&format!("the signature of v1 of model {name} does not hold")), "{log}");
    assert_eq!(status(&before, name).await, 200, "what is loaded goes on");
    let elsewhere = model.folder().join("elsewhere");
    let refused = stack.cli(&["fetch", name, "v1", shown(&elsewhere)]).await.error(5);
    assert_eq!(refused["code"], "signature_does_not_hold");
    assert!(!elsewhere.exists(), "nothing appears under the folder's name");

    // Put right again, the same process loads it at its next attempt.
    stack.put("ModelsBucket", &at, good).await;
    answers(&fresh, name).await;
}
