//! HTTP: the APIs with AWS signatures, and the review page as a browser without scripts uses it.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::Stack;

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub text: String,
}

impl Answer {
    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|e| panic!("{} with no JSON ({e}): {}", self.status, self.text))
    }

    /// A header; empty when there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    async fn of(request: reqwest::RequestBuilder) -> Self {
        let answer = request.send().await.unwrap_or_else(|e| panic!("no answer: {e:?}"));
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Self { status, headers, text: answer.text().await.unwrap_or_default() }
    }
}

pub(super) fn client() -> reqwest::Client {
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    builder.timeout(Duration::from_secs(60)).build().expect("an HTTP client")
}

/// A form as browsers send it.
#[must_use]
pub fn encode(form: &[(&str, &str)]) -> String {
    let escape = |text: &str| -> String {
        text.bytes()
            .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
            .collect()
    };
    form.iter()
        .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
        .collect::<Vec<_>>()
        .join("&")
}

/// The value of an attribute of a page, from the first place where `before` stands.
#[must_use]
pub fn attribute(html: &str, before: &str) -> String {
    let (_, rest) = html.split_once(before).unwrap_or_else(|| panic!("no {before} in {html}"));
    rest.split_once('"').expect("the end of the value").0.replace("&amp;", "&")
}

impl Stack {
    /// A plain request: no signature, no cookie.
    pub async fn plain(&self, method: &str, url: &str, body: &str) -> Answer {
        let method = method.parse().expect("a method");
        Answer::of(
            self.http.request(method, url).header("content-type", "application/json").body(body.to_owned()),
        )
        .await
    }

    /// A signed request to an API of AWS or of this stack.
    pub async fn signed(
        &self,
        service: &str,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let provider = self.sdk.credentials_provider().expect("credentials");
        let credentials = provider.provide_credentials().await.expect("credentials");
        self.signed_as(credentials, service, method, url, headers, body).await
    }

    /// The same, by whoever has these credentials.
    pub async fn signed_as(
        &self,
        credentials: Credentials,
        service: &str,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let identity: Identity = credentials.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.out("Region"))
            .name(service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .expect("all parameters of a signature");
        let signable =
            SignableRequest::new(method, url, headers.iter().copied(), SignableBody::Bytes(body.as_bytes()));
        let (instructions, _) =
            sign(signable.expect("a request"), &parameters.into()).expect("a signature").into_parts();
        let mut request = http::Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(body.to_owned()).expect("a request");
        instructions.apply_to_request_http1x(&mut request);
        let request = reqwest::Request::try_from(request).expect("a request");
        Answer::of(reqwest::RequestBuilder::from_parts(self.http.clone(), request)).await
    }

    /// A signed request to the approvals API.
    pub async fn approvals(&self, method: &str, path: &str, body: &str) -> Answer {
        let url = format!("{}{path}", self.out("ApprovalsUrl"));
        self.signed("execute-api", method, &url, &[("content-type", "application/json")], body).await
    }

    /// A call of an AWS service that speaks JSON by target.
    pub async fn call(&self, service: &str, target: &str, body: &Value) -> Value {
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target)];
        let answer = self
            .signed(service, "POST", &format!("{}/", self.api(service)), &headers, &body.to_string())
            .await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.text);
        answer.json()
    }

    /// Invokes a function by its name in the template (`Crown`), as its state machine does: the answer, or the label of its
    /// error and the message.
    ///
    /// # Errors
    /// What the function failed with.
    pub async fn invoke(&self, function: &str, payload: &Value) -> Result<Value, (String, String)> {
        let name = self.out(&format!("{function}FunctionName"));
        let url = format!("{}/2015-03-31/functions/{name}/invocations?Qualifier=live", self.api("lambda"));
        let answer = self
            .signed("lambda", "POST", &url, &[("content-type", "application/json")], &payload.to_string())
            .await;
        assert_eq!(answer.status, 200, "{function}: {}", answer.text);
        if answer.header("x-amz-function-error").is_empty() {
            return Ok(answer.json());
        }
        let error = answer.json();
        let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        Err((text("errorType"), text("errorMessage")))
    }

    /// Every line that the functions have logged.
    pub async fn log_lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for function in self.outputs.iter().filter(|(name, _)| name.ends_with("FunctionName")).map(|(_, f)| f)
        {
            let mut next = Value::Null;
            loop {
                let mut body = json!({ "logGroupName": format!("/aws/lambda/{function}"), "limit": 10_000 });
                if next.is_string() {
                    body["nextToken"] = next;
                }
                let page = self.call("logs", "Logs_20140328.FilterLogEvents", &body).await;
                let events = page["events"].as_array().cloned().unwrap_or_default();
                lines.extend(events.iter().filter_map(|e| e["message"].as_str().map(str::to_owned)));
                next = page["nextToken"].clone();
                if !next.is_string() || events.is_empty() {
                    break;
                }
            }
        }
        lines
    }
}

/// A browser without scripts, with one cookie.
pub struct Browser {
    client: reqwest::Client,
    /// The cookie it sends.
    pub cookie: Option<String>,
}

impl Default for Browser {
    fn default() -> Self {
        Self { client: client(), cookie: None }
    }
}

impl Browser {
    /// Opens an address. A cookie that is set is kept; a redirect is answered, not followed.
    pub async fn get(&mut self, url: &str) -> Answer {
        let mut request = self.client.get(url);
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        let answer = Answer::of(request).await;
        if let Some(cookie) = answer.header("set-cookie").split(';').next().filter(|c| !c.is_empty()) {
            self.cookie = Some(cookie.to_owned());
        }
        answer
    }

    /// Sends a form, naming this origin.
    pub async fn post(&self, url: &str, origin: Option<&str>, form: &[(&str, &str)]) -> Answer {
        let mut request = self
            .client
            .post(url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(encode(form));
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        Answer::of(request).await
    }
}
