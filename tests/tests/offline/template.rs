//! The template as text: that nothing was forgotten for any function, bucket or queue.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use seatrial_runtime::config;
use seatrial_tests::repository;
use seatrial_tests::template::{Template, list};
use serde_json::{Value, json};

fn template() -> Template {
    Template::read().unwrap()
}

/// The functions by the names of their folders, with the names they have in the template.
fn functions() -> BTreeMap<String, String> {
    let folders = fs::read_dir(repository("functions")).unwrap().map(|e| e.unwrap().path());
    let names = folders
        .filter(|p| p.join("Cargo.toml").exists())
        .map(|p| p.file_name().unwrap().to_str().unwrap().to_owned());
    names.map(|name| (name.clone(), name[..1].to_uppercase() + &name[1..])).collect()
}

#[test]
fn every_function_has_what_it_needs_around_it() {
    let t = template();
    assert_eq!(functions().len(), t.of_type("AWS::Lambda::Function").len(), "functions/ and template");
    for (folder, name) in functions() {
        let function = t.properties(&format!("{name}Function"));
        assert_eq!(
            function["FunctionName"],
            json!({ "Fn::Sub": format!("${{AWS::StackName}}-{folder}") }),
            "{folder}"
        );
        assert_eq!(
            function["Role"],
            json!({ "Fn::GetAtt": [format!("{name}Role"), "Arn"] }),
            "{folder} has a role of its own"
        );
        assert_eq!(function["Code"]["S3Key"], json!({ "Ref": format!("{name}Key") }), "{folder}");
        assert_eq!(function["Runtime"], "provided.al2023", "{folder}");
        assert_eq!(
            t.properties(&format!("{name}Version"))["FunctionName"]["Ref"],
            format!("{name}Function"),
            "{folder}"
        );
        let alias = t.properties(&format!("{name}Alias"));
        assert_eq!(alias["Name"], "live", "{folder}");
        assert_eq!(
            alias["FunctionVersion"],
            json!({ "Fn::GetAtt": [format!("{name}Version"), "Version"] }),
            "{folder}"
        );
        let group = t.properties(&format!("{name}LogGroup"));
        assert_eq!(
            group["LogGroupName"],
            json!({ "Fn::Sub": format!("/aws/lambda/${{AWS::StackName}}-{folder}") }),
            "{folder}"
        );
        let alarm = t.properties(&format!("{name}ErrorsAlarm"));
        assert_eq!(alarm["MetricName"], "Errors", "{folder}");
        assert_eq!(alarm["Dimensions"][0]["Value"]["Ref"], format!("{name}Function"), "{folder}");
        let output = &t.root()["Outputs"][format!("{name}FunctionName")]["Value"]["Ref"];
        assert_eq!(*output, format!("{name}Function"), "{folder}");
    }
}

#[test]
fn a_version_is_published_anew_when_a_parameter_of_its_function_changes() {
    let t = template();
    let parameters = t.parameters();
    let digest = "ConfigurationDigest";
    for name in functions().values() {
        let mut wanted = Template::references(t.properties(&format!("{name}Function")));
        // What is the same for every zip of a deployment, and what belongs to the function and not to a version of it.
        wanted.retain(|r| {
            parameters.contains(r) && *r != "ArtifactBucket" && *r != format!("{name}Concurrency")
        });
        let mut named = Template::references(&t.properties(&format!("{name}Version"))["Description"]);
        assert!(named.remove(digest), "{name}: a digest can stand for what would be too long");
        assert!(wanted.remove(digest), "{name}: Lambda publishes no version of a function that is as it was");
        assert_eq!(
            named, wanted,
            "{name}: named in the version's description (left), used by the function (right)"
        );
    }
}

#[test]
fn another_digest_is_another_description_of_each_function_within_what_lambda_takes() {
    let t = template();
    let digest = &t.root()["Parameters"]["ConfigurationDigest"]["MaxLength"];
    let digest = usize::try_from(digest.as_u64().expect("a digest has a MaxLength")).unwrap();
    for name in functions().values() {
        let description = &t.properties(&format!("{name}Function"))["Description"];
        let sentence = description["Fn::If"][2].as_str().unwrap_or_else(|| panic!("{name}: {description}"));
        let with_digest = json!({ "Fn::Sub": format!("{sentence} ${{ConfigurationDigest}}") });
        assert_eq!(
            *description,
            json!({ "Fn::If": ["HasConfigurationDigest", with_digest, sentence] }),
            "{name}"
        );
        assert!(sentence.len() + 1 + digest <= 256, "{name}: Lambda takes 256 characters");
    }
}

#[test]
fn subnets_and_security_groups_come_together_for_alone_they_change_no_function() {
    let t = template();
    let is_set = |parameter: &str| json!({ "Fn::Not": [{ "Fn::Equals": [{ "Ref": parameter }, ""] }] });
    for (rule, with, needed) in [
        ("SubnetsNeedSecurityGroups", "VpcSubnetIds", "VpcSecurityGroupIds"),
        ("SecurityGroupsNeedSubnets", "VpcSecurityGroupIds", "VpcSubnetIds"),
    ] {
        let rule = &t.root()["Rules"][rule];
        assert_eq!(rule["RuleCondition"], is_set(with));
        assert_eq!(rule["Assertions"][0]["Assert"], is_set(needed));
    }
}

#[test]
fn everything_calls_the_alias() {
    let t = template();
    let is_alias = |v: &Value| v["Ref"].as_str().is_some_and(|r| r.ends_with("Alias"));
    for (name, p) in
        t.of_type("AWS::Lambda::EventSourceMapping").into_iter().chain(t.of_type("AWS::Lambda::Permission"))
    {
        assert!(is_alias(&p["FunctionName"]), "{name}");
    }
    for (name, p) in t.of_type("AWS::ApiGatewayV2::Integration") {
        assert!(is_alias(&p["IntegrationUri"]), "{name}");
        assert_eq!(p["PayloadFormatVersion"], "2.0", "{name}");
    }
    for (name, p) in t.of_type("AWS::Events::Rule") {
        for target in p["Targets"].as_array().unwrap() {
            assert!(is_alias(&target["Arn"]), "{name}");
            assert!(
                target["DeadLetterConfig"]["Arn"].is_object(),
                "{name}: an event that cannot be delivered is lost"
            );
        }
    }
    for (name, p) in t.of_type("AWS::Lambda::EventInvokeConfig") {
        assert_eq!(p["Qualifier"], "live", "{name}");
        assert!(p["DestinationConfig"]["OnFailure"]["Destination"].is_object(), "{name}");
    }
}

#[test]
fn the_environment_is_what_the_runtime_knows_and_what_the_code_asks_for() {
    let t = template();
    let known: BTreeSet<_> = config::NAMES.iter().map(|(name, _)| *name).collect();
    for (folder, name) in functions() {
        let variables = t.properties(&format!("{name}Function"))["Environment"]["Variables"].clone();
        let set: BTreeSet<String> = variables.as_object().unwrap().keys().cloned().collect();
        for variable in &set {
            assert!(known.contains(variable.as_str()), "{folder}: {variable} is not in the runtime's list");
        }
        for asked in needed_by(&repository("functions").join(&folder).join("src")) {
            assert!(set.contains(&asked), "{folder} needs {asked}, which the template does not set");
        }
        let bytes: usize = set.iter().map(|v| v.len() + 128).sum();
        assert!(bytes < 4_096, "{folder}: the environment of a function is limited to 4 KB");
    }
}

/// The names that sources ask for in a way that fails without them: `need("…")`, `bucket("…")`, `table()`, `registry()`.
fn needed_by(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(needed_by(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]").next().unwrap();
            for call in ["need(\"", "bucket(\""] {
                let names = text.split(call).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
                found.extend(names.filter(|name| name.starts_with("SEATRIAL_")));
            }
            if text.contains(".table()") || text.contains(".registry()") {
                found.insert("SEATRIAL_TABLE".to_owned());
            }
        }
    }
    found
}

/// Of AWS's own keys, unless the deployment names one of its own.
fn encrypted_by(own: &Value, aws: &Value) -> Value {
    json!({ "Fn::If": ["HasEncryptionKey", own, aws] })
}

/// What every bucket and queue denies: what does not come over TLS, but for emulators, which speak plain HTTP.
fn denies_plain_http(policy: &Value, action: &str) -> bool {
    let condition = json!({
        "Bool": { "aws:SecureTransport": "false" },
        // No account of AWS.
        "StringNotEquals": { "aws:PrincipalAccount": "000000000000" },
    });
    policy["PolicyDocument"]["Statement"].as_array().into_iter().flatten().any(|s| {
        s["Effect"] == "Deny" && s["Principal"] == "*" && s["Action"] == action && s["Condition"] == condition
    })
}

#[test]
fn queues_have_dead_letters_encryption_tls_and_alarms() {
    let t = template();
    let queues = t.of_type("AWS::SQS::Queue");
    let alarms = t.of_type("AWS::CloudWatch::Alarm");
    for (name, p) in &queues {
        let (own, none) = (json!({ "Ref": "EncryptionKeyArn" }), json!({ "Ref": "AWS::NoValue" }));
        assert_eq!(p["SqsManagedSseEnabled"], encrypted_by(&none, &json!(true)), "{name}");
        assert_eq!(p["KmsMasterKeyId"], encrypted_by(&own, &none), "{name}");
        let policy = t.properties(&format!("{name}Policy"));
        assert_eq!(policy["Queues"], json!([{ "Ref": name }]), "a queue has one policy: {name}");
        assert!(denies_plain_http(policy, "sqs:*"), "{name}");
        if name.ends_with("DeadLetters") {
            let alarmed = alarms.values().any(|a| {
                a["MetricName"] == "ApproximateNumberOfMessagesVisible"
                    && a["Dimensions"][0]["Value"] == json!({ "Fn::GetAtt": [name, "QueueName"] })
            });
            assert!(alarmed, "{name} has no alarm");
            assert_eq!(
                p["MessageRetentionPeriod"], 1_209_600,
                "{name} keeps its messages as long as SQS can"
            );
        } else {
            let target =
                p["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0].as_str().unwrap_or_default();
            assert!(queues.contains_key(target), "{name} has no dead-letter queue");
            assert!(p["RedrivePolicy"]["maxReceiveCount"].as_u64().is_some_and(|n| n > 1), "{name}");
        }
    }
}

#[test]
fn a_message_stays_hidden_six_times_as_long_as_its_function_may_run() {
    let t = template();
    for (name, p) in t.of_type("AWS::Lambda::EventSourceMapping") {
        let function = function_of(&t, p);
        let timeout = t.properties(function)["Timeout"].as_u64().unwrap();
        let source = p["EventSourceArn"]["Fn::GetAtt"][0].as_str().unwrap();
        assert_eq!(p["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]), "{name}");
        if source == "Table" {
            assert_eq!(p["BisectBatchOnFunctionError"], true, "{name}");
            assert!(
                p["MaximumRetryAttempts"].as_u64().is_some_and(|n| n < 10_000),
                "{name}: one bad record would block the shard"
            );
            assert!(p["DestinationConfig"]["OnFailure"]["Destination"].is_object(), "{name}");
            continue;
        }
        let parameter = t.properties(source)["VisibilityTimeout"]["Ref"].as_str().unwrap();
        let hidden: u64 = t.default(parameter).unwrap().parse().unwrap();
        assert!(hidden >= 6 * timeout, "{name}: {parameter} is {hidden} s, {function} may run {timeout} s");
    }
}

#[test]
fn buckets_are_private_encrypted_versioned_and_speak_tls_only() {
    let t = template();
    let buckets = t.of_type("AWS::S3::Bucket");
    assert_eq!(
        buckets.keys().copied().collect::<Vec<_>>(),
        ["DataBucket", "EvidenceBucket", "ModelsBucket", "SubmissionsBucket"]
    );
    for (name, p) in buckets {
        let rule =
            &p["BucketEncryption"]["ServerSideEncryptionConfiguration"][0]["ServerSideEncryptionByDefault"];
        let (own, none) = (json!({ "Ref": "EncryptionKeyArn" }), json!({ "Ref": "AWS::NoValue" }));
        assert_eq!(rule["SSEAlgorithm"], encrypted_by(&json!("aws:kms"), &json!("AES256")), "{name}");
        assert_eq!(rule["KMSMasterKeyID"], encrypted_by(&own, &none), "{name}");
        assert_eq!(p["VersioningConfiguration"]["Status"], "Enabled", "{name}");
        let block = p["PublicAccessBlockConfiguration"].as_object().unwrap();
        assert!(block.len() == 4 && block.values().all(|v| *v == true), "{name}");
        assert_eq!(t.resource(name)["DeletionPolicy"], "Retain", "{name}");
        let policy = t.properties(&format!("{name}Policy"));
        assert_eq!(policy["Bucket"]["Ref"], name);
        let deny = &policy["PolicyDocument"]["Statement"][0];
        assert!(denies_plain_http(policy, "s3:*"), "{name}");
        assert_eq!(deny["Resource"].as_array().unwrap().len(), 2, "{name}: the bucket and its objects");
    }
    let lock = &t.properties("EvidenceBucket")["ObjectLockConfiguration"];
    assert_eq!(t.properties("EvidenceBucket")["ObjectLockEnabled"], true);
    assert!(
        lock["Rule"]["DefaultRetention"]["Mode"].is_object()
            && lock["Rule"]["DefaultRetention"]["Days"].is_object()
    );
}

#[test]
fn by_default_there_is_no_network_no_key_and_no_access_log_of_ones_own() {
    let t = template();
    for parameter in ["VpcSubnetIds", "VpcSecurityGroupIds", "EncryptionKeyArn", "AccessLogsBucket"] {
        assert_eq!(t.default(parameter).as_deref(), Some(""), "{parameter}");
    }
    let none = json!({ "Ref": "AWS::NoValue" });
    let only_if = |value: &Value, condition: &str| {
        value["Fn::If"][0] == condition && value["Fn::If"][2] == none && !value["Fn::If"][1].is_null()
    };
    for (name, p) in t.of_type("AWS::Lambda::Function") {
        assert!(only_if(&p["VpcConfig"], "HasVpc"), "{name}");
    }
    for (name, p) in t.of_type("AWS::Logs::LogGroup") {
        assert!(only_if(&p["KmsKeyId"], "HasEncryptionKey"), "{name}");
    }
    for (name, p) in t.of_type("AWS::S3::Bucket") {
        assert!(only_if(&p["LoggingConfiguration"], "HasAccessLogs"), "{name}");
    }
    let table = &t.properties("Table")["SSESpecification"];
    assert!(
        only_if(&table["KMSMasterKeyId"], "HasEncryptionKey")
            && only_if(&table["SSEType"], "HasEncryptionKey")
    );
}

#[test]
fn the_table_can_be_restored_and_is_laid_out_as_the_registry_expects() {
    let t = template();
    let table = t.properties("Table");
    assert_eq!(table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"], true);
    assert_eq!(table["SSESpecification"]["SSEEnabled"], true);
    assert_eq!(
        table["TimeToLiveSpecification"],
        json!({ "AttributeName": "expires_at_epoch", "Enabled": true })
    );
    assert_eq!(table["StreamSpecification"]["StreamViewType"], "NEW_IMAGE");
    let keys = |v: &Value| list(&v.as_array().unwrap().iter().map(|k| k["AttributeName"].clone()).collect());
    assert_eq!(keys(&table["KeySchema"]), ["pk", "sk"]);
    assert_eq!(keys(&table["GlobalSecondaryIndexes"][0]["KeySchema"]), ["gsi1pk", "gsi1sk"]);
    assert!(table["DeletionProtectionEnabled"]["Ref"].is_string());
    assert_eq!(t.resource("Table")["DeletionPolicy"], "Retain");
}

#[test]
fn logs_end_and_hold_no_secret() {
    let t = template();
    for (name, p) in t.of_type("AWS::Logs::LogGroup") {
        assert_eq!(p["RetentionInDays"]["Ref"], "LogRetentionDays", "{name}");
    }
    for (name, p) in t.of_type("AWS::StepFunctions::StateMachine") {
        assert_eq!(
            p["LoggingConfiguration"]["IncludeExecutionData"], false,
            "{name}: the input of a gate holds its task token"
        );
    }
    for (name, p) in t.of_type("AWS::ApiGatewayV2::Stage") {
        let format = p["AccessLogSettings"]["Format"].as_str().unwrap();
        for secret in
            ["$context.path", "$context.authorizer", "$context.integration.error", "$context.requestOverride"]
        {
            assert!(!format.contains(secret), "{name}: the path of a link holds its secret");
        }
        assert!(format.contains("$context.routeKey"), "{name}");
        serde_json::from_str::<Value>(format).unwrap();
    }
}

#[test]
fn only_the_pages_of_approvers_and_what_checks_tokens_itself_are_public() {
    let t = template();
    let routes = t.of_type("AWS::ApiGatewayV2::Route");
    let public: BTreeSet<_> = routes
        .values()
        .filter(|r| r["AuthorizationType"] != "AWS_IAM")
        .map(|r| r["RouteKey"].as_str().unwrap())
        .collect();
    assert_eq!(
        public.into_iter().collect::<Vec<_>>(),
        [
            "ANY /",
            "ANY /api/v1/{proxy+}",
            "ANY /g/{proxy+}",
            "ANY /gates",
            "ANY /l/{proxy+}",
            "ANY /login",
            "ANY /login/{proxy+}",
            "ANY /logout"
        ]
    );
    let apis: BTreeSet<_> = routes.values().map(|r| r["ApiId"]["Ref"].as_str().unwrap()).collect();
    assert_eq!(apis.into_iter().collect::<Vec<_>>(), ["ApprovalsApi", "ControlApi", "ServeApi"]);
    for (name, r) in &routes {
        if r["AuthorizationType"] != "AWS_IAM" {
            assert_eq!(r["ApiId"]["Ref"], "ApprovalsApi", "{name}");
        }
    }
}

#[test]
fn a_local_identity_is_refused_in_a_real_account() {
    let t = template();
    let rule = &t.root()["Rules"]["LocalIdentityNeedsAnEmulator"];
    let emulator = json!({ "Fn::Equals": [{ "Ref": "AWS::AccountId" }, "000000000000"] });
    assert_eq!(rule["Assertions"][0]["Assert"], emulator);
    assert!(t.root()["Conditions"]["HasLocalIdentity"]["Fn::And"].as_array().unwrap().contains(&emulator));
    for (name, p) in t.of_type("AWS::Lambda::Function") {
        let variable = &p["Environment"]["Variables"]["SEATRIAL_LOCAL_IDENTITY"];
        if !variable.is_null() {
            assert_eq!(variable["Fn::If"][0], "HasLocalIdentity", "{name}");
            assert_eq!(variable["Fn::If"][2], json!({ "Ref": "AWS::NoValue" }), "{name}");
        }
    }
}

#[test]
fn an_issuer_is_https_and_believed_for_somebody() {
    let t = template();
    let rule = &t.root()["Rules"]["AnIssuerIsBelievedForSomebody"];
    assert_eq!(
        rule["RuleCondition"],
        json!({ "Fn::Not": [{ "Fn::Equals": [{ "Ref": "OidcIssuer" }, ""] }] })
    );
    assert_eq!(rule["Assertions"][0]["Assert"]["Fn::Or"].as_array().unwrap().len(), 2);
    let pattern = t.root()["Parameters"]["OidcIssuer"]["AllowedPattern"].as_str().unwrap();
    assert!(
        pattern.contains("https://")
            && pattern.contains("http://127[.]0[.]0[.]1")
            && pattern.ends_with(")?$")
    );
    for (name, p) in t.of_type("AWS::Lambda::Function") {
        let issuer = &p["Environment"]["Variables"]["SEATRIAL_OIDC_ISSUER"];
        assert_eq!(!issuer.is_null(), name == "ApprovalsFunction", "{name}");
    }
}

#[test]
fn the_filter_of_answer_lets_decided_gates_through_and_nothing_else() {
    let t = template();
    let pattern =
        t.properties("AnswerSource")["FilterCriteria"]["Filters"][0]["Pattern"].as_str().unwrap().to_owned();
    let pattern: Value = serde_json::from_str(&pattern).unwrap();
    assert_eq!(pattern["dynamodb"]["Keys"]["sk"]["S"], json!(["GATE"]));
    let let_through = list(&pattern["dynamodb"]["NewImage"]["status"]["S"]);
    use seatrial_domain::gate::GateStatus::{Approved, Cancelled, Expired, Pending, Rejected};
    for status in [Pending, Approved, Rejected, Expired, Cancelled] {
        let word = serde_json::to_value(status).unwrap();
        assert_eq!(let_through.iter().any(|w| json!(w) == word), status != Pending, "{word}");
    }
}

#[test]
fn the_filter_of_entries_lets_through_what_people_may_be_told_of_and_what_moves_targets() {
    let t = template();
    let source = t.properties("EntriesSource");
    let pattern = source["FilterCriteria"]["Filters"][0]["Pattern"].as_str().unwrap();
    let pattern: Value = serde_json::from_str(pattern).unwrap();
    assert_eq!(pattern["eventName"], json!(["INSERT"]));
    let events = list(&pattern["dynamodb"]["NewImage"]["event"]["S"]);
    let (told, moves) = (seatrial_domain::notice::TOLD, seatrial_domain::target::MOVES);
    let more = moves.iter().filter(|event| !told.contains(event));
    assert_eq!(events, told.iter().chain(more).copied().collect::<Vec<_>>());
    assert_eq!(
        function_of(&t, source),
        function_of(&t, t.properties("AnswerSource")),
        "who reads the stream knows tokens"
    );
}

/// The function whose alias a mapping calls.
fn function_of<'a>(t: &'a Template, mapping: &'a Value) -> &'a str {
    let alias = mapping["FunctionName"]["Ref"].as_str().unwrap();
    t.properties(alias)["FunctionName"]["Ref"].as_str().unwrap()
}

#[test]
fn lambda_takes_every_mapping_because_none_repeats_a_source_for_the_same_name_of_a_function() {
    let t = template();
    let mut seen = BTreeSet::new();
    for (name, p) in t.of_type("AWS::Lambda::EventSourceMapping") {
        let of = (p["EventSourceArn"].to_string(), p["FunctionName"].to_string());
        assert!(seen.insert(of), "{name}: CreateEventSourceMapping answers ResourceConflictException");
    }
}

/// An event of the fixtures.
fn event(file: &str) -> Value {
    let path = repository("tests/fixtures/events").join(file);
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The name of the stack whose rules these are.
const STACK: &str = "seatrial";

/// The events of the fixtures by the rules that let them through, as EventBridge matches: every field of a pattern is in the event,
/// with one of the values, or is not there where that is one of them.
fn rules_of(event: &Value) -> Vec<String> {
    fn matches(pattern: &Value, event: Option<&Value>) -> bool {
        match pattern {
            Value::Object(fields) => {
                fields.iter().all(|(name, of)| matches(of, event.and_then(|event| event.get(name))))
            }
            Value::Array(values) => values.iter().any(|value| is(value, event)),
            _ => false,
        }
    }
    fn is(value: &Value, event: Option<&Value>) -> bool {
        let text = event.and_then(Value::as_str);
        if let Some(wildcard) = value.get("wildcard") {
            return like(wildcard.as_str().unwrap(), text.unwrap_or_default());
        }
        if let Some(exists) = value.get("exists") {
            return exists.as_bool() == Some(event.is_some());
        }
        match value["Ref"].as_str() {
            // The submissions bucket; its name is in the fixtures.
            Some("SubmissionsBucket") => text == Some("submissions"),
            Some("AWS::StackName") => text == Some(STACK),
            _ => event == Some(value),
        }
    }
    fn like(wildcard: &str, text: &str) -> bool {
        match wildcard.split_once('*') {
            None => wildcard == text,
            Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
                rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| like(after, &rest[at..]))
            }),
        }
    }
    let t = template();
    let rules = t.of_type("AWS::Events::Rule");
    let with_pattern = rules.iter().filter(|(_, p)| p["EventPattern"].is_object());
    let found = with_pattern.filter(|(_, p)| matches(&p["EventPattern"], Some(event)));
    found.map(|(name, _)| (*name).to_owned()).collect()
}

#[test]
fn each_kind_of_event_reaches_intake_by_one_rule_and_nothing_else_does() {
    for (file, rule) in [
        ("sagemaker-training-job.json", "TrainingJobRule"),
        ("sagemaker-model-package.json", "ModelPackageRule"),
        ("s3-submission.json", "SubmissionRule"),
        ("ci-request.json", "RequestRule"),
    ] {
        assert_eq!(rules_of(&event(file)), [rule], "{file}");
    }
    let mut failed = event("sagemaker-training-job.json");
    failed["detail"]["TrainingJobStatus"] = json!("Failed");
    let mut waiting = event("sagemaker-model-package.json");
    waiting["detail"]["ModelApprovalStatus"] = json!("PendingManualApproval");
    let mut unpacked = event("s3-submission.json");
    unpacked["detail"]["object"]["key"] = json!("unpacked/adult-income/pr_1/submission.json");
    for event in [failed, waiting, unpacked] {
        assert!(rules_of(&event).is_empty(), "{event}");
    }
    // Whatever reaches `intake` and is refused has a place to go, with its reason.
    let t = template();
    let of = &t.properties("IntakeDeadLettersPolicy")["PolicyDocument"]["Statement"][0];
    let senders = Template::references(&of["Condition"]);
    let rules = ["ModelPackageRule", "RequestRule", "SubmissionRule", "TrainingJobRule"];
    assert_eq!(senders.into_iter().collect::<Vec<_>>(), rules);
}

#[test]
fn a_request_that_names_a_stack_reaches_that_stack_alone() {
    let with = |stack: Value| {
        let mut request = event("ci-request.json");
        request["detail"]["stack"] = stack;
        rules_of(&request)
    };
    assert_eq!(with(json!(STACK)), ["RequestRule"]);
    for other in [json!("seatrial-2"), json!("Seatrial"), json!(""), Value::Null] {
        assert!(with(other.clone()).is_empty(), "{other}");
    }
    // Tags are looked at by `intake`, which therefore knows its stack.
    let t = template();
    let variables = &t.properties("IntakeFunction")["Environment"]["Variables"];
    assert_eq!(variables["SEATRIAL_STACK"], json!({ "Ref": "AWS::StackName" }));
}

#[test]
fn a_delivery_is_given_up_by_notify_with_its_reason_before_the_queue_does_it_without() {
    let t = template();
    let received = t.properties("NoticesQueue")["RedrivePolicy"]["maxReceiveCount"].as_u64().unwrap();
    assert!(received > u64::from(seatrial_domain::notice::MOST_ATTEMPTS));
}

#[test]
fn whoever_drives_a_target_is_alone_with_it_for_as_long_as_it_may_run() {
    let t = template();
    let hold = u64::from(seatrial_domain::target::HOLD_SECONDS);
    let timeout = t.properties("ReconcileFunction")["Timeout"].as_u64().unwrap();
    assert!(timeout < hold, "a function that lost its hold could still move traffic");
    // One that waits for another to be done is not given up before that.
    let received = t.properties("TargetsQueue")["RedrivePolicy"]["maxReceiveCount"].as_u64().unwrap();
    assert!(received * 2 > hold);
}

#[test]
fn targets_that_nobody_looks_at_ring_before_their_messages_lapse() {
    let t = template();
    let alarm = t.properties("TargetsQueueAgeAlarm");
    assert_eq!((&alarm["Namespace"], &alarm["Statistic"]), (&json!("AWS/SQS"), &json!("Maximum")));
    assert_eq!(alarm["MetricName"], "ApproximateAgeOfOldestMessage");
    assert_eq!(
        alarm["Dimensions"],
        json!([{ "Name": "QueueName", "Value": { "Fn::GetAtt": ["TargetsQueue", "QueueName"] } }])
    );
    assert_eq!(alarm["ComparisonOperator"], "GreaterThanThreshold");
    assert_eq!(alarm["AlarmActions"]["Fn::If"][0], "HasAlarmTopic");
    let rings = alarm["Threshold"].as_u64().unwrap();
    assert_eq!(rings, 300);
    // A message that lapsed is in no dead-letter queue.
    let kept = t.properties("TargetsQueue")["MessageRetentionPeriod"].as_u64().unwrap();
    assert!(rings * 2 < kept, "{rings} s and {kept} s");
    // One that an invocation died with comes again by itself.
    let hidden: u64 = t.default("TargetsVisibility").unwrap().parse().unwrap();
    assert!(hidden < rings, "{hidden} s and {rings} s");
}

#[test]
fn each_function_that_a_rollback_needs_can_be_given_concurrency_that_no_traffic_takes() {
    let t = template();
    // From the operator over the registry to a traffic target; the last two are what others can burn.
    for name in ["Control", "Rollback", "Answer", "Reconcile", "Approvals", "Serve"] {
        let parameter = format!("{name}Concurrency");
        let given = json!({ "Fn::If": [
            format!("Has{parameter}"), { "Ref": parameter }, { "Ref": "AWS::NoValue" }
        ] });
        assert_eq!(t.properties(&format!("{name}Function"))["ReservedConcurrentExecutions"], given, "{name}");
        assert_eq!(
            t.root()["Conditions"][format!("Has{parameter}")],
            json!({ "Fn::Not": [{ "Fn::Equals": [{ "Ref": parameter }, ""] }] }),
            "{name}"
        );
        assert_eq!(
            t.default(&parameter).as_deref(),
            Some(""),
            "{parameter}: the account's, unless asked for"
        );
    }
}

#[test]
fn every_parameter_is_used_and_described() {
    let t = template();
    let mut used = BTreeSet::new();
    for part in ["Rules", "Conditions", "Resources", "Outputs"] {
        used.extend(Template::references(&t.root()[part]));
    }
    for parameter in t.parameters() {
        assert!(used.contains(&parameter), "{parameter} is not used");
        let says = t.root()["Parameters"][&parameter]["Description"].as_str().unwrap_or_default();
        assert!(says.ends_with('.'), "{parameter} has no description");
        let definition = &t.root()["Parameters"][&parameter];
        assert_eq!(
            definition["AllowedPattern"].is_string(),
            definition["ConstraintDescription"].is_string(),
            "{parameter}: what a pattern allows is said in words"
        );
    }
}
