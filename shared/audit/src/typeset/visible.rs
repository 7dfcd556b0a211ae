//! Text as it can be printed: what no font has, and what would move, hide or turn what stands around it, is written by its number.

use super::fonts::has_glyph;

/// `text` with each such character as `U+202E`.
///
/// PDF/A refuses a glyph that is not there, and a box in its place would tell nobody what was meant; a number does.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\n' | '\t') || (!seatrial_report::misleads(c) && !hides(c) && has_glyph(c)) {
            shown.push(c);
        } else if c != '\r' {
            shown.push_str(&format!("U+{:04X}", u32::from(c)));
        }
    }
    shown
}

/// Makes every text in `value` printable; the names of its fields are ours.
pub fn printable(value: &mut serde_json::Value) {
    use serde_json::Value::{Array, Object, String};
    match value {
        String(text) => *text = visible(text),
        Array(values) => values.iter_mut().for_each(printable),
        Object(fields) => fields.values_mut().for_each(printable),
        _ => {}
    }
}

/// Whether `c` has no width or joins its neighbours: paper shows no trace of it.
fn hides(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}')
}
