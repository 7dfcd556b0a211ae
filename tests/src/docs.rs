//! The commands in README and `docs/`, so that tests can hold them against the programs.

use std::fs;

use anyhow::{Context, Result};

use crate::repository;

/// A command as a document shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Where, for example `docs/submit.md:7`.
    pub place: String,
    /// Its words, the program first.
    pub words: Vec<String>,
}

/// Every command of `program` in the `sh` blocks of README and `docs/`.
///
/// # Errors
/// When a document cannot be read, or a command has a quote without its end.
pub fn commands(program: &[&str]) -> Result<Vec<Shown>> {
    let mut pages = vec!["README.md".to_owned()];
    for entry in fs::read_dir(repository("docs")).context("docs/ cannot be listed")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".md") {
            pages.push(format!("docs/{name}"));
        }
    }
    pages.sort();
    let mut found = Vec::new();
    for page in pages {
        let text = fs::read_to_string(repository(&page)).with_context(|| page.clone())?;
        found.extend(
            of_page(&page, &text)?.into_iter().filter(|shown| shown.words.starts_with(&owned(program))),
        );
    }
    Ok(found)
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// All commands of a page's `sh` blocks. A new line, `&&`, `|` and `;` end a command; a variable that is set before it, and where its output goes, are
/// no words of it.
fn of_page(page: &str, text: &str) -> Result<Vec<Shown>> {
    let (mut found, mut block) = (Vec::new(), None::<(usize, String)>);
    for (number, line) in text.lines().enumerate() {
        match (line.trim_start().starts_with("```"), &mut block) {
            (true, None) => block = (line.trim() == "```sh").then(|| (number + 2, String::new())),
            (true, Some(_)) => {
                let (first, script) = block.take().unwrap_or_default();
                let words = words(&script).with_context(|| format!("{page}:{first}: a block of commands"))?;
                for command in words.split(|(_, word)| matches!(word.as_str(), "\n" | "&&" | "|" | ";")) {
                    let set = command.iter().take_while(|(_, word)| sets(word)).count();
                    if let Some((line, _)) = command.get(set) {
                        let own = command[set..].iter().take_while(|(_, word)| word != ">");
                        let words = own.map(|(_, word)| word.clone()).collect();
                        found.push(Shown { place: format!("{page}:{}", first + line), words });
                    }
                }
            }
            (false, Some((_, script))) => {
                script.push_str(line);
                script.push('\n');
            }
            (false, None) => {}
        }
    }
    Ok(found)
}

/// `NAME=value`.
fn sets(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    })
}

/// The words of a script as a shell takes them, each with its line: quotes, comments, and operators as words of their own. What `$(…)`
/// and `$NAME` would become is not known; they stay as they are written.
fn words(script: &str) -> Result<Vec<(usize, String)>> {
    let (mut found, mut word) = (Vec::new(), None::<(usize, String)>);
    let mut rest = script.chars().peekable();
    let (mut line, mut nested) = (0, 0);
    while let Some(c) = rest.next() {
        line += usize::from(c == '\n');
        let open = word.is_some();
        match c {
            '\'' | '"' => {
                let (at, text) = word.get_or_insert_with(|| (line, String::new()));
                let begun = *at;
                loop {
                    match rest.next() {
                        Some(end) if end == c => break,
                        Some(inner) => {
                            line += usize::from(inner == '\n');
                            text.push(inner);
                        }
                        None => anyhow::bail!("a quote {c} after line {begun} of the block has no end"),
                    }
                }
            }
            '\\' => {
                line += usize::from(rest.next_if_eq(&'\n').is_some());
            }
            '#' if !open => while rest.next_if(|c| *c != '\n').is_some() {},
            ';' | '|' | '&' | '\n' if nested == 0 => {
                found.extend(word.take());
                let mut operator = c.to_string();
                while c != '\n' && rest.next_if_eq(&c).is_some() {
                    operator.push(c);
                }
                found.push((line, operator));
            }
            c if c.is_whitespace() && nested == 0 => found.extend(word.take()),
            c => {
                let (_, text) = word.get_or_insert_with(|| (line, String::new()));
                nested += usize::from(c == '(' && (nested > 0 || text.ends_with('$')));
                nested -= usize::from(c == ')' && nested > 0);
                text.push(c);
            }
        }
    }
    found.extend(word);
    Ok(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_as_a_shell_takes_them() {
        let page = "text `seatrial no`\n```sh\nA=1 seatrial package ./v2 \\\n  --model 'adult\nincome' && seatrial status $(id -u) # it's now\n\n```\n```yaml\nseatrial no\n```\n";
        let found = of_page("p.md", page).unwrap();
        let words: Vec<String> = found.iter().map(|shown| shown.words.join("|")).collect();
        assert_eq!(words, ["seatrial|package|./v2|--model|adult\nincome", "seatrial|status|$(id -u)"]);
        assert_eq!((&*found[0].place, &*found[1].place), ("p.md:3", "p.md:5"));
        assert!(of_page("p.md", "```sh\nseatrial 'x\n```").is_err());
    }
}
