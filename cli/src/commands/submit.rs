//! Checking and uploading a submission.

use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use seatrial_artifacts::{
    Announcement, Folder, InspectError, Inspected, Progress, S3Store, Stage, inspect, s3_client,
    upload_submission,
};
use seatrial_domain::adoption::Adoption;
use seatrial_domain::canonical::sha256;
use seatrial_domain::task::SubmissionRef;
use seatrial_domain::{Digest, ModelName};
use serde_json::{Value, json};

use super::Session;
use crate::failure::{Failure, INVALID, NOT_FOUND, REFUSED, UNAVAILABLE};
use crate::output::{self, Format, text};

/// How long `--wait` waits for the version.
pub(crate) const WAIT: Duration = Duration::from_secs(600);

pub(crate) fn bar(format: Format) -> ProgressBar {
    if format == Format::Json {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg:40!} {bar:24} {bytes:>10} / {total_bytes:10} {eta:>4}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

pub(crate) fn show(bar: &ProgressBar, progress: &Progress) {
    let verb = match progress.stage {
        Stage::Checking => "checking",
        Stage::Uploading => "uploading",
        Stage::Fetching => "fetching",
    };
    bar.set_length(progress.total);
    bar.set_position(progress.done);
    bar.set_message(format!("{verb} {}", progress.file));
}

async fn inspected(folder: &Path, model: &ModelName, bar: &ProgressBar) -> Result<Inspected, Failure> {
    let source = Folder::new(folder);
    match inspect(&source, model, &|p| show(bar, p)).await {
        Ok(inspected) => Ok(inspected),
        Err(InspectError::Refused(defects)) => {
            bar.finish_and_clear();
            let message = format!("the submission has {} defects; nothing was uploaded", defects.len());
            let defects = defects.iter().filter_map(|d| serde_json::to_value(d).ok()).collect();
            Err(Failure { exit: INVALID, code: "invalid_submission".into(), message, defects })
        }
        Err(InspectError::Store(e)) => Err(Failure::invalid(format!("the folder cannot be read: {e}"))),
    }
}

fn digest_of(inspected: &Inspected) -> Result<Digest, Failure> {
    Ok(inspected
        .package()
        .map_err(|e| Failure::unexpected(format!("the package has no manifest: {e}")))?
        .digest)
}

/// Checks a submission and uploads nothing.
pub(crate) async fn check(folder: &Path, model: &ModelName, format: Format) -> Result<(), Failure> {
    let bar = bar(format);
    let inspected = inspected(folder, model, &bar).await?;
    bar.finish_and_clear();
    let digest = digest_of(&inspected)?;
    output::print(
        format,
        &json!({ "model": model, "digest": digest, "files": inspected.files.len() }),
        |_| {
            format!(
                "the submission is sound: {} files; as a package its digest is {digest}",
                inspected.files.len()
            )
        },
    )
}

/// Checks a submission, uploads it, and says what it has become.
pub(crate) async fn submit(
    session: &Session,
    folder: &Path,
    model: &ModelName,
    wait: bool,
) -> Result<(), Failure> {
    let (inspected, _) = sound(session, folder, model).await?;
    let Uploaded { submission, id, digest, announced } =
        upload(session, folder, model, &inspected, None).await?;
    let end = match wait {
        true => Some(packaged(session, model, &id, digest.as_str()).await?),
        false => None,
    };
    let (version, refusal) = end.map_or((None, None), |end| (Some(end.version), end.refusal));
    let answer = json!({
        "model": model, "submission": submission, "digest": digest, "version": version,
        "refusal": refusal, "submitted_by": announced.get("by"),
    });
    output::print(session.format, &answer, |a| {
        let mut facts = output::facts([
            ("submission", submission.prefix.clone()),
            ("submitted by", text(a, "/submitted_by/principal")),
            ("digest", digest.to_string()),
            ("version", a.get("version").and_then(Value::as_str).unwrap_or_default().to_owned()),
        ]);
        if refusal.is_some() {
            let (code, detail) = (text(a, "/refusal/code"), text(a, "/refusal/detail"));
            facts.push_str(&format!("no promotion  {code}: {detail}\n"));
        }
        facts.push_str(&format!("next          seatrial status {model}\n"));
        facts
    })
}

/// A submission that was uploaded.
pub(crate) struct Uploaded {
    pub(crate) submission: SubmissionRef,
    pub(crate) id: String,
    pub(crate) digest: Digest,
    /// What the API keeps of its announcement.
    announced: Value,
}

/// A submission without defects, and the digest that it has as a package.
pub(crate) async fn sound(
    session: &Session,
    folder: &Path,
    model: &ModelName,
) -> Result<(Inspected, Digest), Failure> {
    let bar = bar(session.format);
    let inspected = inspected(folder, model, &bar).await?;
    bar.finish_and_clear();
    let digest = digest_of(&inspected)?;
    Ok((inspected, digest))
}

/// Announces a submission, to be adopted where `adopt` says why, and uploads it.
pub(crate) async fn upload(
    session: &Session,
    folder: &Path,
    model: &ModelName,
    inspected: &Inspected,
    adopt: Option<&Adoption>,
) -> Result<Uploaded, Failure> {
    let bar = bar(session.format);
    let digest = digest_of(inspected)?;
    let control = session.control().await?;
    // A model without a policy refuses the promotion; better to hear it before gigabytes are uploaded.
    control.get::<Value>(&format!("/v1/models/{model}/policy")).await?;
    let aws = session.deployment.aws().await;
    let store = S3Store::new(s3_client(&aws), session.deployment.need("SubmissionsBucket")?);
    let id = uuid::Uuid::now_v7().to_string();
    let by = whoami();
    // Said before the first byte is uploaded: the completing file starts the promotion by itself, and then it must be known
    // whose it is.
    let announcement = Announcement::of(model, &inspected.files, &by)
        .to_bytes()
        .map_err(|e| Failure::unexpected(format!("the announcement has no JSON form: {e}")))?;
    let mut body = json!({ "id": id, "digest": sha256(&announcement) });
    if let Some(adoption) = adopt {
        body["adopt"] = json!(adoption);
    }
    let announced: Value = control.post(&format!("/v1/models/{model}/submissions"), &body).await?;
    let submission =
        upload_submission(&store, inspected, folder, &id, &by, &|p| show(&bar, p)).await.map_err(|e| {
            Failure::new(
                UNAVAILABLE,
                "upload_failed",
                format!("the upload did not finish: {e}; run the command again"),
            )
        })?;
    bar.finish_and_clear();
    Ok(Uploaded { submission, id, digest, announced })
}

/// What a submission has become.
struct Packaged {
    version: String,
    /// Why no promotion of it began: these bytes were a version before, and something kept them from being promoted now.
    refusal: Option<Value>,
}

/// Waits until the submission is a version, or is refused.
async fn packaged(session: &Session, model: &ModelName, id: &str, digest: &str) -> Result<Packaged, Failure> {
    let control = session.control().await?;
    let started = Instant::now();
    let path = format!("/v1/models/{model}/submissions/{id}");
    while started.elapsed() < WAIT {
        // A deployment of an earlier release does not tell; then the version alone does.
        let became = tolerant(control.get::<Value>(&path).await)?.unwrap_or_default();
        let refusal = became.get("refusal").filter(|refusal| refusal.is_object());
        let view = tolerant(control.get::<Value>(&format!("/v1/models/{model}")).await)?.unwrap_or_default();
        let versions = view.get("versions").and_then(Value::as_array).cloned().unwrap_or_default();
        // These bytes may have been a version that is collected by now: that one is no answer.
        let same = |v: &&Value| v.get("digest").and_then(Value::as_str) == Some(digest);
        let found = versions
            .iter()
            .filter(same)
            .find(|v| v.get("status").and_then(Value::as_str) != Some("collected"));
        let own = became.get("version").filter(|version| version.is_string());
        match (own, found, refusal) {
            (Some(own), _, _) => {
                return Ok(Packaged { version: own.as_str().unwrap_or_default().to_owned(), refusal: None });
            }
            (None, Some(found), refusal) if refusal.is_some() || became.get("version").is_none() => {
                return Ok(Packaged { version: text(found, "/version"), refusal: refusal.cloned() });
            }
            (None, None, Some(refusal)) => {
                let said = format!("{}: {}", text(refusal, "/code"), text(refusal, "/detail"));
                return Err(Failure::new(REFUSED, "submission_refused", said));
            }
            _ => tokio::time::sleep(Duration::from_millis(500)).await,
        }
    }
    Err(Failure::unavailable(format!(
        "the submission was uploaded, but no version is registered after {} s; `seatrial status {model}` tells when it is",
        WAIT.as_secs()
    )))
}

/// What was answered; nothing where the service has no answer now, or does not know the path.
pub(crate) fn tolerant(answer: Result<Value, Failure>) -> Result<Option<Value>, Failure> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(e) if e.exit == UNAVAILABLE || e.exit == NOT_FOUND => Ok(None),
        Err(e) => Err(e),
    }
}

/// The name a submission carries for people; who really submitted is whom the API knew when it was announced.
#[expect(clippy::disallowed_methods, reason = "the user's own name, at the command line")]
fn whoami() -> String {
    std::env::var("USER").ok().filter(|u| !u.is_empty()).unwrap_or_else(|| "unknown".into())
}
