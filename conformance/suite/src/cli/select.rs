use std::path::Path;

use ntm_conformance::{BUILT_IN, Check, Kind, Subject, contract};
use ntm_core::plugin::PluginError;
use serde_json::Value;

use super::{Failure, usage};

/// The checks with these identifiers; all, if there are none.
pub(super) fn checks(only: &[String], lab: bool) -> Result<Vec<&'static Check>, Failure> {
    if let Some(pattern) = only.iter().find(|pattern| !contract::all().any(|it| fits(it, pattern)))
    {
        let near = |id: &&str| strsim::damerau_levenshtein(id, pattern);
        let nearest = contract::all().map(Check::id).min_by_key(near).unwrap_or_default();
        let remedy = format!("the nearest is {nearest}; `--list` shows what there is");
        return Err(usage(format!("no promise is called {pattern}"), &remedy));
    }
    let wanted = |check: &&Check| only.is_empty() || only.iter().any(|it| fits(check, it));
    Ok(contract::all().filter(|check| lab || !check.lab).filter(wanted).collect())
}

fn fits(check: &Check, pattern: &str) -> bool {
    matches(pattern.to_ascii_uppercase().as_bytes(), check.id().as_bytes())
}

/// Whether this identifier is wanted.
pub(super) fn is_among(id: &str, only: &[String]) -> bool {
    let fits = |it: &String| matches(it.to_ascii_uppercase().as_bytes(), id.as_bytes());
    only.is_empty() || only.iter().any(fits)
}

/// Whether `text` is `pattern`, in which `*` stands for anything.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|at| matches(rest, &text[at..])),
        Some((first, rest)) => {
            text.split_first().is_some_and(|(own, text)| own == first && matches(rest, text))
        }
    }
}

/// JSON, or a file of JSON or TOML.
pub(super) fn config(text: &str) -> Result<Value, Failure> {
    let (what, text, toml) = if text.trim_start().starts_with('{') {
        ("the configuration".to_owned(), text.to_owned(), false)
    } else {
        let read = std::fs::read_to_string(text).map_err(|error| {
            let remedy = "give JSON in braces, or a file";
            PluginError::io(format!("read the configuration {text}"), &error, remedy)
        })?;
        (text.to_owned(), read, text.ends_with(".toml"))
    };
    let decoded = if toml {
        toml_edit::de::from_str(&text).map_err(|error| error.to_string())
    } else {
        serde_json::from_str(&text).map_err(|error| error.to_string())
    };
    decoded.map_err(|error| {
        usage(format!("{what} cannot be read: {}", error.trim_end()), "use JSON, or TOML in a file")
    })
}

/// What to test.
pub(super) fn subjects(
    plugins: &[String],
    kind: Option<Kind>,
    claims: Option<&Path>,
) -> Result<Vec<Subject>, PluginError> {
    let mut subjects = Vec::new();
    let named: Vec<&str> = if plugins.is_empty() {
        let of_kind = BUILT_IN.iter().filter(|(of, _, _)| kind.is_none_or(|kind| kind == *of));
        of_kind.map(|(_, name, _)| *name).collect()
    } else {
        plugins.iter().map(String::as_str).collect()
    };
    for plugin in named {
        let path = Path::new(plugin);
        if plugin.contains('/') || path.extension().is_some() {
            subjects.extend(Subject::library(path, kind, claims)?);
        } else {
            subjects.push(Subject::built_in(plugin, kind, claims)?);
        }
    }
    Ok(subjects)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text) in
            [("VIP-*", "VIP-1"), ("*", "VIP-1"), ("VIP-1", "VIP-1"), ("*-1", "A-1")]
        {
            assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern}");
        }
        for (pattern, text) in [("VIP-1", "VIP-11"), ("VIP-*", "TRN-1"), ("", "VIP-1")] {
            assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern}");
        }
    }

    #[test]
    fn a_configuration_is_json_or_a_file() {
        assert_eq!(config("{ \"a\": 1 }").ok().unwrap()["a"], 1);
        assert_eq!(config("{ a }").err().unwrap().exit, 2);
        assert_eq!(config("/nowhere/at-all.json").err().unwrap().exit, 4);
        let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        std::fs::write(file.path(), "a = 1").unwrap();
        assert_eq!(config(file.path().to_str().unwrap()).ok().unwrap()["a"], 1);
    }

    #[test]
    fn a_promise_that_there_is_not_is_told_with_the_nearest() {
        let failure = checks(&["VIP-l".into()], false).err().unwrap();
        assert!(failure.message.contains("the nearest is VIP-1"), "{}", failure.message);
        assert_eq!(checks(&["vip-1".into()], false).ok().unwrap().len(), 1);
    }
}
