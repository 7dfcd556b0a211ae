//! A refused submission: every defect as an object people can fetch, and the most of them in the execution's error.

use std::fmt::Write as _;

use bytes::Bytes;
use seatrial_artifacts::{Defect, ObjectStore};
use seatrial_domain::task::{PromotionInput, SCHEMA};
use seatrial_runtime::{Failure, label};
use serde_json::json;

/// How many defects are told in the error itself; Step Functions keeps 32,768 characters of it.
const TOLD: usize = 20;

/// Writes `refused/<model>/<promotion>.json` and gives the failure to answer with.
pub(crate) async fn refuse(
    evidence: &dyn ObjectStore,
    input: &PromotionInput,
    defects: &[Defect],
) -> Result<Failure, Failure> {
    let key = format!("refused/{}/{}.json", input.model, input.promotion);
    let document = json!({
        "schema": SCHEMA, "model": input.model, "promotion": input.promotion, "submission": input.submission,
        "artifact": input.artifact, "requested_by": input.requested_by, "defects": defects,
    });
    let bytes =
        serde_json::to_vec_pretty(&document).map_err(|e| Failure::internal("writing the defects", e))?;
    // A repeated task finds the same defects; the bucket keeps the first list for good.
    evidence.put_if_absent(&key, Bytes::from(bytes), "application/json").await?;
    let place = format!("s3://{}/{key}", evidence.bucket());
    Ok(Failure { label: label::INVALID_SUBMISSION, message: tell(defects, &place), source: None })
}

fn tell(defects: &[Defect], place: &str) -> String {
    let count = defects.len();
    let plural = if count == 1 { "" } else { "s" };
    let mut text = format!("the submission has {count} defect{plural} (all in {place}):");
    for defect in defects.iter().take(TOLD) {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n- {defect}");
    }
    if count > TOLD {
        let _ = write!(text, "\n- and {} more", count - TOLD);
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn the_most_of_many_defects_stays_far_below_what_step_functions_keeps() {
        let defects =
            vec![Defect::new("f".repeat(512), "x".repeat(999), "y".repeat(200)).fix("z".repeat(200)); 500];
        let text = tell(&defects, "s3://b/refused/m/p.json");
        assert!(text.len() < 32_000 && text.ends_with("and 480 more"), "{}", text.len());
    }
}
