//! Who may do what: the roles in the template against the promises of the design.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;

use seatrial_tests::template::{Template, list};
use serde_json::{Value, json};

const WRITES: [&str; 3] = ["dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"];
/// Where the registry's promises live.
const REGISTRY: [&str; 4] = ["MODELS", "MODEL#*", "HISTORY#*", "GATE#*"];

fn template() -> Template {
    Template::read().unwrap()
}

fn roles(t: &Template) -> Vec<(String, Vec<Value>)> {
    t.of_type("AWS::IAM::Role").into_keys().map(|role| (role.to_owned(), t.statements(role))).collect()
}

/// The roles with a statement for which `matches` holds.
fn who(matches: impl Fn(&Value) -> bool) -> Vec<String> {
    let t = template();
    roles(&t)
        .into_iter()
        .filter(|(_, statements)| statements.iter().any(&matches))
        .map(|(role, _)| role.replace("Role", "").to_lowercase())
        .collect()
}

fn allows(statement: &Value, actions: &[&str]) -> bool {
    list(&statement["Action"]).iter().any(|a| actions.contains(&a.as_str()))
}

fn partitions(statement: &Value) -> Vec<String> {
    list(&statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"])
}

fn may_in(actions: &[&str], partition: &str) -> Vec<String> {
    who(|s| allows(s, actions) && partitions(s).iter().any(|p| p == partition))
}

#[test]
fn no_role_may_do_everything_and_a_star_gives_its_reason() {
    let t = template();
    for (role, statements) in roles(&t) {
        assert!(!statements.is_empty(), "{role}");
        for statement in statements {
            assert_eq!(statement["Effect"], "Allow", "{role}");
            for action in list(&statement["Action"]) {
                assert!(!action.contains('*'), "{role} may {action}");
            }
            assert!(statement["NotAction"].is_null() && statement["NotResource"].is_null(), "{role}");
        }
    }
    let lines: Vec<_> = t.text.lines().map(str::trim).collect();
    for (i, line) in lines.iter().enumerate().filter(|(_, l)| **l == "Resource: \"*\"") {
        let start = (0..i).rev().find(|j| lines[*j].starts_with("- Effect:")).unwrap();
        assert!(
            lines[start - 1].starts_with('#'),
            "line {}: {line}: the comment above the statement says why",
            i + 1
        );
    }
}

/// Each of them may end a promotion or close its gate, and a promotion ends in one transaction with the gate that waits.
#[test]
fn whoever_may_end_a_promotion_may_close_its_gate() {
    assert_eq!(
        may_in(&["dynamodb:PutItem"], "GATE#*"),
        ["approvals", "control", "gate", "rollback", "sweep"]
    );
}

#[test]
fn every_right_on_the_table_names_its_partitions() {
    let t = template();
    let own = [
        "MODELS",
        "MODEL#*",
        "HISTORY#*",
        "GATE#*",
        "SUBMISSION#*",
        "CAP#*",
        "TOKEN#*",
        "TALLY#*",
        "WATERMARK#*",
        "ATTEMPT#*",
        "SESSION#*",
        "TARGET#*",
    ];
    for (role, statements) in roles(&t) {
        for s in statements.iter().filter(|s| s["Resource"] == json!({ "Fn::GetAtt": ["Table", "Arn"] })) {
            assert!(!partitions(s).is_empty(), "{role}: {s}");
            for partition in partitions(s) {
                assert!(own.contains(&partition.as_str()), "{role}: {partition}");
            }
            assert!(
                !allows(s, &["dynamodb:Scan"]),
                "{role}: a scan has no leading keys, so nothing would hold it"
            );
        }
    }
    assert_eq!(
        who(|s| allows(s, &["dynamodb:Query"]) && s["Resource"]["Fn::Sub"] == "${Table.Arn}/index/gsi1"),
        ["approvals", "gate", "sweep"]
    );
}

#[test]
fn task_tokens_are_known_to_gate_and_answer_only() {
    assert_eq!(who(|s| partitions(s).iter().any(|p| p == "TOKEN#*")), ["answer", "gate"]);
    assert_eq!(
        who(|s| allows(s, &["states:SendTaskSuccess", "states:SendTaskFailure", "states:SendTaskHeartbeat"])),
        ["answer", "gate"]
    );
    // Who has `answer` look at a gate again names the gate and learns no token.
    let asks = |s: &Value| {
        allows(s, &["lambda:InvokeFunction"]) && Template::references(&s["Resource"]).contains("AnswerAlias")
    };
    assert_eq!(who(asks), ["sweep"]);
    // Nobody reads the history of an execution: it holds the payloads of gates.
    assert!(who(|s| allows(s, &["states:GetExecutionHistory"])).is_empty());
    // The stream carries every item, tokens among them; the mappings' filters pick gates and entries, and only `answer`, which
    // may know tokens, reads it: `notify` is told where to look.
    assert_eq!(who(|s| allows(s, &["dynamodb:GetRecords"])), ["answer"]);
}

#[test]
fn the_public_function_has_nothing_to_do_with_state_machines() {
    let t = template();
    for s in t.statements("ApprovalsRole") {
        let foreign = list(&s["Action"])
            .into_iter()
            .find(|a| !["dynamodb:", "s3:", "logs:"].iter().any(|p| a.starts_with(p)));
        assert_eq!(foreign, None);
        assert!(!allows(&s, &["s3:PutObject", "s3:DeleteObject"]), "approvals shows evidence, it makes none");
    }
}

#[test]
fn who_judges_the_canary_cannot_touch_the_route() {
    for name in [
        "HealthRole",
        "ObserveRole",
        "ReplayRole",
        "AnswerRole",
        "IntakeRole",
        "ServeRole",
        "NotifyRole",
        "ReconcileRole",
    ] {
        for s in template().statements(name) {
            let touched: Vec<_> =
                partitions(&s).into_iter().filter(|p| REGISTRY.contains(&p.as_str())).collect();
            assert!(touched.is_empty() || !allows(&s, &WRITES), "{name} writes {touched:?}");
        }
    }
    let t = template();
    for s in t.statements("ServeRole") {
        assert!(
            !allows(&s, &["s3:GetObject"]) || s["Resource"]["Fn::Sub"] == "${ModelsBucket.Arn}/*",
            "serve reads models only"
        );
    }
}

#[test]
fn what_links_may_do_is_kept_by_gate_and_used_up_by_approvals() {
    assert_eq!(who(|s| partitions(s).iter().any(|p| p == "CAP#*")), ["approvals", "gate"]);
    assert_eq!(
        may_in(&["dynamodb:PutItem"], "CAP#*"),
        ["gate"],
        "approvals uses capabilities up, it makes none"
    );
    // Who asks for new links through `control` never holds one: it has no right there, and cannot call `gate` either.
    let called = |s: &Value| {
        allows(s, &["lambda:InvokeFunction"])
            && Template::references(&s["Resource"]).iter().any(|r| r.starts_with("Gate"))
    };
    assert_eq!(who(called), ["promotionmachine"]);
}

#[test]
fn who_submits_is_announced_to_control_alone() {
    assert_eq!(who(|s| partitions(s).iter().any(|p| p == "SUBMISSION#*")), ["control", "intake", "package"]);
    assert_eq!(may_in(&["dynamodb:PutItem"], "SUBMISSION#*"), ["control"]);
    // `intake` marks which promotion an announcement was for; an announcement is never changed or taken back.
    assert_eq!(may_in(&["dynamodb:UpdateItem"], "SUBMISSION#*"), ["intake"]);
    assert!(may_in(&["dynamodb:DeleteItem"], "SUBMISSION#*").is_empty());
}

#[test]
fn artifacts_of_training_are_read_where_the_deployment_says_and_unpacked_where_nothing_listens() {
    let t = template();
    let named = json!({ "Fn::Split": [",", { "Ref": "TrainingArtifacts" }] });
    assert_eq!(who(|s| s["Resource"] == named), ["intake", "package"]);
    for name in ["IntakeRole", "PackageRole"] {
        let statements = t.statements(name);
        let reads: Vec<_> = statements.iter().filter(|s| s["Resource"] == named).collect();
        assert!(reads.len() == 1 && list(&reads[0]["Action"]) == ["s3:GetObject"], "{name}");
    }
    let writes = |s: &Value| {
        allows(s, &["s3:PutObject"]) && Template::references(&s["Resource"]).contains("SubmissionsBucket")
    };
    assert_eq!(who(writes), ["package"]);
    let statements = t.statements("PackageRole");
    let written = statements.iter().find(|s| writes(s)).unwrap();
    assert_eq!(written["Resource"]["Fn::Sub"], "${SubmissionsBucket.Arn}/unpacked/*");
    let pattern = &t.properties("SubmissionRule")["EventPattern"]["detail"]["object"]["key"][0]["wildcard"];
    assert_eq!(pattern, "submissions/*/*/submission.json");
    assert_eq!(
        t.root()["Parameters"]["TrainingArtifacts"]["Default"],
        "",
        "nothing is read that nobody named"
    );
}

#[test]
fn who_plans_what_is_collected_may_ask_the_history_when_a_version_was_retired() {
    // `registry::ops::kept` reads it for records of an earlier release, in `sweep` and behind `seatrial retention`.
    let readers = may_in(&["dynamodb:Query"], "HISTORY#*");
    assert_eq!(readers, ["attest", "control", "notify", "sweep"]);
    for planner in ["control", "sweep"] {
        for partition in ["MODELS", "MODEL#*"] {
            assert!(
                may_in(&["dynamodb:Query"], partition).contains(&planner.to_owned()),
                "{planner}: {partition}"
            );
        }
    }
}

#[test]
fn keys_of_training_open_what_s3_holds_for_those_who_read_artifacts_and_nothing_else() {
    let t = template();
    let named = json!({ "Fn::Split": [",", { "Ref": "TrainingKeys" }] });
    let through_s3 =
        json!({ "StringEquals": { "kms:ViaService": { "Fn::Sub": "s3.${AWS::Region}.amazonaws.com" } } });
    assert_eq!(who(|s| s["Resource"] == named), ["intake", "package"]);
    for name in ["IntakeRole", "PackageRole"] {
        let statements = t.statements(name);
        let opens: Vec<_> = statements.iter().filter(|s| s["Resource"] == named).collect();
        assert!(opens.len() == 1 && list(&opens[0]["Action"]) == ["kms:Decrypt"], "{name}");
        assert_eq!(opens[0]["Condition"], through_s3, "{name}");
        // Only where the deployment names a key: a statement on nothing would be refused.
        let all = &t.properties(name)["Policies"][0]["PolicyDocument"]["Statement"];
        let guard = all.as_array().unwrap().iter().find(|s| s["Fn::If"][0] == "HasTrainingKeys").unwrap();
        assert_eq!(guard["Fn::If"][2], json!({ "Ref": "AWS::NoValue" }), "{name}");
    }
    let parameter = &t.root()["Parameters"]["TrainingKeys"];
    assert_eq!(parameter["Default"], "", "no key opens anything that nobody named");
    let pattern = parameter["AllowedPattern"].as_str().unwrap();
    assert!(!pattern.contains("[*]") && !pattern.contains(".*"), "each key is named: {pattern}");
}

#[test]
fn events_that_started_nothing_are_handled_by_control_alone() {
    let dead = json!({ "Fn::GetAtt": ["IntakeDeadLetters", "Arn"] });
    let takes = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"];
    for action in takes {
        assert_eq!(who(|s| allows(s, &[action]) && s["Resource"] == dead), ["control"], "{action}");
    }
    assert!(who(|s| allows(s, &["sqs:PurgeQueue"])).is_empty());
    let calls = |s: &Value| {
        allows(s, &["lambda:InvokeFunction"]) && Template::references(&s["Resource"]).contains("IntakeAlias")
    };
    assert_eq!(who(calls), ["control"]);
}

#[test]
fn the_logins_of_browsers_are_known_to_the_pages_alone() {
    assert_eq!(who(|s| partitions(s).iter().any(|p| p == "SESSION#*")), ["approvals"]);
    assert!(
        may_in(&["dynamodb:Query", "dynamodb:UpdateItem"], "SESSION#*").is_empty(),
        "nobody lists them or makes one longer"
    );
}

#[test]
fn promotions_are_started_by_intake_and_control() {
    let starts = |s: &Value| allows(s, &["states:StartExecution"]);
    assert_eq!(who(starts), ["control", "intake", "promotionmachine"]);
    let t = template();
    for s in t.statements("PromotionMachineRole").iter().filter(|s| starts(s)) {
        assert_eq!(
            s["Resource"]["Ref"], "CanaryStateMachine",
            "a promotion starts its canary and nothing else"
        );
    }
}

#[test]
fn crown_is_called_by_the_promotion_alone() {
    let t = template();
    let calls = |role: &str| -> BTreeSet<String> {
        let statements = t.statements(role);
        statements
            .iter()
            .filter(|s| allows(s, &["lambda:InvokeFunction"]))
            .flat_map(|s| Template::references(&s["Resource"]))
            .collect()
    };
    let callers = |alias: &str| -> Vec<String> {
        roles(&t).into_iter().map(|(role, _)| role).filter(|role| calls(role).contains(alias)).collect()
    };
    assert_eq!(callers("CrownAlias"), ["PromotionMachineRole"]);
    assert_eq!(callers("ShiftAlias"), ["CanaryMachineRole", "PromotionMachineRole"]);
    assert_eq!(callers("RollbackAlias"), ["PromotionMachineRole"]);
    // The machines may call exactly what their definitions name.
    for (machine, role) in
        [("PromotionStateMachine", "PromotionMachineRole"), ("CanaryStateMachine", "CanaryMachineRole")]
    {
        let substitutions = t.properties(machine)["DefinitionSubstitutions"].clone();
        let named: BTreeSet<String> =
            Template::references(&substitutions).into_iter().filter(|r| r.ends_with("Alias")).collect();
        assert_eq!(calls(role), named, "{role}");
    }
}

#[test]
fn evidence_is_never_deleted_by_the_product() {
    // No version of any object, and nothing under a lock.
    assert!(who(|s| allows(s, &["s3:DeleteObjectVersion", "s3:BypassGovernanceRetention"])).is_empty());
    // What a collected version has in the models bucket is deleted, by `sweep` alone; no benchmark, no index.
    assert_eq!(who(|s| allows(s, &["s3:DeleteObject"])), ["sweep"]);
    let t = template();
    let statements = t.statements("SweepRole");
    let deletes: Vec<_> = statements.iter().filter(|s| allows(s, &["s3:DeleteObject"])).collect();
    let resources: Vec<_> = deletes.iter().map(|s| (list(&s["Action"]), s["Resource"].clone())).collect();
    let in_models = |path: &str| json!({ "Fn::Sub": format!("${{ModelsBucket.Arn}}/*/{path}/*") });
    assert_eq!(
        resources,
        [(vec!["s3:DeleteObject".to_owned()], json!([in_models("blobs"), in_models("signatures")]))]
    );
    // It writes nothing but the index, and to no other bucket.
    let puts: Vec<_> =
        statements.iter().filter(|s| allows(s, &["s3:PutObject"])).map(|s| &s["Resource"]).collect();
    assert_eq!(puts, [&json!({ "Fn::Sub": "${ModelsBucket.Arn}/*/index.json" })]);
    // Without the right to bypass, a lock can only be made longer.
    assert_eq!(who(|s| allows(s, &["s3:PutObjectRetention"])), ["attest"]);
}

#[test]
fn two_functions_sign_and_nothing_else_touches_the_key() {
    assert_eq!(who(|s| allows(s, &["kms:Sign"])), ["attest", "package"]);
    // Keys that training brings are others'.
    let foreign = json!({ "Fn::Split": [",", { "Ref": "TrainingKeys" }] });
    let others = |s: &Value| {
        let acts = |a: &String| a.starts_with("kms:") && a != "kms:Sign" && a != "kms:GetPublicKey";
        list(&s["Action"]).iter().any(acts) && s["Resource"] != foreign
    };
    assert!(who(others).is_empty());
    let verifiers = ["attest", "evaluate", "package", "replay", "serve"];
    assert_eq!(who(|s| allows(s, &["kms:GetPublicKey"])), verifiers);
}

#[test]
fn evaluate_invokes_checks_by_their_name_and_nothing_else_of_the_account() {
    let t = template();
    let statements = t.statements("EvaluateRole");
    let named = json!({ "Fn::Split": [",", { "Ref": "RemoteModels" }] });
    let calls: Vec<_> = statements
        .iter()
        .filter(|s| allows(s, &["lambda:InvokeFunction"]) && s["Resource"] != named)
        .collect();
    assert_eq!(calls.len(), 1);
    assert_eq!(
        calls[0]["Resource"]["Fn::Sub"],
        "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:seatrial-check-*"
    );
    // What a check answers is data: whoever asks one may not change the route, and no other role asks any.
    assert_eq!(
        who(|s| allows(s, &["lambda:InvokeFunction"])
            && s["Resource"].to_string().contains("seatrial-check-")),
        ["evaluate"]
    );
    let variables = &t.properties("EvaluateFunction")["Environment"]["Variables"];
    assert_eq!(variables["SEATRIAL_CHECK_HOSTS"]["Ref"], "CheckHosts");
    assert_eq!(t.root()["Parameters"]["CheckHosts"]["Default"], "", "no host is reached that nobody named");
    // Whether this machine may be reached follows from the account alone: nobody can set it.
    assert_eq!(variables["SEATRIAL_ACCOUNT"], json!({ "Ref": "AWS::AccountId" }));
}

#[test]
fn remote_versions_are_what_the_deployment_names_and_only_who_runs_versions_calls_them() {
    let t = template();
    let named = json!({ "Fn::Split": [",", { "Ref": "RemoteModels" }] });
    let users = ["evaluate", "package", "replay", "serve"];
    assert_eq!(who(|s| s["Resource"] == named), users);
    // Who packages asks what runs there, and never for an answer.
    let callers = ["evaluate", "replay", "serve"];
    assert_eq!(who(|s| s["Resource"] == named && allows(s, &["lambda:InvokeFunction"])), callers);
    assert_eq!(who(|s| allows(s, &["sagemaker:InvokeEndpoint"])), callers);
    // A role of an owner's is taken by these alone, and only where the deployment names it.
    assert_eq!(who(|s| s["Resource"] == named && allows(s, &["sts:AssumeRole"])), users);
    for function in ["Evaluate", "Package", "Replay", "Serve"] {
        let statements = t.statements(&format!("{function}Role"));
        for s in statements.iter().filter(|s| {
            list(&s["Action"]).iter().any(|a| a.starts_with("sagemaker:") || a.starts_with("sts:"))
        }) {
            assert_eq!(s["Resource"], named, "{function}");
        }
        let variables = &t.properties(&format!("{function}Function"))["Environment"]["Variables"];
        assert_eq!(variables["SEATRIAL_REMOTE_HOSTS"]["Ref"], "RemoteHosts", "{function}");
        assert_eq!(variables["SEATRIAL_STACK"], json!({ "Ref": "AWS::StackName" }), "{function}");
        assert_eq!(variables["SEATRIAL_ACCOUNT"], json!({ "Ref": "AWS::AccountId" }), "{function}");
    }
    for parameter in ["RemoteModels", "RemoteHosts"] {
        assert_eq!(t.root()["Parameters"][parameter]["Default"], "", "nothing is reached that nobody named");
    }
}

#[test]
fn who_calls_remote_versions_finds_the_way_there_in_the_table_of_networks() {
    let page = std::fs::read_to_string(seatrial_tests::repository("docs/deploy.md")).unwrap();
    let named = json!({ "Fn::Split": [",", { "Ref": "RemoteModels" }] });
    let users: Vec<_> = who(|s| s["Resource"] == named).iter().map(|name| format!("`{name}`")).collect();
    let row = page.lines().find(|line| line.starts_with("| ") && line.contains("`sagemaker.runtime`"));
    let row = row.expect("a row for remote versions");
    for what in
        users.iter().map(String::as_str).chain(["`lambda`", "`sagemaker.api`", "`sts`", "NAT gateway"])
    {
        assert!(row.contains(what), "{what}: {row}");
    }
}

#[test]
fn a_nested_execution_has_the_rights_that_sync_needs() {
    let statements = template().statements("PromotionMachineRole");
    let has = |action: &str, of: &str| {
        statements.iter().any(|s| allows(s, &[action]) && s["Resource"].to_string().contains(of))
    };
    for action in ["states:DescribeExecution", "states:StopExecution"] {
        assert!(has(action, "execution:${CanaryStateMachine.Name}:*"), "{action}");
    }
    for action in ["events:PutTargets", "events:PutRule", "events:DescribeRule"] {
        assert!(has(action, "rule/StepFunctionsGetEventsForStepFunctionsExecutionRule"), "{action}");
    }
}

#[test]
fn a_function_writes_to_its_own_log_group() {
    let t = template();
    for function in t.of_type("AWS::Lambda::Function").into_keys() {
        let name = function.strip_suffix("Function").unwrap();
        let statements = t.statements(&format!("{name}Role"));
        let logs: Vec<_> = statements.iter().filter(|s| allows(s, &["logs:PutLogEvents"])).collect();
        assert_eq!(logs.len(), 1, "{name}");
        assert_eq!(
            logs[0]["Resource"],
            json!({ "Fn::GetAtt": [format!("{name}LogGroup"), "Arn"] }),
            "{name}"
        );
    }
}

#[test]
fn who_tells_people_can_change_nothing_and_reach_only_what_is_meant_for_it() {
    let t = template();
    let statements = t.statements("NotifyRole");
    for s in statements.iter().filter(|s| allows(s, &WRITES)) {
        assert_eq!(partitions(s), ["ATTEMPT#*"], "{s}");
    }
    let on = |action: &str| {
        let with: Vec<_> = statements.iter().filter(|s| allows(s, &[action])).collect();
        assert_eq!(with.len(), 1, "{action}");
        with[0]["Resource"].to_string()
    };
    assert!(on("ssm:GetParameter").contains(":parameter/${AWS::StackName}/webhooks/*"));
    let topics = on("sns:Publish");
    assert!(
        topics.contains(&format!(":{}*", seatrial_domain::policy::TOPIC_PREFIX))
            && topics.contains("NotifyTopicArn"),
        "{topics}"
    );
    assert_eq!(
        who(|s| allows(s, &["sns:Publish"]) || s["Resource"].to_string().contains("/webhooks/")),
        ["notify"],
        "nobody else knows webhooks"
    );
    assert!(statements.iter().all(|s| !list(&s["Action"]).iter().any(|a| a.starts_with("states:"))));
}

#[test]
fn who_drives_targets_reaches_what_the_deployment_names_and_changes_no_record_of_a_model() {
    let t = template();
    let statements = t.statements("ReconcileRole");
    for s in statements.iter().filter(|s| allows(s, &WRITES)) {
        assert_eq!(partitions(s), ["TARGET#*"], "{s}");
    }
    assert_eq!(who(|s| allows(s, &WRITES) && partitions(s).iter().any(|p| p == "TARGET#*")), ["reconcile"]);
    assert_eq!(who(|s| partitions(s).iter().any(|p| p == "TARGET#*")), ["control", "health", "reconcile"]);
    // Nobody else can move anybody's traffic, and nothing is reached that no parameter names.
    for action in ["lambda:UpdateAlias", "sagemaker:UpdateEndpointWeightsAndCapacities"] {
        assert_eq!(who(|s| allows(s, &[action])), ["reconcile"], "{action}");
    }
    for (action, parameter) in [
        ("lambda:UpdateAlias", "TargetFunctions"),
        ("lambda:GetAlias", "TargetFunctions"),
        ("sagemaker:UpdateEndpointWeightsAndCapacities", "TargetEndpoints"),
        ("sagemaker:DescribeEndpoint", "TargetEndpoints"),
        ("sts:AssumeRole", "TargetRoles"),
    ] {
        let named = json!({ "Fn::Split": [",", { "Ref": parameter }] });
        assert_eq!(who(|s| s["Resource"] == named && allows(s, &[action])), ["reconcile"], "{action}");
        let with: Vec<_> = statements.iter().filter(|s| allows(s, &[action])).collect();
        assert_eq!(with.len(), 1, "{action}");
        assert_eq!(with[0]["Resource"], named, "{action}");
        assert_eq!(t.root()["Parameters"][parameter]["Default"], "", "{parameter}");
        let pattern = t.root()["Parameters"][parameter]["AllowedPattern"].as_str().unwrap();
        assert!(!pattern.contains("[*]") && !pattern.contains(".*"), "{parameter} names each one: {pattern}");
    }
    let keys: Vec<_> = statements.iter().filter(|s| allows(s, &["ssm:GetParameter"])).collect();
    assert!(keys[0]["Resource"].to_string().contains(":parameter/${AWS::StackName}/targets/*"));
    assert!(statements.iter().all(|s| !list(&s["Action"]).iter().any(|a| a.starts_with("states:"))));
}

#[test]
fn a_network_and_a_key_of_ones_own_give_functions_what_they_need_and_machines_nothing() {
    let t = template();
    let none = json!({ "Ref": "AWS::NoValue" });
    let attached = json!([
        { "Fn::If": ["HasVpc", { "Ref": "VpcPolicy" }, none] },
        { "Fn::If": ["HasEncryptionKey", { "Ref": "EncryptionPolicy" }, none] },
    ]);
    for (name, p) in t.of_type("AWS::IAM::Role") {
        let wanted = if name.ends_with("MachineRole") { &Value::Null } else { &attached };
        assert_eq!(&p["ManagedPolicyArns"], wanted, "{name}");
    }
    let policies = t.of_type("AWS::IAM::ManagedPolicy");
    assert_eq!(policies.keys().copied().collect::<Vec<_>>(), ["EncryptionPolicy", "VpcPolicy"]);
    for (name, condition) in [("VpcPolicy", "HasVpc"), ("EncryptionPolicy", "HasEncryptionKey")] {
        assert_eq!(t.resource(name)["Condition"], condition);
    }
    // What Lambda may do in the name of a role its code may not.
    let network = policies["VpcPolicy"]["PolicyDocument"]["Statement"].as_array().unwrap();
    assert_eq!((&network[0]["Effect"], &network[1]["Effect"]), (&json!("Allow"), &json!("Deny")));
    assert_eq!(network[0]["Action"], network[1]["Action"]);
    assert!(list(&network[0]["Action"]).iter().all(|a| a.starts_with("ec2:")));
    assert!(network[1]["Condition"]["ArnLike"]["lambda:SourceFunctionArn"].is_object());
    // The key opens what services hold, and nothing by itself.
    let key = policies["EncryptionPolicy"]["PolicyDocument"]["Statement"].as_array().unwrap();
    assert_eq!(key.len(), 1);
    assert_eq!(key[0]["Resource"], json!({ "Ref": "EncryptionKeyArn" }));
    assert_eq!(key[0]["Condition"]["StringEquals"]["kms:ViaService"].as_array().map(Vec::len), Some(3));
    assert!(
        list(&key[0]["Action"]).iter().all(|a| a.starts_with("kms:") && !a.contains('*') && a != "kms:Sign")
    );
}
