//! `cargo xtask test`: everything a change must pass, in the order of how fast each part can fail.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::emulator::Emulator;
use crate::local::{self, Up};
use crate::stack::STACK;
use crate::venv::Venv;
use crate::zips::Profile;
use crate::{api, aws, cdk, interrupt, left_out, model_signing, paths, python, rights, run, say};

/// What to test.
#[derive(Args)]
pub struct Test {
    /// Run only this step; may be given more than once.
    #[arg(long = "step", value_enum)]
    steps: Vec<Step>,
    /// Run only the end-to-end suite, on this engine; on an emulator that runs already where AWS_ENDPOINT_URL names it.
    #[arg(long, value_enum, conflicts_with = "steps")]
    engine: Option<Engine>,
    /// Leave out the end-to-end suite.
    #[arg(long, conflicts_with_all = ["steps", "engine"])]
    no_engine: bool,
    /// Run the end-to-end suite without IAM. By default every function has only the rights of its role, where the engine knows roles.
    #[arg(long)]
    without_iam: bool,
    /// Go on after a failed step, and fail at the end.
    #[arg(long)]
    keep_going: bool,
}

/// The feature that builds the end-to-end suite. Both steps of tests select the same packages and features, because another
/// selection unifies the features of dependencies anew and compiles the AWS SDK a second time.
pub const SUITE: &str = "seatrial-tests/engine";

/// What the end-to-end suite can run on.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Engine {
    /// MiniStack, started for it.
    Ministack,
    /// LocalStack, started for it.
    Localstack,
    /// The AWS account of the credentials in the environment: a stack of its own, deleted afterwards. It costs money.
    Aws,
}

impl Engine {
    fn step(self) -> Step {
        match self {
            Self::Ministack => Step::Engine,
            Self::Localstack => Step::Localstack,
            Self::Aws => Step::Aws,
        }
    }
}

/// How a step ended.
enum Outcome {
    Passed,
    Skipped(String),
    Failed(String),
}

/// What is run, in this order.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Step {
    /// rustfmt.
    Format,
    /// clippy over everything, warnings refused.
    Lints,
    /// Licences, advisories and sources of the dependencies.
    Dependencies,
    /// cfn-lint over the template.
    Template,
    /// The CDK construct around the template: types, tests, cdk-nag, the example.
    Cdk,
    /// Unit, property, contract and offline tests.
    Tests,
    /// schemathesis over the approvals API.
    Api,
    /// Signatures of packages against the PyPI tool `model_signing`.
    ModelSigning,
    /// The end-to-end suite on an engine of its own.
    Engine,
    /// The same on the second emulator.
    Localstack,
    /// Faults at every task of the state machines, on the second emulator. All of them where this step is asked for; a run of
    /// everything takes a part that has every task and every fault in it.
    Faults,
    /// The same in an account: never unless it is asked for.
    #[value(skip)]
    Aws,
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::Lints => "lints",
            Self::Dependencies => "dependencies",
            Self::Template => "template",
            Self::Cdk => "the CDK construct",
            Self::Tests => "unit, property, contract and offline tests",
            Self::Api => "the approvals API against its document",
            Self::ModelSigning => "signatures of packages against model_signing",
            Self::Engine => "end-to-end tests on MiniStack",
            Self::Localstack => "end-to-end tests on LocalStack",
            Self::Faults => "faults at every task on LocalStack",
            Self::Aws => "end-to-end tests in an AWS account",
        }
    }

    fn run(self, wanted: &Test) -> Result<Outcome> {
        match self {
            Self::Format => format(),
            Self::Lints => lints(),
            Self::Dependencies => dependencies(),
            Self::Template => template(),
            Self::Cdk => construct(),
            Self::Tests => tests(),
            Self::Api => api::check(SUITE).map(|()| Outcome::Passed),
            Self::ModelSigning => signatures(),
            Self::Engine => {
                let iam = !wanted.without_iam;
                end_to_end(Emulator::Ministack, iam, wanted.engine.is_some(), whole_suite(&[]))
            }
            Self::Localstack => localstack(wanted),
            Self::Faults => faults(wanted),
            Self::Aws => {
                aws::end_to_end(|engine, outputs, port| suite((engine, Profile::Fast), outputs, port, &[]))
                    .map(|()| Outcome::Passed)
            }
        }
    }
}

/// One line of the closing table.
struct Done {
    step: Step,
    took: Duration,
    outcome: Outcome,
}

/// Runs the steps; an error at the end when one of them failed.
pub fn run(wanted: &Test) -> Result<()> {
    let on_an_engine = |step: Step| matches!(step, Step::Engine | Step::Localstack | Step::Faults);
    let chosen: Vec<Step> = match (wanted.engine, wanted.steps.as_slice()) {
        (Some(engine), _) => vec![engine.step()],
        (None, []) => {
            let all = Step::value_variants().iter().copied();
            all.filter(|step| !(wanted.no_engine && on_an_engine(*step))).collect()
        }
        (None, steps) => Step::value_variants().iter().copied().filter(|step| steps.contains(step)).collect(),
    };
    let start = Instant::now();
    let mut done = Vec::new();
    for step in chosen {
        let clock = say::step(step.name());
        let result = step.run(wanted).and_then(|outcome| interrupt::check().map(|()| outcome));
        let outcome = result.unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")));
        if let Outcome::Failed(reason) = &outcome {
            say::note(format!("FAILED: {reason}"));
        }
        let failed = matches!(outcome, Outcome::Failed(_));
        done.push(Done { step, took: clock.elapsed(), outcome });
        if interrupt::requested() || (failed && !wanted.keep_going) {
            break;
        }
    }
    summary(&done, start.elapsed())
}

fn summary(done: &[Done], took: Duration) -> Result<()> {
    let rows = done.iter().map(|one| {
        let outcome = match &one.outcome {
            Outcome::Passed => "passed".to_owned(),
            Outcome::Skipped(why) => format!("SKIPPED: {why}"),
            Outcome::Failed(reason) => {
                let first = reason.lines().next().unwrap_or_default();
                format!("FAILED: {}", first.chars().take(100).collect::<String>())
            }
        };
        [one.step.name().to_owned(), say::took(one.took), outcome]
    });
    say::out(say::table(["step", "time", "outcome"], rows));
    let count = |wanted: fn(&Outcome) -> bool| done.iter().filter(|one| wanted(&one.outcome)).count();
    let failed = count(|outcome| matches!(outcome, Outcome::Failed(_)));
    let skipped = count(|outcome| matches!(outcome, Outcome::Skipped(_)));
    if failed > 0 {
        bail!("{failed} of {} steps failed after {}", done.len(), say::took(took));
    }
    let passed = done.len() - skipped;
    say::out(format!("{passed} steps passed and {skipped} skipped in {}.", say::took(took)));
    Ok(())
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(paths::workspace()).args(arguments);
    command
}

fn format() -> Result<Outcome> {
    run::quiet(&mut cargo(&["fmt", "--all", "--check"])).context("run `cargo fmt --all`")?;
    Ok(Outcome::Passed)
}

fn lints() -> Result<Outcome> {
    run::loud(&mut cargo(&[
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "-D",
        "warnings",
    ]))?;
    Ok(Outcome::Passed)
}

fn dependencies() -> Result<Outcome> {
    if !run::exists("cargo-deny") {
        return Ok(Outcome::Skipped(
            "cargo-deny is not installed (`cargo install --locked cargo-deny`)".to_owned(),
        ));
    }
    run::loud(&mut cargo(&["deny", "--all-features", "check"]))?;
    Ok(Outcome::Passed)
}

fn template() -> Result<Outcome> {
    let requirements = paths::workspace().join("infra/requirements-lint.txt");
    let venv = Venv::ensure(&paths::target().join("local/lint"), &requirements)?;
    let mut lint = Command::new(venv.program("cfn-lint"));
    lint.current_dir(paths::workspace()).args([
        "--template",
        "infra/template.yaml",
        "--regions",
        "us-east-1",
    ]);
    run::loud(&mut lint).context("cfn-lint refuses infra/template.yaml")?;
    Ok(Outcome::Passed)
}

fn construct() -> Result<Outcome> {
    match cdk::hindrance() {
        Some(why) => Ok(Outcome::Skipped(why)),
        None => cdk::check().map(|()| Outcome::Passed),
    }
}

/// The tests of the whole workspace that the filter selects, by nextest.
fn selected(filter: &str) -> Command {
    cargo(&["nextest", "run", "--workspace", "--features", SUITE, "-E", filter])
}

/// One program of the suites, by cargo alone; what follows goes to the program.
fn program(name: &str) -> Command {
    cargo(&["test", "--package", "seatrial-tests", "--features", "engine", "--test", name, "--"])
}

fn tests() -> Result<Outcome> {
    let library = crate::onnxruntime::ensure()?;
    let mut command = if run::exists("cargo-nextest") {
        selected("not binary(e2e) - binary(faults)")
    } else {
        cargo(&["test", "--quiet", "--workspace"])
    };
    run::loud(command.env("ORT_DYLIB_PATH", library))?;
    Ok(Outcome::Passed)
}

fn signatures() -> Result<Outcome> {
    if !run::exists("python3") {
        return Ok(Outcome::Skipped(
            "python3 is not installed, and the PyPI tool model_signing needs it".to_owned(),
        ));
    }
    model_signing::check(SUITE).map(|()| Outcome::Passed)
}

/// What a run of everything tries on the second engine: the whole way forward, and the way back. All of it, on request, doubles the
/// time of a run.
const SHORT: &[&str] = &["packages::", "promotion::", "rollback::"];

/// Whether nothing was asked for by name.
fn everything(wanted: &Test) -> bool {
    wanted.engine.is_none() && wanted.steps.is_empty()
}

/// The suite on LocalStack. Whoever asks for everything gets its main parts, and is told where there is no Python for it.
fn localstack(wanted: &Test) -> Result<Outcome> {
    match python::of(python::LOCALSTACK) {
        Err(error) if everything(wanted) => Ok(Outcome::Skipped(format!("{error:#}"))),
        _ if wanted.engine.is_none() => {
            say::note(format!("{} of the suite; all of it: `--engine localstack`", SHORT.join(", ")));
            end_to_end(Emulator::Localstack, false, false, whole_suite(SHORT))
        }
        _ => end_to_end(Emulator::Localstack, false, true, whole_suite(&[])),
    }
}

/// Faults at every task, on LocalStack.
fn faults(wanted: &Test) -> Result<Outcome> {
    let how_much = if everything(wanted) { "short" } else { "all" };
    match python::of(python::LOCALSTACK) {
        Err(error) if everything(wanted) => return Ok(Outcome::Skipped(format!("{error:#}"))),
        _ if everything(wanted) => say::note("a part of the plan; all of it: `--step faults`"),
        _ => {}
    }
    end_to_end(Emulator::Localstack, false, false, |_, outputs, issuer_port| {
        let mut command = if run::exists("cargo-nextest") {
            let mut command = selected("binary(faults)");
            command.arg("--no-capture");
            command
        } else {
            let mut command = program("faults");
            command.arg("--nocapture");
            command
        };
        command.env("SEATRIAL_FAULTS", how_much);
        on_the_stack(&mut command, Profile::Debug, outputs, issuer_port)
    })
}

/// The end-to-end suite, as what is run on a stack; where modules are named, these alone.
fn whole_suite(only: &'static [&'static str]) -> impl FnOnce(&str, &Path, u16) -> Result<()> {
    move |engine, outputs, issuer_port| suite((engine, Profile::Debug), outputs, issuer_port, only)
}

/// An engine of its own on a free port: it touches nobody's, and ends whatever the tests do.
///
/// Only where the engine was asked for by name, one that runs already may be used instead.
fn end_to_end(
    emulator: Emulator,
    enforce_iam: bool,
    named: bool,
    tests: impl FnOnce(&str, &Path, u16) -> Result<()>,
) -> Result<Outcome> {
    let folder = paths::target().join("test-engine").join(emulator.name());
    local::down(&folder)?;
    fs::remove_file(folder.join("engine.log")).ok();
    fs::remove_file(rights::ledger(&folder)).ok();
    // Nobody listens there until a test wants to log in.
    let issuer_port = local::free_port()?;
    let parameter = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let wanted = Up {
        engine: Some(emulator),
        port: local::free_port()?,
        enforce_iam,
        release: false,
        debug: true,
        no_build: false,
        own: !named,
        parameters: vec![
            parameter("OidcIssuer", &format!("http://127.0.0.1:{issuer_port}")),
            parameter("OidcAudience", "seatrial-api"),
            parameter("OidcClientId", "seatrial-web"),
            parameter("PlatformOwners", "arn:aws:iam::000000000000:root"),
            parameter("TrainingArtifacts", "arn:aws:s3:::seatrial-e2e-training/*"),
            parameter(
                "TargetFunctions",
                "arn:aws:lambda:us-east-1:000000000000:function:seatrial-e2e-scorer",
            ),
        ],
    };
    let result =
        local::up(&folder, &wanted).and_then(|(outputs, _)| tests(emulator.name(), &outputs, issuer_port));
    let ended = local::down(&folder);
    if result.is_err() {
        keep_log(&folder);
    }
    result?;
    ended?;
    if enforce_iam {
        rights::check(&folder, STACK)?;
    }
    Ok(Outcome::Passed)
}

/// The suite on the stack that `outputs` describes, without what the engine cannot do; where modules are named, these alone. The
/// command line is the one of the profile.
fn suite((engine, profile): (&str, Profile), outputs: &Path, issuer_port: u16, only: &[&str]) -> Result<()> {
    let without = left_out::on(engine)?;
    left_out::tell(&without);
    let mut command = if run::exists("cargo-nextest") {
        selected(&left_out::filter(&without, only))
    } else {
        let mut command = program("e2e");
        command.args(["--test-threads", "2"]);
        command.args(only);
        command.args(without.iter().flat_map(|one| ["--skip", one.test.as_str()]));
        command
    };
    on_the_stack(&mut command, profile, outputs, issuer_port)
}

/// Runs tests that are told where the stack and its programs are.
fn on_the_stack(command: &mut Command, profile: Profile, outputs: &Path, issuer_port: u16) -> Result<()> {
    let library = crate::onnxruntime::ensure()?;
    // What the commands and programs of the documents call.
    let requirements = paths::workspace().join("tests/engine/requirements-documents.txt");
    let readers = Venv::ensure(&paths::target().join("local/documents"), &requirements)?;
    command
        .env("SEATRIAL_DOCUMENTS", readers.program(""))
        .env("SEATRIAL_OUTPUTS", outputs)
        .env("SEATRIAL_CLI", profile.command())
        .env("ORT_DYLIB_PATH", library);
    run::loud(command.env("SEATRIAL_ISSUER_PORT", issuer_port.to_string()))
}

fn keep_log(folder: &Path) {
    let log = folder.join("engine.log");
    if let Ok(text) = fs::read_to_string(&log) {
        say::note(format!("the engine's log is {}; its end:\n{}", paths::shown(&log), run::tail(&text, 20)));
    }
}
