//! What the tasks print: headings, notes, and how long each step took.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use comfy_table::{Table, presets};

/// Prints a heading for a step and starts its clock.
pub fn step(name: impl Display) -> Instant {
    let (bold, plain) = if io::stderr().is_terminal() { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    writeln!(io::stderr(), "{bold}== {name}{plain}").ok();
    Instant::now()
}

/// Prints one line of progress within a step.
pub fn note(text: impl Display) {
    // A reader that has gone away must not end a task that has something to clean up.
    writeln!(io::stderr(), "   {text}").ok();
}

/// Prints a result to standard output; a reader that has gone away is no error.
pub fn out(text: impl Display) {
    writeln!(io::stdout(), "{text}").ok();
}

/// A duration as people read it: `4.2 s`, `3 min 05 s`.
pub fn took(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    format!("{} min {:02} s", duration.as_secs() / 60, duration.as_secs() % 60)
}

/// A plain table with a header line.
pub fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(header);
    for row in rows {
        table.add_row(row);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::took;

    #[test]
    fn durations_read_well() {
        assert_eq!(took(Duration::from_millis(4_234)), "4.2 s");
        assert_eq!(took(Duration::from_secs(185)), "3 min 05 s");
    }
}
