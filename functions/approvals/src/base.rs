//! Where people reach the pages.

use axum::http::Uri;
use axum::http::uri::Scheme;
use seatrial_runtime::Failure;

/// The public address of the pages: an origin, and perhaps a path before every route (an engine's, or a proxy's).
///
/// Every link, redirect and form starts from it, and a form is accepted only from its origin. It is configured and never
/// taken from a request: a `Host` header is whatever its sender likes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    origin: String,
    path: String,
    https: bool,
}

impl BaseUrl {
    /// Reads an address such as `https://approvals.example.com` or `http://127.0.0.1:4566/some/path`.
    ///
    /// # Errors
    /// When it is not an absolute http or https address.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = || {
            Failure::invalid(format!(
                "SEATRIAL_APPROVALS_URL is {text:?}; expected an absolute http or https address"
            ))
        };
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let https = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(wrong()),
        };
        let host = uri.host().ok_or_else(wrong)?.to_ascii_lowercase();
        // A browser leaves the scheme's own port out of an origin.
        let port = match (uri.port_u16(), https) {
            (None | Some(443), true) | (None | Some(80), false) => String::new(),
            (Some(port), _) => format!(":{port}"),
        };
        let scheme = if https { "https" } else { "http" };
        Ok(Self {
            origin: format!("{scheme}://{host}{port}"),
            path: uri.path().trim_end_matches('/').to_owned(),
            https,
        })
    }

    /// The origin, as a browser's `Origin` header writes it.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether it is https.
    #[must_use]
    pub const fn is_https(&self) -> bool {
        self.https
    }

    /// The address of `route`, which starts with a slash.
    #[must_use]
    pub fn to(&self, route: &str) -> String {
        format!("{}{}{route}", self.origin, self.path)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_written_as_browsers_write_them() {
        let cases = [
            (
                "https://Approvals.Example.com/",
                "https://approvals.example.com",
                "https://approvals.example.com/g/x",
            ),
            ("https://a.example:443", "https://a.example", "https://a.example/g/x"),
            (
                "http://127.0.0.1:4566/_aws/execute-api/ab/$default",
                "http://127.0.0.1:4566",
                "http://127.0.0.1:4566/_aws/execute-api/ab/$default/g/x",
            ),
        ];
        for (text, origin, page) in cases {
            let base = BaseUrl::parse(text).unwrap();
            assert_eq!((base.origin(), base.to("/g/x").as_str()), (origin, page));
        }
        for wrong in ["", "approvals.example.com", "ftp://a.example", "/g"] {
            assert!(BaseUrl::parse(wrong).is_err(), "{wrong}");
        }
    }
}
