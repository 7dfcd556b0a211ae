//! Writes every chart of the samples as SVG files, and a page with all of them, for a look at them: `cargo run -p seatrial-report --example gallery -- DIR`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, missing_docs)]

#[path = "../tests/samples/mod.rs"]
mod samples;

use std::path::PathBuf;

use seatrial_report::charts::{canary_figure, of_report};

fn main() {
    let dir = PathBuf::from(std::env::args().nth(1).expect("a directory to write to"));
    std::fs::create_dir_all(&dir).unwrap();
    let page = seatrial_report::page::render(&samples::report(), Some(&samples::canary()), &[]).unwrap();
    std::fs::write(dir.join("report.html"), page).unwrap();
    let awkward =
        seatrial_report::page::render(&samples::stress(), Some(&samples::stress_canary()), &[]).unwrap();
    std::fs::write(dir.join("awkward.html"), awkward).unwrap();
    let figures = of_report(&samples::report()).into_iter().chain(canary_figure(&samples::canary()));
    for figure in figures {
        std::fs::write(dir.join(format!("{}.svg", figure.id)), figure.file()).unwrap();
        std::fs::write(dir.join(format!("{}-narrow.svg", figure.id)), figure.narrow.standalone()).unwrap();
        println!("{}: {}\n  {}", figure.id, figure.title(), figure.desc());
    }
}
