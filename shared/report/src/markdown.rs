//! How every text gets into Markdown: as text, whoever wrote it.
//!
//! For CommonMark with GitHub's extensions. No text becomes a heading, a list, a link, an image or HTML, and none ends the line
//! or the table cell that it stands in.

use crate::escape::misleads;

/// A line of text, to stand anywhere within a line or a table cell. White space becomes one space; a character that misleads
/// becomes the replacement character.
pub(crate) fn text(text: &str) -> String {
    let words = text.split_whitespace().map(visible).enumerate();
    words.map(|(place, w)| word(&w, place == 0)).collect::<Vec<_>>().join(" ")
}

/// A word of a machine's, such as a digest, as code.
pub(crate) fn code(word: &str) -> String {
    let line: Vec<String> = word.split_whitespace().map(visible).collect();
    span(&line.join(" "))
}

/// Several lines as they are, in a block that nothing in them can end. At most `most` characters are shown.
pub(crate) fn block(text: &str, most: usize) -> String {
    let shown: String = text.chars().take(most).collect();
    let lines: Vec<String> = shown.trim_end().lines().map(visible).collect();
    let fence = "`".repeat(longest_run(&shown).max(2) + 1);
    let rest = text.chars().count().saturating_sub(most);
    let left_out =
        if rest == 0 { String::new() } else { format!("\n{rest} more characters are left out.\n") };
    format!("{fence}text\n{}\n{fence}\n{left_out}", lines.join("\n"))
}

/// A word without spaces, which may stand at the beginning of a line when it is the `first`. What readers would make a link of by
/// itself is code, where nothing is made of it.
fn word(word: &str, first: bool) -> String {
    let lower = word.to_ascii_lowercase();
    if lower.contains('@') || lower.contains("://") || lower.contains("www.") {
        return span(word);
    }
    let mut out = String::with_capacity(word.len() + 8);
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    for (at, c) in word.char_indices() {
        let marks = matches!(
            c,
            '\\' | '`'
                | '*'
                | '_'
                | '['
                | ']'
                | '<'
                | '>'
                | '&'
                | '#'
                | '|'
                | '~'
                | '$'
                | '!'
                | '^'
                | '{'
                | '}'
        );
        // At the beginning of a line these make a list, a rule or a heading.
        let begins = first && at == 0 && matches!(c, '-' | '+' | '=' | ':');
        let numbers = first && at == digits && at > 0 && matches!(c, '.' | ')');
        if marks || begins || numbers {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// A code span. A bar would end a table's cell even here, so it is shown as the box drawing character.
fn span(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let text = text.replace('|', "\u{2502}");
    let fence = "`".repeat(longest_run(&text) + 1);
    let space = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{space}{text}{space}{fence}")
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

fn visible(text: &str) -> String {
    text.chars().map(|c| if misleads(c) || matches!(c, '\r') { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

    use super::*;

    /// Every extension but typographic quotes, which change the text.
    fn everything() -> Options {
        Options::all().difference(Options::ENABLE_SMART_PUNCTUATION)
    }

    /// What a reader of Markdown makes of a paragraph: its text, if it holds nothing but text and code.
    fn read(markdown: &str) -> Result<String, String> {
        let mut read = String::new();
        for event in Parser::new_ext(markdown, everything()) {
            match event {
                Event::Text(text) | Event::Code(text) => read.push_str(&text),
                Event::Start(Tag::Paragraph) | Event::End(TagEnd::Paragraph) => {}
                other => return Err(format!("{other:?} of {markdown:?}")),
            }
        }
        Ok(read)
    }

    fn plain(text: &str) -> String {
        let words: Vec<&str> = text.split_whitespace().collect();
        visible(&words.join(" ")).replace('|', "\u{2502}")
    }

    #[test]
    fn what_would_be_markup_is_text() {
        for hostile in [
            "# heading",
            "- item",
            "1. item",
            "12) item",
            "> quote",
            "<script>alert(1)</script>",
            "<!-- x -->",
            "&lt;b&gt;",
            "[text](https://evil.example)",
            "![x](y)",
            "[ref]: https://evil.example",
            "*a* _b_ **c** ~~d~~ `e`",
            "---",
            "===",
            "a | b",
            "$x$ $$y$$",
            "\\",
            "`",
            "`` ` ``",
            "a\\`b\\",
            ": term",
            "[^1]",
            "+++",
            "\u{202e}abc",
            "tab\tand\r\nline\n\n# end",
            "{#id .class}",
        ] {
            assert_eq!(
                read(&text(hostile)).map(|t| t.replace('|', "\u{2502}")),
                Ok(plain(hostile)),
                "{hostile:?}"
            );
        }
    }

    #[test]
    fn what_readers_make_links_of_by_itself_is_code() {
        assert_eq!(text("see https://evil.example now"), "see `https://evil.example` now");
        assert_eq!(text("www.evil.example ann@example.com"), "`www.evil.example` `ann@example.com`");
        assert_eq!(text("HTTPS://x`y"), "``HTTPS://x`y``");
    }

    #[test]
    fn a_block_is_ended_by_nothing_in_it_and_says_what_it_leaves_out() {
        let made = block("```\n# no heading\n````\n", 100);
        assert!(made.starts_with("`````text\n") && made.ends_with("\n`````\n"), "{made}");
        assert!(block("abcdef", 4).ends_with("abcd\n```\n\n2 more characters are left out.\n"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_back_as_the_same_text(any in "\\PC{0,40}|[-#*_`|<>&!\\[\\]()\\\\~=+.:0-9a@w/$^{} \n]{0,24}") {
            let read = read(&text(&any)).map_err(TestCaseError::fail)?;
            prop_assert_eq!(read.replace('|', "\u{2502}"), plain(&any));
        }

        #[test]
        fn any_text_stays_in_its_cell(any in "[-#*_`|<>&!\\[\\]()\\\\~a@w/: \n]{0,24}", code_too: bool) {
            let cell = if code_too { code(&any) } else { text(&any) };
            let table = format!("| a | b |\n|---|---|\n| {cell} | end |\n");
            let mut cells = Vec::new();
            for event in Parser::new_ext(&table, Options::ENABLE_TABLES) {
                match event {
                    Event::Start(Tag::TableCell) => cells.push(String::new()),
                    Event::Text(t) | Event::Code(t) => if let Some(cell) = cells.last_mut() { cell.push_str(&t) },
                    _ => {}
                }
            }
            prop_assert_eq!(cells.len(), 4, "{}", &table);
            prop_assert_eq!(cells[3].as_str(), "end", "{}", &table);
        }

        #[test]
        fn any_block_is_one_block(any in "[`~a#\n >-]{0,40}") {
            let made = block(&any, 1_000);
            let events: Vec<_> = Parser::new_ext(&made, everything()).collect();
            let code = |e: &Event<'_>| matches!(e, Event::Start(Tag::CodeBlock(_)) | Event::End(TagEnd::CodeBlock) | Event::Text(_));
            prop_assert!(events.iter().all(code), "{events:?}");
            prop_assert_eq!(events.iter().filter(|e| matches!(e, Event::Start(_))).count(), 1);
        }
    }
}
