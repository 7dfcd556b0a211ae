//! Faults on LocalStack, and executions by their name.

use serde_json::Value;

use super::Stack;

impl Stack {
    /// Tells the engine what is to strike (`tests/engine/localstack_parts/faults.py`).
    pub async fn faults(&self, rules: &Value) {
        let url = format!("{}/_seatrial/faults", self.out("Endpoint"));
        let answer = self.plain("POST", &url, &rules.to_string()).await;
        assert_eq!(answer.status, 200, "the engine takes no faults: {}", answer.text);
    }

    /// What struck a model, and what was called.
    pub async fn struck(&self, model: &str) -> Value {
        self.plain("GET", &format!("{}/_seatrial/faults/{model}", self.out("Endpoint")), "").await.json()
    }

    /// An execution's status, error and cause by its name; `machine` is `Promotion` or `Canary`. None when there is none.
    pub async fn execution_of(&self, machine: &str, name: &str) -> Option<(String, String, String)> {
        let machine = self.out(&format!("{machine}StateMachineArn"));
        let arn = format!("{}:{name}", machine.replacen(":stateMachine:", ":execution:", 1));
        let found = match self.sfn.describe_execution().execution_arn(arn).send().await {
            Ok(found) => found,
            Err(e) if e.as_service_error().is_some_and(|e| e.is_execution_does_not_exist()) => return None,
            Err(e) => panic!("Step Functions does not say how {name} is: {e:?}"),
        };
        let text = |t: Option<&str>| t.unwrap_or_default().to_owned();
        Some((found.status().as_str().to_owned(), text(found.error()), text(found.cause())))
    }
}
