//! Margins: how much worse a challenger may be.

use serde::{Deserialize, Serialize};

/// A margin in absolute points (`0.01`) or relative to the champion (`"50%rel"`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "MarginText", into = "MarginText")]
pub enum Margin {
    /// In the metric's own unit.
    Absolute(f64),
    /// As a fraction of the champion's value.
    Relative(f64),
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum MarginText {
    Number(f64),
    Text(String),
}

impl TryFrom<MarginText> for Margin {
    type Error = String;
    fn try_from(text: MarginText) -> Result<Self, String> {
        let wrong =
            |found: &str| format!("margin {found:?} is not a number like 0.01 or a share like \"50%rel\"");
        let margin = match &text {
            MarginText::Number(n) => Self::Absolute(*n),
            MarginText::Text(t) => match t.strip_suffix("%rel") {
                Some(n) => Self::Relative(n.trim().parse::<f64>().map_err(|_| wrong(t))? / 100.0),
                None => Self::Absolute(t.trim().parse().map_err(|_| wrong(t))?),
            },
        };
        match margin {
            Self::Absolute(m) | Self::Relative(m) if m.is_finite() && m >= 0.0 => Ok(margin),
            _ => Err("a margin is a finite number, zero or more".into()),
        }
    }
}

impl From<Margin> for MarginText {
    fn from(margin: Margin) -> Self {
        match margin {
            Margin::Absolute(m) => Self::Number(m),
            Margin::Relative(m) => Self::Text(format!("{}%rel", m * 100.0)),
        }
    }
}

impl std::fmt::Display for Margin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Absolute(m) => write!(f, "{m}"),
            Self::Relative(m) => write!(f, "{} %rel", m * 100.0),
        }
    }
}
