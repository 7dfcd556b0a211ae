//! The keys that an issuer publishes: a JSON Web Key Set (RFC 7517).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use crate::fetch::NoAnswer;

/// The algorithms that are believed. All are asymmetric: whoever can check such a token cannot make one.
pub(crate) const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256];

/// The most keys that are read of a set.
const MOST: usize = 64;

/// Public keys for checking signatures.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keys(Vec<Key>);

#[derive(Debug, Clone)]
struct Key {
    id: String,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// A key as it is published. Only what decides its use is read.
#[derive(Deserialize)]
struct Published {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Keys {
    /// Reads a key set. Keys of other kinds or for other uses are left out; a set without one usable key is refused.
    pub(crate) fn read(at: &str, bytes: &[u8]) -> Result<Self, NoAnswer> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set =
            serde_json::from_slice(bytes).map_err(|e| NoAnswer(format!("{at} is not a key set ({e})")))?;
        let keys: Vec<Key> = set.keys.into_iter().take(MOST).filter_map(usable).collect();
        if keys.is_empty() {
            return Err(NoAnswer(format!("{at} has no usable key; expected RSA or P-256 keys with a kid")));
        }
        Ok(Self(keys))
    }

    /// Whether there is a key of this name.
    pub(crate) fn knows(&self, id: &str) -> bool {
        self.0.iter().any(|k| k.id == id)
    }

    /// The key of this name, if it is one for `algorithm`.
    pub(crate) fn find(&self, id: &str, algorithm: Algorithm) -> Option<&DecodingKey> {
        self.0.iter().find(|k| k.id == id && k.algorithms.contains(&algorithm)).map(|k| &k.key)
    }
}

fn usable(published: Value) -> Option<Key> {
    let p: Published = serde_json::from_value(published).ok()?;
    let signs = p.purpose.as_deref().is_none_or(|u| u == "sig")
        && p.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|o| o == "verify"));
    let id = p.kid.filter(|id| signs && !id.is_empty())?;
    let (fits, key): (&[Algorithm], DecodingKey) = match p.kty.as_str() {
        "RSA" => {
            let (n, e) = (p.n?, p.e?);
            // Shorter ones can be factored. (The verification refuses them too, but later and with a worse word.)
            if URL_SAFE_NO_PAD.decode(&n).ok()?.len() < 256 {
                return None;
            }
            (&[Algorithm::RS256, Algorithm::PS256], DecodingKey::from_rsa_components(&n, &e).ok()?)
        }
        "EC" if p.crv.as_deref() == Some("P-256") => {
            let (x, y) = (p.x?, p.y?);
            let whole = |c: &str| URL_SAFE_NO_PAD.decode(c).is_ok_and(|b| b.len() == 32);
            if !whole(&x) || !whole(&y) {
                return None;
            }
            (&[Algorithm::ES256], DecodingKey::from_ec_components(&x, &y).ok()?)
        }
        _ => return None,
    };
    // A key may say which algorithm it is for; then it is for no other.
    let named = |a: &Algorithm| p.alg.as_deref().is_none_or(|alg| alg == format!("{a:?}"));
    let algorithms: Vec<Algorithm> = fits.iter().copied().filter(named).collect();
    (!algorithms.is_empty()).then_some(Key { id, algorithms, key })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rsa(kid: &str, bytes: usize, more: &Value) -> Value {
        let mut key =
            json!({ "kty": "RSA", "kid": kid, "n": URL_SAFE_NO_PAD.encode(vec![0xff; bytes]), "e": "AQAB" });
        key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        key
    }

    fn ec(kid: &str, curve: &str) -> Value {
        let coordinate = URL_SAFE_NO_PAD.encode([7; 32]);
        json!({ "kty": "EC", "kid": kid, "crv": curve, "x": coordinate, "y": coordinate })
    }

    fn read(keys: &[Value]) -> Result<Keys, NoAnswer> {
        Keys::read("the set", json!({ "keys": keys }).to_string().as_bytes())
    }

    #[test]
    fn a_key_is_found_by_its_name_for_its_own_algorithms() {
        let keys = read(&[
            rsa("r", 256, &json!({})),
            rsa("p", 256, &json!({ "alg": "PS256", "use": "sig" })),
            ec("e", "P-256"),
        ])
        .unwrap();
        let fits = |id| ALGORITHMS.into_iter().filter(|a| keys.find(id, *a).is_some()).collect::<Vec<_>>();
        assert_eq!(fits("r"), [Algorithm::RS256, Algorithm::PS256]);
        assert_eq!(fits("p"), [Algorithm::PS256]);
        assert_eq!(fits("e"), [Algorithm::ES256]);
        assert!(fits("x").is_empty() && keys.knows("e") && !keys.knows("x"));
        for symmetric in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            assert!(["r", "p", "e"].iter().all(|id| keys.find(id, symmetric).is_none()));
        }
    }

    #[test]
    fn keys_of_other_kinds_and_uses_are_left_out() {
        let keys = read(&[
            json!({ "kty": "oct", "kid": "secret", "k": "AAAA" }),
            json!({ "kty": "OKP", "kid": "okp", "crv": "Ed25519", "x": "AAAA" }),
            json!("not a key"),
            rsa("encrypts", 256, &json!({ "use": "enc" })),
            rsa("signs-only", 256, &json!({ "key_ops": ["sign"] })),
            rsa("other-alg", 256, &json!({ "alg": "RS512" })),
            rsa("short", 128, &json!({})),
            rsa("", 256, &json!({})),
            ec("p384", "P-384"),
            rsa("good", 256, &json!({ "key_ops": ["verify"] })),
        ])
        .unwrap();
        assert_eq!(keys.0.len(), 1);
        assert!(keys.knows("good"));
        assert!(read(&[]).is_err() && read(&[ec("x", "P-521")]).is_err());
        assert!(Keys::read("the set", b"<html>").is_err());
    }
}
