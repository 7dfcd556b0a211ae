//! What a version is called where somebody else splits the model's traffic.

use seatrial_artifacts::{Defect, Package};
use seatrial_domain::policy::Policy;
use seatrial_domain::target::{self, NoDesire};
use seatrial_domain::{ModelName, VersionName};
use seatrial_registry::Registry;
use seatrial_runtime::Failure;

/// What is wrong with the name: the version says what it is called at the policy's target, and no other that serves is called so.
pub(crate) async fn defect(
    registry: &dyn Registry,
    model: &ModelName,
    package: &Package,
    policy: &Policy,
) -> Result<Option<Defect>, Failure> {
    let Some(target) = &policy.target else { return Ok(None) };
    let head = registry.head(model).await?;
    let this = VersionName::new(head.as_ref().map_or(1, |head| head.next_version));
    let name = match target::name_at(target, this, Some(&package.summary)) {
        Ok(name) => name,
        Err(e) => return Ok(Some(unnamed(e))),
    };
    let mut names = Vec::new();
    for serves in head.iter().flat_map(|h| h.champion().into_iter().chain(&h.standby)) {
        // The same bytes again are the same version.
        if let Some(record) =
            registry.version(model, serves.version).await?.filter(|r| r.digest != package.digest)
            && let Ok(name) = target::name_at(target, record.version, Some(&record.package))
        {
            names.push((record.version, name));
        }
    }
    names.push((this, name));
    let own = target::names_of_their_own(target, names.iter().map(|(v, name)| (*v, name.as_str())));
    Ok(own.err().map(unnamed))
}

fn unnamed(why: NoDesire) -> Defect {
    let (place, found, expected) = match why {
        NoDesire::Unnamed { target, field, .. } => (
            format!("serving.{field}"),
            "nothing".to_owned(),
            format!("what this version is called at {target}"),
        ),
        NoDesire::OneName { one, name, target, .. } => (
            "serving".to_owned(),
            format!("`{name}`, which is {one}"),
            format!("a name of its own at {target}"),
        ),
    };
    Defect::new("config.yaml", found, expected).at(place).fix("name it there and submit again")
}
