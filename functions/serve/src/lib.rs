//! The data plane: answers inference requests over the Open Inference Protocol, obeys the route, and reports what it did.
//!
//! One request: its body is read ([`oip`]), the model's route is at most a second old ([`routes`]), the split names a
//! version for the request's unit ([`choice`]), which is loaded before it gets traffic ([`versions`]); a marker is written
//! ([`journal`]), the version runs, the request is counted ([`tally`]), sampled rows are made ([`observed`]) and both go to
//! the queue ([`outbox`]).
//!
//! - **In a server** a task sends observations every second and another reads the routes twice a second; a caller waits for
//!   neither. What the queue does not take is kept; rows that find no room are dropped and counted.
//! - **In a Lambda** nothing runs between requests, so the observations of a request are sent before its answer, in one
//!   message as a rule, and versions that get traffic are loaded when the route that names them is read.

pub mod adapters;
pub mod alarm;
pub mod app;
pub mod choice;
pub mod clock;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod flow_tests;
pub mod http;
pub mod infer;
pub mod journal;
pub mod metrics;
pub mod observed;
pub mod oip;
pub mod outbox;
pub mod pack;
pub mod ports;
pub mod routes;
pub mod server;
pub mod tally;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod testing;
pub mod versions;
pub mod wiring;

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

// A panic while one of these locks is held leaves counts and caches in a lawful state, so the lock goes on being used.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn written<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
