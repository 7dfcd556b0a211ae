//! Who the caller is, and who may do what: for people who write a policy, and for those who review it.

use axum::Json;
use axum::extract::{Path, Query, State};
use seatrial_domain::ModelName;
use seatrial_domain::ids::Auth;
use seatrial_domain::policy::Delegation;
use seatrial_domain::rights::Standing;
use seatrial_registry::ops::live_policy;
use seatrial_runtime::problem::Problem;
use serde::{Deserialize, Serialize};

use crate::change::problem;
use crate::{Caller, Control, model_of, people};

#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    model: Option<String>,
}

/// The caller, as the API's authorizer says.
#[derive(Debug, Serialize)]
pub(crate) struct WhoAmI {
    principal: String,
    auth: Auth,
    /// Whether the deployment names the caller among those who may change every model's policy and benchmark.
    platform_owner: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<InModel>,
}

/// The caller in a model.
#[derive(Debug, Serialize)]
pub(crate) struct InModel {
    model: ModelName,
    /// The number of the policy in force.
    policy: u32,
    #[serde(flatten)]
    standing: Standing,
}

/// Who the caller is, and with `model` what its policy in force lets them do.
pub(crate) async fn who_am_i(
    State(control): State<Control>,
    Caller(actor): Caller,
    Query(asked): Query<Asked>,
) -> Result<Json<WhoAmI>, Problem> {
    let platform_owner = people::is_platform_owner(&control, &actor);
    let model = match asked.model {
        None => None,
        Some(name) => {
            let model = model_of(&name)?;
            let record = live_policy(control.registry.as_ref(), &model).await.map_err(problem)?;
            let (access, set_by) = (record.policy.access(), &record.set_by.principal);
            let standing = access.standing(&actor.principal, set_by, (control.clock)());
            Some(InModel { model, policy: record.reference.number, standing })
        }
    };
    Ok(Json(WhoAmI { principal: actor.principal, auth: actor.auth, platform_owner, model }))
}

/// The people of a model.
#[derive(Debug, Serialize)]
pub(crate) struct People {
    model: ModelName,
    /// The number of the policy in force.
    policy: u32,
    /// Who set it.
    set_by: String,
    quorum: u32,
    separation_of_duties: bool,
    automatic: bool,
    people: Vec<Standing>,
    delegations: Vec<Lent>,
    /// Principals that may change the policy and the benchmark of every model of this deployment.
    platform_owners: Vec<String>,
    /// What follows from what the policy leaves out.
    notes: Vec<String>,
}

/// A delegation, and whether it holds now.
#[derive(Debug, Serialize)]
pub(crate) struct Lent {
    #[serde(flatten)]
    delegation: Delegation,
    holds: bool,
}

/// Everybody the policy in force names, and what each may do now.
pub(crate) async fn people(
    State(control): State<Control>,
    _: Caller,
    Path(model): Path<String>,
) -> Result<Json<People>, Problem> {
    let model = model_of(&model)?;
    let record = live_policy(control.registry.as_ref(), &model).await.map_err(problem)?;
    let (access, now) = (record.policy.access(), (control.clock)());
    let set_by = record.set_by.principal;
    let people = access.people.iter().map(|p| access.standing(&p.email, &set_by, now)).collect();
    let notes = access.left_open(&set_by);
    let lent = |delegation: Delegation| Lent { holds: delegation.holds(now), delegation };
    Ok(Json(People {
        model,
        policy: record.reference.number,
        set_by,
        quorum: access.quorum,
        separation_of_duties: access.separation_of_duties,
        automatic: access.automatic,
        people,
        delegations: access.delegations.into_iter().map(lent).collect(),
        platform_owners: control.platform_owners.clone(),
        notes,
    }))
}
