//! Signing what hooks of owners get: HMAC-SHA-256 over the time and the body.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::Secret;

/// The fewest characters of a key.
pub const SHORTEST_KEY: usize = 32;

/// The keys in a parameter, which holds one, or several separated by space while one takes the place of another. `None` when
/// there is none, or one is too short.
#[must_use]
pub fn keys(secret: &Secret) -> Option<Vec<&str>> {
    let keys: Vec<&str> = secret.expose().split_whitespace().collect();
    let usable = !keys.is_empty() && keys.iter().all(|key| key.len() >= SHORTEST_KEY);
    usable.then_some(keys)
}

/// The header's value: `v1=<hex>` for each key, separated by commas. What is signed is `<at>.<body>`.
#[must_use]
pub fn signature(keys: &[&str], at: &str, body: &str) -> String {
    let signed = keys.iter().filter_map(|key| {
        // A key of any length is one to HMAC.
        let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).ok()?;
        mac.update(at.as_bytes());
        mac.update(b".");
        mac.update(body.as_bytes());
        Some(format!("v1={}", hex::encode(mac.finalize().into_bytes())))
    });
    signed.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn it_is_hmac_sha256_as_others_compute_it() {
        // printf '1800000000.{"a":1}' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
        let one = signature(&["0123456789abcdef0123456789abcdef"], "1800000000", r#"{"a":1}"#);
        assert_eq!(one, "v1=d40e555bc2c1dae21953757b24b165a171698880732ac310a5c8cf0ab751abf2");
    }

    #[test]
    fn while_a_key_changes_both_sign_and_short_ones_are_refused() {
        let (old, new) = ("o".repeat(32), "n".repeat(40));
        let both = Secret::new(format!("{new}\n{old}\n"));
        let found = keys(&both).unwrap();
        assert_eq!(found, [new.as_str(), old.as_str()]);
        let signed = signature(&found, "1", "x");
        assert_eq!(signed, format!("{},{}", signature(&[&new], "1", "x"), signature(&[&old], "1", "x")));
        assert!(keys(&Secret::new(format!("{new} short"))).is_none());
        assert!(keys(&Secret::new(" ".into())).is_none());
    }
}
