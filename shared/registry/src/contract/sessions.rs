//! Logins of browsers.

use jiff::SignedDuration;
use seatrial_domain::canonical::sha256;

use super::scenario::{Full, Scenario};
use crate::ops::Clock;
use crate::sessions::Session;

pub async fn a_session_ends_by_itself_and_is_never_made_longer<R: Full>(registry: &R) {
    let s = Scenario::empty(registry);
    let begun_at = s.clock.now();
    let session = Session {
        principal: "ann@example.com".into(),
        subject: "u-1".into(),
        begun_at,
        expires_at: begun_at + SignedDuration::from_hours(8),
    };
    let (hash, other) = (sha256(s.model.as_str().as_bytes()), sha256(b"of nobody"));
    assert_eq!(registry.session(&hash, begun_at).await.unwrap(), None);
    registry.put_session(&hash, &session).await.unwrap();
    assert_eq!(registry.session(&hash, begun_at).await.unwrap().as_ref(), Some(&session));
    assert_eq!(registry.session(&other, begun_at).await.unwrap(), None);
    let longer =
        Session { expires_at: session.expires_at + SignedDuration::from_hours(1), ..session.clone() };
    registry.put_session(&hash, &longer).await.unwrap();
    let last = session.expires_at - SignedDuration::from_micros(1);
    assert_eq!(registry.session(&hash, last).await.unwrap().as_ref(), Some(&session));
    assert_eq!(registry.session(&hash, session.expires_at).await.unwrap(), None);
}

pub async fn a_logout_ends_one_session_and_no_other<R: Full>(registry: &R) {
    let s = Scenario::empty(registry);
    let begun_at = s.clock.now();
    let session = Session {
        principal: "ann@example.com".into(),
        subject: "u-1".into(),
        begun_at,
        expires_at: begun_at + SignedDuration::from_hours(8),
    };
    let hash = |n: u8| sha256(format!("{} {n}", s.model).as_bytes());
    for n in [1, 2] {
        registry.put_session(&hash(n), &session).await.unwrap();
    }
    for _ in 0..2 {
        registry.end_session(&hash(1)).await.unwrap();
    }
    assert_eq!(registry.session(&hash(1), begun_at).await.unwrap(), None);
    assert_eq!(registry.session(&hash(2), begun_at).await.unwrap(), Some(session));
}
