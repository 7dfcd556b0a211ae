//! The cookies of a browser: for a link, for a login, and for a login that has begun.
//!
//! A link's cookie is for one gate, so that an approver with two open gates can decide both. `__Host-` ties a cookie to this
//! host, path `/` and a secure connection, so no neighbour can set one; it is invisible to scripts, and comes along when a
//! link on another site is followed (`Lax`: so it does when the issuer sends the browser back) but with no form that another
//! site sends.

use axum::http::{HeaderMap, header};
use jiff::Timestamp;
use seatrial_domain::GateId;
use seatrial_runtime::link::LinkSecret;

use crate::login::{self, Begun, Destination};

/// The longest a browser keeps the cookie; opening the link again brings a new one.
const MAX_AGE_SECONDS: i64 = 12 * 3_600;

fn name(gate: &GateId) -> String {
    format!("__Host-seatrial-{gate}")
}

const SESSION: &str = "__Host-seatrial-session";
const LOGIN: &str = "__Host-seatrial-login";

/// A `Set-Cookie` value.
fn cookie(name: &str, value: &str, seconds: i64) -> String {
    format!("{name}={value}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Lax")
}

/// How long a cookie that is set now may be kept.
fn age(now: Timestamp, expires_at: Timestamp) -> i64 {
    (expires_at.as_second() - now.as_second()).clamp(0, MAX_AGE_SECONDS)
}

/// The `Set-Cookie` value that hands `secret` to the browser until `expires_at`.
pub(crate) fn set(gate: &GateId, secret: &LinkSecret, now: Timestamp, expires_at: Timestamp) -> String {
    cookie(&name(gate), &secret.expose(), age(now, expires_at))
}

/// The secret that the browser has for `gate`.
pub(crate) fn read(headers: &HeaderMap, gate: &GateId) -> Option<LinkSecret> {
    LinkSecret::parse(value(headers, &name(gate))?)
}

/// The `Set-Cookie` value of a login.
pub(crate) fn set_session(secret: &LinkSecret, now: Timestamp, expires_at: Timestamp) -> String {
    cookie(SESSION, &secret.expose(), age(now, expires_at))
}

/// The secret of the browser's login.
pub(crate) fn read_session(headers: &HeaderMap) -> Option<LinkSecret> {
    LinkSecret::parse(value(headers, SESSION)?)
}

/// The `Set-Cookie` value that takes the login's cookie away.
pub(crate) fn clear_session() -> String {
    cookie(SESSION, "", 0)
}

/// The `Set-Cookie` value of a login that begins: its secret, the second, and where it leads.
pub(crate) fn set_login(begun: &Begun) -> String {
    let value = format!("{}.{}.{}", begun.secret.expose(), begun.at.as_second(), begun.to.as_str());
    cookie(LOGIN, &value, login::TRANSACTION.as_secs())
}

/// The login that has begun in this browser.
pub(crate) fn read_login(headers: &HeaderMap) -> Option<Begun> {
    let mut parts = value(headers, LOGIN)?.splitn(3, '.');
    Some(Begun {
        secret: LinkSecret::parse(parts.next()?)?,
        at: Timestamp::from_second(parts.next()?.parse().ok()?).ok()?,
        to: Destination::parse(parts.next()?),
    })
}

/// The `Set-Cookie` value that takes it away: a login is finished once.
pub(crate) fn clear_login() -> String {
    cookie(LOGIN, "", 0)
}

fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let pairs = headers
        .get_all(header::COOKIE)
        .into_iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(';'));
    pairs.filter_map(|p| p.trim().split_once('=')).find(|(n, _)| *n == name).map(|(_, value)| value)
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

    #[test]
    fn a_login_that_begins_comes_back_as_it_was_and_leads_nowhere_else() {
        let (secret, at) = (LinkSecret::mint().unwrap(), Timestamp::from_second(1_000).unwrap());
        let to = Destination::gate(&gate("approval"));
        let set = set_login(&Begun { secret: secret.clone(), at, to: to.clone() });
        assert!(
            set.starts_with("__Host-seatrial-login=") && set.contains("Max-Age=600; Secure; HttpOnly"),
            "{set}"
        );
        let of = |pair: &str| {
            let mut headers = HeaderMap::new();
            headers.append(header::COOKIE, pair.parse().unwrap());
            read_login(&headers)
        };
        let begun = of(set.split(';').next().unwrap()).unwrap();
        assert_eq!((begun.secret.hash(), begun.at, begun.to), (secret.hash(), at, to));
        let changed = format!("__Host-seatrial-login={}.1000.https://evil.example", secret.expose());
        assert_eq!(of(&changed).unwrap().to.as_str(), "/");
        for broken in ["", "x", "x.1000./", &format!("{}.soon./", secret.expose()), &secret.expose()] {
            assert!(of(&format!("__Host-seatrial-login={broken}")).is_none(), "{broken}");
        }
    }
}
