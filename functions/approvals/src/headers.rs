//! What every answer carries.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use seatrial_report::style::CONTENT_SECURITY_POLICY;

use crate::base::BaseUrl;

const SECURE: [(HeaderName, &str); 5] = [
    // What is shown here is for one person.
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // With `no-referrer` browsers send `Origin: null` with a form, and every approver would be refused. Only the redirect
    // of a link sets that, because its own address is the secret.
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Adds the headers that the handler did not set itself.
pub(crate) async fn secure(base: BaseUrl, mut response: Response) -> Response {
    let status = response.status();
    let headers = response.headers_mut();
    for (name, value) in SECURE {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(&CONTENT_SECURITY_POLICY) {
        headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(policy);
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.entry(header::WWW_AUTHENTICATE).or_insert(HeaderValue::from_static("AWS4-HMAC-SHA256"));
    }
    if base.is_https() {
        headers
            .entry(header::STRICT_TRANSPORT_SECURITY)
            .or_insert(HeaderValue::from_static("max-age=31536000"));
    }
    response
}
