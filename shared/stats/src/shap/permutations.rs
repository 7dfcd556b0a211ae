//! An estimate of Shapley values for any model, by random orders of its inputs.
//!
//! Castro et al. 2009, with each order walked both ways (antithetic: Mitchell et al. 2022): for one background row the effects
//! of single inputs and of pairs then have no error at all. The players change one after the other from a background row's value to the row's, and what
//! the output gains at each change is one draw of that player's value.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

use super::standard_error;

/// One input of a model: a row, with some players' values from a background row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mix {
    /// The background row.
    pub background: usize,
    /// For each player whether its value is the explained row's.
    pub from_row: Vec<bool>,
}

/// How to sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permutations {
    /// The seed of orders and background rows.
    pub seed: u64,
    /// Orders for each explained row, each walked both ways; at least 2.
    pub orders: usize,
}

/// The estimated values of one row.
#[derive(Debug, Clone, PartialEq)]
pub struct Estimated {
    /// For each output the value of each player. They add up to the output minus the background's mean.
    pub values: Vec<Vec<f64>>,
    /// The standard error of each value over the orders.
    pub errors: Vec<Vec<f64>>,
}

impl Permutations {
    /// How many mixtures one row needs.
    #[must_use]
    pub fn mixtures(&self, players: usize) -> usize {
        self.orders.saturating_mul(2).saturating_mul(players.saturating_sub(1))
    }

    /// The values of row number `row`, whose outputs are `output`; `background` has the outputs of the background rows.
    /// `run` answers mixtures, in their order. `None` if there is nothing to explain with (no players, no background, fewer
    /// than two orders), or `run` answered another number of rows or outputs.
    ///
    /// # Errors
    /// What `run` fails with.
    pub fn explain<E>(
        &self,
        row: usize,
        players: usize,
        output: &[f64],
        background: &[Vec<f64>],
        run: impl FnOnce(&[Mix]) -> Result<Vec<Vec<f64>>, E>,
    ) -> Result<Option<Estimated>, E> {
        if players == 0 || background.is_empty() || self.orders < 2 {
            return Ok(None);
        }
        let orders = self.draw(row, players, background.len());
        let mixes: Vec<Mix> = orders.iter().flat_map(Order::mixes).collect();
        let answers = if mixes.is_empty() { Vec::new() } else { run(&mixes)? };
        let fits = |o: &Vec<f64>| o.len() == output.len();
        if answers.len() != mixes.len() || !answers.iter().chain(background).all(fits) {
            return Ok(None);
        }
        let mut found = Estimated { values: Vec::new(), errors: Vec::new() };
        for (k, out) in output.iter().enumerate() {
            let mut between = answers.iter().map(|a| a[k]);
            let mut draws = vec![Vec::with_capacity(orders.len()); players];
            for order in &orders {
                order.gains(*out, background[order.background][k], &mut between, &mut draws);
            }
            let expected = background.iter().map(|b| b[k]).sum::<f64>() / background.len() as f64;
            let (values, errors) = summed(&draws, out - expected);
            found.values.push(values);
            found.errors.push(errors);
        }
        Ok(Some(found))
    }

    /// The orders of one row. Background rows come in turn, so that all are used equally over the rows.
    fn draw(&self, row: usize, players: usize, background: usize) -> Vec<Order> {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(row as u64);
        let first = row.wrapping_mul(self.orders);
        (0..self.orders)
            .map(|i| {
                let mut players: Vec<usize> = (0..players).collect();
                for last in (1..players.len()).rev() {
                    players.swap(last, below(&mut random, last + 1));
                }
                Order { background: first.wrapping_add(i) % background, players }
            })
            .collect()
    }
}

/// A number below `n`. The bias of the modulus is below 2⁻⁴⁰ for any number of inputs.
fn below(random: &mut ChaCha8Rng, n: usize) -> usize {
    (random.next_u64() % n as u64) as usize
}

/// The order in which players change, and the background row that they change from.
struct Order {
    background: usize,
    players: Vec<usize>,
}

impl Order {
    /// The mixtures after each change but the last, forwards and then backwards.
    fn mixes(&self) -> Vec<Mix> {
        let count = self.players.len();
        let mut mixes = Vec::with_capacity(2 * (count - 1));
        let backwards: Vec<usize> = self.players.iter().rev().copied().collect();
        for order in [&self.players, &backwards] {
            let mut from_row = vec![false; count];
            for player in &order[..count - 1] {
                from_row[*player] = true;
                mixes.push(Mix { background: self.background, from_row: from_row.clone() });
            }
        }
        mixes
    }

    /// What each player gains, the mean of both ways.
    fn gains(
        &self,
        row: f64,
        background: f64,
        between: &mut impl Iterator<Item = f64>,
        draws: &mut [Vec<f64>],
    ) {
        let count = self.players.len();
        let mut gained = vec![0.0; count];
        let backwards: Vec<usize> = self.players.iter().rev().copied().collect();
        for order in [&self.players, &backwards] {
            let mut before = background;
            for (step, player) in order.iter().enumerate() {
                let after = if step + 1 == count { row } else { between.next().unwrap_or(row) };
                gained[*player] += (after - before) / 2.0;
                before = after;
            }
        }
        draws.iter_mut().zip(gained).for_each(|(draws, gain)| draws.push(gain));
    }
}

/// Means and standard errors of the draws. The means of all players differ from `total` only because not every background row
/// was drawn; the rest goes to where the draws are least certain.
fn summed(draws: &[Vec<f64>], total: f64) -> (Vec<f64>, Vec<f64>) {
    let mean = |d: &Vec<f64>| d.iter().sum::<f64>() / d.len() as f64;
    let mut values: Vec<f64> = draws.iter().map(mean).collect();
    let errors: Vec<f64> =
        draws.iter().zip(&values).map(|(d, m)| standard_error(d, *m).unwrap_or(0.0)).collect();
    let rest = total - values.iter().sum::<f64>();
    let variance: f64 = errors.iter().map(|e| e * e).sum();
    let count = values.len() as f64;
    for (value, error) in values.iter_mut().zip(&errors) {
        *value += rest * if variance > 0.0 { error * error / variance } else { 1.0 / count };
    }
    (values, errors)
}
