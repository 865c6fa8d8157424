//! One `ntm.toml` describes a node: what it may say, and what a person reads
//! when it says something else.
#![allow(clippy::unwrap_used, clippy::unwrap_in_result, reason = "helpers of tests are tests")]

mod any_text;
mod docs;
mod errors;
mod examples;
mod keys;
mod layers;
mod plugins;
mod values;

use std::collections::BTreeMap;
use std::path::Path;

use ntm::config::{Config, ConfigError, Input, Loaded, parse};

/// A terminal's file, short enough to know its lines by heart.
const TERMINAL: &str = r#"[node]
name = "mn.example"
role = ["terminal"]
key = "mn.key"
[[dc]]
addresses = ["203.0.113.1:4330"]
public_key = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
"#;

/// A coordinator's.
const DC: &str = r#"[node]
name = "dc.example"
role = ["dc"]
key = "dc.key"
"#;

const KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

fn read(text: &str) -> Result<Loaded, ConfigError> {
    layered(text, &[], &[])
}

/// The file's text alone, whatever the environment here says.
fn read_file(file: &Path) -> Result<Loaded, ConfigError> {
    let text = std::fs::read_to_string(file).unwrap();
    parse(Input { file, text, variables: BTreeMap::new(), sets: &[] })
}

fn layered(text: &str, variables: &[(&str, &str)], sets: &[&str]) -> Result<Loaded, ConfigError> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    parse(Input {
        file: Path::new("etc/ntm.toml"),
        text: text.to_owned(),
        variables: variables.iter().map(own).collect(),
        sets: &sets,
    })
}

fn config(text: &str) -> Config {
    match read(text) {
        Ok(loaded) => loaded.config,
        Err(error) => panic!("{error}"),
    }
}

/// The message of each problem with its place, without the lines below it.
fn problems(result: Result<Loaded, ConfigError>) -> Vec<String> {
    let error = result.map(|loaded| loaded.config).expect_err("problems");
    let first_line = |text: String| text.lines().next().unwrap().to_owned();
    error.problems().iter().map(|problem| first_line(problem.to_string())).collect()
}
