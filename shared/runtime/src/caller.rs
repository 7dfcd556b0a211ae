//! Who calls an API: from the authorizer's context, and never from a header or the body.

use lambda_http::request::RequestContext;
use seatrial_domain::ids::{Actor, Auth};

/// The caller of a request, or `None` when the API did not authenticate one.
///
/// Of an assumed role the principal is the role's id (the part of `userId` before the session name): a session name is
/// chosen by whoever assumes the role. `local` is the fixed identity of an engine without IAM; the template refuses to set
/// it in a real account.
#[must_use]
pub fn caller(context: Option<&RequestContext>, local: Option<&str>) -> Option<Actor> {
    let iam = match context {
        Some(RequestContext::ApiGatewayV2(v2)) => v2.authorizer.as_ref().and_then(|a| a.iam.as_ref()),
        _ => None,
    };
    let principal = iam.and_then(|iam| {
        let user = iam.user_id.as_deref().unwrap_or_default();
        match user.split_once(':') {
            Some((role, _session)) => Some(role.to_owned()),
            None => iam.user_arn.clone(),
        }
    });
    match (principal, local) {
        (Some(principal), _) if !principal.is_empty() => Some(Actor { principal, auth: Auth::Iam }),
        (_, Some(local)) => Some(Actor { principal: local.to_owned(), auth: Auth::Local }),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn context(user_id: &str, user_arn: &str) -> RequestContext {
        let json = serde_json::json!({
            "accountId": "000000000000", "requestId": "r", "stage": "$default", "timeEpoch": 0,
            "http": { "method": "GET", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "t" },
            "authorizer": { "iam": { "userId": user_id, "userArn": user_arn } },
        });
        RequestContext::ApiGatewayV2(serde_json::from_value(json).unwrap())
    }

    #[test]
    fn a_session_name_is_not_an_identity() {
        let found = caller(
            Some(&context("AROAEXAMPLE:ann@example.com", "arn:aws:sts::1:assumed-role/x/ann@example.com")),
            None,
        );
        assert_eq!(found.unwrap().principal, "AROAEXAMPLE");
    }

    #[test]
    fn nobody_is_nobody_and_the_local_identity_stands_in_only_where_it_is_set() {
        assert_eq!(caller(None, None), None);
        assert_eq!(caller(None, Some("local/operator")).unwrap().auth, Auth::Local);
        let user = context("AIDAEXAMPLE", "arn:aws:iam::1:user/ann");
        assert_eq!(caller(Some(&user), Some("local/operator")).unwrap().principal, "arn:aws:iam::1:user/ann");
    }
}
