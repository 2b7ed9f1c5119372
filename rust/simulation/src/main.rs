//! Runs the simulations of `make simulate` and prints their figures.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints")]

use std::process::ExitCode;

use callgate_simulation::capacity::Forecast;
use callgate_simulation::report::{Run, table};
use callgate_simulation::scenario::Scenario;
use callgate_simulation::world::World;
use callgate_simulation::{SimulationError, replay, suite};

const USAGE: &str = "usage: callgate-simulation [--json] [--quick] [--nodes=N] [million | skew | replay]";

fn simulate(scenario: Scenario) -> Result<Run, SimulationError> {
    let (figures, _) = World::new(scenario.clone())?.run()?;
    let run = Run {
        forecast: Forecast::new(&scenario),
        scenario,
        figures,
    };
    // The table comes at the end, and a run takes its time.
    eprint!("{}", table(std::slice::from_ref(&run)));
    Ok(run)
}

fn scenarios(what: &str, is_quick: bool) -> Option<Vec<Scenario>> {
    let (numbers, rate): (&[usize], f64) = if is_quick {
        (&[4, 16], 4e3)
    } else {
        (&[4, 16, 100, 1_000], 2e4)
    };
    let skew = || {
        let mut all = suite::skewed(numbers, rate);
        all.extend(suite::free(numbers, rate));
        all.push(suite::lossy(100, rate));
        all
    };
    match what {
        "skew" => Some(skew()),
        "million" => Some(suite::million()),

        "all" => Some(skew().into_iter().chain(suite::million()).collect()),
        _ => None,
    }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| words.iter().any(|word| word == flag);
    let what = words.iter().find(|word| !word.starts_with("--"));
    let what = what.map_or("all", String::as_str);
    let nodes: Option<usize> = words
        .iter()
        .find_map(|word| word.strip_prefix("--nodes=")?.parse().ok());
    let outcome = match scenarios(what, has("--quick")) {
        Some(scenarios) => scenarios
            .into_iter()
            .filter(|scenario| nodes.is_none_or(|nodes| nodes == scenario.nodes))
            .map(simulate)
            .collect::<Result<Vec<_>, _>>(),
        None if what == "replay" => {
            return match replay::measure() {
                Ok(text) => {
                    print!("{text}");
                    ExitCode::SUCCESS
                }
                Err(error) => {
                    eprintln!("callgate-simulation: {error}");
                    ExitCode::FAILURE
                }
            };
        }
        None => {
            eprintln!("callgate-simulation: `{what}` is no set of runs\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(runs) if has("--json") => match serde_json::to_string_pretty(&runs) {
            Ok(text) => println!("{text}"),
            Err(error) => {
                eprintln!("callgate-simulation: {error}");
                return ExitCode::FAILURE;
            }
        },
        Ok(runs) => print!("{}", table(&runs)),
        Err(error) => {
            eprintln!("callgate-simulation: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
