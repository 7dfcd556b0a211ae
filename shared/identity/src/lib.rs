//! Who somebody is, by the tokens of one OpenID Connect issuer.
//!
//! A token is believed only when everything about it is what the deployment configured: the issuer, the audience, an
//! asymmetric algorithm that fits a key the issuer publishes, and the times. The issuer's keys are kept for a while, fetched
//! anew when they rotate, and never fetched faster than a cool-down lets a stranger's forged tokens make us.
//!
//! [`Issuer`] is the whole of it; [`testing`](crate::testing) (a feature) is an issuer to try it with.

mod claims;
mod clock;
mod document;
mod error;
mod fetch;
mod issuer;
mod keys;
mod login;
mod settings;
#[cfg(feature = "testing")]
pub mod testing;

pub use claims::{Identity, LEEWAY_SECONDS};
pub use clock::{Clock, SystemClock};
pub use error::{IssuerError, SettingsError};
pub use fetch::{Fetch, HttpFetch, NoAnswer};
pub use issuer::{COOL_DOWN, FRESH, Issuer, STALE, TOKEN_BYTES};
pub use login::{Challenge, Grant};
pub use settings::{NamedBy, Settings};
