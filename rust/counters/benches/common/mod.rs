//! Shared code of the benches of counters and core: options, medians, and results as a file.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

/// Options after `cargo bench --bench NAME --`.
#[derive(Debug, Default)]
pub(crate) struct Options {
    /// Few and short rounds: checks that the bench works, and measures nothing.
    pub(crate) quick: bool,
    /// Runs only the subjects whose name contains this, for a profile.
    pub(crate) only: String,
    /// The file for the results as JSON, in addition to the table.
    pub(crate) json: Option<PathBuf>,
}

impl Options {
    /// Reads the command line; cargo itself adds `--bench`.
    pub(crate) fn read() -> Self {
        let mut options = Self::default();
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match word.as_str() {
                "--bench" => {}
                "--quick" => options.quick = true,
                "--only" => options.only = words.next().expect("`--only` needs a part of a name"),
                "--json" => options.json = Some(words.next().expect("`--json` needs a path").into()),
                other => panic!("expected `--quick`, `--only PART` or `--json FILE`, got `{other}`"),
            }
        }
        options
    }

    /// Writes rows of named numbers to the file of `--json`.
    pub(crate) fn write(&self, rows: &[(String, Vec<(&str, f64)>)]) {
        let Some(path) = &self.json else { return };
        let rows: Vec<Value> = rows
            .iter()
            .map(|(name, values)| {
                let values: Map<String, Value> = values
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), json!(value)))
                    .collect();
                json!({"name": name, "values": values})
            })
            .collect();
        std::fs::write(path, format!("{}\n", json!({ "rows": rows }))).expect("the results can be written");
    }
}
