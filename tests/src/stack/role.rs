//! The credentials that a function runs with.

use std::collections::BTreeMap;
use std::fs;

use aws_credential_types::Credentials;

use super::Stack;

impl Stack {
    /// The credentials of a function by its name in the template (`Health`), as one of its processes on this machine has them in
    /// its environment. `None` where no process of it runs, or where the engine gives functions no credentials of their own
    /// because it enforces no IAM.
    #[must_use]
    pub fn credentials_of(&self, function: &str) -> Option<Credentials> {
        let name = self.out(&format!("{function}FunctionName"));
        let processes = fs::read_dir("/proc").ok()?.flatten();
        processes.filter_map(|process| fs::read(process.path().join("environ")).ok()).find_map(
            |environment| {
                let text = String::from_utf8_lossy(&environment);
                let variables: BTreeMap<&str, &str> =
                    text.split('\0').filter_map(|v| v.split_once('=')).collect();
                let own = variables.get("AWS_LAMBDA_FUNCTION_NAME") == Some(&name)
                    && variables.get("AWS_ENDPOINT_URL") == Some(&self.out("Endpoint"));
                let id =
                    variables.get("AWS_ACCESS_KEY_ID").filter(|id| own && **id != self.out("Account"))?;
                let secret = variables.get("AWS_SECRET_ACCESS_KEY")?;
                let token = variables.get("AWS_SESSION_TOKEN").map(|token| (*token).to_owned());
                Some(Credentials::new(*id, *secret, token, None, "a function's environment"))
            },
        )
    }
}
