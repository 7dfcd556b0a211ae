//! The child process that runs the versions, and the talk with it: one JSON document a line.
//!
//! A version that crashes, loops or eats all memory takes down this child and nothing else; the parent knows which row it
//! was at, and that is evidence.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use seatrial_evidence::observation::Output;
use seatrial_evidence::pair::{Replayed, score_of};
use seatrial_inference::{Batch, Model, Prediction, Runner, Runtime};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The argument that makes this program the child.
pub const FLAG: &str = "--worker";

/// What the parent asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Load those of both versions that run in this process.
    Load {
        /// The ONNX runtime library.
        library: PathBuf,
        /// The champion's folder; none where it runs elsewhere.
        champion: Option<PathBuf>,
        /// The challenger's folder.
        challenger: Option<PathBuf>,
    },
    /// Run both on one row.
    Run {
        /// The inputs by column.
        inputs: Map<String, Value>,
        /// Whether the challenger goes first.
        challenger_first: bool,
    },
}

/// What the child answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Both versions were tried; an error says why one cannot be loaded.
    Loaded {
        /// The champion's trouble.
        champion: Option<String>,
        /// The challenger's trouble.
        challenger: Option<String>,
    },
    /// Both answered.
    Ran {
        /// The champion.
        champion: Replayed,
        /// The challenger.
        challenger: Replayed,
    },
}

struct Version {
    /// None where it runs elsewhere: it has no trouble here, and no answer.
    model: Result<Option<Model>, String>,
}

impl Version {
    fn load(runtime: impl FnOnce() -> Result<&'static Runtime, String>, folder: Option<&Path>) -> Self {
        let here = |folder| Model::from_folder(runtime()?, folder).map_err(|e| e.to_string());
        Self { model: folder.map(here).transpose() }
    }

    fn trouble(&self) -> Option<String> {
        self.model.as_ref().err().cloned()
    }

    fn run(&self, inputs: &Map<String, Value>) -> Replayed {
        match &self.model {
            Ok(Some(model)) => replay(model, inputs),
            Ok(None) | Err(_) => Replayed { error: Some("load-failed".into()), ..Replayed::default() },
        }
    }
}

/// Runs a version on one row.
pub(crate) fn replay(model: &dyn Runner, inputs: &Map<String, Value>) -> Replayed {
    let started = Instant::now();
    let answer = Batch::from_rows(std::slice::from_ref(inputs)).and_then(|batch| model.predict(&batch));
    let latency_us = started.elapsed().as_micros() as u64;
    match answer {
        Ok(predictions) => replayed(model, predictions.into_iter().next(), latency_us),
        Err(e) => Replayed { error: Some(e.code().to_owned()), latency_us, ..Replayed::default() },
    }
}

fn replayed(model: &dyn Runner, prediction: Option<Prediction>, latency_us: u64) -> Replayed {
    let Some(prediction) = prediction else {
        return Replayed { error: Some("no-answer".into()), latency_us, ..Replayed::default() };
    };
    let config = model.config();
    let positive = config.positive_class.as_ref().and_then(|p| config.classes.iter().position(|c| c == p));
    let output = Output {
        label: prediction.label,
        scores: prediction.scores,
        value: prediction.value,
        ..Output::default()
    };
    Replayed {
        score: score_of(&output, positive),
        label: output.label,
        scores: output.scores,
        value: output.value,
        latency_us,
        error: None,
    }
}

/// Answers asks until the input ends.
///
/// # Errors
/// When the parent is gone, or sends something that is not an ask.
pub fn serve(input: impl BufRead, mut output: impl Write) -> std::io::Result<()> {
    // Where memory runs out, the kernel should end this process and not the parent, which then records the crash.
    drop(std::fs::write("/proc/self/oom_score_adj", "1000"));
    let mut versions: Option<(Version, Version)> = None;
    for line in input.lines() {
        let ask: Ask = serde_json::from_str(&line?)?;
        let answer = match ask {
            Ask::Load { library, champion, challenger } => {
                let runtime = || Runtime::load(&library).map_err(|e| e.to_string());
                let pair = (
                    Version::load(runtime, champion.as_deref()),
                    Version::load(runtime, challenger.as_deref()),
                );
                let answer = Answer::Loaded { champion: pair.0.trouble(), challenger: pair.1.trouble() };
                versions = Some(pair);
                answer
            }
            Ask::Run { inputs, challenger_first } => {
                let Some((champion, challenger)) = &versions else {
                    return Err(std::io::Error::other("asked to run before anything was loaded"));
                };
                run_both(champion, challenger, &inputs, challenger_first)
            }
        };
        serde_json::to_writer(&mut output, &answer)?;
        output.write_all(b"\n")?;
        output.flush()?;
    }
    Ok(())
}

fn run_both(
    champion: &Version,
    challenger: &Version,
    inputs: &Map<String, Value>,
    challenger_first: bool,
) -> Answer {
    if challenger_first {
        let challenger = challenger.run(inputs);
        Answer::Ran { champion: champion.run(inputs), challenger }
    } else {
        let champion = champion.run(inputs);
        Answer::Ran { champion, challenger: challenger.run(inputs) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_cannot_be_loaded_is_an_answer_and_not_a_crash() {
        let ask = |a: &Ask| serde_json::to_string(a).unwrap() + "\n";
        let nowhere = PathBuf::from("/nonexistent");
        let input = ask(&Ask::Load {
            library: nowhere.clone(),
            champion: Some(nowhere.clone()),
            challenger: Some(nowhere),
        }) + &ask(&Ask::Run { inputs: Map::new(), challenger_first: true });
        let mut output = Vec::new();
        serve(input.as_bytes(), &mut output).unwrap();
        let lines: Vec<Answer> =
            String::from_utf8(output).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert!(matches!(&lines[0], Answer::Loaded { champion: Some(_), challenger: Some(_) }));
        let Answer::Ran { challenger, .. } = &lines[1] else { unreachable!("{lines:?}") };
        assert_eq!(challenger.error.as_deref(), Some("load-failed"));
    }

    #[test]
    fn running_before_loading_is_refused() {
        let ask = serde_json::to_string(&Ask::Run { inputs: Map::new(), challenger_first: true }).unwrap();
        assert!(serve(ask.as_bytes(), Vec::new()).is_err());
    }
}
