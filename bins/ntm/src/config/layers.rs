use std::collections::BTreeMap;
use std::path::Path;

use config::{ConfigError as LayerError, Map, Source, Value, ValueKind};
use ntm_core::address::Candidate;
use serde_json::Value as Json;
use toml_edit::{Document, Item};

use super::path::KeyPath;
use super::problem::{Place, Problem};
use super::sources::{File, Part, Sources, line_of};

/// What environment variables have to begin with to count.
pub(super) const PREFIX: &str = "NTM_";

/// Reads the three layers and lays the later over the earlier: the file, the
/// environment, the arguments of `--set`.
pub(super) fn merge(
    file: &Path,
    text: String,
    variables: &BTreeMap<String, String>,
    sets: &[String],
) -> Result<(Json, Sources), Vec<Problem>> {
    let document = Document::parse(text.clone());
    let document = document.map_err(|error| vec![syntax(file, &text, &error)])?;
    let from_file = table(document.iter());
    let mut sources =
        Sources { file: Some(File { path: file.into(), document }), given: BTreeMap::new() };

    let mut problems = odd_sections(&from_file, &sources);
    let mut builder = config::Config::builder().add_source(Layer(from_file));
    let given = variables.iter().map(|(name, value)| variable(name, value));
    for layer in given.chain(sets.iter().map(|set| argument(set))) {
        match layer {
            Ok(layer) => builder = builder.add_source(layer),
            Err(problem) => problems.push(problem),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let merged = builder.build().map_err(|error| {
        vec![Problem { place: Place::File(file.into()), message: error.to_string() }]
    })?;
    let json = to_json(merged.cache, &KeyPath::default(), &mut sources.given);
    Ok((json, sources))
}

#[derive(Clone, Debug)]
struct Layer(Map<String, Value>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, LayerError> {
        Ok(self.0.clone())
    }
}

/// `NTM_NODE__NAME` is `node.name`: two underscores where a dot would be, since
/// keys have single ones.
fn variable(name: &str, value: &str) -> Result<Layer, Problem> {
    let path = name.strip_prefix(PREFIX).unwrap_or(name).to_lowercase().replace("__", ".");
    layer(name, &path, value)
}

fn argument(argument: &str) -> Result<Layer, Problem> {
    let origin = format!("--set {argument}");
    match argument.split_once('=') {
        Some((path, value)) => layer(&origin, path.trim(), value.trim()),
        None => Err(problem(&origin, "this has to be KEY=VALUE, as in `handover.mode=seed`")),
    }
}

fn layer(origin: &str, path: &str, value: &str) -> Result<Layer, Problem> {
    let Some(path) = KeyPath::parse(path) else {
        return Err(problem(origin, format!("`{path}` is not a key such as `node.name`")));
    };
    let value = read(value, origin).map_err(|message| problem(origin, message))?;
    Ok(Layer([(path.to_string(), value)].into()))
}

fn problem(origin: &str, message: impl Into<String>) -> Problem {
    Problem { place: Place::Given(origin.into()), message: message.into() }
}

/// A list, a table, a quoted text, a number or a truth value as TOML writes
/// them; anything else is text as it stands.
fn read(text: &str, origin: &str) -> Result<Value, String> {
    let origin = Some(origin.to_owned());
    if text.starts_with(['[', '{', '"', '\'']) && !looks_like_address(text) {
        let value = text.parse::<toml_edit::Value>();
        let value = value.map_err(|error| error.message().trim().to_owned())?;
        return Ok(of_toml(&value, origin.as_ref()));
    }
    Ok(if let Ok(truth) = text.parse::<bool>() {
        Value::new(origin.as_ref(), truth)
    } else if let Some(number) = text.parse::<i64>().ok().filter(|n| n.to_string() == text) {
        Value::new(origin.as_ref(), number)
    } else {
        Value::new(origin.as_ref(), text)
    })
}

/// `[::]:4330` begins as a list does.
fn looks_like_address(text: &str) -> bool {
    text.parse::<Candidate>().is_ok()
}

/// The table with these entries, without origins: they are in the file.
fn table<'a>(entries: impl Iterator<Item = (&'a str, &'a Item)>) -> Map<String, Value> {
    entries.map(|(key, item)| (key.to_owned(), of_item(item))).collect()
}

fn of_item(item: &Item) -> Value {
    match item {
        Item::None => Value::new(None, ValueKind::Nil),
        Item::Value(value) => of_toml(value, None),
        Item::Table(entries) => Value::new(None, table(entries.iter())),
        Item::ArrayOfTables(tables) => {
            let tables = tables.iter().map(|entries| Value::new(None, table(entries.iter())));
            Value::new(None, tables.collect::<Vec<_>>())
        }
    }
}

fn of_toml(value: &toml_edit::Value, origin: Option<&String>) -> Value {
    use toml_edit::Value as Toml;
    match value {
        Toml::String(text) => Value::new(origin, text.value().as_str()),
        Toml::Integer(number) => Value::new(origin, *number.value()),
        Toml::Float(number) => Value::new(origin, *number.value()),
        Toml::Boolean(truth) => Value::new(origin, *truth.value()),
        Toml::Datetime(time) => Value::new(origin, time.value().to_string()),
        Toml::Array(list) => {
            let list = list.iter().map(|value| of_toml(value, origin));
            Value::new(origin, list.collect::<Vec<_>>())
        }
        Toml::InlineTable(entries) => {
            let entries = entries.iter().map(|(key, value)| (key.into(), of_toml(value, origin)));
            Value::new(origin, entries.collect::<Map<String, Value>>())
        }
    }
}

/// The same without origins, which go into `given`.
fn to_json(value: Value, path: &KeyPath, given: &mut BTreeMap<KeyPath, String>) -> Json {
    if let Some(origin) = value.origin() {
        given.insert(path.clone(), origin.into());
    }
    match value.kind {
        ValueKind::Nil => Json::Null,
        ValueKind::Boolean(truth) => truth.into(),
        ValueKind::I64(number) => number.into(),
        ValueKind::U64(number) => number.into(),
        ValueKind::I128(number) => i64::try_from(number).map_or(Json::Null, Json::from),
        ValueKind::U128(number) => u64::try_from(number).map_or(Json::Null, Json::from),
        ValueKind::Float(number) => number.into(),
        ValueKind::String(text) => text.into(),
        ValueKind::Table(entries) => {
            let entries = entries.into_iter().map(|(key, value)| {
                let value = to_json(value, &path.key(&key), given);
                (key, value)
            });
            Json::Object(entries.collect())
        }
        ValueKind::Array(list) => {
            let list = list.into_iter().enumerate();
            list.map(|(at, value)| to_json(value, &path.index(at), given)).collect()
        }
    }
}

/// Sections that the layers would take for a path, such as `["node.name"]`.
fn odd_sections(entries: &Map<String, Value>, sources: &Sources) -> Vec<Problem> {
    let odd = |key: &&String| KeyPath::parse(key) != Some(KeyPath::default().key(key));
    let problem = |key: &String| {
        let message = format!("unknown section [{key:?}]");
        sources.problem(&KeyPath::default().key(key), Part::Key, message)
    };
    entries.keys().filter(odd).map(problem).collect()
}

fn syntax(file: &Path, text: &str, error: &toml_edit::TomlError) -> Problem {
    let place = match error.span() {
        Some(span) => line_of(file, text, span),
        None => Place::File(file.into()),
    };
    Problem { place, message: format!("this is not TOML: {}", error.message().trim()) }
}
