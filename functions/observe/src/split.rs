//! Cutting a message into its entries, each the text it came as, so that each can be judged on its own.
//!
//! A reader of JSON refuses a whole text for one wrong literal in it, and `NaN` is what many programs write where they have
//! no number. So the text is cut by its structure alone: brackets, commas, colons and strings in the order that JSON has
//! them, where a run of any other characters stands for a number or word. A text that is JSON is cut where JSON cuts it
//! (a test says so), and none of those other characters can move a cut: a word that JSON does not know makes its own entry bad
//! and no other. Where the structure itself breaks, nothing tells any more where an entry ends: what stands before that place
//! counts, and the rest is set aside as one piece.

/// What a message holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Split<'a> {
    /// The entries: each has the structure of a JSON value, and may not be one.
    pub(crate) entries: Vec<&'a str>,
    /// What could not be cut into entries, and why.
    pub(crate) rest: Option<(&'a str, &'static str)>,
}

/// Cuts a message; none when it does not begin as an array.
pub(crate) fn split(message: &str) -> Option<Split<'_>> {
    let mut text = Text { text: message, at: 0, open: Vec::new() };
    text.next().filter(|byte| *byte == b'[')?;
    text.at += 1;
    let mut entries = Vec::new();
    let rest = loop {
        let first = text.next();
        if first == Some(b']') && entries.is_empty() {
            break text.end();
        }
        let start = text.at;
        if let Err(why) = text.value() {
            break Some((&message[start..], why));
        }
        entries.push(&message[start..text.at]);
        match text.next() {
            Some(b',') => text.at += 1,
            Some(b']') => break text.end(),
            Some(_) => break Some((&message[text.at..], "expected a comma or the array's end")),
            None => break Some(("", CUT_SHORT)),
        }
    };
    Some(Split { entries, rest })
}

const CUT_SHORT: &str = "the text ends before the array does";

/// What may come next within a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    Colon,
    CommaOrEnd,
}

struct Text<'a> {
    text: &'a str,
    at: usize,
    /// The closing brackets that are owed.
    open: Vec<u8>,
}

impl<'a> Text<'a> {
    /// The next byte that is not white space; `at` is then its place.
    fn next(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().position(|b| !is_space(*b)).unwrap_or(rest.len());
        self.text.as_bytes().get(self.at).copied()
    }

    /// Past the array's closing bracket: what stands there should be nothing.
    fn end(&mut self) -> Option<(&'a str, &'static str)> {
        self.at += 1;
        self.next()?;
        Some((&self.text[self.at..], "expected nothing after the array's end"))
    }

    /// Goes past one value.
    fn value(&mut self) -> Result<(), &'static str> {
        use Expect::{Colon, CommaOrEnd, Key, KeyOrEnd, Value, ValueOrEnd};
        self.open.clear();
        let mut expect = Value;
        loop {
            let byte = self.next().ok_or(CUT_SHORT)?;
            expect = match (byte, expect) {
                (b'"', Value | ValueOrEnd) => self.string(CommaOrEnd)?,
                (b'"', Key | KeyOrEnd) => self.string(Colon)?,
                (b':', Colon) => self.one(Value),
                (b',', CommaOrEnd) => {
                    let next = if self.open.last() == Some(&b'}') { Key } else { Value };
                    self.one(next)
                }
                (b'{', Value | ValueOrEnd) => self.push(b'}', KeyOrEnd),
                (b'[', Value | ValueOrEnd) => self.push(b']', ValueOrEnd),
                (b'}' | b']', CommaOrEnd | KeyOrEnd | ValueOrEnd) if self.open.last() == Some(&byte) => {
                    self.open.pop();
                    self.one(CommaOrEnd)
                }
                (_, Value | ValueOrEnd) if !is_structure(byte) => self.word(),
                (_, Value | ValueOrEnd) => return Err("expected a value"),
                (_, Key | KeyOrEnd) => return Err("expected a key in quotes"),
                (_, Colon) => return Err("expected a colon after a key"),
                (_, CommaOrEnd) => return Err("expected a comma or a closing bracket"),
            };
            if expect == CommaOrEnd && self.open.is_empty() {
                return Ok(());
            }
        }
    }

    const fn one(&mut self, then: Expect) -> Expect {
        self.at += 1;
        then
    }

    fn push(&mut self, closing: u8, then: Expect) -> Expect {
        self.open.push(closing);
        self.one(then)
    }

    /// Goes past a string, which begins here.
    fn string(&mut self, then: Expect) -> Result<Expect, &'static str> {
        self.at += 1;
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            let n = rest.iter().position(|b| matches!(b, b'"' | b'\\')).ok_or(CUT_SHORT)?;
            if rest[n] == b'"' {
                self.at += n + 1;
                return Ok(then);
            }
            // What follows a backslash is part of the string, a quote above all.
            self.at += n + 2;
        }
    }

    /// Goes past a number or a word.
    fn word(&mut self) -> Expect {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().position(|b| is_space(*b) || is_structure(*b)).unwrap_or(rest.len());
        Expect::CommaOrEnd
    }
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

const fn is_structure(byte: u8) -> bool {
    matches!(byte, b'{' | b'}' | b'[' | b']' | b',' | b':' | b'"')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn parts(message: &str) -> (Vec<&str>, Option<&str>) {
        let split = split(message).unwrap();
        (split.entries, split.rest.map(|(text, _)| text))
    }

    #[test]
    fn a_word_that_is_no_json_moves_no_cut() {
        for word in ["NaN", "-Infinity", "nan", "-nan(ind)", "None", "1.", "+.5", "0x1F", "é", "1e999"] {
            let bad = format!(r#"{{"a": {word}, "b": [1, {word}]}}"#);
            let message = format!(r#"[{{"x":1}}, {bad} ,[],{word}, "}},{{" ]"#);
            assert_eq!(
                parts(&message),
                (vec![r#"{"x":1}"#, &bad, "[]", word, r#""},{""#], None),
                "{message}"
            );
        }
    }

    #[test]
    fn what_stands_before_a_broken_place_counts() {
        for (rest, why) in [
            (r#"{"b":"he said "hi""}]"#, "comma or a closing"),
            (r#"{"b":1"#, CUT_SHORT),
            (r#"{"b":"1\"#, CUT_SHORT),
            (r#"{"b":[1}]"#, "comma or a closing"),
            (r#"{"b" 1}]"#, "colon"),
            (r"{b:1}]", "key"),
            ("]", "expected a value"),
        ] {
            let message = format!(r#"[{{"a":"\"]"}},{rest}"#);
            let split = split(&message).unwrap();
            assert_eq!(split.entries, [r#"{"a":"\"]"}"#], "{message}");
            let (text, told) = split.rest.unwrap();
            assert!(text == rest && told.contains(why), "{message}: {text} {told}");
        }
        assert_eq!(parts("[1 2]"), (vec!["1"], Some("2]")));
        assert_eq!(parts("[1,2"), (vec!["1", "2"], Some("")));
        assert_eq!(parts("[1] x"), (vec!["1"], Some("x")));
        assert_eq!(parts(" [ ] "), (vec![], None));
        assert_eq!(split("{}"), None);
        assert_eq!(split(""), None);
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            r#"[\]\["{},:\\ ]{0,8}"#.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..5)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn json_is_cut_where_json_cuts_it(values in prop::collection::vec(json(), 0..6), pretty in any::<bool>()) {
            let message = Value::Array(values.clone());
            let message = if pretty { serde_json::to_string_pretty(&message).unwrap() } else { message.to_string() };
            let split = split(&message).unwrap();
            prop_assert_eq!(split.rest, None);
            let back: Vec<Value> = split.entries.iter().map(|e| serde_json::from_str(e).unwrap()).collect();
            prop_assert_eq!(Value::from(back).to_string(), Value::from(values).to_string());
        }

        #[test]
        fn any_text_is_cut_without_loss(text in r#"[\[\]{},:"\\ aé1]{0,40}"#) {
            let message = format!("[{text}");
            let split = split(&message).unwrap();
            // The pieces stand in the message one after the other.
            let mut from = 1;
            for piece in split.entries.iter().copied().chain(split.rest.map(|(rest, _)| rest)) {
                from += message[from..].find(piece).unwrap() + piece.len();
            }
            if serde_json::from_str::<Vec<Value>>(&message).is_ok() {
                prop_assert_eq!(split.rest, None);
            }
        }
    }
}
