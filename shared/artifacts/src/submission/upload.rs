//! Uploads a submission: its files, and last of all the announcement that completes it.

use std::path::Path;

use seatrial_domain::task::SubmissionRef;

use super::{ANNOUNCEMENT, Announcement, Inspected, OnProgress, Stage, Watched, submission_prefix};
use crate::store::{FileChunks, ObjectStore, StoreError};

/// Uploads an inspected folder as submission `id` and completes it. From then on a promotion of it may start.
///
/// The announcement is [`Announcement::of`] the same files and `submitted_by`, so whoever announces its digest before can
/// make it beforehand. A file that changed since its inspection is noticed when the submission is packaged: the announcement says what was
/// inspected.
///
/// # Errors
/// When a file cannot be read or uploaded. The submission is not complete then, and nothing comes of it.
pub async fn upload_submission(
    store: &dyn ObjectStore,
    inspected: &Inspected,
    folder: &Path,
    id: &str,
    submitted_by: &str,
    progress: OnProgress<'_>,
) -> Result<SubmissionRef, StoreError> {
    let prefix = submission_prefix(&inspected.model, id);
    let total = inspected.files.iter().map(|f| f.size).sum();
    let mut done = 0;
    for file in &inspected.files {
        let chunks = FileChunks::open(&folder.join(&file.path)).await?;
        let mut watched =
            Watched { chunks, stage: Stage::Uploading, file: &file.path, done, total, progress };
        let key = format!("{prefix}{}", file.path);
        store.put_stream(&key, file.size, &mut watched, "application/octet-stream").await?;
        done += file.size;
    }
    let announcement = Announcement::of(&inspected.model, &inspected.files, submitted_by);
    let bytes = announcement.to_bytes().map_err(|e| StoreError::Failed {
        doing: "writing",
        bucket: store.bucket().to_owned(),
        key: format!("{prefix}{ANNOUNCEMENT}"),
        source: e.into(),
    })?;
    store.put(&format!("{prefix}{ANNOUNCEMENT}"), bytes, "application/json").await?;
    Ok(SubmissionRef { bucket: store.bucket().to_owned(), prefix })
}
