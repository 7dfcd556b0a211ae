//! Other people's text, harmless wherever it is shown.

/// The text in one line of at most `most` characters, without characters that move a cursor or turn the direction of writing,
/// and without anything that a mail program or a chat makes a link of: behind what would begin or join an address stands a
/// space of no width. A mail address by itself stays as it is.
pub(crate) fn tame(text: &str, most: usize) -> String {
    let turns = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    let line: String = text
        .chars()
        .filter(|c| !turns(*c))
        .map(|c| if c.is_control() || c.is_whitespace() { ' ' } else { c })
        .collect();
    let mut words = line.split(' ').filter(|w| !w.is_empty()).map(unlinked);
    let mut tamed = words.next().unwrap_or_default();
    for word in words {
        tamed.push(' ');
        tamed.push_str(&word);
    }
    if tamed.chars().count() > most {
        tamed = tamed.chars().take(most.saturating_sub(1)).collect();
        tamed.push('…');
    }
    tamed
}

fn unlinked(word: &str) -> String {
    let parts: Vec<&str> = word.split('@').collect();
    let plain_address = parts.len() == 2
        && parts.iter().all(|p| p.starts_with(char::is_alphanumeric))
        && !word.contains(['/', ':', '<', '>', '\\', '(', '[']);
    if plain_address {
        return word.to_owned();
    }
    let mut after = String::with_capacity(word.len());
    let mut before = ' ';
    let mut rest = word.chars().peekable();
    while let Some(c) = rest.next() {
        after.push(c);
        let next = rest.peek().copied().unwrap_or(' ');
        let joins = match c {
            // Numbers keep their points: 0.05 is no host.
            '.' => next.is_alphabetic() || (before.is_alphabetic() && next.is_alphanumeric()),
            ':' => next == '/' || next.is_alphabetic(),
            '@' => true,
            _ => false,
        };
        if joins {
            after.push('\u{200b}');
        }
        before = c;
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_it_becomes_a_link_and_nothing_moves_the_cursor() {
        for link in [
            "https://evil.example/x",
            "www.evil.example",
            "evil.example",
            "<https://evil.example|approve>",
            "[approve](https://evil.example)",
            "javascript:alert(1)",
            "mailto:eve@evil.example",
            "@channel",
            "ann@bank.example@evil.example",
        ] {
            let tamed = tame(link, 500);
            for piece in ["://", "evil.ex", "www.e", "script:a", "@c", "to:e", "@e"] {
                assert!(!tamed.contains(piece), "{link}: {tamed:?}");
            }
            assert_eq!(tamed.replace('\u{200b}', ""), link, "it still reads the same");
        }
        assert_eq!(tame("  a\u{1b}[31mb\r\nSubject: \u{202e}c\u{200b}\t d ", 500), "a [31mb Subject: c d");
        assert_eq!(
            tame("accuracy fell by 0.05 (from 0.91), says ann@example.com.", 500),
            "accuracy fell by 0.05 (from 0.91), says ann@example.com."
        );
    }

    #[test]
    fn it_is_cut_at_a_character() {
        assert_eq!(tame(&"ä".repeat(20), 10), format!("{}…", "ä".repeat(9)));
        assert_eq!(tame("short", 10), "short");
        assert_eq!(tame("", 10), "");
    }
}
