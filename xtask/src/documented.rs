//! Every command that a document shows is one that this program takes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use clap::Parser as _;
use seatrial_tests::docs;

use crate::Cli;

#[test]
fn documents_show_no_command_that_is_not_taken() {
    let shown = docs::commands(&["cargo", "xtask"]).unwrap();
    assert!(shown.len() > 5, "{} commands are shown", shown.len());
    let refused: Vec<String> = shown
        .iter()
        .filter_map(|shown| {
            let error = Cli::try_parse_from(&shown.words[1..]).err().filter(clap::Error::use_stderr)?;
            Some(format!("{}: {}\n{error}", shown.place, shown.words.join(" ")))
        })
        .collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}
