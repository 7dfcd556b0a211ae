//! Is this one file what was sealed, and is the evidence in it what was signed?

use seatrial_attestation::dsse::Envelope;
use seatrial_attestation::key::PublicKey;
use seatrial_attestation::manifest::is_manifest;
use seatrial_attestation::verify::{Files, Finding, Standing, Verification, verify};
use seatrial_domain::canonical;

use crate::attached::attachments;
use crate::seal::{self, Predicate, SealError};

/// Verifies a sealed audit document: that its seal is of a given key and covers every byte before it, then the evidence inside it.
///
/// Nothing inside a document is looked at before its seal holds: what is in it may be anybody's.
#[must_use]
pub fn verify_pdf(bytes: &[u8], keys: &[PublicKey]) -> Verification {
    let doubt = |what: &str, standing, why: String| Verification {
        manifest: None,
        signed_by: None,
        findings: vec![Finding::new(what, standing, why)],
    };
    let opened = match seal::open(bytes) {
        Ok(opened) => opened,
        Err(e @ SealError::Unsealed) => return doubt("seal", Standing::NotSigned, e.to_string()),
        Err(e) => return doubt("seal", Standing::Changed, e.to_string()),
    };
    let (sealed, key) = match seal::check(&opened, keys) {
        Ok(checked) => checked,
        Err(why) => return doubt("seal", Standing::NotSigned, why),
    };
    let names: Vec<&str> = sealed.subject.iter().map(|s| s.name.as_str()).collect();
    let why = format!("sealed as {} by key {}, {} bytes", names.join(", "), key.id(), opened.body.len());
    let mut findings = vec![Finding::new("seal", Standing::Holds, why)];
    let evidence = match attachments(opened.body) {
        Ok(evidence) => evidence,
        Err(why) => {
            findings.push(Finding::new("attached files", Standing::Changed, why));
            return Verification { manifest: None, signed_by: None, findings };
        }
    };
    let files = Files { evidence, partial: true, ..Files::default() };
    let mut found = verify(&files, keys);
    findings.push(agreement(&sealed.predicate, &files, &found));
    if let Some(doubt) = &sealed.predicate.doubt {
        let why = format!("when the document was made, its evidence did not hold: {doubt}");
        findings.push(Finding::new("evidence", Standing::Contradicts, why));
    }
    findings.append(&mut found.findings);
    Verification { findings, ..found }
}

/// That seal and manifest speak of the same promotion.
fn agreement(sealed: &Predicate, files: &Files, found: &Verification) -> Finding {
    let what = "seal and manifest";
    let envelope = files.evidence.iter().find(|(n, _)| is_manifest(n) && n.ends_with(".dsse.json"));
    let payload = envelope.and_then(|(_, b)| Envelope::parse(b).ok()?.unverified_payload().ok());
    let digest = payload.as_deref().map(|p| canonical::sha256(p).hex().to_owned());
    let same = |m: &seatrial_attestation::manifest::Manifest| {
        (&m.predicate.model, &m.predicate.promotion) == (&sealed.model, &sealed.promotion)
    };
    match (&found.manifest, &sealed.manifest) {
        (Some(manifest), Some(named)) if same(manifest) && digest.as_ref() == Some(&named.sha256) => {
            let why = format!("both speak of promotion {} of {}", sealed.promotion, sealed.model);
            Finding::new(what, Standing::Holds, why)
        }
        (None, _) => {
            Finding::new(what, Standing::NotChecked, "there is no signed manifest to compare the seal with")
        }
        _ => Finding::new(
            what,
            Standing::Contradicts,
            "the seal is of another promotion or manifest than the one in the document",
        ),
    }
}
