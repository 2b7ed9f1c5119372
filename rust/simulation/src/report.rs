//! Tables of figures, for people and as JSON.

use serde::Serialize;

use crate::capacity::Forecast;
use crate::figures::Figures;
use crate::scenario::Scenario;

/// One run: what was simulated, what came out, and what the capacity model says.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// The settings of the run.
    pub scenario: Scenario,
    /// The counts of the run.
    pub figures: Figures,
    /// The bounds of the capacity model.
    pub forecast: Forecast,
}

/// A column: its title, and its cell for a run.
type Column = (&'static str, fn(&Run) -> String);

const COLUMNS: &[Column] = &[
    ("run", |run| run.scenario.name.clone()),
    ("nodes", |run| run.scenario.nodes.to_string()),
    ("counts", |run| run.scenario.grants.to_string()),
    ("max", |run| run.scenario.max_units().to_string()),
    ("offered/s", |run| per_second(run.figures.offered, &run.figures)),
    ("admitted/s", |run| per_second(run.figures.admitted, &run.figures)),
    ("refused/s", |run| per_second(run.figures.refused, &run.figures)),
    ("early", |run| percent(run.figures.early_part())),
    ("usable", |run| percent(run.figures.usable())),
    ("unanswered", |run| run.figures.unavailable.to_string()),
    ("calls/s", |run| {
        per_second(run.figures.script_calls, &run.figures)
    }),
    ("model: renewals/s", |run| {
        format!("{:.0}", run.forecast.renewals_per_second)
    }),
    ("most", |run| format!("{:.0}", run.forecast.most_calls_per_second)),
    ("calls/decision", |run| {
        format!("{:.5}", run.figures.calls_per_decision())
    }),
    ("commands/call", |run| {
        format!("{:.1}", run.figures.commands_per_call())
    }),
    ("Redis core", |run| percent(run.figures.redis_part())),
];

#[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
fn per_second(count: u64, figures: &Figures) -> String {
    format!("{:.0}", count as f64 / figures.seconds)
}

fn percent(part: f64) -> String {
    format!("{:.1} %", 100.0 * part)
}

/// A table in Markdown.
pub fn table(runs: &[Run]) -> String {
    let mut rows = vec![COLUMNS.iter().map(|(title, _)| (*title).to_owned()).collect()];
    rows.extend(
        runs.iter()
            .map(|run| COLUMNS.iter().map(|(_, cell)| cell(run)).collect::<Vec<_>>()),
    );
    let width = |place: usize| {
        let cells = rows.iter().filter_map(|row| row.get(place));
        cells.map(String::len).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..COLUMNS.len()).map(width).collect();
    rows.insert(1, widths.iter().map(|width| "-".repeat(*width)).collect());
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        format!("| {} |\n", cells.join(" | "))
    };
    rows.iter().map(line).collect()
}
