//! An alias of a Lambda function: callers invoke the alias, and Lambda draws a version for each invocation.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_config::SdkConfig;
use seatrial_domain::ModelName;
use seatrial_domain::policy::{LambdaAlias, OWNER_TAG};
use seatrial_domain::route::Weight;
use seatrial_domain::target::{Actual, Desired, Share};
use seatrial_outbound::aws::{self, Call, Method};
use serde_json::{Value, json};

use crate::refusal::{document, no_answer};
use crate::{Hindrance, TrafficTarget};

/// The largest answer, in bytes: a function may have many tags.
const LIMIT: usize = 256 << 10;

/// An alias.
#[derive(Debug, Clone)]
pub struct AliasOf {
    aws: SdkConfig,
    model: ModelName,
    alias: LambdaAlias,
}

impl AliasOf {
    /// The alias, with these credentials. Without a role of the owner's the function must carry [`OWNER_TAG`].
    #[must_use]
    pub const fn new(aws: SdkConfig, model: ModelName, alias: LambdaAlias) -> Self {
        Self { aws, model, alias }
    }

    fn path(&self) -> String {
        format!("/2015-03-31/functions/{}/aliases/{}", self.alias.function, self.alias.alias)
    }

    fn named(&self) -> String {
        format!("alias {} of {}", self.alias.alias, self.alias.function)
    }

    async fn call(&self, method: Method, path: &str, body: &str, doing: &str) -> Result<Value, Hindrance> {
        let json = [("content-type", "application/json")];
        let headers: &[_] = if method == Method::Get { &[] } else { &json };
        let call = Call { service: "lambda", path, headers, body, limit: LIMIT };
        let answer = aws::send(&self.aws, method, &call).await.map_err(no_answer)?;
        document(doing, &answer)
    }

    /// That the function is this model's. A role of the owner's says so by the external id that it asks for.
    async fn is_owned(&self, alias_arn: &str) -> Result<(), Hindrance> {
        if self.alias.role.is_some() {
            return Ok(());
        }
        let function = alias_arn.strip_suffix(&format!(":{}", self.alias.alias)).unwrap_or(alias_arn);
        let path = format!("/2017-03-31/tags/{function}");
        let found = self.call(Method::Get, &path, "", "asking for the function's tags").await?;
        let tag = found["Tags"][OWNER_TAG].as_str();
        not_anothers(&format!("the Lambda function {}", self.alias.function), tag, &self.model)
    }
}

/// That something tagged so is this model's.
pub(crate) fn not_anothers(what: &str, tag: Option<&str>, model: &ModelName) -> Result<(), Hindrance> {
    match tag {
        Some(tag) if tag == model.as_str() => Ok(()),
        found => Err(Hindrance::Refused(format!(
            "{what} has {}; expected the tag {OWNER_TAG}={model}, by which whoever runs it says that this model's policy may move \
             its traffic. Set the tag, or name a role in the policy's target",
            found.map_or_else(|| format!("no tag {OWNER_TAG}"), |tag| format!("the tag {OWNER_TAG}={tag:?}")),
        ))),
    }
}

#[async_trait]
impl TrafficTarget for AliasOf {
    async fn observe(&self) -> Result<Actual, Hindrance> {
        let found = self.call(Method::Get, &self.path(), "", &format!("asking for {}", self.named())).await?;
        let unreadable = |what: &str| Hindrance::Pending(format!("{} came without {what}", self.named()));
        let main = found["FunctionVersion"].as_str().ok_or_else(|| unreadable("its version"))?;
        let more = found.pointer("/RoutingConfig/AdditionalVersionWeights").and_then(Value::as_object);
        let mut shares = BTreeMap::new();
        for (version, weight) in more.into_iter().flatten() {
            let weight = weight.as_f64().ok_or_else(|| unreadable("weights that are numbers"))?;
            shares.insert(version.clone(), weight);
        }
        let rest = 1.0 - shares.values().sum::<f64>();
        *shares.entry(main.to_owned()).or_default() += rest.max(0.0);
        let fence = found["RevisionId"].as_str().map(str::to_owned);
        Ok(Actual { shares, busy: None, fence })
    }

    async fn drive(&self, wanted: &Desired, seen: &Actual) -> Result<(), Hindrance> {
        let some: Vec<&Share> = wanted.shares.iter().filter(|s| s.weight > Weight::ZERO).collect();
        let (main, more) = match some.as_slice() {
            [all] => (all, None),
            [main, more] => (main, Some(more)),
            _ => {
                return Err(Hindrance::Refused(format!(
                    "an alias splits between two versions, and the route gives traffic to {}",
                    some.len()
                )));
            }
        };
        let named = self.call(Method::Get, &self.path(), "", &format!("asking for {}", self.named())).await?;
        self.is_owned(named["AliasArn"].as_str().unwrap_or_default()).await?;
        let weights: BTreeMap<&str, f64> =
            more.map(|share| (share.name.as_str(), share.weight.fraction())).into_iter().collect();
        // The revision that was seen: whatever changed the alias since is looked at before it is overwritten.
        let mut body = json!({
            "FunctionVersion": main.name,
            "RoutingConfig": { "AdditionalVersionWeights": weights },
        });
        if let Some(fence) = &seen.fence {
            body["RevisionId"] = json!(fence);
        }
        let doing = format!("moving {}", self.named());
        self.call(Method::Put, &self.path(), &body.to_string(), &doing).await.map(|_| ())
    }
}
