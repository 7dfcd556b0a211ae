//! Paragraphs, lists and tables of a card.

use std::fmt::Write as _;

/// The text of a card, as it grows.
pub(super) struct Writer(pub(super) String);

impl Writer {
    /// A paragraph of its own.
    pub(super) fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push_str("\n\n");
    }

    pub(super) fn heading(&mut self, heading: &str) {
        self.line(&format!("## {heading}"));
    }

    /// Named values as a list; those without a value are left out.
    pub(super) fn facts(&mut self, facts: &[(&str, Option<String>)]) {
        let known = facts.iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        self.list(
            known.filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("**{name}:** {value}")),
        );
    }

    /// A list; nothing where there is nothing in it.
    pub(super) fn list(&mut self, items: impl IntoIterator<Item = String>) {
        let mut any = false;
        for item in items {
            // Writing to a string cannot fail.
            let _ = writeln!(self.0, "- {item}");
            any = true;
        }
        if any {
            self.0.push('\n');
        }
    }

    pub(super) fn table<const N: usize>(&mut self, heading: [&str; N], rows: &[[String; N]]) {
        let mut row = |cells: &[String]| {
            let _ = writeln!(self.0, "| {} |", cells.join(" | "));
        };
        row(&heading.map(str::to_owned));
        row(&[const { "---" }; N].map(str::to_owned));
        rows.iter().for_each(|cells| row(cells));
        self.0.push('\n');
    }
}
