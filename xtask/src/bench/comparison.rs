//! The comparison of ten million pairs beside DuckDB over the same Parquet files, and of a million beside pandas, scikit-learn
//! and fairlearn, which take minutes and gigabytes for ten.

use anyhow::{Result, bail};
use serde_json::Value;

use super::Bed;
use super::figure::{Figure, Sample};
use super::measure::{Run, WarmUp, once, rounds};

const ROUNDS: usize = 5;
/// What each of them is beside, how many pairs, and the name of its row.
const SIDES: [(&str, &str, u64, &str); 2] = [
    ("comparison_duckdb.py", "DuckDB, the same in SQL", 10_000_000, "compare 10,000,000 pairs"),
    ("comparison.py", "pandas + scikit-learn + fairlearn", 1_000_000, "compare 1,000,000 pairs"),
];
/// By how much a quantile of the sketch may differ from the exact one.
const SKETCH_ERROR: f64 = 0.02;
/// By how much a loss or a rate may differ: both sides round.
const ROUNDING: f64 = 1e-9;

pub fn measure(bed: &Bed) -> Result<Vec<Figure>> {
    SIDES.iter().map(|side| beside(bed, side)).collect()
}

fn beside(bed: &Bed, &(script, name, pairs, what): &(&str, &str, u64, &str)) -> Result<Figure> {
    let folder = bed.scratch.join(format!("pairs-{pairs}"));
    let mut make = bed.ours("examples/bench_comparison");
    once(make.arg("make").arg(&folder).arg(pairs.to_string()))?;
    let mut commands = [bed.ours("examples/bench_comparison"), bed.theirs(script)];
    for command in &mut commands {
        command.arg("run").arg(&folder);
    }
    // The files were just written: what reads them first finds them in memory too.
    let runs = rounds(ROUNDS, WarmUp::No, &mut commands)?;
    for (ours, theirs) in runs[0].iter().zip(&runs[1]) {
        same(pairs, &ours.json()?, &theirs.json()?)?;
    }
    // The time within the program: starting Python and importing libraries counts for neither side.
    let samples = |side: usize| -> Result<Vec<Sample>> {
        runs[side].iter().map(|run| Ok((seconds(run)?, run.peak_kib))).collect()
    };
    let figure = Figure::new(what, name, "s", &samples(0)?, &samples(1)?);
    std::fs::remove_dir_all(&folder)?;
    Ok(figure)
}

fn seconds(run: &Run) -> Result<f64> {
    match run.json()?["seconds"].as_f64() {
        Some(seconds) => Ok(seconds),
        None => bail!("expected `seconds`, found {:?}", run.stdout),
    }
}

/// Whether both sides counted the same, came to the same values, and found the same quantiles and areas within the stated
/// errors.
fn same(pairs: u64, ours: &Value, theirs: &Value) -> Result<()> {
    for counted in ["counts", "segments"] {
        if ours[counted] != theirs[counted] || ours["counts"]["pairs"] != pairs {
            bail!("the sides count differently: {} and {}", ours[counted], theirs[counted]);
        }
    }
    near("exact", &ours["exact"], &theirs["exact"], |x, _| ROUNDING * x.abs().max(1.0))?;
    let bound = ours["auc"]["bound"].as_f64().unwrap_or(0.0);
    near("auc", &ours["auc"]["values"], &theirs["auc"]["values"], |_, _| bound + ROUNDING)?;
    near("quantiles_us", &ours["quantiles_us"], &theirs["quantiles_us"], |_, exact| SKETCH_ERROR * exact)
}

/// Whether all numbers of a document are within `reach` of those of another.
fn near(at: &str, ours: &Value, theirs: &Value, reach: impl Fn(f64, f64) -> f64 + Copy) -> Result<()> {
    match ours {
        Value::Object(fields) => {
            fields.iter().try_for_each(|(key, mine)| near(&format!("{at}.{key}"), mine, &theirs[key], reach))
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(i, mine)| near(&format!("{at}[{i}]"), mine, &theirs[i], reach)),
        _ => match (ours.as_f64(), theirs.as_f64()) {
            (Some(x), Some(y)) if (x - y).abs() <= reach(x, y) => Ok(()),
            _ => bail!("{at} is {ours} here and {theirs} there"),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::same;

    fn side(agreed: u64, loss: f64, area: f64, quantile: f64) -> Value {
        json!({
            "counts": { "pairs": 9, "agreed": agreed },
            "segments": { "sex=f": { "n": 4 } },
            "exact": { "log_loss": [loss, 0.5] },
            "auc": { "values": [area], "bound": 1e-5 },
            "quantiles_us": { "champion": [quantile] },
        })
    }

    #[test]
    fn another_count_value_area_or_quantile_is_no_comparison() {
        let ours = side(9, 0.25, 0.8, 100.0);
        let with = |theirs: &Value| same(9, &ours, theirs);
        assert!(with(&side(9, 0.25 + 1e-12, 0.800_009, 101.0)).is_ok());
        assert!(with(&side(8, 0.25, 0.8, 100.0)).is_err());
        assert!(with(&side(9, 0.26, 0.8, 100.0)).is_err());
        assert!(with(&side(9, 0.25, 0.801, 100.0)).is_err());
        assert!(with(&side(9, 0.25, 0.8, 110.0)).is_err());
        assert!(same(10, &ours, &ours).is_err());
        assert!(with(&json!({ "counts": ours["counts"], "segments": ours["segments"] })).is_err());
    }
}
