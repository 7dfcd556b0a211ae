//! Running what the documents show, as a reader would: block by block, on this stack.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::{Stack, told, unique};
use crate::docs::{Block, blocks, left_out, remaining};
use crate::repository;

/// A reader of one page.
pub struct Tour<'a> {
    stack: &'a Stack,
    page: &'static str,
    folder: PathBuf,
    open: Vec<(Block, String)>,
    names: BTreeMap<String, String>,
    variables: BTreeMap<String, String>,
}

impl<'a> Tour<'a> {
    /// Opens a page, in a folder of its own with the repository's `tests` beside it. `model` stands for whatever model the page names.
    #[must_use]
    pub fn new(stack: &'a Stack, page: &'static str, model: &str) -> Self {
        let folder = std::env::temp_dir().join("seatrial-documents").join(unique("reader"));
        let programs = folder.join("programs");
        std::fs::create_dir_all(&programs).expect("a folder for the reader");
        std::os::unix::fs::symlink(repository("tests"), folder.join("tests")).expect("the fixtures");
        std::os::unix::fs::symlink(&stack.cli, programs.join("seatrial")).expect("the command");
        let outputs = folder.join("target/local");
        std::fs::create_dir_all(&outputs).expect("a folder for the outputs");
        std::fs::copy(stack.file(), outputs.join("outputs.json")).expect("the outputs");
        // `$(gate)`: the gate that waits, once it is open.
        let gate = format!(
            "#!/usr/bin/env bash\nfor _ in $(seq 120); do\n  g=$(seatrial --output json approvals list --model {model} --status pending | jq -r '.. | .id? // empty' | grep -m1 '^ga_') && {{ echo \"$g\"; exit; }}\n  sleep 0.5\ndone\necho 'no gate opened' >&2; exit 1\n"
        );
        write_program(&programs.join("gate"), &gate);
        // Version 1 of the AWS command line has an address of its own for SQS, whatever the environment says.
        let aws = told("SEATRIAL_DOCUMENTS").join("aws");
        let aws = format!(
            "#!/usr/bin/env bash\nexec '{}' ${{AWS_ENDPOINT_URL:+--endpoint-url \"$AWS_ENDPOINT_URL\"}} \"$@\"\n",
            aws.display()
        );
        write_program(&programs.join("aws"), &aws);
        let left_out = left_out().expect("the list of what is not run");
        let open = blocks(page).unwrap_or_else(|e| panic!("{page}: {e:#}"));
        let open = open.into_iter().map(|block| {
            let rest = remaining(&block, &left_out);
            (block, rest)
        });
        let mut tour = Self {
            stack,
            page,
            folder,
            open: open.filter(|(_, rest)| !rest.trim().is_empty()).collect(),
            names: BTreeMap::new(),
            variables: BTreeMap::new(),
        };
        for name in ["credit-risk", "adult-income"] {
            tour.says(name, model);
        }
        for name in ["ga_…", "ga_0123456789abcdef01234567"] {
            tour.says(name, "$(gate)");
        }
        for (name, output) in [
            ("APPROVALS", "ApprovalsUrl"),
            ("CONTROL", "ControlUrl"),
            ("SERVE", "ServeUrl"),
            ("BUCKET", "SubmissionsBucket"),
            ("DATA", "DataBucket"),
            ("NOTICES_DEAD_LETTERS_URL", "NoticesDeadLettersUrl"),
        ] {
            tour.is(name, stack.outputs.get(output).map_or("", |url| url.trim_end_matches('/')));
        }
        tour
    }

    /// What a word of the page is here.
    pub fn says(&mut self, word: &str, here: &str) {
        self.names.insert(word.to_owned(), here.to_owned());
    }

    /// What a variable of the page's scripts is here.
    pub fn is(&mut self, variable: &str, value: &str) {
        self.variables.insert(variable.to_owned(), value.to_owned());
    }

    /// The reader's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs the next block, which must begin so; what it prints. The test fails when it does.
    pub async fn run(&mut self, begins: &str, arguments: &[&str]) -> String {
        assert!(!self.open.is_empty(), "{}: all blocks were run, none begins with {begins:?}", self.page);
        let (block, mut script) = self.open.remove(0);
        let place = format!("{}:{}", block.page, block.line);
        assert!(script.trim_start().starts_with(begins), "{place} does not begin with {begins:?}:\n{script}");
        for (word, here) in &self.names {
            script = script.replace(word, here);
        }
        let (program, before) = match block.language.as_str() {
            "python" => ("python3", ""),
            _ => ("bash", "set -euo pipefail\n"),
        };
        let file = self.folder.join(format!("line-{}.{}", block.line, block.language));
        std::fs::write(&file, format!("{before}{script}")).expect("the script");
        let mut command = Command::new(program);
        command.arg(&file).args(arguments).current_dir(&self.folder).env_clear().envs(&self.variables);
        let path = [self.folder.join("programs"), told("SEATRIAL_DOCUMENTS"), told("PATH")];
        let path: Vec<_> = path.iter().map(|p| p.display().to_string()).collect();
        command.env("PATH", path.join(":")).env("HOME", &self.folder);
        if let Some(endpoint) = self.stack.outputs.get("Endpoint") {
            command.env("AWS_ENDPOINT_URL", endpoint).env("AWS_ACCESS_KEY_ID", self.stack.out("Account"));
            command.env("AWS_SECRET_ACCESS_KEY", "local").env("AWS_SESSION_TOKEN", "");
        }
        command
            .env("AWS_REGION", self.stack.out("Region"))
            .env("AWS_DEFAULT_REGION", self.stack.out("Region"));
        let ran = command.output().await.unwrap_or_else(|e| panic!("{place}: {program} does not start: {e}"));
        let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(ran.status.success(), "{place} fails with {}:\n{script}\nout: {out}\nerr: {err}", ran.status);
        out.into_owned()
    }

    /// Passes over nothing: every block of the page was run, or stands in the list of what is not.
    pub fn end(self) {
        let left: Vec<_> =
            self.open.iter().map(|(block, text)| format!("{}:{}\n{text}", block.page, block.line)).collect();
        assert!(left.is_empty(), "not run:\n{}", left.join("\n"));
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

fn write_program(file: &Path, text: &str) {
    std::fs::write(file, text).expect("a program");
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).expect("a program that runs");
}
