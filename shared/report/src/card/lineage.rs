//! Where a version's artifact comes from, as the event of its training told.

use seatrial_domain::artifact::ArtifactRef;

use super::writer::Writer;
use crate::markdown::{code, text};
use crate::times;

/// Nothing for a version whose files were uploaded.
pub(super) fn lineage(out: &mut Writer, artifact: Option<&ArtifactRef>) {
    let Some(artifact) = artifact else { return };
    let from = &artifact.lineage;
    let named = |value: &Option<String>| value.as_deref().map(code);
    out.line("### Where it comes from");
    out.line("As the event told that brought it; nobody has verified more than the artifact itself.");
    out.facts(&[
        ("Artifact", Some(code(&artifact.name()))),
        ("Training job", named(&from.training_job)),
        ("Model package", named(&from.model_package)),
        ("Made by", named(&from.generated_by)),
        ("Image", named(&from.image)),
        ("Training began", from.started_at.map(times::moment)),
        ("Training ended", from.ended_at.map(times::moment)),
    ]);
    for (title, values) in [("Input", &from.inputs), ("Hyperparameter", &from.hyperparameters)] {
        if !values.is_empty() {
            let rows: Vec<_> = values.iter().map(|(name, value)| [code(name), text(value)]).collect();
            out.table([title, "Value"], &rows);
        }
    }
}
