//! How every text gets into a page: as text, whoever wrote it.
//!
//! The templates know no other way in (`askama.toml`), but for markup of our own making, which is marked `safe`.

use std::fmt;

use askama::filters::{Escaper, Html};

/// Escapes markup, and shows a character that would move, hide or turn what stands around it as the replacement character:
/// a reader then sees that something is odd, and nothing else on the page is touched.
#[derive(Debug, Clone, Copy, Default)]
pub struct Visible;

impl Escaper for Visible {
    fn write_escaped_str<W: fmt::Write>(&self, mut dest: W, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(misleads) {
            let (fine, after) = rest.split_at(at);
            Html.write_escaped_str(&mut dest, fine)?;
            dest.write_char('\u{fffd}')?;
            rest = after.get(after.chars().next().map_or(0, char::len_utf8)..).unwrap_or_default();
        }
        Html.write_escaped_str(&mut dest, rest)
    }
}

/// Whether `c` is a control character other than a line's end or a tab, or one of those that turn the direction of what
/// follows.
#[must_use]
pub fn misleads(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_misleads_is_seen_and_markup_is_text() {
        let cases = [
            ("plain\n\ttext", "plain\n\ttext"),
            ("<b>&\"'", "&#60;b&#62;&#38;&#34;&#39;"),
            ("a\u{0}b\u{1b}[31m", "a\u{fffd}b\u{fffd}[31m"),
            ("\u{202e}evorppa\u{2069}", "\u{fffd}evorppa\u{fffd}"),
            ("שלום é 👩\u{200d}🔬", "שלום é 👩\u{200d}🔬"),
            ("", ""),
        ];
        for (text, shown) in cases {
            let mut out = String::new();
            Visible.write_escaped_str(&mut out, text).unwrap();
            assert_eq!(out, shown);
        }
    }
}
