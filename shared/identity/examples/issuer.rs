//! An OpenID Connect issuer on 127.0.0.1, to try logins at gates without an identity provider:
//! `cargo run -p seatrial-identity --features testing --example issuer -- ann@example.com`.
//!
//! It logs in whoever its argument names, without a question. It is for this machine only.
#![allow(clippy::expect_used, clippy::print_stdout)]

use seatrial_identity::testing::{AUDIENCE, CLIENT, LocalIssuer};
use serde_json::json;

#[tokio::main]
async fn main() {
    let mail = std::env::args().nth(1).unwrap_or_else(|| "ann@example.com".into());
    let issuer = LocalIssuer::start(&mail).await;
    let token =
        issuer.token(&json!({ "email": mail, "email_verified": true, "sub": format!("user-{mail}") }));
    println!("{} logs in {mail} until this is stopped (Ctrl-C). In another terminal:\n", issuer.address());
    println!(
        "cargo xtask local up --parameter OidcIssuer={} --parameter OidcAudience={AUDIENCE} --parameter OidcClientId={CLIENT}",
        issuer.address()
    );
    println!("export SEATRIAL_TOKEN={token}    # five minutes");
    std::future::pending::<()>().await;
}
