//! Least privilege, measured: what the roles hold beside what the end-to-end suite used of it.
//!
//! The engine enforces IAM and keeps a ledger ([`ledger.py`](../../tests/engine/remedies/ledger.py)): each grant of each role, one for
//! every combination of action, resource and leading key, with how often it was used, and every call that was refused. A refused
//! call is a right that is missing; a grant that nothing used is one too many. What no run can show is named below, with its reason,
//! and a reason that no longer holds fails as well.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::{paths, say};

/// A grant as the ledger has it.
#[derive(Debug, Deserialize, Clone, PartialEq, Eq)]
pub struct Grant {
    action: String,
    resource: String,
    key: Option<String>,
    used: u64,
}

/// A call that was refused.
#[derive(Debug, Deserialize, Clone, PartialEq, Eq)]
pub struct Denial {
    action: String,
    resource: String,
    keys: Vec<String>,
    times: u64,
}

/// What is known of one role.
#[derive(Debug, Deserialize, Default, Clone)]
pub struct Role {
    grants: Vec<Grant>,
    denials: Vec<Denial>,
}

/// A grant, or a refusal, that is as it must be although the run alone does not show why.
struct Exception {
    /// The role's logical id; `*` for every role.
    role: &'static str,
    action: &'static str,
    /// Part of the resource, or the whole leading key; empty: any.
    on: &'static str,
    /// Why.
    why: &'static str,
    /// Whether it depends on the moment: it may hold in one run and not in the next.
    sometimes: bool,
}

const fn except(role: &'static str, action: &'static str, on: &'static str, why: &'static str) -> Exception {
    Exception { role, action, on, why, sometimes: false }
}

const fn sometimes(
    role: &'static str,
    action: &'static str,
    on: &'static str,
    why: &'static str,
) -> Exception {
    Exception { role, action, on, why, sometimes: true }
}

const PLATFORM_LOGS: &str =
    "Lambda writes a function's log with the function's role; the engine does so without asking";
const MACHINE: &str = "the engine calls for a state machine without asking IAM; an offline test compares the role with the definition";

/// Grants that the suite does not use.
const UNUSED: &[Exception] = &[
    except("*", "logs:CreateLogStream", "", PLATFORM_LOGS),
    except("*", "logs:PutLogEvents", "", PLATFORM_LOGS),
    except("PromotionMachineRole", "*", "", MACHINE),
    except("CanaryMachineRole", "*", "", MACHINE),
    except(
        "*",
        "s3:ListBucket",
        "",
        "without it an object that is not there answers 403; the engine answers 404 either way",
    ),
    except(
        "*",
        "sqs:SendMessage",
        "DeadLetters",
        "Lambda sends there, with the function's role, what a function could not handle",
    ),
    except("*", "dynamodb:GetItem", "HISTORY#*", "a write whose answer was lost is looked up in the history"),
    except(
        "ReplayRole",
        "dynamodb:UpdateItem",
        "ATTEMPT#*",
        "only a sample that is delivered again is marked",
    ),
    except(
        "IntakeRole",
        "s3:GetObject",
        "submission.json",
        "the suite's events say in which state a submission is",
    ),
    except("ControlRole", "s3:GetObject", "databucket", "the suite asks for no report before its time"),
    except("HealthRole", "s3:GetObject", "/labels/", "no label comes while a canary of the suite runs"),
    except(
        "EvaluateRole",
        "lambda:InvokeFunction",
        "seatrial-check-",
        "no policy of the suite has a check that is a function",
    ),
    except(
        "PackageRole",
        "s3:AbortMultipartUpload",
        "",
        "only a copy of a large file that breaks off has parts to remove",
    ),
    sometimes(
        "GateRole",
        "states:SendTaskSuccess",
        "",
        "only a gate that is decided when it is opened is answered by who opens it, where the stream is not faster",
    ),
    sometimes(
        "SweepRole",
        "lambda:InvokeFunction",
        "-answer",
        "only the execution of a gate that was decided and not answered within the minute is told again",
    ),
    except(
        "SweepRole",
        "dynamodb:Query",
        "HISTORY#*",
        "only records of an earlier release do not say when a version was retired",
    ),
    except("AttestRole", "s3:GetObjectVersion", "", LONGER),
    except("AttestRole", "s3:GetObjectRetention", "", LONGER),
    except("AttestRole", "s3:PutObjectRetention", "", LONGER),
    sometimes(
        "SweepRole",
        "s3:GetObject",
        "evidencebucket",
        "a history is looked at once it has been quiet for ten minutes, and the suite may be over by then",
    ),
];

const LONGER: &str = "only for a policy that keeps evidence longer than the bucket does";
const PROBE: &str = "the suite tries what health must not do";
const CONTRACT: &str = "the registry's contract makes gates and executions that Step Functions never had";

/// Calls that the suite makes in order to be refused, and what it makes up.
const REFUSED: &[Exception] = &[
    except("HealthRole", "dynamodb:UpdateItem", "", PROBE),
    except("HealthRole", "dynamodb:DeleteItem", "", PROBE),
    except("HealthRole", "states:StartExecution", "", PROBE),
    except("HealthRole", "kms:Sign", "", PROBE),
    except("HealthRole", "sqs:SendMessage", "", PROBE),
    except("HealthRole", "lambda:InvokeFunction", "", PROBE),
    except("HealthRole", "states:SendTaskSuccess", "", PROBE),
    except("AnswerRole", "states:SendTaskSuccess", "*", CONTRACT),
    except("SweepRole", "states:DescribeExecution", "arn:x", CONTRACT),
    sometimes(
        "ReconcileRole",
        "lambda:GetAlias",
        ":function:f",
        "the registry's contract has a policy whose target is a function that no deployment names",
    ),
];

impl Exception {
    fn covers(&self, role: &str, action: &str, resource: &str, keys: &[&str]) -> bool {
        (self.role == "*" || self.role == role)
            && (self.action == "*" || self.action == action)
            && (self.on.is_empty() || resource.contains(self.on) || keys.contains(&self.on))
    }
}

/// What is wrong with the rights, one line each; nothing when each role holds exactly what was needed.
#[derive(Debug, Default)]
struct Findings {
    missing: Vec<[String; 4]>,
    unused: Vec<[String; 4]>,
    stale: Vec<String>,
    grants: usize,
}

/// Fails when a role was refused what it asked for, or holds what nothing used.
pub fn check(folder: &Path, stack: &str) -> Result<()> {
    let file = ledger(folder);
    let text = fs::read_to_string(&file)
        .with_context(|| format!("the engine left no ledger of rights: {}", paths::shown(&file)))?;
    let roles: BTreeMap<String, Role> = serde_json::from_str(&text)
        .with_context(|| format!("{} is not a ledger of rights", paths::shown(&file)))?;
    let found = findings(&roles, stack, UNUSED, REFUSED);
    if found.missing.is_empty() && found.unused.is_empty() && found.stale.is_empty() {
        say::note(format!(
            "{} grants of {} roles: each is needed, and no call was refused",
            found.grants,
            roles.len()
        ));
        return Ok(());
    }
    for (title, rows) in [("refused", &found.missing), ("unused", &found.unused)] {
        if !rows.is_empty() {
            say::out(say::table([title, "action", "on", "leading key"], rows.iter().cloned()));
        }
    }
    for line in &found.stale {
        say::out(line);
    }
    bail!(
        "{} calls of functions were refused, {} grants were used by nothing, {} exceptions do not hold: mend the roles in infra/template.yaml, or the reasons in xtask/src/rights.rs",
        found.missing.len(),
        found.unused.len(),
        found.stale.len()
    )
}

/// Where an engine of this folder writes its ledger.
pub fn ledger(folder: &Path) -> std::path::PathBuf {
    folder.join("rights.json")
}

/// The logical id in a role's name, `<stack>-<logical id>-<suffix>`; `None` for a role of somebody else.
fn logical<'a>(name: &'a str, stack: &str) -> Option<&'a str> {
    let (logical, _) = name.strip_prefix(stack)?.strip_prefix('-')?.rsplit_once('-')?;
    Some(logical)
}

fn findings(
    roles: &BTreeMap<String, Role>,
    stack: &str,
    unused: &[Exception],
    refused: &[Exception],
) -> Findings {
    let mut found = Findings::default();
    let mut excused = vec![0usize; unused.len()];
    let mut expected = vec![0usize; refused.len()];
    for (name, role) in roles {
        let Some(of) = logical(name, stack) else { continue };
        for grant in &role.grants {
            found.grants += 1;
            let keys: Vec<&str> = grant.key.as_deref().into_iter().collect();
            let by = unused.iter().position(|e| e.covers(of, &grant.action, &grant.resource, &keys));
            match (grant.used, by) {
                (0, Some(reason)) => excused[reason] += 1,
                (0, None) => found.unused.push(line(of, &grant.action, &grant.resource, &keys)),
                _ => {}
            }
        }
        for denial in &role.denials {
            let keys: Vec<&str> = denial.keys.iter().map(String::as_str).collect();
            match refused.iter().position(|e| e.covers(of, &denial.action, &denial.resource, &keys)) {
                Some(reason) => expected[reason] += 1,
                None => found.missing.push(line(of, &denial.action, &denial.resource, &keys)),
            }
        }
    }
    let idle = |list: &[Exception], counts: &[usize], what: &str| -> Vec<String> {
        let idle = list.iter().zip(counts).filter(|(e, count)| **count == 0 && !e.sometimes);
        idle.map(|(e, _)| format!("{what}: {} {} {}: {}", e.role, e.action, e.on, e.why)).collect()
    };
    found.stale.extend(idle(unused, &excused, "not unused any more, or not granted"));
    found.stale.extend(idle(refused, &expected, "not refused"));
    found
}

fn line(role: &str, action: &str, resource: &str, keys: &[&str]) -> [String; 4] {
    [role.to_owned(), action.to_owned(), resource.to_owned(), keys.join(" ")]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(used: u64, denied: bool) -> BTreeMap<String, Role> {
        let grant = |action: &str, key: Option<&str>, used| Grant {
            action: action.into(),
            resource: "arn:aws:dynamodb:us-east-1:000000000000:table/t".into(),
            key: key.map(str::to_owned),
            used,
        };
        let denial = Denial {
            action: "s3:GetObject".into(),
            resource: "arn:aws:s3:::b/k".into(),
            keys: vec![],
            times: 1,
        };
        let role = Role {
            grants: vec![
                grant("dynamodb:GetItem", Some("MODEL#*"), 3),
                grant("dynamodb:PutItem", Some("MODEL#*"), used),
            ],
            denials: denied.then_some(denial).into_iter().collect(),
        };
        BTreeMap::from([
            ("seatrial-HealthRole-1A2B".to_owned(), role),
            (
                "somebody-else".to_owned(),
                Role { grants: vec![grant("s3:GetObject", None, 0)], denials: vec![] },
            ),
        ])
    }

    #[test]
    fn a_grant_that_nothing_uses_is_named_and_one_that_is_used_is_not() {
        let found = findings(&roles(0, false), "seatrial", &[], &[]);
        assert_eq!(found.unused.len(), 1);
        assert_eq!(found.unused[0][..2], ["HealthRole", "dynamodb:PutItem"]);
        assert!(findings(&roles(1, false), "seatrial", &[], &[]).unused.is_empty());
    }

    #[test]
    fn a_refused_call_is_named_unless_it_was_to_be_refused() {
        let found = findings(&roles(1, true), "seatrial", &[], &[]);
        assert_eq!(found.missing[0][..3], ["HealthRole", "s3:GetObject", "arn:aws:s3:::b/k"]);
        let meant = [except("HealthRole", "s3:GetObject", "", "a test")];
        let found = findings(&roles(1, true), "seatrial", &[], &meant);
        assert!(found.missing.is_empty() && found.stale.is_empty());
        assert_eq!(findings(&roles(1, false), "seatrial", &[], &meant).stale.len(), 1, "nothing was refused");
    }

    #[test]
    fn a_reason_that_no_longer_holds_is_named() {
        let reason = [except("HealthRole", "dynamodb:PutItem", "MODEL#*", "a rare path")];
        let found = findings(&roles(0, false), "seatrial", &reason, &[]);
        assert!(found.unused.is_empty() && found.stale.is_empty());
        let found = findings(&roles(2, false), "seatrial", &reason, &[]);
        assert!(found.stale[0].contains("a rare path"));
    }

    #[test]
    fn what_depends_on_the_moment_may_be_used_or_not() {
        let reason = [sometimes("HealthRole", "dynamodb:PutItem", "MODEL#*", "whoever is first")];
        for used in [0, 2] {
            let found = findings(&roles(used, false), "seatrial", &reason, &[]);
            assert!(found.unused.is_empty() && found.stale.is_empty(), "used {used} times");
        }
    }
}
