//! Tests that cannot hold on an engine, from the one list of them: `tests/left_out.json`.

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::{paths, say};

/// A test, or all tests of a module, that an engine cannot pass.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// The engine, as `--engine` names it.
    pub engine: String,
    /// `module::test`, or `module::`.
    pub test: String,
    /// What the engine lacks.
    pub reason: String,
}

/// The list for one engine.
pub fn on(engine: &str) -> Result<Vec<LeftOut>> {
    let file = paths::workspace().join("tests/left_out.json");
    let text =
        std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", paths::shown(&file)))?;
    let all: Vec<LeftOut> = serde_json::from_str(&text)
        .with_context(|| format!("{} is not a list of tests", paths::shown(&file)))?;
    Ok(all.into_iter().filter(|one| one.engine == engine).collect())
}

/// Says what is left out, each with its reason.
pub fn tell(left_out: &[LeftOut]) {
    for one in left_out {
        say::note(format!("left out on {}: {} ({})", one.engine, one.test, one.reason));
    }
}

/// An expression of nextest for the suite without these; where modules are named, for these alone.
pub fn filter(left_out: &[LeftOut], only: &[&str]) -> String {
    let without = |one: &LeftOut| {
        if one.test.ends_with("::") {
            format!(" - test(/^{}/)", one.test)
        } else {
            format!(" - test(={})", one.test)
        }
    };
    let of = match only {
        [] => "binary(e2e)".to_owned(),
        modules => format!("binary(e2e) & test(/^({})/)", modules.join("|")),
    };
    left_out.iter().fold(of, |all, one| all + &without(one))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_suite_is_run_without_what_is_listed_and_nothing_else() {
        let one =
            |test: &str| LeftOut { engine: "e".to_owned(), test: test.to_owned(), reason: "r".to_owned() };
        assert_eq!(filter(&[], &[]), "binary(e2e)");
        assert_eq!(filter(&[], &["a::", "b::"]), "binary(e2e) & test(/^(a::|b::)/)");
        assert_eq!(
            filter(&[one("login::"), one("gates::links")], &[]),
            "binary(e2e) - test(/^login::/) - test(=gates::links)"
        );
    }
}
