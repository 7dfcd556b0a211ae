//! How a command fails: a sentence, what to do next, and a documented exit code.

use serde_json::{Value, json};

use crate::output::Format;

/// Something unexpected.
pub const UNEXPECTED: u8 = 1;
/// What was given is wrong: a submission, a policy, a file.
pub const INVALID: u8 = 3;
/// What was named does not exist.
pub const NOT_FOUND: u8 = 4;
/// The rules or the present state refuse it.
pub const REFUSED: u8 = 5;
/// The caller is not known or may not do it.
pub const FORBIDDEN: u8 = 6;
/// Something did not answer; try again.
pub const UNAVAILABLE: u8 = 7;
/// The promotion that was waited for ended without success.
pub const NOT_PROMOTED: u8 = 8;

/// A failed command.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: u8,
    /// The stable code, as in problem documents.
    pub code: String,
    /// What happened and what to do.
    pub message: String,
    /// Where, one by one.
    pub defects: Vec<Value>,
}

impl Failure {
    /// A failure with this exit code and text.
    pub fn new(exit: u8, code: &str, message: impl Into<String>) -> Self {
        Self { exit, code: code.to_owned(), message: message.into(), defects: Vec::new() }
    }

    /// Something that was given is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(INVALID, "invalid", message)
    }

    /// Something that did not answer.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(UNAVAILABLE, "unavailable", message)
    }

    /// Something unexpected.
    pub fn unexpected(message: impl Into<String>) -> Self {
        Self::new(UNEXPECTED, "unexpected", message)
    }

    /// The failure that a problem document tells.
    #[must_use]
    pub fn of_problem(status: u16, body: &str) -> Self {
        let problem: Value = serde_json::from_str(body).unwrap_or(Value::Null);
        let text = |name: &str| problem.get(name).and_then(Value::as_str).map(str::to_owned);
        let exit = match status {
            400 | 413 | 422 => INVALID,
            401 | 403 => FORBIDDEN,
            404 => NOT_FOUND,
            409 | 410 => REFUSED,
            429 | 500..=599 => UNAVAILABLE,
            _ => UNEXPECTED,
        };
        let message = text("detail").or_else(|| text("message")).unwrap_or_else(|| {
            format!("the API answered {status}: {}", body.chars().take(300).collect::<String>())
        });
        Self {
            exit,
            code: text("code").unwrap_or_else(|| format!("http_{status}")),
            message,
            defects: problem.get("defects").and_then(Value::as_array).cloned().unwrap_or_default(),
        }
    }

    /// Prints the failure on standard error.
    pub fn print(&self, format: Format) {
        if format == Format::Json {
            let body = json!({ "error": { "code": self.code, "message": self.message, "defects": self.defects, "exit": self.exit } });
            eprintln!("{body:#}");
            return;
        }
        eprintln!("error: {}", self.message);
        for defect in &self.defects {
            let get = |name: &str| defect.get(name).and_then(Value::as_str);
            let place = [get("file"), get("field")].into_iter().flatten().collect::<Vec<_>>().join(": ");
            let what = match (get("problem"), get("found"), get("expected")) {
                (Some(problem), ..) => problem.to_owned(),
                (None, Some(found), Some(expected)) => format!("found {found}, expected {expected}"),
                _ => defect.to_string(),
            };
            eprintln!("  - {place}: {what}");
            if let Some(fix) = get("fix") {
                eprintln!("    {fix}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_keeps_its_code_and_its_words() {
        let failure = Failure::of_problem(409, r#"{"code":"no_standby","detail":"nothing to go back to"}"#);
        assert_eq!((failure.exit, failure.code.as_str()), (REFUSED, "no_standby"));
        assert_eq!(failure.message, "nothing to go back to");
        assert_eq!(Failure::of_problem(403, r#"{"message":"Forbidden"}"#).exit, FORBIDDEN);
        assert_eq!(Failure::of_problem(502, "<html>").exit, UNAVAILABLE);
    }
}
