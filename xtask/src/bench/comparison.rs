//! The comparison of a million pairs beside pandas and scikit-learn over the same Parquet files.

use anyhow::{Result, bail};
use serde_json::Value;

use super::Bed;
use super::figure::{Figure, Sample};
use super::measure::{Run, WarmUp, once, rounds};

const ROUNDS: usize = 5;
const PAIRS: u64 = 1_000_000;
/// By how much a quantile of the sketch may differ from the exact one.
const SKETCH_ERROR: f64 = 0.02;

pub fn measure(bed: &Bed) -> Result<Vec<Figure>> {
    let folder = bed.scratch.join("pairs");
    let mut make = bed.ours("examples/bench_comparison");
    once(make.arg("make").arg(&folder).arg(PAIRS.to_string()))?;
    let mut commands = [bed.ours("examples/bench_comparison"), bed.theirs("comparison.py")];
    for command in &mut commands {
        command.arg("run").arg(&folder);
    }
    // The files were just written: what reads them first finds them in memory too.
    let runs = rounds(ROUNDS, WarmUp::No, &mut commands)?;
    for (ours, theirs) in runs[0].iter().zip(&runs[1]) {
        same(&ours.json()?, &theirs.json()?)?;
    }
    // The time within the program: starting Python and importing pandas and scikit-learn counts for neither side.
    let samples = |side: usize| -> Result<Vec<Sample>> {
        runs[side].iter().map(|run| Ok((seconds(run)?, run.peak_kib))).collect()
    };
    Ok(vec![Figure::new("compare 1,000,000 pairs", "pandas + scikit-learn", "s", &samples(0)?, &samples(1)?)])
}

fn seconds(run: &Run) -> Result<f64> {
    match run.json()?["seconds"].as_f64() {
        Some(seconds) => Ok(seconds),
        None => bail!("expected `seconds`, found {:?}", run.stdout),
    }
}

/// Whether both sides counted the same, and found the same quantiles within the sketch's error.
fn same(ours: &Value, theirs: &Value) -> Result<()> {
    if ours["counts"] != theirs["counts"] || ours["counts"]["pairs"] != PAIRS {
        bail!("the sides count differently: {} and {}", ours["counts"], theirs["counts"]);
    }
    for arm in ["champion", "challenger"] {
        for i in 0..3 {
            let of = |side: &Value| side["quantiles_us"][arm][i].as_f64().unwrap_or(f64::NAN);
            let (sketch, exact) = (of(ours), of(theirs));
            let error = (sketch - exact).abs() / exact;
            if error.is_nan() || error > SKETCH_ERROR {
                bail!("a latency quantile of the {arm} is {sketch} µs by the sketch, and exactly {exact} µs");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::same;

    #[test]
    fn another_count_or_quantile_is_no_comparison() {
        let side = |agreed: u64, quantile: f64| {
            let quantiles = [quantile; 3];
            json!({
                "counts": { "pairs": 1_000_000, "agreed": agreed },
                "quantiles_us": { "champion": quantiles, "challenger": quantiles },
            })
        };
        assert!(same(&side(9, 100.0), &side(9, 101.0)).is_ok());
        assert!(same(&side(9, 100.0), &side(8, 100.0)).is_err());
        assert!(same(&side(9, 100.0), &side(9, 110.0)).is_err());
        assert!(same(&side(9, 100.0), &json!({ "counts": side(9, 1.0)["counts"] })).is_err());
    }
}
