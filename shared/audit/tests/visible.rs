//! What cannot be printed or seen is written by its number.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use seatrial_audit::typeset::{Job, Options, typeset, visible};

#[test]
fn what_cannot_be_seen_or_printed_is_written_by_its_number() {
    let cases = [
        ("plain – “text”\n\tα Ж", "plain – “text”\n\tα Ж"),
        ("\u{202e}evorppa\u{2069}", "U+202EevorppaU+2069"),
        ("a\u{0}b\r\nc\u{200b}d\u{ad}e", "aU+0000b\ncU+200BdU+00ADe"),
        ("👩 東", "U+1F469 U+6771"),
        ("שלום اسم", "שלום اسم"),
        ("", ""),
    ];
    for (text, shown) in cases {
        assert_eq!(visible(text), shown);
        assert_eq!(visible(shown), shown, "once is enough");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_people_write_becomes_a_lawful_document(text in "\\PC{0,80}|[\u{0}-\u{10ffff}]{0,40}") {
        let template = [("main.typ", "#set document(title: [T])\n#set text(font: (\"Libertinus Serif\", \"DejaVu Sans Mono\"))\n#let d = json(\"/data.json\")\n#strong(d.text) #emph(d.text) #text(font: \"DejaVu Sans Mono\", d.text)")];
        let options = Options { ident: "i".into(), at: "2026-01-01T00:00:00Z".parse().unwrap(), creator: "Seatrial".into() };
        let data = serde_json::json!({ "text": text });
        let job = Job { template: &template, data: &data, figures: &[], attachments: &[], options: &options };
        let printed = typeset(&job);
        prop_assert!(printed.is_ok(), "{:?}", printed.err());
    }
}

#[test]
fn a_template_that_does_not_compile_names_its_place() {
    let options = Options {
        ident: "i".into(),
        at: "2026-01-01T00:00:00Z".parse().unwrap(),
        creator: "Seatrial".into(),
    };
    let data = serde_json::json!({});
    let of = |text: &str| {
        typeset(&Job {
            template: &[("main.typ", text)],
            data: &data,
            figures: &[],
            attachments: &[],
            options: &options,
        })
        .unwrap_err()
        .to_string()
    };
    let error = of("#set document(title: [T])\n\n#nothing");
    assert!(error.contains("unknown variable: nothing") && error.contains("(main.typ:3)"), "{error}");
    assert!(
        of("#set document(title: [T])\n#set text(font: \"Comic Sans MS\")\nx")
            .contains("unknown font family")
    );
    assert!(of("no title").contains("PDF/UA-1"), "{}", of("no title"));
    assert!(of("#read(\"/etc/passwd\")").contains("not found"));
}
