//! The end-to-end suite: needs a running stack, whose outputs SEATRIAL_OUTPUTS names. One program: it links once. A new file is named here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod adopt;
mod browser;
mod checks;
mod compliance;
mod documents;
mod emergency;
mod ending;
mod gates;
mod line;
mod login;
mod notify;
mod observe;
mod packages;
mod parallel;
mod promotion;
mod receiver;
mod refusals;
mod registry;
mod remote;
mod retention;
mod rights;
mod rollback;
mod signals;
mod store;
mod submitter;
mod targets;
mod triggers;
mod twice;
mod window;
