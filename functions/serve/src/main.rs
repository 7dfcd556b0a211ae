//! The data plane: a Lambda function behind an HTTP API, or a plain HTTP server.

use std::process::ExitCode;

use fn_serve::app::Mode;
use fn_serve::{http, server, wiring};
use seatrial_runtime::{Config, Failure, config, init_logs, lambda_http};

#[tokio::main]
async fn main() -> ExitCode {
    let config = Config::from_env();
    init_logs(&config);
    let ended = if config::in_lambda() { lambda(&config).await } else { serve(&config).await };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!(label = failure.label, error = failure.chain(), "the data plane does not run");
            ExitCode::FAILURE
        }
    }
}

async fn lambda(config: &Config) -> Result<(), Failure> {
    let app = wiring::app(config, &config::aws().await, Mode::Lambda).await?;
    lambda_http::run(http::router(app))
        .await
        .map_err(|error| Failure::internal("running as a Lambda function", error))
}

async fn serve(config: &Config) -> Result<(), Failure> {
    let app = wiring::app(config, &config::aws().await, Mode::Server).await?;
    server::serve(app, config.get("SEATRIAL_LISTEN").unwrap_or(server::LISTEN), server::signalled()).await
}
