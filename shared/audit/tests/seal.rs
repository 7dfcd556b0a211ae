//! One file verifies alone, and each way of tampering with it leaves a doubt.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::samples;

use std::sync::LazyLock;

use proptest::prelude::*;
use samples::Promotion;
use seatrial_attestation::dsse::{Envelope, IN_TOTO};
use seatrial_attestation::verify::{Standing, Verification};
use seatrial_attestation::{LocalKey, PublicKey};
use seatrial_audit::{Document, SealError, document, open, seal, seal_statement, sign, verify_pdf};
use seatrial_domain::canonical;

struct Sealed {
    promotion: Promotion,
    document: Document,
    envelope: Vec<u8>,
    bytes: Vec<u8>,
}

impl Sealed {
    async fn new() -> Self {
        let promotion = Promotion::first();
        let document = document(&promotion.files().await, &promotion.keys()).unwrap();
        let envelope = sign(&document, &promotion.key).await.unwrap();
        let bytes = seal(&document.body, &envelope).unwrap();
        Self { promotion, document, envelope, bytes }
    }

    fn keys(&self) -> [PublicKey; 1] {
        self.promotion.keys()
    }
}

/// Made once: the tests only read it.
static SEALED: LazyLock<Sealed> = LazyLock::new(|| {
    std::thread::spawn(|| {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(Sealed::new())
    })
    .join()
    .unwrap()
});

fn doubt(found: &Verification) -> (Standing, &str) {
    let doubt = found.doubt().unwrap_or_else(|| panic!("no doubt in {found:#?}"));
    (doubt.standing, doubt.what.as_str())
}

#[test]
fn a_sealed_document_holds_alone_and_is_the_same_again_from_the_stored_envelope() {
    let made = &*SEALED;
    let found = verify_pdf(&made.bytes, &made.keys());
    assert_eq!(found.doubt(), None, "{:#?}", found.findings);
    assert_eq!(found.signed_by.as_deref(), Some(made.promotion.key.public().id()));
    assert_eq!(
        (found.findings[0].what.as_str(), found.findings[1].what.as_str()),
        ("seal", "seal and manifest")
    );
    let opened = open(&made.bytes).unwrap();
    assert_eq!((opened.body, opened.envelope), (made.document.body.as_slice(), made.envelope.as_slice()));
    assert_eq!(seal(opened.body, opened.envelope).unwrap(), made.bytes);
    // Readers of PDF find the same pages and files as before, through the update.
    let before = hayro_syntax::Pdf::new(made.document.body.clone()).unwrap();
    let after = hayro_syntax::Pdf::new(made.bytes.clone()).unwrap();
    assert_eq!((after.pages().len(), after.len()), (before.pages().len(), before.len() + 1));
    assert_eq!(
        seatrial_audit::attachments(&made.bytes).unwrap(),
        seatrial_audit::attachments(&made.document.body).unwrap()
    );
    assert!(made.bytes.starts_with(&made.document.body) && made.bytes.ends_with(b"\n%%EOF"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_byte_changed_anywhere_leaves_a_doubt(place in 0.0..1.0_f64, change in 1..=255_u8) {
        let mut bytes = SEALED.bytes.clone();
        let place = ((bytes.len() as f64 * place) as usize).min(bytes.len() - 1);
        bytes[place] ^= change;
        prop_assert!(verify_pdf(&bytes, &SEALED.keys()).doubt().is_some(), "byte {}", place);
    }

    #[test]
    fn a_document_cut_off_anywhere_leaves_a_doubt(place in 0.0..1.0_f64) {
        let end = (SEALED.bytes.len() as f64 * place) as usize;
        prop_assert!(verify_pdf(&SEALED.bytes[..end], &SEALED.keys()).doubt().is_some(), "cut at {}", end);
    }

    #[test]
    fn what_is_no_document_is_refused_and_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..2_000), tail in 0..600_usize) {
        let mut bytes = bytes;
        bytes.extend_from_slice(&SEALED.bytes[SEALED.bytes.len() - tail..]);
        prop_assert!(verify_pdf(&bytes, &SEALED.keys()).doubt().is_some());
        let _ = seatrial_audit::attachments(&bytes);
    }
}

#[test]
fn every_byte_of_the_seal_itself_is_held_fast() {
    let made = &*SEALED;
    // The key's id and the spelling of base64 are hints in an envelope; here nothing may differ.
    for place in made.document.body.len() - 200..made.bytes.len() {
        for change in [1, 0x20, 0x80] {
            let mut bytes = made.bytes.clone();
            bytes[place] ^= change;
            assert!(verify_pdf(&bytes, &made.keys()).doubt().is_some(), "byte {place} xor {change}");
        }
    }
    for end in made.document.body.len()..made.bytes.len() {
        assert!(verify_pdf(&made.bytes[..end], &made.keys()).doubt().is_some(), "cut at {end}");
    }
}

#[test]
fn a_document_without_a_seal_or_with_a_strangers_is_not_trusted() {
    let made = &*SEALED;
    let unsealed = verify_pdf(&made.document.body, &made.keys());
    assert_eq!(
        (doubt(&unsealed), unsealed.findings.len()),
        ((Standing::NotSigned, "seal"), 1),
        "nothing else is said to hold"
    );
    let stranger = [LocalKey::generate().unwrap().public().clone()];
    let found = verify_pdf(&made.bytes, &stranger);
    assert_eq!(
        (doubt(&found), found.findings.len(), found.manifest.is_none()),
        ((Standing::NotSigned, "seal"), 1, true)
    );
}

#[tokio::test]
async fn another_attachment_under_the_old_seal_or_under_a_strangers_is_found() {
    let made = &*SEALED;
    let mut files = made.promotion.files().await;
    let report = files.evidence.keys().find(|n| n.starts_with("report-")).unwrap().clone();
    let text = String::from_utf8(files.evidence[&report].clone()).unwrap();
    files.evidence.insert(report.clone(), text.replacen("pass", "fail", 1).into_bytes());
    let forged = document(&files, &made.keys()).unwrap();

    let old_seal = seal(&forged.body, &made.envelope).unwrap();
    let found = verify_pdf(&old_seal, &made.keys());
    assert_eq!(doubt(&found), (Standing::NotSigned, "seal"));
    assert!(found.findings[0].why.contains("sealed was"), "{}", found.findings[0].why);

    let stranger = LocalKey::generate().unwrap();
    let own_seal = seal(&forged.body, &sign(&forged, &stranger).await.unwrap()).unwrap();
    assert_eq!(doubt(&verify_pdf(&own_seal, &made.keys())), (Standing::NotSigned, "seal"));

    // Even the right key does not make evidence of what the manifest does not list, nor silences what the document said.
    let right_key = seal(&forged.body, &sign(&forged, &made.promotion.key).await.unwrap()).unwrap();
    let found = verify_pdf(&right_key, &made.keys());
    assert_eq!(doubt(&found), (Standing::Changed, report.as_str()));
    assert!(
        found.findings.iter().any(|f| f.what == "evidence" && f.why.contains("when the document was made"))
    );
}

#[tokio::test]
async fn a_second_update_and_the_seal_of_another_document_are_found() {
    let made = &*SEALED;
    for more in [&b"\n"[..], b"%", b"\n1 0 obj\n<</Type/Catalog>>\nendobj\nxref\n1 1\n0000000009 00000 n \ntrailer\n<</Size 9/Root 1 0 R/Prev 9>>\nstartxref\n9\n%%EOF"] {
        let bytes = [made.bytes.as_slice(), more].concat();
        assert_eq!(doubt(&verify_pdf(&bytes, &made.keys())), (Standing::Changed, "seal"), "{}", String::from_utf8_lossy(more));
    }
    assert_eq!(seal(&made.bytes, &made.envelope), Err(SealError::Sealed));

    let other = Promotion {
        key: LocalKey::from_pem(&made.promotion.key.to_pem().unwrap()).unwrap(),
        ..Promotion::rejected()
    };
    let another = document(&other.files().await, &other.keys()).unwrap();
    let swapped = seal(&made.document.body, &sign(&another, &other.key).await.unwrap()).unwrap();
    assert_eq!(doubt(&verify_pdf(&swapped, &made.keys())), (Standing::NotSigned, "seal"));

    // A statement of the right key about these bytes that speaks of another promotion.
    let lie = Document {
        about: seal::Predicate {
            promotion: "pr_ffffffffffffffffffffffff".parse().unwrap(),
            ..made.document.about.clone()
        },
        ..made.document.clone()
    };
    let lying = seal(&lie.body, &sign(&lie, &made.promotion.key).await.unwrap()).unwrap();
    assert_eq!(doubt(&verify_pdf(&lying, &made.keys())), (Standing::Contradicts, "seal and manifest"));
}

#[tokio::test]
async fn a_signed_statement_of_another_kind_is_no_seal() {
    let made = &*SEALED;
    let statement = String::from_utf8(seal_statement(&made.document).unwrap()).unwrap();
    let other = statement.replace("audit-document/v1", "promotion/v1");
    assert_ne!(statement, other);
    let envelope = Envelope::sign(IN_TOTO, other.as_bytes(), &made.promotion.key).await.unwrap();
    let bytes = seal(&made.document.body, &canonical::to_bytes(&envelope).unwrap()).unwrap();
    let found = verify_pdf(&bytes, &made.keys());
    assert_eq!(doubt(&found), (Standing::NotSigned, "seal"));
    assert!(found.findings[0].why.contains("predicate's type"), "{}", found.findings[0].why);
}

#[test]
fn what_a_seal_says_is_one_form() {
    let mut statement: serde_json::Value =
        serde_json::from_slice(&seal_statement(&SEALED.document).unwrap()).unwrap();
    let digest = std::mem::take(&mut statement["subject"][0]["digest"]["sha256"]);
    assert_eq!(digest, canonical::sha256(&SEALED.document.body).hex());
    insta::assert_json_snapshot!(statement);
}
