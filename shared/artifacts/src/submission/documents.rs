//! The small files of a submission, each read whole and checked.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Defect;

/// The most defects reported of one file; a broken file of a million lines is broken once.
const SHOWN: usize = 20;
/// The most levels of `eval_results.json`.
const DEPTH: usize = 8;
/// The most characters of the changelog that are kept with the version.
const CHANGELOG: usize = 2_000;

/// The text of a file.
pub(super) fn text<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a str, Defect> {
    let text = std::str::from_utf8(bytes).map_err(|e| {
        Defect::new(file, format!("a byte that is no UTF-8 at offset {}", e.valid_up_to()), "text in UTF-8")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Err(Defect::new(file, "nothing but white space", "text"));
    }
    Ok(text)
}

/// `eval_results.json`: an object. Its values are finite numbers, texts, truth values, or arrays and objects of those, at
/// most eight deep; at least one is a number.
pub(super) fn eval_results(text: &str) -> Vec<Defect> {
    const FILE: &str = "eval_results.json";
    let form = "a JSON object of metrics, such as {\"accuracy\": 0.91}";
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(e) => {
            let fix = "JSON has no NaN and no Infinity: leave such a metric out";
            return vec![Defect::new(FILE, e.to_string(), form).fix(fix)];
        }
    };
    let Value::Object(_) = &value else { return vec![Defect::new(FILE, kind(&value), form)] };
    let mut walk = Walk { file: FILE, numbers: 0, defects: Vec::new() };
    walk.value("", &value, 0);
    if walk.numbers == 0 && walk.defects.is_empty() {
        walk.defects.push(Defect::new(FILE, "no number", "at least one metric with a finite number"));
    }
    shorten(FILE, walk.defects)
}

struct Walk {
    file: &'static str,
    numbers: usize,
    defects: Vec<Defect>,
}

impl Walk {
    fn value(&mut self, place: &str, value: &Value, depth: usize) {
        match value {
            Value::Number(n) if n.as_f64().is_some_and(f64::is_finite) => self.numbers += 1,
            Value::Number(n) => self.refuse(place, &n.to_string(), "a finite number"),
            Value::Null => self.refuse(place, "null", "a number or a text; leave out what was not measured"),
            Value::Bool(_) | Value::String(_) => {}
            Value::Array(_) | Value::Object(_) if depth >= DEPTH => {
                self.refuse(place, "deeper nesting", &format!("at most {DEPTH} levels"));
            }
            Value::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    self.value(&format!("{place}[{i}]"), item, depth + 1);
                }
            }
            Value::Object(fields) => {
                for (name, item) in fields {
                    let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
                    if name.trim().is_empty() || name.len() > 200 || name.chars().any(char::is_control) {
                        self.refuse(
                            &place,
                            &format!("the name {name:?}"),
                            "a name of 1 to 200 printable characters",
                        );
                    }
                    self.value(&place, item, depth + 1);
                }
            }
        }
    }

    fn refuse(&mut self, place: &str, found: &str, expected: &str) {
        self.defects.push(Defect::new(self.file, found, expected).at(place));
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// `data_manifest.txt`: lines as `sha256sum` prints them, `<64 hexadecimal digits>  <path or URI>`; blank lines and lines
/// that begin with `#` are skipped; at least one entry; no path twice with different digests.
pub(super) fn data_manifest(text: &str) -> Vec<Defect> {
    const FILE: &str = "data_manifest.txt";
    let expected = "`<sha256>  <path or URI>`, as sha256sum prints it";
    let mut defects = Vec::new();
    let mut seen: BTreeMap<&str, String> = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim_end();
        if line.trim_start().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let place = format!("line {number}");
        match entry(line) {
            None => defects.push(Defect::new(FILE, format!("`{line}`"), expected).at(place)),
            Some((digest, path)) => {
                let digest = digest.to_ascii_lowercase();
                if seen.insert(path, digest.clone()).is_some_and(|before| before != digest) {
                    let found = format!("{path} again, with another digest");
                    defects.push(Defect::new(FILE, found, "each path once").at(place));
                }
            }
        }
    }
    if seen.is_empty() && defects.is_empty() {
        defects.push(Defect::new(FILE, "no entry", format!("at least one line {expected}")));
    }
    shorten(FILE, defects)
}

/// Digest and path of a line. `sha256sum` writes two characters between them: a space, and a space or `*`.
fn entry(line: &str) -> Option<(&str, &str)> {
    let (digest, path) = line.split_at_checked(64)?;
    let path =
        path.strip_prefix("  ").or_else(|| path.strip_prefix(" *")).or_else(|| path.strip_prefix('\t'))?;
    let fine = digest.bytes().all(|b| b.is_ascii_hexdigit()) && !path.trim().is_empty();
    fine.then_some((digest, path))
}

/// How many files `data_manifest.txt` lists. Meaningful for a text that passed [`data_manifest`].
pub(super) fn data_files(text: &str) -> usize {
    text.lines().filter(|line| entry(line.trim_end()).is_some()).count()
}

/// Whether these are the two ends of a Parquet file.
pub(super) fn parquet(file: &str, head: &[u8], tail: &[u8], size: u64) -> Option<Defect> {
    let fine = size >= 12 && head.starts_with(b"PAR1") && tail.ends_with(b"PAR1");
    (!fine)
        .then(|| Defect::new(file, "no Parquet file: `PAR1` does not stand at both ends", "a Parquet file"))
}

/// The first section of `CHANGELOG.md` that says something, cut to 2,000 characters.
///
/// A section goes from a heading to the next heading that is not deeper; a title that stands alone is passed over.
pub(super) fn first_section(text: &str) -> String {
    let mut section = String::new();
    let mut level = 0;
    let mut has_body = false;
    let mut fenced = false;
    for line in text.lines() {
        let heading = if fenced { 0 } else { heading_level(line) };
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if heading > 0 && has_body && (level == 0 || heading <= level) {
            break;
        }
        if heading > 0 && !has_body {
            // Nothing was said under the last heading: it was a title.
            section.clear();
            level = heading;
        }
        has_body |= heading == 0 && !line.trim().is_empty();
        section.push_str(line);
        section.push('\n');
    }
    section.trim().chars().take(CHANGELOG).collect()
}

fn heading_level(line: &str) -> usize {
    let hashes = line.bytes().take_while(|b| *b == b'#').count();
    if (1..=6).contains(&hashes) && line[hashes..].starts_with([' ', '\t']) { hashes } else { 0 }
}

fn shorten(file: &str, mut defects: Vec<Defect>) -> Vec<Defect> {
    if defects.len() > SHOWN {
        let more = defects.len() - SHOWN;
        defects.truncate(SHOWN);
        defects.push(Defect::new(file, format!("{more} more such defects"), "none"));
    }
    defects
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn eval_results_may_nest_but_must_hold_a_number() {
        assert_eq!(
            eval_results(r#"{"dataset": "d", "metrics": {"auc": 0.9, "confusion": [[1, 2], [3, 4]]}}"#),
            []
        );
        assert!(eval_results(r#"{"dataset": "d"}"#)[0].found.contains("no number"));
        assert!(eval_results("[1]")[0].found.contains("an array"));
        assert!(eval_results(r#"{"auc": NaN}"#)[0].fix.as_ref().unwrap().contains("NaN"));
        assert!(eval_results(r#"{"auc": 1e999}"#)[0].found.contains("out of range"));
    }

    #[test]
    fn every_bad_value_is_named_by_its_path() {
        let defects = eval_results(r#"{"a": {"b": null}, "": 1, "c": [null]}"#);
        let places: Vec<&str> = defects.iter().filter_map(|d| d.field.as_deref()).collect();
        assert_eq!(places, ["a.b", "", "c[0]"]);
        let deep = format!("{}1{}", "{\"a\":".repeat(20), "}".repeat(20));
        assert!(eval_results(&deep)[0].found.contains("deeper"));
    }

    #[test]
    fn a_data_manifest_is_what_sha256sum_prints() {
        let digest = "fb2712ed4c2a094046154e8fe245cd4462b14b7ace764f6e6d299c46b2a0855c";
        let good = format!("# trained on\n\n{digest}  train.csv\r\n{digest} *s3://b/k with space\n");
        assert_eq!(data_manifest(&good), []);
        assert_eq!(data_files(&good), 2);
        assert!(data_manifest("# nothing\n")[0].found.contains("no entry"));
        let other = digest.replace('f', "0");
        let bad = format!("{digest}\nabc  x\n{digest}  train.csv\n{other}  train.csv\n");
        let places: Vec<String> = data_manifest(&bad).into_iter().filter_map(|d| d.field).collect();
        assert_eq!(places, ["line 1", "line 2", "line 4"]);
        assert_eq!(data_manifest(&"bad\n".repeat(1000)).len(), SHOWN + 1);
        assert_eq!(data_manifest(&"ä".repeat(70)).len(), 1);
    }

    #[test]
    fn the_first_section_of_a_changelog_is_its_newest() {
        assert_eq!(
            first_section("# v2\n\nNew.\n\n## Detail\nx\n\n# v1\nOld."),
            "# v2\n\nNew.\n\n## Detail\nx"
        );
        assert_eq!(first_section("# Changelog\n\n## v2\nNew.\n\n## v1\nOld."), "## v2\nNew.");
        assert_eq!(first_section("Just text."), "Just text.");
        assert_eq!(first_section("#1 is fixed\n# v1\nOld"), "#1 is fixed");
        assert_eq!(first_section(&"ä".repeat(5_000)).chars().count(), 2_000);
    }

    #[test]
    fn text_must_be_text() {
        assert!(text("f", b"\xff\xfe").unwrap_err().found.contains("offset 0"));
        assert!(text("f", b" \n").unwrap_err().found.contains("white space"));
        assert_eq!(text("f", "\u{feff}x".as_bytes()).unwrap(), "x");
    }
}
