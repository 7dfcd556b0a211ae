//! How an issuer describes itself: OpenID Connect Discovery.

use serde::Deserialize;

use crate::fetch::NoAnswer;
use crate::settings::Settings;

/// What is used of the discovery document.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Document {
    issuer: String,
    pub(crate) jwks_uri: String,
    pub(crate) authorization_endpoint: Option<String>,
    pub(crate) token_endpoint: Option<String>,
}

impl Document {
    /// Reads the document of the configured issuer. One that names another issuer is not ours (OpenID Connect Discovery
    /// §4.3), and neither is one that leads to an address that others on the way could change.
    pub(crate) fn read(settings: &Settings, bytes: &[u8]) -> Result<Self, NoAnswer> {
        let at = settings.discovery();
        let document: Self = serde_json::from_slice(bytes)
            .map_err(|e| NoAnswer(format!("{at} is not a discovery document ({e})")))?;
        if document.issuer != settings.issuer() {
            let (found, expected) = (&document.issuer, settings.issuer());
            return Err(NoAnswer(format!("{at} names the issuer {found:?}; expected exactly {expected:?}")));
        }
        let addresses = [
            Some(&document.jwks_uri),
            document.authorization_endpoint.as_ref(),
            document.token_endpoint.as_ref(),
        ];
        if let Some(found) = addresses.into_iter().flatten().find(|a| !settings.allows(a)) {
            return Err(NoAnswer(format!("{at} names the address {found:?}; expected https")));
        }
        Ok(document)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(issuer: &str, keys: &str, authorization: &str) -> Result<Document, NoAnswer> {
        let settings = Settings::new("https://id.example.com", Some("a"), None, None).unwrap();
        let document =
            json!({ "issuer": issuer, "jwks_uri": keys, "authorization_endpoint": authorization, "more": 1 });
        Document::read(&settings, document.to_string().as_bytes())
    }

    #[test]
    fn a_document_is_the_configured_issuers_and_leads_to_https() {
        let (ours, keys, login) =
            ("https://id.example.com", "https://id.example.com/k", "https://id.example.com/a");
        assert_eq!(read(ours, keys, login).unwrap().jwks_uri, keys);
        for other in ["https://id.example.com/", "https://ID.example.com", "https://evil.example", ""] {
            let error = read(other, keys, login).unwrap_err();
            assert!(error.0.contains("expected exactly"), "{error}");
        }
        assert!(read(ours, "http://id.example.com/k", login).is_err());
        assert!(read(ours, keys, "http://id.example.com/a").is_err());
        assert!(read(ours, keys, "javascript:alert(1)").is_err());
    }
}
