//! All environment names in one list, read once at cold start.

use std::collections::BTreeMap;

use crate::failure::Failure;

/// The environment names the functions know. The template sets only those a function needs.
pub const NAMES: [(&str, &str); 41] = [
    ("SEATRIAL_TABLE", "the registry's table"),
    ("SEATRIAL_SUBMISSIONS_BUCKET", "where submissions arrive"),
    (
        "SEATRIAL_TRAINING_ARTIFACTS",
        "which objects training jobs leave behind may be read: ARN patterns, separated by commas; default none",
    ),
    ("SEATRIAL_INTAKE_FUNCTION", "the function that takes events, with its alias"),
    ("SEATRIAL_INTAKE_DEAD_LETTERS_URL", "where events go that started no promotion"),
    ("SEATRIAL_MODELS_BUCKET", "OCI layouts and benchmarks"),
    ("SEATRIAL_DATA_BUCKET", "observations, pairs and dead letters"),
    ("SEATRIAL_EVIDENCE_BUCKET", "reports, manifests and other evidence"),
    ("SEATRIAL_SIGNING_KEY", "the KMS key (ECC_NIST_P256, SIGN_VERIFY) that signs packages and evidence"),
    ("SEATRIAL_ANSWER_FUNCTION", "the function that answers task tokens, with its alias"),
    ("SEATRIAL_ATTEST_FUNCTION", "the function that attests, with its alias"),
    ("SEATRIAL_OBSERVATION_DAYS", "how many days the data bucket keeps observations and pairs"),
    ("SEATRIAL_OBSERVATIONS_QUEUE_URL", "where data planes send observations"),
    ("SEATRIAL_SHADOW_QUEUE_URL", "where the shadow sample waits for its replay"),
    ("SEATRIAL_PROMOTION_MACHINE_ARN", "the promotion state machine"),
    ("SEATRIAL_APPROVALS_URL", "what links to gates begin with"),
    (
        "SEATRIAL_LOCAL_IDENTITY",
        "the identity of callers on an engine without IAM; account 000000000000 only",
    ),
    (
        "SEATRIAL_PLATFORM_OWNERS",
        "principals that may change every model's policy and benchmark, separated by commas; default none",
    ),
    ("SEATRIAL_OIDC_ISSUER", "the OpenID Connect issuer whose tokens and logins are believed; default none"),
    ("SEATRIAL_OIDC_AUDIENCE", "whom its bearer tokens are for; default the client"),
    ("SEATRIAL_OIDC_CLIENT", "the client id of logins in a browser; default none: no such logins"),
    (
        "SEATRIAL_OIDC_IDENTITY",
        "what names the bearer: email (where it is verified, else the subject; default) or subject",
    ),
    ("SEATRIAL_MAIL_FROM", "the sender of mail to approvers"),
    ("SEATRIAL_SERVE_URL", "what the addresses of versions begin with"),
    (
        "SEATRIAL_CHECK_HOSTS",
        "the hosts that integration checks may reach, separated by commas; default none",
    ),
    ("SEATRIAL_REMOTE_HOSTS", "the hosts that remote versions may run on, separated by commas; default none"),
    (
        "SEATRIAL_ACCOUNT",
        "the account; in 000000000000, which is an emulator's, hooks may reach http://127.0.0.1",
    ),
    ("SEATRIAL_NOTICES_QUEUE_URL", "where notices wait for their delivery"),
    ("SEATRIAL_NOTICES_DEAD_LETTERS_URL", "where deliveries go that were given up"),
    ("SEATRIAL_NOTIFY_TOPIC", "the SNS topic that every notice goes to; default none"),
    ("SEATRIAL_NOTIFY_HOSTS", "the hosts that webhooks may reach, separated by commas; default none"),
    ("SEATRIAL_WEBHOOK_PARAMETERS", "what the names of the parameters with webhooks' secrets begin with"),
    ("SEATRIAL_TARGETS_QUEUE_URL", "where models wait whose traffic target is to be looked at"),
    (
        "SEATRIAL_TARGET_HOSTS",
        "the hosts that hooks which move traffic may have, separated by commas; default none",
    ),
    ("SEATRIAL_TARGET_PARAMETERS", "what the names of the parameters with these hooks' keys begin with"),
    (
        "SEATRIAL_STACK",
        "the deployment's name: what events name that mean it, and part of the external id by which owners' roles are assumed",
    ),
    ("SEATRIAL_ONNXRUNTIME", "the ONNX runtime library; default lib/libonnxruntime.so beside the binary"),
    ("SEATRIAL_LISTEN", "for serve outside Lambda: address and port, default 127.0.0.1:8080"),
    ("SEATRIAL_MODELS", "for serve outside Lambda: models to load at start, separated by commas"),
    ("SEATRIAL_LOADED_VERSIONS", "for serve: how many versions are kept loaded, default 16"),
    ("SEATRIAL_LOG", "log level, default info"),
];

/// The configuration of a function.
#[derive(Debug, Clone, Default)]
pub struct Config(BTreeMap<&'static str, String>);

impl Config {
    /// Reads the environment.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    pub fn from_env() -> Self {
        let read = |name: &'static str| {
            std::env::var(name).ok().filter(|v| !v.is_empty()).map(|value| (name, value))
        };
        Self(NAMES.iter().filter_map(|(name, _)| read(name)).collect())
    }

    /// A configuration made of `pairs`, for tests.
    #[must_use]
    pub fn of(pairs: &[(&'static str, &str)]) -> Self {
        Self(pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect())
    }

    /// A value that must be there.
    ///
    /// # Errors
    /// When it is not set: the message names it and says what it is for.
    pub fn need(&self, name: &str) -> Result<&str, Failure> {
        self.0.get(name).map(String::as_str).ok_or_else(|| {
            let what = NAMES.iter().find(|(n, _)| *n == name).map_or("unknown", |(_, what)| *what);
            Failure::invalid(format!(
                "the environment does not set {name} ({what}); deploy the function from the template"
            ))
        })
    }

    /// A value that may be missing.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The values of a list that is separated by commas; none when it is not set.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<String> {
        let values = self.get(name).unwrap_or_default().split(',').map(str::trim);
        values.filter(|v| !v.is_empty()).map(str::to_owned).collect()
    }

    /// Whether this runs in the account of emulators; no real one has this number.
    #[must_use]
    pub fn is_emulator(&self) -> bool {
        self.get("SEATRIAL_ACCOUNT") == Some("000000000000")
    }

    /// The registry's table.
    ///
    /// # Errors
    /// As [`Config::need`]; so for the other named values.
    pub fn table(&self) -> Result<&str, Failure> {
        self.need("SEATRIAL_TABLE")
    }

    /// The ONNX runtime library: the environment's, or `lib/libonnxruntime.so` beside the running binary.
    #[must_use]
    pub fn onnxruntime(&self) -> std::path::PathBuf {
        self.get("SEATRIAL_ONNXRUNTIME").map_or_else(
            || {
                let beside = std::env::current_exe()
                    .ok()
                    .and_then(|exe| exe.parent().map(std::path::Path::to_path_buf));
                beside.unwrap_or_default().join("lib/libonnxruntime.so")
            },
            std::path::PathBuf::from,
        )
    }
}

/// Whether this process runs as a Lambda function.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub fn in_lambda() -> bool {
    std::env::var("AWS_LAMBDA_RUNTIME_API").is_ok()
}

/// The SDK's configuration: region, credentials and endpoint from the environment.
pub async fn aws() -> aws_config::SdkConfig {
    aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await
}

/// The name of this Lambda; none outside of one.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub fn function_name() -> Option<String> {
    std::env::var("AWS_LAMBDA_FUNCTION_NAME").ok().filter(|name| !name.is_empty())
}

/// Whether the SDK talks to an endpoint of its own (an emulator): S3 is then addressed by path.
#[must_use]
pub fn has_custom_endpoint(config: &aws_config::SdkConfig) -> bool {
    config.endpoint_url().is_some()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_no_empty_values() {
        let config = Config::of(&[("SEATRIAL_PLATFORM_OWNERS", " a , ,b,")]);
        assert_eq!(config.list("SEATRIAL_PLATFORM_OWNERS"), ["a", "b"]);
        assert!(Config::default().list("SEATRIAL_PLATFORM_OWNERS").is_empty());
    }

    #[test]
    fn a_missing_name_is_named_with_its_meaning() {
        let message = Config::default().need("SEATRIAL_TABLE").unwrap_err().message;
        assert!(message.contains("SEATRIAL_TABLE") && message.contains("registry"), "{message}");
    }
}
