//! Giving up the bytes of versions that are out of use.

use serde_json::json;

use super::{Change, Context, Draft};
use crate::ids::VersionName;
use crate::refusal::Refusal;
use crate::retention::{Collecting, Facts, Fate, Freed, plan};
use crate::version::{VersionEvent, VersionRecord};

/// Collects a version: from here on nobody can load it, and its bytes may be deleted. `found` is what is to be deleted.
///
/// # Errors
/// [`Refusal::Invalid`] unless the plan says that it is due, with what keeps it, and while another collection is not finished;
/// [`Refusal::Collected`] for one that is collected; [`Refusal::NotFound`].
pub fn collect_version(
    context: &Context<'_>,
    facts: &Facts<'_>,
    version: VersionName,
    found: Freed,
) -> Result<Change, Refusal> {
    let model = &context.head.model;
    let record = facts.versions.iter().find(|v| v.version == version);
    let record =
        record.ok_or_else(|| Refusal::NotFound { what: format!("version {version} of model {model}") })?;
    record.loadable()?;
    if let Some(other) = &context.head.collecting {
        let why = format!(
            "the bytes of {} of model {model} are not all deleted yet; {version} is collected after that",
            other.version.version
        );
        return Err(Refusal::Invalid { why });
    }
    // What is decided on is the head of this transaction, whatever the facts were read with.
    let plan = plan(&Facts { head: context.head, ..*facts }, context.now);
    let line = plan.line(version).filter(|l| l.fate == Fate::Collect);
    let Some(line) = line else {
        let why = plan.line(version).map_or_else(String::new, |l| l.why.clone());
        let due = plan.line(version).and_then(|l| l.due).map(|d| format!(" (until {d})")).unwrap_or_default();
        return Err(Refusal::Invalid {
            why: format!("{version} of model {model} is not to be collected: it {why}{due}"),
        });
    };
    let details = json!({
        "digest": record.digest, "objects": found.objects, "bytes": found.bytes,
        "retired_at": line.retired_at, "due": line.due, "reason": line.why,
    });
    let mut draft = Draft::new(context, "version_collected", details).about(None, Some(version));
    let collected = record.apply(VersionEvent::Collect)?;
    let collected =
        VersionRecord { retired_at: line.retired_at, collected_at: Some(context.now), ..collected };
    draft.head.collecting = Some(Collecting::begin(collected.reference(), found, context.now));
    draft.change.versions.push(collected);
    draft.finish()
}

/// Takes up the deletion that another run did not come to the end of.
///
/// # Errors
/// [`Refusal::Invalid`] when there is none, or that run may still delete.
pub fn resume_collection(context: &Context<'_>) -> Result<Change, Refusal> {
    let collecting = collecting(context)?;
    if context.now < collecting.resumes_at() {
        let why = format!(
            "the deletion of {} of model {} is taken up after {}",
            collecting.version.version,
            context.head.model,
            collecting.resumes_at()
        );
        return Err(Refusal::Invalid { why });
    }
    let resumed = collecting.resume(context.now);
    let details = json!({ "digest": resumed.version.digest, "since": resumed.since, "run": resumed.run });
    let version = resumed.version.version;
    let mut draft = Draft::new(context, "collection_resumed", details).about(None, Some(version));
    draft.head.collecting = Some(resumed);
    draft.finish()
}

fn collecting<'a>(context: &Context<'a>) -> Result<&'a Collecting, Refusal> {
    context.head.collecting.as_ref().ok_or_else(|| Refusal::Invalid {
        why: format!("no version of model {} is being collected", context.head.model),
    })
}

/// Records that the bytes of the version that is being collected are deleted. `last` is what the run deleted that came to the end.
///
/// # Errors
/// [`Refusal::Invalid`] when none is.
pub fn finish_collection(context: &Context<'_>, last: Freed) -> Result<Change, Refusal> {
    let collecting = collecting(context)?;
    let details = json!({
        "digest": collecting.version.digest, "since": collecting.since, "objects": last.objects, "bytes": last.bytes,
    });
    let version = collecting.version.version;
    let mut draft = Draft::new(context, "collection_finished", details).about(None, Some(version));
    draft.head.collecting = None;
    draft.finish()
}
