//! How wide a text is, without a font at hand: an upper estimate, so that labels neither overlap nor leave the picture.

/// The size of ordinary text in charts, as in `charts.css`.
pub(crate) const SIZE: f64 = 12.5;
/// The size of soft text.
pub(crate) const SMALL: f64 = 11.5;
/// How much wider a bold text is.
const BOLD: f64 = 1.1;

/// The width of `text` at this size. It is about right for wide fonts, and too much for others.
pub(crate) fn width(text: &str, size: f64) -> f64 {
    text.chars().map(em).sum::<f64>() * size
}

/// The same in bold.
pub(crate) fn bold_width(text: &str, size: f64) -> f64 {
    width(text, size) * BOLD
}

/// `text` cut to what fits, with an ellipsis where something was cut.
pub(crate) fn fitted(text: &str, size: f64, room: f64) -> String {
    if width(text, size) <= room {
        return text.to_owned();
    }
    let mut left = room - size;
    let mut out = String::new();
    for c in text.chars() {
        left -= em(c) * size;
        if left < 0.0 {
            break;
        }
        out.push(c);
    }
    let kept = out.trim_end_matches(['\u{200d}', ' ']);
    format!("{kept}…")
}

/// Bold text, cut to what fits.
pub(crate) fn fitted_bold(text: &str, size: f64, room: f64) -> String {
    fitted(text, size, room / BOLD)
}

/// Bold text broken between words into at most `most` lines; what is left over ends in an ellipsis.
pub(crate) fn lines(text: &str, size: f64, room: f64, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if lines_full(line, word, size, room) => lines.push(word.to_owned()),
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    if lines.len() > most {
        let rest = lines.split_off(most.saturating_sub(1));
        lines.push(rest.join(" "));
    }
    lines.iter().map(|line| fitted_bold(line, size, room)).collect()
}

fn lines_full(line: &str, word: &str, size: f64, room: f64) -> bool {
    bold_width(line, size) + bold_width(" ", size) + bold_width(word, size) > room
}

fn em(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '|' | '\'' | '!' => 0.33,
        ' ' | '\u{a0}' | '(' | ')' | '[' | ']' | 'f' | 't' | 'r' | '/' | '-' | '·' => 0.4,
        'm' | 'w' | 'M' | 'W' | '%' | '@' | '…' | '−' | '+' | '=' | '<' | '>' | '≥' | '≤' => 0.92,
        'A'..='Z' => 0.72,
        ' '..='~' => 0.62,
        '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' | '\u{fe00}'..='\u{fe0f}' => 0.0,
        '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{fe6f}' | '\u{ff00}'.. => 1.25,
        _ => 0.72,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_ends_in_an_ellipsis() {
        assert_eq!(fitted("accuracy", SIZE, 100.0), "accuracy");
        let cut = fitted("a feature with a very long name", SIZE, 100.0);
        assert!(cut.ends_with('…') && width(&cut, SIZE) <= 100.0, "{cut}");
        assert!(fitted("日本語の特徴量の名前", SIZE, 60.0).chars().count() < 6);
        assert_eq!(fitted("anything", SIZE, 0.0), "…");
    }

    #[test]
    fn headings_break_between_words() {
        assert_eq!(lines("one two three", SIZE, 60.0, 3), ["one two", "three"]);
        assert_eq!(lines("one two three four", SIZE, 60.0, 1), ["one t…"]);
        assert_eq!(lines("", SIZE, 60.0, 2), Vec::<String>::new());
    }
}
