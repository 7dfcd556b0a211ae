//! `remote` in `config.yaml`: where a version runs, and what pins it there.

use serde::Serialize;

use crate::config_reader::{Fields, kind};

/// How long a call may take unless the configuration says otherwise, in milliseconds.
const TIMEOUT_MS: u32 = 5_000;

/// Where a remote version runs, what it is there, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RemoteConfig {
    /// Where, and what.
    #[serde(flatten)]
    pub place: Place,
    /// The role to call it as, of the owner's account; the deployment's own rights without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The longest that one call may take, in milliseconds.
    pub timeout_ms: u32,
}

/// Where a version runs. Each names something that does not change, by a number or a digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// A published version of a Lambda function.
    Lambda {
        /// Its ARN, with the version's number at its end.
        function: String,
        /// The SHA-256 of its code as Lambda says it: in Base64, or of a container image in hex.
        code_sha256: String,
    },
    /// A server of the Open Inference Protocol.
    Http {
        /// The model's address: `https://…/v2/models/NAME` or `…/versions/V`.
        url: String,
        /// The digest of the image it runs, `sha256:…`.
        image: String,
    },
    /// A variant of a SageMaker endpoint.
    Sagemaker {
        /// The endpoint's ARN.
        endpoint: String,
        /// The variant.
        variant: String,
        /// The ARN of the model package that it runs, with the version's number at its end.
        model_package: String,
    },
}

impl RemoteConfig {
    /// What the version is, in one line for people.
    #[must_use]
    pub fn pinned(&self) -> String {
        match &self.place {
            Place::Lambda { function, code_sha256 } => format!("{function} (code {code_sha256})"),
            Place::Http { url, image } => format!("{url} (image {image})"),
            Place::Sagemaker { endpoint, variant, model_package } => {
                format!("{endpoint} variant {variant} ({model_package})")
            }
        }
    }

    /// The region that its ARN names; none for an address.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        match &self.place {
            Place::Lambda { function: arn, .. } | Place::Sagemaker { endpoint: arn, .. } => {
                arn.split(':').nth(3)
            }
            Place::Http { .. } => None,
        }
    }
}

/// Reads `remote`, which a remote version has and no other.
pub(crate) fn read(f: &mut Fields<'_>, is_remote: bool) -> Option<RemoteConfig> {
    let value = f.value("remote", is_remote);
    if !is_remote {
        if value.is_some() {
            f.defect("remote", "a place elsewhere", "nothing, or `runtime: remote`");
        }
        return None;
    }
    for key in ["model", "threads"] {
        if f.value(key, false).is_some() {
            f.defect(key, f.found(key), "nothing: a remote version has no graph here");
        }
    }
    let value = value?;
    let Some(map) = value.as_object() else {
        f.defect("remote", kind(value), "a mapping with one of `lambda`, `http` and `sagemaker`");
        return None;
    };
    let mut f = Fields { path: "remote.".to_owned(), map, defects: f.defects };
    f.only(&["lambda", "http", "sagemaker", "role", "timeout_ms"]);
    let found: Vec<&str> = ["lambda", "http", "sagemaker"]
        .into_iter()
        .filter(|k| map.get(*k).is_some_and(|v| !v.is_null()))
        .collect();
    let timeout_ms = timeout(&mut f);
    let [only] = found.as_slice() else {
        let found = if found.is_empty() { "none of them".to_owned() } else { found.join(" and ") };
        f.defects.push(crate::Defect::new("remote", found, "one of `lambda`, `http` and `sagemaker`"));
        return None;
    };
    let place = place(&mut f, only);
    let role = f.text("role", false);
    if let Some(role) = &role {
        let fits = arn(role, "iam").is_some_and(|rest| rest.starts_with("role/") && rest.len() > 5);
        if *only == "http" {
            f.defect("role", f.found("role"), "nothing: an address is called without AWS's rights");
        } else if !fits {
            f.defect("role", f.found("role"), "the ARN of a role: arn:aws:iam::ACCOUNT:role/NAME");
        }
    }
    Some(RemoteConfig { place: place?, role, timeout_ms })
}

fn timeout(f: &mut Fields<'_>) -> u32 {
    match f.value("timeout_ms", false).map(serde_json::Value::as_u64) {
        None => TIMEOUT_MS,
        Some(Some(ms @ 100..=20_000)) => ms as u32,
        Some(_) => {
            f.defect("timeout_ms", f.found("timeout_ms"), "whole milliseconds from 100 to 20000");
            TIMEOUT_MS
        }
    }
}

fn place(f: &mut Fields<'_>, only: &str) -> Option<Place> {
    let value = f.value(only, true)?;
    let Some(map) = value.as_object() else {
        f.defect(only, kind(value), "a mapping");
        return None;
    };
    let mut f = Fields { path: format!("remote.{only}."), map, defects: f.defects };
    match only {
        "lambda" => {
            f.only(&["function", "code_sha256"]);
            let function = checked(
                &mut f,
                "function",
                &published,
                "the ARN of a published version, which never changes: arn:aws:lambda:REGION:ACCOUNT:function:NAME:7 (`aws lambda publish-version` makes one; an alias or $LATEST can come to mean another)",
            );
            let code = checked(
                &mut f,
                "code_sha256",
                &code,
                "the version's CodeSha256, as `aws lambda get-function-configuration --qualifier 7` says it",
            );
            Some(Place::Lambda { function: function?, code_sha256: code? })
        }
        "http" => {
            f.only(&["url", "image"]);
            let url = checked(
                &mut f,
                "url",
                &address,
                "an address of the Open Inference Protocol without user, query and fragment: https://HOST/v2/models/NAME or …/versions/V",
            );
            let image = checked(
                &mut f,
                "image",
                &digest,
                "the digest of the image that runs there, sha256: and 64 hex digits; a tag can come to mean another",
            );
            Some(Place::Http { url: url?, image: image? })
        }
        _ => {
            f.only(&["endpoint", "variant", "model_package"]);
            let endpoint = checked(
                &mut f,
                "endpoint",
                &endpoint,
                "the ARN of an endpoint: arn:aws:sagemaker:REGION:ACCOUNT:endpoint/NAME",
            );
            let variant =
                checked(&mut f, "variant", &name, "the name of a production variant of the endpoint");
            let model_package = checked(
                &mut f,
                "model_package",
                &package,
                "the ARN of a version of a model package, which never changes: arn:aws:sagemaker:REGION:ACCOUNT:model-package/GROUP/3",
            );
            Some(Place::Sagemaker { endpoint: endpoint?, variant: variant?, model_package: model_package? })
        }
    }
}

fn checked(f: &mut Fields<'_>, key: &str, fits: &dyn Fn(&str) -> bool, expected: &str) -> Option<String> {
    let text = f.text(key, true)?;
    if fits(&text) {
        return Some(text);
    }
    f.defect(key, f.found(key), expected);
    None
}

/// What an ARN of `service` names, after the account.
fn arn<'t>(text: &'t str, service: &str) -> Option<&'t str> {
    let mut parts = text.splitn(6, ':');
    let partition = parts.next() == Some("arn") && parts.next().is_some_and(|p| p.starts_with("aws"));
    let named = partition && parts.next() == Some(service);
    let (region, account, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_:/.@+=,".contains(&b));
    let region = service == "iam" || name(region);
    (named && account && plain && region).then_some(rest)
}

fn name(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    !text.is_empty() && text.len() <= 140 && text.bytes().all(plain)
}

fn number(text: &str) -> bool {
    text.parse::<u32>().is_ok_and(|n| n > 0 && n.to_string() == text)
}

fn published(text: &str) -> bool {
    let rest = arn(text, "lambda").and_then(|r| r.strip_prefix("function:"));
    rest.and_then(|r| r.split_once(':')).is_some_and(|(function, version)| name(function) && number(version))
}

/// Lambda says the SHA-256 of a zip in Base64, and of a container image in hex.
fn code(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"+/".contains(&b);
    let zip = text.len() == 44 && text.strip_suffix('=').is_some_and(|t| t.bytes().all(plain));
    zip || hex(text)
}

/// The 64 lower-case hex digits of a SHA-256.
fn hex(text: &str) -> bool {
    let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    text.len() == 64 && text.bytes().all(digit)
}

fn address(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://127.0.0.1:"));
    let Some((host, path)) = rest.and_then(|r| r.split_once('/')) else { return false };
    let mut parts = path.split('/');
    let shape =
        parts.next() == Some("v2") && parts.next() == Some("models") && parts.next().is_some_and(segment);
    let version = match (parts.next(), parts.next(), parts.next()) {
        (None, ..) => true,
        (Some("versions"), Some(version), None) => segment(version),
        _ => false,
    };
    !host.is_empty() && !host.contains('@') && shape && version
}

fn segment(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    !text.is_empty() && text.bytes().all(plain) && !text.bytes().all(|b| b == b'.')
}

fn digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(hex)
}

fn endpoint(text: &str) -> bool {
    arn(text, "sagemaker").and_then(|r| r.strip_prefix("endpoint/")).is_some_and(name)
}

fn package(text: &str) -> bool {
    let rest = arn(text, "sagemaker").and_then(|r| r.strip_prefix("model-package/"));
    rest.and_then(|r| r.split_once('/')).is_some_and(|(group, version)| name(group) && number(version))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::ModelConfig;

    const CODE: &str = "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=";

    fn read(remote: &str) -> Result<RemoteConfig, String> {
        let text = format!(
            "{{schema: 1, runtime: remote, task: regression, inputs: [{{name: x, datatype: FP32}}], remote: {remote}}}"
        );
        let told = |defects: Vec<crate::Defect>| {
            defects.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        ModelConfig::from_yaml(&text).map(|c| c.remote.unwrap()).map_err(told)
    }

    fn lambda(function: &str) -> String {
        format!("{{lambda: {{function: '{function}', code_sha256: '{CODE}'}}}}")
    }

    fn http(url: &str) -> String {
        format!("{{http: {{url: '{url}', image: 'sha256:{}'}}}}", "0f".repeat(32))
    }

    #[test]
    fn what_is_pinned_is_read() {
        let function = "arn:aws:lambda:eu-west-1:123456789012:function:scorer:7";
        let found = read(&lambda(function)).unwrap();
        assert_eq!((found.region(), found.timeout_ms), (Some("eu-west-1"), 5_000));
        assert_eq!(found.pinned(), format!("{function} (code {CODE})"));
        for url in [
            "https://h.example/v2/models/m",
            "https://h.example:8443/v2/models/m/versions/v3",
            "http://127.0.0.1:80/v2/models/m",
        ] {
            assert_eq!(read(&http(url)).unwrap().region(), None, "{url}");
        }
        let sagemaker = read(
            "{sagemaker: {endpoint: 'arn:aws:sagemaker:eu-west-1:123456789012:endpoint/credit', variant: blue,
              model_package: 'arn:aws:sagemaker:eu-west-1:123456789012:model-package/credit/3'},
              role: 'arn:aws:iam::123456789012:role/seatrial-credit', timeout_ms: 900}",
        );
        assert_eq!(sagemaker.unwrap().timeout_ms, 900);
    }

    #[test]
    fn what_can_come_to_mean_another_is_refused_with_what_to_write() {
        for function in [
            "arn:aws:lambda:eu-west-1:123456789012:function:scorer",
            "arn:aws:lambda:eu-west-1:123456789012:function:scorer:live",
            "arn:aws:lambda:eu-west-1:123456789012:function:scorer:$LATEST",
            "arn:aws:lambda:eu-west-1:123456789012:function:scorer:07",
            "arn:aws:lambda:eu-west-1:123456789012:function:scorer:7/../x",
            "arn:aws:lambda:eu-west-1:1:function:scorer:7",
            "scorer:7",
        ] {
            let told = read(&lambda(function)).unwrap_err();
            assert!(told.contains("remote.lambda.function") && told.contains("publish-version"), "{told}");
        }
        for url in [
            "http://h.example/v2/models/m",
            "https://h.example/predict",
            "https://u:p@h.example/v2/models/m",
            "https://h.example/v2/models/m?x=1",
            "https://h.example/v2/models/..",
            "https://h.example/v2/models/m/versions/1/infer",
        ] {
            assert!(read(&http(url)).unwrap_err().contains("remote.http.url"), "{url}");
        }
        for (remote, word) in [
            (
                "{http: {url: 'https://h.example/v2/models/m', image: 'scorer:latest'}}",
                "a tag can come to mean another",
            ),
            ("{http: {url: 'https://h.example/v2/models/m'}}", "remote.http.image: found nothing"),
            ("{}", "one of `lambda`, `http` and `sagemaker`"),
            ("{http: {}, lambda: {}}", "found lambda and http"),
            ("{lambda: 7}", "a mapping"),
            ("7", "a mapping with one of"),
        ] {
            let told = read(remote).unwrap_err();
            assert!(told.contains(word), "{remote}: {told}");
        }
    }

    #[test]
    fn code_is_pinned_as_lambda_says_it_of_a_zip_and_of_a_container_image() {
        let function = lambda("arn:aws:lambda:eu-west-1:123456789012:function:scorer:7");
        let image = "0f".repeat(32);
        for code in [CODE, image.as_str()] {
            let found = read(&function.replace(CODE, code)).unwrap();
            assert!(found.pinned().ends_with(&format!("(code {code})")), "{}", found.pinned());
        }
        let (upper, tagged) = (image.to_uppercase(), format!("sha256:{image}"));
        for code in [&CODE[1..], &image[1..], upper.as_str(), tagged.as_str(), "latest"] {
            let told = read(&function.replace(CODE, code)).unwrap_err();
            assert!(told.contains("remote.lambda.code_sha256") && told.contains("CodeSha256"), "{told}");
        }
    }

    #[test]
    fn a_role_and_a_timeout_have_their_forms() {
        let role = |role: &str| {
            format!(
                "{{lambda: {{function: 'arn:aws:lambda:r:123456789012:function:f:1', code_sha256: '{CODE}'}}, role: '{role}', timeout_ms: 30000}}"
            )
        };
        let told = read(&role("arn:aws:iam::123456789012:user/x")).unwrap_err();
        assert!(told.contains("remote.role") && told.contains("from 100 to 20000"), "{told}");
        let address = http("https://h.example/v2/models/m");
        let with_role = address.replacen("{http", "{role: 'arn:aws:iam::123456789012:role/x', http", 1);
        assert!(read(&with_role).unwrap_err().contains("without AWS's rights"));
    }

    #[test]
    fn a_graph_and_a_place_elsewhere_are_never_both() {
        let inputs = "inputs: [{name: x, datatype: FP32}]";
        let place = http("https://h.example/v2/models/m");
        let both = format!("{{schema: 1, runtime: onnx, task: regression, {inputs}, remote: {place}}}");
        let told = ModelConfig::from_yaml(&both).unwrap_err();
        assert!(told[0].to_string().contains("`runtime: remote`"), "{told:?}");
        let both = format!(
            "{{schema: 1, runtime: remote, task: regression, {inputs}, model: weights/model.onnx, remote: {place}}}"
        );
        assert_eq!(ModelConfig::from_yaml(&both).unwrap_err()[0].field, "model");
        let none = format!("{{schema: 1, runtime: remote, task: regression, {inputs}}}");
        assert_eq!(ModelConfig::from_yaml(&none).unwrap_err()[0].field, "remote");
    }
}
