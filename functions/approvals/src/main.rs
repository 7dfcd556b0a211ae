//! `approvals`: the review page and the JSON API of decisions.

use std::sync::Arc;

use fn_approvals::{App, BaseUrl, router};
use seatrial_identity::{HttpFetch, Issuer, Settings, SystemClock};
use seatrial_runtime::Config;
use seatrial_runtime::lambda_runtime::Error;
use seatrial_runtime::wire::Wiring;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let wiring = Wiring::start().await;
    let app = App {
        registry: Arc::new(wiring.registry()?),
        evidence: wiring.bucket("SEATRIAL_EVIDENCE_BUCKET")?,
        base: BaseUrl::parse(wiring.config.need("SEATRIAL_APPROVALS_URL")?)?,
        issuer: issuer(&wiring.config)?,
        local_identity: wiring.config.get("SEATRIAL_LOCAL_IDENTITY").map(str::to_owned),
        clock: seatrial_runtime::now,
    };
    lambda_http::run(router(app)).await
}

/// The issuer that the deployment names, if any.
fn issuer(config: &Config) -> Result<Option<Arc<Issuer>>, Error> {
    let Some(issuer) = config.get("SEATRIAL_OIDC_ISSUER") else { return Ok(None) };
    let settings = Settings::new(
        issuer,
        config.get("SEATRIAL_OIDC_AUDIENCE"),
        config.get("SEATRIAL_OIDC_CLIENT"),
        config.get("SEATRIAL_OIDC_IDENTITY"),
    )?;
    let clock = Arc::new(SystemClock::default());
    Ok(Some(Arc::new(Issuer::new(settings, Arc::new(HttpFetch::new()?), clock))))
}
