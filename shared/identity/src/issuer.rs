//! The issuer as we know it: how it describes itself, its keys, and how old that knowledge is.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use tokio::sync::Mutex;

use crate::claims::{Claims, Identity, Purpose};
use crate::clock::Clock;
use crate::document::Document;
use crate::error::IssuerError;
use crate::fetch::{Fetch, NoAnswer};
use crate::keys::{ALGORITHMS, Keys};
use crate::settings::Settings;

/// How long what is known of the issuer is used before it is asked again.
pub const FRESH: Duration = Duration::from_secs(600);
/// How long it is still used while the issuer does not answer. A key that the issuer took back is believed no longer.
pub const STALE: Duration = Duration::from_secs(3_600);
/// The shortest time between two questions to the issuer, whatever tokens say.
pub const COOL_DOWN: Duration = Duration::from_secs(30);
/// The largest token that is looked at, in bytes.
pub const TOKEN_BYTES: usize = 8 * 1024;

/// One OpenID Connect issuer.
pub struct Issuer {
    settings: Settings,
    fetch: Arc<dyn Fetch>,
    clock: Arc<dyn Clock>,
    memory: Mutex<Memory>,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// What is known, and since when.
#[derive(Default)]
struct Memory {
    known: Option<(Arc<Known>, Duration)>,
    asked_at: Option<Duration>,
    last_error: Option<NoAnswer>,
}

/// What the issuer published.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) document: Document,
    keys: Keys,
}

impl Issuer {
    /// The issuer that the deployment believes. It is asked when it is first needed.
    #[must_use]
    pub fn new(settings: Settings, fetch: Arc<dyn Fetch>, clock: Arc<dyn Clock>) -> Self {
        Self { settings, fetch, clock, memory: Mutex::default() }
    }

    /// The configuration.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn fetch(&self) -> &dyn Fetch {
        self.fetch.as_ref()
    }

    /// The bearer of a token for the API.
    ///
    /// # Errors
    /// When the token is not one of this issuer's for this API now, or the issuer's keys are not to be had.
    pub async fn bearer(&self, token: &str) -> Result<Identity, IssuerError> {
        self.verify(token, Purpose::Bearer).await
    }

    pub(crate) async fn verify(&self, token: &str, purpose: Purpose<'_>) -> Result<Identity, IssuerError> {
        let (id, algorithm) = header(token)?;
        let known = self.known(Some(&id)).await?;
        let key = known.keys.find(&id, algorithm).ok_or_else(|| {
            IssuerError::refused(format!(
                "the issuer publishes no key {:?} for {algorithm:?}",
                id.chars().take(80).collect::<String>()
            ))
        })?;
        signed(token, key, algorithm)?.check(&self.settings, purpose, self.now())
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What the issuer published: not too old, and with the key `wanted` if a question can bring it.
    pub(crate) async fn known(&self, wanted: Option<&str>) -> Result<Arc<Known>, IssuerError> {
        // The lock is held while the issuer is asked: many requests at once ask once.
        let mut memory = self.memory.lock().await;
        let now = self.clock.elapsed();
        let age = |at: Duration| now.saturating_sub(at);
        let knows = |k: &Known| wanted.is_none_or(|id| k.keys.knows(id));
        if let Some((known, at)) = &memory.known
            && age(*at) < FRESH
            && knows(known)
        {
            return Ok(Arc::clone(known));
        }
        // A token may name any key it likes, so a stranger decides when we come here, and must not decide how often we ask.
        if memory.asked_at.is_none_or(|at| age(at) >= COOL_DOWN) {
            memory.asked_at = Some(now);
            match self.ask().await {
                Ok(known) => {
                    memory.known = Some((Arc::new(known), now));
                    memory.last_error = None;
                }
                Err(error) => {
                    tracing::warn!(issuer = self.settings.issuer(), %error, "the OIDC issuer cannot be read");
                    memory.last_error = Some(error);
                }
            }
        }
        match &memory.known {
            Some((known, at)) if age(*at) < STALE => Ok(Arc::clone(known)),
            _ => Err(self.unavailable(memory.last_error.clone())),
        }
    }

    fn unavailable(&self, error: Option<NoAnswer>) -> IssuerError {
        IssuerError::Unavailable {
            issuer: self.settings.issuer().to_owned(),
            source: error.unwrap_or_else(|| NoAnswer("it was not asked yet".into())),
        }
    }

    async fn ask(&self) -> Result<Known, NoAnswer> {
        let document = self.fetch.get(&self.settings.discovery()).await?;
        let document = Document::read(&self.settings, &document)?;
        let keys = Keys::read(&document.jwks_uri, &self.fetch.get(&document.jwks_uri).await?)?;
        Ok(Known { document, keys })
    }
}

/// The key and the algorithm that a token names: nothing of it is believed yet.
fn header(token: &str) -> Result<(String, Algorithm), IssuerError> {
    if token.len() > TOKEN_BYTES {
        return Err(IssuerError::refused(format!("it is longer than {TOKEN_BYTES} bytes")));
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| {
        IssuerError::refused("it is not a JSON web token that is signed with RS256, PS256 or ES256")
    })?;
    if !ALGORITHMS.contains(&header.alg) {
        return Err(IssuerError::refused(format!(
            "it is signed with {:?}; expected RS256, PS256 or ES256",
            header.alg
        )));
    }
    if header.crit.is_some() {
        return Err(IssuerError::refused("it asks for an extension that must be understood (crit)"));
    }
    let id = header.kid.filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| IssuerError::refused("it does not name the key that signed it (kid)"))?;
    Ok((id, header.alg))
}

/// The claims, once the signature holds. Everything else about them is for [`Claims::check`] to judge, which is given the
/// time and takes exactly one issuer.
fn signed(token: &str, key: &DecodingKey, algorithm: Algorithm) -> Result<Claims, IssuerError> {
    let mut only_the_signature = Validation::new(algorithm);
    only_the_signature.validate_exp = false;
    only_the_signature.validate_nbf = false;
    only_the_signature.validate_aud = false;
    only_the_signature.required_spec_claims.clear();
    use jsonwebtoken::errors::ErrorKind;
    match jsonwebtoken::decode::<Claims>(token, key, &only_the_signature) {
        Ok(token) => Ok(token.claims),
        Err(e) if matches!(e.kind(), ErrorKind::Json(_)) => Err(IssuerError::refused(
            "its claims cannot be read: iss, sub, aud and exp are needed, each once",
        )),
        Err(_) => Err(IssuerError::refused("its signature is not the issuer's")),
    }
}
