//! Which issuer is believed, and about what.

use reqwest::Url;

use crate::error::SettingsError;

/// What of a token names its bearer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NamedBy {
    /// The mail address if the issuer says that it verified it, else the subject.
    #[default]
    Email,
    /// The subject alone: `<issuer>#<sub>`.
    Subject,
}

/// The deployment's issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    issuer: String,
    audience: Option<String>,
    client: Option<String>,
    named_by: NamedBy,
}

const ISSUER: &str = "an https address without query and fragment, exactly as the issuer writes it in `iss` \
                      (http only for 127.0.0.1, [::1] and localhost)";

impl Settings {
    /// Checks the configuration. `audience` is the `aud` of bearer tokens, `client` the client id for logins in a browser;
    /// without an audience, bearer tokens are the client's own. `named_by` is `email` (also where it is not given) or
    /// `subject`.
    ///
    /// # Errors
    /// When something cannot be used: the error names it and what is expected.
    pub fn new(
        issuer: &str,
        audience: Option<&str>,
        client: Option<&str>,
        named_by: Option<&str>,
    ) -> Result<Self, SettingsError> {
        let url = secure_url(issuer);
        if url.is_none_or(|u| u.query().is_some() || u.fragment().is_some()) {
            return Err(SettingsError { name: "the OIDC issuer", found: issuer.into(), expected: ISSUER });
        }
        let named_by = match named_by {
            None | Some("email") => NamedBy::Email,
            Some("subject") => NamedBy::Subject,
            Some(other) => {
                let found = other.to_owned();
                return Err(SettingsError { name: "the OIDC identity", found, expected: "email or subject" });
            }
        };
        let given = |text: Option<&str>| text.filter(|t| !t.is_empty()).map(str::to_owned);
        let (audience, client) = (given(audience), given(client));
        if audience.is_none() && client.is_none() {
            return Err(SettingsError {
                name: "the OIDC audience",
                found: String::new(),
                expected: "an audience, a client id, or both: without one, tokens for anybody else would do",
            });
        }
        Ok(Self { issuer: issuer.to_owned(), audience, client, named_by })
    }

    /// The issuer, exactly as tokens must name it.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whom a bearer token must be for.
    #[must_use]
    pub fn audience(&self) -> &str {
        self.audience.as_deref().or(self.client.as_deref()).unwrap_or_default()
    }

    /// The client id of logins in a browser; none where they are not set up.
    #[must_use]
    pub fn client(&self) -> Option<&str> {
        self.client.as_deref()
    }

    /// What of a token names its bearer.
    #[must_use]
    pub const fn named_by(&self) -> NamedBy {
        self.named_by
    }

    /// Where the issuer describes itself.
    pub(crate) fn discovery(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'))
    }

    /// Whether `text` is an address that this issuer may send us to: https, or http on this machine where the issuer itself
    /// is there.
    pub(crate) fn allows(&self, text: &str) -> bool {
        let plain = self.issuer.starts_with("http://");
        secure_url(text).is_some_and(|u| plain || u.scheme() == "https")
    }
}

/// The address, when nobody on the way can change what it says.
fn secure_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let here = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
    let secure = url.scheme() == "https" || (url.scheme() == "http" && here);
    (secure && url.host_str().is_some() && url.username().is_empty() && url.password().is_none())
        .then_some(url)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of(issuer: &str) -> Result<Settings, SettingsError> {
        Settings::new(issuer, Some("seatrial"), None, None)
    }

    #[test]
    fn an_issuer_is_https_or_on_this_machine() {
        for good in ["https://id.example.com", "https://id.example.com/tenant/", "http://127.0.0.1:8080/x"] {
            assert_eq!(of(good).unwrap().issuer(), good, "kept as it is written");
        }
        for bad in [
            "",
            "id.example.com",
            "http://id.example.com",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "https://user@id.example.com",
            "https://id.example.com?x=1",
            "https://id.example.com#x",
            "ftp://127.0.0.1",
            "file:///etc/passwd",
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_https_issuer_sends_nobody_to_plain_http() {
        let (far, here) = (of("https://id.example.com").unwrap(), of("http://127.0.0.1:1").unwrap());
        assert!(far.allows("https://keys.example.com/jwks"));
        assert!(!far.allows("http://127.0.0.1/jwks") && !far.allows("http://id.example.com/jwks"));
        assert!(here.allows("http://127.0.0.1:1/jwks") && !here.allows("http://id.example.com/jwks"));
    }

    #[test]
    fn tokens_are_for_somebody() {
        assert!(Settings::new("https://a.example", None, Some(""), None).is_err());
        let client_only = Settings::new("https://a.example", None, Some("web"), Some("subject")).unwrap();
        assert_eq!((client_only.audience(), client_only.client()), ("web", Some("web")));
        assert_eq!(client_only.named_by(), NamedBy::Subject);
        let both = Settings::new("https://a.example", Some("api"), Some("web"), Some("email")).unwrap();
        assert_eq!((both.audience(), both.client()), ("api", Some("web")));
        assert!(Settings::new("https://a.example", Some("api"), None, Some("name")).is_err());
    }

    #[test]
    fn the_issuer_describes_itself_below_its_path() {
        for issuer in ["https://a.example/t", "https://a.example/t/"] {
            let expected = "https://a.example/t/.well-known/openid-configuration";
            assert_eq!(of(issuer).unwrap().discovery(), expected);
        }
    }
}
