//! The commands. Each is a few lines over the API; what is decided is decided there.

mod adopt;
mod approvals;
mod audit;
mod connect;
mod emergency;
mod events;
mod history;
mod inventory;
mod key;
mod packages;
mod people;
mod promote;
mod report;
mod retention;
mod rollback;
mod settings;
mod shadow;
mod show;
mod submit;
mod verify;

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use seatrial_domain::ModelName;
use seatrial_domain::ids::VersionName;

use crate::api::{Api, Caller};
use crate::deployment::Deployment;
use crate::failure::Failure;
use crate::output::Format;

/// Promote machine-learning models to production, and prove that it was right to.
#[derive(Debug, Parser)]
#[command(name = "seatrial", version, after_help = EXIT_CODES)]
pub struct Cli {
    /// How to print.
    #[arg(long, value_enum, default_value = "table", global = true)]
    pub output: Format,
    /// The deployment's file [default: .seatrial.json, else target/local/outputs.json].
    #[arg(long, value_name = "FILE", global = true, env = "SEATRIAL_DEPLOYMENT")]
    pub deployment: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  something unexpected
  2  wrong usage
  3  what was given is wrong (a submission, a policy, a file)
  4  what was named does not exist
  5  refused by the rules or the present state
  6  the caller is not known or may not do it
  7  something did not answer; try again
  8  the promotion that was waited for ended without success
  20 to 24  evidence is in doubt: not signed, changed, missing, not listed, contradicting

Examples:
  seatrial package ./my-model --model credit-risk
  seatrial status credit-risk
  seatrial approvals approve ga_0123… --comment \"better on every segment\"
  seatrial rollback credit-risk --reason \"complaints from branch 12\"";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Remember which deployment to talk to: writes .seatrial.json from a stack's outputs.
    Connect {
        /// The CloudFormation stack.
        #[arg(long, default_value = "seatrial")]
        stack: String,
        /// Its region [default: the usual AWS configuration].
        #[arg(long)]
        region: Option<String>,
    },
    /// Check a submission, upload it, and start its promotion.
    ///
    /// The folder holds weights/, config.yaml, eval_results.json, CHANGELOG.md, data_manifest.txt, and may hold
    /// model_card.md and reference.parquet. Every defect is reported at once; nothing is uploaded until there is none.
    #[command(after_help = "Example:\n  seatrial package ./my-model --model credit-risk --wait")]
    Package {
        /// The submission's folder.
        folder: PathBuf,
        /// The model.
        #[arg(long)]
        model: ModelName,
        /// Only check; upload nothing.
        #[arg(long)]
        check: bool,
        /// Wait until the version is registered.
        #[arg(long)]
        wait: bool,
    },
    /// Fetch a version's files with their signature into a folder of your own.
    ///
    /// Every digest and the signature are checked before the folder appears. What is in it can be checked without Seatrial: the
    /// signature is `model.sig`, in the form of OpenSSF Model Signing.
    #[command(after_help = "Example:\n  seatrial fetch credit-risk v3 ./credit-risk-v3")]
    Fetch(packages::Fetch),
    /// Sign the files in a folder with a key of your own, in the form of OpenSSF Model Signing: writes model.sig into it.
    #[command(
        after_help = "Example:\n  openssl ecparam -genkey -name prime256v1 -noout -out key.pem\n  seatrial sign ./my-model --key key.pem"
    )]
    Sign {
        /// The folder.
        folder: PathBuf,
        /// The private key (ECDSA P-256), as PEM.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Show who the API takes you for, and with --model what that model's policy lets you do.
    Whoami {
        /// The model.
        #[arg(long)]
        model: Option<ModelName>,
    },
    /// Show everybody whom a model's policy names, and what each may do now.
    People {
        /// The model.
        #[arg(long)]
        model: ModelName,
    },
    /// List the models.
    Models,
    /// Show how a model stands: route, versions, promotion, what happens next.
    Status {
        /// The model.
        model: ModelName,
    },
    /// Show which version served when, and who changed it; checks the hash chain against its signed checkpoints.
    #[command(
        after_help = "Examples:\n  seatrial history credit-risk --served\n  seatrial history credit-risk --key seatrial.pem"
    )]
    History {
        /// The model.
        model: ModelName,
        /// Only which version served when, and who changed it.
        #[arg(long)]
        served: bool,
        /// The public key that must have signed the checkpoints, as PEM [default: the deployment's].
        #[arg(long = "key", value_name = "FILE")]
        keys: Vec<PathBuf>,
    },
    /// Make the audit document of a promotion again from its stored evidence, and say whether it is the stored one.
    #[command(
        after_help = "Examples:\n  seatrial audit --model credit-risk --from v1 --to v2\n  seatrial audit export --model credit-risk --from v1 --to v2 --file audit.zip"
    )]
    Audit(audit::Audit),
    /// Print the public half of the key that signs packages and evidence: what an auditor needs, and nothing else.
    #[command(after_help = "Example:\n  seatrial key --file seatrial.pem")]
    Key {
        /// Write it to this file.
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// Verify evidence against a public key: needs no account and no network.
    ///
    /// Says object by object what holds and what does not. The exit code is that of the gravest doubt: 20 not signed, 21 changed,
    /// 22 missing, 23 not listed, 24 contradicting.
    #[command(
        after_help = "Examples:\n  seatrial verify promotion_v1_to_v2_audit.pdf --key seatrial.pem\n  seatrial verify ./evidence --key seatrial.pem\n  seatrial verify s3://my-evidence/evidence/model=credit-risk/promotion=pr_0123… --key seatrial.pem"
    )]
    Verify(verify::Verify),
    /// Start, watch or end a shadow.
    #[command(subcommand)]
    Shadow(shadow::Shadow),
    /// Show the comparison of challenger and champion.
    Compare {
        /// The model.
        model: ModelName,
        /// The promotion [default: the running one, else the last].
        #[arg(long)]
        promotion: Option<String>,
        /// Compare anew over the pairs and labels that are there now: labels that came after the report count too. Such a
        /// report decides nothing and is stored nowhere.
        #[arg(long)]
        now: bool,
    },
    /// Write the comparison report as a page, its pictures as SVG, or both.
    #[command(after_help = "Example:\n  seatrial report credit-risk --html report.html --charts pictures")]
    Report {
        /// The model.
        model: ModelName,
        /// The promotion [default: the running one, else the last].
        #[arg(long)]
        promotion: Option<String>,
        /// Where it goes.
        #[command(flatten)]
        files: report::Files,
    },
    /// Promote a version that is packaged.
    #[command(after_help = "Example:\n  seatrial promote credit-risk v3 --wait")]
    Promote {
        /// The model.
        model: ModelName,
        /// The version.
        version: VersionName,
        /// Wait until it ended; exits with 8 when it was not crowned.
        #[arg(long)]
        wait: bool,
    },
    /// Make a version that already serves the champion of a model that has none, without moving traffic.
    ///
    /// Nobody compares it with anything: an owner of the model answers for it, and every record says so. The next version is tried
    /// against it like against any champion.
    #[command(
        after_help = "Examples:\n  seatrial adopt credit-risk ./my-model --comment \"in use since May; figures in RISK-112\"\n  seatrial adopt credit-risk v1 --comment \"…\" --serving-since 2026-05-04T00:00:00Z"
    )]
    Adopt(adopt::Adopt),
    /// List, replay and drop events that started no promotion. For the platform team.
    #[command(subcommand)]
    Events(events::Events),
    /// List, show and decide gates.
    #[command(subcommand)]
    Approvals(approvals::Approvals),
    /// Skip stages when waiting would be worse. Needs `emergency: true` in the policy, and is never quiet.
    #[command(subcommand)]
    Emergency(emergency::Emergency),
    /// Take a canary back, or the champion. Waits for nothing.
    ///
    /// While a promotion runs, its challenger is taken back and the champion stays. Otherwise, or with --champion, the
    /// standby serves again.
    #[command(
        after_help = "Examples:\n  seatrial rollback credit-risk --reason \"errors in the app\"\n  seatrial rollback credit-risk --champion --reason \"…\" --direct"
    )]
    Rollback {
        /// The model.
        model: ModelName,
        /// Why, in a sentence; kept in the history.
        #[arg(long)]
        reason: String,
        /// Take the champion back, even while a promotion runs.
        #[arg(long)]
        champion: bool,
        /// Do not go through the API: write the registry's table with the caller's own rights.
        #[arg(long)]
        direct: bool,
    },
    /// Take a promotion out of the line of those that wait for a model (`when_busy` of the policy); `status` shows the line.
    #[command(
        after_help = "Example:\n  seatrial withdraw credit-risk pr_0123… --reason \"v5 comes instead\""
    )]
    Withdraw {
        /// The model.
        model: ModelName,
        /// The promotion that waits.
        promotion: String,
        /// Why, in a sentence; kept in the history.
        #[arg(long)]
        reason: String,
    },
    /// Take a version out of use for good. Its bytes are deleted when the policy's time is over; `retention` says when.
    ///
    /// The standby is kept ready, and refused here, until the stability window of the last crown is over.
    Retire {
        /// The model.
        model: ModelName,
        /// The version.
        version: VersionName,
        /// Why, in a sentence.
        #[arg(long)]
        reason: String,
    },
    /// Show which versions are kept and why, and what is retired or collected when. Changes nothing.
    #[command(after_help = "Example:\n  seatrial retention credit-risk")]
    Retention {
        /// The model.
        model: ModelName,
    },
    /// Export the inventory: a line for each version of each model.
    #[command(
        after_help = "Examples:\n  seatrial inventory --format csv > inventory.csv\n  seatrial inventory --format pdf --file inventory.pdf"
    )]
    Inventory {
        /// How to write it [default: as --output says].
        #[arg(long, value_enum)]
        format: Option<inventory::As>,
        /// Write it to this file.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Print the model card of a version, in Markdown.
    #[command(after_help = "Example:\n  seatrial card credit-risk v3 > MODEL_CARD.md")]
    Card {
        /// The model.
        model: ModelName,
        /// The version.
        version: VersionName,
    },
    /// Set or show a model's policy.
    #[command(subcommand)]
    Policy(settings::PolicyCommand),
    /// Set a model's held-out benchmark.
    #[command(subcommand)]
    Benchmark(settings::BenchmarkCommand),
}

/// What a command works with.
pub(crate) struct Session {
    pub(crate) deployment: Deployment,
    pub(crate) format: Format,
}

impl Session {
    /// The operator API.
    pub(crate) async fn control(&self) -> Result<Api, Failure> {
        Api::new(self.deployment.need("ControlUrl")?, Caller::Aws(Box::new(self.deployment.aws().await)))
    }

    /// The API of gates: with the token of `SEATRIAL_TOKEN`, else with AWS credentials.
    pub(crate) async fn approvals(&self) -> Result<Api, Failure> {
        let url = self.deployment.need("ApprovalsUrl")?;
        let (prefix, caller) = match token() {
            Some(token) => ("/api/v1", Caller::Token(token)),
            None => ("/iam/v1", Caller::Aws(Box::new(self.deployment.aws().await))),
        };
        Api::new(&format!("{}{prefix}", url.trim_end_matches('/')), caller)
    }
}

/// The bearer token of the environment. It is no argument: those are shown to everybody on the machine.
#[expect(clippy::disallowed_methods, reason = "a secret of the caller's; clap would make an argument of it")]
fn token() -> Option<String> {
    std::env::var("SEATRIAL_TOKEN").ok().map(|t| t.trim().to_owned()).filter(|t| !t.is_empty())
}

/// Runs a command.
///
/// # Errors
/// With the exit code and the words the command fails with.
pub async fn run(cli: Cli) -> Result<(), Failure> {
    let format = cli.output;
    if let Command::Connect { stack, region } = &cli.command {
        return connect::connect(stack, region.as_deref(), format).await;
    }
    if let Command::Package { folder, model, check: true, .. } = &cli.command {
        return submit::check(folder, model, format).await;
    }
    if let Command::Verify(command) = &cli.command {
        return verify::verify(command, Deployment::find(cli.deployment.as_deref()), format).await;
    }
    if let Command::Sign { folder, key } = &cli.command {
        return packages::sign(folder, key, format).await;
    }
    let session = Session { deployment: Deployment::find(cli.deployment.as_deref())?, format };
    match cli.command {
        Command::Connect { .. } | Command::Sign { .. } | Command::Verify(_) => Ok(()),
        Command::Package { folder, model, wait, .. } => submit::submit(&session, &folder, &model, wait).await,
        Command::Fetch(wanted) => packages::fetch(&session, &wanted).await,
        Command::Whoami { model } => people::whoami(&session, model.as_ref()).await,
        Command::People { model } => people::people(&session, &model).await,
        Command::Models => show::models(&session).await,
        Command::Status { model } => show::status(&session, &model).await,
        Command::History { model, served, keys } => history::history(&session, &model, served, &keys).await,
        Command::Audit(command) => audit::run(&session, command).await,
        Command::Key { file } => key::key(&session, file.as_deref()).await,
        Command::Shadow(command) => shadow::run(&session, command).await,
        Command::Compare { model, promotion, now } => {
            show::compare(&session, &model, promotion.as_deref(), now).await
        }
        Command::Report { model, promotion, files } => {
            report::report(&session, &model, promotion.as_deref(), &files).await
        }
        Command::Promote { model, version, wait } => {
            let promotion = promote::Promotion { model, version, emergency: None, wait };
            promote::promote(&session, &promotion).await
        }
        Command::Adopt(command) => adopt::run(&session, command).await,
        Command::Emergency(command) => emergency::run(&session, command).await,
        Command::Events(command) => events::run(&session, command).await,
        Command::Approvals(command) => approvals::run(&session, command).await,
        Command::Rollback { model, reason, champion, direct } => {
            rollback::rollback(&session, &model, &reason, champion, direct).await
        }
        Command::Withdraw { model, promotion, reason } => {
            promote::withdraw(&session, &model, &promotion, &reason).await
        }
        Command::Retire { model, version, reason } => {
            rollback::retire(&session, &model, version, &reason).await
        }
        Command::Retention { model } => retention::retention(&session, &model).await,
        Command::Inventory { format, file } => inventory::inventory(&session, format, file.as_deref()).await,
        Command::Card { model, version } => inventory::card(&session, &model, version).await,
        Command::Policy(command) => settings::policy(&session, command).await,
        Command::Benchmark(command) => settings::benchmark(&session, command).await,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
