//! Signatures of packages: what holds, what is refused, and that nothing from outside makes it panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use seatrial_attestation::dsse::{IN_TOTO, Signature, pae};
use seatrial_attestation::model_signing::{BundleError, Files, SigningError, sign, verify};
use seatrial_attestation::{Envelope, LocalKey, PublicKey};
use seatrial_domain::canonical::sha256;
use serde_json::{Value, json};

fn files(pairs: &[(&str, &str)]) -> Files {
    pairs.iter().map(|(path, content)| ((*path).to_owned(), sha256(content.as_bytes()))).collect()
}

fn package() -> Files {
    files(&[("config.yaml", "task: binary"), ("weights/model.onnx", "onnx"), ("weights-x/a", "")])
}

fn signed(key: &LocalKey) -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(sign(&package(), "adult-income@v2", key)).unwrap()
}

/// The bundle with another payload, signed as well.
fn resigned(bundle: &[u8], key: &LocalKey, payload: &[u8]) -> Vec<u8> {
    let mut bundle: Value = serde_json::from_slice(bundle).unwrap();
    let sig = STANDARD.encode(key.sign_now(&pae(IN_TOTO, payload)).unwrap());
    bundle["dsseEnvelope"] = serde_json::to_value(Envelope {
        payload_type: IN_TOTO.to_owned(),
        payload: STANDARD.encode(payload),
        signatures: vec![Signature { keyid: String::new(), sig }],
    })
    .unwrap();
    serde_json::to_vec(&bundle).unwrap()
}

fn payload(bundle: &[u8]) -> Vec<u8> {
    let bundle: Value = serde_json::from_slice(bundle).unwrap();
    STANDARD.decode(bundle["dsseEnvelope"]["payload"].as_str().unwrap()).unwrap()
}

/// Changes the signed statement by `change`, signs it again, and gives what is said to that.
fn refused(change: impl Fn(&mut Value)) -> String {
    let key = LocalKey::generate().unwrap();
    let bundle = signed(&key);
    let mut statement: Value = serde_json::from_slice(&payload(&bundle)).unwrap();
    change(&mut statement);
    let bundle = resigned(&bundle, &key, &serde_json::to_vec(&statement).unwrap());
    verify(&bundle, &[key.public().clone()]).unwrap_err().to_string()
}

#[test]
fn what_is_signed_is_verified_and_each_difference_is_named() {
    let key = LocalKey::generate().unwrap();
    let found = verify(&signed(&key), &[key.public().clone()]).unwrap();
    assert_eq!((found.name.as_str(), found.key.as_str()), ("adult-income@v2", key.public().id()));
    assert_eq!(found.check(&package()), Ok(()));

    let other =
        files(&[("config.yaml", "task: regression"), ("weights/model.onnx", "onnx"), ("weights/b", "")]);
    let differ = found.check(&other).unwrap_err();
    assert_eq!(differ.changed.keys().collect::<Vec<_>>(), ["config.yaml"]);
    assert_eq!((differ.missing, differ.extra), (vec!["weights-x/a".into()], vec!["weights/b".into()]));
    let told = found.check(&other).unwrap_err().to_string();
    assert!(
        told.contains("changed since they were signed: config.yaml (signed")
            && told.contains("missing: weights-x/a")
            && told.contains("not signed: weights/b"),
        "{told}"
    );
}

#[test]
fn another_key_another_payload_and_another_name_of_the_key_are_refused() {
    let (key, other) = (LocalKey::generate().unwrap(), LocalKey::generate().unwrap());
    let bundle = signed(&key);
    let keys = [key.public().clone()];
    let foreign = verify(&bundle, &[other.public().clone()]).unwrap_err().to_string();
    assert!(foreign.contains(key.public().id()) && foreign.contains(other.public().id()), "{foreign}");
    assert!(matches!(verify(&bundle, &[]), Err(BundleError::Signature(_))));

    let text = String::from_utf8(bundle.clone()).unwrap();
    let statement = String::from_utf8(payload(&bundle)).unwrap();
    let changed = statement.replace("adult-income@v2", "adult-income@v3");
    let changed = text.replace(&STANDARD.encode(statement), &STANDARD.encode(changed));
    assert!(matches!(verify(changed.as_bytes(), &keys), Err(BundleError::Signature(_))));

    let mut hinted: Value = serde_json::from_slice(&bundle).unwrap();
    hinted["verificationMaterial"]["publicKey"]["hint"] = json!("ab");
    assert!(matches!(verify(hinted.to_string().as_bytes(), &keys), Err(BundleError::Hint { .. })));
}

#[test]
fn what_is_signed_but_says_nothing_about_files_is_refused_with_what_it_says() {
    type Change = fn(&mut Value);
    let cases: [(&str, Change); 10] = [
        ("subject's sha256", |s| s["predicate"]["resources"][0]["digest"] = json!("ab".repeat(32))),
        ("2 subjects", |s| s["subject"] = json!([s["subject"][0], s["subject"][0]])),
        ("names no file", |s| s["predicate"]["resources"] = json!([])),
        ("is there twice", |s| {
            s["predicate"]["resources"][1]["name"] = s["predicate"]["resources"][0]["name"].clone();
        }),
        ("\"../a\" is not a path", |s| s["predicate"]["resources"][1]["name"] = json!("../a")),
        ("\".\" is not a path", |s| s["predicate"]["resources"][1]["name"] = json!(".")),
        ("the digest of", |s| s["predicate"]["resources"][0]["digest"] = json!("AB")),
        ("predicate's type is https://slsa.dev/provenance/v1", |s| {
            s["predicateType"] = json!("https://slsa.dev/provenance/v1");
        }),
        ("kind of digest is blake3", |s| s["predicate"]["serialization"]["hash_type"] = json!("blake3")),
        ("method of serialization is shards", |s| {
            s["predicate"]["serialization"]["method"] = json!("shards");
        }),
    ];
    for (expected, change) in cases {
        let told = refused(change);
        assert!(told.contains(expected), "{expected}: {told}");
    }
}

#[tokio::test]
async fn nothing_and_other_spellings_of_a_path_are_not_signed() {
    let key = LocalKey::generate().unwrap();
    for bad in [files(&[]), files(&[("/a", "")]), files(&[("a//b", "")]), files(&[("a/../b", "")])] {
        assert!(matches!(sign(&bad, "m", &key).await, Err(SigningError::Files(_))), "{bad:?}");
    }
}

proptest! {
    #[test]
    fn a_changed_bundle_is_refused_or_says_the_same(at in any::<prop::sample::Index>(), with in any::<u8>(), how in 0..3) {
        let key = LocalKey::generate().unwrap();
        let bundle = signed(&key);
        let keys = [key.public().clone()];
        let before = verify(&bundle, &keys).unwrap();
        if let Ok(after) = verify(&mutated(bundle, at, with, how), &keys) {
            prop_assert_eq!(after, before);
        }
    }

    #[test]
    fn a_signed_payload_of_any_form_never_panics(at in any::<prop::sample::Index>(), with in any::<u8>(), how in 0..3) {
        let key = LocalKey::generate().unwrap();
        let bundle = signed(&key);
        let payload = mutated(payload(&bundle), at, with, how);
        drop(verify(&resigned(&bundle, &key, &payload), &[key.public().clone()]));
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(verify(&bytes, &[]).is_err());
    }
}

fn mutated(mut bytes: Vec<u8>, at: prop::sample::Index, with: u8, how: i32) -> Vec<u8> {
    let at = at.index(bytes.len());
    match how {
        0 => bytes[at] = with,
        1 => bytes.truncate(at),
        _ => bytes.insert(at, with),
    }
    bytes
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/model_signing")
}

/// The bundles of the Python tool, with what we say to each of them.
#[test]
fn what_the_python_tool_signs_is_taken_or_refused_for_what_it_is() {
    let cases: Value = serde_json::from_slice(&fs::read(data().join("cases.json")).unwrap()).unwrap();
    let key = PublicKey::from_pem(&fs::read_to_string(data().join("key.pub")).unwrap()).unwrap();
    let cases = cases["cases"].as_array().unwrap();
    assert!(cases.len() > 8);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let bundle = fs::read(data().join(format!("{name}.sig"))).unwrap();
        let content = case["files"].as_object().unwrap();
        let files =
            content.iter().map(|(p, c)| (p.clone(), sha256(c.as_str().unwrap().as_bytes()))).collect();
        let verified = verify(&bundle, std::slice::from_ref(&key));
        match case["refused"].as_str() {
            None => {
                let found = verified.unwrap_or_else(|e| panic!("{name}: {e}"));
                assert_eq!(found.check(&files), Ok(()), "{name}");
                assert_eq!(found.name, case["subject"].as_str().unwrap(), "{name}");
                assert_eq!(found.root.hex(), case["root"].as_str().unwrap(), "{name}");
            }
            Some(expected) => {
                let told = match verified {
                    Ok(found) => found.check(&files).unwrap_err().to_string(),
                    Err(error) => error.to_string(),
                };
                assert!(told.contains(expected), "{name}: {told}");
            }
        }
    }
}

#[test]
fn the_private_half_of_the_vectors_is_nowhere() {
    for entry in fs::read_dir(data()).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(!text.contains("PRIVATE"));
    }
}
