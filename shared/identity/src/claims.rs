//! What a token says, and whether it says it to us and now. Pure: claims and the time in, an identity out.

use jiff::Timestamp;
use serde::Deserialize;

use crate::error::IssuerError;
use crate::settings::{NamedBy, Settings};

/// How far the issuer's clock and ours may differ, in seconds.
pub const LEEWAY_SECONDS: i64 = 60;

/// Who a token says its bearer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The name that policies and records know them by: a verified mail address, or `<issuer>#<subject>`.
    pub principal: String,
    /// The issuer's own name for them, which never changes.
    pub subject: String,
    /// When the token ends.
    pub expires_at: Timestamp,
}

/// The claims that are used. One that is there twice, or has another type, makes the token unreadable.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: Number,
    nbf: Option<Number>,
    azp: Option<String>,
    nonce: Option<String>,
    email: Option<String>,
    email_verified: Option<serde_json::Value>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Some(Vec<String>),
}

/// Seconds of Unix time; RFC 7519 allows fractions.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Number {
    Whole(i64),
    Fraction(f64),
}

impl Number {
    fn seconds(self) -> i64 {
        match self {
            Self::Whole(seconds) => seconds,
            Self::Fraction(seconds) => seconds.floor() as i64,
        }
    }
}

/// Whom a token must be for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose<'a> {
    /// A call of the API.
    Bearer,
    /// A login that began with this nonce.
    Login {
        /// The nonce of the login.
        nonce: &'a str,
    },
}

impl Claims {
    /// Whether this is for us, by our issuer, now; and who it names.
    pub(crate) fn check(
        self,
        settings: &Settings,
        purpose: Purpose<'_>,
        now: Timestamp,
    ) -> Result<Identity, IssuerError> {
        if self.iss != settings.issuer() {
            let (found, expected) = (shown(&self.iss), settings.issuer());
            return Err(IssuerError::refused(format!(
                "its issuer is {found:?}; expected exactly {expected:?}"
            )));
        }
        self.check_audience(settings, purpose)?;
        self.check_times(now)?;
        if self.sub.is_empty() || self.sub.len() > 255 || self.sub.chars().any(char::is_control) {
            return Err(IssuerError::refused("its subject is empty, too long, or unprintable"));
        }
        Ok(Identity {
            principal: self.principal(settings.named_by()),
            expires_at: Timestamp::from_second(self.exp.seconds()).unwrap_or(Timestamp::MAX),
            subject: self.sub,
        })
    }

    fn check_audience(&self, settings: &Settings, purpose: Purpose<'_>) -> Result<(), IssuerError> {
        let expected = match purpose {
            Purpose::Bearer => settings.audience(),
            Purpose::Login { .. } => settings.client().unwrap_or_default(),
        };
        let named = match &self.aud {
            Audience::One(one) => one == expected,
            Audience::Some(all) => all.iter().any(|a| a == expected),
        };
        if !named || expected.is_empty() {
            return Err(IssuerError::refused(format!("it is not for the audience {expected:?}")));
        }
        if let Purpose::Login { nonce } = purpose {
            // OpenID Connect Core §3.1.3.7: of a token for several, ours is the party it was issued to.
            let several = matches!(&self.aud, Audience::Some(all) if all.len() > 1);
            if self.azp.as_deref().map_or(several, |azp| azp != expected) {
                return Err(IssuerError::refused(format!("it was not issued to the client {expected:?}")));
            }
            if self.nonce.as_deref() != Some(nonce) {
                return Err(IssuerError::refused("it belongs to another login"));
            }
        }
        Ok(())
    }

    fn check_times(&self, now: Timestamp) -> Result<(), IssuerError> {
        let now = now.as_second();
        let ended = self.exp.seconds();
        if now >= ended.saturating_add(LEEWAY_SECONDS) {
            return Err(IssuerError::refused(format!("it ended {} seconds ago", now.saturating_sub(ended))));
        }
        if let Some(begins) = self.nbf.map(Number::seconds)
            && now.saturating_add(LEEWAY_SECONDS) < begins
        {
            return Err(IssuerError::refused(format!("it begins in {} seconds", begins.saturating_sub(now))));
        }
        Ok(())
    }

    /// A mail address is a name only when the issuer says, as a truth value and not as a word, that it verified it. One that
    /// could be read as another kind of principal (`arn:…`, `account/…`) is none.
    fn principal(&self, by: NamedBy) -> String {
        let verified = self.email_verified == Some(serde_json::Value::Bool(true));
        let plain = |mail: &&String| {
            mail.len() <= 254
                && mail.split('@').filter(|part| !part.is_empty()).count() == 2
                && mail.matches('@').count() == 1
                && !mail.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, ':' | '/' | '|'))
        };
        match (by, self.email.as_ref().filter(plain)) {
            (NamedBy::Email, Some(mail)) if verified => mail.clone(),
            _ => format!("{}#{}", self.iss, self.sub),
        }
    }
}

/// The beginning of a stranger's text.
fn shown(text: &str) -> String {
    text.chars().take(120).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const NOW: i64 = 1_800_000_000;
    /// Its subject, as policies name it.
    const U1: &str = "https://id.example.com#u-1";

    fn settings(named_by: &str) -> Settings {
        Settings::new("https://id.example.com", Some("api"), Some("web"), Some(named_by)).unwrap()
    }

    fn check(changes: &Value, purpose: Purpose<'_>) -> Result<Identity, IssuerError> {
        let mut all = json!({
            "iss": "https://id.example.com", "sub": "u-1", "aud": "api", "exp": NOW + 300, "iat": NOW,
            "email": "ann@example.com", "email_verified": true,
        });
        all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let claims: Claims = serde_json::from_value(all).map_err(|e| IssuerError::refused(e.to_string()))?;
        claims.check(&settings("email"), purpose, Timestamp::from_second(NOW).unwrap())
    }

    fn bearer(changes: &Value) -> Result<Identity, IssuerError> {
        check(changes, Purpose::Bearer)
    }

    #[test]
    fn the_issuer_is_exactly_ours() {
        assert_eq!(bearer(&json!({})).unwrap().principal, "ann@example.com");
        for iss in ["https://id.example.com/", "https://evil.example", "", "HTTPS://id.example.com"] {
            assert!(bearer(&json!({ "iss": iss })).is_err(), "{iss}");
        }
        assert!(bearer(&json!({ "iss": ["https://id.example.com"] })).is_err());
    }

    #[test]
    fn the_audience_is_exactly_ours_alone_or_among_others() {
        assert!(bearer(&json!({ "aud": ["other", "api"] })).is_ok());
        for aud in [json!("web"), json!("API"), json!(["other"]), json!([]), json!(""), json!(7), json!(null)]
        {
            assert!(bearer(&json!({ "aud": aud })).is_err(), "{aud}");
        }
    }

    #[test]
    fn a_clock_a_minute_off_is_accepted_and_two_minutes_are_not() {
        for exp in [json!(NOW + 1), json!(NOW), json!(NOW - 59), json!((NOW - 59) as f64 + 0.5)] {
            assert!(bearer(&json!({ "exp": exp })).is_ok(), "{exp}");
        }
        for exp in [json!(NOW - 60), json!(NOW - 120), json!(0), json!(-1), json!("soon"), json!(null)] {
            assert!(bearer(&json!({ "exp": exp })).is_err(), "{exp}");
        }
        for nbf in [json!(NOW - 1), json!(NOW + 60), json!(null)] {
            assert!(bearer(&json!({ "nbf": nbf })).is_ok(), "{nbf}");
        }
        for nbf in [json!(NOW + 61), json!(NOW + 120), json!(i64::MAX), json!(1e300), json!("now")] {
            assert!(bearer(&json!({ "nbf": nbf })).is_err(), "{nbf}");
        }
    }

    #[test]
    fn a_mail_address_is_a_name_only_when_it_is_verified() {
        for unverified in [json!(false), json!("true"), json!(1), json!(null)] {
            let found = bearer(&json!({ "email_verified": unverified })).unwrap();
            assert_eq!(found.principal, U1, "{unverified}");
        }
        for odd in [
            "arn:aws:iam::1:user/ann@example.com",
            "account/1@x",
            "ann",
            "a@b@c",
            "@b",
            "a@",
            "a b@c",
            "a@b\n",
            "",
        ] {
            assert_eq!(bearer(&json!({ "email": odd })).unwrap().principal, U1, "{odd:?}");
        }
        let claims: Claims = serde_json::from_value(json!({
            "iss": "https://id.example.com", "sub": "u-1", "aud": "api", "exp": NOW + 300,
            "email": "ann@example.com", "email_verified": true,
        }))
        .unwrap();
        let at = Timestamp::from_second(NOW).unwrap();
        let found = claims.check(&settings("subject"), Purpose::Bearer, at).unwrap();
        assert_eq!(found.principal, U1);
    }

    #[test]
    fn a_token_without_a_subject_names_nobody() {
        for sub in [json!(""), json!(null), json!(7), json!("a\nb"), json!("x".repeat(256))] {
            assert!(bearer(&json!({ "sub": sub })).is_err(), "{sub}");
        }
    }

    #[test]
    fn a_login_needs_its_own_nonce_and_client() {
        let login = |changes: Value| check(&changes, Purpose::Login { nonce: "n-1" });
        assert!(login(json!({ "aud": "web", "nonce": "n-1" })).is_ok());
        assert!(login(json!({ "aud": ["web", "api"], "azp": "web", "nonce": "n-1" })).is_ok());
        for refused in [
            json!({ "aud": "web" }),
            json!({ "aud": "web", "nonce": "n-2" }),
            json!({ "aud": "web", "nonce": "" }),
            json!({ "aud": "api", "nonce": "n-1" }),
            json!({ "aud": ["web", "api"], "nonce": "n-1" }),
            json!({ "aud": ["web", "api"], "azp": "api", "nonce": "n-1" }),
            json!({ "aud": "web", "azp": "other", "nonce": "n-1" }),
        ] {
            assert!(login(refused.clone()).is_err(), "{refused}");
        }
        assert!(
            bearer(&json!({ "aud": "web", "nonce": "n-1" })).is_err(),
            "a login's token is no bearer token here"
        );
    }
}
