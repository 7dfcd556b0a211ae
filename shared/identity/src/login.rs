//! The login in a browser: authorization code with PKCE (RFC 7636), as a public client.
//!
//! Everything that a login needs is derived from one random secret that the browser keeps in a cookie: the `state` that ties
//! the answer to this browser, the `nonce` that ties the token to this login, and the code verifier that ties the code to
//! whoever began it. Nothing is stored until somebody has logged in, so a flood of begun logins costs nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::claims::{Identity, Purpose};
use crate::error::IssuerError;
use crate::fetch::NoAnswer;
use crate::issuer::Issuer;

/// The three values of one login.
#[derive(Clone)]
pub struct Challenge {
    state: String,
    nonce: String,
    verifier: String,
}

impl std::fmt::Debug for Challenge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Challenge(..)")
    }
}

impl Challenge {
    /// The values of the login with this secret, which must be random.
    #[must_use]
    pub fn of(secret: &str) -> Self {
        let derived = |what: &str| {
            URL_SAFE_NO_PAD.encode(Sha256::digest(format!("seatrial login {what}\n{secret}").as_bytes()))
        };
        Self { state: derived("state"), nonce: derived("nonce"), verifier: derived("verifier") }
    }

    /// What the issuer hands back with the browser.
    #[must_use]
    pub fn state(&self) -> &str {
        &self.state
    }

    /// The SHA-256 of the verifier: what the issuer keeps until the code is redeemed.
    fn s256(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier.as_bytes()))
    }
}

/// What the browser brings back from the issuer.
#[derive(Debug, Clone, Copy)]
pub struct Grant<'a> {
    /// The code.
    pub code: &'a str,
    /// The issuer that says it is the one (RFC 9207), where it does.
    pub issuer: Option<&'a str>,
    /// Where the browser came back to: the same address as it was sent with.
    pub redirect: &'a str,
}

/// The longest code that is passed on.
const CODE_BYTES: usize = 4 * 1024;

impl Issuer {
    /// Where to send the browser to log in.
    ///
    /// # Errors
    /// When the issuer does not answer, offers no such login, or no client is configured.
    pub async fn login_address(&self, challenge: &Challenge, redirect: &str) -> Result<String, IssuerError> {
        let known = self.known(None).await?;
        let endpoint = known.document.authorization_endpoint.as_deref();
        let mut url = endpoint.and_then(|e| Url::parse(e).ok()).ok_or_else(|| self.lacks("authorization"))?;
        let client = self.client()?;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", client)
            .append_pair("redirect_uri", redirect)
            .append_pair("scope", "openid email")
            .append_pair("state", &challenge.state)
            .append_pair("nonce", &challenge.nonce)
            .append_pair("code_challenge", &challenge.s256())
            .append_pair("code_challenge_method", "S256");
        Ok(url.into())
    }

    /// Who logged in: redeems the code, and checks the token that it brings.
    ///
    /// # Errors
    /// When the code or its token is refused, or the issuer does not answer.
    pub async fn redeem(&self, challenge: &Challenge, grant: Grant<'_>) -> Result<Identity, IssuerError> {
        if grant.issuer.is_some_and(|i| i != self.settings().issuer()) {
            return Err(IssuerError::refused("the login came back from another issuer"));
        }
        if grant.code.len() > CODE_BYTES {
            return Err(IssuerError::refused("its code is too long"));
        }
        let known = self.known(None).await?;
        let endpoint = known.document.token_endpoint.as_deref().ok_or_else(|| self.lacks("token"))?;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", grant.code),
            ("redirect_uri", grant.redirect),
            ("client_id", self.client()?),
            ("code_verifier", &challenge.verifier),
        ];
        let answer = self.fetch().post(endpoint, &form).await;
        let (status, body) = answer.map_err(|source| self.silent(source))?;
        match status {
            200 => {}
            // RFC 6749 §5.2: the code is wrong, used, or not ours.
            400..=499 if status != 429 => {
                return Err(IssuerError::refused(format!("the issuer does not take its code ({status})")));
            }
            _ => return Err(self.silent(NoAnswer(format!("{endpoint} answered with status {status}")))),
        }
        #[derive(Deserialize)]
        struct Tokens {
            id_token: String,
        }
        // The body holds tokens: no error repeats any of it.
        let tokens: Tokens = serde_json::from_slice(&body)
            .map_err(|_| self.silent(NoAnswer(format!("{endpoint} answered without an ID token"))))?;
        self.verify(&tokens.id_token, Purpose::Login { nonce: &challenge.nonce }).await
    }

    fn client(&self) -> Result<&str, IssuerError> {
        self.settings().client().ok_or_else(|| self.silent(NoAnswer("no client id is configured".into())))
    }

    fn silent(&self, source: NoAnswer) -> IssuerError {
        IssuerError::Unavailable { issuer: self.settings().issuer().to_owned(), source }
    }

    fn lacks(&self, endpoint: &str) -> IssuerError {
        self.silent(NoAnswer(format!("its discovery document names no {endpoint}_endpoint")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_of_a_login_tell_nothing_of_each_other() {
        let (one, again, other) = (Challenge::of("a"), Challenge::of("a"), Challenge::of("b"));
        assert_eq!((one.state(), &one.verifier), (again.state(), &again.verifier));
        assert_ne!(one.state, other.state);
        assert!(one.state != one.nonce && one.nonce != one.verifier && one.verifier != one.state);
        assert_eq!(one.verifier.len(), 43, "RFC 7636 asks for 43 to 128 characters");
        assert_eq!(format!("{one:?}"), "Challenge(..)");
    }
}
