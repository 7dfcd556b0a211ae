//! Texts as small numbers.

use std::collections::HashMap;

/// Texts by the order in which they were first seen. The numbers differ from worker to worker and show in no result.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    by_text: HashMap<Box<str>, u32>,
    texts: Vec<Box<str>>,
}

impl Names {
    pub(crate) fn code(&mut self, text: &str) -> u32 {
        if let Some(&code) = self.by_text.get(text) {
            return code;
        }
        let code = self.texts.len() as u32;
        self.texts.push(text.into());
        self.by_text.insert(text.into(), code);
        code
    }

    pub(crate) fn text(&self, code: u32) -> &str {
        self.texts.get(code as usize).map_or("", |text| text)
    }

    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }

    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(|text| &**text)
    }
}
