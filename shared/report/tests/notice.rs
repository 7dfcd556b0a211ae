//! Notices as people and machines read them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use seatrial_domain::ids::{Actor, Auth, GateId, ModelName, PromotionId, VersionName};
use seatrial_domain::notice::{Delivery, Notice, NoticeKind, Outcome, Setting, Target};
use seatrial_domain::promotion::Stage;
use seatrial_domain::route::Weight;
use seatrial_report::notice::View;
use serde_json::Value;

const APPROVALS: &str = "https://approvals.example.com";

/// What a hostile submitter would put wherever they can write.
const HOSTILE: &str = "fine <script>alert(1)</script> <https://evil.example|Approve> [Approve](https://evil.example) \
                       <!channel> @here www.evil.example \"quoted\" & \u{202e}txt\r\nBcc: all@example.com\u{1b}[31m";

fn notice(kind: NoticeKind) -> Notice {
    let model = ModelName::parse("credit-risk").unwrap();
    let promotion = PromotionId::derive(&model, "x", 1);
    let gate = GateId::derive(&promotion, "approval", 1);
    let (v3, v4) = (VersionName::new(3), VersionName::new(4));
    let ann = Actor { principal: "ann@example.com".into(), auth: Auth::Oidc };
    let plain = Notice {
        id: format!("no_{}", "0".repeat(24)),
        kind,
        model,
        sequence: 41,
        at: "2026-11-21T10:05:00Z".parse().unwrap(),
        by: Actor::function("gate"),
        emergency: false,
        promotion: Some(promotion),
        version: Some(v4),
        gate: None,
        outcome: None,
        automatic: false,
        ends_at: None,
        weight: None,
        from: None,
        to: None,
        skipped: vec![],
        setting: None,
        policy: None,
        comment: None,
    };
    let at_gate =
        Notice { gate: Some(gate), ends_at: Some("2026-11-23T10:05:00Z".parse().unwrap()), ..plain.clone() };
    let said = |by: Actor, comment: &str| Notice { by, comment: Some(comment.into()), ..plain.clone() };
    match kind {
        NoticeKind::GateOpened => at_gate,
        NoticeKind::Reminder => Notice { automatic: true, ..at_gate },
        NoticeKind::Blocked => Notice { ends_at: None, by: ann, comment: Some("wait".into()), ..at_gate },
        NoticeKind::Decided => Notice {
            ends_at: None,
            by: ann,
            outcome: Some(Outcome::Approved),
            comment: Some("better on every segment".into()),
            ..at_gate
        },
        NoticeKind::Expired => Notice { ends_at: None, ..at_gate },
        NoticeKind::CanaryStep => Notice { weight: Some(Weight::from_bps(500).unwrap()), ..plain },
        NoticeKind::RolledBack => Notice { from: Some(v4), to: Some(v3), ..said(ann, "errors in checkout") },
        NoticeKind::Crowned => Notice { from: Some(v3), to: Some(v4), ..plain },
        NoticeKind::Adopted => {
            Notice { to: Some(v4), ..said(ann, "in use since May; its figures are in RISK-112") }
        }
        NoticeKind::Failed => said(Actor::function("sweep"), "its execution is FAILED"),
        NoticeKind::Emergency => Notice {
            emergency: true,
            skipped: vec![Stage::Approval, Stage::Canary],
            ..said(ann, "v3 leaks card numbers")
        },
        NoticeKind::SettingsChanged => Notice {
            version: None,
            promotion: None,
            by: ann,
            setting: Some(Setting::Policy),
            policy: Some(7),
            ..plain
        },
    }
}

fn delivery(notice: &Notice) -> Delivery {
    let target = Target::Topic { arn: "arn".into() };
    Delivery { id: format!("de_{}", "1".repeat(24)), notice: notice.clone(), target }
}

/// All texts in a document that are shown to somebody.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|v| texts(v, found)),
        Value::Object(fields) => fields.values().for_each(|v| texts(v, found)),
        _ => {}
    }
}

#[test]
fn every_kind_says_in_one_line_what_happened_and_then_what_it_means() {
    let mut all = String::new();
    for kind in NoticeKind::ALL {
        let notice = notice(kind);
        let view = View::of(&notice, APPROVALS);
        let mail = view.mail().unwrap();
        assert_eq!(mail.subject, view.subject());
        assert!(mail.subject.contains("credit-risk") && mail.subject.len() < 100, "{}", mail.subject);
        assert!(mail.text.starts_with(view.subject()) && mail.html.contains(view.subject()));
        all.push_str(&format!("=== {}\n{}\n", kind.as_str(), mail.text));
    }
    insta::assert_snapshot!("texts", all);
}

#[test]
fn an_emergency_is_loud_wherever_it_is_read() {
    let (loud, quiet) = (notice(NoticeKind::Emergency), notice(NoticeKind::Crowned));
    let view = View::of(&loud, APPROVALS);
    assert!(view.subject().starts_with("EMERGENCY: "));
    assert!(view.mail().unwrap().html.contains("Emergency: people who should have decided"));
    assert!(view.slack()["blocks"][0]["text"]["text"].as_str().unwrap().starts_with("🚨 EMERGENCY"));
    assert_eq!(view.teams()["attachments"][0]["content"]["body"][0]["color"], "Attention");
    assert_eq!(view.json(&delivery(&loud))["emergency"], true);
    let view = View::of(&quiet, APPROVALS);
    let all = format!("{}{}{}", view.mail().unwrap().html, view.slack(), view.teams());
    assert!(!all.to_lowercase().contains("emergency") && !all.contains("Attention"), "{all}");
}

#[test]
fn the_forms_that_machines_read() {
    let decided = notice(NoticeKind::Decided);
    let view = View::of(&decided, APPROVALS);
    insta::assert_json_snapshot!("slack", view.slack());
    insta::assert_json_snapshot!("teams", view.teams());
    insta::assert_json_snapshot!("generic", view.json(&delivery(&decided)));
    let step = notice(NoticeKind::CanaryStep);
    let json = View::of(&step, APPROVALS).json(&delivery(&step));
    assert_eq!((&json["percent"], &json["weight"]), (&Value::from(5.0), &Value::Null));
}

#[test]
fn what_others_wrote_is_never_markup_nor_a_link_nor_a_second_line() {
    let mut hostile = notice(NoticeKind::Decided);
    hostile.comment = Some(HOSTILE.into());
    hostile.by.principal = format!("https://evil.example#{HOSTILE}");
    let view = View::of(&hostile, APPROVALS);
    let mail = view.mail().unwrap();
    assert!(!mail.subject.contains(['\r', '\n']));
    assert!(!mail.html.contains("<script>") && !mail.html.contains("href=\"https://evil"), "{}", mail.html);
    assert!(!mail.text.lines().any(|line| line.starts_with("Bcc:")), "{}", mail.text);

    let (slack, teams) = (view.slack(), view.teams());
    let mut shown = vec![mail.text, mail.html];
    texts(&slack, &mut shown);
    texts(&teams, &mut shown);
    for text in &shown {
        for piece in ["evil.example", "://evil", "www.evil", "\u{202e}", "\u{1b}", "@here"] {
            assert!(!text.contains(piece), "{piece:?} in {text}");
        }
    }
    // Only the title and our own sentences stand where Slack or Teams read markup.
    fn marked_up<'v>(value: &'v Value, kinds: &[&str], found: &mut Vec<&'v Value>) {
        match value {
            Value::Array(values) => values.iter().for_each(|v| marked_up(v, kinds, found)),
            Value::Object(fields) => {
                if fields.get("type").and_then(Value::as_str).is_some_and(|t| kinds.contains(&t)) {
                    found.push(value);
                }
                fields.values().for_each(|v| marked_up(v, kinds, found));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    marked_up(&slack, &["mrkdwn"], &mut found);
    assert!(found.is_empty(), "{found:?}");
    marked_up(&teams, &["TextBlock", "FactSet"], &mut found);
    assert_eq!(found.len(), 1, "the title");
    assert_eq!(found[0]["text"], view.subject());

    // Data stays data: machines get what was written, whole.
    assert_eq!(view.json(&delivery(&hostile))["comment"], HOSTILE);
}

#[test]
fn slacks_limits_are_kept() {
    let mut long = notice(NoticeKind::Emergency);
    long.model = ModelName::parse(&format!("m{}", "o".repeat(62))).unwrap();
    long.skipped = vec![Stage::Shadow, Stage::Approval, Stage::Canary];
    long.comment = Some("x".repeat(5_000));
    long.by.principal = "p".repeat(5_000);
    let slack = View::of(&long, APPROVALS).slack();
    for block in slack["blocks"].as_array().unwrap() {
        match block["type"].as_str().unwrap() {
            "header" => assert!(block["text"]["text"].as_str().unwrap().chars().count() <= 150),
            "section" => {
                assert!(block["text"]["text"].as_str().unwrap_or_default().chars().count() <= 3_000);
                let fields = block["fields"].as_array().cloned().unwrap_or_default();
                assert!(fields.len() <= 10);
                assert!(fields.iter().all(|f| f["text"].as_str().unwrap().chars().count() <= 2_000));
            }
            "actions" => {}
            other => panic!("{other}"),
        }
    }
}

#[test]
fn the_only_address_is_the_gates_plain_one() {
    for kind in NoticeKind::ALL {
        let notice = notice(kind);
        let view = View::of(&notice, APPROVALS);
        let mail = view.mail().unwrap();
        let all = format!(
            "{}{}{}{}{}",
            mail.text,
            mail.html,
            view.slack(),
            view.teams(),
            view.json(&delivery(&notice))
        );
        assert!(!all.contains("/l/"), "{kind:?}: a link that gives a right");
        let plain = format!("{APPROVALS}/g/{}", notice.gate.as_ref().map_or("none", |g| g.as_str()));
        assert_eq!(all.contains(&plain), notice.gate.is_some(), "{kind:?}");
        let rest = all.replace(&plain, "").replace("http://adaptivecards.io/schemas/adaptive-card.json", "");
        assert!(!rest.contains("http"), "{kind:?}: {rest}");
    }
}
