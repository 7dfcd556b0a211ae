//! The secret in an approver's link.
//!
//! A link carries 256 random bits. The registry knows only their SHA-256, so whoever reads the table cannot decide. The
//! cookie that a browser gets for the link carries the same bits: a value derived from them would give the same right,
//! and be one more thing to keep. Nothing here prints the bits: not `Debug`, not an error.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use seatrial_domain::canonical::sha256;
use seatrial_domain::{Digest, GateId};
use subtle::ConstantTimeEq;

use crate::failure::Failure;

const BYTES: usize = 32;

/// The random bits of one link.
#[derive(Clone)]
pub struct LinkSecret([u8; BYTES]);

impl std::fmt::Debug for LinkSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LinkSecret(..)")
    }
}

impl LinkSecret {
    /// New random bits from the operating system.
    ///
    /// # Errors
    /// When the operating system gives none.
    pub fn mint() -> Result<Self, Failure> {
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes).map_err(|e| Failure::internal("drawing random bits", e))?;
        Ok(Self(bytes))
    }

    /// Reads the text of a link or a cookie. `None` for everything that [`LinkSecret::expose`] does not write: cut off,
    /// padded, or not base64url.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }

    /// The text for the link and the cookie, and for nothing else: 43 characters of base64url.
    #[must_use]
    pub fn expose(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// What the registry keeps: the SHA-256 of the bits.
    #[must_use]
    pub fn hash(&self) -> Digest {
        sha256(&self.0)
    }

    /// The hidden token of the form at `gate`. Only a page that was shown to the holder of this secret contains it, and it
    /// fits no other gate.
    #[must_use]
    pub fn form_token(&self, gate: &GateId) -> String {
        let mut input = b"seatrial form\n".to_vec();
        input.extend_from_slice(&self.0);
        input.extend_from_slice(gate.as_str().as_bytes());
        sha256(&input).hex().to_owned()
    }

    /// Whether `token` is the form's; takes the same time whichever character differs.
    #[must_use]
    pub fn accepts_form(&self, gate: &GateId, token: &str) -> bool {
        self.form_token(gate).as_bytes().ct_eq(token.as_bytes()).into()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use seatrial_domain::PromotionId;

    fn gate(kind: &str) -> GateId {
        GateId::derive(&PromotionId::parse(&format!("pr_{}", "0".repeat(24))).unwrap(), kind, 1)
    }

    #[test]
    fn a_secret_survives_its_text_and_nothing_near_it_does() {
        let secret = LinkSecret::mint().unwrap();
        let text = secret.expose();
        assert_eq!(text.len(), 43);
        assert_eq!(LinkSecret::parse(&text).unwrap().hash(), secret.hash());
        assert!(LinkSecret::parse(&text[..42]).is_none());
        assert!(LinkSecret::parse(&format!("{text}A")).is_none());
        assert!(LinkSecret::parse(&format!("{text}=")).is_none());
        assert!(LinkSecret::parse("").is_none());
        assert_ne!(LinkSecret::mint().unwrap().hash(), secret.hash());
    }

    #[test]
    fn it_prints_nothing_of_itself() {
        assert_eq!(format!("{:?}", LinkSecret::mint().unwrap()), "LinkSecret(..)");
    }

    #[test]
    fn a_form_token_fits_one_secret_and_one_gate() {
        let (one, other) = (LinkSecret::mint().unwrap(), LinkSecret::mint().unwrap());
        let token = one.form_token(&gate("approval"));
        assert!(one.accepts_form(&gate("approval"), &token));
        assert!(!one.accepts_form(&gate("shadow_window"), &token));
        assert!(!other.accepts_form(&gate("approval"), &token));
        assert!(!one.accepts_form(&gate("approval"), ""));
        assert!(!token.contains(&one.expose()));
    }
}
