//! Shapley values of a model's inputs against a background sample (Lundberg & Lee 2017; interventional: Janzing et al. 2020).
//!
//! The game: an input's value is what the model's output gains, on average over all orders, when the input changes from a
//! background row's value to the explained row's. A *player* is one input of the model; what a model makes of an input
//! (one-hot columns, a scaled number) moves with it. Values of a row add up to its output minus the background's mean output.
//!
//! [`Ensemble::explain`] is exact for trees; [`Permutations`] estimates by sampling for every other model and says its error.

mod permutations;
mod trees;
mod walk;

pub use permutations::{Estimated, Mix, Permutations};
pub use trees::{Compare, Ensemble, MAX_DEPTH, Malformed, Node, Tree};

/// Numbers in rows, all of one width.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    width: usize,
    data: Vec<f64>,
}

impl Table {
    /// Rows of `width` numbers, one after the other; `None` if the numbers do not make whole rows.
    #[must_use]
    pub fn new(width: usize, data: Vec<f64>) -> Option<Self> {
        (width > 0 && data.len().is_multiple_of(width)).then_some(Self { width, data })
    }

    /// Numbers in a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// The rows.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.data.chunks_exact(self.width)
    }
}

/// The Shapley values of some rows for one output.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// The mean output over the background.
    pub expected: f64,
    /// The output of each row.
    pub outputs: Vec<f64>,
    /// For each row the value of each player.
    pub values: Vec<Vec<f64>>,
}

/// How much an input matters over a sample of rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Importance {
    /// The mean of the absolute values.
    pub mean_abs: f64,
    /// The standard error of that mean over the rows; none for a single row.
    pub standard_error: Option<f64>,
}

/// The importance of an input from its values, one a row; `None` without rows or where one is not finite.
#[must_use]
pub fn importance(values: impl Iterator<Item = f64>) -> Option<Importance> {
    let sizes: Vec<f64> = values.map(f64::abs).collect();
    if sizes.is_empty() || sizes.iter().any(|x| !x.is_finite()) {
        return None;
    }
    let mean_abs = sizes.iter().sum::<f64>() / sizes.len() as f64;
    Some(Importance { mean_abs, standard_error: standard_error(&sizes, mean_abs) })
}

/// The standard error of a mean; `None` for a single value.
fn standard_error(values: &[f64], mean: f64) -> Option<f64> {
    let n = values.len() as f64;
    let squares: f64 = values.iter().map(|x| (x - mean) * (x - mean)).sum();
    (values.len() > 1).then(|| (squares / (n - 1.0) / n).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn importance_is_a_mean_with_its_error_and_never_made_of_nothing() {
        let found = importance([1.0, -3.0, 2.0].into_iter()).unwrap();
        assert_eq!(found.mean_abs, 2.0);
        assert!((found.standard_error.unwrap() - (1.0_f64 / 3.0).sqrt()).abs() < 1e-15);
        assert_eq!(importance([-4.0].into_iter()).unwrap().standard_error, None);
        assert_eq!(importance(std::iter::empty()), None);
        assert_eq!(importance([1.0, f64::NAN].into_iter()), None);
    }

    #[test]
    fn tables_hold_whole_rows() {
        assert_eq!(Table::new(2, vec![1.0; 4]).unwrap().rows().len(), 2);
        assert_eq!(Table::new(2, vec![1.0; 3]), None);
        assert_eq!(Table::new(0, Vec::new()), None);
    }
}
