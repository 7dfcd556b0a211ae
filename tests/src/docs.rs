//! The commands in README and `docs/`, so that tests can hold them against the programs.

use std::fs;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::repository;

/// A command as a document shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Where, for example `docs/submit.md:7`.
    pub place: String,
    /// Its words, the program first.
    pub words: Vec<String>,
}

/// A block of a document that is to be run: a script of the shell, or a program in Python.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The page, for example `docs/submit.md`.
    pub page: String,
    /// Its first line there.
    pub line: usize,
    /// `sh` or `python`.
    pub language: String,
    /// What stands in it.
    pub text: String,
}

/// README and the pages of `docs/`.
///
/// # Errors
/// When `docs/` cannot be listed.
pub fn pages() -> Result<Vec<String>> {
    let mut pages = vec!["README.md".to_owned()];
    for entry in fs::read_dir(repository("docs")).context("docs/ cannot be listed")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".md") {
            pages.push(format!("docs/{name}"));
        }
    }
    pages.sort();
    Ok(pages)
}

/// The blocks of a page in `sh` and `python`.
///
/// # Errors
/// When the page cannot be read.
pub fn blocks(page: &str) -> Result<Vec<Block>> {
    let text = fs::read_to_string(repository(page)).with_context(|| page.to_owned())?;
    let (mut found, mut open) = (Vec::new(), None::<Block>);
    for (number, line) in text.lines().enumerate() {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(language), None) => {
                let (page, language) = (page.to_owned(), language.trim().to_owned());
                open = Some(Block { page, line: number + 2, language, text: String::new() });
            }
            (Some(_), Some(_)) => found.extend(open.take()),
            (None, Some(block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    found.retain(|block| matches!(block.language.as_str(), "sh" | "python"));
    Ok(found)
}

/// What of a page is not run, and why.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// The page.
    pub page: String,
    /// Lines that begin so.
    #[serde(default)]
    pub lines: Option<String>,
    /// A whole block that begins so.
    #[serde(default)]
    pub block: Option<String>,
    /// Why.
    pub reason: String,
}

/// What is not run of all pages.
///
/// # Errors
/// When the list is no such list.
pub fn left_out() -> Result<Vec<LeftOut>> {
    let file = "tests/documents_left_out.json";
    let text = fs::read_to_string(repository(file)).context(file)?;
    serde_json::from_str(&text).context(file)
}

impl LeftOut {
    /// Whether it is about this line of the block.
    #[must_use]
    pub fn takes(&self, block: &Block, line: &str) -> bool {
        let begins =
            |text: &str, start: &Option<String>| start.as_ref().is_some_and(|s| text.starts_with(s.as_str()));
        self.page == block.page && (begins(&block.text, &self.block) || begins(line, &self.lines))
    }
}

/// The rest of a block once the lines that are left out are gone.
#[must_use]
pub fn remaining(block: &Block, left_out: &[LeftOut]) -> String {
    let kept = |line: &&str| !left_out.iter().any(|one| one.takes(block, line));
    block.text.lines().filter(kept).map(|line| format!("{line}\n")).collect()
}

/// Every command of `program` in the `sh` blocks of README and `docs/`.
///
/// # Errors
/// When a document cannot be read, or a command has a quote without its end.
pub fn commands(program: &[&str]) -> Result<Vec<Shown>> {
    let mut found = Vec::new();
    for page in pages()? {
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
