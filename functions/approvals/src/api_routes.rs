//! The addresses of the JSON API, once: the router, the OpenAPI document and the tests of both go by this list.

use std::sync::Arc;

use axum::Router;
use axum::routing::{MethodRouter, get, post};

use crate::{App, api, openapi};

/// Where the API lies for bearers of a token.
pub const TOKEN_BASE: &str = "/api/v1";
/// Where the API lies for callers with AWS credentials.
pub const IAM_BASE: &str = "/iam/v1";
/// Every base. Each has every address.
pub const BASES: [&str; 2] = [TOKEN_BASE, IAM_BASE];

/// What an address does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Gives out the OpenAPI document. The one address that asks for no caller.
    Document,
    /// Lists gates.
    List,
    /// Shows one gate.
    Show,
    /// Approves.
    Approve,
    /// Rejects.
    Reject,
    /// Blocks an approval that would come by itself.
    Block,
}

/// Every address below a base, with its method.
pub const ADDRESSES: [(&str, &str, Operation); 6] = [
    ("GET", "/openapi.json", Operation::Document),
    ("GET", "/approvals", Operation::List),
    ("GET", "/approvals/{gate}", Operation::Show),
    ("POST", "/approvals/{gate}/approve", Operation::Approve),
    ("POST", "/approvals/{gate}/reject", Operation::Reject),
    ("POST", "/approvals/{gate}/block", Operation::Block),
];

/// The routes below `base` that are for callers who are known, without whatever finds out who calls.
pub(crate) fn routes(base: &str) -> Router<Arc<App>> {
    let known = ADDRESSES.into_iter().filter(|(_, _, operation)| *operation != Operation::Document);
    known.fold(Router::new(), |router, (_, path, operation)| {
        router.route(&format!("{base}{path}"), handler(operation))
    })
}

/// The document below every base, for everybody.
pub(crate) fn document() -> Router<Arc<App>> {
    let all = ADDRESSES.into_iter().filter(|(_, _, operation)| *operation == Operation::Document);
    all.fold(Router::new(), |router, (_, path, operation)| {
        BASES.iter().fold(router, |router, base| router.route(&format!("{base}{path}"), handler(operation)))
    })
}

fn handler(operation: Operation) -> MethodRouter<Arc<App>> {
    match operation {
        Operation::Document => get(openapi::document),
        Operation::List => get(api::list),
        Operation::Show => get(api::show),
        Operation::Approve => post(api::approve),
        Operation::Reject => post(api::reject),
        Operation::Block => post(api::block),
    }
}

/// Whether `path` belongs to the API, known there or not: its answers are JSON, never pages.
pub(crate) fn is_api(path: &str) -> bool {
    BASES.iter().filter_map(|base| base.get(1..)).any(|base| {
        let first = base.split('/').next().unwrap_or_default();
        path.strip_prefix('/')
            .and_then(|p| p.strip_prefix(first))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_the_api_is_seen_by_its_first_part() {
        for yes in ["/api", "/api/", "/api/v1/approvals", "/api/v9/nothing", "/iam/v1/openapi.json"] {
            assert!(is_api(yes), "{yes}");
        }
        for no in ["/", "", "/apis", "/iamx/v1", "/g/api", "/l/api/v1", "api"] {
            assert!(!is_api(no), "{no}");
        }
    }
}
