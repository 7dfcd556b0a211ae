//! Training is done: SageMaker's own events, in the forms of "Events that Amazon SageMaker AI sends to Amazon EventBridge"
//! (SageMaker AI Developer Guide).
//!
//! A **training job** asks for a promotion when it is `Completed` and has the tag `seatrial:model`, whose value is the model's
//! name. Without the tag it is somebody else's, and asks for nothing.
//!
//! A **model package** asks when it is `Approved`: what waits for approval in SageMaker's registry is not meant for anybody
//! yet. The model is named by `seatrial:model` in its `CustomerMetadataProperties` (or tags); else it has the name of the
//! group, of a package whose artifact this deployment may read. Any other package is somebody else's.
//!
//! Either names the deployment that is meant by `seatrial:stack`, in the same place as the model.

use std::collections::BTreeMap;

use jiff::Timestamp;
use seatrial_domain::ModelName;
use seatrial_domain::artifact::{Address, Lineage};
use seatrial_runtime::Failure;
use serde::Deserialize;
use serde_json::Value;

use super::{Asked, Event, Places, What, account};

/// The tag that names the model.
const TAG: &str = "seatrial:model";
/// The tag that names the deployment, by its stack.
const STACK_TAG: &str = "seatrial:stack";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TrainingJob {
    training_job_name: String,
    training_job_arn: String,
    training_job_status: String,
    model_artifacts: Option<ModelArtifacts>,
    output_data_config: Option<OutputDataConfig>,
    hyper_parameters: Option<BTreeMap<String, Value>>,
    algorithm_specification: Option<AlgorithmSpecification>,
    input_data_config: Option<Vec<Channel>>,
    training_start_time: Option<Value>,
    training_end_time: Option<Value>,
    tags: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct ModelArtifacts {
    #[serde(rename = "S3ModelArtifacts")]
    address: String,
}

#[derive(Debug, Deserialize)]
struct OutputDataConfig {
    #[serde(rename = "S3OutputPath")]
    path: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AlgorithmSpecification {
    training_image: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Channel {
    channel_name: String,
    data_source: Option<Value>,
}

pub(super) fn training_job(event: Event) -> Result<Option<Asked>, Failure> {
    let job: TrainingJob = serde_json::from_value(event.detail)
        .map_err(|e| Failure::invalid(format!("the detail is not that of a training job's event: {e}")))?;
    let tag = job.tags.as_ref().and_then(|tags| tagged(tags, TAG));
    let Some(name) = tag.filter(|_| job.training_job_status == "Completed") else { return Ok(None) };
    let model = named(name, &format!("the tag {TAG} of training job {}", job.training_job_name))?;
    let at = job.artifact()?;
    let lineage = Lineage {
        training_job: Some(job.training_job_arn),
        image: job.algorithm_specification.and_then(|a| a.training_image),
        hyperparameters: Lineage::bounded(
            job.hyper_parameters.unwrap_or_default().into_iter().map(|(name, value)| (name, text(&value))),
        ),
        inputs: Lineage::bounded(job.input_data_config.unwrap_or_default().into_iter().filter_map(|c| {
            let address = c.data_source.as_ref()?.pointer("/S3DataSource/S3Uri")?.as_str()?.to_owned();
            Some((c.channel_name, address))
        })),
        started_at: job.training_start_time.as_ref().and_then(moment),
        ended_at: job.training_end_time.as_ref().and_then(moment),
        ..Lineage::default()
    };
    Ok(Some(Asked {
        model,
        what: What::Artifact { at, lineage: Box::new(lineage) },
        attempt: None,
        event: event.id,
        requested_by: account(&event.account),
    }))
}

impl TrainingJob {
    /// Where SageMaker says it put the artifact; else where its documentation says it puts it.
    fn artifact(&self) -> Result<Address, Failure> {
        let of = |why: String| Failure::invalid(format!("training job {}: {why}", self.training_job_name));
        let address = match (&self.model_artifacts, &self.output_data_config) {
            (Some(artifacts), _) => artifacts.address.clone(),
            (None, Some(output)) => {
                format!(
                    "{}/{}/output/model.tar.gz",
                    output.path.trim_end_matches('/'),
                    self.training_job_name
                )
            }
            (None, None) => {
                return Err(of("the event names neither ModelArtifacts nor OutputDataConfig".into()));
            }
        };
        Address::parse(&address).map_err(|why| {
            of(format!("{why}; a job whose output is not compressed leaves no archive, so train with OutputDataConfig.CompressionType GZIP"))
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ModelPackage {
    model_package_arn: String,
    model_package_group_name: Option<String>,
    model_package_status: Option<String>,
    model_approval_status: Option<String>,
    inference_specification: Option<InferenceSpecification>,
    metadata_properties: Option<MetadataProperties>,
    customer_metadata_properties: Option<Value>,
    creation_time: Option<Value>,
    tags: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InferenceSpecification {
    #[serde(default)]
    containers: Vec<Container>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    image: Option<String>,
    model_data_url: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MetadataProperties {
    generated_by: Option<String>,
}

pub(super) fn model_package(event: Event, places: Places<'_>) -> Result<Option<Asked>, Failure> {
    let package: ModelPackage = serde_json::from_value(event.detail)
        .map_err(|e| Failure::invalid(format!("the detail is not that of a model package's event: {e}")))?;
    let ready = package.model_package_status.as_deref().is_none_or(|s| s == "Completed");
    if !ready || package.model_approval_status.as_deref() != Some("Approved") {
        return Ok(None);
    }
    let artifact = package.artifact();
    let properties = [&package.customer_metadata_properties, &package.tags];
    let said = properties.into_iter().flatten().find_map(|values| tagged(values, TAG));
    let (model, (at, image)) = match (said, &package.model_package_group_name) {
        (Some(name), _) => (named(name, &format!("{TAG} of {}", package.model_package_arn))?, artifact?),
        (None, Some(group)) => match artifact {
            Ok((at, image)) if places.readable.covers(&at) => {
                let whose =
                    format!("the group of {} (name the model by {TAG} instead)", package.model_package_arn);
                (named(group, &whose)?, (at, image))
            }
            _ => return Ok(None),
        },
        (None, None) => return Ok(None),
    };
    let lineage = Lineage {
        model_package: Some(package.model_package_arn.clone()),
        generated_by: package.metadata_properties.and_then(|m| m.generated_by),
        image,
        ended_at: package.creation_time.as_ref().and_then(moment),
        ..Lineage::default()
    };
    Ok(Some(Asked {
        model,
        what: What::Artifact { at, lineage: Box::new(lineage) },
        attempt: None,
        event: event.id,
        requested_by: account(&event.account),
    }))
}

impl ModelPackage {
    /// The one archive of its containers, and that container's image.
    fn artifact(&self) -> Result<(Address, Option<String>), Failure> {
        let of = |why: String| Failure::invalid(format!("{}: {why}", self.model_package_arn));
        let containers = self.inference_specification.as_ref().map_or(&[][..], |i| i.containers.as_slice());
        let mut with = containers.iter().filter_map(|c| Some((c.model_data_url.as_ref()?, &c.image)));
        let (url, image) =
            with.next().ok_or_else(|| of("none of its containers has a ModelDataUrl".into()))?;
        if with.next().is_some() {
            return Err(of(
                "more than one of its containers has a ModelDataUrl; a version is one model".into()
            ));
        }
        Ok((Address::parse(url).map_err(of)?, image.clone()))
    }
}

/// The stack that a job or a package names. The metadata come before the tags, as for the model.
pub(super) fn stack(detail: &Value) -> Option<&str> {
    let properties = ["CustomerMetadataProperties", "Tags"];
    properties.into_iter().find_map(|field| tagged(detail.get(field)?, STACK_TAG))
}

fn named(name: &str, whose: &str) -> Result<ModelName, Failure> {
    ModelName::parse(name).map_err(|e| Failure::invalid(format!("{whose}: {e}")))
}

/// The value of a tag: events carry tags as an object, and the API as a list of `Key` and `Value`.
fn tagged<'v>(tags: &'v Value, name: &str) -> Option<&'v str> {
    match tags {
        Value::Object(tags) => tags.get(name)?.as_str(),
        Value::Array(tags) => {
            let of = |tag: &'v Value, upper: &str, lower: &str| {
                tag.get(upper).or_else(|| tag.get(lower))?.as_str()
            };
            let tag = tags.iter().find(|tag| of(tag, "Key", "key") == Some(name))?;
            of(tag, "Value", "value")
        }
        _ => None,
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A time: milliseconds as number or text, or a date. What has another form is left out.
fn moment(value: &Value) -> Option<Timestamp> {
    let text = text(value);
    let milliseconds = text.parse::<f64>().ok().filter(|n| n.is_finite());
    match milliseconds {
        Some(milliseconds) => Timestamp::from_millisecond(milliseconds as i64).ok(),
        None => text.parse().ok(),
    }
}
