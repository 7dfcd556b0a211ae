//! Tables as Markdown and JSON.

use seatrial_stats::intervals::wilson;
use serde::Serialize;

/// A table of results.
#[derive(Serialize)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The cells.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(title: &str, columns: &[&str]) -> Self {
        Self { title: title.into(), columns: columns.iter().map(|c| (*c).into()).collect(), rows: Vec::new() }
    }

    pub fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.columns.len(), "a cell for each column");
        self.rows.push(cells);
    }

    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = format!("|{}\n", "---|".repeat(self.columns.len()));
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!("### {}\n\n{}{rule}{rows}", self.title, line(&self.columns))
    }
}

/// A share of runs in per cent with its 95 % Wilson interval.
pub fn share(hits: u64, runs: u64) -> String {
    let interval = wilson(hits, runs, 0.95).unwrap();
    let percent = |x: f64| 100.0 * x;
    format!(
        "{:.2} % ({:.2}–{:.2})",
        percent(hits as f64 / runs as f64),
        percent(interval.low),
        percent(interval.high)
    )
}
