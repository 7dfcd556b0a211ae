//! `seatrial`: submit, watch, decide and roll back from the command line.

mod api;
mod commands;
mod deployment;
#[cfg(test)]
mod documented;
mod evidence;
mod failure;
mod output;

use std::process::ExitCode;

use clap::Parser;

use crate::commands::Cli;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let format = cli.output;
    match commands::run(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print(format);
            ExitCode::from(failure.exit)
        }
    }
}
