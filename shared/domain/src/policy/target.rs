//! Who splits a model's traffic, where it is not servers that read the route.

use serde::{Deserialize, Serialize};

/// What moves a model's traffic in the place of servers that read the route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub enum Target {
    /// An alias of the owner's own Lambda function, with weights for two of its versions.
    LambdaAlias(LambdaAlias),
    /// The production variants of a SageMaker endpoint.
    SagemakerEndpoint(SagemakerEndpoint),
    /// Anything else: a hook of the owner's that is told how traffic is to be split.
    Http(HttpTarget),
}

/// A target as policies write it: one field of several. YAML would ask for a tag where JSON does not.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lambda_alias: Option<LambdaAlias>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sagemaker_endpoint: Option<SagemakerEndpoint>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    http: Option<HttpTarget>,
}

impl TryFrom<Fields> for Target {
    type Error = &'static str;

    fn try_from(fields: Fields) -> Result<Self, Self::Error> {
        match (fields.lambda_alias, fields.sagemaker_endpoint, fields.http) {
            (Some(alias), None, None) => Ok(Self::LambdaAlias(alias)),
            (None, Some(endpoint), None) => Ok(Self::SagemakerEndpoint(endpoint)),
            (None, None, Some(http)) => Ok(Self::Http(http)),
            _ => Err(
                "target names none, or more than one, of lambda_alias, sagemaker_endpoint and http; expected exactly one",
            ),
        }
    }
}

impl From<Target> for Fields {
    fn from(target: Target) -> Self {
        let none = Self { lambda_alias: None, sagemaker_endpoint: None, http: None };
        match target {
            Target::LambdaAlias(alias) => Self { lambda_alias: Some(alias), ..none },
            Target::SagemakerEndpoint(endpoint) => Self { sagemaker_endpoint: Some(endpoint), ..none },
            Target::Http(http) => Self { http: Some(http), ..none },
        }
    }
}

/// An alias of a Lambda function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LambdaAlias {
    /// The function's name, or its ARN where it is in another region or account.
    pub function: String,
    /// The alias that callers invoke.
    pub alias: String,
    /// The role that may move it; without one, the deployment's own rights are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

/// A SageMaker endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SagemakerEndpoint {
    /// Its name, in the deployment's region.
    pub endpoint: String,
    /// The role that may move it; without one, the deployment's own rights are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

/// A hook that moves traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpTarget {
    /// Its https address, on a host that the deployment allows.
    pub url: String,
}

/// The tag by which a function or an endpoint says whose traffic it carries; its value is the model's name. Asked for where the
/// deployment's own rights are used, so that the owner of one model cannot name what belongs to another.
pub const OWNER_TAG: &str = "seatrial:model";

impl Target {
    /// The word for its kind, as in policies.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::LambdaAlias(_) => "lambda_alias",
            Self::SagemakerEndpoint(_) => "sagemaker_endpoint",
            Self::Http(_) => "http",
        }
    }

    /// The target in a few words.
    #[must_use]
    pub fn phrase(&self) -> String {
        match self {
            Self::LambdaAlias(a) => format!("alias {} of the Lambda function {}", a.alias, a.function),
            Self::SagemakerEndpoint(e) => format!("the SageMaker endpoint {}", e.endpoint),
            // The host alone: addresses of hooks may hold what is not everybody's to know.
            Self::Http(h) => format!("the hook at {}", host(&h.url)),
        }
    }

    /// How fast a rollback takes effect, in one sentence.
    #[must_use]
    pub const fn rollback_takes(target: Option<&Self>) -> &'static str {
        match target {
            None => "a second at most, at every warm server",
            Some(Self::LambdaAlias(_)) => {
                "seconds: one call moves the alias, and Lambda follows it without a bound that AWS gives"
            }
            Some(Self::SagemakerEndpoint(_)) => {
                "minutes: the endpoint takes new weights only when it is InService, and is Updating until they hold"
            }
            Some(Self::Http(_)) => "as long as the hook takes to move traffic: it is told within seconds",
        }
    }

    /// Seconds that it may be behind the route before people are told.
    #[must_use]
    pub const fn late_after_seconds(&self) -> i64 {
        match self {
            Self::LambdaAlias(_) => 60,
            Self::SagemakerEndpoint(_) => 900,
            Self::Http(_) => 120,
        }
    }

    /// The role that the owner supplied.
    #[must_use]
    pub fn role(&self) -> Option<&str> {
        match self {
            Self::LambdaAlias(a) => a.role.as_deref(),
            Self::SagemakerEndpoint(e) => e.role.as_deref(),
            Self::Http(_) => None,
        }
    }

    /// Everything that is wrong, as field and problem.
    pub(super) fn defects(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        let mut expect = |ok: bool, field, value: &str, expected: &str| {
            if !ok {
                found.push((field, format!("{value:?} is not {expected}")));
            }
        };
        match self {
            Self::LambdaAlias(a) => {
                let ok = is_function_name(&a.function) || is_function_arn(&a.function);
                let expected =
                    "the name of a Lambda function or its ARN, without a version or an alias at the end";
                expect(ok, "target.lambda_alias.function", &a.function, expected);
                let numeric = a.alias.bytes().all(|b| b.is_ascii_digit());
                let ok = plain(&a.alias, "-_", 128) && !numeric;
                let expected = "the name of an alias: letters, digits, '-' and '_', and not a number";
                expect(ok, "target.lambda_alias.alias", &a.alias, expected);
            }
            Self::SagemakerEndpoint(e) => {
                let ok =
                    plain(&e.endpoint, "-", 63) && !e.endpoint.starts_with('-') && !e.endpoint.ends_with('-');
                let expected = "the name of an endpoint: up to 63 letters, digits and '-' between them";
                expect(ok, "target.sagemaker_endpoint.endpoint", &e.endpoint, expected);
            }
            Self::Http(h) => {
                let ok = h.url.starts_with("https://") || h.url.starts_with("http://127.0.0.1:");
                // An address with a password in it is not repeated.
                let named = has_userinfo(&h.url);
                let shown = if named { "an address with a name before its host" } else { &h.url };
                let expected =
                    "an https address without a name or a password in it; calls of hooks are signed";
                expect(ok && !named, "target.http.url", shown, expected);
            }
        }
        let field = match self {
            Self::SagemakerEndpoint(_) => "target.sagemaker_endpoint.role",
            _ => "target.lambda_alias.role",
        };
        if let Some(role) = self.role() {
            expect(is_role(role), field, role, "the ARN of an IAM role");
        }
        found
    }
}

fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#', '\\']).next().unwrap_or(rest)
}

fn has_userinfo(url: &str) -> bool {
    authority(url).contains('@')
}

fn host(url: &str) -> &str {
    let authority = authority(url);
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

fn plain(text: &str, more: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
}

fn is_function_name(text: &str) -> bool {
    plain(text, "-_", 64)
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_function_arn(text: &str) -> bool {
    match text.split(':').collect::<Vec<_>>().as_slice() {
        ["arn", partition, "lambda", region, account, "function", name] => {
            plain(partition, "-", 20)
                && plain(region, "-", 30)
                && is_account(account)
                && is_function_name(name)
        }
        _ => false,
    }
}

fn is_role(text: &str) -> bool {
    match text.split(':').collect::<Vec<_>>().as_slice() {
        ["arn", partition, "iam", "", account, name] => {
            let path = name.strip_prefix("role/").unwrap_or_default();
            plain(partition, "-", 20) && is_account(account) && plain(path, "+=,.@-_/", 576)
        }
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::policy::Policy;

    fn said(target: Value) -> Vec<String> {
        let target: Target = serde_json::from_value(target).unwrap();
        target.defects().into_iter().map(|(field, problem)| format!("{field}: {problem}")).collect()
    }

    #[test]
    fn every_defect_names_its_field() {
        let role = "arn:aws:iam::123456789012:role/team/mover";
        for good in [
            json!({ "lambda_alias": { "function": "fraud", "alias": "live" } }),
            json!({ "lambda_alias": { "function": "arn:aws:lambda:eu-west-1:123456789012:function:fraud", "alias": "live", "role": role } }),
            json!({ "sagemaker_endpoint": { "endpoint": "fraud-2", "role": role } }),
            json!({ "http": { "url": "https://mesh.example.com/weights" } }),
        ] {
            assert_eq!(said(good.clone()), Vec::<String>::new(), "{good}");
        }
        for (bad, field) in [
            (
                json!({ "lambda_alias": { "function": "fraud:live", "alias": "live" } }),
                "target.lambda_alias.function",
            ),
            (
                json!({ "lambda_alias": { "function": "../x", "alias": "live" } }),
                "target.lambda_alias.function",
            ),
            (json!({ "lambda_alias": { "function": "fraud", "alias": "7" } }), "target.lambda_alias.alias"),
            (json!({ "lambda_alias": { "function": "fraud", "alias": "" } }), "target.lambda_alias.alias"),
            (
                json!({ "lambda_alias": { "function": "fraud", "alias": "live", "role": "admin" } }),
                "target.lambda_alias.role",
            ),
            (json!({ "sagemaker_endpoint": { "endpoint": "a/b" } }), "target.sagemaker_endpoint.endpoint"),
            (
                json!({ "sagemaker_endpoint": { "endpoint": "a", "role": "arn:aws:iam::1:role/x" } }),
                "target.sagemaker_endpoint.role",
            ),
            (json!({ "http": { "url": "http://mesh.example.com/" } }), "target.http.url"),
            (json!({ "http": { "url": "https://svc:pa55@mesh.example.com/" } }), "target.http.url"),
        ] {
            let found = said(bad.clone());
            assert!(found.len() == 1 && found[0].starts_with(field), "{bad}: {found:?}");
        }
        for unknown in [
            json!({ "lambda": { "function": "f", "alias": "a" } }),
            json!({ "http": { "url": "https://a.example", "role": "x" } }),
            json!({ "http": { "url": "https://a.example" }, "lambda_alias": { "function": "f", "alias": "a" } }),
        ] {
            assert!(serde_json::from_value::<Target>(unknown.clone()).is_err(), "{unknown}");
        }
    }

    #[test]
    fn a_policy_without_a_target_keeps_its_digest_and_one_with_a_wrong_one_says_so() {
        let none = serde_json::to_value(Policy::default()).unwrap();
        assert!(none.get("target").is_none());
        let target = Target::Http(HttpTarget { url: "ftp://x".into() });
        let found = Policy { target: Some(target), ..Policy::default() }.check();
        assert!(found.iter().any(|d| d.field == "target.http.url"), "{found:?}");
    }

    #[test]
    fn a_hooks_address_is_told_by_its_host_alone() {
        let target = Target::Http(HttpTarget { url: "https://mesh.example.com:8443/s3cret?x=y".into() });
        assert_eq!(target.phrase(), "the hook at mesh.example.com:8443");
        let target = Target::Http(HttpTarget { url: "https://svc:pa55@mesh.example.com/w".into() });
        assert_eq!(target.phrase(), "the hook at mesh.example.com");
        assert!(target.defects().iter().all(|(_, said)| !said.contains("pa55")));
    }
}
