//! The cookie that a browser gets for a link.
//!
//! One cookie per gate, so that an approver with two open gates can decide both. `__Host-` ties it to this host, path `/`
//! and a secure connection; it is invisible to scripts, and comes along when a link on another site is followed (`Lax`) but
//! with no form that another site sends.

use axum::http::{HeaderMap, header};
use jiff::Timestamp;
use seatrial_domain::GateId;
use seatrial_runtime::link::LinkSecret;

/// The longest a browser keeps the cookie; opening the link again brings a new one.
const MAX_AGE_SECONDS: i64 = 12 * 3_600;

fn name(gate: &GateId) -> String {
    format!("__Host-seatrial-{gate}")
}

/// The `Set-Cookie` value that hands `secret` to the browser until `expires_at`.
pub(crate) fn set(gate: &GateId, secret: &LinkSecret, now: Timestamp, expires_at: Timestamp) -> String {
    let age = (expires_at.as_second() - now.as_second()).clamp(0, MAX_AGE_SECONDS);
    format!("{}={}; Path=/; Max-Age={age}; Secure; HttpOnly; SameSite=Lax", name(gate), secret.expose())
}

/// The secret that the browser has for `gate`.
pub(crate) fn read(headers: &HeaderMap, gate: &GateId) -> Option<LinkSecret> {
    let name = name(gate);
    let pairs = headers
        .get_all(header::COOKIE)
        .into_iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(';'));
    let value =
        pairs.filter_map(|p| p.trim().split_once('=')).find(|(n, _)| *n == name).map(|(_, value)| value)?;
    LinkSecret::parse(value)
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
    fn each_gate_has_its_own_cookie_among_others() {
        let (secret, now) = (LinkSecret::mint().unwrap(), Timestamp::from_second(1_000).unwrap());
        let set = set(&gate("approval"), &secret, now, Timestamp::from_second(1_060).unwrap());
        assert!(
            set.starts_with("__Host-seatrial-ga_") && set.contains("; Path=/;") && set.contains("Max-Age=60"),
            "{set}"
        );
        for flag in ["Secure", "HttpOnly", "SameSite=Lax"] {
            assert!(set.contains(flag), "{set}");
        }
        assert!(!set.contains("Domain"), "{set}");
        let mut headers = HeaderMap::new();
        let pair = set.split(';').next().unwrap();
        headers.append(header::COOKIE, format!("theme=dark; {pair}; other=1").parse().unwrap());
        assert_eq!(read(&headers, &gate("approval")).unwrap().hash(), secret.hash());
        assert!(read(&headers, &gate("shadow_window")).is_none());
        assert!(read(&HeaderMap::new(), &gate("approval")).is_none());
    }
}
