//! Remembering a deployment.

use std::collections::BTreeMap;

use aws_config::{BehaviorVersion, Region};

use crate::deployment::FILE;
use crate::failure::{Failure, NOT_FOUND};
use crate::output::{self, Format};

/// Writes the outputs of a stack to `.seatrial.json`.
pub(crate) async fn connect(stack: &str, region: Option<&str>, format: Format) -> Result<(), Failure> {
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    let aws = loader.load().await;
    let client = aws_sdk_cloudformation::Client::new(&aws);
    let found = client.describe_stacks().stack_name(stack).send().await.map_err(|e| {
        let cause = aws_sdk_cloudformation::error::DisplayErrorContext(&e).to_string();
        Failure::new(NOT_FOUND, "not_found", format!("the stack {stack} cannot be read: {cause}"))
    })?;
    let stack_outputs = found.stacks().first().map(|s| s.outputs()).unwrap_or_default();
    let mut outputs: BTreeMap<String, String> = stack_outputs
        .iter()
        .filter_map(|o| Some((o.output_key()?.to_owned(), o.output_value()?.to_owned())))
        .collect();
    if !outputs.contains_key("ControlUrl") {
        return Err(Failure::invalid(format!(
            "the stack {stack} has no output ControlUrl: it is not a Seatrial stack"
        )));
    }
    outputs.insert("Stack".into(), stack.to_owned());
    if let Some(region) = aws.region() {
        outputs.insert("Region".into(), region.to_string());
    }
    let text = serde_json::to_string_pretty(&outputs).map_err(|e| Failure::unexpected(e.to_string()))? + "\n";
    std::fs::write(FILE, text).map_err(|e| Failure::unexpected(format!("cannot write {FILE}: {e}")))?;
    output::print(format, &outputs, |_| {
        format!("wrote {FILE}: commands in this folder talk to the stack {stack}")
    })
}
