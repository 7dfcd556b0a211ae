//! A page that says one thing: what happened, and what to do.

use askama::Template;

use crate::RenderError;
use crate::banners::Banner;
use crate::style::STYLE;

/// What a message page says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// The heading.
    pub title: String,
    /// What happened and what to do, a paragraph each.
    pub paragraphs: Vec<String>,
    /// What to type, if anything.
    pub commands: Vec<String>,
    /// Where to go on: address and words.
    pub link: Option<(String, String)>,
    /// A form without fields that is sent: address and words.
    pub button: Option<(String, String)>,
    /// What must not be overlooked about the gate it is about.
    pub banners: Vec<Banner>,
}

impl Message {
    /// A message of one paragraph.
    #[must_use]
    pub fn new(title: &str, paragraph: impl Into<String>) -> Self {
        Self { title: title.to_owned(), paragraphs: vec![paragraph.into()], ..Self::default() }
    }

    /// The same with one more paragraph.
    #[must_use]
    pub fn and(mut self, paragraph: impl Into<String>) -> Self {
        self.paragraphs.push(paragraph.into());
        self
    }

    /// The same with commands to type.
    #[must_use]
    pub fn with_commands(mut self, commands: Vec<String>) -> Self {
        self.commands = commands;
        self
    }

    /// The same with a link to go on.
    #[must_use]
    pub fn with_link(mut self, address: &str, words: &str) -> Self {
        self.link = Some((address.to_owned(), words.to_owned()));
        self
    }

    /// The same with a button that sends a form.
    #[must_use]
    pub fn with_button(mut self, address: &str, words: &str) -> Self {
        self.button = Some((address.to_owned(), words.to_owned()));
        self
    }

    /// The same below these banners.
    #[must_use]
    pub fn with_banners(mut self, banners: Vec<Banner>) -> Self {
        self.banners = banners;
        self
    }

    /// Renders the page.
    ///
    /// # Errors
    /// When the template cannot be rendered.
    pub fn render(&self) -> Result<String, RenderError> {
        Page { style: STYLE, message: self }.render()
    }
}

#[derive(Template)]
#[template(path = "message.html")]
struct Page<'a> {
    style: &'static str,
    message: &'a Message,
}
