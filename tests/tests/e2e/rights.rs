//! What the function that judges a canary may not do, tried with the very credentials it runs with.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use aws_credential_types::Credentials;
use seatrial_registry::Records as _;
use seatrial_tests::stack::{Model, Stack};
use serde_json::{Value, json};

/// One call as `health`: status and text.
async fn call(stack: &Stack, who: &Credentials, service: &str, target: &str, body: &Value) -> (u16, String) {
    let headers = [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", target)];
    let url = format!("{}/", stack.out("Endpoint"));
    let answer = stack.signed_as(who.clone(), service, "POST", &url, &headers, &body.to_string()).await;
    (answer.status, answer.text)
}

async fn invoke(stack: &Stack, who: &Credentials, function: &str) -> (u16, String) {
    let name = stack.out(&format!("{function}FunctionName"));
    let url = format!("{}/2015-03-31/functions/{name}/invocations?Qualifier=live", stack.out("Endpoint"));
    let headers = [("content-type", "application/json")];
    let answer = stack.signed_as(who.clone(), "lambda", "POST", &url, &headers, "{}").await;
    (answer.status, answer.text)
}

#[tokio::test]
async fn who_judges_the_canary_is_refused_whatever_would_promote() {
    let stack = Stack::connect().await;
    let model = Model::new(&stack, "health-rights", &json!({})).await;
    // Nonsense is refused by the handler, and leaves a process with the role's credentials behind.
    assert!(stack.invoke("Health", &json!({})).await.is_err());
    let Some(health) = stack.credentials_of("Health") else {
        println!("nothing to show: this engine enforces no IAM");
        return;
    };
    let head = || async { stack.registry.head(&model.name).await.unwrap().unwrap() };
    let before = head().await;
    let key = json!({ "pk": { "S": format!("MODEL#{}", model.name) }, "sk": { "S": "HEAD" } });
    let table = stack.out("TableName");

    // The same credentials do what the role is for: the refusals below are not those of a wrong signature.
    let (status, text) = call(
        &stack,
        &health,
        "dynamodb",
        "DynamoDB_20120810.GetItem",
        &json!({ "TableName": table, "Key": key }),
    )
    .await;
    assert_eq!(status, 200, "{text}");
    assert!(text.contains(model.name.as_str()), "{text}");

    let update = |partition: String, sort: &str| {
        json!({
            "TableName": table, "Key": { "pk": { "S": partition }, "sk": { "S": sort } },
            "UpdateExpression": "SET taken = :t", "ExpressionAttributeValues": { ":t": { "BOOL": true } },
        })
    };
    let of_model = update(format!("MODEL#{}", model.name), "HEAD");
    let mut refused = Vec::new();
    for (service, target, body) in [
        ("dynamodb", "DynamoDB_20120810.UpdateItem", of_model.clone()),
        ("dynamodb", "DynamoDB_20120810.UpdateItem", update(format!("HISTORY#{}", model.name), "1")),
        ("dynamodb", "DynamoDB_20120810.UpdateItem", update("GATE#ga_0".to_owned(), "DECISION")),
        (
            "dynamodb",
            "DynamoDB_20120810.TransactWriteItems",
            json!({ "TransactItems": [{ "Update": of_model }] }),
        ),
        ("dynamodb", "DynamoDB_20120810.DeleteItem", json!({ "TableName": table, "Key": key })),
        (
            "states",
            "AWSStepFunctions.StartExecution",
            json!({ "stateMachineArn": stack.out("PromotionStateMachineArn"), "input": "{}" }),
        ),
        ("states", "AWSStepFunctions.SendTaskSuccess", json!({ "taskToken": "t", "output": "{}" })),
        (
            "kms",
            "TrentService.Sign",
            json!({ "KeyId": stack.out("SigningKeyArn"), "Message": "aGk=", "SigningAlgorithm": "ECDSA_SHA_256" }),
        ),
        (
            "sqs",
            "AmazonSQS.SendMessage",
            json!({ "QueueUrl": stack.out("ObservationsQueueUrl"), "MessageBody": "[]" }),
        ),
    ] {
        let (status, text) = call(&stack, &health, service, target, &body).await;
        refused.push((target.to_owned(), status, text));
    }
    for function in ["Crown", "Shift", "Gate", "Answer", "Rollback", "Attest"] {
        let (status, text) = invoke(&stack, &health, function).await;
        refused.push((format!("invoke {function}"), status, text));
    }
    for (what, status, text) in refused {
        assert!(
            (400..500).contains(&status) && text.contains("AccessDenied"),
            "health may {what}: {status} {text}"
        );
    }
    assert_eq!(head().await, before, "nothing of this changed the model");
}
