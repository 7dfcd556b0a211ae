//! Slack and Teams.

use serde_json::{Value, json};

use super::words::Words;

/// The most characters of a header in Slack.
const SLACK_HEADER: usize = 150;

/// Blocks of plain text only: nothing in them is read as markup, so nothing can mention a channel or become a link. The one
/// field that is read as markup, which notifications show, is escaped.
pub(crate) fn slack(words: &Words, address: Option<&str>, emergency: bool) -> Value {
    let siren = if emergency { "🚨 " } else { "" };
    let title: String = format!("{siren}{}", words.title).chars().take(SLACK_HEADER).collect();
    let plain = |text: &str| json!({ "type": "plain_text", "text": text, "emoji": false });
    let section = |text: &str| json!({ "type": "section", "text": plain(text) });
    let fields: Vec<_> =
        words.facts.iter().map(|(label, value)| plain(&format!("{label}\n{value}"))).collect();
    let mut blocks = vec![
        json!({ "type": "header", "text": plain(&title) }),
        section(&words.next),
        json!({ "type": "section", "fields": fields }),
    ];
    blocks.extend(words.comment.as_deref().map(|c| section(&format!("“{c}”"))));
    blocks.extend(address.map(|url| {
        json!({ "type": "actions", "elements": [{ "type": "button", "text": plain("Open the gate"), "url": url }] })
    }));
    json!({ "text": escaped(&title), "blocks": blocks, "unfurl_links": false, "unfurl_media": false })
}

/// Slack's three escapes: without `<` there is no link and no mention.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// An Adaptive Card in a message, as workflows take it. `TextBlock` and `FactSet` read some Markdown, so what people wrote
/// stands in text runs, which read none.
pub(crate) fn teams(words: &Words, address: Option<&str>, emergency: bool) -> Value {
    let color = if emergency { "Attention" } else { "Default" };
    let run = |text: &str, bold: bool| {
        let weight = if bold { "Bolder" } else { "Default" };
        json!({ "type": "TextRun", "text": text, "weight": weight })
    };
    let line =
        |inlines: Vec<Value>| json!({ "type": "RichTextBlock", "spacing": "Small", "inlines": inlines });
    let mut body = vec![
        json!({ "type": "TextBlock", "size": "Large", "weight": "Bolder", "wrap": true, "color": color, "text": words.title }),
        line(vec![run(&words.next, false)]),
    ];
    body.extend(
        words
            .facts
            .iter()
            .map(|(label, value)| line(vec![run(&format!("{label}: "), true), run(value, false)])),
    );
    body.extend(words.comment.as_deref().map(|c| line(vec![run(&format!("“{c}”"), false)])));
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
    });
    if let Some(url) = address {
        card["actions"] = json!([{ "type": "Action.OpenUrl", "title": "Open the gate", "url": url }]);
    }
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": card,
        }],
    })
}
